//! Forecasts that are issued from a store's own history, and their record.

use std::collections::BTreeMap;

use divvy::forecast::{self, BinSum, Follower, HORIZONS, minute_of_hour};
use divvy::ingest::{PollOptions, Replay};
use divvy::model::{
    Availability, Snapshot, SnapshotKind, Station, StationId, StationStatus, System,
};
use divvy::outlook::{Calendar, Event, Recent, Vehicles, bin_of, brier, minute_of};
use divvy::reports::{self, Filters, Table, Value};
use divvy::sample::{self, Era};
use divvy::sources::station_feed::{self, Document, Feed};
use divvy::store::embedded::EmbeddedStore;
use divvy::store::{ForecastPart, StationTable, Store};
use divvy_testkit::MemoryStore;
use futures_executor::block_on;
use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};

const STATIONS: usize = 5;
/// Minutes between two snapshots.
const INTERVAL: i64 = 10;
const DAYS: i64 = 4;

fn system() -> System {
    System::named("divvy").unwrap()
}

fn instant(minute: i64) -> Timestamp {
    "2024-06-03T05:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A bike comes or goes now and then; a station is out of service for some hours; for three hours nothing
/// is recorded; one snapshot in 50 is followed by another in the same minute.
fn town(seed: u64) -> Vec<Snapshot> {
    town_of(seed, STATIONS, &[])
}

/// A town of so many stations. In some minutes the feed states no bike at any of them.
fn town_of(seed: u64, stations: usize, faults: &[i64]) -> Vec<Snapshot> {
    let mut random = Random(seed);
    let mut bikes: Vec<(u32, u32)> = (0..stations).map(|at| (at as u32 % 4, 1)).collect();
    let mut snapshots = Vec::new();
    for step in 0..DAYS * 24 * 60 / INTERVAL {
        let minute = step * INTERVAL;
        for (classic, ebikes) in &mut bikes {
            for count in [classic, ebikes] {
                match random.below(8) {
                    0 => *count = count.saturating_sub(1),
                    1 => *count = (*count + 1).min(3),
                    _ => {}
                }
            }
        }
        let is_gap = (3_000..3_180).contains(&minute);
        if is_gap {
            continue;
        }
        let seconds: &[i64] = if random.below(50) == 0 {
            &[0, 30]
        } else {
            &[0]
        };
        for second in seconds {
            let station = |at: usize| {
                let (classic, ebikes) = match faults.contains(&minute) {
                    true => (0, 0),
                    false => bikes[at],
                };
                let mut station = Station::unknown(StationId::from(format!("s{at}")));
                let is_closed = at == 0 && (2_000..2_300).contains(&minute);
                station.status = Some(match is_closed {
                    true => StationStatus::NotRenting,
                    false => StationStatus::InService,
                });
                station.available = Availability {
                    vehicles: Some(classic + ebikes),
                    ebikes: Some(ebikes),
                    docks: Some(6 - classic - ebikes),
                    ..Availability::default()
                };
                station
            };
            snapshots.push(Snapshot {
                system: system(),
                taken_at: instant(minute) + SignedDuration::from_secs(*second),
                kind: SnapshotKind::Full,
                stations: (0..stations).map(station).collect(),
                by_type: BTreeMap::new(),
            });
        }
    }
    snapshots
}

fn apply(store: &dyn StationTable, snapshots: &[Snapshot]) {
    for snapshot in snapshots {
        block_on(store.apply(snapshot, snapshot.taken_at)).unwrap();
    }
}

/// Follows snapshot after snapshot; `each` is called after each with its number.
fn followed(
    snapshots: &[Snapshot],
    mut each: impl FnMut(usize, &MemoryStore, &mut Follower),
) -> MemoryStore {
    let store = MemoryStore::default();
    apply(&store, &snapshots[..1]);
    let mut follower = block_on(Follower::open(&store, &system())).unwrap();
    for (at, snapshot) in snapshots.iter().enumerate() {
        if at > 0 {
            apply(&store, std::slice::from_ref(snapshot));
        }
        block_on(follower.follow_and_keep(&store)).unwrap();
        each(at, &store, &mut follower);
    }
    block_on(follower.keep(&store)).unwrap();
    store
}

/// All sums of a record, by their keys as text.
fn sums(store: &dyn StationTable) -> BTreeMap<String, BTreeMap<usize, BinSum>> {
    let follower = block_on(Follower::open(store, &system())).unwrap();
    let record = follower.record().unwrap();
    let sums = record.iter();
    sums.map(|(key, bins)| (format!("{key:?}"), bins.clone()))
        .collect()
}

/// A forecast of the test: group, horizon, event, probability, station, minute.
type Said = (Vehicles, usize, Event, f64, StationId, i64);

/// Minutes whose forecasts were issued from, by the rule that a station is due once an hour.
fn is_due(station: &StationId, before: Option<i64>, minute: i64) -> bool {
    let before = before.unwrap_or(minute - 1);
    (before + 1..=minute).any(|minute| minute.rem_euclid(60) == minute_of_hour(station))
}

/// Minutes in which the feed of a town states no bike.
const FAULTS: [i64; 5] = [3_600, 3_610, 3_620, 4_000, 4_900];

#[test]
fn the_record_is_that_of_a_direct_scoring_of_the_same_forecasts() {
    for (snapshots, of_feed) in [
        (town(1), [].as_slice()),
        (town(2), &[]),
        (town_of(3, 24, &FAULTS), &FAULTS),
    ] {
        let mut said: Vec<Said> = Vec::new();
        let mut before = None;
        let store = followed(&snapshots, |at, _, follower| {
            let minute = minute_of(snapshots[at].taken_at);
            if follower.taken_at() != Some(snapshots[at].taken_at) {
                return;
            }
            for station in &snapshots[at].stations {
                for vehicles in Vehicles::ALL {
                    if !is_due(&station.id, before, minute) {
                        continue;
                    }
                    let claims = follower.claims(&station.id, vehicles, &HORIZONS[..]);
                    for claim in claims.into_iter().flat_map(|(_, claims)| claims) {
                        for event in Event::ALL {
                            if let Some(p) = claim.probability(event) {
                                let id = station.id.clone();
                                said.push((vehicles, claim.horizon_min, event, p, id, minute));
                            }
                        }
                    }
                }
            }
            before = Some(minute);
        });
        let start = instant(0);
        let period = start..instant(DAYS * 24 * 60);
        let mut expected: BTreeMap<String, (u64, u64, f64)> = BTreeMap::new();
        let mut faults = Vec::new();
        let last = minute_of(snapshots.last().unwrap().taken_at);
        for vehicles in Vehicles::ALL {
            let history = store.history().unwrap();
            let system = system();
            let walked = forecast::walk(history, &system, &period, vehicles, 1, &faults);
            let walked = block_on(walked).unwrap();
            let observations = walked.observations;
            if vehicles == Vehicles::All {
                faults = walked.faults;
                let minutes = faults.iter().map(|minute| minute - minute_of(start));
                assert_eq!(minutes.collect::<Vec<_>>(), of_feed);
            }
            let is_of_group = |it: &&Said| it.0 == vehicles && it.5 + it.1 as i64 <= last;
            for (_, horizon, event, p, id, minute) in said.iter().filter(is_of_group) {
                let station = observations.stations().iter().position(|it| it == id);
                let minute = (minute - minute_of(start)) as usize;
                let outcome = observations.outcome(station.unwrap(), minute, *horizon, *event);
                if let Some(happened) = outcome {
                    // Probabilities are kept as numbers of four bytes.
                    let p = f64::from(*p as f32);
                    let key = format!("{vehicles:?} {horizon} {event:?} {}", bin_of(p));
                    let sum = expected.entry(key).or_default();
                    sum.0 += 1;
                    sum.1 += u64::from(happened);
                    sum.2 += brier(p, happened);
                }
            }
        }
        let mut found: BTreeMap<String, (u64, u64, f64)> = BTreeMap::new();
        let follower = block_on(Follower::open(&store, &system())).unwrap();
        let all = follower.record().unwrap().over_all_days();
        for ((vehicles, horizon, event), bins) in all {
            for (bin, sum) in bins {
                let key = format!("{vehicles:?} {horizon} {event:?} {bin}");
                found.insert(key, (sum.n, sum.happened, sum.brier));
            }
        }
        let n: u64 = expected.values().map(|it| it.0).sum();
        assert!(n > 2_000, "{n}");
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>()
        );
        for (key, (n, happened, brier)) in &expected {
            let (found_n, found_happened, found_brier) = found[key];
            assert_eq!((found_n, found_happened), (*n, *happened), "{key}");
            assert!((found_brier - brier).abs() < 1e-6, "{key}");
        }
    }
}

