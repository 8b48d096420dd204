//! The two ways in: an archive of trips, and a snapshot of stations.
//!
//! ```text
//!  load   look (what the members are) ─► pipeline (inflate ▸ parse, tally ▸ store) ─► commit
//!  read   look ─► pipeline ─► whoever asks: no store, nothing kept
//!  poll   gather (files or addresses) ─► snapshot ─► apply
//! ```
//!
//! Either ends with changes in the stream; [`refresh::drain`](crate::refresh::drain) brings the
//! counts up to date.

mod contents;
mod error;
mod gather;
mod pipeline;
mod share;

use jiff::{SignedDuration, Timestamp};

pub use error::{LoadError, PollError};
pub use gather::Gathered;
pub use share::{NoShare, Share};

use crate::issue::{RejectSink, RejectedCounts};
use crate::model::{System, TripBatch};
use crate::sources::archive::Archive;
use crate::sources::station_feed::{self, Fault, Feed};
use crate::store::{
    Applied, ArchiveId, ArchiveRead, ContentHash, Incoming, LedgerEntry, Store, StoreError,
};
use crate::tally::Totals;

/// How to load.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Whose trips these are. `None` takes it from schema and coordinates.
    pub system: Option<System>,
    /// Dates have the day first, whatever the rows suggest.
    pub day_first: bool,
    /// What becomes of loaded archives of the same name and other content.
    pub same_name: SameName,
    /// Loads a share of the trips, which is an archive of its own. `None` loads all.
    pub sample: Option<Share>,
    /// The present moment.
    pub now: Timestamp,
}

/// What becomes of loaded archives that have the name of a new one, and other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameName {
    /// The new one is not loaded.
    Refuse,
    /// The new one supersedes them. One of the same content is loaded again, too, where what is
    /// stored of it is damaged.
    Replace,
    /// They stay beside the new one.
    KeepBoth,
}

/// Hears how far a load has come. Called from several threads.
pub trait Progress: Sync {
    /// `done` of `of` unpacked bytes have been read; `of` is 0 where the archive does not say.
    fn bytes(&self, done: u64, of: u64);
}

/// Nobody listens.
impl Progress for () {
    fn bytes(&self, _: u64, _: u64) {}
}

/// What became of an archive.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its ledger entry. `None` where it holds no trips, only station lists.
    pub entry: Option<LedgerEntry>,
    /// It had been loaded before, and nothing happened.
    pub already: bool,
    /// Whose it is.
    pub system: System,
    /// Station lists: the member and its number of stations.
    pub station_lists: Vec<(String, usize)>,
    /// What people should know: members left out, lists with faults. One sentence each.
    pub notes: Vec<String>,
}

/// Loads one archive: every row of its trip files becomes a trip or a rejected row.
///
/// # Errors
///
/// [`LoadError`]; the store is then as it was, but for station lists where the store itself failed
/// after it had taken them.
pub async fn load(
    archive: &Archive,
    store: &dyn Store,
    options: &LoadOptions,
    rejects: &dyn RejectSink,
    progress: &dyn Progress,
) -> Result<Loaded, LoadError> {
    let content = ContentHash(archive.content()?);
    let content = match options.sample {
        None => content,
        Some(share) => share.content(content),
    };
    if let Some(entry) = held(store, content).await?
        && (options.same_name != SameName::Replace || store.is_intact(&entry).await?)
    {
        return Ok(Loaded {
            system: entry.id.system.clone(),
            entry: Some(entry),
            already: true,
            station_lists: Vec::new(),
            notes: Vec::new(),
        });
    }
    let contents = contents::look(archive, options.day_first)?;
    let system = contents.system(archive.name(), options.system.as_ref())?;
    let mut entry = None;
    if !contents.trips.is_empty() {
        let id = ArchiveId {
            system: system.clone(),
            name: match options.sample {
                None => archive.name().into(),
                Some(share) => share.name(archive.name()),
            },
            content,
        };
        if options.same_name == SameName::Refuse
            && store.archives(&system.id).await?.contains(&id.name)
        {
            return Err(LoadError::SameName {
                archive: id.name,
                system: system.id.to_string(),
            });
        }
        let incoming = store.begin(&id).await?;
        let read = pipeline::run(
            archive,
            &contents.trips,
            &system,
            options.sample,
            &Stored(&*incoming),
            rejects,
            progress,
        )?;
        let read = ArchiveRead {
            id,
            members: contents
                .trips
                .iter()
                .map(|trips| trips.name.clone())
                .collect(),
            rows_read: read.rows_read,
            rejected: read.rejected,
            totals: read.totals,
            loaded_at: options.now,
            replace: options.same_name == SameName::Replace,
        };
        // Lists before the trips: once an archive is in the ledger, nobody reads its lists again.
        describe(store, &system, &contents).await?;
        entry = Some(incoming.commit(read, rejects).await?);
    } else {
        describe(store, &system, &contents).await?;
    }
    let lists = contents.lists.iter();
    let station_lists = lists.map(|(name, list)| (name.clone(), list.stations.len()));
    let station_lists = station_lists.collect();
    Ok(Loaded {
        entry,
        already: false,
        system,
        station_lists,
        notes: contents.notes,
    })
}

