//! `divvy report`

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use clap::Args;
use clap::builder::StyledStr;
use divvy::model::{Rider, System};
use divvy::reports::{
    self, Dim, Filter, Filters, HoursOfDay, Period, Picture, REPORTS, ReportError, Sort, Table,
    Weekdays,
};
use divvy::store::Store;
use jiff::Timestamp;

use crate::open::Common;
use crate::own_report::{self, ALL};
use crate::render::html::{self, Front, Page, Section, Source, SourceArchive};
use crate::render::json::{self, Asked};
use crate::render::plot::{self, Base, NotDrawn, Plot};
use crate::render::{Format, ROWS, sentence};
use crate::runtime::block_on;
use crate::{flags, outputs};

/// Prints a report on the trips and stations of the store.
///
/// Filters pick trips by their start, on the system's clocks; both ends of dates count. A report on
/// stations shows with --station that station alone, the others count the trips that start there;
/// balance takes weekday and hour as those at which bikes leave and arrive.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  divvy report stations --top 50
  divvy report durations --from 2024-06 --to 2024-08 --rider member
  divvy report hours --by weekday,hour --plot hours.svg
  divvy report balance --by station --weekday mon-fri --hour 7-9
  divvy report all --output report.html
  divvy report stations --format csv --output stations.csv")]
pub struct Report {
    /// Which report, or all
    #[arg(value_name = "NAME", help = names())]
    name: String,
    /// Count trips from this date, month or year on: 2024-06-30, 2024-06, 2024
    #[arg(long, value_name = "DATE")]
    from: Option<Period>,
    /// Count trips up to this date, month or year, itself included
    #[arg(long, value_name = "DATE")]
    to: Option<Period>,
    /// Count trips of these riders: member (or Subscriber), casual (or Customer)
    #[arg(long, value_name = "RIDER")]
    rider: Option<String>,
    /// Count trips on this kind of bike: electric, classic, docked
    #[arg(long, value_name = "KIND")]
    bike: Option<String>,
    /// Count trips that start at this station: an id of the trips or of the feed, or a name
    #[arg(long, value_name = "STATION")]
    station: Option<String>,
    /// Count trips that start on these weekdays: mon, sat,sun, mon-fri, weekend, workday
    #[arg(long, value_name = "DAYS")]
    weekday: Option<Weekdays>,
    /// Count trips that start in these hours: 8, 7-9,16-18, 22-2
    #[arg(long, value_name = "HOURS")]
    hour: Option<HoursOfDay>,
    /// Group by one or two of these instead: rider, bike, gender, birth_year, age, year, month,
    /// date, weekday, hour, station
    #[arg(long, value_name = "DIMENSIONS", value_delimiter = ',')]
    by: Vec<Dim>,
    /// Sort by this column: numbers from the largest down, texts from A on; COLUMN:asc or
    /// COLUMN:desc says otherwise
    #[arg(long, value_name = "COLUMN")]
    sort: Option<Sort>,
    /// Show this many rows
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// Say how each number is defined, instead of the numbers
    #[arg(long)]
    explain: bool,
    /// Draw the report's picture into a file: .svg, .png or .html
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "output", "explain"])]
    plot: Option<PathBuf>,
    /// Draw this shoreline or border under the stations of maps: lines and areas of GeoJSON
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// How to write it [default: by the ending of --output, else table]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// With --format json: write an object with the rows and what was counted, which filters,
    /// archives, what was left out and why, incomplete months
    #[arg(long)]
    with_scope: bool,
    /// Write it to a file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Lists the reports for the help.
fn names() -> StyledStr {
    let mut text = String::from("Which report:\n\n");
    for report in REPORTS {
        text += &format!(
            "- {:<12} {}\n",
            format!("{}:", report.name()),
            report.about()
        );
    }
    text += "- all:         every one of them, as a page with --format html\n";
    text += "- NAME:        your own, from reports/NAME.toml";
    text.into()
}

