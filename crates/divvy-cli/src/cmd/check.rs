//! `divvy check`

use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, ValueEnum};
use divvy::store::embedded::Repaired;
use jiff::Timestamp;
use serde_json::json;

use crate::open::{Common, Opened, without};
use crate::progress::RowsBar;

/// Proves that the store is sound.
///
/// Its files can be read and are what was written, the ledger is true, no trip is stored twice, and
/// every tally and count equals a recount from the trips. On DynamoDB this reads all tables, at the
/// pace of their capacity.
#[derive(Debug, Args)]
#[command(args = without(&["system"]))]
pub struct Check {
    /// Rebuild what can be rebuilt from the trips, and list what has to be loaded again
    #[arg(long)]
    repair: bool,
    /// With --repair: say what would be done, and change nothing
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
            return self.repair(&opened);
        }
        let bar = RowsBar::new(common, "checking");
        let checked = opened.check(&bar);
        bar.finish();
        let checked = checked?;
        let mut out = std::io::stdout().lock();
        match self.format {
            CheckFormat::Text => {
                let lines = (checked.facts.iter().map(|fact| ("✓", fact)))
                    .chain(checked.notes.iter().map(|note| ("·", note)))
                    .chain(checked.faults.iter().map(|fault| ("✗", fault)));
                for (mark, line) in lines {
                    writeln!(out, "{mark} {line}")?;
                }
            }
            CheckFormat::Json => {
                let object = json!({
                    "sound": checked.faults.is_empty(),
                    "facts": checked.facts,
                    "notes": checked.notes,
                    "faults": checked.faults,
                });
                serde_json::to_writer_pretty(&mut out, &object).map_err(std::io::Error::from)?;
                writeln!(out)?;
            }
        }
        Ok(if checked.faults.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(2)
        })
    }

    fn repair(self, opened: &Opened) -> anyhow::Result<ExitCode> {
        let Opened::Folder(store) = opened else {
            bail!("--repair is for stores in a folder");
        };
        let repaired = store.repair(self.dry_run)?;
        if !self.dry_run {
            opened.follow_stream(Timestamp::now())?;
        }
        let mut out = std::io::stdout().lock();
        match self.format {
            CheckFormat::Text => {
                if repaired == Repaired::default() {
                    writeln!(out, "✓ nothing to repair")?;
                }
                for line in &repaired.done {
                    writeln!(out, "✓ {line}")?;
                }
                for (system, name) in &repaired.to_load_again {
                    writeln!(
                        out,
                        "✗ {name}: its trips cannot be read: divvy load {name} --replace --system \
                         {system}"
                    )?;
                }
            }
            CheckFormat::Json => {
                let again: Vec<_> = (repaired.to_load_again.iter())
                    .map(|(system, name)| json!({"system": system, "archive": name}))
                    .collect();
                let object = json!({
                    "dry_run": self.dry_run,
                    "done": repaired.done,
                    "to_load_again": again,
                });
                serde_json::to_writer_pretty(&mut out, &object).map_err(std::io::Error::from)?;
                writeln!(out)?;
            }
        }
        Ok(if repaired.to_load_again.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(2)
        })
    }
}
