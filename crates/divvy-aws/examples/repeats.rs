//! How much memory a load takes whose archive repeats the ids of another, over the emulator in
//! this process with its tables in a file. Linux only: the peak is read from `/proc/self/status`.
//!
//! ```sh
//! cargo run --release -p divvy-aws --example repeats -- 20000 rows repeats
//! ```
//!
//! With `-- serve rows repeats` it serves an emulator until a line comes on its standard input;
//! another that has the address in `ENDPOINT`, and any `AWS_ACCESS_KEY_ID` and
//! `AWS_SECRET_ACCESS_KEY`, measures the memory of the loader alone.
//!
//! The third word is `repeats`, or `others` for an archive as large with ids of its own: what
//! that one takes is the share of the emulator and of the spool.

use std::error::Error;
use std::sync::Arc;

use divvy::issue::RejectedCounts;
use divvy::model::{Flags, Rider, System, Trip, TripBatch, TripId};
use divvy::store::{ArchiveId, ArchiveRead, ContentHash, StoreError, Trips};
use divvy::tally::{Tally, Totals};
use divvy_aws::store::{Listener, LoadSettings, Written};
use divvy_aws::tables::{Capacity, Layout};
use divvy_aws::{DynamoStore, OpenOptions};
use jiff::Timestamp;
use throttling_dynamodb::{Emulator, Options};

/// Rows of a batch, as the readers of archives make them.
const BATCH: u64 = 8192;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [n, layout, ids] = &args[..] else {
        return Err("give the number of trips, rows or packed, and repeats or others".into());
    };
    // A process of its own has the emulator: what is measured is the loader's memory alone.
    if n == "serve" {
        return serve();
    }
    let endpoint = std::env::var("ENDPOINT").ok();
    let n: u64 = n.parse()?;
    let layout = match layout.as_str() {
        "packed" => Layout::Packed,
        _ => Layout::Rows,
    };
    let first = match ids.as_str() {
        "repeats" => 0,
        _ => n,
    };
    let folder = tempfile::tempdir()?;
    let local = Emulator::open(Options {
        path: Some(folder.path().join("tables.db")),
        scratch: true,
        // A bucket for each key would be the emulator's share, and grow with the keys.
        key_caps: false,
        ..Options::default()
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(endpoint.is_none())
        .build()?;
    runtime.block_on(async {
        let store = DynamoStore::open(OpenOptions {
            http_client: endpoint.is_none().then(|| local.http_client()),
            region: Some("us-east-1".into()),
            endpoint,
            layout: Some(layout),
            capacity: Capacity::OnDemand,
            ..OpenOptions::default()
        });
        let store = store
            .await?
            .with_loads(LoadSettings::default(), Arc::new(Said));
        load(&store, 1, 0..n).await?;
        let before = memory_mb("VmRSS:");
        // The peak begins anew.
        std::fs::write("/proc/self/clear_refs", "5")?;
        let started = std::time::Instant::now();
        load(&store, 2, first..first + n).await?;
        println!(
            "{n} {layout} {ids}: {before:.0} MB after the first load, peak {:.0} MB in the second, \
             {:.0} MB after it; it took {:.1} s",
            memory_mb("VmHWM:"),
            memory_mb("VmRSS:"),
            started.elapsed().as_secs_f64()
        );
        Ok(())
    })
}

/// Serves an emulator until the process is ended.
fn serve() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let local = Emulator::open(Options {
        path: Some(folder.path().join("tables.db")),
        scratch: true,
        ..Options::default()
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let serving = runtime.block_on(local.serve())?;
    println!("ENDPOINT=http://{}", serving.addr);
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Prints the result of a load.
struct Said;

impl Listener for Said {
    fn written(&self, _: &Written) {}

    fn note(&self, note: &str) {
        println!("{note}");
    }
}

/// Loads an archive. Of two copies of a trip that of the second archive is the better one for
/// every other trip.
async fn load(
    store: &DynamoStore,
    archive: u8,
    trips: std::ops::Range<u64>,
) -> Result<(), StoreError> {
    let id = ArchiveId {
        system: System::named("divvy").expect("the table of systems has it"),
        name: format!("{archive}.zip"),
        content: ContentHash(u128::from(archive) << 100),
    };
    let incoming = store.begin(&id).await?;
    let mut totals = Totals::default();
    let rows_read = trips.end - trips.start;
    let mut line = 2;
    for start in trips.clone().step_by(BATCH as usize) {
        let some = start..(start + BATCH).min(trips.end);
        let mut batch: TripBatch = some.map(|n| trip(n, archive)).collect();
        batch.line = (line..line + batch.len() as u64).collect();
        line += batch.len() as u64;
        totals.count(&batch, 1);
        incoming.write(0, batch)?;
    }
    let read = ArchiveRead {
        id,
        members: vec!["trips.csv".into()],
        rows_read,
        rejected: RejectedCounts::new(),
        skipped: Vec::new(),
        forced_from: None,
        totals,
        loaded_at: Timestamp::UNIX_EPOCH,
        replace: false,
    };
    incoming.commit(read, &()).await?;
    Ok(())
}

fn trip(n: u64, archive: u8) -> Trip {
    let started_ms = 1_704_067_200_000 + 500 * n as i64;
    Trip {
        id: TripId::from(format!("{:016X}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))),
        started_ms,
        started_offset_s: -21_600,
        ended_ms: started_ms + 900_000,
        ended_offset_s: -21_600,
        precision_ms: if n.is_multiple_of(2) == (archive == 2) {
            1
        } else {
            1000
        },
        reported_s: None,
        origin: Some(format!("S{}", n % 600).as_str().into()),
        destination: Some(format!("S{}", n * 7 % 600).as_str().into()),
        vehicle: None,
        bike: Some("classic_bike".into()),
        rider: Rider::Member,
        gender: None,
        birth_year: None,
        from: Some((41_900_000, -87_600_000)),
        to: Some((41_910_000, -87_610_000)),
        flags: Flags::NONE,
    }
}

/// Returns the memory of this process in megabytes, as the system reports it; 0 where it does not.
fn memory_mb(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kb = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kb.and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