impl Report {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let outputs = [("--output", &self.output), ("--plot", &self.plot)];
        for (flag, path) in outputs {
            if let Some(path) = path {
                let own = own_report::path_of(&self.name);
                outputs::expect_apart(common, flag, path, &[own])?;
            }
        }
        if self.name == ALL {
            self.run_all(common)?;
        } else {
            self.run_one(common)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn run_one(&self, common: &Common) -> anyhow::Result<()> {
        let own = own_report::read(&self.name)?;
        let report: &dyn reports::Report = match &own {
            Some(own) => own,
            None => reports::find(&self.name).map_err(with_own_names)?,
        };
        if self.explain {
            return Ok(explain(report, &mut io::stdout().lock())?);
        }
        let opened = common.open_existing()?;
        let store = opened.store();
        let system = common.system_of(store)?;
        let format = self.format()?;
        if self.with_scope && format != Format::Json {
            bail!("--with-scope is for --format json");
        }
        let mut filters = match &own {
            Some(own) => own.filters(&self.filters()),
            None => self.filters(),
        };
        // A table that shows only the first rows does not need the others sorted.
        let is_cut = format == Format::Table
            && reports::is_long(report, &filters.by)
            && filters.top.is_none()
            && filters.sort.is_none()
            && self.plot.is_none();
        if is_cut {
            filters.top = Some(ROWS);
        }
        let (mut table, how) = answer(report, store, &system, &filters)?;
        table.may_be_cut |= is_cut;
        if common.verbose {
            common.say(how);
        }
        let base = self.base(format)?;
        let base = base.as_ref();
        let plot = || plot_of(report, &table, store, (&system, &filters), base);
        if let Some(path) = &self.plot {
            let file = match plot::file(&plot()?, path) {
                Err(error) => match error.downcast::<NotDrawn>()? {
                    // As for a table without rows.
                    nothing @ NotDrawn::Nothing(_) => {
                        common.say(nothing);
                        return Ok(());
                    }
                    refused => return Err(refused.into()),
                },
                drawn => drawn?,
            };
            outputs::write(Some(path), |out, _| out.write_all(&file.bytes))?;
            common.say(format_args!("{}: {}", path.display(), file.title));
            return Ok(());
        }
        let source = match format {
            Format::Html => Some(source(common, store, &system)?),
            _ => None,
        };
        outputs::write(self.output.as_deref(), |out, width| match format {
            Format::Html => {
                let page = Page {
                    title: &format!("{}: {}", system.name, report.name()),
                    filters: filters.to_string(),
                    front: None,
                    sections: vec![section(report, &table, plot())],
                    source: source.clone(),
                };
                page.write(out)
            }
            Format::Json if self.with_scope => {
                let asked = Asked {
                    report: report.name(),
                    system: &system,
                    filters: &filters,
                };
                json::write_with_scope(&asked, &table, out)
            }
            _ => format.write(&table, width, out),
        })?;
        if !format.has_notes() {
            for note in &table.notes {
                common.say(sentence(note));
            }
        }
        Ok(())
    }

    /// Answers every report, each with those of the filters that it takes.
    fn run_all(&self, common: &Common) -> anyhow::Result<()> {
        if self.explain {
            let mut out = io::stdout().lock();
            for (index, report) in REPORTS.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                explain(*report, &mut out)?;
            }
            return Ok(());
        }
        let for_one = self.plot.is_some() || !self.by.is_empty() || self.sort.is_some();
        if for_one || self.with_scope {
            bail!(
                "--plot, --by, --sort and --with-scope are for one report: name it instead of all"
            );
        }
        let format = self.format()?;
        if !format.has_notes() {
            bail!("all reports together are a table, markdown or html: other formats hold one");
        }
        let opened = common.open_existing()?;
        let store = opened.store();
        let system = common.system_of(store)?;
        let given = self.filters();
        let mut answers = Vec::new();
        for report in REPORTS {
            let filters = narrowed(&given, report.takes());
            let (mut table, how) = answer(*report, store, &system, &filters)?;
            if table.may_be_cut && format == Format::Markdown {
                table.keep(ROWS);
            }
            if common.verbose {
                common.say(format_args!("{}: {how}", report.name()));
            }
            answers.push((*report, filters, table));
        }
        let base = self.base(format)?;
        let base = base.as_ref();
        let page = match format {
            Format::Html => {
                let source = source(common, store, &system)?;
                let sections = answers.iter().map(|(report, filters, table)| {
                    let base = base.filter(|_| plot::is_map(*report));
                    let plot = plot_of(*report, table, store, (&system, filters), base);
                    section(*report, table, plot)
                });
                Some(page_of_all(&system, &given, sections.collect(), source))
            }
            _ => None,
        };
        outputs::write(self.output.as_deref(), |out, width| {
            if let Some(page) = &page {
                return page.write(out);
            }
            for (index, (report, _, table)) in answers.iter().enumerate() {
                let separator = if index == 0 { "" } else { "\n" };
                let prefix = if format == Format::Markdown {
                    "## "
                } else {
                    ""
                };
                let (name, about) = (report.name(), report.about());
                writeln!(out, "{separator}{prefix}{name}: {about}\n")?;
                format.write(table, width, out)?;
            }
            Ok(())
        })
    }

