//! What a load will change: which copy of each trip is stored from now on.
//!
//! Only ids that stand in several places are looked at one by one: twice in the archive, in
//! another archive too, or left behind by one that is superseded. All other rows are stored as
//! they are.
//!
//! ```text
//!  rows of the archive with such ids ─┐
//!  their stored copies ───────────────┤                     ┌─► puts, demoted, promoted, lost,
//!  copies that lost before ───────────┼─► hands, by hash ───┤   deletes: lists on disk
//!  ids of superseded archives ────────┘   of the id: a file └─► origins
//! ```
//!
//! An archive may repeat millions of ids of another. In memory are then a bit for each of its
//! rows, one hand, and what the hands of [`DEALT_AT_ONCE`] copies are dealt from.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use divvy::issue::{Reason, Rejected};
use divvy::model::{StationId, Trip, TripBatch, TripId};
use divvy::store::{StoreError, StoreErrorKind};
use xxhash_rust::xxh3::xxh3_64;

use super::spool::{Bits, Chunk, Copies, Scratch, Sorted};
use super::{Shared, layout};
use crate::blocks::{self, Gatherer, PACKED_LEVEL, Rows, encode_some};
use crate::ledger::{Archive, IdsReader, Load, Part, Stored, decode_ids, encode_ids};
use crate::tables::Layout;

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

/// What is there when an archive is loaded.
pub(super) struct Beside<'a> {
    /// The archives that stay.
    pub kept: &'a [Archive],
    /// Those that the new one supersedes.
    pub superseded: &'a [Archive],
    /// The record of the load: an interrupted one of the same archive may have overwritten stored
    /// copies of `kept`, which it has set aside before.
    pub load: &'a Load,
}

/// What a load will change. All lists of copies are on disk.
#[derive(Debug)]
pub(super) struct Plan {
    /// Rows of the archive that are decided one by one, by their places as they came.
    pub decided: Bits,
    /// Of these, the copies to be written.
    pub puts: Copies,
    /// Copies of other archives that were stored and are not any more, by archive.
    pub demoted: BTreeMap<usize, Copies>,
    /// Copies of other archives that were not stored and are now, by archive.
    pub promoted: BTreeMap<usize, Copies>,
    /// All copies that are not stored, of each archive where these change.
    pub lost: BTreeMap<usize, Copies>,
    /// Ids of superseded archives of which no copy is left.
    pub deletes: Ids,
    /// Where the trips begin that were stored and are not any more, or the other way round;
    /// without those of the archive on its way in.
    pub origins: BTreeSet<StationId>,
    scratch: Scratch,
}

/// A list of ids, on disk but for the chunk that is read.
#[derive(Debug, Default)]
pub(super) struct Ids {
    chunks: Vec<Chunk>,
    n: u64,
}

impl Ids {
    /// Counts the ids.
    pub(super) fn len(&self) -> u64 {
        self.n
    }
}

/// Rows of a segment of copies that lost: so many are compressed together.
const SEGMENT: usize = 1 << 13;
/// The first byte of copies that lost in several segments. One segment alone is a block, which
/// begins with the version of blocks, 1.
const SEGMENTS: u8 = 2;

/// Hands the copies of an archive that another copy was better than to `each`, segment by segment.
pub(super) async fn visit_lost(
    shared: &Shared,
    content: &str,
    lost: Stored,
    each: &mut (dyn FnMut(Rows) -> Result<(), StoreError> + Send),
) -> Result<(), StoreError> {
    let doing = || format!("copies set aside for {content} cannot be read");
    let decode = |block: &[u8]| {
        let because = |error| StoreError::because(StoreErrorKind::Damaged, doing(), error);
        blocks::decode(block).map_err(because)
    };
    let mut bytes: Vec<u8> = Vec::new();
    let mut is_cut = false;
    let mut take = |more: &[u8]| {
        let is_first = !is_cut && bytes.is_empty();
        bytes.extend_from_slice(more);
        if is_first && bytes.first() == Some(&SEGMENTS) {
            is_cut = true;
            bytes.remove(0);
        }
        let mut at = 0;
        while is_cut && let Some((len, rest)) = bytes[at..].split_first_chunk() {
            let len = u32::from_le_bytes(*len) as usize;
            let Some(block) = rest.get(..len) else {
                break;
            };
            each(decode(block)?)?;
            at += 4 + len;
        }
        bytes.drain(..at);
        Ok(())
    };
    let ledger = &shared.ledger;
    ledger
        .visit_parts(Some(content), Part::Lost, lost, &mut take)
        .await?;
    match (is_cut, bytes.is_empty()) {
        (_, true) => Ok(()),
        (false, false) => each(decode(&bytes)?),
        (true, false) => Err(StoreError::new(
            StoreErrorKind::Damaged,
            format!("{}: they end in the middle of a segment", doing()),
        )),
    }
}

