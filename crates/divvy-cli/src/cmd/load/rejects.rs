//! The file of rejected rows.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context;
use divvy::issue::{RejectSink, Rejected};

/// Where rejected rows are written: the file of `--rejects`, or nowhere.
pub struct Rejects {
    writer: Option<Mutex<Writer>>,
}

struct Writer {
    path: PathBuf,
    csv: csv::Writer<File>,
    /// The first failure, after which the file is incomplete.
    failed: Option<csv::Error>,
}

impl Rejects {
    /// Makes the file with its header. `None` for no file.
    pub fn create(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self { writer: None });
        };
        let mut csv = csv::Writer::from_path(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        csv.write_record(["file", "line", "column", "reason", "expected", "found"])?;
        Ok(Self {
            writer: Some(Mutex::new(Writer {
                path: path.into(),
                csv,
                failed: None,
            })),
        })
    }

    /// Ends the file.
    ///
    /// # Errors
    ///
    /// A row could not be written.
    pub fn finish(self) -> anyhow::Result<()> {
        let Some(writer) = self.writer else {
            return Ok(());
        };
        let mut writer = writer.into_inner().expect("no holder of this lock panics");
        let failing = || format!("cannot write {}", writer.path.display());
        if let Some(error) = writer.failed {
            return Err(error).with_context(failing);
        }
        writer.csv.flush().with_context(failing)
    }
}

impl RejectSink for Rejects {
    fn reject(&self, rejected: Rejected) {
        let Some(writer) = &self.writer else {
            return;
        };
        let mut writer = writer.lock().expect("no holder of this lock panics");
        let line = rejected.line.to_string();
        let record = [
            rejected.file.as_str(),
            &line,
            &rejected.column,
            rejected.reason.as_str(),
            &rejected.expected,
            &rejected.found,
        ];
        if let Err(error) = writer.csv.write_record(record) {
            writer.failed.get_or_insert(error);
        }
    }
}
