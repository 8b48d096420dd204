//! `divvy refresh`

use std::process::ExitCode;

use clap::Args;
use divvy::refresh::{self, Refreshed};
use divvy::store::Store;
use jiff::Timestamp;

use super::grouped;
use crate::open::{Common, block_on, without};

/// Brings the counts up to date by hand.
///
/// Reads on in the change stream where the last refresh stopped, unless a Lambda reads it. Then it
/// looks at every station, and counts those that have no count or whose trips are newer than it.
#[derive(Debug, Args)]
#[command(args = without(&["system"]))]
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
                block_on(store.touch_all(&system.id))?;
            }
        }
        let followed = opened.follow_stream(now)?;
        let by_hand = match opened.dynamo() {
            Some(dynamo) => block_on(dynamo.refresh_by_hand(now))?,
            None => missing(store, now)?,
        };
        let refreshed = match (followed, opened.dynamo()) {
            // A day later the stream has forgotten, and an emulator does not say so.
            (Some(followed), Some(_)) => Refreshed {
                recounted: followed.recounted + by_hand.recounted,
                // The look at every station came last.
                uncounted: by_hand.uncounted,
                ..followed
            },
            (Some(followed), None) => followed,
            (None, _) => by_hand,
        };
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
        if let Some(dynamo) = opened.dynamo() {
            for sentence in block_on(dynamo.given_up())? {
                common.say(format_args!("warning: {sentence}"));
            }
        }
        Ok(ExitCode::from(u8::from(!refreshed.uncounted.is_empty())))
    }
}

/// Makes the counts that are missing in a folder.
fn missing(store: &dyn Store, now: Timestamp) -> anyhow::Result<Refreshed> {
    let mut recounted = 0;
    for system in block_on(store.systems())? {
        let refreshed = block_on(refresh::count_missing(store, &system.id, now))?;
        recounted += refreshed.recounted;
    }
    Ok(Refreshed {
        recounted,
        ..Refreshed::default()
    })
}
