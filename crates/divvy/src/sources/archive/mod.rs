//! Archives as published: a zip, a CSV file, or a CSV file packed with gzip.
//!
//! ```text
//!  Archive::open     hash (source) → first bytes (sniff) → zip (zip): members, each sniffed
//!                    └ a zip in it: unpacked to a temporary file, its members are the archive's
//!  Archive::read     the same bytes (source) → inflate → length and checksum (checked) → UTF-8
//! ```
//!
//! Archives are recognised by their bytes, not by their names. Only zips that lie in other archives
//! are unpacked to disk, and only some buffers are held in memory, even for zip bombs. Whether a member holds trips or a station
//! list is decided by their readers.

mod checked;
mod expand;
mod source;
mod zip;
mod zip_directory;

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::sniff::{self, FileKind, HEAD_BYTES, Unsupported};
use super::text::Encoding;
use crate::issue::Skipped;
use checked::Checked;
pub use checked::Damage;
pub use expand::{Found, FoundKind, expand};
pub use source::Changed;
use source::{Source, Verified};
use zip_directory::PackedMember;

/// Bytes read from a file at a time.
const READ_BYTES: usize = 512 * 1024;

/// A file as published, with the members that may hold trips or stations.
#[derive(Debug)]
pub struct Archive {
    source: Source,
    name: String,
    form: Form,
    members: Vec<Member>,
    left_out: Vec<LeftOut>,
    comment: String,
}

/// How the members are packed.
#[derive(Debug)]
enum Form {
    /// The file itself is the only member.
    Plain,
    /// The only member is the unpacked file.
    Gzip,
    /// By member.
    Zip(Vec<PackedMember>),
}

/// A table inside an archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name, with the folders it has in the archive.
    pub name: String,
    /// How many bytes [`Archive::read`] returns. `None` where that is not known: for gzip, which does
    /// not state it, and for texts that are decoded.
    pub size_bytes: Option<u64>,
    /// The encoding of its text. [`Archive::read`] decodes UTF-16.
    pub encoding: Encoding,
}

/// A member that is not read.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    /// Its name, with the folders it has in the archive.
    pub name: String,
    /// Its kind in a word or two: `readme`, `workbook`, `picture`, `macOS leftover`.
    pub word: &'static str,
    /// What it is, where it may be a table. `None` for files without data: readmes, leftovers.
    pub table: Option<&'static Unsupported>,
}

impl LeftOut {
    /// Returns the entry of `skipped` for a member that may be a table. `None` for other members.
    pub fn skipped(&self) -> Option<Skipped> {
        self.table.map(|kind| Skipped {
            member: self.name.clone(),
            why: kind.what.into(),
            what_to_do: kind.advice.into(),
        })
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.word)?;
        self.table
            .map_or(Ok(()), |kind| write!(f, ": {}", kind.advice))
    }
}

/// Why an archive cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Opening or reading the file failed.
    #[error("{file} cannot be read: {source}")]
    Open {
        /// The file.
        file: String,
        /// The cause.
        source: io::Error,
    },
    /// A pipe or device, which cannot be read several times.
    #[error("{file} is not a regular file: save it to disk and load it from there")]
    NotAFile {
        /// The file.
        file: String,
    },
    /// A folder without archives.
    #[error(
        "{folder} holds no archives: no *.zip, *.csv or *.csv.gz in it or the folders below{skipped}"
    )]
    NoArchives {
        /// The folder.
        folder: String,
        /// Other files that may be tables, each with `; ` before it.
        skipped: String,
    },
    /// A file of another kind.
    #[error("{file} is {}{}: {}", .kind.what, quoted(.words), .kind.advice)]
    Unsupported {
        /// The file.
        file: String,
        /// Its kind.
        kind: &'static Unsupported,
        /// The first words of a web page. Empty for other kinds.
        words: String,
    },
    /// A zip whose directory cannot be read.
    #[error("{file} is a damaged or incomplete zip ({detail}): download it again")]
    BrokenZip {
        /// The file.
        file: String,
        /// What is broken.
        detail: String,
    },
    /// A zip with features that are not supported.
    #[error("{file} is a zip of a rare kind ({detail}): unpack it and load the CSV files")]
    StrangeZip {
        /// The file.
        file: String,
        /// The feature.
        detail: String,
    },
    /// Encrypted members.
    #[error("{file} is protected by a password ({member}): unpack it and load the CSV files")]
    Password {
        /// The file.
        file: String,
        /// The member.
        member: String,
    },
    /// A compression method that is not supported.
    #[error(
        "{file} packs {member} by {method}, which is not supported: unpack it and load the CSV files"
    )]
    Method {
        /// The file.
        file: String,
        /// The member.
        member: String,
        /// Its method.
        method: String,
    },
    /// Two members that share bytes, as in no zip of data.
    #[error(
        "{file} has members that lie over one another ({member}): it is damaged, or a zip bomb"
    )]
    Overlap {
        /// The file.
        file: String,
        /// The second of the two.
        member: String,
    },
    /// More members than are read.
    #[error(
        "{file} holds {members} files, more than the {max} that are read from one archive: unpack it \
         and load the folder"
    )]
    TooManyMembers {
        /// The file.
        file: String,
        /// How many it holds.
        members: usize,
        /// The limit.
        max: usize,
    },
    /// A member is damaged, or a zip bomb.
    #[error("{file}: {member}: {damage}")]
    Damaged {
        /// The file.
        file: String,
        /// The member.
        member: String,
        /// The damage.
        damage: Damage,
    },
    /// No member can be read.
    #[error("{file} holds no CSV file{held}: {advice}")]
    Nothing {
        /// The file.
        file: String,
        /// What it holds instead.
        held: String,
        /// What the user can do.
        advice: &'static str,
    },
}

