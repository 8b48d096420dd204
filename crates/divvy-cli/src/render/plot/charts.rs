//! Bars, lines, heat maps.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use divvy::reports::{Kind, Picture, Table, Value, grouped, plural};
use jiff::civil::Date;

use super::frame::{Frame, SMALL, number};
use super::{Anchor, BLUE, Colour, Drawing, INK, Mark, Paper, SERIES, SOFT, letters};
use crate::render::people;

fn size(paper: Paper) -> (f64, f64) {
    (paper.width(), paper.pick(520.0, 380.0))
}

/// The place of a column.
fn place(table: &Table, name: &str) -> Option<usize> {
    table.columns.iter().position(|column| column.name == name)
}

/// The group of trips of which the file does not say it.
const NOT_STATED: &str = "not stated";

/// Writes a group as people read it.
fn label(value: &Value) -> String {
    match value {
        Value::Empty => NOT_STATED.into(),
        value => people::text(Kind::Ordinal, value),
    }
}

/// Names a measure with its unit.
fn axis_title(table: &Table, place: usize) -> String {
    let column = &table.columns[place];
    let name = column.name.replace('_', " ");
    match column.kind {
        Kind::Seconds => format!("{} (minutes)", column.heading()),
        Kind::Meters => format!("{} (metres)", column.heading()),
        Kind::Share => format!("{name} (%)"),
        Kind::Rate => match column.name {
            "per_day" => "trips per day".into(),
            _ => name,
        },
        _ => match name.as_str() {
            "starts" | "stops" => "trips".into(),
            _ => name,
        },
    }
}

/// Returns a value in the unit of its axis.
fn scaled(kind: Kind, value: f64) -> f64 {
    match kind {
        Kind::Seconds => value / 60.0,
        Kind::Share => value * 100.0,
        _ => value,
    }
}

/// Adds a value to those that are drawn at one place. `None` for a second one that cannot be added
/// to the first: only numbers of something can.
fn add(
    values: &mut BTreeMap<(usize, usize), f64>,
    key: (usize, usize),
    kind: Kind,
    value: f64,
) -> Option<()> {
    match values.entry(key) {
        Entry::Occupied(mut sum) if kind == Kind::Count => *sum.get_mut() += value,
        Entry::Occupied(_) => return None,
        Entry::Vacant(first) => {
            first.insert(scaled(kind, value));
        }
    }
    Some(())
}