/// Counts the copies of an archive that another copy was better than.
pub(super) async fn count_lost(shared: &Shared, archive: &Archive) -> Result<u64, StoreError> {
    let mut n = 0;
    visit_lost(
        shared,
        &archive.content(),
        archive.parts.lost,
        &mut |rows| {
            n += rows.len() as u64;
            Ok(())
        },
    )
    .await?;
    Ok(n)
}

/// Writes copies that lost under a generation. Returns where they are.
pub(super) async fn put_lost(
    shared: &Shared,
    content: &str,
    generation: u64,
    copies: &Copies,
) -> Result<Stored, StoreError> {
    let ledger = &shared.ledger;
    let mut writer = ledger.parts_writer(Some(content), generation, Part::Lost)?;
    if copies.len() <= SEGMENT as u64 {
        let mut all = Gatherer::default();
        for rows in copies.chunks() {
            all.add(&rows?);
        }
        writer.push(&segment(&all.into_rows())).await?;
        return writer.finish().await;
    }
    writer.push(&[SEGMENTS]).await?;
    let mut chunks = copies.chunks().peekable();
    while chunks.peek().is_some() {
        let mut some = Gatherer::default();
        let mut n = 0;
        while n < SEGMENT
            && let Some(rows) = chunks.next()
        {
            let rows = rows?;
            n += rows.len();
            some.add(&rows);
        }
        let block = segment(&some.into_rows());
        writer.push(&(block.len() as u32).to_le_bytes()).await?;
        writer.push(&block).await?;
    }
    writer.finish().await
}

/// Encodes copies in the order of their archive.
fn segment(rows: &Rows) -> Vec<u8> {
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    let place = |row: usize| (rows.member[row], rows.batch.line[row]);
    order.sort_by_key(|row| place(*row as usize));
    encode_some(&rows.batch, |row| rows.member[row], &order, PACKED_LEVEL)
}

/// Hands the copies that an interrupted load has set aside of an archive to `each`: they were
/// stored.
pub(super) async fn visit_set_aside(
    shared: &Shared,
    load: &Load,
    archive: &Archive,
    place: usize,
    each: &mut (dyn FnMut(Vec<Copy>) -> Result<(), StoreError> + Send),
) -> Result<(), StoreError> {
    let content = archive.content();
    if !load.set_aside.contains(&content) {
        return Ok(());
    }
    let mut known: Vec<(u32, u64)> = Vec::new();
    visit_lost(shared, &content, archive.parts.lost, &mut |rows| {
        known.extend((0..rows.len()).map(|row| (rows.member[row], rows.batch.line[row])));
        Ok(())
    })
    .await?;
    known.sort_unstable();
    // Parts of its generation say how many they are in no entry, so they are looked for.
    let found = shared
        .ledger
        .find_parts(&content, Part::Lost, load.generation)
        .await?;
    visit_lost(shared, &content, found, &mut |rows| {
        let copies = copies_of(&rows, place);
        each(
            copies
                .filter(|copy| known.binary_search(&copy.place()).is_err())
                .collect(),
        )
    })
    .await
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

/// What is dealt, and of which archive by its place.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Copies of the archive on its way in.
    Mine,
    /// Stored copies.
    Stored(usize),
    /// Copies that were stored, and are where an interrupted load has set them aside.
    Aside(usize),
    /// Copies that another copy was better than.
    Waiting(usize),
    /// Ids of a superseded archive, one as often as it stands there.
    Left(usize),
    /// Ids of its copies that another copy was better than.
    LeftLost(usize),
}

/// Copies that are dealt to the hands at once: a chunk for each hand.
const DEALT_AT_ONCE: usize = 1 << 15;
/// Copies of a hand, about; of ids that are dealt without a copy sixteen times as many.
const HAND: u64 = 1 << 14;
/// Hands at the most.
const MOST_HANDS: u64 = 1 << 12;

