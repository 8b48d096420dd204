//! The verbs, one a file.

mod check;
mod completions;
mod demo;
mod load;
mod poll;
mod refresh;
mod report;
mod sample;

use std::process::ExitCode;

use clap::Subcommand;

use crate::open::Common;

/// What `divvy` can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the whole flow on a sample: no network, no account
    Demo(demo::Demo),
    /// Load trip archives: zip, csv, csv.gz, folders of them, or addresses
    Load(load::Load),
    /// Take one snapshot of the stations: files, a folder, or an address
    Poll(poll::Poll),
    /// Bring the counts up to date by hand
    Refresh(refresh::Refresh),
    /// Print a report: stations, from-counts, hours, durations, riders, quality
    Report(report::Report),
    /// Prove that the store is sound: files readable, ledger true, tallies equal a recount
    Check(check::Check),
    /// Write a realistic trip archive of invented trips
    Sample(sample::SampleArgs),
    /// Print completions for a shell
    Completions(completions::Completions),
}

impl Verb {
    /// Runs the verb. `Err` is a sentence for people, and exit status 2.
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        match self {
            Self::Demo(verb) => verb.run(common),
            Self::Load(verb) => verb.run(common),
            Self::Poll(verb) => verb.run(common),
            Self::Refresh(verb) => verb.run(common),
            Self::Report(verb) => verb.run(common),
            Self::Check(verb) => verb.run(common),
            Self::Sample(verb) => verb.run(common),
            Self::Completions(verb) => verb.run(),
        }
    }
}

/// Writes whole numbers with their thousands apart.
fn grouped(number: u64) -> String {
    divvy::reports::grouped(i64::try_from(number).unwrap_or(i64::MAX))
}
