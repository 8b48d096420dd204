//! `divvy systems`

use std::process::ExitCode;

use clap::Args;
use divvy::model::System;
use divvy::reports::{Column, Table, Value, ValueKind};

use crate::open::{Common, without};
use crate::outputs;
use crate::render::Format;
use crate::runtime::block_on;

/// Lists the known systems: built in, of --systems, and in the store.
#[derive(Debug, Args)]
#[command(args = without(&["system"]))]
#[command(after_help = "Example:
  divvy systems --format csv")]
pub struct SystemsArgs {
    /// How to write it
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

impl SystemsArgs {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let opened = common.open_if_there()?;
        let mut rows = Vec::new();
        let mut stored = Vec::new();
        if let Some(opened) = &opened {
            for system in block_on(opened.store().systems())? {
                let trips = block_on(opened.store().totals(&system.id))?.trips;
                rows.push(row(&system, Some(trips)));
                stored.push(system.id);
            }
        }
        let known = common.known_systems()?;
        let known = known.iter().map(|known| &known.system);
        let others = known.filter(|system| !stored.contains(&system.id));
        rows.extend(others.map(|system| row(system, None)));
        outputs::print(&Table::of(columns(), rows, Vec::new()), self.format)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("system", ValueKind::Text),
        Column::new("name", ValueKind::Name),
        Column::new("city", ValueKind::Name).spare(1),
        Column::new("time_zone", ValueKind::Text).spare(2),
        // Those of the store. Empty for a system that it does not have.
        Column::new("trips", ValueKind::Count),
    ]
}

fn row(system: &System, trips: Option<i64>) -> Vec<Value> {
    vec![
        system.id.as_str().into(),
        system.short_name().into(),
        system.city().into(),
        system.time_zone.as_str().into(),
        trips.into(),
    ]
}
