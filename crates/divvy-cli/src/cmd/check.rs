//! `divvy check`

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use divvy::reports::grouped;
use divvy::store::{DamagedArchive, Repaired};
use divvy_aws::DynamoStore;
use divvy_aws::plan::Prices;
use jiff::Timestamp;
use serde_json::json;

use crate::open::{Common, Opened, without};
use crate::outputs;
use crate::progress::RowsBar;
use crate::runtime::block_on;
use crate::screen::{ERROR, GOOD, Screen, WARNING};
use crate::wrap::wrapped;

/// Proves that the store is sound.
///
/// Its files can be read and are what was written, the ledger is true, no trip is stored twice, and
/// every tally and count equals a recount from the trips. On DynamoDB this reads all tables, at the
/// pace of their capacity, and --repair deletes what the ledger does not name: trips, too, that were
/// imported from S3 and are not loaded yet.
#[derive(Debug, Args)]
#[command(args = without(&["system", "systems"]))]
pub struct Check {
    /// Rebuild what can be rebuilt from the trips, and list what has to be loaded again
    #[arg(long)]
    repair: bool,
    /// With --repair: print what would be done, and change nothing
    #[arg(long, requires = "repair")]
    dry_run: bool,
    /// How to print what was found
    #[arg(long, value_enum, default_value = "text")]
    format: CheckFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CheckFormat {
    /// A line for each finding
    Text,
    /// One object: facts, notes and faults
    Json,
}

impl Check {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let opened = common.open_existing()?;
        if self.repair {
            return self.repair(&opened, common);
        }
        let bar = RowsBar::new(common, "checking");
        let checked = block_on(opened.store().check(&|done, of| bar.rows(done, of)));
        bar.finish();
        let checked = checked?;
        let printed = match self.format {
            CheckFormat::Text => {
                let mut lines = (checked.facts.iter().map(|fact| ("✓", fact)))
                    .chain(checked.notes.iter().map(|note| ("·", note)))
                    .chain(checked.faults.iter().map(|fault| ("✗", fault)));
                let mut out = std::io::stdout().lock();
                lines.try_for_each(|(symbol, line)| write_line(&mut out, symbol, line))
            }
            CheckFormat::Json => outputs::print_json(&json!({
                "sound": checked.faults.is_empty(),
                "facts": checked.facts,
                "notes": checked.notes,
                "faults": checked.faults,
            })),
        };
        outputs::unless_closed(printed)?;
        Ok(exit_code(checked.faults.is_empty()))
    }

    fn repair(self, opened: &Opened, common: &Common) -> anyhow::Result<ExitCode> {
        let now = Timestamp::now();
        let repaired = block_on(opened.store().repair(self.dry_run, now))?;
        if let Some(store) = opened.dynamo() {
            say_cost(store, common);
        }
        // What was repaired is printed even if the counts fail.
        let followed = if self.dry_run {
            Ok(None)
        } else {
            opened.follow_stream(now)
        };
        let printed = match self.format {
            CheckFormat::Text => write_repaired(&mut std::io::stdout().lock(), &repaired),
            CheckFormat::Json => {
                let again: Vec<_> = (repaired.to_load_again.iter())
                    .map(|archive| json!({"system": archive.system, "archive": archive.name}))
                    .collect();
                outputs::print_json(&json!({
                    "dry_run": self.dry_run,
                    "done": repaired.done,
                    "to_load_again": again,
                }))
            }
        };
        followed?;
        outputs::unless_closed(printed)?;
        Ok(exit_code(repaired.to_load_again.is_empty()))
    }
}

fn exit_code(is_sound: bool) -> ExitCode {
    ExitCode::from(if is_sound { 0 } else { 2 })
}

/// Writes a finding with its symbol, which is coloured on a terminal and broken to its width.
fn write_line(out: &mut dyn Write, symbol: &str, text: &str) -> io::Result<()> {
    let screen = Screen::stdout();
    let style = match symbol {
        "✓" => GOOD,
        "✗" => ERROR,
        _ => WARNING,
    };
    let width = screen.width.map(|width| width.saturating_sub(2));
    let mut symbol = screen.paint(style, symbol);
    for line in wrapped(text, width, 0) {
        writeln!(out, "{symbol} {line}")?;
        symbol = " ".into();
    }
    Ok(())
}

fn write_repaired(out: &mut dyn Write, repaired: &Repaired) -> io::Result<()> {
    if *repaired == Repaired::default() {
        write_line(out, "✓", "nothing to repair")?;
    }
    for line in &repaired.done {
        write_line(out, "✓", line)?;
    }
    for archive in &repaired.to_load_again {
        let DamagedArchive { system, name, .. } = archive;
        if archive.unload_first {
            let advice = format!(
                "{name}: some of its trips are gone or cannot be read: divvy unload {name}, then \
                 divvy load {name} --system {system}"
            );
            write_line(out, "✗", &advice)?;
        } else {
            let advice = format!(
                "{name}: its trips cannot be read: divvy load {name} --replace --system {system}"
            );
            write_line(out, "✗", &advice)?;
        }
    }
    Ok(())
}

/// Prints the consumed capacity; on AWS also its price, if the tables are on demand.
fn say_cost(store: &DynamoStore, common: &Common) {
    let used = store.used();
    let tables = [
        used.station_data,
        used.trip_data,
        used.from_station_counts,
        used.load_ledger,
    ];
    let write: f64 = (tables.iter().map(|used| used.write + used.index_write)).sum();
    let read: f64 = (tables.iter().map(|used| used.read + used.index_read)).sum();
    let prices = Prices::default();
    let usd = (write * prices.write_requests_million + read * prices.read_requests_million) / 1e6;
    let is_paid_by_request = common.store.costs() && store.tables().trip_data.on_demand;
    let cost = if is_paid_by_request {
        format!(": ${usd:.4}")
    } else {
        String::new()
    };
    common.say(format_args!(
        "{} read units and {} write units used{cost}",
        grouped(read.round() as i64),
        grouped(write.round() as i64),
    ));
}
