//! The report of growth over a year.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::dims::{Dim, Group, month_text};
use super::incomplete_months::incomplete_months;
use super::measures::{Measure, Needs, rounded};
use super::question::CountedGroups;
use super::{Column, Filter, Filters, Note, Picture, Question, Report, Table, Value, ValueKind};
use crate::model::civil_date::{date_of, first_day_of, month_of};
use crate::store::StoreError;

/// Trips by month, and those of the same month a year before.
pub struct Growth;

/// The index of the column of the trips a year before.
const YEAR_BEFORE: usize = 3;

#[async_trait]
impl Report for Growth {
    fn name(&self) -> &str {
        "growth"
    }

    fn about(&self) -> &str {
        "trips by month beside the same month a year before"
    }

    fn takes(&self) -> &'static [Filter] {
        &Filter::OF_TRIPS
    }

    fn groups_by(&self) -> &'static [Dim] {
        &[Dim::Month, Dim::Rider]
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Dim::Month.column(),
            Dim::Rider
                .column()
                .defined("all riders together, or with --by rider each kind by itself"),
            Measure::Trips
                .column()
                .defined("stored trips that start in the month"),
            Column::new("year_before", ValueKind::Count)
                .defined("trips of the same month a year before; empty where none are stored"),
            Column::new("growth", ValueKind::Share).defined(
                "trips / year_before - 1: 0.25 for a quarter more; empty where either month is not \
                 complete",
            ),
            Column::new("complete", ValueKind::Truth).defined(
                "whether trips of the whole month are stored: no day of it is before the first or \
                 after the last day with a trip, or in a gap of more than three days without any",
            ),
        ]
    }

    fn picture(&self) -> Option<Picture> {
        Some(Picture::Growth)
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        // The year before may be outside of the dates of the filters.
        let filters = Filters {
            from: None,
            to: None,
            ..question.filters.clone()
        };
        let wider = Question {
            filters: &filters,
            zone: question.zone.clone(),
            archives: question.archives.clone(),
            ..*question
        };
        let dims: &[Dim] = if question.filters.by.contains(&Dim::Rider) {
            &[Dim::Month, Dim::Rider]
        } else {
            &[Dim::Month]
        };
        let CountedGroups {
            mut counted,
            groups,
            ..
        } = wider.grouped(dims, Needs::default()).await?;
        let (first, last) = question.filters.days();
        let months = month_of(first)..=month_of(last);
        let groups = &groups.by_group;
        let incomplete = incomplete_months(&counted.known.totals.days);
        let mut named: BTreeSet<i32> = BTreeSet::new();
        let mut trips = 0;
        let mut rows = Vec::new();
        for (key, counts) in groups {
            let Group::Number(month) = key[0] else {
                continue;
            };
            if !months.contains(&month) {
                continue;
            }
            trips += counts.trips;
            let mut before = key.clone();
            before[0] = Group::Number(month - 12);
            let before = groups
                .get(&before)
                .map(|counts| counts.trips)
                .filter(|n| *n != 0);
            let is_complete = !incomplete.contains_key(&month);
            let is_comparable = is_complete && !incomplete.contains_key(&(month - 12));
            let growth = before
                .filter(|_| is_comparable)
                .map(|before| counts.trips as f64 / before as f64 - 1.0);
            rows.push(vec![
                month_text(month).into(),
                match key.get(1) {
                    Some(rider) => rider.value(Dim::Rider),
                    None => "all".into(),
                },
                counts.trips.into(),
                before.into(),
                growth.map(|growth| rounded(growth, 1e6)).into(),
                Value::Truth(is_complete),
            ]);
            let compared = [month, month - 12].into_iter();
            named.extend(compared.filter(|month| incomplete.contains_key(month)));
        }
        if !question.filters.to_string().is_empty() {
            counted.trips = Some(trips);
        }
        // Whole months are counted, so the note has to state whole months.
        let whole = Filters {
            from: question.filters.from.map(|date| date.first_of_month()),
            to: question.filters.to.map(|date| date.last_of_month()),
            ..question.filters.clone()
        };
        let mut notes = question.scope(&counted, &whole);
        if !named.is_empty() {
            notes.push(Note::Warning(format!(
                "not all days are stored of {}: no growth is shown for such a month",
                list_incomplete(&named, &incomplete),
            )));
        }
        let is_year_before = |row: &Vec<Value>| row[YEAR_BEFORE] != Value::Empty;
        if !rows.is_empty() && !rows.iter().any(is_year_before) {
            let text = "for none of these months is the same month a year before stored: there is no growth to show";
            notes.push(Note::Scope(text.into()));
        }
        Ok(Table::of(self.columns(), rows, notes).counted_as(&counted, question.filters))
    }
}

/// Writes months, each with its days that have trips: `2021-02 (3 of 28 days)`. Of many the first ones.
fn list_incomplete(months: &BTreeSet<i32>, stored: &BTreeMap<i32, usize>) -> String {
    const SHOWN: usize = 6;
    let text = |month: &i32| {
        let stored = stored.get(month).copied().unwrap_or(0);
        let all = date_of(first_day_of(*month)).days_in_month();
        format!("{} ({stored} of {all} days)", month_text(*month))
    };
    let mut texts: Vec<String> = months.iter().take(SHOWN).map(text).collect();
    if months.len() > SHOWN {
        texts.push(format!("{} more", months.len() - SHOWN));
    }
    texts.join(", ")
}