#[test]
fn forecasts_do_not_depend_on_later_snapshots_or_on_restarts() {
    do_not_depend_on_restarts(&town(3));
    do_not_depend_on_restarts(&town_of(4, 24, &FAULTS)[..430]);
}

fn do_not_depend_on_restarts(snapshots: &[Snapshot]) {
    let one_by_one = sums(&followed(snapshots, |_, _, _| {}));
    assert!(!one_by_one.is_empty());

    // Half a day is stored before it is followed.
    let store = MemoryStore::default();
    apply(&store, &snapshots[..1]);
    let mut follower = block_on(Follower::open(&store, &system())).unwrap();
    block_on(follower.follow(&store)).unwrap();
    for half_day in snapshots[1..].chunks(72) {
        apply(&store, half_day);
        block_on(follower.follow(&store)).unwrap();
    }
    block_on(follower.keep(&store)).unwrap();
    assert_eq!(sums(&store), one_by_one);

    // A process that ends without notice: its log is up to an hour old.
    let mut random = Random(7);
    let restarted = followed(snapshots, |_, store, follower| {
        if random.below(40) == 0 {
            *follower = block_on(Follower::open(store, &system())).unwrap();
        }
    });
    assert_eq!(sums(&restarted), one_by_one);

    // One that ends in order after each snapshot before, in and after a fault of the feed.
    let stopped = followed(snapshots, |at, store, follower| {
        let minute = minute_of(snapshots[at].taken_at) - minute_of(instant(0));
        if (FAULTS[0] - 20..FAULTS[2] + 30).contains(&minute) {
            block_on(follower.keep(store)).unwrap();
            *follower = block_on(Follower::open(store, &system())).unwrap();
        }
    });
    assert_eq!(sums(&stopped), one_by_one);
}

