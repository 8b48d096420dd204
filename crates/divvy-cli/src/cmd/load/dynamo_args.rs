//! The flags of `divvy load` for stores on DynamoDB.

use std::sync::Arc;

use clap::Args;
use divvy::model::SampleFraction;
use divvy_aws::store::LoadSettings;
use divvy_aws::tables::Layout;

use crate::cmd::plan::LayoutChoice;
use crate::open::{Common, DynamoOptions};
use crate::progress::Writes;

/// Flags that are for stores on DynamoDB alone.
#[derive(Debug, Args)]
#[command(next_help_heading = "On DynamoDB")]
pub(super) struct DynamoArgs {
    /// Create the tables where they are missing, also in AWS, where they are protected from deletion
    #[arg(long)]
    create_tables: bool,
    /// How trips are to lie in tables that are made [default: rows]
    #[arg(long, value_enum)]
    layout: Option<LayoutChoice>,
    /// Write units a second of tables that are made, and of the index [default: paid by request]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    wcu: Option<u32>,
    /// Read units a second of tables that are made, and of the index [default: as --wcu]
    #[arg(long, value_name = "N", requires = "wcu", value_parser = clap::value_parser!(u32).range(1..))]
    rcu: Option<u32>,
    /// Use this share of the capacity, and leave the rest to others: 50% or 0.5
    #[arg(long, value_name = "SHARE")]
    share: Option<SampleFraction>,
    /// Raise table and index to so many write units with the first archive, and back at the end
    #[arg(long, value_name = "WCU", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) boost: Option<u32>,
    /// Warm a table that is paid by request, and its index, for so many write units a second before the first archive:
    /// paid once, and it never falls
    #[arg(long, value_name = "N", conflicts_with_all = ["boost", "imported"], value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) warm: Option<u32>,
    /// The trips were imported from S3 (divvy export): verify them, write ledger and tallies
    #[arg(long)]
    pub(super) imported: bool,
    /// Against AWS: load nothing more once all of it together would cost more, in dollars
    #[arg(long, value_name = "DOLLARS", default_value_t = 1.0)]
    pub(super) max_cost: f64,
}

impl DynamoArgs {
    /// Returns the first of these flags that is given. `None` without any.
    pub(super) fn first_given(&self) -> Option<&'static str> {
        [
            ("--create-tables", self.create_tables),
            ("--layout", self.layout.is_some()),
            ("--wcu", self.wcu.is_some()),
            ("--share", self.share.is_some()),
            ("--boost", self.boost.is_some()),
            ("--warm", self.warm.is_some()),
            ("--imported", self.imported),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }

    pub(super) fn options(&self, common: &Common) -> DynamoOptions {
        DynamoOptions {
            create_tables: self.create_tables,
            layout: self.layout.map(|layout| match layout {
                LayoutChoice::Rows => Layout::Rows,
                LayoutChoice::Packed => Layout::Packed,
            }),
            capacity: self.wcu.map(|wcu| (wcu, self.rcu.unwrap_or(wcu))),
            share: self.share.map(|fraction| fraction.of(1.0)),
            loads: LoadSettings {
                imported: self.imported,
                boost: self.boost,
                warm: self.warm,
            },
            listener: Some(Arc::new(Writes::new(common))),
        }
    }
}
