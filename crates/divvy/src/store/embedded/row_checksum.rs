//! Checksums of the catalog's rows, so that a flipped bit is an error and never another number.
//!
//! SQLite checks the form of its pages, not what stands in them. Each row that counts or names
//! something carries the XXH3 hash of its other values; whoever reads the row compares them.
//!
//! In SQL: `row_checksum(value, …)` computes one, and `is_intact(table, checksum, value, …)` is 1
//! or fails with `SQLITE_CORRUPT`.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ffi};
use xxhash_rust::xxh3::Xxh3;

/// Computes the checksum of values, each with its type.
pub(super) fn of<'a>(values: impl IntoIterator<Item = ValueRef<'a>>) -> i64 {
    let mut hash = Xxh3::new();
    let mut add = |tag: u8, bytes: &[u8]| {
        hash.update(&[tag]);
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for value in values {
        match value {
            ValueRef::Null => add(0, &[]),
            ValueRef::Integer(n) => add(1, &n.to_le_bytes()),
            ValueRef::Real(x) => add(2, &x.to_le_bytes()),
            ValueRef::Text(text) => add(3, text),
            ValueRef::Blob(bytes) => add(4, bytes),
        }
    }
    hash.digest() as i64
}

/// The error of a row that is not what was written.
pub(super) fn mismatch(table: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_CORRUPT),
        Some(format!(
            "a row of its table {table} is not what was written"
        )),
    )
}

/// Makes the SQL functions known to a connection.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let values_from = |context: &Context<'_>, first: usize| {
        of((first..context.len()).map(|place| context.get_raw(place)))
    };
    connection.create_scalar_function("row_checksum", -1, flags, move |context| {
        Ok(values_from(context, 0))
    })?;
    connection.create_scalar_function("is_intact", -1, flags, move |context| {
        let expected: Option<i64> = context.get(1)?;
        if expected == Some(values_from(context, 2)) {
            Ok(true)
        } else {
            Err(mismatch(&context.get::<String>(0)?))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_other_types_or_in_other_columns_have_another_checksum() {
        let text = |text: &'static str| ValueRef::Text(text.as_bytes());
        let rows: [&[ValueRef<'_>]; 6] = [
            &[text("ab"), text("c")],
            &[text("a"), text("bc")],
            &[ValueRef::Blob(b"ab"), text("c")],
            &[ValueRef::Null, text("c")],
            &[ValueRef::Integer(0), text("c")],
            &[text(""), text("c")],
        ];
        for (place, row) in rows.iter().enumerate() {
            for other in &rows[place + 1..] {
                assert_ne!(of(row.iter().copied()), of(other.iter().copied()));
            }
        }
    }
}
