//! The report of growth over a year.

use async_trait::async_trait;

use super::dims::{Dim, Group, month_text};
use super::measures::{Measure, Needs, rounded};
use super::question::CountedGroups;
use super::{Column, Filter, Filters, Note, Picture, Question, Report, Table, ValueKind};
use crate::model::civil_date::{date_of, month_of};
use crate::store::StoreError;

/// Trips by month, and those of the same month a year before.
pub struct Growth;

#[async_trait]
impl Report for Growth {
    fn name(&self) -> &str {
        "growth"
    }

    fn about(&self) -> &str {
        "trips by month beside the same month a year before"
    }

    fn takes(&self) -> &'static [Filter] {
        &Filter::ALL
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
            Column::new("growth", ValueKind::Share)
                .defined("trips / year_before - 1: 0.25 for a quarter more"),
        ]
    }

    fn picture(&self) -> Option<Picture> {
        Some(Picture::Bars {
            across: Dim::Month,
            up: Measure::Trips,
        })
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
            let growth = before.map(|before| counts.trips as f64 / before as f64 - 1.0);
            rows.push(vec![
                month_text(month).into(),
                match key.get(1) {
                    Some(rider) => rider.value(Dim::Rider),
                    None => "all".into(),
                },
                counts.trips.into(),
                before.into(),
                growth.map(|growth| rounded(growth, 1e6)).into(),
            ]);
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
        if let Some((first, last)) = counted.known.totals.days.range() {
            let cut = |day: i32, ends: bool| {
                let date = date_of(day);
                let whole = if ends {
                    date == date.last_of_month()
                } else {
                    date.day() == 1
                };
                let shown = months.contains(&month_of(day));
                (!whole && shown).then(|| month_text(month_of(day)))
            };
            let cut = [cut(first, false), cut(last, true)];
            let mut cut: Vec<String> = cut.into_iter().flatten().collect();
            cut.dedup();
            if !cut.is_empty() {
                notes.push(Note::Warning(format!(
                    "not all days of {} are stored: compare such a month with care",
                    cut.join(" and "),
                )));
            }
        }
        Ok(Table::of(self.columns(), rows, notes).counted_by(counted.how))
    }
}
