//! The right to load: one archive at a time. It is a record in the ledger that its owner renews
//! through every phase of a load, and that a killed process leaves behind.
//!
//! No two clocks are compared. Each renewal changes the record; a process that waits looks at it
//! from time to time, and takes the right over when the record has stayed the same for long
//! enough by its own monotonic clock:
//!
//! | the record is of | taken over after |
//! |---|---|
//! | the same archive with the same flags | no time: requests of the owner before that arrive late write what the new owner writes |
//! | a load that its owner ended with an error | the time in which a request may still arrive |
//! | any other load | [`LASTS`] |
//!
//! An owner that could not renew the record for nearly as long stops by itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use divvy::store::{StoreError, StoreErrorKind};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::Shared;
use crate::ledger::Load;

/// How long the right lasts without being renewed. A renewal may wait some minutes for its turn behind
/// large items, where there are few write units.
pub(super) const LASTS: Duration = Duration::from_secs(300);
/// How often it is renewed, and the progress kept.
const RENEW: Duration = Duration::from_secs(30);
/// How often to look whether another's has changed.
const LOOK: Duration = Duration::from_secs(10);
/// An owner stops so long before its right ends: its requests under way have arrived by then.
const MARGIN: Duration = Duration::from_secs(60);

/// What a process wants to load.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The content hash of the archive.
    pub content: String,
    /// Its name.
    pub archive: String,
    /// What else decides the writes of its load.
    pub way: String,
    /// Whether it supersedes archives of its name.
    pub replace: bool,
    /// The content hash of the archive that is to be superseded by nothing.
    pub unloads: Option<String>,
}

impl Wanted {
    /// Tells whether a load writes the same as this one would.
    pub(super) fn is_of(&self, load: &Load) -> bool {
        load.content == self.content && load.way == self.way
    }

    /// Makes the record of a load that has written nothing.
    pub(super) fn fresh(&self, owner: &str, beat: u64) -> Load {
        Load {
            owner: owner.into(),
            content: self.content.clone(),
            archive: self.archive.clone(),
            way: self.way.clone(),
            beat,
            ..Load::default()
        }
    }
}

/// The right to load.
pub(super) struct Lease<'a> {
    /// The store.
    pub(super) shared: &'a Shared,
    held: Mutex<Held>,
    /// Writes that are done; kept with each renewal.
    pub(super) done: AtomicU64,
    /// Until when requests of the owner before may arrive. `None` where there are none.
    settles_at: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    load: Load,
    renewed_at: Instant,
    /// The commit is under way, which deletes the record.
    is_closed: bool,
}

fn lost(archive: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Busy,
        format!(
            "another divvy has taken over the load of {archive}: nothing is lost, it goes on there"
        ),
    )
}

fn unfinished(load: &Load) -> StoreError {
    let archive = &load.archive;
    let what = match load.way.as_str() {
        "unload" => "its unloading",
        _ => "its load with --replace",
    };
    StoreError::new(
        StoreErrorKind::Busy,
        format!("{archive}: {what} was interrupted: give that command again first"),
    )
}

impl<'a> Lease<'a> {
    /// Takes the right to load an archive; waits while another is being loaded. The record that it
    /// holds from then on says what the load before left behind: of the same archive or of
    /// another.
    ///
    /// # Errors
    ///
    /// Those of the service; a load that supersedes others was interrupted, and this is another.
    pub(super) async fn take(shared: &'a Shared, wanted: &Wanted) -> Result<Self, StoreError> {
        let owner = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let mut seen: Option<(String, Instant)> = None;
        let mut is_told = false;
        loop {
            let now = Instant::now();
            let Some((other, said)) = shared.ledger.load_as_said().await? else {
                let load = wanted.fresh(&owner, 1);
                if shared.ledger.take_load(&load, None).await? {
                    return Ok(Self::holding(shared, load, now, None));
                }
                continue; // somebody else was faster
            };
            let since = match seen.take() {
                Some((text, since)) if text == said => since,
                _ => now,
            };
            let is_same = wanted.is_of(&other) && !other.is_undone;
            let wait = if is_same {
                Duration::ZERO
            } else if other.is_left {
                shared.late
            } else {
                LASTS
            };
            let waited = now.duration_since(since);
            if waited >= wait {
                if other.replaces && !(other.content == wanted.content && wanted.replace) {
                    return Err(unfinished(&other));
                }
                let beat = other.beat + 1;
                let load = match other.generation {
                    // It has written nothing, so there is nothing to go on with or to undo.
                    0 => wanted.fresh(&owner, beat),
                    _ => Load {
                        owner: owner.clone(),
                        is_left: false,
                        beat,
                        ..other
                    },
                };
                if shared.ledger.take_load(&load, Some(&said)).await? {
                    let settles_at = is_same.then(|| Instant::now() + shared.late);
                    return Ok(Self::holding(shared, load, now, settles_at));
                }
                continue;
            }
            seen = Some((said, since));
            if !std::mem::replace(&mut is_told, true) {
                let what = match other.way.as_str() {
                    "repair" => "the store is being repaired".to_owned(),
                    _ => format!("{} is being loaded", other.archive),
                };
                shared.listener.note(&format!(
                    "waiting, up to {} minutes: {what}, or was when a divvy was killed",
                    LASTS.as_secs() / 60,
                ));
            }
            sleep(LOOK.min(wait - waited)).await;
        }
    }

