//! The lease of a load: one archive is loaded at a time. It is a record in the ledger that its
//! owner renews during the load, and that remains when the process is killed.
//!
//! No clocks of two processes are compared. Each renewal changes the record. A waiting process reads
//! it from time to time, and takes it over when it has not changed for some time of its own
//! monotonic clock:
//!
//! | the record is of | taken over after |
//! |---|---|
//! | the same archive with the same settings | no time: late requests of the earlier owner write what the new owner writes |
//! | a load that failed | the time in which a request may still arrive |
//! | any other load | [`DURATION`] |
//!
//! An owner that could not renew the record for nearly as long stops.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use divvy::store::{StoreError, StoreErrorKind};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::boost;
use super::refusal::LoadRefusal;
use crate::ledger::LoadRecord;
use crate::store::Shared;

/// The duration of a lease without a renewal. With few write units a renewal may wait some minutes
/// behind large items.
const DURATION: Duration = Duration::from_secs(300);
/// The time between two renewals.
const RENEW: Duration = Duration::from_secs(30);
/// The time between two reads of another's record.
const POLL: Duration = Duration::from_secs(10);
/// The time before the end of its lease at which an owner stops: requests in flight arrive within
/// this time.
const MARGIN: Duration = Duration::from_secs(60);

/// The `settings` of the record of an unload.
pub(in crate::store) const UNLOAD: &str = "unload";
/// The `settings` of the record of a repair.
pub(in crate::store) const REPAIR: &str = "repair";

/// The `settings` of the record of an upgrade of the index.
pub(in crate::store) const UPGRADE: &str = "upgrade";

/// A load that a process requests.
#[derive(Clone, Debug)]
pub(in crate::store) struct LoadRequest {
    /// The content hash of the archive.
    pub content: String,
    /// Its name.
    pub archive: String,
    /// The settings on which the writes of the load depend; or [`UNLOAD`], [`REPAIR`], or [`UPGRADE`].
    pub settings: String,
    /// Whether it supersedes archives of its name.
    pub replace: bool,
    /// The content hash of the archive to be unloaded. `None` for a load.
    pub unloads: Option<String>,
}

impl LoadRequest {
    /// Returns whether an unfinished load writes the same as this one.
    pub(super) fn is_same_as(&self, load: &LoadRecord) -> bool {
        load.content == self.content && load.settings == self.settings && !load.is_of_upgrade
    }

    /// Makes the record of a load that has written nothing.
    pub(super) fn new_record(&self, owner: &str, renewals: u64) -> LoadRecord {
        LoadRecord {
            owner: owner.into(),
            content: self.content.clone(),
            archive: self.archive.clone(),
            settings: self.settings.clone(),
            renewals,
            ..LoadRecord::default()
        }
    }
}

/// The lease of a load.
pub(in crate::store) struct Lease<'a> {
    /// The store.
    pub(in crate::store) shared: &'a Shared,
    held: Mutex<Held>,
    /// The number of writes that are done; stored with each renewal.
    pub(super) done: AtomicU64,
    /// Until when requests of an earlier owner may arrive. `None` where there was none.
    late_requests_until: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    /// The record as it was last written.
    load: LoadRecord,
    renewed_at: Instant,
    /// Whether the commit has begun, which deletes the record.
    is_closed: bool,
}

fn lost(archive: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Busy,
        format!(
            "another process has taken over the load of {archive} and continues it: nothing is lost"
        ),
    )
}

fn unrenewed(archive: &str) -> StoreError {
    let minutes = (DURATION - MARGIN).as_secs() / 60;
    StoreError::new(
        StoreErrorKind::Busy,
        format!(
            "the load of {archive} has ended because its lease in the ledger could not be renewed for {minutes} \
             minutes: nothing is lost, the same command goes on from there"
        ),
    )
}

fn unfinished(load: &LoadRecord) -> LoadRefusal {
    let archive = load.archive.clone();
    match load.settings.as_str() {
        UNLOAD => LoadRefusal::UnfinishedUnload { archive },
        _ => LoadRefusal::UnfinishedLoad { archive },
    }
}

