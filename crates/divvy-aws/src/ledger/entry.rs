//! Loaded archives: their entries in the ledger.

use std::collections::BTreeMap;

use divvy::issue::{Reason, RejectedCounts, Skipped};
use divvy::model::{System, SystemId};
use divvy::store::{ArchiveId, ContentHash, LedgerEntry, StoreError};
use divvy::tally::FlagCounts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ARCHIVES, ArchiveSections, LedgerTable, damaged, decode, encode};
use crate::item::Item;
use crate::item::trip::archive_tag;

/// A loaded archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Archive {
    /// The entry that the store returns.
    pub entry: LedgerEntry,
    /// The names of its members with trips; rows refer to them by index.
    pub members: Vec<String>,
    /// Its current sections.
    pub sections: ArchiveSections,
    /// Its smallest and its largest id. `None` without rows.
    pub ids: Option<(String, String)>,
    /// The number of its duplicates: copies of trips that are not stored.
    pub duplicates: u64,
}

impl Archive {
    /// Returns the text of its content hash: the key of its sections.
    pub fn content(&self) -> String {
        self.entry.id.content.to_string()
    }

    /// Returns the attribute `archive` of its rows.
    pub fn tag(&self) -> String {
        archive_tag(self.entry.id.content)
    }
}

/// The entry as JSON in the table.
#[derive(Serialize, Deserialize)]
struct EntryJson {
    system: System,
    name: String,
    content: String,
    sequence: u64,
    loaded_at: Timestamp,
    rows_read: u64,
    stored: u64,
    rejected: BTreeMap<String, u64>,
    flagged: FlagCounts,
    /// Absent in entries of older programs, and where nothing was skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<Skipped>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forced_from: Option<SystemId>,
    members: Vec<String>,
    #[serde(rename = "parts")]
    sections: ArchiveSections,
    ids: Option<(String, String)>,
    #[serde(rename = "lost")]
    duplicates: u64,
}

impl LedgerTable {
    /// Lists the archives in the order of loading.
    pub async fn archives(&self) -> Result<Vec<Archive>, StoreError> {
        const ENTRY_BYTES: f64 = 600.0;
        let items = self
            .table
            .query(("archive", ARCHIVES), None, ENTRY_BYTES)
            .await?;
        let mut archives: Vec<Archive> = items.iter().map(archive_of).collect::<Result<_, _>>()?;
        archives.sort_by_key(|archive| archive.entry.sequence);
        Ok(archives)
    }
}

/// Makes the item of an archive's entry.
pub(super) fn entry_item(archive: &Archive) -> Item {
    let entry = &archive.entry;
    let content = archive.content();
    let rejected = entry.rejected.iter();
    let json = EntryJson {
        system: entry.id.system.clone(),
        name: entry.id.name.clone(),
        content: content.clone(),
        sequence: entry.sequence,
        loaded_at: entry.loaded_at,
        rows_read: entry.rows_read,
        stored: entry.stored,
        rejected: rejected
            .map(|(reason, n)| (reason.as_str().into(), *n))
            .collect(),
        flagged: entry.flagged.clone(),
        skipped: entry.skipped.clone(),
        forced_from: entry.forced_from.clone(),
        members: archive.members.clone(),
        sections: archive.sections,
        ids: archive.ids.clone(),
        duplicates: archive.duplicates,
    };
    encode(ARCHIVES, &content, &json)
}

fn archive_of(item: &Item) -> Result<Archive, StoreError> {
    let json: EntryJson = decode(item)?;
    let entry = format!("the entry of {}", json.name);
    let content = u128::from_str_radix(&json.content, 16);
    let content = content.map_err(|error| damaged(&entry, error))?;
    let mut rejected = RejectedCounts::new();
    for (reason, n) in &json.rejected {
        let known = Reason::named(reason);
        let known = known.ok_or_else(|| damaged(&entry, format!("what is {reason}?")))?;
        rejected.insert(known, *n);
    }
    Ok(Archive {
        entry: LedgerEntry {
            id: ArchiveId {
                system: json.system,
                name: json.name,
                content: ContentHash(content),
            },
            sequence: json.sequence,
            loaded_at: json.loaded_at,
            rows_read: json.rows_read,
            stored: json.stored,
            rejected,
            flagged: json.flagged,
            skipped: json.skipped,
            forced_from: json.forced_from,
        },
        members: json.members,
        sections: json.sections,
        ids: json.ids,
        duplicates: json.duplicates,
    })
}
