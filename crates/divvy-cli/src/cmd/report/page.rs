//! Pages of reports, with their pictures.

use anyhow::bail;
use divvy::model::System;
use divvy::reports::{self, Filter, Filters, Picture, REPORTS, Report, Table};
use divvy::store::Store;
use jiff::Timestamp;

use super::{Answer, answer};
use crate::flags;
use crate::render::html::{self, Front, Page, RowsCommand, Section, Source, SourceArchive};
use crate::render::plot::{self, Base, Plot};
use crate::runtime::block_on;
use crate::store_name::StoreName;

/// The answer of one of all reports.
pub struct Answered {
    /// The report.
    pub report: &'static dyn Report,
    /// Those of the filters that it takes.
    filters: Filters,
    /// Its rows and notes.
    pub table: Table,
    /// How it was answered, and how long that took.
    pub how: String,
}

/// Answers every report, each with those of the filters that it takes. Reports of one station are left
/// out unless the filters name one.
pub fn answer_all(
    store: &dyn Store,
    system: &System,
    given: &Filters,
) -> anyhow::Result<Vec<Answered>> {
    let reports = REPORTS.iter();
    let reports = reports.filter(|report| given.station.is_some() || !report.is_of_one_station());
    let answered = reports.map(|report| {
        let filters = narrowed(given, report.takes());
        let Answer { table, how } = answer(*report, store, system, &filters)?;
        Ok(Answered {
            report: *report,
            filters,
            table,
            how,
        })
    });
    answered.collect()
}

/// The report whose map stands at the top of a page of all reports.
const MAP_OF_PAGE: &str = "balance";

/// Makes the page of all reports, with figures and a map at its top. `given` are the filters of all.
pub fn page_of_all<'a>(
    answers: &'a [Answered],
    (store, system, given): (&dyn Store, &'a System, &Filters),
    base: Option<&Base>,
    source: Source,
    rows_command: RowsCommand,
) -> Page<'a> {
    let sections = answers.iter().map(|answered| {
        let base = base.filter(|_| plot::is_map(answered.report));
        let (table, filters) = (&answered.table, &answered.filters);
        let plot = plot_of(answered.report, table, store, (system, filters), base);
        section(answered.report, table, plot)
    });
    let mut sections: Vec<Section<'a>> = sections.collect();
    let answers = sections.iter().map(|section| (section.name, section.table));
    let headlines = html::headlines(&answers.collect::<Vec<_>>());
    let mut map = String::new();
    if let Some(section) = sections.iter_mut().find(|it| it.name == MAP_OF_PAGE)
        && section.picture.contains("<svg")
    {
        let link = "<p class=\"scope\">Drawn as <a href=\"#map\">the map at the top</a>.</p>\n";
        map = std::mem::replace(&mut section.picture, link.to_owned());
    }
    Page {
        title: &system.name,
        filters: given.to_string(),
        front: Some(Front { headlines, map }),
        sections,
        source: Some(source),
        rows_command,
    }
}

/// Prepares the picture of an answer. A histogram reads more of the store than the rows.
pub(super) fn plot_of<'a>(
    report: &dyn Report,
    table: &'a Table,
    store: &dyn Store,
    (system, filters): (&System, &'a Filters),
    base: Option<&'a Base>,
) -> anyhow::Result<Plot<'a>> {
    let Some(picture) = report.picture() else {
        let drawn = REPORTS.iter().filter(|report| report.picture().is_some());
        let drawn: Vec<&str> = drawn.map(|report| report.name()).collect();
        bail!(
            "the report \"{}\" cannot be plotted; these can: {}",
            report.name(),
            drawn.join(", ")
        );
    };
    let durations = match picture {
        Picture::Histogram if filters.by.is_empty() => {
            Some(block_on(reports::histogram(store, system, filters))?)
        }
        _ => None,
    };
    let plot = Plot::new(report, picture, table, durations, (system, filters));
    Ok(plot.with_base(base))
}

/// Returns the section of a page. A sentence stands in place of a picture that cannot be drawn;
/// nothing if the report has none.
pub(super) fn section<'a>(
    report: &'a dyn Report,
    table: &'a Table,
    plot: anyhow::Result<Plot<'_>>,
) -> Section<'a> {
    let figures = plot.ok().map(|plot| plot::figures(&plot));
    let picture = figures.map(|figures| {
        figures.unwrap_or_else(|not_drawn| html::no_picture(&format!("No picture: {not_drawn}")))
    });
    Section {
        name: report.name(),
        about: report.about(),
        table,
        picture: picture.unwrap_or_default(),
        columns: report.columns(),
    }
}

/// Returns the command that prints all rows of a report. The system is named where the store has several.
pub fn rows_command(
    name: &StoreName,
    store: &dyn Store,
    (system, filters): (&System, &Filters),
) -> anyhow::Result<RowsCommand> {
    let is_one_of_several = block_on(store.systems())?.len() > 1;
    let system = is_one_of_several.then_some(system.id.as_str());
    Ok(RowsCommand {
        store_flags: flags::of_store(name, system),
        filter_flags: flags::of_filters(filters),
    })
}

/// Returns what a page is made from.
pub fn source(name: &StoreName, store: &dyn Store, system: &System) -> anyhow::Result<Source> {
    let zone = system.zone();
    let date = |at: Timestamp| zone.rfc3339(at)[..10].to_owned();
    let entries = block_on(store.entries(&system.id))?;
    let archives = entries.into_iter().map(|entry| SourceArchive {
        loaded_on: date(entry.loaded_at),
        trips: entry.stored.try_into().unwrap_or(i64::MAX),
        name: entry.id.name,
    });
    Ok(Source {
        made_at: date(Timestamp::now()),
        version: env!("CARGO_PKG_VERSION"),
        store: name.to_string(),
        archives: archives.collect(),
    })
}

/// Returns those of the filters that a report takes.
fn narrowed(given: &Filters, takes: &[Filter]) -> Filters {
    let takes = |filter| takes.contains(&filter);
    Filters {
        from: given.from.filter(|_| takes(Filter::Dates)),
        to: given.to.filter(|_| takes(Filter::Dates)),
        rider: given.rider.clone().filter(|_| takes(Filter::Rider)),
        bike: given.bike.clone().filter(|_| takes(Filter::Bike)),
        station: given.station.clone().filter(|_| takes(Filter::Station)),
        weekdays: given.weekdays.filter(|_| takes(Filter::Weekday)),
        hours: given.hours.filter(|_| takes(Filter::Hour)),
        by: Vec::new(),
        sort: None,
        top: given.top.filter(|_| takes(Filter::Top)),
        as_of: given.as_of.filter(|_| takes(Filter::AsOf)),
        max_unusable: given.max_unusable.filter(|_| takes(Filter::MaxUnusable)),
        areas: given.areas.clone().filter(|_| takes(Filter::Areas)),
        horizons: match takes(Filter::Horizon) {
            true => given.horizons.clone(),
            false => Vec::new(),
        },
        arrive: given.arrive.filter(|_| takes(Filter::Arrive)),
        need: given.need.filter(|_| takes(Filter::Need)),
    }
}
