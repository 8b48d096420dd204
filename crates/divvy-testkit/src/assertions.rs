//! Comparisons of a store with what is expected of it. Each panics at a difference.

use std::collections::{BTreeMap, BTreeSet};

use divvy::issue::{Reason, Rejected};
use divvy::model::{Station, StationAlias, StationId, StationSource, Trip};
use divvy::stations::corrections::Corrections;
use divvy::stations::identity;
use divvy::store::{Change, Store, StoreError};
use divvy::tally::Totals;

use crate::cases::{Archive, system};
use crate::driver::stored;
use crate::model::{Model, RowIndex, entry_line};

type Done = Result<(), StoreError>;

/// Asserts that trips, totals and ledger of a store are those of the model, and that rows add up.
pub(crate) async fn assert_same(store: &dyn Store, model: &Model) -> Done {
    let id = system().id;
    assert_eq!(stored(store).await?, model.trips());
    assert_eq!(store.totals(&id).await?, model.totals());
    let entries = store.entries(&id).await?;
    let lines: Vec<String> = entries.iter().map(entry_line).collect();
    assert_eq!(lines, model.entries());
    for entry in &entries {
        assert_eq!(entry.rows_read, entry.stored + entry.rejected_total());
    }
    let in_order = entries.is_sorted_by(|a, b| a.sequence < b.sequence);
    assert!(in_order, "entries are in the order of loading");
    Ok(())
}

/// Asserts that a load has rejected, with member and line, each copy that it has replaced and each
/// of its own that is not stored, once.
pub(crate) fn assert_rejected(
    rejected: &[Rejected],
    before: &Model,
    after: &Model,
    loaded: &Archive,
) {
    let lines = |model: &Model, archive: &Archive| -> BTreeSet<(usize, u64)> {
        let index = model
            .archives
            .iter()
            .position(|other| other.id().content == archive.id().content);
        let kept: BTreeSet<RowIndex> = model.kept().values().map(|(index, _)| *index).collect();
        let mut next_line: BTreeMap<usize, u64> = BTreeMap::new();
        let rows = archive.rows().enumerate().map(|(row, (member, _))| {
            let line = next_line.entry(member).or_insert(2);
            *line += 1;
            (row, (member, *line - 1))
        });
        rows.filter(|(row, _)| index.is_some_and(|index| kept.contains(&(index, *row))))
            .map(|(_, location)| location)
            .collect()
    };
    let all = |archive: &Archive| -> BTreeSet<(usize, u64)> {
        let members = archive.members.iter().enumerate();
        members
            .flat_map(|(member, rows)| (0..rows.len() as u64).map(move |row| (member, row + 2)))
            .collect()
    };
    let mut expected = Vec::new();
    if !before.contains(loaded) {
        for archive in &after.archives {
            let candidates = if before.contains(archive) {
                lines(before, archive)
            } else {
                all(archive)
            };
            expected.extend(candidates.difference(&lines(after, archive)).copied());
        }
    }
    let mut found: Vec<(usize, u64)> = Vec::new();
    for one in rejected {
        assert_eq!(one.reason, Reason::Duplicate);
        let member = one.file.strip_suffix(".csv").and_then(|m| m.parse().ok());
        found.push((member.expect("the name of a member"), one.line));
    }
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
}

/// Returns the origins of trips that were added or removed.
pub(crate) fn changed_origins(before: &[Trip], after: &[Trip]) -> BTreeSet<StationId> {
    let removed = before.iter().filter(|trip| !after.contains(trip));
    let added = after.iter().filter(|trip| !before.contains(trip));
    removed
        .chain(added)
        .filter_map(|trip| trip.origin.as_ref())
        .map(StationAlias::id)
        .collect()
}

/// Asserts that the stream has one entry for each station inserted or changed, and no other.
pub(crate) fn assert_stream(before: &[Station], after: &[Station], changes: &[Change]) {
    let old: BTreeMap<&StationId, &Station> = before.iter().map(|row| (&row.id, row)).collect();
    let mut expected: Vec<(&Station, bool)> = Vec::new();
    for row in after {
        let Some(before) = old.get(&row.id) else {
            expected.push((row, false));
            continue;
        };
        let mut with_times = (*before).clone();
        with_times.reported_at = row.reported_at;
        with_times.named_at = row.named_at;
        let report_time_only = with_times == *row;
        if *before != row {
            expected.push((row, report_time_only));
        }
    }
    let mut found: Vec<(&Station, bool)> = changes
        .iter()
        .map(|change| (&change.station, change.report_time_only))
        .collect();
    found.sort_by(|a, b| a.0.id.cmp(&b.0.id));
    assert_eq!(found, expected);
    assert!(changes.is_sorted_by(|a, b| a.sequence < b.sequence));
    assert!(
        after.is_sorted_by(|a, b| a.id < b.id),
        "stations are in the order of their ids"
    );
}

