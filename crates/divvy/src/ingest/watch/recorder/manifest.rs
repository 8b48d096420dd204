//! The manifest of a recording: one line a request, as JSON.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One line of the manifest. `None` becomes null.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    /// The file with the body, from the folder of the manifest; that of an earlier request where the
    /// body was the same.
    pub(super) file: Option<String>,
    pub(super) feed: String,
    pub(super) url: String,
    pub(super) fetched_at: Timestamp,
    pub(super) status: Option<u16>,
    pub(super) etag: Option<String>,
    /// The length of the body, uncompressed.
    pub(super) bytes: Option<u64>,
    /// The XXH3-128 of the body, uncompressed, in 32 hexadecimal digits.
    pub(super) xxh3_128: Option<String>,
    /// Why there is no body, or why it is no feed.
    pub(super) error: Option<String>,
}

/// What a body is compared with: the last one of the same system and feed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series {
    pub(super) folder: String,
    pub(super) feed: String,
    pub(super) is_readable: bool,
}

/// The last body of a series.
#[derive(Clone, Debug)]
pub(super) struct LastBody {
    pub(super) xxh3_128: String,
    pub(super) file: String,
}

/// Opens the manifest, without a last line that a killed process has not finished. Returns the last body
/// of each series.
pub(super) fn open(path: &Path, root: &Path) -> io::Result<(File, BTreeMap<Series, LastBody>)> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    let mut manifest = options.open(path)?;
    let mut last = BTreeMap::new();
    let mut whole_bytes = 0;
    let mut reader = BufReader::new(&manifest);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        if line.last() != Some(&b'\n') {
            break;
        }
        whole_bytes += line.len() as u64;
        // Lines that another program has added are not about bodies.
        let parsed = serde_json::from_slice::<Line>(&line).ok();
        last.extend(parsed.and_then(last_body));
        line.clear();
    }
    manifest.set_len(whole_bytes)?;
    manifest.seek(SeekFrom::End(0))?;
    last.retain(|_, body: &mut LastBody| root.join(&body.file).exists());
    Ok((manifest, last))
}

fn last_body(line: Line) -> Option<(Series, LastBody)> {
    let (file, xxh3_128) = line.file.zip(line.xxh3_128)?;
    let series = Series {
        folder: file.split('/').next()?.into(),
        feed: line.feed,
        is_readable: line.error.is_none(),
    };
    Some((series, LastBody { xxh3_128, file }))
}

/// Appends whole lines: what cannot be written whole is removed.
pub(super) fn append(manifest: &mut File, lines: &[u8]) -> io::Result<()> {
    let before = manifest.stream_position()?;
    let written = manifest
        .write_all(lines)
        .and_then(|()| manifest.sync_data());
    if written.is_err() {
        let _ = manifest.set_len(before);
        let _ = manifest.seek(SeekFrom::Start(before));
    }
    written
}
