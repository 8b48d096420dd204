//! Proves the laws on the store at hand: every file read, every tally counted anew.
//!
//! All is held against one snapshot of the catalog, so that writers may go on beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::catalog::{self, FileRow, Kind, Which};
use super::lock::{ReadersLock, WriterLock};
use super::trips_file::TripsFile;
use super::{
    EmbeddedStore, Shared, catalog_failed, folder, index, index_path, is_in_memory, read_only,
    sweep,
};
use crate::issue::Reason;
use crate::model::{StationId, System, TripBatch};
use crate::store::{COUNTS_CONSUMER, Checked, LedgerEntry, StoreError, StoreErrorKind};
use crate::tally::{Parts, Tally, Totals};

/// Ids whose keys are held at a time while trips that are stored twice are looked for: 128 MiB.
const KEYS: u64 = 16 << 20;

impl EmbeddedStore {
    /// Proves the laws on this store. Removes what a killed process left, unless another process
    /// is writing at this moment; changes nothing else. `on_rows` hears how many rows have been
    /// read, and of how many.
    ///
    /// # Errors
    ///
    /// Where the catalog cannot be opened. What is wrong behind that is a fault, not an error.
    pub fn check(&self, on_rows: &dyn Fn(u64, u64)) -> Result<Checked, StoreError> {
        let shared = &*self.shared;
        if is_in_memory(&*shared.catalog()?) {
            let mut checked = Checked::default();
            checked.facts.push("the store is empty".into());
            return Ok(checked);
        }
        if shared.read_only.is_none()
            && let Some(_lock) = WriterLock::attempt(&shared.root)?
        {
            sweep::sweep(&shared.root, &mut *shared.catalog()?)?;
        }
        let _reading = ReadersLock::share(&shared.root)?;
        // Files first: one that comes or goes meanwhile is then known to the snapshot, or gone.
        let found = found_files(shared)?;
        let path = shared.root.join(folder::CATALOG);
        // A connection of its own, so that others of this process may write meanwhile.
        let (mut connection, _copy) = if shared.read_only.is_some() {
            let opened = read_only::open(&path)?;
            (opened.connection, opened.copy)
        } else {
            (catalog::open(&path)?, None)
        };
        let snapshot = connection
            .transaction()
            .map_err(catalog_failed("read the catalog"))?;
        let mut check = Check {
            shared,
            catalog: &snapshot,
            checked: Checked::default(),
            rows: Rows { done: 0, of: 0 },
            on_rows,
        };
        check.rows_are_intact()?;
        if let Err(error) = check.everything(&found) {
            check.checked.faults.push(error.to_string());
        }
        Ok(check.checked)
    }
}

/// Lists the files below `trips/`, and the files of our naming elsewhere that have no file there.
fn found_files(shared: &Shared) -> Result<BTreeSet<PathBuf>, StoreError> {
    let mut found = BTreeSet::new();
    for folder in [folder::TRIPS, folder::DUPLICATES] {
        let path = shared.root.join(folder);
        if path.exists() {
            folder::walk(&path, &mut |path| {
                found.insert(path.to_path_buf());
            })?;
        }
    }
    Ok(found)
}

/// Rows read so far, and to be read in all.
struct Rows {
    done: u64,
    of: u64,
}

struct Check<'a> {
    shared: &'a Shared,
    catalog: &'a Connection,
    checked: Checked,
    rows: Rows,
    on_rows: &'a dyn Fn(u64, u64),
}

