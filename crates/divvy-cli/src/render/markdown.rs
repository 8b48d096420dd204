//! A Markdown table.

use std::io::{self, Write};

use divvy::reports::{Column, Note, Table, grouped};

use super::people;

/// Writes the rows as people read them, and the notes as a list.
pub fn write(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let columns = table.columns.iter();
    write_row(out, columns.clone().map(Column::heading))?;
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
            Note::Scope(text) => writeln!(out, "- {}", escape(text))?,
            Note::Warning(text) => writeln!(out, "- **{}**", escape(text))?,
        }
    }
    Ok(())
}

/// Writes a text so that nothing in it is taken for markup: no link or picture, no address that is
/// made a link by itself, no HTML, no column of the table.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let letters: Vec<char> = text.chars().collect();
    for (at, letter) in letters.iter().copied().enumerate() {
        let is_word = |at: Option<usize>| {
            let letter = at.and_then(|at| letters.get(at));
            letter.is_some_and(|letter| letter.is_alphanumeric())
        };
        let is_markup = match letter {
            '|' | '\\' | '<' | '>' | '*' | '`' | '[' | ']' | '~' => true,
            // Within a word, as in `classic_bike`, it means itself.
            '_' => !(is_word(at.checked_sub(1)) && is_word(Some(at + 1))),
            // `https://`, `www.` and `@` make links without any brackets.
            ':' => letters[at + 1..].starts_with(&['/', '/']),
            '.' => ends_with_www(&letters[..at]),
            _ => false,
        };
        match letter {
            // A backslash would not keep it from being taken for one.
            '@' => escaped += "&#64;",
            '&' => escaped += "&amp;",
            _ => {
                if is_markup {
                    escaped.push('\\');
                }
                escaped.push(letter);
            }
        }
    }
    escaped
}

fn ends_with_www(letters: &[char]) -> bool {
    let last = letters.iter().rev().take(3);
    last.filter(|letter| matches!(letter, 'w' | 'W')).count() == 3
}

fn write_row(out: &mut dyn Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    let cells: Vec<String> = cells.collect();
    writeln!(out, "| {} |", cells.join(" | "))
}
