//! Reports on the trips of a store: one file for each, with a type for its rows, and one [`Table`]
//! that every format writes.
//!
//! ```text
//!  Filters ─► Question ─► Report::answer ─► Row ─► Table ─► table, csv, json, …
//!                │
//!                ├─ from the parts of the cube, if they have the answer
//!                └─ otherwise from some columns of the trips
//! ```
//!
//! A new report is a new [`Grouping`] or a new file, and a new line in [`REPORTS`].

mod aliases;
mod areas;
mod as_of_time;
mod balance;
mod calibration;
mod column;
mod dims;
mod feed;
mod filters;
mod flows;
mod from_counts;
mod gaps;
mod grouping;
mod groupings;
mod growth;
mod incomplete_months;
mod largest;
mod measures;
mod observed_time;
mod outlook;
mod own;
mod picture;
mod places;
mod quality;
mod question;
mod reconcile;
mod routes;
mod service;
mod station_hours;
mod stations;
mod status_history;
mod table;
mod unknown_value;
mod value;

use std::sync::Arc;

use async_trait::async_trait;

pub use aliases::{PlaceAliasRow, Places};
pub use areas::{Areas, NoAreas};
pub use as_of_time::{AsOfTime, NoTime};
pub use balance::{Balance, BalanceRow};
pub use calibration::{Calibration, CalibrationRow};
pub use column::{Column, Role, ValueKind};
pub use dims::{Dim, NoDim, WEEKDAYS as WEEKDAY_NAMES};
pub use feed::{FeedHealth, FeedHealthRow};
pub use filters::{
    Filter, Filters, HoursOfDay, MaxUnusable, Minutes, NoHours, NoMinutes, NoPeriod, NoShare,
    NoWeekdays, Period, Weekdays,
};
pub use flows::{FlowRow, Flows};
pub use from_counts::{FromCountRow, FromCounts};
pub use gaps::{SHORTEST_GAP, shortest_gap};
pub use groupings::{
    AGES, DAYS, DISTANCE, DOCKLESS, DURATIONS, GENDERS, Grouping, HOURS, MONTHS, RIDERS,
    ROUND_TRIPS, WEEKDAYS,
};
pub use growth::Growth;
pub use measures::{Measure, NoMeasure};
pub use outlook::{Outlook, OutlookRow};
pub use own::OwnReport;
pub use picture::{Map, MapStation, Picture};
pub use quality::{Quality, QualityRow};
pub use question::Question;
pub use reconcile::{Reconcile, ReconcileRow};
pub use routes::{RouteRow, Routes};
pub use service::{Service, ServiceRow};
pub use stations::{NOT_IN_FEED, Range, StationRow, Stations};
pub use status_history::{Coverage, CoverageRow, History, HistoryRow};
pub use table::{Note, Row, Scope, Sort, Table};
pub use unknown_value::UnknownValue;
pub use value::Value;

pub use crate::numerals::{grouped, plural};

use crate::model::System;
use crate::store::{LoadedArchive, Store, StoreError};

/// One report.
#[async_trait]
pub trait Report: Send + Sync {
    /// Returns its name, which is stable.
    fn name(&self) -> &str;

    /// Returns a description of one line.
    fn about(&self) -> &str;

    /// Lists the filters that it accepts.
    fn takes(&self) -> &'static [Filter];

    /// Lists the other dimensions by which it can be grouped.
    fn groups_by(&self) -> &'static [Dim] {
        &[]
    }

    /// Declares its columns. Names and types are stable.
    fn columns(&self) -> Vec<Column>;

    /// Returns whether its first rows are the most important ones, so that a table may show only them.
    fn is_long(&self) -> bool {
        false
    }

    /// Returns whether it is of one station, and has no rows without a filter by station.
    fn is_of_one_station(&self) -> bool {
        false
    }

    /// Returns whether it is of the history of states: then stations that have left the feed are known, and a store
    /// without a history has no rows.
    fn reads_history(&self) -> bool {
        false
    }

    /// Returns its picture. `None` if it has none.
    fn picture(&self) -> Option<Picture> {
        None
    }

    /// Makes the table. The caller has checked the filters, and cuts the rows to `top`.
    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError>;
}

