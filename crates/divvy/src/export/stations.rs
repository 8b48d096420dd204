//! The tables of stations and of counts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use parquet::data_type::ByteArray;

use super::parquet_file::ColumnValues;
use super::shape::{ColumnType, ExportColumn};
use crate::model::System;
use crate::reports::{self, Filters, ReportError, Table, Value};
use crate::store::{FromStationCount, Store};

/// The rows of [`STATIONS`](super::shape::STATIONS).
pub(super) struct StationRows {
    /// The report `stations`.
    stations: Table,
    /// The ids that trips use, by place.
    trip_ids: BTreeMap<String, BTreeSet<String>>,
}

impl StationRows {
    /// Reads the stations of a system.
    pub(super) async fn read(store: &dyn Store, system: &System) -> Result<Self, ReportError> {
        let all = Filters::default();
        let report = |name: &'static str| async {
            reports::answer(reports::find(name)?, store, system, &all).await
        };
        let places = report("places").await?;
        let mut trip_ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let [place_id, id_space, id] = ["place_id", "id_space", "id"].map(|name| {
            let texts = column(&places, name).map(|value| text(value).unwrap_or_default());
            texts.collect::<Vec<&str>>()
        });
        for ((place, space), id) in place_id.into_iter().zip(id_space).zip(id) {
            if space == "trips" {
                let ids = trip_ids.entry(place.to_owned()).or_default();
                ids.insert(id.to_owned());
            }
        }
        Ok(Self {
            stations: report("stations").await?,
            trip_ids,
        })
    }

    /// Counts the stations.
    pub(super) fn len(&self) -> usize {
        self.stations.rows.len()
    }

    /// Makes the values of a column.
    pub(super) fn column(&self, wanted: &ExportColumn) -> ColumnValues {
        if wanted.kind == ColumnType::Texts {
            let places = column(&self.stations, "place_id").map(text);
            let ids_of = |place: Option<&str>| self.trip_ids.get(place?);
            return ColumnValues::lists(places.map(|place| {
                let ids = ids_of(place).into_iter().flatten();
                ids.map(|id| ByteArray::from(id.as_str()))
            }));
        }
        let values = column(&self.stations, wanted.name);
        match wanted.kind {
            ColumnType::Text => {
                values_of(wanted, values.map(|value| text(value).map(ByteArray::from)))
            }
            ColumnType::Int => values_of(
                wanted,
                values.map(|value| integer(value).map(|number| number as i32)),
            ),
            ColumnType::Long => values_of(wanted, values.map(integer)),
            ColumnType::Double => values_of(wanted, values.map(Value::number)),
            ColumnType::Instant => values_of(wanted, values.map(instant_ms)),
            ColumnType::Texts | ColumnType::Degrees | ColumnType::LocalTime => {
                unreachable!("stations have no such column")
            }
        }
    }
}

/// Makes the values of a column of [`FROM_STATION_COUNTS`](super::shape::FROM_STATION_COUNTS).
pub(super) fn count_column(counts: &[FromStationCount], name: &str) -> ColumnValues {
    let counts = counts.iter();
    match name {
        "from_station_id" => {
            ColumnValues::required(counts.map(|row| ByteArray::from(row.from_station_id.as_str())))
        }
        "from_count" => ColumnValues::required(counts.map(|row| row.from_count as i64)),
        "trips_version" => {
            let versions = counts.map(|row| row.trips_version);
            ColumnValues::optional(versions.map(|version| version.map(|number| number as i64)))
        }
        "refreshed_at" => {
            ColumnValues::required(counts.map(|row| row.refreshed_at.as_millisecond()))
        }
        other => unreachable!("{other} is no column of counts"),
    }
}

fn values_of<T: super::parquet_file::Physical>(
    column: &ExportColumn,
    values: impl Iterator<Item = Option<T>>,
) -> ColumnValues {
    if column.is_required {
        let present = |value: Option<T>| value.expect("the report has a value in each row");
        ColumnValues::required(values.map(present))
    } else {
        ColumnValues::optional(values)
    }
}

/// Lists the values of a column of a report.
fn column<'a>(table: &'a Table, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    let mut columns = table.columns.iter();
    let index = columns.position(|column| column.name == name);
    let index = index.expect("columns of reports are a contract");
    table.rows.iter().map(move |row| &row[index])
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}

/// Returns the milliseconds since 1970 of an instant, which reports have as RFC 3339.
fn instant_ms(value: &Value) -> Option<i64> {
    let at: Timestamp = text(value)?.parse().ok()?;
    Some(at.as_millisecond())
}
