//! The two ways in: an archive of trips, and a snapshot of stations.
//!
//! ```text
//!  load   look (what the members are) ─► pipeline (inflate ▸ parse, tally ▸ store) ─► commit
//!  read   look ─► pipeline ─► whoever asks: no store, nothing kept
//!  poll   gather (files or addresses) ─► snapshot ─► apply
//! ```
//!
//! Either ends with changes in the stream; [`refresh::drain`](crate::refresh::drain) brings the
//! counts up to date.

mod contents;
mod error;
mod gather;
mod pipeline;
mod retold;
mod share;

use std::ffi::OsStr;

use jiff::{SignedDuration, Timestamp};

pub use error::{LoadError, PollError};
pub use gather::Gathered;
pub use share::{NoShare, Share};

use self::pipeline::{Load, ReadTo, Takers, Words};
use self::retold::Retold;
use crate::issue::{RejectSink, RejectedCounts};
use crate::model::{OTHER, System, TripBatch};
use crate::sources::archive::Archive;
use crate::sources::http::Client;
use crate::sources::station_feed::{self, Fault, Feed};
use crate::store::{
    Applied, ArchiveId, ArchiveRead, ContentHash, Incoming, LedgerEntry, Store, StoreError,
};
use crate::tally::Totals;

/// How to load.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Whose trips these are. `None` takes it from schema and coordinates.
    pub system: Option<System>,
    /// Dates have the day first, whatever the rows suggest.
    pub day_first: bool,
    /// What becomes of loaded archives of the same name and other content.
    pub same_name: SameName,
    /// Loads a share of the trips, which is an archive of its own. `None` loads all.
    pub sample: Option<Share>,
    /// The present moment.
    pub now: Timestamp,
}

/// What becomes of loaded archives that have the name of a new one, and other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameName {
    /// The new one is not loaded.
    Refuse,
    /// The new one supersedes them. One of the same content is loaded again, too, where what is
    /// stored of it is damaged.
    Replace,
    /// They stay beside the new one.
    KeepBoth,
}

/// Hears how far a load has come. Called from several threads.
pub trait Progress: Sync {
    /// `done` of `of` unpacked bytes have been read; `of` is 0 where the archive does not say.
    fn bytes(&self, done: u64, of: u64);
}

/// Nobody listens.
impl Progress for () {
    fn bytes(&self, _: u64, _: u64) {}
}

/// What became of an archive.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its ledger entry. `None` where it holds no trips, only station lists.
    pub entry: Option<LedgerEntry>,
    /// It had been loaded before, and nothing happened.
    pub already: bool,
    /// Whose it is.
    pub system: System,
    /// Station lists: the member and its number of stations.
    pub station_lists: Vec<(String, usize)>,
    /// What people should know: members left out, lists with faults. One sentence each.
    pub notes: Vec<String>,
}

/// Loads one archive: every row of its trip files becomes a trip or a rejected row.
///
/// # Errors
///
/// [`LoadError`]; the store is then as it was, but for station lists where the store itself failed
/// after it had taken them.
pub async fn load(
    archive: &Archive,
    store: &dyn Store,
    options: &LoadOptions,
    rejects: &dyn RejectSink,
    progress: &dyn Progress,
) -> Result<Loaded, LoadError> {
    let content = ContentHash(archive.content());
    let content = match options.sample {
        None => content,
        Some(share) => share.content(content),
    };
    if let Some(entry) = held(store, content).await?
        && (options.same_name != SameName::Replace || store.is_intact(&entry).await?)
    {
        return Ok(Loaded {
            system: entry.id.system.clone(),
            entry: Some(entry),
            already: true,
            station_lists: Vec::new(),
            notes: Vec::new(),
        });
    }
    let mut contents = contents::look(archive, options.day_first)?;
    let system = contents.system(archive.name(), options.system.as_ref())?;
    let mut notes = std::mem::take(&mut contents.notes);
    let mut entry = None;
    if !contents.trips.is_empty() {
        let id = ArchiveId {
            system: system.clone(),
            name: match options.sample {
                None => archive.name().into(),
                Some(share) => share.name(archive.name()),
            },
            content,
        };
        if options.same_name == SameName::Refuse
            && store.archives(&system.id).await?.contains(&id.name)
        {
            return Err(LoadError::SameName {
                archive: id.name,
                system: system.id.to_string(),
            });
        }
        let rejects_once = Retold::new(rejects);
        let mut load = Load {
            archive,
            members: &contents.trips,
            system: &system,
            sample: options.sample,
            words: Words::ByThemselves,
        };
        let (incoming, read) = loop {
            let incoming = store.begin(&id).await?;
            let stored = Stored(&*incoming);
            let takers = Takers {
                write: &stored,
                rejects: &rejects_once,
                progress,
            };
            match load.run(&takers)? {
                ReadTo::Whole(read) => break (incoming, *read),
                ReadTo::TooManyWords => {
                    drop(incoming);
                    rejects_once.again();
                    load.words = Words::Together;
                }
            }
        };
        notes.extend(note_on(load.words));
        let read = ArchiveRead {
            id,
            members: contents
                .trips
                .iter()
                .map(|trips| trips.name.clone())
                .collect(),
            rows_read: read.rows_read,
            rejected: read.rejected,
            totals: read.totals,
            loaded_at: options.now,
            replace: options.same_name == SameName::Replace,
        };
        // Lists before the trips: the lists of an archive in the ledger are not read again.
        describe(store, &system, &contents).await?;
        entry = Some(incoming.commit(read, rejects).await?);
    } else {
        describe(store, &system, &contents).await?;
    }
    let lists = contents.lists.iter();
    let station_lists = lists.map(|(name, list)| (name.clone(), list.stations.len()));
    let station_lists = station_lists.collect();
    Ok(Loaded {
        entry,
        already: false,
        system,
        station_lists,
        notes,
    })
}

