//! The laws that every store is held to. A store's tests call each of them on a store that is
//! new, with cases of [`cases`]; what is expected is worked out here, in the plainest way.
//!
//! A law that is broken panics.

pub mod cases;
pub mod simulator;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use jiff::Timestamp;

use self::cases::{Archive, Row, Step, minute, system};
use super::{
    Applied, ArchiveId, ArchiveRead, Change, FromStationCount, LedgerEntry, Store, StoreError,
};
use crate::issue::{Reason, Rejected, RejectedCounts};
use crate::model::{
    Flag, Snapshot, SnapshotKind, Station, StationId, StationSource, System, Trip, TripBatch,
    TripId,
};
use crate::refresh::{self, Recounter};
use crate::stations::identity;
use crate::tally::{FlagCounts, Tally, Totals};

/// What a broken law panics with when it is the store that failed.
type Done = Result<(), StoreError>;

/// Laws 1 to 3 against a plain count: after every archive the store holds one copy of each trip,
/// the right one; its totals are those of the trips it holds; and every row of every archive is
/// stored or rejected.
pub async fn one_copy_of_each_trip_is_stored(store: &dyn Store, archives: &[Archive]) -> Done {
    let mut model = Model::default();
    for archive in archives {
        let told = Mutex::default();
        let before = model.clone();
        let entry = load(store, archive, &told).await?;
        model.load(archive);
        assert_same(store, &model).await?;

        let listed = store.entries(&system().id).await?;
        assert!(listed.contains(&entry), "an entry as it was returned");
        let content = archive.id().content;
        assert_eq!(store.holding(&system().id, content).await?, Some(entry));
        let told = told.into_inner().expect("nobody panicked with it");
        assert_told(&told, &before, &model, archive);
    }
    Ok(())
}

/// Law 2: loading again what is loaded changes nothing, and says again what was said.
pub async fn loading_twice_changes_nothing(store: &dyn Store, archives: &[Archive]) -> Done {
    let mut model = Model::default();
    for archive in archives {
        load(store, archive, &Mutex::default()).await?;
        model.load(archive);
    }
    let changes = read_on(store, "once").await?;
    let entries = store.entries(&system().id).await?;
    let stations = store.stations(&system().id).await?;
    for archive in archives {
        if !model.holds(archive) {
            continue;
        }
        let again = Archive {
            name: "another name.zip".into(),
            ..archive.clone()
        };
        let told = Mutex::default();
        let entry = load(store, &again, &told).await?;
        assert_eq!(told.into_inner().expect("nobody panicked with it"), []);
        assert!(entries.contains(&entry));
    }
    assert_same(store, &model).await?;
    assert_eq!(store.entries(&system().id).await?, entries);
    assert_eq!(store.stations(&system().id).await?, stations);
    assert_eq!(read_on(store, "twice").await?, changes);
    Ok(())
}

/// Law 3: the same rows, dealt to other archives and loaded from the last to the first, make the
/// same trips and the same totals.
pub async fn any_split_in_any_order_is_the_same(
    store: &dyn Store,
    other: &dyn Store,
    archives: &[Archive],
    deal: &[usize],
) -> Done {
    let keep_all = |archive: &Archive| Archive {
        replace: false,
        ..archive.clone()
    };
    let mut dealt: Vec<Vec<Row>> = vec![Vec::new(); 3];
    let rows = archives.iter().flat_map(Archive::rows);
    for ((_, row), hand) in rows.zip(deal.iter().cycle()) {
        dealt[hand % 3].push(row.clone());
    }
    for archive in archives {
        load(store, &keep_all(archive), &Mutex::default()).await?;
    }
    for (hand, mut rows) in dealt.into_iter().enumerate() {
        rows.reverse();
        let middle = rows.len() / 2;
        let second = rows.split_off(middle);
        let archive = Archive {
            name: format!("{hand}.csv"),
            members: vec![second, rows],
            unreadable: 0,
            batch: hand + 1,
            replace: false,
        };
        load(other, &archive, &Mutex::default()).await?;
    }
    assert_eq!(stored(store).await?, stored(other).await?);
    let (totals, others) = (
        store.totals(&system().id).await?,
        other.totals(&system().id).await?,
    );
    assert_eq!(totals, others);
    Ok(())
}

