//! Pictures of reports: a list of plain shapes, written as SVG or drawn as PNG.
//!
//! ```text
//!  Table ─► charts, maps ─► Drawing ─► svg (text), png (pixels), html (a page around the svg)
//! ```
//!
//! Colours are those of Okabe and Ito, which colour-blind people tell apart.

mod charts;
mod frame;
mod letters;
mod maps;
mod png;
mod svg;

use std::io;
use std::path::Path;

use anyhow::bail;
use divvy::model::System;
use divvy::reports::{Note, Picture, Report, Shape, Table};

use super::html::{self, Section};
use crate::cmd::save;

pub use svg::svg;

/// A picture.
pub struct Drawing {
    /// What it shows, of which trips.
    pub title: String,
    width: f64,
    height: f64,
    marks: Vec<Mark>,
}

/// A colour: red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Colour(u8, u8, u8);

const INK: Colour = Colour(0x1b, 0x1f, 0x24);
const SOFT: Colour = Colour(0x59, 0x63, 0x6e);
const GRID: Colour = Colour(0xe3, 0xe7, 0xeb);
const PAPER: Colour = Colour(0xff, 0xff, 0xff);
const BLUE: Colour = Colour(0x00, 0x72, 0xb2);
const ORANGE: Colour = Colour(0xe6, 0x9f, 0x00);
const VERMILLION: Colour = Colour(0xd5, 0x5e, 0x00);
/// For one thing after the other.
const SERIES: [Colour; 6] = [
    BLUE,
    ORANGE,
    Colour(0x00, 0x9e, 0x73),
    Colour(0xcc, 0x79, 0xa7),
    Colour(0x56, 0xb4, 0xe9),
    Colour(0x6b, 0x6b, 0x6b),
];

impl Colour {
    /// Mixes two colours: 0 for the one, 1 for the other.
    fn mix(self, other: Self, share: f64) -> Self {
        let mix = |a: u8, b: u8| {
            (f64::from(a) + (f64::from(b) - f64::from(a)) * share.clamp(0.0, 1.0)).round() as u8
        };
        Self(
            mix(self.0, other.0),
            mix(self.1, other.1),
            mix(self.2, other.2),
        )
    }
}

/// Something on the paper, in units of which a letter is about 14 high. y grows downwards.
enum Mark {
    Rect {
        at: (f64, f64),
        size: (f64, f64),
        fill: Colour,
        /// Shown under the pointer. Empty for nothing.
        hint: String,
    },
    Line {
        points: Vec<(f64, f64)>,
        stroke: Colour,
        width: f64,
        opacity: f64,
        hint: String,
    },
    Circle {
        at: (f64, f64),
        radius: f64,
        fill: Colour,
        opacity: f64,
        hint: String,
    },
    Text {
        /// The base line, at the end that `anchor` says.
        at: (f64, f64),
        size: f64,
        fill: Colour,
        anchor: Anchor,
        /// Runs from below upwards.
        upwards: bool,
        text: String,
    },
}

/// Where a text stands beside its point.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Anchor {
    Start,
    Middle,
    End,
}

/// Draws a report. `seconds` are its durations and how often each occurs, for a histogram. `None`
/// where there is nothing to draw.
pub fn draw(
    report: &dyn Report,
    picture: Picture,
    table: &Table,
    seconds: Option<&[(i64, i64)]>,
    system: &System,
) -> Option<Drawing> {
    let scope = table.notes.iter().find_map(|note| match note {
        Note::Scope(text) => Some(text.clone()),
        Note::Warning(_) => None,
    });
    let mut about = report.about().to_owned();
    if let Some(first) = about.get(..1) {
        about = first.to_uppercase() + &about[1..];
    }
    let scope = scope.unwrap_or_else(|| system.name.clone());
    match picture.shape {
        Shape::Histogram => charts::histogram(scope, seconds?),
        Shape::Line => charts::lines(about, scope, table, picture),
        Shape::Bars => charts::bars(about, scope, table, picture),
        Shape::Ranking => charts::ranking(scope, table, picture.up),
        Shape::StationMap => maps::stations(scope, table.map.as_ref()?),
        Shape::RouteMap => maps::routes(scope, table, table.map.as_ref()?),
    }
}

/// Writes a picture into a file; the ending says in what form.
///
/// # Errors
///
/// For another ending, and where the file cannot be written.
pub fn save_picture(drawing: &Drawing, path: &Path) -> anyhow::Result<()> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending {
        Some("svg") => save(path, &|out| out.write_all(svg(drawing).as_bytes())),
        Some("png") => {
            let bytes = png::png(drawing).map_err(io::Error::other)?;
            save(path, &|out| out.write_all(&bytes))
        }
        Some("html" | "htm") => save(path, &|out| {
            let table = Table::of(Vec::new(), Vec::new(), Vec::new());
            let section = Section {
                name: "picture",
                about: "",
                table: &table,
                picture: svg(drawing),
                definitions: Vec::new(),
            };
            html::write(&drawing.title, &[section], out)
        }),
        _ => bail!("{}: pictures are .svg, .png or .html", path.display()),
    }
}