/// Says what readers of reports should know of how words are counted.
fn note_on(words: Words) -> Option<String> {
    (words == Words::Together).then(|| {
        format!(
            "it has more than {} words of its own for riders, kinds of bikes and genders: they are \
             counted together, as {OTHER}; the stored trips keep them",
            pipeline::MOST_WORDS
        )
    })
}

/// Takes over what the station lists of an archive say.
async fn describe(
    store: &dyn Store,
    system: &System,
    contents: &contents::Contents,
) -> Result<(), StoreError> {
    for (_, list) in &contents.lists {
        store.describe(system, &list.stations).await?;
    }
    Ok(())
}

/// Takes the trips of an archive. Members may come from several threads; the batches of one member
/// come in the order of its rows. A function that takes batches is one.
pub trait Write: Sync {
    /// Takes a batch of the trips member of that place, among those with trips.
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError>;

    /// Says that a member has had its last batch.
    fn end_member(&self, _member: usize) -> Result<(), StoreError> {
        Ok(())
    }
}

impl<F: Fn(usize, TripBatch) -> Result<(), StoreError> + Sync> Write for F {
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError> {
        self(member, batch)
    }
}

/// The trips go into a store.
struct Stored<'a>(&'a dyn Incoming);

impl Write for Stored<'_> {
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError> {
        self.0.write(member, batch)
    }

    fn end_member(&self, member: usize) -> Result<(), StoreError> {
        self.0.end_member(member)
    }
}

/// What an archive came to that was read and not stored.
#[derive(Clone, Debug)]
pub struct ReadThrough {
    /// Which one.
    pub id: ArchiveId,
    /// The names of the members that hold trips, by their places.
    pub members: Vec<String>,
    /// Data rows read, over all members.
    pub rows_read: u64,
    /// Rows that did not become trips; copies are not looked for.
    pub rejected: RejectedCounts,
    /// The totals over all batches.
    pub totals: Totals,
    /// What people should know: members left out, lists with faults. One sentence each.
    pub notes: Vec<String>,
}

/// Reads the trips of an archive to its end without a store, checksums and all, and hands them to
/// `write`. What that was good for is known when this returns: until then the archive may prove
/// damaged. One without trips is read as nothing.
///
/// # Errors
///
/// [`LoadError`]; that of `write` as [`LoadError::Store`].
pub fn read(
    archive: &Archive,
    options: &LoadOptions,
    write: &dyn Write,
    rejects: &dyn RejectSink,
    progress: &dyn Progress,
) -> Result<ReadThrough, LoadError> {
    let content = ContentHash(archive.content());
    let contents = contents::look(archive, options.day_first)?;
    let system = contents.system(archive.name(), options.system.as_ref())?;
    let mut load = Load {
        archive,
        members: &contents.trips,
        system: &system,
        sample: options.sample,
        words: Words::ByThemselves,
    };
    // What was handed on cannot be taken back, so how words are counted is found out before.
    if let ReadTo::TooManyWords = load.run(&Takers::none())? {
        load.words = Words::Together;
    }
    let takers = Takers {
        write,
        rejects,
        progress,
    };
    let ReadTo::Whole(read) = load.run(&takers)? else {
        unreachable!("the bytes are those that were read before, and had fewer words");
    };
    let mut notes = contents.notes;
    notes.extend(note_on(load.words));
    Ok(ReadThrough {
        id: ArchiveId {
            system,
            name: archive.name().into(),
            content,
        },
        members: contents.trips.into_iter().map(|trips| trips.name).collect(),
        rows_read: read.rows_read,
        rejected: read.rejected,
        totals: read.totals,
        notes,
    })
}

