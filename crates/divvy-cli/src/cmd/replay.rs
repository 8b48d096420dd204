//! `divvy replay`

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use clap::Args;
use divvy::ingest::{self, PollOptions, ReplaySummary};
use divvy::model::System;
use divvy::reports::plural;
use divvy::sources::recordings::{Recorded, Recording};
use divvy::store::StoreError;
use jiff::Timestamp;

use super::grouped;
use super::left_out::{self, LeftOut};
use crate::flags;
use crate::open::{Common, Opened};
use crate::progress::SnapshotsBar;
use crate::runtime::block_on;

/// Applies recorded station feeds, the oldest first, as if they were polled now.
///
/// A recording is a folder of dated bodies of a feed, of days with JSON patches, or of tables of
/// station_status, compressed by gzip or Zstandard or not. Nothing is waited for. A snapshot that repeats the last
/// one, or is older, is counted and not stored.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  divvy replay recorded/2013-10
  divvy --system baywheels replay baywheels/")]
pub struct Replay {
    /// The folder with the recording; folders in it are read, too
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Replay {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let started = Instant::now();
        let recording = Recording::open(&self.folder)?;
        let opened = common.open()?;
        let stored = block_on(opened.store().systems())?;
        let options = PollOptions {
            system: common.named_system(&stored)?,
            systems: common.known_systems()?.with_stored(&stored),
            ..PollOptions::new(Timestamp::now())
        };
        let bytes_before = opened.store().size_bytes()?;
        let mut before = BTreeMap::new();
        for system in &stored {
            before.insert(system.id.clone(), changes(&opened, system)?);
        }
        let mut replay = ingest::Replay::new(opened.store(), options);
        let bar = SnapshotsBar::new(common, &self.folder.display().to_string());
        let mut left_out = LeftOut::default();
        let end = recording.visit(|recorded: Recorded| {
            bar.snapshot(&recorded.file);
            let name = left_out::name(&recorded);
            match recorded.feeds {
                Err(error) => {
                    replay.skip();
                    left_out.add(&name, &error);
                    ControlFlow::Continue(())
                }
                Ok(feeds) => match block_on(replay.apply(feeds, &name)) {
                    Err(error) => ControlFlow::Break(error),
                    Ok(None) => ControlFlow::Continue(()),
                    Ok(Some(error)) => {
                        left_out.add(&name, &flags::message(&error));
                        ControlFlow::Continue(())
                    }
                },
            }
        });
        bar.finish();
        if let ControlFlow::Break(error) = end {
            return Err(StoreError::into(error));
        }
        let system = replay.system().cloned();
        let summary = block_on(replay.finish())?;
        let Some(system) = system else {
            left_out.say(common);
            bail!(
                "{}: none of {} could be applied",
                self.folder.display(),
                plural(summary.unreadable as i64, "recorded snapshot")
            );
        };
        let already = before.get(&system.id).copied().flatten().unwrap_or(0);
        let stored = changes(&opened, &system)?.map(|now| now - already);
        let grown = opened.store().size_bytes()?.zip(bytes_before);
        let grown = grown.map(|(now, before)| now.saturating_sub(before));
        common.say(sentence(&system, &summary, stored, grown, started));
        left_out.say(common);
        Ok(match summary.unreadable {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(1),
        })
    }
}

/// Counts the changes in the history of a system. `None` for a store without history.
fn changes(opened: &Opened, system: &System) -> anyhow::Result<Option<u64>> {
    let Some(history) = opened.store().history() else {
        return Ok(None);
    };
    Ok(Some(block_on(history.count_state_changes(&system.id))?))
}

/// Writes what was done: snapshots, changes, bytes, seconds.
fn sentence(
    system: &System,
    summary: &ReplaySummary,
    changes: Option<u64>,
    bytes: Option<u64>,
    started: Instant,
) -> String {
    let zone = system.zone();
    let period = match summary.first.zip(summary.last) {
        Some((first, last)) => format!(" from {} to {}", zone.rfc3339(first), zone.rfc3339(last)),
        None => String::new(),
    };
    let changes = match changes {
        Some(changes) => format!("{} stored", plural(changes as i64, "change")),
        None => "no history in this store".into(),
    };
    let bytes = bytes.map_or_else(String::new, |bytes| format!(", {} bytes", grouped(bytes)));
    format!(
        "{}: {}{period}: {} accepted, {} repeated, {} older than the last, {} unreadable; {changes}{bytes}, \
         {:.1} s",
        system.id,
        plural(summary.snapshots as i64, "snapshot"),
        grouped(summary.accepted),
        grouped(summary.repeated),
        grouped(summary.refused),
        grouped(summary.unreadable),
        started.elapsed().as_secs_f64(),
    )
}
