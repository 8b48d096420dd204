//! Sections: totals, cubes, ids, duplicates and keys of blocks, compressed and cut into chunks.

use std::io::Write as _;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use divvy::store::StoreError;
use divvy::tally::{Cube, Totals};
use serde::{Deserialize, Serialize};

use super::{LedgerTable, STORE, damaged, key, text_of};
use crate::item::Item;
use crate::pace::{Key, Write};

/// The largest chunk. An item may have 400 KB, but a large write delays the others that wait for
/// the capacity of the ledger.
const CHUNK_BYTES: usize = 100 * 1024;
/// Chunks in memory where a section is read or written piece by piece.
const CHUNKS_IN_MEMORY: usize = 16;
/// The zstd level of sections.
pub(crate) const SECTION_LEVEL: i32 = 9;

/// The location of a section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionRef {
    /// The generation under which it was written.
    pub generation: u64,
    /// The number of its chunks.
    #[serde(rename = "parts")]
    pub chunks: u32,
    /// Of totals: the number of chunks of their cube, which is large and rarely read.
    #[serde(default, rename = "cube", skip_serializing_if = "is_zero")]
    pub cube_chunks: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(chunks: &u32) -> bool {
    *chunks == 0
}

impl SectionRef {
    /// Returns where the cube of totals is stored.
    pub(super) fn cube(self) -> Self {
        Self {
            chunks: self.cube_chunks,
            cube_chunks: 0,
            ..self
        }
    }
}

/// The sections of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveSections {
    /// Its totals.
    pub totals: SectionRef,
    /// Its ids, sorted.
    pub ids: SectionRef,
    /// Its duplicates.
    #[serde(rename = "lost")]
    pub duplicates: SectionRef,
    /// The keys of its blocks, sorted.
    pub keys: SectionRef,
}

impl ArchiveSections {
    pub(super) fn list(&self) -> [(SectionKind, SectionRef); 5] {
        [
            (SectionKind::Totals, self.totals),
            (SectionKind::Cube, self.totals.cube()),
            (SectionKind::Ids, self.ids),
            (SectionKind::Duplicates, self.duplicates),
            (SectionKind::Keys, self.keys),
        ]
    }
}

/// The obsolete sections of one archive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ObsoleteSections {
    /// Its content hash.
    pub content: String,
    /// Its sections before the commit.
    pub before: ArchiveSections,
    /// Its sections after the commit. Empty where the archive was removed.
    pub now: ArchiveSections,
}

/// The content of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// Totals without their cube.
    Totals,
    /// The cube of totals.
    Cube,
    /// Ids.
    Ids,
    /// Duplicates.
    Duplicates,
    /// Keys of blocks.
    Keys,
}

impl SectionKind {
    pub(super) const ALL: [Self; 5] = [
        Self::Totals,
        Self::Cube,
        Self::Ids,
        Self::Duplicates,
        Self::Keys,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Totals => "totals",
            Self::Cube => "cube",
            Self::Ids => "ids",
            Self::Duplicates => "lost",
            Self::Keys => "keys",
        }
    }
}

/// The owner of a section.
#[derive(Clone, Copy, Debug)]
pub enum SectionOwner<'a> {
    /// All archives together.
    Store,
    /// The archive with a content hash.
    Archive(&'a str),
}

impl<'a> SectionOwner<'a> {
    pub(super) fn key(self) -> &'a str {
        match self {
            Self::Store => STORE,
            Self::Archive(content) => content,
        }
    }
}

impl LedgerTable {
    /// Writes a section under a generation. Returns where it is stored.
    pub async fn put_section(
        &self,
        owner: SectionOwner<'_>,
        kind: SectionKind,
        generation: u64,
        bytes: &[u8],
    ) -> Result<SectionRef, StoreError> {
        let mut writer = self.section_writer(owner, kind, generation)?;
        writer.push(bytes).await?;
        writer.finish().await
    }

