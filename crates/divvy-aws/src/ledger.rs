//! LoadLedger: what is loaded, and all that a load must remember.
//!
//! | archive | part | holds |
//! |---|---|---|
//! | `#store` | `state` | the system, the revision, which totals are in force |
//! | `#store` | `load` | the load under way: its owner, how far it is, what it has set aside |
//! | `#store` | `gone` | what the last commit put out of force and is still to be deleted |
//! | `#store` | `G#totals#NNN` | totals over all archives, generation G |
//! | `#archives` | content | one entry an archive |
//! | content | `G#totals#NNN` | totals of the archive's stored trips |
//! | both | `G#cube#NNN` | the cube of these totals |
//! | content | `G#ids#NNN` | every id of the archive, sorted |
//! | content | `G#lost#NNN` | copies of trips that another copy was better than |
//! | content | `G#keys#NNN` | keys of its blocks, in the packed layout |
//! | `#feed` | `clock`, `listed#NNN` | what is known of the feed |
//! | `#stream` | consumer | how far a consumer has read |
//! | `#behind` | origin | since when the index has fewer trips from there than are stored |
//!
//! Parts are written under a new generation and come into force when one transaction names that
//! generation and their number: in the entries, and in the state. Until then nothing has happened;
//! after it, the parts of the generation before are deleted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write as _;
use std::sync::Arc;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};
use divvy::issue::{Reason, RejectedCounts};
use divvy::model::System;
use divvy::store::{ArchiveId, ContentHash, LedgerEntry, StoreError, StoreErrorKind};
use divvy::tally::{Cube, FlagCounts, Totals};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::item::Item;
use crate::pace::{Key, PacedTable, Write};

/// A part holds at most this: an item may have 400 KB, but whoever waits for the capacity of the
/// ledger waits for what is before it.
const PART_BYTES: usize = 100 * 1024;
/// As many parts are in memory where they are read or written one after another.
const PARTS_AT_ONCE: usize = 16;
/// How hard parts are compressed: their bytes are paid for.
const PART_LEVEL: i32 = 9;

/// The key under which the store keeps what is not of one archive.
const STORE: &str = "#store";
const ARCHIVES: &str = "#archives";
const FEED: &str = "#feed";
const STREAM: &str = "#stream";
const BEHIND: &str = "#behind";

/// The version of the form in which a store lies in its tables: of the items of LoadLedger, of the
/// blocks and their keys.
///
/// | version | since then |
/// |---|---|
/// | 1 | as first written; its state names no version |
/// | 2 | keys of blocks hold a generation, and only the keys that an archive's list has are its blocks |
pub const FORMAT: u32 = 2;

fn first_format() -> u32 {
    1
}

/// What the whole store is at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The version of the store's form, as it was read. What is written has [`FORMAT`].
    #[serde(default = "first_format")]
    pub format: u32,
    /// Whose trips and stations these are: the tables of a prefix belong to one system.
    pub system: System,
    /// Grows with every commit.
    pub revision: u64,
    /// The place of the next archive in the order of loading.
    pub next_sequence: u64,
    /// The totals over all archives. `None` before the first.
    pub totals: Option<Stored>,
    /// Those that a load is about to bring into force: all its trips are there already, so a
    /// count below these is a count of an index that lags.
    pub pending_totals: Option<Stored>,
    /// The newest generation that a load has been given, also one that was given up: no generation
    /// is used twice.
    #[serde(default)]
    pub last_generation: u64,
}

/// Where parts are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Their generation.
    pub generation: u64,
    /// How many.
    pub parts: u32,
    /// Of totals: the parts of their cube, which is large and hardly ever asked for.
    #[serde(default, skip_serializing_if = "is_none")]
    pub cube: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_none(parts: &u32) -> bool {
    *parts == 0
}

impl Stored {
    /// Returns where the cube of totals is.
    fn cube(self) -> Self {
        Self {
            parts: self.cube,
            cube: 0,
            ..self
        }
    }
}

impl State {
    /// Returns the newest generation that any load was given, as far as the state says.
    pub fn newest_generation(&self) -> u64 {
        let totals = [self.totals, self.pending_totals];
        let generations = totals.into_iter().flatten().map(|totals| totals.generation);
        let newest = generations.max().unwrap_or(0);
        newest.max(self.revision).max(self.last_generation)
    }

    /// Begins a store.
    pub fn new(system: System) -> Self {
        Self {
            format: FORMAT,
            system,
            revision: 0,
            next_sequence: 1,
            totals: None,
            pending_totals: None,
            last_generation: 0,
        }
    }
}

