//! Runs the program.

use std::path::Path;
use std::process::{Command, Stdio};

/// Makes a command that runs the program in a folder, without input. No store is named in its
/// environment.
pub fn divvy(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_divvy"));
    command
        .current_dir(folder)
        .env_remove("DIVVY_STORE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command to its end. Returns what it printed to stdout and to stderr.
///
/// # Panics
///
/// The exit status is not 0.
pub fn succeed(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {errors}");
    (String::from_utf8(output.stdout).unwrap(), errors)
}
