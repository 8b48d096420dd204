//! Files that a command is asked to write, checked before anything is written.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::open::{Common, StoreName};

/// Refuses to write to a file that the command reads, or that lies in the store.
///
/// `flag` is what named the file; `inputs` are the files and folders that the command reads.
///
/// # Errors
///
/// One sentence that names the flag and the file.
pub fn expect_apart(
    common: &Common,
    flag: &str,
    path: &Path,
    inputs: &[PathBuf],
) -> anyhow::Result<()> {
    let shown = path.display();
    for input in inputs {
        if same_file::is_same_file(path, input).unwrap_or(false) {
            bail!("{flag} {shown} is a file that is read: name another one");
        }
        if input.is_dir() && is_within(path, input) {
            bail!(
                "{flag} {shown} lies in {}, whose files are read: name one elsewhere",
                input.display()
            );
        }
    }
    let is_of_store = match &common.store {
        StoreName::Folder(folder) => is_within(path, folder),
        StoreName::DynamoLocal { file, .. } => same_file::is_same_file(path, file).unwrap_or(false),
        StoreName::Dynamo { .. } => false,
    };
    if is_of_store {
        bail!(
            "{flag} {shown} lies in the store {}: name a file elsewhere",
            common.store
        );
    }
    Ok(())
}

/// Refuses to write over a file, unless `force` says so.
///
/// # Errors
///
/// One sentence that names the flag to give.
pub fn expect_new(path: &Path, force: bool) -> anyhow::Result<()> {
    if !force && path.symlink_metadata().is_ok() {
        bail!(
            "{} is there already: name another file, or write over it with --force",
            path.display()
        );
    }
    Ok(())
}

/// Tells whether a file, there or not, is or would be in a folder or in one below it.
fn is_within(path: &Path, folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else {
        return false;
    };
    // The nearest folder that exists: the others are yet to be made.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let real = path.canonicalize().ok().or_else(|| {
        absolute
            .ancestors()
            .find_map(|ancestor| ancestor.canonicalize().ok())
    });
    real.is_some_and(|real| real.starts_with(&folder))
}
