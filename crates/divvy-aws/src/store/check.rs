//! Proves the laws on the tables at hand: every trip read, every tally counted anew.

use std::collections::{BTreeMap, HashMap};

use divvy::store::{Checked, StoreError, Tallies};
use divvy::tally::{Tally, Totals};

use super::layout::{self, InForce};
use super::{DynamoStore, plan};

impl DynamoStore {
    /// Proves the laws on this store. Reads all of it, at the pace of its capacity.
    ///
    /// # Errors
    ///
    /// Those of the service; an item that cannot be read.
    pub async fn check(&self) -> Result<Checked, StoreError> {
        let shared = &self.shared;
        let mut checked = Checked::default();
        let Some(state) = shared.ledger.state().await? else {
            checked.facts.push("the store is empty".into());
            return Ok(checked);
        };
        let id = &state.system.id;
        let archives = shared.ledger.archives().await?;
        if let Some(load) = shared.ledger.load().await? {
            let (done, again) = match load.way.as_str() {
                "unload" => ("unloaded", "unload"),
                _ => ("loaded", "load"),
            };
            checked.facts.push(format!(
                "{} is being {done}, or was when a divvy was killed: {again} it again to finish it",
                load.archive
            ));
        }

        // What is there.
        let mut counted: HashMap<String, Totals> = HashMap::new();
        let mut stray: BTreeMap<String, u64> = BTreeMap::new();
        let in_force = InForce::of(shared, &archives).await?;
        let layout = shared.tables.trip_data.layout;
        let mut from = None;
        loop {
            let (items, next) = shared.trips.scan_page((0, 1), from, true).await?;
            let (items, others): (Vec<_>, Vec<_>) =
                items.into_iter().partition(|item| in_force.has(item));
            for (mark, rows) in layout::rows_of_items(layout, &items)? {
                counted.entry(mark).or_default().count(&rows.batch, 1);
            }
            for (mark, rows) in layout::rows_of_items(layout, &others)? {
                *stray.entry(mark).or_default() += rows.len() as u64;
            }
            from = next;
            if from.is_none() {
                break;
            }
        }

        // What the ledger says of it.
        let mut all = Totals::default();
        let mut trips = 0;
        for archive in &archives {
            let entry = &archive.entry;
            let name = &entry.id.name;
            let told = shared
                .ledger
                .totals(Some(&archive.content()), Some(archive.parts.totals))
                .await?;
            let mut recount = counted.remove(&archive.mark()).unwrap_or_default();
            recount.names = told.names.clone();
            checked.expect(recount.trips == told.trips, || {
                format!(
                    "{name}: {} trips are there, and the ledger says {}",
                    recount.trips, told.trips
                )
            });
            checked.expect(recount == told, || {
                format!("{name}: its tallies are not those of its trips")
            });
            checked.expect(entry.stored == told.trips.max(0) as u64, || {
                format!("{name}: its entry and its tallies differ")
            });
            checked.expect(
                entry.rows_read == entry.stored + entry.rejected_total(),
                || {
                    format!(
                        "{name}: {} rows were read, and not all of them are told of",
                        entry.rows_read
                    )
                },
            );
            let mut ids = 0_u64;
            plan::visit_ids(shared, archive, &mut |_| {
                ids += 1;
                Ok(())
            })
            .await?;
            let lost = plan::count_lost(shared, archive).await?;
            checked.expect(ids == entry.stored + lost && lost == archive.lost, || {
                format!(
                    "{name}: {ids} ids, {} stored trips and {lost} set aside do not add up",
                    entry.stored
                )
            });
            trips += entry.stored;
            all.merge(&told);
        }
        let told = shared.ledger.totals(None, state.totals).await?;
        checked.expect(all == told, || {
            "the totals over all archives are not those of the archives".into()
        });
        for (mark, n) in &stray {
            checked.facts.push(format!(
                "{n} trips are of a load that was never finished (archive {mark}): no report \
                 counts them"
            ));
        }

        // What the stream has kept.
        let counts = self.counts(id).await?;
        let stations = shared.station_versions().await?;
        let mut stale = 0_u64;
        for count in &counts {
            let origin = &count.from_station_id;
            let version = stations.get(origin).copied().flatten();
            if count.trips_version < version {
                stale += 1;
                continue;
            }
            let stored = told.stations.departures(origin).max(0) as u64;
            checked.expect(count.from_count == stored, || {
                format!(
                    "from_count of {origin} is {}, and {stored} trips start there",
                    count.from_count
                )
            });
        }
        let uncounted = told
            .stations
            .origins()
            .filter(|origin| !counts.iter().any(|count| count.from_station_id == *origin));
        let waiting = stale + uncounted.count() as u64;
        checked.facts.push(format!(
            "{id}: {trips} trips, each stored once (ledger: {}); tallies equal a recount; {} counts \
             are those of the trips",
            archives.len(),
            counts.len() as u64 - stale,
        ));
        if waiting > 0 {
            checked.facts.push(format!(
                "{waiting} counts wait for the stream (or divvy refresh)"
            ));
        }
        Ok(checked)
    }
}
