//! Row groups of many files through all cores, with few of the files open.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::trips_file::TripsFile;
use crate::store::StoreError;

/// Threads of a scan at most. Each keeps a file open, and holds a row group.
pub(super) const SCAN_THREADS: usize = 16;

/// What [`each_group`] hands over.
pub(super) struct GroupOf<'a> {
    /// The place of the file in the list.
    pub(super) file: usize,
    pub(super) trips: &'a TripsFile,
    pub(super) group: usize,
    /// The rows of the file that are in the group.
    pub(super) rows: std::ops::Range<u32>,
}

/// Visits the wanted row groups of some files, from up to so many threads, until `visit` returns
/// `false` or an error. Files are opened one after another, when their turn comes.
pub(super) fn each_group(
    paths: &[PathBuf],
    most_threads: usize,
    wanted: &(dyn Fn(&GroupOf<'_>) -> bool + Sync),
    visit: &(dyn Fn(&GroupOf<'_>) -> Result<bool, StoreError> + Sync),
) -> Result<(), StoreError> {
    let queue = Mutex::new(Queue {
        paths,
        next: 0,
        open: None,
    });
    let stop = AtomicBool::new(false);
    let work = || -> Result<(), StoreError> {
        while !stop.load(Ordering::Relaxed) {
            let next = (queue.lock().expect("no holder of this lock panics")).next(wanted);
            let go_on = match next {
                Ok(None) => return Ok(()),
                Ok(Some((file, trips, group, rows))) => visit(&GroupOf {
                    file,
                    trips: &trips,
                    group,
                    rows,
                }),
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
        let workers: Vec<_> = (0..threads.min(most_threads))
            .map(|_| scope.spawn(work))
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("reading does not panic"))
    })
}

type Next = (usize, Arc<TripsFile>, usize, std::ops::Range<u32>);

struct Queue<'a> {
    paths: &'a [PathBuf],
    /// The file to be opened next.
    next: usize,
    /// The file at hand.
    open: Option<Open>,
}

/// A file that is open.
struct Open {
    trips: Arc<TripsFile>,
    /// The places and rows of the groups that are left, the last one first.
    groups: Vec<(usize, std::ops::Range<u32>)>,
}

impl Queue<'_> {
    fn next(
        &mut self,
        wanted: &(dyn Fn(&GroupOf<'_>) -> bool + Sync),
    ) -> Result<Option<Next>, StoreError> {
        loop {
            if let Some(Open { trips, groups }) = &mut self.open {
                while let Some((group, rows)) = groups.pop() {
                    let file = self.next - 1;
                    let of = GroupOf {
                        file,
                        trips,
                        group,
                        rows: rows.clone(),
                    };
                    if wanted(&of) {
                        return Ok(Some((file, trips.clone(), group, rows)));
                    }
                }
            }
            // Closed before the next one is opened, unless another thread still reads it.
            self.open = None;
            let Some(path) = self.paths.get(self.next) else {
                return Ok(None);
            };
            self.next += 1;
            let trips = TripsFile::open(path)?;
            let groups = trips.groups().into_iter().enumerate().rev().collect();
            self.open = Some(Open {
                trips: Arc::new(trips),
                groups,
            });
        }
    }
}
