//! Each step of the flow by itself, on invented trips in the publisher's form of 2016 and 2024.
//!
//! `cargo bench` prints time and throughput; compare steps within one run.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::PathBuf;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use divvy::ingest::{self, LoadOptions};
use divvy::model::{System, TripBatch};
use divvy::refresh;
use divvy::reports::{self, Filters};
use divvy::sample::{self, Era, Sample};
use divvy::sources::archive::Archive;
use divvy::sources::station_feed::{self, Document, Feed};
use divvy::sources::trips_csv::{ColumnMapping, TimeHints, TripReader};
use divvy::store::embedded::EmbeddedStore;
use divvy::tally::{Tally, Totals};
use futures_executor::block_on;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

const TRIPS: u64 = 200_000;
const ERAS: [Era; 2] = [Era::Y2016, Era::Y2024];

fn main() {
    divan::main();
}

/// An archive in a folder that goes with it.
fn archive(era: Era) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("the disk has room");
    let path = folder.path().join(era.archive_name());
    let sample = Sample {
        era,
        trips: TRIPS,
        seed: 1,
    };
    let file = File::create(&path).expect("the folder is new");
    sample
        .write_zip(file, &mut |_| {})
        .expect("the disk has room");
    (folder, path)
}

/// The first trip file of an archive.
fn text(era: Era) -> Vec<u8> {
    let (_folder, path) = archive(era);
    let archive = Archive::open(&path).expect("samples are archives");
    let mut text = Vec::new();
    let mut member = archive.read(0).expect("it has a member");
    member.read_to_end(&mut text).expect("it is sound");
    text
}

fn parse(text: &[u8]) -> Vec<TripBatch> {
    let mut open = || Ok(Box::new(Cursor::new(text.to_vec())) as Box<dyn Read + Send>);
    let mapping = ColumnMapping::detect(&mut open, "sample.csv", TimeHints::default())
        .expect("samples are trips");
    let mut reader =
        TripReader::new(text, mapping, &divvy(), "sample.csv").expect("samples are trips");
    std::iter::from_fn(|| reader.next_batch(&()).expect("memory does not fail")).collect()
}

fn divvy() -> System {
    System::named("divvy").expect("it is in the table")
}

#[divan::bench(args = ERAS)]
fn read_rows(bencher: Bencher<'_, '_>, era: Era) {
    let text = text(era);
    bencher
        .counter(BytesCount::of_slice(&text))
        .bench(|| parse(&text));
}

#[divan::bench(args = ERAS)]
fn tally(bencher: Bencher<'_, '_>, era: Era) {
    let batches = parse(&text(era));
    let trips: usize = batches.iter().map(TripBatch::len).sum();
    bencher.counter(ItemsCount::new(trips)).bench(|| {
        let mut totals = Totals::default();
        for batch in &batches {
            totals.count(batch, 1);
        }
        totals
    });
}

fn load(store: &EmbeddedStore, path: &std::path::Path) {
    let options = LoadOptions::new(Timestamp::UNIX_EPOCH);
    let archive = Archive::open(path).expect("samples are archives");
    block_on(ingest::load(&archive, store, &options, &(), &())).expect("samples load");
    drain(store);
}

fn drain(store: &EmbeddedStore) {
    let drained = refresh::drain(store, refresh::CONSUMER, Timestamp::UNIX_EPOCH);
    block_on(drained).expect("the disk has room");
}

fn store() -> (TempDir, EmbeddedStore) {
    let folder = tempfile::tempdir().expect("the disk has room");
    let store = EmbeddedStore::open(folder.path()).expect("the folder is new");
    (folder, store)
}

#[divan::bench(args = ERAS, sample_count = 10, sample_size = 1)]
fn load_archive(bencher: Bencher<'_, '_>, era: Era) {
    let (_folder, path) = archive(era);
    bencher
        .counter(ItemsCount::new(TRIPS))
        .with_inputs(store)
        .bench_refs(|(_folder, store)| load(store, &path));
}

/// The feed of a sample at some minute.
fn feeds(minute: i64) -> Vec<Feed> {
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(30_000_000 + minute);
    sample::feed(Era::Y2024, 1, at)
        .iter()
        .filter_map(|(name, bytes)| match station_feed::read(bytes, name) {
            Ok(Document::Feed(feed)) => Some(feed),
            _ => None,
        })
        .collect()
}

/// One snapshot, in to counts refreshed, on a store with trips.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn snapshot(bencher: Bencher<'_, '_>) {
    let (_archive, path) = archive(Era::Y2024);
    let (_folder, store) = store();
    load(&store, &path);
    let (divvy, mut minute) = (divvy(), 0);
    let poll = |feeds: Vec<Feed>| {
        let polled = ingest::apply(feeds, &store, &divvy, Timestamp::MAX);
        block_on(polled).expect("samples are feeds");
        drain(&store);
    };
    poll(feeds(minute));
    bencher
        .with_inputs(|| {
            minute += 1;
            feeds(minute)
        })
        .bench_local_values(poll);
}

/// Reports from the tallies: no trip is read.
#[divan::bench(args = ["stations", "hours", "durations", "riders", "quality"])]
fn report(bencher: Bencher<'_, '_>, name: &str) {
    let (_archive, path) = archive(Era::Y2024);
    let (_folder, store) = store();
    load(&store, &path);
    let (divvy, filters) = (divvy(), Filters::default());
    bencher.bench_local(|| {
        block_on(reports::report(name, &store, &divvy, &filters)).expect("it is a report")
    });
}
