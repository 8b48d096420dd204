//! What a load will change: which copy of each trip is stored from now on.
//!
//! Only ids that stand in several places are looked at one by one: twice in the archive, in
//! another archive too, or left behind by one that is superseded. All other rows are stored as
//! they are.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use divvy::issue::{Reason, Rejected};
use divvy::model::{StationId, Trip, TripBatch, TripId};
use divvy::store::{StoreError, StoreErrorKind};

use super::spool::Sorted;
use super::{Shared, layout};
use crate::blocks::{self, Rows};
use crate::ledger::{Archive, Part, PartsOf, decode_ids};

/// One copy of a trip.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Copy {
    /// The place of its archive among those that take part; the one on its way in is the last.
    pub archive: usize,
    pub trip: Trip,
    pub member: u32,
    pub line: u64,
}

impl Copy {
    fn cmp_copies(&self, other: &Self) -> Ordering {
        let place = |copy: &Self| (copy.archive, copy.member, copy.line);
        self.trip
            .cmp_copies(&other.trip)
            .then_with(|| place(self).cmp(&place(other)))
    }

    fn place(&self) -> (u32, u64) {
        (self.member, self.line)
    }
}

/// Makes rows of copies, as many as there are.
pub(super) fn rows_of(copies: &[Copy]) -> Rows {
    let mut batch: TripBatch = copies.iter().map(|copy| copy.trip.clone()).collect();
    batch.line = copies.iter().map(|copy| copy.line).collect();
    Rows {
        batch,
        member: copies.iter().map(|copy| copy.member).collect(),
    }
}

/// Makes copies of rows of an archive.
pub(super) fn copies_of(rows: &Rows, archive: usize) -> impl Iterator<Item = Copy> {
    (0..rows.len()).map(move |row| Copy {
        archive,
        trip: rows.batch.trip(row),
        member: rows.member[row],
        line: rows.batch.line[row],
    })
}

/// Makes a batch of the trips of copies, for tallies.
pub(super) fn batch_of(copies: &[Copy]) -> TripBatch {
    copies.iter().map(|copy| copy.trip.clone()).collect()
}

/// What is there when an archive is loaded.
pub(super) struct Beside<'a> {
    /// The archives that stay.
    pub kept: &'a [Archive],
    /// Those that the new one supersedes.
    pub superseded: &'a [Archive],
    /// Copies of `kept` that are stored, though an interrupted load of the same archive has
    /// overwritten some of them.
    pub aside: Vec<Copy>,
}

/// What a load will change.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Ids decided one by one.
    pub decided: HashSet<Box<[u8]>>,
    /// Of these, the copies to be written.
    pub puts: Vec<Copy>,
    /// Copies of other archives that were stored and are not any more, by archive.
    pub demoted: BTreeMap<usize, Vec<Copy>>,
    /// Copies of other archives that were not stored and are now, by archive.
    pub promoted: BTreeMap<usize, Vec<Copy>>,
    /// All copies that are not stored, of each archive where these change.
    pub lost: BTreeMap<usize, Vec<Copy>>,
    /// Ids of superseded archives of which no copy is left.
    pub deletes: Vec<String>,
    /// Where the trips begin that were stored and are not any more, or the other way round;
    /// without those of the archive on its way in.
    pub origins: BTreeSet<StationId>,
    /// What is to be told of copies that were stored or on their way in, and are not stored.
    pub told: Vec<Rejected>,
}

/// Reads the copies of an archive that another copy was better than.
pub(super) async fn lost_of(
    shared: &Shared,
    archive: &Archive,
    place: usize,
) -> Result<Vec<Copy>, StoreError> {
    lost_at(shared, &archive.content(), &archive.parts, place).await
}

pub(super) async fn lost_at(
    shared: &Shared,
    content: &str,
    parts: &PartsOf,
    place: usize,
) -> Result<Vec<Copy>, StoreError> {
    let bytes = shared
        .ledger
        .parts(Some(content), Part::Lost, parts.lost)
        .await?;
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let rows = blocks::decode(&bytes).map_err(|error| {
        let doing = format!("copies set aside for {content} cannot be read");
        StoreError::because(StoreErrorKind::Damaged, doing, error)
    })?;
    Ok(copies_of(&rows, place).collect())
}

/// A trip that an archive has by its ids, and nobody stores.
fn astray(id: &TripId, archive: &Archive) -> StoreError {
    StoreError::new(
        StoreErrorKind::Busy,
        format!(
            "trip {id} of {} is stored under no archive of the ledger: either another divvy is \
             loading it, or what was imported was exported together with others: divvy check \
             tells",
            archive.entry.id.name
        ),
    )
}

