//! What the laws are tried on: invented archives and snapshots in which everything collides.

use jiff::Timestamp;
use proptest::bool::weighted;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use divvy::issue::{Reason, Skipped};
use divvy::model::{
    Availability, Cell, Flag, Flags, Rider, Snapshot, SnapshotKind, Station, StationAlias,
    StationId, StationName, StationStatus, System, Trip, TripBatch, VehicleId,
};
use divvy::store::{ArchiveId, ArchiveRead, ContentHash};
use divvy::tally::{Tally, Totals};

/// 2024-01-01T00:00, in milliseconds since 1970.
const NEW_YEAR_MS: i64 = 1_704_067_200_000;

/// A row of a trip file: a trip, and what the file calls its origin.
#[derive(Clone, Debug)]
pub struct Row {
    /// The trip.
    pub trip: Trip,
    /// The name of its origin.
    pub name: Option<&'static str>,
}

/// A file of trips.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Its name.
    pub name: String,
    /// Its members, each with its rows.
    pub members: Vec<Vec<Row>>,
    /// Rows that never become trips.
    pub unreadable: u64,
    /// How many rows come in one batch.
    pub batch: usize,
    /// Whether it supersedes archives of its name.
    pub replace: bool,
}

impl Archive {
    /// Identifies it, as a reader of files would.
    pub fn id(&self) -> ArchiveId {
        let content = format!("{:?} {}", self.members, self.unreadable);
        ArchiveId {
            system: system(),
            name: self.name.clone(),
            content: ContentHash(xxhash_rust::xxh3::xxh3_128(content.as_bytes())),
        }
    }

    /// Lists the rows of all members, each with the index of its member.
    pub fn rows(&self) -> impl Iterator<Item = (usize, &Row)> {
        let members = self.members.iter().enumerate();
        members.flat_map(|(member, rows)| rows.iter().map(move |row| (member, row)))
    }

    /// Cuts it into batches, as a reader of files would.
    pub fn batches(&self) -> Vec<(usize, TripBatch)> {
        let mut batches = Vec::new();
        for (member, rows) in self.members.iter().enumerate() {
            let mut line = 2;
            for rows in rows.chunks(self.batch) {
                batches.push((member, batch(rows, &mut line)));
            }
        }
        batches
    }

    /// Returns what a reader returns after the last row.
    pub fn read(&self, loaded_at: Timestamp) -> ArchiveRead {
        let mut totals = Totals::default();
        for (_, batch) in self.batches() {
            totals.count(&batch, 1);
        }
        let unreadable = Some((Reason::NoStart, self.unreadable)).filter(|(_, n)| *n > 0);
        ArchiveRead {
            id: self.id(),
            members: (0..self.members.len())
                .map(|member| format!("{member}.csv"))
                .collect(),
            rows_read: self.rows().count() as u64 + self.unreadable,
            rejected: unreadable.into_iter().collect(),
            skipped: unreadable.iter().map(|_| workbook()).collect(),
            forced_from: self.replace.then(|| "citibike".into()),
            totals,
            loaded_at,
            replace: self.replace,
        }
    }
}

/// A member that is not loaded.
fn workbook() -> Skipped {
    Skipped {
        member: "stations.xlsx".into(),
        why: "a spreadsheet workbook".into(),
        what_to_do: "save its sheet as CSV".into(),
    }
}

fn batch(rows: &[Row], line: &mut u64) -> TripBatch {
    let mut batch: TripBatch = rows.iter().map(|row| row.trip.clone()).collect();
    for (place, row) in rows.iter().enumerate() {
        batch.line[place] = *line;
        *line += 1;
        let station = batch.origin[place];
        let day = row.trip.started_ms.div_euclid(86_400_000) as i32;
        if let Some(name) = row.name.filter(|_| station != 0) {
            batch.names.push(StationName {
                station,
                name: name.into(),
                days: (day, day),
            });
        }
    }
    batch
}

/// The system of every case.
pub fn system() -> System {
    System::named("divvy").expect("the table has it")
}

/// The clock of every case.
pub fn minute(minute: i64) -> Timestamp {
    Timestamp::from_millisecond(NEW_YEAR_MS + 60_000 * minute).expect("lies within a year")
}

/// What happens to a store.
#[derive(Clone, Debug)]
pub enum Step {
    /// An archive is loaded.
    Load(Archive),
    /// A feed is polled.
    Poll(Snapshot),
    /// A station list is read.
    Describe(Vec<Station>),
    /// Everything is to be counted again.
    TouchAll,
    /// The stream is drained.
    Drain,
    /// The handler gets some changes of long ago once more, the newest of them first.
    Redeliver {
        /// Passes over so many.
        skip: usize,
        /// Takes so many.
        take: usize,
    },
}

/// Any steps, a few of each variant.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    rows().prop_flat_map(|rows| prop::collection::vec(step(rows), 1..12))
}

