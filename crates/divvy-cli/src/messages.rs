//! Messages on stderr. The print macros panic if stderr is closed or full; these functions ignore
//! it.

use std::fmt::Display;
use std::io::Write;

use divvy_aws::store::{Listener, Written};

use crate::flags;
use crate::screen::{ERROR, Screen, WARNING};
use crate::wrap::wrapped_message;

/// Prints an error with the name of the program before it. If it cannot be written, the exit status
/// alone states the failure.
pub fn print_error(error: impl Display) {
    const NAME: &str = "divvy:";
    let screen = Screen::stderr();
    let text = wrapped_message(&format!("{NAME} {error}"), screen.width);
    let name = screen.paint(ERROR, NAME);
    print_text(&text.replacen(NAME, &name, 1));
}

/// Prints a message, if it can be written: broken into lines of the terminal's width, a warning in the
/// colour of warnings.
pub fn print_line(line: impl Display) {
    let screen = Screen::stderr();
    let text = wrapped_message(&line.to_string(), screen.width);
    if text.trim_start().starts_with("warning: ") {
        print_text(&screen.paint(WARNING, text));
    } else {
        print_text(&text);
    }
}

/// Writes a text and a line break with a single write.
fn print_text(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
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