    /// Begins to write a section piece by piece.
    pub(crate) fn section_writer<'a>(
        &'a self,
        owner: SectionOwner<'a>,
        kind: SectionKind,
        generation: u64,
    ) -> Result<SectionWriter<'a>, StoreError> {
        let encoder = zstd::stream::write::Encoder::new(Vec::new(), SECTION_LEVEL);
        Ok(SectionWriter {
            ledger: self,
            owner,
            kind,
            encoder: encoder.map_err(|error| damaged("what is to be written", error))?,
            written: SectionRef {
                generation,
                ..SectionRef::default()
            },
        })
    }

    /// Passes the bytes of a section to `visit`, piece by piece: at a time those of
    /// [`CHUNKS_IN_MEMORY`] chunks.
    pub(crate) async fn visit_section(
        &self,
        owner: SectionOwner<'_>,
        kind: SectionKind,
        section: SectionRef,
        visit: &mut (dyn FnMut(&[u8]) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        let name = || section_name(owner, kind);
        let broken = |error| damaged(&name(), error);
        let decoder = zstd::stream::write::Decoder::new(Vec::new());
        let mut decoder = decoder.map_err(broken)?;
        for keys in chunk_keys(owner, kind, section).chunks(CHUNKS_IN_MEMORY) {
            let items = self.table.get_all(keys.to_vec()).await?;
            if items.len() != keys.len() {
                return Err(damaged(&name(), "some of its parts are missing"));
            }
            decoder.write_all(&joined(items)).map_err(broken)?;
            decoder.flush().map_err(broken)?;
            visit(&std::mem::take(decoder.get_mut()))?;
        }
        Ok(())
    }

    /// Reads a section. Empty where it has no chunks.
    ///
    /// # Errors
    ///
    /// Some of its chunks are missing; it cannot be decompressed.
    pub async fn section(
        &self,
        owner: SectionOwner<'_>,
        kind: SectionKind,
        section: SectionRef,
    ) -> Result<Vec<u8>, StoreError> {
        let bytes = self.section_if_complete(owner, kind, section).await?;
        bytes.ok_or_else(|| damaged(&section_name(owner, kind), "some of its parts are missing"))
    }

    /// Reads a section that may have been deleted. `None` where chunks are missing.
    pub async fn section_if_complete(
        &self,
        owner: SectionOwner<'_>,
        kind: SectionKind,
        section: SectionRef,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let items = self.table.get_all(chunk_keys(owner, kind, section)).await?;
        if items.len() != section.chunks as usize {
            return Ok(None);
        }
        if items.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let bytes = zstd::stream::decode_all(&joined(items)[..]);
        let bytes = bytes.map_err(|error| damaged(&section_name(owner, kind), error))?;
        Ok(Some(bytes))
    }

    /// Finds the chunks of a section that an unfinished load has written under a generation: no
    /// entry states how many there are.
    pub async fn find_section(
        &self,
        owner: SectionOwner<'_>,
        kind: SectionKind,
        generation: u64,
    ) -> Result<SectionRef, StoreError> {
        let prefix = format!("{generation:06}#{}#", kind.as_str());
        let prefix = Some(("part", prefix.as_str()));
        let chunks = self
            .table
            .query(("archive", owner.key()), prefix, CHUNK_BYTES as f64);
        Ok(SectionRef {
            generation,
            chunks: chunks.await?.len() as u32,
            cube_chunks: 0,
        })
    }

    /// Reads totals with their cube. `None` gives empty totals.
    pub async fn totals(
        &self,
        owner: SectionOwner<'_>,
        section: Option<SectionRef>,
    ) -> Result<Totals, StoreError> {
        let mut totals = self.totals_without_cube(owner, section).await?;
        if let Some(section) = section {
            let bytes = self.section(owner, SectionKind::Cube, section.cube());
            let bytes = bytes.await?;
            if !bytes.is_empty() {
                let cube = postcard::from_bytes(&bytes);
                totals.cube = cube.map_err(|error| damaged("a cube", error))?;
            }
        }
        Ok(totals)
    }

    /// Reads totals; their cube is empty.
    pub async fn totals_without_cube(
        &self,
        owner: SectionOwner<'_>,
        section: Option<SectionRef>,
    ) -> Result<Totals, StoreError> {
        let Some(section) = section else {
            return Ok(Totals::default());
        };
        let bytes = self.section(owner, SectionKind::Totals, section).await?;
        postcard::from_bytes(&bytes).map_err(|error| damaged("totals", error))
    }

    /// Writes totals and their cube under a generation.
    pub async fn put_totals(
        &self,
        owner: SectionOwner<'_>,
        generation: u64,
        totals: &Totals,
    ) -> Result<SectionRef, StoreError> {
        let [base, cube] = encode_totals(totals);
        let base = self
            .put_section(owner, SectionKind::Totals, generation, &base)
            .await?;
        if totals.cube == Cube::default() {
            return Ok(base);
        }
        let cube = self.put_section(owner, SectionKind::Cube, generation, &cube);
        Ok(SectionRef {
            cube_chunks: cube.await?.chunks,
            ..base
        })
    }

    /// Deletes obsolete totals over all archives.
    pub async fn delete_totals(&self, totals: Option<SectionRef>) -> Result<(), StoreError> {
        let keys = totals.into_iter().flat_map(|totals| {
            let mut keys = chunk_keys(SectionOwner::Store, SectionKind::Totals, totals);
            let cube = chunk_keys(SectionOwner::Store, SectionKind::Cube, totals.cube());
            keys.extend(cube);
            keys
        });
        self.delete_all(keys.collect()).await
    }

    /// Deletes the sections of an archive that a commit has replaced.
    pub async fn delete_sections(&self, obsolete: &ObsoleteSections) -> Result<(), StoreError> {
        let owner = SectionOwner::Archive(&obsolete.content);
        let before = obsolete.before.list().into_iter();
        let replaced = before
            .zip(obsolete.now.list())
            .filter(|((_, before), (_, now))| before != now);
        let keys = replaced.flat_map(|((kind, before), _)| chunk_keys(owner, kind, before));
        self.delete_all(keys.collect()).await
    }
}

