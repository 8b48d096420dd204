//! Systems and their archives.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::tables::{ARCHIVE, FILE, SYSTEM};
use super::tallies::{cube, pack, unpack};
use super::{execute, from_json, from_ms, last_sequence, query, to_json, to_ms};
use crate::issue::{Reason, RejectedCounts, Skipped};
use crate::model::{System, SystemId};
use crate::store::embedded::error::corrupt_catalog;
use crate::store::{ArchiveId, ContentHash, LedgerEntry, LoadedArchive, StoreError};
use crate::tally::{Parts, Totals};

/// Lists the systems, by id.
pub(crate) fn systems(catalog: &Connection) -> Result<Vec<System>, StoreError> {
    let is_intact = SYSTEM.is_intact();
    let select =
        format!("SELECT id, name, time_zone, area FROM system WHERE {is_intact} ORDER BY id");
    query(catalog, &select, [], |row| {
        let area: Option<String> = row.get(3)?;
        Ok(System {
            id: row.get::<_, String>(0)?.into(),
            name: row.get(1)?,
            time_zone: row.get(2)?,
            area: area.as_deref().map(from_json).transpose()?,
        })
    })
}

/// Adds a system, or updates its name and area.
pub(crate) fn put_system(catalog: &Connection, system: &System) -> Result<(), StoreError> {
    execute(
        catalog,
        "INSERT INTO system (id, name, time_zone, area, checksum)
         VALUES (?1, ?2, ?3, ?4, row_checksum(?1, ?2, ?3, ?4, NULL))
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, area = excluded.area, checksum =
             row_checksum(system.id, excluded.name, time_zone, excluded.area, totals)",
        params![
            system.id.as_str(),
            system.name,
            system.time_zone,
            system.area.as_ref().map(to_json)
        ],
    )
}

/// Deletes a system that has neither archives nor stations nor a feed.
pub(crate) fn delete_system_if_empty(
    catalog: &Connection,
    system: &SystemId,
) -> Result<(), StoreError> {
    let used: Vec<bool> = query(
        catalog,
        "SELECT EXISTS (SELECT 1 FROM archive WHERE system = ?1)
             OR EXISTS (SELECT 1 FROM station WHERE system = ?1)
             OR EXISTS (SELECT 1 FROM feed WHERE system = ?1)",
        [system.as_str()],
        |row| Ok(row.get(0)?),
    )?;
    if used == [false] {
        for delete in [
            "DELETE FROM system WHERE id = ?",
            "DELETE FROM cube WHERE system = ?",
            "DELETE FROM departures WHERE system = ?",
            "DELETE FROM from_station_count WHERE system = ?",
        ] {
            execute(catalog, delete, [system.as_str()])?;
        }
    }
    Ok(())
}

/// An archive: its entry, and what only this store keeps of it.
pub(crate) struct ArchiveRow {
    pub(crate) entry: LedgerEntry,
    /// The names of its members, by index.
    pub(crate) members: Vec<String>,
    /// Totals of its stored trips. [`archives`] reads them without the cube.
    pub(crate) totals: Totals,
}

/// What identifies an archive of a system.
pub(crate) struct ArchiveKey {
    pub(crate) sequence: u64,
    pub(crate) name: String,
    pub(crate) content: ContentHash,
}

/// Lists what identifies the archives of a system, by sequence.
pub(crate) fn archive_keys(
    catalog: &Connection,
    system: &SystemId,
) -> Result<Vec<ArchiveKey>, StoreError> {
    let select = "SELECT sequence, name, content FROM archive WHERE system = ? ORDER BY sequence";
    query(catalog, select, [system.as_str()], |row| {
        Ok(ArchiveKey {
            sequence: row.get(0)?,
            name: row.get(1)?,
            content: content_hash(&row.get::<_, String>(2)?)?,
        })
    })
}

fn content_hash(text: &str) -> Result<ContentHash, StoreError> {
    u128::from_str_radix(text, 16)
        .map(ContentHash)
        .map_err(corrupt_catalog)
}

/// Which archives of a system to read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ArchiveFilter {
    /// All of them.
    All,
    /// The one with this content.
    Content(ContentHash),
    /// The one with this sequence.
    Sequence(u64),
}

/// Reads archives of a system, by sequence.
pub(crate) fn archives(
    catalog: &Connection,
    system: &SystemId,
    filter: ArchiveFilter,
) -> Result<Vec<ArchiveRow>, StoreError> {
    let (content, sequence) = match filter {
        ArchiveFilter::All => (None, None),
        ArchiveFilter::Content(content) => (Some(content.to_string()), None),
        ArchiveFilter::Sequence(sequence) => (None, Some(sequence)),
    };
    let Some(system) = systems(catalog)?.into_iter().find(|s| s.id == *system) else {
        return Ok(Vec::new());
    };
    let (is_intact, is_file_intact) = (ARCHIVE.is_intact(), FILE.is_intact());
    let select = format!(
        "SELECT sequence, name, content, loaded_at, rows_read, rejected, members, totals,
                coalesce(duplicates, 0)
         FROM archive
         LEFT JOIN (SELECT archive AS owner, sum(rows) AS duplicates FROM file
                    WHERE kind = 'duplicates' AND {is_file_intact}
                        AND archive IN (SELECT sequence FROM archive WHERE system = ?1
                            AND (?2 IS NULL OR content = ?2) AND (?3 IS NULL OR sequence = ?3))
                    GROUP BY archive)
             ON owner = sequence
         WHERE system = ?1 AND (?2 IS NULL OR content = ?2) AND (?3 IS NULL OR sequence = ?3)
             AND {is_intact}
         ORDER BY sequence"
    );
    let params = params![system.id.as_str(), content, sequence];
    query(catalog, &select, params, |row| {
        let totals = unpack(&row.get::<_, Vec<u8>>(7)?)?;
        let members: Members = from_json(&row.get::<_, String>(6)?)?;
        let (members, skipped, forced_from) = members.into_parts();
        let entry = LedgerEntry {
            id: ArchiveId {
                system: system.clone(),
                name: row.get(1)?,
                content: content_hash(&row.get::<_, String>(2)?)?,
            },
            sequence: row.get(0)?,
            loaded_at: from_ms(row.get(3)?)?,
            rows_read: row.get(4)?,
            stored: u64::try_from(totals.trips).map_err(corrupt_catalog)?,
            rejected: rejected_from_json(&row.get::<_, String>(5)?, row.get(8)?)?,
            flagged: totals.flags.clone(),
            skipped,
            forced_from,
        };
        Ok(ArchiveRow {
            entry,
            members,
            totals,
        })
    })
}