/// Laws 4 and 5, and the promises of the change stream: whatever happens in whatever order, the
/// stream tells exactly what changed, and once it is drained every count is that of the trips,
/// even where the handler got changes twice or late.
pub async fn counts_follow_the_stream(store: &dyn Store, steps: &[Step]) -> Done {
    let id = system().id;
    let mut model = Model::default();
    let mut feed = FeedModel::default();
    let mut history: Vec<Change> = Vec::new();
    for step in steps {
        let before = store.stations(&id).await?;
        let trips_before = model.trips();
        match step {
            Step::Load(archive) => {
                load(store, archive, &Mutex::default()).await?;
                model.load(archive);
            }
            Step::Poll(snapshot) => {
                let applied = store.apply(snapshot, snapshot.taken_at).await?;
                feed.assert_applied(snapshot, &applied);
                feed.assert_said(&store.stations(&id).await?);
                let known = store.feed(&id).await?.expect("a snapshot has been applied");
                assert_eq!(known.status_at, feed.status_at);
                assert_eq!(known.information_at, feed.information_at);
                assert_eq!(known.listed, feed.listed);
            }
            Step::Describe(listed) => {
                store.describe(&system(), listed).await?;
                feed.assert_said(&store.stations(&id).await?);
            }
            Step::TouchAll => {
                let touched = store.republish_all(&id).await?;
                assert_eq!(touched, before.len() as u64);
            }
            Step::Drain => {
                refresh::drain(store, refresh::CONSUMER, minute(0)).await?;
                assert_counts(store, &model).await?;
            }
            Step::Redeliver { skip, take } => {
                let late = history.iter().skip(*skip).take(*take).rev().cloned();
                refresh::handle(Recounter::of(store), &late.collect::<Vec<_>>(), minute(0)).await?;
            }
        }
        let after = store.stations(&id).await?;
        let changes = read_on(store, "watch").await?;
        assert_stream(&before, &after, &changes);
        assert_carried(&after, &store.totals(&id).await?);
        assert_versions(
            &before,
            &after,
            &changed_origins(&trips_before, &model.trips()),
        );
        history.extend(changes);
    }
    refresh::drain(store, refresh::CONSUMER, minute(0)).await?;
    assert_counts(store, &model).await?;

    // All of it once more, from the start, by a consumer that has acknowledged nothing.
    refresh::drain(store, "newcomer", minute(0)).await?;
    refresh::handle(Recounter::of(store), &history, minute(0)).await?;
    assert_counts(store, &model).await?;
    let again = refresh::drain(store, refresh::CONSUMER, minute(0)).await?;
    assert_eq!(again, refresh::Refreshed::default());
    Ok(())
}

/// Polls cost no recount where no trips changed, and a refresh of everything recounts everything.
pub async fn only_stations_whose_trips_changed_are_recounted(
    store: &dyn Store,
    archives: &[Archive],
    polls: &[Snapshot],
) -> Done {
    for archive in archives {
        load(store, archive, &Mutex::default()).await?;
    }
    for snapshot in polls {
        store.apply(snapshot, snapshot.taken_at).await?;
    }
    refresh::drain(store, refresh::CONSUMER, minute(0)).await?;
    for round in 0..2_u32 {
        let mut stations = store.stations(&system().id).await?;
        stations.retain(|row| row.source == StationSource::Feed);
        for station in &mut stations {
            station.available.docks = Some(100 + round);
        }
        let poll = Snapshot {
            system: system(),
            taken_at: minute(1000 + i64::from(round)),
            kind: SnapshotKind::Status,
            stations,
        };
        store.apply(&poll, poll.taken_at).await?;
        let refreshed = refresh::drain(store, refresh::CONSUMER, minute(1)).await?;
        assert_eq!(refreshed.stations, poll.stations.len() as u64);
        assert_eq!(refreshed.recounted, 0, "{refreshed:?}");
    }
    let stations = store.stations(&system().id).await?;
    let all = refresh::refresh_all(store, &system().id, minute(2)).await?;
    assert_eq!(all.stations, stations.len() as u64);
    assert_eq!(all.skipped, 0);
    for count in store.counts(&system().id).await? {
        let carried = |row: &Station| {
            row.origin_ids.contains(&count.from_station_id)
                || row.origin_ids.is_empty() && row.id == count.from_station_id
        };
        if stations.iter().any(carried) {
            assert_eq!(count.refreshed_at, minute(2), "{count:?}");
        }
    }
    Ok(())
}

