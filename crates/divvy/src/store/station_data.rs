//! The rules of StationData, the same for every store: which rows a snapshot, a load or a station
//! list writes, and which of these writes are changes.
//!
//! A store reads the rows of a system into a [`StationData`], calls it, and in one transaction
//! writes what it returns: nothing else is ever written.
//!
//! - A feed speaks of *information* (names and places) and of *states*; either has its own clock,
//!   and neither erases the other. Stations that a snapshot lacks are kept.
//! - A station changed when anything but its report time changed. A newer report time alone is
//!   written with the next change, or when the row is 15 minutes old.
//! - Every id that trips use, or have used, is carried by exactly one row: that of its station of
//!   the feed ([`identity`]), else one of its own. That row lives until a feed names the station.
//! - An id that moves to another row takes its `trips_version` along, so that a count once made
//!   is never newer than the row that asks for it.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::{Applied, FeedState};
use crate::identity;
use crate::model::{Availability, Snapshot, SnapshotKind, Station, StationId, StationSource};
use crate::tally::Totals;

/// How old a row may grow while nothing but its report time changes.
const REPORT_TIME_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// One row of StationData, as a store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The station.
    pub station: Station,
    /// The time of the snapshot that wrote the row last, by the feed's clock. `None` where no
    /// feed has.
    pub written_at: Option<Timestamp>,
}

/// What a store has to write. All but a deletion go into the change stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A station seen for the first time.
    Insert(Row),
    /// Something besides the report time changed.
    Change(Row),
    /// Nothing but the report time changed.
    Report(Row),
    /// The row of an id whose station a feed has named since: that station's row carries it now.
    Delete(StationId),
}

impl Write {
    /// Returns the row to be kept. `None` for a deletion.
    pub fn row(&self) -> Option<&Row> {
        match self {
            Self::Insert(row) | Self::Change(row) | Self::Report(row) => Some(row),
            Self::Delete(_) => None,
        }
    }
}

/// The rows of one system, and what is known of its feed.
#[derive(Clone, Debug, Default)]
pub struct StationData {
    rows: BTreeMap<StationId, Row>,
    feed: Option<FeedState>,
    /// The rows touched since the last writes, as they were.
    before: BTreeMap<StationId, Option<Row>>,
}

/// What a snapshot speaks of, or what of it is news.
#[derive(Clone, Copy)]
struct Aspects {
    information: bool,
    states: bool,
}

impl StationData {
    /// Takes what a store holds.
    pub fn new(rows: impl IntoIterator<Item = Row>, feed: Option<FeedState>) -> Self {
        Self {
            rows: rows
                .into_iter()
                .map(|row| (row.station.id.clone(), row))
                .collect(),
            feed,
            before: BTreeMap::new(),
        }
    }

    /// Lists the stations by id.
    pub fn stations(&self) -> impl Iterator<Item = &Station> {
        self.rows.values().map(|row| &row.station)
    }

    /// Returns what is known of the feed. `None` before its first snapshot.
    pub fn feed(&self) -> Option<&FeedState> {
        self.feed.as_ref()
    }

    /// Returns a version newer than any of the rows: for the next load of a store with one writer.
    pub fn next_version(&self) -> u64 {
        let newest = self.stations().filter_map(|row| row.trips_version).max();
        newest.map_or(1, |newest| newest + 1)
    }

    /// Brings the rows up to a snapshot. Where it is accepted, the store also keeps
    /// [`feed`](Self::feed).
    ///
    /// `totals` are those of all stored trips; they are asked for only where a name, a place or
    /// a station is new, because only then can an id find another station.
    ///
    /// # Errors
    ///
    /// What `totals` fails with. The rows are then of no more use.
    pub fn apply<T: Borrow<Totals>, E>(
        &mut self,
        snapshot: &Snapshot,
        totals: impl FnOnce() -> Result<T, E>,
    ) -> Result<(Applied, Vec<Write>), E> {
        let news = match self.news(snapshot) {
            Ok(news) => news,
            Err(old) => return Ok((old, Vec::new())),
        };
        let mut named = false;
        for said in &snapshot.stations {
            named |= self.tell(said, news);
        }
        if named {
            self.resolve(totals()?.borrow());
        }
        let reported = match news.states {
            true => self.report_times(snapshot),
            false => 0,
        };
        self.turn_clocks(snapshot, news);
        let writes = self.take_writes(Some(snapshot.taken_at));
        let count = |kind: fn(&Write) -> bool| writes.iter().filter(|write| kind(write)).count();
        let applied = Applied::Accepted {
            inserted: count(|write| matches!(write, Write::Insert(_))) as u64,
            changed: count(|write| matches!(write, Write::Change(_))) as u64,
            reported,
        };
        Ok((applied, writes))
    }

