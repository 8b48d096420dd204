//! Comma-separated values.

use std::io::{self, Write};

use divvy::reports::{Table, Value};

/// Writes a header and the rows, numbers raw, unknown values empty.
pub fn write(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(table.columns.iter().map(|column| column.name))?;
    for row in &table.rows {
        csv.write_record(row.iter().map(raw))?;
    }
    csv.flush()
}

fn raw(value: &Value) -> String {
    match value {
        Value::Empty => String::new(),
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Decimal(degrees) => degrees.to_string(),
    }
}
