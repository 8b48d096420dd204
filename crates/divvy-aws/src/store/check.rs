//! Proves the laws on the tables at hand: every trip read, every tally counted anew.

use std::collections::{BTreeMap, HashMap};

use divvy::store::{Checked, CountsTable, StoreError, StoreErrorKind};
use divvy::tally::{Tally, Totals};

use super::layout::{self, InForce};
use super::{DynamoStore, plan, repair};
use crate::blocks::Rows;
use crate::item::Item;
use crate::tables::Layout;

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
            checked.facts.push(match load.way.as_str() {
                repair::WAY => "the store is being repaired, or was when a divvy was killed".into(),
                way => {
                    let (done, again) = match way {
                        "unload" => ("unloaded", "unload"),
                        _ => ("loaded", "load"),
                    };
                    format!(
                        "{} is being {done}, or was when a divvy was killed: {again} it again to \
                         finish it",
                        load.archive
                    )
                }
            });
        }

        // What is there.
        let mut counted: HashMap<String, Totals> = HashMap::new();
        let mut stray: BTreeMap<String, u64> = BTreeMap::new();
        let in_force = InForce::of(shared, &archives).await;
        let Some(in_force) = if_whole(in_force, &mut checked)? else {
            return Ok(checked);
        };
        let layout = shared.tables.trip_data.layout;
        let mut from = None;
        loop {
            let (items, next) = shared.trips.scan_page((0, 1), from, true).await?;
            let (items, others): (Vec<_>, Vec<_>) =
                items.into_iter().partition(|item| in_force.has(item));
            count(layout, &items, &mut counted, &mut checked);
            for item in &others {
                // One that cannot be read counts for one.
                let rows = layout::rows_of_items(layout, std::slice::from_ref(item));
                let n = rows.map_or(1, |rows| rows.values().map(Rows::len).sum());
                let mark = layout::mark_of_item(layout, item).to_owned();
                *stray.entry(mark).or_default() += n as u64;
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
                .await;
            let Some(told) = if_whole(told, &mut checked)? else {
                continue;
            };
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
            let read = plan::visit_ids(shared, archive, &mut |_| {
                ids += 1;
                Ok(())
            })
            .await;
            let is_read = if_whole(read, &mut checked)?.is_some();
            let lost = if_whole(plan::count_lost(shared, archive).await, &mut checked)?;
            trips += entry.stored;
            all.merge(&told);
            let (true, Some(lost)) = (is_read, lost) else {
                continue;
            };
            checked.expect(ids == entry.stored + lost && lost == archive.lost, || {
                format!(
                    "{name}: {ids} ids, {} stored trips and {lost} set aside do not add up",
                    entry.stored
                )
            });
        }
        let told = shared.ledger.totals(None, state.totals).await;
        let Some(told) = if_whole(told, &mut checked)? else {
            return Ok(checked);
        };
        checked.expect(all == told, || {
            "the totals over all archives are not those of the archives".into()
        });
        for (mark, n) in &stray {
            checked.facts.push(format!(
                "{n} trips are of a load that was never finished (archive {mark}): no report \
                 counts them"
            ));
        }

        let strays = shared.ledger.stray_parts(&state, &archives).await?.len();
        if strays > 0 {
            checked.facts.push(format!(
                "{strays} parts of the ledger are of loads that were never finished: divvy check \
                 --repair deletes them"
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
        checked.notes.extend(self.given_up().await?);
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

/// Takes what can be read; notes a fault where it is damaged.
fn if_whole<T>(
    read: Result<T, StoreError>,
    checked: &mut Checked,
) -> Result<Option<T>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind == StoreErrorKind::Damaged => {
            checked.faults.push(error.to_string());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Counts the trips of items by the marks of their archives; notes a fault for each item that
/// cannot be read.
fn count(
    layout: Layout,
    items: &[Item],
    counted: &mut HashMap<String, Totals>,
    checked: &mut Checked,
) {
    match layout::rows_of_items(layout, items) {
        Ok(rows) => {
            for (mark, rows) in rows {
                counted.entry(mark).or_default().count(&rows.batch, 1);
            }
        }
        // One of them: each is looked at alone.
        Err(_) if items.len() > 1 => {
            for item in items.chunks(1) {
                count(layout, item, counted, checked);
            }
        }
        Err(error) => checked.faults.push(error.to_string()),
    }
}
