//! Maps of stations: north is up, east to the right.

mod names;
mod routes;
mod stations;

pub(super) use routes::draw as routes;
pub(super) use stations::draw as stations;

use divvy::reports::MapStation;

use super::base::{Base, Position};
use super::frame::{Frame, Heading, LABEL, Sheet};
use super::svg::{Anchor, Point, Stroke};
use crate::render::colours::{LAND, SHORE, SOFT};

/// Space for the scale and the legend of sizes below a map.
const FOOT: f64 = 46.0;

/// The part of the earth that a map shows, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Extent {
    south: f64,
    north: f64,
    west: f64,
    east: f64,
}

impl Extent {
    /// Returns the extent of stations, each with its trips. Those far away from where nearly all trips
    /// are have no influence: one at another place than it should be would squeeze all others.
    /// `None` without stations.
    fn of(stations: &[(&MapStation, f64)]) -> Option<Self> {
        /// The least extent in degrees, about a kilometre: a single station has none.
        const LEAST: f64 = 0.01;
        let latitudes = core(stations.iter().map(|(it, trips)| (it.latitude, *trips)))?;
        let longitudes = core(stations.iter().map(|(it, trips)| (it.longitude, *trips)))?;
        let ratio = ((latitudes.0 + latitudes.1) / 2.0).to_radians().cos();
        let size = (latitudes.1 - latitudes.0).max((longitudes.1 - longitudes.0) * ratio);
        let margin = (size / 2.0).max(LEAST);
        let near = stations.iter().map(|(station, _)| station).filter(|it| {
            let south_north = latitudes.0 - margin..=latitudes.1 + margin;
            let west_east = longitudes.0 - margin / ratio..=longitudes.1 + margin / ratio;
            south_north.contains(&it.latitude) && west_east.contains(&it.longitude)
        });
        let mut extent = Self {
            south: f64::INFINITY,
            north: f64::NEG_INFINITY,
            west: f64::INFINITY,
            east: f64::NEG_INFINITY,
        };
        for station in near {
            extent.south = extent.south.min(station.latitude);
            extent.north = extent.north.max(station.latitude);
            extent.west = extent.west.min(station.longitude);
            extent.east = extent.east.max(station.longitude);
        }
        let widen = |from: f64, to: f64, least: f64| {
            let spare = (least - (to - from)).max(0.0) / 2.0;
            (from - spare, to + spare)
        };
        (extent.south, extent.north) = widen(extent.south, extent.north, LEAST);
        (extent.west, extent.east) = widen(extent.west, extent.east, LEAST / ratio);
        Some(extent)
    }

    /// Returns the length of a degree of longitude by that of one of latitude.
    fn longitude_ratio(&self) -> f64 {
        ((self.south + self.north) / 2.0).to_radians().cos()
    }

    /// Returns width by height.
    fn aspect(&self) -> f64 {
        (self.east - self.west) * self.longitude_ratio() / (self.north - self.south)
    }
}

/// Returns the values between which 98 % of the trips lie. `None` without stations.
fn core(values: impl Iterator<Item = (f64, f64)>) -> Option<(f64, f64)> {
    let mut values: Vec<(f64, f64)> = values.collect();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all: f64 = values.iter().map(|(_, trips)| trips).sum();
    let at = |fraction: f64| {
        let mut sum = 0.0;
        let reached = values.iter().find(|(_, trips)| {
            sum += trips;
            sum >= all * fraction
        });
        reached.or(values.last()).map(|(value, _)| *value)
    };
    Some((at(0.01)?, at(0.99)?))
}

/// A map being drawn: its chart, and the projection from degrees to points of the picture.
struct Canvas {
    frame: Frame,
    extent: Extent,
    /// Units of the picture for a degree of latitude.
    scale: f64,
    /// The point of the north-western corner of the extent.
    corner: Point,
}

