//! `divvy man`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Command};

use crate::open::without;

/// Writes the manual pages, one for each command, into a folder.
#[derive(Debug, Args)]
#[command(args = without(&["store", "system", "systems"]))]
#[command(after_help = "Example:
  divvy man ~/.local/share/man/man1")]
pub struct Man {
    /// The folder, which is made if it is missing
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

impl Man {
    pub fn run(self, command: Command) -> anyhow::Result<ExitCode> {
        let cannot = || format!("cannot write manual pages to {}", self.folder.display());
        std::fs::create_dir_all(&self.folder).with_context(cannot)?;
        clap_mangen::generate_to(command, &self.folder).with_context(cannot)?;
        Ok(ExitCode::SUCCESS)
    }
}
