//! What is printed of a loaded archive.

use std::path::Path;

use divvy::ingest::Loaded;
use divvy::issue::{Reason, Skipped};
use divvy::model::Flag;
use divvy::reports::plural;
use divvy::store::LedgerEntry;
use serde_json::{Map, Value, json};

use crate::cmd::grouped;

/// Returns the line for stderr. `rejects` is the file to which rejected rows were written.
pub fn sentence(loaded: &Loaded, seconds: f64, rejects: Option<&Path>) -> String {
    let lists = loaded
        .station_lists
        .iter()
        .map(|(name, n)| format!("{name}: {}", plural(*n as i64, "station")));
    let Some(entry) = &loaded.entry else {
        return format!(
            "{}  ({} {})",
            lists.collect::<Vec<_>>().join(", "),
            loaded.attribution.system.id,
            loaded.attribution.reason()
        );
    };
    let name = &entry.id.name;
    let stored = plural(entry.stored as i64, "trip");
    if loaded.already {
        let rejected = rejected_before(entry, rejects);
        return format!(
            "{name}: loaded before, {stored}{rejected}  ({})",
            loaded.attribution.system.id
        );
    }
    let mut counts = vec![plural(entry.rows_read as i64, "row"), stored];
    for reason in Reason::ALL {
        if let Some(n) = entry.rejected.get(&reason) {
            counts.push(format!("{} {reason}", grouped(*n)));
        }
    }
    counts.extend(lists);
    let hint = if entry.rejected_total() > 0 && rejects.is_none() {
        "; --rejects FILE lists those rejected"
    } else {
        ""
    };
    format!(
        "{name}: {}{hint}  ({} {}, {seconds:.2} s)",
        counts.join(", "),
        loaded.attribution.system.id,
        loaded.attribution.reason()
    )
}

/// Says where the rejected rows of an archive are that was loaded before.
fn rejected_before(entry: &LedgerEntry, rejects: Option<&Path>) -> String {
    let all = entry.rejected_total();
    let duplicates = entry.rejected.get(&Reason::Duplicate).copied();
    let duplicates = duplicates.unwrap_or(0);
    let Some(rejects) = rejects.filter(|_| all > 0) else {
        return match all {
            0 => String::new(),
            _ => format!(", {} rejected; --rejects FILE lists them", grouped(all)),
        };
    };
    let listed = all - duplicates;
    let verb = if listed == 1 { "is" } else { "are" };
    let listed = grouped(listed);
    let others = match duplicates {
        0 => String::new(),
        _ => format!(
            " without {}, which only the first load lists",
            plural(duplicates as i64, "duplicate")
        ),
    };
    format!(
        ", {listed} rejected {verb} in {}{others}",
        rejects.display()
    )
}

/// Returns the object of `--format json`. `None` for an archive of station lists alone of which nothing
/// was skipped.
pub fn json(loaded: &Loaded, seconds: f64) -> Option<Value> {
    let Some(entry) = &loaded.entry else {
        let lists = loaded.station_lists.iter().map(|(name, _)| name.as_str());
        let name = lists.collect::<Vec<_>>().join(", ");
        let is_whole = loaded.skipped.is_empty();
        return (!is_whole).then(|| json_of_skipped(&name, &loaded.skipped));
    };
    let rejected: Map<String, Value> = entry
        .rejected
        .iter()
        .map(|(reason, n)| (reason.as_str().into(), json!(n)))
        .collect();
    let flagged: Map<String, Value> = Flag::ALL
        .into_iter()
        .filter(|flag| entry.flagged(*flag) > 0)
        .map(|flag| (flag.as_str().into(), json!(entry.flagged(flag))))
        .collect();
    Some(json!({
        "archive": entry.id.name,
        "system": entry.id.system.id.as_str(),
        "system_by": loaded.attribution.grounds.iter().map(|g| g.as_str()).collect::<Vec<_>>(),
        "forced_from": entry.forced_from.as_ref().map(|id| id.as_str()),
        "already": loaded.already,
        "rows_read": entry.rows_read,
        "stored": entry.stored,
        "rejected": rejected,
        "flagged": flagged,
        "skipped": loaded.skipped,
        "warnings": loaded.warnings,
        "seconds": (seconds * 1000.0).round() / 1000.0,
    }))
}

/// Returns the object of what was skipped where no trips were loaded.
pub fn json_of_skipped(archive: &str, skipped: &[Skipped]) -> Value {
    json!({
        "archive": archive,
        "system": null,
        "already": false,
        "rows_read": 0,
        "stored": 0,
        "rejected": {},
        "flagged": {},
        "skipped": skipped,
        "warnings": [],
        "seconds": 0.0,
    })
}
