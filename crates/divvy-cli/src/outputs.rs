//! The outputs of commands: stdout, and files that are checked before anything is written.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use divvy::reports::Table;
use divvy::sources::archive;
use serde::Serialize;

use crate::open::Common;
use crate::render::Format;
use crate::screen::Screen;
use crate::store_name::StoreName;

/// Writes a table to stdout.
///
/// # Errors
///
/// Stdout cannot be written. A broken pipe is among these errors: the reader has stopped reading.
pub fn print(table: &Table, format: Format) -> anyhow::Result<()> {
    if format.is_binary() && io::stdout().is_terminal() {
        bail!("this format is binary: send it to a file, > FILE");
    }
    write(None, |out, screen| format.write(table, screen, out))
}

/// Prints the message of clap: the help or the version to stdout, a mistake to stderr. Returns the
/// exit status.
///
/// # Errors
///
/// As [`print()`]. A mistake that cannot be printed is no error: the exit status states it.
pub fn print_usage(help_or_mistake: &clap::Error) -> anyhow::Result<ExitCode> {
    let printed = help_or_mistake.print().and_then(|()| io::stdout().flush());
    if !help_or_mistake.use_stderr() {
        printed?;
    }
    Ok(ExitCode::from(u8::try_from(help_or_mistake.exit_code())?))
}

