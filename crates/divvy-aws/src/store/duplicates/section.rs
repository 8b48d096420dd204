//! Sections of archives in the ledger: ids, and duplicates, the copies of trips that are not stored.

use divvy::store::{StoreError, StoreErrorKind};
use xxhash_rust::xxh3::xxh3_128;

use crate::blocks::{self, Gatherer, PACKED_LEVEL, Rows, encode_some};
use crate::ledger::{Archive, IdsReader, LoadRecord, SectionKind, SectionOwner, SectionRef};
use crate::store::Shared;
use crate::store::copies::{Copies, Copy, copies_of};

/// Rows of a segment, which is one block.
const SEGMENT_ROWS: usize = 1 << 13;
/// The first byte of a section with several segments. A single segment is a block, which begins
/// with the version of blocks, 1.
const SEGMENTS: u8 = 2;

/// Passes the sorted ids of an archive to `each`.
pub(in crate::store) async fn visit_ids(
    shared: &Shared,
    archive: &Archive,
    each: &mut (dyn FnMut(&[u8]) -> Result<(), StoreError> + Send),
) -> Result<(), StoreError> {
    let content = archive.content();
    let owner = SectionOwner::Archive(&content);
    let mut ids = IdsReader::default();
    let mut visit = |bytes: &[u8]| ids.push(bytes, each);
    shared
        .ledger
        .visit_section(owner, SectionKind::Ids, archive.sections.ids, &mut visit)
        .await?;
    ids.finish()
}

/// Passes the duplicates of an archive to `each`, segment by segment.
pub(in crate::store) async fn visit_duplicates(
    shared: &Shared,
    content: &str,
    section: SectionRef,
    each: &mut (dyn FnMut(Rows) -> Result<(), StoreError> + Send),
) -> Result<(), StoreError> {
    let doing = || format!("copies set aside for {content} cannot be read");
    let decode = |block: &[u8]| {
        let damaged = |error| StoreError::with_source(StoreErrorKind::Damaged, doing(), error);
        blocks::decode(block).map_err(damaged)
    };
    let mut bytes: Vec<u8> = Vec::new();
    let mut has_segments = false;
    let mut take = |more: &[u8]| {
        let is_first = !has_segments && bytes.is_empty();
        bytes.extend_from_slice(more);
        if is_first && bytes.first() == Some(&SEGMENTS) {
            has_segments = true;
            bytes.remove(0);
        }
        let mut offset = 0;
        while has_segments && let Some((len, rest)) = bytes[offset..].split_first_chunk() {
            let len = u32::from_le_bytes(*len) as usize;
            let Some(block) = rest.get(..len) else {
                break;
            };
            each(decode(block)?)?;
            offset += 4 + len;
        }
        bytes.drain(..offset);
        Ok(())
    };
    let owner = SectionOwner::Archive(content);
    let ledger = &shared.ledger;
    ledger
        .visit_section(owner, SectionKind::Duplicates, section, &mut take)
        .await?;
    match (has_segments, bytes.is_empty()) {
        (_, true) => Ok(()),
        (false, false) => each(decode(&bytes)?),
        (true, false) => Err(StoreError::new(
            StoreErrorKind::Damaged,
            format!("{}: they end in the middle of a segment", doing()),
        )),
    }
}

/// Counts the duplicates of an archive.
pub(in crate::store) async fn count_duplicates(
    shared: &Shared,
    archive: &Archive,
) -> Result<u64, StoreError> {
    let mut n = 0;
    let section = archive.sections.duplicates;
    visit_duplicates(shared, &archive.content(), section, &mut |rows| {
        n += rows.len() as u64;
        Ok(())
    })
    .await?;
    Ok(n)
}

/// Returns the checksum of the ids of an archive's stored trips: those of its list, without those of the
/// copies that are set aside.
pub(in crate::store) async fn stored_ids(
    shared: &Shared,
    archive: &Archive,
) -> Result<IdSum, StoreError> {
    let mut ids = IdSum::default();
    visit_ids(shared, archive, &mut |id| {
        ids.add(id);
        Ok(())
    })
    .await?;
    let section = archive.sections.duplicates;
    visit_duplicates(shared, &archive.content(), section, &mut |rows| {
        for row in 0..rows.len() {
            ids.remove(rows.batch.id_raw(row));
        }
        Ok(())
    })
    .await?;
    Ok(ids)
}

/// A checksum of ids that does not depend on their order: the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct IdSum(u128);

impl IdSum {
    /// Adds an id.
    pub(in crate::store) fn add(&mut self, id: &[u8]) {
        self.0 = self.0.wrapping_add(xxh3_128(id));
    }

    /// Takes an id away that was added.
    fn remove(&mut self, id: &[u8]) {
        self.0 = self.0.wrapping_sub(xxh3_128(id));
    }

    /// Adds the ids of rows.
    pub(in crate::store) fn add_rows(&mut self, rows: &Rows) {
        for row in 0..rows.len() {
            self.add(rows.batch.id_raw(row));
        }
    }
}

/// Writes duplicates of an archive under a generation. Returns where they are stored.
pub(in crate::store) async fn put_duplicates(
    shared: &Shared,
    content: &str,
    generation: u64,
    copies: &Copies,
) -> Result<SectionRef, StoreError> {
    let ledger = &shared.ledger;
    let owner = SectionOwner::Archive(content);
    let mut writer = ledger.section_writer(owner, SectionKind::Duplicates, generation)?;
    if copies.len() <= SEGMENT_ROWS as u64 {
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
        while n < SEGMENT_ROWS
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
    let location = |row: usize| (rows.member[row], rows.batch.line[row]);
    order.sort_by_key(|row| location(*row as usize));
    encode_some(&rows.batch, |row| rows.member[row], &order, PACKED_LEVEL)
}

/// Passes the copies of an archive that an unfinished load has set aside to `each`: copies that
/// were stored before it.
pub(in crate::store) async fn visit_set_aside(
    shared: &Shared,
    load: &LoadRecord,
    archive: &Archive,
    index: usize,
    each: &mut (dyn FnMut(Vec<Copy>) -> Result<(), StoreError> + Send),
) -> Result<(), StoreError> {
    let content = archive.content();
    if !load.set_aside.contains(&content) {
        return Ok(());
    }
    let mut known: Vec<(u32, u64)> = Vec::new();
    visit_duplicates(shared, &content, archive.sections.duplicates, &mut |rows| {
        known.extend((0..rows.len()).map(|row| (rows.member[row], rows.batch.line[row])));
        Ok(())
    })
    .await?;
    known.sort_unstable();
    // No entry states the number of chunks of its section.
    let owner = SectionOwner::Archive(&content);
    let found = shared
        .ledger
        .find_section(owner, SectionKind::Duplicates, load.generation)
        .await?;
    visit_duplicates(shared, &content, found, &mut |rows| {
        let copies = copies_of(&rows, index);
        each(
            copies
                .filter(|copy| known.binary_search(&copy.location()).is_err())
                .collect(),
        )
    })
    .await
}