/// Law 6, as far as one process can show it: what is not committed does not exist.
pub async fn what_is_not_committed_does_not_exist(store: &dyn Store, archives: &[Archive]) -> Done {
    for archive in archives {
        let incoming = store.begin(&archive.id()).await?;
        for (member, batch) in archive.batches() {
            incoming.write(member, batch)?;
        }
    }
    assert_same(store, &Model::default()).await?;
    assert_eq!(store.systems().await?, []);
    assert_eq!(store.stations(&system().id).await?, []);
    assert_eq!(store.changes("watch", 10).await?, []);
    one_copy_of_each_trip_is_stored(store, archives).await
}

/// Systems know nothing of each other, and share one change stream.
pub async fn systems_are_apart(store: &dyn Store, archives: &[Archive], poll: &Snapshot) -> Done {
    let other = System::named("citibike").expect("the table has it");
    let mut model = Model::default();
    for archive in archives {
        load(store, archive, &Mutex::default()).await?;
        model.load(archive);
    }
    let mut elsewhere = poll.clone();
    elsewhere.system = other.clone();
    store.apply(&elsewhere, elsewhere.taken_at).await?;
    assert_same(store, &model).await?;
    assert_eq!(store.feed(&system().id).await?, None);
    assert_eq!(store.totals(&other.id).await?, Totals::default());
    assert_eq!(store.entries(&other.id).await?, []);
    let rows = store.stations(&other.id).await?;
    assert_eq!(rows.len(), elsewhere.stations.len());

    let archive = Archive {
        replace: false,
        ..archives[0].clone()
    };
    let mut read = archive.read(minute(0));
    read.id.system = other.clone();
    load_as(store, &archive, read, &Mutex::default()).await?;
    let mut alone = Model::default();
    alone.load(&archive);
    assert_eq!(store.totals(&other.id).await?, alone.totals());
    assert_same(store, &model).await?;

    refresh::drain(store, refresh::CONSUMER, minute(0)).await?;
    assert_counts(store, &model).await?;
    let systems: Vec<_> = store.systems().await?.into_iter().map(|s| s.id).collect();
    assert_eq!(systems, [other.id, system().id]);
    Ok(())
}

/// A count of an older version undoes nothing; a newer one, or one of the same, replaces.
pub async fn an_older_count_undoes_nothing(store: &dyn Store) -> Done {
    let id = system().id;
    store
        .describe(&system(), &[Station::unknown("35".into())])
        .await?;
    let count = |from_count, trips_version, at| FromStationCount {
        from_station_id: "35".into(),
        from_count,
        trips_version,
        refreshed_at: minute(at),
    };
    for (put, kept) in [
        (count(0, None, 1), count(0, None, 1)),
        (count(7, Some(2), 2), count(7, Some(2), 2)),
        (count(5, Some(1), 3), count(7, Some(2), 2)),
        (count(0, None, 4), count(7, Some(2), 2)),
        (count(8, Some(2), 5), count(8, Some(2), 5)),
        (count(9, Some(10), 6), count(9, Some(10), 6)),
        (count(8, Some(9), 7), count(9, Some(10), 6)),
    ] {
        store.put_counts(&id, &[put]).await?;
        let found = store.counts_of(&id, &["76".into(), "35".into()]).await?;
        assert_eq!(found, [None, Some(kept.clone())]);
        assert_eq!(store.counts(&id).await?, [kept]);
    }
    Ok(())
}

/// A checkpoint moves forward only, and each consumer has its own.
pub async fn a_checkpoint_never_moves_back(store: &dyn Store) -> Done {
    let listed: Vec<Station> = ["35", "517", "76"]
        .map(|id| Station::unknown(id.into()))
        .into();
    assert_eq!(store.describe(&system(), &listed).await?, 3);
    let all = store.changes("one", 10).await?;
    assert_eq!(all.len(), 3);
    assert_eq!(store.changes("one", 2).await?, all[..2]);
    store.acknowledge("one", all[1].sequence).await?;
    store.acknowledge("one", all[0].sequence).await?;
    assert_eq!(store.changes("one", 10).await?, all[2..]);
    assert_eq!(store.changes("two", 10).await?, all);
    store.acknowledge("one", all[2].sequence).await?;
    assert_eq!(store.changes("one", 10).await?, []);
    Ok(())
}

