//! What tests need and a machine may lack: published data, programs.
//!
//! A test that lacks one is skipped: it passes, and a line on standard error reports it, also where
//! the test runner captures the output of tests. The environment variable `DIVVY_REQUIRE` lists, with
//! spaces between, what a machine must have (`real-data`, or the name of a program or Python
//! module): a test that lacks one of these fails.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns a file or folder of the published data, for example `trips/divvy`. `None` where it is
/// not there.
///
/// The data is in the folder that `DIVVY_REAL_DATA` names, else in `shared/data` beside the project.
///
/// # Panics
///
/// Where it is not there and `DIVVY_REQUIRE` has `real-data`.
pub fn published(path: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("DIVVY_REAL_DATA").map_or(beside, PathBuf::from);
    let found = data.join(path);
    if found.exists() {
        return Some(found);
    }
    skip("real-data", &format!("{} is not there", found.display()));
    None
}

/// Returns whether all these programs can be started.
///
/// # Panics
///
/// Where one cannot be and `DIVVY_REQUIRE` has its name.
pub fn has_programs(programs: &[&str]) -> bool {
    let is_there = |program| Command::new(program).arg("--version").output().is_ok();
    let lacking = programs.iter().find(|program| !is_there(*program));
    if let Some(program) = lacking {
        skip(program, &format!("{program} cannot be started"));
    }
    lacking.is_none()
}

/// Returns whether `python3` has a module.
///
/// # Panics
///
/// Where it does not and `DIVVY_REQUIRE` has the module's name.
pub fn has_python_module(module: &str) -> bool {
    let import = format!("import {module}");
    let output = Command::new("python3").args(["-c", &import]).output();
    let has = output.is_ok_and(|output| output.status.success());
    if !has {
        skip(module, &format!("python3 has no module {module}"));
    }
    has
}

fn skip(need: &str, why: &str) {
    let required = std::env::var("DIVVY_REQUIRE").unwrap_or_default();
    assert!(
        !required.split_whitespace().any(|name| name == need),
        "DIVVY_REQUIRE has {need}: {why}"
    );
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not by `eprintln!`, which the test runner captures.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}