/// The last day and hour of a station, followed snapshot by snapshot since the training, are those of its history.
#[test]
fn live_forecasts_are_those_of_the_models_and_the_history() {
    let snapshots = town_of(6, 24, &FAULTS);
    let mut compared = 0;
    followed(&snapshots, |at, store, follower| {
        let minute = minute_of(snapshots[at].taken_at) - minute_of(instant(0));
        if minute < 3_500 || minute % 300 != 250 {
            return;
        }
        let now = snapshots[at].taken_at;
        let system = system();
        let period = instant(0)..now + SignedDuration::from_mins(1);
        let history = store.history().unwrap();
        let walked = forecast::walk(history, &system, &period, Vehicles::All, 1, &[]);
        let observations = block_on(walked).unwrap().observations;
        let model = &follower
            .models()
            .unwrap()
            .group(Vehicles::All)
            .unwrap()
            .model;
        let trackers = model.recent_trackers(&observations);
        let level = model.level_tracker(&observations, 0).level();
        let calendar = Calendar::of(&system, date(2024, 1, 1), date(2024, 12, 31));
        let slot = |ahead: usize| usize::from(calendar.slot(minute_of(now) + ahead as i64));
        for station in &snapshots[at].stations {
            let Some((reading, claims)) = follower.claims(&station.id, Vehicles::All, &HORIZONS)
            else {
                continue;
            };
            let claims_of = |recent| {
                let conditions = (level, recent);
                model.claims(
                    &station.id,
                    (Vehicles::All, reading),
                    conditions,
                    &HORIZONS,
                    slot,
                )
            };
            let recent = trackers[&station.id].recent();
            let differs = recent.flows > 1.3 || recent.without_bikes > 0.1;
            let [direct, usual] = [recent, Recent::USUAL].map(claims_of);
            for ((live, direct), usual) in claims.iter().zip(&direct).zip(&usual) {
                let [live, direct, usual] =
                    [live, direct, usual].map(|claim| claim.probability(Event::EmptyAt).unwrap());
                // The level is followed from some days before the training on.
                assert!((live - direct).abs() < 0.01, "{live} {direct}");
                compared += i32::from(differs && (live - usual).abs() > 0.02);
            }
        }
    });
    assert!(compared > 20, "{compared}");
}

