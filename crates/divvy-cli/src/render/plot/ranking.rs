//! The busiest stations as horizontal bars.

use divvy::reports::{Dim, Measure, Role, Value};

use super::colours::BLUE;
use super::data::{Plot, label, short};
use super::frame::{Drawing, Frame, LABEL, Layout, NAME, SMALL};
use super::svg::Anchor;
use super::text;

/// Draws the stations with most trips. `None` if there is nothing to show.
pub(super) fn draw(plot: &Plot<'_>, layout: Layout) -> Option<Drawing> {
    const HEIGHT: f64 = 26.0;
    let rows = busiest(plot)?;
    let most = rows.first()?.1;
    let title = match rows.len() {
        1 => "The busiest station: trips that start there".to_owned(),
        n => format!("The {n} busiest stations: trips that start there"),
    };
    let size = (layout.width(), 130.0 + HEIGHT * rows.len() as f64);
    let mut frame = Frame::new(&title, &plot.scope, size, &[]);
    let names_width = layout.pick(290.0, 160.0);
    let bars_left = frame.left + names_width;
    let bars_width = frame.right - layout.pick(90.0, 50.0) - bars_left;
    for (index, (name, value)) in rows.iter().enumerate() {
        let y = frame.top + HEIGHT * index as f64;
        let base_line = y + HEIGHT / 2.0 + 4.5;
        let name = text::cut(name, SMALL, names_width - 40.0);
        let beside = (bars_left - 10.0, base_line);
        frame.svg.text(beside, NAME, Anchor::End, &name);
        let width = bars_width * value / most;
        let value = short(*value);
        let tooltip = format!("{name}: {value}");
        let size = (width, HEIGHT - 6.0);
        frame.svg.rect((bars_left, y + 3.0), size, BLUE, &tooltip);
        let beside = (bars_left + width + 8.0, base_line);
        frame.svg.text(beside, LABEL, Anchor::Start, &value);
    }
    Some(frame.finish())
}

/// Returns the names and trips of the stations with most trips, the largest number first. The order
/// of the table may be another. `None` for a table without stations.
fn busiest(plot: &Plot<'_>) -> Option<Vec<(String, f64)>> {
    const MOST: usize = 15;
    let name = plot.column(Role::Group(Dim::Station))?;
    let id = plot.column(Role::StationId)?;
    let measure = plot.column(Role::Measure(Measure::Trips))?;
    let rows = plot.table.rows.iter().filter_map(|row| {
        let value = row[measure].number().filter(|value| *value > 0.0)?;
        let name = match &row[name] {
            Value::Empty => label(&row[id]),
            name => label(name),
        };
        Some((name, value))
    });
    let mut rows: Vec<(String, f64)> = rows.collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    rows.truncate(MOST);
    Some(rows)
}
