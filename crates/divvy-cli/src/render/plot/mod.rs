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

use anyhow::{Context, bail};
use divvy::model::System;
use divvy::reports::{Note, Picture, Report, Shape, Table};

use super::html::{self, Section};
use crate::cmd::save;

use svg::svg;

/// A picture.
pub struct Drawing {
    /// What it shows, of which trips.
    title: String,
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

/// How much room a picture has: letters are as large on either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paper {
    /// A desk's screen, or a sheet of paper.
    Wide,
    /// A phone.
    Narrow,
}

impl Paper {
    fn width(self) -> f64 {
        match self {
            Self::Wide => 960.0,
            Self::Narrow => 400.0,
        }
    }

    /// Returns one or the other.
    fn pick<T>(self, wide: T, narrow: T) -> T {
        match self {
            Self::Wide => wide,
            Self::Narrow => narrow,
        }
    }
}

/// A report that is to be drawn.
pub struct Plot<'a> {
    about: String,
    scope: String,
    picture: Picture,
    table: &'a Table,
    seconds: Option<Vec<(i64, i64)>>,
}

impl<'a> Plot<'a> {
    /// Takes an answer. `seconds` are its durations and how often each occurs, for a histogram.
    pub fn new(
        report: &dyn Report,
        picture: Picture,
        table: &'a Table,
        seconds: Option<Vec<(i64, i64)>>,
        system: &System,
    ) -> Self {
        let scope = table.notes.iter().find_map(|note| match note {
            Note::Scope(text) => Some(text.clone()),
            Note::Warning(_) => None,
        });
        let mut about = report.about().to_owned();
        if let Some(first) = about.get(..1) {
            about = first.to_uppercase() + &about[1..];
        }
        Self {
            about,
            scope: scope.unwrap_or_else(|| system.name.clone()),
            picture,
            table,
            seconds,
        }
    }

    /// Draws it. `None` where there is nothing to draw.
    pub fn on(&self, paper: Paper) -> Option<Drawing> {
        let Self { table, picture, .. } = self;
        let (about, scope) = (self.about.clone(), self.scope.clone());
        match picture.shape {
            Shape::Histogram => charts::histogram(scope, self.seconds.as_ref()?, paper),
            Shape::Line => charts::lines(about, scope, table, *picture, paper),
            Shape::Bars => charts::bars(about, scope, table, *picture, paper),
            Shape::Ranking => charts::ranking(scope, table, picture.up, paper),
            Shape::StationMap => maps::stations(scope, table.map.as_ref()?, paper),
            Shape::RouteMap => maps::routes(scope, table, table.map.as_ref()?, paper),
        }
    }

    /// Draws it for a page, which shows the one for which it has room. Empty where there is nothing
    /// to draw.
    pub fn for_page(&self) -> String {
        let drawn = |paper: Paper| self.on(paper).map(|drawing| svg(&drawing));
        let both = drawn(Paper::Wide).zip(drawn(Paper::Narrow));
        both.map_or(String::new(), |(wide, narrow)| {
            format!(
                "<figure class=\"on-wide\">\n{wide}</figure>\n\
                 <figure class=\"on-narrow\">\n{narrow}</figure>\n"
            )
        })
    }
}

/// Draws into a file, whose ending says in what form, and returns the title of the picture.
///
/// # Errors
///
/// For another ending, where there is nothing to draw, and where the file cannot be written.
pub fn save_plot(plot: &Plot<'_>, path: &Path) -> anyhow::Result<String> {
    let drawing = plot.on(Paper::Wide).context("there is nothing to draw")?;
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending {
        Some("svg") => save(path, &|out| out.write_all(svg(&drawing).as_bytes())),
        Some("png") => {
            let bytes = png::png(&drawing).map_err(io::Error::other)?;
            save(path, &|out| out.write_all(&bytes))
        }
        Some("html" | "htm") => save(path, &|out| {
            let table = Table::of(Vec::new(), Vec::new(), Vec::new());
            let section = Section {
                name: "",
                about: "",
                table: &table,
                picture: plot.for_page(),
                columns: Vec::new(),
            };
            html::write(&drawing.title, &[section], out)
        }),
        _ => bail!("{}: pictures are .svg, .png or .html", path.display()),
    }?;
    Ok(drawing.title)
}