/// Draws bars: one for each value of the column across, side by side for each rider.
pub(super) fn bars(
    title: String,
    scope: String,
    table: &Table,
    picture: Picture,
    paper: Paper,
) -> Option<Drawing> {
    if let (Some(weekday), Some(hour)) = (place(table, "weekday"), place(table, "hour"))
        && place(table, "station_id").is_none()
    {
        let shown = place(table, picture.up).or_else(|| first_number(table))?;
        return heat(title, scope, table, (weekday, hour, shown), paper);
    }
    let groups = table
        .columns
        .iter()
        .take_while(|column| !column.kind.is_numeric() || column.kind == Kind::Ordinal);
    let groups = groups.count();
    let across = place(table, picture.across)
        .filter(|at| *at < groups)
        .unwrap_or(0);
    let shown = place(table, picture.up).or_else(|| first_number(table))?;
    // Of two groups, one runs across and the other is told by colour.
    let by = (0..groups).find(|at| {
        *at != across
            && !matches!(
                table.columns[*at].name,
                "birth_year" | "station_id" | "name"
            )
    });
    let mut measures = vec![(shown, None)];
    if by.is_none() && table.columns[shown].name == "starts" {
        measures = vec![
            (shown, Some("starts")),
            (place(table, "stops")?, Some("stops")),
        ];
    }
    let mut order: Vec<String> = Vec::new();
    let mut series: Vec<String> = Vec::new();
    let mut values: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for row in &table.rows {
        for (measure, name) in &measures {
            let Some(value) = row[*measure].number() else {
                continue;
            };
            let bar = label(&row[across]);
            let one = match (name, by) {
                (Some(name), _) => (*name).to_owned(),
                (None, Some(by)) => label(&row[by]),
                (None, None) => String::new(),
            };
            let find = |list: &mut Vec<String>, text: String| {
                let known = list.iter().position(|known| *known == text);
                known.unwrap_or_else(|| {
                    list.push(text);
                    list.len() - 1
                })
            };
            let key = (find(&mut order, bar), find(&mut series, one));
            let kind = table.columns[*measure].kind;
            add(&mut values, key, kind, value)?;
        }
    }
    // Of what no file states, there is nothing to be seen.
    if values.is_empty() || order.iter().all(|bar| bar == NOT_STATED) {
        return None;
    }
    // Numbers run in their order, and names as the report has them.
    let mut sorted: Vec<usize> = (0..order.len()).collect();
    if table.columns[across].kind == Kind::Ordinal {
        sorted.sort_by_key(|at| order[*at].parse::<i64>().unwrap_or(i64::MAX));
    }
    let colours = SERIES.iter().cycle();
    let legend: Vec<(String, Colour)> = match series.len() {
        1 => Vec::new(),
        _ => series
            .iter()
            .cloned()
            .zip(colours.clone().copied())
            .collect(),
    };
    let mut frame = Frame::new(title, &scope, size(paper), &legend);
    let most = values.values().copied().fold(0.0, f64::max);
    let y = frame.number_axis(&axis_title(table, shown), most);
    let wide = (frame.right - frame.left) / order.len() as f64;
    let each = wide * 0.82 / series.len() as f64;
    let left = frame.left;
    let mut labels = Vec::new();
    for (slot, at) in sorted.iter().enumerate() {
        let x = left + wide * slot as f64;
        for (one, name) in series.iter().enumerate() {
            let Some(value) = values.get(&(*at, one)) else {
                continue;
            };
            let top = y(*value);
            let at_x = x + wide * 0.09 + each * one as f64;
            let name = if name.is_empty() {
                String::new()
            } else {
                format!(", {name}")
            };
            let hint = format!("{}{name}: {}", order[*at], short(*value));
            let size = ((each - 0.6).max(0.6), (frame.bottom - top).max(0.0));
            let colour = SERIES[one % SERIES.len()];
            frame.rect((at_x, top), size, colour, hint);
        }
        labels.push((x + wide / 2.0, order[*at].clone()));
    }
    frame.line(
        vec![(frame.left, frame.bottom), (frame.right, frame.bottom)],
        SOFT,
        1.0,
    );
    let title = table.columns[across].name.replace('_', " ");
    let title = match title.as_str() {
        "age" => "age (years)".into(),
        "hour" => "hour of the day (local time)".into(),
        _ => title,
    };
    frame.labels(&title, &labels);
    Some(frame.finish())
}

fn first_number(table: &Table) -> Option<usize> {
    let mut columns = table.columns.iter();
    columns.position(|column| column.kind.is_numeric() && column.kind != Kind::Ordinal)
}

fn short(value: f64) -> String {
    match value.fract() == 0.0 {
        true => grouped(value as i64),
        false => number((value * 1e3).round() / 1e3),
    }
}