    /// Follows a load: every row that carries one of `origins`, whose trips changed, gets the new
    /// version; ids met for the first time get their row.
    ///
    /// `totals` are those of all stored trips, the load included; `version` is newer than any
    /// before ([`next_version`](Self::next_version)).
    pub fn trips_changed(
        &mut self,
        origins: &BTreeSet<StationId>,
        version: u64,
        totals: &Totals,
    ) -> Vec<Write> {
        self.resolve(totals);
        let concerned = |row: &&Station| row.origin_ids.iter().any(|id| origins.contains(id));
        let ids: Vec<StationId> = self
            .stations()
            .filter(concerned)
            .map(|row| row.id.clone())
            .collect();
        self.raise(ids, version)
    }

    /// Takes from the rows the ids that no stored trip uses any more, and returns them. The rows that
    /// carried nothing else go with [`trips_changed`](Self::trips_changed), which has to follow; the
    /// others get the version, so that counts made before are older.
    ///
    /// `totals` are those of all stored trips; `version` is newer than any before.
    pub fn forget_unused(&mut self, totals: &Totals, version: u64) -> BTreeSet<StationId> {
        let is_unused = |id: &StationId| !totals.stations.0.contains_key(id);
        let concerned: Vec<StationId> = self
            .stations()
            .filter(|row| row.origin_ids.iter().any(is_unused))
            .map(|row| row.id.clone())
            .collect();
        let mut unused = BTreeSet::new();
        for id in concerned {
            let row = self.edit(&id);
            let (gone, used) = std::mem::take(&mut row.origin_ids)
                .into_iter()
                .partition(is_unused);
            row.origin_ids = used;
            row.trips_version = row.trips_version.max(Some(version));
            unused.extend::<BTreeSet<StationId>>(gone);
        }
        // A station of the feed may have such an id for its own, which is counted again then.
        for id in &unused {
            if (self.rows.get(id)).is_some_and(|row| row.station.origin_ids.is_empty()) {
                let row = self.edit(id);
                row.trips_version = row.trips_version.max(Some(version));
            }
        }
        unused
    }

    /// Gives every row a new version, as if all trips had changed.
    pub fn republish_all(&mut self, version: u64) -> Vec<Write> {
        let ids: Vec<StationId> = self.rows.keys().cloned().collect();
        self.raise(ids, version)
    }

    /// Brings rows up to a version. Those that have it, or a newer one of somebody who was faster,
    /// stay as they are.
    fn raise(&mut self, ids: Vec<StationId>, version: u64) -> Vec<Write> {
        for id in ids {
            let row = self.edit(&id);
            row.trips_version = row.trips_version.max(Some(version));
        }
        self.take_writes(None)
    }

    /// Takes over what a published list says of stations that no feed has named. It has no time
    /// of its own, so the list read last has the last word.
    pub fn describe(&mut self, listed: &[Station]) -> Vec<Write> {
        let of_the_feed: BTreeSet<StationId> = self
            .stations()
            .filter(|row| row.source == StationSource::Feed)
            .flat_map(|row| row.origin_ids.iter().chain([&row.id]))
            .cloned()
            .collect();
        for said in listed {
            if of_the_feed.contains(&said.id) {
                continue;
            }
            let row = self.edit(&said.id);
            row.source = StationSource::List;
            fill(&mut row.name, &said.name);
            fill(&mut row.short_name, &said.short_name);
            fill(&mut row.legacy_id, &said.legacy_id);
            fill(&mut row.latitude, &said.latitude);
            fill(&mut row.longitude, &said.longitude);
            fill(&mut row.capacity, &said.capacity);
        }
        self.take_writes(None)
    }