/// Where the feed states no bike at any station for some minutes, forecasts are those from before, and go on after it.
#[test]
fn a_fault_of_the_feed_is_not_followed() {
    let snapshots = town_of(5, 24, &FAULTS);
    let mut not_followed = Vec::new();
    followed(&snapshots, |at, _, follower| {
        let snapshot = &snapshots[at];
        if follower.taken_at() == Some(snapshot.taken_at) {
            return;
        }
        let minute = minute_of(snapshot.taken_at);
        if follower.taken_at().map(minute_of) != Some(minute) {
            not_followed.push(minute - minute_of(instant(0)));
            let station = StationId::from("s1");
            let (now, _) = follower.claims(&station, Vehicles::All, &[15]).unwrap();
            let good = snapshots[..at]
                .iter()
                .rfind(|it| Some(it.taken_at) == follower.taken_at());
            let vehicles = good.unwrap().stations[1].available.vehicles;
            assert_eq!(Some(u32::from(now.bikes)), vehicles);
            assert!(follower.left_out() > 0);
            assert_eq!(follower.probability(&station, Event::EmptyWithin, 60), None);
        }
    });
    not_followed.dedup();
    assert_eq!(not_followed, FAULTS);
    // A fault that has not ended.
    let until = snapshots
        .iter()
        .position(|it| it.taken_at > instant(FAULTS[1]));
    let store = MemoryStore::default();
    apply(&store, &snapshots[..until.unwrap()]);
    // What is followed begins before it.
    let mut follower = block_on(Follower::open(&store, &system())).unwrap();
    block_on(follower.follow(&store)).unwrap();
    assert_eq!(follower.taken_at(), Some(instant(FAULTS[0] - INTERVAL)));
    assert_eq!(follower.left_out(), 2);
    let outlook = report(&store, "outlook", &Filters::default());
    let notes = notes(&outlook);
    assert!(
        notes
            .iter()
            .any(|note| note.contains("after it are left out: most stations have lost all bikes")),
        "{notes:?}"
    );
}

/// The number of forecasts by key.
fn counts(store: &dyn StationTable) -> BTreeMap<String, u64> {
    let sums = sums(store).into_iter();
    sums.map(|(key, bins)| (key, bins.values().map(|sum| sum.n).sum()))
        .collect()
}

/// Copies what a store keeps of forecasts to another one.
fn copy_forecasts(from: &dyn StationTable, to: &dyn StationTable) {
    let (from, to) = (from.forecasts().unwrap(), to.forecasts().unwrap());
    for part in [ForecastPart::Models, ForecastPart::Log] {
        let kept = block_on(from.kept_forecasts(&system().id, part)).unwrap();
        block_on(to.keep_forecasts(&system().id, part, &kept.unwrap())).unwrap();
    }
}