/// A load under way, or one that was killed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// The process: a random text, another for each load.
    pub owner: String,
    /// The content hash of the archive that it loads.
    pub content: String,
    /// The name of the archive.
    pub archive: String,
    /// The revision that it was planned against.
    pub revision: u64,
    /// The generation of all that it writes. 0 before it has written anything.
    pub generation: u64,
    /// Writes that are done: all before this one, in the order of the plan.
    pub done: u64,
    /// Archives of which it has set copies aside, before their rows are overwritten.
    pub set_aside: Vec<String>,
    /// What else decides its writes: a load with other flags does not go on where this one ended.
    #[serde(default)]
    pub way: String,
    /// It takes the place of other archives, whose rows are overwritten and deleted: what a kill
    /// leaves behind only its own end mends.
    #[serde(default)]
    pub replaces: bool,
    /// All its trips are there: the pending totals are those to count by.
    #[serde(default)]
    pub is_ending: bool,
    /// It is being undone on behalf of another: it cannot go on where it ended.
    #[serde(default)]
    pub is_undone: bool,
    /// Its owner ended it with an error. Requests that it gave up may still be under way.
    #[serde(default)]
    pub is_left: bool,
    /// Grows with each renewal by any owner, so the record of a live process changes.
    #[serde(default)]
    pub beat: u64,
}

/// What a commit put out of force: the blocks and parts that are to be deleted after it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gone {
    /// The totals over all archives that were in force before.
    pub totals: Option<Stored>,
    /// Each archive that changed.
    pub archives: Vec<GoneOf>,
}

/// What is out of force of one archive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoneOf {
    /// Its content hash.
    pub content: String,
    /// Its parts before the commit.
    pub before: PartsOf,
    /// Its parts since. Empty where the archive itself is gone.
    pub now: PartsOf,
}

/// One archive, with what the store has to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Archive {
    /// As everybody sees it.
    pub entry: LedgerEntry,
    /// Its members with trips, by place.
    pub members: Vec<String>,
    /// Its parts in force.
    pub parts: PartsOf,
    /// Its smallest and its largest id. `None` without rows.
    pub ids: Option<(String, String)>,
    /// Copies of its trips that another copy was better than.
    pub lost: u64,
}

impl Archive {
    /// Returns the text of its content hash: the key of its parts.
    pub fn content(&self) -> String {
        self.entry.id.content.to_string()
    }

    /// Returns what its rows carry as `archive`.
    pub fn mark(&self) -> String {
        mark(self.entry.id.content)
    }
}

/// The parts of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartsOf {
    /// Its totals.
    pub totals: Stored,
    /// Its ids, sorted.
    pub ids: Stored,
    /// Its copies that lost.
    pub lost: Stored,
    /// The keys of its blocks.
    pub keys: Stored,
}

impl PartsOf {
    fn list(&self) -> [(Part, Stored); 5] {
        [
            (Part::Totals, self.totals),
            (Part::Cube, self.totals.cube()),
            (Part::Ids, self.ids),
            (Part::Lost, self.lost),
            (Part::Keys, self.keys),
        ]
    }
}

/// What rows carry as `archive`: the first half of the content hash.
pub fn mark(content: ContentHash) -> String {
    mark_of(&content.to_string())
}

/// The same, of the text of the hash.
pub(crate) fn mark_of(content: &str) -> String {
    content.chars().take(16).collect()
}

/// The entry as it lies in the table.
#[derive(Serialize, Deserialize)]
struct EntryText {
    system: System,
    name: String,
    content: String,
    sequence: u64,
    loaded_at: Timestamp,
    rows_read: u64,
    stored: u64,
    rejected: BTreeMap<String, u64>,
    flagged: FlagCounts,
    members: Vec<String>,
    parts: PartsOf,
    ids: Option<(String, String)>,
    lost: u64,
}

/// What kind of parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Totals, but for their cube.
    Totals,
    /// The cube of totals.
    Cube,
    /// Ids.
    Ids,
    /// Copies that lost.
    Lost,
    /// Keys of blocks.
    Keys,
}

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Self::Totals => "totals",
            Self::Cube => "cube",
            Self::Ids => "ids",
            Self::Lost => "lost",
            Self::Keys => "keys",
        }
    }
}

/// The table.
#[derive(Clone, Debug)]
pub struct LedgerTable {
    pub(crate) table: Arc<PacedTable>,
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn beat(load: &Load) -> AttributeValue {
    AttributeValue::N(load.beat.to_string())
}

fn key(archive: &str, part: &str) -> Key {
    HashMap::from([
        ("archive".to_owned(), text(archive)),
        ("part".to_owned(), text(part)),
    ])
}

fn said<T: Serialize>(archive: &str, part: &str, what: &T) -> Item {
    let json = serde_json::to_string(what).expect("these are texts, numbers, lists and maps");
    let mut item = key(archive, part);
    item.insert("said".into(), AttributeValue::S(json));
    item
}

fn damaged(what: &str, cause: impl std::fmt::Display) -> StoreError {
    StoreError::new(
        StoreErrorKind::Damaged,
        format!("LoadLedger: {what} cannot be read: {cause}"),
    )
}

fn heard<T: DeserializeOwned>(item: &Item) -> Result<T, StoreError> {
    let name = |key: &str| {
        let value = item.get(key).and_then(|value| value.as_s().ok());
        value.map_or("?", String::as_str)
    };
    let what = || format!("{} {}", name("archive"), name("part"));
    let json = item.get("said").and_then(|value| value.as_s().ok());
    let json = json.ok_or_else(|| damaged(&what(), "it has no text"))?;
    serde_json::from_str(json).map_err(|error| damaged(&what(), error))
}

impl LedgerTable {
    /// Reads the state. `None` before the first write.
    ///
    /// # Errors
    ///
    /// Those of the service; the store is of a newer version than [`FORMAT`].
    pub async fn state(&self) -> Result<Option<State>, StoreError> {
        let item = self.table.get(key(STORE, "state")).await?;
        item.as_ref().map(state_of).transpose()
    }

