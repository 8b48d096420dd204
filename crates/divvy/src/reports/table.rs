//! The table that every report returns and every format writes.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::str::FromStr;

use jiff::civil::Date;

use super::column::{Column, Role, ValueKind};
use super::dims::{Dim, WEEKDAYS};
use super::picture::Map;
use super::value::Value;
use crate::model::System;
use crate::numerals::{grouped, plural};

/// One row of one report.
pub trait Row {
    /// Lists the columns.
    fn columns() -> Vec<Column>;

    /// Lists the values, one a column.
    fn values(self) -> Vec<Value>;
}

/// A sentence below a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// What was counted.
    Scope(String),
    /// Trips that were left out.
    LeftOut {
        /// How many.
        trips: i64,
        /// Why, each with the number of trips; `None` where that is not known.
        reasons: Vec<(String, Option<i64>)>,
    },
    /// A reason why the numbers may mislead.
    Warning(String),
}

impl Note {
    /// Returns whether the numbers may mislead.
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::Warning(_))
    }

    /// Returns the same sentence with the id of a system before it, unless it begins with its name.
    fn about(self, system: &System) -> Self {
        let text = self.text();
        if text.starts_with(&system.name) {
            return self;
        }
        let text = format!("{}: {text}", system.id);
        match self {
            Self::Warning(_) => Self::Warning(text),
            Self::Scope(_) | Self::LeftOut { .. } => Self::Scope(text),
        }
    }

    /// Returns the sentence.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Scope(text) | Self::Warning(text) => text.into(),
            Self::LeftOut { trips, reasons } => {
                let is_counted = reasons.iter().all(|(_, trips)| trips.is_some());
                let reasons = reasons.iter().map(|(why, trips)| {
                    let why = why.replace('_', " ");
                    match trips {
                        Some(trips) => format!("{} {why}", grouped(*trips)),
                        None => why,
                    }
                });
                let reasons: Vec<String> = reasons.collect();
                let between = if is_counted { ", " } else { " or " };
                format!(
                    "{} left out: {}",
                    plural(*trips, "trip"),
                    reasons.join(between)
                )
                .into()
            }
        }
    }
}

/// Which trips a report has counted, for programs; [`Note`]s state the same for people.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// The names of the archives from which the stored trips come, sorted.
    pub archives: Vec<String>,
    /// Stored trips.
    pub stored: i64,
    /// Trips that the filters let through. `None` without filters.
    pub counted: Option<i64>,
    /// The first and the last day on which a stored trip starts. `None` without trips.
    pub days: Option<(Date, Date)>,
    /// Months within the dates of the filters of which only some days are stored: `2021-01`.
    pub incomplete_months: Vec<String>,
}

/// A report, answered: every format shows the same one.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, each with one value a column.
    pub rows: Vec<Vec<Value>>,
    /// The number of rows that are left out.
    pub more: usize,
    /// A table for people may show the first rows only: they are the most important ones, and no
    /// number of rows was requested.
    pub may_be_cut: bool,
    /// What was counted and what was left out.
    pub notes: Vec<Note>,
    /// Which trips were counted. `None` for a report that counts none.
    pub scope: Option<Scope>,
    /// How it was counted, which `-v` prints: from the cube, or from the trips.
    pub how: String,
    /// The positions of its stations, for a picture. `None` for a report without stations.
    pub map: Option<Map>,
}

impl Table {
    /// Returns some columns by their names, in that order, without notes. Names that it does not have are
    /// left out.
    pub fn with_columns(mut self, names: &[&str]) -> Self {
        let position = |name: &&str| self.columns.iter().position(|column| column.name == *name);
        let kept: Vec<usize> = names.iter().filter_map(position).collect();
        let take = |row: &mut Vec<Value>| {
            kept.iter()
                .map(|at| std::mem::replace(&mut row[*at], Value::Empty))
                .collect()
        };
        self.rows = self.rows.iter_mut().map(take).collect();
        self.columns = kept.iter().map(|at| self.columns[*at]).collect();
        self.notes.clear();
        self.more = 0;
        self
    }

