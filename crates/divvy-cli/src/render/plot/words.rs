//! The words and numbers of titles, axes and tooltips.

use std::borrow::Cow;

use divvy::reports::{Dim, Measure, grouped};

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

/// Writes the first letter of a text large.
pub(super) fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next();
    first.map_or(String::new(), |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// Formats the value of a group with few names: `electric bike`.
pub(super) fn in_words(label: &str) -> Cow<'_, str> {
    match label {
        "classic_bike" | "electric_bike" | "docked_bike" | "electric_scooter" => {
            label.replace('_', " ").into()
        }
        "empty_at" => "no bike then".into(),
        "empty_within" => "no bike at some time until then".into(),
        "full_at" => "no dock then".into(),
        "full_within" => "no dock at some time until then".into(),
        _ => label.into(),
    }
}

/// Formats a number of a tooltip: whole, else with at most three decimals.
pub(super) fn short(value: f64) -> String {
    if value.fract() == 0.0 {
        grouped(value as i64)
    } else {
        number((value * 1e3).round() / 1e3)
    }
}

/// Formats a number of an axis: `1,500`, `2.5`.
pub(super) fn number(value: f64) -> String {
    if value.fract().abs() < 1e-9 {
        return grouped(value.round() as i64);
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
