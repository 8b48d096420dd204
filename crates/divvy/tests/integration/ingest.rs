//! Loads of archives and polls of feeds.

use divvy::ingest::{
    LoadError, LoadOptions, Loaded, PollError, PollOptions, Polled, Progress, apply, load, poll,
};
use divvy::model::{System, TripBatch};
use divvy::sources::archive::Archive;
use divvy::sources::station_feed::{self, Document};
use divvy::store::{Applied, ContentHash, Ledger, StationTable as _};
use divvy_testkit::MemoryStore;
use futures_executor::block_on;
use jiff::Timestamp;

/// The number of distinct words above which all are counted as `other`.
const MAX_OTHER_WORDS: usize = 64;

fn polled(store: &MemoryStore, made: i64, fetched: i64) -> Result<Polled, PollError> {
    let json = format!(
        r#"{{"last_updated":{made},"data":{{"stations":[{{"station_id":"a","name":"Lake St",
        "lat":41.9,"lon":-87.6}}]}}}}"#
    );
    let Document::Feed(feed) = station_feed::read(json.as_bytes(), "stations.json").unwrap() else {
        panic!("a feed")
    };
    let fetched_at = Timestamp::from_second(fetched).unwrap();
    let divvy = System::named("divvy").unwrap();
    block_on(apply(vec![feed], store, &divvy, fetched_at))
}

#[test]
fn a_feed_ahead_of_the_clock_does_not_block_later_ones() {
    const NOW: i64 = 1_700_000_000;
    const DAY: i64 = 86_400;
    let store = MemoryStore::default();
    let refused = polled(&store, NOW + DAY + 1, NOW).unwrap_err();
    insta::assert_snapshot!(refused, @"stations.json has the time 2023-11-15T16:13:21-06:00, more than a day after it was read (2023-11-14T16:13:20-06:00): it is not taken; one of the two clocks is wrong");
    assert!(block_on(store.systems()).unwrap().is_empty());

    // Old, present, of a clock in the wrong zone, and of the same clock when it is set right.
    for (made, fetched) in [
        (NOW - 3000 * DAY, NOW - 1),
        (NOW - 1, NOW - 1),
        (NOW + DAY, NOW),
        (NOW + 60, NOW + 60),
    ] {
        let polled = polled(&store, made, fetched).unwrap();
        assert!(matches!(polled.applied, Applied::Accepted { .. }));
        assert_eq!(polled.time.taken_at.as_second(), made.min(fetched));
        assert_eq!(polled.time.made_at.as_second(), made);
    }
}

