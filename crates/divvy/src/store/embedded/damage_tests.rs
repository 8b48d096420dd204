//! Damage of the catalog: noticed where it is read, and repaired without losing more.

use std::path::Path;

use futures_executor::block_on;
use tempfile::TempDir;

use super::EmbeddedStore;
use super::testing::{divvy, drain, faults, load, stored, trip};
use crate::model::Trip;
use crate::store::{Repaired, StoreErrorKind, TotalsReader, Trips, Unload};

/// Three archives: 1 and 2 have trips 20 to 39 in common, 3 has its own.
const ARCHIVES: [(&str, std::ops::Range<i64>); 3] =
    [("1.zip", 0..40), ("2.zip", 20..60), ("3.zip", 100..130)];

fn trips(numbers: std::ops::Range<i64>) -> Vec<Trip> {
    numbers
        .map(|n| trip(&format!("R{n}"), n * 60_000))
        .collect()
}

fn store_of(archives: &[(&str, std::ops::Range<i64>)]) -> (TempDir, EmbeddedStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();
    for (name, numbers) in archives {
        load(&store, name, &[&trips(numbers.clone())], false);
    }
    drain(&store);
    (folder, store)
}

/// Changes the catalog without its checksums, as damage does.
fn damage(store: &EmbeddedStore, sql: &str) {
    let catalog = store.shared.catalog().unwrap();
    catalog
        .execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}"))
        .unwrap();
}

fn to_load_again(repaired: &Repaired) -> Vec<&str> {
    let archives = repaired.to_load_again.iter();
    archives.map(|archive| archive.name.as_str()).collect()
}

#[test]
fn rows_of_files_that_are_hidden_are_missed() {
    let (_folder, store) = store_of(&ARCHIVES);
    let expected = stored(&store);
    damage(&store, "DELETE FROM file WHERE archive = 3");
    let scanned = block_on(store.scan(&divvy().id, &|_| true));
    assert_eq!(scanned.unwrap_err().kind, StoreErrorKind::Damaged);
    assert!(!faults(&store).is_empty());

    // The file may be the only copy of its trips: it stays until they are loaded again.
    let file = store.shared.root.join("trips/divvy");
    let is_of_third = |path: &Path| path.to_string_lossy().contains("/3-");
    let has_file = || {
        let entries = std::fs::read_dir(&file).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .any(|path| is_of_third(&path))
    };
    let repaired = store.repair(false).unwrap();
    assert_eq!(to_load_again(&repaired), ["3.zip"]);
    assert!(has_file());
    load(&store, "3.zip", &[&trips(100..130)], true);
    assert_eq!(stored(&store), expected);
    store.repair(false).unwrap();
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
    assert_eq!(stored(&store), expected);
}

#[test]
fn the_system_of_a_file_is_not_taken_from_a_damaged_row() {
    let (_folder, store) = store_of(&ARCHIVES);
    let expected = stored(&store);
    damage(&store, "UPDATE file SET archive = 1 WHERE archive = 3");
    let repaired = store.repair(false).unwrap();
    assert_eq!(to_load_again(&repaired), ["3.zip"]);
    load(&store, "3.zip", &[&trips(100..130)], true);
    store.repair(false).unwrap();
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
    assert_eq!(stored(&store), expected);
}

#[test]
fn duplicates_are_stored_once_the_archive_of_the_stored_copies_is_gone() {
    let (_folder, store) = store_of(&ARCHIVES);
    damage(
        &store,
        "UPDATE archive SET loaded_at = loaded_at + 1 WHERE sequence = 1",
    );
    let repaired = store.repair(false).unwrap();
    assert_eq!(to_load_again(&repaired), ["1.zip"]);
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
    let (_folder, without) = store_of(&ARCHIVES[1..]);
    assert_eq!(stored(&store), stored(&without));
    // Found without a repair, too.
    let (_folder, store) = store_of(&ARCHIVES);
    damage(
        &store,
        "DELETE FROM file WHERE archive = 1; DELETE FROM archive WHERE sequence = 1",
    );
    let found = faults(&store);
    let expected = "divvy: 20 trips have duplicates and are not stored, such as R20";
    assert!(found.iter().any(|fault| fault == expected), "{found:?}");
}

