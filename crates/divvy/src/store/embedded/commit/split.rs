//! Splits a file into the rows that stay and those that move to a file of the other kind.

use std::path::{Path, PathBuf};

use super::tally_changes::TallyChanges;
use crate::issue::{Reason, RejectSink, Rejected};
use crate::model::TripBatch;
use crate::store::StoreError;
use crate::store::embedded::catalog::FileKind;
use crate::store::embedded::duplicates::{CommitFile, FileOrigin};
use crate::store::embedded::index::Index;
use crate::store::embedded::trips_file::{FileHashes, TripsFile, TripsWriter};

/// A file that is complete, in staging.
pub(super) struct StagedFile {
    pub(super) archive: u64,
    pub(super) member: usize,
    pub(super) kind: FileKind,
    pub(super) path: PathBuf,
    pub(super) index_path: PathBuf,
    pub(super) rows: u64,
    pub(super) keys: (u64, u64),
    pub(super) hashes: FileHashes,
}

impl StagedFile {
    /// Makes that of a whole file of an archive that is added.
    pub(super) fn of(file: &CommitFile, hashes: FileHashes) -> Self {
        Self {
            archive: file.archive,
            member: file.member,
            kind: file.kind,
            path: file.path.clone(),
            index_path: file.index_path.clone(),
            rows: file.rows,
            keys: file.keys,
            hashes,
        }
    }
}

/// Splits a file, and counts the rows that move. Duplicates are passed to `rejects`.
///
/// `name` is the path of the new files, without kind and extension. A staged file of which all rows
/// move is not written again.
pub(super) fn split(
    file: &CommitFile,
    name: &Path,
    tallies: &mut TallyChanges,
    rejects: &dyn RejectSink,
) -> Result<Vec<StagedFile>, StoreError> {
    let members = &tallies.archives[&file.archive].row.members;
    let member = members.get(file.member).cloned().unwrap_or_default();
    let index = Index::open(&file.index_path)?;
    let trips = TripsFile::open(&file.path)?;
    let whole = match file.origin {
        FileOrigin::Staged(hashes) if file.moving.len() == file.rows => Some(hashes),
        _ => None,
    };
    let mut halves = match whole {
        Some(_) => None,
        None => Some(Halves::create(file, name)?),
    };
    for (group, rows) in trips.groups().into_iter().enumerate() {
        let mut batch = trips.read(group)?;
        batch.line = index.lines(rows.clone())?;
        let moving = match &mut halves {
            Some(halves) => halves.write(&batch, rows, file)?,
            None => batch,
        };
        tallies.count_moved(file, &moving);
        if file.kind == FileKind::Trips {
            for row in 0..moving.len() {
                rejects.reject(Rejected {
                    file: member.clone(),
                    line: moving.line[row],
                    column: String::new(),
                    reason: Reason::Duplicate,
                    expected: "a trip that no other row tells better".into(),
                    found: moving.id(row).into(),
                });
            }
        }
    }
    if let Some(hashes) = whole {
        return Ok(vec![StagedFile {
            kind: file.kind.other(),
            ..StagedFile::of(file, hashes)
        }]);
    }
    halves.map_or(Ok(Vec::new()), |halves| halves.finish(file))
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
    fn create(kind: FileKind, name: &Path) -> Result<Self, StoreError> {
        let mut path = name.as_os_str().to_owned();
        path.push(format!("-{}.parquet", kind.as_str()));
        let path = PathBuf::from(path);
        let writer = TripsWriter::create(path.clone())?;
        Ok(Self { kind, path, writer })
    }
}

impl Halves {
    fn create(file: &CommitFile, name: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            staying: Half::create(file.kind, name)?,
            moving: Half::create(file.kind.other(), name)?,
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
                    archive: file.archive,
                    member: file.member,
                    kind,
                    index_path: path.with_extension("index"),
                    path,
                    rows: finished.rows,
                    keys: finished.keys.bounds,
                    hashes: finished.hashes,
                });
            }
        }
        Ok(files)
    }
}
