//! The right to load: one archive at a time. It is a record in the ledger that its owner renews;
//! a process that was killed leaves it behind, and whoever loads the same archive takes it over at
//! once, everybody else when it has run out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use divvy::store::{StoreError, StoreErrorKind};
use tokio::time::sleep;

use super::{Shared, now_ms};
use crate::ledger::Load;

/// How long the right lasts without being renewed. A renewal may wait some minutes for its turn behind
/// large items, where there are few write units.
const LASTS: Duration = Duration::from_secs(300);
/// How often it is renewed, and the progress kept.
const RENEW: Duration = Duration::from_secs(30);
/// How often to look whether another's has run out.
const LOOK: Duration = Duration::from_secs(5);

/// The right to load.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) load: Load,
}

fn lost(archive: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Busy,
        format!(
            "another divvy has taken over the load of {archive}: nothing is lost, it goes on there"
        ),
    )
}

pub(super) fn unfinished(archive: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Busy,
        format!(
            "{archive}: its load with --replace was interrupted: give that command again first"
        ),
    )
}

impl Lease {
    /// Takes the right to load an archive; waits while another is being loaded. What it returns
    /// says what the one before left behind: of the same archive or of another.
    pub(super) async fn take(
        shared: &Shared,
        content: &str,
        archive: &str,
    ) -> Result<Self, StoreError> {
        let owner = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let mut told = false;
        loop {
            let found = shared.ledger.load().await?;
            let is_free = found
                .as_ref()
                .is_none_or(|load| load.content == content || load.until_ms < now_ms());
            if let Some(other) = found.as_ref().filter(|load| load.content != content)
                && is_free
                && other.replaces
            {
                return Err(unfinished(&other.archive));
            }
            if is_free {
                let mut load = found.clone().unwrap_or_else(|| Load {
                    owner: String::new(),
                    content: content.into(),
                    archive: archive.into(),
                    revision: 0,
                    generation: 0,
                    done: 0,
                    set_aside: Vec::new(),
                    way: String::new(),
                    replaces: false,
                    is_ending: false,
                    until_ms: 0,
                });
                load.owner.clone_from(&owner);
                load.until_ms = until();
                if shared.ledger.put_load(&load, found.as_ref()).await? {
                    return Ok(Self { load });
                }
                continue; // somebody else was faster
            }
            if let Some(load) = found.filter(|_| !std::mem::replace(&mut told, true)) {
                shared.listener.note(&format!(
                    "waiting, up to {} minutes: {} is being loaded, or was when a divvy was killed",
                    LASTS.as_secs() / 60,
                    load.archive
                ));
            }
            sleep(LOOK).await;
        }
    }

    /// Writes down what is being loaded, and what has been set aside.
    pub(super) async fn put(&mut self, shared: &Shared) -> Result<(), StoreError> {
        self.load.until_ms = until();
        if !shared.ledger.put_load(&self.load, None).await? {
            return Err(lost(&self.load.archive));
        }
        Ok(())
    }

    /// Leaves the load for whoever goes on with it: nobody has to wait until the right runs out.
    pub(super) async fn leave(mut self, shared: &Shared) {
        self.load.until_ms = 0;
        // It may be another's by now, or the ledger out of reach: then it runs out by itself.
        let _ = shared.ledger.put_load(&self.load, None).await;
    }

    /// Keeps the right and the progress from time to time, beside the writing. Ends where the right is
    /// lost, or the ledger cannot be written to.
    pub(super) async fn keep(&mut self, shared: &Shared, done: &AtomicU64) -> StoreError {
        loop {
            sleep(RENEW).await;
            self.load.done = done.load(Ordering::Relaxed);
            if let Err(lost) = self.put(shared).await {
                return lost;
            }
        }
    }

    /// Gives the right back.
    pub(super) async fn end(self, shared: &Shared) -> Result<(), StoreError> {
        shared.ledger.end_load(&self.load.owner).await
    }
}

fn until() -> i64 {
    now_ms() + LASTS.as_millis() as i64
}
