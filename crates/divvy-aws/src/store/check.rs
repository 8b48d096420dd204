//! Checks the laws of a store: reads every trip, and counts every tally again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use divvy::model::StationId;
use divvy::reports::plural;
use divvy::store::{Checked, FromStationCount, PlaceCorrections, StoreError, StoreErrorKind};
use divvy::tally::{Tally, Totals};

use super::committed_items::{CommittedItems, Membership};
use super::counts::UNREADABLE_COUNT;
use super::departures::trips_of;
use super::duplicates::IdSum;
use super::layout;
use super::load::lease::{REPAIR, UNLOAD, UPGRADE};
use super::readable::in_short;
use super::stations::{UNREADABLE_STATION, Versions, versions_of};
use super::{DynamoStore, duplicates};
use crate::blocks::Rows;
use crate::item::Item;
use crate::item::trip::INDEX_KEY;
use crate::ledger::{Archive, LoadRecord, SectionOwner};
use crate::store::upgrade::corrected_block;
use crate::tables::{IndexShape, Layout};

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
            match self.trips_without_ledger().await? {
                None => checked.facts.push("the store is empty".into()),
                Some(fault) => checked.faults.push(fault),
            }
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
        let mut counted: HashMap<String, Recount> = HashMap::new();
        let mut found = OtherTrips::default();
        let mut misplaced = 0;
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
            let is_misplaced = |item: &&Item| corrected_block(item).is_some();
            misplaced += items.iter().filter(is_misplaced).count();
            for item in &others {
                found.add(layout, item, committed.membership(item));
            }
        }

        let is_counted = shared.tables.trip_data.index_shape == IndexShape::Counted;
        checked.expect(misplaced == 0 || !is_counted, || {
            format!(
                "{} whose started_at or n is missing or not that of its trips, so that the index counts \
                 them wrongly: divvy check --repair corrects it",
                plural(misplaced as i64, "block")
            )
        });

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
            check_totals(archive, &totals, recount.totals, &mut checked);
            trips += archive.entry.stored;
            all.merge(&totals);
            self.check_ids(archive, recount.ids, &mut checked).await?;
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
        found.describe(&mut checked);
        checked.notes.extend(self.index_warning());

        let strays = shared.ledger.stray_chunks(&state, &archives).await?.len();
        if strays > 0 {
            checked.facts.push(format!(
                "{strays} parts of the ledger are of loads that were never finished: divvy check \
                 --repair deletes them"
            ));
        }

        let are_sound = checked.faults.is_empty();
        let expected = ExpectedCounts {
            totals: &totals,
            pending: pending.as_deref(),
            foreign: &found.foreign,
        };
        let counts = self.check_counts(&expected, &mut checked).await?;
        if are_sound {
            checked.facts.push(format!(
                "{id}: {trips} trips, each stored once (ledger: {}); tallies equal a recount",
                archives.len(),
            ));
        }
        checked.facts.extend(counts);
        Ok(checked)
    }

    /// Returns a sentence where TripData has trips, and the ledger nothing at all. Trips that were imported
    /// from S3 and are not loaded yet are such trips. `None` for an empty store.
    pub(super) async fn trips_without_ledger(&self) -> Result<Option<String>, StoreError> {
        let shared = &self.shared;
        let first = shared.trips.scan().next().await?;
        let is_empty = first.is_none_or(|items| items.is_empty());
        Ok((!is_empty).then(|| {
            format!(
                "{} is empty, and {} has trips: restore it from a backup, or load the archives with \
                 --imported; divvy load --imported is also the next step after an import from S3",
                shared.ledger.table.name, shared.trips.name
            )
        }))
    }

    /// Checks the counts of stations. Returns what holds, one sentence each.
    async fn check_counts(
        &self,
        expected: &ExpectedCounts<'_>,
        checked: &mut Checked,
    ) -> Result<Vec<String>, StoreError> {
        let counts = self.read_counts().await?;
        checked
            .faults
            .extend(counts.describe_unreadable(UNREADABLE_COUNT));
        let rows = self.shared.read_station_rows().await?;
        checked
            .faults
            .extend(rows.describe_unreadable(UNREADABLE_STATION));
        let versions = versions_of(rows.read.iter());
        let lags = self.lags().await?;
        let (mut waiting, mut right) = (0, 0);
        for count in &counts.read {
            let origin = &count.from_station_id;
            let version = versions.get(origin).copied().flatten();
            if count.trips_version < version {
                waiting += 1;
            } else if expected.has(count) {
                right += 1;
            } else {
                let stored = expected.stored(origin);
                let wrong = || {
                    format!(
                        "from_count of {origin} is {}, and {stored} trips start there",
                        count.from_count
                    )
                };
                let lag = lags.get(origin.as_str()).cloned();
                checked.faults.push(lag.unwrap_or_else(wrong));
            }
        }
        let counted: BTreeSet<&StationId> = (counts.read.iter())
            .map(|count| &count.from_station_id)
            .collect();
        if rows.unreadable.is_empty() {
            self.check_rows(expected.totals, &versions, checked).await?;
        }
        let uncounted = expected.totals.stations.origins();
        waiting += uncounted.filter(|origin| !counted.contains(origin)).count();
        let mut facts = vec![format!("{} are those of the trips", plural(right, "count"))];
        if waiting > 0 {
            let waiting = plural(waiting as i64, "count");
            facts.push(format!(
                "{waiting} to be made again by the stream, or by divvy refresh"
            ));
        }
        Ok(facts)
    }

    /// Checks that each id of the trips has a row of StationData. `versions` are those of the rows.
    async fn check_rows(
        &self,
        totals: &Totals,
        versions: &Versions,
        checked: &mut Checked,
    ) -> Result<(), StoreError> {
        let without_row = |versions: &Versions| -> Vec<StationId> {
            let origins = totals.stations.origins();
            origins.filter(|id| !versions.contains_key(id)).collect()
        };
        let mut missing = without_row(versions);
        if !missing.is_empty() {
            // A poll may have moved an id to another row while the rows were read.
            missing = without_row(&self.shared.station_versions().await?);
        }
        checked.expect(missing.is_empty(), || {
            format!(
                "{} of the trips without a row of StationData ({}): no stream refreshes their \
                 counts; divvy check --repair adds it",
                plural(missing.len() as i64, "station id"),
                in_short(missing.iter())
            )
        });
        Ok(())
    }

    /// Checks the ids and the number of duplicates of an archive. `found` are the ids of its stored trips.
    async fn check_ids(
        &self,
        archive: &Archive,
        found: IdSum,
        checked: &mut Checked,
    ) -> Result<(), StoreError> {
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
            let listed = duplicates::stored_ids(shared, archive).await?;
            checked.expect(listed == found, || {
                format!(
                    "{}: the ids of its stored trips are not those of its list",
                    archive.entry.id.name
                )
            });
        }
        Ok(())
    }
}

