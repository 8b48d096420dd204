//! Making the index of TripData again, where an older program made one that cannot be counted.
//!
//! ```text
//!  the index is deleted ─► blocks get their first start ─► the index is created ─► its entries are made
//! ```
//!
//! A killed upgrade leaves a table without index, or with one that is being made: the next upgrade
//! goes on from there, and no other command opens the store before.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use divvy::store::{StoreError, StoreErrorKind};
use tokio::time::sleep;

use super::layout::{is_block_key, key_of};
use super::load::lease::{Lease, LoadRequest, UPGRADE};
use super::{DynamoStore, OpenOptions, Shared, connect};
use crate::blocks;
use crate::item::packed::{self, first_start_text};
use crate::item::trip::STARTED_AT;
use crate::item::{Item, put_number, put_text};
use crate::pace::Write;
use crate::tables::{
    Described, IndexProgress, IndexShape, Layout, Tables, create_index, delete_index,
    index_progress, layout_of_items, stack_of,
};

/// The time between two looks at an index that is being made.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What an upgrade would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradePlan {
    /// Nothing: the index is the one that this program makes.
    Current,
    /// The tables belong to a CloudFormation stack, which has to replace the index.
    OfStack {
        /// The name of the stack.
        stack: String,
    },
    /// The index is made again.
    Index {
        /// The table.
        table: String,
        /// The number of its items as the service last counted them, which it does every six hours.
        items: u64,
        /// About the write units that this takes: one for each item, and in the packed layout one for
        /// each kilobyte of the blocks, which are written again.
        write_units: u64,
        /// Whether an upgrade was killed, and this one goes on with it.
        is_begun: bool,
    },
}

/// A step of an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeStep {
    /// The old index is being deleted.
    DeletingIndex,
    /// Blocks get the attribute by which the index is sorted: the number of blocks so far.
    WritingBlocks(u64),
    /// The entries of the index are being made, by the service.
    CreatingIndex,
}

impl DynamoStore {
    /// Opens an existing store, also one whose index is missing. `None` where none of its tables
    /// exists.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub async fn open_for_upgrade(options: OpenOptions) -> Result<Option<Self>, StoreError> {
        let connection = connect(&options).await?;
        let Some(tables) = existing_tables(&connection.retrying, &options.prefix).await? else {
            return Ok(None);
        };
        Ok(Some(Self::over(connection, tables, Vec::new(), &options)))
    }

    /// Returns what [`upgrade`](Self::upgrade) would do.
    ///
    /// # Errors
    ///
    /// Those of the service.
    pub async fn upgrade_plan(&self) -> Result<UpgradePlan, StoreError> {
        self.plan_of(&self.shared.tables.trip_data).await
    }

    async fn plan_of(&self, trips: &Described) -> Result<UpgradePlan, StoreError> {
        if trips.index_shape == IndexShape::Counted {
            return Ok(UpgradePlan::Current);
        }
        if let Some(stack) = stack_of(&self.shared.connection.retrying, trips).await {
            return Ok(UpgradePlan::OfStack { stack });
        }
        Ok(UpgradePlan::Index {
            table: trips.name.clone(),
            items: trips.items,
            write_units: trips.items
                + match trips.layout {
                    Layout::Rows => 0,
                    Layout::Packed => trips.bytes.div_ceil(1024),
                },
            is_begun: trips.index_shape == IndexShape::Missing,
        })
    }

    /// Makes the index of TripData again. Of tables of a stack, only blocks get their first start. No
    /// load runs meanwhile: a running one is waited for, and one that was killed can be continued afterwards.
    /// No command opens the store while the index is missing. Calls `on_step` for each step.
    ///
    /// # Errors
    ///
    /// Those of the service; another process has taken over the lease.
    pub async fn upgrade(&self, on_step: &mut dyn FnMut(UpgradeStep)) -> Result<(), StoreError> {
        let request = LoadRequest {
            content: UPGRADE.into(),
            archive: "divvy upgrade".into(),
            settings: UPGRADE.into(),
            replace: false,
            unloads: None,
        };
        let lease = Lease::take(&self.shared, &request).await?;
        let done = tokio::select! {
            biased;
            done = self.make_index_again(on_step) => done,
            lost = lease.keep() => Err(lost),
        };
        // An unfinished load stays in the ledger, to be continued.
        lease.abandon().await;
        done
    }

    async fn make_index_again(
        &self,
        on_step: &mut dyn FnMut(UpgradeStep),
    ) -> Result<(), StoreError> {
        let shared = &*self.shared;
        let client = &shared.connection.retrying;
        // Another upgrade may have made the index while this one waited for the lease.
        let tables = existing_tables(client, &shared.prefix).await?;
        let table = &tables
            .ok_or_else(|| tables_are_gone(&shared.prefix))?
            .trip_data;
        let plan = self.plan_of(table).await?;
        if plan == UpgradePlan::Current {
            return Ok(());
        }
        let is_of_stack = matches!(plan, UpgradePlan::OfStack { .. });
        let mut progress = index_progress(client, &table.name).await?;
        while progress == IndexProgress::Deleting {
            sleep(LOOK_AGAIN).await;
            progress = index_progress(client, &table.name).await?;
        }
        let is_old = table.index_shape == IndexShape::Compared;
        if is_old && !is_of_stack {
            on_step(UpgradeStep::DeletingIndex);
            delete_index(client, table).await?;
        }
        if is_old || progress == IndexProgress::Missing {
            if table.layout == Layout::Packed {
                write_first_starts(shared, on_step).await?;
            }
            if is_of_stack {
                return Ok(());
            }
            create_index(client, table).await?;
        }
        on_step(UpgradeStep::CreatingIndex);
        loop {
            match index_progress(client, &table.name).await? {
                IndexProgress::Active => return Ok(()),
                IndexProgress::Creating | IndexProgress::Deleting => sleep(LOOK_AGAIN).await,
                IndexProgress::Missing => {
                    return Err(StoreError::new(
                        StoreErrorKind::Unreachable,
                        format!("the index of {} was not created: try again", table.name),
                    ));
                }
            }
        }
    }

    /// Describes an index that is not counted. `None` where it is.
    pub fn index_warning(&self) -> Option<String> {
        let trips = &self.shared.tables.trip_data;
        (trips.index_shape == IndexShape::Compared).then(|| {
            format!(
                "{} has the index of an older divvy: counts are those of the ledger, not of the \
                 index; divvy upgrade makes the new one",
                trips.name
            )
        })
    }
}

