//! Which copy of a trip is stored, where it stands in several archives or twice in one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::catalog::Kind;
use super::commit::Part;
use super::index::{self, Entry, Index};
use super::trips_file::TripsFile;
use crate::model::Trip;
use crate::store::StoreError;

/// Trips held at a time while copies are compared.
const SLICE: usize = 50_000;

impl Part {
    fn overlaps(&self, other: &Self) -> bool {
        self.keys.0 <= other.keys.1 && other.keys.0 <= self.keys.1
    }
}

/// Decides which copy of each trip is stored, and so which rows change sides.
pub(super) fn decide(parts: &mut [Part], replaced: &BTreeSet<u64>) -> Result<(), StoreError> {
    // What comes or goes, and what may hold other copies of these trips. Nothing is to be decided
    // about ids that stand nowhere else, and most months are such.
    let comes_or_goes: Vec<bool> = parts
        .iter()
        .map(|part| part.row.is_none() || replaced.contains(&part.archive))
        .collect();
    let (mut places, mut new, mut old) = (Vec::new(), Vec::new(), Vec::new());
    for among in [true, false] {
        for place in (0..parts.len()).filter(|place| comes_or_goes[*place] == among) {
            let range = shared_keys(parts, place, |other| among || comes_or_goes[other]);
            if let Some(range) = range {
                let index = Index::open(&parts[place].index_path)?;
                let indexes = if among { &mut new } else { &mut old };
                indexes.push((index, range));
                places.push(place);
            }
        }
    }
    let contested = index::contested(&new, &old)?;
    let judged: Vec<(usize, &Index)> = places
        .into_iter()
        .zip(new.iter().chain(&old).map(|(index, _)| index))
        .filter(|(place, _)| !replaced.contains(&parts[*place].archive))
        .collect();
    let mut moving: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for keys in contested.chunks(SLICE) {
        let mut copies = Vec::new();
        for (place, index) in &judged {
            let part = &parts[*place];
            read_rows(&part.path, &index.among(keys)?, |entry, trip| {
                copies.push(Copy {
                    trip,
                    rank: (part.archive, part.member, entry.line, entry.row),
                    part: *place,
                    row: entry.row,
                });
            })?;
        }
        copies.sort_by(|a, b| {
            (a.trip.id.cmp(&b.trip.id))
                .then_with(|| a.trip.cmp_copies(&b.trip))
                .then_with(|| a.rank.cmp(&b.rank))
        });
        for same in copies.chunk_by(|a, b| a.trip.id == b.trip.id) {
            for (place, copy) in same.iter().enumerate() {
                let belongs = if place == 0 {
                    Kind::Trips
                } else {
                    Kind::Duplicates
                };
                if parts[copy.part].kind != belongs {
                    moving.entry(copy.part).or_default().push(copy.row);
                }
            }
        }
    }
    for (place, mut rows) in moving {
        rows.sort_unstable();
        parts[place].moving = rows;
    }
    Ok(())
}

/// Finds the keys between which a part may share some with others, or hold one twice.
fn shared_keys(parts: &[Part], place: usize, counts: impl Fn(usize) -> bool) -> Option<(u64, u64)> {
    let part = &parts[place];
    if part.rows == 0 {
        return None;
    }
    let others = parts.iter().enumerate();
    let shared = others
        .filter(|(other, _)| *other != place && counts(*other))
        .filter(|(_, other)| other.rows > 0 && part.overlaps(other))
        .map(|(_, other)| (part.keys.0.max(other.keys.0), part.keys.1.min(other.keys.1)))
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    part.twice.then_some(part.keys).or(shared)
}

/// One copy of a trip.
struct Copy {
    trip: Trip,
    /// Archive, member, line, row: equal copies stay with the first.
    rank: (u64, usize, u32, u32),
    part: usize,
    row: u32,
}

/// Reads single rows of a file; `entries` are in the order of rows.
pub(super) fn read_rows(
    path: &Path,
    entries: &[Entry],
    mut take: impl FnMut(&Entry, Trip),
) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let file = TripsFile::open(path)?;
    for (group, rows) in file.groups().into_iter().enumerate() {
        let from = entries.partition_point(|entry| entry.row < rows.start);
        let until = entries.partition_point(|entry| entry.row < rows.end);
        if from == until {
            continue;
        }
        let batch = file.read(group)?;
        for entry in &entries[from..until] {
            take(entry, batch.trip((entry.row - rows.start) as usize));
        }
    }
    Ok(())
}
