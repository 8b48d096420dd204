//! Pictures of reports, as SVG. PNG and HTML are made of the SVG.
//!
//! ```text
//! Table ─► Plot ─► bars, lines, maps, … in a Frame ─► SVG ─► PNG, HTML
//! ```

mod bars;
mod colours;
mod data;
mod frame;
mod heat_map;
mod histogram;
mod lines;
mod maps;
mod png;
mod ranking;
mod svg;
mod text;

use std::path::Path;

use anyhow::{Context, bail};
use divvy::reports::{Dim, Picture, Role, Table};

use super::html::{self, Section};

pub use data::Plot;
pub use frame::{Drawing, Layout};

/// Draws a report. `None` if there is nothing to draw.
fn draw(plot: &Plot<'_>, layout: Layout) -> Option<Drawing> {
    match plot.picture {
        Picture::Histogram => histogram::draw(plot, layout),
        Picture::Ranking => ranking::draw(plot, layout),
        Picture::StationMap => maps::stations(plot, layout),
        Picture::RouteMap => maps::routes(plot, layout),
        Picture::Line { up, .. } if plot.column(Role::Group(Dim::Date)).is_some() => {
            lines::draw(plot, up, layout)
        }
        Picture::Line { across, up } | Picture::Bars { across, up } => {
            match heat_map::Columns::of(plot, up) {
                Some(columns) => heat_map::draw(plot, &columns, layout),
                None => bars::draw(plot, across, up, layout),
            }
        }
    }
}

/// Draws a report for a page: for wide and for narrow screens, of which the style sheet shows one.
/// Empty if there is nothing to draw.
pub fn figures(plot: &Plot<'_>) -> String {
    let drawings = draw(plot, Layout::Wide).zip(draw(plot, Layout::Narrow));
    drawings.map_or(String::new(), |(wide, narrow)| {
        format!(
            "<figure class=\"on-wide\">\n{}</figure>\n\
             <figure class=\"on-narrow\">\n{}</figure>\n",
            wide.svg, narrow.svg
        )
    })
}

/// A picture as a file.
pub struct File {
    /// What the picture shows, of which trips.
    pub title: String,
    /// The content of the file.
    pub bytes: Vec<u8>,
}

/// Draws a report as the content of a file. The format is that of the file name's extension.
///
/// # Errors
///
/// The file name has another extension, or there is nothing to draw.
pub fn file(plot: &Plot<'_>, path: &Path) -> anyhow::Result<File> {
    let Drawing { title, svg } = draw(plot, Layout::Wide).context("there is nothing to draw")?;
    let ending = path.extension().and_then(|ending| ending.to_str());
    let bytes = match ending {
        Some("svg") => svg.into_bytes(),
        Some("png") => png::png(&svg).context("cannot draw the picture as PNG")?,
        Some("html" | "htm") => {
            let section = Section {
                name: "",
                about: "",
                table: &Table::of(Vec::new(), Vec::new(), Vec::new()),
                picture: figures(plot),
                columns: Vec::new(),
            };
            let mut page = Vec::new();
            html::write(&title, &[section], &mut page)?;
            page
        }
        _ => bail!("{}: pictures are .svg, .png or .html", path.display()),
    };
    Ok(File { title, bytes })
}
