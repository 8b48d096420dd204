//! Gives new files their names, and moves them there.

use std::path::{Path, PathBuf};

use super::split::StagedFile;
use super::tally_changes::TallyChanges;
use crate::store::embedded::catalog::FileRow;
use crate::store::embedded::error::io_error;
use crate::store::embedded::folder::{self, index_path};
use crate::store::{ContentHash, StoreError};

/// Files with the names that they get in the store.
pub(super) struct NamedFiles {
    /// The rows of the catalog.
    pub(super) rows: Vec<FileRow>,
    /// From where to where files are moved: each id index, then its trips file.
    pub(super) moves: Vec<(PathBuf, PathBuf)>,
}

impl NamedFiles {
    /// Finds a free name for each file of the archives in `tallies`.
    pub(super) fn new(
        root: &Path,
        system: &str,
        files: Vec<StagedFile>,
        tallies: &TallyChanges,
    ) -> Self {
        let mut rows: Vec<FileRow> = Vec::new();
        let mut moves = Vec::new();
        for file in files {
            let archive = &tallies.archives[&file.row.archive].row;
            let id = &archive.entry.id;
            let folder = format!(
                "{}/{system}/{}-{}",
                file.row.kind.as_str(),
                file_name(stem(&id.name)),
                short(id.content)
            );
            let member = archive
                .members
                .get(file.row.member)
                .map_or("", String::as_str);
            let member = file_name(stem(member.rsplit('/').next().unwrap_or_default()));
            let path = free_path(&folder, &member, |path| {
                !root.join(path).exists()
                    && !index_path(root, path).exists()
                    && rows.iter().all(|row| row.path != path)
            });
            moves.push((file.index_path, index_path(root, &path)));
            moves.push((file.path, root.join(&path)));
            rows.push(FileRow { path, ..file.row });
        }
        Self { rows, moves }
    }
}

/// Moves files, and makes their names durable.
pub(in crate::store::embedded) fn move_into_place(
    root: &Path,
    moves: &[(PathBuf, PathBuf)],
) -> Result<(), StoreError> {
    for (from, to) in moves {
        let folder = to.parent().expect("it has been joined to a folder");
        folder::create_folder(folder)?;
        std::fs::rename(from, to).map_err(|e| io_error("move to", to, e))?;
    }
    folder::sync_names(root, moves.iter().map(|(_, to)| to.as_path()))
}

/// Returns a path in a folder that is free: with the member's own name, or that name and a number.
pub(in crate::store::embedded) fn free_path(
    folder: &str,
    member: &str,
    is_free: impl Fn(&str) -> bool,
) -> String {
    let mut path = format!("{folder}/{member}.parquet");
    let mut revision = 1;
    while !is_free(&path) {
        revision += 1;
        path = format!("{folder}/{member}-r{revision}.parquet");
    }
    path
}

/// Returns a name up to its first dot, unless it begins with that.
fn stem(name: &str) -> &str {
    let end = name.find('.').filter(|dot| *dot > 0);
    &name[..end.unwrap_or(name.len())]
}

/// Returns the first eight digits of a hash.
fn short(content: ContentHash) -> String {
    content.to_string()[..8].to_owned()
}

/// Makes the name of a folder or a file: replaces all but letters, digits, `-` and `_`, and cuts it
/// to 200 bytes. File systems allow 255, and a hash, a number and an extension follow.
fn file_name(name: &str) -> String {
    const MAX_BYTES: usize = 200;
    let mut result = String::new();
    for c in name.chars() {
        let c = if c.is_alphanumeric() || c == '-' || c == '_' {
            c
        } else {
            '_'
        };
        if result.len() + c.len_utf8() > MAX_BYTES {
            break;
        }
        result.push(c);
    }
    if result.is_empty() {
        result.push_str("trips");
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_to_what_a_file_system_takes() {
        assert_eq!(file_name("2020/04 trips.é"), "2020_04_trips_é");
        assert_eq!(file_name(""), "trips");
        let long = file_name(&"駅".repeat(83));
        assert_eq!(long.len(), 198);
        assert_eq!(file_name(&"a".repeat(300)).len(), 200);
    }
}
