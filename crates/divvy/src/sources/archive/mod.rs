//! Archives as published: a zip, a CSV file, or a CSV file packed with gzip.
//!
//! ```text
//!  Archive::open     first bytes (sniff) → zip (zip): its members, each sniffed → members, left out
//!  Archive::read     a file handle of its own → inflate → length and checksum (checked)
//! ```
//!
//! What an archive is, its bytes tell, not its name. Nothing is unpacked to disk, and no more than
//! some buffers are held in memory, whatever an archive states about itself. Members that hold
//! trips are told from station lists by their header, which is the business of their readers.

mod checked;
mod expand;
mod zip;

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use xxhash_rust::xxh3::Xxh3Default;

use super::sniff::{self, Foreign, HEAD_BYTES, Kind};
use checked::Checked;
pub use checked::Damage;
pub use expand::expand;

/// How much is read from a file at a time.
const BLOCK: usize = 512 * 1024;

/// A file as published, with the members that may hold trips or stations.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    name: String,
    size_bytes: u64,
    form: Form,
    members: Vec<Member>,
    left_out: Vec<LeftOut>,
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
    /// # Errors
    ///
    /// [`ArchiveError`] for whatever is no archive of tables, in a sentence that says what it is.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let name = file_name(path);
        let opening = |source| ArchiveError::Open {
            file: path.display().to_string(),
            source,
        };
        let file = File::open(path).map_err(opening)?;
        let metadata = file.metadata().map_err(opening)?;
        if !metadata.is_file() {
            return Err(ArchiveError::NotAFile { file: name });
        }
        let size_bytes = metadata.len();
        let head = head_of(&file).map_err(opening)?;
        let foreign = |kind, head: &[u8]| Err(foreign_error(&name, kind, head));
        let mut left_out = Vec::new();
        let (form, members) = match sniff::sniff(&head) {
            Kind::Foreign(kind) => return foreign(kind, &head),
            // What a file of one text is, its header tells: that is for the reader to say.
            Kind::Table | Kind::Text => {
                let size_bytes = Some(size_bytes);
                let name = name.clone();
                (Form::Plain, vec![Member { name, size_bytes }])
            }
            Kind::Gzip => {
                let member = member_of_gzip(&name);
                let head = head_of(gunzip(reopen(path).map_err(opening)?, size_bytes))
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
                let contents = zip::contents(file, size_bytes, &name)?;
                left_out = contents.left_out;
                (Form::Zip(contents.parts), contents.members)
            }
        };
        Ok(Self {
            path: path.into(),
            name,
            size_bytes,
            form,
            members,
            left_out,
        })
    }

    /// Returns the name of the file, without folders.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the size of the file as published.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Computes what identifies the bytes as published, whatever their name: XXH3, 128 bits.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Open`] when reading fails.
    pub fn content(&self) -> Result<u128, ArchiveError> {
        let reading = |source| ArchiveError::Open {
            file: self.path.display().to_string(),
            source,
        };
        let mut file = File::open(&self.path).map_err(reading)?;
        let mut hash = Xxh3Default::new();
        let mut block = vec![0; BLOCK];
        loop {
            match file.read(&mut block) {
                Ok(0) => return Ok(hash.digest128()),
                Ok(n) => hash.update(&block[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(reading(error)),
            }
        }
    }

    /// Lists the tables: trips and station lists, in the order of the archive.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Lists the members that are not read.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Begins to read a member, unpacked; `member` is a place in [`members`](Self::members).
    ///
    /// Each reader has a file handle of its own, so that several threads may read at once. Bytes go
    /// straight into the caller's buffer: ask for many. Errors while reading wrap a [`Damage`]
    /// where the archive is to blame; length and checksum are known only at the end, so nothing may
    /// be kept of a member before its last read returned 0.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Open`] when the file has gone.
    pub fn read(&self, member: usize) -> Result<Box<dyn Read + Send>, ArchiveError> {
        let opening = |source| ArchiveError::Open {
            file: self.path.display().to_string(),
            source,
        };
        Ok(match &self.form {
            Form::Plain => Box::new(File::open(&self.path).map_err(opening)?),
            Form::Gzip => {
                let file = reopen(&self.path).map_err(opening)?;
                Box::new(gunzip(file, self.size_bytes))
            }
            Form::Zip(parts) => {
                let file = File::open(&self.path).map_err(opening)?;
                parts[member].read(file, BLOCK).map_err(opening)?
            }
        })
    }
}

fn reopen(path: &Path) -> io::Result<BufReader<File>> {
    Ok(BufReader::with_capacity(BLOCK, File::open(path)?))
}

fn gunzip(file: BufReader<File>, packed_bytes: u64) -> impl Read + Send {
    Checked::unstated(MultiGzDecoder::new(file), packed_bytes)
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
