//! The input of pictures: a report's answer, with its columns by their roles.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use divvy::model::System;
use divvy::reports::{Measure, Picture, Report, Role, Table, Value, ValueKind, grouped};

use super::frame::number;
use crate::render::people;

/// A report's answer that is to be drawn.
pub struct Plot<'a> {
    /// What the report shows.
    pub(super) title: String,
    /// Which trips are counted.
    pub(super) scope: String,
    pub(super) picture: Picture,
    pub(super) table: &'a Table,
    /// Durations in seconds, ascending, and the number of trips of each. For histograms alone.
    pub(super) durations: Option<Vec<(i64, i64)>>,
}

impl<'a> Plot<'a> {
    /// Makes the plot of an answer. `durations` are seconds, ascending, and the number of trips of each: for
    /// pictures that are histograms.
    pub fn new(
        report: &dyn Report,
        picture: Picture,
        table: &'a Table,
        durations: Option<Vec<(i64, i64)>>,
        system: &System,
    ) -> Self {
        let scope = table.notes.iter().find(|note| !note.is_warning());
        let scope = scope.map(|note| note.text().into_owned());
        let mut title = report.about().to_owned();
        if let Some(first) = title.get(..1) {
            title = first.to_uppercase() + &title[1..];
        }
        Self {
            title,
            scope: scope.unwrap_or_else(|| system.name.clone()),
            picture,
            table,
            durations,
        }
    }

    /// Returns the index of a column. `None` for a table without one of that role.
    pub(super) fn column(&self, role: Role) -> Option<usize> {
        let mut columns = self.table.columns.iter();
        columns.position(|column| column.role == role)
    }

    /// Returns the title of the axis of a measure, with its unit.
    pub(super) fn axis_title(&self, measure: usize) -> String {
        let column = &self.table.columns[measure];
        let name = column.name.replace('_', " ");
        match (column.role, column.kind) {
            (Role::Measure(Measure::PerDay), _) => "trips per day".into(),
            (Role::Measure(Measure::Starts | Measure::Stops), _) => "trips".into(),
            (_, ValueKind::Seconds) => format!("{} (minutes)", column.heading()),
            (_, ValueKind::Meters) => format!("{} (metres)", column.heading()),
            (_, ValueKind::Share) => format!("{name} (%)"),
            _ => name,
        }
    }

    /// Returns a row's value of a measure in the unit of its axis. `None` if it is no number.
    pub(super) fn scaled(&self, row: &[Value], measure: usize) -> Option<f64> {
        let value = row[measure].number()?;
        Some(match self.table.columns[measure].kind {
            ValueKind::Seconds => value / 60.0,
            ValueKind::Share => value * 100.0,
            _ => value,
        })
    }

    /// Adds a value of a measure to those at a key. `None` for a second value at a key if the measure
    /// is no count: fractions and means have no sum.
    pub(super) fn add(
        &self,
        values: &mut BTreeMap<(usize, usize), f64>,
        key: (usize, usize),
        measure: usize,
        value: f64,
    ) -> Option<()> {
        match values.entry(key) {
            Entry::Vacant(first) => {
                first.insert(value);
            }
            Entry::Occupied(mut sum) if self.table.columns[measure].kind == ValueKind::Count => {
                *sum.get_mut() += value;
            }
            Entry::Occupied(_) => return None,
        }
        Some(())
    }
}

/// The label of a group of trips for which the files do not state the value.
pub(super) const NOT_STATED: &str = "not stated";

/// Formats a group's value for people.
pub(super) fn label(value: &Value) -> String {
    match value {
        Value::Empty => NOT_STATED.into(),
        value => people::text(ValueKind::Ordinal, value),
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

/// Returns the index of a text in a list. Appends the text if it is missing.
pub(super) fn index_of(list: &mut Vec<String>, text: String) -> usize {
    let known = list.iter().position(|known| *known == text);
    known.unwrap_or_else(|| {
        list.push(text);
        list.len() - 1
    })
}
