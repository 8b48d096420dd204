//! Numbers by date: a thin line of days, and a thick one of their means over seven days.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use divvy::reports::{Dim, Measure, Role, ValueKind};
use jiff::Span;
use jiff::civil::Date;

use super::colours::Colour;
use super::data::{Plot, index_of, label, short};
use super::frame::{Drawing, Frame, Layout};
use super::svg::{Point, Stroke};

const EPOCH: Date = Date::constant(1970, 1, 1);

/// Numbers by days since the epoch.
type Days = BTreeMap<i64, f64>;

/// What is drawn: a number for each series and day.
struct Lines {
    /// Names of the series. A single one may be empty.
    names: Vec<String>,
    /// One for each name.
    series: Vec<Days>,
}

/// Draws lines of a measure over dates. `None` if there is nothing to show.
pub(super) fn draw(plot: &Plot<'_>, up: Measure, layout: Layout) -> Option<Drawing> {
    let date = plot.column(Role::Group(Dim::Date))?;
    let measure = plot.column(Role::Measure(up))?;
    let lines = Lines::read(plot, date, measure)?;
    let days: BTreeSet<i64> = lines.series.iter().flatten().map(|(day, _)| *day).collect();
    let (first, last) = (*days.first()?, *days.last()?);
    let size = (layout.width(), layout.pick(520.0, 380.0));
    let mut frame = Frame::new(&plot.title, &plot.scope, size, &lines.legend());
    let values = lines.series.iter().flat_map(BTreeMap::values);
    let most = values.copied().fold(0.0, f64::max);
    let unit = plot.axis_title(measure);
    let unit = match plot.table.columns[measure].kind {
        ValueKind::Count => format!("{unit} per day"),
        _ => unit,
    };
    let y_of = frame.number_axis(&unit, most);
    let (left, width) = (frame.left, frame.width() - 20.0);
    let length = (last - first).max(1) as f64;
    let point = |day: i64, value: f64| {
        let x = left + width * (day - first) as f64 / length;
        (x, y_of(value))
    };
    let spans = spans(&days);
    for (index, days) in lines.series.iter().enumerate() {
        for span in &spans {
            let colour = Colour::of_series(index);
            draw_span(&mut frame, days, span, colour, &point);
        }
    }
    frame.base_line();
    let labels: Vec<(f64, String)> = (date_labels(first, last).into_iter())
        .map(|(day, label)| (point(day, 0.0).0, label))
        .collect();
    frame.labels("date (local time of the start)", &labels);
    Some(frame.finish())
}

impl Lines {
    /// Reads the rows. `None` for a date out of range.
    fn read(plot: &Plot<'_>, date: usize, measure: usize) -> Option<Self> {
        let by = plot.column(Role::Group(Dim::Rider)).or_else(|| {
            let mut columns = plot.table.columns.iter();
            columns.position(|column| column.kind == ValueKind::Text)
        });
        let (mut names, mut series) = (Vec::new(), Vec::new());
        for row in &plot.table.rows {
            let date = label(&row[date]).parse::<Date>();
            let (Ok(date), Some(value)) = (date, plot.scaled(row, measure)) else {
                continue;
            };
            let day = i64::from(date.since(EPOCH).ok()?.get_days());
            let name = by.map_or(String::new(), |by| label(&row[by]));
            let index = index_of(&mut names, name);
            series.resize_with(names.len(), Days::new);
            *series[index].entry(day).or_default() += value;
        }
        Some(Self { names, series })
    }

    fn legend(&self) -> Vec<(String, Colour)> {
        let names = self.names.iter().enumerate();
        names
            .map(|(index, name)| {
                let separator = if name.is_empty() { "" } else { ": " };
                let text = format!("{name}{separator}mean of 7 days (thick), each day (thin)");
                (text, Colour::of_series(index))
            })
            .collect()
    }
}

/// Splits the days of all series into spans: a missing day has no trips, but a missing week is a gap
/// between archives.
fn spans(days: &BTreeSet<i64>) -> Vec<RangeInclusive<i64>> {
    const WEEK: i64 = 7;
    let mut spans: Vec<RangeInclusive<i64>> = Vec::new();
    for day in days {
        match spans.last_mut() {
            Some(span) if day - span.end() <= WEEK => *span = *span.start()..=*day,
            _ => spans.push(*day..=*day),
        }
    }
    spans
}

/// Draws the two lines of one series over a span of days; a dot for a single day.
fn draw_span(
    frame: &mut Frame,
    days: &Days,
    span: &RangeInclusive<i64>,
    colour: Colour,
    point: &dyn Fn(i64, f64) -> Point,
) {
    let (first, last) = (*span.start(), *span.end());
    let value = |day: i64| days.get(&day).copied().unwrap_or(0.0);
    if first == last {
        let at = point(first, value(first));
        let tooltip = format!("{}: {}", date_of(first), short(value(first)));
        frame.svg.circle(at, 3.0, (colour, 1.0), &tooltip);
        return;
    }
    let mean = |day: i64| {
        let near = (day - 3).max(first)..=(day + 3).min(last);
        let n = near.clone().count() as f64;
        near.map(value).sum::<f64>() / n
    };
    let daily: Vec<_> = span.clone().map(|day| point(day, value(day))).collect();
    let means: Vec<_> = span.clone().map(|day| point(day, mean(day))).collect();
    let thin = Stroke {
        colour,
        width: 1.0,
        opacity: 0.45,
    };
    frame.svg.line(&daily, thin, "");
    frame.line(&means, colour, 2.6);
}

/// Returns the days to be labelled, with their labels: the first of each month, or each seventh day
/// of at most three months.
fn date_labels(first: i64, last: i64) -> Vec<(i64, String)> {
    let is_long = last - first > 92;
    let is_labelled = |day: &i64| {
        if is_long {
            date_of(*day).day() == 1
        } else {
            (day - first) % 7 == 0
        }
    };
    let label = |day: i64| {
        let date = date_of(day).to_string();
        (day, if is_long { date[..7].to_owned() } else { date })
    };
    (first..=last).filter(is_labelled).map(label).collect()
}

fn date_of(day: i64) -> Date {
    EPOCH.saturating_add(Span::new().days(day))
}
