//! A map of routes: arrows between stations, and rings for trips that end where they start.

use std::collections::{BTreeMap, HashMap};

use divvy::reports::{Map, MapStation, Measure, Role, Value, plural};

use super::super::data::{NotDrawn, Plot};
use super::super::frame::{Drawing, Frame, Heading, LABEL, Layout, Sheet, width_of};
use super::super::svg::{Anchor, Point, Stroke};
use super::names::{self, Named};
use super::{Canvas, Extent, FOOT, round_down};
use crate::render::colours::{ROUTE, STATION};

/// The routes that are drawn if no number of rows is requested.
const MOST: usize = 150;

/// The routes that are drawn if more rows are requested: a picture of more is a tangle.
const MOST_ASKED: usize = 1_000;

const NAMED: usize = 5;

/// A route between two stations of the map, or from one to itself.
struct Route<'a> {
    from: &'a MapStation,
    to: &'a MapStation,
    trips: f64,
}

/// Draws the first routes of the table.
pub(in super::super) fn draw(plot: &Plot<'_>, sheet: Sheet) -> Result<Drawing, NotDrawn> {
    let map = plot.table.map.as_ref().ok_or_else(|| plot.nothing())?;
    let (routes, unplaced) = first_routes(plot, map).ok_or_else(|| plot.nothing())?;
    let ends = routes
        .iter()
        .flat_map(|it| [(it.from, it.trips), (it.to, it.trips)]);
    let ends: Vec<(&MapStation, f64)> = ends.collect();
    let extent = Extent::of(&ends).ok_or_else(|| plot.nothing())?;
    let canvas = |sentences: &[String]| {
        let heading = heading(plot, routes.len(), sentences);
        Canvas::new(sheet, &heading, extent)
    };
    let mut sentences = Vec::new();
    if unplaced > 0 {
        let routes = plural(unplaced, "route");
        sentences.push(format!(
            "{routes} to or from a station without a position not drawn"
        ));
    }
    let first = canvas(&sentences);
    let is_on = |it: &&Route<'_>| first.point(it.from).is_some() && first.point(it.to).is_some();
    let off = routes.len() - routes.iter().filter(is_on).count();
    if off > 0 {
        sentences.push(format!("{} off the map", plural(off as i64, "route")));
    }
    let mut canvas = canvas(&sentences);
    canvas.draw_base(plot.base);
    draw_stations(&mut canvas, map, sheet);
    let widest = sheet.pick(7.0, 4.5);
    let most = routes.iter().map(|it| it.trips).fold(1.0, f64::max);
    let width_of_trips = |trips: f64| (widest * trips / most).max(0.6);
    // The first is drawn last, over the others.
    for route in routes.iter().rev() {
        let width = width_of_trips(route.trips);
        let tooltip = match sheet.layout {
            Layout::Wide => tooltip(route),
            Layout::Narrow => String::new(),
        };
        draw_route(&mut canvas, route, width, &tooltip);
    }
    let named = busiest(&routes);
    let named = named.into_iter().filter_map(|station| {
        Some(Named {
            at: canvas.point(station)?,
            radius: 4.0,
            name: &station.name,
        })
    });
    let named: Vec<Named<'_>> = named.collect();
    names::write(&mut canvas.frame, &named);
    canvas.frame.svg.close_window();
    canvas.draw_scale(sheet);
    draw_widths(&mut canvas.frame, most, width_of_trips);
    Ok(canvas.frame.finish())
}

fn heading(plot: &Plot<'_>, n: usize, sentences: &[String]) -> Heading {
    let routes = match n {
        1 => "route".to_owned(),
        n => format!("{n} routes"),
    };
    let title = match &plot.filters.sort {
        None => format!("The busiest {routes}"),
        Some(sort) => {
            let column = plot.table.columns.iter().find(|it| it.name == sort.column);
            let by = column.map_or_else(|| sort.column.clone(), |it| it.heading());
            format!("The first {routes} by {by}")
        }
    };
    let legend = [
        (
            "an arrow: trips in its direction, a ring: trips back to the start",
            ROUTE,
        ),
        ("a station", STATION),
    ];
    let legend = legend.map(|(text, colour)| (text.to_owned(), colour));
    Heading::new(title, plot.scope_with(sentences), &legend)
}

