//! Counts of stations, and rows of StationData for them: those that a repair corrects.

use std::collections::{BTreeMap, BTreeSet};

use divvy::model::{StationId, SystemId};
use divvy::reports::plural;
use divvy::store::{CountsTable, FromStationCount, StoreError};
use divvy::tally::Totals;

use super::Repair;
use crate::item;
use crate::pace::{PacedTable, unchanged};
use crate::store::readable::{ReadItems, in_short};
use crate::store::stations::{Versions, versions_of};
use crate::store::string_key;

impl Repair<'_> {
    /// Computes the counts that are wrong or missing, without those that wait for the stream. Counts and
    /// rows of StationData that cannot be read are deleted, except in a dry run, and missing then. `foreign`
    /// are the trips of no archive, by origin: the counts have them too.
    pub(super) async fn counts(
        &mut self,
        all: &Totals,
        foreign: &BTreeMap<StationId, u64>,
    ) -> Result<Vec<FromStationCount>, StoreError> {
        let kept = self.store.read_counts().await?;
        let rows = self.shared().read_station_rows().await?;
        let versions = versions_of(rows.read.iter());
        self.delete_unreadable_counts(&kept).await?;
        if !rows.unreadable.is_empty() {
            let table = &self.shared().stations;
            let deleted = (item::station::KEY, &rows);
            let n = self.delete_unreadable(table, deleted).await?;
            self.shared().forget_rows();
            self.done(format!(
                "{n} of StationData deleted that could not be read: the next divvy poll, or load of a \
                 station list, makes the stations again"
            ));
        }
        self.describe_missing_rows(all, &versions);
        Ok(self.corrected_counts(kept.read, all, foreign, &versions))
    }

    async fn delete_unreadable_counts(
        &mut self,
        counts: &ReadItems<FromStationCount>,
    ) -> Result<(), StoreError> {
        if counts.unreadable.is_empty() {
            return Ok(());
        }
        let table = &self.shared().counts;
        let n = self
            .delete_unreadable(table, (item::count::KEY, counts))
            .await?;
        self.done(format!(
            "{n} of FromStationCounts deleted that could not be read"
        ));
        Ok(())
    }

    /// Deletes the unreadable items of a table, whose key is an attribute, except in a dry run, and except
    /// those that another process has replaced meanwhile. Describes them: `2 items (35, 76)`.
    async fn delete_unreadable<T>(
        &self,
        table: &PacedTable,
        (key, items): (&str, &ReadItems<T>),
    ) -> Result<String, StoreError> {
        for (id, unreadable) in &items.unreadable {
            if !self.dry_run {
                let item = &unreadable.item;
                let names = item.keys().map(String::as_str).filter(|name| *name != key);
                let (text, values) = unchanged(key, names, item);
                let condition = Some((text.as_str(), values));
                table
                    .delete_if(string_key(key, id.as_str()), condition)
                    .await?;
            }
        }
        Ok(format!(
            "{} ({})",
            plural(items.unreadable.len() as i64, "item"),
            in_short(items.unreadable.keys())
        ))
    }

    fn describe_missing_rows(&mut self, all: &Totals, versions: &Versions) {
        let missing = origins_without_row(all, versions).count();
        if missing > 0 {
            let rows = plural(missing as i64, "missing row");
            self.done(format!("{rows} of StationData made"));
        }
    }

    /// Computes the counts that are wrong or missing. `versions` are those of the rows of StationData.
    fn corrected_counts(
        &mut self,
        kept: Vec<FromStationCount>,
        all: &Totals,
        foreign: &BTreeMap<StationId, u64>,
        versions: &Versions,
    ) -> Vec<FromStationCount> {
        let stored = |origin: &StationId| all.stations.departures(origin);
        let foreign = |origin: &StationId| foreign.get(origin).copied().unwrap_or(0);
        let mut missing: BTreeSet<StationId> = all.stations.origins().collect();
        let mut counts = Vec::new();
        let mut wrong = 0;
        for count in kept {
            let origin = &count.from_station_id;
            missing.remove(origin);
            let version = versions.get(origin).copied().flatten();
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
        let n = missing.len() as i64;
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
            let n = plural(n, "missing count");
            self.done(format!("{n} of stations made"));
        }
        counts
    }

    /// Writes counts, and the rows of StationData that are missing for the trips.
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
        let origins: BTreeSet<StationId> = of_counts
            .chain(origins_without_row(all, &versions))
            .collect();
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

/// Lists the ids of trips that no row of StationData has.
fn origins_without_row(all: &Totals, versions: &Versions) -> impl Iterator<Item = StationId> {
    let origins = all.stations.origins();
    origins.filter(|id| !versions.contains_key(id))
}
