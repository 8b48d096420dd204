//! `divvy status`

use std::io::Write;
use std::process::ExitCode;

use anstyle::Style;
use clap::{Args, ValueEnum};
use divvy::model::System;
use divvy::model::civil_date::date_of;
use divvy::refresh;
use divvy::stations::identity::in_use;
use divvy::store::Store;
use serde_json::{Value, json};

use super::grouped;
use crate::open::{Common, Opened};
use crate::outputs;
use crate::runtime::block_on;
use crate::screen::{BOLD, GOOD, Screen, WARNING};
use crate::wrap::wrapped;

/// Says what is in the store: systems, archives, trips, dates, the last poll, and its health at a
/// glance.
///
/// It reads totals alone. divvy check reads everything.
#[derive(Debug, Args)]
pub struct Status {
    /// How to write it
    #[arg(long, value_enum, default_value = "text")]
    format: StatusFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StatusFormat {
    /// For people
    Text,
    /// One object
    Json,
}

/// What is printed of one system.
struct SystemStatus {
    system: System,
    archives: usize,
    trips: i64,
    /// The local dates of the first and the last start. `None` without trips.
    dates: Option<(String, String)>,
    stations: usize,
    /// When the newest snapshot was made. `None` before the first.
    last_poll: Option<String>,
}

/// What is printed of the store as a whole.
struct Health {
    /// The size of all files.
    size_bytes: u64,
    /// The counts are out of date: changes of stations are unread.
    counts_wait: bool,
}

impl Status {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let opened = common.open_existing()?;
        let store = opened.store();
        let mut systems = Vec::new();
        for system in common.selected_systems(store)? {
            systems.push(block_on(status_of(store, system))?);
        }
        let health = health(&opened)?;
        match self.format {
            StatusFormat::Text => {
                outputs::write(None, |out, screen| {
                    let lines = lines(common, &systems, health.as_ref());
                    write_lines(out, screen, &lines)
                })?;
            }
            StatusFormat::Json => {
                outputs::print_json(&json!({
                    "store": common.store.to_string(),
                    "size_bytes": health.as_ref().map(|health| health.size_bytes),
                    "counts_wait": health.as_ref().map(|health| health.counts_wait),
                    "systems": systems.iter().map(to_json).collect::<Vec<_>>(),
                }))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn status_of(store: &dyn Store, system: System) -> anyhow::Result<SystemStatus> {
    let totals = store.totals(&system.id).await?;
    let feed = store.feed(&system.id).await?;
    let polled_at = feed.and_then(|feed| feed.status_at.max(feed.information_at));
    let days = totals.days.range();
    Ok(SystemStatus {
        archives: store.archives(&system.id).await?.len(),
        trips: totals.trips,
        dates: days.map(|(first, last)| (date_of(first).to_string(), date_of(last).to_string())),
        stations: in_use(store.stations(&system.id).await?, &totals).len(),
        last_poll: polled_at.map(|at| system.zone().rfc3339(at)),
        system,
    })
}

fn health(opened: &Opened) -> anyhow::Result<Option<Health>> {
    let store = opened.store();
    let Some(size_bytes) = store.size_bytes()? else {
        return Ok(None);
    };
    let waiting = block_on(store.changes(refresh::CONSUMER, 1))?;
    Ok(Some(Health {
        size_bytes,
        counts_wait: !waiting.is_empty(),
    }))
}

/// A line of the status.
enum Line {
    /// The name of a system.
    Heading(String),
    /// A label, its value, and the style of the value.
    Fact(&'static str, String, Style),
}

fn lines(common: &Common, systems: &[SystemStatus], health: Option<&Health>) -> Vec<Line> {
    let fact = |label, text: String| Line::Fact(label, text, Style::new());
    let size = health.map(|health| format!(", {}", megabytes(health.size_bytes)));
    let store = format!("{}{}", common.store, size.unwrap_or_default());
    let mut lines = vec![fact("store", store)];
    if systems.is_empty() {
        lines.push(fact("", "empty".into()));
    }
    for status in systems {
        let name = format!("{}: {}", status.system.id, status.system.name);
        lines.push(Line::Heading(name));
        let count = |n: usize| grouped(n as u64);
        lines.push(fact("archives", count(status.archives)));
        let trips = grouped(status.trips.try_into().unwrap_or(0));
        lines.push(fact("trips", trips));
        if let Some((first, last)) = &status.dates {
            lines.push(fact("dates", format!("{first} to {last}")));
        }
        lines.push(fact("stations", count(status.stations)));
        let last_poll = status.last_poll.as_deref().unwrap_or("never");
        lines.push(fact("last poll", last_poll.to_owned()));
    }
    if let Some(health) = health {
        lines.push(Line::Heading(String::new()));
        let (counts, style) = match health.counts_wait {
            true => ("changes wait for divvy refresh", WARNING),
            false => ("up to date", GOOD),
        };
        lines.push(Line::Fact("counts", counts.into(), style));
    }
    lines
}

fn write_lines(out: &mut dyn Write, screen: Screen, lines: &[Line]) -> std::io::Result<()> {
    /// The width of the labels, with the blanks behind them.
    const LABEL: usize = 11;
    for line in lines {
        match line {
            Line::Heading(name) if name.is_empty() => writeln!(out)?,
            Line::Heading(name) => {
                writeln!(out)?;
                for line in wrapped(name, screen.width, 2) {
                    writeln!(out, "{}", screen.paint(BOLD, line))?;
                }
            }
            Line::Fact(label, text, style) => {
                let width = screen.width.map(|width| width.saturating_sub(LABEL as u16));
                let mut label = *label;
                for line in wrapped(text, width, 0) {
                    let text = match *style == Style::new() {
                        true => line,
                        false => screen.paint(*style, line),
                    };
                    writeln!(out, "{label:<LABEL$}{text}")?;
                    label = "";
                }
            }
        }
    }
    Ok(())
}

fn to_json(status: &SystemStatus) -> Value {
    let (first, last) = status.dates.clone().unzip();
    json!({
        "system": status.system.id.as_str(),
        "name": status.system.name,
        "archives": status.archives,
        "trips": status.trips,
        "first_date": first,
        "last_date": last,
        "stations": status.stations,
        "last_poll": status.last_poll,
    })
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
