//! A heat map: a square for each hour of each weekday.

use std::collections::BTreeMap;

use divvy::reports::{Dim, Measure, Role, WEEKDAY_NAMES};

use super::data::{NotDrawn, Plot, label};
use super::frame::{BOTTOM_AXIS, Drawing, Frame, Heading, LABEL, SMALL, Sheet, round_up, width_of};
use super::svg::{Anchor, Fill};
use super::words;
use super::words::short;
use crate::render::colours::{Colour, HEAT};

/// The columns that are shown, by their indices.
pub(super) struct Columns {
    weekday: usize,
    hour: usize,
    measure: usize,
}

impl Columns {
    /// Returns the columns of a table that is grouped by weekday and hour alone. `None` for other
    /// tables.
    pub(super) fn of(plot: &Plot<'_>, up: Measure) -> Option<Self> {
        let weekday = plot.column(Role::Group(Dim::Weekday))?;
        let hour = plot.column(Role::Group(Dim::Hour))?;
        let measure = plot.column(Role::Measure(up))?;
        (plot.groups().len() == 2).then_some(Self {
            weekday,
            hour,
            measure,
        })
    }
}

/// Draws a heat map.
pub(super) fn draw(
    plot: &Plot<'_>,
    columns: &Columns,
    up: Measure,
    sheet: Sheet,
) -> Result<Drawing, NotDrawn> {
    let values = read(plot, columns)?;
    let most = values.values().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return Err(plot.nothing());
    }
    let classes = Classes::new(most);
    let title = format!("{} by weekday and hour of the day", words::measure(up));
    let heading = Heading::new(title, plot.scope.clone(), &[]);
    let size = (sheet.width(), sheet.pick(460.0, 390.0));
    let mut frame = Frame::new(sheet, &heading, size);
    frame.left += sheet.pick(96.0, 34.0);
    frame.bottom -= BOTTOM_AXIS + 44.0;
    draw_squares(&mut frame, &values, &classes, sheet);
    draw_legend(
        &mut frame,
        &classes,
        &plot.axis_title(columns.measure),
        sheet,
    );
    Ok(frame.finish())
}

/// Nine classes of equal width, from 0 to a round number.
struct Classes {
    width: f64,
}

impl Classes {
    fn new(most: f64) -> Self {
        let width = round_up(most / HEAT.len() as f64);
        Self { width }
    }

    fn colour(&self, value: f64) -> Colour {
        let class = (value / self.width) as usize;
        HEAT[class.min(HEAT.len() - 1)]
    }
}

/// Reads the rows: numbers by weekday (0 for Monday) and hour.
fn read(plot: &Plot<'_>, columns: &Columns) -> Result<BTreeMap<(usize, usize), f64>, NotDrawn> {
    let mut values = BTreeMap::new();
    for row in &plot.table.rows {
        let day = label(&row[columns.weekday]);
        let day = WEEKDAY_NAMES.iter().position(|name| *name == day);
        let hour = row[columns.hour].number();
        let value = plot.scaled(row, columns.measure);
        if let (Some(day), Some(hour), Some(value)) = (day, hour, value) {
            plot.add(&mut values, (day, hour as usize), columns.measure, value)?;
        }
    }
    Ok(values)
}

fn draw_squares(
    frame: &mut Frame,
    values: &BTreeMap<(usize, usize), f64>,
    classes: &Classes,
    sheet: Sheet,
) {
    let (width, height) = (frame.width() / 24.0, frame.height() / 7.0);
    for (day, name) in WEEKDAY_NAMES.iter().enumerate() {
        let y = frame.top + height * day as f64;
        let at = (frame.left - 10.0, y + height / 2.0 + 4.5);
        let shown = sheet.pick(*name, &name[..3]);
        frame.svg.text(at, LABEL, Anchor::End, shown);
        for hour in 0..24 {
            let value = values.get(&(day, hour)).copied().unwrap_or(0.0);
            let at = (frame.left + width * hour as f64, y);
            let size = (width - 1.0, height - 1.0);
            let tooltip = format!("{name} {hour}:00 to {}:00: {}", hour + 1, short(value));
            let fill = Fill::Solid(classes.colour(value));
            frame.svg.rect(at, size, fill, &tooltip);
        }
    }
    let labels = (0..24).step_by(sheet.pick(1, 3)).map(|hour| {
        let x = frame.left + width * (f64::from(hour) + 0.5);
        (x, hour.to_string())
    });
    let labels: Vec<(f64, String)> = labels.collect();
    frame.labels(words::axis(Dim::Hour), &labels);
}

/// Draws the colours of the classes below the map, with the numbers between them.
fn draw_legend(frame: &mut Frame, classes: &Classes, unit: &str, sheet: Sheet) {
    let y = frame.bottom + BOTTOM_AXIS + 14.0;
    let width = sheet.pick(44.0, 34.0);
    let numbers = HEAT.len() as f64 * width;
    let left = frame.right - numbers - sheet.pick(20.0, 6.0);
    let widest = width_of(&short(classes.width * HEAT.len() as f64));
    let step = if widest + 6.0 > width { 2 } else { 1 };
    for (class, colour) in HEAT.iter().enumerate() {
        let x = left + width * class as f64;
        frame
            .svg
            .rect((x, y), (width - 1.0, 12.0), Fill::Solid(*colour), "");
        if class % step == 0 {
            let text = short(classes.width * class as f64);
            let at = (x, y + 12.0 + SMALL + 2.0);
            frame.svg.text(at, LABEL, Anchor::Middle, &text);
        }
    }
    let title = (left - 14.0, y + 11.0);
    frame.svg.text(title, LABEL, Anchor::End, unit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_round_and_the_largest_number_has_the_last_colour_or_the_one_before() {
        let classes = Classes::new(7_412.0);
        assert_eq!(classes.width, 1_000.0);
        assert_eq!(classes.colour(0.0), HEAT[0]);
        assert_eq!(classes.colour(999.0), HEAT[0]);
        assert_eq!(classes.colour(7_412.0), HEAT[7]);
        assert_eq!(Classes::new(9.0).colour(9.0), HEAT[8]);
    }
}
