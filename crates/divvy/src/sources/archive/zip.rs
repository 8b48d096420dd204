//! The members of a zip, and of the zips that lie in it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::checked::Damage;
use super::zip_directory::{Directory, MAX_MEMBERS, PackedMember, is_readme};
use super::{ArchiveError, LeftOut, Member, Source, damaged, head_of, member_of_gzip};
use crate::sources::sniff::{self, FileKind, HEAD_BYTES, Unsupported};

/// How deep a zip may lie in other archives. Publishers put the zips of months into that of a year.
const MAX_DEPTH: usize = 2;

/// The members of a zip.
#[derive(Default)]
pub(super) struct Contents {
    /// The packed bytes of each of `members`.
    pub(super) packed: Vec<PackedMember>,
    pub(super) members: Vec<Member>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) comment: String,
}

/// Reads the directory of a zip, and the beginning of each member. The members of zips in it are
/// listed as its own.
///
/// # Errors
///
/// [`ArchiveError`] where one of the zips cannot be read, and where none holds a table.
pub(super) fn contents(source: &Source, name: &str) -> Result<Contents, ArchiveError> {
    let mut walk = Walk::new(name, source.size_bytes());
    walk.contents.comment = walk.examine(source, None, "")?;
    walk.finish()
}

/// As [`contents`], for a zip that is packed into an archive of `archive_bytes`.
pub(super) fn contents_of_packed(
    unpacked: impl Read,
    archive_bytes: u64,
    name: &str,
) -> Result<Contents, ArchiveError> {
    let mut walk = Walk::new(name, archive_bytes);
    let nested = Arc::new(walk.unpack(unpacked, name)?);
    walk.depth = 1;
    walk.contents.comment = walk.examine(&nested, Some(&nested), "")?;
    walk.finish()
}

/// A walk through the members of an archive and of the zips in it.
struct Walk<'a> {
    /// The name of the archive.
    file: &'a str,
    contents: Contents,
    /// How many zips are open: 0 in the archive itself.
    depth: usize,
    /// How many bytes of zips may still be unpacked to disk.
    left_bytes: u64,
}

impl<'a> Walk<'a> {
    fn new(file: &'a str, archive_bytes: u64) -> Self {
        // Zips hardly become smaller by being packed again; bombs of zips do.
        const RATIO: u64 = 4;
        const HARMLESS_BYTES: u64 = 64 * 1024 * 1024;
        Self {
            file,
            contents: Contents::default(),
            depth: 0,
            left_bytes: HARMLESS_BYTES.max(archive_bytes.saturating_mul(RATIO)),
        }
    }

    fn finish(self) -> Result<Contents, ArchiveError> {
        if self.contents.members.is_empty() {
            return Err(self.contents.nothing(self.file));
        }
        Ok(self.contents)
    }

    /// Adds the members of a zip, with `folder` before their names. `nested` is the zip where it lies
    /// in the archive. Returns its comment.
    fn examine(
        &mut self,
        source: &Source,
        nested: Option<&Arc<Source>>,
        folder: &str,
    ) -> Result<String, ArchiveError> {
        let directory = Directory::read(source, folder, self.file)?;
        for (member, word) in directory.leftovers {
            self.contents.leave_out(member, word);
        }
        if directory.members.len() + self.contents.members.len() > MAX_MEMBERS {
            return Err(ArchiveError::TooManyMembers {
                file: self.file.into(),
                members: directory.members.len() + self.contents.members.len(),
                max: MAX_MEMBERS,
            });
        }
        for (member, mut packed) in directory.members {
            packed.nested = nested.cloned();
            let head = packed
                .read(source, HEAD_BYTES)
                .and_then(head_of)
                .map_err(|error| damaged(self.file, &member, error))?;
            self.add(source, member, packed, &head)?;
        }
        Ok(directory.comment)
    }