impl Plan {
    /// Plans a load of `mine` beside other archives.
    pub(super) async fn make(
        shared: &Shared,
        mine: &mut Sorted,
        members: &[String],
        beside: Beside<'_>,
    ) -> Result<Self, StoreError> {
        let Beside {
            kept,
            superseded,
            aside,
        } = beside;
        let mut plan = Self::default();
        for id in mine.doubled() {
            plan.decided.insert(id.into());
        }
        // Who else has an id of mine.
        let mut owners: HashMap<Box<[u8]>, Vec<usize>> = HashMap::new();
        for (place, archive) in kept.iter().enumerate() {
            if !overlap(mine, archive) {
                continue;
            }
            let bytes = ids_of(shared, archive).await?;
            decode_ids(&bytes, |id| {
                if mine.has(id) {
                    let owners = owners.entry(id.into()).or_default();
                    if owners.last() != Some(&place) {
                        owners.push(place);
                    }
                }
            })?;
        }
        plan.decided.extend(owners.keys().cloned());

        // Copies that wait behind a better one, where that one may be gone or be beaten.
        let mut lost: BTreeMap<usize, Vec<Copy>> = BTreeMap::new();
        for (place, archive) in kept.iter().enumerate() {
            let is_concerned =
                !superseded.is_empty() || owners.values().any(|o| o.contains(&place));
            if archive.lost > 0 && is_concerned {
                lost.insert(place, lost_of(shared, archive, place).await?);
            }
        }
        let mut waiting: HashMap<TripId, Vec<Copy>> = HashMap::new();
        for copy in lost.values().flatten() {
            waiting
                .entry(copy.trip.id.clone())
                .or_default()
                .push(copy.clone());
        }
        for archive in superseded {
            plan.supersede(shared, archive, mine, &waiting).await?;
        }

        let mut copies = plan.copies_of_mine(mine, kept.len())?;
        let owned: HashMap<&[u8], &[usize]> = owners
            .iter()
            .map(|(id, owners)| (id.as_ref(), owners.as_slice()))
            .collect();
        let stored = layout::stored(shared, kept, &owned, aside).await?;
        for (id, owners) in &owners {
            let id = TripId::from(String::from_utf8_lossy(id).into_owned());
            if !stored.contains_key(&id) && !waiting.contains_key(&id) {
                return Err(astray(&id, &kept[owners[0]]));
            }
        }
        let decided: BTreeSet<&[u8]> = plan.decided.iter().map(AsRef::as_ref).collect();
        let mut changes = Changes::default();
        for id in decided {
            let id = TripId::from(String::from_utf8_lossy(id).into_owned());
            let mine = copies.remove(&id).unwrap_or_default();
            let waiting = waiting.remove(&id).unwrap_or_default();
            changes.decide(mine, stored.get(&id), waiting);
        }
        for (place, copies) in lost {
            changes.lost.entry(place).or_default().extend(copies);
        }
        plan.take(changes, members, kept);
        Ok(plan)
    }

    /// Counts the archives whose trips change sides, without the one on its way in.
    pub(super) fn changed(&self) -> usize {
        let places = self.demoted.keys().chain(self.promoted.keys());
        places.collect::<BTreeSet<_>>().len()
    }

    /// Finds what becomes of the trips of an archive that goes.
    async fn supersede(
        &mut self,
        shared: &Shared,
        archive: &Archive,
        mine: &Sorted,
        waiting: &HashMap<TripId, Vec<Copy>>,
    ) -> Result<(), StoreError> {
        let lost = lost_of(shared, archive, 0).await?;
        let mut lost_copies: HashMap<&[u8], usize> = HashMap::new();
        for copy in &lost {
            *lost_copies
                .entry(copy.trip.id.as_str().as_bytes())
                .or_default() += 1;
        }
        let bytes = ids_of(shared, archive).await?;
        let mut copies: BTreeMap<Box<[u8]>, usize> = BTreeMap::new();
        decode_ids(&bytes, |id| *copies.entry(id.into()).or_default() += 1)?;
        for (id, n) in copies {
            if n == lost_copies.get(id.as_ref()).copied().unwrap_or(0) {
                continue; // another archive's copy is stored
            }
            let text = String::from_utf8_lossy(&id).into_owned();
            if waiting.contains_key(&TripId::from(text.as_str())) {
                self.decided.insert(id);
            } else if !mine.has(&id) {
                self.deletes.push(text);
            }
        }
        self.deletes.sort();
        self.deletes.dedup();
        Ok(())
    }

