//! Failures around the store do not reach its callers, and no trip is lost or counted twice. The
//! failures: errors, timeouts, lost responses, too little capacity for several processes, and
//! processes that are killed at any request.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use divvy::ingest::{self, LoadOptions};
use divvy::model::{Flags, Trip, TripId};
use divvy::refresh;
use divvy::sample::{self, Era, Sample};
use divvy::sources::archive::Archive;
use divvy::sources::station_feed::{self, Document};
use divvy::store::{
    Ledger as _, LedgerEntry, StationTable as _, Store, StoreError, TotalsReader as _,
};
use divvy_aws::lambda::station_stream::handle_event;
use divvy_aws::ledger::{decode_ids, encode_ids};
use divvy_aws::stream::{Checkpoints, StreamReader};
use divvy_aws::tables::{Capacity, Layout};
use divvy_aws::{DynamoStore, OpenOptions};
use divvy_testkit::MemoryStore;
use divvy_testkit::cases::{self, Row, minute, system};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use throttling_dynamodb::{Emulator, Faults, Options};

mod connections;

use crate::paused::block_on;
use crate::process::{End, LATE, Process};
use divvy_testkit::contents;

fn emulator() -> Emulator {
    let local = Emulator::open(Options {
        scratch: true,
        ..Options::default()
    });
    local.unwrap()
}

const FIVE: Capacity = Capacity::Provisioned { wcu: 5, rcu: 5 };

async fn open(
    client: SharedHttpClient,
    layout: Layout,
    capacity: Capacity,
) -> Result<DynamoStore, StoreError> {
    DynamoStore::open(OpenOptions {
        http_client: Some(client),
        layout: Some(layout),
        capacity,
        late: Some(LATE),
        ..OpenOptions::default()
    })
    .await
}

/// Returns the time some minutes after the first poll of the samples' stations.
fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_738_000_000 + 60 * minute).unwrap()
}

/// Writes an archive with trips of an era.
fn archive(folder: &Path, era: Era, trips: u64) -> Archive {
    let path = folder.join(era.archive_name());
    let sample = Sample {
        era,
        trips,
        seed: 7,
    };
    sample
        .write_zip(File::create(&path).unwrap(), &mut |_| {})
        .unwrap();
    Archive::open(&path).unwrap()
}

async fn load(store: &dyn Store, archive: &Archive) {
    let options = LoadOptions {
        system: Some(system()),
        ..LoadOptions::new(at(0))
    };
    let loaded = ingest::load(archive, store, &options, &(), &()).await;
    assert!(!loaded.unwrap().already);
}

async fn poll(store: &dyn Store, era: Era, at: Timestamp) {
    let files = sample::feed(era, 7, at);
    let feeds = files
        .iter()
        .filter_map(|(name, json)| match station_feed::read(json, name) {
            Ok(Document::Feed(feed)) => Some(feed),
            _ => None,
        });
    let polled = ingest::apply(feeds.collect(), store, &system(), at).await;
    assert!(polled.unwrap().stations > 500);
}

async fn drain(store: &dyn Store) {
    let drained = refresh::drain(store, refresh::CONSUMER, at(0)).await;
    assert_eq!(drained.unwrap().uncounted, []);
}

/// Asserts that a store is equal to a model without failures, and that `check` finds no faults.
async fn is_right(store: &DynamoStore, model: &MemoryStore) {
    assert_eq!(contents(store).await, contents(model).await);
    let checked = store.check().await.unwrap();
    assert_eq!(checked.faults, Vec::<String>::new());
    let waits = checked.facts.iter().find(|fact| fact.contains("wait for"));
    assert_eq!(waits, None);
}

/// Loads archives, and polls after each.
async fn undergo(store: &dyn Store, archives: &[(Era, Archive)]) {
    for (minute, (era, archive)) in archives.iter().enumerate() {
        load(store, archive).await;
        poll(store, *era, at(minute as i64)).await;
        drain(store).await;
    }
}

