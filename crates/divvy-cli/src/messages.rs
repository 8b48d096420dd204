//! Messages on stderr. The print macros panic if stderr is closed or full; these functions ignore
//! it.

use std::fmt::Display;
use std::io::Write;

use divvy_aws::store::{Listener, Written};

use crate::flags;

/// Prints an error with the name of the program before it. If it cannot be written, the exit status
/// alone states the failure.
pub fn print_error(error: impl Display) {
    print_line(format_args!("divvy: {error}"));
}

/// Prints a line with a single write, if it can be written.
pub fn print_line(line: impl Display) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Prints the sentences of a store on DynamoDB, and no progress.
pub struct Notes {
    /// Whether to print nothing.
    pub quiet: bool,
}

impl Listener for Notes {
    fn written(&self, _: &Written) {}

    fn note(&self, note: &str) {
        if !self.quiet {
            print_line(note);
        }
    }
}

/// Formats an error with its causes and the flags that they concern. A cause with which the sentence
/// already ends is left out.
pub fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(flags::message) {
        if sentence.is_empty() {
            sentence = cause;
        } else if !sentence.ends_with(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    sentence
}
