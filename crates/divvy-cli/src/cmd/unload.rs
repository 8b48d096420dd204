//! `divvy unload`

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use divvy::model::System;
use divvy::reports::plural;
use divvy::store::{ContentHash, LedgerEntry, Store};
use jiff::Timestamp;
use serde_json::json;

use super::{grouped, short};
use crate::open::Common;
use crate::runtime::block_on;
use crate::{completion_values, outputs};

/// Takes archives out again: the inverse of a load.
///
/// Copies of their trips in other archives are stored instead, and the counts follow. Station lists
/// stay. Afterwards every report is as if the archives had never been loaded.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  divvy unload 202004-divvy-tripdata.zip --dry-run
  divvy unload 3f2a91c0")]
pub struct Unload {
    /// Names of archives, or the beginnings of their content hashes, as divvy ls shows both
    #[arg(required = true, value_name = "ARCHIVE", add = ArgValueCandidates::new(completion_values::archives))]
    archives: Vec<String>,
    /// Say what would go, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// What to print to stdout when done
    #[arg(long, value_enum)]
    format: Option<UnloadFormat>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum UnloadFormat {
    /// One object: the archives, and how many copies are stored instead
    Json,
}

impl Unload {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let opened = common.open_existing()?;
        let system = common.system_of(opened.store())?;
        let contents = self.contents(opened.store(), &system)?;
        let store = opened.store();
        // Changes of a load that was killed would bring counts of its stations back.
        if !self.dry_run {
            opened.follow_stream(Timestamp::now())?;
        }
        let unloaded = block_on(store.unload(&system.id, &contents, self.dry_run))?;
        // The counts follow even if nothing can be printed, and the result is printed even if they
        // do not.
        let followed = if self.dry_run {
            Ok(None)
        } else {
            opened.follow_stream(Timestamp::now())
        };
        let would = if self.dry_run { "would be " } else { "" };
        for entry in &unloaded.entries {
            common.say(format_args!(
                "{}: {would}unloaded, {}  ({}, {})",
                entry.id.name,
                plural(entry.stored as i64, "trip"),
                system.id,
                short(entry.id.content)
            ));
        }
        if let Some(promoted) = unloaded.promoted.filter(|promoted| *promoted > 0) {
            common.say(format_args!(
                "{} of these trips {would}kept: other archives have copies of them",
                grouped(promoted)
            ));
        }
        let printed = if let Some(UnloadFormat::Json) = self.format {
            let archives: Vec<_> = unloaded
                .entries
                .iter()
                .map(|entry| {
                    json!({
                        "archive": entry.id.name,
                        "content": entry.id.content.to_string(),
                        "system": system.id.as_str(),
                        "trips": entry.stored,
                    })
                })
                .collect();
            outputs::print_json(&json!({
                "archives": archives,
                "promoted": unloaded.promoted,
                "dry_run": self.dry_run,
            }))
        } else {
            Ok(())
        };
        followed?;
        printed?;
        Ok(ExitCode::SUCCESS)
    }

    /// Returns the contents of the archives that are named, each once.
    ///
    /// # Errors
    ///
    /// A name or hash is of no archive, or of several.
    fn contents(&self, store: &dyn Store, system: &System) -> anyhow::Result<Vec<ContentHash>> {
        let entries = block_on(store.entries(&system.id))?;
        let mut contents = Vec::new();
        for named in &self.archives {
            let content = one_of(&entries, named)?;
            if !contents.contains(&content) {
                contents.push(content);
            }
        }
        Ok(contents)
    }
}

/// Returns the content of the archive of a name, or of the beginning of a hash.
fn one_of(entries: &[LedgerEntry], named: &str) -> anyhow::Result<ContentHash> {
    let is_hash = named.len() >= 4 && named.bytes().all(|b| b.is_ascii_hexdigit());
    let lower = named.to_ascii_lowercase();
    let is_named = |entry: &&LedgerEntry| {
        entry.id.name == named || (is_hash && entry.id.content.to_string().starts_with(&lower))
    };
    let found: Vec<&LedgerEntry> = entries.iter().filter(is_named).collect();
    match found.as_slice() {
        [one] => Ok(one.id.content),
        [] => bail!("no archive is called {named:?}: divvy ls lists those that are loaded"),
        several => {
            let contents: Vec<String> = several
                .iter()
                .map(|entry| short(entry.id.content))
                .collect();
            bail!(
                "{} archives are called {named:?}: name one by its content ({})",
                several.len(),
                contents.join(", ")
            )
        }
    }
}