#[test]
fn transient_failures_do_not_reach_callers() {
    let folder = tempfile::tempdir().unwrap();
    let of = |era, trips| (era, archive(folder.path(), era, trips));
    let archives = [of(Era::Y2016, 300), of(Era::Y2020, 200)];
    let model = MemoryStore::default();
    block_on(undergo(&model, &archives));
    let mut struck = [0; 7];
    for (seed, layout) in (1..).zip([Layout::Rows, Layout::Packed].repeat(2)) {
        let share = 0.05 * seed as f64;
        block_on(async {
            let local = emulator();
            let client = local.http_client();
            let store = open(client, layout, Capacity::OnDemand).await.unwrap();
            local.set_faults(Faults {
                seed,
                internal_error: share / 4.0,
                throttle: share,
                timeout: share / 4.0,
                dropped_reply: share / 2.0,
                partial_batch: share,
                unanswered: share / 8.0,
                slow_reply: share,
            });
            undergo(&store, &archives).await;
            let faults = local.meter().faults;
            local.set_faults(Faults::default());
            is_right(&store, &model).await;
            let of_each = [
                faults.internal_errors,
                faults.throttles,
                faults.timeouts,
                faults.dropped_replies,
                faults.partial_batches,
                faults.unanswered,
                faults.slow_replies,
            ];
            for (sum, n) in struck.iter_mut().zip(of_each) {
                *sum += n;
            }
        });
    }
    println!("500, throttle, timeout, lost, part of a batch, half-open, slow: {struck:?}");
    assert!(struck.iter().all(|n| *n > 10), "{struck:?}");
}