/// Copies and ids by the hash of the id, on disk.
struct Hands {
    scratch: Scratch,
    hands: Vec<Vec<(Kind, Chunk)>>,
    /// What is to be dealt next, all of one kind.
    kind: Kind,
    copies: Vec<Copy>,
    ids: Vec<Box<[u8]>>,
}

impl Hands {
    fn new(scratch: &Scratch, n: usize) -> Self {
        Self {
            scratch: scratch.clone(),
            hands: vec![Vec::new(); n],
            kind: Kind::Mine,
            copies: Vec::new(),
            ids: Vec::new(),
        }
    }

    fn of(&self, id: &[u8]) -> usize {
        ((u128::from(xxh3_64(id)) * self.hands.len() as u128) >> 64) as usize
    }

    fn push(&mut self, kind: Kind, copy: Copy) -> Result<(), StoreError> {
        if self.kind != kind || self.copies.len() >= DEALT_AT_ONCE {
            self.deal()?;
            self.kind = kind;
        }
        self.copies.push(copy);
        Ok(())
    }

    fn push_id(&mut self, kind: Kind, id: &[u8]) -> Result<(), StoreError> {
        if self.kind != kind || self.ids.len() >= DEALT_AT_ONCE {
            self.deal()?;
            self.kind = kind;
        }
        self.ids.push(id.into());
        Ok(())
    }

    /// Deals what has been pushed.
    fn deal(&mut self) -> Result<(), StoreError> {
        let mut copies: BTreeMap<usize, Vec<Copy>> = BTreeMap::new();
        for copy in std::mem::take(&mut self.copies) {
            let hand = self.of(copy.trip.id.as_str().as_bytes());
            copies.entry(hand).or_default().push(copy);
        }
        for (hand, copies) in copies {
            let chunk = self.scratch.push_copies(&copies)?;
            self.hands[hand].push((self.kind, chunk));
        }
        let mut ids: BTreeMap<usize, Vec<Box<[u8]>>> = BTreeMap::new();
        for id in std::mem::take(&mut self.ids) {
            ids.entry(self.of(&id)).or_default().push(id);
        }
        for (hand, ids) in ids {
            let ids = encode_ids(ids.iter().map(AsRef::as_ref));
            let chunk = self.scratch.push(&ids)?;
            self.hands[hand].push((self.kind, chunk));
        }
        Ok(())
    }

    /// Takes up a hand.
    fn take(&self, hand: usize) -> Result<Hand, StoreError> {
        let mut taken = Hand::default();
        for (kind, chunk) in &self.hands[hand] {
            let copies = |place: usize| {
                let rows = self.scratch.rows(*chunk)?;
                Ok::<_, StoreError>(copies_of(&rows, place).collect::<Vec<_>>())
            };
            let (step, of) = match *kind {
                Kind::Mine => {
                    for copy in copies(usize::MAX)? {
                        let mine = taken.mine.entry(copy.trip.id.clone()).or_default();
                        mine.push(copy);
                    }
                    continue;
                }
                Kind::Stored(place) => {
                    let copies = copies(place)?.into_iter();
                    taken
                        .stored
                        .extend(copies.map(|copy| (copy.trip.id.clone(), copy)));
                    continue;
                }
                Kind::Aside(place) => {
                    taken.aside.extend(copies(place)?);
                    continue;
                }
                Kind::Waiting(place) => {
                    for copy in copies(place)? {
                        let waiting = taken.waiting.entry(copy.trip.id.clone()).or_default();
                        waiting.push(copy);
                    }
                    continue;
                }
                Kind::Left(of) => (1, of),
                Kind::LeftLost(of) => (-1, of),
            };
            decode_ids(&self.scratch.bytes(*chunk)?, |id| {
                *taken.left.entry((id.into(), of)).or_default() += step;
            })?;
        }
        for copy in std::mem::take(&mut taken.aside) {
            taken.stored.entry(copy.trip.id.clone()).or_insert(copy);
        }
        Ok(taken)
    }
}

