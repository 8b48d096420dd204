//! Forecasts that are not due yet: each is scored by the snapshots after it.

use serde::{Deserialize, Serialize};

use crate::outlook::{Cadence, Claim, Event, Reading, Vehicles};

/// The forecasts for a station and a group of vehicles, issued in one minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Issue {
    /// The index of the station in the log.
    pub(super) station: usize,
    pub(super) vehicles: Vehicles,
    /// The minute of the snapshot that it was made from, since 1970 (UTC).
    pub(super) minute: i64,
    /// What the station had then.
    now: Reading,
    /// Those that are not due yet, by horizon.
    pending: Vec<Pending>,
    /// What the snapshots since then show of bikes, and of docks.
    seen: [Seen; 2],
}

/// The forecasts for one horizon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pending {
    horizon_min: usize,
    /// As claimed, see [`Claim::events`].
    events: [Option<f32>; 4],
}

/// What snapshots show of a number that must not be 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Seen {
    /// Snapshots that state it.
    snapshots: usize,
    /// Whether it was 0 in any of them.
    is_zero: bool,
}

/// A forecast that is due, with what happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) vehicles: Vehicles,
    pub(super) minute: i64,
    pub(super) horizon_min: usize,
    pub(super) event: Event,
    pub(super) probability: f64,
    /// What it is if nothing changes.
    pub(super) persistence: bool,
    pub(super) happened: bool,
}

/// A snapshot after an issue, for its station.
#[derive(Clone, Copy, Debug)]
pub(super) struct Later {
    /// The minute and the reading of the snapshot before.
    pub(super) before: (i64, Option<Reading>),
    /// The minute and the reading of the snapshot.
    pub(super) now: (i64, Option<Reading>),
    pub(super) cadence: Cadence,
}

impl Issue {
    pub(super) fn new(
        station: usize,
        vehicles: Vehicles,
        minute: i64,
        now: Reading,
        claims: &[Claim],
    ) -> Self {
        let pending = claims.iter().map(|claim| Pending {
            horizon_min: claim.horizon_min,
            events: claim.events.map(|p| p.map(|p| p as f32)),
        });
        Self {
            station,
            vehicles,
            minute,
            now,
            pending: pending.collect(),
            seen: Default::default(),
        }
    }

    /// Returns whether all forecasts have been due.
    pub(super) fn is_over(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes a later snapshot, and passes the forecasts that are due with it and whose outcome is known.
    /// The rules are those of [`Observations::outcome`](crate::outlook::Observations::outcome).
    pub(super) fn take(&mut self, later: Later, pass: &mut impl FnMut(Outcome)) {
        let minute = later.now.0;
        self.score(later, |due| due < minute, pass);
        if let Some(reading) = later.now.1 {
            for (seen, event) in self.seen.iter_mut().zip([Event::EmptyAt, Event::FullAt]) {
                if let Some(count) = event.count(reading) {
                    seen.snapshots += 1;
                    seen.is_zero |= count == 0;
                }
            }
        }
        self.score(later, |due| due == minute, pass);
    }

    /// Scores the forecasts that are due in some minutes.
    fn score(
        &mut self,
        later: Later,
        is_due: impl Fn(i64) -> bool,
        pass: &mut impl FnMut(Outcome),
    ) {
        while let Some(first) = self.pending.first()
            && is_due(self.minute + first.horizon_min as i64)
        {
            let pending = self.pending.remove(0);
            for event in Event::ALL {
                let Some(probability) = pending.events[event as usize] else {
                    continue;
                };
                if let Some(happened) = self.outcome(pending.horizon_min, event, later) {
                    pass(Outcome {
                        vehicles: self.vehicles,
                        minute: self.minute,
                        horizon_min: pending.horizon_min,
                        event,
                        probability: f64::from(probability),
                        persistence: event.count(self.now) == Some(0),
                        happened,
                    });
                }
            }
        }
    }

    fn outcome(&self, horizon_min: usize, event: Event, later: Later) -> Option<bool> {
        if event.is_within() {
            let seen = self.seen[usize::from(event.is_of_docks())];
            let is_covered = later.cadence.is_covered(seen.snapshots, horizon_min);
            return is_covered.then_some(seen.is_zero);
        }
        let due = self.minute + horizon_min as i64;
        let distance = |minute: i64| minute.abs_diff(due);
        let is_before_nearer =
            later.before.0 > self.minute && distance(later.before.0) <= distance(later.now.0);
        let (minute, reading) = if is_before_nearer {
            later.before
        } else {
            later.now
        };
        let is_near = distance(minute) <= later.cadence.tolerance() as u64;
        let reading = reading.filter(|_| is_near)?;
        Some(event.count(reading)? == 0)
    }
}
