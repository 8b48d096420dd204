//! The order and the headings of reports on a page of several.

/// Parts of a page, each with its reports and their headings.
const PARTS: [(&str, &[(&str, &str)]); 5] = [
    (
        "When people ride",
        &[
            ("hours", "Hours of the day"),
            ("weekdays", "Days of the week"),
            ("months", "Months"),
            ("days", "Day by day"),
            ("growth", "Growth over a year"),
        ],
    ),
    (
        "Where people ride",
        &[
            ("stations", "The busiest stations"),
            ("routes", "The busiest routes"),
            ("balance", "Where bikes gather and where they run out"),
            ("service", "How often stations are empty or full"),
            ("flows", "Departures and arrivals that snapshots show"),
            ("outlook", "Which stations will be empty or full"),
            ("calibration", "How often such forecasts came true"),
        ],
    ),
    (
        "How people ride",
        &[
            ("durations", "How long trips take"),
            ("distance", "How far trips lead"),
            ("roundtrips", "Trips that end where they start"),
            ("dockless", "Trips away from stations"),
        ],
    ),
    (
        "Who rides",
        &[
            ("riders", "Members and casual riders, kinds of bikes"),
            ("genders", "Genders"),
            ("ages", "Ages"),
        ],
    ),
    (
        "The data",
        &[
            ("places", "Stations under all their ids and names"),
            ("from-counts", "Departures by station id"),
            ("quality", "What the archives hold"),
            ("coverage", "When the feed was recorded"),
            ("feed", "What is wrong in the feed"),
            ("reconcile", "Snapshots beside trips"),
            ("history", "What the station reported"),
        ],
    ),
];

/// Where a report stands on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// The index of its part. Reports that are in none come last.
    pub(super) part: usize,
    place: usize,
}

/// Returns where a report stands.
pub(super) fn position(report: &str) -> Position {
    let parts = PARTS.iter().enumerate();
    let mut places = parts.flat_map(|(part, (_, reports))| {
        let reports = reports.iter().enumerate();
        reports.map(move |(place, (name, _))| (*name, Position { part, place }))
    });
    let found = places.find(|(name, _)| *name == report);
    found.map_or(
        Position {
            part: PARTS.len(),
            place: 0,
        },
        |(_, position)| position,
    )
}

/// Returns the heading of a part.
pub(super) fn part_heading(part: usize) -> &'static str {
    PARTS
        .get(part)
        .map_or("Further reports", |(heading, _)| heading)
}

/// Returns the heading of a report: its name where it has no other.
pub(super) fn heading(report: &str) -> &str {
    let mut headings = PARTS.iter().flat_map(|(_, reports)| reports.iter());
    let found = headings.find(|(name, _)| *name == report);
    found.map_or(report, |(_, heading)| heading)
}

#[cfg(test)]
mod tests {
    use super::*;
    use divvy::reports::REPORTS;

    #[test]
    fn every_report_has_a_heading_and_a_place() {
        for report in REPORTS {
            assert_ne!(heading(report.name()), report.name());
            assert!(position(report.name()).part < PARTS.len());
        }
        assert!(position("own") > position("quality"));
    }
}