/// Reads the stream as Lambda does, and passes the records to the handler, until `is_over` and there
/// are no more records. Records that are not done are delivered again.
async fn play_lambda(store: &DynamoStore, is_over: &AtomicBool) -> u64 {
    let arn = store.tables().station_data.stream.clone().unwrap();
    let streams = store.connection().streams.clone();
    let mut done = Checkpoints::start(arn);
    let mut recounts = 0;
    loop {
        let was_over = is_over.load(Ordering::Relaxed);
        let mut reader = StreamReader::new(streams.clone(), done.clone());
        let read = reader.read(100).await.unwrap();
        if read.is_empty() {
            if was_over {
                return recounts;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        let mut event = aws_lambda_events::dynamodb::Event::default();
        event.records = read
            .iter()
            .map(|delivery| delivery.record.clone())
            .collect();
        let end = tokio::time::Instant::now() + Duration::from_secs(60);
        let (answer, log) = handle_event(event, store, &system().id, Some(end), at(0)).await;
        recounts += log.recounts;
        let failed = answer.batch_item_failures.first();
        let failed = failed.and_then(|failure| failure.item_identifier.clone());
        if let Some(stopped) = &log.stopped {
            assert!(stopped.is_late, "{stopped:?}");
        }
        for delivery in &read {
            if failed.is_some() && delivery.record.change.sequence_number == failed {
                break;
            }
            done.advance(delivery);
        }
    }
}

#[test]
fn all_failures_at_once_with_five_units_do_not_reach_callers() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), Era::Y2016, 1_500);
    for layout in [Layout::Rows, Layout::Packed] {
        block_on(async {
            let local = emulator();
            let client = || local.http_client();
            // One process each, so that none knows which capacity the others use.
            let loader = open(client(), layout, FIVE).await.unwrap();
            let poller = open(client(), layout, FIVE).await.unwrap();
            let lambda = open(client(), layout, FIVE).await.unwrap();
            let other = open(client(), layout, FIVE).await.unwrap();
            poll(&poller, Era::Y2016, at(0)).await;
            let (loaded, over) = (AtomicBool::new(false), AtomicBool::new(false));
            let loading = async {
                load(&loader, &archive).await;
                loaded.store(true, Ordering::Relaxed);
            };
            let polling = async {
                let mut polls = 1;
                while polls < 4 || !loaded.load(Ordering::Relaxed) {
                    poll(&poller, Era::Y2016, at(polls)).await;
                    polls += 1;
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                over.store(true, Ordering::Relaxed);
                polls
            };
            let draining = async {
                loop {
                    let was_over = over.load(Ordering::Relaxed);
                    let refreshed = refresh::drain(&other, "another", at(0)).await.unwrap();
                    if was_over && refreshed.changes == 0 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            };
            let playing = play_lambda(&lambda, &over);
            let ((), polls, (), recounts) = tokio::join!(loading, polling, draining, playing);
            assert!(recounts > 0);

            let model = MemoryStore::default();
            for minute in 0..polls {
                poll(&model, Era::Y2016, at(minute)).await;
            }
            load(&model, &archive).await;
            drain(&model).await;
            is_right(&other, &model).await;
            let meter = local.meter();
            println!(
                "{layout}: {polls} polls, {recounts} recounts of one consumer, {} requests \
                 throttled, {} items put off",
                meter.throttled_requests, meter.unprocessed_items
            );
        });
    }
}

/// How a load ends early.
#[derive(Clone, Copy, Debug)]
struct Kill {
    end: End,
    /// The archive is not loaded again.
    abandon: bool,
}

/// Loads in a process of its own. `None` where that was killed.
async fn load_in_process(
    local: &Emulator,
    how: (Layout, Capacity),
    archive: &cases::Archive,
    kill: Option<Kill>,
    random: &mut fastrand::Rng,
) -> Option<LedgerEntry> {
    let process = Process::new(kill.map(|kill| kill.end), random);
    let client = process.client(local.http_client());
    let load = async {
        let store = open(client, how.0, how.1).await.unwrap();
        load_case(&store, archive).await.unwrap()
    };
    tokio::select! {
        biased;
        () = process.ended() => None,
        entry = load => Some(entry),
    }
}

async fn load_case(store: &dyn Store, archive: &cases::Archive) -> Result<LedgerEntry, StoreError> {
    let incoming = store.begin(&archive.id()).await?;
    for (member, batch) in archive.batches() {
        incoming.write(member, batch)?;
    }
    incoming.commit(archive.read(minute(0)), &()).await
}

/// The outcome of several loads, some of which were killed.
struct Outcome {
    local: Emulator,
    model: MemoryStore,
    kills: usize,
}

/// Loads archives one after another; repeats each load until it is done or abandoned.
async fn load_all(
    how: (Layout, Capacity),
    archives: &[&cases::Archive],
    kills: &mut dyn Iterator<Item = Kill>,
    random: &mut fastrand::Rng,
) -> Outcome {
    let local = emulator();
    let model = MemoryStore::default();
    let mut killed = 0;
    for archive in archives {
        loop {
            let kill = kills.next();
            let entry = load_in_process(&local, how, archive, kill, random).await;
            let mut is_loaded = entry.is_some();
            let mut is_over = is_loaded;
            if let Some(kill) = kill.filter(|_| !is_loaded) {
                killed += 1;
                // A load that supersedes archives has to be finished.
                if kill.abandon && !archive.replace {
                    let store = open(local.http_client(), how.0, how.1).await.unwrap();
                    // The last request, which may be the commit, arrives during this time.
                    tokio::time::sleep(LATE).await;
                    let content = archive.id().content;
                    let held = store.holding(&system().id, content).await.unwrap();
                    (is_loaded, is_over) = (held.is_some(), true);
                    // The handler may run at any time.
                    drain(&store).await;
                }
            }
            if is_loaded {
                load_case(&model, archive).await.unwrap();
            }
            if is_over {
                break;
            }
        }
    }
    Outcome {
        local,
        model,
        kills: killed,
    }
}

/// Loads one more archive, and compares the store with the model.
async fn ends_well((layout, capacity): (Layout, Capacity), outcome: &Outcome) {
    let last = plain("last.zip", (5_000..5_003).map(|n| row(n, 1_000, 0)));
    let store = open(outcome.local.http_client(), layout, capacity);
    let store = store.await.unwrap();
    load_case(&store, &last).await.unwrap();
    load_case(&outcome.model, &last).await.unwrap();
    drain(&store).await;
    drain(&outcome.model).await;
    is_right(&store, &outcome.model).await;
}

/// Makes an archive with one member.
fn plain(name: &str, rows: impl Iterator<Item = Row>) -> cases::Archive {
    cases::Archive {
        name: name.into(),
        members: vec![rows.collect()],
        unreadable: 0,
        batch: 64,
        replace: false,
    }
}

/// Makes the trip with a number. Of two copies the one with the smaller precision is the better.
fn row(n: u64, precision_ms: u32, later_s: i64) -> Row {
    let started_ms = 1_704_067_200_000 + 600_000 * n as i64 + 1_000 * later_s;
    let trip = Trip {
        id: TripId::from(format!("T{n:05}")),
        started_ms,
        started_offset_s: -21_600,
        ended_ms: started_ms + 900_000,
        ended_offset_s: -21_600,
        precision_ms: precision_ms.try_into().unwrap(),
        reported_s: None,
        origin: Some(["35", "76", "517"][(n + later_s as u64) as usize % 3].into()),
        destination: Some("76".into()),
        vehicle: None,
        bike: None,
        rider: divvy::model::Rider::parse("member"),
        gender: None,
        birth_year: None,
        from: None,
        to: None,
        flags: Flags::NONE,
    };
    Row { trip, name: None }
}

#[test]
fn a_load_killed_two_hundred_times_loses_nothing_and_counts_nothing_twice() {
    // The second archive has better copies of half the first. Its load is begun, abandoned, and
    // finished at the end.
    let first = plain("first.zip", (0..300).map(|n| row(n, 60_000, 0)));
    let second = plain("second.zip", (150..400).map(|n| row(n, 1_000, 1)));
    let third = plain("third.zip", (350..500).map(|n| row(n, 60_000, 2)));
    for layout in [Layout::Rows, Layout::Packed] {
        let mut random = fastrand::Rng::with_seed(50);
        let most = match layout {
            Layout::Rows => 90,
            Layout::Packed => 50,
        };
        let mut kills = std::iter::from_fn(|| {
            Some(Kill {
                end: End {
                    after: random.i64(10..most),
                    is_last_done: random.bool(),
                },
                abandon: random.u8(..) < 16,
            })
        });
        block_on(async {
            let how = (layout, FIVE);
            let archives = [&first, &second, &third, &second, &first];
            let mut kills_in_all = 0;
            let mut rounds = 0;
            let mut interleaving = fastrand::Rng::with_seed(51);
            while kills_in_all < 200 {
                let outcome = load_all(how, &archives, &mut kills, &mut interleaving).await;
                ends_well(how, &outcome).await;
                kills_in_all += outcome.kills;
                rounds += 1;
            }
            println!("{layout}: {kills_in_all} kills in {rounds} rounds");
        });
    }
}

/// Makes tables with one loaded archive, and with the unfinished load of another.
async fn with_a_killed_load(
    how: (Layout, Capacity),
    held: &cases::Archive,
    killed: &cases::Archive,
    after: i64,
) -> Emulator {
    let local = emulator();
    let mut random = fastrand::Rng::with_seed(after as u64);
    let loaded = load_in_process(&local, how, held, None, &mut random).await;
    loaded.unwrap();
    let kill = Kill {
        end: End {
            after,
            is_last_done: true,
        },
        abandon: true,
    };
    load_in_process(&local, how, killed, Some(kill), &mut random).await;
    local
}

const UNFINISHED: &str =
    "a.zip: its load, which supersedes archives, was interrupted: finish it first";

/// Loads an archive with other settings than those of its unfinished load, of which nothing may stay.
#[test]
fn a_load_does_not_go_on_where_one_with_other_flags_ended() {
    let old = plain("a.zip", (0..60).map(|n| row(n, 1_000, 0)));
    let beside = plain("a.zip", (20..80).map(|n| row(n, 1_000, 1)));
    let instead = cases::Archive {
        replace: true,
        ..beside.clone()
    };
    let mut refused = 0;
    for layout in [Layout::Rows, Layout::Packed] {
        let how = (layout, FIVE);
        for (first, second) in [(&instead, &beside), (&beside, &instead)] {
            for after in (8..50).step_by(3) {
                block_on(async {
                    let local = with_a_killed_load(how, &old, first, after).await;
                    let store = open(local.http_client(), how.0, how.1).await.unwrap();
                    let content = first.id().content;
                    let held = store.holding(&system().id, content).await.unwrap();
                    if held.is_some() {
                        return; // the load was done, or was killed after its commit
                    }
                    let mut ends = second;
                    if let Err(error) = load_case(&store, second).await {
                        assert_eq!(error.message, UNFINISHED);
                        refused += 1;
                        load_case(&store, first).await.unwrap();
                        ends = first;
                    }
                    let model = MemoryStore::default();
                    for archive in [&old, ends] {
                        load_case(&model, archive).await.unwrap();
                    }
                    drain(&model).await;
                    drain(&store).await;
                    is_right(&store, &model).await;
                });
            }
        }
    }
    assert!(refused > 2, "{refused}");
}

#[test]
fn what_supersedes_others_is_to_be_loaded_to_its_end() {
    let how = (Layout::Rows, FIVE);
    let old = plain("a.zip", (0..60).map(|n| row(n, 1_000, 0)));
    let new = cases::Archive {
        replace: true,
        ..plain("a.zip", (20..80).map(|n| row(n, 1_000, 1)))
    };
    let other = plain("b.zip", (90..95).map(|n| row(n, 1_000, 0)));
    let model = MemoryStore::default();
    block_on(async {
        for archive in [&old, &new, &other] {
            load_case(&model, archive).await.unwrap();
        }
        drain(&model).await;
    });
    let mut refused = 0;
    for after in (14..50).step_by(3) {
        block_on(async {
            let local = with_a_killed_load(how, &old, &new, after).await;
            let store = open(local.http_client(), how.0, how.1).await.unwrap();
            if let Err(error) = load_case(&store, &other).await {
                assert_eq!(error.message, UNFINISHED);
                refused += 1;
            }
            for archive in [&new, &other] {
                load_case(&store, archive).await.unwrap();
            }
            drain(&store).await;
            is_right(&store, &model).await;
        });
    }
    assert!(refused > 2, "{refused}");
}

/// Generates archives, and kills of some of their loads.
fn kills() -> impl Strategy<Value = Vec<Kill>> {
    let kill =
        (5..110_i64, any::<bool>(), any::<bool>()).prop_map(|(after, is_last_done, abandon)| {
            let end = End {
                after,
                is_last_done,
            };
            Kill { end, abandon }
        });
    prop::collection::vec(kill, 1..8)
}

/// Loads archives, some of whose loads are killed, and checks the store. The same arguments give the
/// same requests in the same order: the clock is that of the runtime, and random numbers depend on
/// the seed.
fn survives(archives: &[cases::Archive], kills: &[Kill], layout: Layout, seed: u64) {
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let how = (layout, Capacity::OnDemand);
    block_on(async {
        let archives: Vec<_> = archives.iter().collect();
        let mut kills = kills.iter().copied();
        let outcome = load_all(how, &archives, &mut kills, &mut random).await;
        ends_well(how, &outcome).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        max_shrink_iters: 200,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/proptest-regressions/faults.txt"
        )))),
        ..ProptestConfig::default()
    })]

    /// Law 6, with archives that have copies of each other's trips or supersede each other.
    #[test]
    fn a_load_may_be_killed_at_any_request(
        archives in cases::archives(),
        kills in kills(),
        is_packed: bool,
        seed: u64,
    ) {
        let layout = if is_packed { Layout::Packed } else { Layout::Rows };
        survives(&archives, &kills, layout, seed);
    }
}