    /// Makes a table of rows of one type.
    pub fn new<R: Row>(rows: impl IntoIterator<Item = R>, notes: Vec<Note>) -> Self {
        let rows = rows.into_iter().map(R::values).collect();
        Self::of(R::columns(), rows, notes)
    }

    /// Makes a table of rows that have a value for each of the columns.
    pub fn of(columns: Vec<Column>, rows: Vec<Vec<Value>>, notes: Vec<Note>) -> Self {
        Self {
            columns,
            rows,
            more: 0,
            may_be_cut: false,
            notes,
            scope: None,
            how: String::new(),
            map: None,
        }
    }

    /// Makes one table of those of several systems: their rows one below the other, with the id of the
    /// system in a first column, and all notes. It has no map, and does not state which trips were
    /// counted.
    pub fn stacked(tables: Vec<(System, Self)>) -> Self {
        let mut stacked = Self::of(Vec::new(), Vec::new(), Vec::new());
        for (system, table) in tables {
            let Self {
                columns,
                rows,
                more,
                may_be_cut,
                notes,
                how,
                ..
            } = table;
            let id = system.id.as_str();
            let first = Column::new("system", ValueKind::Text).defined("the id of the system");
            stacked.columns = std::iter::once(first).chain(columns).collect();
            let rows = rows.into_iter();
            let rows = rows.map(|row| std::iter::once(id.into()).chain(row).collect());
            stacked.rows.extend(rows);
            stacked.more += more;
            stacked.may_be_cut |= may_be_cut;
            let notes = notes.into_iter().map(|note| note.about(&system));
            stacked.notes.extend(notes);
            let between = if stacked.how.is_empty() { "" } else { "; " };
            stacked.how += &format!("{between}{id}: {how}");
        }
        stacked
    }

    /// Sorts the rows by a column. `None` if there is no such column.
    pub(super) fn sort(&mut self, sort: &Sort) -> Option<()> {
        let columns = &self.columns;
        let named = columns.iter().position(|column| column.name == sort.column);
        let headed = || {
            columns
                .iter()
                .position(|column| column.is_called(&sort.column))
        };
        let place = named.or_else(headed)?;
        let column = self.columns[place];
        let descending = sort.descending.unwrap_or(column.kind.is_numeric());
        self.rows.sort_by(|a, b| {
            let (a, b) = (&a[place], &b[place]);
            // Rows without a value come last in both directions.
            let unknown = |value: &Value| matches!(value, Value::Empty);
            unknown(a).cmp(&unknown(b)).then_with(|| {
                if descending {
                    column.compare(b, a)
                } else {
                    column.compare(a, b)
                }
            })
        });
        Some(())
    }

    /// Keeps the first rows only.
    pub fn keep(&mut self, rows: usize) {
        self.more += self.rows.len().saturating_sub(rows);
        self.rows.truncate(rows);
    }
}

impl Column {
    /// Compares two of its values: weekdays in the order of the week, others by their values.
    fn compare(&self, a: &Value, b: &Value) -> Ordering {
        match (self.role, a, b) {
            (Role::Group(Dim::Weekday), Value::Text(a), Value::Text(b)) => {
                let day = |text: &String| WEEKDAYS.iter().position(|day| day == text);
                day(a).cmp(&day(b))
            }
            _ => a.cmp_values(b),
        }
    }
}

/// An order of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The column: its name or its heading.
    pub column: String,
    /// The direction. `None` for numbers from the largest down, texts from A on and weekdays from
    /// Monday on.
    pub descending: Option<bool>,
}

impl FromStr for Sort {
    type Err = std::convert::Infallible;

    /// Takes a column's name, and `:asc` or `:desc` behind it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (column, descending) = match text.rsplit_once(':') {
            Some((column, "asc")) => (column, Some(false)),
            Some((column, "desc")) => (column, Some(true)),
            _ => (text, None),
        };
        Ok(Self {
            column: column.into(),
            descending,
        })
    }
}
