//! The state of the store, the record of the unfinished load, and the commit that changes them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, TransactWriteItem};
use divvy::model::System;
use divvy::store::{StoreError, StoreErrorKind};
use serde::{Deserialize, Serialize};

use super::entry::entry_item;
use super::{
    ARCHIVES, Archive, JSON, LedgerTable, ObsoleteSections, STORE, SectionRef, damaged, decode,
    encode, json_of, key, number, random_text, text, text_of,
};
use crate::item::Item;
use crate::pace::{Condition, MAX_TRANSACTION_ACTIONS};

/// The version of the format of a store: of the items of LoadLedger, of blocks and their keys.
///
/// | version | change |
/// |---|---|
/// | 1 | the first; its state has no version |
/// | 2 | keys of blocks contain a generation; only keys in an archive's list are its blocks |
pub const FORMAT: u32 = 2;

fn first_format() -> u32 {
    1
}

/// The state of the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The version of the format that was read. [`FORMAT`] is written.
    #[serde(default = "first_format")]
    pub format: u32,
    /// The system of the trips and stations: the tables of a prefix belong to one system.
    pub system: System,
    /// The number of commits.
    pub revision: u64,
    /// The sequence number of the next archive, in the order of loading.
    pub next_sequence: u64,
    /// The totals over all archives. `None` before the first archive.
    pub totals: Option<SectionRef>,
    /// The totals that the load in progress is about to commit. All its trips are written, so an
    /// index that counts fewer has not caught up.
    pub pending_totals: Option<SectionRef>,
    /// The newest generation of any load, including failed ones: no generation is used twice.
    #[serde(default)]
    pub last_generation: u64,
}

impl State {
    /// Returns the newest generation that the state names.
    pub fn newest_generation(&self) -> u64 {
        let totals = [self.totals, self.pending_totals];
        let generations = totals.into_iter().flatten().map(|totals| totals.generation);
        let newest = generations.max().unwrap_or(0);
        newest.max(self.revision).max(self.last_generation)
    }

    /// Makes the state of an empty store.
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

/// How a commit changes the archives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArchiveChanges {
    /// The content hashes of archives that are new or changed, each with its list of keys: empty in
    /// the layout of rows.
    pub put: Vec<(String, SectionRef)>,
    /// The content hashes of archives that are removed.
    pub delete: Vec<String>,
}

/// The record of an unfinished load: in progress, failed or killed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadRecord {
    /// The owner: a random text for each load.
    pub owner: String,
    /// The content hash of the archive.
    pub content: String,
    /// The name of the archive.
    pub archive: String,
    /// The revision on which its duplicate resolution is based.
    pub revision: u64,
    /// The generation of all that it writes. 0 before it has written anything.
    pub generation: u64,
    /// The number of writes, from the first on, that are all done.
    pub done: u64,
    /// Content hashes of archives of which it has set copies aside before overwriting their rows.
    pub set_aside: Vec<String>,
    /// The settings on which its writes depend: a load with others cannot continue it.
    #[serde(default, rename = "way")]
    pub settings: String,
    /// Whether it supersedes other archives in the layout of rows, whose rows it overwrites and
    /// deletes: then it cannot be undone, only finished.
    #[serde(default)]
    pub replaces: bool,
    /// Whether all its trips are written: counts are then expected to match the pending totals.
    #[serde(default)]
    pub is_ending: bool,
    /// How its commit will change the archives; `None` before `is_ending`, and in records of older
    /// programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<ArchiveChanges>,
    /// Whether another load has begun to undo it: it cannot be continued.
    #[serde(default)]
    pub is_undone: bool,
    /// Whether its owner ended it with an error. Requests that it gave up may still arrive.
    #[serde(default, rename = "is_left")]
    pub is_abandoned: bool,
    /// Whether its owner is an upgrade of the index, which writes nothing of the load and keeps its record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_upgrade: bool,
    /// The number of renewals by all owners: while a process is alive, the record changes.
    #[serde(default, rename = "beat")]
    pub renewals: u64,
}

impl LoadRecord {
    /// Returns whether rows of other archives may be overwritten or deleted, so that there are fewer
    /// of them than the ledger states.
    pub fn overwrites(&self) -> bool {
        self.replaces || !self.set_aside.is_empty()
    }
}

/// The blocks and sections that a commit made obsolete, to be deleted after it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Obsolete {
    /// The previous totals over all archives.
    pub totals: Option<SectionRef>,
    /// The archives that changed.
    pub archives: Vec<ObsoleteSections>,
}

