//! A map of stations, sized by trips and coloured by arrivals less departures.

use std::cmp::Reverse;

use divvy::reports::{MapStation, grouped, plural};

use super::super::data::{NotDrawn, Plot};
use super::super::frame::{Drawing, Frame, Heading, LABEL, Layout, Sheet, width_of};
use super::super::svg::{Anchor, Stroke};
use super::names::{self, Named};
use super::{Canvas, Extent, FOOT, round_down};
use crate::render::colours::{Colour, SOFT, SURPLUS};

/// The stations whose names are written.
const NAMED: usize = 5;

/// The surplus, as a share of a station's trips, from which on it has the fuller colours.
const SURPLUS_STEPS: [f64; 4] = [-0.2, -0.05, 0.05, 0.2];

/// Draws the map.
pub(in super::super) fn draw(plot: &Plot<'_>, sheet: Sheet) -> Result<Drawing, NotDrawn> {
    let map = plot.table.map.as_ref().ok_or_else(|| plot.nothing())?;
    let mut stations: Vec<&MapStation> = map.stations.iter().filter(|it| it.trips > 0).collect();
    // Small circles are drawn over large ones.
    stations.sort_by_key(|station| Reverse(station.trips));
    let weighted = stations.iter().map(|it| (*it, it.trips as f64));
    let weighted: Vec<(&MapStation, f64)> = weighted.collect();
    let extent = Extent::of(&weighted).ok_or_else(|| plot.nothing())?;
    let canvas = |scope: String| Canvas::new(sheet, &heading(scope), extent);
    let first = canvas(plot.scope.clone());
    let off = stations.iter().filter(|it| first.point(it).is_none());
    let (off, off_trips) = off.fold((0, 0), |sum, it| (sum.0 + 1, sum.1 + it.trips));
    let mut canvas = if off == 0 {
        first
    } else {
        let (off, trips) = (plural(off, "station"), plural(off_trips, "trip"));
        canvas(plot.scope_with(&[format!("{off} off the map ({trips} start or end there)")]))
    };
    canvas.draw_base(plot.base);
    let most = stations.first().map_or(1.0, |it| it.trips as f64);
    let largest = sheet.pick(13.0, 9.0);
    let radius_of = |trips: f64| (largest * (trips / most).sqrt()).max(0.9);
    let mut named = Vec::new();
    for station in stations {
        let Some(at) = canvas.point(station) else {
            continue;
        };
        let radius = radius_of(station.trips as f64);
        // A finger shows no tooltip.
        let tooltip = match sheet.layout {
            Layout::Wide => tooltip(station),
            Layout::Narrow => String::new(),
        };
        let fill = (colour_of(station), 0.8);
        canvas.frame.svg.circle(at, radius, fill, &tooltip);
        if named.len() < NAMED {
            let name = station.name.as_str();
            named.push(Named { at, radius, name });
        }
    }
    names::write(&mut canvas.frame, &named);
    canvas.frame.svg.close_window();
    canvas.draw_scale(sheet);
    draw_sizes(&mut canvas.frame, most, radius_of);
    Ok(canvas.frame.finish())
}

fn heading(scope: String) -> Heading {
    let names = [
        "loses bikes: 20 % or more of its trips",
        "loses 5 to 20 %",
        "even",
        "gains 5 to 20 %",
        "gains 20 % or more",
    ];
    let legend: Vec<(String, Colour)> = (names.iter().zip(SURPLUS))
        .map(|(name, colour)| ((*name).to_owned(), colour))
        .collect();
    let title = "Stations sized by trips, coloured by arrivals less departures";
    Heading::new(title.into(), scope, &legend)
}

fn colour_of(station: &MapStation) -> Colour {
    let share = station.net as f64 / station.trips as f64;
    let class = SURPLUS_STEPS.iter().filter(|step| share >= **step).count();
    SURPLUS[class]
}

fn tooltip(station: &MapStation) -> String {
    let trips = plural(station.trips, "trip");
    let sign = if station.net > 0 { "+" } else { "" };
    format!(
        "{}: {trips}, net {sign}{}",
        station.name,
        grouped(station.net)
    )
}

/// Draws the legend of sizes below the map: circles of round numbers of trips.
fn draw_sizes(frame: &mut Frame, most: f64, radius_of: impl Fn(f64) -> f64) {
    let mut sizes: Vec<f64> = [1.0, 5.0, 25.0].map(|part| round_down(most / part)).into();
    sizes.dedup();
    let mut x = frame.right;
    let y = frame.bottom + FOOT - 22.0;
    let stroke = Stroke {
        colour: SOFT,
        width: 1.2,
        opacity: 1.0,
    };
    for (at, trips) in sizes.into_iter().enumerate() {
        let text = match at {
            0 => plural(trips as i64, "trip"),
            _ => grouped(trips as i64),
        };
        let radius = radius_of(trips);
        frame.svg.text((x, y + 4.5), LABEL, Anchor::End, &text);
        x -= width_of(&text) + 6.0 + radius;
        frame.svg.ring((x, y), radius, stroke, "");
        x -= radius + 14.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_have_the_classes_of_the_legend() {
        let colour = |net| {
            colour_of(&MapStation {
                id: String::new(),
                name: String::new(),
                latitude: 0.0,
                longitude: 0.0,
                trips: 100,
                net,
            })
        };
        let colours = [-50, -10, 0, 10, 20].map(colour);
        assert_eq!(colours, SURPLUS);
    }
}