#[test]
fn a_log_that_is_newer_than_the_history_counts_no_hour_twice() {
    let snapshots = &town(8)[..450];
    let (end, ahead) = (330, 370);
    let whole = counts(&followed(snapshots, |_, _, _| {}));
    let newer = followed(&snapshots[..ahead], |_, _, _| {});
    let scored = sums(&newer);
    // The history ends before the log, as after a stop without notice or in a restored store.
    let store = MemoryStore::default();
    apply(&store, &snapshots[..end]);
    copy_forecasts(&newer, &store);
    let mut follower = block_on(Follower::open(&store, &system())).unwrap();
    block_on(follower.follow_and_keep(&store)).unwrap();
    assert_eq!(follower.taken_at(), Some(snapshots[end - 1].taken_at));
    for (at, snapshot) in snapshots.iter().enumerate().skip(end) {
        apply(&store, std::slice::from_ref(snapshot));
        block_on(follower.follow_and_keep(&store)).unwrap();
        if at % 7 == 0 {
            block_on(follower.keep(&store)).unwrap();
            follower = block_on(Follower::open(&store, &system())).unwrap();
        }
        if at + 1 == ahead {
            block_on(follower.keep(&store)).unwrap();
            assert!(sums(&store) == scored, "hours are counted twice");
        }
    }
    block_on(follower.keep(&store)).unwrap();
    let found = counts(&store);
    assert!(found.iter().all(|(key, n)| *n <= whole[key]));
    // The forecasts that were not due when the log was kept are dropped, no others.
    let [found, whole] = [found, whole].map(|counts| counts.values().sum::<u64>());
    assert!(found > whole * 97 / 100, "{found} of {whole}");
}

#[test]
fn a_history_that_went_on_without_the_end_of_the_log_is_followed_with_its_own_states() {
    let snapshots = &town(8)[..450];
    let (end, ahead, later) = (330, 370, 373);
    let newer = followed(&snapshots[..ahead], |_, _, _| {});
    let store = MemoryStore::default();
    apply(&store, &snapshots[..end]);
    // These have the numbers of the snapshots that were lost, and of some more.
    apply(&store, &snapshots[later..later + ahead - end + 1]);
    copy_forecasts(&newer, &store);
    let mut follower = block_on(Follower::open(&store, &system())).unwrap();
    block_on(follower.follow(&store)).unwrap();
    let last = &snapshots[later + ahead - end];
    assert_eq!(follower.taken_at(), Some(last.taken_at));
    for station in &last.stations {
        let (now, _) = follower.claims(&station.id, Vehicles::All, &[15]).unwrap();
        assert_eq!(
            Some(u32::from(now.bikes)),
            station.available.vehicles,
            "{}",
            station.id
        );
    }
}

