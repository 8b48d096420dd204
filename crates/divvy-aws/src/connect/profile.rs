//! The profile of the AWS configuration: whether its files can be read, and whether it is in them.
//!
//! The SDK logs what is wrong with them, and goes on without.

use aws_config::profile;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};
use divvy::store::{StoreError, StoreErrorKind};

use super::cause::innermost;

/// Checks the files of the configuration, and that the profile of `AWS_PROFILE` is in them.
///
/// # Errors
///
/// A file cannot be read, or lacks the profile.
pub(super) async fn check() -> Result<(), StoreError> {
    let refused = |message| Err(StoreError::new(StoreErrorKind::Unreachable, message));
    let named = std::env::var("AWS_PROFILE").ok();
    let named = named.filter(|name| !name.is_empty());
    let files = EnvConfigFiles::default();
    let profiles = match profile::load(&Fs::real(), &Env::real(), &files, None).await {
        Ok(profiles) => profiles,
        Err(error) => {
            // Its text has several lines.
            let cause = innermost(&error);
            let cause: Vec<&str> = cause.split_whitespace().collect();
            return refused(format!(
                "the AWS configuration cannot be read ({}): correct the file, or name others in \
                 AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE",
                cause.join(" ")
            ));
        }
    };
    match named.filter(|name| profiles.get_profile(name).is_none()) {
        None => Ok(()),
        Some(name) => {
            let mut others: Vec<&str> = profiles.profiles().collect();
            others.sort_unstable();
            let found = match others.as_slice() {
                [] => "no profile at all".to_owned(),
                others => format!("the profiles {}", others.join(", ")),
            };
            refused(format!(
                "AWS_PROFILE is {name:?}, and the AWS configuration has {found}: name another, or make it \
                 (aws configure --profile {name})"
            ))
        }
    }
}
