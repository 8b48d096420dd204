//! Numbers by date: a thin line of days, and a thick one of their means over seven days.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use divvy::reports::{Dim, Measure};

use super::bars::gap_entry;
use super::data::{NotDrawn, Plot};
use super::frame::{Drawing, Frame, Heading, Sheet};
use super::groups::{Columns, Groups};
use super::scale::{Scale, date_of};
use super::svg::{Fill, Point, Stroke};
use super::words;
use super::words::{in_words, short};
use crate::render::colours::{Colour, GAP};

/// Numbers by days since 1970-01-01.
type Days = BTreeMap<i64, f64>;

/// A longer time without trips is a gap between archives: no line runs through it.
const WEEK: i64 = 7;

/// Draws lines of a measure over dates.
pub(super) fn draw(plot: &Plot<'_>, up: Measure, sheet: Sheet) -> Result<Drawing, NotDrawn> {
    let columns = Columns::of(plot, Dim::Date, up).ok_or_else(|| plot.nothing())?;
    let groups = Groups::read(plot, &columns)?;
    let mut series: Vec<Days> = vec![Days::new(); groups.series.len()];
    for ((label, at), value) in &groups.values {
        if let Some(day) = Scale::Dates.place(&groups.labels[*label]) {
            series[*at].insert(day, *value);
        }
    }
    let days: BTreeSet<i64> = series.iter().flatten().map(|(day, _)| *day).collect();
    let (Some(first), Some(last)) = (days.first().copied(), days.last().copied()) else {
        return Err(plot.nothing());
    };
    let spans = spans(&days);
    let scope = plot.scope_with(&groups.left_out);
    let mut heading = Heading::new(columns.title(plot), scope, &groups.legend());
    let (long, short) = ("thick: mean of 7 days", "thin: each day");
    heading.title += &format!(" ({long}, {short})");
    if spans.len() > 1 {
        heading.legend.push(gap_entry());
    }
    let mut frame = Frame::new(sheet, &heading, sheet.chart());
    let is_sum = plot.has_sum(columns.measures[0]);
    let unit = plot.axis_title(columns.measures[0]);
    let unit = if is_sum {
        format!("{unit} per day")
    } else {
        unit
    };
    let y_of = frame.number_axis(&unit, groups.most());
    let (left, width) = (frame.left + 6.0, frame.width() - 22.0);
    let length = (last - first).max(1) as f64;
    let x_of = |day: f64| left + width * (day - first as f64) / length;
    draw_gaps(&mut frame, &spans, &x_of);
    let point = |day: i64, value: f64| (x_of(day as f64), y_of(value));
    for (days, (name, colour)) in series.iter().zip(&groups.series) {
        for span in &spans {
            let line = Line {
                days,
                name: &in_words(name),
                colour: *colour,
                is_sum,
            };
            line.draw(&mut frame, span, &point);
        }
    }
    frame.base_line();
    let widest = if last - first > 92 {
        "2020-00"
    } else {
        "2020-00-00"
    };
    let ticks = Scale::Dates.ticks(first, last, frame.fitting(widest));
    let ticks = ticks
        .into_iter()
        .map(|(day, label)| (point(day, 0.0).0, label));
    let ticks: Vec<(f64, String)> = ticks.collect();
    frame.labels(words::axis(Dim::Date), &ticks);
    Ok(frame.finish())
}

/// Splits the days of all series into spans: a missing day has no trips, but a missing week is a gap
/// between archives.
fn spans(days: &BTreeSet<i64>) -> Vec<RangeInclusive<i64>> {
    let mut spans: Vec<RangeInclusive<i64>> = Vec::new();
    for day in days {
        match spans.last_mut() {
            Some(span) if day - span.end() <= WEEK => *span = *span.start()..=*day,
            _ => spans.push(*day..=*day),
        }
    }
    spans
}

/// Draws an area for each time between two spans.
fn draw_gaps(frame: &mut Frame, spans: &[RangeInclusive<i64>], x_of: &dyn Fn(f64) -> f64) {
    for pair in spans.windows(2) {
        let from = x_of(*pair[0].end() as f64 + 0.5);
        let to = x_of(*pair[1].start() as f64 - 0.5);
        let (first, last) = (date_of(pair[0].end() + 1), date_of(pair[1].start() - 1));
        let tooltip = format!("no trips stored from {first} to {last}");
        let size = (to - from, frame.height());
        let top = frame.top;
        frame
            .svg
            .rect((from, top), size, Fill::Solid(GAP), &tooltip);
    }
}

/// One series.
struct Line<'a> {
    days: &'a Days,
    name: &'a str,
    colour: Colour,
    /// A missing day is one without trips. Otherwise it has no number.
    is_sum: bool,
}

impl Line<'_> {
    fn value(&self, day: i64) -> Option<f64> {
        let value = self.days.get(&day).copied();
        value.or(self.is_sum.then_some(0.0))
    }

    /// Returns the mean of up to seven days around a day. `None` if none of them has a number.
    fn mean(&self, day: i64, (first, last): (i64, i64)) -> Option<f64> {
        let near = (day - 3).max(first)..=(day + 3).min(last);
        let values: Vec<f64> = near.filter_map(|day| self.value(day)).collect();
        let n = values.len() as f64;
        (n > 0.0).then(|| values.iter().sum::<f64>() / n)
    }

    /// Draws the two lines over a span of days; a dot for a single day.
    fn draw(
        &self,
        frame: &mut Frame,
        span: &RangeInclusive<i64>,
        point: &dyn Fn(i64, f64) -> Point,
    ) {
        let (first, last) = (*span.start(), *span.end());
        if self.days.range(span.clone()).next().is_none() {
            return;
        }
        if first == last {
            let value = self.value(first).unwrap_or(0.0);
            let separator = if self.name.is_empty() { "" } else { ", " };
            let date = date_of(first);
            let tooltip = format!("{date}{separator}{}: {}", self.name, short(value));
            let at = point(first, value);
            frame.svg.circle(at, 3.0, (self.colour, 1.0), &tooltip);
            return;
        }
        let daily = span
            .clone()
            .filter_map(|day| Some(point(day, self.value(day)?)));
        let daily: Vec<Point> = daily.collect();
        let ends = (first, last);
        let means = span
            .clone()
            .filter_map(|day| Some(point(day, self.mean(day, ends)?)));
        let means: Vec<Point> = means.collect();
        let thin = Stroke {
            colour: self.colour,
            width: 1.0,
            opacity: 0.5,
        };
        frame.svg.line(&daily, thin, "");
        let thick = Stroke {
            width: 2.6,
            opacity: 1.0,
            ..thin
        };
        frame.svg.line(&means, thick, self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_week_interrupts_the_line_and_a_missing_day_does_not() {
        let days: BTreeSet<i64> = [1, 2, 4, 30, 31].into_iter().collect();
        assert_eq!(spans(&days), [1..=4, 30..=31]);
        let known: Days = [(1, 2.0), (3, 4.0)].into_iter().collect();
        let line = |is_sum| Line {
            days: &known,
            name: "",
            colour: GAP,
            is_sum,
        };
        assert_eq!(line(true).mean(2, (1, 3)), Some(2.0));
        assert_eq!(line(false).mean(2, (1, 3)), Some(3.0));
    }
}