#[test]
fn a_group_of_bikes_is_not_forecast_to_be_there_without_any_bike() {
    let (mut compared, mut equal) = (0, 0);
    followed(&town(9)[..420], |at, _, follower| {
        if at < 300 || at % 10 != 0 {
            return;
        }
        for station in 0..STATIONS {
            let station = StationId::from(format!("s{station}"));
            let horizons = [15, 22, 60, 120];
            let groups = follower.claims_of_groups(&station, &Vehicles::ALL, &horizons);
            let Some(all) = groups.iter().find(|it| it.vehicles == Vehicles::All) else {
                continue;
            };
            for group in &groups {
                for (claim, all) in group.claims.iter().zip(&all.claims) {
                    assert_eq!(claim.horizon_min, all.horizon_min);
                    for event in [Event::EmptyAt, Event::EmptyWithin] {
                        let both = claim.probability(event).zip(all.probability(event));
                        if let Some((own, all)) = both {
                            assert!(own >= all, "{own} {all}");
                            compared += 1;
                            equal += i32::from(own == all && group.vehicles != Vehicles::All);
                        }
                    }
                    for k in 0..8 {
                        assert!(claim.at_least(k) <= all.at_least(k) + 1e-9);
                    }
                    assert!(claim.expected() <= all.expected() + 1e-9);
                    assert!((claim.bikes.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                }
                let (_, alone) = follower
                    .claims(&station, group.vehicles, &horizons)
                    .unwrap();
                assert_eq!(alone, group.claims);
            }
        }
    });
    // Some had to be bounded.
    assert!(compared > 1_000 && equal > 0, "{compared} {equal}");
}

#[test]
fn forecasts_from_snapshots_that_are_far_apart_are_marked() {
    let mut snapshots = town(6);
    for (step, expected) in [(INTERVAL, None), (30, Some(30_i64))] {
        snapshots
            .retain(|snapshot| (minute_of(snapshot.taken_at) - minute_of(instant(0))) % step == 0);
        let store = MemoryStore::default();
        apply(&store, &snapshots);
        block_on(Follower::update(&store, &system())).unwrap();
        let outlook = report(&store, "outlook", &Filters::default());
        assert!(!outlook.rows.is_empty(), "{:?}", notes(&outlook));
        let marks = column(&outlook, "coarse_interval_min");
        assert!(marks.iter().all(|mark| *mark == Value::from(expected)));
        let warnings = notes(&outlook)
            .iter()
            .filter(|note| note.contains("30 minutes apart"))
            .count();
        assert_eq!(warnings, usize::from(expected.is_some()));
    }
}

#[test]
fn damaged_files_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let store = EmbeddedStore::open(&root).unwrap();
    let snapshots = town(4);
    apply(&store, &snapshots);
    block_on(Follower::update(&store, &system())).unwrap();
    let files = ["divvy.models", "divvy.log"].map(|name| root.join("forecasts").join(name));
    let before = files.each_ref().map(|file| std::fs::read(file).unwrap());
    for (file, bytes) in files.iter().zip(&before) {
        for damaged in [&bytes[..bytes.len() / 2], &bytes[..5], b""] {
            std::fs::write(file, damaged).unwrap();
            let checked = store.check(&|_, _| ()).unwrap();
            assert_eq!(checked.faults, Vec::<String>::new());
            let path = file.display().to_string();
            let named = checked.notes.iter().filter(|note| note.contains(&path));
            assert_eq!(named.count(), 1, "{:?}", checked.notes);
            assert!(
                !checked
                    .facts
                    .iter()
                    .any(|fact| fact.starts_with("forecasts: "))
            );
            block_on(Follower::update(&store, &system())).unwrap();
            let follower = block_on(Follower::open(&store, &system())).unwrap();
            assert!(follower.models().is_some(), "{}", file.display());
        }
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        std::fs::write(file, flipped).unwrap();
        block_on(Follower::update(&store, &system())).unwrap();
    }
    let checked = store.check(&|_, _| ()).unwrap();
    let fact = "forecasts: 2 files, each is what was written";
    assert!(checked.facts.iter().any(|it| it == fact), "{checked:?}");
    assert_eq!(checked.notes, Vec::<String>::new());
    // The same history gives the same models.
    assert_eq!(std::fs::read(&files[0]).unwrap(), before[0]);
}

#[test]
fn a_short_history_has_no_forecast_and_a_note_of_its_length() {
    let snapshots = &town(5)[..20];
    let store = followed(snapshots, |_, _, follower| {
        assert!(follower.models().is_none())
    });
    let table = report(&store, "outlook", &Filters::default());
    assert!(table.rows.is_empty());
    assert_eq!(
        notes(&table),
        [
            "no forecast: forecasts need readings on 2 days, the last for at least 12 hours: the history has 0 days"
        ]
    );
}

fn report(store: &dyn Store, name: &str, filters: &Filters) -> Table {
    block_on(reports::report(name, store, &system(), filters)).unwrap()
}

fn notes(table: &Table) -> Vec<String> {
    table
        .notes
        .iter()
        .map(|it| it.text().into_owned())
        .collect()
}

fn column(table: &Table, name: &str) -> Vec<Value> {
    let at = table.columns.iter().position(|it| it.name == name).unwrap();
    table.rows.iter().map(|row| row[at].clone()).collect()
}

#[test]
fn an_outlook_has_a_row_a_station_group_and_horizon() {
    let store = MemoryStore::default();
    let snapshots = town(6);
    apply(&store, &snapshots);
    let all = report(&store, "outlook", &Filters::default());
    assert_eq!(all.rows.len(), STATIONS * 3 * HORIZONS.len());
    let of_all = Filters {
        bike: Some("all".into()),
        ..Filters::default()
    };
    let of_all = report(&store, "outlook", &of_all);
    assert_eq!(of_all.rows.len(), STATIONS * HORIZONS.len());
    let probabilities = |table: &Table, name: &str| -> Vec<f64> {
        let values = column(table, name);
        values.iter().filter_map(Value::number).collect()
    };
    // The bikes of the rows of the station at the highest risk come first.
    let risk = |row: &Vec<Value>| {
        row[6..10]
            .iter()
            .filter_map(Value::number)
            .fold(0.0, f64::max)
    };
    let most = of_all.rows.iter().map(risk).fold(0.0, f64::max);
    let first = of_all.rows[..HORIZONS.len()]
        .iter()
        .map(risk)
        .fold(0.0, f64::max);
    assert_eq!(first, most);
    let empty = probabilities(&of_all, "p_empty");
    let enough = probabilities(&of_all, "p_need");
    for ((empty, enough), distribution) in empty
        .iter()
        .zip(enough)
        .zip(column(&of_all, "distribution"))
    {
        let Value::Distribution(distribution) = distribution else {
            panic!("{distribution:?}");
        };
        assert!((distribution.iter().sum::<f64>() - 1.0).abs() < 1e-4);
        assert!((distribution[0] - empty).abs() < 1e-4);
        assert!((1.0 - empty - enough).abs() < 1e-4);
    }
    for name in ["p_empty_within", "p_full_within"] {
        for of_station in column(&of_all, name).chunks(HORIZONS.len()) {
            let of_station: Vec<f64> = of_station.iter().filter_map(Value::number).collect();
            assert!(of_station.is_sorted(), "{name}: {of_station:?}");
        }
    }
    let arriving = Filters {
        arrive: Some("22min".parse().unwrap()),
        need: Some(2),
        bike: Some("classic".into()),
        station: Some("s1".into()),
        ..Filters::default()
    };
    let arriving = report(&store, "outlook", &arriving);
    assert_eq!(column(&arriving, "horizon_min"), [Value::from(22_i64)]);
    assert_eq!(column(&arriving, "bikes_of"), [Value::from("classic")]);
    assert_eq!(column(&arriving, "p_full"), [Value::Empty]);
    assert!(
        notes(&arriving)
            .iter()
            .any(|note| note.contains("calibrated as those of 15, 30, 60, 120"))
    );
    let unknown = Filters {
        bike: Some("scooter".into()),
        ..Filters::default()
    };
    let error = block_on(reports::report("outlook", &store, &system(), &unknown));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("all, ebike, classic"), "{error}");
}

