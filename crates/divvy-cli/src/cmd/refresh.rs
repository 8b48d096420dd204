//! `divvy refresh`

use std::process::ExitCode;

use clap::Args;
use divvy::refresh;
use divvy::store::Ledger;
use futures_executor::block_on;
use jiff::Timestamp;

use super::grouped;
use crate::open::{Common, without};

/// Brings the counts up to date by hand.
///
/// Reads on in the change stream where the last refresh stopped.
#[derive(Debug, Args)]
#[command(args = without(&["system"]))]
pub struct Refresh {
    /// Count every station again, whatever changed
    #[arg(long)]
    all: bool,
}

impl Refresh {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let store = common.open_existing()?;
        let now = Timestamp::now();
        let mut refreshed = block_on(refresh::drain(&store, refresh::CONSUMER, now))?;
        if self.all {
            for system in block_on(store.systems())? {
                let more = block_on(refresh::refresh_all(&store, &system.id, now))?;
                refreshed.changes += more.changes;
                refreshed.recounted += more.recounted;
                refreshed.skipped += more.skipped;
            }
        }
        common.say(format_args!(
            "{} changes read: {} counts refreshed, {} were up to date",
            grouped(refreshed.changes),
            grouped(refreshed.recounted),
            grouped(refreshed.skipped),
        ));
        Ok(ExitCode::SUCCESS)
    }
}