impl Check<'_> {
    /// Holds the catalog's pages against SQLite's own rules, and its rows against their checksums.
    fn rows_are_intact(&mut self) -> Result<(), StoreError> {
        let faults = catalog::faults(self.catalog)?;
        if faults.is_empty() {
            let fact = "catalog.db: every page is well formed, every row is what was written";
            self.checked.facts.push(fact.into());
        }
        let faults = faults
            .into_iter()
            .map(|fault| format!("catalog.db: {fault}"));
        self.checked.faults.extend(faults);
        Ok(())
    }

    fn everything(&mut self, found: &BTreeSet<PathBuf>) -> Result<(), StoreError> {
        let systems = catalog::systems(self.catalog)?;
        let files = catalog::files(self.catalog, None)?;
        self.rows.of = files.iter().map(|file| file.rows).sum();
        self.files_are_named(found, &files)?;
        for system in &systems {
            if let Err(error) = self.system(system) {
                self.checked.faults.push(format!("{}: {error}", system.id));
            }
        }
        if systems.is_empty() {
            self.checked.facts.push("the store is empty".into());
        }
        Ok(())
    }

    /// Holds the files of the folder against those of the ledger.
    fn files_are_named(
        &mut self,
        found: &BTreeSet<PathBuf>,
        files: &[FileRow],
    ) -> Result<(), StoreError> {
        let root = &self.shared.root;
        let mut faults: Vec<String> = files.iter().flat_map(|file| file.faults(root)).collect();
        let leftovers = catalog::leftovers(self.catalog)?;
        let known: BTreeSet<PathBuf> = (files.iter().map(|file| &file.path))
            .chain(&leftovers)
            .map(|path| root.join(path))
            .collect();
        for path in found.difference(&known).filter(|path| path.exists()) {
            let shown = path.display();
            if path.strip_prefix(root).is_ok_and(folder::is_ours) {
                faults.push(format!(
                    "{shown} is in no ledger, and other engines count it"
                ));
            } else if path.starts_with(root.join(folder::TRIPS)) {
                let note = format!("{shown} is no file of the store: it is left alone");
                self.checked.notes.push(note);
            }
        }
        if faults.is_empty() {
            let n = files.len();
            let hashed = files.iter().filter(|file| file.hash.is_some()).count();
            let unknown = match n - hashed {
                0 => String::new(),
                unknown => format!(" ({unknown} of an older divvy have no hash to compare)"),
            };
            self.checked.facts.push(match n {
                0 => "files: none in the ledger".into(),
                n => format!(
                    "files: {n} in the ledger, each is there and is what was written{unknown}"
                ),
            });
        }
        self.checked.faults.extend(faults);
        Ok(())
    }

    fn system(&mut self, system: &System) -> Result<(), StoreError> {
        let before = self.checked.faults.len();
        let archives = catalog::archives(self.catalog, &system.id, Which::All)?;
        let files = catalog::files(self.catalog, Some(&system.id))?;
        let mut totals = catalog::totals(self.catalog, &system.id)?;
        totals.cube = catalog::cube(self.catalog, &system.id, catalog::ALL_ARCHIVES, Parts::ALL)?;
        let mut ids = Ids::new(&files);
        let mut sum = Totals::default();
        let loaded = archives.len();
        for mut archive in archives {
            let sequence = archive.entry.sequence;
            archive.totals.cube = catalog::cube(self.catalog, &system.id, sequence, Parts::ALL)?;
            let files = files.iter().filter(|file| file.archive == sequence);
            self.archive(&archive.entry, &archive.totals, files, &mut ids);
            sum.merge(&archive.totals);
        }
        self.expect(system, sum == totals, || {
            "the totals are not the sum of the archives'".into()
        });
        for id in ids.twice(&self.shared.root, &files)? {
            self.expect(system, false, || format!("trip {id} is stored twice"));
        }
        self.departures(system, &totals)?;
        let counts = self.counts(system, &totals)?;
        if self.checked.faults.len() == before {
            let archives = if loaded == 1 { "archive" } else { "archives" };
            self.checked.facts.push(format!(
                "{}: {} trips of {loaded} {archives}, each stored once; tallies equal a recount",
                system.id, totals.trips
            ));
            self.checked.facts.push(format!("{}: {counts}", system.id));
        }
        Ok(())
    }

    fn expect(&mut self, system: &System, holds: bool, fault: impl FnOnce() -> String) {
        self.checked
            .expect(holds, || format!("{}: {}", system.id, fault()));
    }

    /// Counts an archive's trips anew, and holds its entry and its totals against them.
    fn archive<'f>(
        &mut self,
        entry: &LedgerEntry,
        totals: &Totals,
        files: impl Iterator<Item = &'f FileRow>,
        ids: &mut Ids,
    ) {
        let name = &entry.id.name;
        let mut recount = Totals::default();
        let mut duplicates = 0;
        let mut is_whole = true;
        for file in files {
            let mut count = Totals::default();
            let counted = read_file(&self.shared.root, file, &mut |batch| {
                count.count(batch, 1);
                if file.kind == Kind::Trips {
                    ids.take(batch);
                }
                self.rows.done += batch.len() as u64;
                (self.on_rows)(self.rows.done, self.rows.of);
            });
            let counted = counted.and_then(|()| self.index(file));
            match counted {
                Ok(()) if file.kind == Kind::Trips => recount.merge(&count),
                Ok(()) => duplicates += file.rows,
                Err(error) => {
                    is_whole = false;
                    let error = error.to_string();
                    // A missing file has been reported already.
                    if !self
                        .checked
                        .faults
                        .iter()
                        .any(|fault| error.starts_with(fault))
                    {
                        self.checked.faults.push(error);
                    }
                }
            }
        }
        let read = entry.rows_read;
        self.checked
            .expect(read == entry.stored + entry.rejected_total(), || {
                format!("{name}: {read} rows read are not stored and rejected ones together")
            });
        if !is_whole {
            return;
        }
        let rejected = entry.rejected.get(&Reason::Duplicate).copied().unwrap_or(0);
        self.checked.expect(rejected == duplicates, || {
            format!("{name}: {rejected} duplicates in the ledger, {duplicates} in their files")
        });
        // What files call their stations cannot be recounted from trips.
        recount.names = totals.names.clone();
        self.checked.expect(recount == *totals, || {
            format!(
                "{name}: its tallies ({} trips) are not what its files hold ({})",
                totals.trips, recount.trips
            )
        });
    }

    /// Holds the id index of a file against its trips.
    fn index(&self, file: &FileRow) -> Result<(), StoreError> {
        let trips = TripsFile::open(&self.shared.root.join(&file.path))?;
        index::compare(&index_path(&self.shared.root, &file.path), &trips)
    }

    /// Holds the table of departures against the totals, in both directions.
    fn departures(&mut self, system: &System, totals: &Totals) -> Result<(), StoreError> {
        let mut kept = catalog::all_departures(self.catalog, &system.id)?;
        for origin in totals.stations.origins() {
            let counted = totals.stations.departures(&origin) as u64;
            let kept = kept.remove(&origin).unwrap_or(0);
            self.expect(system, kept == counted, || {
                format!("{kept} departures kept for station {origin}, {counted} counted")
            });
        }
        for (origin, kept) in kept {
            self.expect(system, false, || {
                format!("{kept} departures kept for station {origin}, 0 counted")
            });
        }
        Ok(())
    }

    /// Holds FromStationCounts against the totals: every station has its count, and it is right.
    /// Returns what there is to say of a sound table.
    fn counts(&mut self, system: &System, totals: &Totals) -> Result<String, StoreError> {
        let waiting = catalog::changes(self.catalog, COUNTS_CONSUMER, 1)?;
        if !waiting.is_empty() {
            return Ok("changes wait for `divvy refresh`, so counts were not compared".into());
        }
        let counts = catalog::counts(self.catalog, &system.id)?;
        let counted: BTreeMap<&StationId, u64> = counts
            .iter()
            .map(|count| (&count.from_station_id, count.from_count))
            .collect();
        for (origin, count) in &counted {
            let stored = totals.stations.departures(origin) as u64;
            self.expect(system, *count == stored, || {
                format!("from_count of station {origin} is {count}, and {stored} trips start there")
            });
        }
        let stations = catalog::station_data(self.catalog, &system.id)?;
        for station in stations.stations() {
            for id in station.counted_ids() {
                self.expect(system, counted.contains_key(id), || {
                    format!("station {id} has no count: `divvy refresh` makes it")
                });
            }
        }
        for origin in totals.stations.origins() {
            self.expect(system, counted.contains_key(&origin), || {
                format!("trips start at station {origin}, and it has no count")
            });
        }
        Ok(format!("{} counts are those of the trips", counts.len()))
    }
}