#[test]
fn a_poll_names_a_clock_that_stands_still_and_stations_that_are_gone() {
    let store = MemoryStore::default();
    let divvy = System::named("divvy").unwrap();
    let now = Timestamp::from_second(1_700_000_100).unwrap();
    let notes = |made: i64, stations: &[(&str, u32)]| {
        let state = |(id, bikes): &(&str, u32)| {
            format!(r#"{{"station_id":"{id}","num_bikes_available":{bikes},"is_renting":true}}"#)
        };
        let states: Vec<String> = stations.iter().map(state).collect();
        let json = format!(
            r#"{{"last_updated":{made},"data":{{"stations":[{}]}}}}"#,
            states.join(",")
        );
        let Document::Feed(feed) = station_feed::read(json.as_bytes(), "status.json").unwrap()
        else {
            panic!("a feed")
        };
        block_on(apply(vec![feed], &store, &divvy, now))
            .unwrap()
            .notes
    };
    let none: [&str; 0] = [];
    assert_eq!(notes(1_700_000_000, &[("a", 1), ("b", 2)]), none);
    let clock = "the time of the feed is that of the last snapshot, although stations have changed: \
                 the publisher's clock stands still";
    assert_eq!(notes(1_700_000_000, &[("a", 3), ("b", 2)]), [clock]);
    assert_eq!(notes(1_700_000_000, &[("a", 3), ("b", 2)]), none);
    let gone = "1 of the 2 stations of the last snapshot is not in this one";
    assert_eq!(notes(1_700_000_060, &[("a", 3), ("c", 2)]), [gone]);
    let renewed = "none of the 2 ids of the last snapshot is in this one: the feed has new ids";
    assert_eq!(notes(1_700_000_090, &[("d", 3), ("e", 2)]), [renewed]);
}

const HEADER: &str = "ride_id,rideable_type,started_at,ended_at,start_station_name,\
    start_station_id,end_station_name,end_station_id,start_lat,start_lng,end_lat,end_lng,\
    member_casual\n";

/// Returns a trip file of that many rows, all with one origin.
fn csv(rows: usize, station: &str) -> String {
    let row = |n: usize| {
        format!(
            "{n:016X},classic_bike,2024-04-01 10:00:00,2024-04-01 10:10:00,A,{station},B,13002,\
             41.88,-87.63,41.89,-87.64,member\n"
        )
    };
    std::iter::once(HEADER.to_owned())
        .chain((0..rows).map(row))
        .collect()
}

fn zip(csv: &str) -> Vec<u8> {
    use std::io::Write;
    let mut zip = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    // Not compressed, so that changed bytes keep their offsets.
    let options = ::zip::write::SimpleFileOptions::default()
        .compression_method(::zip::CompressionMethod::Stored);
    zip.start_file("trips.csv", options).unwrap();
    zip.write_all(csv.as_bytes()).unwrap();
    zip.finish().unwrap().into_inner()
}

fn options() -> LoadOptions {
    LoadOptions::new(Timestamp::UNIX_EPOCH)
}

fn loaded(archive: &Archive, store: &MemoryStore) -> Result<Loaded, LoadError> {
    block_on(load(archive, store, &options(), &(), &()))
}

/// Counts the trips that start at each station.
fn departures(store: &MemoryStore, stations: [&str; 2]) -> Vec<u64> {
    use divvy::store::Departures;
    let ids = stations.map(Into::into);
    let departures = block_on(store.departures(&"divvy".into(), &ids)).unwrap();
    departures.into_iter().flatten().collect()
}

#[test]
fn an_archive_replaced_after_its_hash_is_loaded_as_it_was() {
    for zipped in [false, true] {
        let bytes = |csv: String| {
            if zipped { zip(&csv) } else { csv.into_bytes() }
        };
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["trips", "other"].map(|name| folder.path().join(name));
        std::fs::write(&path, bytes(csv(3000, "13001"))).unwrap();
        std::fs::write(&other, bytes(csv(2000, "13009"))).unwrap();
        let archive = Archive::open(&path).unwrap();
        let hash = xxhash_rust::xxh3::xxh3_128(&std::fs::read(&path).unwrap());
        std::fs::rename(&other, &path).unwrap();
        let store = MemoryStore::default();
        let entry = loaded(&archive, &store).unwrap().entry.unwrap();
        assert_eq!((entry.id.content, entry.stored), (ContentHash(hash), 3000));
        assert_eq!(departures(&store, ["13001", "13009"]), [3000, 0]);
        // The other file is loaded as another archive.
        let archive = Archive::open(&path).unwrap();
        assert!(!loaded(&archive, &store).unwrap().already);
    }
}

#[test]
fn an_archive_rewritten_after_its_hash_is_not_loaded() {
    for (zipped, released) in [(false, false), (true, false), (true, true)] {
        let bytes = |csv: String| {
            if zipped { zip(&csv) } else { csv.into_bytes() }
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trips.csv");
        let (was, is) = (bytes(csv(3000, "13001")), bytes(csv(3000, "13009")));
        assert_eq!(was.len(), is.len());
        std::fs::write(&path, was).unwrap();
        let mut archive = Archive::open(&path).unwrap();
        if released {
            archive = archive.released();
        }
        // The same file, of the same length, with other bytes.
        std::fs::write(&path, is).unwrap();
        let store = MemoryStore::default();
        let error = loaded(&archive, &store).unwrap_err().to_string();
        let expected = "the file was changed after it had been opened: try again when no program \
                    writes to it any more";
        assert_eq!(error, format!("trips.csv: {expected}"));
        assert!(block_on(store.systems()).unwrap().is_empty());
        assert_eq!(departures(&store, ["13001", "13009"]), [0, 0]);
    }
}

#[test]
fn an_archive_rewritten_while_it_is_read_is_not_loaded() {
    /// Overwrites the end of the file once reading has begun.
    struct Overwrite(std::path::PathBuf);
    impl Progress for Overwrite {
        fn bytes(&self, done: u64, _: u64) {
            use std::io::{Seek, SeekFrom, Write};
            if done > 0 {
                let mut file = std::fs::File::options().write(true).open(&self.0).unwrap();
                file.seek(SeekFrom::End(-7)).unwrap();
                file.write_all(b"casual").unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trips.csv");
    std::fs::write(&path, csv(60_000, "13001")).unwrap();
    let archive = Archive::open(&path).unwrap();
    let store = MemoryStore::default();
    let rewriting = Overwrite(path.clone());
    let loaded = block_on(load(&archive, &store, &options(), &(), &rewriting));
    assert!(
        loaded
            .unwrap_err()
            .to_string()
            .contains("the file was changed")
    );
    assert!(block_on(store.systems()).unwrap().is_empty());
}

#[test]
fn a_file_longer_than_a_feed_is_not_read() {
    use divvy::sources::http::MAX_FEED_BYTES;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stations.json");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(MAX_FEED_BYTES + 1).unwrap();
    let store = MemoryStore::default();
    let poll = |path: &std::path::Path| {
        let now = Timestamp::UNIX_EPOCH;
        let refused = block_on(poll(&[path], &store, &PollOptions::new(now))).unwrap_err();
        let folder = folder.path().display().to_string();
        refused.to_string().replace(&folder, "")
    };
    let expected = "/stations.json is longer than 64 MiB, as no feed is: it is not read";
    assert_eq!(poll(&path), expected);
    // In a folder too.
    assert_eq!(poll(folder.path()), expected);
    #[cfg(unix)]
    assert!(poll(std::path::Path::new("/dev/zero")).contains("longer than 64 MiB"));
}

/// Writes a sample archive under the name of a published one.
fn sample_archive(folder: &std::path::Path) -> Archive {
    use divvy::sample::{Era, Sample};
    let (era, seed) = (Era::Y2018, 1);
    let path = folder.join(era.archive_name());
    let sample = Sample {
        era,
        trips: 300,
        seed,
    };
    let file = std::fs::File::create(&path).unwrap();
    sample.write_zip(file, &mut |_| {}).unwrap();
    Archive::open(&path).unwrap()
}

#[test]
fn invented_trips_never_mix_with_real_ones() {
    use std::io::{Read, Write};
    let folder = tempfile::tempdir().unwrap();
    let sample = sample_archive(folder.path());
    // An archive with the same trip ids and without the sample label.
    let mut csv = Vec::new();
    sample.read(0).unwrap().read_to_end(&mut csv).unwrap();
    let path = folder.path().join("real.csv");
    std::fs::File::create(&path)
        .unwrap()
        .write_all(&csv)
        .unwrap();
    let real = Archive::open(&path).unwrap();

    let store = MemoryStore::default();
    for archive in [&sample, &real] {
        let entry = loaded(archive, &store).unwrap().entry.unwrap();
        assert_eq!((entry.stored, entry.rejected_total()), (300, 0));
    }
    let systems = block_on(store.systems()).unwrap();
    let systems: Vec<&str> = systems.iter().map(|system| system.id.as_str()).collect();
    assert_eq!(systems, ["divvy", "sample"]);

    // The system named by the user is used for both.
    let loaded_as = |archive: &Archive, system: &str| {
        let options = LoadOptions {
            system: System::named(system),
            ..options()
        };
        let store = MemoryStore::default();
        let loaded = block_on(load(archive, &store, &options, &(), &())).unwrap();
        loaded.attribution.system.id.to_string()
    };
    assert_eq!(loaded_as(&sample, "divvy"), "divvy");
    assert_eq!(loaded_as(&real, "sample"), "sample");
}

#[test]
fn invented_stations_never_mix_with_real_ones() {
    use divvy::sample::{Era, feed};
    let folder = tempfile::tempdir().unwrap();
    let now: Timestamp = "2024-07-01T12:00:00Z".parse().unwrap();
    for (name, bytes) in feed(Era::Y2018, 1, now) {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let system_of = |source: &std::path::Path, given: Option<&str>| {
        let options = PollOptions {
            system: given.and_then(System::named),
            ..PollOptions::new(now)
        };
        let store = MemoryStore::default();
        let polled = block_on(poll(&[source], &store, &options)).unwrap();
        polled.system.id.to_string()
    };
    assert_eq!(system_of(folder.path(), None), "sample");
    assert_eq!(system_of(&folder.path().join("gbfs.json"), None), "sample");
    assert_eq!(
        system_of(&folder.path().join("station_status.json"), None),
        "sample"
    );
    assert_eq!(system_of(folder.path(), Some("divvy")), "divvy");
}

#[test]
fn systems_of_the_user_have_areas_which_may_overlap_known_ones() {
    use divvy::model::{BoundingBox, SystemId, Systems};
    let folder = tempfile::tempdir().unwrap();
    let now: Timestamp = "2024-07-01T12:00:00Z".parse().unwrap();
    let path = folder.path().join("station_information.json");
    let feed = |latitude: f64, longitude: f64| {
        let station = format!(
            r#"{{"station_id": "1", "name": "Quay", "lat": {latitude}, "lon": {longitude}}}"#
        );
        let data = format!(r#"{{"stations": [{station}]}}"#);
        let feed = format!(r#"{{"last_updated": 1719835200, "ttl": 60, "data": {data}}}"#);
        std::fs::write(&path, feed).unwrap();
    };
    let own = |id: &str, [south, west, north, east]: [f64; 4]| System {
        id: id.into(),
        name: id.into(),
        time_zone: "Europe/Paris".into(),
        area: Some(BoundingBox {
            south,
            west,
            north,
            east,
        }),
    };
    let wren = own("wren", [45.6, 4.7, 45.9, 5.0]);
    let lake = own("lake", [41.8, -87.7, 41.9, -87.6]);
    let poll = |given: Option<&System>, stored: Option<&SystemId>| {
        let store = MemoryStore::default();
        let options = PollOptions {
            system: given.cloned(),
            systems: Systems::default().with(vec![wren.clone().into(), lake.clone().into()]),
            ..PollOptions::new(now)
        };
        if let Some(stored) = stored {
            let system = [&wren, &lake].into_iter().find(|it| it.id == *stored);
            block_on(store.describe(system.unwrap(), &[])).unwrap();
        }
        match block_on(poll(&[&path], &store, &options)) {
            Ok(polled) => polled.system.id.to_string(),
            Err(error) => error.to_string().split(": ").last().unwrap().to_owned(),
        }
    };
    feed(45.75, 4.85);
    assert_eq!(poll(None, None), "wren");
    assert!(poll(Some(&lake), None).contains("in the area of wren"));
    feed(41.88, -87.63);
    assert_eq!(poll(None, None), "their areas overlap");
    assert_eq!(poll(Some(&lake), None), "lake");
    assert_eq!(poll(None, Some(&lake.id)), "lake");
}

/// Collects rejected rows.
type Rejects = std::sync::Mutex<Vec<divvy::issue::Rejected>>;

#[test]
fn too_many_other_words_are_counted_together_and_stored_as_they_are() {
    use divvy::store::{TotalsReader, Trips};
    let folder = tempfile::tempdir().unwrap();
    // A row that is rejected before the words are too many, and one after.
    let csv = |words: usize| {
        let rows = csv(3 * words.max(1), "13001");
        let mut rows: Vec<String> = rows.lines().map(str::to_owned).collect();
        for (n, row) in rows.iter_mut().skip(1).enumerate() {
            *row = row.replace(",member", &format!(",Plan {}", n % words));
        }
        rows.insert(2, "damaged,,,,,,,,,,,,".into());
        rows.push("damaged,,,,,,,,,,,,".into());
        rows.join("\n")
    };
    let load = |words: usize| {
        let path = folder.path().join("trips.csv");
        std::fs::write(&path, csv(words)).unwrap();
        let (store, rejects) = (MemoryStore::default(), Rejects::default());
        let archive = Archive::open(&path).unwrap();
        let loaded = block_on(load(&archive, &store, &options(), &rejects, &())).unwrap();
        assert_eq!(rejects.into_inner().unwrap().len(), 2);
        (store, loaded)
    };
    let most = MAX_OTHER_WORDS;
    let (store, loaded) = load(most);
    assert_eq!(loaded.notes, [""; 0]);
    let totals = block_on(store.totals(&"divvy".into())).unwrap();
    assert_eq!(totals.riders.0.len(), most);

    let (store, loaded) = load(most + 1);
    insta::assert_snapshot!(loaded.notes.join("; "), @"it has more than 64 words of its own for riders, kinds of bikes and genders: they are counted together, as other; the stored trips keep them");
    let totals = block_on(store.totals(&"divvy".into())).unwrap();
    let riders: Vec<_> = totals.riders.0.iter().collect();
    let other = (
        divvy::model::Rider::Other("other".into()),
        "classic_bike".into(),
    );
    assert_eq!(riders, [(&other, &(3 * (most as i64 + 1)))]);
    let kept = std::sync::Mutex::new(std::collections::BTreeSet::new());
    let keep = |batch: TripBatch| {
        let riders = batch.trips().map(|trip| trip.rider.to_string());
        kept.lock().unwrap().extend(riders);
        true
    };
    block_on(store.scan(&"divvy".into(), &keep)).unwrap();
    assert_eq!(kept.into_inner().unwrap().len(), most + 1);
}

#[cfg(feature = "embedded")]
#[test]
fn words_are_counted_the_same_in_any_order_of_loading() {
    use divvy::store::TotalsReader;
    use divvy::store::embedded::EmbeddedStore;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, trips: std::ops::Range<usize>, finer: bool, words: usize| {
        let mut text = HEADER.to_owned();
        for (n, row) in csv(trips.end, "13001").lines().skip(1).enumerate() {
            let row = row.replace(",member", &format!(",Plan {}", n % words));
            let row = if finer {
                row.replace(":00:00,", ":00:00.123,")
            } else {
                row
            };
            if trips.contains(&n) {
                text += &format!("{row}\n");
            }
        }
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    // Too many words; better copies with few; equal copies with few.
    let paths = [
        write("many.csv", 0..200, false, 200),
        write("finer.csv", 100..150, true, 3),
        write("few.csv", 190..230, false, 230),
    ];
    let mut all_totals = Vec::new();
    for (at, order) in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]]
        .iter()
        .enumerate()
    {
        let embedded = EmbeddedStore::open(&folder.path().join(format!("store-{at}"))).unwrap();
        let memory = MemoryStore::default();
        for index in order {
            let archive = Archive::open(&paths[*index]).unwrap();
            block_on(load(&archive, &embedded, &options(), &(), &())).unwrap();
            block_on(load(&archive, &memory, &options(), &(), &())).unwrap();
        }
        let totals = block_on(embedded.totals(&"divvy".into())).unwrap();
        assert_eq!(totals, block_on(memory.totals(&"divvy".into())).unwrap());
        all_totals.push(totals);
    }
    assert!(all_totals.iter().all(|totals| *totals == all_totals[0]));
}