impl Canvas {
    /// Makes a picture as large as the extent needs, which keeps its shape: a tall one for a city along
    /// a shore from north to south.
    fn new(sheet: Sheet, heading: &Heading, extent: Extent) -> Self {
        const MARGIN: f64 = 14.0;
        let (most_width, most_height) = sheet.pick((912.0, 760.0), (360.0, 560.0));
        let inner = |length: f64| length - 2.0 * MARGIN;
        let aspect = extent.aspect();
        let height = (inner(most_width) / aspect)
            .min(inner(most_height))
            .max(200.0);
        let width = (height * aspect).min(inner(most_width));
        let sheet_width = sheet.pick((width + 2.0 * MARGIN + 44.0).max(640.0), 400.0);
        let top = Frame::new(sheet, heading, (sheet_width, 0.0)).top - 10.0;
        let size = (sheet_width, top + height + 2.0 * MARGIN + FOOT + 12.0);
        let mut frame = Frame::new(sheet, heading, size);
        frame.top = top;
        frame.bottom = top + height + 2.0 * MARGIN;
        let degrees = (extent.east - extent.west) * extent.longitude_ratio();
        let scale = (width / degrees).min(height / (extent.north - extent.south));
        let corner = (
            (frame.left + frame.right - degrees * scale) / 2.0,
            (frame.top + frame.bottom - (extent.north - extent.south) * scale) / 2.0,
        );
        Self {
            frame,
            extent,
            scale,
            corner,
        }
    }

    /// Returns the point of a position.
    fn project(&self, (longitude, latitude): Position) -> Point {
        let ratio = self.extent.longitude_ratio();
        (
            self.corner.0 + (longitude - self.extent.west) * ratio * self.scale,
            self.corner.1 + (self.extent.north - latitude) * self.scale,
        )
    }

    /// Returns the point of a station. `None` outside of the map.
    fn point(&self, station: &MapStation) -> Option<Point> {
        let (x, y) = self.project((station.longitude, station.latitude));
        let frame = &self.frame;
        let is_inside =
            (frame.left..=frame.right).contains(&x) && (frame.top..=frame.bottom).contains(&y);
        is_inside.then_some((x, y))
    }

    /// Draws shorelines and borders. Later elements are drawn in the map's window.
    fn draw_base(&mut self, base: Option<&Base>) {
        let frame = &mut self.frame;
        let at = (frame.left, frame.top);
        let size = (frame.width(), frame.height());
        frame.svg.open_window(at, size);
        let Some(base) = base else { return };
        let shore = Stroke {
            colour: SHORE,
            width: 1.2,
            opacity: 1.0,
        };
        for rings in &base.areas {
            let rings: Vec<Vec<Point>> = rings.iter().filter_map(|it| self.visible(it)).collect();
            self.frame.svg.area(&rings, LAND);
            for ring in &rings {
                self.frame.svg.line(ring, shore, "");
            }
        }
        for line in &base.lines {
            if let Some(points) = self.visible(line) {
                self.frame.svg.line(&points, shore, "");
            }
        }
    }

    /// Projects a line. Leaves out points that are less than `CLOSE` pixels from the one before. `None` for
    /// a line that lies outside of the map.
    fn visible(&self, line: &[Position]) -> Option<Vec<Point>> {
        const CLOSE: f64 = 0.7;
        let mut points: Vec<Point> = Vec::new();
        for position in line {
            let (x, y) = self.project(*position);
            let is_close = (points.last())
                .is_some_and(|last| (last.0 - x).abs() < CLOSE && (last.1 - y).abs() < CLOSE);
            if !is_close {
                points.push((x, y));
            }
        }
        let outside = |is_out: &dyn Fn(&Point) -> bool| points.iter().all(is_out);
        let frame = &self.frame;
        let is_out = outside(&|it| it.0 < frame.left)
            || outside(&|it| it.0 > frame.right)
            || outside(&|it| it.1 < frame.top)
            || outside(&|it| it.1 > frame.bottom);
        (!is_out && points.len() > 1).then_some(points)
    }

