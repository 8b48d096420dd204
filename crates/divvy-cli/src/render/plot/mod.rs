//! Pictures of reports, as SVG. PNG and HTML are made of the SVG.
//!
//! ```text
//! Table ─► Plot ─► bars, lines, maps, … in a Frame ─► SVG ─► PNG, HTML
//! ```

mod bars;
mod base;
mod data;
mod frame;
mod groups;
mod growth;
mod heat_map;
mod histogram;
mod lines;
mod map;
mod png;
mod ranking;
mod refusals;
mod reliability;
mod scale;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::path::Path;

use anyhow::{Context, bail};
use divvy::reports::{Dim, Measure, Picture, Report, Role, Table};

use super::colours::Theme;
use super::html::{Page, RowsCommand, Section};

pub use base::Base;
pub use data::{NotDrawn, Plot};
pub use frame::{Drawing, Layout, Sheet};

/// Draws a report.
///
/// # Errors
///
/// There is nothing to draw, or the picture has no place for what was asked for.
fn draw(plot: &Plot<'_>, sheet: Sheet) -> Result<Drawing, NotDrawn> {
    refusals::check(plot)?;
    match (plot.picture, plot.filters.by.first()) {
        (Picture::Histogram, None) => histogram::draw(plot, sheet),
        // All durations together have no groups; their medians have.
        (Picture::Histogram, Some(by)) => bars::draw(plot, *by, Measure::MedianS, sheet),
        (Picture::Ranking, _) => ranking::stations(plot, sheet),
        (Picture::StationMap, _) => map::stations(plot, sheet),
        (Picture::RouteMap, _) => map::routes(plot, sheet),
        (Picture::Growth, _) => growth::draw(plot, sheet),
        (Picture::Reliability, _) => reliability::draw(plot, sheet),
        (Picture::Line { across, up } | Picture::Bars { across, up }, _) => {
            let has_dates = plot.column(Role::Group(Dim::Date)).is_some();
            if has_dates && plot.filters.sort.is_none() {
                return lines::draw(plot, up, sheet);
            }
            match heat_map::Columns::of(plot, up) {
                Some(columns) => heat_map::draw(plot, &columns, up, sheet),
                None => bars::draw(plot, across, up, sheet),
            }
        }
    }
}

/// Draws a report for a page: for wide and for narrow screens, of which the style sheet shows one.
///
/// # Errors
///
/// As for [`file()`].
pub fn figures(plot: &Plot<'_>) -> Result<String, NotDrawn> {
    let [wide, narrow] = [Layout::Wide, Layout::Narrow].map(|layout| {
        draw(
            plot,
            Sheet {
                layout,
                theme: Theme::Page,
            },
        )
    });
    let (wide, narrow) = (wide?, narrow?);
    Ok(format!(
        "<figure class=\"on-wide\">\n{}</figure>\n\
         <figure class=\"on-narrow\">\n{}</figure>\n",
        wide.svg, narrow.svg
    ))
}

/// Returns whether the picture of a report is a map, which takes a [`Base`].
pub fn is_map(report: &dyn Report) -> bool {
    matches!(
        report.picture(),
        Some(Picture::StationMap | Picture::RouteMap)
    )
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
/// The file name has another extension, or it is a [`NotDrawn`].
pub fn file(plot: &Plot<'_>, path: &Path) -> anyhow::Result<File> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let ending = ending.map(str::to_ascii_lowercase);
    let ending = ending.as_deref().unwrap_or_default();
    if !matches!(ending, "svg" | "png" | "html" | "htm") {
        bail!("{}: pictures are .svg, .png or .html", path.display());
    }
    let sheet = Sheet {
        layout: Layout::Wide,
        theme: Theme::File,
    };
    let Drawing { title, svg } = draw(plot, sheet)?;
    let bytes = match ending {
        "svg" => svg.into_bytes(),
        "png" => png::png(&svg).context("cannot draw the picture as PNG")?,
        _ => {
            let section = Section {
                name: "",
                about: "",
                table: &Table::of(Vec::new(), Vec::new(), Vec::new()),
                picture: figures(plot)?,
                columns: Vec::new(),
            };
            let page = Page {
                title: &title,
                filters: String::new(),
                front: None,
                sections: vec![section],
                source: None,
                rows_command: RowsCommand::default(),
            };
            let mut bytes = Vec::new();
            page.write(&mut bytes)?;
            bytes
        }
    };
    Ok(File { title, bytes })
}