    /// Tells what of a snapshot is newer than what its kind of feed said last; else what becomes
    /// of the snapshot.
    fn news(&self, snapshot: &Snapshot) -> Result<Aspects, Applied> {
        let (information, states) = match snapshot.kind {
            SnapshotKind::Full => (true, true),
            SnapshotKind::Information => (true, false),
            SnapshotKind::Status => (false, true),
        };
        let clock = |speaks: bool, at: fn(&FeedState) -> Option<Timestamp>| {
            self.feed.as_ref().filter(|_| speaks).and_then(at)
        };
        let information_at = clock(information, |feed| feed.information_at);
        let status_at = clock(states, |feed| feed.status_at);
        let newer = |last: Option<Timestamp>| last.is_none_or(|last| snapshot.taken_at > last);
        let news = Aspects {
            information: information && newer(information_at),
            states: states && newer(status_at),
        };
        match information_at.max(status_at) {
            Some(last) if !news.information && !news.states => {
                Err(match last == snapshot.taken_at {
                    true => Applied::Repeated,
                    false => Applied::Refused { last },
                })
            }
            _ => Ok(news),
        }
    }

    /// Writes what a feed says of one station, but for a report time that is all that is new.
    /// Returns whether ids of trips may now find another station.
    fn tell(&mut self, said: &Station, news: Aspects) -> bool {
        // A station of the status feed alone has no information to tell, nor any to erase.
        let informs = news.information && information(said) != Default::default();
        let known = self.rows.get(&said.id).map(|row| &row.station);
        let known = known.filter(|row| row.source == StationSource::Feed);
        let same_information = known.is_some_and(|row| information(row) == information(said));
        let same_states = known.is_some_and(|row| states(row) == states(said));
        let named = known.is_none() || (informs && !same_information);
        let changed = named || (news.states && !same_states);
        if !changed {
            return false;
        }
        let row = self.edit(&said.id);
        row.source = StationSource::Feed;
        if informs {
            row.name.clone_from(&said.name);
            row.short_name.clone_from(&said.short_name);
            row.legacy_id.clone_from(&said.legacy_id);
            row.latitude.clone_from(&said.latitude);
            row.longitude.clone_from(&said.longitude);
            row.capacity = said.capacity;
        }
        if news.states {
            row.status.clone_from(&said.status);
            row.available = said.available;
        }
        named
    }

    /// Writes the report times of a snapshot to rows that are written anyway, and to those that
    /// have waited long enough. Returns of how many stations nothing else is new.
    fn report_times(&mut self, snapshot: &Snapshot) -> u64 {
        let mut reported = 0;
        for said in &snapshot.stations {
            let row = &self.rows[&said.id];
            if row.station.reported_at == said.reported_at {
                continue;
            }
            let written_anyway = self.before.contains_key(&said.id);
            let due = row
                .written_at
                .is_none_or(|at| snapshot.taken_at.duration_since(at) >= REPORT_TIME_AFTER);
            reported += u64::from(!written_anyway);
            if written_anyway || due {
                self.edit(&said.id).reported_at = said.reported_at;
            }
        }
        reported
    }

    fn turn_clocks(&mut self, snapshot: &Snapshot, news: Aspects) {
        let feed = self.feed.get_or_insert_with(|| FeedState {
            status_at: None,
            information_at: None,
            listed: BTreeSet::new(),
        });
        if news.information {
            feed.information_at = Some(snapshot.taken_at);
        }
        if news.states {
            feed.status_at = Some(snapshot.taken_at);
        }
        if news.states || feed.status_at.is_none() {
            feed.listed = snapshot.stations.iter().map(|s| s.id.clone()).collect();
        }
    }

