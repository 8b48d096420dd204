//! What is kept of forecasts, in one file for each part of a system: the XXH3-128 of the bytes, and the
//! bytes.
//!
//! They are files beside the catalog, because they are replaced as a whole, are megabytes long, and losing
//! them loses no trip and no state of a station.

use std::io::ErrorKind;
use std::path::PathBuf;

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
        let path = self.forecasts_path(system, part);
        let mut bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path, error)),
        };
        if bytes.len() < HASH_LEN {
            return Ok(None);
        }
        let kept = bytes.split_off(HASH_LEN);
        Ok((xxh3_128(&kept).to_le_bytes()[..] == bytes[..]).then_some(kept))
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
        let target = self.forecasts_path(system, part);
        move_into_place(&self.shared.root, &[(staged, target)])
    }
}

impl EmbeddedStore {
    fn forecasts_path(&self, system: &SystemId, part: ForecastPart) -> PathBuf {
        let name = format!("{system}.{}", part.as_str());
        self.shared.root.join(folder::FORECASTS).join(name)
    }
}