/// Returns whether the reader of the output (`head`, a pager) closed it before its end, which counts
/// as success.
pub fn is_closed(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Returns success where the reader of the output closed it before its end. For commands whose exit
/// status states more than that all was printed.
///
/// # Errors
///
/// The output failed in another way.
pub fn unless_closed(printed: io::Result<()>) -> io::Result<()> {
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Prints a JSON value to stdout, indented.
///
/// # Errors
///
/// As [`print()`].
pub fn print_json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}

/// Writes to a file; to stdout if `path` is `None`. `write` takes what it writes to.
///
/// # Errors
///
/// The file cannot be made or written, or as [`print()`].
pub fn write(
    path: Option<&Path>,
    write: impl Fn(&mut dyn Write, Screen) -> io::Result<()>,
) -> anyhow::Result<()> {
    let Some(path) = path else {
        let mut out = BufWriter::new(io::stdout().lock());
        write(&mut out, screen(None))?;
        return Ok(out.flush()?);
    };
    let writing = || format!("cannot write {}", path.display());
    let mut out = BufWriter::new(File::create(path).with_context(writing)?);
    write(&mut out, screen(Some(path)))
        .and_then(|()| out.flush())
        .with_context(writing)
}

/// Returns what [`write()`] writes to.
pub fn screen(path: Option<&Path>) -> Screen {
    match path {
        None => Screen::stdout(),
        Some(_) => Screen::file(),
    }
}

/// Refuses to write to a file that the command reads, or that lies in the store. Links of either kind
/// count as the file to which they lead.
///
/// `flag` is the flag that names the file; `inputs` are the files and folders that are read.
///
/// # Errors
///
/// The file is an input, or lies in an input or in the store. The message has the flag and the file.
pub fn expect_apart(
    common: &Common,
    flag: &str,
    path: &Path,
    inputs: &[PathBuf],
) -> anyhow::Result<()> {
    let shown = path.display();
    let output = Output::of(path);
    for input in inputs {
        let files = || archive::expand(input).unwrap_or_default();
        let is_read = || files().iter().any(|found| output.is(&found.path));
        if output.is(input) || (output.file.is_some() && is_read()) {
            bail!("{flag} {shown} is a file that is read: name another one");
        }
        if input.is_dir() && output.lies_in(input) {
            bail!(
                "{flag} {shown} lies in {}, whose files are read: name one elsewhere",
                input.display()
            );
        }
    }
    let is_of_store = match &common.store {
        StoreName::Folder(folder) => output.is_of_store(folder),
        StoreName::DynamoLocal { file, .. } => output.is_of_database(file),
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

/// A file that is to be written.
struct Output {
    /// Its path without symbolic links.
    resolved: PathBuf,
    /// Its identity. `None` if there is no such file yet.
    file: Option<same_file::Handle>,
}

impl Output {
    fn of(path: &Path) -> Self {
        // Opening a pipe would wait for its writer.
        let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
        let handle = || same_file::Handle::from_path(path).ok();
        Self {
            resolved: resolve(path),
            file: is_file.then(handle).flatten(),
        }
    }

    /// Returns whether it is an existing file, under whatever name.
    fn is(&self, path: &Path) -> bool {
        let is_same = |file: &same_file::Handle| {
            same_file::Handle::from_path(path).is_ok_and(|other| other == *file)
        };
        path.is_file() && self.file.as_ref().is_some_and(is_same)
    }

    /// Returns whether it lies, or would lie, in a folder or in one below it.
    fn lies_in(&self, folder: &Path) -> bool {
        self.resolved.starts_with(resolve(folder))
    }

    /// Returns whether it is, or would be, a file of the store in a folder.
    fn is_of_store(&self, folder: &Path) -> bool {
        // Folders of a store may be links to another disk.
        self.lies_in(folder)
            || children(folder).any(|child| self.lies_in(&child))
            || (self.has_other_names() && self.is_below(folder))
    }

    /// Returns whether it is, or would be, a database of SQLite or a file that SQLite has beside it.
    fn is_of_database(&self, database: &Path) -> bool {
        ["", "-wal", "-shm", "-journal"].iter().any(|ending| {
            let mut path = database.as_os_str().to_owned();
            path.push(ending);
            self.is(Path::new(&path)) || self.resolved == resolve(Path::new(&path))
        })
    }

    /// Returns whether the file may have hard links.
    fn has_other_names(&self) -> bool {
        #[cfg(unix)]
        let may_have = |file: &same_file::Handle| {
            use std::os::unix::fs::MetadataExt;
            let metadata = file.as_file().metadata();
            metadata.map_or(true, |metadata| metadata.nlink() > 1)
        };
        #[cfg(not(unix))]
        let may_have = |_: &same_file::Handle| true;
        self.file.as_ref().is_some_and(may_have)
    }

    /// Returns whether a folder, or one below it, has the file under some name.
    fn is_below(&self, folder: &Path) -> bool {
        children(folder).any(|child| {
            // Links to folders are not followed, since they may form a circle.
            if child.is_dir() && !child.is_symlink() {
                self.is_below(&child)
            } else {
                self.is(&child)
            }
        })
    }
}

/// Lists what is in a folder. Nothing if it cannot be listed.
fn children(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

/// Returns the path to which a path leads by symbolic links, also if nothing is there: where a file
/// would be made.
fn resolve(path: &Path) -> PathBuf {
    /// More links than systems follow.
    const MAX_LINKS: usize = 64;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let parts = |path: &Path| -> Vec<OsString> {
        let parts = path.components().rev();
        parts.map(|part| part.as_os_str().to_owned()).collect()
    };
    let mut resolved = PathBuf::new();
    // The last is the next one.
    let mut rest = parts(&absolute);
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == ".." {
            resolved.pop();
            continue;
        }
        resolved.push(part);
        if let Ok(target) = resolved.read_link()
            && links < MAX_LINKS
        {
            links += 1;
            resolved.pop();
            rest.extend(parts(&target));
        }
    }
    // Where letters of either case are the same, what exists has one spelling.
    let real = resolved.ancestors().find_map(|ancestor| {
        let real = ancestor.canonicalize().ok()?;
        let missing = resolved.strip_prefix(ancestor).ok()?;
        Some(match missing.as_os_str().is_empty() {
            true => real,
            false => real.join(missing),
        })
    });
    real.unwrap_or(resolved)
}

/// Refuses to write over a file, unless with `force`.
///
/// # Errors
///
/// The file exists. The message names `--force`.
pub fn expect_new(path: &Path, force: bool) -> anyhow::Result<()> {
    if !force && path.symlink_metadata().is_ok() {
        bail!(
            "{} is there already: name another file, or write over it with --force",
            path.display()
        );
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_leads_to_where_a_file_would_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/file"), "").unwrap();
        for (target, link) in [
            ("a/b", "to-b"),
            ("a/new", "dangling"),
            ("to-b/../new", "up"),
            ("dangling", "twice"),
            ("circle", "circle"),
            ("none/at/all", "nowhere"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        for (path, expected) in [
            ("a/file", "a/file"),
            ("to-b/../file", "a/file"),
            ("dangling", "a/new"),
            ("twice", "a/new"),
            ("up", "a/new"),
            ("to-b/x.csv", "a/b/x.csv"),
            ("to-b/../x.csv", "a/x.csv"),
            ("nowhere/x.csv", "none/at/all/x.csv"),
            ("circle", "circle"),
            ("missing/x.csv", "missing/x.csv"),
        ] {
            assert_eq!(resolve(&root.join(path)), root.join(expected), "{path}");
        }
    }
}
