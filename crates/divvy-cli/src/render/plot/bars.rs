//! Bars: one for each group, side by side for each series.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use divvy::reports::{Dim, Measure, WEEKDAY_NAMES};

use super::data::{NotDrawn, Plot};
use super::frame::{Drawing, Frame, Heading, LABEL, SMALL, Sheet, width_of};
use super::groups::{Columns, Groups};
use super::scale::{Scale, month_label};
use super::svg::{Anchor, Fill};
use super::words::{in_words, short};
use super::{ranking, text, words};
use crate::render::colours::{GAP, SOFT};

/// More names than these do not fit beside each other.
const MOST_NAMES: usize = 12;

/// A chart of bars on an axis.
pub(super) struct Chart {
    pub(super) heading: Heading,
    pub(super) scale: Scale,
    pub(super) across_title: String,
    pub(super) up_title: String,
    /// The labels of the groups.
    pub(super) labels: Vec<String>,
    /// The bars that stand beside each other in each group.
    pub(super) beside: usize,
    pub(super) bars: Vec<Bar>,
}

/// One bar.
pub(super) struct Bar {
    /// The index of its label.
    pub(super) label: usize,
    /// Its place beside the others of the group.
    pub(super) beside: usize,
    pub(super) value: f64,
    pub(super) fill: Fill,
    pub(super) tooltip: String,
}

/// Draws bars of a measure for the groups of a dimension.
pub(super) fn draw(
    plot: &Plot<'_>,
    across: Dim,
    up: Measure,
    sheet: Sheet,
) -> Result<Drawing, NotDrawn> {
    let columns = Columns::of(plot, across, up).ok_or_else(|| plot.nothing())?;
    let groups = Groups::read(plot, &columns)?;
    let is_long = columns.scale == Scale::Named && groups.labels.len() > MOST_NAMES;
    if is_long || columns.dim == Dim::Station {
        return Ok(ranking::draw(plot, &columns, &groups, sheet));
    }
    Ok(chart(plot, &columns, &groups).draw(sheet))
}

fn chart(plot: &Plot<'_>, columns: &Columns, groups: &Groups) -> Chart {
    let incomplete = incomplete_months(plot, columns);
    let bars = groups.values.iter().map(|((label, series), value)| {
        let colour = groups.colour_of(columns, *label, *series);
        let (label_text, name) = (&groups.labels[*label], &groups.series[*series].0);
        let is_incomplete = incomplete.contains(label_text);
        let separator = if name.is_empty() { "" } else { ", " };
        let (words, name) = (in_words(label_text), in_words(name));
        let note = if is_incomplete { " (not all days)" } else { "" };
        Bar {
            label: *label,
            beside: *series,
            value: *value,
            fill: match is_incomplete {
                true => Fill::Light(colour),
                false => Fill::Solid(colour),
            },
            tooltip: format!("{words}{separator}{name}: {}{note}", short(*value)),
        }
    });
    let bars: Vec<Bar> = bars.collect();
    let scope = plot.scope_with(&groups.left_out);
    let mut heading = Heading::new(columns.title(plot), scope, &groups.legend());
    let mut drawn = bars.iter();
    if drawn.any(|bar| matches!(bar.fill, Fill::Light(_))) {
        heading.legend.push(light_entry());
    }
    Chart {
        heading,
        scale: columns.scale,
        across_title: words::axis(columns.dim).into(),
        up_title: plot.axis_title(columns.measures[0]),
        labels: groups.labels.clone(),
        beside: groups.series.len(),
        bars,
    }
    .with_legend_of_gaps()
}

/// Returns the entry of a legend for times between archives.
pub(super) fn gap_entry() -> (String, Fill) {
    ("no trips stored".into(), Fill::Solid(GAP))
}

/// Returns the entry of a legend for months of which only some days are stored.
pub(super) fn light_entry() -> (String, Fill) {
    let text = "light: not all days of the month are stored";
    (text.into(), Fill::Light(SOFT))
}

/// Returns the months of which only some days are stored, where bars show sums over months.
fn incomplete_months<'a>(plot: &Plot<'a>, columns: &Columns) -> &'a [String] {
    match &plot.table.scope {
        Some(scope) if columns.dim == Dim::Month && plot.has_sum(columns.measures[0]) => {
            &scope.incomplete_months
        }
        _ => &[],
    }
}

impl Chart {
    /// Returns the places of the groups on the axis, and the first and the last place.
    fn places(&self) -> (Vec<i64>, i64, i64) {
        let places: Vec<i64> = (self.labels.iter().zip(0..))
            .map(|(label, at)| self.scale.place(label).unwrap_or(at))
            .collect();
        let first = places.iter().copied().min().unwrap_or(0);
        let last = places.iter().copied().max().unwrap_or(0);
        (places, first, last)
    }

