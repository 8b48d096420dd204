//! The verbs, one file each.

mod alarms;
mod backtest;
mod check;
mod completions;
mod demo;
mod export;
mod left_out;
mod load;
mod ls;
mod man;
mod notices;
mod places;
mod plan;
mod poll;
mod refresh;
mod replay;
pub mod report;
mod sample;
mod status;
mod systems;
mod unload;
mod upgrade;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Subcommand};
use divvy::store::ContentHash;

pub use completions::COMPLETION_VARIABLE;

use crate::open::Common;

/// The subcommands. The help of each is the documentation of its arguments.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Demo(demo::Demo),
    Load(load::Load),
    Poll(poll::Poll),
    Replay(replay::Replay),
    Watch(watch::Watch),
    Alarms(alarms::Alarms),
    Refresh(refresh::Refresh),
    Report(report::Report),
    Status(status::Status),
    Ls(ls::Ls),
    Systems(systems::SystemsArgs),
    Unload(unload::Unload),
    Check(check::Check),
    Upgrade(upgrade::Upgrade),
    Backtest(backtest::Backtest),
    Places(places::Places),
    Plan(plan::Plan),
    Export(export::Export),
    Sample(sample::SampleArgs),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Verb {
    /// Runs the verb and returns its exit status.
    ///
    /// # Errors
    ///
    /// The command failed. The exit status is 2.
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        match self {
            Self::Demo(verb) => verb.run(common),
            Self::Load(verb) => verb.run(common),
            Self::Poll(verb) => verb.run(common),
            Self::Replay(verb) => verb.run(common),
            Self::Watch(verb) => verb.run(common),
            Self::Alarms(verb) => verb.run(common),
            Self::Refresh(verb) => verb.run(common),
            Self::Report(verb) => verb.run(common),
            Self::Status(verb) => verb.run(common),
            Self::Ls(verb) => verb.run(common),
            Self::Systems(verb) => verb.run(common),
            Self::Unload(verb) => verb.run(common),
            Self::Check(verb) => verb.run(common),
            Self::Upgrade(verb) => verb.run(common),
            Self::Backtest(verb) => verb.run(common),
            Self::Places(verb) => verb.run(common),
            Self::Plan(verb) => verb.run(common),
            Self::Export(verb) => verb.run(common),
            Self::Sample(verb) => verb.run(common),
            Self::Completions(verb) => verb.run(),
            Self::Man(verb) => verb.run(crate::Cli::command()),
        }
    }
}

/// Formats the first eight digits of a content hash, which distinguish the archives of a store.
fn short(content: ContentHash) -> String {
    content.to_string()[..8].to_owned()
}

/// Formats a whole number with separated thousands: `1,234`.
fn grouped(number: u64) -> String {
    divvy::reports::grouped(i64::try_from(number).unwrap_or(i64::MAX))
}
