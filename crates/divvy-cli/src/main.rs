//! `divvy`: bike-share trips and stations on the command line.
//!
//! stdout has data only; progress and messages go to stderr. Exit status: 0 for success; 1 for
//! success with rejected rows under `--strict`, or with stations that could not be counted; 2 for
//! failure of at least one part.

// The macros panic if stdout or stderr is closed or full.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod allocator;
mod cmd;
mod completion_values;
mod flags;
mod messages;
mod open;
mod outputs;
mod own_report;
mod progress;
mod render;
mod runtime;
mod screen;
mod store_name;
mod systems_file;
mod version;
mod wrap;

use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};
use clap_complete::CompleteEnv;

use cmd::Verb;

/// Load bike-share trips, follow live stations, report on both.
#[derive(Debug, Parser)]
#[command(
    name = "divvy",
    version,
    long_version = version::LONG,
    max_term_width = 100,
    arg_required_else_help = true,
    styles = screen::HELP
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
    // Prints the words for a shell and exits, where a shell asks for them.
    CompleteEnv::with_factory(Cli::command)
        .var(cmd::COMPLETION_VARIABLE)
        .complete();
    // Also the messages about other arguments follow it.
    screen::choose_colours(std::env::args_os());
    let done = match parse() {
        Ok(cli) => run(cli),
        Err(help_or_mistake) => outputs::print_usage(&help_or_mistake),
    };
    match done {
        Ok(code) => code,
        Err(error) if outputs::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            messages::print_error(messages::sentence(&error));
            ExitCode::from(2)
        }
    }
}

/// Reads the arguments.
fn parse() -> clap::error::Result<Cli> {
    let matches = Cli::command().try_get_matches()?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    let store = matches.value_source("store");
    cli.common.store_is_argument = store == Some(ValueSource::CommandLine);
    Ok(cli)
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    cli.common.start()?;
    cli.verb.run(&cli.common)
}
