//! The asynchronous runtime of the process.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Chooses the clock of the runtime. Has no effect after the first [`block_on`]. A virtual clock
/// advances at once to the end of each wait.
pub fn start(virtual_clock: bool) {
    RUNTIME.get_or_init(|| runtime(virtual_clock));
}

/// Runs a future to its end.
pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.get_or_init(|| runtime(false)).block_on(future)
}

fn runtime(virtual_clock: bool) -> Runtime {
    let mut builder = if virtual_clock {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    builder.enable_all().start_paused(virtual_clock);
    builder
        .build()
        .expect("the system provides threads and timers")
}
