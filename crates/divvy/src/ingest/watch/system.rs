//! One watched system: its polls.

mod snapshot_notes;

use std::time::Duration;

use jiff::Timestamp;

use super::documents::{Documents, Round};
use super::failure::FailureKind;
use super::health::{Condition, Events, Finding, Health};
use super::schedule::{After, Schedule};
use super::{Exchange, Moment};
use crate::ingest::feed_sources::FeedSources;
use crate::ingest::poll::{self, Fetched};
use crate::ingest::{PollError, PollOptions, Polled, SnapshotTime};
use crate::model::{System, Systems};
use crate::sources::http::Client;
use crate::store::Store;

/// How to watch a system.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// The system whose stations these are. `None`: detected, as [`poll`](crate::ingest::poll()) does.
    pub system: Option<System>,
    /// The systems that are known.
    pub systems: Systems,
    /// What sends the requests.
    pub client: Client,
    /// The shortest time between two polls.
    pub floor: Duration,
    /// When the first poll is due, from the start of the watch.
    pub first_poll_at: Duration,
    /// Systems with different seeds have different delays.
    pub seed: u64,
    /// Whether exchanges have the bytes of bodies, for a recording.
    pub keeps_bodies: bool,
    /// Writes an error as a sentence.
    pub describe: fn(&PollError) -> String,
}

/// Where the snapshots of a watch are stored.
#[derive(Clone, Copy)]
pub struct Stores<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// Another store, for the history of states, where the first one keeps none. `None` where it is not
    /// kept, or the first one keeps it.
    pub history: Option<&'a dyn Store>,
}

/// What came of the requests of a poll.
pub struct Answers {
    at: Moment,
    round: Result<Round, PollError>,
}

/// The outcome of a poll.
#[derive(Debug)]
pub enum Outcome {
    /// A snapshot was read and passed to the store.
    Taken(Polled),
    /// The feed is still the one of which a snapshot is stored.
    Unchanged,
    /// No snapshot could be read or stored.
    Failed(PollError),
}

/// What a poll did.
#[derive(Debug)]
pub struct PollReport {
    /// The outcome.
    pub outcome: Outcome,
    /// When the poll began.
    pub fetched_at: Timestamp,
    /// What is to be printed, as sentences without the name of the system.
    pub notices: Vec<String>,
    /// Sentences about feeds whose addresses have changed.
    pub moved: Vec<String>,
    /// The requests that were sent.
    pub exchanges: Vec<Exchange>,
}

/// One system that is polled again and again.
pub struct SystemWatch {
    documents: Documents,
    schedule: Schedule,
    health: Health,
    events: Events,
    faults: Events,
    options: PollOptions,
    describe: fn(&PollError) -> String,
    /// The system of the last snapshot. `None` before the first.
    system: Option<System>,
    /// The time of the last snapshot that was read. `None` before the first.
    time: Option<SnapshotTime>,
    /// How many snapshots in succession were in the store before.
    stored_elsewhere: u32,
}

impl SystemWatch {
    /// Begins to watch the system whose discovery file, or only feed, is at `url`.
    pub fn new(url: &str, options: WatchOptions) -> Self {
        let documents = Documents::new(url.into(), options.client.clone(), options.keeps_bodies);
        Self {
            documents,
            schedule: Schedule::new(options.first_poll_at, options.floor, options.seed),
            health: Health::default(),
            events: Events::every(Duration::from_secs(60 * 60)),
            faults: Events::every(Duration::from_secs(24 * 60 * 60)),
            options: PollOptions {
                system: options.system,
                systems: options.systems,
                client: options.client,
                // Replaced at each poll.
                now: Timestamp::UNIX_EPOCH,
            },
            describe: options.describe,
            system: None,
            time: None,
            stored_elsewhere: 0,
        }
    }

    /// Returns the id of the system; its address before it is known.
    pub fn name(&self) -> String {
        let system = self.system.as_ref().or(self.options.system.as_ref());
        system.map_or_else(|| self.documents.url().into(), |it| it.id.to_string())
    }

    /// Returns the system of the last snapshot. `None` before the first.
    pub fn system(&self) -> Option<&System> {
        self.system.as_ref()
    }

    /// Returns the time in the store of the last snapshot that was read. `None` before the first.
    pub fn taken_at(&self) -> Option<Timestamp> {
        self.time.map(|time| time.taken_at)
    }

    /// Returns when the next poll is due, from the start of the watch.
    pub fn next_poll_at(&self) -> Duration {
        self.schedule.next_poll_at()
    }