    /// Begins the store for a system, unless it has begun; refuses another system.
    pub async fn begin(&self, system: &System) -> Result<State, StoreError> {
        for _ in 0..2 {
            if let Some(state) = self.state().await? {
                if state.system.id == system.id {
                    return Ok(state);
                }
                return Err(StoreError::new(
                    StoreErrorKind::Damaged,
                    format!(
                        "the tables beside {} hold {}, and each system has its own: give {} \
                         another prefix",
                        self.table.name, state.system.id, system.id
                    ),
                ));
            }
            let item = state_item(&State::new(system.clone()));
            let new = Some(("attribute_not_exists(part)", HashMap::new()));
            self.table.put_if(item, new).await?;
        }
        Err(damaged("#store state", "it was written, and is gone again"))
    }

    /// Replaces the state of a revision by another of the same revision, as the owner of the load
    /// under way. Returns whether that was possible: not where the revision is another, or the
    /// load another's.
    pub async fn put_state(&self, state: &State, owner: &str) -> Result<bool, StoreError> {
        let name = &self.table.name;
        let (condition, values) = of_revision(state.revision);
        let put = Put::builder()
            .table_name(name)
            .set_item(Some(state_item(state)))
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values))
            .build()
            .expect("table and item are given");
        let check = ConditionCheck::builder()
            .table_name(name)
            .set_key(Some(key(STORE, "load")))
            .condition_expression("owner_id = :owner")
            .expression_attribute_values(":owner", text(owner))
            .build()
            .expect("table, key and condition are given");
        let actions = vec![
            TransactWriteItem::builder().put(put).build(),
            TransactWriteItem::builder().condition_check(check).build(),
        ];
        let token = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        self.table.transact(actions, &token).await
    }

    /// Reads the load under way. `None` where there is none.
    pub async fn load(&self) -> Result<Option<Load>, StoreError> {
        let found = self.load_as_said().await?;
        Ok(found.map(|(load, _)| load))
    }

    /// Reads the load under way, and the text it was read from: what its record must still hold
    /// for another to take it over. `None` where there is none.
    pub async fn load_as_said(&self) -> Result<Option<(Load, String)>, StoreError> {
        let Some(item) = self.table.get(key(STORE, "load")).await? else {
            return Ok(None);
        };
        let said = item.get("said").and_then(|value| value.as_s().ok());
        let said = said.cloned().unwrap_or_default();
        Ok(Some((heard(&item)?, said)))
    }

    /// Takes the right to load, or takes it over from a record that still holds the text `from`.
    /// Returns whether that was possible.
    pub async fn take_load(&self, load: &Load, from: Option<&str>) -> Result<bool, StoreError> {
        let (condition, values) = match from {
            None => ("attribute_not_exists(part)", HashMap::new()),
            Some(from) => (
                "said = :from",
                HashMap::from([(":from".to_owned(), text(from))]),
            ),
        };
        self.put_load(load, condition, values).await
    }

    /// Writes the record of the load anew, as its owner. Returns whether that was possible: not
    /// where another has taken it over. The record's `beat` has to be larger than before, so that
    /// a request that arrives late replaces nothing newer.
    pub async fn keep_load(&self, load: &Load) -> Result<bool, StoreError> {
        let values = HashMap::from([
            (":owner".to_owned(), text(&load.owner)),
            (":beat".to_owned(), beat(load)),
        ]);
        self.put_load(load, "owner_id = :owner AND beat < :beat", values)
            .await
    }

    async fn put_load(
        &self,
        load: &Load,
        condition: &str,
        values: HashMap<String, AttributeValue>,
    ) -> Result<bool, StoreError> {
        let mut item = said(STORE, "load", load);
        item.insert("owner_id".into(), text(&load.owner));
        item.insert("beat".into(), beat(load));
        if self.table.put_if(item, Some((condition, values))).await? {
            return Ok(true);
        }
        // The answer to a put may have been lost: asked for again, it finds itself.
        Ok(self.load().await?.as_ref() == Some(load))
    }

    /// Gives the right to load back.
    pub async fn end_load(&self, owner: &str) -> Result<(), StoreError> {
        let mine = HashMap::from([(":owner".to_owned(), text(owner))]);
        self.table
            .delete_if(key(STORE, "load"), Some(("owner_id = :owner", mine)))
            .await?;
        Ok(())
    }

    /// Reads what the last commit put out of force, where that has not been deleted yet.
    pub async fn gone(&self) -> Result<Option<Gone>, StoreError> {
        let item = self.table.get(key(STORE, "gone")).await?;
        item.as_ref().map(heard).transpose()
    }

    /// Forgets what was out of force: all of it has been deleted.
    pub async fn forget_gone(&self, gone: &Gone) -> Result<(), StoreError> {
        let known = said(STORE, "gone", gone).remove("said");
        let known = known.expect("it has just been put there");
        let same = HashMap::from([(":known".to_owned(), known)]);
        self.table
            .delete_if(key(STORE, "gone"), Some(("said = :known", same)))
            .await?;
        Ok(())
    }

    /// Lists the archives in the order of loading.
    pub async fn archives(&self) -> Result<Vec<Archive>, StoreError> {
        const ENTRY_BYTES: f64 = 600.0;
        let items = self
            .table
            .query(("archive", ARCHIVES), None, ENTRY_BYTES)
            .await?;
        let mut archives: Vec<Archive> = items.iter().map(archive).collect::<Result<_, _>>()?;
        archives.sort_by_key(|archive| archive.entry.sequence);
        Ok(archives)
    }

    /// Writes parts under a generation; they are in force once something names it. Returns where
    /// they are.
    pub async fn put_parts(
        &self,
        archive: Option<&str>,
        generation: u64,
        part: Part,
        bytes: &[u8],
    ) -> Result<Stored, StoreError> {
        let mut writer = self.parts_writer(archive, generation, part)?;
        writer.push(bytes).await?;
        writer.finish().await
    }

    /// Begins to write parts whose bytes come one after another: few of them are in memory.
    pub(crate) fn parts_writer<'a>(
        &'a self,
        archive: Option<&'a str>,
        generation: u64,
        part: Part,
    ) -> Result<PartsWriter<'a>, StoreError> {
        let encoder = zstd::stream::write::Encoder::new(Vec::new(), PART_LEVEL);
        let encoder = encoder.map_err(|error| damaged("what is to be written", error))?;
        let stored = Stored {
            generation,
            ..Stored::default()
        };
        Ok(PartsWriter {
            ledger: self,
            archive,
            part,
            encoder,
            stored,
        })
    }

    /// Hands the bytes of parts to `visit`, as many at a time as [`PARTS_AT_ONCE`] parts unpack to.
    pub(crate) async fn visit_parts(
        &self,
        archive: Option<&str>,
        part: Part,
        stored: Stored,
        visit: &mut (dyn FnMut(&[u8]) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        let name = || format!("{} {}", archive.unwrap_or(STORE), part.as_str());
        let broken = |error| damaged(&name(), error);
        let decoder = zstd::stream::write::Decoder::new(Vec::new());
        let mut decoder = decoder.map_err(broken)?;
        for keys in keys(archive, part, stored).chunks(PARTS_AT_ONCE) {
            let mut items = self.table.get_all(keys.to_vec()).await?;
            if items.len() != keys.len() {
                return Err(damaged(&name(), "some of its parts are missing"));
            }
            in_order(&mut items);
            for item in &items {
                let chunk = item.get("bytes").and_then(|value| value.as_b().ok());
                let chunk = chunk.map_or(&[][..], |chunk| chunk.as_ref());
                decoder.write_all(chunk).map_err(broken)?;
            }
            decoder.flush().map_err(broken)?;
            visit(&std::mem::take(decoder.get_mut()))?;
        }
        Ok(())
    }

    /// Reads parts. Empty where there are none.
    pub async fn parts(
        &self,
        archive: Option<&str>,
        part: Part,
        stored: Stored,
    ) -> Result<Vec<u8>, StoreError> {
        let archive_or_store = archive.unwrap_or(STORE);
        let items = self.table.get_all(keys(archive, part, stored)).await?;
        if items.len() != stored.parts as usize {
            let name = format!("{archive_or_store} {}", part.as_str());
            return Err(damaged(&name, "some of its parts are missing"));
        }
        joined(items, archive_or_store, part)
    }

    /// Reads parts that may have been deleted. `None` where some are.
    pub async fn parts_if_there(
        &self,
        archive: &str,
        part: Part,
        stored: Stored,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self
            .table
            .get_all(keys(Some(archive), part, stored))
            .await?;
        match found.len() == stored.parts as usize {
            true => joined(found, archive, part).map(Some),
            false => Ok(None),
        }
    }

    /// Finds parts that no entry names: those of a load that was killed.
    pub async fn find_parts(
        &self,
        archive: &str,
        part: Part,
        generation: u64,
    ) -> Result<Stored, StoreError> {
        let prefix = format!("{generation:06}#{}#", part.as_str());
        let range = Some(("part", prefix.as_str()));
        let items = self
            .table
            .query(("archive", archive), range, PART_BYTES as f64)
            .await?;
        Ok(Stored {
            generation,
            parts: items.len() as u32,
            cube: 0,
        })
    }

    /// Reads totals with their cube; none yet are totals of nothing.
    pub async fn totals(
        &self,
        archive: Option<&str>,
        stored: Option<Stored>,
    ) -> Result<Totals, StoreError> {
        let mut totals = self.totals_without_cube(archive, stored).await?;
        if let Some(stored) = stored {
            let bytes = self.parts(archive, Part::Cube, stored.cube()).await?;
            if !bytes.is_empty() {
                let cube = postcard::from_bytes(&bytes);
                totals.cube = cube.map_err(|error| damaged("a cube", error))?;
            }
        }
        Ok(totals)
    }

    /// Reads totals, their cube left empty.
    pub async fn totals_without_cube(
        &self,
        archive: Option<&str>,
        stored: Option<Stored>,
    ) -> Result<Totals, StoreError> {
        let Some(stored) = stored else {
            return Ok(Totals::default());
        };
        let bytes = self.parts(archive, Part::Totals, stored).await?;
        postcard::from_bytes(&bytes).map_err(|error| damaged("totals", error))
    }

    /// Writes totals under a generation.
    pub async fn put_totals(
        &self,
        archive: Option<&str>,
        generation: u64,
        totals: &Totals,
    ) -> Result<Stored, StoreError> {
        let mut totals = totals.clone();
        let cube = std::mem::take(&mut totals.cube);
        let bytes = |said: Result<Vec<u8>, postcard::Error>| {
            said.expect("totals are maps, lists and numbers")
        };
        let base = bytes(postcard::to_stdvec(&totals));
        let stored = self
            .put_parts(archive, generation, Part::Totals, &base)
            .await?;
        if cube == Cube::default() {
            return Ok(stored);
        }
        let cube = bytes(postcard::to_stdvec(&cube));
        let cube = self
            .put_parts(archive, generation, Part::Cube, &cube)
            .await?;
        Ok(Stored {
            cube: cube.parts,
            ..stored
        })
    }

    /// Deletes totals over all archives that are no longer in force.
    pub async fn delete_totals(&self, old: Option<Stored>) -> Result<(), StoreError> {
        let parts = |old: Stored| [(Part::Totals, old), (Part::Cube, old.cube())];
        let old = old.into_iter().flat_map(parts);
        let old = old.flat_map(|(part, old)| keys(None, part, old));
        self.table.write_all(old.map(Write::Delete).collect()).await
    }

    /// Deletes parts of an archive that are no longer in force: those that `now` does not name.
    pub async fn delete_parts(
        &self,
        archive: &str,
        old: &PartsOf,
        now: &PartsOf,
    ) -> Result<(), StoreError> {
        let old = old.list().into_iter().zip(now.list());
        let gone = old.filter(|((_, old), (_, now))| old != now);
        let keys = gone.flat_map(|((part, old), _)| keys(Some(archive), part, old));
        self.table
            .write_all(keys.map(Write::Delete).collect())
            .await
    }

    /// Lists the keys of parts that nothing names: those of loads that were given up. Reads the
    /// whole table.
    pub(crate) async fn stray_parts(
        &self,
        state: &State,
        archives: &[Archive],
    ) -> Result<Vec<Key>, StoreError> {
        let mut named: HashSet<(String, String)> = HashSet::new();
        let mut name = |archive: Option<&str>, part, stored| {
            let pair = |n| {
                (
                    archive.unwrap_or(STORE).to_owned(),
                    part_key(part, stored, n),
                )
            };
            named.extend((0..stored.parts).map(pair));
        };
        for archive in archives {
            let content = archive.content();
            for (part, stored) in archive.parts.list() {
                name(Some(&content), part, stored);
            }
        }
        for totals in [state.totals, state.pending_totals].into_iter().flatten() {
            name(None, Part::Totals, totals);
            name(None, Part::Cube, totals.cube());
        }
        for gone in self.gone().await?.unwrap_or_default().archives {
            for (part, stored) in gone.before.list() {
                name(Some(&gone.content), part, stored);
            }
        }
        // What a load has written that may still be under way is not in force yet.
        let load = self.load().await?.map_or(0, |load| load.generation);
        let mut strays = Vec::new();
        let mut from = None;
        loop {
            let (items, next) = self.table.scan_page((0, 1), from, true).await?;
            for item in &items {
                let archive = item.get("archive").and_then(|value| value.as_s().ok());
                let archive = archive.map_or("", String::as_str);
                let part = part_name(item);
                let Some(generation) = generation_of(part) else {
                    continue; // not a part, but a text
                };
                let is_of_load = load > 0 && generation == load;
                if !is_of_load && !named.contains(&(archive.to_owned(), part.to_owned())) {
                    strays.push(key(archive, part));
                }
            }
            from = next;
            if from.is_none() {
                return Ok(strays);
            }
        }
    }

    /// Deletes items.
    pub(crate) async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        let deletes = keys.into_iter().map(Write::Delete).collect();
        self.table.write_all(deletes).await
    }

    /// Refuses a load that changes more archives than one transaction holds.
    ///
    /// # Errors
    ///
    /// It changes more: one sentence.
    pub fn refuse_too_many(archives: usize) -> Result<(), StoreError> {
        /// As many as the service takes in one transaction, without the state, the load and what
        /// is gone.
        const MOST: usize = 97;
        if archives > MOST {
            return Err(StoreError::new(
                StoreErrorKind::Damaged,
                format!(
                    "this load changes {archives} archives at once, and one transaction of \
                     DynamoDB holds {MOST}"
                ),
            ));
        }
        Ok(())
    }

    /// Commits a load: one transaction names what is in force from now on, and what is `gone`.
    ///
    /// Returns whether it could: not where the revision is another, or the right to load is lost.
    pub async fn commit(
        &self,
        state: &State,
        owner: &str,
        put: &[&Archive],
        delete: &[String],
        gone: &Gone,
    ) -> Result<bool, StoreError> {
        Self::refuse_too_many(put.len() + delete.len())?;
        let name = &self.table.name;
        let (condition, values) = of_revision(state.revision);
        let mut next = state.clone();
        next.revision += 1;
        let put_item = |item: Item| Put::builder().table_name(name).set_item(Some(item));
        let mut actions = vec![
            TransactWriteItem::builder()
                .put(
                    put_item(state_item(&next))
                        .condition_expression(condition)
                        .set_expression_attribute_values(Some(values))
                        .build()
                        .expect("table and item are given"),
                )
                .build(),
            TransactWriteItem::builder()
                .delete(
                    Delete::builder()
                        .table_name(name)
                        .set_key(Some(key(STORE, "load")))
                        .condition_expression("owner_id = :owner")
                        .expression_attribute_values(":owner", text(owner))
                        .build()
                        .expect("table and key are given"),
                )
                .build(),
        ];
        if *gone != Gone::default() {
            let put = put_item(said(STORE, "gone", gone)).build();
            actions.push(
                TransactWriteItem::builder()
                    .put(put.expect("table and item are given"))
                    .build(),
            );
        }
        for archive in put {
            let put = put_item(entry_item(archive)).build();
            actions.push(
                TransactWriteItem::builder()
                    .put(put.expect("table and item are given"))
                    .build(),
            );
        }
        for content in delete {
            let delete = Delete::builder()
                .table_name(name)
                .set_key(Some(key(ARCHIVES, content)))
                .build();
            actions.push(
                TransactWriteItem::builder()
                    .delete(delete.expect("table and key are given"))
                    .build(),
            );
        }
        let token = format!("{owner}-{}", state.revision);
        self.table
            .transact(actions, &token[token.len().saturating_sub(36)..])
            .await
    }

    /// Reads a small text under a key of the feed or of the stream.
    pub async fn note<T: DeserializeOwned>(&self, note: Note<'_>) -> Result<Option<T>, StoreError> {
        let (archive, part) = note.key();
        let item = self.table.get(key(archive, part)).await?;
        item.as_ref().map(heard).transpose()
    }

    /// Writes a small text under a key of the feed or of the stream.
    pub async fn put_note<T: Serialize>(&self, note: Note<'_>, what: &T) -> Result<(), StoreError> {
        let (archive, part) = note.key();
        self.table.put_if(said(archive, part, what), None).await?;
        Ok(())
    }

    /// Replaces a small text by another, and with it writes `also`, in one transaction. Returns
    /// whether that was possible: not where the text is no longer `before` (`None`: not there).
    pub async fn replace_note<T: Serialize, U: Serialize>(
        &self,
        note: Note<'_>,
        (before, now): (Option<&T>, &T),
        also: Option<(Note<'_>, &U)>,
    ) -> Result<bool, StoreError> {
        let (archive, part) = note.key();
        let (condition, values) = match before {
            None => ("attribute_not_exists(said)", None),
            Some(before) => {
                let before = said(archive, part, before).remove("said");
                let values = before.map(|before| HashMap::from([(":before".into(), before)]));
                ("said = :before", values)
            }
        };
        let item = said(archive, part, now);
        let Some((other, what)) = also else {
            let condition = Some((condition, values.unwrap_or_default()));
            return self.table.put_if(item, condition).await;
        };
        let name = &self.table.name;
        let put = Put::builder()
            .table_name(name)
            .set_item(Some(item))
            .condition_expression(condition)
            .set_expression_attribute_values(values)
            .build()
            .expect("table and item are given");
        let (archive, part) = other.key();
        let also = Put::builder()
            .table_name(name)
            .set_item(Some(said(archive, part, what)))
            .build()
            .expect("table and item are given");
        let actions = [put, also].map(|put| TransactWriteItem::builder().put(put).build());
        let token = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        self.table.transact(actions.into(), &token).await
    }

    /// Lists the origins that the index is behind with, or once was.
    pub(crate) async fn lags(&self) -> Result<Vec<(String, Lag)>, StoreError> {
        const LAG_BYTES: f64 = 200.0;
        let items = self
            .table
            .query(("archive", BEHIND), None, LAG_BYTES)
            .await?;
        let lags = items.iter();
        lags.map(|item| Ok((part_name(item).to_owned(), heard(item)?)))
            .collect()
    }

    /// Deletes such a text.
    pub async fn delete_note(&self, note: Note<'_>) -> Result<(), StoreError> {
        let (archive, part) = note.key();
        self.table.delete_if(key(archive, part), None).await?;
        Ok(())
    }
}

