//! One archive on its way in: a trips file for each member, in a folder that nothing names.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::commit::{self, Staged};
use super::lock::Staging;
use super::trips_file::TripsWriter;
use super::{Shared, index};
use crate::issue::RejectSink;
use crate::model::TripBatch;
use crate::store::{ArchiveRead, Incoming, LedgerEntry, StoreError};

pub(super) struct EmbeddedIncoming {
    store: Arc<Shared>,
    staging: Staging,
    members: Mutex<BTreeMap<usize, Arc<Mutex<TripsWriter>>>>,
}

impl EmbeddedIncoming {
    pub(super) fn new(store: Arc<Shared>) -> Result<Self, StoreError> {
        Ok(Self {
            staging: Staging::make(&store.root)?,
            store,
            members: Mutex::default(),
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
        let writer = TripsWriter::create(self.path(member))?;
        let writer = Arc::new(Mutex::new(writer));
        members.insert(member, writer.clone());
        Ok(writer)
    }

    /// Ends every member's file and writes its index: members side by side.
    fn finish(&self) -> Result<Vec<Staged>, StoreError> {
        let members = std::mem::take(&mut *self.members.lock().expect("as above"));
        std::thread::scope(|scope| {
            let ends: Vec<_> = members
                .into_iter()
                .map(|(member, writer)| scope.spawn(move || self.finish_member(member, writer)))
                .collect();
            ends.into_iter()
                .map(|end| end.join().expect("a member's end does not panic"))
                .collect()
        })
    }

    fn finish_member(
        &self,
        member: usize,
        writer: Arc<Mutex<TripsWriter>>,
    ) -> Result<Staged, StoreError> {
        let writer = Arc::into_inner(writer).expect("writes have ended before the commit");
        let writer = writer.into_inner().expect("no holder of this lock panics");
        let entries = writer.finish()?;
        let rows = entries.len() as u64;
        let path = self.path(member);
        let index_path = path.with_extension("index");
        let keys = index::write(&index_path, entries)?;
        Ok(Staged {
            member,
            path,
            index_path,
            rows,
            keys,
        })
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

    async fn commit(
        self: Box<Self>,
        archive: ArchiveRead,
        rejects: &dyn RejectSink,
    ) -> Result<LedgerEntry, StoreError> {
        let staged = self.finish()?;
        commit::commit(&self.store, &self.staging, archive, staged, rejects)
    }
}
