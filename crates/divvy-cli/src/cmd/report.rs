//! `divvy report`

mod all;
mod explain;
mod list;
pub mod page;
mod stacked;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::StyledStr;
use clap_complete::{ArgValueCandidates, ArgValueCompleter};
use divvy::model::{Rider, System};
use divvy::reports::{
    self, Areas, AsOfTime, Dim, Filters, HoursOfDay, MaxUnusable, Minutes, Period, REPORTS,
    ReportError, Sort, Table, Weekdays,
};
use divvy::store::Store;

use explain::explain;
use list::write_list;
use page::{plot_of, rows_command, section, source};

use crate::open::Common;
use crate::own_report::{self, ALL};
use crate::render::html::Page;
use crate::render::json::{self, Asked};
use crate::render::plot::{self, Base, NotDrawn};
use crate::render::{Format, sentence};
use crate::runtime::block_on;
use crate::{completion_values, outputs};

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
  divvy report stations --as-of 2024-06-01T08:00
  divvy report outlook --arrive 12min --need 2
  divvy report all --output report.html
  divvy report stations --format csv --output stations.csv")]
pub struct Report {
    /// Which report, or all; without it, the reports are listed
    #[arg(value_name = "NAME", help = names(), add = ArgValueCandidates::new(completion_values::reports))]
    name: Option<String>,
    /// Count trips from this date, month or year on: 2024-06-30, 2024-06, 2024
    #[arg(long, value_name = "DATE")]
    from: Option<Period>,
    /// Count trips up to this date, month or year, itself included
    #[arg(long, value_name = "DATE")]
    to: Option<Period>,
    /// Count trips of these riders: member (or Subscriber), casual (or Customer)
    #[arg(long, value_name = "RIDER", add = ArgValueCandidates::new(completion_values::riders))]
    rider: Option<String>,
    /// Count trips on this kind of bike: electric, classic, docked; in outlook and calibration ebike or
    /// classic
    #[arg(long, value_name = "KIND", add = ArgValueCandidates::new(completion_values::bikes))]
    bike: Option<String>,
    /// Count trips that start at this station: an id of the trips or of the feed, or a name
    #[arg(long, value_name = "STATION", add = ArgValueCompleter::new(completion_values::stations))]
    station: Option<String>,
    /// Count trips that start on these weekdays: mon, sat,sun, mon-fri, weekend, workday
    #[arg(long, value_name = "DAYS", add = ArgValueCandidates::new(completion_values::weekdays))]
    weekday: Option<Weekdays>,
    /// Count trips that start in these hours: 8, 7-9,16-18, 22-2
    #[arg(long, value_name = "HOURS")]
    hour: Option<HoursOfDay>,
    /// Group by one or two of these instead: rider, bike, gender, birth_year, age, year, month,
    /// date, weekday, hour, station
    #[arg(
        long,
        value_name = "DIMENSIONS",
        value_delimiter = ',',
        add = ArgValueCompleter::new(completion_values::dimensions)
    )]
    by: Vec<Dim>,
    /// Sort by this column: numbers from the largest down, texts from A on; COLUMN:asc or
    /// COLUMN:desc asks for the reverse
    #[arg(long, value_name = "COLUMN", add = ArgValueCandidates::new(completion_values::columns))]
    sort: Option<Sort>,
    /// Show this many rows, or all: a terminal shows 20 of a long table, all else all
    #[arg(long, value_name = "N|all")]
    top: Option<Top>,
    /// Show the states that stations had at this time: 2024-06-01T08:00 by the system's clocks, or with
    /// an offset; a date is its midnight
    #[arg(long, value_name = "TIME")]
    as_of: Option<AsOfTime>,
    /// Count the minutes in which stations were unusable for more than this share of the time: 2%
    #[arg(long, value_name = "SHARE")]
    max_unusable: Option<MaxUnusable>,
    /// Group stations by these areas, such as neighbourhoods: polygons of GeoJSON with a name
    #[arg(long, value_name = "FILE", value_parser = read_areas)]
    areas: Option<Areas>,
    /// Forecast so far ahead, in minutes: 15,30,60,120
    #[arg(long, value_name = "MINUTES", value_delimiter = ',')]
    horizon: Vec<Minutes>,
    /// Forecast your time of arrival: 12min or 1h after the newest snapshot
    #[arg(long, value_name = "MINUTES")]
    arrive: Option<Minutes>,
    /// Show the probability of at least this many bikes
    #[arg(long, value_name = "BIKES", value_parser = clap::value_parser!(u32).range(1..=1000))]
    need: Option<u32>,
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
    /// Write it to a file; - is stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Reads the file of `--areas`.
fn read_areas(path: &str) -> anyhow::Result<Areas> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| anyhow::anyhow!("it cannot be read: {error}"))?;
    Ok(Areas::parse(path, &text)?)
}

/// Lists the reports for the help.
fn names() -> StyledStr {
    let mut text = String::from("Which report; without it, they are listed:\n\n");
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

/// How many rows are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Top {
    Rows(usize),
    All,
}

impl FromStr for Top {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            number => {
                (number.parse().map(Self::Rows)).map_err(|_| "expected a number of rows, or all")
            }
        }
    }
}

