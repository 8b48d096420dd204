//! `divvy completions`

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::open::without;

/// Prints completions for a shell.
#[derive(Debug, Args)]
#[command(args = without(&["store", "system", "systems"]))]
#[command(after_help = "Example:
  divvy completions bash > ~/.local/share/bash-completion/completions/divvy")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(self, mut command: Command) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "divvy", &mut script);
        std::io::Write::write_all(&mut std::io::stdout(), &script)?;
        Ok(ExitCode::SUCCESS)
    }
}