/// Finds an archive of that content under any system.
async fn held(store: &dyn Store, content: ContentHash) -> Result<Option<LedgerEntry>, LoadError> {
    for system in store.systems().await? {
        if let Some(entry) = store.holding(&system.id, content).await? {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// What became of a snapshot.
#[derive(Clone, Debug)]
pub struct Polled {
    /// Whose stations these are.
    pub system: System,
    /// When the feed was made, by its own clock.
    pub taken_at: Timestamp,
    /// Stations in the snapshot.
    pub stations: usize,
    /// What the store made of it.
    pub applied: Applied,
    /// Departures of the feed from its specification.
    pub faults: Vec<Fault>,
}

/// Takes one snapshot of stations from files, a folder, or addresses, and brings StationData up
/// to it.
///
/// `system` is what the user says; else coordinates tell, else the feed's own name for itself,
/// else the store's only system.
///
/// # Errors
///
/// [`PollError`]; the store is then as it was.
pub async fn poll(
    sources: &[impl AsRef<OsStr>],
    store: &dyn Store,
    system: Option<&System>,
    fetched_at: Timestamp,
) -> Result<Polled, PollError> {
    poll_by(&Client::new(), sources, store, system, fetched_at).await
}

/// Does what [`poll`] does, and asks addresses through `client`: those given, and those that a
/// discovery file names.
///
/// # Errors
///
/// As [`poll`].
pub async fn poll_by(
    client: &Client,
    sources: &[impl AsRef<OsStr>],
    store: &dyn Store,
    system: Option<&System>,
    fetched_at: Timestamp,
) -> Result<Polled, PollError> {
    let sources: Vec<&OsStr> = sources.iter().map(AsRef::as_ref).collect();
    let gathered = gather::gather(&sources, client)?;
    let system = gather::system(&gathered, system, store).await?;
    apply(gathered.feeds, store, &system, fetched_at).await
}

/// How far the clock of a feed may be ahead of ours. The worst wrong zone is 14 hours off.
const MOST_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Brings StationData up to feeds that have been read: one feed, or a pair of GBFS.
///
/// # Errors
///
/// [`PollError`] where the feeds are no snapshot, or one made more than a day after `fetched_at`,
/// or the store fails.
pub async fn apply(
    feeds: Vec<Feed>,
    store: &dyn Store,
    system: &System,
    fetched_at: Timestamp,
) -> Result<Polled, PollError> {
    let state = store.feed(&system.id).await?;
    let last = state.and_then(|state| state.status_at.max(state.information_at));
    let faults = feeds
        .iter()
        .flat_map(|feed| feed.faults.iter().cloned())
        .collect();
    let newest = feeds.iter().max_by_key(|feed| feed.kind);
    let file = newest.map_or_else(String::new, |feed| feed.file.clone());
    let snapshot = station_feed::snapshot(feeds, system, last)?;
    if snapshot.taken_at.duration_since(fetched_at) > MOST_AHEAD {
        let zone = system.zone();
        return Err(PollError::FromTheFuture {
            file,
            taken_at: zone.rfc3339(snapshot.taken_at),
            fetched_at: zone.rfc3339(fetched_at),
        });
    }
    let applied = store.apply(&snapshot, fetched_at).await?;
    Ok(Polled {
        system: system.clone(),
        taken_at: snapshot.taken_at,
        stations: snapshot.stations.len(),
        applied,
        faults,
    })
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;
    use crate::sources::station_feed::Document;
    use crate::store::Ledger;
    use crate::store::memory::MemoryStore;

    fn polled(store: &MemoryStore, made: i64, fetched: i64) -> Result<Polled, PollError> {
        let json = format!(
            r#"{{"last_updated":{made},"data":{{"stations":[{{"station_id":"a","name":"Lake St",
            "lat":41.9,"lon":-87.6}}]}}}}"#
        );
        let Document::Feed(feed) = station_feed::read(json.as_bytes(), "stations.json").unwrap()
        else {
            panic!("a feed")
        };
        let fetched_at = Timestamp::from_second(fetched).unwrap();
        let divvy = System::named("divvy").unwrap();
        block_on(apply(vec![feed], store, &divvy, fetched_at))
    }

    #[test]
    fn a_feed_from_the_future_does_not_block_those_of_the_present() {
        const NOW: i64 = 1_700_000_000;
        const DAY: i64 = 86_400;
        let store = MemoryStore::default();
        let refused = polled(&store, NOW + DAY + 1, NOW).unwrap_err();
        insta::assert_snapshot!(refused, @"stations.json says that it was made at 2023-11-15T16:13:21-06:00, more than a day after it was read (2023-11-14T16:13:20-06:00): it is not taken, since all later snapshots would count as older; one of the two clocks is wrong");
        assert!(block_on(store.systems()).unwrap().is_empty());

        // A recording of long ago, this minute, and a clock in the wrong zone.
        for made in [NOW - 3000 * DAY, NOW, NOW + DAY] {
            let polled = polled(&store, made, NOW).unwrap();
            assert!(matches!(polled.applied, Applied::Accepted { .. }));
        }
    }

    const HEADER: &str = "ride_id,rideable_type,started_at,ended_at,start_station_name,\
        start_station_id,end_station_name,end_station_id,start_lat,start_lng,end_lat,end_lng,\
        member_casual\n";

    /// A trip file of so many rows, all of one station.
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
        // Stored as it is, so that a changed byte stays where it was.
        let options = ::zip::write::SimpleFileOptions::default()
            .compression_method(::zip::CompressionMethod::Stored);
        zip.start_file("trips.csv", options).unwrap();
        zip.write_all(csv.as_bytes()).unwrap();
        zip.finish().unwrap().into_inner()
    }

    fn options() -> LoadOptions {
        LoadOptions {
            system: None,
            day_first: false,
            same_name: SameName::KeepBoth,
            sample: None,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn loaded(archive: &Archive, store: &MemoryStore) -> Result<Loaded, LoadError> {
        block_on(load(archive, store, &options(), &(), &()))
    }

    /// How many trips start at each station.
    fn departures(store: &MemoryStore, stations: [&str; 2]) -> Vec<u64> {
        use crate::store::Departures;
        let ids = stations.map(Into::into);
        block_on(store.departures(&"divvy".into(), &ids)).unwrap()
    }

    #[test]
    fn an_archive_replaced_after_its_hash_is_loaded_as_it_was() {
        for zipped in [false, true] {
            let bytes = |csv: String| match zipped {
                true => zip(&csv),
                false => csv.into_bytes(),
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
            // The other one is another archive.
            let archive = Archive::open(&path).unwrap();
            assert!(!loaded(&archive, &store).unwrap().already);
        }
    }

    #[test]
    fn an_archive_rewritten_after_its_hash_is_not_loaded() {
        for (zipped, released) in [(false, false), (true, false), (true, true)] {
            let bytes = |csv: String| match zipped {
                true => zip(&csv),
                false => csv.into_bytes(),
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
            let told = "the file was changed after it had been opened: try again when no program \
                        writes to it any more";
            assert_eq!(error, format!("trips.csv: {told}"));
            assert!(block_on(store.systems()).unwrap().is_empty());
            assert_eq!(departures(&store, ["13001", "13009"]), [0, 0]);
        }
    }

    #[test]
    fn an_archive_rewritten_while_it_is_read_is_not_loaded() {
        /// Overwrites the end of the file when the load has come so far.
        struct Meanwhile(std::path::PathBuf);
        impl Progress for Meanwhile {
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
        let rewriting = Meanwhile(path.clone());
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
        use crate::sources::http::MOST_FEED_BYTES;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stations.json");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(MOST_FEED_BYTES + 1).unwrap();
        let store = MemoryStore::default();
        let poll = |path: &std::path::Path| {
            let now = Timestamp::UNIX_EPOCH;
            let refused = block_on(poll(&[path], &store, None, now)).unwrap_err();
            let folder = folder.path().display().to_string();
            refused.to_string().replace(&folder, "")
        };
        let told = "/stations.json is longer than 64 MiB, as no feed is: it is not read";
        assert_eq!(poll(&path), told);
        // In a folder too.
        assert_eq!(poll(folder.path()), told);
        #[cfg(unix)]
        assert!(poll(std::path::Path::new("/dev/zero")).contains("longer than 64 MiB"));
    }

    /// A sample archive, saved as what publishers call such an archive.
    fn sample_archive(folder: &std::path::Path) -> Archive {
        use crate::sample::{Era, Sample};
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
        // A publisher's archive with the same trip ids: the sample's files without its mark.
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

        // The user may say otherwise, of either.
        let say = |archive: &Archive, system: &str| {
            let options = LoadOptions {
                system: System::named(system),
                ..options()
            };
            let store = MemoryStore::default();
            let loaded = block_on(load(archive, &store, &options, &(), &())).unwrap();
            loaded.system.id.to_string()
        };
        assert_eq!(say(&sample, "divvy"), "divvy");
        assert_eq!(say(&real, "sample"), "sample");
    }

    #[test]
    fn invented_stations_never_mix_with_real_ones() {
        use crate::sample::{Era, feed};
        let folder = tempfile::tempdir().unwrap();
        let now: Timestamp = "2024-07-01T12:00:00Z".parse().unwrap();
        for (name, bytes) in feed(Era::Y2018, 1, now) {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let whose = |source: &std::path::Path, said: Option<&str>| {
            let said = said.and_then(System::named);
            let store = MemoryStore::default();
            let polled = block_on(poll(&[source], &store, said.as_ref(), now)).unwrap();
            polled.system.id.to_string()
        };
        assert_eq!(whose(folder.path(), None), "sample");
        assert_eq!(whose(&folder.path().join("gbfs.json"), None), "sample");
        assert_eq!(
            whose(&folder.path().join("station_status.json"), None),
            "sample"
        );
        assert_eq!(whose(folder.path(), Some("divvy")), "divvy");
    }

    /// Keeps the lines of rejected rows.
    type Told = std::sync::Mutex<Vec<crate::issue::Rejected>>;

    #[test]
    fn too_many_words_are_counted_together_and_kept_apart() {
        use crate::store::{TotalsReader, Trips};
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
            let (store, told) = (MemoryStore::default(), Told::default());
            let archive = Archive::open(&path).unwrap();
            let loaded = block_on(load(&archive, &store, &options(), &told, &())).unwrap();
            assert_eq!(told.into_inner().unwrap().len(), 2);
            (store, loaded)
        };
        let most = pipeline::MOST_WORDS;
        let (store, loaded) = load(most);
        assert_eq!(loaded.notes, [""; 0]);
        let totals = block_on(store.totals(&"divvy".into())).unwrap();
        assert_eq!(totals.riders.0.len(), most);

        let (store, loaded) = load(most + 1);
        insta::assert_snapshot!(loaded.notes.join("; "), @"it has more than 64 words of its own for riders, kinds of bikes and genders: they are counted together, as other; the stored trips keep them");
        let totals = block_on(store.totals(&"divvy".into())).unwrap();
        let riders: Vec<_> = totals.riders.0.iter().collect();
        let other = (
            crate::model::Rider::Other("other".into()),
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
        use crate::store::TotalsReader;
        use crate::store::embedded::EmbeddedStore;
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, trips: std::ops::Range<usize>, finer: bool, words: usize| {
            let mut text = HEADER.to_owned();
            for (n, row) in csv(trips.end, "13001").lines().skip(1).enumerate() {
                let row = row.replace(",member", &format!(",Plan {}", n % words));
                let row = match finer {
                    true => row.replace(":00:00,", ":00:00.123,"),
                    false => row,
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
        let mut seen = Vec::new();
        for (at, order) in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]]
            .iter()
            .enumerate()
        {
            let embedded = EmbeddedStore::open(&folder.path().join(format!("store-{at}"))).unwrap();
            let memory = MemoryStore::default();
            for place in order {
                let archive = Archive::open(&paths[*place]).unwrap();
                block_on(load(&archive, &embedded, &options(), &(), &())).unwrap();
                block_on(load(&archive, &memory, &options(), &(), &())).unwrap();
            }
            let totals = block_on(embedded.totals(&"divvy".into())).unwrap();
            assert_eq!(totals, block_on(memory.totals(&"divvy".into())).unwrap());
            seen.push(totals);
        }
        assert!(seen.iter().all(|totals| *totals == seen[0]));
    }
}
