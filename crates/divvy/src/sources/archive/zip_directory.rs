//! The directory of a zip, and the offsets of the bytes of its members.
//!
//! Format: APPNOTE.TXT of PKWARE, <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use ::zip::read::ZipFileEntry;
use ::zip::result::ZipError;
use ::zip::{CompressionMethod, HasZipMetadata, ZipArchive};
use flate2::bufread::DeflateDecoder;

use super::checked::{Checked, Damage, max_unpacked};
use super::{ArchiveError, Source, Verified, gunzipped};

/// The longest directory that is read (some 40,000 members), since it is held in memory.
const MAX_DIRECTORY_BYTES: u64 = 4 * 1024 * 1024;

/// How many members are read at most: one file a day for five years. Their properties are held in
/// memory, and each member with trips becomes a file of the store.
pub(super) const MAX_MEMBERS: usize = 2000;

/// The packed bytes of a member.
#[derive(Debug)]
pub(super) struct PackedMember {
    /// Their offset in the file.
    start: u64,
    packed_bytes: u64,
    pub(super) size_bytes: u64,
    crc32: u32,
    method: CompressionMethod,
    /// It is a gzip, which is unpacked, too.
    pub(super) is_gzip: bool,
    /// The zip that holds it, where that lies in the archive itself.
    pub(super) nested: Option<Arc<Source>>,
}

impl PackedMember {
    /// Returns the offset after its packed bytes.
    fn end(&self) -> u64 {
        self.start.saturating_add(self.packed_bytes)
    }

    /// Begins to read it, through a buffer of `buffer_bytes`. `archive` is the archive as a whole.
    pub(super) fn read(
        &self,
        archive: &Source,
        buffer_bytes: usize,
    ) -> io::Result<Box<dyn Read + Send>> {
        let bytes = self.read_member(archive, buffer_bytes)?;
        Ok(if self.is_gzip {
            Box::new(gunzipped(bytes, self.size_bytes))
        } else {
            bytes
        })
    }

    fn read_member(
        &self,
        archive: &Source,
        buffer_bytes: usize,
    ) -> io::Result<Box<dyn Read + Send>> {
        let mut file = self.nested.as_deref().unwrap_or(archive).read()?;
        file.seek(SeekFrom::Start(self.start))?;
        let packed = file.take(self.packed_bytes);
        Ok(if self.method == CompressionMethod::Stored {
            Box::new(Checked::stated(packed, self.size_bytes, self.crc32))
        } else {
            let packed = BufReader::with_capacity(buffer_bytes, packed);
            let unpacked = DeflateDecoder::new(packed);
            Box::new(Checked::stated(unpacked, self.size_bytes, self.crc32))
        })
    }
}