/// Every report, in the order of the help.
pub static REPORTS: &[&dyn Report] = &[
    &Stations,
    &FromCounts,
    &Places,
    &HOURS,
    &WEEKDAYS,
    &MONTHS,
    &DAYS,
    &DURATIONS,
    &RIDERS,
    &GENDERS,
    &AGES,
    &Routes,
    &Balance,
    &Growth,
    &DISTANCE,
    &DOCKLESS,
    &ROUND_TRIPS,
    &Quality,
    &History,
    &Coverage,
    &Service,
    &Flows,
    &Reconcile,
    &FeedHealth,
    &Outlook,
    &Calibration,
];

/// Why a report has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is none of that name.
    #[error("there is no report \"{0}\"{near}: expected one of {known}", near = nearest(.0), known = names())]
    Unknown(String),
    /// It cannot be narrowed in that way.
    #[error(
        "the report \"{report}\" cannot be narrowed by {refused}: it takes {}",
        list(takes)
    )]
    Filter {
        /// The report.
        report: String,
        /// The filter.
        refused: Filter,
        /// The filters that it takes.
        takes: &'static [Filter],
    },
    /// It cannot be grouped in that way.
    #[error("the report \"{report}\" cannot be grouped by {refused}: it takes {takes}")]
    By {
        /// Which report.
        report: String,
        /// Which dimensions.
        refused: String,
        /// What it does take.
        takes: String,
    },
    /// It has no such column.
    #[error("the report \"{report}\" cannot be sorted by \"{column}\": its columns are {columns}")]
    Sort {
        /// Which report.
        report: String,
        /// Which column.
        column: String,
        /// What it has.
        columns: String,
    },
    /// No stored trip or station has the value of a filter.
    #[error(transparent)]
    UnknownValue(#[from] UnknownValue),
    /// The last day comes before the first.
    #[error("no date is both from {from} on and up to {to}: the first date comes after the last")]
    Dates {
        /// The first day.
        from: jiff::civil::Date,
        /// The last day.
        to: jiff::civil::Date,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(filters: &[Filter]) -> String {
    if filters.is_empty() {
        return "no filter".into();
    }
    let names: Vec<&str> = filters.iter().map(|filter| filter.as_str()).collect();
    names.join(", ")
}

fn names() -> String {
    let names: Vec<&str> = REPORTS.iter().map(|report| report.name()).collect();
    names.join(", ")
}

/// Suggests the report whose name is most similar to a word. Empty if none is similar.
fn nearest(word: &str) -> String {
    let near = REPORTS
        .iter()
        .map(|report| (strsim::levenshtein(word, report.name()), report.name()))
        .min();
    match near {
        Some((edits, name)) if edits <= 1 + name.len() / 3 => format!(" (did you mean {name}?)"),
        _ => String::new(),
    }
}

/// Finds a report by its name.
///
/// # Errors
///
/// [`ReportError::Unknown`] names the nearest.
pub fn find(name: &str) -> Result<&'static dyn Report, ReportError> {
    let report = REPORTS.iter().find(|report| report.name() == name);
    report
        .copied()
        .ok_or_else(|| ReportError::Unknown(name.into()))
}

/// Answers the report of that name for one system.
///
/// # Errors
///
/// There is no such report, it cannot take one of the filters, or the store fails.
pub async fn report(
    name: &str,
    store: &dyn Store,
    system: &System,
    filters: &Filters,
) -> Result<Table, ReportError> {
    answer(find(name)?, store, system, filters).await
}

/// Answers a report for one system.
///
/// # Errors
///
/// It cannot take one of the filters, or the store fails.
pub async fn answer(
    report: &dyn Report,
    store: &dyn Store,
    system: &System,
    filters: &Filters,
) -> Result<Table, ReportError> {
    ask(report, &Question::new(store, system, filters)).await
}

/// Returns how often each plausible duration occurs among the trips that the filters let through:
/// seconds in ascending order, and how many trips.
///
/// # Errors
///
/// The store fails.
pub async fn histogram(
    store: &dyn Store,
    system: &System,
    filters: &Filters,
) -> Result<Vec<(i64, i64)>, ReportError> {
    let question = Question::new(store, system, filters);
    let needs = measures::Needs {
        durations: true,
        ..measures::Needs::default()
    };
    let counted = question.grouped(&[], needs).await?;
    let groups = counted.groups.by_group.into_values();
    Ok(groups.flat_map(|group| group.durations).collect())
}

/// Answers a question by a report, sorted and cut as its filters ask.
///
/// # Errors
///
/// The report does not take the filters, or the store fails.
pub async fn ask(report: &dyn Report, question: &Question<'_>) -> Result<Table, ReportError> {
    let filters = question.filters;
    question.check(report)?;
    if let (Some(from), Some(to)) = (filters.from, filters.to)
        && from > to
    {
        return Err(ReportError::Dates { from, to });
    }
    check_groups(report, filters)?;
    if let Some(unknown) = question.unknown_value(report).await? {
        return Err(unknown.into());
    }
    let mut table = answer_of_one_moment(report, question).await?;
    if let Some(sort) = &filters.sort {
        table.sort(sort).ok_or_else(|| ReportError::Sort {
            report: report.name().into(),
            column: sort.column.clone(),
            columns: {
                let names = table.columns.iter().map(|column| column.name);
                names.collect::<Vec<_>>().join(", ")
            },
        })?;
    }
    match filters.top {
        Some(top) => table.keep(top),
        None => table.may_be_cut = is_long(report, &filters.by),
    }
    Ok(table)
}

/// The number of times that a report is answered again because archives were loaded or unloaded
/// meanwhile. After that its notes may be of another moment than its rows.
const ATTEMPTS: usize = 5;

/// Answers a question. A report reads a store several times, so it is answered again if archives were
/// loaded or unloaded meanwhile.
async fn answer_of_one_moment(
    report: &dyn Report,
    question: &Question<'_>,
) -> Result<Table, StoreError> {
    let (store, system) = (question.store, &question.system.id);
    let mut archives: Arc<[LoadedArchive]> = store.archives(system).await?.into();
    for attempt in 1.. {
        let current = Question {
            archives: Arc::clone(&archives),
            zone: question.zone.clone(),
            ..*question
        };
        let table = report.answer(&current).await?;
        let now: Arc<[LoadedArchive]> = store.archives(system).await?.into();
        if now == archives || attempt == ATTEMPTS {
            return Ok(table);
        }
        archives = now;
    }
    unreachable!("the last attempt returns")
}

/// Returns whether a report, grouped by these, usually has more rows than one can read.
pub fn is_long(report: &dyn Report, by: &[Dim]) -> bool {
    if by.is_empty() {
        report.is_long()
    } else {
        by.iter().copied().any(Dim::has_many_groups)
    }
}

/// Refuses dimensions that a report cannot be grouped by, and more than two of them.
fn check_groups(report: &dyn Report, filters: &Filters) -> Result<(), ReportError> {
    let (by, takes) = (&filters.by, report.groups_by());
    let twice = by
        .iter()
        .enumerate()
        .any(|(at, dim)| by[..at].contains(dim));
    if by.len() <= 2 && !twice && by.iter().all(|dim| takes.contains(dim)) {
        return Ok(());
    }
    let list = |dims: &[Dim]| {
        dims.iter()
            .map(|dim| dim.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    Err(ReportError::By {
        report: report.name().into(),
        refused: if twice {
            format!("{} twice", list(&by[..1]))
        } else {
            list(by)
        },
        takes: if takes.is_empty() {
            "no other groups".into()
        } else {
            format!("one or two of {}", list(takes))
        },
    })
}