    fn filters(&self) -> Filters {
        Filters {
            from: self.from.map(|period| period.first),
            to: self.to.map(|period| period.last),
            rider: self.rider.as_deref().map(Rider::parse),
            bike: self.bike.clone(),
            station: self.station.clone(),
            weekdays: self.weekday,
            hours: self.hour,
            by: self.by.clone(),
            sort: self.sort.clone(),
            top: self.top,
        }
    }

    /// Reads the file of `--base`.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no GeoJSON with lines or areas, or nothing is drawn.
    fn base(&self, format: Format) -> anyhow::Result<Option<Base>> {
        let Some(path) = &self.base else {
            return Ok(None);
        };
        if self.plot.is_none() && format != Format::Html {
            bail!("--base is for maps: with --plot or --format html");
        }
        Base::read(path).map(Some)
    }

    /// Returns the format of `--format`, else that of the ending of `--output`, else a table.
    ///
    /// # Errors
    ///
    /// The ending is that of a picture.
    fn format(&self) -> anyhow::Result<Format> {
        let path = self.output.as_deref();
        let ending = path.and_then(|path| path.extension()?.to_str());
        let ending = ending.unwrap_or_default().to_ascii_lowercase();
        if let (None, Some(path), "svg" | "png") = (self.format, path, ending.as_str()) {
            bail!("{}: a picture is drawn with --plot", path.display());
        }
        let format = self.format.or_else(|| Format::of_ending(&ending));
        Ok(format.unwrap_or(Format::Table))
    }
}

/// Answers a report. Returns with the table how it was answered and how long that took.
fn answer(
    report: &dyn reports::Report,
    store: &dyn Store,
    system: &System,
    filters: &Filters,
) -> anyhow::Result<(Table, String)> {
    let start = Instant::now();
    let table = block_on(reports::answer(report, store, system, filters))?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let how = format!("{} ({ms:.1} ms)", table.how);
    Ok((table, how))
}

/// Prepares the picture of an answer. A histogram reads more of the store than the rows.
fn plot_of<'a>(
    report: &dyn reports::Report,
    table: &'a Table,
    store: &dyn Store,
    (system, filters): (&System, &'a Filters),
    base: Option<&'a Base>,
) -> anyhow::Result<Plot<'a>> {
    let Some(picture) = report.picture() else {
        let drawn = REPORTS.iter().filter(|other| other.picture().is_some());
        let drawn: Vec<&str> = drawn.map(|other| other.name()).collect();
        bail!(
            "{} cannot be plotted; these can: {}",
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
fn section<'a>(
    report: &'a dyn reports::Report,
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

/// The report whose map stands at the top of a page of all reports.
const MAP_OF_PAGE: &str = "balance";

/// Returns the page of all reports, with figures and a map at its top.
fn page_of_all<'a>(
    system: &'a System,
    filters: &Filters,
    mut sections: Vec<Section<'a>>,
    source: Source,
) -> Page<'a> {
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
        filters: filters.to_string(),
        front: Some(Front { headlines, map }),
        sections,
        source: Some(source),
    }
}

/// Returns what a page is made from.
fn source(common: &Common, store: &dyn Store, system: &System) -> anyhow::Result<Source> {
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
        store: common.store.to_string(),
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
    }
}

/// Adds the names of the user's own reports to an error.
fn with_own_names(error: ReportError) -> anyhow::Error {
    let own = own_report::names();
    if own.is_empty() {
        error.into()
    } else {
        anyhow::anyhow!("{error}, or of your own {}", own.join(", "))
    }
}

/// Writes the definitions of the columns of a report, and the filters that it takes.
fn explain(report: &dyn reports::Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}\n", report.name(), report.about())?;
    let columns = report.columns();
    let widest = columns.iter().map(|column| column.name.len()).max();
    let width = widest.unwrap_or(0);
    for column in columns {
        writeln!(out, "{:<width$}  {}", column.name, column.definition)?;
    }
    let narrows = |filter: &&Filter| !matches!(filter, Filter::By | Filter::Top);
    let takes = report.takes().iter().filter(narrows);
    let mut takes: Vec<&str> = takes.map(|filter| flags::of_filter(*filter)).collect();
    if takes.is_empty() {
        takes.push("nothing");
    }
    writeln!(out, "\nnarrowed by: {}", takes.join(", "))?;
    let by: Vec<&str> = report.groups_by().iter().map(|dim| dim.as_str()).collect();
    if !by.is_empty() {
        writeln!(out, "grouped by one or two of: {}", by.join(", "))?;
    }
    Ok(())
}