    fn holding(
        shared: &'a Shared,
        load: Load,
        renewed_at: Instant,
        settles_at: Option<Instant>,
    ) -> Self {
        Self {
            shared,
            done: AtomicU64::new(load.done),
            held: Mutex::new(Held {
                load,
                renewed_at,
                is_closed: false,
            }),
            settles_at,
        }
    }

    /// Returns the record as it was last written.
    pub(super) async fn load(&self) -> Load {
        self.held.lock().await.load.clone()
    }

    /// Writes down what `change` makes of the record, and thereby renews the right.
    ///
    /// # Errors
    ///
    /// The right is lost, or the ledger cannot be written to.
    pub(super) async fn put(&self, change: impl FnOnce(&mut Load)) -> Result<(), StoreError> {
        let mut held = self.held.lock().await;
        if held.is_closed {
            return Ok(());
        }
        // Counted before it is sent: a request that is given up may arrive all the same.
        held.load.beat += 1;
        let mut next = held.load.clone();
        change(&mut next);
        let started = Instant::now();
        let until = held.renewed_at + LASTS - MARGIN;
        let kept = timeout_at(until, self.shared.ledger.keep_load(&next)).await;
        match kept {
            Ok(Ok(true)) => {
                held.load = next;
                held.renewed_at = started;
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Ok(Ok(false)) | Err(_) => Err(lost(&held.load.archive)),
        }
    }

    /// Keeps the right and the progress from time to time, beside the load. Ends where the right is
    /// lost, or the ledger cannot be written to.
    pub(super) async fn keep(&self) -> StoreError {
        loop {
            sleep(RENEW).await;
            let done = self.done.load(Ordering::Relaxed);
            // Only so many are known to be done; a load that goes on has found more of them done.
            let renewed = self.put(|load| load.done = load.done.max(done)).await;
            if let Err(error) = renewed {
                return error;
            }
        }
    }

    /// Ends the renewals, before the commit: it holds only where the right is still this process's,
    /// and deletes the record.
    pub(super) async fn close(&self) {
        self.held.lock().await.is_closed = true;
    }

    /// Waits until no request that was given up can arrive any more: of the owner before, or of
    /// this process where an answer did not come.
    pub(super) async fn settled(&self) {
        let given_up = self.shared.trips.given_up_at();
        let given_up = given_up.map(|at| at + self.shared.late);
        if let Some(until) = self.settles_at.max(given_up) {
            sleep_until(until).await;
        }
    }

    /// Leaves the load for another process to go on with it, or gives the right back where nothing
    /// has been written.
    pub(super) async fn leave(self) {
        // It may be another's by now, or the ledger out of reach: then it runs out by itself.
        self.held.lock().await.is_closed = false;
        if self.load().await.generation == 0 {
            let _ = self.end().await;
        } else {
            let _ = self.put(|load| load.is_left = true).await;
        }
    }

    /// Gives the right back.
    pub(super) async fn end(self) -> Result<(), StoreError> {
        let load = self.held.into_inner().load;
        self.shared.ledger.end_load(&load.owner).await
    }
}
