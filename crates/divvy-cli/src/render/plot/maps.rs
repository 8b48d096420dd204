//! Stations where they are, north up, east to the right.

use std::collections::HashMap;

use divvy::reports::{Map, MapStation, Table, Value, grouped};

use super::frame::{Frame, SMALL};
use super::{Anchor, BLUE, Colour, Drawing, Mark, Paper, SOFT, VERMILLION};

fn size(paper: Paper) -> (f64, f64) {
    (paper.width(), paper.pick(900.0, 560.0))
}

/// The least extent of a map in degrees, about a kilometre: one station is no point without a scale.
const LEAST: f64 = 0.01;

/// Where a station stands on the paper.
struct Places {
    west: f64,
    north: f64,
    scale: f64,
    /// A degree of longitude is shorter than one of latitude.
    narrow: f64,
    at: (f64, f64),
}

impl Places {
    /// Fits most stations into a frame: a few that are far out are left out.
    fn new(stations: &[&MapStation], frame: &Frame) -> Option<Self> {
        let within = |values: Vec<f64>| {
            let mut values = values;
            values.sort_by(f64::total_cmp);
            let edge = values.len() / 200;
            Some((*values.get(edge)?, *values.get(values.len() - 1 - edge)?))
        };
        let (south, north) = within(stations.iter().map(|it| it.latitude).collect())?;
        let (west, east) = within(stations.iter().map(|it| it.longitude).collect())?;
        let narrow = ((south + north) / 2.0).to_radians().cos();
        let (wide, high) = (
            ((east - west) * narrow).max(LEAST),
            (north - south).max(LEAST),
        );
        // In the middle, where there is more room than they need.
        let west = (west + east - wide / narrow) / 2.0;
        let north = (north + south + high) / 2.0;
        let room = (
            frame.right - frame.left - 40.0,
            frame.bottom - frame.top - 40.0,
        );
        let scale = (room.0 / wide).min(room.1 / high);
        Some(Self {
            west,
            north,
            scale,
            narrow,
            at: (
                frame.left + 20.0 + (room.0 - wide * scale) / 2.0,
                frame.top + 20.0 + (room.1 - high * scale) / 2.0,
            ),
        })
    }

    fn of(&self, station: &MapStation, frame: &Frame) -> Option<(f64, f64)> {
        let x = self.at.0 + (station.longitude - self.west) * self.narrow * self.scale;
        let y = self.at.1 + (self.north - station.latitude) * self.scale;
        let inside =
            (frame.left..=frame.right).contains(&x) && (frame.top..=frame.bottom).contains(&y);
        inside.then_some((x, y))
    }

    /// Draws a line of a round number of kilometres.
    fn ruler(&self, frame: &mut Frame, paper: Paper) {
        let km = self.scale / 111.195;
        let length = [0.5, 1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .rfind(|it| it * km < paper.pick(180.0, 110.0));
        let length = length.unwrap_or(0.5);
        let (x, y) = (frame.left, frame.bottom);
        frame.line(
            vec![
                (x, y - 4.0),
                (x, y),
                (x + length * km, y),
                (x + length * km, y - 4.0),
            ],
            SOFT,
            1.2,
        );
        let text = format!("{length} km");
        frame.text((x, y - 9.0), SMALL, SOFT, Anchor::Start, &text);
    }
}

const GREY: Colour = Colour(0x9a, 0xa3, 0xad);

/// Draws stations sized by trips, coloured by what they gain or lose.
pub(super) fn stations(scope: String, map: &Map, paper: Paper) -> Option<Drawing> {
    let mut shown: Vec<&MapStation> = map.stations.iter().filter(|it| it.trips > 0).collect();
    shown.sort_by_key(|station| std::cmp::Reverse(station.trips));
    let most = shown.first()?.trips as f64;
    let legend = [
        (
            "gains bikes: more arrivals (full colour from 20 % of its trips)".to_owned(),
            BLUE,
        ),
        ("even".to_owned(), GREY),
        ("loses bikes: more departures".to_owned(), VERMILLION),
    ];
    let title = "Stations sized by trips, coloured by arrivals less departures".to_owned();
    let mut frame = Frame::new(title, &scope, size(paper), &legend);
    let places = Places::new(&shown, &frame)?;
    for station in shown {
        let Some(at) = places.of(station, &frame) else {
            continue;
        };
        let share = station.net as f64 / station.trips as f64 / 0.2;
        let fill = match share < 0.0 {
            true => GREY.mix(VERMILLION, -share),
            false => GREY.mix(BLUE, share),
        };
        frame.mark(Mark::Circle {
            at,
            radius: 1.3 + paper.pick(8.5, 5.0) * (station.trips as f64 / most).sqrt(),
            fill,
            opacity: 0.75,
            hint: format!(
                "{} ({}): {} trips, net {}",
                station.name,
                station.id,
                grouped(station.trips),
                grouped(station.net)
            ),
        });
    }
    places.ruler(&mut frame, paper);
    Some(frame.finish())
}

/// Draws the busiest routes as lines.
pub(super) fn routes(scope: String, table: &Table, map: &Map, paper: Paper) -> Option<Drawing> {
    const MOST: usize = 150;
    let place = |name: &str| table.columns.iter().position(|column| column.name == name);
    let (from, to, trips) = (
        place("from_station_id")?,
        place("to_station_id")?,
        place("trips")?,
    );
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        _ => String::new(),
    };
    let by_id: HashMap<&str, &MapStation> = (map.stations.iter())
        .map(|station| (station.id.as_str(), station))
        .collect();
    let mut lines = Vec::new();
    let mut rows: Vec<&Vec<Value>> = table.rows.iter().collect();
    // Whatever order was asked for, these are the busiest.
    let busy = |row: &Vec<Value>| row[trips].number().unwrap_or(0.0);
    rows.sort_by(|a, b| busy(b).total_cmp(&busy(a)));
    for row in rows {
        let (a, b) = (text(&row[from]), text(&row[to]));
        let trips = row[trips].number()?;
        if a == b {
            continue;
        }
        if let (Some(a), Some(b)) = (by_id.get(a.as_str()), by_id.get(b.as_str())) {
            lines.push((*a, *b, trips));
        }
        if lines.len() == MOST {
            break;
        }
    }
    let most = lines.first()?.2;
    let title = format!("The {} busiest routes between two stations", lines.len());
    let mut frame = Frame::new(
        title,
        &scope,
        size(paper),
        &[
            ("a route: the wider, the more trips".to_owned(), BLUE),
            ("a station".to_owned(), GREY),
        ],
    );
    let ends: Vec<&MapStation> = lines.iter().flat_map(|(a, b, _)| [*a, *b]).collect();
    let places = Places::new(&ends, &frame)?;
    for station in &map.stations {
        if let Some(at) = places.of(station, &frame) {
            frame.mark(Mark::Circle {
                at,
                radius: paper.pick(1.6, 1.0),
                fill: GREY,
                opacity: 0.8,
                hint: format!("{} ({})", station.name, station.id),
            });
        }
    }
    for (a, b, trips) in lines.iter().rev() {
        let (Some(start), Some(end)) = (places.of(a, &frame), places.of(b, &frame)) else {
            continue;
        };
        frame.mark(Mark::Line {
            points: vec![start, end],
            stroke: BLUE,
            width: 0.8 + paper.pick(6.0, 3.5) * trips / most,
            opacity: 0.55,
            hint: format!("{} to {}: {} trips", a.name, b.name, grouped(*trips as i64)),
        });
    }
    places.ruler(&mut frame, paper);
    Some(frame.finish())
}
