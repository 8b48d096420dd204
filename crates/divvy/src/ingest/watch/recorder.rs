//! Recordings: the bodies of feeds as they came, in a folder with a manifest.
//!
//! ```text
//! DIR/manifest.ndjson                                              one line a request
//! DIR/divvy/2022-08-08/station_status_20220808T002342Z.json.zst    one file a body, names sort by time
//! ```
//!
//! A body that is the last one of its feed is not written again: its line names the previous file. A
//! body that cannot be read as a feed is kept with the ending `.unreadable.zst`, which readers of
//! recordings leave out.

mod manifest;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tempfile::{Builder, NamedTempFile};

use self::manifest::{LastBody, Line, Series};
use super::request::{Content, Exchange};

/// The name of the manifest of a recording.
pub const MANIFEST: &str = "manifest.ndjson";

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
        let (manifest, last) = manifest::open(&path, root).map_err(write_error(&path))?;
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
        manifest::append(&mut self.manifest, &lines).map_err(write_error(&path))
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
mod tests;
