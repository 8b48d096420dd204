//! Values that a shell offers while a command is typed: reports, dimensions, columns, kinds of riders and
//! bikes, systems, stations and archives.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap_complete::CompletionCandidate;
use divvy::model::Systems;
use divvy::reports::{self, Dim, Filters, REPORTS, Report, Stations, Value, WEEKDAY_NAMES};
use divvy::store::Ledger;
use divvy::store::embedded::EmbeddedStore;

use crate::own_report::{self, ALL};
use crate::runtime::{self, Kind, block_on};
use crate::store_name::{FOLDER, StoreName};

/// Lists the reports, with those of the user.
pub fn reports() -> Vec<CompletionCandidate> {
    let built_in = REPORTS
        .iter()
        .map(|report| (report.name().to_owned(), report.about()));
    let own = own_report::names().into_iter();
    let own = own.map(|name| (name, "your own"));
    let all = std::iter::once((ALL.to_owned(), "every report, as a page"));
    let reports = built_in.chain(own).chain(all);
    let candidate = |(name, about): (String, &'static str)| {
        CompletionCandidate::new(name).help(Some(about.into()))
    };
    reports.map(candidate).collect()
}

/// Completes the last of several dimensions that are separated by commas.
pub fn dimensions(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let (before, last) = match current.rfind(',') {
        Some(comma) => current.split_at(comma + 1),
        None => ("", &*current),
    };
    let of_report = report_of_command().map(|report| report.groups_by());
    let dims = of_report
        .unwrap_or(&Dim::ALL)
        .iter()
        .map(|dim| dim.as_str());
    let fitting =
        dims.filter(|dim| dim.starts_with(last) && !before.split(',').any(|it| it == *dim));
    fitting
        .map(|dim| CompletionCandidate::new(format!("{before}{dim}")))
        .collect()
}

/// Lists the columns of the report of the command line.
pub fn columns() -> Vec<CompletionCandidate> {
    let columns = report_of_command()
        .map(|report| report.columns())
        .unwrap_or_default();
    let candidate = |column: &reports::Column| {
        CompletionCandidate::new(column.name).help(Some(column.heading().into()))
    };
    columns.iter().map(candidate).collect()
}

/// Returns the report that the command line names. `None` for one of the user's own.
fn report_of_command() -> Option<&'static dyn Report> {
    let mut arguments = std::env::args().skip(1);
    arguments.find_map(|argument| reports::find(&argument).ok())
}

/// Lists the kinds of riders, in today's words.
pub fn riders() -> Vec<CompletionCandidate> {
    ["member", "casual"].map(CompletionCandidate::new).into()
}

/// Lists the kinds of bikes.
pub fn bikes() -> Vec<CompletionCandidate> {
    ["electric", "classic", "docked"]
        .map(CompletionCandidate::new)
        .into()
}

/// Lists weekdays, and names of several.
pub fn weekdays() -> Vec<CompletionCandidate> {
    let days = WEEKDAY_NAMES.iter();
    let days = days.map(|day| (day[..3].to_lowercase(), *day));
    let several = [
        ("workday", "Monday to Friday"),
        ("weekend", "Saturday and Sunday"),
    ];
    let several = several.map(|(name, days)| (name.to_owned(), days));
    let candidate = |(name, days): (String, &'static str)| {
        CompletionCandidate::new(name).help(Some(days.into()))
    };
    days.chain(several).map(candidate).collect()
}

/// Lists the archives of the store.
pub fn archives() -> Vec<CompletionCandidate> {
    let archives = with_store(|store| {
        let mut archives = Vec::new();
        for system in block_on(store.systems()).ok()? {
            let entries = block_on(store.entries(&system.id)).ok()?;
            archives.extend(entries.into_iter().map(|entry| {
                CompletionCandidate::new(quoted(&entry.id.name))
                    .help(Some(system.id.to_string().into()))
            }));
        }
        Some(archives)
    });
    archives.unwrap_or_default()
}