fn quoted(words: &str) -> String {
    if words.is_empty() {
        return String::new();
    }
    format!(" (it says \"{words}\")")
}

impl Archive {
    /// Opens an archive and finds its members.
    ///
    /// The file stays open. Later reads return the bytes that it has now, or fail where another
    /// program has written to it.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] for a file that is no archive of tables.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let name = file_name(path);
        let open_error = |source| ArchiveError::Open {
            file: path.display().to_string(),
            source,
        };
        // Checked before it is opened, since opening a pipe waits for its writer.
        if !path.metadata().map_err(open_error)?.is_file() {
            return Err(ArchiveError::NotAFile { file: name });
        }
        Self::of(File::open(path).map_err(open_error)?, path)
    }

    /// As [`open`](Self::open), for an open file, such as a download without a path. The last segment
    /// of `path` is its name.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn of(file: File, path: &Path) -> Result<Self, ArchiveError> {
        let name = file_name(path);
        let open_error = |source| ArchiveError::Open {
            file: path.display().to_string(),
            source,
        };
        if !file.metadata().map_err(open_error)?.is_file() {
            return Err(ArchiveError::NotAFile { file: name });
        }
        // Other files are refused before gigabytes of them are hashed.
        let mut first = &file;
        first.rewind().map_err(open_error)?;
        let head = head_of(first).map_err(open_error)?;
        if let FileKind::Unsupported(kind) = sniff::sniff(&head) {
            return Err(unsupported(&name, kind, &head));
        }
        let source = Source::new(file, path).map_err(open_error)?;
        let head = source.read().and_then(head_of).map_err(open_error)?;
        let refuse = |kind, head: &[u8]| Err(unsupported(&name, kind, head));
        let mut left_out = Vec::new();
        let mut comment = String::new();
        let (form, members) = match sniff::sniff(&head) {
            FileKind::Unsupported(kind) => return refuse(kind, &head),
            // Its reader examines the header.
            FileKind::Table | FileKind::Text => {
                let member = Member::of(name.clone(), Some(source.size_bytes()), &head);
                (Form::Plain, vec![member])
            }
            FileKind::Gzip => {
                let member = member_of_gzip(&name);
                let head = gunzip(&source)
                    .and_then(head_of)
                    .map_err(|error| damaged(&name, &member, error))?;
                match sniff::sniff(&head) {
                    FileKind::Unsupported(kind) => return refuse(kind, &head),
                    FileKind::Gzip => return refuse(&sniff::NESTED, &head),
                    FileKind::Zip => {
                        let unpacked = gunzip(&source).map_err(open_error)?;
                        let contents =
                            zip::contents_of_packed(unpacked, source.size_bytes(), &name)?;
                        (left_out, comment) = (contents.left_out, contents.comment);
                        (Form::Zip(contents.packed), contents.members)
                    }
                    FileKind::Table | FileKind::Text => {
                        (Form::Gzip, vec![Member::of(member, None, &head)])
                    }
                }
            }
            FileKind::Zip => {
                let contents = zip::contents(&source, &name)?;
                (left_out, comment) = (contents.left_out, contents.comment);
                (Form::Zip(contents.packed), contents.members)
            }
        };
        Ok(Self {
            source,
            name,
            form,
            members,
            left_out,
            comment,
        })
    }

    /// Closes the file. Each later read opens the path again, and fails where it has other bytes. For
    /// callers with more archives than a process may have open files.
    pub fn released(mut self) -> Self {
        self.source.release();
        self
    }

    /// Returns the name of the file, without folders.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the size of the file as published.
    pub fn size_bytes(&self) -> u64 {
        self.source.size_bytes()
    }

    /// Returns the hash of the file: XXH3, 128 bits.
    pub fn content(&self) -> u128 {
        self.source.content()
    }

    /// Lists the tables: trips and station lists, in the order of the archive.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns the comment of a zip. Empty where it has none, and for other files.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Lists the members that are not read.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Begins to read a member, unpacked and without UTF-16; `member` is its index in [`members`](Self::members).
    ///
    /// Each reader has its own offset in the open file, so that several threads may read at once.
    /// Bytes are read into the caller's buffer, which should be large. Errors while reading wrap a
    /// [`Damage`] where the archive is damaged, and [`Changed`] where another program has written to
    /// it. Length and checksum are verified at the end, so the data are not valid before a read has
    /// returned 0.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Open`] where the file cannot be read.
    pub fn read(&self, member: usize) -> Result<Box<dyn Read + Send>, ArchiveError> {
        let open_error = |source| ArchiveError::Open {
            file: self.name.clone(),
            source,
        };
        let bytes: Box<dyn Read + Send> = match &self.form {
            Form::Plain => Box::new(self.source.read().map_err(open_error)?),
            Form::Gzip => Box::new(gunzip(&self.source).map_err(open_error)?),
            Form::Zip(packed) => packed[member]
                .read(&self.source, READ_BYTES)
                .map_err(open_error)?,
        };
        Ok(self.members[member].encoding.reader(bytes))
    }
}

