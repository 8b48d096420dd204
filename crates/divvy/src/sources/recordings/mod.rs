//! Recorded station feeds: one snapshot after another, the oldest first.
//!
//! ```text
//!  files    folder → Parts, in the order of their times, by names and endings;  name_time
//!  bodies   one file, one body of the feed, as the publisher sent it
//!  days     the first state of a day and a JSON patch (RFC 6902) a line for the minutes after it
//!  tables   one file, one `station_status` as a table (CSV)
//! ```
//!
//! Files are read one at a time. Of a day the present state is held in memory, as the document and as the
//! feed read from it, and one line of patches. Every file may be compressed with
//! gzip (`.gz`) or Zstandard (`.zst`).

mod days;
mod error;
mod files;
mod name_time;
mod tables;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

pub use error::RecordingError;

use crate::sources::station_feed::{self, Document, Feed};
use files::{Part, PartKind};

/// The recorded feeds of a folder and the folders below it.
///
/// Bodies are files such as `station_status_20220808T002342Z.json`, one feed each. The files of a
/// day are `2013-10-01.json`, its first state, and `2013-10-01.patches`, a JSON patch a line. Tables
/// are files such as `station_status_2024_01_01_0107PM.csv`.
#[derive(Clone, Debug)]
pub struct Recording {
    folder: PathBuf,
    parts: Vec<Part>,
}

/// One recorded snapshot, or why it cannot be read.
#[derive(Debug)]
pub struct Recorded {
    /// The file that it comes from.
    pub file: String,
    /// The line of the file, from 1. `None` where the whole file is one snapshot.
    pub line: Option<usize>,
    /// The feeds of the snapshot: `station_status`, `station_information` or `stationBeanList`.
    pub feeds: Result<Vec<Feed>, RecordingError>,
}

impl Recording {
    /// Lists the files of a recording. None of them is read yet.
    ///
    /// # Errors
    ///
    /// [`RecordingError::Read`] where the folder cannot be listed; one in it that cannot is passed as an
    /// error by [`Self::visit`]. [`RecordingError::Nothing`] where it
    /// has no file with the ending of a recording.
    pub fn open(folder: &Path) -> Result<Self, RecordingError> {
        let parts = files::list(folder)?;
        if parts.is_empty() {
            return Err(RecordingError::Nothing {
                folder: folder.display().to_string(),
            });
        }
        Ok(Self {
            folder: folder.into(),
            parts,
        })
    }

    /// Leaves out the files whose names have dates before `first` or after `last`. Files without a
    /// date in their names stay. Names may have dates of UTC or of the system: both days beside the
    /// period belong to it.
    ///
    /// # Errors
    ///
    /// [`RecordingError::NothingBetween`] where no file is left.
    pub fn between(mut self, first: Date, last: Date) -> Result<Self, RecordingError> {
        let days = first.yesterday().unwrap_or(first)..=last.tomorrow().unwrap_or(last);
        self.parts.retain(|part| {
            let time = part.time();
            time.is_none_or(|time| days.contains(&time.date))
        });
        if self.parts.is_empty() {
            return Err(RecordingError::NothingBetween {
                folder: self.folder.display().to_string(),
                first,
                last,
            });
        }
        Ok(self)
    }

    /// Returns how many files the recording has: those of a day are one.
    pub fn files(&self) -> usize {
        self.parts.len()
    }

    /// Passes every snapshot to `visitor`, the oldest first, until it breaks. A file that cannot be
    /// read is passed as an error, and the files after it are read. Files of GBFS without stations,
    /// such as `system_alerts`, are left out.
    pub fn visit<B>(&self, mut visitor: impl FnMut(Recorded) -> ControlFlow<B>) -> ControlFlow<B> {
        let mut vehicle_types = None;
        for part in &self.parts {
            let mut pass = |mut recorded: Recorded| {
                if let (Ok(feeds), Some(types)) = (&mut recorded.feeds, &vehicle_types) {
                    feeds
                        .iter_mut()
                        .for_each(|feed| feed.set_vehicle_types(types));
                }
                visitor(recorded)
            };
            match part.kind {
                PartKind::Day => days::visit(part, &mut pass)?,
                PartKind::UnreadableFolder => {
                    pass(part.recorded(Err(files::list_error(&part.path))))?
                }
                PartKind::Table => pass(part.recorded(tables::read(part)))?,
                PartKind::Body => match read_body(part) {
                    Ok(Some(Document::Feed(feed))) => pass(part.recorded(Ok(feed)))?,
                    Ok(Some(Document::VehicleTypes(types))) => vehicle_types = Some(types),
                    Ok(Some(Document::Discovery(_)) | None) => {}
                    Err(error) => pass(part.recorded(Err(error)))?,
                },
            }
        }
        ControlFlow::Continue(())
    }
}

/// Reads one body. `None` for a file of GBFS without stations.
fn read_body(part: &Part) -> Result<Option<Document>, RecordingError> {
    let bytes = files::read(&part.path)?;
    match station_feed::read(&bytes, &part.name()) {
        Ok(document) => Ok(Some(document)),
        Err(error) if error.is_other_feed() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Part {
    fn recorded(&self, feed: Result<Feed, RecordingError>) -> Recorded {
        Recorded {
            file: self.name(),
            line: None,
            feeds: feed.map(|feed| vec![feed]),
        }
    }
}

#[cfg(test)]
mod tests;
