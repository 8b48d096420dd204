//! Numbers by group and series, as bars and lines show them.

use std::collections::BTreeMap;

use divvy::reports::{Dim, Measure, Role, Value, plural};

use super::data::{NotDrawn, Plot, index_of};
use super::scale::{Scale, is_stated};
use super::words;
use crate::render::colours::{ALL, Colour, NONE, NOT_STATED, OTHERS, assign};

/// The largest number of series in a picture: readers do not distinguish more colours.
const MOST_SERIES: usize = 8;

/// Which columns are shown, by their indices.
pub(super) struct Columns {
    /// The one whose values lie along the axis.
    pub(super) across: usize,
    /// Its dimension.
    pub(super) dim: Dim,
    /// The one whose values have different colours. `None` without a second group.
    by: Option<usize>,
    /// Those whose numbers are shown, a series each. One alone where `by` makes the series.
    pub(super) measures: Vec<usize>,
    pub(super) scale: Scale,
}

/// Numbers by group and series.
pub(super) struct Groups {
    /// Labels of the groups, in the order of the rows.
    pub(super) labels: Vec<String>,
    /// Names of the series in the order of the legend, each with its colour. A single one may be
    /// empty.
    pub(super) series: Vec<(String, Colour)>,
    /// By the indices of label and series.
    pub(super) values: BTreeMap<(usize, usize), f64>,
    /// What is left out, in sentences.
    pub(super) left_out: Vec<String>,
}

impl Columns {
    /// Returns the columns of a picture of `up`. Groups of `across` lie along the axis if the rows have
    /// them; otherwise those of a time, a number or a station; otherwise the first ones. `None` for a
    /// table without groups or that measure.
    pub(super) fn of(plot: &Plot<'_>, across: Dim, up: Measure) -> Option<Self> {
        let groups = plot.groups();
        let axes = [
            across,
            Dim::Date,
            Dim::Month,
            Dim::Year,
            Dim::Hour,
            Dim::Weekday,
            Dim::Age,
            Dim::BirthYear,
            Dim::Station,
        ];
        let at = |dim: Dim| groups.iter().find(|(_, other)| *other == dim).copied();
        let (across, dim) = axes.into_iter().find_map(at).or(groups.first().copied())?;
        let others = groups.iter().filter(|(at, _)| *at != across);
        let is_named = |dim: Dim| matches!(dim, Dim::Rider | Dim::Bike | Dim::Gender);
        let by = others
            .clone()
            .find(|(_, dim)| is_named(*dim))
            .or_else(|| others.clone().next())
            .map(|(at, _)| *at);
        let measure = plot.sorted_measure();
        let measure = measure.or_else(|| plot.column(Role::Measure(up)))?;
        let mut measures = vec![measure];
        let shown = plot.table.columns[measure].role;
        if by.is_none() && shown == Role::Measure(Measure::Starts) {
            measures.push(plot.column(Role::Measure(Measure::Stops))?);
        }
        let kind = plot.table.columns[across].kind;
        Some(Self {
            across,
            dim,
            by,
            measures,
            scale: Scale::of(dim, kind, plot.filters.sort.is_some()),
        })
    }

    /// Returns the title of the picture: what it shows, by which groups.
    pub(super) fn title(&self, plot: &Plot<'_>) -> String {
        if plot.is_own && plot.filters.by.is_empty() {
            return plot.about.clone();
        }
        let column = &plot.table.columns[self.measures[0]];
        let what = match column.role {
            _ if self.measures.len() > 1 => "Departures and arrivals".to_owned(),
            Role::Measure(measure) => words::measure(measure).to_owned(),
            _ => super::words::capitalized(&column.heading()),
        };
        let mut title = format!("{what} by {}", words::dim(self.dim));
        if let Some(Role::Group(by)) = self.by.map(|by| plot.table.columns[by].role) {
            title += &format!(" and {}", words::dim(by));
        }
        title
    }
}

impl Groups {
    /// Reads the rows. Trips whose files do not state a number are no part of an axis of numbers: they
    /// are counted in a sentence.
    ///
    /// # Errors
    ///
    /// There is nothing to show, or rows cannot be added up to one number.
    pub(super) fn read(plot: &Plot<'_>, columns: &Columns) -> Result<Self, NotDrawn> {
        let (mut labels, mut names) = (Vec::new(), Vec::new());
        // Two stations may have the same name.
        let id = plot.column(Role::StationId);
        let id = id.filter(|_| columns.dim == Dim::Station);
        let mut keys = Vec::new();
        let mut values = BTreeMap::new();
        let mut not_stated = 0.0;
        for row in &plot.table.rows {
            for measure in &columns.measures {
                let Some(value) = plot.scaled(row, *measure) else {
                    continue;
                };
                let name = series_of(plot, columns, row, *measure);
                let label = plot.label_of(row, columns.across);
                if columns.is_number() && !is_stated(&label) {
                    not_stated += value;
                    continue;
                }
                let key = id.map_or_else(|| label.clone(), |id| plot.label_of(row, id));
                let at = index_of(&mut keys, key);
                if at == labels.len() {
                    labels.push(label);
                }
                let key = (at, index_of(&mut names, name));
                plot.add(&mut values, key, *measure, value)?;
            }
        }
        let left_out = columns.not_stated(plot, not_stated);
        if !labels.iter().any(|label| is_stated(label)) {
            let dim = words::dim(columns.dim);
            return Err(if not_stated > 0.0 || !labels.is_empty() {
                NotDrawn::Nothing(format!("no file states the {dim} of these trips"))
            } else {
                plot.nothing()
            });
        }
        let mut groups = Self {
            labels,
            series: Vec::new(),
            values,
            left_out,
        };
        if groups.most() <= 0.0 {
            return Err(plot.nothing());
        }
        groups.limit(&mut names, plot.has_sum(columns.measures[0]));
        groups.colour(&names);
        Ok(groups)
    }

