//! How far a load has come, on a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use divvy::ingest::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::open::Common;

/// A bar on stderr; nothing where stderr is no terminal.
pub struct Bar(ProgressBar);

impl Bar {
    /// Makes a bar for one archive.
    pub fn new(common: &Common, name: &str) -> Self {
        let shown = !common.quiet && !common.no_progress && std::io::stderr().is_terminal();
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