    /// Gives every id that trips use to the row of its station.
    fn resolve(&mut self, totals: &Totals) {
        let matches = identity::resolve(self.stations(), totals);
        let mut carried: BTreeMap<StationId, BTreeSet<StationId>> = BTreeMap::new();
        for (station, origin, _) in matches.iter() {
            let origins = carried.entry(station.clone()).or_default();
            origins.insert(origin.clone());
        }
        for origin in matches.unmatched() {
            let origins = carried.entry(self.own_row(origin)).or_default();
            origins.insert(origin.clone());
        }
        let of_the_feed: BTreeSet<&StationId> = matches.iter().map(|(_, id, _)| id).collect();
        let mut versions: HashMap<StationId, Option<u64>> = HashMap::new();
        for row in self.stations() {
            let ids = row.origin_ids.iter().cloned();
            versions.extend(ids.map(|id| (id, row.trips_version)));
        }

        let ids: BTreeSet<StationId> = self.rows.keys().chain(carried.keys()).cloned().collect();
        for id in ids {
            let origins = carried.remove(&id).unwrap_or_default();
            let row = self.rows.get(&id).map(|row| &row.station);
            let superseded = row.is_some_and(|row| match row.source {
                StationSource::Feed => false,
                StationSource::List => of_the_feed.contains(&id),
                StationSource::Trips => origins.is_empty(),
            });
            if superseded {
                self.remove(&id);
            } else if row.is_none_or(|row| row.origin_ids != origins) {
                let row = self.edit(&id);
                let new = origins.difference(&row.origin_ids);
                let version = new.filter_map(|id| *versions.get(id)?).max();
                row.trips_version = row.trips_version.max(version);
                row.origin_ids = origins;
            }
        }
    }

    /// Returns the row of an id that belongs to no station of the feed. Where the feed uses the
    /// same id for another place, the row's id says that it is the one of the trips.
    fn own_row(&self, origin: &StationId) -> StationId {
        let mut id = origin.clone();
        let taken = |id: &StationId| {
            self.rows
                .get(id)
                .is_some_and(|row| row.station.source == StationSource::Feed)
        };
        while taken(&id) {
            id = StationId::from(format!("{id} (trips)"));
        }
        id
    }

    /// Remembers a row as it is before it is touched for the first time.
    fn remember(&mut self, id: &StationId) {
        if !self.before.contains_key(id) {
            self.before.insert(id.clone(), self.rows.get(id).cloned());
        }
    }

    /// Opens a row for changing; it is made where there is none.
    fn edit(&mut self, id: &StationId) -> &mut Station {
        self.remember(id);
        let row = self.rows.entry(id.clone()).or_insert_with(|| Row {
            station: Station::unknown(id.clone()),
            written_at: None,
        });
        &mut row.station
    }

    fn remove(&mut self, id: &StationId) {
        self.remember(id);
        self.rows.remove(id);
    }

    /// Compares the rows touched with what they were. `snapshot_at` is the time of the snapshot
    /// that they are written for, if one is.
    fn take_writes(&mut self, snapshot_at: Option<Timestamp>) -> Vec<Write> {
        let mut writes = Vec::new();
        for (id, before) in std::mem::take(&mut self.before) {
            let Some(row) = self.rows.get_mut(&id) else {
                writes.extend(before.map(|_| Write::Delete(id)));
                continue;
            };
            let before = before.map(|before| before.station);
            if before.as_ref() == Some(&row.station) {
                continue;
            }
            row.written_at = snapshot_at.or(row.written_at);
            let Some(mut before) = before else {
                writes.push(Write::Insert(row.clone()));
                continue;
            };
            before.reported_at = row.station.reported_at;
            writes.push(match before == row.station {
                true => Write::Report(row.clone()),
                false => Write::Change(row.clone()),
            });
        }
        writes
    }
}

fn fill<T: Clone>(field: &mut Option<T>, said: &Option<T>) {
    if said.is_some() {
        field.clone_from(said);
    }
}

/// What a feed says of a station's name and place.
type Information<'a> = (
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    Option<u32>,
);

