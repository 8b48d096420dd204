//! Checksums of the catalog's rows, so that a flipped bit is an error and never another number.
//!
//! SQLite checks the structure of its pages, not their content. Each row that counts or names
//! something carries the XXH3 hash of its other values, which is verified when the row is read.
//!
//! In SQL: `row_checksum(value, …)` computes a checksum, and
//! `is_intact(table, checksum, value, …)` is 1 or fails with `SQLITE_CORRUPT`.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ffi};
use xxhash_rust::xxh3::Xxh3;

/// Computes the checksum of values and their types.
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

/// Makes the error of a row that is not what was written.
pub(super) fn mismatch(table: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_CORRUPT),
        Some(format!(
            "a row of its table {table} is not what was written"
        )),
    )
}

/// Registers the SQL functions on a connection.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let values_from = |context: &Context<'_>, first: usize| {
        of((first..context.len()).map(|argument| context.get_raw(argument)))
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
    fn types_and_columns_are_part_of_the_checksum() {
        let text = |text: &'static str| ValueRef::Text(text.as_bytes());
        let rows: [&[ValueRef<'_>]; 6] = [
            &[text("ab"), text("c")],
            &[text("a"), text("bc")],
            &[ValueRef::Blob(b"ab"), text("c")],
            &[ValueRef::Null, text("c")],
            &[ValueRef::Integer(0), text("c")],
            &[text(""), text("c")],
        ];
        for (n, row) in rows.iter().enumerate() {
            for other in &rows[n + 1..] {
                assert_ne!(of(row.iter().copied()), of(other.iter().copied()));
            }
        }
    }
}
