//! Counts of stations: those that a repair corrects.

use std::collections::{BTreeMap, BTreeSet};

use divvy::model::{StationId, SystemId};
use divvy::reports::plural;
use divvy::store::{CountsTable, FromStationCount, StoreError};
use divvy::tally::Totals;

use super::Repair;
use crate::item;
use crate::pace::PacedTable;
use crate::store::counts::is_ahead;
use crate::store::stations::{Versions, versions_of};
use crate::store::string_key;

impl Repair<'_> {
    /// Computes the counts that are wrong or missing, without those that wait for the stream. Counts, and
    /// rows of StationData, that cannot be read or that no refresh would replace are deleted, and these
    /// counts are missing then. `foreign` are the trips of no archive, by origin: the counts have them too.
    pub(super) async fn counts(
        &mut self,
        all: &Totals,
        foreign: &BTreeMap<StationId, u64>,
    ) -> Result<Vec<FromStationCount>, StoreError> {
        let kept = self.store.read_counts().await?;
        let versions = self.readable_versions().await?;
        let unreadable: Vec<StationId> = kept.unreadable.into_keys().collect();
        let (ahead, kept) =
            (kept.read.into_iter()).partition::<Vec<_>, _>(|count| is_ahead(count, &versions));
        let ahead: Vec<StationId> = (ahead.into_iter())
            .map(|count| count.from_station_id)
            .collect();
        let table = &self.shared().counts;
        let key = item::count::KEY;
        self.delete_items(table, key, &unreadable).await?;
        self.delete_items(table, key, &ahead).await?;
        if !unreadable.is_empty() {
            let n = plural(unreadable.len() as i64, "count");
            self.done(format!(
                "{n} of stations deleted that could not be read ({})",
                names(&unreadable)
            ));
        }
        if !ahead.is_empty() {
            let n = plural(ahead.len() as i64, "count");
            self.done(format!(
                "{n} of stations deleted that no refresh would replace ({})",
                names(&ahead)
            ));
        }
        let mut missing: BTreeSet<StationId> = all.stations.origins().collect();
        let mut counts = Vec::new();
        let mut wrong = 0;
        let stored = |origin: &StationId| all.stations.departures(origin);
        let foreign = |origin: &StationId| foreign.get(origin).copied().unwrap_or(0);
        for count in kept {
            missing.remove(&count.from_station_id);
            let version = versions.get(&count.from_station_id).copied().flatten();
            let origin = &count.from_station_id;
            let right = stored(origin) + foreign(origin);
            let is_right = (stored(origin)..=right).contains(&count.from_count);
            if !is_right && count.trips_version >= version {
                wrong += 1;
                counts.push(FromStationCount {
                    from_count: right,
                    refreshed_at: self.now,
                    ..count
                });
            }
        }
        let without_row = (all.stations.origins()).filter(|id| !versions.contains_key(id));
        let without_row = without_row.count();
        if without_row > 0 {
            let rows = plural(without_row as i64, "missing row");
            self.done(format!("{rows} of StationData made"));
        }
        let n = missing.len();
        counts.extend(missing.into_iter().map(|origin| FromStationCount {
            from_count: stored(&origin) + foreign(&origin),
            trips_version: versions.get(&origin).copied().flatten(),
            refreshed_at: self.now,
            from_station_id: origin,
        }));
        if wrong > 0 {
            let wrong = plural(wrong, "count");
            self.done(format!("{wrong} of stations corrected"));
        }
        if n > 0 {
            let n = plural(n as i64, "missing count");
            self.done(format!("{n} of stations made"));
        }
        Ok(counts)
    }

    /// Returns the versions of the readable rows of StationData, and deletes the other rows: the next
    /// snapshot of the feed, or the repair itself, makes them again.
    async fn readable_versions(&mut self) -> Result<Versions, StoreError> {
        let rows = self.shared().read_station_rows().await?;
        let unreadable: Vec<StationId> = rows.unreadable.into_keys().collect();
        if !unreadable.is_empty() {
            let table = &self.shared().stations;
            self.delete_items(table, item::station::KEY, &unreadable)
                .await?;
            self.shared().forget_rows();
            self.done(format!(
                "{} of StationData deleted that could not be read ({}): the next divvy poll, or load of a station \
                 list, makes them again",
                plural(unreadable.len() as i64, "row"),
                names(&unreadable)
            ));
        }
        Ok(versions_of(rows.read.iter()))
    }

    /// Deletes items by their key, unless in a dry run.
    async fn delete_items(
        &self,
        table: &PacedTable,
        key: &str,
        ids: &[StationId],
    ) -> Result<(), StoreError> {
        if self.dry_run {
            return Ok(());
        }
        for id in ids {
            table.delete_if(string_key(key, id.as_str()), None).await?;
        }
        Ok(())
    }

    /// Writes counts, and rows of StationData that are missing for the trips.
    pub(super) async fn put_counts(
        &self,
        system: &SystemId,
        mut counts: Vec<FromStationCount>,
        all: &Totals,
    ) -> Result<(), StoreError> {
        let versions = self.shared().station_versions().await?;
        let used = |count: &&FromStationCount| count.from_count > 0;
        let of_counts = counts.iter().filter(used);
        let of_counts = of_counts.map(|count| count.from_station_id.clone());
        let without_row = (all.stations.origins()).filter(|id| !versions.contains_key(id));
        let origins: BTreeSet<StationId> = of_counts.chain(without_row).collect();
        if counts.is_empty() && origins.is_empty() {
            return Ok(());
        }
        self.shared().trips_changed(&origins, all).await?;
        let versions = self.shared().station_versions().await?;
        for count in &mut counts {
            let version = versions.get(&count.from_station_id).copied().flatten();
            count.trips_version = count.trips_version.max(version);
        }
        self.store.put_counts(system, &counts).await
    }
}

/// Lists ids for people: the first five.
fn names(ids: &[StationId]) -> String {
    const NAMED: usize = 5;
    let named: Vec<&str> = ids.iter().take(NAMED).map(StationId::as_str).collect();
    let named = named.join(", ");
    match ids.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!("{named} and {more} more"),
        _ => named,
    }
}
