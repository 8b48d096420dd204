//! A table for people: as wide as the terminal, and not longer than a screen.

use std::io::{self, Write};

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, ContentLineStyle, LineStyle,
    TableStyle, Width,
};
use divvy::reports::{Column, Kind, Note, Table, Value, grouped};

use super::people;

/// Rows shown of a report that may be cut.
const ROWS: usize = 20;

/// Blanks between columns.
const GAP: u16 = 2;

/// A name is not cut to fewer columns than this.
const SHORTEST_NAME: u16 = 16;

/// Nothing but a line below the header.
const LIGHT: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none())
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .content_lines(ContentLineStyle::none());

/// A column as it will be shown.
struct Shown<'a> {
    column: &'a Column,
    cells: Vec<String>,
    /// Without the gap.
    width: u16,
    /// No row has anything but nothing or 0 to say.
    is_blank: bool,
}

/// Writes a table, and the notes below it.
pub fn write(table: &Table, width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
    let rows = match table.may_be_cut {
        true => &table.rows[..table.rows.len().min(ROWS)],
        false => &table.rows[..],
    };
    let mut shown: Vec<Shown<'_>> = (table.columns.iter().enumerate())
        .map(|(place, column)| Shown::new(column, rows, place))
        .collect();
    let left_out = match width {
        Some(width) => fit(&mut shown, width),
        None => Vec::new(),
    };
    if !rows.is_empty() {
        for line in lay_out(&shown, rows.len()).lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    let more = table.more + table.rows.len() - rows.len();
    if more > 0 {
        let more = grouped(more as i64);
        let how = if table.may_be_cut {
            " (use --top N or --format csv)"
        } else {
            ""
        };
        writeln!(out, "… and {more} more{how}")?;
    }
    if !left_out.is_empty() {
        let names = left_out.join(", ");
        write_wrapped(out, &format!("not shown for want of width: {names}"), width)?;
    }
    if !rows.is_empty() {
        writeln!(out)?;
    }
    for note in &table.notes {
        match note {
            Note::Scope(text) => write_wrapped(out, text, width)?,
            Note::Warning(text) => write_wrapped(out, &format!("warning: {text}"), width)?,
        }
    }
    Ok(())
}

impl<'a> Shown<'a> {
    fn new(column: &'a Column, rows: &[Vec<Value>], place: usize) -> Self {
        let values = || rows.iter().map(|row| &row[place]);
        let cells: Vec<String> = values()
            .map(|value| people::text(column.kind, value))
            .collect();
        let mut alone = comfy_table::Table::new();
        alone.add_rows(cells.iter().map(|cell| [cell]));
        let widest = alone.column_max_content_widths();
        // A heading of several words stands on several lines.
        let heading = column.heading();
        let words = heading.split(' ').map(|word| word.len() as u16);
        Self {
            column,
            cells,
            width: widest.into_iter().chain(words).max().unwrap_or(0),
            is_blank: values().all(|value| matches!(value, Value::Empty | Value::Integer(0))),
        }
    }

    /// Returns the text of a row, cut to the width.
    fn cell(&self, row: usize) -> String {
        let (text, width) = (&self.cells[row], usize::from(self.width));
        if text.chars().count() <= width {
            return text.clone();
        }
        let kept: String = text.chars().take(width.saturating_sub(1)).collect();
        format!("{}…", kept.trim_end())
    }

    /// Returns how narrow it can be made.
    fn least(&self) -> u16 {
        match self.column.kind {
            Kind::Name => self.width.min(SHORTEST_NAME),
            _ => self.width,
        }
    }
}

/// Leaves out columns and cuts names until all fits. Returns the names of what it left out.
fn fit(shown: &mut Vec<Shown<'_>>, width: u16) -> Vec<&'static str> {
    let mut left_out = Vec::new();
    let least = |shown: &[Shown<'_>]| -> u16 {
        let gaps = GAP * (shown.len() as u16).saturating_sub(1);
        shown.iter().map(Shown::least).sum::<u16>() + gaps
    };
    while least(shown) > width {
        let spare = (shown.iter().enumerate())
            .filter(|(_, shown)| shown.column.spare > 0)
            .max_by_key(|(place, shown)| (shown.is_blank, shown.column.spare, *place));
        let Some((place, _)) = spare else { break };
        let gone = (shown[place].is_blank, *shown[place].column);
        left_out.insert(0, shown.remove(place).column.name);
        // Of two ids, or of latitude and longitude, one says little.
        let goes_along = |shown: &Shown<'_>| {
            let (is_blank, column) = (shown.is_blank, shown.column);
            let is_like =
                (is_blank, column.kind, column.spare) == (gone.0, gone.1.kind, gone.1.spare);
            is_like && matches!(column.kind, Kind::Text | Kind::Degrees)
        };
        while let Some(place) = shown.iter().rposition(goes_along) {
            left_out.insert(0, shown.remove(place).column.name);
        }
    }
    let mut room = width.saturating_sub(least(shown));
    for name in shown.iter_mut().filter(|it| it.column.kind == Kind::Name) {
        let grown = name.width.min(name.least() + room);
        room -= grown - name.least();
        name.width = grown;
    }
    left_out
}

fn lay_out(shown: &[Shown<'_>], rows: usize) -> String {
    let mut table = comfy_table::Table::new();
    table
        .load_style(LIGHT)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(shown.iter().map(|it| Cell::new(it.column.heading())));
    for row in 0..rows {
        table.add_row(shown.iter().map(|it| it.cell(row)));
    }
    for (place, it) in shown.iter().enumerate() {
        // The last blank of a gap is where other styles draw a line.
        let gap = if place + 1 < shown.len() { GAP - 1 } else { 0 };
        let Some(column) = table.column_mut(place) else {
            continue;
        };
        column.set_padding((0, gap));
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(it.width + gap)));
        if it.column.kind.is_numeric() {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// Writes a sentence, broken between words where it is wider than the terminal.
fn write_wrapped(out: &mut dyn Write, text: &str, width: Option<u16>) -> io::Result<()> {
    let width = width.map_or(usize::MAX, usize::from);
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.trim().is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            writeln!(out, "{line}")?;
            line = "  ".to_owned() + word;
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line += word;
        }
    }
    writeln!(out, "{line}")
}