/// An index that has fewer trips from an origin than are stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lag {
    /// When that was first seen.
    pub(crate) since: Timestamp,
    /// The revision of the store then: each load may make an index lag anew.
    pub(crate) revision: u64,
    /// Trips that are stored.
    pub(crate) stored: u64,
    /// Trips that were counted by the index and kept as the count, after all.
    pub(crate) counted: Option<u64>,
}

/// A small text beside the archives.
#[derive(Clone, Copy, Debug)]
pub enum Note<'a> {
    /// The clocks of the feed.
    Clock,
    /// The stations that the feed lists.
    Listed,
    /// How far a consumer of the stream has read.
    Consumer(&'a str),
    /// The capacity that tables had before a load raised it.
    Boost,
    /// Since when the index has fewer trips from an origin than are stored.
    Behind(&'a str),
}

impl Note<'_> {
    fn key(&self) -> (&'static str, &str) {
        match self {
            Self::Clock => (FEED, "clock"),
            Self::Listed => (FEED, "listed"),
            Self::Consumer(name) => (STREAM, name),
            Self::Boost => (STORE, "boost"),
            Self::Behind(origin) => (BEHIND, origin),
        }
    }
}

/// Reads the state of an item. Its version is looked at first: the rest of a newer one may be of
/// another form.
fn state_of(item: &Item) -> Result<State, StoreError> {
    #[derive(Deserialize)]
    struct Version {
        #[serde(default = "first_format")]
        format: u32,
    }
    let Version { format } = heard(item)?;
    if format > FORMAT {
        return Err(StoreError::new(
            StoreErrorKind::Damaged,
            format!(
                "the store in these tables has format {format}, and this divvy reads formats up \
                 to {FORMAT}: use a newer divvy"
            ),
        ));
    }
    heard(item)
}

