//! Writing trips: the incoming archive's own, then those of other archives that become stored.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use divvy::store::{StoreError, StoreErrorKind};

use super::import;
use super::outcome::Outcome;
use super::resolve::ResolvedLoad;
use crate::pace::{BATCH_BYTES, Used, Write, Writer};
use crate::store::copies::Copies;
use crate::store::layout::{self, TripWrite, TripWrites};
use crate::store::spool::SpooledRows;
use crate::store::{Shared, Written};
use crate::tables::Layout;

impl ResolvedLoad<'_> {
    /// Writes trips. Returns the keys of the blocks of the incoming archive.
    pub(super) async fn write_trips(
        &self,
        rows: &mut SpooledRows,
        outcome: &Outcome,
    ) -> Result<Vec<String>, StoreError> {
        let shared = self.lease.shared;
        let resolution = &self.resolution;
        let layout = shared.tables.trip_data.layout;
        let archive = &outcome.incoming.archive;
        let tag = match layout {
            Layout::Rows => archive.tag(),
            Layout::Packed => layout::block_tag(&archive.tag(), self.generation),
        };
        let (resolved, puts) = (&resolution.resolved, &resolution.puts);
        let mut writes = TripWrites::new(layout, rows, tag.clone(), resolved, puts)?;
        let mut of = rows.len() as u64 - resolved.len() + puts.len();
        if layout == Layout::Rows {
            let promoted = resolution.promoted.values().map(Copies::len);
            of += promoted.sum::<u64>() + resolution.deletes.len();
        }
        let imported = shared.settings.imported;
        if imported && layout == Layout::Packed {
            return Err(StoreError::new(
                StoreErrorKind::Damaged,
                "an import from S3 has a row a trip, and these tables are packed",
            ));
        }
        // The record of the load counts own writes, and an import has none: the writes after it are
        // repeated as a whole.
        let done = (!imported).then_some(&self.lease.done);
        let skip = done.map_or(0, |done| done.load(Ordering::Relaxed));
        let mut sender = Sender::new(
            shared,
            skip,
            Progress::new(shared, &archive.entry.id.name, of),
        );
        let record = |sender: &Sender<'_>| {
            if let Some(done) = done {
                done.store(sender.writer.done(), Ordering::Relaxed);
            }
        };
        if imported {
            let totals = &outcome.incoming.totals;
            import::verify(shared, rows, &mut writes, &tag, totals).await?;
        } else {
            while let Some(write) = writes.next(rows)? {
                sender.send(write).await?;
                record(&sender);
            }
        }
        if layout == Layout::Rows {
            // In an order that is the same each time.
            for (index, old) in self.kept.iter().enumerate() {
                let promoted = resolution.promoted.get(&index);
                for rows in promoted.into_iter().flat_map(Copies::chunks) {
                    for write in layout::put_rows(&rows?, &old.tag()) {
                        sender.send((write, 1)).await?;
                    }
                }
            }
            for rows in puts.chunks() {
                for write in layout::put_rows(&rows?, &tag) {
                    sender.send((write, 1)).await?;
                    record(&sender);
                }
            }
            for ids in resolution.deleted() {
                for id in ids? {
                    sender.send((layout::delete(&id), 1)).await?;
                    record(&sender);
                }
            }
        }
        sender.finish().await?;
        record(&sender);
        Ok(writes.into_keys())
    }
}

/// Sends writes in batches; skips those that were done earlier.
struct Sender<'a> {
    writer: Writer,
    batch: Vec<Write>,
    bytes: u64,
    /// Writes to skip.
    skip: u64,
    /// Trips of the writes so far.
    trips: u64,
    progress: Progress<'a>,
}

impl<'a> Sender<'a> {
    fn new(shared: &Shared, skip: u64, progress: Progress<'a>) -> Self {
        Self {
            writer: Writer::new(Arc::clone(&shared.trips), skip),
            batch: Vec::new(),
            bytes: 0,
            skip,
            trips: 0,
            progress,
        }
    }

    async fn send(&mut self, (write, trips): TripWrite) -> Result<(), StoreError> {
        self.trips += trips;
        if self.skip > 0 {
            self.skip -= 1;
            self.progress.skipped += trips;
            return Ok(());
        }
        self.bytes += write.bytes();
        self.batch.push(write);
        if self.batch.len() >= self.writer.batch_size() || self.bytes >= BATCH_BYTES {
            self.bytes = 0;
            self.writer.write(std::mem::take(&mut self.batch)).await?;
            self.progress.report(self.trips);
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), StoreError> {
        self.writer.write(std::mem::take(&mut self.batch)).await?;
        self.writer.finish().await?;
        self.progress.report(self.trips);
        self.progress.report_end();
        Ok(())
    }
}

/// Reports the progress of a load to the listener.
struct Progress<'a> {
    shared: &'a Shared,
    archive: String,
    /// Trips in all.
    of: u64,
    /// Trips that were written earlier.
    skipped: u64,
    start: tokio::time::Instant,
    used_before: Used,
    reported_at: Option<Instant>,
}

impl<'a> Progress<'a> {
    fn new(shared: &'a Shared, archive: &str, of: u64) -> Self {
        Self {
            shared,
            archive: archive.into(),
            of,
            skipped: 0,
            start: tokio::time::Instant::now(),
            used_before: shared.trips.used(),
            reported_at: None,
        }
    }

    /// Reports the number of trips that are done, a few times a second at most.
    fn report(&mut self, done: u64) {
        const EVERY: Duration = Duration::from_millis(200);
        if self.reported_at.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        self.reported_at = Some(Instant::now());
        let done = done.min(self.of);
        let written = done.saturating_sub(self.skipped);
        let rate = written as f64 / self.start.elapsed().as_secs_f64().max(1e-9);
        let rest_s = (written > 0).then(|| (self.of - done) as f64 / rate);
        self.send(done, rest_s);
    }

    /// Reports that all trips are done.
    fn report_end(&self) {
        self.send(self.of, None);
    }

    fn send(&self, done: u64, rest_s: Option<f64>) {
        self.shared.listener.written(&Written {
            archive: self.archive.clone(),
            done,
            of: self.of,
            used: self.shared.trips.used().since(&self.used_before),
            rate: self.shared.trips.write.rate(),
            rest_s,
        });
    }
}
