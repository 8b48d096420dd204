//! Shorelines and borders below the stations of a map, from a file of GeoJSON (RFC 7946).

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

/// Longitude and latitude in degrees.
pub(super) type Position = (f64, f64);

/// Lines and areas of a map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Base {
    pub(super) lines: Vec<Vec<Position>>,
    /// Each with its rings: the outer one, and holes.
    pub(super) areas: Vec<Vec<Vec<Position>>>,
}

impl Base {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no GeoJSON, or has neither lines nor areas.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let context = || path.display().to_string();
        let bytes = fs::read(path).with_context(context)?;
        Self::parse(&bytes).with_context(context)
    }

    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let value: Value = serde_json::from_slice(bytes).context("it is no JSON")?;
        let mut base = Self::default();
        base.add(&value, 0)?;
        if base.lines.is_empty() && base.areas.is_empty() {
            bail!("it has neither lines nor areas: a base map needs a shoreline or a border");
        }
        Ok(base)
    }

    /// Adds an object and all that it holds. Points are left out.
    fn add(&mut self, object: &Value, depth: usize) -> anyhow::Result<()> {
        const DEEPEST: usize = 32;
        if depth > DEEPEST {
            bail!("its collections are nested more than {DEEPEST} deep");
        }
        let kind = object.get("type").and_then(Value::as_str);
        let kind = kind.context("it is no GeoJSON: an object has no \"type\"")?;
        let member = |name: &str| {
            let member = object.get(name);
            member.with_context(|| format!("a {kind} has no \"{name}\""))
        };
        match kind {
            "FeatureCollection" => {
                for feature in list(member("features")?, kind)? {
                    self.add(feature, depth + 1)?;
                }
            }
            "Feature" => match member("geometry")? {
                Value::Null => {}
                geometry => self.add(geometry, depth + 1)?,
            },
            "GeometryCollection" => {
                for geometry in list(member("geometries")?, kind)? {
                    self.add(geometry, depth + 1)?;
                }
            }
            "LineString" => self.lines.push(line(member("coordinates")?, kind)?),
            "MultiLineString" => self.lines.extend(lines(member("coordinates")?, kind)?),
            "Polygon" => self.areas.push(lines(member("coordinates")?, kind)?),
            "MultiPolygon" => {
                for area in list(member("coordinates")?, kind)? {
                    self.areas.push(lines(area, kind)?);
                }
            }
            "Point" | "MultiPoint" => {}
            other => bail!("it is no GeoJSON: there is no type \"{other}\""),
        }
        Ok(())
    }
}

fn list<'a>(value: &'a Value, kind: &str) -> anyhow::Result<&'a Vec<Value>> {
    let list = value.as_array();
    list.with_context(|| format!("a {kind} has something else than a list where it needs one"))
}

fn lines(value: &Value, kind: &str) -> anyhow::Result<Vec<Vec<Position>>> {
    let lines = list(value, kind)?.iter();
    lines.map(|part| line(part, kind)).collect()
}

fn line(value: &Value, kind: &str) -> anyhow::Result<Vec<Position>> {
    let positions = list(value, kind)?.iter();
    positions.map(|it| position(it, kind)).collect()
}

/// Reads longitude and latitude; a height behind them is left out.
fn position(value: &Value, kind: &str) -> anyhow::Result<Position> {
    let numbers = list(value, kind)?;
    let number = |at: usize| numbers.get(at).and_then(Value::as_f64);
    let (Some(longitude), Some(latitude)) = (number(0), number(1)) else {
        bail!("a {kind} has a position that is no pair of numbers");
    };
    if !(-540.0..=540.0).contains(&longitude) || !(-90.0..=90.0).contains(&latitude) {
        bail!(
            "a {kind} has the position {longitude}, {latitude}, which is not in degrees: the file \
             has to be in WGS 84, longitude first"
        );
    }
    Ok((longitude, latitude))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_and_area_is_read_from_any_collection() {
        let text = r#"{"type":"FeatureCollection","features":[
            {"type":"Feature","properties":{},"geometry":{"type":"LineString","coordinates":[[0,1],[2,3,9]]}},
            {"type":"Feature","properties":null,"geometry":null},
            {"type":"Feature","geometry":{"type":"GeometryCollection","geometries":[
                {"type":"MultiLineString","coordinates":[[[0,0],[1,1]],[[2,2],[3,3]]]},
                {"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]],[[0.1,0.1],[0.2,0.1],[0.1,0.1]]]},
                {"type":"MultiPolygon","coordinates":[[[[5,5],[6,5],[5,5]]]]},
                {"type":"Point","coordinates":[1,2]}]}}]}"#;
        let base = Base::parse(text.as_bytes()).unwrap();
        assert_eq!(base.lines.len(), 3);
        assert_eq!(base.lines[0], [(0.0, 1.0), (2.0, 3.0)]);
        assert_eq!(base.areas.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn a_bad_file_is_refused_with_what_is_wrong() {
        for (text, error) in [
            ("longitude,latitude", "it is no JSON"),
            ("[]", "no \"type\""),
            (r#"{"type":"Topology"}"#, "no type \"Topology\""),
            (
                r#"{"type":"LineString"}"#,
                "a LineString has no \"coordinates\"",
            ),
            (
                r#"{"type":"LineString","coordinates":[[1]]}"#,
                "no pair of numbers",
            ),
            (
                r#"{"type":"Polygon","coordinates":[[0,0]]}"#,
                "something else than a list",
            ),
            (
                r#"{"type":"LineString","coordinates":[[448000,4636000]]}"#,
                "not in degrees",
            ),
            (
                r#"{"type":"Point","coordinates":[1,2]}"#,
                "neither lines nor areas",
            ),
            (
                r#"{"type":"FeatureCollection","features":[]}"#,
                "neither lines nor areas",
            ),
        ] {
            let found = format!("{:#}", Base::parse(text.as_bytes()).unwrap_err());
            assert!(found.contains(error), "{text}: {found}");
        }
    }
}
