//! `divvy poll`

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use divvy::forecast::Follower;
use divvy::ingest::{self, PollOptions};
use divvy::reports::plural;
use divvy::sources::station_feed::{self, Fault};
use divvy::store::Applied;
use jiff::Timestamp;

use super::grouped;
use crate::messages;
use crate::open::{Common, DynamoOptions};
use crate::runtime::block_on;
use crate::store_name::StoreName;

/// Takes one snapshot of the stations and refreshes the counts it concerns.
///
/// A snapshot is a GBFS discovery file (gbfs.json), a pair of GBFS files with or without
/// vehicle_types.json, a folder of them, or the older stations.json: files or addresses. Snapshots may
/// come in any order: one that is older than the last adds the stations that no newer one names, and
/// none of its states.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  divvy poll https://gbfs.divvybikes.com/gbfs/2.3/gbfs.json
  divvy poll station_information.json station_status.json
  divvy poll recorded/2025-01-29/")]
pub struct Poll {
    /// One source, or the files of a pair (and of its vehicle types)
    #[arg(required = true, num_args = 1..=3, value_name = "SOURCE")]
    sources: Vec<OsString>,
    /// On DynamoDB: create the tables where they are missing, also in AWS
    #[arg(long)]
    create_tables: bool,
}

impl Poll {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        if let (StoreName::Folder(folder), true) = (&common.store, self.create_tables) {
            bail!(
                "--create-tables is for stores on DynamoDB, and {} is a folder",
                folder.display()
            );
        }
        let store = common.open_with(DynamoOptions {
            create_tables: self.create_tables,
            ..DynamoOptions::default()
        })?;
        let now = Timestamp::now();
        let stored = block_on(store.store().systems())?;
        let options = PollOptions {
            system: common.named_system(&stored)?,
            systems: common.known_systems()?.with_stored(&stored),
            ..PollOptions::new(now)
        };
        let polled = store.run(ingest::poll(&self.sources, store.store(), &options));
        if polled.is_err() {
            store.delete_unused_tables(common);
        }
        let polled = polled?;
        // Printed before a failure of the counts is returned: the snapshot is stored in any case.
        let followed = store.follow_stream(now);
        let refreshed = match &followed {
            Ok(Some(refreshed)) => format!("{} updated", plural(refreshed.recounted as i64, "count")),
            // DynamoDB does not state what reads a stream.
            Ok(None) => "counts are refreshed by the Lambda of the stack where it is deployed, else by divvy \
                         refresh"
                .into(),
            Err(_) => "the counts are not refreshed".into(),
        };
        let at = polled.system.zone().rfc3339(polled.time.taken_at);
        let id = &polled.system.id;
        let stations = plural(polled.stations as i64, "station");
        common.say(match &polled.applied {
            Applied::Accepted {
                inserted,
                changed,
                reported,
            } => format!(
                "{id}: {stations} at {at}, {}; {refreshed}",
                kinds(polled.stations as u64, [*inserted, *changed, *reported]),
            ),
            Applied::Repeated => format!("{id}: the snapshot of {at} is known already"),
            Applied::Refused { last, added } => format!(
                "{id}: the snapshot of {at} is older than the last one ({}): {}",
                polled.system.zone().rfc3339(*last),
                match added {
                    0 => "nothing changed".into(),
                    _ => format!(
                        "states not taken, {} taken that no newer one names; {refreshed}",
                        plural(*added as i64, "station")
                    ),
                }
            ),
        });
        let ahead = polled.time.ahead_of_clock(now, &polled.system);
        for note in ahead.iter().chain(&polled.notes) {
            common.say(format_args!("  {note}"));
        }
        let (faults, shown) = if common.verbose {
            let faults = polled.faults.iter().map(Fault::to_string).collect();
            (faults, usize::MAX)
        } else {
            (station_feed::in_short(&polled.faults), 3)
        };
        for fault in faults.iter().take(shown) {
            common.say(format_args!("  {fault}"));
        }
        if faults.len() > shown {
            let more = faults.len() - shown;
            common.say(format_args!(
                "  … and {more} more kinds of departures from the specification (-v shows all)"
            ));
        }
        followed?;
        let updated = store.run(Follower::update(store.store(), &polled.system));
        let updated = updated.map_err(anyhow::Error::from);
        if let Err(error) = &updated {
            let why = messages::sentence(error);
            common.say(format_args!("  the forecasts are not updated: {why}"));
        }
        Ok(ExitCode::from(u8::from(updated.is_err())))
    }
}

/// Writes how many stations are new, changed and only reported anew: the kinds that occur.
fn kinds(stations: u64, counts: [u64; 3]) -> String {
    let kinds = ["new", "changed", "with a newer report time alone"];
    let named = counts
        .into_iter()
        .zip(kinds)
        .filter(|(count, _)| *count > 0);
    let named: Vec<(u64, &str)> = named.collect();
    match named.as_slice() {
        [] => "none changed".into(),
        [(count, kind)] if *count == stations && stations > 1 => format!("all {kind}"),
        _ => {
            let texts = named
                .iter()
                .map(|(count, kind)| format!("{} {kind}", grouped(*count)));
            texts.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_occurs_is_said() {
        let texts = [
            kinds(1_811, [1_811, 0, 0]),
            kinds(1_811, [0, 1_200, 3]),
            kinds(1_811, [0, 0, 0]),
            kinds(1, [1, 0, 0]),
        ];
        let expected = [
            "all new",
            "1,200 changed, 3 with a newer report time alone",
            "none changed",
            "1 new",
        ];
        assert_eq!(texts, expected);
    }
}