/// Reads archives of a system with their cubes, by sequence.
pub(crate) fn archives_with_cubes(
    catalog: &Connection,
    system: &SystemId,
    filter: ArchiveFilter,
) -> Result<Vec<ArchiveRow>, StoreError> {
    let mut archives = archives(catalog, system, filter)?;
    for archive in &mut archives {
        archive.totals.cube = cube(catalog, system, archive.entry.sequence, Parts::ALL)?;
    }
    Ok(archives)
}

/// What the column `members` holds as JSON. Most archives have the list alone, as those that older
/// programs loaded.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Members {
    Names(Vec<String>),
    WithNotes {
        names: Vec<String>,
        #[serde(default)]
        skipped: Vec<Skipped>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forced_from: Option<SystemId>,
    },
}

impl Members {
    fn of(names: &[String], entry: &LedgerEntry) -> Self {
        let names = names.to_vec();
        if entry.skipped.is_empty() && entry.forced_from.is_none() {
            return Self::Names(names);
        }
        Self::WithNotes {
            names,
            skipped: entry.skipped.clone(),
            forced_from: entry.forced_from.clone(),
        }
    }

    fn into_parts(self) -> (Vec<String>, Vec<Skipped>, Option<SystemId>) {
        match self {
            Self::Names(names) => (names, Vec::new(), None),
            Self::WithNotes {
                names,
                skipped,
                forced_from,
            } => (names, skipped, forced_from),
        }
    }
}

/// Reads the counts of rejected rows. Duplicates are not among them: their files are counted.
fn rejected_from_json(text: &str, duplicates: u64) -> Result<RejectedCounts, StoreError> {
    let by_name: BTreeMap<String, u64> = from_json(text)?;
    let mut rejected: RejectedCounts = by_name
        .into_iter()
        .filter_map(|(name, n)| Some((Reason::named(&name)?, n)))
        .collect();
    if duplicates > 0 {
        rejected.insert(Reason::Duplicate, duplicates);
    }
    Ok(rejected)
}

fn rejected_to_json(rejected: &RejectedCounts) -> String {
    let by_name: BTreeMap<&str, u64> = rejected
        .iter()
        .filter(|(reason, _)| **reason != Reason::Duplicate)
        .map(|(reason, n)| (reason.as_str(), *n))
        .collect();
    to_json(&by_name)
}

/// Lists the archives of a system in short.
pub(crate) fn loaded_archives(
    catalog: &Connection,
    system: &SystemId,
) -> Result<Vec<LoadedArchive>, StoreError> {
    let is_intact = ARCHIVE.is_intact();
    let select = format!(
        "SELECT name, content FROM archive WHERE system = ? AND {is_intact} ORDER BY sequence"
    );
    query(catalog, &select, [system.as_str()], |row| {
        Ok(LoadedArchive {
            name: row.get(0)?,
            content: content_hash(&row.get::<_, String>(1)?)?,
        })
    })
}

/// Returns the sequence of the next archive.
pub(crate) fn next_sequence(catalog: &Connection) -> Result<u64, StoreError> {
    Ok(last_sequence(catalog, "archive")? + 1)
}

/// Adds an archive.
pub(crate) fn put_archive(
    catalog: &Connection,
    archive: &mut ArchiveRow,
) -> Result<(), StoreError> {
    let totals = pack(&mut archive.totals);
    let entry = &archive.entry;
    execute(
        catalog,
        &ARCHIVE.insert(),
        params![
            entry.sequence,
            entry.id.system.id.as_str(),
            entry.id.name,
            entry.id.content.to_string(),
            to_ms(entry.loaded_at),
            entry.rows_read,
            rejected_to_json(&entry.rejected),
            to_json(&Members::of(&archive.members, entry)),
            totals
        ],
    )
}

/// Replaces the totals of an archive.
pub(crate) fn put_archive_totals(
    catalog: &Connection,
    sequence: u64,
    totals: &mut Totals,
) -> Result<(), StoreError> {
    execute(
        catalog,
        "UPDATE archive SET totals = ?1, checksum = row_checksum(sequence, system, name, content,
             loaded_at, rows_read, rejected, members, ?1)
         WHERE sequence = ?2",
        params![pack(totals), sequence],
    )
}

/// Deletes an archive, its cube and its files. The caller adds the files to the leftovers.
pub(crate) fn delete_archive(catalog: &Connection, sequence: u64) -> Result<(), StoreError> {
    for delete in [
        "DELETE FROM file WHERE archive = ?",
        "DELETE FROM cube WHERE archive = ?",
        "DELETE FROM archive WHERE sequence = ?",
    ] {
        execute(catalog, delete, [sequence])?;
    }
    Ok(())
}