fn step(rows: Vec<Row>) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => archive(rows).prop_map(Step::Load),
        4 => snapshot().prop_map(Step::Poll),
        1 => stations().prop_map(Step::Describe),
        1 => Just(Step::TouchAll),
        2 => Just(Step::Drain),
        2 => (0..30_usize, 1..10_usize).prop_map(|(skip, take)| Step::Redeliver { skip, take }),
    ]
}

/// Some archives with many copies of few trips.
pub fn archives() -> impl Strategy<Value = Vec<Archive>> {
    rows().prop_flat_map(|rows| prop::collection::vec(archive(rows), 1..6))
}

/// The rows that all archives of a case are dealt from, so that equal copies are common.
pub(crate) fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(row(), 1..12)
}

pub(crate) fn archive(rows: Vec<Row>) -> impl Strategy<Value = Archive> {
    (
        select(&["202401.zip", "202402.zip"]),
        prop::collection::vec(prop::collection::vec(select(rows), 0..6), 1..4),
        0..3_u64,
        1..4_usize,
        prop::bool::weighted(0.3),
    )
        .prop_map(|(name, members, unreadable, batch, replace)| Archive {
            name: name.into(),
            members,
            unreadable,
            batch,
            replace,
        })
}

/// A row. Five ids, and few values of everything else, so that copies differ in their order, in
/// their time, or in nothing but their text.
fn row() -> impl Strategy<Value = Row> {
    let times = (
        0..3_i64,
        select(&[-60_000, 0, 30_000, 600_000, 90_000_000_i64]),
        select(&[1, 1000, 60_000]),
        option::of(select(&[0, 59, 600])),
    );
    let ends = (
        option::weighted(0.9, select(ORIGINS)),
        option::weighted(0.9, select(ORIGINS)),
        option::of(select(PLACES)),
        option::of(select(NAMES)),
        // Those of older programs have none.
        weighted(0.8),
    );
    let rest = (
        option::of(Just("4001")),
        option::of(select(&["classic_bike", "electric_bike"])),
        select(&["member", "casual", "", "Pauper"]),
        option::of(select(&["Female", "Male"])),
        option::of(1980..1982_i16),
    );
    (0..5_u8, times, ends, rest).prop_map(|(id, times, ends, rest)| {
        let (hour, elapsed_ms, precision_ms, reported_s) = times;
        let (origin, destination, place, name, has_cell) = ends;
        let (vehicle, bike, rider, gender, birth_year) = rest;
        let started_ms = NEW_YEAR_MS + hour * 3_600_000;
        let elapsed_ms = elapsed_ms / i64::from(precision_ms) * i64::from(precision_ms);
        let micro = |at: &(&str, &str)| {
            let micro = |text: &str| (text.parse::<f64>().unwrap_or_default() * 1e6) as i32;
            (micro(at.0), micro(at.1))
        };
        let from = place.as_ref().map(micro);
        let cell = Cell::of_end(from.filter(|_| has_cell), false);
        let origin = origin.map(|id| StationAlias::new(id, name.unwrap_or_default()));
        let mut trip = Trip {
            precision_ms,
            reported_s,
            origin: origin.map(|alias| alias.in_cell(cell)),
            destination: destination.map(StationAlias::from),
            vehicle: vehicle.map(VehicleId::from),
            bike: bike.map(Into::into),
            rider: Rider::parse(rider),
            gender: gender.map(Into::into),
            birth_year,
            from,
            ..Trip::new(
                format!("T{id}"),
                started_ms,
                started_ms + elapsed_ms,
                -21_600,
            )
        };
        trip.flags = flags(&trip);
        Row { trip, name }
    })
}

fn flags(trip: &Trip) -> Flags {
    let mut flags = Flags::NONE;
    let (elapsed_ms, duration_s) = (trip.elapsed_ms(), trip.duration_s());
    flags.insert_if(Flag::EndsBeforeStart, elapsed_ms < 0);
    flags.insert_if(Flag::ZeroLength, elapsed_ms == 0);
    flags.insert_if(Flag::Under60S, elapsed_ms > 0 && duration_s < 60);
    flags.insert_if(Flag::Over24H, duration_s > 86_400);
    flags.insert_if(Flag::NoOrigin, trip.origin.is_none());
    flags.insert_if(Flag::NoDestination, trip.destination.is_none());
    flags
}

/// Ids of trips.
const ORIGINS: &[&str] = &["35", "76", "517", "TA13"];
/// Names, two of them the same.
const NAMES: &[&str] = &["Streeter Dr", "streeter dr (*)", "Clark & Jarvis"];
/// Two positions within 500 m, and one far away.
const PLACES: &[(&str, &str)] = &[
    ("42.015123", "-87.675001"),
    ("42.017123", "-87.675001"),
    ("41.917213", "-87.726321"),
];

