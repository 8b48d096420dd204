//! Sentences about a report: what was counted, what was left out, and why nothing was found.

use std::collections::BTreeSet;

use crate::model::civil_date::date_of;
use crate::model::{Flags, SampleFraction};
use crate::numerals::{grouped, plural};
use crate::reports::Filters;
use crate::reports::table::Note;
use crate::tally::{FlagCounts, Parts, Totals};

/// Writes which parts of the cube answered.
pub(super) fn from_the_cube(parts: Parts) -> String {
    format!("pre-aggregated: {parts}")
}

/// Formats the number of archives, and the names of those that were loaded in part.
pub(super) fn archives(names: &[String]) -> String {
    let samples = names
        .iter()
        .filter(|name| SampleFraction::is_archive_name(name));
    let samples: Vec<&str> = samples.map(String::as_str).collect();
    let all = plural(names.len() as i64, "archive");
    if samples.is_empty() {
        all
    } else {
        format!("{all}, of which {} in part", samples.join(", "))
    }
}

/// Writes why no trip was counted, with the values that a filter could have.
pub(super) fn why_nothing(filters: &Filters, known: &Totals) -> String {
    let mut reason = format!("no stored trip matches {}", filters);
    let words = |words: BTreeSet<&str>| words.into_iter().collect::<Vec<_>>().join(", ");
    if filters.rider.is_some() {
        let riders = known.riders.0.keys().map(|(rider, _)| rider.as_str());
        reason += &format!("; riders are {}", words(riders.collect()));
    }
    if filters.bike.is_some() {
        let bikes = known.riders.0.keys().map(|(_, bike)| bike.as_ref());
        let bikes: BTreeSet<&str> = bikes.filter(|bike| !bike.is_empty()).collect();
        reason += &if bikes.is_empty() {
            "; these trips do not say which bike".to_owned()
        } else {
            format!("; bikes are {}", words(bikes))
        };
    }
    reason
}

/// Writes how many trips a report leaves out for their flags. `None` if it leaves out none.
pub(crate) fn left_out(why: Flags, total: i64, flags: Option<&FlagCounts>) -> Option<Note> {
    let count = |flag| flags.map(|flags| flags.get(flag));
    let reasons = why.iter().map(|flag| (flag.to_string(), count(flag)));
    let reasons = reasons.filter(|(_, trips)| *trips != Some(0));
    (total != 0).then(|| Note::LeftOut {
        trips: total,
        reasons: reasons.collect(),
    })
}

/// Writes how many trips have no station at their start or end. `None` if all have both.
pub(crate) fn unmatched([origin, destination]: [i64; 2]) -> Option<Note> {
    let verb = |trips: i64, verb: &str| match trips {
        1 => format!("{verb}s"),
        _ => verb.to_owned(),
    };
    let (starts, ends) = (verb(origin, "start"), verb(destination, "end"));
    let trips = plural(origin, "trip");
    let ended = plural(destination, "trip");
    let text = match (origin, destination) {
        (0, 0) => return None,
        (_, 0) => format!("{trips} {starts} away from a station"),
        (0, _) => format!("{ended} {ends} away from a station"),
        _ => format!(
            "{trips} {starts} and {} {ends} away from a station",
            grouped(destination)
        ),
    };
    Some(Note::Scope(text))
}

/// Writes the first and last of some days, counted from 1970-01-01.
pub(super) fn dates((first, last): (i32, i32)) -> String {
    if first == last {
        format!("of {}", date_of(first))
    } else {
        format!("{} to {}", date_of(first), date_of(last))
    }
}