/// Returns the first routes of the table between stations of the map, and how many of the others have
/// an end without a position. `None` for a table without routes.
fn first_routes<'a>(plot: &Plot<'_>, map: &'a Map) -> Option<(Vec<Route<'a>>, i64)> {
    let most = if plot.filters.top.is_some() {
        MOST_ASKED
    } else {
        MOST
    };
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
    let mut unplaced = 0;
    let mut routes = Vec::new();
    for row in plot.table.rows.iter().take(most) {
        let Some(trips) = row[trips].number() else {
            continue;
        };
        match (station(&row[from]), station(&row[to])) {
            (Some(from), Some(to)) => routes.push(Route { from, to, trips }),
            _ => unplaced += 1,
        }
    }
    Some((routes, unplaced))
}

/// Returns the stations with most trips on the routes, the largest number first.
fn busiest<'a>(routes: &[Route<'a>]) -> Vec<&'a MapStation> {
    let mut sums: BTreeMap<&str, (f64, &MapStation)> = BTreeMap::new();
    for route in routes {
        for end in [route.from, route.to] {
            sums.entry(&end.id).or_insert((0.0, end)).0 += route.trips;
        }
    }
    let mut sums: Vec<(f64, &MapStation)> = sums.into_values().collect();
    sums.sort_by(|a, b| b.0.total_cmp(&a.0));
    sums.truncate(NAMED);
    sums.into_iter().map(|(_, station)| station).collect()
}

fn draw_stations(canvas: &mut Canvas, map: &Map, sheet: Sheet) {
    let points = map.stations.iter().filter_map(|it| canvas.point(it));
    let points: Vec<Point> = points.collect();
    let radius = sheet.pick(1.6, 1.0);
    canvas.frame.svg.dots(&points, radius, (STATION, 0.8));
}

/// Draws an arrow that bends to the right, so that both directions are seen; a ring for a route that
/// ends where it starts.
fn draw_route(canvas: &mut Canvas, route: &Route<'_>, width: f64, tooltip: &str) {
    const BEND: f64 = 0.12;
    const STEPS: i32 = 10;
    let Some((start, end)) = canvas.point(route.from).zip(canvas.point(route.to)) else {
        return;
    };
    let stroke = Stroke {
        colour: ROUTE,
        width,
        opacity: 0.65,
    };
    let (dx, dy) = (end.0 - start.0, end.1 - start.1);
    let length = dx.hypot(dy);
    if length < 1.0 {
        canvas.frame.svg.ring(start, 4.0 + width, stroke, tooltip);
        return;
    }
    let bend = (
        (start.0 + end.0) / 2.0 - dy * BEND,
        (start.1 + end.1) / 2.0 + dx * BEND,
    );
    let curve = |t: f64| -> Point {
        let (a, b, c) = ((1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t);
        (
            a * start.0 + b * bend.0 + c * end.0,
            a * start.1 + b * bend.1 + c * end.1,
        )
    };
    let head = (3.5 + width * 1.1).min(length * 0.6);
    let last = 1.0 - head / length;
    let points = (0..=STEPS).map(|step| curve(last * f64::from(step) / f64::from(STEPS)));
    let points: Vec<Point> = points.collect();
    canvas.frame.svg.line(&points, stroke, tooltip);
    let base = curve(last);
    let (hx, hy) = (end.0 - base.0, end.1 - base.1);
    let half = (0.35_f64).max(0.5 * width / head + 0.15);
    let corners = [
        end,
        (base.0 - hy * half, base.1 + hx * half),
        (base.0 + hy * half, base.1 - hx * half),
    ];
    canvas.frame.svg.polygon(&corners, (ROUTE, 0.8));
}

fn tooltip(route: &Route<'_>) -> String {
    let trips = plural(route.trips as i64, "trip");
    if route.from.id == route.to.id {
        format!("{}, back to the start: {trips}", route.from.name)
    } else {
        format!("{} to {}: {trips}", route.from.name, route.to.name)
    }
}

/// Draws the legend of widths below the map: lines of round numbers of trips.
fn draw_widths(frame: &mut Frame, most: f64, width_of_trips: impl Fn(f64) -> f64) {
    const LENGTH: f64 = 26.0;
    let mut sizes: Vec<f64> = [1.0, 4.0].map(|part| round_down(most / part)).into();
    sizes.dedup();
    let mut x = frame.right;
    let y = frame.bottom + FOOT - 18.0;
    for trips in sizes {
        let text = plural(trips as i64, "trip");
        frame.svg.text((x, y + 4.5), LABEL, Anchor::End, &text);
        x -= width_of(&text) + 6.0;
        let width = width_of_trips(trips);
        frame.line(&[(x - LENGTH, y), (x, y)], ROUTE, width);
        x -= LENGTH + 16.0;
    }
}