/// What a zip states of its members.
#[derive(Default)]
pub(super) struct Directory {
    /// The members that may be read, with their names.
    pub(super) members: Vec<(String, PackedMember)>,
    /// Members that operating systems have added, each with a word for it.
    pub(super) leftovers: Vec<(String, &'static str)>,
    pub(super) comment: String,
}

/// A member that may be read: the offset of its header, its bytes, and its name.
type Candidate = (u64, PackedMember, String);

impl Directory {
    /// Reads the directory of a zip. `folder` is put before the names of its members, and `name` is
    /// the archive in messages.
    pub(super) fn read(source: &Source, folder: &str, name: &str) -> Result<Self, ArchiveError> {
        let broken = |error: ZipError| match folder.trim_end_matches('/') {
            "" => zip_error(name, error),
            nested => zip_error(&format!("{name}: {nested}"), error),
        };
        let open_error = |source| ArchiveError::Open {
            file: name.into(),
            source,
        };
        let zip = BufReader::new(source.read().map_err(open_error)?);
        let zip = ZipArchive::new(Limited::new(zip)).map_err(broken)?;
        if zip.has_duplicate_names() {
            return Err(ArchiveError::StrangeZip {
                file: name.into(),
                detail: "two members of the same name".into(),
            });
        }
        let mut directory = Self {
            comment: String::from_utf8_lossy(zip.comment()).into_owned(),
            ..Self::default()
        };
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut headers = source.read().map_err(open_error)?;
        for index in 0..zip.len() {
            let entry = zip.by_index_data(index).map_err(broken)?;
            if entry.is_dir() {
                continue;
            }
            let member = printable(&entry.name().map_err(broken)?);
            let leftover = leftover_by_name(&member);
            let member = format!("{folder}{member}");
            if let Some(word) = leftover {
                directory.leftovers.push((member, word));
                continue;
            }
            let packed = locate(&entry, &mut headers, source.size_bytes(), name, &member)?;
            candidates.push((entry.header_start(), packed, member));
            if candidates.len() > MAX_MEMBERS {
                return Err(ArchiveError::TooManyMembers {
                    file: name.into(),
                    members: zip.len(),
                    max: MAX_MEMBERS,
                });
            }
        }
        check_overlap(&candidates, name)?;
        let named = |(_, packed, member)| (member, packed);
        directory.members = candidates.into_iter().map(named).collect();
        Ok(directory)
    }
}

/// Replaces control characters in a name, which could control the user's terminal, and backslashes,
/// by which Windows programs separate folders.
fn printable(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            '\\' => '/',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// Recognises files that operating systems add to zips.
fn leftover_by_name(member: &str) -> Option<&'static str> {
    let mut folders = member.split('/');
    let file = folders.next_back().unwrap_or_default();
    if folders.any(|folder| folder == "__MACOSX") || file.starts_with("._") {
        return Some("macOS leftover");
    }
    let is_hidden = file.starts_with('.') || ["Thumbs.db", "desktop.ini"].contains(&file);
    is_hidden.then_some("hidden file")
}

/// Returns whether a file describes others, by its name.
pub(super) fn is_readme(member: &str) -> bool {
    let file = member.rsplit('/').next().unwrap_or_default();
    file.to_ascii_lowercase().starts_with("readme")
}

/// Finds the packed bytes of a member, and refuses those that cannot be unpacked.
fn locate(
    entry: &ZipFileEntry<'_>,
    headers: &mut Verified,
    file_bytes: u64,
    name: &str,
    member: &str,
) -> Result<PackedMember, ArchiveError> {
    if entry.encrypted() {
        return Err(ArchiveError::Password {
            file: name.into(),
            member: member.into(),
        });
    }
    let method = entry.compression();
    if !matches!(
        method,
        CompressionMethod::Stored | CompressionMethod::Deflated
    ) {
        return Err(ArchiveError::Method {
            file: name.into(),
            member: member.into(),
            method: method_name(method),
        });
    }
    let wrong = |damage| ArchiveError::Damaged {
        file: name.into(),
        member: member.into(),
        damage,
    };
    let start = entry
        .get_metadata()
        .data_start(headers)
        .map_err(|error| zip_error(name, error))?;
    let packed = PackedMember {
        start,
        packed_bytes: entry.compressed_size(),
        size_bytes: entry.size(),
        crc32: entry.crc32(),
        method,
        is_gzip: false,
        nested: None,
    };
    if packed.end() > file_bytes {
        return Err(wrong(Damage::CutOff));
    }
    if packed.size_bytes > max_unpacked(packed.packed_bytes) {
        return Err(wrong(Damage::Bomb));
    }
    Ok(packed)
}

/// Refuses members that share bytes, by which a small zip unpacks to a large one. The first number of
/// a candidate is the offset of its header.
fn check_overlap(candidates: &[Candidate], name: &str) -> Result<(), ArchiveError> {
    let mut in_file: Vec<_> = candidates.iter().collect();
    in_file.sort_by_key(|(header_start, packed, _)| (*header_start, packed.end()));
    let overlap = in_file.windows(2).find(|pair| pair[1].0 < pair[0].1.end());
    overlap.map_or(Ok(()), |pair| {
        Err(ArchiveError::Overlap {
            file: name.into(),
            member: pair[1].2.clone(),
        })
    })
}

/// A reader that fails after [`MAX_DIRECTORY_BYTES`].
struct Limited<R> {
    input: R,
    left_bytes: u64,
}

impl<R> Limited<R> {
    fn new(input: R) -> Self {
        let left_bytes = MAX_DIRECTORY_BYTES;
        Self { input, left_bytes }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(into)?;
        let left = self.left_bytes.checked_sub(n as u64);
        self.left_bytes =
            left.ok_or_else(|| io::Error::other("its list of members is too long"))?;
        Ok(n)
    }
}

impl<R: Seek> Seek for Limited<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.input.seek(to)
    }
}

fn zip_error(file: &str, error: ZipError) -> ArchiveError {
    let file = file.into();
    match error {
        ZipError::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
            ArchiveError::Open { file, source }
        }
        ZipError::Io(_) => ArchiveError::BrokenZip {
            file,
            detail: "it ends too early".into(),
        },
        // The record at the end of every zip, which has the offset of the directory.
        ZipError::InvalidArchive(detail) if detail.contains("EOCD") => ArchiveError::BrokenZip {
            file,
            detail: "its end is missing".into(),
        },
        ZipError::InvalidArchive(detail) => ArchiveError::BrokenZip {
            file,
            detail: detail.into_owned(),
        },
        other => ArchiveError::StrangeZip {
            file,
            detail: other.to_string(),
        },
    }
}

/// Names the methods of APPNOTE 4.4.5 that programs still write.
fn method_name(method: CompressionMethod) -> String {
    #[expect(deprecated, reason = "the only way to the number of a method")]
    let number = method.to_u16();
    let known = match number {
        1 => "shrink",
        2..=5 => "reduce",
        6 => "implode",
        9 => "deflate64",
        12 => "bzip2",
        14 => "lzma",
        20 | 93 => "zstd",
        95 => "xz",
        98 => "ppmd",
        99 => "AES encryption",
        _ => return format!("method {number}"),
    };
    known.into()
}
