//! `divvy report`

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use divvy::model::Rider;
use divvy::reports::{self, Filters, Note, Period, REPORTS, Table};

use crate::open::{Common, block_on};
use crate::render::Format;

/// Prints a report on the trips and stations of the store.
///
/// Dates are those on which trips start, by the system's clocks; both ends count. A report on
/// stations shows with --station that station alone, the others count the trips that start there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  divvy report stations --top 50
  divvy report durations --from 2024-06 --to 2024-08 --rider member
  divvy report stations --format csv --output stations.csv")]
pub struct Report {
    /// Which report
    #[arg(value_parser = names())]
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
    /// Show this many rows
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// How to write it [default: by the ending of --output, else table]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write it to a file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn names() -> PossibleValuesParser {
    REPORTS
        .iter()
        .map(|report| PossibleValue::new(report.name()).help(report.about()))
        .into()
}

impl Report {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let store = common.open_existing()?;
        let system = common.system_of(store.store())?;
        let filters = self.filters();
        let table = block_on(reports::report(
            &self.name,
            store.store(),
            &system,
            &filters,
        ))?;
        let format = self.format();
        match &self.output {
            None => print(&table, format)?,
            Some(path) => {
                let writing = || format!("cannot write {}", path.display());
                let mut out = BufWriter::new(File::create(path).with_context(writing)?);
                format
                    .write(&table, None, &mut out)
                    .and_then(|()| out.flush())
                    .with_context(writing)?;
            }
        }
        if !format.has_notes() {
            for note in &table.notes {
                common.say(match note {
                    Note::Scope(text) => text.clone(),
                    Note::Warning(text) => format!("warning: {text}"),
                });
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn filters(&self) -> Filters {
        Filters {
            from: self.from.map(|period| period.first),
            to: self.to.map(|period| period.last),
            rider: self.rider.as_deref().map(Rider::parse),
            bike: self.bike.clone(),
            station: self.station.clone(),
            top: self.top,
        }
    }

    fn format(&self) -> Format {
        let ending = || self.output.as_ref()?.extension()?.to_str();
        self.format
            .or_else(|| Format::of_ending(ending()?))
            .unwrap_or(Format::Table)
    }
}

/// Writes a report to stdout.
///
/// # Errors
///
/// What writing says; among it a broken pipe, where the reader has seen enough.
pub fn print(table: &Table, format: Format) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    format.write(table, width(), &mut out)?;
    out.flush()
}

/// Returns the width of the terminal in columns: what `COLUMNS` says, else that of stdout. `None`
/// where stdout is no terminal: then nothing is cut.
fn width() -> Option<u16> {
    let said = std::env::var("COLUMNS").ok();
    let said = said.and_then(|columns| columns.parse().ok());
    said.or_else(|| {
        let (terminal_size::Width(columns), _) = terminal_size::terminal_size()?;
        io::stdout().is_terminal().then_some(columns)
    })
}
