//! Messages on stderr. The print macros panic where stderr is closed or full; these do not.

use std::fmt::Display;
use std::io::Write;

use crate::flags;

/// Prints what went wrong. Where that cannot be written, the exit status has to do.
pub fn complain(problem: impl Display) {
    print_line(format_args!("divvy: {problem}"));
}

/// Prints a line with a single write, if it can be written.
pub fn print_line(line: impl Display) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Writes an error with its causes, and advice on flags. A cause with which the sentence ends already is left out.
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
