//! What a load and a refresh take at 5 write and 5 read units a second, on the emulator's virtual
//! clock, beside the least that they could take and beside what the planner said before. Prints
//! the tables of `docs/BENCHMARKS.md`:
//!
//! ```sh
//! cargo run -p divvy-aws --example capacity -- --trips 2100000
//! ```

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use divvy::ingest::{self, LoadOptions};
use divvy::model::{Snapshot, System};
use divvy::refresh;
use divvy::sample::{self, Era, Sample};
use divvy::sources::archive::Archive;
use divvy::sources::station_feed::{self, Document};
use divvy::store::{CountsTable, StationTable};
use divvy_aws::duplicate_estimate::estimate_duplicates;
use divvy_aws::plan::{self, BURST_S, Capacities, Forecast, LoadMethod, Terms, Units};
use divvy_aws::store::UsedOf;
use divvy_aws::tables::{Capacity, Layout};
use divvy_aws::{DynamoStore, OpenOptions};
use jiff::Timestamp;
use throttling_dynamodb::{Burst, Emulator, Options};
use tokio::time::Instant;

type Done<T> = Result<T, Box<dyn Error>>;

/// Units a second of each table and of the index, for writes and again for reads.
const UNITS: u32 = 5;
/// What the original program read to count all its stations: `research`, measured.
const SEED_REFRESH_UNITS: f64 = 70_930.0;

/// What a layout took.
struct Took {
    layout: Layout,
    load_s: f64,
    table_units: f64,
    index_units: f64,
    other_units: f64,
    /// Requests that the front refused, and items that it handed back; none of it was seen above.
    throttled: (u64, u64),
    stored: u64,
    counted: u64,
    /// What `check` found. `None` where it was not asked.
    faults: Option<Vec<String>>,
    peak_mib: u64,
    first: Refresh,
    unchanged: Refresh,
}

/// What it took to bring the counts up to date.
struct Refresh {
    seconds: f64,
    stations: u64,
    recounted: u64,
    /// Of the index and of FromStationCounts.
    read_units: f64,
    /// Of LoadLedger.
    ledger_read_units: f64,
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn divvy() -> System {
    System::named("divvy").expect("the table has it")
}

fn options() -> LoadOptions {
    LoadOptions {
        system: Some(divvy()),
        ..LoadOptions::new(now())
    }
}

fn main() -> Done<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let place = args.iter().position(|arg| arg == name)?;
        args.get(place + 1).cloned()
    };
    let trips: u64 = value("--trips").map_or(Ok(100_000), |text| text.parse())?;
    let layouts = match value("--layout").as_deref() {
        Some("rows") => vec![Layout::Rows],
        Some("packed") => vec![Layout::Packed],
        _ => vec![Layout::Rows, Layout::Packed],
    };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(Era::Y2016.archive_name());
    let sample = Sample {
        era: Era::Y2016,
        trips,
        seed: 1,
    };
    sample.write_zip(File::create(&path)?, &mut |_| {})?;
    let archive = Archive::open(&path)?;

    let estimate = estimate_duplicates(&[Archive::open(&path)?], &options(), &(), &())?;
    let workload = plan::measure(&estimate, true)?;
    let terms = Terms {
        capacities: Some(Capacities::each(Some(Units {
            write: UNITS,
            read: UNITS,
        }))),
        ..Terms::default()
    };
    let forecasts = plan::forecasts(&workload, &terms);
    let forecast = |method: LoadMethod| {
        let found = forecasts.iter().find(|forecast| forecast.method == method);
        found.ok_or_else(|| format!("no forecast of {}", method.as_str()))
    };

    let mut all = Vec::new();
    for layout in layouts {
        eprintln!("{layout} …");
        all.push(take(layout, &archive, folder.path())?);
    }
    println!("{trips} trips, {} origins\n", workload.origins);
    println!(
        "| way | WCU, table | WCU, index | forecast | seen / forecast | days | least | seen / \
         least | $ once |\n|---|---|---|---|---|---|---|---|---|"
    );
    let seed = forecast(LoadMethod::Original)?;
    println!("{}", computed("the original (computed)", seed));
    for took in &all {
        let way = match took.layout {
            Layout::Rows => LoadMethod::Rows,
            Layout::Packed => LoadMethod::Packed,
        };
        println!("{}", took.line(forecast(way)?));
    }
    println!(
        "{}",
        computed("S3 import (forecast)", forecast(LoadMethod::Import)?)
    );
    println!(
        "\n| layout | stored | counted | faults found by check | requests refused, items put off \
         (seen above: none) | other WCU | peak memory |\n|---|---|---|---|---|---|---|"
    );
    for took in &all {
        let (requests, items) = took.throttled;
        println!(
            "| {} | {} | {} | {} | {requests}, {items} | {:.0} | {} MiB |",
            took.layout,
            took.stored,
            took.counted,
            took.faults
                .as_ref()
                .map_or("not asked".into(), |faults| faults.len().to_string()),
            took.other_units,
            took.peak_mib,
        );
        for fault in took.faults.iter().flatten() {
            eprintln!("{fault}");
        }
    }
    println!(
        "\n| refresh of all stations | stations | recounted | RCU | of it a station | RCU of the \
         ledger | minutes |\n|---|---|---|---|---|---|---|"
    );
    println!(
        "| the original, each time | | all | {SEED_REFRESH_UNITS} | | | {:.0} |",
        SEED_REFRESH_UNITS / f64::from(UNITS) / 60.0
    );
    for took in &all {
        for (name, refresh) in [("first", &took.first), ("nothing new", &took.unchanged)] {
            println!(
                "| {}, {name} | {} | {} | {:.1} | {:.2} | {:.1} | {:.1} |",
                took.layout,
                refresh.stations,
                refresh.recounted,
                refresh.read_units,
                refresh.read_units / refresh.stations.max(1) as f64,
                refresh.ledger_read_units,
                refresh.seconds / 60.0,
            );
        }
    }
    Ok(())
}