    /// Returns the time between two polls of the feed while it works.
    pub fn interval(&self) -> Duration {
        self.schedule.interval()
    }

    /// Returns whether the last poll failed.
    pub fn is_failing(&self) -> bool {
        self.health.since(Condition::Failing).is_some()
    }

    /// Takes what was found about a condition that the caller looks for. Returns the line that is to be
    /// printed, if any.
    pub fn note(&mut self, condition: Condition, finding: Finding, now: Moment) -> Option<String> {
        self.health.update(condition, finding, now.since_start)
    }

    /// Sends the requests of a poll. Blocks until they are answered.
    pub fn fetch(&mut self, now: Moment) -> Answers {
        Answers {
            at: now,
            round: self.documents.fetch(now, self.schedule.interval()),
        }
    }

    /// Updates the store with what was fetched, and plans the next poll. A snapshot that cannot be stored
    /// is passed to the store again at the next poll.
    pub async fn apply(&mut self, answers: Answers, stores: Stores<'_>, now: Moment) -> PollReport {
        let mut notices = Vec::new();
        let Answers { at, round } = answers;
        let moved = round
            .as_ref()
            .map_or_else(|_| Vec::new(), |it| it.moved.clone());
        let (outcome, ttl) = match round {
            Err(error) => (Outcome::Failed(error), None),
            Ok(round) => {
                let ttl = round.ttl;
                (self.apply_round(round, stores, at, &mut notices).await, ttl)
            }
        };
        let after = match &outcome {
            Outcome::Failed(error) => FailureKind::after(error),
            Outcome::Taken(_) | Outcome::Unchanged => After::Success { ttl },
        };
        let is_first = self.time.is_none();
        self.schedule.plan(after, now.since_start);
        let failing = match &outcome {
            Outcome::Failed(error) => Finding::Present((self.describe)(error)),
            _ => Finding::Absent,
        };
        let mut found = Vec::from_iter(self.note(Condition::Failing, failing, now));
        match &outcome {
            Outcome::Taken(polled) => self.note_snapshot(polled, is_first, at, &mut found),
            Outcome::Unchanged => self.note_age(at, &mut found),
            Outcome::Failed(_) => {}
        }
        notices.extend(found);
        PollReport {
            outcome,
            fetched_at: at.wall,
            notices,
            moved,
            exchanges: self.documents.take_exchanges(),
        }
    }

    /// Does what [`fetch`](Self::fetch) and [`apply`](Self::apply) do.
    pub async fn poll(&mut self, store: &dyn Store, now: Moment) -> PollReport {
        let answers = self.fetch(now);
        let stores = Stores {
            store,
            history: None,
        };
        self.apply(answers, stores, now).await
    }

    async fn apply_round(
        &mut self,
        round: Round,
        stores: Stores<'_>,
        at: Moment,
        notices: &mut Vec<String>,
    ) -> Outcome {
        let since_start = at.since_start;
        let moved = round.moved.into_iter();
        notices.extend(moved.filter(|moved| self.events.is_new(moved, since_start)));
        let incomplete = match &round.incomplete {
            Some(error) => Finding::Present(format!(
                "{}; the previous one is used",
                (self.describe)(error)
            )),
            None => Finding::Absent,
        };
        notices.extend(self.note(Condition::Incomplete, incomplete, at));
        if !round.is_changed {
            return Outcome::Unchanged;
        }
        let mut sources = FeedSources::of(round.feeds, self.documents.url());
        sources.system_id = round.system_id;
        self.options.now = at.wall;
        match self.store_snapshot(sources, stores, at.wall).await {
            Ok(polled) => {
                self.documents.mark_taken();
                Outcome::Taken(polled)
            }
            Err(error) => Outcome::Failed(error),
        }
    }

    async fn store_snapshot(
        &mut self,
        sources: FeedSources,
        Stores { store, history }: Stores<'_>,
        now: Timestamp,
    ) -> Result<Polled, PollError> {
        let system = poll::system(&sources, &self.options, store).await?;
        let fetched = Fetched::At {
            now,
            before: self.time,
        };
        if let Some(history) = history {
            // First: where it fails, the next poll stores the snapshot in both.
            let feeds = sources.feeds.clone();
            poll::apply_fetched(feeds, history, &system, fetched).await?;
        }
        let polled = poll::apply_fetched(sources.feeds, store, &system, fetched).await?;
        // From now on a feed of another system is refused.
        self.options.system = Some(system.clone());
        self.system = Some(system);
        Ok(polled)
    }
}
