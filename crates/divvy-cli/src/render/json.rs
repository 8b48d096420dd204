//! JSON: an array of objects, with or without what was counted, or one object on each line.

use std::io::{self, Write};

use divvy::model::{Degrees, System};
use divvy::reports::{Filters, Note, Table, Value};
use serde_json::{Number, json};

/// Writes an array with an object for each row, each on its own line.
pub fn write_array(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"[")?;
    for (index, row) in table.rows.iter().enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        write_object(table, row, out)?;
    }
    out.write_all(b"\n]\n")
}

/// Writes an object of two: what was counted, and the array of the rows.
pub fn write_with_scope(scope: &Asked<'_>, table: &Table, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"{\"scope\":")?;
    serde_json::to_writer(&mut *out, &scope.json(table))?;
    out.write_all(b",\n\"rows\":")?;
    write_array(table, out)?;
    out.write_all(b"}\n")
}

/// The question to which a table is the answer.
pub struct Asked<'a> {
    /// The name of the report.
    pub report: &'a str,
    /// The system.
    pub system: &'a System,
    /// The filters, the groups, the order and the number of rows.
    pub filters: &'a Filters,
}

impl Asked<'_> {
    fn json(&self, table: &Table) -> serde_json::Value {
        let scope = table.scope.as_ref();
        let left_out = table.notes.iter().filter_map(|note| match note {
            Note::LeftOut { trips, reasons } => {
                let reasons: serde_json::Map<String, serde_json::Value> = reasons
                    .iter()
                    .map(|(why, trips)| (why.clone(), (*trips).into()))
                    .collect();
                Some(json!({ "trips": trips, "reasons": reasons }))
            }
            _ => None,
        });
        let sentences = |are_warnings: bool| -> Vec<String> {
            let notes = table.notes.iter();
            let notes = notes.filter(|note| note.is_warning() == are_warnings);
            notes.map(|note| note.text().into_owned()).collect()
        };
        json!({
            "report": self.report,
            "system": self.system.id.as_str(),
            "filters": self.filters(),
            "archives": scope.map(|scope| &scope.archives),
            "stored": scope.map(|scope| scope.stored),
            "counted": scope.map(|scope| scope.counted.unwrap_or(scope.stored)),
            "first_day": scope.and_then(|scope| Some(scope.days?.0.to_string())),
            "last_day": scope.and_then(|scope| Some(scope.days?.1.to_string())),
            "left_out": left_out.collect::<Vec<_>>(),
            "incomplete_months": scope.map(|scope| &scope.incomplete_months),
            "rows_not_shown": table.more,
            "notes": sentences(false),
            "warnings": sentences(true),
        })
    }

    /// Returns those filters that are given.
    fn filters(&self) -> serde_json::Value {
        let Filters {
            from,
            to,
            rider,
            bike,
            station,
            weekdays,
            hours,
            by,
            sort,
            top,
            as_of,
            max_unusable,
            areas,
            horizons,
            arrive,
            need,
        } = self.filters;
        let horizons: Vec<u16> = horizons.iter().map(|it| it.get()).collect();
        let by: Vec<&str> = by.iter().map(|dim| dim.as_str()).collect();
        let all = [
            ("from", from.map(|date| date.to_string().into())),
            ("to", to.map(|date| date.to_string().into())),
            ("rider", rider.as_ref().map(|rider| rider.as_str().into())),
            ("bike", bike.as_deref().map(Into::into)),
            ("station", station.as_deref().map(Into::into)),
            ("weekday", weekdays.map(|days| days.to_string().into())),
            ("hour", hours.map(|hours| hours.to_string().into())),
            ("by", (!by.is_empty()).then(|| by.into())),
            (
                "sort",
                sort.as_ref().map(|sort| sort.column.as_str().into()),
            ),
            ("top", top.map(Into::into)),
            ("as_of", as_of.map(|at| at.to_string().into())),
            ("max_unusable", max_unusable.map(|most| most.share().into())),
            ("areas", areas.as_ref().map(|areas| areas.file().into())),
            ("horizon", (!horizons.is_empty()).then(|| horizons.into())),
            ("arrive", arrive.map(|minutes| minutes.get().into())),
            ("need", need.map(Into::into)),
        ];
        let given = all.into_iter();
        let given = given.filter_map(|(name, value)| Some((name.to_owned(), value?)));
        serde_json::Value::Object(given.collect())
    }
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
        serde_json::to_writer(&mut *out, &of_value(value))?;
    }
    out.write_all(b"}")
}

fn of_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Empty => serde_json::Value::Null,
        Value::Text(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Decimal(degrees) => decimal(degrees),
        Value::Truth(truth) => (*truth).into(),
        Value::Distribution(probabilities) => probabilities.as_slice().into(),
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
