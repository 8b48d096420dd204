//! JSON: an array, or an object a line.

use std::io::{self, Write};

use divvy::model::Degrees;
use divvy::reports::{Table, Value};
use serde_json::Number;

/// Writes one array with an object for each row, each on a line of its own.
pub fn write_array(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"[")?;
    for (place, row) in table.rows.iter().enumerate() {
        out.write_all(if place == 0 { b"\n" } else { b",\n" })?;
        write_object(table, row, out)?;
    }
    out.write_all(b"\n]\n")
}

/// Writes an object a line.
pub fn write_lines(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    for row in &table.rows {
        write_object(table, row, out)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Writes a row, its keys in the order of the columns.
fn write_object(table: &Table, row: &[Value], out: &mut dyn Write) -> io::Result<()> {
    for (place, (column, value)) in table.columns.iter().zip(row).enumerate() {
        let before = if place == 0 { '{' } else { ',' };
        write!(out, "{before}\"{}\":", column.name)?;
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

/// Keeps the published digits, unless JSON has no such number (`.5`, `+41`).
fn decimal(degrees: &Degrees) -> serde_json::Value {
    match degrees.as_str().parse::<Number>() {
        Ok(number) => number.into(),
        Err(_) => degrees.to_f64().into(),
    }
}
