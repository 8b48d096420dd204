//! Recorded snapshots that were left out.

use std::collections::BTreeMap;
use std::fmt::Display;

use divvy::sources::recordings::Recorded;

use crate::open::Common;

/// How many reasons are printed.
const REASONS: usize = 5;

/// How often snapshots were left out, by the reason. A reason that names a file and line is one of its
/// own.
#[derive(Default)]
pub struct LeftOut(BTreeMap<String, u64>);

impl LeftOut {
    /// Adds a snapshot by the name of [`name`].
    pub fn add(&mut self, recorded: &str, reason: &dyn Display) {
        // Most reasons name the file.
        let reason = reason.to_string();
        let text = match reason.contains(recorded) {
            true => reason,
            false => format!("{recorded}: {reason}"),
        };
        self.add_reason(text);
    }

    /// Adds a snapshot by a reason that many have.
    pub fn add_reason(&mut self, reason: impl Into<String>) {
        *self.0.entry(reason.into()).or_default() += 1;
    }

    /// Returns whether no snapshot was left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Prints the reasons, those of the most snapshots first.
    pub fn say(&self, common: &Common) {
        let mut reasons: Vec<(&String, &u64)> = self.0.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (reason, count) in reasons.iter().take(REASONS) {
            let times = if **count > 1 {
                format!(" ({count} times)")
            } else {
                String::new()
            };
            common.say(format_args!("  left out: {reason}{times}"));
        }
        if self.0.len() > REASONS {
            let more = self.0.len() - REASONS;
            common.say(format_args!("  … and {more} more reasons"));
        }
    }
}

/// Returns the name of a recorded snapshot: its file, and the line if it has one.
pub fn name(recorded: &Recorded) -> String {
    match recorded.line {
        Some(line) => format!("{}:{line}", recorded.file),
        None => recorded.file.clone(),
    }
}