/// All copies of some ids.
#[derive(Default)]
struct Hand {
    mine: BTreeMap<TripId, Vec<Copy>>,
    stored: HashMap<TripId, Copy>,
    aside: Vec<Copy>,
    /// By place of the archive and row, as they were dealt.
    waiting: BTreeMap<TripId, Vec<Copy>>,
    /// Ids of superseded archives: how many of their copies are stored, 1 or 0.
    left: BTreeMap<(Box<[u8]>, usize), i64>,
}

impl Plan {
    /// Plans a load of `mine` beside other archives. The listener is shown how many of the stored
    /// copies have been read.
    pub(super) async fn make(
        shared: &Shared,
        mine: &mut Sorted,
        name: &str,
        beside: Beside<'_>,
    ) -> Result<Self, StoreError> {
        let Beside {
            kept,
            superseded,
            load,
        } = beside;
        let scratch = Scratch::new()?;
        // Ids of mine that other archives have, by their places among the sorted ids.
        let mut owned = Bits::below(mine.len());
        let mut owners: BTreeSet<usize> = BTreeSet::new();
        for (place, archive) in kept.iter().enumerate() {
            if !overlap(mine, archive) {
                continue;
            }
            visit_ids(shared, archive, &mut |id| {
                if let Some(rank) = mine.rank(id) {
                    owned.insert(rank);
                    owners.insert(place);
                }
                Ok(())
            })
            .await?;
        }
        let mut decided = Bits::below(mine.len());
        for rank in owned.iter().chain(mine.doubled()) {
            for row in mine.rows_at(rank) {
                decided.insert(row);
            }
        }
        // Copies that wait behind a better one, where that one may be gone or be beaten.
        let concerned: Vec<usize> = (0..kept.len())
            .filter(|place| kept[*place].lost > 0)
            .filter(|place| !superseded.is_empty() || owners.contains(place))
            .collect();

        let lost: u64 = concerned.iter().map(|place| kept[*place].lost).sum();
        let left = superseded.iter().map(|old| old.entry.stored + 2 * old.lost);
        let weight = decided.len() + owned.len() + lost + left.sum::<u64>() / 16;
        let n = (weight / HAND + 1).min(MOST_HANDS) as usize;
        let mut hands = Hands::new(&scratch, n);
        for block in mine.in_order() {
            if !block.places().any(|row| decided.has(row)) {
                continue;
            }
            let rows = mine.read(block)?;
            for (row, place) in block.places().enumerate() {
                if decided.has(place) {
                    hands.push(Kind::Mine, copy_at(&rows, row, kept.len()))?;
                }
            }
        }
        for place in concerned {
            let archive = &kept[place];
            visit_lost(
                shared,
                &archive.content(),
                archive.parts.lost,
                &mut |rows| {
                    copies_of(&rows, place)
                        .try_for_each(|copy| hands.push(Kind::Waiting(place), copy))
                },
            )
            .await?;
        }
        for (place, archive) in superseded.iter().enumerate() {
            let (mine, hands) = (&*mine, &mut hands);
            visit_ids(shared, archive, &mut |id| match mine.has(id) {
                true => Ok(()),
                false => hands.push_id(Kind::Left(place), id),
            })
            .await?;
            visit_lost(
                shared,
                &archive.content(),
                archive.parts.lost,
                &mut |rows| {
                    let ids = (0..rows.len()).map(|row| rows.batch.id_raw(row));
                    ids.filter(|id| !mine.has(id))
                        .try_for_each(|id| hands.push_id(Kind::LeftLost(place), id))
                },
            )
            .await?;
        }
        if shared.tables.trip_data.layout == Layout::Rows {
            for (place, archive) in kept.iter().enumerate() {
                let (mine, hands) = (&*mine, &mut hands);
                visit_set_aside(shared, load, archive, place, &mut |copies| {
                    let copies = copies.into_iter();
                    copies
                        .filter(|copy| mine.has(copy.trip.id.as_str().as_bytes()))
                        .try_for_each(|copy| hands.push(Kind::Aside(place), copy))
                })
                .await?;
            }
        }
        let owned = Owned {
            mine,
            owned: &owned,
            owners: &owners,
        };
        layout::stored(shared, name, kept, &owned, &mut |copies| {
            copies.into_iter().try_for_each(|copy| {
                let kind = Kind::Stored(copy.archive);
                hands.push(kind, copy)
            })
        })
        .await?;
        hands.deal()?;

        let mut plan = Self {
            decided,
            puts: Copies::new(&scratch),
            demoted: BTreeMap::new(),
            promoted: BTreeMap::new(),
            lost: BTreeMap::new(),
            deletes: Ids::default(),
            origins: BTreeSet::new(),
            scratch,
        };
        for hand in 0..n {
            let hand = hands.take(hand)?;
            let strays = hand.mine.keys().find(|id| {
                owned.has(id.as_str().as_bytes())
                    && !hand.stored.contains_key(*id)
                    && !hand.waiting.contains_key(*id)
            });
            if let Some(id) = strays {
                return Err(owned.astray(shared, kept, id).await?);
            }
            plan.take(hand, kept.len())?;
            tokio::task::yield_now().await; // the right to load is renewed meanwhile
        }
        let mut touched: BTreeSet<usize> = plan.demoted.keys().copied().collect();
        touched.extend(plan.promoted.keys());
        touched.insert(kept.len());
        plan.lost.retain(|place, _| touched.contains(place));
        // What was promoted may have been all that an archive had lost.
        for place in touched {
            let none = || Copies::new(&plan.scratch);
            plan.lost.entry(place).or_insert_with(none);
        }
        Ok(plan)
    }

