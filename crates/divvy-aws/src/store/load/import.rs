//! Verifying an import from S3, whose trips are in the table before their archive is loaded.

use std::collections::HashMap;

use divvy::store::{StoreError, StoreErrorKind};
use divvy::tally::Totals;

use super::refusal::LoadRefusal;
use crate::item::{self, Item};
use crate::pace::{IndexQuery, Write};
use crate::store::layout::{self, TripWrites};
use crate::store::spool::SpooledRows;
use crate::store::{Shared, string_key};
use crate::tables::IndexShape;

const HAS_KEY: &str = "an item has a key";

/// Verifies that the trips of an archive are in the table: counts the entries of the index with its
/// tag by origin, and compares a sample of the trips attribute by attribute. `totals` are those of the
/// trips that are stored of the archive.
///
/// # Errors
///
/// Some trips are missing or different.
pub(super) async fn verify(
    shared: &Shared,
    rows: &mut SpooledRows,
    writes: &mut TripWrites,
    tag: &str,
    totals: &Totals,
) -> Result<(), StoreError> {
    /// About how many trips are compared.
    const SAMPLES: u64 = 500;
    let of = rows.len() as u64;
    let step = (of / SAMPLES).max(1);
    let mut expected = Vec::new();
    let mut n = 0;
    while let Some((write, _)) = writes.next(rows)? {
        if let Write::Put(item) = write
            && n % step == 0
        {
            expected.push(item);
        }
        n += 1;
    }
    let mut keys = Vec::new();
    for item in &expected {
        let key = layout::key_of(item).expect(HAS_KEY);
        keys.push(string_key(item::trip::KEY, key));
    }
    let found = shared.trips.get_all(keys).await?;
    let found = found.iter();
    let by_key: HashMap<&str, &Item> = found
        .filter_map(|item| Some((layout::key_of(item)?, item)))
        .collect();
    for item in &expected {
        let id = layout::key_of(item).expect(HAS_KEY);
        let fault = match by_key.get(id) {
            None => "is not there",
            Some(found) if *found != item => "is another",
            Some(_) => continue,
        };
        return Err(LoadRefusal::NotImported {
            table: shared.trips.name.clone(),
            trip: id.to_owned(),
            fault,
        }
        .into());
    }
    let is_compared = shared.tables.trip_data.index_shape == IndexShape::Compared;
    for origin in totals.stations.origins() {
        let expected = totals.stations.departures(&origin);
        let mut found = 0;
        let query = IndexQuery::of(origin.as_str());
        let mut add = |entry: &Item| {
            let is_own = is_compared || layout::text(entry, item::trip::ARCHIVE) == Some(tag);
            found += u64::from(is_own);
        };
        shared.trips.query_index(&query, &mut add).await?;
        let is_right = found == expected || (is_compared && found > expected);
        if !is_right {
            return Err(StoreError::new(
                StoreErrorKind::Damaged,
                format!(
                    "{}: {found} trips of the archive start at {origin}, expected {expected}: the \
                     import is not of this archive, or not done",
                    shared.trips.name
                ),
            ));
        }
    }
    Ok(())
}
