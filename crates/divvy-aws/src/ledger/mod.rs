//! LoadLedger: the loaded archives with their tallies and ids, and the state of the store.
//!
//! | archive | part | holds |
//! |---|---|---|
//! | `#store` | `state` | the system, the revision, which totals are current |
//! | `#store` | `load` | the unfinished load: owner, progress, archives with copies set aside |
//! | `#store` | `gone` | what the last commit made obsolete and is not deleted yet |
//! | `#store` | `G#totals#NNN` | totals over all archives, generation G |
//! | `#archives` | content hash | one entry an archive |
//! | content hash | `G#totals#NNN` | totals of the archive's stored trips |
//! | both | `G#cube#NNN` | the cube of these totals |
//! | content hash | `G#ids#NNN` | every id of the archive, sorted |
//! | content hash | `G#lost#NNN` | its duplicates: copies of trips that are not stored |
//! | content hash | `G#keys#NNN` | the keys of its blocks, in the packed layout |
//! | `#feed` | `clock`, `listed`, `listed#N` | the times of the feed, the stations that it lists, in parts |
//! | `#stream` | consumer | how far a consumer has read |
//! | `#abandoned` | content hash | the settings of a load that was given up, whose rows may be in TripData |
//! | `#behind` | origin | since when the index has another number of trips from there than are stored |
//!
//! A section (totals, cube, ids, …) is compressed and cut into chunks, one item each. Sections are
//! written under a new generation. One transaction makes them current: it writes entries and a
//! state that name the generation and the number of chunks. Sections of earlier generations are
//! deleted after it.

mod entry;
mod ids;
mod notes;
mod sections;
mod state;
mod strays;

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use divvy::store::{StoreError, StoreErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::entry::Archive;
pub(crate) use self::ids::IdsReader;
pub use self::ids::{decode_ids, encode_ids};
pub(crate) use self::notes::IndexLag;
pub use self::notes::Note;
pub use self::sections::{
    ArchiveSections, ObsoleteSections, SectionKind, SectionOwner, SectionRef,
};
pub(crate) use self::sections::{SECTION_LEVEL, encode_totals};
pub use self::state::{ArchiveChanges, Commit, FORMAT, LoadRecord, Obsolete, State};
use crate::item::Item;
use crate::pace::{Condition, Key, PacedTable, Write};

const STORE: &str = "#store";
const ARCHIVES: &str = "#archives";
const FEED: &str = "#feed";
const STREAM: &str = "#stream";
const BEHIND: &str = "#behind";
const ABANDONED: &str = "#abandoned";

/// LoadLedger.
#[derive(Clone, Debug)]
pub struct LedgerTable {
    pub(crate) table: Arc<PacedTable>,
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn random_text() -> String {
    format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}

fn key(archive: &str, part: &str) -> Key {
    HashMap::from([
        ("archive".to_owned(), text(archive)),
        ("part".to_owned(), text(part)),
    ])
}

/// The attribute with the JSON of a record.
const JSON: &str = "said";

/// Makes the item of a record.
fn encode<T: Serialize>(archive: &str, part: &str, record: &T) -> Item {
    let mut item = key(archive, part);
    item.insert(JSON.into(), json_of(record));
    item
}

fn json_of<T: Serialize>(record: &T) -> AttributeValue {
    let json = serde_json::to_string(record);
    AttributeValue::S(json.expect("records consist of texts, numbers, lists and maps"))
}

/// Returns an attribute that is a text. `None` where it is missing or of another type.
fn text_of<'a>(item: &'a Item, attribute: &str) -> Option<&'a str> {
    item.get(attribute)?.as_s().ok().map(String::as_str)
}

fn damaged(what: &str, cause: impl std::fmt::Display) -> StoreError {
    StoreError::new(
        StoreErrorKind::Damaged,
        format!("LoadLedger: {what} cannot be read: {cause}"),
    )
}

/// Reads the record of an item.
fn decode<T: DeserializeOwned>(item: &Item) -> Result<T, StoreError> {
    let name = |key| text_of(item, key).unwrap_or("?");
    let what = || format!("{} {}", name("archive"), name("part"));
    let json = text_of(item, JSON).ok_or_else(|| damaged(&what(), "it has no text"))?;
    serde_json::from_str(json).map_err(|error| damaged(&what(), error))
}

impl LedgerTable {
    /// Makes the action of a transaction that puts an item.
    fn put_action(&self, item: Item, condition: Option<Condition<'_>>) -> TransactWriteItem {
        let (text, values) = condition.unzip();
        let put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(item))
            .set_condition_expression(text.map(str::to_owned))
            .set_expression_attribute_values(values.filter(|values| !values.is_empty()))
            .build();
        let put = put.expect("table and item are given");
        TransactWriteItem::builder().put(put).build()
    }

    /// Makes the action of a transaction that deletes an item.
    fn delete_action(&self, key: Key, condition: Option<Condition<'_>>) -> TransactWriteItem {
        let (text, values) = condition.unzip();
        let delete = Delete::builder()
            .table_name(&self.table.name)
            .set_key(Some(key))
            .set_condition_expression(text.map(str::to_owned))
            .set_expression_attribute_values(values)
            .build();
        let delete = delete.expect("table and key are given");
        TransactWriteItem::builder().delete(delete).build()
    }

    /// Deletes items.
    pub(crate) async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        let deletes = keys.into_iter().map(Write::Delete).collect();
        self.table.write_all(deletes).await
    }
}
