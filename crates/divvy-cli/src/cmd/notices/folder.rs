//! The folder with states, outboxes and refused notices.
//!
//! ```text
//!  lock                    held by the process that sends
//!  state/HASH.json         the state of the rules of one system
//!  outbox/TARGET/N.json    a notice that waits
//!  refused/TARGET.ndjson   notices that a target has refused, or that were too many
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use divvy::alarms::SavedState;

use super::durable::{remove_unfinished, replace};
use super::outbox::Outbox;

/// Returns the path in the folder of the notices that a target has refused.
pub fn refused_file(target: &str) -> String {
    format!("refused/{target}.ndjson")
}

/// A folder of alarms that this process holds.
pub struct Folder {
    path: PathBuf,
    /// Holds the lock until it is dropped.
    _lock: File,
}

impl Folder {
    /// Opens the folder, and makes it if it is missing.
    ///
    /// # Errors
    ///
    /// It cannot be made, or another process holds it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let making = || format!("cannot write {}", path.display());
        for name in ["state", "outbox", "refused"] {
            fs::create_dir_all(path.join(name)).with_context(making)?;
        }
        let lock = File::create(path.join("lock")).with_context(making)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another divvy watch sends the notices of {}: name another folder with --alarms",
                path.display()
            ),
            Err(TryLockError::Error(error)) => return Err(error).with_context(making),
        }
        remove_unfinished(&path.join("state")).with_context(making)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Opens the outbox of a target.
    ///
    /// # Errors
    ///
    /// Its folder cannot be read or made.
    pub fn outbox(&self, target: &str) -> anyhow::Result<Outbox> {
        let folder = self.path.join("outbox").join(target);
        let refused = self.path.join(refused_file(target));
        let reading = || format!("cannot open {}", folder.display());
        Outbox::open(&folder, &refused).with_context(reading)
    }

    /// Lists the targets that have an outbox.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn targets(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path.join("outbox"))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Reads the state of the system at an address. `None` where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no state.
    pub fn read_state(&self, address: &str) -> anyhow::Result<Option<SavedState>> {
        let path = self.path_of_state(address);
        let reading = || format!("cannot read {}", path.display());
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(reading),
        };
        match serde_json::from_slice(&text) {
            Ok(state) => Ok(Some(state)),
            Err(error) => bail!(
                "{} is damaged ({error}): move it away, and its rules begin anew",
                path.display()
            ),
        }
    }

    /// Replaces the state of the system at an address. It is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// It cannot be written: the state is as it was.
    pub fn write_state(&self, address: &str, state: &SavedState) -> io::Result<()> {
        let bytes = serde_json::to_vec(state)?;
        replace(&self.path_of_state(address), &bytes)
    }

    fn path_of_state(&self, address: &str) -> PathBuf {
        self.path.join("state").join(SavedState::file_name(address))
    }
}