    /// Decides about the trips of a hand.
    fn take(&mut self, hand: Hand, mine: usize) -> Result<(), StoreError> {
        let mut changes = Changes::default();
        let mut waiting = hand.waiting;
        for (id, mut copies) in hand.mine {
            copies.iter_mut().for_each(|copy| copy.archive = mine);
            let waiting = waiting.remove(&id).unwrap_or_default();
            changes.decide(copies, hand.stored.get(&id), waiting);
        }
        let mut deletes: BTreeSet<Box<[u8]>> = BTreeSet::new();
        for ((id, _), stored) in hand.left {
            if stored == 0 {
                continue; // another archive's copy is stored
            }
            let text = TripId::from(&*String::from_utf8_lossy(&id));
            match waiting.remove(&text) {
                Some(waiting) => changes.decide(Vec::new(), None, waiting),
                None => {
                    deletes.insert(id);
                }
            }
        }
        changes.lost_still(waiting.into_values().flatten());
        let copies = changes.demoted.values().chain(changes.promoted.values());
        for copy in copies.flatten().chain(&changes.puts) {
            self.origins.extend(copy.trip.origin.clone());
        }
        self.puts.push(&changes.puts)?;
        for (lists, copies) in [
            (&mut self.demoted, changes.demoted),
            (&mut self.promoted, changes.promoted),
            (&mut self.lost, changes.lost),
        ] {
            for (place, copies) in copies {
                let list = lists.entry(place);
                list.or_insert_with(|| Copies::new(&self.scratch))
                    .push(&copies)?;
            }
        }
        if !deletes.is_empty() {
            let ids = encode_ids(deletes.iter().map(AsRef::as_ref));
            self.deletes.chunks.push(self.scratch.push(&ids)?);
            self.deletes.n += deletes.len() as u64;
        }
        Ok(())
    }

    /// Lists the ids of which no copy is left, some thousands at a time.
    pub(super) fn deleted(&self) -> impl Iterator<Item = Result<Vec<String>, StoreError>> {
        self.deletes.chunks.iter().map(|chunk| {
            let mut ids = Vec::new();
            decode_ids(&self.scratch.bytes(*chunk)?, |id| {
                ids.push(String::from_utf8_lossy(id).into_owned());
            })?;
            Ok(ids)
        })
    }

