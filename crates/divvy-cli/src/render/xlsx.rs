//! A workbook of Excel, with the values of the CSV: numbers, dates and instants as such, ids as text.

use std::io::{self, Write};

use divvy::reports::{Column, Table, Value, ValueKind};
use rust_xlsxwriter::{ExcelDateTime, Format, IgnoreError, Workbook, Worksheet, XlsxError};

/// Writes a workbook of two sheets: the rows below a header that stays in view, and the notes.
pub fn write(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let bytes = workbook(table).map_err(io::Error::other)?;
    out.write_all(&bytes)
}

fn workbook(table: &Table) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    write_rows(workbook.add_worksheet(), table)?;
    if !table.notes.is_empty() {
        let sheet = workbook.add_worksheet();
        sheet.set_name("notes")?;
        for (row, note) in (0..).zip(&table.notes) {
            sheet.write_string(row, 0, note.text())?;
        }
    }
    workbook.save_to_buffer()
}

fn write_rows(sheet: &mut Worksheet, table: &Table) -> Result<(), XlsxError> {
    sheet.set_name("report")?;
    sheet.set_freeze_panes(1, 0)?;
    let bold = Format::new().set_bold();
    for (at, column) in (0..).zip(&table.columns) {
        sheet.write_string_with_format(0, at, column.name, &bold)?;
        let format = format_of(column.kind);
        for (row, values) in (1..).zip(&table.rows) {
            write_value(sheet, (row, at), column, &values[usize::from(at)], &format)?;
        }
    }
    let (rows, columns) = (table.rows.len() as u32, table.columns.len() as u16);
    if rows > 0 && columns > 0 {
        sheet.autofilter(0, 0, rows, columns - 1)?;
        // Excel marks each id of digits as a mistake.
        sheet.ignore_error_range(1, 0, rows, columns - 1, IgnoreError::NumberStoredAsText)?;
    }
    sheet.autofit();
    Ok(())
}

/// Returns how the numbers of a column are shown.
fn format_of(kind: ValueKind) -> Format {
    let code = match kind {
        ValueKind::Count => "#,##0",
        ValueKind::Share => "0.0%",
        ValueKind::Dollars => "$0.00",
        ValueKind::Date => "yyyy-mm-dd",
        ValueKind::Instant => "yyyy-mm-dd hh:mm:ss",
        _ => return Format::new(),
    };
    Format::new().set_num_format(code)
}

fn write_value(
    sheet: &mut Worksheet,
    (row, at): (u32, u16),
    column: &Column,
    value: &Value,
    format: &Format,
) -> Result<(), XlsxError> {
    match (value, value.number()) {
        (Value::Empty, _) => {}
        (Value::Truth(truth), _) => {
            sheet.write_boolean(row, at, *truth)?;
        }
        (Value::Distribution(_), _) => {
            let text = value.distribution_text().unwrap_or_default();
            sheet.write_string(row, at, text)?;
        }
        (Value::Text(text), _) => match date(column.kind, text) {
            Some((date, None)) => {
                sheet.write_datetime_with_format(row, at, date, format)?;
            }
            Some((date, Some(month))) => {
                sheet.write_datetime_with_format(row, at, date, &month)?;
            }
            None => {
                sheet.write_string(row, at, text)?;
            }
        },
        (_, Some(number)) => {
            sheet.write_number_with_format(row, at, number, format)?;
        }
        (_, None) => {}
    }
    Ok(())
}

/// Returns a date or an instant, without its offset, which Excel does not have; of a month, its first
/// day and the format of months. `None` for other texts.
fn date(kind: ValueKind, text: &str) -> Option<(ExcelDateTime, Option<Format>)> {
    let parse = |text: &str| ExcelDateTime::parse_from_str(text).ok();
    match (kind, text.len()) {
        (ValueKind::Instant, _) => Some((parse(text.get(..19)?)?, None)),
        (ValueKind::Date, 7) => {
            let months = Format::new().set_num_format("yyyy-mm");
            Some((parse(&format!("{text}-01"))?, Some(months)))
        }
        (ValueKind::Date, _) => Some((parse(text)?, None)),
        _ => None,
    }
}
