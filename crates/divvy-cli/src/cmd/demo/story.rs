//! What the demo prints: what came in, what the change stream did, and what a report shows about it.

use std::io::{self, Write};
use std::path::PathBuf;

use anstyle::Style;
use divvy::numerals;
use divvy::refresh::Refreshed;
use divvy::reports::Table;
use divvy::store::LedgerEntry;
use unicode_width::UnicodeWidthStr;

use crate::cmd::grouped;
use crate::flags::shell_word;
use crate::render::Format;
use crate::screen::{BOLD, DIM, GOOD, Screen};
use crate::wrap::wrapped;

/// The width of the names of steps, with the blanks behind them.
const NAME: usize = 9;

/// The results of the demo's steps.
pub(super) struct Story {
    /// The trip archive.
    pub archive: PathBuf,
    /// What was loaded. `None` where the archive was loaded before.
    pub loaded: Option<LedgerEntry>,
    /// How long the load took, in seconds.
    pub load_s: f64,
    /// The folder of the feed.
    pub feed: PathBuf,
    /// The number of stations in the feed.
    pub stations: u64,
    /// When the feed was made, in RFC 3339.
    pub taken_at: String,
    /// What the handler of the change stream did.
    pub refreshed: Refreshed,
    /// How long that took, in seconds.
    pub refresh_s: f64,
    /// What happened in the minute after that.
    pub minute: Minute,
    /// The busiest stations with their bikes.
    pub busiest: Table,
    /// The number of trips that start in each hour of the day.
    pub starts: Vec<f64>,
    /// The names of the tables. `None` for a store in a folder.
    pub tables: Option<Vec<String>>,
    /// The store, as `--store` names it.
    pub store: String,
    /// The page of all reports.
    pub report: PathBuf,
}

/// A minute between two snapshots.
pub(super) struct Minute {
    /// The number of stations that changed.
    pub changed: u64,
    /// Departures and arrivals that the snapshots show. `None` for a store without a history of states.
    pub flows: Option<[i64; 2]>,
}

impl Minute {
    fn text(&self) -> String {
        let changed = plural(self.changed, "station");
        let flows = self.flows.map_or(String::new(), |[departures, arrivals]| {
            let departures = numerals::plural(departures, "departure");
            let arrivals = numerals::plural(arrivals, "arrival");
            format!(": {departures} and {arrivals}")
        });
        format!("a minute later {changed} changed{flows}")
    }
}

impl Story {
    /// Writes the results for people.
    pub(super) fn write(&self, screen: Screen, out: &mut dyn Write) -> io::Result<()> {
        let title = "An invented month of a bike-share system: no network, no account";
        write_line(screen, BOLD, title, out)?;
        writeln!(out)?;
        for (name, text) in self.steps() {
            let width = screen.width.map(|width| width.saturating_sub(NAME as u16));
            let mut name = screen.paint(GOOD, format!("{name:<NAME$}"));
            for line in wrapped(&text, width, 0) {
                writeln!(out, "{name}{line}")?;
                name = " ".repeat(NAME);
            }
        }
        let heading = "The busiest stations, and the bikes that stand there now";
        writeln!(out)?;
        write_line(screen, BOLD, heading, out)?;
        Format::Table.write(&self.busiest, screen, out)?;
        writeln!(out, "\n{}", screen.paint(BOLD, "When trips start"))?;
        self.write_hours(screen, out)?;
        let report = self.report.display();
        let heading = screen.paint(BOLD, "Figures, maps and every table, as a page");
        writeln!(out, "\n{heading}\n\n  {report}\n")?;
        writeln!(out, "{}\n", screen.paint(BOLD, "Look around"))?;
        let program = program();
        let program = shell_word(&program);
        for arguments in [
            "report hours --by weekday,hour",
            "report stations --rider casual --top 5",
            "check",
        ] {
            let command = format!("  {program} {arguments}");
            let store = format!("--store {}", shell_word(&self.store));
            let width = command.width() + 1 + store.width();
            // A shell continues a line after a backslash.
            let between = match screen.width {
                Some(most) if width > usize::from(most) => " \\\n    ",
                _ => " ",
            };
            writeln!(out, "{command}{between}{store}")?;
        }
        let next = "Then load real archives, and poll a live feed: see divvy load --help";
        writeln!(out)?;
        write_line(screen, DIM, next, out)
    }

