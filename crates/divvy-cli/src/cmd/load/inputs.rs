//! What the arguments of a load stand for: files, folders of files, addresses.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use divvy::sources::archive::{self, Archive, ArchiveError, Found, FoundKind};
use divvy::sources::http;
use divvy::store::embedded::EmbeddedStore;

/// An argument, and the files that it stands for.
pub struct Input<'a> {
    pub source: &'a OsStr,
    pub content: Content<'a>,
}

/// The files of an argument.
pub enum Content<'a> {
    /// An address, which is fetched when the arguments before it are loaded.
    Url(&'a str),
    Files(Result<Vec<(Source, FoundKind)>, ArchiveError>),
}

impl<'a> Input<'a> {
    /// Lists the files of an argument.
    pub fn of(source: &'a OsStr) -> Self {
        let url = source.to_str().filter(|source| http::is_url(source));
        let content = match url {
            Some(url) => Content::Url(url),
            None => Content::Files(expand(Path::new(source))),
        };
        Self { source, content }
    }

    /// Counts the files that are to be loaded.
    pub fn files(&self) -> usize {
        match &self.content {
            Content::Files(Ok(files)) => {
                let is_file = |kind: &FoundKind| !matches!(kind, FoundKind::Skipped(_));
                files.iter().filter(|(_, kind)| is_file(kind)).count()
            }
            Content::Files(Err(_)) | Content::Url(_) => 1,
        }
    }
}

/// One archive to be loaded.
pub enum Source {
    Path(PathBuf),
    /// A downloaded file, with the name in its address.
    Download {
        file: File,
        name: String,
    },
}

impl Source {
    /// Returns its path, or its name in the address.
    pub fn name(&self) -> String {
        match self {
            Self::Path(path) => path.display().to_string(),
            Self::Download { name, .. } => name.clone(),
        }
    }

    /// Opens it.
    pub fn open(self) -> Result<Archive, ArchiveError> {
        match self {
            Self::Path(path) => Archive::open(&path),
            Self::Download { file, name } => Archive::of(file, Path::new(&name)),
        }
    }
}

/// Lists the files of a path. Files of stores are none to load.
fn expand(path: &Path) -> Result<Vec<(Source, FoundKind)>, ArchiveError> {
    let is_of_store = |found: &Found| {
        let mut folders = found.path.ancestors().skip(1);
        found.kind != FoundKind::Archive && folders.any(EmbeddedStore::is_store)
    };
    let found = archive::expand(path)?.into_iter();
    Ok(found
        .filter(|found| !is_of_store(found))
        .map(|found| (Source::Path(found.path), found.kind))
        .collect())
}

/// Downloads an archive.
pub fn fetch(url: &str) -> anyhow::Result<Source> {
    /// Larger than any published archive.
    const LIMIT_BYTES: u64 = 16 << 30;
    // A file without a name: the system deletes it when the process ends.
    let mut file = tempfile::tempfile().context("cannot make a file for the download")?;
    let name = http::Client::new().download(url, &mut file, LIMIT_BYTES)?;
    Ok(Source::Download { file, name })
}
