//! A day of polls, one a minute, on provisioned tables and the emulator's virtual clock: how many end
//! in the 54 seconds that the Lambda function has, what they read and write, and how old the states
//! in StationData become. Prints the table of `docs/BENCHMARKS.md`:
//!
//! ```sh
//! cargo run --release -p divvy-aws --example polls -- --stations 1811 --units 3 --hours 24
//! ```
//!
//! Of the stations, as many change in a minute as did in Chicago on five days of September 2014, by
//! the minute snapshots of divvy-history: 2 % at night, 13 % from five to six in the afternoon. Every
//! station reports at another time in every minute. Each sixth hour the function starts anew, as
//! Lambda does from time to time, and reads all rows.

use std::error::Error;
use std::time::Duration;

use divvy::model::{Availability, Snapshot, SnapshotKind, Station, StationSource, System};
use divvy::store::StationTable;
use divvy_aws::tables::{Capacity, Layout};
use divvy_aws::{DynamoStore, OpenOptions};
use jiff::Timestamp;
use throttling_dynamodb::{Burst, Emulator, Options};
use tokio::time::{Instant, sleep_until, timeout};

type Done<T> = Result<T, Box<dyn Error>>;

/// Of 300 stations, how many change in a minute, by hour of the day.
const CHANGED_OF_300: [f64; 24] = [
    9.2, 7.7, 7.9, 7.1, 7.1, 8.8, 14.5, 23.2, 26.9, 19.5, 17.5, 20.3, 21.5, 22.4, 22.8, 25.5, 30.3,
    39.0, 32.2, 24.7, 19.0, 17.8, 14.0, 11.7,
];
/// The time limit of a poll: that of the function, less a second for its log line.
const LIMIT: Duration = Duration::from_secs(54);
/// The number of polls after which the function starts anew.
const RESTART_AFTER: u64 = 360;

/// What the polls of an hour did.
#[derive(Default)]
struct Hour {
    polls: u64,
    unfinished: u64,
    longest: Duration,
    read: f64,
    write: f64,
    /// The largest age at the end of the hour, in minutes, of a state in StationData that the feed has
    /// replaced since. `None` where it was not measured.
    oldest_min: Option<u64>,
}

fn main() -> Done<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str, default: u64| {
        let at = args.iter().position(|arg| arg == name);
        let text = at.and_then(|at| args.get(at + 1));
        text.map_or(Ok(default), |text| text.parse())
    };
    let stations = value("--stations", 1811)?;
    let units = u32::try_from(value("--units", 3)?)?;
    let hours = value("--hours", 24)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    runtime.block_on(day(stations, units, hours))
}

/// A feed of invented stations.
struct Feed {
    stations: Vec<Station>,
    /// The minute at which each station changed last.
    changed: Vec<u64>,
}

impl Feed {
    fn new(stations: u64) -> Self {
        let make = |n: u64| Station {
            source: StationSource::Feed,
            name: Some(format!("Street {n} & Avenue {}", n % 97)),
            short_name: Some(format!("CHI{n:05}")),
            latitude: format!("41.{:06}", 600_000 + n * 137).parse().ok(),
            longitude: format!("-87.{:06}", 500_000 + n * 91).parse().ok(),
            capacity: Some(15 + n as u32 % 32),
            available: Availability {
                vehicles: Some(n as u32 % 12),
                ebikes: Some(n as u32 % 5),
                docks: Some(10),
                vehicles_disabled: Some(0),
                docks_disabled: Some(0),
            },
            ..Station::unknown(format!("a3b1c5d7-0000-4000-8000-{n:012}").as_str().into())
        };
        Self {
            stations: (0..stations).map(make).collect(),
            changed: vec![0; stations as usize],
        }
    }

    fn snapshot(&mut self, minute: u64) -> Snapshot {
        let taken_at = at(minute);
        let share = CHANGED_OF_300[(minute / 60 % 24) as usize] / 300.0;
        for (station, changed) in self.stations.iter_mut().zip(&mut self.changed) {
            station.reported_at = Some(taken_at);
            if minute == 0 || fastrand::f64() < share {
                station.available.vehicles = Some(fastrand::u32(1..1_000_000));
                *changed = minute;
            }
        }
        Snapshot {
            system: divvy(),
            kind: SnapshotKind::Full,
            taken_at,
            stations: self.stations.clone(),
            by_type: Default::default(),
        }
    }
}