fn section_name(owner: SectionOwner<'_>, kind: SectionKind) -> String {
    format!("{} {}", owner.key(), kind.as_str())
}

/// Encodes totals without their cube, and the cube.
pub(crate) fn encode_totals(totals: &Totals) -> [Vec<u8>; 2] {
    let mut totals = totals.clone();
    let cube = std::mem::take(&mut totals.cube);
    [postcard::to_stdvec(&totals), postcard::to_stdvec(&cube)]
        .map(|bytes| bytes.expect("totals are maps, lists and numbers"))
}

/// Joins the bytes of chunks.
fn joined(mut items: Vec<Item>) -> Vec<u8> {
    let part = |item: &Item| text_of(item, "part").unwrap_or_default().to_owned();
    // From the thousandth on their numbers have a digit more.
    items.sort_by_cached_key(|item| (part(item).len(), part(item)));
    let chunks = items
        .iter()
        .filter_map(|item| item.get("bytes")?.as_b().ok());
    chunks.flat_map(AsRef::as_ref).copied().collect()
}

/// Writes a section piece by piece; in memory is about one chunk.
pub(crate) struct SectionWriter<'a> {
    ledger: &'a LedgerTable,
    owner: SectionOwner<'a>,
    kind: SectionKind,
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
    written: SectionRef,
}

impl SectionWriter<'_> {
    /// Adds bytes; writes the chunks that are full.
    pub(crate) async fn push(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        // Pieces that compress to a few chunks at the most.
        for bytes in bytes.chunks(CHUNKS_IN_MEMORY * CHUNK_BYTES) {
            let encoded = self.encoder.write_all(bytes);
            encoded.map_err(|error| damaged("what is to be written", error))?;
            let packed = self.encoder.get_mut();
            let rest = packed.split_off(packed.len() - packed.len() % CHUNK_BYTES);
            let full = std::mem::replace(packed, rest);
            self.put(&full).await?;
        }
        Ok(())
    }

    /// Writes the last chunk. Returns where the section is stored.
    pub(crate) async fn finish(mut self) -> Result<SectionRef, StoreError> {
        let encoded = self.encoder.do_finish();
        encoded.map_err(|error| damaged("what is to be written", error))?;
        let rest = std::mem::take(self.encoder.get_mut());
        self.put(&rest).await?;
        Ok(self.written)
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let mut items = Vec::new();
        for chunk in bytes.chunks(CHUNK_BYTES) {
            let part = chunk_key(self.kind, self.written, self.written.chunks);
            let mut item = key(self.owner.key(), &part);
            item.insert("bytes".into(), AttributeValue::B(Blob::new(chunk)));
            items.push(Write::Put(item));
            self.written.chunks += 1;
        }
        self.ledger.table.write_all(items).await
    }
}

/// Lists the keys of the chunks of a section.
fn chunk_keys(owner: SectionOwner<'_>, kind: SectionKind, section: SectionRef) -> Vec<Key> {
    (0..section.chunks)
        .map(|n| key(owner.key(), &chunk_key(kind, section, n)))
        .collect()
}

/// Returns the sort key of a chunk.
pub(super) fn chunk_key(kind: SectionKind, section: SectionRef, n: u32) -> String {
    format!("{:06}#{}#{n:03}", section.generation, kind.as_str())
}
