//! The input of pictures: a report's answer, with its columns by their roles.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use divvy::model::System;
use divvy::reports::{
    self, Dim, Filters, Measure, Picture, Report, Role, Table, Value, ValueKind, plural,
};

use super::base::Base;
use super::words::capitalized;
use crate::render::colours::NOT_STATED;
use crate::render::people;

/// A report's answer that is to be drawn.
pub struct Plot<'a> {
    /// The name of the report.
    pub(super) report: String,
    /// What the report shows.
    pub(super) about: String,
    /// The user has defined the report.
    pub(super) is_own: bool,
    /// Which trips are counted.
    pub(super) scope: String,
    pub(super) picture: Picture,
    pub(super) table: &'a Table,
    /// The filters, groups and order of the answer.
    pub(super) filters: &'a Filters,
    /// Durations in seconds, ascending, and the number of trips of each. For histograms alone.
    pub(super) durations: Option<Vec<(i64, i64)>>,
    /// What is drawn below the stations of a map.
    pub(super) base: Option<&'a Base>,
}

/// Why there is no picture.
#[derive(Debug)]
pub enum NotDrawn {
    /// No row has anything to show, for this reason.
    Nothing(String),
    /// The picture has no place for what was asked for.
    Refused {
        /// The report.
        report: String,
        /// What the picture shows, and what to ask instead.
        why: String,
    },
}

impl fmt::Display for NotDrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing(why) => write!(f, "there is nothing to draw: {why}"),
            Self::Refused { report, why } => write!(f, "the picture of \"{report}\" {why}"),
        }
    }
}

impl std::error::Error for NotDrawn {}

