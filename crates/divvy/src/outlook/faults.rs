//! Snapshots in which most stations have lost all bikes, or all free docks, at once.
//!
//! Where an operator's server starts again, its feed may state 0 bikes at most stations for some minutes, although
//! they are in service: Divvy's did on 3 November 2013, from 01:59 to 02:04. No forecast is about that, and no bike
//! departed or arrived.

use super::Event;
use super::observations::Reading;

/// The share of the stations with a bike, or a free dock, that have none in the next snapshot: a fault begins
/// with more.
const SHARE_LOST: f64 = 0.5;
/// The share of the stations that were lost then and still have none: a fault goes on with more.
const SHARE_STILL_LOST: f64 = 0.2;
/// The fewest stations with a bike, or a free dock.
const LEAST_STATIONS: usize = 20;
/// The most minutes between the two snapshots: in a longer time riders may empty as many stations.
const MAX_APART_MIN: i64 = 15;
/// The most minutes since the last snapshot without a fault. Later ones are taken as they are. It is more than an hour,
/// which a feed's clock may skip when summer time ends.
const MAX_FAULT_MIN: i64 = 120;

/// Finds snapshots with a fault among those of a feed, one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultFilter {
    fault: Option<Fault>,
}

/// A fault that has not ended.
#[derive(Clone, Debug)]
struct Fault {
    /// Bikes, or free docks.
    of: Event,
    /// The stations that lost all of them, by their index.
    lost: Vec<usize>,
}

impl FaultFilter {
    /// Returns whether a snapshot has a fault. `minutes` is the time since the last snapshot without one, and
    /// `readings` are those of each station in that one and in this one.
    pub(crate) fn is_fault(
        &mut self,
        minutes: i64,
        readings: impl Fn(usize) -> (Option<Reading>, Option<Reading>),
        stations: usize,
    ) -> bool {
        let goes_on = |fault: &Fault| {
            let counts = fault.lost.iter();
            let counts = counts.filter_map(|station| fault.of.count(readings(*station).1?));
            let (known, still) = counts.fold((0, 0), |(known, still), count| {
                (known + 1, still + usize::from(count == 0))
            });
            minutes <= MAX_FAULT_MIN && still as f64 > SHARE_STILL_LOST * f64::from(known)
        };
        self.fault = match self.fault.take() {
            Some(fault) => goes_on(&fault).then_some(fault),
            None if minutes <= MAX_APART_MIN => [Event::EmptyAt, Event::FullAt]
                .into_iter()
                .find_map(|of| begun(of, &readings, stations)),
            None => None,
        };
        self.fault.is_some()
    }
}

/// Returns the fault that begins with a snapshot. `None` without one.
fn begun(
    of: Event,
    readings: impl Fn(usize) -> (Option<Reading>, Option<Reading>),
    stations: usize,
) -> Option<Fault> {
    let mut had = 0;
    let mut lost = Vec::new();
    for station in 0..stations {
        let (Some(before), Some(now)) = readings(station) else {
            continue;
        };
        if of.count(before).is_some_and(|count| count > 0) {
            had += 1;
            if of.count(now) == Some(0) {
                lost.push(station);
            }
        }
    }
    let is_fault = had >= LEAST_STATIONS && lost.len() as f64 > SHARE_LOST * had as f64;
    is_fault.then_some(Fault { of, lost })
}

/// Returns whether each snapshot of a period has a fault. `taken` are the minutes of the snapshots, and `readings`
/// those of each station, one a snapshot.
pub(super) fn find(taken: &[i64], readings: &[Vec<Reading>]) -> Vec<bool> {
    let mut filter = FaultFilter::default();
    let mut last = 0;
    let known = |station: usize, snapshot: usize| readings[station][snapshot].known();
    let is_fault = |snapshot: usize| {
        let of_both = |station| (known(station, last), known(station, snapshot));
        let minutes = taken[snapshot] - taken[last];
        let is_fault = filter.is_fault(minutes, of_both, readings.len());
        if !is_fault {
            last = snapshot;
        }
        is_fault
    };
    (0..taken.len()).map(is_fault).collect()
}