/// Reads a file batch by batch.
///
/// # Errors
///
/// `Damaged` where it cannot be read, or holds other than the rows that the ledger says.
pub(super) fn read_file(
    root: &Path,
    file: &FileRow,
    visit: &mut dyn FnMut(&TripBatch),
) -> Result<(), StoreError> {
    let path = root.join(&file.path);
    if !path.exists() {
        let message = format!("{} is missing", path.display());
        return Err(StoreError::new(StoreErrorKind::Damaged, message));
    }
    let trips = TripsFile::open(&path)?;
    let mut rows = 0;
    for group in 0..trips.groups().len() {
        let batch = trips.read(group)?;
        rows += batch.len() as u64;
        visit(&batch);
    }
    if rows == file.rows {
        return Ok(());
    }
    Err(StoreError::new(
        StoreErrorKind::Damaged,
        format!(
            "{} holds {rows} rows, and the ledger says {}",
            path.display(),
            file.rows
        ),
    ))
}

/// The ids of stored trips, to find those that stand twice: by their hashes first, a share of them
/// at a time.
struct Ids {
    /// Into how many shares hashes are dealt.
    shares: u64,
    /// The hashes of the first share.
    hashes: Vec<u64>,
}

impl Ids {
    fn new(files: &[FileRow]) -> Self {
        let stored = files.iter().filter(|file| file.kind == Kind::Trips);
        let rows: u64 = stored.map(|file| file.rows).sum();
        Self {
            shares: rows.div_ceil(KEYS).max(1),
            hashes: Vec::new(),
        }
    }

