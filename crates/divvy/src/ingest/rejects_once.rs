//! Reports rejected rows once although an archive is read twice.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::issue::{RejectSink, Rejected};

/// Passes rejected rows on; in a second pass only those that the first had not reached.
///
/// It counts them by file, since the rejected rows of one file come in the order of its rows.
pub(super) struct RejectsOnce<'a> {
    sink: &'a dyn RejectSink,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// By file, rows rejected in this pass.
    rejected: BTreeMap<String, u64>,
    /// By file, rows rejected in the first pass.
    passed_on: BTreeMap<String, u64>,
}

impl<'a> RejectsOnce<'a> {
    pub(super) fn new(sink: &'a dyn RejectSink) -> Self {
        let counts = Mutex::default();
        Self { sink, counts }
    }

    pub(super) fn begin_second_pass(&self) {
        let mut counts = self.counts.lock().expect("no holder of this lock panics");
        counts.passed_on = std::mem::take(&mut counts.rejected);
    }
}

impl RejectSink for RejectsOnce<'_> {
    fn reject(&self, row: Rejected) {
        let is_new = {
            let mut counts = self.counts.lock().expect("no holder of this lock panics");
            let passed_on = counts.passed_on.get(&row.file).copied().unwrap_or(0);
            let rejected = counts.rejected.entry(row.file.clone()).or_default();
            *rejected += 1;
            *rejected > passed_on
        };
        if is_new {
            self.sink.reject(row);
        }
    }
}
