//! Keeps FromStationCounts up to date from the change stream: the handler that runs in the
//! process and as a Lambda alike.
//!
//! A change says which ids trips use for a station, and of which version its trips are. An id is
//! counted again only where its last count is of an older version; the new count is kept under
//! the version of the change, and replaces the old one. So a change that comes twice costs
//! nothing, one that comes late undoes nothing, and a station whose bikes come and go while its
//! trips stay the same is never counted again.
//!
//! A station that cannot be counted is passed over and reported, and its change stays in the
//! stream: the others are counted all the same.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::{StationId, SystemId};
use crate::store::{Change, FromStationCount, Store, StoreError, StoreErrorKind, Tallies};

/// The name under which a program refreshes counts of its own store.
pub const CONSUMER: &str = crate::store::REFRESH;

/// Changes read at once: a snapshot of a large system, or a part of one.
const CHUNK: usize = 4096;

/// An id that could not be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncounted {
    /// The system.
    pub system: SystemId,
    /// The id as the trips use it.
    pub id: StationId,
    /// Why: one sentence.
    pub why: String,
}

/// What a refresh did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Changes read, those of the report time alone included.
    pub changes: u64,
    /// Stations that the other changes are about.
    pub stations: u64,
    /// Ids of theirs that were counted again.
    pub recounted: u64,
    /// Ids of theirs whose count was new enough.
    pub skipped: u64,
    /// Ids of theirs that could not be counted, and keep the count that they have.
    pub uncounted: Vec<Uncounted>,
}

impl Refreshed {
    fn add(&mut self, other: Self) {
        self.changes += other.changes;
        self.stations += other.stations;
        self.recounted += other.recounted;
        self.skipped += other.skipped;
        self.uncounted.extend(other.uncounted);
    }

    /// Tells whether a change concerns an id that could not be counted.
    fn is_held_by(&self, change: &Change) -> bool {
        !change.report_time_only
            && self.uncounted.iter().any(|uncounted| {
                uncounted.system == change.system
                    && change.station.counted_ids().any(|id| *id == uncounted.id)
            })
    }
}

/// Reads the change stream to its end and refreshes the counts. Changes from the first on whose
/// station could not be counted are not acknowledged: the next call tries it again.
///
/// # Errors
///
/// Those of the store, but for one of a single station. What was not acknowledged before is
/// delivered again.
pub async fn drain(
    store: &dyn Store,
    consumer: &str,
    now: Timestamp,
) -> Result<Refreshed, StoreError> {
    let mut refreshed = Refreshed::default();
    let mut limit = CHUNK;
    loop {
        let changes = store.changes(consumer, limit).await?;
        let Some(last) = changes.last() else {
            return Ok(refreshed);
        };
        let handled = handle(store, &changes, now).await?;
        let held = changes.iter().position(|change| handled.is_held_by(change));
        let Some(held) = held else {
            refreshed.add(handled);
            store.acknowledge(consumer, last.sequence).await?;
            limit = CHUNK;
            continue;
        };
        if changes.len() < limit {
            refreshed.add(handled);
            if held > 0 {
                let done = changes[held - 1].sequence;
                store.acknowledge(consumer, done).await?;
            }
            return Ok(refreshed);
        }
        // There may be more behind these, and they are read together with them: the checkpoint
        // has to stay where it is.
        refreshed.recounted += handled.recounted;
        limit *= 2;
    }
}

/// Counts every station of a system again, whatever changed.
///
/// # Errors
///
/// Those of [`drain`].
pub async fn refresh_all(
    store: &dyn Store,
    system: &SystemId,
    now: Timestamp,
) -> Result<Refreshed, StoreError> {
    store.touch_all(system).await?;
    drain(store, CONSUMER, now).await
}

/// Counts every station that has no count, or one older than its trips, whatever the change stream
/// says: for counts that were lost.
///
/// # Errors
///
/// Those of [`drain`].
pub async fn count_missing(
    store: &dyn Store,
    system: &SystemId,
    now: Timestamp,
) -> Result<Refreshed, StoreError> {
    let stations = store.stations(system).await?.into_iter();
    let changes: Vec<Change> = stations
        .map(|station| Change {
            sequence: 0,
            system: system.clone(),
            station,
            report_time_only: false,
        })
        .collect();
    handle(store, &changes, now).await
}

