//! The exported tables: names, columns, types and partition keys.
//!
//! Parquet schema, definitions for Athena and Glue, and the test of docs/FORMATS.md are made from this.

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// A list of texts.
    Texts,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A floating-point number of 64 bits.
    Double,
    /// Degrees with six decimals.
    Degrees,
    /// A wall-clock time to the millisecond, in the zone of the system.
    LocalTime,
    /// An instant to the millisecond.
    Instant,
}

impl ColumnType {
    /// Returns the type of Athena, which is that of Hive and Glue. Athena's timestamps have no zone: those
    /// of instants show UTC.
    pub fn athena(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Texts => "array<string>",
            Self::Int => "int",
            Self::Long => "bigint",
            Self::Double => "double",
            Self::Degrees => "decimal(9,6)",
            Self::LocalTime | Self::Instant => "timestamp",
        }
    }

    /// Returns a field of a Parquet message. Lists have three levels, as the format recommends.
    pub(super) fn parquet_field(self, name: &str, is_required: bool) -> String {
        let repetition = if is_required { "required" } else { "optional" };
        let (physical, annotation) = match self {
            Self::Texts => {
                return format!(
                    "{repetition} group {name} (LIST) {{ repeated group list {{ optional binary \
                     element (UTF8); }} }}"
                );
            }
            Self::Text => ("binary", " (UTF8)"),
            Self::Int => ("int32", ""),
            Self::Long => ("int64", ""),
            Self::Double => ("double", ""),
            Self::Degrees => ("int32", " (DECIMAL(9,6))"),
            Self::LocalTime => ("int64", " (TIMESTAMP(MILLIS,false))"),
            Self::Instant => ("int64", " (TIMESTAMP(MILLIS,true))"),
        };
        format!("{repetition} {physical} {name}{annotation};")
    }
}

/// A column of the files of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
    /// No value is NULL.
    pub is_required: bool,
    /// What it means, in one line of ASCII of at most 255 characters, which is what Glue takes, without quotes
    /// and semicolons.
    pub about: &'static str,
}

const fn required(name: &'static str, kind: ColumnType, about: &'static str) -> ExportColumn {
    ExportColumn {
        name,
        kind,
        is_required: true,
        about,
    }
}

const fn optional(name: &'static str, kind: ColumnType, about: &'static str) -> ExportColumn {
    ExportColumn {
        name,
        kind,
        is_required: false,
        about,
    }
}

/// A partition key: a part of the path of a file, `name=value`, which is not in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionKey {
    /// The id of the system.
    System,
    /// The year of the trip's start on the wall clock of the system.
    Year,
    /// The month of the trip's start on the wall clock of the system: 01 to 12.
    Month,
}

impl PartitionKey {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Year => "year",
            Self::Month => "month",
        }
    }

    /// Returns its type.
    pub fn kind(self) -> ColumnType {
        match self {
            Self::System => ColumnType::Text,
            Self::Year | Self::Month => ColumnType::Int,
        }
    }

    /// Returns what it means.
    pub fn about(self) -> &'static str {
        match self {
            Self::System => "the id of the system",
            Self::Year => "year of the local start",
            Self::Month => "month of the local start, 1 to 12",
        }
    }
}

/// A table of the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// Its name, which is that of its folder.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// The columns of its files.
    pub columns: &'static [ExportColumn],
    /// Its partition keys, the outermost folder first.
    pub partitions: &'static [PartitionKey],
}

use ColumnType::{Degrees, Double, Instant, Int, LocalTime, Long, Text, Texts};

