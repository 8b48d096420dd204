//! Recordings: the bodies of feeds as they came, in a folder with a manifest.
//!
//! ```text
//! DIR/manifest.ndjson                                              one line a request
//! DIR/divvy/2022-08-08/station_status_20220808T002342Z.json.zst    one file a body, names sort by time
//! ```
//!
//! A body that is the last one of its feed is not written again: its line names the file of before. A
//! body that cannot be read as a feed is kept with the ending `.unreadable.zst`, which readers of
//! recordings leave out.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tempfile::{Builder, NamedTempFile};

use super::request::{Content, Exchange};

/// The name of the manifest.
const MANIFEST: &str = "manifest.ndjson";

/// The file whose lock is held while a recording goes on.
const LOCK: &str = ".lock";

/// How names begin and end of files that are being written.
const PARTIAL: (&str, &str) = (".recording-", ".tmp");

/// The level of compression: a body is written once a minute, and read rarely.
const LEVEL: i32 = 9;

/// How many bodies of a feed may be fetched in the same second.
const MAX_SAME_SECOND: u32 = 100;

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file or folder cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The path.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// Another process records into the folder.
    #[error("another process records into {path}: name another folder")]
    InUse {
        /// The folder.
        path: String,
    },
}

fn write_error(path: &Path) -> impl Fn(io::Error) -> RecordError {
    move |source| RecordError::Write {
        path: path.display().to_string(),
        source,
    }
}

/// One line of the manifest. `None` becomes null.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    /// The file with the body, from the folder of the manifest; that of an earlier request where the
    /// body was the same.
    file: Option<String>,
    feed: String,
    url: String,
    fetched_at: Timestamp,
    status: Option<u16>,
    etag: Option<String>,
    /// The length of the body, uncompressed.
    bytes: Option<u64>,
    /// The XXH3-128 of the body, uncompressed, in 32 hexadecimal digits.
    xxh3_128: Option<String>,
    /// Why there is no body, or why it is no feed.
    error: Option<String>,
}

/// What a body is compared with: the last one of the same system and feed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    folder: String,
    feed: String,
    is_readable: bool,
}

/// The last body of a series.
#[derive(Clone, Debug)]
struct LastBody {
    xxh3_128: String,
    file: String,
}

/// Writes a recording.
pub struct Recorder {
    root: PathBuf,
    manifest: File,
    last: BTreeMap<Series, LastBody>,
    _lock: File,
}

impl Recorder {
    /// Opens a folder to record into, and makes it if there is none. Removes what a killed process has
    /// left unfinished.
    ///
    /// # Errors
    ///
    /// [`RecordError`].
    pub fn open(root: &Path) -> Result<Self, RecordError> {
        fs::create_dir_all(root).map_err(write_error(root))?;
        let lock = lock(root)?;
        remove_partial_files(root).map_err(write_error(root))?;
        let path = root.join(MANIFEST);
        let (manifest, last) = open_manifest(&path, root).map_err(write_error(&path))?;
        Ok(Self {
            root: root.into(),
            manifest,
            last,
            _lock: lock,
        })
    }

    /// Writes the bodies of a poll, then their lines of the manifest. `system` is the id of the system,
    /// or its address. When it returns, all is on the disk.
    ///
    /// # Errors
    ///
    /// [`RecordError::Write`]; no file has a part of a body, and the manifest has whole lines only.
    pub fn record(&mut self, system: &str, exchanges: &[Exchange]) -> Result<(), RecordError> {
        if exchanges.is_empty() {
            return Ok(());
        }
        let folder = folder_name(system);
        let mut lines = Vec::new();
        for exchange in exchanges {
            let line = self.record_one(&folder, exchange)?;
            serde_json::to_writer(&mut lines, &line)
                .map_err(|error| write_error(&self.root.join(MANIFEST))(error.into()))?;
            lines.push(b'\n');
        }
        let path = self.root.join(MANIFEST);
        append(&mut self.manifest, &lines).map_err(write_error(&path))
    }

