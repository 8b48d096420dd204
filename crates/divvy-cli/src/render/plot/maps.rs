//! Maps of stations: north is up, east to the right.

use std::cmp::Reverse;
use std::collections::HashMap;

use divvy::reports::{Map, MapStation, Measure, Role, Value, grouped};

use super::colours::{BLUE, DARK_GREY, GREY, VERMILLION};
use super::data::Plot;
use super::frame::{Drawing, Frame, LABEL, Layout};
use super::svg::{Anchor, Point, Stroke};

fn size(layout: Layout) -> (f64, f64) {
    (layout.width(), layout.pick(900.0, 560.0))
}

/// A projection from coordinates in degrees to points of the picture.
struct Projection {
    west: f64,
    north: f64,
    /// Units of the picture for a degree of latitude.
    scale: f64,
    /// The length of a degree of longitude by that of one of latitude.
    longitude_ratio: f64,
    /// The point of the north-western corner.
    corner: Point,
}

impl Projection {
    /// Fits stations into a frame; at each side, the outermost two-hundredth of them may lie outside.
    /// `None` without stations.
    fn fit(stations: &[&MapStation], frame: &Frame) -> Option<Self> {
        /// The least extent in degrees, about a kilometre: a single station has none.
        const LEAST: f64 = 0.01;
        const MARGIN: f64 = 20.0;
        let range = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            let edge = values.len() / 200;
            Some((*values.get(edge)?, *values.get(values.len() - 1 - edge)?))
        };
        let (south, north) = range(stations.iter().map(|it| it.latitude).collect())?;
        let (west, east) = range(stations.iter().map(|it| it.longitude).collect())?;
        let longitude_ratio = ((south + north) / 2.0).to_radians().cos();
        let width = ((east - west) * longitude_ratio).max(LEAST);
        let height = (north - south).max(LEAST);
        let (frame_width, frame_height) =
            (frame.width() - 2.0 * MARGIN, frame.height() - 2.0 * MARGIN);
        let scale = (frame_width / width).min(frame_height / height);
        Some(Self {
            west: (west + east - width / longitude_ratio) / 2.0,
            north: (north + south + height) / 2.0,
            scale,
            longitude_ratio,
            corner: (
                frame.left + MARGIN + (frame_width - width * scale) / 2.0,
                frame.top + MARGIN + (frame_height - height * scale) / 2.0,
            ),
        })
    }

    /// Returns the point of a station. `None` outside of the frame.
    fn point(&self, station: &MapStation, frame: &Frame) -> Option<Point> {
        let x = self.corner.0 + (station.longitude - self.west) * self.longitude_ratio * self.scale;
        let y = self.corner.1 + (self.north - station.latitude) * self.scale;
        let is_inside =
            (frame.left..=frame.right).contains(&x) && (frame.top..=frame.bottom).contains(&y);
        is_inside.then_some((x, y))
    }

    /// Draws a scale: a line of a round number of kilometres.
    fn draw_scale(&self, frame: &mut Frame, layout: Layout) {
        const KM_PER_DEGREE: f64 = 111.195;
        let km = self.scale / KM_PER_DEGREE;
        let lengths = [0.5, 1.0, 2.0, 5.0, 10.0].into_iter();
        let length = lengths.rev().find(|it| it * km < layout.pick(180.0, 110.0));
        let length = length.unwrap_or(0.5);
        let (left, right, y) = (frame.left, frame.left + length * km, frame.bottom);
        let points = [(left, y - 4.0), (left, y), (right, y), (right, y - 4.0)];
        frame.line(&points, DARK_GREY, 1.2);
        let text = format!("{length} km");
        frame.svg.text((left, y - 9.0), LABEL, Anchor::Start, &text);
    }
}

