//! Reads the row groups of many files on all cores, with few of the files open.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::TripsFile;
use crate::store::StoreError;

/// Threads of a scan at most. Each keeps a file open, and holds a row group.
pub(crate) const SCAN_THREADS: usize = 16;

/// A row group of one of several files.
pub(crate) struct RowGroup {
    /// The index of the file in the list.
    pub(crate) file: usize,
    pub(crate) trips: Arc<TripsFile>,
    /// The index of the row group in the file.
    pub(crate) group: usize,
    /// The rows of the file that are in the group.
    pub(crate) rows: Range<u32>,
}

/// Visits the row groups of some files for which `filter` returns `true`, from up to `max_threads`
/// threads, until `visit` returns `false` or an error.
///
/// Files are opened in the order of the list, when their first row group is to be read.
pub(crate) fn for_each_row_group(
    paths: &[PathBuf],
    max_threads: usize,
    filter: &(dyn Fn(&RowGroup) -> bool + Sync),
    visit: &(dyn Fn(&RowGroup) -> Result<bool, StoreError> + Sync),
) -> Result<(), StoreError> {
    let queue = Mutex::new(Queue {
        paths,
        next: 0,
        groups: Vec::new(),
    });
    let stop = AtomicBool::new(false);
    let work = || -> Result<(), StoreError> {
        while !stop.load(Ordering::Relaxed) {
            let next = (queue.lock().expect("no holder of this lock panics")).next(filter);
            let go_on = match next {
                Ok(None) => return Ok(()),
                Ok(Some(group)) => visit(&group),
                Err(e) => Err(e),
            };
            if !matches!(go_on, Ok(true)) {
                stop.store(true, Ordering::Relaxed);
            }
            go_on?;
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(max_threads))
            .map(|_| scope.spawn(work))
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("reading does not panic"))
    })
}

struct Queue<'a> {
    paths: &'a [PathBuf],
    /// The index of the file to be opened next.
    next: usize,
    /// The remaining groups of the open file, the last one first.
    groups: Vec<RowGroup>,
}

impl Queue<'_> {
    fn next(
        &mut self,
        filter: &(dyn Fn(&RowGroup) -> bool + Sync),
    ) -> Result<Option<RowGroup>, StoreError> {
        loop {
            while let Some(group) = self.groups.pop() {
                if filter(&group) {
                    return Ok(Some(group));
                }
            }
            let Some(path) = self.paths.get(self.next) else {
                return Ok(None);
            };
            let file = self.next;
            self.next += 1;
            let trips = Arc::new(TripsFile::open(path)?);
            let groups = trips.groups().into_iter().enumerate().rev();
            self.groups = groups
                .map(|(group, rows)| RowGroup {
                    file,
                    trips: trips.clone(),
                    group,
                    rows,
                })
                .collect();
        }
    }
}
