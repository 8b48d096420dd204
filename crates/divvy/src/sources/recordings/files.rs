//! The files of a recording, in the order of their times.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use jiff::civil::{Date, DateTime};

use super::RecordingError;
use crate::sources::http::MAX_FEED_BYTES;

/// One file of a recording, or the files of one day.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The file; of a day the one with its first state.
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
}

/// The endings of compressed files.
const COMPRESSED: [&str; 2] = [".gz", ".zst"];

impl Part {
    /// Returns the file's name for messages.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Returns the date that the name states, as `2013-10-01`, `20131001` or `2013_10_01`.
    pub(super) fn date(&self) -> Option<Date> {
        Some(self.time()?.date())
    }

    /// Returns the time that the name states: to the day, the minute or the second.
    pub(super) fn time(&self) -> Option<DateTime> {
        let name = self.path.file_name()?.to_string_lossy();
        let digits = time_digits(&without_compression(&name))?;
        let number = |from: usize, until: usize| digits.get(from..until)?.parse::<i16>().ok();
        let part = |from: usize| number(from, from + 2).unwrap_or(0) as i8;
        DateTime::new(
            number(0, 4)?,
            part(4),
            part(6),
            part(8),
            part(10),
            part(12),
            0,
        )
        .ok()
    }
}

/// Returns the digits of the first time in a name, from the year on, in 24 hours. `None` without one.
fn time_digits(name: &str) -> Option<String> {
    let is_separator = |c: char| matches!(c, '-' | '_' | 'T' | ':' | ' ');
    let starts = name.char_indices().filter(|(at, c)| {
        let before = name[..*at].chars().next_back();
        c.is_ascii_digit() && !before.is_some_and(|before| before.is_ascii_digit())
    });
    for (start, _) in starts {
        let rest = &name[start..];
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && !is_separator(c))
            .unwrap_or(rest.len());
        let mut digits: String = rest[..end].chars().filter(char::is_ascii_digit).collect();
        let year = digits.get(..4).and_then(|year| year.parse::<u32>().ok());
        if digits.len() < 8 || !year.is_some_and(|year| (2000..2100).contains(&year)) {
            continue;
        }
        digits.truncate(14);
        if let Some(hour) = digits.get(8..10).and_then(|hour| hour.parse::<u32>().ok()) {
            let hour = match rest[end..].get(..2) {
                Some("AM") => hour % 12,
                Some("PM") => hour % 12 + 12,
                _ => hour,
            };
            digits.replace_range(8..10, &format!("{hour:02}"));
        }
        return Some(digits);
    }
    None
}

/// Lists the files of a folder and the folders below it.
pub(super) fn list(folder: &Path) -> Result<Vec<Part>, RecordingError> {
    let mut paths = Vec::new();
    collect(folder, &mut paths).map_err(|reason| read_error(folder, reason))?;
    let mut parts: Vec<Part> = paths.iter().filter_map(|path| part_of(path)).collect();
    parts.sort_by_cached_key(|part| order(folder, part));
    Ok(parts)
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // Links to folders are not followed, since they may form a circle.
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), paths)?;
        } else {
            paths.push(entry.path());
        }
    }
    Ok(())
}

/// Returns what a file is. `None` for one that is not of a recording.
fn part_of(path: &Path) -> Option<Part> {
    let name = path.file_name()?.to_string_lossy();
    let name = without_compression(&name);
    let (kind, patches) = if let Some(stem) = name.strip_suffix(".json") {
        let patches = patches_beside(path, stem);
        let kind = match patches {
            Some(_) => PartKind::Day,
            None => PartKind::Body,
        };
        (kind, patches)
    } else if name.ends_with(".csv") {
        (PartKind::Table, None)
    } else {
        return None;
    };
    Some(Part {
        path: path.into(),
        patches,
        kind,
    })
}

fn without_compression(name: &str) -> String {
    let plain = COMPRESSED
        .iter()
        .find_map(|ending| name.strip_suffix(ending));
    plain.unwrap_or(name).to_owned()
}

fn patches_beside(path: &Path, stem: &str) -> Option<PathBuf> {
    let plain = path.with_file_name(format!("{stem}.patches"));
    let compressed = COMPRESSED
        .iter()
        .map(|ending| path.with_file_name(format!("{stem}.patches{ending}")));
    std::iter::once(plain)
        .chain(compressed)
        .find(|path| path.exists())
}

/// A part of a name in the order of people: `status2` is before `status10`.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Number(u64),
    Text(String),
}

/// Returns what files are sorted by: the time in the name, else the folders and the name in natural
/// order. Information is before a status of the same time, since a status has no positions.
fn order(folder: &Path, part: &Part) -> (Vec<Piece>, bool) {
    let relative = part.path.strip_prefix(folder).unwrap_or(&part.path);
    let is_status = part.path.file_name().and_then(OsStr::to_str);
    let is_status = is_status.is_some_and(|name| name.contains("status"));
    let pieces = match part.time() {
        Some(time) => vec![Piece::Text(time.to_string())],
        None => {
            let path = relative.to_string_lossy();
            pieces(
                &path
                    .replace("station_status", "")
                    .replace("station_information", ""),
            )
        }
    };
    (pieces, is_status)
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