    /// Draws a scale below the map: a line of a round number of kilometres.
    fn draw_scale(&mut self, sheet: Sheet) {
        const KM_PER_DEGREE: f64 = 111.195;
        let km = self.scale / KM_PER_DEGREE;
        let lengths = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0].into_iter();
        let length = lengths.rev().find(|it| it * km < sheet.pick(170.0, 90.0));
        let length = length.unwrap_or(0.1);
        let frame = &mut self.frame;
        let (left, right) = (frame.left, frame.left + length * km);
        let y = frame.bottom + FOOT - 8.0;
        let points = [(left, y - 5.0), (left, y), (right, y), (right, y - 5.0)];
        frame.line(&points, SOFT, 1.2);
        let text = format!("{length} km");
        frame
            .svg
            .text((left, y - 10.0), LABEL, Anchor::Start, &text);
    }
}

/// Returns the largest of the round numbers 1, 2 and 5, times a power of ten, that is not more.
fn round_down(most: f64) -> f64 {
    let ten = 10_f64.powf(most.max(1.0).log10().floor());
    let steps = [5.0, 2.0, 1.0].map(|step| step * ten);
    steps.into_iter().find(|step| *step <= most).unwrap_or(ten)
}

#[cfg(test)]
mod tests {
    use super::super::frame::Layout;
    use super::*;
    use crate::render::colours::Theme;

    fn station(latitude: f64, longitude: f64) -> MapStation {
        MapStation {
            id: "7".into(),
            name: "Canal St".into(),
            latitude,
            longitude,
            trips: 100,
            net: 0,
        }
    }

    fn canvas(stations: &[MapStation], layout: Layout) -> Canvas {
        let weighted: Vec<(&MapStation, f64)> = stations.iter().map(|it| (it, 100.0)).collect();
        let heading = Heading::new("Stations".into(), "100 trips".into(), &[]);
        let sheet = Sheet {
            layout,
            theme: Theme::File,
        };
        Canvas::new(sheet, &heading, Extent::of(&weighted).unwrap())
    }

    #[test]
    fn a_map_keeps_the_shape_of_the_city_and_fills_its_canvas() {
        for (stations, is_wide) in [
            (vec![station(41.6, -87.7), station(42.1, -87.5)], false),
            (vec![station(41.80, -88.2), station(41.95, -87.5)], true),
        ] {
            for layout in [Layout::Wide, Layout::Narrow] {
                let canvas = canvas(&stations, layout);
                let frame = &canvas.frame;
                assert_eq!(frame.width() > frame.height(), is_wide);
                let points: Vec<Point> = stations
                    .iter()
                    .map(|it| canvas.point(it).unwrap())
                    .collect();
                let (a, b) = (points[0], points[1]);
                // North is up, east to the right, a kilometre as long in both directions.
                assert!(b.0 > a.0 && b.1 < a.1);
                let ratio = 41.87_f64.to_radians().cos();
                let degrees = (stations[1].longitude - stations[0].longitude) * ratio
                    / (stations[1].latitude - stations[0].latitude);
                let drawn = (b.0 - a.0) / (a.1 - b.1);
                assert!((degrees / drawn - 1.0).abs() < 0.01, "{degrees} {drawn}");
                let filled = (a.1 - b.1) / frame.height();
                assert!(
                    filled > 0.8 || (b.0 - a.0) / frame.width() > 0.8,
                    "{filled}"
                );
            }
        }
    }

    #[test]
    fn a_station_far_away_squeezes_no_others() {
        let mut stations: Vec<MapStation> = (0..200)
            .map(|at| {
                station(
                    41.8 + f64::from(at) * 0.001,
                    -87.6 - f64::from(at % 10) * 0.01,
                )
            })
            .collect();
        let without = canvas(&stations, Layout::Wide).scale;
        stations.push(station(0.0, 0.0));
        let with = canvas(&stations, Layout::Wide);
        assert_eq!(with.scale, without);
        assert_eq!(with.point(&station(0.0, 0.0)), None);
    }

    #[test]
    fn round_numbers_are_not_more() {
        let rounded = [1.0, 3.0, 4_999.0, 5_000.0].map(round_down);
        assert_eq!(rounded, [1.0, 2.0, 2_000.0, 5_000.0]);
    }
}
