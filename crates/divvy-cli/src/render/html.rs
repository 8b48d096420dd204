//! HTML: one page of one or several reports, without links to other files.

use std::fmt::Write as _;
use std::io::{self, Write};

use divvy::reports::{Column, Table, grouped};

use super::{ROWS, people};

/// Columns of this [`Column::spare`](divvy::reports::Column::spare) or more are left out of such a
/// page: ids, coordinates.
const SPARE: u8 = 3;

/// A report on a page.
pub struct Section<'a> {
    /// The report's name. Empty for a picture alone.
    pub name: &'a str,
    /// What the report is about, in one line.
    pub about: &'a str,
    /// The report's rows and notes.
    pub table: &'a Table,
    /// The picture as [`plot::figures`](super::plot::figures) draws it. Empty without one.
    pub picture: String,
    /// The columns whose definitions are written below the table.
    pub columns: Vec<Column>,
}

const STYLE: &str = include_str!("page.css");

/// Writes a page of reports.
pub fn write(title: &str, sections: &[Section<'_>], out: &mut dyn Write) -> io::Result<()> {
    let mut page = String::new();
    let title = escape(title);
    page += "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
    page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    page += &format!("<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n");
    if sections.iter().any(|section| !section.name.is_empty()) {
        page += &format!("<header><h1>{title}</h1></header>\n");
    }
    if sections.len() > 1 {
        page += "<nav>";
        for section in sections {
            let name = escape(section.name);
            page += &format!("<a href=\"#{name}\">{name}</a>\n");
        }
        page += "</nav>\n";
    }
    page += "<main>\n";
    for section in sections {
        write_section(&mut page, section, sections.len() > 1);
    }
    page += "</main>\n</body>\n</html>\n";
    out.write_all(page.as_bytes())
}

/// Writes one report. With `cut`, the limits [`ROWS`] and [`SPARE`] apply.
fn write_section(page: &mut String, section: &Section<'_>, cut: bool) {
    let table = section.table;
    let name = escape(section.name);
    let about = escape(section.about);
    if name.is_empty() {
        *page += "<section>\n";
    } else {
        *page += &format!("<section id=\"{name}\">\n<h2>{name}</h2>\n");
        *page += &format!("<p class=\"about\">{about}</p>\n");
    }
    *page += &section.picture;
    let most = if cut && table.may_be_cut {
        ROWS
    } else {
        usize::MAX
    };
    let shown = table.rows.len().min(most);
    if shown > 0 {
        let columns: Vec<usize> = (0..table.columns.len())
            .filter(|at| !cut || table.columns[*at].spare < SPARE)
            .collect();
        let cell = |at: usize, tag: &str, text: &str| {
            let is_numeric = table.columns[at].kind.is_numeric();
            let class = if is_numeric { " class=\"n\"" } else { "" };
            format!("<{tag}{class}>{}</{tag}>", escape(text))
        };
        *page += "<div class=\"wide\"><table>\n<thead><tr>";
        for at in &columns {
            *page += &cell(*at, "th", &table.columns[*at].heading());
        }
        *page += "</tr></thead>\n<tbody>\n";
        for row in &table.rows[..shown] {
            *page += "<tr>";
            for at in &columns {
                *page += &cell(*at, "td", &people::text(table.columns[*at].kind, &row[*at]));
            }
            *page += "</tr>\n";
        }
        *page += "</tbody></table></div>\n";
    }
    let more = table.more + table.rows.len() - shown;
    if more > 0 {
        let more = grouped(more as i64);
        *page += &format!("<p class=\"more\">… and {more} more: divvy report {name}</p>\n");
    }
    for note in &table.notes {
        let class = if note.is_warning() {
            "warning"
        } else {
            "scope"
        };
        *page += &format!("<p class=\"{class}\">{}</p>\n", escape(&note.text()));
    }
    if !section.columns.is_empty() {
        *page += "<details><summary>What the columns mean</summary>\n<dl>";
        for column in &section.columns {
            let (column, definition) = (escape(column.name), escape(column.definition));
            let _ = writeln!(page, "<dt>{column}</dt><dd>{definition}</dd>");
        }
        *page += "</dl></details>\n";
    }
    *page += "</section>\n";
}

/// Escapes a text for HTML and SVG. Control characters become blanks.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            letter if letter.is_control() && letter != '\n' => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}
