//! `divvy check`

use std::process::ExitCode;

use clap::Args;

use crate::open::{Common, without};

/// Proves that the store is sound.
///
/// Its files can be read, the ledger is true, no trip is stored twice, and every tally and count
/// equals a recount from the trips. On DynamoDB this reads all tables, at the pace of their capacity.
#[derive(Debug, Args)]
#[command(args = without(&["system"]))]
pub struct Check {}

impl Check {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let checked = common.open_existing()?.check()?;
        for fact in &checked.facts {
            common.say(fact);
        }
        for fault in &checked.faults {
            crate::complain(fault);
        }
        Ok(match checked.faults.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(2),
        })
    }
}