/// Lists the systems of the store; without a store, those that are known.
pub fn systems() -> Vec<CompletionCandidate> {
    let stored = with_store(|store| block_on(store.systems()).ok());
    let known = || {
        Systems::default()
            .iter()
            .map(|known| known.system.clone())
            .collect()
    };
    let systems = stored
        .filter(|stored| !stored.is_empty())
        .unwrap_or_else(known);
    let systems = systems.into_iter();
    systems
        .map(|system| CompletionCandidate::new(system.id.as_str()).help(Some(system.name.into())))
        .collect()
}

/// Lists the stations of the store whose name or id begins with a text, ignoring case.
pub fn stations(current: &OsStr) -> Vec<CompletionCandidate> {
    let typed = current.to_string_lossy();
    // Where a shell passes what was typed, blanks may be marked as part of the word.
    let wanted = typed
        .replace('\\', "")
        .trim_start_matches(['"', '\''])
        .to_lowercase();
    let begins = |text: &str| text.to_lowercase().starts_with(&wanted);
    let rows = with_store(stations_of_store).unwrap_or_default();
    let mut candidates = Vec::new();
    for (id, name) in rows {
        if begins(&name) {
            candidates.push(CompletionCandidate::new(quoted(&name)));
        } else if begins(&id) {
            candidates.push(CompletionCandidate::new(quoted(&id)).help(Some(name.into())));
        }
    }
    candidates
}

/// Marks blanks and other letters with a meaning as part of one word where the shell does not do that
/// by itself: in bash.
fn quoted(value: &str) -> OsString {
    if std::env::var_os("_CLAP_COMPLETE_COMP_TYPE").is_none() {
        return value.into();
    }
    let mut quoted = String::new();
    for letter in value.chars() {
        if letter.is_ascii() && !letter.is_ascii_alphanumeric() && !"-_./:@%+,".contains(letter) {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.into()
}

/// Lists ids and names of the stations of the only system, or of that of `--system`.
fn stations_of_store(store: &EmbeddedStore) -> Option<Vec<(String, String)>> {
    let named = argument("--system");
    let mut stations = Vec::new();
    for system in block_on(store.systems()).ok()? {
        let is_meant = |named: &OsString| named == system.id.as_str() || named == "all";
        if !named.as_ref().is_none_or(is_meant) {
            continue;
        }
        let filters = Filters::default();
        let answer = reports::answer(&Stations, store, &system, &filters);
        let table = block_on(answer).ok()?;
        let at = |name| {
            Stations
                .columns()
                .iter()
                .position(|column| column.name == name)
        };
        let (id, name) = (at("station_id")?, at("name")?);
        stations.extend(table.rows.into_iter().filter_map(|mut row| {
            let text = |value: &mut Value| match std::mem::replace(value, Value::Empty) {
                Value::Text(text) => Some(text),
                _ => None,
            };
            let id = text(&mut row[id])?;
            let name = text(&mut row[name]);
            Some((id.clone(), name.unwrap_or(id)))
        }));
    }
    Some(stations)
}

/// Reads from the store of the command line, if it is in a folder. `None` where there is none.
fn with_store<T>(read: impl FnOnce(&EmbeddedStore) -> Option<T>) -> Option<T> {
    let named = argument("--store").or_else(|| std::env::var_os("DIVVY_STORE"));
    let named = named.unwrap_or_else(|| FOLDER.into());
    let StoreName::Folder(folder) = StoreName::parse(named).ok()? else {
        return None;
    };
    let folder: PathBuf = folder;
    runtime::start(Kind::CallingThread).ok()?;
    let store = EmbeddedStore::open_existing_with(&folder, Box::new(|_| {})).ok()??;
    read(&store)
}

/// Returns the value of a flag on the command line that is completed.
fn argument(flag: &str) -> Option<OsString> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut pairs = arguments.windows(2);
    let pair = pairs.find(|pair| pair[0] == flag)?;
    Some(pair[1].clone())
}
