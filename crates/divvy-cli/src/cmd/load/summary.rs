//! What is printed of a loaded archive.

use divvy::ingest::Loaded;
use divvy::issue::Reason;
use divvy::model::Flag;
use serde_json::{Map, Value, json};

use crate::cmd::grouped;

/// Returns the line for stderr.
pub fn sentence(loaded: &Loaded, seconds: f64) -> String {
    let lists = loaded
        .station_lists
        .iter()
        .map(|(name, n)| format!("{name}: {} stations", grouped(*n as u64)));
    let Some(entry) = &loaded.entry else {
        return format!(
            "{}  ({} by {})",
            lists.collect::<Vec<_>>().join(", "),
            loaded.attribution.system.id,
            loaded.attribution.reason()
        );
    };
    let name = &entry.id.name;
    let stored = grouped(entry.stored);
    if loaded.already {
        return format!(
            "{name}: loaded before, {stored} trips  ({})",
            loaded.attribution.system.id
        );
    }
    let mut counts = vec![
        format!("{} rows", grouped(entry.rows_read)),
        format!("{stored} trips"),
    ];
    for reason in Reason::ALL {
        if let Some(n) = entry.rejected.get(&reason) {
            counts.push(format!("{} {reason}", grouped(*n)));
        }
    }
    counts.extend(lists);
    format!(
        "{name}: {}  ({} by {}, {seconds:.2} s)",
        counts.join(", "),
        loaded.attribution.system.id,
        loaded.attribution.reason()
    )
}

/// Returns the object of `--format json`. `None` for an archive of station lists alone.
pub fn json(loaded: &Loaded, seconds: f64) -> Option<Value> {
    let entry = loaded.entry.as_ref()?;
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
        "already": loaded.already,
        "rows_read": entry.rows_read,
        "stored": entry.stored,
        "rejected": rejected,
        "flagged": flagged,
        "seconds": (seconds * 1000.0).round() / 1000.0,
    }))
}
