//! A folder that appears under its name when it is complete.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The reason for which a folder cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NewFolderError {
    /// It is the current folder, or one above it.
    #[error(
        "{folder} cannot be replaced by a new folder: name a folder in it, such as {folder}/export"
    )]
    NoName {
        /// The folder.
        folder: String,
    },
    /// The folder has files.
    #[error("{folder} is there already and not empty: name another folder")]
    NotEmpty {
        /// The folder.
        folder: String,
    },
    /// It cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The folder.
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// A folder that is being filled. It has a temporary name, `.divvy-export-` and random letters, beside
/// the one that it is to have, and is deleted when it is dropped. A process that is killed leaves it.
#[derive(Debug)]
pub struct NewFolder {
    making: TempDir,
    folder: PathBuf,
}

impl NewFolder {
    /// Refuses a folder that is not empty; to be called before long work for its files.
    ///
    /// # Errors
    ///
    /// [`NewFolderError::NoName`], [`NewFolderError::NotEmpty`], or [`NewFolderError::Write`] where a file is in the way.
    pub fn expect_empty(folder: &Path) -> Result<(), NewFolderError> {
        // Nothing can be renamed to `.`, `..` or `/`.
        if folder.file_name().is_none() {
            return Err(NewFolderError::NoName {
                folder: folder.display().to_string(),
            });
        }
        match fs::read_dir(folder) {
            Ok(mut entries) => match entries.next() {
                None => Ok(()),
                Some(_) => Err(NewFolderError::NotEmpty {
                    folder: folder.display().to_string(),
                }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(cannot(folder)(error)),
        }
    }

    /// Makes the temporary folder for a folder that is missing or empty.
    ///
    /// # Errors
    ///
    /// As [`expect_empty`](Self::expect_empty), or the parent cannot be written.
    pub fn create(folder: &Path) -> Result<Self, NewFolderError> {
        Self::expect_empty(folder)?;
        let parent = match folder.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(cannot(parent))?;
        // In the same parent, so that a rename makes it appear.
        let making = tempfile::Builder::new()
            .prefix(".divvy-export-")
            .tempdir_in(parent)
            .map_err(cannot(parent))?;
        Ok(Self {
            making,
            folder: folder.to_owned(),
        })
    }

    /// Returns the temporary folder, into which files are written.
    pub fn path(&self) -> &Path {
        self.making.path()
    }

    /// Gives the folder its name, and the permissions of any new folder.
    ///
    /// # Errors
    ///
    /// [`NewFolderError::Write`]. The files are deleted then.
    pub fn finish(self) -> Result<(), NewFolderError> {
        open_to_others(self.making.path()).map_err(cannot(self.making.path()))?;
        if self.folder.exists() {
            fs::remove_dir(&self.folder).map_err(cannot(&self.folder))?;
        }
        fs::rename(self.making.path(), &self.folder).map_err(cannot(&self.folder))?;
        // It was renamed: there is nothing to delete.
        let _ = self.making.keep();
        Ok(())
    }
}

/// Gives a folder the permissions of a new folder; a temporary one is accessible by its owner only.
fn open_to_others(folder: &Path) -> io::Result<()> {
    let like = folder.join("new");
    fs::create_dir(&like)?;
    fs::set_permissions(folder, fs::metadata(&like)?.permissions())?;
    fs::remove_dir(like)
}

fn cannot(path: &Path) -> impl Fn(io::Error) -> NewFolderError {
    move |source| NewFolderError::Write {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_appears_with_all_of_its_files() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        let making = NewFolder::create(&folder).unwrap();
        fs::write(making.path().join("file"), "").unwrap();
        assert!(!folder.exists());
        making.finish().unwrap();
        let entries = |path: &Path| fs::read_dir(path).unwrap().count();
        assert_eq!(entries(&folder), 1);
        assert_eq!(entries(&parent.path().join("a")), 1, "nothing temporary");
        let refused = NewFolder::create(&folder).unwrap_err();
        assert!(matches!(refused, NewFolderError::NotEmpty { .. }));
        let file = NewFolder::create(&folder.join("file")).unwrap_err();
        assert!(matches!(file, NewFolderError::Write { .. }));
    }

    #[test]
    fn what_is_not_finished_is_deleted() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("folder");
        fs::create_dir(&folder).unwrap();
        drop(NewFolder::create(&folder).unwrap());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
