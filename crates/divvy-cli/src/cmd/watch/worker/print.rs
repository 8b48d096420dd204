//! What is printed after a poll: lines for people on stderr, and for programs a line of JSON on stdout.

use std::io::{self, Write};
use std::time::Duration;

use divvy::ingest::watch::{Outcome, PollReport, SystemWatch};
use divvy::reports::plural;

use crate::cmd::watch::shared::Shared;
use crate::cmd::watch::snapshot_line::{self, SnapshotLine};
use crate::messages;

impl Shared<'_> {
    /// Prints what a poll has found, which took so long.
    pub(super) fn print(&self, watch: &SystemWatch, report: &PollReport, took: Duration) {
        for line in &report.notices {
            self.say(watch, line);
        }
        let Outcome::Taken(polled) = &report.outcome else {
            return;
        };
        if self.common.verbose {
            let (inserted, changed, reported) = snapshot_line::counts(&polled.applied);
            let line = format!(
                "{} at {}: {inserted} new, {changed} changed, {reported} with a newer report time alone",
                plural(polled.stations as i64, "station"),
                polled.system.zone().rfc3339(polled.time.taken_at),
            );
            self.say(watch, &line);
        }
        if self.prints_snapshots {
            let line = SnapshotLine::new(polled, report.fetched_at, took.as_secs_f64());
            self.print_snapshot(&line);
        }
    }

    /// Prints a line to stdout. Where its reader has closed it, the watch ends; any other failure is one
    /// of the watch.
    fn print_snapshot(&self, line: &SnapshotLine) {
        let printed = serde_json::to_vec(line).map_err(io::Error::from);
        let printed = printed.and_then(|mut text| {
            text.push(b'\n');
            let mut out = io::stdout().lock();
            out.write_all(&text).and_then(|()| out.flush())
        });
        match printed {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.gate.stop(),
            Err(error) => {
                messages::print_error(format_args!("cannot write to stdout: {error}"));
                self.gate.stop_as_broken();
            }
        }
    }
}