impl<'a> Lease<'a> {
    /// Takes the lease; waits while another archive is being loaded. The record then describes the
    /// unfinished load before, of the same archive or of another, if there was one.
    ///
    /// # Errors
    ///
    /// Those of the service; an unfinished load of another archive supersedes archives, and can
    /// only be finished.
    pub(in crate::store) async fn take(
        shared: &'a Shared,
        request: &LoadRequest,
    ) -> Result<Self, StoreError> {
        let owner = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let mut last_read: Option<(String, Instant)> = None;
        let mut is_noted = false;
        loop {
            let now = Instant::now();
            let Some((other, json)) = shared.ledger.load_with_json().await? else {
                let load = request.new_record(&owner, 1);
                if shared.ledger.take_load(&load, None).await? {
                    return Ok(Self::holding(shared, load, now, None));
                }
                continue; // another process was faster
            };
            let since = match last_read.take() {
                Some((last_json, since)) if last_json == json => since,
                _ => now,
            };
            let is_same = request.is_same_as(&other) && !other.is_undone;
            let wait = if is_same {
                Duration::ZERO
            } else if other.is_abandoned {
                shared.late
            } else {
                DURATION
            };
            let waited = now.duration_since(since);
            if waited >= wait {
                // An upgrade leaves an unfinished load as it is.
                let is_upgrade = request.settings == UPGRADE;
                if other.replaces
                    && !is_upgrade
                    && !(other.content == request.content && request.replace)
                {
                    return Err(unfinished(&other).into());
                }
                let renewals = other.renewals + 1;
                let load = match other.generation {
                    // It has written nothing: there is nothing to continue or to undo.
                    0 => request.new_record(&owner, renewals),
                    _ => LoadRecord {
                        owner: owner.clone(),
                        is_abandoned: false,
                        is_of_upgrade: is_upgrade,
                        renewals,
                        ..other
                    },
                };
                if shared.ledger.take_load(&load, Some(&json)).await? {
                    let late_requests_until = is_same.then(|| Instant::now() + shared.late);
                    return Ok(Self::holding(shared, load, now, late_requests_until));
                }
                continue;
            }
            last_read = Some((json, since));
            if !std::mem::replace(&mut is_noted, true) {
                let what = match other.settings.as_str() {
                    REPAIR => "the store is being repaired".to_owned(),
                    UPGRADE => "the index is being made again".to_owned(),
                    UNLOAD => format!("{} is being unloaded", other.archive),
                    _ => format!("{} is being loaded", other.archive),
                };
                shared.listener.note(&format!(
                    "waiting, up to {} minutes: {what}, or was when a divvy was killed",
                    DURATION.as_secs() / 60,
                ));
            }
            sleep(POLL.min(wait - waited)).await;
        }
    }

    fn holding(
        shared: &'a Shared,
        load: LoadRecord,
        renewed_at: Instant,
        late_requests_until: Option<Instant>,
    ) -> Self {
        Self {
            shared,
            done: AtomicU64::new(load.done),
            held: Mutex::new(Held {
                load,
                renewed_at,
                is_closed: false,
            }),
            late_requests_until,
        }
    }

    /// Returns the record as it was last written.
    pub(in crate::store) async fn record(&self) -> LoadRecord {
        self.held.lock().await.load.clone()
    }

    /// Changes the record, which also renews the lease.
    ///
    /// # Errors
    ///
    /// The lease is lost; the ledger cannot be written.
    pub(in crate::store) async fn update(
        &self,
        change: impl FnOnce(&mut LoadRecord),
    ) -> Result<(), StoreError> {
        let mut held = self.held.lock().await;
        if held.is_closed {
            return Ok(());
        }
        // Counted before it is sent: an abandoned request may still arrive.
        held.load.renewals += 1;
        let mut next = held.load.clone();
        change(&mut next);
        let started = Instant::now();
        let until = held.renewed_at + DURATION - MARGIN;
        let kept = timeout_at(until, self.shared.ledger.renew_load(&next)).await;
        match kept {
            Ok(Ok(true)) => {
                held.load = next;
                held.renewed_at = started;
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Ok(Ok(false)) => Err(lost(&held.load.archive)),
            Err(_) => Err(unrenewed(&held.load.archive)),
        }
    }

    /// Renews the lease and stores the progress from time to time, while the load runs. Returns
    /// when the lease is lost or the ledger cannot be written.
    pub(in crate::store) async fn keep(&self) -> StoreError {
        loop {
            sleep(RENEW).await;
            let done = self.done.load(Ordering::Relaxed);
            // A load that continues begins with the number of the earlier owner.
            let renewed = self.update(|load| load.done = load.done.max(done)).await;
            if let Err(error) = renewed {
                return error;
            }
            // A failure of this ends no load, nor does it delay the renewals: the next is in half a minute.
            let _ = timeout(RENEW, boost::renew(self.shared)).await;
        }
    }

    /// Ends the renewals before the commit, whose condition is that the record is still that of
    /// this owner, and which deletes it.
    pub(in crate::store) async fn close(&self) {
        self.held.lock().await.is_closed = true;
    }

    /// Waits until no abandoned request can still arrive, neither of an earlier owner nor of this
    /// process.
    pub(super) async fn wait_for_late_requests(&self) {
        let unanswered = self.shared.trips.unanswered_at();
        let unanswered = unanswered.map(|at| at + self.shared.late);
        if let Some(until) = self.late_requests_until.max(unanswered) {
            sleep_until(until).await;
        }
    }

    /// Ends a failed load: its record stays with the number of completed writes, so that it can be continued
    /// or undone; but if nothing was written, the record is deleted.
    pub(in crate::store) async fn abandon(self) {
        // An error means that the lease is lost, or that the ledger cannot be reached; then the
        // lease expires.
        self.held.lock().await.is_closed = false;
        if self.record().await.generation == 0 {
            let _ = self.end().await;
        } else {
            let done = self.done.load(Ordering::Relaxed);
            let abandoned = self.update(|load| {
                load.is_abandoned = true;
                load.is_of_upgrade = false;
                load.done = load.done.max(done);
            });
            let _ = abandoned.await;
        }
    }

    /// Deletes the record.
    pub(in crate::store) async fn end(self) -> Result<(), StoreError> {
        let load = self.held.into_inner().load;
        self.shared.ledger.end_load(&load.owner).await
    }
}
