//! The words of titles and axes.

use divvy::reports::{Dim, Measure};

/// Describes what a measure counts, for a title: `Trips`.
pub(super) fn measure(measure: Measure) -> &'static str {
    match measure {
        Measure::Trips => "Trips",
        Measure::Share => "Share of trips",
        Measure::PerDay => "Trips per day",
        Measure::Starts => "Trips that start",
        Measure::Stops => "Trips that end",
        Measure::NoOrigin => "Trips without a station at the start",
        Measure::NoDestination => "Trips without a station at the end",
        Measure::Dockless => "Trips that start or end away from stations",
        Measure::DocklessShare => "Share of trips that start or end away from stations",
        Measure::RoundTrips => "Trips that end where they start",
        Measure::RoundTripShare => "Share of trips that end where they start",
        Measure::TimedTrips => "Trips with a plausible duration",
        Measure::MinS => "Shortest duration",
        Measure::MeanS => "Mean duration",
        Measure::MedianS => "Median duration",
        Measure::P90S => "Duration that nine in ten trips do not exceed",
        Measure::P99S => "Duration that 99 in 100 trips do not exceed",
        Measure::MaxS => "Longest duration",
        Measure::PlacedTrips => "Trips with coordinates at both ends",
        Measure::MeanM => "Mean distance between start and end",
        Measure::MedianM => "Median distance between start and end",
        Measure::P90M => "Distance that nine in ten trips do not exceed",
        Measure::MaxM => "Longest distance between start and end",
    }
}

/// Describes the groups of a dimension, for a title: `kind of rider`.
pub(super) fn dim(dim: Dim) -> &'static str {
    match dim {
        Dim::Rider => "kind of rider",
        Dim::Bike => "kind of bike",
        Dim::Gender => "gender",
        Dim::BirthYear => "year of birth",
        Dim::Age => "age",
        Dim::Year => "year",
        Dim::Month => "month",
        Dim::Date => "date",
        Dim::Weekday => "weekday",
        Dim::Hour => "hour of the day",
        Dim::Station => "station",
    }
}

/// Describes the axis of a dimension.
pub(super) fn axis(of: Dim) -> &'static str {
    match of {
        Dim::Age => "age in the year of the trip (years)",
        Dim::Hour => "hour of the day (local time)",
        Dim::Date => "date (local time of the start)",
        Dim::Station => "station of the start",
        other => dim(other),
    }
}
