//! What is kept of forecasts, in one file for each part of a system: the XXH3-128 of the bytes, and the
//! bytes.
//!
//! They are files beside the catalog, because they are replaced as a whole, are megabytes long, and losing
//! them loses no trip and no state of a station.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use xxhash_rust::xxh3::xxh3_128;

use super::EmbeddedStore;
use super::commit::move_into_place;
use super::error::io_error;
use super::folder;
use super::hashed_file::HashedFile;
use super::staging::Staging;
use crate::model::SystemId;
use crate::store::{ForecastPart, Forecasts, StoreError};

/// The length of the hash before the bytes.
const HASH_LEN: usize = 16;

#[async_trait]
impl Forecasts for EmbeddedStore {
    async fn kept_forecasts(
        &self,
        system: &SystemId,
        part: ForecastPart,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match read(&self.shared.root, system, part)? {
            Kept::Intact(bytes) => Ok(Some(bytes)),
            Kept::Nothing | Kept::Damaged => Ok(None),
        }
    }

    async fn keep_forecasts(
        &self,
        system: &SystemId,
        part: ForecastPart,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let _lock = self.shared.writer_lock()?;
        let staging = Staging::create(&self.shared.root)?;
        let staged = staging.path.join(part.as_str());
        let mut file = HashedFile::create(&staged)?;
        file.append(&xxh3_128(bytes).to_le_bytes())?;
        file.append(bytes)?;
        file.finish()?;
        let target = path(&self.shared.root, system, part);
        move_into_place(&self.shared.root, &[(staged, target)])
    }
}

/// A file that is kept.
enum Kept {
    Nothing,
    Intact(Vec<u8>),
    /// It is not what was written.
    Damaged,
}

fn read(root: &Path, system: &SystemId, part: ForecastPart) -> Result<Kept, StoreError> {
    let path = path(root, system, part);
    let mut bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kept::Nothing),
        Err(error) => return Err(io_error("read", &path, error)),
    };
    if bytes.len() < HASH_LEN {
        return Ok(Kept::Damaged);
    }
    let kept = bytes.split_off(HASH_LEN);
    Ok(match xxh3_128(&kept).to_le_bytes()[..] == bytes[..] {
        true => Kept::Intact(kept),
        false => Kept::Damaged,
    })
}

fn path(root: &Path, system: &SystemId, part: ForecastPart) -> PathBuf {
    let name = format!("{system}.{}", part.as_str());
    root.join(folder::FORECASTS).join(name)
}

/// The files of some systems, as far as they exist.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verified {
    /// How many are what was written.
    pub(super) intact: usize,
    /// What is wrong with the others, and what follows from it: one sentence each.
    pub(super) damaged: Vec<String>,
    /// Why others cannot be read: one sentence each.
    pub(super) unreadable: Vec<String>,
}

impl Verified {
    /// Reads both files of a system, and compares them with their hashes.
    pub(super) fn add(&mut self, root: &Path, system: &SystemId) {
        for (part, made_anew) in [
            (
                ForecastPart::Models,
                "models are trained anew on the history of states",
            ),
            (
                ForecastPart::Log,
                "forecasts and their record begin anew, which changes no trip and no state of a station",
            ),
        ] {
            match read(root, system, part) {
                Ok(Kept::Nothing) => {}
                Ok(Kept::Intact(_)) => self.intact += 1,
                Ok(Kept::Damaged) => self.damaged.push(format!(
                    "{} is damaged: it is not what was written; {made_anew}",
                    path(root, system, part).display()
                )),
                Err(error) => self.unreadable.push(error.to_string()),
            }
        }
    }
}
