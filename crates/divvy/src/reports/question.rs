//! What a report is asked, and the trips that it counts.

use std::collections::BTreeSet;
use std::sync::Mutex;

use jiff::civil::Date;
use jiff::{Span, Timestamp};

use super::places::{self, Place};
use super::table::{Note, grouped, plural};
use super::{Filters, ReportError};
use crate::model::{Flag, Flags, StationId, System, Zone};
use crate::store::{Store, StoreError};
use crate::tally::{FlagCounts, Tally, Totals};

/// Which system's trips a report counts, and which of them.
pub struct Question<'a> {
    /// Where they are kept.
    pub store: &'a dyn Store,
    /// Whose.
    pub system: &'a System,
    /// Which.
    pub filters: &'a Filters,
    /// The system's clocks: a table for each station would cost more than its row.
    pub(super) zone: Zone,
}

/// The trips that a report counts.
pub(super) struct Counted {
    /// Totals over them.
    pub asked: Totals,
    /// Totals over all stored trips, where these are not the same.
    stored: Option<Totals>,
    /// How many archives they come from.
    archives: usize,
    /// Which filters let them through.
    filters: Filters,
}

impl Counted {
    /// Returns the totals over all stored trips: names and places are known from all of them.
    pub fn known(&self) -> &Totals {
        self.stored.as_ref().unwrap_or(&self.asked)
    }
}

impl Question<'_> {
    /// Counts the trips that all filters let through.
    pub(super) async fn counted(&self) -> Result<Counted, StoreError> {
        let Some(station) = &self.filters.station else {
            return self.counted_everywhere().await;
        };
        let all = self.store.totals(&self.system.id).await?;
        let places = self.places(&all).await?;
        let meant = places::meant(&places, station, &all);
        let ids = meant.iter().flat_map(|place| &place.ids);
        let origins: BTreeSet<StationId> = ids.map(|(id, _)| id.clone()).collect();
        self.count(all, self.filters.clone(), Some(&origins)).await
    }

    /// Counts the trips that the filters let through, wherever they start.
    pub(super) async fn counted_everywhere(&self) -> Result<Counted, StoreError> {
        let all = self.store.totals(&self.system.id).await?;
        let anywhere = Filters {
            station: None,
            ..self.filters.clone()
        };
        self.count(all, anywhere, None).await
    }

    /// Lists every place known from trips, lists or feeds.
    pub(super) async fn places(&self, known: &Totals) -> Result<Vec<Place>, StoreError> {
        let stations = self.store.stations(&self.system.id).await?;
        Ok(places::places(stations, known))
    }

    /// Writes an instant on the system's clocks.
    pub(super) fn instant(&self, at: Timestamp) -> String {
        self.zone.rfc3339(at)
    }

    async fn count(
        &self,
        all: Totals,
        filters: Filters,
        origins: Option<&BTreeSet<StationId>>,
    ) -> Result<Counted, StoreError> {
        let archives = self.store.entries(&self.system.id).await?.len();
        if origins.is_none() && !filters.narrow_trips() {
            return Ok(Counted {
                asked: all,
                stored: None,
                archives,
                filters,
            });
        }
        let asked = Mutex::new(Totals::default());
        self.store
            .scan(&self.system.id, &|batch| {
                let picked = filters.pick(&batch);
                let starts_there: Option<Vec<bool>> = origins.map(|origins| {
                    let ids = batch.stations.iter();
                    ids.map(|id| origins.contains(&StationId::from(id)))
                        .collect()
                });
                let counts = |row: usize| {
                    let there = starts_there
                        .as_ref()
                        .is_none_or(|there| there[batch.origin[row] as usize]);
                    there && picked(row)
                };
                let rows = 0..batch.len() as u32;
                let rows: Vec<u32> = rows.filter(|row| counts(*row as usize)).collect();
                let selected = batch.select(&rows);
                let mut part = Totals::default();
                part.count(&selected, 1);
                asked
                    .lock()
                    .expect("no holder of this lock panics")
                    .merge(&part);
                true
            })
            .await?;
        Ok(Counted {
            asked: asked.into_inner().expect("no holder of this lock panics"),
            stored: Some(all),
            archives,
            filters,
        })
    }

    /// Says what was counted.
    pub(super) fn scope(&self, counted: &Counted) -> Vec<Note> {
        let known = counted.known();
        let name = &self.system.name;
        let Some(range) = known.days.range() else {
            return vec![Note::Scope(format!("{name}: no trips are stored yet"))];
        };
        let stored = format!(
            "{name}: {} from {}, {}",
            plural(known.trips, "trip"),
            plural(counted.archives as i64, "archive"),
            dates(range),
        );
        if counted.stored.is_none() {
            return vec![Note::Scope(stored)];
        }
        let mut notes = vec![Note::Scope(format!(
            "{} counted ({}), of {stored}",
            plural(counted.asked.trips, "trip"),
            counted.filters
        ))];
        if counted.asked.trips == 0 {
            notes.push(Note::Warning(why_nothing(&counted.filters, known)));
        }
        notes
    }

    /// Refuses filters that the report cannot take.
    pub(super) fn check(&self, report: &dyn super::Report) -> Result<(), ReportError> {
        let takes = report.takes();
        let Some(refused) = self.filters.used().find(|filter| !takes.contains(filter)) else {
            return Ok(());
        };
        let takes: Vec<&str> = takes.iter().map(|filter| filter.as_str()).collect();
        Err(ReportError::Filter {
            report: report.name(),
            refused: refused.as_str(),
            takes: match takes.is_empty() {
                true => "takes no filter".to_owned(),
                false => format!("takes {}", takes.join(", ")),
            },
        })
    }
}

