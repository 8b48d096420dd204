//! Splits a file into the rows that stay and those that move to a file of the other kind.

use std::path::{Path, PathBuf};

use super::tally_changes::TallyChanges;
use crate::issue::{Reason, RejectSink, Rejected};
use crate::model::{SystemId, TripBatch};
use crate::store::StoreError;
use crate::store::embedded::catalog::{FileKind, FileRow};
use crate::store::embedded::duplicates::CommitFile;
use crate::store::embedded::index::Index;
use crate::store::embedded::trips_file::{Finished, TripsFile, TripsWriter};

/// A complete file in staging.
pub(super) struct StagedFile {
    /// The row of the catalog, without id and path.
    pub(super) row: FileRow,
    pub(super) path: PathBuf,
    pub(super) index_path: PathBuf,
}

/// Splits a file of a system, and counts the rows that move. Duplicates are passed to `rejects`.
///
/// `name` is the path of the new files, without kind and extension. A staged file of which all rows
/// move is not written again.
pub(super) fn split(
    file: &CommitFile,
    system: &SystemId,
    name: &Path,
    tallies: &mut TallyChanges,
    rejects: &dyn RejectSink,
) -> Result<Vec<StagedFile>, StoreError> {
    let members = &tallies.archives[&file.row.archive].row.members;
    let member = members.get(file.row.member).cloned().unwrap_or_default();
    let index = Index::open(&file.index_path)?;
    let trips = TripsFile::open(&file.path)?;
    let moves_whole = file.is_staged && file.moving.len() == file.row.rows;
    let mut halves = if moves_whole {
        None
    } else {
        Some(Halves::create(file, system, name)?)
    };
    for (group, rows) in trips.groups().into_iter().enumerate() {
        let mut batch = trips.read(group)?;
        batch.line = index.lines(rows.clone())?;
        let moving = match &mut halves {
            Some(halves) => halves.write(&batch, rows, file)?,
            None => batch,
        };
        tallies.count_moved(file, &moving);
        if file.row.kind == FileKind::Trips {
            for row in 0..moving.len() {
                rejects.reject(Rejected {
                    file: member.clone(),
                    line: moving.line[row],
                    column: String::new(),
                    reason: Reason::Duplicate,
                    expected: "a trip of which no other row is a better copy".into(),
                    found: moving.id(row).into(),
                });
            }
        }
    }
    match halves {
        Some(halves) => halves.finish(file),
        None => Ok(vec![StagedFile {
            row: FileRow {
                kind: file.row.kind.other(),
                ..file.row.clone()
            },
            path: file.path.clone(),
            index_path: file.index_path.clone(),
        }]),
    }
}

/// Makes the row of the catalog of a file that has been written, without id and path.
pub(super) fn file_row(
    finished: &Finished,
    archive: u64,
    member: usize,
    kind: FileKind,
) -> FileRow {
    FileRow {
        id: 0,
        archive,
        member,
        kind,
        path: String::new(),
        rows: finished.rows,
        keys: finished.keys.bounds,
        hash: Some(finished.hash),
        index_hash: Some(finished.index_hash),
    }
}

/// The two files that a file is split into.
struct Halves {
    staying: Half,
    moving: Half,
}

struct Half {
    kind: FileKind,
    path: PathBuf,
    writer: TripsWriter,
}

impl Half {
    fn create(kind: FileKind, system: &SystemId, name: &Path) -> Result<Self, StoreError> {
        let mut path = name.as_os_str().to_owned();
        path.push(format!("-{}.parquet", kind.as_str()));
        let path = PathBuf::from(path);
        let writer = TripsWriter::create(path.clone(), system)?;
        Ok(Self { kind, path, writer })
    }
}

impl Halves {
    fn create(file: &CommitFile, system: &SystemId, name: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            staying: Half::create(file.row.kind, system, name)?,
            moving: Half::create(file.row.kind.other(), system, name)?,
        })
    }

    /// Writes the rows of a row group to either file. Returns those that move.
    fn write(
        &mut self,
        batch: &TripBatch,
        rows: std::ops::Range<u32>,
        file: &CommitFile,
    ) -> Result<TripBatch, StoreError> {
        let in_batch = 0..rows.end - rows.start;
        let (moving, staying): (Vec<u32>, Vec<u32>) =
            in_batch.partition(|row| file.moving.contains(rows.start + row));
        self.staying.writer.write(&batch.select(&staying))?;
        let moving = batch.select(&moving);
        self.moving.writer.write(&moving)?;
        Ok(moving)
    }

    /// Ends both files. Returns those that have rows.
    fn finish(self, file: &CommitFile) -> Result<Vec<StagedFile>, StoreError> {
        let mut files = Vec::new();
        for Half { kind, path, writer } in [self.staying, self.moving] {
            let finished = writer.finish()?;
            if finished.rows > 0 {
                files.push(StagedFile {
                    row: file_row(&finished, file.row.archive, file.row.member, kind),
                    index_path: path.with_extension("index"),
                    path,
                });
            }
        }
        Ok(files)
    }
}