fn divvy() -> System {
    System::named("divvy").expect("the table has it")
}

fn at(minute: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + 60 * minute)
}

async fn day(stations: u64, units: u32, hours: u64) -> Done<()> {
    fastrand::seed(7);
    let local = Emulator::open(Options {
        scratch: true,
        burst: Burst::Full,
        ..Options::default()
    })?;
    let options = OpenOptions {
        http_client: Some(local.http_client()),
        layout: Some(Layout::Rows),
        capacity: Capacity::Provisioned {
            wcu: units,
            rcu: units,
        },
        ..OpenOptions::default()
    };
    let mut feed = Feed::new(stations);
    let mut store = DynamoStore::open(options.clone()).await?;
    let mut by_hour: Vec<Hour> = Vec::new();
    let mut first_finished = None;
    let start = Instant::now();
    for minute in 0..60 * hours {
        sleep_until(start + Duration::from_secs(60 * minute)).await;
        if minute % 60 == 0 {
            by_hour.push(Hour::default());
        }
        if minute > 0 && minute % RESTART_AFTER == 0 {
            store = DynamoStore::open(options.clone()).await?;
        }
        let hour = by_hour.last_mut().expect("an hour has begun");
        let snapshot = feed.snapshot(minute);
        let before = store.used();
        let began = Instant::now();
        let applied = timeout(LIMIT, store.apply(&snapshot, snapshot.taken_at)).await;
        hour.polls += 1;
        hour.longest = hour.longest.max(began.elapsed());
        match applied {
            Ok(applied) => {
                applied?;
                first_finished.get_or_insert(minute + 1);
            }
            Err(_) => hour.unfinished += 1,
        }
        let used = store.used();
        hour.read += used.station_data.read + used.load_ledger.read
            - before.station_data.read
            - before.load_ledger.read;
        hour.write += used.station_data.write + used.load_ledger.write
            - before.station_data.write
            - before.load_ledger.write;
        // Seldom: this reads all rows, which takes 200 of the 900 units that the table saves up.
        if [9, 18, 24].contains(&((minute + 1) / 60)) && minute % 60 == 59 {
            hour.oldest_min = Some(oldest(&local, &feed, minute).await?);
        }
    }
    println!("{stations} stations, {units} write and {units} read units a second each table\n");
    match first_finished {
        Some(poll) => println!("the first poll that ended is number {poll}\n"),
        None => println!("no poll ended\n"),
    }
    println!(
        "| hour | polls | unfinished | longest, s | read units a poll | write units a poll | oldest state, min |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (n, hour) in by_hour.iter().enumerate() {
        let polls = hour.polls as f64;
        println!(
            "| {n} | {} | {} | {:.1} | {:.1} | {:.1} | {} |",
            hour.polls,
            hour.unfinished,
            hour.longest.as_secs_f64(),
            hour.read / polls,
            hour.write / polls,
            hour.oldest_min
                .map_or(String::new(), |minutes| minutes.to_string()),
        );
    }
    Ok(())
}

/// Returns the largest age of a stored state that the feed has replaced, in minutes.
async fn oldest(local: &Emulator, feed: &Feed, minute: u64) -> Done<u64> {
    let reader = DynamoStore::open_existing(OpenOptions {
        http_client: Some(local.http_client()),
        ..OpenOptions::default()
    });
    let reader = reader.await?.ok_or("the tables are gone")?;
    let stored = reader.stations(&divvy().id).await?;
    let stored: std::collections::HashMap<_, _> = stored
        .into_iter()
        .map(|station| (station.id, station.available))
        .collect();
    let stale = feed.stations.iter().zip(&feed.changed);
    let stale = stale.filter(|(station, _)| stored.get(&station.id) != Some(&station.available));
    Ok(stale
        .map(|(_, changed)| minute - changed)
        .max()
        .unwrap_or(0))
}
