//! Answers from a store, as rows: one file a report, one row type each, and one [`Table`] that
//! every format shows.
//!
//! ```text
//!  Filters ─► Question ─► Report::answer ─► Row ─► Table ─► table, csv, json, …
//!                │
//!                ├─ nothing filtered: the store's totals
//!                └─ else: a scan, counted by the same tallies
//! ```
//!
//! A new report is a new file and a new line in [`REPORTS`].

mod durations;
mod filters;
mod from_counts;
mod hours;
mod places;
mod quality;
mod question;
mod riders;
mod stations;
mod table;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

pub use durations::{DurationRow, Durations};
pub use filters::{Filter, Filters, NoPeriod, Period};
pub use from_counts::{FromCountRow, FromCounts};
pub use hours::{HourRow, Hours};
pub use quality::{Quality, QualityRow};
pub use question::Question;
pub use riders::{RiderRow, Riders};
pub use stations::{Range, StationRow, Stations};
pub use table::{Column, Kind, Note, Row, Table, Value, grouped, plural};

use crate::model::System;
use crate::store::{Store, StoreError};

/// One report.
#[async_trait]
pub trait Report: Send + Sync {
    /// Returns its name, a contract.
    fn name(&self) -> &'static str;

    /// Returns what it is about, in one line.
    fn about(&self) -> &'static str;

    /// Lists the filters that make sense for it.
    fn takes(&self) -> &'static [Filter];

    /// Lists its columns, a contract.
    fn columns(&self) -> Vec<Column>;

    /// Answers. The caller has checked the filters, and cuts the rows to `top`.
    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError>;
}

/// Every report, in the order of the help.
pub static REPORTS: &[&dyn Report] = &[
    &Stations,
    &FromCounts,
    &Hours,
    &Durations,
    &Riders,
    &Quality,
];

/// Why a report has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is none of that name.
    #[error("there is no report \"{0}\": expected one of {known}", known = names())]
    Unknown(String),
    /// It cannot be narrowed in that way.
    #[error("the report \"{report}\" cannot be narrowed by {refused}: it {takes}")]
    Filter {
        /// Which report.
        report: &'static str,
        /// Which filter.
        refused: &'static str,
        /// What it does take.
        takes: String,
    },
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

fn names() -> String {
    let names: Vec<&str> = REPORTS.iter().map(|report| report.name()).collect();
    names.join(", ")
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
    let report = REPORTS
        .iter()
        .find(|report| report.name() == name)
        .ok_or_else(|| ReportError::Unknown(name.into()))?;
    let question = Question {
        store,
        system,
        filters,
        zone: system.zone(),
    };
    question.check(*report)?;
    if let (Some(from), Some(to)) = (filters.from, filters.to)
        && from > to
    {
        return Err(ReportError::Dates { from, to });
    }
    let mut table = report.answer(&question).await?;
    match filters.top {
        Some(top) => table.keep(top),
        None => table.may_be_cut = report.takes().contains(&Filter::Top),
    }
    Ok(table)
}
