//! What came of the archives of a load: lines on stderr, JSON, and the exit status.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use divvy::ingest::Loaded;
use divvy::issue::Skipped;
use serde_json::Value;

use super::summary;
use crate::messages;
use crate::open::Common;

/// The results of one command.
pub struct Results<'a> {
    pub common: &'a Common,
    /// The file of `--rejects`.
    rejects: Option<&'a Path>,
    /// The objects of `--format json`.
    pub summaries: Vec<Value>,
    failed: bool,
    rejected: bool,
    skipped: bool,
}

impl<'a> Results<'a> {
    pub fn new(common: &'a Common, rejects: Option<&'a Path>) -> Self {
        Self {
            common,
            rejects,
            summaries: Vec::new(),
            failed: false,
            rejected: false,
            skipped: false,
        }
    }

    /// Prints what was loaded of an archive.
    pub fn add(&mut self, loaded: &Loaded, seconds: f64) {
        let entry = loaded.entry.as_ref();
        self.rejected |= entry.is_some_and(|entry| entry.rejected_total() > 0);
        self.skipped |= !loaded.skipped.is_empty();
        let common = self.common;
        common.say(summary::sentence(loaded, seconds, self.rejects));
        if let Some(found) = &loaded.attribution.against {
            common.say(format_args!(
                "  most coordinates lie in the area of {found}: taken as {} by --force-system",
                loaded.attribution.system.id
            ));
        }
        for skipped in &loaded.skipped {
            common.say(format_args!("  {skipped}"));
        }
        for warning in &loaded.warnings {
            common.say(format_args!("  {warning}"));
        }
        for note in loaded.notes.iter().filter(|_| common.verbose) {
            common.say(format_args!("  {note}"));
        }
        self.summaries.extend(summary::json(loaded, seconds));
    }

    /// Prints what an argument holds beside archives.
    pub fn skip(&mut self, source: &OsStr, skipped: &[Skipped]) {
        if skipped.is_empty() {
            return;
        }
        self.skipped = true;
        for skipped in skipped {
            self.common.say(skipped);
        }
        let summary = summary::json_of_skipped(&source.to_string_lossy(), skipped);
        self.summaries.push(summary);
    }

    /// Prints why an archive could not be loaded.
    pub fn fail(&mut self, error: &anyhow::Error) {
        self.failed = true;
        messages::print_error(messages::sentence(error));
    }

    /// Returns the exit status: 2 where an archive failed, 1 where something that may be a table was
    /// not loaded, and with `strict` also where a row was rejected.
    pub fn exit_code(&self, strict: bool) -> ExitCode {
        if self.failed {
            ExitCode::from(2)
        } else if self.skipped || (strict && self.rejected) {
            ExitCode::from(1)
        } else {
            ExitCode::SUCCESS
        }
    }
}
