//! The list of reports that `divvy report` prints without a name.

use std::io::{self, Write};

use divvy::reports::REPORTS;

use crate::own_report::{self, ALL};
use crate::screen::{BOLD, Screen};
use crate::wrap::wrapped;

/// Writes the reports, each with what it is about.
pub fn write_list(screen: Screen, out: &mut dyn Write) -> io::Result<()> {
    /// The width of the names, with the blanks behind them.
    const NAME: usize = 13;
    let built_in = REPORTS.iter();
    let built_in = built_in.map(|report| (report.name().to_owned(), report.about().to_owned()));
    let own = own_report::names().into_iter().map(|name| {
        let title = match own_report::read(&name) {
            Ok(Some(report)) => report.title,
            Ok(None) => String::new(),
            Err(error) => format!("{error:#}"),
        };
        (name, title)
    });
    let all = (
        ALL.to_owned(),
        "every one of them, as a page with --format html".to_owned(),
    );
    for (name, about) in built_in.chain(own).chain([all]) {
        let width = screen.width.map(|width| width.saturating_sub(NAME as u16));
        let mut label = format!("{name:<NAME$}");
        if name.len() >= NAME {
            label.push(' ');
        }
        for line in wrapped(&about, width, 0) {
            writeln!(out, "{}{line}", screen.paint(BOLD, &label))?;
            label = " ".repeat(NAME);
        }
    }
    Ok(())
}