/// Draws stations sized by trips, coloured by arrivals less departures. `None` without trips.
pub(super) fn stations(plot: &Plot<'_>, layout: Layout) -> Option<Drawing> {
    /// The surplus, as a fraction of a station's trips, that has the full colour.
    const FULL_COLOUR: f64 = 0.2;
    let map = plot.table.map.as_ref()?;
    let mut stations: Vec<&MapStation> = map.stations.iter().filter(|it| it.trips > 0).collect();
    // Small circles are drawn over large ones.
    stations.sort_by_key(|station| Reverse(station.trips));
    let most = stations.first()?.trips as f64;
    let gains = "gains bikes: more arrivals (full colour from 20 % of its trips)";
    let legend = [
        (gains.to_owned(), BLUE),
        ("even".to_owned(), GREY),
        ("loses bikes: more departures".to_owned(), VERMILLION),
    ];
    let title = "Stations sized by trips, coloured by arrivals less departures";
    let mut frame = Frame::new(title, &plot.scope, size(layout), &legend);
    let projection = Projection::fit(&stations, &frame)?;
    for station in stations {
        let Some(at) = projection.point(station, &frame) else {
            continue;
        };
        let surplus = station.net as f64 / station.trips as f64 / FULL_COLOUR;
        let fill = GREY.mix(if surplus < 0.0 { VERMILLION } else { BLUE }, surplus.abs());
        let radius = 1.3 + layout.pick(8.5, 5.0) * (station.trips as f64 / most).sqrt();
        let tooltip = format!(
            "{} ({}): {} trips, net {}",
            station.name,
            station.id,
            grouped(station.trips),
            grouped(station.net)
        );
        frame.svg.circle(at, radius, (fill, 0.75), &tooltip);
    }
    projection.draw_scale(&mut frame, layout);
    Some(frame.finish())
}

/// A route between two stations of the map.
struct Route<'a> {
    from: &'a MapStation,
    to: &'a MapStation,
    trips: f64,
}

/// Draws the busiest routes as lines. `None` where there are none between two stations.
pub(super) fn routes(plot: &Plot<'_>, layout: Layout) -> Option<Drawing> {
    let map = plot.table.map.as_ref()?;
    let routes = busiest(plot, map)?;
    let most = routes.first()?.trips;
    let title = match routes.len() {
        1 => "The busiest route between two stations".to_owned(),
        n => format!("The {n} busiest routes between two stations"),
    };
    let legend = [
        ("a route: the wider, the more trips".to_owned(), BLUE),
        ("a station".to_owned(), GREY),
    ];
    let mut frame = Frame::new(&title, &plot.scope, size(layout), &legend);
    let ends: Vec<&MapStation> = routes.iter().flat_map(|it| [it.from, it.to]).collect();
    let projection = Projection::fit(&ends, &frame)?;
    for station in &map.stations {
        if let Some(at) = projection.point(station, &frame) {
            let tooltip = format!("{} ({})", station.name, station.id);
            let radius = layout.pick(1.6, 1.0);
            frame.svg.circle(at, radius, (GREY, 0.8), &tooltip);
        }
    }
    // The busiest is drawn last, over the others.
    for Route { from, to, trips } in routes.iter().rev() {
        let ends = projection
            .point(from, &frame)
            .zip(projection.point(to, &frame));
        let Some((start, end)) = ends else {
            continue;
        };
        let stroke = Stroke {
            colour: BLUE,
            width: 0.8 + layout.pick(6.0, 3.5) * trips / most,
            opacity: 0.55,
        };
        let n = grouped(*trips as i64);
        let tooltip = format!("{} to {}: {n} trips", from.name, to.name);
        frame.svg.line(&[start, end], stroke, &tooltip);
    }
    projection.draw_scale(&mut frame, layout);
    Some(frame.finish())
}

/// Returns the routes between two stations of the map with most trips, the largest number first. The
/// order of the table may be another. `None` for a table without routes.
fn busiest<'a>(plot: &Plot<'_>, map: &'a Map) -> Option<Vec<Route<'a>>> {
    const MOST: usize = 150;
    let from = plot.column(Role::OriginId)?;
    let to = plot.column(Role::DestinationId)?;
    let trips = plot.column(Role::Measure(Measure::Trips))?;
    let stations: HashMap<&str, &MapStation> = (map.stations.iter())
        .map(|station| (station.id.as_str(), station))
        .collect();
    let station = |value: &Value| match value {
        Value::Text(id) => stations.get(id.as_str()).copied(),
        _ => None,
    };
    let routes = plot.table.rows.iter().filter(|row| row[from] != row[to]);
    let routes = routes.filter_map(|row| {
        Some(Route {
            from: station(&row[from])?,
            to: station(&row[to])?,
            trips: row[trips].number()?,
        })
    });
    let mut routes: Vec<Route<'_>> = routes.collect();
    routes.sort_by(|a, b| b.trips.total_cmp(&a.trips));
    routes.truncate(MOST);
    Some(routes)
}
