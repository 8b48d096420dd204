//! The definitions of a report.

use std::io::{self, Write};

use divvy::reports::{Dim, Filter, Report};

use crate::flags;
use crate::screen::Screen;
use crate::wrap::wrapped;

/// Writes the definitions of the columns of a report, and the filters that it takes.
pub(super) fn explain(report: &dyn Report, out: &mut dyn Write) -> io::Result<()> {
    let screen = Screen::stdout();
    let mut write = |text: String, indent: usize| {
        let mut lines = wrapped(&text, screen.width, indent).into_iter();
        lines.try_for_each(|line| writeln!(out, "{line}"))
    };
    write(format!("{}: {}", report.name(), report.about()), 2)?;
    write(String::new(), 0)?;
    let columns = report.columns();
    let widest = columns.iter().map(|column| column.name.len()).max();
    let width = widest.unwrap_or(0);
    for column in columns {
        // A table for people has another heading than CSV and JSON.
        let shown = match column.words {
            "" => String::new(),
            heading => format!("\"{heading}\": "),
        };
        let text = format!("{:<width$}  {shown}{}", column.name, column.definition);
        write(text, width + 2)?;
    }
    let narrows = |filter: &&Filter| !matches!(filter, Filter::By | Filter::Top);
    let takes = report.takes().iter().filter(narrows);
    let mut takes: Vec<&str> = takes.map(|filter| flags::of_filter(*filter)).collect();
    if takes.is_empty() {
        takes.push("nothing");
    }
    write(String::new(), 0)?;
    write(format!("narrowed by: {}", takes.join(", ")), 2)?;
    let by: Vec<&str> = report
        .groups_by()
        .iter()
        .map(|dim: &Dim| dim.as_str())
        .collect();
    if !by.is_empty() {
        write(format!("grouped by one or two of: {}", by.join(", ")), 2)?;
    }
    Ok(())
}