/// Takes over what the station lists of an archive say.
async fn describe(
    store: &dyn Store,
    system: &System,
    contents: &contents::Contents,
) -> Result<(), StoreError> {
    for (_, list) in &contents.lists {
        store.describe(system, &list.stations).await?;
    }
    Ok(())
}

/// Takes the trips of an archive. Members may come from several threads; the batches of one member
/// come in the order of its rows. A function that takes batches is one.
pub trait Write: Sync {
    /// Takes a batch of the trips member of that place, among those with trips.
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError>;

    /// Says that a member has had its last batch.
    fn end_member(&self, _member: usize) -> Result<(), StoreError> {
        Ok(())
    }
}

impl<F: Fn(usize, TripBatch) -> Result<(), StoreError> + Sync> Write for F {
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError> {
        self(member, batch)
    }
}

/// The trips go into a store.
struct Stored<'a>(&'a dyn Incoming);

impl Write for Stored<'_> {
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError> {
        self.0.write(member, batch)
    }

    fn end_member(&self, member: usize) -> Result<(), StoreError> {
        self.0.end_member(member)
    }
}

/// What an archive came to that was read and not stored.
#[derive(Clone, Debug)]
pub struct ReadThrough {
    /// Which one.
    pub id: ArchiveId,
    /// The names of the members that hold trips, by their places.
    pub members: Vec<String>,
    /// Data rows read, over all members.
    pub rows_read: u64,
    /// Rows that did not become trips; copies are not looked for.
    pub rejected: RejectedCounts,
    /// The totals over all batches.
    pub totals: Totals,
    /// What people should know: members left out, lists with faults. One sentence each.
    pub notes: Vec<String>,
}

/// Reads the trips of an archive to its end without a store, checksums and all, and hands them to
/// `write`. What that was good for is known when this returns: until then the archive may prove
/// damaged. One without trips is read as nothing.
///
/// # Errors
///
/// [`LoadError`]; that of `write` as [`LoadError::Store`].
pub fn read(
    archive: &Archive,
    options: &LoadOptions,
    write: &dyn Write,
    rejects: &dyn RejectSink,
    progress: &dyn Progress,
) -> Result<ReadThrough, LoadError> {
    let content = ContentHash(archive.content()?);
    let contents = contents::look(archive, options.day_first)?;
    let system = contents.system(archive.name(), options.system.as_ref())?;
    let read = pipeline::run(
        archive,
        &contents.trips,
        &system,
        options.sample,
        write,
        rejects,
        progress,
    )?;
    Ok(ReadThrough {
        id: ArchiveId {
            system,
            name: archive.name().into(),
            content,
        },
        members: contents.trips.into_iter().map(|trips| trips.name).collect(),
        rows_read: read.rows_read,
        rejected: read.rejected,
        totals: read.totals,
        notes: contents.notes,
    })
}