/// The changes of a commit: one transaction.
#[derive(Debug)]
pub struct Commit<'a> {
    /// The next state; its `revision` is still the stored one.
    pub state: &'a State,
    /// Archives whose entries are written.
    pub put: Vec<&'a Archive>,
    /// Content hashes of archives whose entries are deleted.
    pub delete: Vec<String>,
    /// The blocks and sections that are deleted after the commit.
    pub obsolete: &'a Obsolete,
}

impl LedgerTable {
    /// Reads the state. `None` before the first write.
    ///
    /// # Errors
    ///
    /// Those of the service; the store is of a newer version than [`FORMAT`].
    pub async fn state(&self) -> Result<Option<State>, StoreError> {
        match self.table.get(key(STORE, "state")).await? {
            Some(item) => state_of(&item).map(Some),
            None if !self.archives().await?.is_empty() => Err(damaged(
                "#store state",
                "it is gone, and the ledger has archives: restore the table from a backup",
            )),
            None => Ok(None),
        }
    }

    /// Returns the state of the store; writes the first one where there is none.
    ///
    /// # Errors
    ///
    /// The tables belong to another system.
    pub async fn begin(&self, system: &System) -> Result<State, StoreError> {
        for _ in 0..2 {
            if let Some(state) = self.state().await? {
                if state.system.id == system.id {
                    return Ok(state);
                }
                return Err(StoreError::new(
                    StoreErrorKind::Damaged,
                    format!(
                        "these tables ({} and those with its prefix) hold {}, and each system needs its own: \
                         give {} another prefix",
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

    /// Replaces the state by another of the same revision, as the owner of the unfinished load.
    /// Returns `false` where the stored revision or the stored owner is another.
    pub async fn put_state(&self, state: &State, owner: &str) -> Result<bool, StoreError> {
        let check = ConditionCheck::builder()
            .table_name(&self.table.name)
            .set_key(Some(key(STORE, "load")))
            .condition_expression("owner_id = :owner")
            .expression_attribute_values(":owner", text(owner))
            .build()
            .expect("table, key and condition are given");
        let actions = vec![
            self.put_action(state_item(state), Some(is_of_revision(state.revision))),
            TransactWriteItem::builder().condition_check(check).build(),
        ];
        self.table.transact(actions, &random_text()).await
    }

    /// Reads the record of the unfinished load. `None` where there is none.
    pub async fn load(&self) -> Result<Option<LoadRecord>, StoreError> {
        let found = self.load_with_json().await?;
        Ok(found.map(|(load, _)| load))
    }

    /// Reads the record of the unfinished load, and its JSON: the condition under which another
    /// process may take it over. `None` where there is none.
    pub async fn load_with_json(&self) -> Result<Option<(LoadRecord, String)>, StoreError> {
        let Some(item) = self.table.get(key(STORE, "load")).await? else {
            return Ok(None);
        };
        let json = text_of(&item, JSON).unwrap_or_default().to_owned();
        Ok(Some((decode(&item)?, json)))
    }

    /// Writes the record of a new load, if there is none; or takes over one whose JSON is still
    /// `from`. Returns whether it did.
    pub async fn take_load(
        &self,
        load: &LoadRecord,
        from: Option<&str>,
    ) -> Result<bool, StoreError> {
        let (condition, values) = match from {
            None => ("attribute_not_exists(part)", HashMap::new()),
            Some(from) => (
                "said = :from",
                HashMap::from([(":from".to_owned(), text(from))]),
            ),
        };
        self.put_load(load, condition, values).await
    }

    /// Replaces the record of the load, as its owner. Returns `false` where another has taken it
    /// over. `renewals` has to be larger than before, so that a request that arrives late replaces
    /// nothing newer.
    pub async fn renew_load(&self, load: &LoadRecord) -> Result<bool, StoreError> {
        let values = HashMap::from([
            (":owner".to_owned(), text(&load.owner)),
            (":beat".to_owned(), number(load.renewals)),
        ]);
        self.put_load(load, "owner_id = :owner AND beat < :beat", values)
            .await
    }

    async fn put_load(
        &self,
        load: &LoadRecord,
        condition: &str,
        values: HashMap<String, AttributeValue>,
    ) -> Result<bool, StoreError> {
        let mut item = encode(STORE, "load", load);
        item.insert("owner_id".into(), text(&load.owner));
        item.insert("beat".into(), number(load.renewals));
        if self.table.put_if(item, Some((condition, values))).await? {
            return Ok(true);
        }
        // A put that is repeated because its response was lost fails on its own item.
        Ok(self.load().await?.as_ref() == Some(load))
    }

    /// Deletes the record of a load, as its owner.
    pub async fn end_load(&self, owner: &str) -> Result<(), StoreError> {
        let mine = HashMap::from([(":owner".to_owned(), text(owner))]);
        self.table
            .delete_if(key(STORE, "load"), Some(("owner_id = :owner", mine)))
            .await?;
        Ok(())
    }

    /// Reads what the last commit made obsolete. `None` where all of it was deleted.
    pub async fn obsolete(&self) -> Result<Option<Obsolete>, StoreError> {
        let item = self.table.get(key(STORE, "gone")).await?;
        item.as_ref().map(decode).transpose()
    }

    /// Deletes the record of what was obsolete, unless a later commit has replaced it.
    pub async fn end_obsolete(&self, obsolete: &Obsolete) -> Result<(), StoreError> {
        let same = HashMap::from([(":known".to_owned(), json_of(obsolete))]);
        self.table
            .delete_if(key(STORE, "gone"), Some(("said = :known", same)))
            .await?;
        Ok(())
    }

    /// Refuses a load that changes more archives than one transaction can.
    ///
    /// # Errors
    ///
    /// It changes too many.
    pub fn refuse_too_many(archives: usize) -> Result<(), StoreError> {
        /// The actions of a transaction, without those for the state, the load and the obsolete
        /// sections.
        const MAX_ARCHIVES: usize = MAX_TRANSACTION_ACTIONS - 3;
        if archives > MAX_ARCHIVES {
            return Err(StoreError::new(
                StoreErrorKind::Damaged,
                format!(
                    "this load changes {archives} archives at once, and one transaction of \
                     DynamoDB holds {MAX_ARCHIVES}"
                ),
            ));
        }
        Ok(())
    }

    /// Commits a load in one transaction: writes the state and the entries of changed archives,
    /// deletes the entries of removed ones and the record of the load.
    ///
    /// Returns `false` where the stored revision or the owner of the load is another.
    pub async fn commit(&self, owner: &str, commit: &Commit<'_>) -> Result<bool, StoreError> {
        let Commit {
            state,
            put,
            delete,
            obsolete,
        } = commit;
        Self::refuse_too_many(put.len() + delete.len())?;
        let next = State {
            revision: state.revision + 1,
            ..State::clone(state)
        };
        let is_owner = HashMap::from([(":owner".to_owned(), text(owner))]);
        let mut actions = vec![
            self.put_action(state_item(&next), Some(is_of_revision(state.revision))),
            self.delete_action(key(STORE, "load"), Some(("owner_id = :owner", is_owner))),
        ];
        if **obsolete != Obsolete::default() {
            actions.push(self.put_action(encode(STORE, "gone", obsolete), None));
        }
        let put = put.iter();
        actions.extend(put.map(|archive| self.put_action(entry_item(archive), None)));
        let delete = delete.iter();
        actions.extend(delete.map(|content| self.delete_action(key(ARCHIVES, content), None)));
        let token = format!("{owner}-{}", state.revision);
        self.table
            .transact(actions, &token[token.len().saturating_sub(36)..])
            .await
    }
}

/// Reads the state of an item; its version first, since a newer format may have other fields.
fn state_of(item: &Item) -> Result<State, StoreError> {
    #[derive(Deserialize)]
    struct Version {
        #[serde(default = "first_format")]
        format: u32,
    }
    let Version { format } = decode(item)?;
    if format > FORMAT {
        return Err(StoreError::new(
            StoreErrorKind::Damaged,
            format!(
                "the store in these tables has format {format}, and this divvy reads formats up \
                 to {FORMAT}: use a newer divvy"
            ),
        ));
    }
    decode(item)
}

fn state_item(state: &State) -> Item {
    let state = State {
        format: FORMAT,
        ..state.clone()
    };
    let mut item = encode(STORE, "state", &state);
    item.insert("revision".into(), number(state.revision));
    item
}

fn is_of_revision(revision: u64) -> Condition<'static> {
    let values = HashMap::from([(":revision".to_owned(), number(revision))]);
    ("revision = :revision", values)
}
