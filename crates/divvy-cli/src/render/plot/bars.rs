//! Bars: one for each value of a column, side by side for each series.

use std::collections::BTreeMap;

use divvy::reports::{Dim, Measure, Role, ValueKind};

use super::colours::Colour;
use super::data::{NOT_STATED, Plot, index_of, label, short};
use super::frame::{Drawing, Frame, Layout};

/// The columns that are shown, by their indices.
struct Columns {
    /// The one whose values run from left to right.
    across: usize,
    /// The one whose values have different colours. `None` without a second group.
    by: Option<usize>,
    /// Those whose numbers are shown, a series each. One alone where `by` makes the series.
    measures: Vec<usize>,
}

/// Numbers by bar and series.
struct Bars {
    /// Labels of the bars.
    labels: Vec<String>,
    /// Names of the series. A single one may be empty.
    series: Vec<String>,
    /// By the indices of label and series.
    values: BTreeMap<(usize, usize), f64>,
}

/// Draws bars of a measure from left to right for the groups of a dimension. `None` if there is
/// nothing to show.
pub(super) fn draw(plot: &Plot<'_>, across: Dim, up: Measure, layout: Layout) -> Option<Drawing> {
    let columns = Columns::of(plot, across, up)?;
    let bars = Bars::read(plot, &columns)?;
    Some(bars.draw(plot, &columns, layout))
}

impl Columns {
    /// Returns the columns. The first one runs from left to right where the rows are not grouped by
    /// `across`.
    fn of(plot: &Plot<'_>, across: Dim, up: Measure) -> Option<Self> {
        let columns = &plot.table.columns;
        let groups = (columns.iter())
            .take_while(|column| !column.kind.is_numeric() || column.kind == ValueKind::Ordinal)
            .count();
        let across = plot.column(Role::Group(across));
        let across = across.filter(|at| *at < groups).unwrap_or(0);
        let measure = plot.column(Role::Measure(up))?;
        let is_series = |at: &usize| {
            let is_detail = matches!(
                columns[*at].role,
                Role::Group(Dim::BirthYear | Dim::Station) | Role::StationId
            );
            *at != across && !is_detail
        };
        let by = (0..groups).find(is_series);
        let mut measures = vec![measure];
        if by.is_none() && up == Measure::Starts {
            measures.push(plot.column(Role::Measure(Measure::Stops))?);
        }
        Some(Self {
            across,
            by,
            measures,
        })
    }
}

impl Bars {
    /// Reads the rows. `None` where no row has a number and a stated group, and where rows cannot
    /// be added up to one bar.
    fn read(plot: &Plot<'_>, columns: &Columns) -> Option<Self> {
        let (mut labels, mut series) = (Vec::new(), Vec::new());
        let mut values = BTreeMap::new();
        for row in &plot.table.rows {
            for measure in &columns.measures {
                let Some(value) = plot.scaled(row, *measure) else {
                    continue;
                };
                let name = match columns.by {
                    Some(by) => label(&row[by]),
                    None if columns.measures.len() > 1 => plot.table.columns[*measure].name.into(),
                    None => String::new(),
                };
                let bar = index_of(&mut labels, label(&row[columns.across]));
                let key = (bar, index_of(&mut series, name));
                plot.add(&mut values, key, *measure, value)?;
            }
        }
        let is_stated = labels.iter().any(|label| label != NOT_STATED);
        is_stated.then_some(Self {
            labels,
            series,
            values,
        })
    }

    /// Returns the indices of the bars from left to right: numbers ascending, names as in the
    /// report.
    fn order(&self, across: ValueKind) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        if across == ValueKind::Ordinal {
            order.sort_by_key(|bar| self.labels[*bar].parse::<i64>().unwrap_or(i64::MAX));
        }
        order
    }

    fn legend(&self) -> Vec<(String, Colour)> {
        if self.series.len() == 1 {
            return Vec::new();
        }
        let series = self.series.iter().enumerate();
        series
            .map(|(index, name)| (name.clone(), Colour::of_series(index)))
            .collect()
    }

    fn draw(&self, plot: &Plot<'_>, columns: &Columns, layout: Layout) -> Drawing {
        let across = &plot.table.columns[columns.across];
        let size = (layout.width(), layout.pick(520.0, 380.0));
        let mut frame = Frame::new(&plot.title, &plot.scope, size, &self.legend());
        let most = self.values.values().copied().fold(0.0, f64::max);
        let y_of = frame.number_axis(&plot.axis_title(columns.measures[0]), most);
        let group_width = frame.width() / self.labels.len() as f64;
        let bar_width = group_width * 0.82 / self.series.len() as f64;
        let mut labels = Vec::new();
        for (slot, bar) in self.order(across.kind).into_iter().enumerate() {
            let left = frame.left + group_width * slot as f64;
            for (index, series) in self.series.iter().enumerate() {
                let Some(value) = self.values.get(&(bar, index)) else {
                    continue;
                };
                let top = y_of(*value);
                let at = (left + group_width * 0.09 + bar_width * index as f64, top);
                let size = ((bar_width - 0.6).max(0.6), (frame.bottom - top).max(0.0));
                let separator = if series.is_empty() { "" } else { ", " };
                let label = &self.labels[bar];
                let tooltip = format!("{label}{separator}{series}: {}", short(*value));
                frame.svg.rect(at, size, Colour::of_series(index), &tooltip);
            }
            labels.push((left + group_width / 2.0, self.labels[bar].clone()));
        }
        frame.base_line();
        let title = match across.role {
            Role::Group(Dim::Age) => "age (years)".into(),
            Role::Group(Dim::Hour) => "hour of the day (local time)".into(),
            _ => across.name.replace('_', " "),
        };
        frame.labels(&title, &labels);
        frame.finish()
    }
}