/// Draws a square for each hour of each weekday.
fn heat(
    title: String,
    scope: String,
    table: &Table,
    (weekday, hour, shown): (usize, usize, usize),
    paper: Paper,
) -> Option<Drawing> {
    const DAYS: [&str; 7] = [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
    ];
    let kind = table.columns[shown].kind;
    let title = format!("{title}: {} by weekday and hour", table.columns[shown].name);
    let mut values: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for row in &table.rows {
        let day = label(&row[weekday]);
        let day = DAYS.iter().position(|name| *name == day)?;
        let (Some(hour), Some(value)) = (row[hour].number(), row[shown].number()) else {
            continue;
        };
        add(&mut values, (day, hour as usize), kind, value)?;
    }
    let most = values.values().copied().fold(0.0, f64::max);
    let size = (paper.width(), paper.pick(440.0, 320.0));
    let mut frame = Frame::new(title, &scope, size, &[]);
    let light = Colour(0xf1, 0xf5, 0xf9);
    let dark = Colour(0x03, 0x2f, 0x5f);
    let fill = |value: f64| match value / most.max(1e-9) {
        share if share < 0.5 => light.mix(BLUE, share * 2.0),
        share => BLUE.mix(dark, share * 2.0 - 1.0),
    };
    frame.left += paper.pick(96.0, 34.0);
    frame.right -= paper.pick(96.0, 52.0);
    frame.bottom -= 46.0;
    let (wide, high) = (
        (frame.right - frame.left) / 24.0,
        (frame.bottom - frame.top) / 7.0,
    );
    for (day, name) in DAYS.iter().enumerate() {
        let y = frame.top + high * day as f64;
        frame.text(
            (frame.left - 10.0, y + high / 2.0 + 4.5),
            SMALL,
            SOFT,
            Anchor::End,
            paper.pick(name, &name[..3]),
        );
        for hour in 0..24 {
            let value = values.get(&(day, hour)).copied().unwrap_or(0.0);
            let at = (frame.left + wide * hour as f64, y);
            let hint = format!("{name} {hour} h: {}", short(value));
            frame.rect(at, (wide - 1.0, high - 1.0), fill(value), hint);
        }
    }
    let labels: Vec<(f64, String)> = (0..24)
        .map(|hour| {
            (
                frame.left + wide * (f64::from(hour) + 0.5),
                hour.to_string(),
            )
        })
        .collect();
    frame.labels("hour of the day (local time)", &labels);
    let x = frame.right + 16.0;
    let tall = frame.bottom - frame.top;
    const STEPS: usize = 24;
    for step in 0..STEPS {
        let share = 1.0 - step as f64 / (STEPS - 1) as f64;
        let y = frame.top + tall * step as f64 / STEPS as f64;
        frame.rect(
            (x, y),
            (14.0, tall / STEPS as f64 + 0.5),
            fill(most * share),
            String::new(),
        );
    }
    frame.text(
        (x + 20.0, frame.top + 10.0),
        SMALL,
        SOFT,
        Anchor::Start,
        &short(most),
    );
    frame.text((x + 20.0, frame.bottom), SMALL, SOFT, Anchor::Start, "0");
    let unit = axis_title(table, shown);
    let right = paper.width() - 20.0;
    frame.text(
        (right, frame.bottom + SMALL + 6.0),
        SMALL,
        SOFT,
        Anchor::End,
        &unit,
    );
    Some(frame.finish())
}