fn state_item(state: &State) -> Item {
    let state = State {
        format: FORMAT,
        ..state.clone()
    };
    let mut item = said(STORE, "state", &state);
    let revision = AttributeValue::N(state.revision.to_string());
    item.insert("revision".into(), revision);
    item
}

fn of_revision(revision: u64) -> (&'static str, HashMap<String, AttributeValue>) {
    let value = AttributeValue::N(revision.to_string());
    (
        "revision = :revision",
        HashMap::from([(":revision".to_owned(), value)]),
    )
}

/// Puts parts together, and unpacks them. Empty where there are none.
fn joined(mut items: Vec<Item>, archive: &str, part: Part) -> Result<Vec<u8>, StoreError> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    in_order(&mut items);
    let mut bytes = Vec::new();
    for item in &items {
        let chunk = item.get("bytes").and_then(|value| value.as_b().ok());
        bytes.extend_from_slice(chunk.map_or(&[], |chunk| chunk.as_ref()));
    }
    zstd::stream::decode_all(&bytes[..])
        .map_err(|error| damaged(&format!("{archive} {}", part.as_str()), error))
}

/// Sorts parts by their numbers: the thousandth has one digit more.
fn in_order(items: &mut [Item]) {
    items.sort_by_key(|item| (part_name(item).len(), part_name(item).to_owned()));
}

