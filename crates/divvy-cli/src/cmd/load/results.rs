//! What came of the archives of a load: lines on stderr, JSON, and the exit status.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use divvy::ingest::Loaded;
use divvy::issue::Skipped;
use divvy::reports::plural;
use serde_json::Value;

use super::summary;
use crate::cmd::grouped;
use crate::messages;
use crate::open::Common;

/// The results of one command.
pub struct Results<'a> {
    pub common: &'a Common,
    /// The file of `--rejects`.
    rejects: Option<&'a Path>,
    /// The objects of `--format json`.
    pub summaries: Vec<Value>,
    /// How many files are to be loaded.
    pub files: usize,
    /// How many of them were begun.
    begun: usize,
    total: Total,
    failed: bool,
    started: Instant,
    rejected: bool,
    skipped: bool,
}

/// What came of all files.
#[derive(Default)]
struct Total {
    loaded: u64,
    already: u64,
    /// The names of those that failed.
    failed: Vec<String>,
    /// Trips that were stored now.
    trips: u64,
}

impl<'a> Results<'a> {
    pub fn new(common: &'a Common, rejects: Option<&'a Path>) -> Self {
        Self {
            common,
            rejects,
            summaries: Vec::new(),
            files: 0,
            begun: 0,
            total: Total::default(),
            failed: false,
            started: Instant::now(),
            rejected: false,
            skipped: false,
        }
    }

    /// Counts a file that is begun. Returns its number, and how many files there are.
    pub fn begin_file(&mut self) -> (usize, usize) {
        self.begun += 1;
        (self.begun, self.files.max(self.begun))
    }

    /// Prints what was loaded of an archive.
    pub fn add(&mut self, loaded: &Loaded, seconds: f64) {
        let entry = loaded.entry.as_ref();
        if loaded.already {
            self.total.already += 1;
        } else {
            self.total.loaded += 1;
            self.total.trips += entry.map_or(0, |entry| entry.stored);
        }
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

    /// Prints a line about all files together, if there are several.
    pub fn say_total(&self) {
        if self.begun > 1 {
            let seconds = self.started.elapsed().as_secs_f64();
            self.common.say(self.total.sentence(seconds));
        }
    }

    /// Prints why an archive could not be loaded.
    pub fn fail_file(&mut self, name: &str, error: &anyhow::Error) {
        self.total.failed.push(name.to_owned());
        self.fail(error);
    }

    /// Prints what failed beside the archives.
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

impl Total {
    /// Formats what came of the files: `18 files: 17 loaded, 1 failed (a.zip); 3,512,345 trips in 2.1 s`.
    fn sentence(&self, seconds: f64) -> String {
        /// How many names are printed.
        const NAMES: usize = 5;
        let failed = self.failed.len() as u64;
        let mut names = self.failed.iter().take(NAMES).cloned().collect::<Vec<_>>();
        if self.failed.len() > NAMES {
            names.push("…".into());
        }
        let failed_text = format!("failed ({})", names.join(", "));
        let kinds = [
            (self.loaded, "loaded"),
            (self.already, "loaded before"),
            (failed, &failed_text),
        ];
        let kinds = kinds.iter().filter(|(count, _)| *count > 0);
        let kinds = kinds.map(|(count, kind)| format!("{} {kind}", grouped(*count)));
        let all = self.loaded + self.already + failed;
        format!(
            "{}: {}; {} in {seconds:.1} s",
            plural(all as i64, "file"),
            kinds.collect::<Vec<_>>().join(", "),
            plural(self.trips as i64, "trip"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_names_what_failed() {
        let mut total = Total {
            loaded: 17,
            already: 0,
            failed: vec!["a.zip".into()],
            trips: 3_512_345,
        };
        let expected = "18 files: 17 loaded, 1 failed (a.zip); 3,512,345 trips in 2.1 s";
        assert_eq!(total.sentence(2.12), expected);
        total = Total {
            already: 2,
            failed: vec!["x".into(); 7],
            ..Total::default()
        };
        let expected = "9 files: 2 loaded before, 7 failed (x, x, x, x, x, …); 0 trips in 0.0 s";
        assert_eq!(total.sentence(0.0), expected);
    }
}