/// Finds an archive of that content under any system.
async fn held(store: &dyn Store, content: ContentHash) -> Result<Option<LedgerEntry>, LoadError> {
    for system in store.systems().await? {
        if let Some(entry) = store.holding(&system.id, content).await? {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// What became of a snapshot.
#[derive(Clone, Debug)]
pub struct Polled {
    /// Whose stations these are.
    pub system: System,
    /// When the feed was made, by its own clock.
    pub taken_at: Timestamp,
    /// Stations in the snapshot.
    pub stations: usize,
    /// What the store made of it.
    pub applied: Applied,
    /// Departures of the feed from its specification.
    pub faults: Vec<Fault>,
}

/// Takes one snapshot of stations from files, a folder, or addresses, and brings StationData up
/// to it.
///
/// `system` is what the user says; else coordinates tell, else the feed's own name for itself,
/// else the store's only system.
///
/// # Errors
///
/// [`PollError`]; the store is then as it was.
pub async fn poll(
    sources: &[String],
    store: &dyn Store,
    system: Option<&System>,
    fetched_at: Timestamp,
) -> Result<Polled, PollError> {
    let gathered = gather::gather(sources)?;
    let system = gather::system(&gathered, system, store).await?;
    apply(gathered.feeds, store, &system, fetched_at).await
}

/// How far the clock of a feed may be ahead of ours. The worst wrong zone is 14 hours off.
const MOST_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Brings StationData up to feeds that have been read: one feed, or a pair of GBFS.
///
/// # Errors
///
/// [`PollError`] where the feeds are no snapshot, or one made more than a day after `fetched_at`,
/// or the store fails.
pub async fn apply(
    feeds: Vec<Feed>,
    store: &dyn Store,
    system: &System,
    fetched_at: Timestamp,
) -> Result<Polled, PollError> {
    let state = store.feed(&system.id).await?;
    let last = state.and_then(|state| state.status_at.max(state.information_at));
    let faults = feeds
        .iter()
        .flat_map(|feed| feed.faults.iter().cloned())
        .collect();
    let newest = feeds.iter().max_by_key(|feed| feed.kind);
    let file = newest.map_or_else(String::new, |feed| feed.file.clone());
    let snapshot = station_feed::snapshot(feeds, system, last)?;
    if snapshot.taken_at.duration_since(fetched_at) > MOST_AHEAD {
        let zone = system.zone();
        return Err(PollError::FromTheFuture {
            file,
            taken_at: zone.rfc3339(snapshot.taken_at),
            fetched_at: zone.rfc3339(fetched_at),
        });
    }
    let applied = store.apply(&snapshot, fetched_at).await?;
    Ok(Polled {
        system: system.clone(),
        taken_at: snapshot.taken_at,
        stations: snapshot.stations.len(),
        applied,
        faults,
    })
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;
    use crate::sources::station_feed::Document;
    use crate::store::Ledger;
    use crate::store::memory::MemoryStore;

    fn polled(store: &MemoryStore, made: i64, fetched: i64) -> Result<Polled, PollError> {
        let json = format!(
            r#"{{"last_updated":{made},"data":{{"stations":[{{"station_id":"a","name":"Lake St",
            "lat":41.9,"lon":-87.6}}]}}}}"#
        );
        let Document::Feed(feed) = station_feed::read(json.as_bytes(), "stations.json").unwrap()
        else {
            panic!("a feed")
        };
        let fetched_at = Timestamp::from_second(fetched).unwrap();
        let divvy = System::named("divvy").unwrap();
        block_on(apply(vec![feed], store, &divvy, fetched_at))
    }

    #[test]
    fn a_feed_from_the_future_does_not_block_those_of_the_present() {
        const NOW: i64 = 1_700_000_000;
        const DAY: i64 = 86_400;
        let store = MemoryStore::default();
        let refused = polled(&store, NOW + DAY + 1, NOW).unwrap_err();
        insta::assert_snapshot!(refused, @"stations.json says that it was made at 2023-11-15T16:13:21-06:00, more than a day after it was read (2023-11-14T16:13:20-06:00): it is not taken, since all later snapshots would count as older; one of the two clocks is wrong");
        assert!(block_on(store.systems()).unwrap().is_empty());

        // A recording of long ago, this minute, and a clock in the wrong zone.
        for made in [NOW - 3000 * DAY, NOW, NOW + DAY] {
            let polled = polled(&store, made, NOW).unwrap();
            assert!(matches!(polled.applied, Applied::Accepted { .. }));
        }
    }
}