/// Parts on their way into the ledger.
pub(crate) struct PartsWriter<'a> {
    ledger: &'a LedgerTable,
    archive: Option<&'a str>,
    part: Part,
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
    stored: Stored,
}

impl PartsWriter<'_> {
    /// Takes bytes; writes the parts that are full.
    pub(crate) async fn push(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        // So many that what they compress to is a few parts at the most.
        for bytes in bytes.chunks(PARTS_AT_ONCE * PART_BYTES) {
            let written = self.encoder.write_all(bytes);
            written.map_err(|error| damaged("what is to be written", error))?;
            let packed = self.encoder.get_mut();
            let full = packed.len() - packed.len() % PART_BYTES;
            let rest = packed.split_off(full);
            let full = std::mem::replace(packed, rest);
            self.put(&full).await?;
        }
        Ok(())
    }

    /// Writes the last part. Returns where they are.
    pub(crate) async fn finish(mut self) -> Result<Stored, StoreError> {
        self.encoder
            .do_finish()
            .map_err(|error| damaged("what is to be written", error))?;
        let rest = std::mem::take(self.encoder.get_mut());
        self.put(&rest).await?;
        Ok(self.stored)
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let chunks = bytes.chunks(PART_BYTES);
        let first = self.stored.parts;
        self.stored.parts += chunks.len() as u32;
        let keys = keys(self.archive, self.part, self.stored);
        let items = keys.into_iter().skip(first as usize).zip(chunks);
        let items = items.map(|(mut item, chunk)| {
            item.insert("bytes".into(), AttributeValue::B(Blob::new(chunk)));
            Write::Put(item)
        });
        self.ledger.table.write_all(items.collect()).await
    }
}