    fn record_one(&mut self, folder: &str, exchange: &Exchange) -> Result<Line, RecordError> {
        let mut line = Line {
            file: None,
            feed: exchange.feed.into(),
            url: exchange.url.clone(),
            fetched_at: exchange.fetched_at,
            status: exchange.status,
            etag: None,
            bytes: None,
            xxh3_128: None,
            error: None,
        };
        let mut series = Series {
            folder: folder.into(),
            feed: exchange.feed.into(),
            is_readable: true,
        };
        match &exchange.content {
            Content::Failed(reason) => line.error = Some(reason.clone()),
            Content::NotModified => {
                line.file = self.last.get(&series).map(|last| last.file.clone());
            }
            Content::Body {
                bytes,
                hash,
                etag,
                fault,
            } => {
                series.is_readable = fault.is_none();
                line.bytes = Some(bytes.len() as u64);
                line.etag.clone_from(etag);
                line.error.clone_from(fault);
                let hash = hash.to_string();
                let last = self.last.get(&series);
                let file = match last.filter(|last| last.xxh3_128 == hash) {
                    Some(last) => last.file.clone(),
                    None => self.write_body(&series, exchange.fetched_at, bytes)?,
                };
                line.file = Some(file.clone());
                line.xxh3_128 = Some(hash.clone());
                let body = LastBody {
                    xxh3_128: hash,
                    file,
                };
                self.last.insert(series, body);
            }
        }
        Ok(line)
    }

    /// Writes a body under a name that no file has. Returns its path from the root.
    fn write_body(
        &self,
        series: &Series,
        at: Timestamp,
        bytes: &[u8],
    ) -> Result<String, RecordError> {
        let folder = format!("{}/{}", series.folder, at.strftime("%Y-%m-%d"));
        let stem = format!("{}_{}", series.feed, at.strftime("%Y%m%dT%H%M%SZ"));
        let ending = if series.is_readable {
            "json"
        } else {
            "unreadable"
        };
        let path = self.root.join(&folder);
        let write = || -> io::Result<String> {
            make_folder(&self.root, &folder)?;
            let mut written = self.write_partial(bytes)?;
            for number in 1..=MAX_SAME_SECOND {
                let name = match number {
                    1 => format!("{stem}.{ending}.zst"),
                    _ => format!("{stem}_{number}.{ending}.zst"),
                };
                match written.persist_noclobber(path.join(&name)) {
                    Ok(_) => {
                        sync_folder(&path)?;
                        return Ok(format!("{folder}/{name}"));
                    }
                    Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                        written = error.file;
                    }
                    Err(error) => return Err(error.error),
                }
            }
            Err(io::ErrorKind::AlreadyExists.into())
        };
        write().map_err(write_error(&path))
    }

    /// Writes a body to the disk, under a name that is not final.
    fn write_partial(&self, bytes: &[u8]) -> io::Result<NamedTempFile> {
        let (begin, end) = PARTIAL;
        let mut builder = Builder::new();
        builder.prefix(begin).suffix(end);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As other files: temporary ones are for their owner alone.
            builder.permissions(fs::Permissions::from_mode(0o644));
        }
        let mut file = builder.tempfile_in(&self.root)?;
        let mut encoder = zstd::Encoder::new(file.as_file_mut(), LEVEL)?;
        encoder.include_checksum(true)?;
        encoder.write_all(bytes)?;
        encoder.finish()?;
        file.as_file().sync_all()?;
        Ok(file)
    }
}

fn lock(root: &Path) -> Result<File, RecordError> {
    let path = root.join(LOCK);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let file = options.open(&path).map_err(write_error(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RecordError::InUse {
            path: root.display().to_string(),
        }),
        Err(TryLockError::Error(source)) => Err(write_error(&path)(source)),
    }
}