/// An abandoned load has written blocks, and another archive has better copies of all their trips.
/// When the first archive is loaded later, it has no stored trips, and the blocks of its abandoned
/// load do not belong to it.
#[test]
fn blocks_of_a_load_that_was_given_up_are_not_found_again() {
    let rows = || (0..3).map(|n| row(n, 1_000, 0));
    let mut first = plain("first.zip", rows());
    first.unreadable = 1;
    let archives = [first.clone(), plain("second.zip", rows()), first];
    for after in (20..70).step_by(4) {
        let kill = Kill {
            end: End {
                after,
                is_last_done: true,
            },
            abandon: true,
        };
        for layout in [Layout::Rows, Layout::Packed] {
            survives(&archives, &[kill], layout, after as u64);
        }
    }
}

/// A client whose requests take fifteen seconds each, so that each phase of a load is long.
#[derive(Clone, Debug)]
struct Slow<T>(T);

impl HttpClient for Slow<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Slow(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for Slow<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let inner = self.0.clone();
        HttpConnectorFuture::new(async move {
            tokio::time::sleep(Duration::from_secs(15)).await;
            inner.call(request).await
        })
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn client(local: &Emulator) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(&local.sdk_config())
}

fn key_of_store(part: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("archive".to_owned(), text("#store")),
        ("part".to_owned(), text(part)),
    ])
}

