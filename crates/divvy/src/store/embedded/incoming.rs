//! An archive being loaded: a trips file for each member, in a staging folder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::commit::{self, StagedMember};
use super::shared::Shared;
use super::staging::Staging;
use super::trips_file::TripsWriter;
use crate::issue::RejectSink;
use crate::model::{SystemId, TripBatch};
use crate::store::{ArchiveRead, Incoming, LedgerEntry, StoreError};

pub(super) struct EmbeddedIncoming {
    store: Arc<Shared>,
    system: SystemId,
    staging: Staging,
    /// Members of which more rows may come.
    members: Mutex<BTreeMap<usize, Arc<Mutex<TripsWriter>>>>,
    /// Members whose files are complete.
    staged: Mutex<Vec<StagedMember>>,
}

impl EmbeddedIncoming {
    pub(super) fn new(store: Arc<Shared>, system: SystemId) -> Result<Self, StoreError> {
        Ok(Self {
            system,
            staging: Staging::create(&store.root)?,
            store,
            members: Mutex::default(),
            staged: Mutex::default(),
        })
    }

    fn path(&self, member: usize) -> PathBuf {
        self.staging.path.join(format!("{member}.parquet"))
    }

    fn writer(&self, member: usize) -> Result<Arc<Mutex<TripsWriter>>, StoreError> {
        let mut members = self.members.lock().expect("no holder of this lock panics");
        if let Some(writer) = members.get(&member) {
            return Ok(writer.clone());
        }
        let ended = self.staged.lock().expect("no holder of this lock panics");
        let has_ended = ended.iter().any(|staged| staged.member == member);
        assert!(!has_ended, "rows of a member came after its end");
        let writer = TripsWriter::create(self.path(member), &self.system)?;
        let writer = Arc::new(Mutex::new(writer));
        members.insert(member, writer.clone());
        Ok(writer)
    }

    /// Ends the files of members that have not ended, and returns those of all members.
    fn finish(&self) -> Result<Vec<StagedMember>, StoreError> {
        let members: Vec<usize> = {
            let members = self.members.lock().expect("no holder of this lock panics");
            members.keys().copied().collect()
        };
        for member in members {
            self.end_member(member)?;
        }
        let staged = &mut *self.staged.lock().expect("no holder of this lock panics");
        let mut staged = std::mem::take(staged);
        staged.sort_unstable_by_key(|staged| staged.member);
        Ok(staged)
    }
}

#[async_trait]
impl Incoming for EmbeddedIncoming {
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let writer = self.writer(member)?;
        let mut writer = writer.lock().expect("no holder of this lock panics");
        writer.write(&batch)
    }

    fn end_member(&self, member: usize) -> Result<(), StoreError> {
        let mut members = self.members.lock().expect("no holder of this lock panics");
        let writer = members.remove(&member);
        drop(members);
        // A member without trips has no file.
        let Some(writer) = writer else {
            return Ok(());
        };
        let writer = Arc::into_inner(writer).expect("the member's writes have ended");
        let writer = writer.into_inner().expect("no holder of this lock panics");
        let finished = writer.finish()?;
        let path = self.path(member);
        let staged = StagedMember {
            member,
            index_path: path.with_extension("index"),
            path,
            finished,
        };
        let mut all = self.staged.lock().expect("no holder of this lock panics");
        all.push(staged);
        Ok(())
    }

    async fn commit(
        self: Box<Self>,
        archive: ArchiveRead,
        rejects: &dyn RejectSink,
    ) -> Result<LedgerEntry, StoreError> {
        let staged = self.finish()?;
        commit::commit(&self.store, &self.staging, archive, staged, rejects)
    }
}

// Counts open files by /proc.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::path::Path;

    use futures_executor::block_on;
    use jiff::Timestamp;

    use super::*;
    use crate::model::System;
    use crate::store::embedded::EmbeddedStore;
    use crate::store::embedded::testing::trip;
    use crate::store::{ArchiveId, ContentHash, Trips};
    use crate::tally::{Tally, Totals};

    /// Counts the files below a folder that this process has open.
    fn open_below(root: &Path) -> usize {
        let open = std::fs::read_dir("/proc/self/fd").expect("Linux lists open files here");
        open.filter(|entry| {
            let target = entry.as_ref().map(|entry| entry.path().read_link());
            matches!(target, Ok(Ok(target)) if target.starts_with(root))
        })
        .count()
    }

    #[test]
    fn few_files_are_open_at_a_time() {
        const MEMBERS: usize = 150;
        const MAX_OPEN: usize = 64;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let store = EmbeddedStore::open(&root).unwrap();
        let system = System::named("divvy").unwrap();
        for name in ["first.zip", "again.zip"] {
            let id = ArchiveId {
                system: system.clone(),
                name: name.into(),
                content: ContentHash(name.as_bytes()[0].into()),
            };
            let incoming = block_on(store.begin(&id)).unwrap();
            let mut totals = Totals::default();
            for member in 0..MEMBERS {
                let ids = [member, member + MEMBERS].map(|n| trip(&format!("R{n}"), 60_000));
                let batch: TripBatch = ids.into_iter().collect();
                totals.count(&batch, 1);
                incoming.write(member, batch).unwrap();
                incoming.end_member(member).unwrap();
                assert!(open_below(&root) <= MAX_OPEN);
            }
            let read = ArchiveRead {
                id,
                members: (0..MEMBERS).map(|member| format!("{member}.csv")).collect(),
                rows_read: 2 * MEMBERS as u64,
                rejected: Default::default(),
                skipped: Vec::new(),
                forced_from: None,
                totals,
                loaded_at: Timestamp::UNIX_EPOCH,
                replace: false,
            };
            let entry = block_on(incoming.commit(read, &())).unwrap();
            let new = if name == "first.zip" { MEMBERS } else { 0 };
            assert_eq!(entry.stored, 2 * new as u64);
        }
        let trips = Mutex::new(0);
        let visit = |batch: TripBatch| {
            assert!(open_below(&root) <= MAX_OPEN);
            *trips.lock().unwrap() += batch.len();
            true
        };
        block_on(store.scan(&system.id, &visit)).unwrap();
        assert_eq!(trips.into_inner().unwrap(), 2 * MEMBERS);
    }
}