    /// Adds the smallest series up where there are too many. Those that cannot be added up are left
    /// out.
    fn limit(&mut self, names: &mut Vec<String>, has_sum: bool) {
        if names.len() <= MOST_SERIES {
            return;
        }
        let mut sums = vec![0.0; names.len()];
        for ((_, series), value) in &self.values {
            sums[*series] += value;
        }
        let mut largest: Vec<usize> = (0..names.len()).collect();
        largest.sort_by(|a, b| sums[*b].total_cmp(&sums[*a]));
        largest.truncate(MOST_SERIES - 1);
        let rest = largest.len();
        let mut values: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        for ((label, series), value) in &self.values {
            match largest.iter().position(|it| it == series) {
                Some(at) => {
                    values.insert((*label, at), *value);
                }
                None if has_sum => *values.entry((*label, rest)).or_default() += value,
                None => {}
            }
        }
        let smaller = plural((names.len() - rest) as i64, "smaller group");
        let together = if has_sum {
            "drawn together"
        } else {
            "not drawn"
        };
        self.left_out.push(format!("{smaller} {together}"));
        *names = largest.into_iter().map(|at| names[at].clone()).collect();
        if has_sum {
            names.push(OTHERS.into());
        }
        self.values = values;
    }

    /// Puts the series in the order of the legend.
    fn colour(&mut self, names: &[String]) {
        self.series = match names {
            // One series that has no name: all trips, or those of a picture without second groups.
            [name] if name.is_empty() => vec![(String::new(), ALL)],
            names => assign(names),
        };
        let order = |old: usize| self.series.iter().position(|(name, _)| *name == names[old]);
        let values = self.values.iter();
        let values =
            values.filter_map(|((label, old), value)| Some(((*label, order(*old)?), *value)));
        self.values = values.collect();
    }

    /// Returns the largest number.
    pub(super) fn most(&self) -> f64 {
        self.values.values().copied().fold(0.0, f64::max)
    }

    /// Returns the legend: empty for a single series without a name.
    pub(super) fn legend(&self) -> Vec<(String, Colour)> {
        let series = self.series.iter().filter(|(name, _)| !name.is_empty());
        series.cloned().collect()
    }

    /// Returns the colour of a bar: where the groups themselves are kinds of riders, bikes or genders,
    /// that of the group.
    pub(super) fn colour_of(&self, columns: &Columns, label: usize, series: usize) -> Colour {
        let (name, colour) = &self.series[series];
        let label = &self.labels[label];
        let is_kind = matches!(columns.dim, Dim::Rider | Dim::Bike | Dim::Gender);
        match (name.is_empty(), is_kind) {
            (true, _) if label == NOT_STATED => NONE,
            (true, true) => {
                let assigned = assign(&self.labels).into_iter();
                let found = assigned.filter(|(it, _)| it == label).map(|it| it.1).next();
                found.unwrap_or(*colour)
            }
            _ => *colour,
        }
    }
}

impl Columns {
    /// Returns whether values that are not stated have no place on the axis.
    fn is_number(&self) -> bool {
        matches!(
            self.dim,
            Dim::Age | Dim::BirthYear | Dim::Year | Dim::Hour | Dim::Month | Dim::Date
        )
    }

    /// Says how many trips have no place on the axis.
    fn not_stated(&self, plot: &Plot<'_>, sum: f64) -> Vec<String> {
        let dim = words::dim(self.dim);
        let text = match plot.has_sum(self.measures[0]) {
            _ if sum <= 0.0 => return Vec::new(),
            true => format!(
                "{} without a stated {dim} not drawn",
                plural(sum as i64, "trip")
            ),
            false => format!("trips without a stated {dim} not drawn"),
        };
        vec![text]
    }
}

/// Returns the name of the series of a row's measure.
fn series_of(plot: &Plot<'_>, columns: &Columns, row: &[Value], measure: usize) -> String {
    match columns.by {
        Some(by) => plot.label_of(row, by),
        None if columns.measures.len() > 1 => plot.table.columns[measure].heading(),
        None => String::new(),
    }
}
