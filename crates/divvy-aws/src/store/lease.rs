//! The right to load: one archive at a time. It is a record in the ledger that its owner renews;
//! a process that was killed leaves it behind, and whoever loads the same archive takes it over at
//! once, everybody else when it has run out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use divvy::store::{StoreError, StoreErrorKind};
use tokio::time::sleep;

use super::{Shared, now_ms};
use crate::ledger::Load;

/// How long the right lasts without being renewed. Where there are 5 write units, a renewal may wait
/// a minute for its turn.
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

fn unfinished(archive: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Busy,
        format!(
            "{archive} was taking the place of others when a divvy was killed: load it again \
             first, the same way"
        ),
    )
}

impl Lease {
    /// Takes the right to load an archive; waits while another is being loaded. What it returns
    /// says what the one before left behind: of the same archive or of another.
    pub(super) async fn take(shared: &Shared, content: &str) -> Result<Self, StoreError> {
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
                let from = found.as_ref().map(|load| load.owner.clone());
                let mut load = found.unwrap_or_else(|| Load {
                    owner: String::new(),
                    content: content.into(),
                    archive: String::new(),
                    revision: 0,
                    generation: 0,
                    done: 0,
                    set_aside: Vec::new(),
                    replaces: false,
                    is_ending: false,
                    until_ms: 0,
                });
                load.owner.clone_from(&owner);
                load.until_ms = until();
                if shared.ledger.put_load(&load, from.as_deref()).await? {
                    return Ok(Self { load });
                }
                continue; // somebody else was faster
            }
            if let Some(load) = found.filter(|_| !std::mem::replace(&mut told, true)) {
                shared.listener.note(&format!(
                    "waiting: {} is being loaded, or was when a divvy was killed",
                    load.archive
                ));
            }
            sleep(LOOK).await;
        }
    }

    /// Writes down what is being loaded, and what has been set aside.
    pub(super) async fn put(&mut self, shared: &Shared) -> Result<(), StoreError> {
        self.load.until_ms = until();
        let owner = self.load.owner.clone();
        if !shared.ledger.put_load(&self.load, Some(&owner)).await? {
            return Err(lost(&self.load.archive));
        }
        Ok(())
    }

    /// Keeps the right and the progress from time to time, beside the writing. Ends only where the
    /// right is lost.
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
