//! The numbers that reports show of a group of trips.

use std::fmt;
use std::str::FromStr;

use super::value::Value;
use crate::tally::Spread;

/// A number that a report shows of a group of trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Trips.
    Trips,
    /// Their share of the trips of all groups.
    Share,
    /// Trips a day.
    PerDay,
    /// Trips by the hour of their start.
    Starts,
    /// Trips by the time of their end; all else is that of the start.
    Stops,
    /// Trips without a station at the start.
    NoOrigin,
    /// Trips without a station at the end.
    NoDestination,
    /// Trips without a station at an end.
    Dockless,
    /// Their share of the group's trips.
    DocklessShare,
    /// Trips that end where they start.
    RoundTrips,
    /// Their share of the group's trips.
    RoundTripShare,
    /// Trips with a plausible duration.
    TimedTrips,
    /// The shortest duration.
    MinS,
    /// The mean duration.
    MeanS,
    /// The median duration.
    MedianS,
    /// Nine in ten durations are no longer.
    P90S,
    /// 99 in 100 durations are no longer.
    P99S,
    /// The longest duration.
    MaxS,
    /// Trips with plausible coordinates at both ends.
    PlacedTrips,
    /// The mean distance between the ends.
    MeanM,
    /// The median distance.
    MedianM,
    /// Nine in ten distances are no longer.
    P90M,
    /// The longest distance.
    MaxM,
}

/// What has to be counted besides the number of trips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Stops by hour.
    pub stops: bool,
    /// Trips without a station, and round trips.
    pub ends: bool,
    /// Durations.
    pub durations: bool,
    /// Distances.
    pub distances: bool,
}

impl Needs {
    /// Returns what the measures need.
    pub(super) fn of(measures: &[(Measure, &'static str)]) -> Self {
        let mut needs = Self::default();
        for (measure, _) in measures {
            measure.add_to(&mut needs);
        }
        needs
    }
}

/// The counts of a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct GroupCounts {
    pub trips: i64,
    pub stops: i64,
    pub no_origin: i64,
    pub no_destination: i64,
    pub dockless: i64,
    pub round_trips: i64,
    /// Plausible durations in seconds, and how often each occurs.
    pub durations: std::collections::BTreeMap<i64, i64>,
    /// Distances in metres.
    pub distances: std::collections::BTreeMap<i64, i64>,
}

impl GroupCounts {
    pub(super) fn add(&mut self, other: &Self) {
        self.trips += other.trips;
        self.stops += other.stops;
        self.no_origin += other.no_origin;
        self.no_destination += other.no_destination;
        self.dockless += other.dockless;
        self.round_trips += other.round_trips;
        for (mine, theirs) in [
            (&mut self.durations, &other.durations),
            (&mut self.distances, &other.distances),
        ] {
            for (value, n) in theirs {
                *mine.entry(*value).or_default() += n;
            }
        }
    }
}

/// Numbers beside the group's own from which a measure is calculated.
pub(super) struct Context {
    /// Trips of all groups.
    pub all_trips: i64,
    /// The number of days in service that belong to the group.
    pub days: i64,
}

impl Measure {
    /// Every measure that a user's report may have.
    pub const ALL: [Self; 22] = [
        Self::Trips,
        Self::Share,
        Self::PerDay,
        Self::Stops,
        Self::NoOrigin,
        Self::NoDestination,
        Self::Dockless,
        Self::DocklessShare,
        Self::RoundTrips,
        Self::RoundTripShare,
        Self::TimedTrips,
        Self::MinS,
        Self::MeanS,
        Self::MedianS,
        Self::P90S,
        Self::P99S,
        Self::MaxS,
        Self::PlacedTrips,
        Self::MeanM,
        Self::MedianM,
        Self::P90M,
        Self::MaxM,
    ];

