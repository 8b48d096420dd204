//! Every report of a system, one after another.

use std::io::{self, Write};

use anyhow::bail;
use divvy::reports::REPORTS;

use super::page::{Answered, answer_all, page_of_all, rows_command, source};
use super::{Report, explain};
use crate::open::Common;
use crate::outputs;
use crate::render::{Format, ROWS};
use crate::screen::BOLD;
use crate::wrap::wrapped;

impl Report {
    /// Answers every report, each with those of the filters that it takes.
    pub(super) fn run_all(&self, common: &Common) -> anyhow::Result<()> {
        if self.explain {
            let mut out = io::stdout().lock();
            for (index, report) in REPORTS.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                explain::explain(*report, &mut out)?;
            }
            return Ok(());
        }
        let for_one = self.plot.is_some() || !self.by.is_empty() || self.sort.is_some();
        if for_one || self.with_scope {
            bail!(
                "--plot, --by, --sort and --with-scope are for one report: name it instead of all"
            );
        }
        let format = self.format()?;
        if !format.has_notes() {
            bail!("all reports together are a table, markdown or html: other formats hold one");
        }
        if common.is_of_all_systems() {
            bail!(
                "all reports of all systems are too much for one page: name a report or a system"
            );
        }
        let opened = common.open_existing()?;
        let store = opened.store();
        let system = common.system_of(store)?;
        let given = self.filters();
        let mut answers = answer_all(store, &system, &given)?;
        for answered in &mut answers {
            answered.table.may_be_cut &= self.top.is_none();
            if answered.table.may_be_cut && format == Format::Markdown {
                answered.table.keep(ROWS);
            }
            if common.verbose {
                common.say(format_args!("{}: {}", answered.report.name(), answered.how));
            }
        }
        let base = self.base(format)?;
        let page = match format {
            Format::Html => {
                let source = source(&common.store, store, &system)?;
                Some(page_of_all(
                    &answers,
                    (store, &system, &given),
                    base.as_ref(),
                    source,
                    rows_command(&common.store, store, (&system, &given))?,
                ))
            }
            _ => None,
        };
        outputs::write(self.output.as_deref(), |out, screen| {
            if let Some(page) = &page {
                return page.write(out);
            }
            for (index, Answered { report, table, .. }) in answers.iter().enumerate() {
                let prefix = if format == Format::Markdown {
                    "## "
                } else {
                    ""
                };
                let (name, about) = (report.name(), report.about());
                let title = format!("{prefix}{name}: {about}");
                if index > 0 {
                    writeln!(out)?;
                }
                for line in wrapped(&title, screen.width, 2) {
                    writeln!(out, "{}", screen.paint(BOLD, line))?;
                }
                writeln!(out)?;
                format.write(table, screen, out)?;
            }
            Ok(())
        })
    }
}