/// Reads an item of the store itself. `None` where there is none.
async fn said(local: &Emulator, part: &str) -> Option<String> {
    let found = client(local).get_item().table_name("LoadLedger");
    let found = found.set_key(Some(key_of_store(part)));
    let found = found.consistent_read(true).send().await.ok()?;
    Some(found.item?["said"].as_s().unwrap().clone())
}

/// The record of a load changes in every phase (resolve, write, tallies, publish), so that a waiting
/// load does not take it over.
#[test]
fn the_right_to_load_is_renewed_through_every_phase() {
    let first = plain("a.zip", (0..60).map(|n| row(n, 60_000, 0)));
    let second = cases::Archive {
        replace: true,
        ..plain("a.zip", (30..90).map(|n| row(n, 1_000, 1)))
    };
    for layout in [Layout::Rows, Layout::Packed] {
        block_on(async {
            let local = emulator();
            let store = open(local.http_client(), layout, Capacity::OnDemand).await;
            load_case(&store.unwrap(), &first).await.unwrap();
            let slow = SharedHttpClient::new(Slow(local.http_client()));
            let store = open(slow, layout, Capacity::OnDemand).await.unwrap();
            let loading = load_case(&store, &second);
            let watching = async {
                let mut longest = Duration::ZERO;
                let mut seen: Option<(String, tokio::time::Instant)> = None;
                let mut all = Duration::ZERO;
                loop {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    match (said(&local, "load").await, seen.take()) {
                        (None, None) => {}
                        (None, Some(_)) => break,
                        (Some(now), Some((before, since))) if now == before => {
                            longest = longest.max(since.elapsed());
                            seen = Some((before, since));
                        }
                        (Some(now), _) => seen = Some((now, tokio::time::Instant::now())),
                    }
                    all += Duration::from_secs(1);
                }
                (longest, all)
            };
            let (loaded, (longest, all)) = tokio::join!(loading, watching);
            loaded.unwrap();
            println!(
                "{layout}: the load took {all:?}, and its record was the same for {longest:?}"
            );
            assert!(longest < Duration::from_secs(60), "{longest:?}");
            assert!(all > Duration::from_secs(300), "{all:?}");
        });
    }
}