impl<'a> Plot<'a> {
    /// Makes the plot of an answer to `filters`. `durations` are seconds, ascending, and the number of
    /// trips of each: for pictures that are histograms.
    pub fn new(
        report: &dyn Report,
        picture: Picture,
        table: &'a Table,
        durations: Option<Vec<(i64, i64)>>,
        (system, filters): (&System, &'a Filters),
    ) -> Self {
        let scope = table.notes.iter().find(|note| !note.is_warning());
        let scope = scope.map(|note| note.text().into_owned());
        let mut scope = scope.unwrap_or_else(|| system.name.clone());
        let filtered = filters.to_string();
        if !scope.contains(&filtered) {
            scope += &format!("; {filtered}");
        }
        // A map shows all stations, whatever the number of rows.
        if table.more > 0 && picture != Picture::StationMap {
            let more = plural(table.more as i64, "more row");
            scope += &format!("; {more} not drawn");
        }
        Self {
            report: report.name().to_owned(),
            about: capitalized(report.about()),
            is_own: reports::find(report.name()).is_err(),
            scope,
            picture,
            table,
            filters,
            durations,
            base: None,
        }
    }

    /// Sets what is drawn below the stations of a map.
    pub fn with_base(self, base: Option<&'a Base>) -> Self {
        Self { base, ..self }
    }

    /// Returns why nothing can be drawn: which filters let no trip through.
    pub(super) fn nothing(&self) -> NotDrawn {
        let filters = self.filters.to_string();
        NotDrawn::Nothing(match (self.table.rows.is_empty(), filters.as_str()) {
            (true, "") => "no trip is stored that the report counts".into(),
            (_, "") => "no row has a number for the picture".into(),
            (_, filters) => format!("no trips match ({filters})"),
        })
    }

    /// Returns the refusal of what was asked for.
    pub(super) fn refused(&self, why: impl Into<String>) -> NotDrawn {
        NotDrawn::Refused {
            report: self.report.clone(),
            why: why.into(),
        }
    }

    /// Returns the index of a column. `None` for a table without one of that role.
    pub(super) fn column(&self, role: Role) -> Option<usize> {
        let mut columns = self.table.columns.iter();
        columns.position(|column| column.role == role)
    }

    /// Returns the columns of groups, each with its dimension, from left to right.
    pub(super) fn groups(&self) -> Vec<(usize, Dim)> {
        let columns = self.table.columns.iter().enumerate();
        let groups = columns.filter_map(|(at, column)| match column.role {
            Role::Group(dim) => Some((at, dim)),
            _ => None,
        });
        groups.collect()
    }

    /// Returns the column that the rows are sorted by, if it has numbers that bars can show.
    pub(super) fn sorted_measure(&self) -> Option<usize> {
        let sort = self.filters.sort.as_ref()?;
        let mut columns = self.table.columns.iter();
        columns.position(|column| {
            let is_shown = matches!(
                column.kind,
                ValueKind::Count
                    | ValueKind::Rate
                    | ValueKind::Seconds
                    | ValueKind::Share
                    | ValueKind::Meters
            );
            column.name == sort.column && is_shown
        })
    }

    /// Returns the label of a row's group: for a station its name, else its id.
    pub(super) fn label_of(&self, row: &[Value], group: usize) -> String {
        match (&row[group], self.table.columns[group].role) {
            (Value::Empty, Role::Group(Dim::Station)) => {
                let id = self.column(Role::StationId);
                id.map_or_else(|| NOT_STATED.to_owned(), |id| label(&row[id]))
            }
            (value, _) => label(value),
        }
    }

    /// Returns the title of the axis of a measure, with its unit.
    pub(super) fn axis_title(&self, measure: usize) -> String {
        let column = &self.table.columns[measure];
        let name = column.name.replace('_', " ");
        match (column.role, column.kind) {
            (Role::Measure(Measure::PerDay), _) => "trips per day".into(),
            (Role::Measure(Measure::Starts | Measure::Stops), _) => "trips".into(),
            (_, ValueKind::Seconds) => format!("{} (minutes)", column.heading()),
            (_, ValueKind::Meters) => format!("{} (km)", column.heading()),
            (_, ValueKind::Share) => format!("{name} (%)"),
            _ => name,
        }
    }

    /// Returns a row's value of a measure in the unit of its axis. `None` if it is no number.
    pub(super) fn scaled(&self, row: &[Value], measure: usize) -> Option<f64> {
        let value = row[measure].number()?;
        Some(match self.table.columns[measure].kind {
            ValueKind::Seconds => value / 60.0,
            ValueKind::Meters => value / 1000.0,
            ValueKind::Share => value * 100.0,
            _ => value,
        })
    }

    /// Returns whether values of a measure can be added up: fractions and means have no sum.
    pub(super) fn has_sum(&self, measure: usize) -> bool {
        self.table.columns[measure].kind == ValueKind::Count
    }

    /// Adds a value of a measure to those at a key.
    ///
    /// # Errors
    ///
    /// There is a value at the key, and those of the measure have no sum.
    pub(super) fn add<K: Ord>(
        &self,
        values: &mut BTreeMap<K, f64>,
        key: K,
        measure: usize,
        value: f64,
    ) -> Result<(), NotDrawn> {
        match values.entry(key) {
            Entry::Vacant(first) => {
                first.insert(value);
            }
            Entry::Occupied(mut sum) if self.has_sum(measure) => *sum.get_mut() += value,
            Entry::Occupied(_) => {
                let name = self.table.columns[measure].name;
                return Err(self.refused(format!(
                    "shows two groups, and values of {name} cannot be added up over a third: \
                     group by fewer with --by"
                )));
            }
        }
        Ok(())
    }

    /// Returns the scope with further sentences.
    pub(super) fn scope_with(&self, more: &[String]) -> String {
        let mut scope = self.scope.clone();
        for sentence in more {
            scope += "; ";
            scope += sentence;
        }
        scope
    }
}

/// Formats a group's value for people.
pub(super) fn label(value: &Value) -> String {
    match value {
        Value::Empty => NOT_STATED.into(),
        value => people::text(ValueKind::Ordinal, value),
    }
}

/// Returns the index of a text in a list. Appends the text if it is missing.
pub(super) fn index_of(list: &mut Vec<String>, text: String) -> usize {
    let known = list.iter().position(|known| *known == text);
    known.unwrap_or_else(|| {
        list.push(text);
        list.len() - 1
    })
}
