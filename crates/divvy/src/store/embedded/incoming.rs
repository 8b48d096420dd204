//! One archive on its way in: a trips file for each member, in a folder that nothing names.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::Shared;
use super::commit::{self, Staged};
use super::lock::Staging;
use super::trips_file::TripsWriter;
use crate::issue::RejectSink;
use crate::model::TripBatch;
use crate::store::{ArchiveRead, Incoming, LedgerEntry, StoreError};

pub(super) struct EmbeddedIncoming {
    store: Arc<Shared>,
    staging: Staging,
    /// Members whose rows are coming.
    members: Mutex<BTreeMap<usize, Arc<Mutex<TripsWriter>>>>,
    /// Members whose files are written.
    staged: Mutex<Vec<Staged>>,
}

impl EmbeddedIncoming {
    pub(super) fn new(store: Arc<Shared>) -> Result<Self, StoreError> {
        Ok(Self {
            staging: Staging::make(&store.root)?,
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
        let ended = ended.iter().any(|staged| staged.member == member);
        assert!(!ended, "rows of a member came after its end");
        let writer = TripsWriter::create(self.path(member))?;
        let writer = Arc::new(Mutex::new(writer));
        members.insert(member, writer.clone());
        Ok(writer)
    }

    /// Ends the files of members whose end was not said, and returns those of all members.
    fn finish(&self) -> Result<Vec<Staged>, StoreError> {
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
        let staged = Staged {
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