/// A killed load is taken over once its record has not changed for the duration of a lease, measured
/// by the clock of the waiting process.
#[test]
fn a_killed_load_is_waited_for_by_one_clock() {
    let killed = plain("a.zip", (0..60).map(|n| row(n, 1_000, 0)));
    let other = plain("b.zip", (90..95).map(|n| row(n, 1_000, 0)));
    for layout in [Layout::Rows, Layout::Packed] {
        block_on(async {
            let local = with_a_killed_load((layout, FIVE), &other, &killed, 24).await;
            let record: serde_json::Value =
                serde_json::from_str(&said(&local, "load").await.unwrap()).unwrap();
            assert!(record.get("until_ms").is_none(), "{record}");
            let third = plain("c.zip", (95..99).map(|n| row(n, 1_000, 0)));
            let store = open(local.http_client(), layout, FIVE).await.unwrap();
            let start = tokio::time::Instant::now();
            load_case(&store, &third).await.unwrap();
            let waited = start.elapsed();
            assert!(waited >= Duration::from_secs(300), "{waited:?}");
            // The same command continues without waiting.
            let local = with_a_killed_load((layout, FIVE), &other, &killed, 24).await;
            let store = open(local.http_client(), layout, FIVE).await.unwrap();
            let start = tokio::time::Instant::now();
            load_case(&store, &killed).await.unwrap();
            let waited = start.elapsed();
            assert!(waited < Duration::from_secs(300), "{waited:?}");
        });
    }
}

/// The same command twice at a time, and another beside it: each archive is loaded once.
#[test]
fn several_processes_may_load_at_once() {
    let first = plain("first.zip", (0..40).map(|n| row(n, 60_000, 0)));
    let second = plain("second.zip", (20..60).map(|n| row(n, 1_000, 1)));
    let model = MemoryStore::default();
    block_on(async {
        for archive in [&first, &second] {
            load_case(&model, archive).await.unwrap();
        }
        drain(&model).await;
    });
    for layout in [Layout::Rows, Layout::Packed] {
        for seed in 0..4 {
            fastrand::seed(seed);
            block_on(async {
                let local = emulator();
                let store = open(local.http_client(), layout, Capacity::OnDemand)
                    .await
                    .unwrap();
                let load = |archive, n: u64| {
                    let mut random = fastrand::Rng::with_seed(10 * seed + n);
                    let process = Process::new(None, &mut random);
                    let client = process.client(local.http_client());
                    async move {
                        tokio::time::sleep(Duration::from_millis(random.u64(0..3_000))).await;
                        let store = open(client, layout, Capacity::OnDemand).await.unwrap();
                        load_case(&store, archive).await
                    }
                };
                let done = tokio::join!(
                    load(&first, 1),
                    load(&first, 2),
                    load(&second, 3),
                    load(&first, 4)
                );
                done.2.unwrap();
                for failed in [done.0, done.1, done.3].into_iter().filter_map(Result::err) {
                    let is_lost = ["has taken over", "load it again"];
                    let is_lost = is_lost.iter().any(|text| failed.message.contains(text));
                    assert!(is_lost, "{failed}");
                }
                load_case(&store, &first).await.unwrap();
                tokio::time::sleep(LATE).await;
                drain(&store).await;
                is_right(&store, &model).await;
            });
        }
    }
}

