//! The definitions of a report.

use std::io::{self, Write};

use divvy::reports::{Dim, Filter, Report};

use crate::flags;

/// Writes the definitions of the columns of a report, and the filters that it takes.
pub(super) fn explain(report: &dyn Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}\n", report.name(), report.about())?;
    let columns = report.columns();
    let widest = columns.iter().map(|column| column.name.len()).max();
    let width = widest.unwrap_or(0);
    for column in columns {
        writeln!(out, "{:<width$}  {}", column.name, column.definition)?;
    }
    let narrows = |filter: &&Filter| !matches!(filter, Filter::By | Filter::Top);
    let takes = report.takes().iter().filter(narrows);
    let mut takes: Vec<&str> = takes.map(|filter| flags::of_filter(*filter)).collect();
    if takes.is_empty() {
        takes.push("nothing");
    }
    writeln!(out, "\nnarrowed by: {}", takes.join(", "))?;
    let by: Vec<&str> = report
        .groups_by()
        .iter()
        .map(|dim: &Dim| dim.as_str())
        .collect();
    if !by.is_empty() {
        writeln!(out, "grouped by one or two of: {}", by.join(", "))?;
    }
    Ok(())
}
