//! Rejected rows are reported once, even where an archive is read twice.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::issue::{RejectSink, Rejected};

/// Passes rejected rows on; of a second reading only those that the first had not come to.
///
/// It counts them by file: the rejected rows of one file come in the order of its rows.
pub(super) struct Retold<'a> {
    sink: &'a dyn RejectSink,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// By file, rows passed on or left out in this reading.
    met: BTreeMap<String, u64>,
    /// By file, rows passed on in the reading before.
    passed_on: BTreeMap<String, u64>,
}

impl<'a> Retold<'a> {
    pub(super) fn new(sink: &'a dyn RejectSink) -> Self {
        let counts = Mutex::default();
        Self { sink, counts }
    }

    /// Begins the second reading.
    pub(super) fn again(&self) {
        let mut counts = self.counts.lock().expect("no holder of this lock panics");
        counts.passed_on = std::mem::take(&mut counts.met);
    }
}

impl RejectSink for Retold<'_> {
    fn reject(&self, rejected: Rejected) {
        let is_new = {
            let mut counts = self.counts.lock().expect("no holder of this lock panics");
            let before = counts.passed_on.get(&rejected.file).copied().unwrap_or(0);
            let met = counts.met.entry(rejected.file.clone()).or_default();
            *met += 1;
            *met > before
        };
        if is_new {
            self.sink.reject(rejected);
        }
    }
}