#[test]
fn too_many_archives_are_refused_before_anything_is_written() {
    block_on(async {
        let local = emulator();
        let store = open(local.http_client(), Layout::Rows, Capacity::OnDemand)
            .await
            .unwrap();
        for n in 0..97 {
            let name = format!("{n}.zip");
            load_case(&store, &plain(&name, std::iter::once(row(n, 60_000, 0))))
                .await
                .unwrap();
        }
        let written = store.used().trip_data.write;
        let all = plain("all.zip", (0..97).map(|n| row(n, 1_000, 1)));
        let refused = load_case(&store, &all).await.unwrap_err();
        let expected = "this load changes 98 archives at once, and one transaction of DynamoDB \
                        holds 97";
        assert_eq!(refused.message, expected);
        assert_eq!(store.used().trip_data.write, written);
        // No record is left, and no load waits for one.
        assert_eq!(said(&local, "load").await, None);
        drain(&store).await;
        assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    });
}

/// Replaces a text of the state.
async fn change_state(local: &Emulator, change: impl FnOnce(&mut serde_json::Value)) {
    let found = client(local).get_item().table_name("LoadLedger");
    let found = found.set_key(Some(key_of_store("state"))).send().await;
    let mut item = found.unwrap().item.unwrap();
    let mut state = serde_json::from_str(item["said"].as_s().unwrap()).unwrap();
    change(&mut state);
    item.insert("said".into(), text(&state.to_string()));
    let put = client(local).put_item().table_name("LoadLedger");
    put.set_item(Some(item)).send().await.unwrap();
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    block_on(async {
        let local = emulator();
        let how = (Layout::Rows, Capacity::OnDemand);
        let store = open(local.http_client(), how.0, how.1).await.unwrap();
        let archive = plain("a.zip", (0..3).map(|n| row(n, 1_000, 0)));
        load_case(&store, &archive).await.unwrap();
        change_state(&local, |state| {
            assert_eq!(state["format"], 2);
            *state = serde_json::json!({"format": 3, "whose": "nobody knows"});
        })
        .await;
        let store = open(local.http_client(), how.0, how.1).await.unwrap();
        let expected = "the store in these tables has format 3, and this divvy reads formats up \
                        to 2: use a newer divvy";
        let system = system();
        let refusals = [
            load_case(&store, &archive).await.map(drop).unwrap_err(),
            store.totals(&system.id).await.map(drop).unwrap_err(),
            store.systems().await.map(drop).unwrap_err(),
            store.describe(&system, &[]).await.map(drop).unwrap_err(),
            store.check().await.map(drop).unwrap_err(),
        ];
        for refused in refusals {
            assert_eq!(refused.message, expected);
        }
    });
}