fn information(station: &Station) -> Information<'_> {
    (
        station.name.as_deref(),
        station.short_name.as_deref(),
        station.legacy_id.as_deref(),
        station.latitude.as_ref().map(|degrees| degrees.as_str()),
        station.longitude.as_ref().map(|degrees| degrees.as_str()),
        station.capacity,
    )
}

/// What a feed says of a station's state, but for its report time.
fn states(station: &Station) -> (Option<&str>, Availability) {
    (
        station.status.as_ref().map(|status| status.as_str()),
        station.available,
    )
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::model::{Flags, Rider, StationName, StationStatus, System, Trip, TripBatch};
    use crate::tally::Tally;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + 60 * minute).unwrap()
    }

    fn snapshot(kind: SnapshotKind, minute: i64, stations: &[Station]) -> Snapshot {
        Snapshot {
            system: System::named("divvy").unwrap(),
            taken_at: at(minute),
            kind,
            stations: stations.to_vec(),
        }
    }

    fn named(id: &str, name: &str) -> Station {
        Station {
            name: Some(name.into()),
            ..Station::unknown(id.into())
        }
    }

    fn with_bikes(station: Station, bikes: u32, reported: i64) -> Station {
        Station {
            status: Some(StationStatus::InService),
            available: Availability {
                vehicles: Some(bikes),
                ..Availability::default()
            },
            reported_at: Some(at(reported)),
            ..station
        }
    }

    fn trip_from(origin: &str) -> Trip {
        Trip {
            id: "trip".into(),
            started_ms: 0,
            started_offset_s: 0,
            ended_ms: 60_000,
            ended_offset_s: 0,
            precision_ms: 1000,
            reported_s: None,
            origin: Some(StationId::from(origin)),
            destination: None,
            vehicle: None,
            bike: None,
            rider: Rider::Unknown,
            gender: None,
            birth_year: None,
            from: None,
            to: None,
            flags: Flags::NONE,
        }
    }

    /// Trips that start at the ids, each under its name.
    fn trips(origins: &[(&str, &str)]) -> Totals {
        let mut totals = Totals::default();
        for (id, name) in origins {
            let mut batch: TripBatch = [trip_from(id)].into_iter().collect();
            batch.names.push(StationName {
                station: 1,
                name: (*name).into(),
                days: (0, 0),
            });
            totals.count(&batch, 1);
        }
        totals
    }

    fn ids(texts: &[&str]) -> BTreeSet<StationId> {
        texts.iter().map(|text| StationId::from(*text)).collect()
    }

    fn apply(
        data: &mut StationData,
        snapshot: &Snapshot,
        totals: &Totals,
    ) -> (Applied, Vec<Write>) {
        let Ok(done) = data.apply(snapshot, || Ok::<_, Infallible>(totals));
        done
    }

    /// Applies a snapshot of which no name may be new.
    fn poll(data: &mut StationData, kind: SnapshotKind, minute: i64, said: &[Station]) -> String {
        let unasked = || -> Result<Totals, &str> { Err("asked for totals") };
        match data.apply(&snapshot(kind, minute, said), unasked) {
            Ok((applied, writes)) => format!("{applied:?} {}", lines(&writes).join(", ")),
            Err(asked) => asked.into(),
        }
    }

    /// One line a write: what, the row, its ids of trips, their version.
    fn lines(writes: &[Write]) -> Vec<String> {
        let line = |what: &str, Row { station, .. }: &Row| {
            let origins: Vec<&str> = station.origin_ids.iter().map(StationId::as_str).collect();
            let version = station
                .trips_version
                .map_or(String::new(), |v| format!(" v{v}"));
            format!("{what} {} [{}]{version}", station.id, origins.join(" "))
        };
        let one = |write: &Write| match write {
            Write::Insert(row) => line("insert", row),
            Write::Change(row) => line("change", row),
            Write::Report(row) => line("report", row),
            Write::Delete(id) => format!("delete {id}"),
        };
        writes.iter().map(one).collect()
    }

    #[test]
    fn names_and_states_have_clocks_of_their_own() {
        use SnapshotKind::{Full, Information, Status};
        let none = Totals::default();
        let mut data = StationData::default();
        let mut outcome = |kind, minute| {
            let (applied, _) = apply(&mut data, &snapshot(kind, minute, &[]), &none);
            match applied {
                Applied::Accepted { .. } => "accepted".to_owned(),
                Applied::Repeated => "repeated".to_owned(),
                Applied::Refused { last } => {
                    format!("refused by {}", last.duration_since(at(0)).as_mins())
                }
            }
        };
        assert_eq!(outcome(Status, 10), "accepted");
        assert_eq!(outcome(Status, 10), "repeated");
        assert_eq!(outcome(Status, 9), "refused by 10");
        assert_eq!(outcome(Information, 5), "accepted");
        assert_eq!(outcome(Full, 5), "refused by 10");
        assert_eq!(outcome(Full, 10), "accepted"); // its names are news
        assert_eq!(outcome(Full, 10), "repeated");
        assert_eq!(outcome(Information, 9), "refused by 10");
        assert_eq!(outcome(Full, 11), "accepted");
        assert_eq!(outcome(Status, 11), "repeated");
    }

    #[test]
    fn names_are_not_erased_by_states_nor_states_by_names() {
        let none = Totals::default();
        let mut data = StationData::default();
        let full = with_bikes(named("2", "Clark & Jarvis"), 7, 0);
        apply(&mut data, &snapshot(SnapshotKind::Full, 0, &[full]), &none);
        let states = with_bikes(Station::unknown("2".into()), 8, 1);
        assert_eq!(
            poll(&mut data, SnapshotKind::Status, 1, &[states]),
            "Accepted { inserted: 0, changed: 1, reported: 0 } change 2 []"
        );
        let renamed = named("2", "Clark & Howard");
        apply(
            &mut data,
            &snapshot(SnapshotKind::Information, 1, &[renamed]),
            &none,
        );
        let row = data.stations().next().unwrap();
        let expected = Station {
            source: StationSource::Feed,
            ..with_bikes(named("2", "Clark & Howard"), 8, 1)
        };
        assert_eq!(*row, expected);
    }

    #[test]
    fn a_station_that_the_snapshot_lacks_is_kept() {
        let none = Totals::default();
        let mut data = StationData::default();
        let both = [named("2", "Clark & Jarvis"), named("3", "Shedd Aquarium")];
        apply(&mut data, &snapshot(SnapshotKind::Full, 0, &both), &none);
        let done = poll(&mut data, SnapshotKind::Full, 1, &both[1..]);
        assert_eq!(done, "Accepted { inserted: 0, changed: 0, reported: 0 } ");
        assert_eq!(data.stations().count(), 2);
        assert_eq!(data.feed().unwrap().listed, ids(&["3"]));
    }

    #[test]
    fn a_report_time_alone_waits_for_a_change_or_15_minutes() {
        let none = Totals::default();
        let mut data = StationData::default();
        let station = |bikes, reported| [with_bikes(named("2", "Clark & Jarvis"), bikes, reported)];
        apply(
            &mut data,
            &snapshot(SnapshotKind::Full, 0, &station(7, 0)),
            &none,
        );
        let mut poll = |minute, said: &[Station]| poll(&mut data, SnapshotKind::Full, minute, said);
        let one = "Accepted { inserted: 0, changed: 0, reported: 1 } ";
        assert_eq!(poll(14, &station(7, 13)), one);
        assert_eq!(poll(15, &station(7, 14)), format!("{one}report 2 []"));
        assert_eq!(poll(16, &station(7, 15)), one);
        assert_eq!(
            poll(17, &station(6, 16)),
            "Accepted { inserted: 0, changed: 1, reported: 0 } change 2 []"
        );
        assert_eq!(poll(31, &station(6, 30)), one);
        assert_eq!(data.stations().next().unwrap().reported_at, Some(at(16)));
    }

    #[test]
    fn a_stub_carries_an_id_until_a_feed_names_its_station() {
        let totals = trips(&[("35", "Streeter Dr"), ("76", "Lake Shore Dr")]);
        let mut data = StationData::default();
        let loaded = data.trips_changed(&ids(&["35", "76"]), 1, &totals);
        assert_eq!(lines(&loaded), ["insert 35 [35] v1", "insert 76 [76] v1"]);

        let feed = [named("76", "Lake Shore Dr"), named("u-1", "Streeter Dr")];
        let (applied, writes) = apply(&mut data, &snapshot(SnapshotKind::Full, 0, &feed), &totals);
        assert_eq!(
            lines(&writes),
            ["delete 35", "change 76 [76] v1", "insert u-1 [35] v1"]
        );
        let expected = Applied::Accepted {
            inserted: 1,
            changed: 1,
            reported: 0,
        };
        assert_eq!(applied, expected);

        assert_eq!(data.next_version(), 2);
        let loaded = data.trips_changed(&ids(&["35"]), 2, &totals);
        assert_eq!(lines(&loaded), ["change u-1 [35] v2"]);
    }

    #[test]
    fn an_id_used_for_two_places_has_two_rows() {
        let totals = trips(&[("517", "Pulaski & Armitage")]);
        let mut data = StationData::default();
        data.trips_changed(&ids(&["517"]), 1, &totals);
        let mut elsewhere = totals.clone();
        let far = Trip {
            from: Some((41_917_213, -87_726_321)),
            ..trip_from("517")
        };
        elsewhere.count(&[far].into_iter().collect(), 1);
        let mut reused = named("517", "Clark & Jarvis");
        reused.latitude = Some("42.015".parse().unwrap());
        reused.longitude = Some("-87.675".parse().unwrap());
        let (_, writes) = apply(
            &mut data,
            &snapshot(SnapshotKind::Full, 0, &[reused]),
            &elsewhere,
        );
        assert_eq!(
            lines(&writes),
            ["change 517 [] v1", "insert 517 (trips) [517] v1"]
        );
        let loaded = data.trips_changed(&ids(&["517"]), 2, &elsewhere);
        assert_eq!(lines(&loaded), ["change 517 (trips) [517] v2"]);
    }

    #[test]
    fn an_id_whose_trips_are_gone_keeps_its_row() {
        let mut data = StationData::default();
        data.trips_changed(&ids(&["35"]), 1, &trips(&[("35", "Streeter Dr")]));
        let replaced = data.trips_changed(&ids(&["35"]), 2, &Totals::default());
        assert_eq!(lines(&replaced), ["change 35 [35] v2"]);
    }

    #[test]
    fn a_list_fills_what_trips_leave_open_and_never_overrides_a_feed() {
        let totals = trips(&[("35", "Streeter Dr"), ("76", "Lake Shore Dr")]);
        let mut data = StationData::default();
        data.trips_changed(&ids(&["35", "76"]), 1, &totals);
        let feed = [named("u-1", "Streeter Dr")];
        apply(&mut data, &snapshot(SnapshotKind::Full, 0, &feed), &totals);

        let list = [
            named("35", "Streeter Dr"),
            named("76", "Lake Shore Dr"),
            named("5", "State St"),
            named("u-1", "Nowhere"),
        ];
        let described = data.describe(&list);
        assert_eq!(lines(&described), ["insert 5 []", "change 76 [76] v1"]);
        assert_eq!(data.describe(&list), []);

        let feed = [named("u-2", "Lake Shore Dr"), named("5", "State St (*)")];
        let (_, writes) = apply(&mut data, &snapshot(SnapshotKind::Full, 1, &feed), &totals);
        assert_eq!(
            lines(&writes),
            ["change 5 []", "delete 76", "insert u-2 [76] v1"]
        );
    }

    #[test]
    fn everything_can_be_touched() {
        let mut data = StationData::default();
        data.trips_changed(&ids(&["35"]), 1, &trips(&[("35", "Streeter Dr")]));
        data.describe(&[named("5", "State St")]);
        let version = data.next_version();
        assert_eq!(
            lines(&data.republish_all(version)),
            ["change 35 [35] v2", "change 5 [] v2"]
        );
    }
}