/// Asserts that each alias used by trips is among the `aliases` of one row: of the row that the feed
/// has for the station, if there is one. `listed` are the stations of the newest snapshot.
pub(crate) fn assert_aliases(stations: &[Station], listed: &BTreeSet<StationId>, totals: &Totals) {
    let matches = identity::resolve(stations, listed, totals, &Corrections::default());
    let mut expected: BTreeMap<&StationAlias, Option<&StationId>> = BTreeMap::new();
    let matched = matches.iter();
    expected.extend(matched.map(|(station, alias, _)| (alias, Some(station))));
    expected.extend(matches.unmatched().map(|alias| (alias, None)));
    let mut found: BTreeMap<&StationAlias, Option<&StationId>> = BTreeMap::new();
    for row in stations {
        let of_the_feed = (row.source == StationSource::Feed).then_some(&row.id);
        for alias in &row.aliases {
            let twice = found.insert(alias, of_the_feed).is_some();
            assert!(!twice, "{alias} is in two rows");
        }
    }
    // An alias without a cell stands for those of its id and name that no row has. Station lists have
    // aliases that no trip uses.
    let row_of = |alias: &StationAlias| {
        let exact = found.get(alias);
        exact.or_else(|| found.get(&alias.in_cell(None)))
    };
    for (alias, station) in &expected {
        let is_used = totals.stations.0.contains_key(*alias);
        let (has_cell, row) = (alias.has_cell(), row_of(alias));
        assert!(row.is_some() || !is_used, "{alias} is in no row");
        let is_in_part = !has_cell && totals.stations.has_cells_of(alias);
        if row.is_some() && !is_in_part {
            assert_eq!(row, Some(station), "{alias:?}");
        }
    }
    for alias in found.into_keys() {
        let is_known = expected.contains_key(alias) || totals.stations.has(alias);
        assert!(is_known, "{alias} is unknown");
    }
}

/// Asserts that versions grow where trips changed, and do not fall elsewhere.
pub(crate) fn assert_versions(
    before: &[Station],
    after: &[Station],
    changed: &BTreeSet<StationId>,
) {
    let version_of = |stations: &[Station], alias: &StationAlias| {
        let row = stations.iter().find(|row| row.aliases.contains(alias));
        row.and_then(|row| row.trips_version)
    };
    for row in after {
        for alias in &row.aliases {
            let was = version_of(before, alias);
            if changed.contains(&alias.id()) {
                assert!(was < row.trips_version, "{alias}: no new version");
            } else {
                assert!(was <= row.trips_version, "{alias}: an older version");
            }
        }
    }
}

/// Asserts law 4: each id has the count of the stored trips that start there.
pub(crate) async fn assert_counts(store: &dyn Store, model: &Model) -> Done {
    let id = system().id;
    let mut departures: BTreeMap<StationId, u64> = BTreeMap::new();
    for trip in stored(store).await? {
        if let Some(origin) = trip.origin {
            *departures.entry(origin.id()).or_default() += 1;
        }
    }
    let ids: Vec<StationId> = departures.keys().cloned().collect();
    let recounted: Vec<u64> = departures.values().copied().collect();
    let counted = store.departures(&id, &ids).await?.into_iter();
    assert_eq!(counted.flatten().collect::<Vec<u64>>(), recounted);

    let counts = store.counts(&id).await?;
    let counted: BTreeMap<&StationId, u64> = counts
        .iter()
        .map(|count| (&count.from_station_id, count.from_count))
        .collect();
    assert_eq!(counts.len(), counted.len());
    for (origin, count) in &counted {
        let recounted = departures.get(*origin).copied().unwrap_or(0);
        assert_eq!(*count, recounted, "trips from {origin}");
    }
    let trips = model.trips();
    for origin in trips.iter().filter_map(|trip| trip.origin.as_ref()) {
        assert!(counted.contains_key(&origin.id()), "{origin} has no count");
    }
    for row in store.stations(&id).await? {
        for id in row.counted_ids() {
            assert!(counted.contains_key(&id), "{id} has no count");
        }
    }
    Ok(())
}
