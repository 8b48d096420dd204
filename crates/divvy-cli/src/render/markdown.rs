//! A Markdown table, with all rows.

use std::io::{self, Write};

use divvy::reports::{Note, Table};

use super::people;

/// Writes the rows as people read them, and the notes as a list.
pub fn write(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let columns = table.columns.iter();
    write_row(out, columns.clone().map(people::heading))?;
    let rules = columns.map(|column| match column.kind.is_numeric() {
        true => "---:".to_owned(),
        false => "---".to_owned(),
    });
    write_row(out, rules)?;
    for row in &table.rows {
        let cells = table.columns.iter().zip(row);
        write_row(
            out,
            cells.map(|(column, value)| people::text(column.kind, value).replace('|', "\\|")),
        )?;
    }
    writeln!(out)?;
    for note in &table.notes {
        match note {
            Note::Scope(text) => writeln!(out, "- {text}")?,
            Note::Warning(text) => writeln!(out, "- **{text}**")?,
        }
    }
    Ok(())
}

fn write_row(out: &mut dyn Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    let cells: Vec<String> = cells.collect();
    writeln!(out, "| {} |", cells.join(" | "))
}