/// The answer of a report.
struct Answer {
    table: Table,
    /// How it was found, and how long that took.
    how: String,
}

impl Report {
    pub fn run(mut self, common: &Common) -> anyhow::Result<ExitCode> {
        let Some(name) = self.name.take() else {
            outputs::write(None, |out, screen| write_list(screen, out))?;
            common.say("\ndivvy report NAME prints one; divvy report NAME --explain says what its numbers mean");
            return Ok(ExitCode::SUCCESS);
        };
        let is_stdout = |path: &PathBuf| path.as_os_str() == "-";
        self.output = self.output.filter(|path| !is_stdout(path));
        let outputs = [("--output", &self.output), ("--plot", &self.plot)];
        for (flag, path) in outputs {
            if let Some(path) = path {
                let own = own_report::path_of(&name);
                outputs::expect_apart(common, flag, path, &[own])?;
            }
        }
        if name == ALL {
            self.run_all(common)?;
        } else {
            self.run_one(&name, common)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn run_one(&self, name: &str, common: &Common) -> anyhow::Result<()> {
        let own = own_report::read(name)?;
        let report: &dyn reports::Report = match &own {
            Some(own) => own,
            None => reports::find(name).map_err(with_own_names)?,
        };
        if self.explain {
            return Ok(explain(report, &mut io::stdout().lock())?);
        }
        let format = self.format()?;
        if self.with_scope && format != Format::Json {
            bail!("--with-scope is for --format json");
        }
        let opened = common.open_existing()?;
        let store = opened.store();
        let mut filters = match &own {
            Some(own) => own.filters(&self.filters()),
            None => self.filters(),
        };
        if self.top == Some(Top::All) {
            filters.top = None;
        }
        // A table that shows only the first rows does not need the others sorted.
        let rows = outputs::screen(self.output.as_deref()).rows;
        let rows = rows.filter(|_| {
            format == Format::Table
                && reports::is_long(report, &filters.by)
                && filters.top.is_none()
                && filters.sort.is_none()
                && self.top.is_none()
                && self.plot.is_none()
        });
        if common.is_of_all_systems() {
            return self.run_stacked(report, store, filters, rows, format, common);
        }
        let system = common.system_of(store)?;
        let is_cut = rows.is_some();
        filters.top = filters.top.or(rows);
        let Answer { mut table, how } = answer(report, store, &system, &filters)?;
        table.may_be_cut = (table.may_be_cut && self.top.is_none()) || is_cut;
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
            Format::Html => Some(source(&common.store, store, &system)?),
            _ => None,
        };
        let rows_command = rows_command(&common.store, store, (&system, &filters))?;
        outputs::write(self.output.as_deref(), |out, screen| match format {
            Format::Html => {
                let page = Page {
                    title: &format!("{}: {}", system.name, report.name()),
                    filters: filters.to_string(),
                    front: None,
                    sections: vec![section(report, &table, plot())],
                    source: source.clone(),
                    rows_command: rows_command.clone(),
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
            _ => format.write(&table, screen, out),
        })?;
        say_notes(&table, format, common);
        Ok(())
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
            top: match self.top {
                Some(Top::Rows(rows)) => Some(rows),
                Some(Top::All) | None => None,
            },
            as_of: self.as_of,
            max_unusable: self.max_unusable,
            areas: self.areas.clone(),
            horizons: self.horizon.clone(),
            arrive: self.arrive,
            need: self.need,
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
    /// No format has the ending, or it is that of a picture, or of another format than --format; the
    /// format is not for a terminal.
    fn format(&self) -> anyhow::Result<Format> {
        let path = self.output.as_deref();
        let ending = path.and_then(|path| path.extension()?.to_str());
        let ending = ending.unwrap_or_default().to_ascii_lowercase();
        if let (None, Some(path), "svg" | "png") = (self.format, path, ending.as_str()) {
            bail!("{}: a picture is drawn with --plot", path.display());
        }
        let format = match (self.format, path) {
            (Some(format), Some(path)) if format.is_other_than_ending(&ending) => {
                let path = path.display();
                bail!("{path}: --format and the ending .{ending} are two formats: leave one of them out")
            }
            (Some(format), _) => format,
            (None, Some(path)) if !ending.is_empty() => {
                Format::of_ending(&ending).with_context(|| {
                    let (path, endings) = (path.display(), Format::endings());
                    format!("{path}: no format has the ending .{ending}: expected one of {endings}, or --format")
                })?
            }
            _ => Format::Table,
        };
        if format.is_binary() && path.is_none() && io::stdout().is_terminal() {
            bail!("this format is binary: write it to a file with --output FILE");
        }
        Ok(format)
    }
}

/// Prints the notes of a table whose format has none.
fn say_notes(table: &Table, format: Format, common: &Common) {
    if !format.has_notes() {
        for note in &table.notes {
            common.say(sentence(note));
        }
    }
}

/// Answers a report.
fn answer(
    report: &dyn reports::Report,
    store: &dyn Store,
    system: &System,
    filters: &Filters,
) -> anyhow::Result<Answer> {
    let start = Instant::now();
    let table = block_on(reports::answer(report, store, system, filters))?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let how = format!("{} ({ms:.1} ms)", table.how);
    Ok(Answer { table, how })
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