/// Three snapshots, two lists and a load that name the same stations otherwise.
pub fn steps_of_any_order() -> [Step; 6] {
    let placed = |id: &str, name: &str, place: usize, docks: Option<u32>| Station {
        name: Some(name.into()),
        latitude: PLACES[place].0.parse().ok(),
        longitude: PLACES[place].1.parse().ok(),
        capacity: docks,
        ..Station::unknown(id.into())
    };
    let poll = |kind, taken_at, stations: Vec<Station>| {
        let has_states = kind != SnapshotKind::Information;
        let with_states = |station| Station {
            status: has_states.then_some(StationStatus::InService),
            reported_at: has_states.then(|| minute(taken_at)),
            ..station
        };
        Step::Poll(Snapshot {
            system: system(),
            taken_at: minute(taken_at),
            kind,
            stations: stations.into_iter().map(with_states).collect(),
            by_type: Default::default(),
        })
    };
    let trip = |n: usize, (id, place): (&str, usize)| {
        let micro = |text: &str| text.parse::<f64>().map_or(0, |at| (at * 1e6) as i32);
        let trip = Trip {
            origin: Some(id.into()),
            from: Some((micro(PLACES[place].0), micro(PLACES[place].1))),
            ..Trip::new(format!("T{n}"), NEW_YEAR_MS, NEW_YEAR_MS + 600_000, -21_600)
        };
        Row {
            trip,
            name: Some(NAMES[place]),
        }
    };
    let rows = [("35", 0), ("76", 1), ("517", 2), ("TA13", 2)];
    let unnamed = Station::unknown("u-3".into());
    [
        Step::Load(Archive {
            name: "202401.zip".into(),
            members: vec![(0..).zip(rows).map(|(n, row)| trip(n, row)).collect()],
            unreadable: 0,
            batch: 3,
            replace: false,
        }),
        Step::Describe(vec![
            placed("35", "Streeter & Grand", 0, Some(15)),
            placed("517", NAMES[2], 2, None),
            placed("u-3", NAMES[2], 2, Some(11)),
        ]),
        Step::Describe(vec![
            placed("35", NAMES[0], 1, Some(19)),
            placed("u-1", "Streeter", 1, Some(27)),
        ]),
        poll(
            SnapshotKind::Full,
            0,
            vec![
                placed("517", NAMES[0], 0, Some(15)),
                placed("u-1", NAMES[2], 2, None),
            ],
        ),
        poll(
            SnapshotKind::Information,
            60,
            vec![
                placed("517", "Streeter", 1, None),
                placed("u-2", NAMES[0], 0, Some(31)),
            ],
        ),
        poll(
            SnapshotKind::Full,
            120,
            vec![placed("u-1", NAMES[0], 1, None), unnamed],
        ),
    ]
}

/// Orders of six steps.
pub const ORDERS: [[usize; 6]; 6] = [
    [0, 1, 2, 3, 4, 5],
    [5, 4, 3, 2, 1, 0],
    [3, 0, 5, 1, 4, 2],
    [4, 2, 3, 5, 0, 1],
    [1, 5, 0, 4, 2, 3],
    [2, 3, 5, 4, 1, 0],
];

/// Any snapshot of a feed, at any minute.
pub fn snapshot() -> impl Strategy<Value = Snapshot> {
    const KINDS: &[SnapshotKind] = &[
        SnapshotKind::Full,
        SnapshotKind::Information,
        SnapshotKind::Status,
    ];
    (select(KINDS), 0..40_i64, stations()).prop_map(|(kind, taken_at, mut stations)| {
        for station in &mut stations {
            match kind {
                SnapshotKind::Full => {}
                SnapshotKind::Information => {
                    station.status = None;
                    station.available = Availability::default();
                    station.reported_at = None;
                }
                SnapshotKind::Status => {
                    let bare = Station::unknown(station.id.clone());
                    *station = Station {
                        status: station.status.take(),
                        available: station.available,
                        reported_at: station.reported_at,
                        ..bare
                    };
                }
            }
        }
        Snapshot {
            system: system(),
            taken_at: minute(taken_at),
            kind,
            stations,
            by_type: Default::default(),
        }
    })
}

/// Up to five stations, some under ids that trips use.
pub(crate) fn stations() -> impl Strategy<Value = Vec<Station>> {
    prop::collection::btree_map(select(&["35", "517", "u-1", "u-2", "u-3"]), station(), 0..5)
        .prop_map(|stations| {
            let with_id = |(id, station): (&str, Station)| Station {
                id: StationId::from(id),
                ..station
            };
            stations.into_iter().map(with_id).collect()
        })
}

fn station() -> impl Strategy<Value = Station> {
    (
        option::of(select(NAMES)),
        option::of(select(ORIGINS)),
        option::of(select(ORIGINS)),
        option::of(select(PLACES)),
        0..3_u32,
        option::of(0..40_i64),
    )
        .prop_map(|(name, short_name, legacy_id, place, bikes, reported)| {
            let degrees = |text: &str| text.parse().ok();
            Station {
                name: name.map(Into::into),
                short_name: short_name.map(Into::into),
                legacy_id: legacy_id.map(Into::into),
                latitude: place.and_then(|at| degrees(at.0)),
                longitude: place.and_then(|at| degrees(at.1)),
                capacity: Some(15),
                status: Some(StationStatus::InService),
                available: Availability {
                    vehicles: Some(bikes),
                    ..Availability::default()
                },
                reported_at: reported.map(minute),
                ..Station::unknown(StationId::from(""))
            }
        })
}
