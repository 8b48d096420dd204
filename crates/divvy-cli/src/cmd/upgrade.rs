//! `divvy upgrade`

use std::process::ExitCode;

use clap::Args;
use divvy::reports::plural;
use divvy_aws::DynamoStore;
use divvy_aws::plan::Prices;
use divvy_aws::store::{UpgradePlan, UpgradeStep};

use crate::open::{Common, without};
use crate::runtime::block_on;

/// Brings a store of an older divvy to the form that this one makes.
///
/// A store in a folder is upgraded by any command that opens it. On DynamoDB, the index of TripData
/// is deleted and made again, so that counts are counted by it. That costs one write unit for each
/// item, and the blocks of the packed layout are written again; what it takes is printed first, and on
/// AWS it asks for --yes. No other command opens the store meanwhile. A killed upgrade is continued by
/// the next one.
#[derive(Debug, Args)]
#[command(args = without(&["system", "systems"]))]
pub struct Upgrade {
    /// Go on although it costs something
    #[arg(long)]
    yes: bool,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Upgrade {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let Some(store) = common.open_for_upgrade()? else {
            common.open_existing()?;
            common.say(format_args!("{} has the form of this divvy", common.store));
            return Ok(ExitCode::SUCCESS);
        };
        let plan = block_on(store.upgrade_plan())?;
        match &plan {
            UpgradePlan::Current => {
                common.say(format_args!("{} has the form of this divvy", common.store));
                return Ok(ExitCode::SUCCESS);
            }
            UpgradePlan::OfStack { stack } => common.say(format_args!(
                "the tables belong to the stack {stack}, which replaces the index in two \
                 deployments: the first with TripIndex=none, the second with TripIndex=counted \
                 (infra/README.md)"
            )),
            UpgradePlan::Index {
                table,
                items,
                write_units,
                is_begun,
            } => common.say(format_args!(
                "{table}: {} {}: about {}, {}{}",
                if *is_begun {
                    "an upgrade was interrupted, and goes on with"
                } else {
                    "the index is deleted and made again from"
                },
                "the items of the table",
                plural(*items as i64, "item"),
                plural(*write_units as i64, "write unit"),
                cost(&store, *write_units, common),
            )),
        }
        if self.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
        if common.store.costs() && !self.yes {
            common.say("nothing is changed: give the command again with --yes to go on");
            return Ok(ExitCode::from(2));
        }
        block_on(store.upgrade(&mut |step| common.say(sentence(step))))?;
        if !matches!(plan, UpgradePlan::OfStack { .. }) {
            common.say("the index is made: counts are counted by it from now on");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Describes a step.
fn sentence(step: UpgradeStep) -> String {
    match step {
        UpgradeStep::DeletingIndex => "deleting the index".into(),
        UpgradeStep::WritingBlocks(n) => {
            format!(
                "{} with the start of the first trip",
                plural(n as i64, "block")
            )
        }
        UpgradeStep::CreatingIndex => {
            "making the index; this may be interrupted, and the service goes on".into()
        }
    }
}

/// Describes the price of making the index of tables that are paid by request.
fn cost(store: &DynamoStore, write_units: u64, common: &Common) -> String {
    let is_paid_by_request = store.tables().trip_data.on_demand && common.store.costs();
    if !is_paid_by_request {
        return String::new();
    }
    let usd = write_units as f64 / 1e6 * Prices::default().write_requests_million;
    format!(", ${usd:.2} at the prices of us-east-1")
}