    /// Returns its name, which is also that of its column in a user's report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trips => "trips",
            Self::Share => "share",
            Self::PerDay => "per_day",
            Self::Starts => "starts",
            Self::Stops => "stops",
            Self::NoOrigin => "no_origin",
            Self::NoDestination => "no_destination",
            Self::Dockless => "dockless",
            Self::DocklessShare => "dockless_share",
            Self::RoundTrips => "round_trips",
            Self::RoundTripShare => "round_trip_share",
            Self::TimedTrips => "timed_trips",
            Self::MinS => "min_s",
            Self::MeanS => "mean_s",
            Self::MedianS => "median_s",
            Self::P90S => "p90_s",
            Self::P99S => "p99_s",
            Self::MaxS => "max_s",
            Self::PlacedTrips => "placed_trips",
            Self::MeanM => "mean_m",
            Self::MedianM => "median_m",
            Self::P90M => "p90_m",
            Self::MaxM => "max_m",
        }
    }

    fn add_to(self, needs: &mut Needs) {
        match self {
            Self::Stops => needs.stops = true,
            Self::NoOrigin
            | Self::NoDestination
            | Self::Dockless
            | Self::DocklessShare
            | Self::RoundTrips
            | Self::RoundTripShare => needs.ends = true,
            Self::TimedTrips
            | Self::MinS
            | Self::MeanS
            | Self::MedianS
            | Self::P90S
            | Self::P99S
            | Self::MaxS => needs.durations = true,
            Self::PlacedTrips | Self::MeanM | Self::MedianM | Self::P90M | Self::MaxM => {
                needs.distances = true;
            }
            Self::Trips | Self::Share | Self::PerDay | Self::Starts => {}
        }
    }

    /// Returns the value for a group. `spreads` are those of its durations and distances.
    pub(super) fn value(
        self,
        counts: &GroupCounts,
        [durations, distances]: &[Option<Spread>; 2],
        context: &Context,
    ) -> Value {
        let of = |spread: &Option<Spread>, get: fn(&Spread) -> i64| -> Value {
            spread.as_ref().map(get).into()
        };
        let mean = |spread: &Option<Spread>| -> Value {
            let mean = spread.as_ref().map(|spread| rounded(spread.mean_s, 1e3));
            mean.into()
        };
        let share = |count: i64, whole: i64| -> Value {
            (whole != 0)
                .then(|| rounded(count as f64 / whole as f64, 1e6))
                .into()
        };
        match self {
            Self::Trips | Self::Starts => counts.trips.into(),
            Self::Share => share(counts.trips, context.all_trips),
            Self::PerDay => (context.days != 0)
                .then(|| rounded(counts.trips as f64 / context.days as f64, 1e3))
                .into(),
            Self::Stops => counts.stops.into(),
            Self::NoOrigin => counts.no_origin.into(),
            Self::NoDestination => counts.no_destination.into(),
            Self::Dockless => counts.dockless.into(),
            Self::DocklessShare => share(counts.dockless, counts.trips),
            Self::RoundTrips => counts.round_trips.into(),
            Self::RoundTripShare => share(counts.round_trips, counts.trips),
            Self::TimedTrips => durations.as_ref().map_or(0, |spread| spread.trips).into(),
            Self::PlacedTrips => distances.as_ref().map_or(0, |spread| spread.trips).into(),
            Self::MinS => of(durations, |spread| spread.min_s),
            Self::MeanS => mean(durations),
            Self::MedianS => of(durations, |spread| spread.median_s),
            Self::P90S => of(durations, |spread| spread.p90_s),
            Self::P99S => of(durations, |spread| spread.p99_s),
            Self::MaxS => of(durations, |spread| spread.max_s),
            Self::MeanM => mean(distances),
            Self::MedianM => of(distances, |spread| spread.median_s),
            Self::P90M => of(distances, |spread| spread.p90_s),
            Self::MaxM => of(distances, |spread| spread.max_s),
        }
    }
}

/// Rounds to a multiple of `1 / steps`.
pub(super) fn rounded(number: f64, steps: f64) -> f64 {
    (number * steps).round() / steps
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Measure {
    type Err = NoMeasure;

    fn from_str(text: &str) -> Result<Self, NoMeasure> {
        let named = Self::ALL.into_iter().find(|it| it.as_str() == text);
        named.ok_or_else(|| NoMeasure(text.into()))
    }
}

/// A word that names no measure.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no measure \"{0}\": expected one of {all}",
    all = Measure::ALL.map(Measure::as_str).join(", ")
)]
pub struct NoMeasure(pub String);