#[test]
fn duplicates_stay_while_a_file_with_stored_copies_cannot_be_read() {
    let (_folder, store) = store_of(&ARCHIVES);
    let trips_before = block_on(store.totals(&divvy().id)).unwrap().trips;
    let root = store.shared.root.join("trips/divvy");
    let first = std::fs::read_dir(root).unwrap();
    let first = first.map(|entry| entry.unwrap().path()).min().unwrap();
    let aside = store.shared.root.join("aside");
    std::fs::rename(&first, &aside).unwrap();
    let repaired = store.repair(false).unwrap();
    assert_eq!(to_load_again(&repaired), ["1.zip"]);
    assert_eq!(
        block_on(store.totals(&divvy().id)).unwrap().trips,
        trips_before
    );
    std::fs::rename(&aside, &first).unwrap();
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
}

#[test]
fn files_whose_archive_is_hidden_are_missed() {
    let (_folder, store) = store_of(&ARCHIVES);
    let expected = stored(&store);
    damage(&store, "DELETE FROM archive WHERE sequence = 3");
    let scanned = block_on(store.scan(&divvy().id, &|_| true));
    assert_eq!(scanned.unwrap_err().kind, StoreErrorKind::Damaged);
    store.repair(false).unwrap();
    load(&store, "3.zip", &[&trips(100..130)], false);
    store.repair(false).unwrap();
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
    assert_eq!(stored(&store), expected);
}

#[test]
fn a_leftover_that_is_a_file_of_the_store_stays() {
    let (_folder, store) = store_of(&ARCHIVES);
    let expected = stored(&store);
    damage(&store, "INSERT INTO leftover SELECT path FROM file");
    let fourth = load(&store, "4.zip", &[&trips(200..201)], false);
    block_on(store.unload(&divvy().id, &[fourth.id.content], false)).unwrap();
    assert_eq!(stored(&store), expected);
}

#[test]
fn what_the_catalog_lacks_is_made_again() {
    let (_folder, store) = store_of(&ARCHIVES);
    let expected = stored(&store);
    let root = &store.shared.root;
    damage(
        &store,
        "UPDATE sqlite_sequence SET seq = 0; DELETE FROM system; DELETE FROM cube WHERE archive = 0",
    );
    std::fs::remove_dir_all(root.join("index")).unwrap();
    assert!(
        faults(&store)
            .iter()
            .any(|fault| fault.contains("no row of its own"))
    );
    let repaired = store.repair(false).unwrap();
    assert_eq!(repaired.to_load_again, []);
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
    assert_eq!(stored(&store), expected);
    // Its number is none that an archive has.
    assert_eq!(
        load(&store, "4.zip", &[&trips(200..201)], false).sequence,
        4
    );
}

#[test]
fn a_check_that_misses_a_file_does_not_say_that_each_trip_is_stored() {
    let (_folder, store) = store_of(&ARCHIVES);
    let trips = store.shared.root.join("trips/divvy");
    let third = std::fs::read_dir(trips)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let third = third.max().unwrap();
    std::fs::remove_dir_all(third).unwrap();
    let checked = store.check(&|_, _| ()).unwrap();
    assert!(!checked.faults.is_empty());
    let contradiction = checked
        .facts
        .iter()
        .find(|fact| fact.contains("each stored once"));
    assert_eq!(contradiction, None);
}

#[test]
fn a_commit_does_not_depend_on_the_log() {
    let (_folder, store) = store_of(&ARCHIVES[..1]);
    load(&store, "3.zip", &[&trips(100..130)], false);
    let log = store.shared.root.join("catalog.db-wal");
    assert_eq!(std::fs::metadata(log).unwrap().len(), 0);
}

#[cfg(unix)]
#[test]
fn a_store_may_have_a_path_that_is_no_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(OsStr::from_bytes(b"Fahrr\xe4der"));
    let store = EmbeddedStore::open(&root).unwrap();
    load(&store, "1.zip", &[&trips(0..40)], false);
    drop(store);
    let store = EmbeddedStore::open(&root).unwrap();
    assert_eq!(stored(&store).len(), 40);
    drain(&store);
    let checked = store.check(&|_, _| ()).unwrap();
    assert_eq!(checked.faults, [""; 0]);
    assert!(checked.facts.iter().any(|fact| fact.contains("40 trips")));
}
