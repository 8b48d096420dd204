//! The files of a recording, in the order of their times.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use jiff::civil::DateTime;

use super::RecordingError;
use super::name_time::NameTime;
use crate::sources::http::MAX_FEED_BYTES;

/// One file of a recording, or the files of one day.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The file, of a day the one with its first state; or a folder.
    pub(super) path: PathBuf,
    /// The file with the patches of a day.
    pub(super) patches: Option<PathBuf>,
    pub(super) kind: PartKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    Body,
    Day,
    Table,
    UnreadableFolder,
}

impl Part {
    /// Returns the file's name for messages.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Returns the time that the name states.
    pub(super) fn time(&self) -> Option<NameTime> {
        let name = self.path.file_name()?.to_string_lossy();
        NameTime::find(&without_compression(&name))
    }
}

/// The endings of compressed files.
const COMPRESSED: [&str; 2] = [".gz", ".zst"];
/// Lists of the files of a recording begin with this. They are no feeds.
const MANIFEST: &str = "manifest.";

/// Lists the files of a folder and the folders below it. A folder below it that cannot be read is a
/// part of its own.
pub(super) fn list(folder: &Path) -> Result<Vec<Part>, RecordingError> {
    let mut parts = Vec::new();
    collect(folder, &mut parts).map_err(|reason| read_error(folder, reason))?;
    parts.sort_by_cached_key(|part| order(folder, part));
    Ok(parts)
}

fn collect(folder: &Path, parts: &mut Vec<Part>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        // Links to folders are not followed, since they may form a circle.
        if !entry.file_type()?.is_dir() {
            parts.extend(part_of(&path));
        } else if collect(&path, parts).is_err() {
            parts.push(Part {
                path,
                patches: None,
                kind: PartKind::UnreadableFolder,
            });
        }
    }
    Ok(())
}

/// Returns what a file is. `None` for one that is not of a recording, and for one that is the compressed
/// copy of another.
fn part_of(path: &Path) -> Option<Part> {
    let name = path.file_name()?.to_string_lossy();
    let plain = without_compression(&name);
    let first = beside(path, &plain);
    if plain.starts_with(MANIFEST) || first.is_some_and(|first| first != path) {
        return None;
    }
    let part = |path: PathBuf, patches, kind| {
        Some(Part {
            path,
            patches,
            kind,
        })
    };
    if let Some(stem) = plain.strip_suffix(".json") {
        return match beside(path, &format!("{stem}{PATCHES}")) {
            Some(patches) => part(path.into(), Some(patches), PartKind::Day),
            None => part(path.into(), None, PartKind::Body),
        };
    }
    if let Some(stem) = plain.strip_suffix(PATCHES) {
        // With its first state it is found by that one's name. Without it the day is passed as an error.
        let first = format!("{stem}.json");
        return match beside(path, &first) {
            Some(_) => None,
            None => part(path.with_file_name(first), Some(path.into()), PartKind::Day),
        };
    }
    match plain.ends_with(".csv") {
        true => part(path.into(), None, PartKind::Table),
        false => None,
    }
}

/// The ending of the patches of a day.
const PATCHES: &str = ".patches";

fn without_compression(name: &str) -> String {
    let plain = COMPRESSED
        .iter()
        .find_map(|ending| name.strip_suffix(ending));
    plain.unwrap_or(name).to_owned()
}

/// Returns the file of a name in the folder of `path`: as it is, or else compressed.
fn beside(path: &Path, name: &str) -> Option<PathBuf> {
    let names = std::iter::once(name.to_owned())
        .chain(COMPRESSED.iter().map(|ending| format!("{name}{ending}")));
    names
        .map(|name| path.with_file_name(name))
        .find(|path| path.exists())
}

/// A part of a name for natural ordering: `status2` is before `status10`.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Number(u64),
    Text(String),
}

/// What files are sorted by.
type Order = (bool, Option<DateTime>, Vec<Piece>, bool, PathBuf);

/// Returns what files are sorted by: the time in the name, or the date where it states no clock time, files
/// without either last; then the folders and the name in natural order. Information is before a status of the same name,
/// since a status has no positions.
fn order(folder: &Path, part: &Part) -> Order {
    let relative = part.path.strip_prefix(folder).unwrap_or(&part.path);
    let name = part.path.file_name().and_then(OsStr::to_str);
    let is_status = name.is_some_and(|name| name.contains("status"));
    let path = relative.to_string_lossy();
    let path = path
        .replace("station_status", "")
        .replace("station_information", "");
    let time = part.time().map(NameTime::earliest);
    (
        time.is_none(),
        time,
        pieces(&path),
        is_status,
        relative.into(),
    )
}

fn pieces(name: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_digit = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_digit);
        let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
        let number = if is_digit { piece.parse().ok() } else { None };
        pieces.push(number.map_or_else(|| Piece::Text(piece.into()), Piece::Number));
        rest = after;
    }
    pieces
}

/// Reads a whole file, uncompressed.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, RecordingError> {
    let mut bytes = Vec::new();
    let mut limited = open(path)?.take(MAX_FEED_BYTES + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|reason| read_error(path, reason))?;
    if bytes.len() as u64 > MAX_FEED_BYTES {
        return Err(RecordingError::TooLarge {
            file: path.display().to_string(),
            limit: MAX_FEED_BYTES,
        });
    }
    Ok(bytes)
}

/// Opens a file, uncompressed.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead>, RecordingError> {
    let file = File::open(path).map_err(|reason| read_error(path, reason))?;
    let file = BufReader::with_capacity(1 << 16, file);
    Ok(match path.extension().and_then(OsStr::to_str) {
        Some("gz") => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        Some("zst") => {
            let inflated = zstd::Decoder::with_buffer(file);
            Box::new(BufReader::new(
                inflated.map_err(|reason| read_error(path, reason))?,
            ))
        }
        _ => Box::new(file),
    })
}

pub(super) fn read_error(path: &Path, reason: io::Error) -> RecordingError {
    RecordingError::Read {
        file: path.display().to_string(),
        reason,
    }
}

/// Returns why a folder cannot be listed.
pub(super) fn list_error(path: &Path) -> RecordingError {
    let failed = fs::read_dir(path).and_then(|mut entries| entries.try_for_each(|e| e.map(drop)));
    let reason = failed.err();
    read_error(
        path,
        reason.unwrap_or_else(|| io::Error::other("it could not be listed")),
    )
}
