//! Checks the laws of a store: reads every trip, and counts every tally again.

use std::collections::{BTreeMap, HashMap};

use divvy::store::{Checked, CountsTable, PlaceCorrections, StoreError, StoreErrorKind};
use divvy::tally::{Tally, Totals};

use super::layout::{self, CommittedItems};
use super::load::lease::{REPAIR, UNLOAD};
use super::{DynamoStore, duplicates};
use crate::blocks::Rows;
use crate::item::Item;
use crate::ledger::{Archive, LoadRecord, SectionOwner};
use crate::tables::Layout;

impl DynamoStore {
    /// Checks the laws of this store. Reads all tables, at the rate of their capacity.
    ///
    /// # Errors
    ///
    /// Those of the service.
    pub async fn check(&self) -> Result<Checked, StoreError> {
        let shared = &self.shared;
        let mut checked = Checked::default();
        let Some(state) = shared.ledger.state().await? else {
            checked.facts.push("the store is empty".into());
            return Ok(checked);
        };
        let id = &state.system.id;
        let archives = shared.ledger.archives().await?;
        let load = shared.ledger.load().await?;
        checked.facts.extend(load.as_ref().map(unfinished_load));
        // While a load ends, counts are those of the totals that it will commit.
        let pending = state
            .pending_totals
            .filter(|_| load.is_some_and(|load| load.is_ending));
        let pending = match pending {
            Some(section) => if_readable(shared.totals(Some(section)).await, &mut checked)?,
            None => None,
        };

        // The stored trips, counted by archive tag.
        let mut counted: HashMap<String, Totals> = HashMap::new();
        let mut stray: BTreeMap<String, u64> = BTreeMap::new();
        let committed = CommittedItems::of(shared, &archives).await;
        let Some(committed) = if_readable(committed, &mut checked)? else {
            return Ok(checked);
        };
        let layout = shared.tables.trip_data.layout;
        let mut scan = shared.trips.scan();
        while let Some(items) = scan.next().await? {
            let (items, others): (Vec<_>, Vec<_>) =
                items.into_iter().partition(|item| committed.has(item));
            count(layout, &items, &mut counted, &mut checked);
            for item in &others {
                // One that cannot be read counts as one trip.
                let rows = layout::rows_of_items(layout, std::slice::from_ref(item));
                let n = rows.map_or(1, |rows| rows.values().map(Rows::len).sum());
                let tag = layout::tag_of_item(layout, item).to_owned();
                *stray.entry(tag).or_default() += n as u64;
            }
        }

        // The ledger.
        let mut all = Totals::default();
        let mut trips = 0;
        for archive in &archives {
            let content = archive.content();
            let owner = SectionOwner::Archive(&content);
            let totals = shared
                .ledger
                .totals(owner, Some(archive.sections.totals))
                .await;
            let Some(totals) = if_readable(totals, &mut checked)? else {
                continue;
            };
            let recount = counted.remove(&archive.tag()).unwrap_or_default();
            check_totals(archive, &totals, recount, &mut checked);
            trips += archive.entry.stored;
            all.merge(&totals);
            self.check_ids(archive, &mut checked).await?;
        }
        let totals = shared
            .ledger
            .totals(SectionOwner::Store, state.totals)
            .await;
        let Some(totals) = if_readable(totals, &mut checked)? else {
            return Ok(checked);
        };
        checked.expect(all == totals, || {
            "the totals over all archives are not those of the archives".into()
        });
        let corrections = self.corrections(id).await?;
        checked.notes.extend(corrections.without_trips(&totals));
        for (tag, n) in &stray {
            checked.facts.push(format!(
                "{n} trips are of a load that was never finished (archive {tag}): no report \
                 counts them"
            ));
        }

        let strays = shared.ledger.stray_chunks(&state, &archives).await?.len();
        if strays > 0 {
            checked.facts.push(format!(
                "{strays} parts of the ledger are of loads that were never finished: divvy check \
                 --repair deletes them"
            ));
        }

        // The counts.
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
            let departures = |totals: &Totals| totals.stations.departures(origin).max(0) as u64;
            let stored = departures(&totals);
            let is_pending =
                (pending.as_deref()).is_some_and(|pending| count.from_count == departures(pending));
            checked.expect(count.from_count == stored || is_pending, || {
                format!(
                    "from_count of {origin} is {}, and {stored} trips start there",
                    count.from_count
                )
            });
        }
        checked.notes.extend(self.lagging_counts().await?);
        let uncounted = totals
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

    /// Checks the numbers of ids and duplicates of an archive.
    async fn check_ids(&self, archive: &Archive, checked: &mut Checked) -> Result<(), StoreError> {
        let shared = &self.shared;
        let mut ids = 0_u64;
        let read = duplicates::visit_ids(shared, archive, &mut |_| {
            ids += 1;
            Ok(())
        })
        .await;
        let read = if_readable(read, checked)?;
        let duplicates = duplicates::count_duplicates(shared, archive).await;
        let duplicates = if_readable(duplicates, checked)?;
        if let (Some(()), Some(n)) = (read, duplicates) {
            let stored = archive.entry.stored;
            checked.expect(ids == stored + n && n == archive.duplicates, || {
                format!(
                    "{}: {ids} ids, {stored} stored trips and {n} set aside do not add up",
                    archive.entry.id.name
                )
            });
        }
        Ok(())
    }
}

/// Describes the unfinished load.
fn unfinished_load(load: &LoadRecord) -> String {
    let (done, again) = match load.settings.as_str() {
        REPAIR => return "the store is being repaired, or was when a divvy was killed".into(),
        UNLOAD => ("unloaded", "unload"),
        _ => ("loaded", "load"),
    };
    format!(
        "{} is being {done}, or was when a divvy was killed: {again} it again to finish it",
        load.archive
    )
}

/// Checks the totals of an archive against a recount and against its entry.
fn check_totals(archive: &Archive, totals: &Totals, mut recount: Totals, checked: &mut Checked) {
    let entry = &archive.entry;
    let name = &entry.id.name;
    recount.names = totals.names.clone();
    checked.expect(recount.trips == totals.trips, || {
        format!(
            "{name}: {} trips are there, and the ledger says {}",
            recount.trips, totals.trips
        )
    });
    checked.expect(recount == *totals, || {
        format!("{name}: its tallies are not those of its trips")
    });
    checked.expect(entry.stored == totals.trips.max(0) as u64, || {
        format!("{name}: its entry and its tallies differ")
    });
    let rows = entry.rows_read;
    checked.expect(rows == entry.stored + entry.rejected_total(), || {
        format!("{name}: {rows} rows were read, and not all of them are told of")
    });
}

/// Returns what was read. `None`, with a fault, where it is damaged.
fn if_readable<T>(
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

/// Counts the trips of items by archive tag; adds a fault for each item that cannot be read.
fn count(
    layout: Layout,
    items: &[Item],
    counted: &mut HashMap<String, Totals>,
    checked: &mut Checked,
) {
    match layout::rows_of_items(layout, items) {
        Ok(rows) => {
            for (tag, rows) in rows {
                counted.entry(tag).or_default().count(&rows.batch, 1);
            }
        }
        // One of them cannot be read: each is counted alone.
        Err(_) if items.len() > 1 => {
            for item in items.chunks(1) {
                count(layout, item, counted, checked);
            }
        }
        Err(error) => checked.faults.push(error.to_string()),
    }
}
