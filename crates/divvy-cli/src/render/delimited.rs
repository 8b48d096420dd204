//! Values separated by commas or tabs.

use std::io::{self, Write};

use divvy::reports::{Table, Value};

/// Writes a header and the rows, numbers raw, unknown values empty. A value with a separator, a quote
/// or a line break is quoted.
pub fn write(table: &Table, separator: u8, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::WriterBuilder::new()
        .delimiter(separator)
        .from_writer(out);
    csv.write_record(table.columns.iter().map(|column| column.name))
        .map_err(io_error)?;
    for row in &table.rows {
        csv.write_record(row.iter().map(raw)).map_err(io_error)?;
    }
    csv.flush()
}

/// Returns the I/O error in an error of the writer, so that a broken pipe is recognised.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn raw(value: &Value) -> String {
    match value {
        Value::Empty => String::new(),
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Decimal(degrees) => degrees.to_string(),
        Value::Truth(truth) => truth.to_string(),
        Value::Distribution(_) => value.distribution_text().unwrap_or_default(),
    }
}