/// The trips.
pub const TRIPS: TableShape = TableShape {
    name: "trips",
    about: "Trips, each once, by the month of their local start",
    columns: &[
        required(
            "trip_id",
            Text,
            "as published, or derived where the file has none",
        ),
        required(
            "started_at",
            LocalTime,
            "start on the wall clock of the system",
        ),
        required("ended_at", LocalTime, "end on the wall clock of the system"),
        required("started_at_utc", Instant, "start in UTC"),
        required("ended_at_utc", Instant, "end in UTC"),
        required("started_offset_s", Int, "seconds east of UTC at the start"),
        required("ended_offset_s", Int, "seconds east of UTC at the end"),
        required(
            "precision_ms",
            Int,
            "how fine the times of the file are: 60000, 1000 or 1 ms",
        ),
        required(
            "ride_duration_s",
            Long,
            "seconds that reports use: reported_duration_s, else the time between both instants, rounded down",
        ),
        optional(
            "reported_duration_s",
            Long,
            "seconds that the publisher states, whatever they are",
        ),
        optional(
            "from_station_id",
            Text,
            "origin as published, NULL away from a station",
        ),
        optional(
            "from_station_name",
            Text,
            "its name in the file of the trip, in its latest spelling",
        ),
        optional(
            "to_station_id",
            Text,
            "destination as published, NULL away from a station",
        ),
        optional(
            "to_station_name",
            Text,
            "its name in the file of the trip, in its latest spelling",
        ),
        optional("vehicle_id", Text, "as published"),
        optional("rideable_type", Text, "kind of bike, as published"),
        required(
            "rider",
            Text,
            "member, casual, dependent, unknown, or another word of the publisher",
        ),
        optional("gender", Text, "as published"),
        optional("birth_year", Int, "year of birth, as published"),
        optional("from_latitude", Degrees, "latitude of the start"),
        optional("from_longitude", Degrees, "longitude of the start"),
        optional("to_latitude", Degrees, "latitude of the end"),
        optional("to_longitude", Degrees, "longitude of the end"),
        required(
            "flags",
            Texts,
            "what is noteworthy: ends_before_start, zero_length, under_60_s, over_24_h, no_origin, \
             no_destination, test_station, no_coordinates, far_away, clock_change, odd_year, other_words",
        ),
        required(
            "archive",
            Text,
            "file name of the archive that the trip was loaded from",
        ),
    ],
    partitions: &[
        PartitionKey::System,
        PartitionKey::Year,
        PartitionKey::Month,
    ],
};

/// The counts that the change stream keeps.
pub const FROM_STATION_COUNTS: TableShape = TableShape {
    name: "from_station_counts",
    about: "Departures by station id, as the change stream counted them last",
    columns: &[
        required("from_station_id", Text, "the id as the trips use it"),
        required("from_count", Long, "stored trips that start there"),
        optional(
            "trips_version",
            Long,
            "version of the trips of the station that was counted",
        ),
        required("refreshed_at", Instant, "when it was counted, UTC"),
    ],
    partitions: &[PartitionKey::System],
};

/// The stations.
pub const STATIONS: TableShape = TableShape {
    name: "stations",
    about: "Stations as the report of that name has them, with the ids that trips use for each",
    columns: &[
        required(
            "station_id",
            Text,
            "id of the feed, or of the trips where no feed has the station",
        ),
        optional(
            "name",
            Text,
            "name of the feed, else the latest in the trips",
        ),
        optional(
            "latitude",
            Double,
            "as published, else the mean of the trip ends there",
        ),
        optional(
            "longitude",
            Double,
            "as published, else the mean of the trip ends there",
        ),
        optional(
            "status",
            Text,
            "what the newest snapshot says, not in feed where it lacks the station, NULL without a feed",
        ),
        optional(
            "available_bikes",
            Int,
            "vehicles that can be rented, e-bikes included",
        ),
        optional("available_ebikes", Int, "e-bikes among them"),
        optional("available_docks", Int, "docks that accept a vehicle"),
        optional("total_docks", Int, "docks installed"),
        optional(
            "reported_at",
            Instant,
            "when the station last reported, UTC",
        ),
        required("from_count", Long, "stored trips that start here"),
        required("to_count", Long, "stored trips that end here"),
        required(
            "place_id",
            Text,
            "unlike station_id, no two rows of a system share it",
        ),
        required(
            "trip_station_ids",
            Texts,
            "ids that trips use for it, some of which publishers have given to other stations, too",
        ),
    ],
    partitions: &[PartitionKey::System],
};

/// Every table.
pub const TABLES: [TableShape; 3] = [TRIPS, FROM_STATION_COUNTS, STATIONS];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_such_as_glue_takes() {
        for table in TABLES {
            for column in table.columns {
                let about = column.about;
                assert!(about.is_ascii() && about.len() <= 255, "{}", column.name);
                assert!(!about.contains(['\'', ';', '\\']), "{}", column.name);
                let is_key = |key: &PartitionKey| key.name() == column.name;
                assert!(!table.partitions.iter().any(is_key), "{}", column.name);
            }
        }
    }
}
