//! The system that `--system` names.

use anyhow::bail;
use divvy::model::{System, Systems};
use divvy::store::Store;

use super::Common;
use crate::runtime::block_on;
use crate::store_name::StoreName;
use crate::systems_file;

/// The value of `--system` for every system of the store.
pub const ALL_SYSTEMS: &str = "all";

/// Returns the id of a system from the value of --system.
pub(super) fn id_of(system: &str) -> &str {
    system.split('@').next().unwrap_or(system)
}

/// Checks what can be checked in the text alone: a name may be that of a system in the store.
pub(super) fn system_name(text: &str) -> Result<String, String> {
    if text.contains('@') {
        System::parse(text).map_err(|error| error.to_string())?;
    }
    Ok(text.to_owned())
}

impl Common {
    /// Returns the systems that are known: the built-in ones and those of the user's file.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn known_systems(&self) -> anyhow::Result<Systems> {
        let path = match (&self.systems, &self.store) {
            (Some(path), _) => path.clone(),
            (None, StoreName::Folder(folder)) => {
                let path = folder.join(systems_file::NAME);
                if !path.exists() {
                    return Ok(Systems::default());
                }
                path
            }
            (None, _) => return Ok(Systems::default()),
        };
        Ok(Systems::default().with(systems_file::read(&path)?))
    }

    /// Returns whether `--system all` selects every system of the store.
    pub fn is_of_all_systems(&self) -> bool {
        self.system.as_deref() == Some(ALL_SYSTEMS)
    }

    /// Lists the systems of a store that `--system` selects: without it, all.
    ///
    /// # Errors
    ///
    /// There is no system of that name.
    pub fn selected_systems(&self, store: &dyn Store) -> anyhow::Result<Vec<System>> {
        let mut systems = block_on(store.systems())?;
        if !self.is_of_all_systems()
            && let Some(named) = self.named_system(&systems)?
        {
            systems.retain(|system| system.id == named.id);
        }
        Ok(systems)
    }

    /// Returns the system that `--system` names. `None` without it. `stored` are the systems of the
    /// store.
    ///
    /// # Errors
    ///
    /// There is no system of that name.
    pub fn named_system(&self, stored: &[System]) -> anyhow::Result<Option<System>> {
        let Some(name) = &self.system else {
            return Ok(None);
        };
        if self.is_of_all_systems() {
            bail!("--system all is for report, ls and status: name one system");
        }
        let systems = self.known_systems()?.with_stored(stored);
        Ok(Some(systems.parse(name)?))
    }

    /// Returns the system that `--system` names, else the only system of the store.
    ///
    /// # Errors
    ///
    /// The store does not have the named system; without a name, it has none or several.
    pub fn system_of(&self, store: &dyn Store) -> anyhow::Result<System> {
        let known = block_on(store.systems())?;
        match (self.named_system(&known)?, known.as_slice()) {
            (Some(named), _) => match known.iter().find(|system| system.id == named.id) {
                Some(system) => Ok(system.clone()),
                None => bail!(
                    "the store has nothing of {}; it has {}",
                    named.id,
                    names(&known)
                ),
            },
            (None, [only]) => Ok(only.clone()),
            (None, []) => bail!(
                "the store in {} is empty: load an archive first (divvy load FILE.zip)",
                self.store
            ),
            (None, _) => bail!(
                "the store has several systems ({}): name one with --system NAME (reports also take --system all)",
                names(&known)
            ),
        }
    }
}

fn names(systems: &[System]) -> String {
    if systems.is_empty() {
        return "nothing at all".into();
    }
    let ids: Vec<&str> = systems.iter().map(|system| system.id.as_str()).collect();
    ids.join(", ")
}
