//! `divvy replay`

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use divvy::ingest::watch::MANIFEST;
use divvy::ingest::{self, PollError, PollOptions, ReplaySummary};
use divvy::model::System;
use divvy::reports::plural;
use divvy::sources::recordings::{Recorded, Recording};
use jiff::Timestamp;

use super::grouped;
use super::left_out::{self, LeftOut};
use crate::flags::{self, shell_word};
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
        expect_one_system(&self.folder)?;
        let opened = common.open()?;
        let stored = block_on(opened.store().systems())?;
        let options = PollOptions {
            system: common.named_system(&stored)?,
            systems: common.known_systems()?.with_stored(&stored),
            ..PollOptions::new(Timestamp::now())
        };
        let mut before = BTreeMap::new();
        for system in &stored {
            before.insert(system.id.clone(), changes(&opened, system)?);
        }
        let mut replay = ingest::Replay::new(opened.store(), options);
        let bar = SnapshotsBar::new(common, &self.folder.display().to_string());
        let mut left_out = LeftOut::default();
        let end: ControlFlow<anyhow::Error> = recording.visit(|recorded: Recorded| {
            bar.snapshot(&recorded.file);
            let name = left_out::name(&recorded);
            match recorded.feeds {
                Err(error) => {
                    replay.skip();
                    left_out.add(&name, &error);
                    ControlFlow::Continue(())
                }
                Ok(feeds) => match block_on(replay.apply(feeds, &name)) {
                    Err(error) => ControlFlow::Break(error.into()),
                    Ok(None) => ControlFlow::Continue(()),
                    // Bodies of states alone have no positions: those of another system would be stored.
                    Ok(Some(error @ PollError::Contradiction { .. })) => {
                        ControlFlow::Break(error.into())
                    }
                    Ok(Some(error)) => {
                        left_out.add(&name, &flags::message(&error));
                        ControlFlow::Continue(())
                    }
                },
            }
        });
        bar.finish();
        if let ControlFlow::Break(error) = end {
            block_on(replay.finish())?;
            return Err(error);
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
        common.say(sentence(&system, &summary, stored, started));
        if summary.accepted == 0 && summary.refused > 0 {
            common.say("the store has newer states: replay older ones into a store of its own, named with --store");
        }
        left_out.say(common);
        Ok(match summary.unreadable + summary.ahead {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(1),
        })
    }
}

/// Refuses a folder into which several systems were recorded: `divvy watch --record` gives each a folder,
/// beside one manifest.
fn expect_one_system(folder: &Path) -> anyhow::Result<()> {
    if !folder.join(MANIFEST).exists() {
        return Ok(());
    }
    let reading = || format!("{} cannot be read", folder.display());
    let mut systems = Vec::new();
    for entry in folder.read_dir().with_context(reading)? {
        let entry = entry.with_context(reading)?;
        if entry.path().is_dir() {
            systems.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    systems.sort();
    if systems.len() > 1 {
        bail!(
            "{} has recordings of several systems: replay each by itself, such as divvy --system {} replay {}",
            folder.display(),
            shell_word(&systems[0]),
            shell_word(&folder.join(&systems[0]).to_string_lossy())
        );
    }
    Ok(())
}

/// Counts the changes in the history of a system. `None` for a store without history.
fn changes(opened: &Opened, system: &System) -> anyhow::Result<Option<u64>> {
    let Some(history) = opened.store().history() else {
        return Ok(None);
    };
    Ok(Some(block_on(history.count_state_changes(&system.id))?))
}

/// Writes what was done: bodies, changes, seconds.
fn sentence(
    system: &System,
    summary: &ReplaySummary,
    changes: Option<u64>,
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
    let ahead = match summary.ahead {
        0 => String::new(),
        ahead => format!(", {} far ahead of those after it", grouped(ahead)),
    };
    format!(
        "{}: {}{period}: {} accepted, {} repeated, {} older than the last{ahead}, {} unreadable; {changes}, {:.1} s",
        system.id,
        plural(summary.snapshots as i64, "snapshot"),
        grouped(summary.accepted),
        grouped(summary.repeated),
        grouped(summary.refused),
        grouped(summary.unreadable),
        started.elapsed().as_secs_f64(),
    )
}
