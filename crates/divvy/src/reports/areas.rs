//! Named areas, such as neighbourhoods, from a file of GeoJSON (RFC 7946).

use std::sync::Arc;

use serde_json::Value;

/// Longitude and latitude in degrees.
type Point = (f64, f64);

/// Areas with names, in the order of their file.
#[derive(Clone, Debug, PartialEq)]
pub struct Areas {
    file: Arc<str>,
    areas: Arc<[Area]>,
}

#[derive(Clone, Debug, PartialEq)]
struct Area {
    name: String,
    /// Each with its rings: the outer one, and holes.
    polygons: Vec<Vec<Vec<Point>>>,
}

/// Why a text has no areas.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAreas {
    /// It is no JSON.
    #[error("it is no JSON: {0}")]
    Json(String),
    /// It is JSON of another kind.
    #[error("expected a FeatureCollection of GeoJSON, found {0}")]
    NoFeatures(String),
    /// A feature has no property that could be its name.
    #[error(
        "feature {number} has no text or number in a property called {expected}",
        expected = NAMES.join(", ")
    )]
    NoName {
        /// Its number in the file, from 1 on.
        number: usize,
    },
    /// A position is not two numbers in degrees.
    #[error(
        "{name}: expected rings of 4 positions or more as [longitude, latitude] in degrees, found {found}"
    )]
    NoPosition {
        /// The name of the area.
        name: String,
        /// What stands in the place of a position.
        found: String,
    },
    /// No feature is a polygon.
    #[error("no feature is a Polygon or a MultiPolygon")]
    NoPolygons,
}

/// The properties that are read as the name of an area, the best first, in any case. The last two are those of
/// Chicago's community areas and San Francisco's analysis neighbourhoods.
const NAMES: [&str; 7] = [
    "name",
    "neighborhood",
    "neighbourhood",
    "district",
    "title",
    "community",
    "nhood",
];

impl Areas {
    /// Reads the polygons of a FeatureCollection. Features of other kinds are left out. `file` is the name of the
    /// file, for messages.
    ///
    /// # Errors
    ///
    /// [`NoAreas`].
    pub fn parse(file: &str, text: &str) -> Result<Self, NoAreas> {
        // Some programs begin files with a byte order mark.
        let text = text.trim_start_matches('\u{feff}');
        let json: Value = serde_json::from_str(text).map_err(|e| NoAreas::Json(e.to_string()))?;
        let features = json.get("features").and_then(Value::as_array);
        let features = features.ok_or_else(|| {
            let kind = json.get("type").and_then(Value::as_str);
            NoAreas::NoFeatures(kind.map_or("no \"features\"".into(), |kind| format!("a {kind}")))
        })?;
        let mut areas = Vec::new();
        for (feature, number) in features.iter().zip(1..) {
            let geometry = &feature["geometry"];
            let coordinates = &geometry["coordinates"];
            let polygons = match geometry["type"].as_str() {
                Some("Polygon") => std::slice::from_ref(coordinates),
                Some("MultiPolygon") => coordinates.as_array().map_or(&[][..], Vec::as_slice),
                _ => continue,
            };
            let name = name(&feature["properties"]).ok_or(NoAreas::NoName { number })?;
            let polygons: Result<_, String> = polygons.iter().map(rings).collect();
            let polygons = polygons.map_err(|found| NoAreas::NoPosition {
                name: name.clone(),
                found,
            })?;
            areas.push(Area { name, polygons });
        }
        match areas.is_empty() {
            true => Err(NoAreas::NoPolygons),
            false => Ok(Self {
                file: file.into(),
                areas: areas.into(),
            }),
        }
    }

    /// Returns the name of the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the name of the first area in which a position lies, in degrees. `None` for a position in none.
    pub fn find(&self, latitude: f64, longitude: f64) -> Option<&str> {
        let point = (longitude, latitude);
        let area = self.areas.iter().find(|area| {
            let mut polygons = area.polygons.iter();
            polygons.any(|rings| is_inside(rings, point))
        });
        area.map(|area| area.name.as_str())
    }
}

