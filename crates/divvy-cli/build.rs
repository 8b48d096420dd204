//! Passes the commit of the sources to the compiler, for `divvy --version`: `DIVVY_COMMIT` is its short
//! hash and date in parentheses behind a blank, or empty where the sources are in no repository.

use std::path::Path;
use std::process::Command;

fn main() {
    let commit = git(&["log", "-1", "--format= (%h %cs)"]).unwrap_or_default();
    println!("cargo::rustc-env=DIVVY_COMMIT={commit}");
    let profile = std::env::var("PROFILE").unwrap_or_default();
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=DIVVY_TARGET={target} {profile}");
    println!("cargo::rerun-if-changed=build.rs");
    // HEAD names a branch, whose file or whose line in packed-refs changes with each commit.
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    let names = ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref());
    for name in names {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// Returns the output of a git command. `None` where it fails, or there is no git.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}