fn days(seconds: f64) -> String {
    format!("{:.3}", seconds / 86_400.0)
}

fn computed(name: &str, forecast: &Forecast) -> String {
    let load = forecast.load_s.map_or("minutes".into(), days);
    format!(
        "| {name} | {:.0} | {:.0} | | | {load} | | | {:.2} |",
        forecast.table_write_units, forecast.index_write_units, forecast.once_usd,
    )
}

impl Took {
    fn line(&self, forecast: &Forecast) -> String {
        let seen = self.table_units + self.index_units;
        let said = forecast.table_write_units + forecast.index_write_units;
        let slowest = self.table_units.max(self.index_units);
        let least_s = slowest / f64::from(UNITS) - BURST_S;
        format!(
            "| {} | {:.0} | {:.0} | {said:.0} | {:.4} | {} | {} | {:.4} | {:.2} |",
            self.layout,
            self.table_units,
            self.index_units,
            seen / said,
            days(self.load_s),
            days(least_s),
            self.load_s / least_s,
            forecast.once_usd,
        )
    }
}

/// Watches how much memory the process holds that is no file's.
struct Watch {
    is_over: Arc<AtomicBool>,
    peak: std::thread::JoinHandle<u64>,
}

impl Watch {
    fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let peak = std::thread::spawn(move || {
            let mut peak = 0;
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(anonymous_kib().unwrap_or(0));
                std::thread::sleep(Duration::from_millis(100));
            }
            peak
        });
        Self { is_over, peak }
    }

    fn end(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.peak.join().unwrap_or(0) / 1024
    }
}

fn anonymous_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Loads an archive and refreshes all counts, on a clock of their own.
fn take(layout: Layout, archive: &Archive, folder: &Path) -> Done<Took> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    runtime.block_on(taken(layout, archive, folder))
}

async fn taken(layout: Layout, archive: &Archive, folder: &Path) -> Done<Took> {
    // In a file, so that the memory is the loader's own; on tables that have been idle.
    let local = Emulator::open(Options {
        path: Some(folder.join(format!("{layout}.db"))),
        scratch: true,
        burst: Burst::Full,
        ..Options::default()
    })?;
    let open = || {
        DynamoStore::open(OpenOptions {
            http_client: Some(local.http_client()),
            layout: Some(layout),
            capacity: Capacity::Provisioned {
                wcu: UNITS,
                rcu: UNITS,
            },
            ..OpenOptions::default()
        })
    };
    let store = open().await?;
    let watch = Watch::start();
    let start = Instant::now();
    let loaded = ingest::load(archive, &store, &options(), &(), &()).await?;
    let load_s = start.elapsed().as_secs_f64();
    let peak_mib = watch.end();
    let used = store.used();
    let stored = loaded.entry.map_or(0, |entry| entry.stored);
    eprintln!("  loaded in {load_s:.0} s of its clock");

    let first = refresh(&store).await?;
    eprintln!("  refreshed in {:.0} s", first.seconds);
    // The stations come; then each of them has one bike more.
    let snapshot = snapshot()?;
    store.apply(&snapshot, snapshot.taken_at).await?;
    refresh(&store).await?;
    let mut changed = snapshot;
    changed.taken_at += Duration::from_secs(60);
    for station in &mut changed.stations {
        station.available.vehicles = station.available.vehicles.map(|n| n + 1).or(Some(1));
    }
    store.apply(&changed, changed.taken_at).await?;
    let unchanged = refresh(&store).await?;

    let counts = store.counts(&divvy().id).await?;
    let meter = local.meter();
    // Each page of a scan makes the emulator read its whole table: of a large one, what the index
    // has of each origin, as the refresh counted it, must do.
    let is_small = layout == Layout::Packed || stored <= 200_000;
    let checked = match is_small {
        true => Some(store.check().await?),
        false => None,
    };
    Ok(Took {
        layout,
        load_s,
        table_units: used.trip_data.write,
        index_units: used.trip_data.index_write,
        other_units: used.load_ledger.write + used.station_data.write,
        throttled: (meter.throttled_requests, meter.unprocessed_items),
        stored,
        counted: counts.iter().map(|count| count.from_count).sum(),
        faults: checked.map(|checked| checked.faults),
        peak_mib,
        first,
        unchanged,
    })
}

async fn refresh(store: &DynamoStore) -> Done<Refresh> {
    let before = store.used();
    let start = Instant::now();
    let refreshed = refresh::drain(store, refresh::CONSUMER, now()).await?;
    let after = store.used();
    let read = |used: &UsedOf| used.trip_data.index_read + used.from_station_counts.read;
    Ok(Refresh {
        seconds: start.elapsed().as_secs_f64(),
        stations: refreshed.stations,
        recounted: refreshed.recounted,
        read_units: read(&after) - read(&before),
        ledger_read_units: after.load_ledger.read - before.load_ledger.read,
    })
}

/// What the sample's stations report.
fn snapshot() -> Done<Snapshot> {
    let at = Timestamp::from_second(1_738_000_000)?;
    let files = sample::feed(Era::Y2016, 1, at);
    let feeds = files
        .iter()
        .filter_map(|(name, json)| match station_feed::read(json, name) {
            Ok(Document::Feed(feed)) => Some(feed),
            _ => None,
        });
    Ok(station_feed::snapshot(feeds.collect(), &divvy(), None)?)
}
