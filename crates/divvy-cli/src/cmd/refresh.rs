//! `divvy refresh`

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;

use super::grouped;
use crate::open::{Common, without};
use crate::runtime::block_on;

/// Brings the counts up to date by hand.
///
/// Reads on in the change stream where the last refresh stopped, unless a Lambda reads it. Then it
/// looks at every station, and counts those that have no count or whose trips are newer than it.
#[derive(Debug, Args)]
#[command(args = without(&["system", "systems"]))]
pub struct Refresh {
    /// Count every station again, whatever changed
    #[arg(long)]
    all: bool,
}

impl Refresh {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let opened = common.open_existing()?;
        let store = opened.store();
        let now = Timestamp::now();
        if self.all {
            for system in block_on(store.systems())? {
                opened.run(store.republish_all(&system.id))?;
            }
        }
        let refreshed = opened.run(store.refresh_outdated(now))?;
        common.say(format_args!(
            "{} changes read: {} counts refreshed, {} were up to date",
            grouped(refreshed.changes),
            grouped(refreshed.recounted),
            grouped(refreshed.skipped),
        ));
        for uncounted in &refreshed.uncounted {
            let (id, why) = (&uncounted.id, &uncounted.why);
            common.say(format_args!(
                "{id} could not be counted, and is tried again by the next refresh: {why}"
            ));
        }
        for sentence in block_on(store.warnings())? {
            common.say(format_args!("warning: {sentence}"));
        }
        Ok(ExitCode::from(u8::from(!refreshed.uncounted.is_empty())))
    }
}
