//! A heat map: a square for each hour of each weekday.

use std::collections::BTreeMap;

use divvy::reports::{Dim, Measure, Role, WEEKDAY_NAMES};

use super::colours::{BLUE, Colour};
use super::data::{Plot, label, short};
use super::frame::{BOTTOM_AXIS, Drawing, Frame, LABEL, Layout, SMALL};
use super::svg::Anchor;

/// The columns that are shown, by their indices.
pub(super) struct Columns {
    weekday: usize,
    hour: usize,
    measure: usize,
}

impl Columns {
    /// Returns the columns of a table that has weekdays and hours of all stations. `None` for other
    /// tables.
    pub(super) fn of(plot: &Plot<'_>, up: Measure) -> Option<Self> {
        let weekday = plot.column(Role::Group(Dim::Weekday))?;
        let hour = plot.column(Role::Group(Dim::Hour))?;
        let measure = plot.column(Role::Measure(up))?;
        let is_by_station = plot.column(Role::StationId).is_some();
        (!is_by_station).then_some(Self {
            weekday,
            hour,
            measure,
        })
    }
}

/// Draws a heat map. `None` if there is nothing to show.
pub(super) fn draw(plot: &Plot<'_>, columns: &Columns, layout: Layout) -> Option<Drawing> {
    let values = read(plot, columns)?;
    let most = values.values().copied().fold(0.0, f64::max);
    let name = plot.table.columns[columns.measure].name;
    let title = format!("{}: {name} by weekday and hour", plot.title);
    let size = (layout.width(), layout.pick(440.0, 320.0));
    let mut frame = Frame::new(&title, &plot.scope, size, &[]);
    frame.left += layout.pick(96.0, 34.0);
    frame.right -= layout.pick(96.0, 52.0);
    frame.bottom -= BOTTOM_AXIS;
    draw_squares(&mut frame, &values, most, layout);
    draw_scale(&mut frame, most);
    let corner = (layout.width() - 20.0, frame.bottom + SMALL + 6.0);
    let unit = plot.axis_title(columns.measure);
    frame.svg.text(corner, LABEL, Anchor::End, &unit);
    Some(frame.finish())
}

/// Reads the rows: numbers by weekday (0 for Monday) and hour. `None` for rows of unknown weekdays,
/// and for several that cannot be added up.
fn read(plot: &Plot<'_>, columns: &Columns) -> Option<BTreeMap<(usize, usize), f64>> {
    let mut values = BTreeMap::new();
    for row in &plot.table.rows {
        let day = label(&row[columns.weekday]);
        let day = WEEKDAY_NAMES.iter().position(|name| *name == day)?;
        let (hour, value) = (
            row[columns.hour].number(),
            plot.scaled(row, columns.measure),
        );
        if let (Some(hour), Some(value)) = (hour, value) {
            plot.add(&mut values, (day, hour as usize), columns.measure, value)?;
        }
    }
    Some(values)
}

fn draw_squares(
    frame: &mut Frame,
    values: &BTreeMap<(usize, usize), f64>,
    most: f64,
    layout: Layout,
) {
    let (width, height) = (frame.width() / 24.0, frame.height() / 7.0);
    for (day, name) in WEEKDAY_NAMES.iter().enumerate() {
        let y = frame.top + height * day as f64;
        let at = (frame.left - 10.0, y + height / 2.0 + 4.5);
        let shown = layout.pick(*name, &name[..3]);
        frame.svg.text(at, LABEL, Anchor::End, shown);
        for hour in 0..24 {
            let value = values.get(&(day, hour)).copied().unwrap_or(0.0);
            let at = (frame.left + width * hour as f64, y);
            let size = (width - 1.0, height - 1.0);
            let tooltip = format!("{name} {hour} h: {}", short(value));
            frame.svg.rect(at, size, colour_of(value, most), &tooltip);
        }
    }
    let labels: Vec<(f64, String)> = (0..24)
        .map(|hour| {
            let x = frame.left + width * (f64::from(hour) + 0.5);
            (x, hour.to_string())
        })
        .collect();
    frame.labels("hour of the day (local time)", &labels);
}

/// Draws the scale of colours at the right.
fn draw_scale(frame: &mut Frame, most: f64) {
    const STEPS: usize = 24;
    let x = frame.right + 16.0;
    let height = frame.height() / STEPS as f64;
    for step in 0..STEPS {
        let fraction = 1.0 - step as f64 / (STEPS - 1) as f64;
        let y = frame.top + frame.height() * step as f64 / STEPS as f64;
        let fill = colour_of(most * fraction, most);
        frame.svg.rect((x, y), (14.0, height + 0.5), fill, "");
    }
    let x = x + 20.0;
    let (top, bottom) = (frame.top + 10.0, frame.bottom);
    frame.svg.text((x, top), LABEL, Anchor::Start, &short(most));
    frame.svg.text((x, bottom), LABEL, Anchor::Start, "0");
}

/// Returns the colour of a value: light for 0, dark for the largest.
fn colour_of(value: f64, most: f64) -> Colour {
    const LIGHT: Colour = Colour(0xf1, 0xf5, 0xf9);
    const DARK: Colour = Colour(0x03, 0x2f, 0x5f);
    let fraction = value / most.max(1e-9);
    if fraction < 0.5 {
        LIGHT.mix(BLUE, fraction * 2.0)
    } else {
        BLUE.mix(DARK, fraction * 2.0 - 1.0)
    }
}
