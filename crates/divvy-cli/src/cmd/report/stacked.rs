//! One report for every system of the store.

use anyhow::bail;
use divvy::reports::{self, Filters, Note, ReportError, Table};
use divvy::store::Store;

use super::{Report, answer, say_notes, section};
use crate::open::{ALL_SYSTEMS, Common};
use crate::render::Format;
use crate::render::html::{Page, RowsCommand};
use crate::{flags, outputs};

impl Report {
    /// Answers a report for every system of the store, in one table.
    pub(super) fn run_stacked(
        &self,
        report: &dyn reports::Report,
        store: &dyn Store,
        mut filters: Filters,
        rows: Option<usize>,
        format: Format,
        common: &Common,
    ) -> anyhow::Result<()> {
        if self.plot.is_some() || self.with_scope {
            bail!("--plot and --with-scope are for one system: name it instead of all");
        }
        let systems = common.selected_systems(store)?;
        if systems.is_empty() {
            bail!(
                "the store in {} is empty: load an archive first (divvy load FILE.zip)",
                common.store
            );
        }
        filters.top = filters
            .top
            .or(rows.map(|rows| rows.div_ceil(systems.len())));
        let mut tables = Vec::new();
        let mut unknown = Vec::new();
        for system in systems {
            match answer(report, store, &system, &filters) {
                Ok(answer) => tables.push((system, answer)),
                // A value that one system does not have may be that of another.
                Err(error) if is_unknown_value(&error) => {
                    unknown.push(error.context(system.id.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        if tables.is_empty() && !unknown.is_empty() {
            let all: Vec<String> = unknown.iter().map(|error| format!("{error:#}")).collect();
            bail!("{}", all.join("; "));
        }
        let tables = tables.into_iter();
        let tables = tables.map(|(system, answer)| {
            if common.verbose {
                common.say(format_args!("{}: {}", system.id, answer.how));
            }
            (system, answer.table)
        });
        let mut table = Table::stacked(tables.collect());
        let without = unknown
            .iter()
            .map(|error| Note::Scope(format!("{error:#}")));
        table.notes.extend(without);
        table.may_be_cut = rows.is_some();
        outputs::write(self.output.as_deref(), |out, screen| match format {
            Format::Html => {
                let no_picture = Err(anyhow::anyhow!("a picture is of one system"));
                let page = Page {
                    title: report.name(),
                    filters: filters.to_string(),
                    front: None,
                    sections: vec![section(report, &table, no_picture)],
                    source: None,
                    rows_command: RowsCommand {
                        store_flags: flags::of_store(&common.store, Some(ALL_SYSTEMS)),
                        filter_flags: flags::of_filters(&filters),
                    },
                };
                page.write(out)
            }
            _ => format.write(&table, screen, out),
        })?;
        say_notes(&table, format, common);
        Ok(())
    }
}

/// Returns whether the store has no trip or station with a value of the filters.
fn is_unknown_value(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ReportError::UnknownValue(_)))
}
