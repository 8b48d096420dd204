//! A runtime whose clock is paused.

use std::future::Future;

/// Runs a future on a paused clock, on which waits for capacity take no time.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(future)
}
