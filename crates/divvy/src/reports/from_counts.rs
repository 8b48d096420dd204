//! The report of FromStationCounts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::question::Counted;
use super::stations::behind;
use super::{Column, Filter, Note, Question, Report, Row, Table, Value, ValueKind, plural};
use crate::model::{StationAlias, StationId};
use crate::store::StoreError;
use crate::tally::Parts;

/// FromStationCounts, with a count of 0 for stations that it lacks.
pub struct FromCounts;

/// The departures from one id.
#[derive(Clone, Debug, PartialEq)]
pub struct FromCountRow {
    /// The id as the trips use it; the feed's id for a station without trips.
    pub from_station_id: StationId,
    /// Trips that start there.
    pub from_count: i64,
    /// When they were counted, RFC 3339. `None` if they never were.
    pub refreshed_at: Option<String>,
}

impl Row for FromCountRow {
    fn columns() -> Vec<Column> {
        vec![
            Column::new("from_station_id", ValueKind::Text)
                .headed("station id")
                .defined("the id as the trips use it; the feed's, for a station without trips"),
            Column::new("from_count", ValueKind::Count)
                .headed("departures")
                .defined("stored trips that start there, as the change stream counted them last"),
            Column::new("refreshed_at", ValueKind::Instant)
                .headed("counted")
                .spare(1)
                .defined("when they were counted; empty where they never were"),
        ]
    }

    fn values(self) -> Vec<Value> {
        vec![
            self.from_station_id.as_str().into(),
            self.from_count.into(),
            self.refreshed_at.into(),
        ]
    }
}

#[async_trait]
impl Report for FromCounts {
    fn name(&self) -> &str {
        "from-counts"
    }

    fn about(&self) -> &str {
        "departures by station id: the table that the change stream keeps"
    }

    fn takes(&self) -> &'static [Filter] {
        &[Filter::Station, Filter::Top]
    }

    fn columns(&self) -> Vec<Column> {
        FromCountRow::columns()
    }

    fn is_long(&self) -> bool {
        true
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let known = question.known(Parts::NONE).await?;
        let kept = question.store.counts(&question.system.id).await?;
        let places = question.places(&known.totals).await?;
        let selected = question.resolve_places(&places, &known.totals);
        let counted = Counted {
            known,
            trips: None,
            how: "from the counts that the change stream keeps".into(),
            with_origin: false,
        };
        let known = &counted.known.totals;
        let selected = selected.unwrap_or_else(|| (0..places.len()).collect());
        let selected = selected.into_iter().map(|index| &places[index]);
        // An id of the trips, or of a station without trips.
        let mut counts: BTreeMap<StationId, (i64, Option<Timestamp>)> = BTreeMap::new();
        for place in selected {
            let used = place
                .aliases()
                .filter(|alias| known.stations.0.contains_key(*alias));
            let ids: BTreeSet<StationId> = used.map(StationAlias::id).collect();
            if ids.is_empty() {
                counts.insert(place.station_id.clone(), (0, None));
            }
            counts.extend(ids.into_iter().map(|id| (id, (0, None))));
        }
        for count in &kept {
            let row = (count.from_count as i64, Some(count.refreshed_at));
            match counts.get_mut(&count.from_station_id) {
                Some(slot) => *slot = row,
                // Counts of ids that no place has any more. Those of 0 are left out: whether they exist
                // depends on the order in which trips and feeds came.
                None if question.filters.station.is_none() && count.from_count > 0 => {
                    counts.insert(count.from_station_id.clone(), row);
                }
                None => {}
            }
        }
        let mut rows: Vec<FromCountRow> = counts
            .into_iter()
            .map(|(id, (from_count, at))| FromCountRow {
                from_station_id: id,
                from_count,
                refreshed_at: at.map(|at| question.instant(at)),
            })
            .collect();
        rows.sort_by_key(|row| Reverse(row.from_count)); // stable: equal ones stay by id
        let mut notes = question.scope(&counted, question.filters);
        notes.extend(behind(known, &kept));
        let departures: i64 = rows.iter().map(|row| row.from_count).sum();
        notes.push(Note::Scope(format!(
            "{} from {}",
            plural(departures, "departure"),
            plural(rows.len() as i64, "station id"),
        )));
        Ok(Table::new(rows, notes).counted_as(&counted, question.filters))
    }
}
