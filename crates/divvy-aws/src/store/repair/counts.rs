//! Counts of stations: those that a repair corrects.

use std::collections::{BTreeMap, BTreeSet};

use divvy::model::{StationId, SystemId};
use divvy::store::{CountsTable, FromStationCount, StoreError};
use divvy::tally::Totals;

use super::Repair;

impl Repair<'_> {
    /// Computes the counts that are wrong or missing, without those that wait for the stream.
    /// `foreign` are the trips of no archive, by origin: the counts have them too.
    pub(super) async fn counts(
        &mut self,
        system: &SystemId,
        all: &Totals,
        foreign: &BTreeMap<StationId, u64>,
    ) -> Result<Vec<FromStationCount>, StoreError> {
        let kept = self.store.counts(system).await?;
        let versions = self.shared().station_versions().await?;
        let mut missing: BTreeSet<StationId> = all.stations.origins().collect();
        let mut counts = Vec::new();
        let mut wrong = 0;
        let stored = |origin: &StationId| all.stations.departures(origin).max(0) as u64;
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
        let n = missing.len();
        counts.extend(missing.into_iter().map(|origin| FromStationCount {
            from_count: stored(&origin) + foreign(&origin),
            trips_version: versions.get(&origin).copied().flatten(),
            refreshed_at: self.now,
            from_station_id: origin,
        }));
        if wrong > 0 {
            self.done(format!("{wrong} counts of stations corrected"));
        }
        if n > 0 {
            self.done(format!("{n} missing counts of stations made"));
        }
        Ok(counts)
    }

    /// Writes counts, and stations that are missing for them.
    pub(super) async fn put_counts(
        &self,
        system: &SystemId,
        mut counts: Vec<FromStationCount>,
        all: &Totals,
    ) -> Result<(), StoreError> {
        if counts.is_empty() {
            return Ok(());
        }
        let used = |count: &&FromStationCount| count.from_count > 0;
        let origins = counts.iter().filter(used);
        let origins: BTreeSet<StationId> =
            origins.map(|count| count.from_station_id.clone()).collect();
        self.shared().trips_changed(&origins, all).await?;
        let versions = self.shared().station_versions().await?;
        for count in &mut counts {
            let version = versions.get(&count.from_station_id).copied().flatten();
            count.trips_version = count.trips_version.max(version);
        }
        self.store.put_counts(system, &counts).await
    }
}