/// The feed of a sample at an instant, with a dozen of its stations.
fn sample_feed(at: Timestamp) -> Vec<Feed> {
    let files = sample::feed(Era::Y2024, 1, at).into_iter();
    let files = files.filter(|(name, _)| name.starts_with("station_"));
    let feed = |(name, bytes): (&str, Vec<u8>)| {
        let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        json["data"]["stations"]
            .as_array_mut()
            .unwrap()
            .truncate(12);
        match station_feed::read(json.to_string().as_bytes(), name).unwrap() {
            Document::Feed(feed) => feed,
            other => panic!("{other:?}"),
        }
    };
    files.map(feed).collect()
}

#[test]
fn a_replay_of_a_sample_has_an_outlook_and_a_calibration() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();
    let mut replay = Replay::new(&store, PollOptions::new(Timestamp::now()));
    for step in 0..72 * 3 {
        let failed = block_on(replay.apply(sample_feed(instant(20 * step)), "feed")).unwrap();
        assert!(failed.is_none());
    }
    let system = replay.system().cloned().unwrap();
    block_on(replay.finish()).unwrap();
    let report = |name| block_on(reports::report(name, &store, &system, &Filters::default()));
    let outlook = report("outlook").unwrap();
    assert!(outlook.rows.len() > 12, "{:?}", notes(&outlook));
    let calibration = report("calibration").unwrap();
    assert!(calibration.rows.len() > 12, "{:?}", notes(&calibration));
    let n: f64 = column(&calibration, "n")
        .iter()
        .filter_map(Value::number)
        .sum();
    assert!(n > 500.0, "{n}");
}
