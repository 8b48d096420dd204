//! The asynchronous runtime of the process.

use std::io;
use std::sync::{OnceLock, RwLock};
use std::thread;

use tokio::runtime::{Builder, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// How the runtime runs futures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On the calling thread.
    CallingThread,
    /// On the calling thread, with a clock that advances at once to the end of each wait.
    VirtualClock,
    /// On a thread for each core: for requests to a service.
    Cores,
}

/// Starts the runtime. Has to be called once, before any [`block_on`].
///
/// # Errors
///
/// The system provides too few threads or file handles.
pub fn start(kind: Kind) -> io::Result<()> {
    let runtime = runtime(kind)?;
    let started = RUNTIME.set(runtime);
    started.expect("the runtime is started once");
    Ok(())
}

/// Runs a future to its end.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = RUNTIME.get();
    let runtime = runtime.expect("the runtime is started before any command");
    runtime.block_on(future)
}

fn runtime(kind: Kind) -> io::Result<Runtime> {
    let mut builder = match kind {
        Kind::CallingThread | Kind::VirtualClock => Builder::new_current_thread(),
        Kind::Cores => {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            expect_threads(cores)?;
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(cores);
            builder
        }
    };
    builder
        .enable_all()
        .start_paused(kind == Kind::VirtualClock)
        .build()
}

/// Makes a number of threads that exist at the same time, and ends them. Tokio panics, or waits for
/// ever, where it cannot make its threads.
fn expect_threads(count: usize) -> io::Result<()> {
    let gate = RwLock::new(());
    thread::scope(|scope| {
        let closed = gate.write();
        let wait = || drop(gate.read());
        let made =
            (0..count).try_for_each(|_| thread::Builder::new().spawn_scoped(scope, wait).map(drop));
        drop(closed);
        made
    })
}