    /// Takes the ids of the first share.
    fn take(&mut self, batch: &TripBatch) {
        let shares = self.shares;
        self.hashes
            .extend(hashes_of(batch).filter(|hash| hash % shares == 0));
    }

    /// Lists the ids that stand in two rows; the files are read again where there are more than
    /// fit into memory, or where two hashes are the same.
    fn twice(self, root: &Path, files: &[FileRow]) -> Result<Vec<String>, StoreError> {
        let mut suspects = BTreeSet::new();
        let Self {
            shares, mut hashes, ..
        } = self;
        for share in 0..shares {
            if share > 0 {
                hashes.clear();
                each_stored(root, files, &mut |batch| {
                    hashes.extend(hashes_of(batch).filter(|hash| hash % shares == share));
                });
            }
            hashes.sort_unstable();
            let same = hashes.windows(2).filter(|pair| pair[0] == pair[1]);
            suspects.extend(same.map(|pair| pair[0]));
        }
        drop(hashes);
        let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
        if !suspects.is_empty() {
            each_stored(root, files, &mut |batch| {
                for row in 0..batch.len() {
                    let id = batch.id(row);
                    if suspects.contains(&xxhash_rust::xxh3::xxh3_64(id.as_bytes()))
                        && !seen.insert(id.to_owned())
                    {
                        twice.insert(id.to_owned());
                    }
                }
            });
        }
        Ok(twice.into_iter().collect())
    }
}

fn hashes_of(batch: &TripBatch) -> impl Iterator<Item = u64> {
    (0..batch.len()).map(|row| xxhash_rust::xxh3::xxh3_64(batch.id(row).as_bytes()))
}

/// Reads every trips file that can be read: what cannot has been found before.
fn each_stored(root: &Path, files: &[FileRow], visit: &mut dyn FnMut(&TripBatch)) {
    for file in files.iter().filter(|file| file.kind == Kind::Trips) {
        let Ok(trips) = TripsFile::open(&root.join(&file.path)) else {
            continue;
        };
        for group in 0..trips.groups().len() {
            if let Ok(batch) = trips.read_ids(group) {
                visit(&batch);
            }
        }
    }
}
