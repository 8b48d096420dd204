//! Names with horizontal bars beside them, such as stations.

use divvy::reports::{Dim, Measure, Role, plural};

use super::data::{NotDrawn, Plot};
use super::frame::{Drawing, Frame, Heading, LABEL, NAME, SMALL, Sheet};
use super::groups::{Columns, Groups};
use super::svg::{Anchor, Fill};
use super::text;
use super::words::{in_words, short};

/// The names that are drawn if no number of rows is requested.
const MOST: usize = 15;

/// The names that are drawn if more rows are requested: a longer picture cannot be taken in.
const MOST_ASKED: usize = 60;

/// Draws the stations of a table in the order of its rows.
pub(super) fn stations(plot: &Plot<'_>, sheet: Sheet) -> Result<Drawing, NotDrawn> {
    let columns = Columns::of(plot, Dim::Station, Measure::Trips).ok_or_else(|| plot.nothing())?;
    Ok(draw(plot, &columns, &Groups::read(plot, &columns)?, sheet))
}

/// Draws horizontal bars for the first groups, in the order of the rows.
pub(super) fn draw(plot: &Plot<'_>, columns: &Columns, groups: &Groups, sheet: Sheet) -> Drawing {
    let most = if plot.filters.top.is_some() {
        MOST_ASKED
    } else {
        MOST
    };
    let shown = groups.labels.len().min(most);
    let beside = groups.series.len();
    let (bar, space) = if beside == 1 {
        (20.0, 6.0)
    } else {
        (14.0, 8.0)
    };
    let height = bar * beside as f64 + space;
    let mut sentences = groups.left_out.clone();
    let noun = if columns.dim == Dim::Station {
        "station"
    } else {
        "group"
    };
    sentences.push(first_of(shown, groups.labels.len(), noun));
    sentences.retain(|sentence| !sentence.is_empty());
    let heading = Heading::new(
        title(plot, columns, shown),
        plot.scope_with(&sentences),
        &groups.legend(),
    );
    let lines = Frame::new(sheet, &heading, (sheet.width(), 0.0)).top;
    let size = (sheet.width(), lines + height * shown as f64 + 24.0);
    let mut frame = Frame::new(sheet, &heading, size);
    let most = groups
        .values
        .iter()
        .filter(|((label, _), _)| *label < shown);
    let most = most
        .map(|(_, value)| *value)
        .fold(f64::MIN_POSITIVE, f64::max);
    let names_width = sheet.pick(290.0, 150.0);
    let bars_left = frame.left + names_width;
    let bars_width = frame.right - sheet.pick(90.0, 52.0) - bars_left;
    for (at, label) in groups.labels.iter().take(shown).enumerate() {
        let y = frame.top + height * at as f64;
        let label = in_words(label);
        let name = text::cut_middle(&label, SMALL, names_width - 16.0);
        let tooltip = if name == label { "" } else { &*label };
        let beside_bars = (bars_left - 10.0, y + (height - space) / 2.0 + 4.5);
        frame
            .svg
            .short_text(beside_bars, NAME, Anchor::End, (name.as_str(), tooltip));
        for (series, (name, _)) in groups.series.iter().enumerate() {
            let Some(value) = groups.values.get(&(at, series)) else {
                continue;
            };
            let width = (bars_width * value / most).max(0.0);
            let top = y + bar * series as f64;
            let value = short(*value);
            let separator = if name.is_empty() { "" } else { ", " };
            let tooltip = format!("{label}{separator}{}: {value}", in_words(name));
            let fill = Fill::Solid(groups.colour_of(columns, at, series));
            frame
                .svg
                .rect((bars_left, top), (width, bar - 1.0), fill, &tooltip);
            let beside = (bars_left + width + 8.0, top + bar / 2.0 + 4.0);
            frame.svg.text(beside, LABEL, Anchor::Start, &value);
        }
    }
    frame.finish()
}

/// Returns the title: the order of the rows, and what is shown of them.
fn title(plot: &Plot<'_>, columns: &Columns, shown: usize) -> String {
    let plain = columns.title(plot);
    if columns.dim != Dim::Station {
        return plain;
    }
    let measure = plot.table.columns[columns.measures[0]];
    let shown_words = match measure.role {
        Role::Measure(Measure::Trips) => "trips that start there".to_owned(),
        _ if plain.ends_with(" by station") => {
            let what = plain.trim_end_matches(" by station");
            what.to_lowercase()
        }
        _ => return plain,
    };
    let stations = match shown {
        1 => "station".to_owned(),
        n => format!("{n} stations"),
    };
    match &plot.filters.sort {
        None if measure.role == Role::Measure(Measure::Trips) => {
            format!("The busiest {stations}: {shown_words}")
        }
        None => plain,
        Some(sort) => {
            let column = plot.table.columns.iter().find(|it| it.name == sort.column);
            let by = match column {
                // Its heading is "station".
                Some(column) if column.role == Role::Group(Dim::Station) => "name".to_owned(),
                Some(column) => column.heading(),
                None => sort.column.clone(),
            };
            if sort.column == measure.name {
                return format!("The first {stations} by {by}");
            }
            format!("The first {stations} by {by}: {shown_words}")
        }
    }
}

/// Says how many of the groups are drawn: `the first 15 of 1,811 stations`.
fn first_of(shown: usize, all: usize, noun: &str) -> String {
    if shown < all {
        let all = plural(all as i64, noun);
        format!("the first {shown} of {all} drawn")
    } else {
        String::new()
    }
}
