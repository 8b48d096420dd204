//! `divvy completions`

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use clap_complete::env::Shells;

use crate::open::without;

/// The environment variable by which a shell requests the words for a command line.
pub const COMPLETION_VARIABLE: &str = "DIVVY_COMPLETE";

/// Prints a script by which a shell completes verbs, flags and values: reports, dimensions, formats,
/// systems and stations of the store.
///
/// The script runs divvy, which has to be in the PATH, for each list of words.
#[derive(Debug, Args)]
#[command(args = without(&["store", "system", "systems"]))]
#[command(after_help = "Examples:
  divvy completions bash > ~/.local/share/bash-completion/completions/divvy
  divvy completions fish > ~/.config/fish/completions/divvy.fish
  divvy completions zsh > ~/.zfunc/_divvy")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// Removes backslashes from the words for an argument that begins with a quote, where bash takes them as
/// letters of the word. Bash itself adds the closing quote.
const BASH_QUOTES: &str = r#"
_divvy() {
    _clap_complete_divvy "$@"
    if [[ "${COMP_WORDS[COMP_CWORD]}" == [\"\']* ]]; then
        COMPREPLY=("${COMPREPLY[@]//\\/}")
    fi
}
"#;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Shell {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Elvish => "elvish",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Zsh => "zsh",
        }
    }
}

impl Completions {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        const NAME: &str = "divvy";
        let shells = Shells::builtins();
        let shell = shells.completer(self.shell.as_str());
        let shell = shell.context("there are no completions for this shell")?;
        let mut script = Vec::new();
        shell.write_registration(COMPLETION_VARIABLE, NAME, NAME, NAME, &mut script)?;
        let mut script = String::from_utf8(script)?;
        if let Shell::Bash = self.shell {
            script = script.replace("-F _clap_complete_divvy", "-F _divvy") + BASH_QUOTES;
        }
        std::io::Write::write_all(&mut std::io::stdout(), script.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}