/// Describes the tables, also where the index is missing. `None` where none of them exists.
async fn existing_tables(client: &Client, prefix: &str) -> Result<Option<Tables>, StoreError> {
    let mut tables = Tables::describe(client, prefix).await?;
    if let Some(tables) = &mut tables
        && tables.trip_data.index_shape == IndexShape::Missing
    {
        let trips = &mut tables.trip_data;
        trips.layout = layout_of_items(client, &trips.name).await?;
    }
    Ok(tables)
}

fn tables_are_gone(prefix: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unreachable,
        format!("the tables of the prefix {prefix:?} are gone"),
    )
}

/// Returns the error of a store whose index is missing or being made.
pub(super) fn refuse_without_index(tables: &Tables) -> Result<(), StoreError> {
    let trips = &tables.trip_data;
    if trips.index_shape != IndexShape::Missing {
        return Ok(());
    }
    Err(StoreError::new(
        StoreErrorKind::Busy,
        format!(
            "the index of {} is missing, or its entries are still being made: divvy upgrade makes \
             it, or waits for it",
            trips.name
        ),
    ))
}

/// Writes the first start of each block that does not have one.
async fn write_first_starts(
    shared: &Shared,
    on_step: &mut dyn FnMut(UpgradeStep),
) -> Result<(), StoreError> {
    let mut scan = shared.trips.scan();
    let mut done = 0;
    while let Some(items) = scan.next().await? {
        let mut puts = Vec::new();
        for item in items {
            puts.extend(corrected_block(&item).map(Write::Put));
        }
        done += puts.len() as u64;
        shared.trips.write_all(puts).await?;
        on_step(UpgradeStep::WritingBlocks(done));
    }
    Ok(())
}

/// Returns the item of a block with the first start and the number of trips that its trips have. `None` where
/// they are right, or the item is no block of divvy. A block that cannot be read, which `divvy check` finds,
/// gets the beginning of its month where it has no first start.
pub(super) fn corrected_block(item: &Item) -> Option<Item> {
    let key = key_of(item).filter(|key| is_block_key(key))?;
    let block = item.get(packed::BLOCK)?.as_b().ok()?;
    let mut corrected = item.clone();
    match blocks::decode(block.as_ref()) {
        Ok(rows) => {
            let all: Vec<u32> = (0..rows.len() as u32).collect();
            let first_start = first_start_text(blocks::first_start(&rows.batch, &all));
            put_text(&mut corrected, STARTED_AT, first_start.as_deref());
            put_number(&mut corrected, packed::N, Some(rows.len()));
        }
        Err(_) if item.contains_key(STARTED_AT) => {}
        Err(_) => {
            let month = key.rsplit('#').nth(2)?;
            let first_start = format!("{month}-01T00:00:00+00:00");
            put_text(&mut corrected, STARTED_AT, Some(&first_start));
        }
    }
    Some(corrected).filter(|corrected| corrected != item)
}
