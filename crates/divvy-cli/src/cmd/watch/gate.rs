//! Ends the workers of a watch between two steps of their work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// What workers pass before each step.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    stopped: Notify,
    /// Whether a worker has failed for good.
    pub is_broken: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    is_stopping: bool,
    workers: usize,
    storing: usize,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Adds a worker, which runs until the result is dropped. A worker that panics ends all.
    pub fn enter(&self) -> Worker<'_> {
        self.state().workers += 1;
        Worker(self)
    }

    /// Waits until a time. Returns whether the work goes on; `false` at once where it is to stop.
    pub fn wait_until(&self, due: Instant) -> bool {
        let mut state = self.state();
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if state.is_stopping || left.is_zero() {
                return !state.is_stopping;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.expect("no holder of this lock panics").0;
        }
    }

    /// Begins to store a snapshot, or to send a notice, which ends when the result is dropped. `None` where the work is to stop.
    pub fn begin_storing(&self) -> Option<Storing<'_>> {
        let mut state = self.state();
        if state.is_stopping {
            return None;
        }
        state.storing += 1;
        Some(Storing(self))
    }

    /// Has all workers stop before their next step.
    pub fn stop(&self) {
        self.state().is_stopping = true;
        self.changed.notify_all();
        self.stopped.notify_one();
    }

    /// Stops all workers because of a failure.
    pub fn stop_as_broken(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
        self.stop();
    }

    /// Waits until [`stop`](Self::stop) is called.
    pub async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// Waits for a time, or until the work is to stop. Returns whether it goes on.
    pub fn goes_on_after(&self, wait: Duration) -> bool {
        self.wait_until(Instant::now() + wait)
    }

    /// Returns whether no worker stores a snapshot or sends a notice.
    pub fn is_settled(&self) -> bool {
        self.state().storing == 0
    }

    /// Returns whether no worker runs.
    pub fn is_empty(&self) -> bool {
        self.state().workers == 0
    }
}

/// A worker that runs.
pub struct Worker<'a>(&'a Gate);

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.0.state().workers -= 1;
        if thread::panicking() {
            self.0.stop_as_broken();
        }
    }
}

/// A snapshot that is being stored, or a notice that is being sent.
pub struct Storing<'a>(&'a Gate);

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        self.0.state().storing -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_waits_and_begins_nothing() {
        let gate = Gate::default();
        assert!(gate.wait_until(Instant::now()));
        let storing = gate.begin_storing().unwrap();
        let hour = Instant::now() + Duration::from_secs(3600);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.wait_until(hour));
            gate.stop();
            assert!(!waiting.join().unwrap());
        });
        assert!(gate.begin_storing().is_none());
        assert!(!gate.is_settled());
        drop(storing);
        assert!(gate.is_settled() && gate.is_empty());
    }

    #[test]
    fn a_worker_that_panics_stops_all() {
        let gate = Gate::default();
        let worker = gate.enter();
        let ended = thread::scope(|scope| {
            let working = scope.spawn(move || {
                let _inside = worker;
                panic!("as a test");
            });
            working.join()
        });
        assert!(ended.is_err() && gate.is_empty());
        assert!(gate.is_broken.load(Ordering::Relaxed) && gate.begin_storing().is_none());
    }
}
