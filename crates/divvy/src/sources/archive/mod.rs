//! Archives as published: a zip, a CSV file, or a CSV file packed with gzip.
//!
//! ```text
//!  Archive::open     hash (source) → first bytes (sniff) → zip (zip): members, each sniffed
//!  Archive::read     the same bytes (source) → inflate → length and checksum (checked)
//! ```
//!
//! What an archive is, its bytes tell, not its name. Nothing is unpacked to disk, and no more than
//! some buffers are held in memory, whatever an archive states about itself. Members that hold
//! trips are told from station lists by their header, which is the business of their readers.

mod checked;
mod expand;
mod source;
mod zip;

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::sniff::{self, Foreign, HEAD_BYTES, Kind};
use checked::Checked;
pub use checked::Damage;
pub use expand::expand;
pub use source::Changed;
use source::{Source, Verified};

/// How much is read from a file at a time.
const BLOCK: usize = 512 * 1024;

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

/// How the members lie in the file.
#[derive(Debug)]
enum Form {
    /// The file itself is the only one.
    Plain,
    Gzip,
    /// Where each member is packed.
    Zip(Vec<zip::Part>),
}

/// A table inside an archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name, with the folders it has in the archive.
    pub name: String,
    /// Its size unpacked. `None` where only unpacking tells (gzip).
    pub size_bytes: Option<u64>,
}

/// A member that is not read.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    /// Its name, with the folders it has in the archive.
    pub name: String,
    /// What it is, in a word or two: `readme`, `workbook`, `picture`, `macOS leftover`.
    pub word: &'static str,
    /// What to do to have it read. `None` where nothing is lost: readmes, leftovers.
    pub advice: Option<&'static str>,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.word)?;
        self.advice.map_or(Ok(()), |advice| write!(f, ": {advice}"))
    }
}

/// Why an archive cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The operating system does not let us.
    #[error("{file} cannot be read: {source}")]
    Open {
        /// The file.
        file: String,
        /// What it said.
        source: io::Error,
    },
    /// A pipe or device: an archive is read more than once.
    #[error("{file} is not a regular file: save it to disk and load it from there")]
    NotAFile {
        /// The file.
        file: String,
    },
    /// A folder without archives.
    #[error("{folder} holds no archives: no *.zip, *.csv or *.csv.gz in it or the folders below")]
    NoArchives {
        /// The folder.
        folder: String,
    },
    /// The bytes are of another kind.
    #[error("{file} is {}{}: {}", .kind.what, quoted(.says), .kind.advice)]
    Foreign {
        /// The file.
        file: String,
        /// What it is.
        kind: &'static Foreign,
        /// The first words of a page. Empty for other kinds.
        says: String,
    },
    /// A zip whose directory cannot be read.
    #[error("{file} is a damaged or incomplete zip ({detail}): download it again")]
    BrokenZip {
        /// The file.
        file: String,
        /// Where it broke.
        detail: String,
    },
    /// A zip with features that we lack.
    #[error("{file} is a zip of a rare kind ({detail}): unpack it and load the CSV files")]
    StrangeZip {
        /// The file.
        file: String,
        /// Which kind.
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
    /// A way of packing that almost no zip of data uses.
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
    /// Two members that share bytes: no program that packs data makes such a zip.
    #[error(
        "{file} has members that lie over one another ({member}): it is damaged, or a zip bomb"
    )]
    Overlap {
        /// The file.
        file: String,
        /// The second of the two.
        member: String,
    },
    /// More members than are held in memory.
    #[error(
        "{file} holds {members} files, more than the {most} that are read from one archive: unpack it \
         and load the folder"
    )]
    TooManyMembers {
        /// The file.
        file: String,
        /// How many it holds.
        members: usize,
        /// How many it might hold.
        most: usize,
    },
    /// More than any CSV file shrinks.
    #[error("{file}: {member}: {damage}")]
    Damaged {
        /// The file.
        file: String,
        /// The member.
        member: String,
        /// What is wrong.
        damage: Damage,
    },
    /// No member can be read.
    #[error("{file} holds no CSV file{held}: {advice}")]
    Nothing {
        /// The file.
        file: String,
        /// What it holds in its place.
        held: String,
        /// What to do.
        advice: &'static str,
    },
}

fn quoted(says: &str) -> String {
    if says.is_empty() {
        return String::new();
    }
    format!(" (it says \"{says}\")")
}

