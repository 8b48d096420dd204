//! JSON: an array of objects, or one object on each line.

use std::io::{self, Write};

use divvy::model::Degrees;
use divvy::reports::{Table, Value};
use serde_json::Number;

/// Writes an array with an object for each row, each on its own line.
pub fn write_array(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"[")?;
    for (index, row) in table.rows.iter().enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        write_object(table, row, out)?;
    }
    out.write_all(b"\n]\n")
}

/// Writes an object for each row, each on its own line.
pub fn write_lines(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    for row in &table.rows {
        write_object(table, row, out)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Writes a row as an object, its keys in the order of the columns.
fn write_object(table: &Table, row: &[Value], out: &mut dyn Write) -> io::Result<()> {
    for (index, (column, value)) in table.columns.iter().zip(row).enumerate() {
        let separator = if index == 0 { '{' } else { ',' };
        write!(out, "{separator}\"{}\":", column.name)?;
        serde_json::to_writer(&mut *out, &json(value))?;
    }
    out.write_all(b"}")
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Empty => serde_json::Value::Null,
        Value::Text(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Decimal(degrees) => decimal(degrees),
        Value::Truth(truth) => (*truth).into(),
    }
}

/// Returns a number with the published digits. Where JSON has no such number (`.5`, `+41`), the
/// nearest double.
fn decimal(degrees: &Degrees) -> serde_json::Value {
    match degrees.as_str().parse::<Number>() {
        Ok(number) => number.into(),
        Err(_) => degrees.to_f64().into(),
    }
}