    /// Adds what an area without months means, if there is one.
    pub(super) fn with_legend_of_gaps(mut self) -> Self {
        if !self.gaps().is_empty() {
            self.heading.legend.push(gap_entry());
        }
        self
    }

    /// Returns the months without a bar between others, from the first to the last of each gap. Other
    /// axes have none: an age without trips is one of which there are 0.
    fn gaps(&self) -> Vec<RangeInclusive<i64>> {
        if self.scale != Scale::Months {
            return Vec::new();
        }
        let places: BTreeSet<i64> = self.places().0.into_iter().collect();
        let following = places.iter().zip(places.iter().skip(1));
        let gaps = following.filter(|(before, after)| **after - **before > 1);
        gaps.map(|(before, after)| before + 1..=after - 1).collect()
    }

    pub(super) fn draw(&self, sheet: Sheet) -> Drawing {
        let mut frame = Frame::new(sheet, &self.heading, sheet.chart());
        let most = self.bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
        let y_of = frame.number_axis(&self.up_title, most);
        let (places, first, last) = self.places();
        let slots = (last - first + 1) as f64;
        let slot_width = frame.width() / slots;
        let most_width = sheet.pick(110.0, 70.0);
        let group_width = (slot_width * 0.82).min(most_width * self.beside as f64);
        let bar_width = group_width / self.beside as f64;
        let gap = (bar_width * 0.12).min(1.0);
        let middle = |place: i64| frame.left + slot_width * ((place - first) as f64 + 0.5);
        let middles: Vec<f64> = places.iter().map(|place| middle(*place)).collect();
        for gap in self.gaps() {
            let (from, to) = (*gap.start(), *gap.end());
            let tooltip = match from == to {
                true => format!("no trips stored of {}", month_label(from)),
                false => {
                    let months = [from, to].map(month_label);
                    format!("no trips stored from {} to {}", months[0], months[1])
                }
            };
            let at = (middle(from) - slot_width / 2.0, frame.top);
            let size = (slot_width * (to - from + 1) as f64, frame.height());
            frame.svg.rect(at, size, Fill::Solid(GAP), &tooltip);
        }
        for bar in &self.bars {
            let top = y_of(bar.value);
            let left = middles[bar.label] - group_width / 2.0 + bar_width * bar.beside as f64;
            let size = ((bar_width - gap).max(0.5), (frame.bottom - top).max(0.0));
            frame.svg.rect((left, top), size, bar.fill, &bar.tooltip);
        }
        frame.base_line();
        if self.scale == Scale::Named {
            self.write_names(&mut frame, &middles, slot_width);
        } else {
            let widest = match self.scale {
                Scale::Numbers => last.to_string(),
                _ => "2020-00".to_owned(),
            };
            let ticks = self.scale.ticks(first, last, frame.fitting(&widest));
            let left = frame.left;
            let x = |place: i64| left + slot_width * ((place - first) as f64 + 0.5);
            let ticks = ticks.into_iter().map(|(place, label)| (x(place), label));
            let ticks: Vec<_> = ticks.collect();
            frame.labels(&self.across_title, &ticks);
        }
        frame.finish()
    }

    /// Writes the names below the bars on up to two lines, cut to their width.
    fn write_names(&self, frame: &mut Frame, middles: &[f64], width: f64) {
        let most = width - 8.0;
        for (label, x) in self.labels.iter().zip(middles) {
            let words = in_words(label);
            let is_wide = width_of(&words) > most;
            let mut lines = if is_wide && WEEKDAY_NAMES.contains(&&*words) {
                vec![words[..3].to_owned()]
            } else if is_wide {
                text::wrap(&words, SMALL, most)
            } else {
                vec![words.to_string()]
            };
            if lines.len() > 2 {
                let rest = lines.split_off(1).join(" ");
                lines.push(rest);
            }
            for (index, line) in lines.iter().enumerate() {
                let at = (*x, frame.bottom + (SMALL + 4.0) * (index + 1) as f64);
                let cut = text::cut_middle(line, SMALL, most);
                let is_short = cut != *line || lines.len() == 1 && *line != words;
                let tooltip = if is_short { &*words } else { "" };
                let shown = (cut.as_str(), tooltip);
                frame.svg.short_text(at, LABEL, Anchor::Middle, shown);
            }
        }
        let middle = (frame.left + frame.right) / 2.0;
        let below = (middle, frame.bottom + 3.0 * (SMALL + 4.0));
        frame
            .svg
            .text(below, LABEL, Anchor::Middle, &self.across_title);
    }
}