/// Lists the keys of parts.
fn keys(archive: Option<&str>, part: Part, stored: Stored) -> Vec<Key> {
    let archive = archive.unwrap_or(STORE);
    (0..stored.parts)
        .map(|n| key(archive, &part_key(part, stored, n)))
        .collect()
}

fn part_key(part: Part, stored: Stored, n: u32) -> String {
    format!("{:06}#{}#{n:03}", stored.generation, part.as_str())
}

/// Reads the generation in the key of a part. `None` for other items.
fn generation_of(part: &str) -> Option<u64> {
    let (generation, rest) = part.split_once('#')?;
    let (kind, n) = rest.split_once('#')?;
    let kinds = [Part::Totals, Part::Cube, Part::Ids, Part::Lost, Part::Keys];
    let is_part = kinds.iter().any(|known| known.as_str() == kind) && n.parse::<u32>().is_ok();
    is_part.then(|| generation.parse().ok()).flatten()
}

fn part_name(item: &Item) -> &str {
    let part = item.get("part").and_then(|part| part.as_s().ok());
    part.map_or("", String::as_str)
}

fn entry_item(archive: &Archive) -> Item {
    let entry = &archive.entry;
    let content = archive.content();
    let rejected = entry.rejected.iter();
    let entry_text = EntryText {
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
        members: archive.members.clone(),
        parts: archive.parts,
        ids: archive.ids.clone(),
        lost: archive.lost,
    };
    said(ARCHIVES, &content, &entry_text)
}

