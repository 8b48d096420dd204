//! What is printed about the snapshots of a watched system: what is wrong with their times, and what differs from the
//! snapshot before.

use std::time::Duration;

use super::SystemWatch;
use crate::ingest::Polled;
use crate::ingest::poll::CLOCK_STANDS_STILL;
use crate::ingest::watch::{Condition, Finding, Moment, in_words};
use crate::numerals::grouped;
use crate::sources::station_feed;
use crate::store::Applied;

/// How old a feed may be, at least; a feed that is polled less often may be five intervals old.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);

/// After how many snapshots that were stored before it is printed that another program stores them.
const STORED_ELSEWHERE: u32 = 3;

/// How many departures of a feed from its specification are printed.
const MAX_FAULTS: usize = 3;

impl SystemWatch {
    /// Adds the lines about a snapshot.
    pub(super) fn note_snapshot(
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
                zone.rfc3339(polled.time.taken_at),
                in_words(self.schedule.interval())
            ));
        }
        let is_later = (self.time).is_some_and(|before| polled.time.taken_at > before.taken_at);
        let older = match &polled.applied {
            Applied::Refused { last, .. } => Finding::Present(format!(
                "the snapshot of {} is older than the last one ({}): its states are not taken",
                zone.rfc3339(polled.time.taken_at),
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
        self.time = Some(polled.time);
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
    pub(super) fn note_age(&mut self, at: Moment, lines: &mut Vec<String>) {
        let (Some(time), Some(system)) = (self.time, &self.system) else {
            return;
        };
        let max_age = MAX_AGE.max(self.schedule.interval() * 5);
        let age = Duration::try_from(at.wall.duration_since(time.taken_at)).ok();
        let stale = match age.filter(|age| *age > max_age) {
            Some(age) => Finding::Present(format!(
                "the feed is of {}, which is {} ago",
                system.zone().rfc3339(time.taken_at),
                in_words(age)
            )),
            None => Finding::Absent,
        };
        let ahead = time.ahead_of_clock(at.wall, system);
        let ahead = ahead.map_or(Finding::Absent, Finding::Present);
        lines.extend(self.note(Condition::Stale, stale, at));
        lines.extend(self.note(Condition::Ahead, ahead, at));
    }
}