async fn load(
    store: &dyn Store,
    archive: &Archive,
    told: &Mutex<Vec<Rejected>>,
) -> Result<LedgerEntry, StoreError> {
    load_as(store, archive, archive.read(minute(0)), told).await
}

async fn load_as(
    store: &dyn Store,
    archive: &Archive,
    read: ArchiveRead,
    told: &Mutex<Vec<Rejected>>,
) -> Result<LedgerEntry, StoreError> {
    let incoming = store.begin(&read.id).await?;
    // The last member first: members may come in any order.
    let mut batches = archive.batches();
    batches.sort_by_key(|(member, _)| std::cmp::Reverse(*member));
    for (member, batch) in batches {
        incoming.write(member, batch)?;
    }
    incoming.commit(read, told).await
}

/// Reads what is new in the change stream, few at a time.
async fn read_on(store: &dyn Store, consumer: &str) -> Result<Vec<Change>, StoreError> {
    let mut all: Vec<Change> = Vec::new();
    loop {
        let some = store.changes(consumer, 3).await?;
        let Some(last) = some.last() else {
            return Ok(all);
        };
        store.acknowledge(consumer, last.sequence).await?;
        all.extend(some);
    }
}

/// Lists the stored trips by id.
async fn stored(store: &dyn Store) -> Result<Vec<Trip>, StoreError> {
    let trips = Mutex::new(Vec::new());
    let keep = |batch: TripBatch| {
        let mut trips = trips.lock().expect("nobody panicked with it");
        trips.extend(batch.trips());
        true
    };
    store.scan(&system().id, &keep).await?;
    let mut trips = trips.into_inner().expect("nobody panicked with it");
    trips.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(trips)
}

/// What must be stored, from the rows of all archives in the order of loading.
#[derive(Clone, Default)]
struct Model {
    archives: Vec<Archive>,
}

/// A row of some archive of a model: place of the archive, place of the row in it.
type RowAt = (usize, usize);

impl Model {
    fn holds(&self, archive: &Archive) -> bool {
        let content = archive.id().content;
        self.archives
            .iter()
            .any(|held| held.id().content == content)
    }

    fn load(&mut self, archive: &Archive) {
        if self.holds(archive) {
            return;
        }
        if archive.replace {
            self.archives.retain(|held| held.name != archive.name);
        }
        self.archives.push(archive.clone());
    }

    /// Finds the copy to be kept of each trip.
    fn kept(&self) -> BTreeMap<&TripId, (RowAt, &Trip)> {
        let mut kept: BTreeMap<&TripId, (RowAt, &Trip)> = BTreeMap::new();
        for (archive, held) in self.archives.iter().enumerate() {
            for (row, (_, Row { trip, .. })) in held.rows().enumerate() {
                let best = kept.entry(&trip.id).or_insert(((archive, row), trip));
                if trip.cmp_copies(best.1).is_lt() {
                    *best = ((archive, row), trip);
                }
            }
        }
        kept
    }

    fn trips(&self) -> Vec<Trip> {
        self.kept()
            .values()
            .map(|(_, trip)| (*trip).clone())
            .collect()
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        totals.count(&self.trips().into_iter().collect(), 1);
        for archive in &self.archives {
            for (_, batch) in archive.batches() {
                totals.names.count(&batch, 1);
            }
        }
        totals
    }

    /// What the ledger must say of each archive, as text.
    fn entries(&self) -> Vec<String> {
        let kept = self.kept();
        let entry = |(place, archive): (usize, &Archive)| {
            let rows: Vec<Trip> = kept
                .values()
                .filter(|((archive, _), _)| *archive == place)
                .map(|(_, trip)| (*trip).clone())
                .collect();
            let mut flagged = FlagCounts::default();
            flagged.count(&rows.iter().cloned().collect(), 1);
            let read = archive.read(minute(0));
            let mut rejected = read.rejected;
            let duplicates = archive.rows().count() - rows.len();
            if duplicates > 0 {
                rejected.insert(Reason::Duplicate, duplicates as u64);
            }
            entry_line(
                &read.id,
                read.rows_read,
                rows.len() as u64,
                &rejected,
                &flagged,
            )
        };
        self.archives.iter().enumerate().map(entry).collect()
    }
}

