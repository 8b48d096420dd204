//! A table for people: at most as wide as the terminal, with the first rows of long reports.

use std::io::{self, Write};

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, ContentLineStyle, LineStyle,
    TableStyle, Width,
};
use divvy::reports::{Column, Table, Value, ValueKind, grouped};

use super::{ROWS, people};

/// The number of blanks between columns.
const GAP: u16 = 2;

/// The width to which a name may be cut.
const LEAST_NAME: u16 = 16;

/// No lines but one below the header.
const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none())
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .content_lines(ContentLineStyle::none());

/// A column with the text and width of its cells.
struct Shown<'a> {
    column: &'a Column,
    cells: Vec<String>,
    /// In terminal columns, without the gap.
    width: u16,
    /// All values are unknown or 0.
    is_blank: bool,
}

/// Writes a table, and the notes below it. `width` is that of the terminal in columns; with `None`
/// nothing is cut.
pub fn write(table: &Table, width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
    let most = if table.may_be_cut { ROWS } else { usize::MAX };
    let rows = &table.rows[..table.rows.len().min(most)];
    let mut shown: Vec<Shown<'_>> = (table.columns.iter().enumerate())
        .map(|(index, column)| Shown::new(column, rows, index))
        .collect();
    let left_out = width.map_or_else(Vec::new, |width| fit(&mut shown, width));
    if !rows.is_empty() {
        for line in lay_out(&shown, rows.len()).lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    let more = table.more + table.rows.len() - rows.len();
    if more > 0 {
        let more = grouped(more as i64);
        let advice = if table.may_be_cut {
            " (use --top N or --format csv)"
        } else {
            ""
        };
        writeln!(out, "… and {more} more{advice}")?;
    }
    if !left_out.is_empty() {
        let names = left_out.join(", ");
        write_wrapped(out, &format!("not shown for want of width: {names}"), width)?;
    }
    if !rows.is_empty() {
        writeln!(out)?;
    }
    for note in &table.notes {
        write_wrapped(out, &people::sentence(note), width)?;
    }
    Ok(())
}

impl<'a> Shown<'a> {
    fn new(column: &'a Column, rows: &[Vec<Value>], index: usize) -> Self {
        let values = || rows.iter().map(|row| &row[index]);
        let cells: Vec<String> = values()
            .map(|value| people::text(column.kind, value))
            .collect();
        let mut alone = comfy_table::Table::new();
        alone.add_rows(cells.iter().map(|cell| [cell]));
        let widest = alone.column_max_content_widths();
        // A heading is broken between words.
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

    /// Returns the least width.
    fn least_width(&self) -> u16 {
        let is_name = self.column.kind == ValueKind::Name;
        if is_name {
            self.width.min(LEAST_NAME)
        } else {
            self.width
        }
    }
}

/// Leaves out columns and cuts names until all fit a width. Returns the names of the columns left out.
fn fit(shown: &mut Vec<Shown<'_>>, width: u16) -> Vec<&'static str> {
    let mut left_out = Vec::new();
    let least_width = |shown: &[Shown<'_>]| -> u16 {
        let gaps = GAP * (shown.len() as u16).saturating_sub(1);
        shown.iter().map(Shown::least_width).sum::<u16>() + gaps
    };
    while least_width(shown) > width {
        let spare = (shown.iter().enumerate())
            .filter(|(_, shown)| shown.column.spare > 0)
            .max_by_key(|(index, shown)| (shown.is_blank, shown.column.spare, *index));
        let Some((index, _)) = spare else { break };
        let first = shown.remove(index);
        left_out.insert(0, first.column.name);
        // Pairs of ids, and of latitude and longitude, are left out together.
        let is_of_pair = |shown: &Shown<'_>| {
            let key = |it: &Shown<'_>| (it.is_blank, it.column.kind, it.column.spare);
            key(shown) == key(&first)
                && matches!(shown.column.kind, ValueKind::Text | ValueKind::Degrees)
        };
        while let Some(index) = shown.iter().rposition(is_of_pair) {
            left_out.insert(0, shown.remove(index).column.name);
        }
    }
    let mut free = width.saturating_sub(least_width(shown));
    for name in shown
        .iter_mut()
        .filter(|it| it.column.kind == ValueKind::Name)
    {
        let grown = name.width.min(name.least_width() + free);
        free -= grown - name.least_width();
        name.width = grown;
    }
    left_out
}

fn lay_out(shown: &[Shown<'_>], rows: usize) -> String {
    let mut table = comfy_table::Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(shown.iter().map(|it| Cell::new(it.column.heading())));
    for row in 0..rows {
        table.add_row(shown.iter().map(|it| it.cell(row)));
    }
    for (index, it) in shown.iter().enumerate() {
        // The last blank of a gap is the separator, which this style leaves blank.
        let gap = if index + 1 < shown.len() { GAP - 1 } else { 0 };
        let Some(column) = table.column_mut(index) else {
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

/// Writes a sentence, broken between words into lines of a width.
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
