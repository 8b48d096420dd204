//! Progress on stderr.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use divvy::ingest::Progress;
use divvy::reports::{grouped, plural};
use divvy_aws::store::{Compared, Listener, Written};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::messages;
use crate::open::Common;
use crate::screen::Screen;

/// The progress of reading an archive, and of storing its trips: a bar of bytes with the trips so far.
/// It is hidden if stderr is no terminal.
pub struct Bar {
    bar: ProgressBar,
    trips: AtomicU64,
    started: Instant,
}

/// The longest name before a bar, in letters.
const LONGEST_NAME: usize = 40;
/// The width of everything else in a line of progress: which file it is, numbers, rate and time to go.
const NUMBERS: usize = 66;

/// Returns the width of the terminal.
fn screen_width() -> usize {
    Screen::stderr().width.map_or(80, usize::from)
}

impl Bar {
    /// Makes a bar with a name before it.
    pub fn new(common: &Common, name: &str) -> Self {
        // A narrow terminal has no room for both the bar and the numbers.
        let template = match screen_width() {
            ..100 => "{prefix}  {percent:>3} %  {wide_msg}",
            _ => "{prefix}  {bar:20} {percent:>3} %  {wide_msg}",
        };
        let bar = bar(common, template, 10);
        bar.set_prefix(ending_of(name));
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self {
            bar,
            trips: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// Makes the bar of a file of several: `file 3 of 18`.
    pub fn of_file(common: &Common, name: &str, (number, all): (usize, usize)) -> Self {
        let bar = Self::new(common, name);
        if all > 1 {
            let name = ending_of(name);
            bar.bar
                .set_prefix(format!("file {number} of {all}  {name}"));
        }
        bar
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }

    /// Shows the trips so far, how many a second, and how long the rest takes.
    fn show_reading(&self) {
        let trips = self.trips.load(Ordering::Relaxed);
        let seconds = self.started.elapsed().as_secs_f64();
        let mut message = format!("reading {}", plural(trips as i64, "trip"));
        // Before that, rates are guesses.
        if seconds > 0.5 {
            let rate = grouped((trips as f64 / seconds) as i64);
            let rest = people_time(self.bar.eta().as_secs_f64());
            message += &format!(", {rate}/s, {rest} to go");
        }
        self.bar.set_message(message);
    }
}

/// Returns a name, or its end if it is long: the end of a path differs more than its beginning.
fn ending_of(name: &str) -> String {
    ending_in(name, screen_width())
}

/// Returns a name, or its end if it is long for a terminal of that width.
fn ending_in(name: &str, width: usize) -> String {
    let longest = width.saturating_sub(NUMBERS).clamp(12, LONGEST_NAME);
    let letters = name.chars().count();
    if letters <= longest {
        return name.to_owned();
    }
    let ending: String = name.chars().skip(letters + 1 - longest).collect();
    format!("…{ending}")
}

impl Progress for Bar {
    fn bytes(&self, done: u64, of: u64) {
        if of > 0 {
            self.bar.set_length(of.max(done));
        }
        self.bar.set_position(done);
        if !self.bar.is_hidden() {
            self.show_reading();
        }
    }

    fn trips(&self, more: u64) {
        self.trips.fetch_add(more, Ordering::Relaxed);
    }

    fn storing(&self) {
        let trips = self.trips.load(Ordering::Relaxed);
        let trips = plural(trips as i64, "trip");
        self.bar.set_message(format!("storing {trips}"));
    }
}

/// A bar of trips. It is hidden if stderr is no terminal.
pub struct RowsBar(ProgressBar);

impl RowsBar {
    /// Makes a bar with a name before it.
    pub fn new(common: &Common, name: &str) -> Self {
        let bar = bar(
            common,
            "{prefix}  {bar:30} {human_pos} of {human_len} trips",
            10,
        );
        bar.set_prefix(name.to_owned());
        Self(bar)
    }

    /// Shows how many trips are done, and of how many.
    pub fn rows(&self, done: u64, of: u64) {
        self.0.set_length(of.max(done));
        self.0.set_position(done);
    }

    /// Sets the name before it.
    pub fn name(&self, name: &'static str) {
        if self.0.prefix() != name {
            self.0.set_prefix(name);
        }
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
}

/// A counter of snapshots. It is hidden if stderr is no terminal.
pub struct SnapshotsBar(ProgressBar);

impl SnapshotsBar {
    /// Makes a counter with a name before it.
    pub fn new(common: &Common, name: &str) -> Self {
        let bar = bar(common, "{prefix}  {human_pos} snapshots  {wide_msg}", 5);
        bar.set_prefix(ending_of(name));
        Self(bar)
    }

    /// Counts one snapshot of a file.
    pub fn snapshot(&self, file: &str) {
        self.0.inc(1);
        if !self.0.is_hidden() {
            self.0.set_message(file.to_owned());
        }
    }

    /// Removes the counter.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
}

fn is_shown(common: &Common) -> bool {
    !common.quiet && !common.no_progress && std::io::stderr().is_terminal()
}

/// Makes a bar that is drawn at most `hz` times a second. It is hidden if no bar is to be shown.
fn bar(common: &Common, template: &str, hz: u8) -> ProgressBar {
    let target = if is_shown(common) {
        ProgressDrawTarget::stderr_with_hz(hz)
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(None, target);
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    bar.set_style(style.progress_chars("━╸─"));
    bar
}

/// Progress of writing to DynamoDB: a bar on a terminal, else a line every 30 seconds, since such a
/// load may take days.
pub struct Writes {
    /// `None` if no bar is to be shown.
    bar: Option<ProgressBar>,
    quiet: bool,
    /// The time of the last line.
    printed_at: Mutex<Instant>,
}

const INTERVAL: Duration = Duration::from_secs(30);

impl Writes {
    /// Makes the progress of all loads of a command.
    pub fn new(common: &Common) -> Self {
        Self {
            bar: is_shown(common).then(|| bar(common, "{prefix}  {bar:20} {msg}", 5)),
            quiet: common.quiet,
            printed_at: Mutex::new(Instant::now()),
        }
    }

    fn show(&self, archive: &str, (done, of): (u64, u64), text: String) {
        let is_done = done >= of;
        if let Some(bar) = &self.bar {
            if bar.is_finished() {
                bar.reset();
            }
            bar.set_prefix(archive.to_owned());
            bar.set_length(of.max(1));
            bar.set_position(done);
            bar.set_message(text);
            if is_done {
                bar.finish_and_clear();
            }
            return;
        }
        let printed_at = self.printed_at.lock();
        let mut printed_at = printed_at.expect("no holder of this lock panics");
        if !self.quiet && !is_done && printed_at.elapsed() >= INTERVAL {
            *printed_at = Instant::now();
            messages::print_line(format_args!("{archive}: {text}"));
        }
    }
}

impl Listener for Writes {
    fn written(&self, written: &Written) {
        let units = |units: f64| grouped(units.round() as i64);
        let rest = written.rest_s.map(people_time);
        let text = format!(
            "{} of {} trips, {} + {} write units, {} a second{}",
            grouped(written.done as i64),
            grouped(written.of as i64),
            units(written.used.write),
            units(written.used.index_write),
            units(written.rate),
            rest.map_or_else(String::new, |rest| format!(", {rest} to go")),
        );
        self.show(&written.archive, (written.done, written.of), text);
    }

    fn compared(&self, compared: &Compared) {
        let text = format!(
            "{} of {} trips that other archives have too compared",
            grouped(compared.done as i64),
            grouped(compared.of as i64),
        );
        self.show(&compared.archive, (compared.done, compared.of), text);
    }

    fn note(&self, note: &str) {
        if !self.quiet {
            match &self.bar {
                Some(bar) => bar.suspend(|| messages::print_line(note)),
                None => messages::print_line(note),
            }
        }
    }
}

/// Formats a duration in its two largest units: `4 d 21 h`, `9 min 3 s`, `12 s`.
pub fn people_time(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(ending_in("a.zip", 80), "a.zip");
        let long = format!("{}/202004-divvy-tripdata.zip", "folder/".repeat(9));
        let shown = ending_in(&long, 200);
        assert_eq!(shown.chars().count(), LONGEST_NAME);
        assert!(shown.starts_with('…') && shown.ends_with("/202004-divvy-tripdata.zip"));
        assert_eq!(ending_in(&long, 80), "…-tripdata.zip");
    }
}
