//! `divvy alarms`

mod replay;
mod send_test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use divvy::alarms::{Rules, describe_rule, describe_target};
use divvy::reports::Period;

use super::notices;
use crate::open::Common;
use crate::outputs;
use crate::render::Format;
use crate::wrap::wrapped;

/// Checks rules of alarms, evaluates them on the history of the store, or tries their targets.
///
/// The rules are those of divvy watch --rules (docs/ALARMS.md). With --replay nothing is sent: the notices are
/// printed that a watch would have sent while the history was made. Polls that failed are not in the history:
/// for rules about a feed that is down or stale, polls have failed where it has a gap.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("action").required(true))]
#[command(after_help = "Examples:
  divvy alarms --rules alarms.toml --check
  divvy alarms --rules alarms.toml --replay --from 2024-05
  divvy alarms --rules alarms.toml --replay --format csv > notices.csv
  divvy alarms --rules alarms.toml --send-test")]
pub struct Alarms {
    /// The file of rules
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// Print what each rule and each target does
    #[arg(long, group = "action")]
    check: bool,
    /// Print the notices that the history of the store yields
    #[arg(long, group = "action")]
    replay: bool,
    /// Send a notice of a test to each target, once
    #[arg(long, group = "action")]
    send_test: bool,
    /// With --replay: the first day or month
    #[arg(long, value_name = "DAY", requires = "replay")]
    from: Option<Period>,
    /// With --replay: the last day or month
    #[arg(long, value_name = "DAY", requires = "replay")]
    to: Option<Period>,
    /// With --replay: how to write it
    #[arg(long, value_enum, default_value = "table", requires = "replay")]
    format: Format,
}

impl Alarms {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let rules = notices::read_rules(&self.rules)?;
        if self.check {
            print_rules(&rules)?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.send_test {
            return send_test::run(&rules, common);
        }
        notices::expect_no_forecasts(&self.rules, &rules)?;
        replay::run(rules, self.from, self.to, self.format, common)
    }
}

/// Prints a sentence for each rule and each target.
fn print_rules(rules: &Rules) -> anyhow::Result<()> {
    const INDENT: usize = 2;
    let of_rule = |rule| (rule, describe_rule(rule, rules));
    let described = rules.rules.iter().map(of_rule);
    let rules_in_words = described.map(|(rule, does)| format!("{} {does}", rule.name));
    let targets = rules.targets.iter();
    let targets = targets.map(|target| format!("{}: {}", target.name, describe_target(target)));
    let sentences: Vec<String> = rules_in_words.chain(targets).collect();
    outputs::write(None, |out, screen| {
        for sentence in &sentences {
            for line in wrapped(sentence, screen.width, INDENT) {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    })
}