/// Says why no trip was counted, and what could have been asked for.
fn why_nothing(filters: &Filters, known: &Totals) -> String {
    let mut reason = format!("no stored trip matches {}", filters);
    let words = |words: BTreeSet<&str>| words.into_iter().collect::<Vec<_>>().join(", ");
    if filters.rider.is_some() {
        let riders = known.riders.0.keys().map(|(rider, _)| rider.as_str());
        reason += &format!("; riders are {}", words(riders.collect()));
    }
    if filters.bike.is_some() {
        let bikes = known.riders.0.keys().map(|(_, bike)| bike.as_ref());
        let bikes: BTreeSet<&str> = bikes.filter(|bike| !bike.is_empty()).collect();
        reason += &match bikes.is_empty() {
            true => "; these trips do not say which bike".to_owned(),
            false => format!("; bikes are {}", words(bikes)),
        };
    }
    reason
}

/// Says which trips a report leaves out for their flags. `None` where it leaves out none.
pub(super) fn left_out(why: Flags, total: i64, flags: &FlagCounts) -> Option<Note> {
    let by_flag: Vec<String> = why
        .iter()
        .filter(|flag| flags.get(*flag) != 0)
        .map(|flag| format!("{} {flag}", grouped(flags.get(flag))))
        .collect();
    let text = format!("{} left out: {}", plural(total, "trip"), by_flag.join(", "));
    (total != 0).then_some(Note::Scope(text))
}

/// Says how many of the counted trips have no station at an end.
pub(super) fn nowhere(counted: &Totals) -> Option<Note> {
    let [origin, destination] =
        [Flag::NoOrigin, Flag::NoDestination].map(|flag| counted.flags.get(flag));
    let text = format!(
        "{} without an origin and {} without a destination are counted at no station",
        plural(origin, "trip"),
        grouped(destination),
    );
    (origin + destination != 0).then_some(Note::Scope(text))
}

/// Writes the first and last of some days, counted from 1970-01-01.
fn dates((first, last): (i32, i32)) -> String {
    let date = |day: i32| {
        Date::constant(1970, 1, 1)
            .checked_add(Span::new().days(day))
            .map_or_else(|_| format!("day {day}"), |date| date.to_string())
    };
    match first == last {
        true => format!("of {}", date(first)),
        false => format!("{} to {}", date(first), date(last)),
    }
}
