//! How far a load has come, on a terminal.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use divvy::ingest::Progress;
use divvy::reports::grouped;
use divvy_aws::store::{Compared, Listener, Written};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::open::Common;

/// A bar on stderr; nothing where stderr is no terminal.
pub struct Bar(ProgressBar);

impl Bar {
    /// Makes a bar for one archive.
    pub fn new(common: &Common, name: &str) -> Self {
        let shown = is_shown(common);
        let bar = ProgressBar::with_draw_target(
            None,
            match shown {
                true => ProgressDrawTarget::stderr_with_hz(10),
                false => ProgressDrawTarget::hidden(),
            },
        );
        let style = "{prefix}  {bar:30} {bytes}/{total_bytes}  {binary_bytes_per_sec}";
        let style = ProgressStyle::with_template(style).expect("the template is well formed");
        bar.set_style(style.progress_chars("━╸─"));
        bar.set_prefix(name.to_owned());
        if shown {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self(bar)
    }

    /// Takes the bar away.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn bytes(&self, done: u64, of: u64) {
        if of > 0 {
            self.0.set_length(of.max(done));
        }
        self.0.set_position(done);
    }
}

/// A bar on stderr that counts rows; nothing where stderr is no terminal.
pub struct RowsBar(ProgressBar);

impl RowsBar {
    /// Makes a bar for what is being done.
    pub fn new(common: &Common, doing: &str) -> Self {
        let target = if is_shown(common) {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = "{prefix}  {bar:30} {human_pos} of {human_len} trips";
        let style = ProgressStyle::with_template(style).expect("the template is well formed");
        bar.set_style(style.progress_chars("━╸─"));
        bar.set_prefix(doing.to_owned());
        Self(bar)
    }

    /// Shows how many rows have been read, and of how many.
    pub fn rows(&self, done: u64, of: u64) {
        self.0.set_length(of.max(done));
        self.0.set_position(done);
    }

    /// Takes the bar away.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
}

fn is_shown(common: &Common) -> bool {
    !common.quiet && !common.no_progress && std::io::stderr().is_terminal()
}

/// How far the writing to DynamoDB has come: a line that changes on a terminal, else a line now
/// and then, since such a load may take days.
pub struct Writes {
    bar: Option<ProgressBar>,
    quiet: bool,
    said: Mutex<Instant>,
}

/// How often a line is said where stderr is no terminal.
const EVERY: Duration = Duration::from_secs(30);

impl Writes {
    /// Makes a listener for all loads of a command.
    pub fn new(common: &Common) -> Self {
        let bar = is_shown(common).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
            let style = ProgressStyle::with_template("{prefix}  {bar:20} {msg}");
            let style = style.expect("the template is well formed");
            bar.set_style(style.progress_chars("━╸─"));
            bar
        });
        Self {
            bar,
            quiet: common.quiet,
            said: Mutex::new(Instant::now()),
        }
    }
}

impl Writes {
    fn show(&self, archive: &str, (done, of): (u64, u64), text: String) {
        let is_done = done >= of;
        if let Some(bar) = &self.bar {
            if bar.is_finished() {
                bar.reset(); // of what came before
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
        let mut said = self.said.lock().expect("no holder of this lock panics");
        if !self.quiet && !is_done && said.elapsed() >= EVERY {
            *said = Instant::now();
            crate::print_line(format_args!("{archive}: {text}"));
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
                Some(bar) => bar.suspend(|| crate::print_line(note)),
                None => crate::print_line(note),
            }
        }
    }
}

/// Writes a time as people say it: `4 d 21 h`, `9 min`, `12 s`.
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