fn name(properties: &Value) -> Option<String> {
    let properties = properties.as_object()?;
    NAMES.iter().find_map(|wanted| {
        let mut properties = properties.iter();
        let (_, value) = properties.find(|(key, _)| key.eq_ignore_ascii_case(wanted))?;
        match value {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    })
}

/// The last position of a ring is the first one again.
const LEAST_POSITIONS: usize = 4;

/// Reads the rings of a polygon. Fails with the text of what is no position.
fn rings(polygon: &Value) -> Result<Vec<Vec<Point>>, String> {
    let list = |value: &Value| {
        let list = value.as_array().cloned();
        list.ok_or_else(|| shortened(value))
    };
    let rings = list(polygon)?;
    let rings = rings.iter().map(|ring| {
        let points = list(ring)?;
        if points.len() < LEAST_POSITIONS {
            return Err(shortened(ring));
        }
        points.iter().map(point).collect()
    });
    rings.collect()
}

fn point(position: &Value) -> Result<Point, String> {
    let number = |at: usize| position.get(at).and_then(Value::as_f64);
    let point = number(0).zip(number(1));
    point
        .filter(|(longitude, latitude)| longitude.abs() <= 180.0 && latitude.abs() <= 90.0)
        .ok_or_else(|| shortened(position))
}

fn shortened(value: &Value) -> String {
    const MOST: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Returns whether a point lies in a polygon: a ray from it crosses an odd number of edges. Holes are rings, too,
/// so that a point in one has an even number.
///
/// <https://wrfranklin.org/Research/Short_Notes/pnpoly.html>
fn is_inside(rings: &[Vec<Point>], (x, y): Point) -> bool {
    let mut is_inside = false;
    for ring in rings {
        let ends = ring.iter().skip(1).chain(ring.first());
        for ((x1, y1), (x2, y2)) in ring.iter().zip(ends) {
            let crosses = (*y1 > y) != (*y2 > y);
            if crosses && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1 {
                is_inside = !is_inside;
            }
        }
    }
    is_inside
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARES: &str = r#"{"type":"FeatureCollection","features":[
        {"type":"Feature","properties":{"NAME":" Loop "},"geometry":{"type":"Polygon","coordinates":[
            [[0,0],[10,0],[10,10],[0,10],[0,0]],[[4,4],[6,4],[6,6],[4,6],[4,4]]]}},
        {"type":"Feature","properties":{"community":7},"geometry":{"type":"MultiPolygon","coordinates":[
            [[[4,4],[6,4],[6,6],[4,6],[4,4]]],[[[20,0],[30,0],[25,10],[20,0]]]]}},
        {"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[1,1]}}]}"#;

    fn find(areas: &Areas, longitude: i32, latitude: i32) -> Option<&str> {
        areas.find(latitude.into(), longitude.into())
    }

    #[test]
    fn positions_lie_in_areas_and_holes_are_outside() {
        let areas = Areas::parse("squares.geojson", SQUARES).unwrap();
        assert_eq!(find(&areas, 1, 1), Some("Loop"));
        assert_eq!(find(&areas, 5, 5), Some("7"));
        assert_eq!(find(&areas, 25, 3), Some("7"));
        assert_eq!(find(&areas, 21, 9), None);
        assert_eq!(find(&areas, 15, 5), None);
    }

    #[test]
    fn what_has_no_areas_is_refused() {
        let refused = |text: &str| Areas::parse("f.geojson", text).unwrap_err().to_string();
        insta::assert_snapshot!(refused("{"), @"it is no JSON: EOF while parsing an object at line 1 column 1");
        insta::assert_snapshot!(refused(r#"{"type":"Point"}"#), @"expected a FeatureCollection of GeoJSON, found a Point");
        insta::assert_snapshot!(refused(r#"{"features":[]}"#), @"no feature is a Polygon or a MultiPolygon");
        let unnamed = SQUARES.replace("NAME", "shape_area_x");
        insta::assert_snapshot!(refused(&unnamed), @"feature 1 has no text or number in a property called name, neighborhood, neighbourhood, district, title, community, nhood");
        let odd = SQUARES.replace("[10,0]", "[\"10\",0]");
        insta::assert_snapshot!(refused(&odd), @r#"Loop: expected rings of 4 positions or more as [longitude, latitude] in degrees, found ["10",0]"#);
        let metres = SQUARES.replace("[10,0]", "[1176116.5,1890000]");
        insta::assert_snapshot!(refused(&metres), @"Loop: expected rings of 4 positions or more as [longitude, latitude] in degrees, found [1176116.5,1890000]");
    }
}