fn entry_line(
    id: &ArchiveId,
    rows_read: u64,
    stored: u64,
    rejected: &RejectedCounts,
    flagged: &FlagCounts,
) -> String {
    let flagged: Vec<(Flag, i64)> = flagged.iter().collect();
    format!(
        "{} {}: {rows_read} = {stored} + {rejected:?}, {flagged:?}",
        id.name, id.content
    )
}

/// The store holds what the model says, and its own numbers add up.
async fn assert_same(store: &dyn Store, model: &Model) -> Done {
    let id = system().id;
    assert_eq!(stored(store).await?, model.trips());
    assert_eq!(store.totals(&id).await?, model.totals());
    let entries = store.entries(&id).await?;
    let lines: Vec<String> = entries
        .iter()
        .map(|e| entry_line(&e.id, e.rows_read, e.stored, &e.rejected, &e.flagged))
        .collect();
    assert_eq!(lines, model.entries());
    for entry in &entries {
        assert_eq!(entry.rows_read, entry.stored + entry.rejected_total());
    }
    let in_order = entries.is_sorted_by(|a, b| a.sequence < b.sequence);
    assert!(in_order, "entries stand in the order of loading");
    Ok(())
}

/// Every copy that is not kept now, and was kept or unheard of before, is told once, with its
/// member and its line.
fn assert_told(told: &[Rejected], before: &Model, after: &Model, loaded: &Archive) {
    let lines = |model: &Model, archive: &Archive| -> BTreeSet<(usize, u64)> {
        let place = model
            .archives
            .iter()
            .position(|held| held.id().content == archive.id().content);
        let kept: BTreeSet<RowAt> = model.kept().values().map(|(at, _)| *at).collect();
        let mut next_line: BTreeMap<usize, u64> = BTreeMap::new();
        let rows = archive.rows().enumerate().map(|(row, (member, _))| {
            let line = next_line.entry(member).or_insert(2);
            *line += 1;
            (row, (member, *line - 1))
        });
        rows.filter(|(row, _)| place.is_some_and(|place| kept.contains(&(place, *row))))
            .map(|(_, at)| at)
            .collect()
    };
    let all = |archive: &Archive| -> BTreeSet<(usize, u64)> {
        let members = archive.members.iter().enumerate();
        members
            .flat_map(|(member, rows)| (0..rows.len() as u64).map(move |row| (member, row + 2)))
            .collect()
    };
    let mut expected = Vec::new();
    if !before.holds(loaded) {
        for archive in &after.archives {
            let candidates = match before.holds(archive) {
                true => lines(before, archive),
                false => all(archive),
            };
            expected.extend(candidates.difference(&lines(after, archive)).copied());
        }
    }
    let mut found: Vec<(usize, u64)> = Vec::new();
    for rejected in told {
        assert_eq!(rejected.reason, Reason::Duplicate);
        let member = rejected
            .file
            .strip_suffix(".csv")
            .and_then(|m| m.parse().ok());
        found.push((member.expect("the name of a member"), rejected.line));
    }
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
}

fn changed_origins(before: &[Trip], after: &[Trip]) -> BTreeSet<StationId> {
    let gone = before.iter().filter(|trip| !after.contains(trip));
    let come = after.iter().filter(|trip| !before.contains(trip));
    gone.chain(come)
        .filter_map(|trip| trip.origin.clone())
        .collect()
}

/// The stream has one entry for each station inserted or changed, and for no other.
fn assert_stream(before: &[Station], after: &[Station], changes: &[Change]) {
    let was: BTreeMap<&StationId, &Station> = before.iter().map(|row| (&row.id, row)).collect();
    let mut expected: Vec<(&Station, bool)> = Vec::new();
    for row in after {
        let Some(before) = was.get(&row.id) else {
            expected.push((row, false));
            continue;
        };
        let mut with_its_report_time = (*before).clone();
        with_its_report_time.reported_at = row.reported_at;
        let report_time_only = with_its_report_time == *row;
        if *before != row {
            expected.push((row, report_time_only));
        }
    }
    let mut found: Vec<(&Station, bool)> = changes
        .iter()
        .map(|change| (&change.station, change.report_time_only))
        .collect();
    found.sort_by(|a, b| a.0.id.cmp(&b.0.id));
    assert_eq!(found, expected);
    assert!(changes.is_sorted_by(|a, b| a.sequence < b.sequence));
    assert!(
        after.is_sorted_by(|a, b| a.id < b.id),
        "stations come by id"
    );
}