/// Draws a thin line through days and a thick one through their means over seven days.
pub(super) fn lines(
    title: String,
    scope: String,
    table: &Table,
    picture: Picture,
    paper: Paper,
) -> Option<Drawing> {
    let Some(date) = place(table, "date") else {
        return bars(title, scope, table, picture, paper);
    };
    let shown = place(table, picture.up).or_else(|| first_number(table))?;
    let kind = table.columns[shown].kind;
    let by = place(table, "rider").or_else(|| {
        let mut columns = table.columns.iter();
        columns.position(|column| column.kind == Kind::Text)
    });
    let mut series: Vec<(String, BTreeMap<i64, f64>)> = Vec::new();
    let epoch = Date::constant(1970, 1, 1);
    for row in &table.rows {
        let Ok(day) = label(&row[date]).parse::<Date>() else {
            continue;
        };
        let day = i64::from(day.since(epoch).ok()?.get_days());
        let name = by.map_or(String::new(), |by| label(&row[by]));
        let Some(value) = row[shown].number().map(|value| scaled(kind, value)) else {
            continue;
        };
        let known = series.iter().position(|(known, _)| *known == name);
        let at = known.unwrap_or_else(|| {
            series.push((name, BTreeMap::new()));
            series.len() - 1
        });
        *series[at].1.entry(day).or_default() += value;
    }
    let days = series.iter().flat_map(|(_, days)| days.keys());
    let (first, last) = (*days.clone().min()?, *days.max()?);
    let colours = SERIES.iter().copied().cycle();
    let names = series.iter().map(|(name, _)| match name.is_empty() {
        true => "mean of 7 days (thick), each day (thin)".to_owned(),
        false => format!("{name}: mean of 7 days (thick), each day (thin)"),
    });
    let legend: Vec<(String, Colour)> = names.zip(colours).collect();
    let mut frame = Frame::new(title, &scope, size(paper), &legend);
    let values = series.iter().flat_map(|(_, days)| days.values());
    let most = values.copied().fold(0.0, f64::max);
    let unit = axis_title(table, shown);
    let unit = match kind {
        Kind::Count => format!("{unit} per day"),
        _ => unit,
    };
    let y = frame.number_axis(&unit, most);
    let (left, right) = (frame.left, frame.right - 20.0);
    let x = move |day: i64| {
        let span = (last - first).max(1) as f64;
        left + (right - left) * (day - first) as f64 / span
    };
    let spans = spans(&series);
    let date_of = |day: i64| epoch.saturating_add(jiff::Span::new().days(day));
    for ((_, days), colour) in series.iter().zip(SERIES.iter().cycle()) {
        for (first, last) in &spans {
            let (first, last) = (*first, *last);
            let value = |day: i64| days.get(&day).copied().unwrap_or(0.0);
            if first == last {
                frame.mark(Mark::Circle {
                    at: (x(first), y(value(first))),
                    radius: 3.0,
                    fill: *colour,
                    opacity: 1.0,
                    hint: format!("{}: {}", date_of(first), short(value(first))),
                });
                continue;
            }
            let daily = (first..=last).map(|day| (x(day), y(value(day)))).collect();
            frame.mark(Mark::Line {
                points: daily,
                stroke: *colour,
                width: 1.0,
                opacity: 0.45,
                hint: String::new(),
            });
            let mean = |day: i64| {
                let near = (day - 3).max(first)..=(day + 3).min(last);
                let n = near.clone().count() as f64;
                near.map(value).sum::<f64>() / n
            };
            let means = (first..=last).map(|day| (x(day), y(mean(day)))).collect();
            frame.line(means, *colour, 2.6);
        }
    }
    frame.line(
        vec![(frame.left, frame.bottom), (frame.right, frame.bottom)],
        SOFT,
        1.0,
    );
    let months = last - first > 92;
    let marked = (first..=last).filter(|day| match months {
        true => date_of(*day).day() == 1,
        false => (*day - first) % 7 == 0,
    });
    let labels: Vec<(f64, String)> = marked
        .map(|day| {
            let text = date_of(day).to_string();
            (x(day), if months { text[..7].to_owned() } else { text })
        })
        .collect();
    frame.labels("date (local time of the start)", &labels);
    Some(frame.finish())
}

/// Finds the first and last days of what is stored: a day without trips is a day with none, but a
/// week of them is a gap between archives.
fn spans(series: &[(String, BTreeMap<i64, f64>)]) -> Vec<(i64, i64)> {
    const WEEK: i64 = 7;
    let days: BTreeSet<i64> = series
        .iter()
        .flat_map(|(_, days)| days.keys().copied())
        .collect();
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for day in days {
        match spans.last_mut() {
            Some((_, last)) if day - *last <= WEEK => *last = day,
            _ => spans.push((day, day)),
        }
    }
    spans
}