/// Makes tables in the first format: keys of blocks have no generation, and the state no version.
#[test]
fn a_store_of_the_first_format_is_read_and_loaded_into() {
    block_on(async {
        let local = emulator();
        let how = (Layout::Packed, Capacity::OnDemand);
        let store = open(local.http_client(), how.0, how.1).await.unwrap();
        let model = MemoryStore::default();
        let first = plain("a.zip", (0..40).map(|n| row(n, 60_000, 0)));
        load_case(&store, &first).await.unwrap();
        load_case(&model, &first).await.unwrap();

        let old_key = |key: &str| {
            let mut parts: Vec<&str> = key.split('#').collect();
            parts[2] = parts[2].split('-').next().unwrap();
            parts.join("#")
        };
        let client = client(&local);
        for mut item in client
            .scan()
            .table_name("TripData")
            .send()
            .await
            .unwrap()
            .items
            .unwrap()
        {
            let key = item["trip_id"].clone();
            let delete = client
                .delete_item()
                .table_name("TripData")
                .key("trip_id", key.clone());
            delete.send().await.unwrap();
            item.insert("trip_id".into(), text(&old_key(key.as_s().unwrap())));
            let put = client
                .put_item()
                .table_name("TripData")
                .set_item(Some(item));
            put.send().await.unwrap();
        }
        for mut item in client
            .scan()
            .table_name("LoadLedger")
            .send()
            .await
            .unwrap()
            .items
            .unwrap()
        {
            if !item["part"].as_s().unwrap().contains("#keys#") {
                continue;
            }
            let bytes = zstd::stream::decode_all(item["bytes"].as_b().unwrap().as_ref()).unwrap();
            let mut keys = Vec::new();
            decode_ids(&bytes, |key| {
                keys.push(old_key(&String::from_utf8_lossy(key)))
            })
            .unwrap();
            keys.sort();
            let bytes = encode_ids(keys.iter().map(String::as_bytes));
            let bytes = zstd::bulk::compress(&bytes, 3).unwrap();
            item.insert("bytes".into(), AttributeValue::B(Blob::new(bytes)));
            let put = client
                .put_item()
                .table_name("LoadLedger")
                .set_item(Some(item));
            put.send().await.unwrap();
        }
        change_state(&local, |state| {
            let fields = state.as_object_mut().unwrap();
            fields.remove("format").unwrap();
            fields.remove("last_generation").unwrap();
        })
        .await;

        let store = open(local.http_client(), how.0, how.1).await.unwrap();
        drain(&store).await;
        drain(&model).await;
        is_right(&store, &model).await;
        let second = plain("b.zip", (20..60).map(|n| row(n, 1_000, 1)));
        for store in [&store as &dyn Store, &model] {
            load_case(store, &second).await.unwrap();
            drain(store).await;
        }
        is_right(&store, &model).await;
        assert!(
            said(&local, "state")
                .await
                .unwrap()
                .contains("\"format\":2")
        );
    });
}

/// Unloads in a process of its own. Returns `false` where that was killed.
async fn unload_in_process(
    local: &Emulator,
    how: (Layout, Capacity),
    archive: &cases::Archive,
    kill: Option<Kill>,
    random: &mut fastrand::Rng,
) -> bool {
    let process = Process::new(kill.map(|kill| kill.end), random);
    let client = process.client(local.http_client());
    let unload = async {
        let store = open(client, how.0, how.1).await.unwrap();
        store
            .unload_archive(&system(), archive.id().content)
            .await
            .unwrap();
    };
    tokio::select! {
        biased;
        () = process.ended() => false,
        () = unload => true,
    }
}

/// Loads archives and unloads one of them, in processes of which some are killed: the store is as if
/// that archive had never been loaded.
fn unloads(archives: &[cases::Archive], gone: usize, kills: &[Kill], how: (Layout, u64)) {
    let (layout, seed) = how;
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let how = (layout, Capacity::OnDemand);
    block_on(async {
        let local = emulator();
        let model = MemoryStore::default();
        let store = open(local.http_client(), how.0, how.1).await.unwrap();
        let content = archives[gone].id().content;
        for archive in archives {
            let archive = cases::Archive {
                replace: false,
                ..archive.clone()
            };
            load_case(&store, &archive).await.unwrap();
            if archive.id().content != content {
                load_case(&model, &archive).await.unwrap();
            }
        }
        drain(&store).await;
        for kill in kills.iter().copied().map(Some).chain([None]) {
            if unload_in_process(&local, how, &archives[gone], kill, &mut random).await {
                break;
            }
        }
        let again = store.unload_archive(&system(), content).await.unwrap();
        assert_eq!(again, None);
        ends_well(
            how,
            &Outcome {
                local,
                model,
                kills: 0,
            },
        )
        .await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        max_shrink_iters: 200,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/proptest-regressions/faults.txt"
        )))),
        ..ProptestConfig::default()
    })]

    /// Law 8.
    #[test]
    fn an_archive_that_was_unloaded_was_never_there(
        archives in cases::archives(),
        gone: prop::sample::Index,
        kills in kills(),
        is_packed: bool,
        seed: u64,
    ) {
        let layout = if is_packed { Layout::Packed } else { Layout::Rows };
        unloads(&archives, gone.index(archives.len()), &kills, (layout, seed));
    }
}