/// Every id that trips use is carried by one row: that of its station of the feed, if it has one.
fn assert_carried(stations: &[Station], totals: &Totals) {
    let matches = identity::resolve(stations, totals);
    let mut expected: BTreeMap<&StationId, Option<&StationId>> = BTreeMap::new();
    expected.extend(matches.iter().map(|(station, id, _)| (id, Some(station))));
    expected.extend(matches.unmatched().iter().map(|id| (id, None)));
    let mut found: BTreeMap<&StationId, Option<&StationId>> = BTreeMap::new();
    for row in stations {
        let of_the_feed = (row.source == StationSource::Feed).then_some(&row.id);
        for id in &row.origin_ids {
            let twice = found.insert(id, of_the_feed).is_some();
            assert!(!twice, "{id} is carried twice");
        }
    }
    assert_eq!(found, expected);
}

/// Versions grow where trips changed, and stay where none did.
fn assert_versions(before: &[Station], after: &[Station], changed: &BTreeSet<StationId>) {
    let version_of = |stations: &[Station], id: &StationId| {
        let row = stations.iter().find(|row| row.origin_ids.contains(id));
        row.and_then(|row| row.trips_version)
    };
    for row in after {
        for id in &row.origin_ids {
            let was = version_of(before, id);
            match changed.contains(id) {
                true => assert!(was < row.trips_version, "{id}: no new version"),
                false => assert!(was <= row.trips_version, "{id}: an older version"),
            }
        }
    }
}

/// Law 4: each id has the count of the stored trips that start there.
async fn assert_counts(store: &dyn Store, model: &Model) -> Done {
    let id = system().id;
    let mut departures: BTreeMap<StationId, u64> = BTreeMap::new();
    for trip in stored(store).await? {
        if let Some(origin) = trip.origin {
            *departures.entry(origin).or_default() += 1;
        }
    }
    let ids: Vec<StationId> = departures.keys().cloned().collect();
    let recounted: Vec<u64> = departures.values().copied().collect();
    assert_eq!(store.departures(&id, &ids).await?, recounted);

    let counts = store.counts(&id).await?;
    let counted: BTreeMap<&StationId, u64> = counts
        .iter()
        .map(|count| (&count.from_station_id, count.from_count))
        .collect();
    assert_eq!(counts.len(), counted.len());
    for (origin, count) in &counted {
        let recounted = departures.get(*origin).copied().unwrap_or(0);
        assert_eq!(*count, recounted, "trips from {origin}");
    }
    let trips = model.trips();
    for origin in trips.iter().filter_map(|trip| trip.origin.as_ref()) {
        assert!(counted.contains_key(origin), "{origin} has no count");
    }
    for row in store.stations(&id).await? {
        let own = row.origin_ids.is_empty().then_some(&row.id);
        for id in row.origin_ids.iter().chain(own) {
            assert!(counted.contains_key(id), "{id} has no count");
        }
    }
    Ok(())
}

/// What a feed must have left behind.
#[derive(Default)]
struct FeedModel {
    information_at: Option<Timestamp>,
    status_at: Option<Timestamp>,
    listed: BTreeSet<StationId>,
    /// The newest that was said of each station of the feed.
    said: BTreeMap<StationId, Station>,
}

impl FeedModel {
    fn assert_applied(&mut self, snapshot: &Snapshot, applied: &Applied) {
        let informs = snapshot.kind != SnapshotKind::Status;
        let has_states = snapshot.kind != SnapshotKind::Information;
        let newer = |clock: Option<Timestamp>| clock < Some(snapshot.taken_at);
        let new_information = informs && newer(self.information_at);
        let new_states = has_states && newer(self.status_at);
        if !new_information && !new_states {
            let clocks = [
                self.information_at.filter(|_| informs),
                self.status_at.filter(|_| has_states),
            ];
            let last = clocks.into_iter().flatten().max();
            let last = last.expect("an old snapshot has a newer one");
            match last == snapshot.taken_at {
                true => assert_eq!(*applied, Applied::Repeated),
                false => assert_eq!(*applied, Applied::Refused { last }),
            }
            return;
        }
        assert!(matches!(applied, Applied::Accepted { .. }), "{applied:?}");
        if new_information {
            self.information_at = Some(snapshot.taken_at);
        }
        if new_states {
            self.status_at = Some(snapshot.taken_at);
        }
        if new_states || self.status_at.is_none() {
            self.listed = snapshot.stations.iter().map(|s| s.id.clone()).collect();
        }
        for station in &snapshot.stations {
            let blank = || Station::unknown(station.id.clone());
            let said = self.said.entry(station.id.clone()).or_insert_with(blank);
            if new_information && station.capacity.is_some() {
                said.name.clone_from(&station.name);
                said.short_name.clone_from(&station.short_name);
                said.legacy_id.clone_from(&station.legacy_id);
                said.latitude.clone_from(&station.latitude);
                said.longitude.clone_from(&station.longitude);
                said.capacity = station.capacity;
            }
            if new_states {
                said.status.clone_from(&station.status);
                said.available = station.available;
            }
        }
    }

