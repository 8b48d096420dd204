//! `divvy status`

use std::io::Write;
use std::process::ExitCode;

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
        let stored = block_on(store.systems())?;
        let named = common.named_system(&stored)?;
        for system in stored {
            if named.as_ref().is_none_or(|named| named.id == system.id) {
                systems.push(block_on(status_of(store, system))?);
            }
        }
        let health = health(&opened)?;
        match self.format {
            StatusFormat::Text => {
                let mut out = std::io::stdout().lock();
                write_text(&mut out, common, &systems, health.as_ref())?;
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

fn write_text(
    out: &mut dyn Write,
    common: &Common,
    systems: &[SystemStatus],
    health: Option<&Health>,
) -> std::io::Result<()> {
    let size = health.map(|health| format!(", {}", megabytes(health.size_bytes)));
    writeln!(
        out,
        "store      {}{}",
        common.store,
        size.unwrap_or_default()
    )?;
    if systems.is_empty() {
        writeln!(out, "           empty")?;
    }
    for status in systems {
        writeln!(out, "\n{} ({})", status.system.name, status.system.id)?;
        let count = |n: usize| grouped(n as u64);
        writeln!(out, "archives   {}", count(status.archives))?;
        writeln!(
            out,
            "trips      {}",
            grouped(status.trips.try_into().unwrap_or(0))
        )?;
        if let Some((first, last)) = &status.dates {
            writeln!(out, "dates      {first} to {last}")?;
        }
        writeln!(out, "stations   {}", count(status.stations))?;
        let last_poll = status.last_poll.as_deref().unwrap_or("never");
        writeln!(out, "last poll  {last_poll}")?;
    }
    if let Some(health) = health {
        let counts = if health.counts_wait {
            "changes wait for divvy refresh"
        } else {
            "up to date"
        };
        writeln!(out, "\ncounts     {counts}")?;
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
