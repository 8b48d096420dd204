//! Small records: the times of the feed, checkpoints of consumers, lags of the index.

use std::borrow::Cow;
use std::collections::HashMap;

use divvy::store::StoreError;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{
    ABANDONED, BEHIND, FEED, LedgerTable, STORE, STREAM, decode, encode, json_of, key, random_text,
    text_of,
};

/// An index that has another number of trips from an origin than are stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct IndexLag {
    /// The time at which that was first found.
    pub(crate) since: Timestamp,
    /// The revision of the store at that time: a later load may make the index lag again.
    pub(crate) revision: u64,
    /// The number of trips in the ledger.
    pub(crate) stored: u64,
    /// The number that the index counted and that was kept as the count in the end. `None` before.
    pub(crate) counted: Option<u64>,
}

/// The key of a small record.
#[derive(Clone, Copy, Debug)]
pub enum Note<'a> {
    /// The times of the feed.
    Clock,
    /// A part of the list of the feed's stations.
    Listed(u32),
    /// The checkpoints of a consumer of the stream.
    Consumer(&'a str),
    /// The corrections of places made by hand.
    Places,
    /// The capacity of the tables before a load raised it.
    Boost,
    /// The settings of a load of the archive with this content hash that was given up: rows that it
    /// has written may be in the table.
    Abandoned(&'a str),
    /// The [`IndexLag`] of an origin.
    Behind(&'a str),
}

impl Note<'_> {
    fn key(&self) -> (&'static str, Cow<'_, str>) {
        match self {
            Self::Clock => (FEED, "clock".into()),
            Self::Listed(0) => (FEED, "listed".into()),
            Self::Listed(part) => (FEED, format!("listed#{part}").into()),
            Self::Consumer(name) => (STREAM, Cow::Borrowed(name)),
            Self::Places => (STORE, "places".into()),
            Self::Boost => (STORE, "boost".into()),
            Self::Abandoned(content) => (ABANDONED, Cow::Borrowed(content)),
            Self::Behind(origin) => (BEHIND, Cow::Borrowed(origin)),
        }
    }
}

impl LedgerTable {
    /// Reads a small record. `None` where there is none.
    pub async fn note<T: DeserializeOwned>(&self, note: Note<'_>) -> Result<Option<T>, StoreError> {
        let (archive, part) = note.key();
        let item = self.table.get(key(archive, &part)).await?;
        item.as_ref().map(decode).transpose()
    }

    /// Writes a small record.
    pub async fn put_note<T: Serialize>(
        &self,
        note: Note<'_>,
        record: &T,
    ) -> Result<(), StoreError> {
        let (archive, part) = note.key();
        self.table
            .put_if(encode(archive, &part, record), None)
            .await?;
        Ok(())
    }

    /// Replaces a small record, and with it writes those of `also` in one transaction. Returns `false` where
    /// the stored record is no longer `before` (`None`: where there is one).
    pub async fn replace_note<T: Serialize, U: Serialize>(
        &self,
        note: Note<'_>,
        (before, now): (Option<&T>, &T),
        also: &[(Note<'_>, &U)],
    ) -> Result<bool, StoreError> {
        let (archive, part) = note.key();
        let condition = match before {
            None => ("attribute_not_exists(said)", HashMap::new()),
            Some(before) => {
                let values = HashMap::from([(":before".to_owned(), json_of(before))]);
                ("said = :before", values)
            }
        };
        let item = encode(archive, &part, now);
        if also.is_empty() {
            return self.table.put_if(item, Some(condition)).await;
        }
        let mut actions = vec![self.put_action(item, Some(condition))];
        actions.extend(also.iter().map(|(other, record)| {
            let (archive, part) = other.key();
            self.put_action(encode(archive, &part, record), None)
        }));
        self.table.transact(actions, &random_text()).await
    }

    /// Lists the origins of which the index had another number of trips than are stored, now or earlier.
    pub(crate) async fn index_lags(&self) -> Result<Vec<(String, IndexLag)>, StoreError> {
        const LAG_BYTES: f64 = 200.0;
        let items = self
            .table
            .query(("archive", BEHIND), None, LAG_BYTES)
            .await?;
        let origin = |item| text_of(item, "part").unwrap_or_default().to_owned();
        let lags = items.iter();
        lags.map(|item| Ok((origin(item), decode(item)?))).collect()
    }

    /// Deletes a small record.
    pub async fn delete_note(&self, note: Note<'_>) -> Result<(), StoreError> {
        let (archive, part) = note.key();
        self.table.delete_if(key(archive, &part), None).await?;
        Ok(())
    }
}
