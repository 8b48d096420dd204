//! What is printed for pipes, files and terminals: width, colours, formats.

use std::path::Path;
use std::process::Output;

use crate::program::{divvy, succeed};
use tempfile::TempDir;

/// Makes a folder with a store of invented trips.
fn store() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    succeed(divvy(folder.path()).args(["sample", "--trips", "2000", "a.zip"]));
    succeed(divvy(folder.path()).args(["load", "a.zip"]));
    folder
}

fn report(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = divvy(folder);
    command.env_remove("COLUMNS").env_remove("NO_COLOR");
    command.arg("report").args(arguments).output().unwrap()
}

fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = report(folder, arguments);
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = report(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_pipe_gets_every_row_and_every_column_with_values_and_no_colour() {
    let folder = store();
    let table = printed(folder.path(), &["stations"]);
    let csv = printed(folder.path(), &["stations", "--format", "csv"]);
    let rows = table
        .lines()
        .skip_while(|line| !line.starts_with('─'))
        .skip(1);
    let rows = rows.take_while(|line| !line.is_empty()).count();
    assert_eq!(rows, csv.lines().count() - 1);
    let headings = table.lines().next().unwrap();
    assert!(headings.contains("latitude"), "{headings}");
    assert!(!headings.contains("bikes"), "no feed has any: {headings}");
    assert!(!table.contains('\u{1b}') && !table.contains('…'));
    assert_eq!(table, printed(folder.path(), &["stations", "--top", "all"]));
}

#[test]
fn colours_are_those_that_are_requested() {
    let folder = store();
    let bold = "\u{1b}[1m";
    assert!(printed(folder.path(), &["hours", "--color", "always"]).contains(bold));
    assert!(printed(folder.path(), &["hours", "--color=always"]).contains(bold));
    assert!(!printed(folder.path(), &["hours", "--color", "never"]).contains(bold));
    // A request on the command line is stronger than the environment.
    let mut command = divvy(folder.path());
    command.env("NO_COLOR", "1");
    let (table, _) = succeed(command.args(["report", "hours", "--color", "always"]));
    assert!(table.contains(bold));
    let mistake = refused(folder.path(), &["ours", "--color", "always"]);
    assert!(
        mistake.starts_with("\u{1b}[1m\u{1b}[31mdivvy:\u{1b}[0m "),
        "{mistake:?}"
    );
}

#[test]
fn an_output_is_stdout_or_a_file_whose_ending_is_known() {
    let folder = store();
    let path = folder.path();
    let stdout = printed(path, &["hours", "--format", "csv"]);
    assert_eq!(
        stdout,
        printed(path, &["hours", "--format", "csv", "-o", "-"])
    );
    assert!(!path.join("-").exists());
    printed(path, &["hours", "-o", "hours.tsv"]);
    let tsv = std::fs::read_to_string(path.join("hours.tsv")).unwrap();
    assert_eq!(tsv, stdout.replace(',', "\t"));
    printed(path, &["hours", "-o", "hours.xlsx"]);
    assert!(
        std::fs::read(path.join("hours.xlsx"))
            .unwrap()
            .starts_with(b"PK")
    );
    let refusal = refused(path, &["hours", "-o", "hours.foo"]);
    assert!(refusal.contains("no format has the ending .foo: expected one of .txt, .csv"));
    assert!(!path.join("hours.foo").exists());
    let refusal = refused(path, &["hours", "-o", "hours.csv", "--format", "xlsx"]);
    assert!(
        refusal.contains("--format and the ending .csv are two formats"),
        "{refusal}"
    );
    assert!(!path.join("hours.csv").exists());
    printed(path, &["hours", "-o", "hours.json", "--format", "ndjson"]);
    printed(path, &["hours", "-o", "hours.txt", "--format", "csv"]);
}

#[test]
fn a_shell_completes_values() {
    let folder = store();
    let words = |typed: &[&str]| {
        let mut command = divvy(folder.path());
        command
            .env("DIVVY_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", (typed.len() - 1).to_string())
            .env("_CLAP_COMPLETE_COMP_TYPE", "9")
            .env("_CLAP_IFS", "\n");
        succeed(command.arg("--").args(typed)).0
    };
    assert_eq!(words(&["divvy", "report", "ro"]), "routes\nroundtrips");
    assert_eq!(
        words(&["divvy", "report", "hours", "--by", "rider,b"]),
        "rider,bike\nrider,birth_year"
    );
    assert_eq!(
        words(&["divvy", "report", "hours", "--system", ""]),
        "sample"
    );
    assert_eq!(
        words(&["divvy", "report", "hours", "--sort", "st"]),
        "starts\nstops"
    );
    assert_eq!(
        words(&["divvy", "report", "hours", "--rider", "c"]),
        "casual"
    );
    assert_eq!(
        words(&["divvy", "report", "hours", "--bike", "e"]),
        "electric"
    );
    assert_eq!(
        words(&["divvy", "report", "hours", "--weekday", "w"]),
        "wed\nworkday\nweekend"
    );
    assert!(words(&["divvy", "unload", ""]).contains("a.zip"));
    let (stations, _) =
        succeed(divvy(folder.path()).args(["report", "stations", "--top", "1", "--format", "csv"]));
    let name = stations.lines().nth(1).unwrap().split(',').nth(1).unwrap();
    let begin: String = name.chars().take(4).collect();
    let offered = words(&[
        "divvy",
        "report",
        "hours",
        "--station",
        &begin.to_lowercase(),
    ]);
    let quoted = name.replace(' ', "\\ ").replace('&', "\\&");
    assert!(offered.lines().any(|line| line == quoted), "{offered}");
    let elsewhere = words(&[
        "divvy",
        "--store",
        "none",
        "report",
        "hours",
        "--station",
        &begin,
    ]);
    assert_eq!(elsewhere, "");
}

/// Bash takes backslashes within quotes as letters of the word.
#[test]
fn bash_completes_names_within_quotes_as_they_are() {
    if !divvy_testkit::inputs::has_programs(&["bash"]) {
        return;
    }
    let folder = store();
    let program = Path::new(env!("CARGO_BIN_EXE_divvy")).parent().unwrap();
    let words = |typed: &str| {
        let script = r#"PATH="$1:$PATH"
            eval "$(divvy completions bash)"
            compopt() { true; }
            COMP_WORDS=(divvy report hours --station "$2") COMP_CWORD=4 COMP_TYPE=9
            _divvy divvy "${2#\"}" --station
            printf '%s\n' "${COMPREPLY[@]}""#;
        let mut bash = std::process::Command::new("bash");
        bash.current_dir(folder.path()).args(["-c", script, "bash"]);
        succeed(bash.arg(program).arg(typed)).0
    };
    let (stations, _) =
        succeed(divvy(folder.path()).args(["report", "stations", "--top", "1", "--format", "csv"]));
    let name = stations.lines().nth(1).unwrap().split(',').nth(1).unwrap();
    let begin: String = name.chars().take(4).collect();
    let within = words(&format!("\"{begin}"));
    assert!(within.lines().any(|line| line == name), "{within}");
    let without = words(&begin);
    let escaped = name.replace(' ', "\\ ").replace('&', "\\&");
    assert!(without.lines().any(|line| line == escaped), "{without}");
}