    /// Reads the copies of mine that are decided one by one.
    fn copies_of_mine(
        &self,
        mine: &mut Sorted,
        place: usize,
    ) -> Result<HashMap<TripId, Vec<Copy>>, StoreError> {
        let mut copies: HashMap<TripId, Vec<Copy>> = HashMap::new();
        let ids: BTreeSet<&[u8]> = self.decided.iter().map(AsRef::as_ref).collect();
        mine.find(ids.into_iter(), &mut |rows, row| {
            let trip = rows.batch.trip(row);
            copies.entry(trip.id.clone()).or_default().push(Copy {
                archive: place,
                member: rows.member[row],
                line: rows.batch.line[row],
                trip,
            });
        })?;
        Ok(copies)
    }

    fn take(&mut self, changes: Changes, members: &[String], kept: &[Archive]) {
        let place_of_mine = kept.len();
        let members_of = |place: usize| match place == place_of_mine {
            true => members,
            false => &kept[place].members,
        };
        let told = changes.told.iter().map(|copy| Rejected {
            file: members_of(copy.archive)
                .get(copy.member as usize)
                .cloned()
                .unwrap_or_default(),
            line: copy.line,
            column: String::new(),
            reason: Reason::Duplicate,
            expected: "one copy of each trip".into(),
            found: copy.trip.id.to_string(),
        });
        self.told = told.collect();
        for copy in changes
            .demoted
            .values()
            .chain(changes.promoted.values())
            .flatten()
        {
            self.origins.extend(copy.trip.origin.clone());
        }
        for copy in &changes.puts {
            self.origins.extend(copy.trip.origin.clone());
        }
        self.puts = changes.puts;
        // What was lost and is lost still, what came to it, and without what left.
        let mut touched: BTreeSet<usize> = changes.demoted.keys().copied().collect();
        touched.extend(changes.promoted.keys());
        touched.insert(place_of_mine);
        for (place, copies) in changes.lost {
            if !touched.contains(&place) {
                continue;
            }
            let promoted = changes.promoted.get(&place).map_or(&[][..], Vec::as_slice);
            let gone: HashSet<(&TripId, (u32, u64))> = promoted
                .iter()
                .map(|copy| (&copy.trip.id, copy.place()))
                .collect();
            let mut left: Vec<Copy> = copies
                .into_iter()
                .filter(|copy| !gone.contains(&(&copy.trip.id, copy.place())))
                .collect();
            left.sort_by_key(Copy::place);
            self.lost.insert(place, left);
        }
        self.demoted = changes.demoted;
        self.promoted = changes.promoted;
    }
}

/// The fates of copies.
#[derive(Default)]
struct Changes {
    puts: Vec<Copy>,
    demoted: BTreeMap<usize, Vec<Copy>>,
    promoted: BTreeMap<usize, Vec<Copy>>,
    /// Copies that lost: those that had lost before are added by the caller.
    lost: BTreeMap<usize, Vec<Copy>>,
    told: Vec<Copy>,
}

impl Changes {
    /// Decides which copy of one trip is stored. `waiting` are copies of other archives that were
    /// not; they are counted among the lost already.
    fn decide(&mut self, mine: Vec<Copy>, stored: Option<&Copy>, waiting: Vec<Copy>) {
        let copies = mine.iter().chain(stored).chain(&waiting);
        let Some(best) = copies.min_by(|a, b| a.cmp_copies(b)).cloned() else {
            return;
        };
        if let Some(stored) = stored.filter(|stored| **stored != best) {
            self.demoted
                .entry(stored.archive)
                .or_default()
                .push(stored.clone());
            self.lost
                .entry(stored.archive)
                .or_default()
                .push(stored.clone());
            self.told.push(stored.clone());
        }
        for copy in mine.iter().filter(|copy| **copy != best) {
            self.lost
                .entry(copy.archive)
                .or_default()
                .push(copy.clone());
            self.told.push(copy.clone());
        }
        if waiting.contains(&best) {
            self.promoted
                .entry(best.archive)
                .or_default()
                .push(best.clone());
        }
        if stored != Some(&best) {
            self.puts.push(best);
        }
    }
}

fn overlap(mine: &Sorted, archive: &Archive) -> bool {
    let (Some((first, last)), Some((theirs_first, theirs_last))) = (mine.range(), &archive.ids)
    else {
        return false;
    };
    first <= theirs_last.as_bytes() && theirs_first.as_bytes() <= last
}

pub(super) async fn ids_of(shared: &Shared, archive: &Archive) -> Result<Vec<u8>, StoreError> {
    let content = archive.content();
    shared
        .ledger
        .parts(Some(&content), Part::Ids, archive.parts.ids)
        .await
}
