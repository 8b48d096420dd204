//! A Markdown table.

use std::io::{self, Write};

use divvy::reports::{Table, grouped};

use super::people;

/// Writes the rows with units, and the notes as a list.
pub fn write(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let columns: Vec<usize> = people::columns_in_use(table).collect();
    let columns = || columns.iter().copied();
    write_row(out, columns().map(|at| table.columns[at].heading()))?;
    let rules = columns().map(|at| {
        let is_numeric = table.columns[at].kind.is_numeric();
        if is_numeric { "---:" } else { "---" }.to_owned()
    });
    write_row(out, rules)?;
    for row in &table.rows {
        let cells = columns().map(|at| escape(&people::cell(table, row, at)));
        write_row(out, cells)?;
    }
    writeln!(out)?;
    if table.more > 0 {
        writeln!(out, "- … and {} more", grouped(table.more as i64))?;
    }
    for note in &table.notes {
        let text = note.text();
        let text = escape(&text);
        if note.is_warning() {
            writeln!(out, "- **{text}**")?;
        } else {
            writeln!(out, "- {text}")?;
        }
    }
    Ok(())
}

/// Escapes a text for Markdown: links, pictures, addresses that become links without brackets, HTML,
/// separators of the table's columns.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let letters: Vec<char> = text.chars().collect();
    for (index, letter) in letters.iter().copied().enumerate() {
        let is_word = |index: Option<usize>| {
            let letter = index.and_then(|index| letters.get(index));
            letter.is_some_and(|letter| letter.is_alphanumeric())
        };
        let is_markup = match letter {
            '|' | '\\' | '<' | '>' | '*' | '`' | '[' | ']' | '~' => true,
            // Within a word, as in `classic_bike`, it is no markup.
            '_' => !(is_word(index.checked_sub(1)) && is_word(Some(index + 1))),
            // `https://`, `www.` and `@` make links without any brackets.
            ':' => letters[index + 1..].starts_with(&['/', '/']),
            '.' => ends_with_www(&letters[..index]),
            _ => false,
        };
        match letter {
            // A backslash does not escape these.
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