/// The stored trips of an archive, as they were found.
#[derive(Default)]
struct Recount {
    totals: Totals,
    ids: IdSum,
}

/// The counts that stations are expected to have.
struct ExpectedCounts<'a> {
    /// The totals over all archives.
    totals: &'a Totals,
    /// Those that a load is about to commit.
    pending: Option<&'a Totals>,
    /// The trips of no archive, by origin.
    foreign: &'a BTreeMap<StationId, u64>,
}

impl ExpectedCounts<'_> {
    /// Returns the number of stored trips from an origin.
    fn stored(&self, origin: &StationId) -> u64 {
        self.totals.stations.departures(origin)
    }

    /// Returns whether a count is right: that of the trips of the archives, or with those of no
    /// archive that were there when it was made.
    fn has(&self, count: &FromStationCount) -> bool {
        let origin = &count.from_station_id;
        let foreign = self.foreign.get(origin).copied().unwrap_or(0);
        let totals = [Some(self.totals), self.pending];
        totals.into_iter().flatten().any(|totals| {
            let stored = totals.stations.departures(origin);
            (stored..=stored + foreign).contains(&count.from_count)
        })
    }
}

/// The trips in the table that belong to no archive of the ledger.
#[derive(Default)]
struct OtherTrips {
    /// Of unfinished loads, by archive tag.
    uncommitted: BTreeMap<String, u64>,
    /// Of no archive, by origin.
    foreign: BTreeMap<StationId, u64>,
    /// Of no archive and without an origin.
    without_origin: u64,
}

impl OtherTrips {
    fn add(&mut self, layout: Layout, item: &Item, membership: Membership) {
        if membership == Membership::Foreign {
            let n = trips_of(layout, item);
            match layout::text(item, INDEX_KEY) {
                Some(origin) => *self.foreign.entry(origin.into()).or_default() += n,
                None => self.without_origin += n,
            }
            return;
        }
        // An item that cannot be read counts as one trip.
        let rows = layout::rows_of_items(layout, std::slice::from_ref(item));
        let n = rows.map_or(1, |rows| rows.values().map(Rows::len).sum());
        let tag = layout::tag_of_item(layout, item).to_owned();
        *self.uncommitted.entry(tag).or_default() += n as u64;
    }

    fn describe(&self, checked: &mut Checked) {
        for (tag, n) in &self.uncommitted {
            checked.facts.push(format!(
                "{} of a load that was never finished (archive {tag}): no report counts them",
                plural(*n as i64, "trip"),
            ));
        }
        let n = self.foreign.values().sum::<u64>() + self.without_origin;
        if n == 0 {
            return;
        }
        let named = in_short(self.foreign.keys());
        let at = match self.foreign.len() {
            0 => "without an origin".to_owned(),
            1 => format!("at station {named}"),
            _ => format!("at stations {named}"),
        };
        checked.notes.push(format!(
            "{} of no archive, which another program has put into the table, {at}: from_count has \
             those with a station and a start, and no other report",
            plural(n as i64, "trip"),
        ));
    }
}

/// Describes the unfinished load.
fn unfinished_load(load: &LoadRecord) -> String {
    let (done, again) = match load.settings.as_str() {
        REPAIR => return "the store is being repaired, or was when a divvy was killed".into(),
        UPGRADE => return "the index is being made again, or was when a divvy was killed".into(),
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
            "{name}: {} trips are there, and the ledger has {}",
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
        format!("{name}: {rows} rows were read, but stored and rejected rows are not as many")
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
    counted: &mut HashMap<String, Recount>,
    checked: &mut Checked,
) {
    match layout::rows_of_items(layout, items) {
        Ok(rows) => {
            for (tag, rows) in rows {
                let recount = counted.entry(tag).or_default();
                recount.totals.count(&rows.batch, 1);
                recount.ids.add_rows(&rows);
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
