//! The outputs of commands: stdout, and files that are checked before anything is written.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use divvy::reports::Table;
use serde::Serialize;

use crate::open::Common;
use crate::render::Format;
use crate::store_name::StoreName;

/// Writes a table to stdout.
///
/// # Errors
///
/// Stdout cannot be written. A broken pipe is among these errors: the reader has stopped reading.
pub fn print(table: &Table, format: Format) -> anyhow::Result<()> {
    write(None, |out, width| format.write(table, width, out))
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

/// Writes to a file; to stdout if `path` is `None`. `write` takes the width of the terminal in
/// columns, `None` without one.
///
/// # Errors
///
/// The file cannot be made or written, or as [`print()`].
pub fn write(
    path: Option<&Path>,
    write: impl Fn(&mut dyn Write, Option<u16>) -> io::Result<()>,
) -> anyhow::Result<()> {
    let Some(path) = path else {
        let mut out = BufWriter::new(io::stdout().lock());
        write(&mut out, terminal_width())?;
        return Ok(out.flush()?);
    };
    let writing = || format!("cannot write {}", path.display());
    let mut out = BufWriter::new(File::create(path).with_context(writing)?);
    write(&mut out, None)
        .and_then(|()| out.flush())
        .with_context(writing)
}

/// Returns the width of the terminal in columns: `COLUMNS`, else that of stdout. `None` if stdout is
/// no terminal: then nothing is cut.
fn terminal_width() -> Option<u16> {
    let columns = std::env::var("COLUMNS").ok();
    let columns = columns.and_then(|columns| columns.parse().ok());
    columns.or_else(|| {
        let (terminal_size::Width(columns), _) = terminal_size::terminal_size()?;
        io::stdout().is_terminal().then_some(columns)
    })
}

/// Refuses to write to a file that the command reads, or that lies in the store.
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

/// Returns whether a path, existing or not, lies in a folder or in one below it.
fn is_within(path: &Path, folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else {
        return false;
    };
    // For a path that does not exist, its nearest ancestor that does.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let real = path.canonicalize().ok().or_else(|| {
        absolute
            .ancestors()
            .find_map(|ancestor| ancestor.canonicalize().ok())
    });
    real.is_some_and(|real| real.starts_with(&folder))
}
