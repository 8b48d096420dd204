//! The corrections of places, in a file that people may edit.
//!
//! ```toml
//! [[divvy.link]]
//! id = "517"
//! name = "Clark & Jarvis"
//! place = "a3a3b4c5"
//!
//! [[divvy.split]]
//! id = "517"
//! name = "Pulaski & Armitage"
//! ```

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use super::error::io_error;
use super::folder;
use super::staging::Staging;
use crate::model::SystemId;
use crate::store::{Corrections, StoreError, StoreErrorKind};

/// The corrections by system.
type BySystem = BTreeMap<SystemId, Corrections>;

/// Reads the corrections of all systems. Empty where there is no file.
///
/// # Errors
///
/// `Damaged` for a file that is no such TOML: the message names the line.
pub(super) fn read(root: &Path) -> Result<BySystem, StoreError> {
    let path = root.join(folder::PLACES);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BySystem::new()),
        Err(error) => return Err(io_error("read", &path, error)),
    };
    toml::from_str(&text).map_err(|error| {
        let before = error.span().map_or("", |at| &text[..at.start]);
        let line = before.matches('\n').count() + 1;
        let what = error.message().replace('\n', " ");
        let message = format!("{}, line {line}: {what}", path.display());
        StoreError::new(StoreErrorKind::Damaged, message)
    })
}

/// Replaces the file. Comments in it are lost.
pub(super) fn write(root: &Path, corrections: &BySystem) -> Result<(), StoreError> {
    let text = toml::to_string(corrections).expect("tables of texts are TOML");
    let staging = Staging::create(root)?;
    let beside = staging.path.join(folder::PLACES);
    std::fs::write(&beside, text).map_err(|e| io_error("write", &beside, e))?;
    let file = std::fs::File::open(&beside).and_then(|file| file.sync_all());
    file.map_err(|e| io_error("sync", &beside, e))?;
    let path = root.join(folder::PLACES);
    std::fs::rename(&beside, &path).map_err(|e| io_error("move to", &path, e))?;
    folder::sync_names(root, [path.as_path()])
}