    /// Lists the steps: a name, and what it did.
    fn steps(&self) -> Vec<(&'static str, String)> {
        let archive = self.archive.display();
        let loaded = match &self.loaded {
            None => "loaded by an earlier demo".to_owned(),
            Some(entry) => format!(
                "{}, {} rejected, in {:.2} s",
                plural(entry.stored, "trip"),
                grouped(entry.rejected_total()),
                self.load_s
            ),
        };
        let minute = self.taken_at.get(11..16).unwrap_or(&self.taken_at);
        let mut steps = vec![
            ("load", format!("{archive}: {loaded}")),
            (
                "poll",
                format!(
                    "{}: {} as of {minute}",
                    self.feed.display(),
                    plural(self.stations, "station")
                ),
            ),
            (
                "stream",
                format!(
                    "{} of stations, {} of departures updated in {:.2} s",
                    plural(self.refreshed.changes, "change"),
                    plural(self.refreshed.recounted, "count"),
                    self.refresh_s
                ),
            ),
        ];
        steps.push(("minute", self.minute.text()));
        let what = match &self.tables {
            None => "trips as Parquet, the rest in SQLite".to_owned(),
            Some(tables) => format!("tables {}", tables.join(", ")),
        };
        steps.push(("store", format!("{}: {what}", self.store)));
        steps
    }

    /// Writes the hours of the day as a line of bars, with the busiest one.
    fn write_hours(&self, screen: Screen, out: &mut dyn Write) -> io::Result<()> {
        let busiest = self.starts.iter().enumerate();
        let Some((hour, most)) = busiest.max_by(|a, b| a.1.total_cmp(b.1)) else {
            return Ok(());
        };
        let bars = screen.paint(GOOD, bars(&self.starts));
        let most = plural(most.max(0.0) as u64, "trip");
        let most = format!("most from {hour}:00 on: {most}");
        let width = 2 + self.starts.len() + 2 + most.width();
        let is_narrow = screen
            .width
            .is_some_and(|narrow| width > usize::from(narrow));
        let (beside, below) = match is_narrow {
            true => (String::new(), format!("\n  {most}")),
            false => (format!("  {most}"), String::new()),
        };
        writeln!(out, "\n  {bars}{beside}")?;
        let hours = screen.paint(DIM, "0     6     12    18");
        writeln!(out, "  {hours}{below}")
    }
}

/// Writes a sentence, broken into lines that fit the terminal.
fn write_line(screen: Screen, style: Style, text: &str, out: &mut dyn Write) -> io::Result<()> {
    for line in wrapped(text, screen.width, 0) {
        writeln!(out, "{}", screen.paint(style, line))?;
    }
    Ok(())
}

/// Formats a number of things: `1 trip`, `2,000 trips`.
fn plural(number: u64, noun: &str) -> String {
    numerals::plural(i64::try_from(number).unwrap_or(i64::MAX), noun)
}

/// Draws numbers as bars of up to eight eighths of a line, one letter each.
fn bars(numbers: &[f64]) -> String {
    const EIGHTHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = numbers.iter().copied().fold(0.0, f64::max);
    let bar = |number: &f64| {
        let eighths = if most > 0.0 { number / most * 8.0 } else { 0.0 };
        EIGHTHS[(eighths.ceil() as usize).clamp(1, 8) - 1]
    };
    numbers.iter().map(bar).collect()
}

/// Returns how this program is called from the current folder: `divvy` where the shell finds it under
/// that name, else its path.
fn program() -> String {
    const NAME: &str = "divvy";
    let Ok(own) = std::env::current_exe() else {
        return NAME.into();
    };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(NAME));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_some_and(|found| same_file::is_same_file(found, &own).unwrap_or(false)) {
        return NAME.into();
    }
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| Some(own.strip_prefix(here).ok()?.to_owned()));
    relative.unwrap_or(own).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_numbers() {
        assert_eq!(bars(&[0.0, 1.0, 4.0, 8.0]), "▁▁▄█");
        assert_eq!(bars(&[0.0, 0.0]), "▁▁");
        assert_eq!(bars(&[]), "");
    }
}