impl Member {
    /// Describes a member of `size_bytes` by its first bytes.
    fn of(name: String, size_bytes: Option<u64>, head: &[u8]) -> Self {
        let encoding = Encoding::of(head);
        let size_bytes = size_bytes.filter(|_| encoding == Encoding::Bytes);
        Self {
            name,
            size_bytes,
            encoding,
        }
    }
}

fn gunzip(source: &Source) -> io::Result<impl Read + Send + use<>> {
    Ok(gunzipped(source.read()?, source.size_bytes()))
}

/// Unpacks a gzip of `packed_bytes`.
fn gunzipped(packed: impl Read + Send, packed_bytes: u64) -> impl Read + Send {
    let packed = BufReader::with_capacity(READ_BYTES, packed);
    Checked::unstated(MultiGzDecoder::new(packed), packed_bytes)
}

/// Returns the name of the file in a gzip: `trips.csv` for `trips.csv.gz`.
fn member_of_gzip(name: &str) -> String {
    let bare = name
        .len()
        .checked_sub(3)
        .and_then(|end| name.split_at_checked(end));
    match bare {
        Some((bare, ending)) if ending.eq_ignore_ascii_case(".gz") && !bare.is_empty() => {
            bare.into()
        }
        _ => name.into(),
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Reads the bytes that [`sniff::sniff`] uses.
fn head_of(input: impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    input.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn unsupported(file: &str, kind: &'static Unsupported, head: &[u8]) -> ArchiveError {
    let words = if head.trim_ascii_start().starts_with(b"<") {
        sniff::words_of_page(head)
    } else {
        String::new()
    };
    let file = file.into();
    ArchiveError::Unsupported { file, kind, words }
}

/// Makes an error of reading the first bytes of a member one of the archive.
fn damaged(file: &str, member: &str, error: io::Error) -> ArchiveError {
    match error.downcast::<Damage>() {
        Ok(damage) => ArchiveError::Damaged {
            file: file.into(),
            member: member.into(),
            damage,
        },
        Err(source) => ArchiveError::Open {
            file: file.into(),
            source,
        },
    }
}

#[cfg(test)]
mod tests;