/// Refreshes the counts that the changes concern. An id of which the store says that it cannot be
/// counted is passed over: where its index has not caught up with its trips
/// ([`Behind`](StoreErrorKind::Behind)), or something about it cannot be read.
///
/// # Errors
///
/// Those of the store that are of no single id.
pub async fn handle(
    tallies: &dyn Tallies,
    changes: &[Change],
    now: Timestamp,
) -> Result<Refreshed, StoreError> {
    let Asked {
        mut refreshed,
        stale,
    } = look(tallies, changes).await?;
    let mut by_system: BTreeMap<&SystemId, Vec<Stale>> = BTreeMap::new();
    for (change, stale) in changes.iter().zip(stale) {
        by_system.entry(&change.system).or_default().extend(stale);
    }
    for (system, stale) in by_system {
        match count_again(tallies, system, &stale, now).await {
            Ok(recounted) => refreshed.recounted += recounted,
            Err(error) if is_of_one(&error) => {
                for stale in stale {
                    let counted = count_again(tallies, system, std::slice::from_ref(&stale), now);
                    match counted.await {
                        Ok(recounted) => refreshed.recounted += recounted,
                        Err(error) if is_of_one(&error) => refreshed.uncounted.push(Uncounted {
                            system: system.clone(),
                            id: stale.id,
                            why: error.to_string(),
                        }),
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(refreshed)
}

/// Tells whether an error may be of one id, and no reason not to count the others.
fn is_of_one(error: &StoreError) -> bool {
    matches!(error.kind, StoreErrorKind::Behind | StoreErrorKind::Damaged)
}

/// What changes ask for, looked up for all of them at once.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// What is known so far: nothing has been recounted.
    pub refreshed: Refreshed,
    /// For each change, the ids to be counted again: each id stands once, at the first change
    /// that concerns it.
    pub stale: Vec<Vec<Stale>>,
}

/// An id to be counted again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The id as the trips use it.
    pub id: StationId,
    /// The newest version asked for.
    pub version: Option<u64>,
    /// The place of the last change that asks for that version.
    pub asked_by: usize,
}

/// Finds out which ids have to be counted again. Nothing is written.
///
/// # Errors
///
/// Those of the store.
pub async fn look(tallies: &dyn Tallies, changes: &[Change]) -> Result<Asked, StoreError> {
    let mut asked = Asked {
        refreshed: Refreshed {
            changes: changes.len() as u64,
            ..Refreshed::default()
        },
        stale: vec![Vec::new(); changes.len()],
    };
    let mut stations: BTreeSet<(&SystemId, &StationId)> = BTreeSet::new();
    // By system, then by id: the first change that concerns it, and what is asked for.
    let mut wanted: BTreeMap<&SystemId, BTreeMap<&StationId, (usize, Stale)>> = BTreeMap::new();
    for (place, change) in changes.iter().enumerate() {
        if change.report_time_only {
            continue;
        }
        stations.insert((&change.system, &change.station.id));
        let wanted = wanted.entry(&change.system).or_default();
        for id in change.station.counted_ids() {
            let version = change.station.trips_version;
            let stale = Stale {
                id: id.clone(),
                version,
                asked_by: place,
            };
            let (_, newest) = wanted.entry(id).or_insert_with(|| (place, stale.clone()));
            if newest.version <= version {
                *newest = stale;
            }
        }
    }
    asked.refreshed.stations = stations.len() as u64;
    for (system, wanted) in wanted {
        let ids: Vec<StationId> = wanted.keys().map(|id| (*id).clone()).collect();
        let counts = tallies.counts_of(system, &ids).await?;
        for ((first, stale), count) in wanted.into_values().zip(counts) {
            match count.is_none_or(|count| count.trips_version < stale.version) {
                true => asked.stale[first].push(stale),
                false => asked.refreshed.skipped += 1,
            }
        }
    }
    Ok(asked)
}

/// Counts ids again, and keeps each count under the version asked for. Returns how many ids.
///
/// # Errors
///
/// Those of the store; among them [`Behind`](StoreErrorKind::Behind) where its index has not
/// caught up with its trips.
pub async fn count_again(
    tallies: &dyn Tallies,
    system: &SystemId,
    stale: &[Stale],
    now: Timestamp,
) -> Result<u64, StoreError> {
    if stale.is_empty() {
        return Ok(0);
    }
    let ids: Vec<StationId> = stale.iter().map(|stale| stale.id.clone()).collect();
    let departures = tallies.departures(system, &ids).await?;
    let counts: Vec<FromStationCount> = stale
        .iter()
        .zip(departures)
        .map(|(stale, from_count)| FromStationCount {
            from_station_id: stale.id.clone(),
            from_count,
            trips_version: stale.version,
            refreshed_at: now,
        })
        .collect();
    tallies.put_counts(system, &counts).await?;
    Ok(counts.len() as u64)
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::model::{Snapshot, Station, System, TripBatch};
    use crate::store::memory::MemoryStore;
    use crate::store::{
        Applied, ArchiveId, ContentHash, FeedState, Incoming, Ledger, LedgerEntry, Stations,
        Tallies, Trips,
    };
    use crate::tally::Totals;

    fn divvy() -> System {
        System::named("divvy").unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A store that knows a system with so many stations.
    fn store(stations: usize) -> MemoryStore {
        let store = MemoryStore::default();
        let listed: Vec<Station> = (0..stations)
            .map(|n| Station::unknown(StationId::from(n.to_string())))
            .collect();
        block_on(store.describe(&divvy(), &listed)).unwrap();
        store
    }

    fn change(trips_version: u64) -> Change {
        Change {
            sequence: trips_version,
            system: divvy().id,
            station: Station {
                trips_version: Some(trips_version),
                ..Station::unknown("0".into())
            },
            report_time_only: false,
        }
    }

    fn version(store: &MemoryStore) -> Option<u64> {
        block_on(store.counts(&divvy().id)).unwrap()[0].trips_version
    }

    #[test]
    fn a_late_change_does_not_hide_a_newer_one() {
        let store = store(1);
        block_on(handle(&store, &[change(3)], at(0))).unwrap();
        let done = block_on(handle(&store, &[change(5), change(2)], at(1))).unwrap();
        let expected = Refreshed {
            changes: 2,
            stations: 1,
            recounted: 1,
            ..Refreshed::default()
        };
        assert_eq!(done, expected);
        assert_eq!(version(&store), Some(5));
        let late = block_on(handle(&store, &[change(4)], at(2))).unwrap();
        assert_eq!((late.recounted, late.skipped), (0, 1));
        assert_eq!(version(&store), Some(5));
    }

    #[test]
    fn an_id_is_asked_for_once_at_its_newest_version() {
        let store = store(2);
        let other = |version| {
            let mut other = change(version);
            other.station.id = "1".into();
            other
        };
        let changes = [change(3), other(4), change(5), change(2)];
        let asked = block_on(look(&store, &changes)).unwrap();
        let stale = |id: &str, version, asked_by| Stale {
            id: id.into(),
            version: Some(version),
            asked_by,
        };
        let expected = [
            vec![stale("0", 5, 2)],
            vec![stale("1", 4, 1)],
            Vec::new(),
            Vec::new(),
        ];
        assert_eq!(asked.stale, expected);
        assert_eq!((asked.refreshed.changes, asked.refreshed.stations), (4, 2));
        assert_eq!(block_on(store.counts(&divvy().id)).unwrap(), []);
    }

    #[test]
    fn a_report_time_alone_asks_for_nothing() {
        let store = store(1);
        let reported = Change {
            report_time_only: true,
            ..change(1)
        };
        let done = block_on(handle(&store, &[reported], at(0))).unwrap();
        let expected = Refreshed {
            changes: 1,
            ..Refreshed::default()
        };
        assert_eq!(done, expected);
        assert_eq!(block_on(store.counts(&divvy().id)).unwrap(), []);
    }

    #[test]
    fn a_long_stream_is_drained_to_its_end() {
        let store = store(CHUNK + 1);
        let done = block_on(drain(&store, CONSUMER, at(0))).unwrap();
        assert_eq!(done.recounted, CHUNK as u64 + 1);
        assert_eq!(
            block_on(drain(&store, CONSUMER, at(0))).unwrap(),
            Refreshed::default()
        );
    }

    #[test]
    fn a_change_that_could_not_be_handled_comes_again() {
        let store = Lagging {
            store: store(3),
            behind: Mutex::new(["0".into(), "1".into()].into()),
        };
        let done = block_on(drain(&store, CONSUMER, at(0))).unwrap();
        // The others are counted all the same.
        assert_eq!((done.changes, done.recounted), (3, 1));
        let uncounted: Vec<&str> = done.uncounted.iter().map(|u| u.id.as_str()).collect();
        assert_eq!(uncounted, ["0", "1"]);
        assert_eq!(done.uncounted[0].why, "not caught up");
        let counts = block_on(store.counts(&divvy().id)).unwrap();
        assert_eq!(counts.len(), 1);

        store.behind.lock().unwrap().clear();
        let done = block_on(drain(&store, CONSUMER, at(1))).unwrap();
        assert_eq!((done.changes, done.recounted, done.skipped), (3, 2, 1));
        let after = block_on(drain(&store, CONSUMER, at(2))).unwrap();
        assert_eq!(after, Refreshed::default());
    }

    #[test]
    fn a_station_that_is_never_counted_holds_up_no_other() {
        let store = Lagging {
            store: store(2 * CHUNK + 3),
            behind: Mutex::new(["0".into()].into()),
        };
        for second in 0..2 {
            let done = block_on(drain(&store, CONSUMER, at(second))).unwrap();
            assert_eq!(done.uncounted.len(), 1);
            let counts = block_on(store.counts(&divvy().id)).unwrap();
            assert_eq!(counts.len(), 2 * CHUNK + 2);
        }
    }

    /// A store whose index of trips lags behind at times.
    struct Lagging {
        store: MemoryStore,
        behind: Mutex<BTreeSet<StationId>>,
    }

    type Answer<T> = Result<T, StoreError>;

    #[async_trait]
    impl Tallies for Lagging {
        async fn departures(&self, system: &SystemId, ids: &[StationId]) -> Answer<Vec<u64>> {
            let is_behind = {
                let behind = self.behind.lock().unwrap();
                ids.iter().any(|id| behind.contains(id))
            };
            if is_behind {
                return Err(StoreError::new(StoreErrorKind::Behind, "not caught up"));
            }
            self.store.departures(system, ids).await
        }

        async fn totals(&self, system: &SystemId) -> Answer<Totals> {
            self.store.totals(system).await
        }

        async fn counts(&self, system: &SystemId) -> Answer<Vec<FromStationCount>> {
            self.store.counts(system).await
        }

        async fn counts_of(
            &self,
            system: &SystemId,
            ids: &[StationId],
        ) -> Answer<Vec<Option<FromStationCount>>> {
            self.store.counts_of(system, ids).await
        }

        async fn put_counts(&self, system: &SystemId, counts: &[FromStationCount]) -> Answer<()> {
            self.store.put_counts(system, counts).await
        }
    }

    #[async_trait]
    impl Stations for Lagging {
        async fn stations(&self, system: &SystemId) -> Answer<Vec<Station>> {
            self.store.stations(system).await
        }

        async fn apply(&self, snapshot: &Snapshot, fetched_at: Timestamp) -> Answer<Applied> {
            self.store.apply(snapshot, fetched_at).await
        }

        async fn feed(&self, system: &SystemId) -> Answer<Option<FeedState>> {
            self.store.feed(system).await
        }

        async fn describe(&self, system: &System, listed: &[Station]) -> Answer<u64> {
            self.store.describe(system, listed).await
        }

        async fn touch_all(&self, system: &SystemId) -> Answer<u64> {
            self.store.touch_all(system).await
        }

        async fn changes(&self, consumer: &str, limit: usize) -> Answer<Vec<Change>> {
            self.store.changes(consumer, limit).await
        }

        async fn acknowledge(&self, consumer: &str, sequence: u64) -> Answer<()> {
            self.store.acknowledge(consumer, sequence).await
        }
    }

    #[async_trait]
    impl Trips for Lagging {
        async fn begin(&self, archive: &ArchiveId) -> Answer<Box<dyn Incoming>> {
            self.store.begin(archive).await
        }

        async fn scan(
            &self,
            system: &SystemId,
            visit: &(dyn Fn(TripBatch) -> bool + Send + Sync),
        ) -> Answer<()> {
            self.store.scan(system, visit).await
        }
    }

    #[async_trait]
    impl Ledger for Lagging {
        async fn systems(&self) -> Answer<Vec<System>> {
            self.store.systems().await
        }

        async fn entries(&self, system: &SystemId) -> Answer<Vec<LedgerEntry>> {
            self.store.entries(system).await
        }

        async fn holding(
            &self,
            system: &SystemId,
            content: ContentHash,
        ) -> Answer<Option<LedgerEntry>> {
            self.store.holding(system, content).await
        }
    }
}
