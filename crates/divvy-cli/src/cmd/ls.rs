//! `divvy ls`

use std::process::ExitCode;

use clap::Args;
use divvy::model::System;
use divvy::reports::{Column, Table, Value, ValueKind};
use divvy::store::LedgerEntry;

use crate::open::Common;
use crate::outputs;
use crate::render::Format;
use crate::runtime::block_on;

/// Lists the archives of the store, in the order of loading.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  divvy ls --format json")]
pub struct Ls {
    /// How to write it
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

impl Ls {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let opened = common.open_existing()?;
        let store = opened.store();
        let mut rows = Vec::new();
        for system in common.selected_systems(store)? {
            let entries = block_on(store.entries(&system.id))?;
            rows.extend(entries.iter().map(|entry| row(&system, entry)));
        }
        outputs::print(&Table::of(columns(), rows, Vec::new()), self.format)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("archive", ValueKind::Name),
        Column::new("content", ValueKind::Text).spare(2),
        Column::new("system", ValueKind::Text),
        Column::new("loaded_at", ValueKind::Instant)
            .headed("loaded")
            .spare(1),
        Column::new("rows_read", ValueKind::Count)
            .headed("rows")
            .spare(2),
        Column::new("trips", ValueKind::Count),
        Column::new("rejected", ValueKind::Count),
        // Members that may be tables and were not loaded.
        Column::new("skipped", ValueKind::Count).spare(3),
        // The system in whose area most coordinates lie, where --force-system took another one.
        Column::new("forced_from", ValueKind::Text).spare(3),
    ]
}

fn row(system: &System, entry: &LedgerEntry) -> Vec<Value> {
    let count = |n: u64| Value::from(i64::try_from(n).unwrap_or(i64::MAX));
    vec![
        entry.id.name.clone().into(),
        super::short(entry.id.content).into(),
        system.id.to_string().into(),
        system.zone().rfc3339(entry.loaded_at).into(),
        count(entry.rows_read),
        count(entry.stored),
        count(entry.rejected_total()),
        count(entry.skipped.len() as u64),
        match &entry.forced_from {
            Some(id) => id.as_str().into(),
            None => Value::Empty,
        },
    ]
}