impl Archive {
    /// Opens an archive and finds its members.
    ///
    /// All that is read of it from here on are the bytes that it has now: it keeps the file open,
    /// and bytes that another program writes into that file later are refused, not read.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] for whatever is no archive of tables, in a sentence that says what it is.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let name = file_name(path);
        let opening = |source| ArchiveError::Open {
            file: path.display().to_string(),
            source,
        };
        // Looked at before it is opened: to open a pipe waits for whoever writes to it.
        if !path.metadata().map_err(opening)?.is_file() {
            return Err(ArchiveError::NotAFile { file: name });
        }
        Self::of(File::open(path).map_err(opening)?, path)
    }

    /// Takes a file that is open, such as a download that has no path. The last part of `path` is
    /// its name.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn of(file: File, path: &Path) -> Result<Self, ArchiveError> {
        let name = file_name(path);
        let opening = |source| ArchiveError::Open {
            file: path.display().to_string(),
            source,
        };
        if !file.metadata().map_err(opening)?.is_file() {
            return Err(ArchiveError::NotAFile { file: name });
        }
        // What is no archive is refused before gigabytes of it are hashed.
        let mut first = &file;
        first.rewind().map_err(opening)?;
        let head = head_of(first).map_err(opening)?;
        if let Kind::Foreign(kind) = sniff::sniff(&head) {
            return Err(foreign_error(&name, kind, &head));
        }
        let source = Source::new(file, path).map_err(opening)?;
        let head = source.read().and_then(head_of).map_err(opening)?;
        let foreign = |kind, head: &[u8]| Err(foreign_error(&name, kind, head));
        let mut left_out = Vec::new();
        let mut comment = String::new();
        let (form, members) = match sniff::sniff(&head) {
            Kind::Foreign(kind) => return foreign(kind, &head),
            // What a file of one text is, its header tells: that is for the reader to say.
            Kind::Table | Kind::Text => {
                let size_bytes = Some(source.size_bytes());
                let name = name.clone();
                (Form::Plain, vec![Member { name, size_bytes }])
            }
            Kind::Gzip => {
                let member = member_of_gzip(&name);
                let head = gunzip(&source)
                    .and_then(head_of)
                    .map_err(|error| damaged(&name, &member, error))?;
                match sniff::sniff(&head) {
                    Kind::Foreign(kind) => return foreign(kind, &head),
                    Kind::Zip => return foreign(&sniff::NESTED_ZIP, &head),
                    Kind::Gzip => return foreign(&sniff::NESTED_GZIP, &head),
                    Kind::Table | Kind::Text => {}
                }
                let size_bytes = None;
                (
                    Form::Gzip,
                    vec![Member {
                        name: member,
                        size_bytes,
                    }],
                )
            }
            Kind::Zip => {
                let contents = zip::contents(&source, &name)?;
                (left_out, comment) = (contents.left_out, contents.comment);
                (Form::Zip(contents.parts), contents.members)
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

    /// Closes the file: each later read opens its path again. Another file that lies there then is
    /// refused. For who holds more archives than files may be open.
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

    /// Returns what identifies the bytes as published, whatever their name: XXH3, 128 bits.
    pub fn content(&self) -> u128 {
        self.source.content()
    }

    /// Lists the tables: trips and station lists, in the order of the archive.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns what a zip says of itself. Empty where it says nothing, and for other files.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Lists the members that are not read.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Begins to read a member, unpacked; `member` is a place in [`members`](Self::members).
    ///
    /// Each reader has a position of its own in the one open file, so that several threads may read
    /// at once. Bytes go straight into the caller's buffer: ask for many. Errors while reading wrap
    /// a [`Damage`] where the archive is to blame, and [`Changed`] where another program has
    /// written to it; length and checksum are known only at the end, so nothing may be kept of a
    /// member before its last read returned 0.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Open`] when the file cannot be read any more.
    pub fn read(&self, member: usize) -> Result<Box<dyn Read + Send>, ArchiveError> {
        let opening = |source| ArchiveError::Open {
            file: self.name.clone(),
            source,
        };
        Ok(match &self.form {
            Form::Plain => Box::new(self.source.read().map_err(opening)?),
            Form::Gzip => Box::new(gunzip(&self.source).map_err(opening)?),
            Form::Zip(parts) => {
                let source = self.source.read().map_err(opening)?;
                parts[member].read(source, BLOCK).map_err(opening)?
            }
        })
    }
}

fn gunzip(source: &Source) -> io::Result<impl Read + Send + use<>> {
    let packed = BufReader::with_capacity(BLOCK, source.read()?);
    let unpacked = MultiGzDecoder::new(packed);
    Ok(Checked::unstated(unpacked, source.size_bytes()))
}

/// `trips.csv.gz` packs `trips.csv`.
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

/// Reads what [`sniff::sniff`] needs.
fn head_of(input: impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    input.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn foreign_error(file: &str, kind: &'static Foreign, head: &[u8]) -> ArchiveError {
    let says = if head.trim_ascii_start().starts_with(b"<") {
        sniff::words_of_page(head)
    } else {
        String::new()
    };
    let file = file.into();
    ArchiveError::Foreign { file, kind, says }
}

/// Makes an error met while sniffing a member one of the archive.
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