/// Removes the files that a killed process was writing.
fn remove_partial_files(root: &Path) -> io::Result<()> {
    let (begin, end) = PARTIAL;
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(begin) && name.ends_with(end) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Opens the manifest, without a last line that a killed process has not finished. Returns the last body
/// of each series.
fn open_manifest(path: &Path, root: &Path) -> io::Result<(File, BTreeMap<Series, LastBody>)> {
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
        // Lines that another program has added say nothing about bodies.
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
fn append(manifest: &mut File, lines: &[u8]) -> io::Result<()> {
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

/// Makes a folder of a system and a day, so that it is there after a loss of power.
fn make_folder(root: &Path, folder: &str) -> io::Result<()> {
    let path = root.join(folder);
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(&path)?;
    path.parent().map_or(Ok(()), sync_folder)?;
    sync_folder(root)
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns a name of a folder for a system: its id; of an address the letters, digits and dots.
fn folder_name(system: &str) -> String {
    const MAX_LENGTH: usize = 100;
    let address = system.split("://").last().unwrap_or(system);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let name: String = address
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .take(MAX_LENGTH)
        .collect();
    // Names that begin with a dot are hidden, and two dots are another folder.
    let name = name.trim_start_matches('.');
    if name.is_empty() {
        "system".into()
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ContentHash;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_659_918_222 + second).unwrap()
    }

    fn body(second: i64, text: &str, fault: Option<&str>) -> Exchange {
        Exchange {
            feed: "station_status",
            url: "http://host.example/ss.json".into(),
            fetched_at: at(second),
            status: Some(200),
            content: Content::Body {
                bytes: text.into(),
                hash: ContentHash(xxhash_rust::xxh3::xxh3_128(text.as_bytes())),
                etag: Some("\"1\"".into()),
                fault: fault.map(str::to_owned),
            },
        }
    }

    fn failed(second: i64) -> Exchange {
        Exchange {
            status: None,
            content: Content::Failed("no answer".into()),
            ..body(second, "", None)
        }
    }

    fn manifest(root: &Path) -> String {
        fs::read_to_string(root.join(MANIFEST)).unwrap()
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn bodies_are_written_once_and_every_request_has_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut recorder = Recorder::open(root).unwrap();
        recorder
            .record("divvy", &[body(0, "{\"a\":1}", None)])
            .unwrap();
        recorder
            .record("divvy", &[body(60, "{\"a\":1}", None), failed(60)])
            .unwrap();
        recorder
            .record("divvy", &[body(120, "<html>", Some("a web page"))])
            .unwrap();
        let again = Exchange {
            status: Some(304),
            content: Content::NotModified,
            ..body(180, "", None)
        };
        recorder.record("divvy", &[again]).unwrap();
        insta::assert_snapshot!(manifest(root));
        let day = root.join("divvy/2022-08-08");
        assert_eq!(
            files(&day),
            [
                "station_status_20220808T002342Z.json.zst",
                "station_status_20220808T002542Z.unreadable.zst"
            ]
        );
        let file = File::open(day.join("station_status_20220808T002342Z.json.zst")).unwrap();
        assert_eq!(zstd::decode_all(file).unwrap(), b"{\"a\":1}");
    }

    #[test]
    fn a_recording_goes_on_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut recorder = Recorder::open(root).unwrap();
        recorder
            .record("divvy", &[body(0, "{\"a\":1}", None)])
            .unwrap();
        assert!(matches!(
            Recorder::open(root),
            Err(RecordError::InUse { .. })
        ));
        drop(recorder);
        let whole = manifest(root);
        fs::write(root.join(MANIFEST), format!("{whole}{{\"file\":\"div")).unwrap();
        fs::write(root.join(".recording-x1.tmp"), "a part").unwrap();
        let mut recorder = Recorder::open(root).unwrap();
        assert_eq!(manifest(root), whole);
        recorder
            .record("divvy", &[body(60, "{\"a\":1}", None)])
            .unwrap();
        recorder
            .record("divvy", &[body(60, "{\"a\":2}", None)])
            .unwrap();
        recorder
            .record("divvy", &[body(60, "{\"a\":3}", None)])
            .unwrap();
        assert_eq!(files(root), [".lock", "divvy", MANIFEST]);
        assert_eq!(
            files(&root.join("divvy/2022-08-08")),
            [
                "station_status_20220808T002342Z.json.zst",
                "station_status_20220808T002442Z.json.zst",
                "station_status_20220808T002442Z_2.json.zst"
            ]
        );
        assert_eq!(manifest(root).lines().count(), 4);
    }

    #[test]
    fn addresses_are_names_of_folders() {
        let names = [
            "divvy",
            "https://h.example:81/a/gbfs.json?k=1",
            "../..",
            "http://",
        ];
        let expected = ["divvy", "h.example_81_a_gbfs.json_k_1", "_..", "system"];
        assert_eq!(names.map(folder_name), expected);
    }
}
