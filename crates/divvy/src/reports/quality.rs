//! The report of rejected and flagged rows.

use async_trait::async_trait;

use super::{
    Column, Filter, Note, Question, Report, Row, Table, Value, ValueKind, grouped, plural,
};
use crate::issue::Reason;
use crate::model::Flag;
use crate::store::{LedgerEntry, StoreError};

/// Rejected and flagged rows by archive, in the order of loading.
pub struct Quality;

/// One archive.
#[derive(Clone, Debug, PartialEq)]
pub struct QualityRow(pub LedgerEntry);

impl Row for QualityRow {
    fn columns() -> Vec<Column> {
        let count = |name| Column::new(name, ValueKind::Count);
        let reasons = Reason::ALL.map(|reason| {
            let column = count(reason.as_str()).spare(1);
            column.defined("rows rejected for this reason")
        });
        let flags = Flag::ALL.map(|flag| {
            let column = count(flag.as_str()).spare(2);
            column.defined("stored trips with this flag")
        });
        let first = [
            Column::new("archive", ValueKind::Name).defined("the file's name"),
            count("rows_read").defined("data rows = stored + the reasons"),
            count("stored")
                .defined("rows that became trips, and are stored under this archive now"),
        ];
        first.into_iter().chain(reasons).chain(flags).collect()
    }

    fn values(self) -> Vec<Value> {
        let Self(entry) = self;
        let number = |n: u64| Value::Integer(n.try_into().unwrap_or(i64::MAX));
        let rejected = |reason| entry.rejected.get(&reason).copied().unwrap_or(0);
        let reasons = Reason::ALL.map(|reason| number(rejected(reason)));
        let flags = Flag::ALL.map(|flag| number(entry.flagged(flag)));
        let first = [
            entry.id.name.clone().into(),
            number(entry.rows_read),
            number(entry.stored),
        ];
        first.into_iter().chain(reasons).chain(flags).collect()
    }
}

#[async_trait]
impl Report for Quality {
    fn name(&self) -> &str {
        "quality"
    }

    fn about(&self) -> &str {
        "rows read, stored, rejected and flagged, by archive"
    }

    fn takes(&self) -> &'static [Filter] {
        &[Filter::Top]
    }

    fn columns(&self) -> Vec<Column> {
        QualityRow::columns()
    }

    fn is_long(&self) -> bool {
        true
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let entries = question.store.entries(&question.system.id).await?;
        let sum = |n: fn(&LedgerEntry) -> u64| entries.iter().map(n).sum::<u64>() as i64;
        let scope = format!(
            "{}: {}, {} read = {} stored + {} rejected; flagged trips are stored and counted",
            question.system.name,
            plural(entries.len() as i64, "archive"),
            plural(sum(|entry| entry.rows_read), "row"),
            grouped(sum(|entry| entry.stored)),
            grouped(sum(LedgerEntry::rejected_total)),
        );
        let rows = entries.into_iter().map(QualityRow);
        Ok(Table::new(rows, vec![Note::Scope(scope)]))
    }
}