    /// Hands a rejected row to `each` for every copy that was stored or on its way in and is not
    /// stored. `members` are those of the archive on its way in.
    pub(super) fn told(
        &self,
        members: &[String],
        kept: &[Archive],
        each: &mut dyn FnMut(Rejected),
    ) -> Result<(), StoreError> {
        let mine = kept.len();
        let demoted = self.demoted.iter();
        let demoted = demoted.map(|(place, copies)| (&kept[*place].members[..], copies));
        let lost = self.lost.get(&mine).map(|copies| (members, copies));
        for (members, copies) in demoted.chain(lost) {
            for rows in copies.chunks() {
                let rows = rows?;
                for row in 0..rows.len() {
                    let member = members.get(rows.member[row] as usize);
                    each(Rejected {
                        file: member.cloned().unwrap_or_default(),
                        line: rows.batch.line[row],
                        column: String::new(),
                        reason: Reason::Duplicate,
                        expected: "one copy of each trip".into(),
                        found: rows.batch.id(row).to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Counts the archives whose trips change sides, without the one on its way in.
    pub(super) fn changed(&self) -> usize {
        let places = self.demoted.keys().chain(self.promoted.keys());
        places.collect::<BTreeSet<_>>().len()
    }
}

/// The ids of an archive on its way in that others have.
pub(super) struct Owned<'a> {
    mine: &'a Sorted,
    owned: &'a Bits,
    /// The places of these others.
    pub(super) owners: &'a BTreeSet<usize>,
}

impl Owned<'_> {
    pub(super) fn has(&self, id: &[u8]) -> bool {
        self.mine.rank(id).is_some_and(|rank| self.owned.has(rank))
    }

    /// Counts the ids.
    pub(super) fn len(&self) -> u64 {
        self.owned.len()
    }

    /// Lists the ids in their order.
    pub(super) fn ids(&self) -> impl Iterator<Item = &[u8]> {
        self.owned.iter().map(|rank| self.mine.id_at(rank))
    }

    /// Makes the error for a trip whose row carries the mark of no archive in the ledger: finds the
    /// archive whose ids list it.
    async fn astray(
        &self,
        shared: &Shared,
        kept: &[Archive],
        wanted: &TripId,
    ) -> Result<StoreError, StoreError> {
        for place in self.owners {
            let mut is_theirs = false;
            visit_ids(shared, &kept[*place], &mut |id| {
                is_theirs |= id == wanted.as_str().as_bytes();
                Ok(())
            })
            .await?;
            if is_theirs {
                return Ok(astray(wanted, &kept[*place]));
            }
        }
        Ok(StoreError::new(
            StoreErrorKind::Busy,
            format!("the archive that has trip {wanted} is gone: try again"),
        ))
    }
}

pub(super) fn copy_at(rows: &Rows, row: usize, archive: usize) -> Copy {
    Copy {
        archive,
        trip: rows.batch.trip(row),
        member: rows.member[row],
        line: rows.batch.line[row],
    }
}

/// The fates of copies.
#[derive(Default)]
struct Changes {
    puts: Vec<Copy>,
    demoted: BTreeMap<usize, Vec<Copy>>,
    promoted: BTreeMap<usize, Vec<Copy>>,
    /// Copies that lost, now or before.
    lost: BTreeMap<usize, Vec<Copy>>,
}

impl Changes {
    /// Decides which copy of one trip is stored. `waiting` are copies of other archives that were
    /// not.
    fn decide(&mut self, mine: Vec<Copy>, stored: Option<&Copy>, waiting: Vec<Copy>) {
        let copies = mine.iter().chain(stored).chain(&waiting);
        let Some(best) = copies.min_by(|a, b| a.cmp_copies(b)).cloned() else {
            return;
        };
        if let Some(stored) = stored.filter(|stored| **stored != best) {
            let demoted = self.demoted.entry(stored.archive).or_default();
            demoted.push(stored.clone());
            self.lost_still(std::iter::once(stored.clone()));
        }
        if waiting.contains(&best) {
            let promoted = self.promoted.entry(best.archive).or_default();
            promoted.push(best.clone());
        } else if mine.contains(&best) {
            self.puts.push(best.clone());
        }
        let others = mine.into_iter().chain(waiting);
        self.lost_still(others.filter(|copy| *copy != best));
    }

    /// Notes copies that are not stored.
    fn lost_still(&mut self, copies: impl Iterator<Item = Copy>) {
        for copy in copies {
            self.lost.entry(copy.archive).or_default().push(copy);
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

/// Hands the ids of an archive to `each`, in their order.
pub(super) async fn visit_ids(
    shared: &Shared,
    archive: &Archive,
    each: &mut (dyn FnMut(&[u8]) -> Result<(), StoreError> + Send),
) -> Result<(), StoreError> {
    let content = archive.content();
    let mut ids = IdsReader::default();
    shared
        .ledger
        .visit_parts(Some(&content), Part::Ids, archive.parts.ids, &mut |bytes| {
            ids.push(bytes, each)
        })
        .await?;
    ids.finish()
}