fn archive(item: &Item) -> Result<Archive, StoreError> {
    let said: EntryText = heard(item)?;
    let content = u128::from_str_radix(&said.content, 16)
        .map_err(|error| damaged(&format!("the entry of {}", said.name), error))?;
    let mut rejected = RejectedCounts::new();
    for (reason, n) in &said.rejected {
        let known = Reason::named(reason);
        let known = known.ok_or_else(|| {
            damaged(
                &format!("the entry of {}", said.name),
                format!("what is {reason}?"),
            )
        })?;
        rejected.insert(known, *n);
    }
    Ok(Archive {
        entry: LedgerEntry {
            id: ArchiveId {
                system: said.system,
                name: said.name,
                content: ContentHash(content),
            },
            sequence: said.sequence,
            loaded_at: said.loaded_at,
            rows_read: said.rows_read,
            stored: said.stored,
            rejected,
            flagged: said.flagged,
        },
        members: said.members,
        parts: said.parts,
        ids: said.ids,
        lost: said.lost,
    })
}

/// Writes sorted ids one after another, each as what it shares with the one before and the rest.
pub fn encode_ids<'a>(ids: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut before: &[u8] = &[];
    for id in ids {
        let shared = before.iter().zip(id).take_while(|(a, b)| a == b).count();
        put_number(&mut bytes, shared);
        put_number(&mut bytes, id.len() - shared);
        bytes.extend_from_slice(&id[shared..]);
        before = id;
    }
    bytes
}

/// Reads what [`encode_ids`] wrote, id by id, until `visit` has seen all.
///
/// # Errors
///
/// The bytes are none of its.
pub fn decode_ids(bytes: &[u8], mut visit: impl FnMut(&[u8])) -> Result<(), StoreError> {
    let mut reader = IdsReader::default();
    reader.push(bytes, &mut |id| {
        visit(id);
        Ok(())
    })?;
    reader.finish()
}

/// Reads what [`encode_ids`] wrote, where its bytes come one after another.
#[derive(Debug, Default)]
pub(crate) struct IdsReader {
    /// The last id.
    id: Vec<u8>,
    /// The beginning of the next.
    rest: Vec<u8>,
}

impl IdsReader {
    /// Takes bytes, and hands out the ids that end in them.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        visit: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let joined;
        let bytes = if self.rest.is_empty() {
            bytes
        } else {
            self.rest.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.rest);
            &joined
        };
        let mut at = 0;
        while let Some((shared, rest, next)) = next_id(bytes, at) {
            if shared > self.id.len() {
                return Err(damaged("a list of ids", "one shares more than there is"));
            }
            self.id.truncate(shared);
            self.id.extend_from_slice(rest);
            visit(&self.id)?;
            at = next;
        }
        self.rest = bytes[at..].to_vec();
        Ok(())
    }

    /// Ends the reading.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(damaged("a list of ids", "it ends in the middle of one")),
        }
    }
}

/// Reads the id at a place: how much it shares with the one before, its rest, and the place of the
/// next. `None` where it does not end.
fn next_id(bytes: &[u8], mut at: usize) -> Option<(usize, &[u8], usize)> {
    let shared = number(bytes, &mut at)?;
    let rest = number(bytes, &mut at)?;
    let end = at.checked_add(rest)?;
    Some((shared, bytes.get(at..end)?, end))
}

fn put_number(bytes: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
}

fn number(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut n = 0_usize;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        n |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(n);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_come_back(mut ids in prop::collection::vec("[0-9A-F]{0,18}", 0..50)) {
            ids.sort();
            let bytes = encode_ids(ids.iter().map(String::as_bytes));
            let mut found = Vec::new();
            decode_ids(&bytes, |id| found.push(String::from_utf8_lossy(id).into_owned())).unwrap();
            prop_assert_eq!(found, ids);
        }

        #[test]
        fn other_bytes_are_refused_or_read_but_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode_ids(&bytes, |_| {});
        }
    }
}
