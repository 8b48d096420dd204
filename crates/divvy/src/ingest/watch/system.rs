//! One watched system.

use std::time::Duration;

use jiff::Timestamp;

use super::documents::{Documents, Round};
use super::failure::FailureKind;
use super::health::{Condition, Events, Finding, Health};
use super::schedule::{After, Schedule};
use super::{Exchange, Moment, in_words};
use crate::ingest::feed_sources::FeedSources;
use crate::ingest::poll::{self, CLOCK_STANDS_STILL, Fetched};
use crate::ingest::{PollError, PollOptions, Polled};
use crate::model::{System, Systems};
use crate::numerals::grouped;
use crate::sources::http::Client;
use crate::sources::station_feed;
use crate::store::{Applied, Store};

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
    /// The time in the store of the last snapshot that was read.
    taken_at: Option<Timestamp>,
    /// When the feed of that snapshot was made, by its own clock.
    made_at: Option<Timestamp>,
    /// How many snapshots in succession were in the store before.
    stored_elsewhere: u32,
}

/// How old a feed may be, at least; a feed that is polled less often may be five intervals old.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);

/// After how many snapshots that were stored before it is printed that another program stores them.
const STORED_ELSEWHERE: u32 = 3;

/// How many departures of a feed from its specification are printed.
const MAX_FAULTS: usize = 3;

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
            taken_at: None,
            made_at: None,
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

    /// Returns when the feed of the last snapshot that was read was made, by its own clock. `None` before the
    /// first.
    pub fn made_at(&self) -> Option<Timestamp> {
        self.made_at
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
        let is_first = self.taken_at.is_none();
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
        let fetched = Fetched::At(now);
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

    /// Adds the lines about a snapshot.
    fn note_snapshot(
        &mut self,
        polled: &Polled,
        is_first: bool,
        at: Moment,
        lines: &mut Vec<String>,
    ) {
        let zone = polled.system.zone();
        if is_first {
            lines.push(format!(
                "{} stations at {}, polled every {}",
                grouped(polled.stations as i64),
                zone.rfc3339(polled.taken_at),
                in_words(self.schedule.interval())
            ));
        }
        let is_later = self.taken_at.is_some_and(|before| polled.taken_at > before);
        let older = match &polled.applied {
            Applied::Refused { last, .. } => Finding::Present(format!(
                "the snapshot of {} is older than the last one ({}): its states are not taken",
                zone.rfc3339(polled.taken_at),
                zone.rfc3339(*last)
            )),
            _ => Finding::Absent,
        };
        lines.extend(self.note(Condition::Older, older, at));
        let stands_still = polled.notes.iter().find(|note| *note == CLOCK_STANDS_STILL);
        match stands_still {
            Some(note) => lines.extend(self.note(
                Condition::ClockStandsStill,
                Finding::Present(note.clone()),
                at,
            )),
            None if is_later => {
                lines.extend(self.note(Condition::ClockStandsStill, Finding::Absent, at));
            }
            None => {}
        }
        self.note_stored_elsewhere(&polled.applied, is_later, at, lines);
        self.taken_at = Some(polled.taken_at);
        self.made_at = Some(polled.made_at);
        self.note_age(at, lines);
        for note in polled
            .notes
            .iter()
            .filter(|note| *note != CLOCK_STANDS_STILL)
        {
            if self.events.is_new(note, at.since_start) {
                lines.push(note.clone());
            }
        }
        let faults = station_feed::in_short(&polled.faults).into_iter();
        let new = faults.filter(|fault| self.faults.is_new(fault, at.since_start));
        lines.extend(new.take(MAX_FAULTS));
    }

    /// Finds out whether another program writes the same snapshots.
    fn note_stored_elsewhere(
        &mut self,
        applied: &Applied,
        is_later: bool,
        at: Moment,
        lines: &mut Vec<String>,
    ) {
        match applied {
            Applied::Repeated if is_later => self.stored_elsewhere += 1,
            Applied::Accepted { .. } => self.stored_elsewhere = 0,
            _ => {}
        }
        let finding = if self.stored_elsewhere >= STORED_ELSEWHERE {
            Finding::Present(
                "the last snapshots were in the store before: another program, such as the scheduled \
                 poll of a stack, stores them, too"
                    .into(),
            )
        } else {
            Finding::Absent
        };
        lines.extend(self.note(Condition::StoredElsewhere, finding, at));
    }

    /// Compares the times of the snapshot and of the feed with the clock of this computer.
    fn note_age(&mut self, at: Moment, lines: &mut Vec<String>) {
        let (Some(taken_at), Some(made_at), Some(system)) =
            (self.taken_at, self.made_at, &self.system)
        else {
            return;
        };
        let max_age = MAX_AGE.max(self.schedule.interval() * 5);
        let age = Duration::try_from(at.wall.duration_since(taken_at)).ok();
        let stale = match age.filter(|age| *age > max_age) {
            Some(age) => Finding::Present(format!(
                "the feed is of {}, which is {} ago",
                system.zone().rfc3339(taken_at),
                in_words(age)
            )),
            None => Finding::Absent,
        };
        let ahead = poll::ahead_of_clock(made_at, taken_at, at.wall, system);
        let ahead = ahead.map_or(Finding::Absent, Finding::Present);
        lines.extend(self.note(Condition::Stale, stale, at));
        lines.extend(self.note(Condition::Ahead, ahead, at));
    }
}
