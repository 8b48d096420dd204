//! Locks of what several threads of a watch use.

use std::sync::{Mutex, MutexGuard};

/// Waits for a lock and holds it until the result is dropped.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
