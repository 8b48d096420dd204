//! A Markdown table.

use std::io::{self, Write};

use divvy::reports::{Note, Table, grouped};

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
            cells.map(|(column, value)| escape(&people::text(column.kind, value))),
        )?;
    }
    writeln!(out)?;
    if table.more > 0 {
        writeln!(out, "- … and {} more", grouped(table.more as i64))?;
    }
    for note in &table.notes {
        match note {
            Note::Scope(text) => writeln!(out, "- {text}")?,
            Note::Warning(text) => writeln!(out, "- **{text}**")?,
        }
    }
    Ok(())
}

/// Writes a text so that nothing in it is taken for markup.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '|' | '\\' | '<' | '*' | '`') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

fn write_row(out: &mut dyn Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    let cells: Vec<String> = cells.collect();
    writeln!(out, "| {} |", cells.join(" | "))
}
