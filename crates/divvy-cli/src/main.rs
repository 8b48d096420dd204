//! `divvy`: bike-share trips and stations on the command line.
//!
//! stdout is data and nothing else; progress and messages go to stderr. Exit status: 0 done;
//! 1 done, but `--strict` saw rejected rows; 2 could not finish all.

// The macros panic where stdout or stderr is closed or full.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod allocator;
mod cmd;
mod flags;
mod open;
mod outputs;
mod own_report;
mod progress;
mod render;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use cmd::Verb;

/// What bike-share systems publish, loaded, joined to the stations of this minute, and reported.
#[derive(Debug, Parser)]
#[command(
    name = "divvy",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(after_help = "Try it without any data: divvy demo")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    common: open::Common,
}

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    let cli = Cli::parse();
    cli.common.start();
    match cli.verb.run(&cli.common) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(sentence(&error));
            ExitCode::from(2)
        }
    }
}

/// Prints to stderr what went wrong. Where that cannot be written (it is closed, or a full disk), there
/// is nobody to tell: the exit status does.
fn complain(problem: impl std::fmt::Display) {
    print_line(format_args!("divvy: {problem}"));
}

/// Prints a line to stderr, in one piece, if it can be written.
fn print_line(line: impl std::fmt::Display) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Writes an error with its causes, each once: many a message ends with its cause already.
fn sentence(error: &anyhow::Error) -> String {
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

/// Whoever read our output (`head`, a pager) has seen enough: that is success.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