    /// Adds a member to those that are read or left out, by its first bytes. Of a zip, its members are
    /// added.
    fn add(
        &mut self,
        source: &Source,
        name: String,
        mut packed: PackedMember,
        head: &[u8],
    ) -> Result<(), ArchiveError> {
        match sniff::sniff(head) {
            FileKind::Gzip if !packed.is_gzip => {
                packed.is_gzip = true;
                let head = packed
                    .read(source, HEAD_BYTES)
                    .and_then(head_of)
                    .map_err(|error| damaged(self.file, &name, error))?;
                self.add(source, member_of_gzip(&name), packed, &head)?;
            }
            FileKind::Zip if self.depth < MAX_DEPTH => {
                let unpacked = packed
                    .read(source, HEAD_BYTES)
                    .map_err(|error| damaged(self.file, &name, error))?;
                let nested = Arc::new(self.unpack(unpacked, &name)?);
                let before = self.contents.len();
                self.depth += 1;
                self.examine(&nested, Some(&nested), &format!("{name}/"))?;
                self.depth -= 1;
                if self.contents.len() == before {
                    self.contents.skip(name, &sniff::EMPTY);
                }
            }
            FileKind::Zip | FileKind::Gzip => self.contents.skip(name, &sniff::NESTED),
            FileKind::Text if sniff::is_named_as_table(&name) => {
                self.contents.skip(name, &sniff::NO_COLUMNS);
            }
            FileKind::Text => self.contents.leave_out(name, "readme"),
            FileKind::Table if is_readme(&name) && !sniff::is_named_as_table(&name) => {
                self.contents.leave_out(name, "readme");
            }
            FileKind::Table => {
                let size_bytes = Some(packed.size_bytes).filter(|_| !packed.is_gzip);
                let member = Member::of(name, size_bytes, head);
                self.contents.members.push(member);
                self.contents.packed.push(packed);
            }
            FileKind::Unsupported(kind) => self.contents.skip(name, kind),
        }
        Ok(())
    }

    /// Unpacks a zip into a file that the system deletes when it is closed.
    fn unpack(&mut self, unpacked: impl Read, member: &str) -> Result<Source, ArchiveError> {
        let unpack = || -> io::Result<(File, u64)> {
            let mut file = tempfile::tempfile()?;
            let mut unpacked = unpacked.take(self.left_bytes.saturating_add(1));
            let length = io::copy(&mut unpacked, &mut file)?;
            Ok((file, length))
        };
        let wrong = |error| damaged(self.file, member, error);
        let (file, length) = unpack().map_err(wrong)?;
        let Some(left_bytes) = self.left_bytes.checked_sub(length) else {
            return Err(wrong(Damage::Bomb.into()));
        };
        let source = Source::new(file, Path::new(member)).map_err(wrong)?;
        self.left_bytes = left_bytes;
        Ok(source)
    }
}

impl Contents {
    /// Counts the members, read or left out.
    fn len(&self) -> usize {
        self.members.len() + self.left_out.len()
    }

    /// Leaves out a member without data.
    fn leave_out(&mut self, name: String, word: &'static str) {
        self.left_out.push(LeftOut {
            name,
            word,
            table: None,
        });
    }

    /// Leaves out a member of a kind that is not read.
    fn skip(&mut self, name: String, kind: &'static Unsupported) {
        let may_be_table = kind.may_be_table || kind.is_table_by_name(&name);
        self.left_out.push(LeftOut {
            name,
            word: kind.word,
            table: may_be_table.then_some(kind),
        });
    }

    /// Makes the error for a zip without tables.
    fn nothing(&self, file: &str) -> ArchiveError {
        const SHOWN: usize = 3;
        // Those with advice come first.
        let (mut held, harmless): (Vec<_>, Vec<_>) =
            self.left_out.iter().partition(|left| left.table.is_some());
        held.extend(harmless);
        let advice = held.first().and_then(|left| left.table);
        let names: Vec<String> = held
            .iter()
            .take(SHOWN)
            .map(|left| format!("{} ({})", left.name, left.word))
            .collect();
        let held = match (names.len(), held.len()) {
            (0, _) => ", it is empty".into(),
            (shown, all) if shown < all => {
                format!(", only {} and {} more", names.join(", "), all - shown)
            }
            _ => format!(", only {}", names.join(", ")),
        };
        ArchiveError::Nothing {
            file: file.into(),
            held,
            advice: advice.map_or("download the archive with the trips", |kind| kind.advice),
        }
    }
}