    /// Rows of the feed are as the feed said, but for what it does not say and the report times,
    /// which may lag.
    fn assert_said(&self, stations: &[Station]) {
        let rows = stations
            .iter()
            .filter(|row| row.source == StationSource::Feed);
        let mut named = 0;
        for row in rows {
            let said = self.said.get(&row.id).expect("a feed has named it");
            named += 1;
            if said.capacity.is_none() {
                continue; // may know names and places from a list
            }
            let expected = Station {
                source: StationSource::Feed,
                reported_at: row.reported_at,
                origin_ids: row.origin_ids.clone(),
                trips_version: row.trips_version,
                ..said.clone()
            };
            assert_eq!(*row, expected);
        }
        assert_eq!(named, self.said.len(), "stations of the feed are kept");
    }
}

/// Holds a store to every law, as tests in a module of its name. `$fresh` makes a new one, with
/// what has to outlive it; `$block_on` runs a future to its end.
#[macro_export]
macro_rules! conforms {
    ($store:ident, $fresh:expr, block_on: $block_on:path, cases: $cases:expr) => {
        mod $store {
            use $block_on as block_on;
            use $crate::store::conformance::{self, cases};
            use proptest::prelude::*;

            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig {
                    cases: $cases,
                    failure_persistence: Some(Box::new(proptest::test_runner::FileFailurePersistence::Direct(concat!(
                        env!("CARGO_MANIFEST_DIR"),
                        "/proptest-regressions/conformance.txt"
                    )))),
                    ..ProptestConfig::default()
                })]

                #[test]
                fn one_copy_of_each_trip_is_stored(archives in cases::archives()) {
                    let (store, _kept) = $fresh;
                    block_on(conformance::one_copy_of_each_trip_is_stored(&store, &archives)).unwrap();
                }

                #[test]
                fn loading_twice_changes_nothing(archives in cases::archives()) {
                    let (store, _kept) = $fresh;
                    block_on(conformance::loading_twice_changes_nothing(&store, &archives)).unwrap();
                }

                #[test]
                fn any_split_in_any_order_is_the_same(
                    archives in cases::archives(),
                    deal in prop::collection::vec(0..3_usize, 1..30),
                ) {
                    let (store, _kept) = $fresh;
                    let (other, _other_kept) = $fresh;
                    block_on(conformance::any_split_in_any_order_is_the_same(
                        &store, &other, &archives, &deal,
                    )).unwrap();
                }

                #[test]
                fn counts_follow_the_stream(steps in cases::steps()) {
                    let (store, _kept) = $fresh;
                    block_on(conformance::counts_follow_the_stream(&store, &steps)).unwrap();
                }

                #[test]
                fn only_stations_whose_trips_changed_are_recounted(
                    archives in cases::archives(),
                    polls in prop::collection::vec(cases::snapshot(), 1..4),
                ) {
                    let (store, _kept) = $fresh;
                    block_on(conformance::only_stations_whose_trips_changed_are_recounted(
                        &store, &archives, &polls,
                    )).unwrap();
                }

                #[test]
                fn what_is_not_committed_does_not_exist(archives in cases::archives()) {
                    let (store, _kept) = $fresh;
                    block_on(conformance::what_is_not_committed_does_not_exist(
                        &store, &archives,
                    )).unwrap();
                }
            }

            #[test]
            fn an_older_count_undoes_nothing() {
                let (store, _kept) = $fresh;
                block_on(conformance::an_older_count_undoes_nothing(&store)).unwrap();
            }

            #[test]
            fn a_checkpoint_never_moves_back() {
                let (store, _kept) = $fresh;
                block_on(conformance::a_checkpoint_never_moves_back(&store)).unwrap();
            }
        }
    };
}
