//! Which store, and which of its systems.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Arg, Args};
use divvy::model::System;
use divvy::store::Store;
use divvy::store::embedded::EmbeddedStore;
use futures_executor::block_on;

/// Flags that stand before or behind any verb, but for those [`without`] some.
#[derive(Debug, Args)]
pub struct Common {
    /// The folder of the store
    #[arg(
        long,
        global = true,
        env = "DIVVY_STORE",
        hide_env_values = true,
        value_name = "FOLDER",
        default_value = "divvy-data"
    )]
    pub store: PathBuf,
    /// The system, such as divvy or citibike; ID@Area/City for one that divvy does not know
    #[arg(long, global = true, value_name = "NAME", value_parser = system)]
    pub system: Option<System>,
    /// Say nothing but errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Draw no progress bar
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Say more
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

/// Makes of common flags ones that mean nothing to a verb: left out of its help, and refused.
pub fn without(flags: &'static [&'static str]) -> impl Iterator<Item = Arg> {
    let refuse = |_: &str| Err::<String, _>("this verb does not take it");
    let refused =
        move |flag: &&'static str| Arg::new(*flag).long(*flag).hide(true).value_parser(refuse);
    flags.iter().map(refused)
}

fn system(text: &str) -> Result<System, String> {
    System::parse(text).map_err(|error| error.to_string())
}

impl Common {
    /// Opens the store for writing; makes it where there is none.
    pub fn open(&self) -> anyhow::Result<EmbeddedStore> {
        self.expect_folder()?;
        Ok(EmbeddedStore::open(&self.store)?)
    }

    /// Opens a store that is there.
    pub fn open_existing(&self) -> anyhow::Result<EmbeddedStore> {
        self.expect_folder()?;
        let store = EmbeddedStore::open_existing(&self.store)?;
        store.with_context(|| {
            format!(
                "there is no store in {}: load an archive first (divvy load FILE.zip), or try \
                 divvy demo",
                self.store.display()
            )
        })
    }

    /// Refuses what is no path of a folder.
    fn expect_folder(&self) -> anyhow::Result<()> {
        let text = self.store.to_string_lossy();
        if text.starts_with("dynamodb:") || text.starts_with("dynamodb-local:") {
            bail!("{text}: this build keeps stores in folders only; name a folder");
        }
        if Path::new(&self.store).is_file() {
            bail!("{text} is a file; a store is a folder");
        }
        Ok(())
    }

    /// Finds the system to speak of: the one named, else the store's only one.
    pub fn system_of(&self, store: &dyn Store) -> anyhow::Result<System> {
        let known = block_on(store.systems())?;
        match (&self.system, known.as_slice()) {
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
                self.store.display()
            ),
            (None, _) => bail!(
                "the store has several systems ({}): say which with --system NAME",
                names(&known)
            ),
        }
    }

    /// Prints a message to stderr, unless asked to be quiet.
    pub fn say(&self, message: impl std::fmt::Display) {
        if !self.quiet {
            eprintln!("{message}");
        }
    }
}

fn names(systems: &[System]) -> String {
    match systems {
        [] => "nothing at all".into(),
        _ => {
            let ids: Vec<&str> = systems.iter().map(|system| system.id.as_str()).collect();
            ids.join(", ")
        }
    }
}