/// Draws how often durations occur, by the minute.
pub(super) fn histogram(scope: String, seconds: &[(i64, i64)], paper: Paper) -> Option<Drawing> {
    let all: i64 = seconds.iter().map(|(_, n)| n).sum();
    if all == 0 {
        return None;
    }
    let mut seen = 0;
    let long = seconds.iter().find(|(_, n)| {
        seen += n;
        seen * 50 >= all * 49
    });
    // The last fiftieth is a tail that would press all else to the left.
    let minutes = (long?.0 / 60 + 1).clamp(10, 240);
    let mut counts = vec![0_i64; minutes as usize];
    let mut beyond = 0;
    for (second, n) in seconds {
        match counts.get_mut((second / 60) as usize) {
            Some(count) => *count += n,
            None => beyond += n,
        }
    }
    let scope = format!(
        "{scope}; {} longer than {minutes} min not shown",
        plural(beyond, "trip")
    );
    let mut frame = Frame::new("How long trips take".into(), &scope, size(paper), &[]);
    let most = counts.iter().copied().max().unwrap_or(0) as f64;
    let y = frame.number_axis("trips per minute of duration", most);
    let wide = (frame.right - frame.left) / counts.len() as f64;
    for (minute, n) in counts.iter().enumerate() {
        let top = y(*n as f64);
        let at = (frame.left + wide * minute as f64, top);
        let hint = format!("{minute} to {} min: {}", minute + 1, plural(*n, "trip"));
        frame.rect(at, ((wide - 0.6).max(0.6), frame.bottom - top), BLUE, hint);
    }
    // The median, where half of the trips are over.
    let mut seen = 0;
    let median = seconds.iter().find(|(_, n)| {
        seen += n;
        seen * 2 >= all
    })?;
    let x = frame.left + wide * (median.0 as f64 / 60.0);
    frame.line(vec![(x, frame.top), (x, frame.bottom)], INK, 1.5);
    let text = format!("median {} min {:02} s", median.0 / 60, median.0 % 60);
    frame.text(
        (x + 6.0, frame.top + 10.0),
        SMALL,
        INK,
        Anchor::Start,
        &text,
    );
    frame.line(
        vec![(frame.left, frame.bottom), (frame.right, frame.bottom)],
        SOFT,
        1.0,
    );
    let step = if minutes > 60 { 15 } else { 5 };
    let labels: Vec<(f64, String)> = (0..=minutes)
        .step_by(step)
        .map(|minute| (frame.left + wide * minute as f64, minute.to_string()))
        .collect();
    frame.labels("duration (minutes)", &labels);
    Some(frame.finish())
}

/// Draws the first rows as bars that lie.
pub(super) fn ranking(scope: String, table: &Table, shown: &str, paper: Paper) -> Option<Drawing> {
    const MOST: usize = 15;
    const HIGH: f64 = 26.0;
    let (name, id) = (place(table, "name")?, place(table, "station_id")?);
    let shown = place(table, shown)?;
    let rows = table.rows.iter().filter_map(|row| {
        let value = row[shown].number().filter(|value| *value > 0.0)?;
        let text = match &row[name] {
            Value::Empty => label(&row[id]),
            name => label(name),
        };
        Some((text, value))
    });
    let mut rows: Vec<(String, f64)> = rows.collect();
    // Whatever order was asked for, these are the busiest.
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    rows.truncate(MOST);
    let most = rows.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    if rows.is_empty() {
        return None;
    }
    let title = format!(
        "The {} busiest stations: trips that start there",
        rows.len()
    );
    let high = 130.0 + HIGH * rows.len() as f64;
    let mut frame = Frame::new(title, &scope, (paper.width(), high), &[]);
    let names = paper.pick(290.0, 160.0);
    let bars_at = frame.left + names;
    for (at, (text, value)) in rows.iter().enumerate() {
        let y = frame.top + HIGH * at as f64;
        let text = letters::cut(text, SMALL, names - 40.0);
        frame.text(
            (bars_at - 10.0, y + HIGH / 2.0 + 4.5),
            SMALL,
            INK,
            Anchor::End,
            &text,
        );
        let wide = (frame.right - paper.pick(90.0, 50.0) - bars_at) * value / most;
        let hint = format!("{text}: {}", short(*value));
        frame.rect((bars_at, y + 3.0), (wide, HIGH - 6.0), BLUE, hint);
        let value = short(*value);
        frame.text(
            (bars_at + wide + 8.0, y + HIGH / 2.0 + 4.5),
            SMALL,
            SOFT,
            Anchor::Start,
            &value,
        );
    }
    Some(frame.finish())
}
