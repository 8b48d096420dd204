//! `divvy check`

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::open::{Common, without};
use crate::progress::RowsBar;

/// Proves that the store is sound.
///
/// Its files can be read and are what was written, the ledger is true, no trip is stored twice, and
/// every tally and count equals a recount from the trips. On DynamoDB this reads all tables, at the
/// pace of their capacity.
#[derive(Debug, Args)]
#[command(args = without(&["system"]))]
pub struct Check {
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
}
