//! The columns of a trips file, which any program that reads Parquet can read.

use std::sync::{Arc, LazyLock};

use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor};

/// The version of the layout that is written, in each file's metadata. A reader refuses a newer one.
///
/// | version | what it has |
/// |---|---|
/// | 1 | columns without checksums |
/// | 2 | checksums |
/// | 3 | `system`, `ride_duration_s`, station aliases; `reported_duration_s` as the publisher states it |
pub(super) const LAYOUT: u32 = 3;

/// The metadata key of the layout.
pub(super) const LAYOUT_KEY: &str = "divvy.layout";

/// The metadata key of the names of [station aliases](super::aliases).
pub(super) const ALIASES_KEY: &str = "divvy.station_aliases";

/// Times are wall-clock times; the instant is the time minus its offset. Texts are as published.
const MESSAGE: &str = "message trip {
    required binary trip_id (UTF8);
    required binary system (UTF8);
    required int64 started_at (TIMESTAMP(MILLIS,false));
    required int32 started_offset_s;
    required int64 ended_at (TIMESTAMP(MILLIS,false));
    required int32 ended_offset_s;
    required int32 precision_ms;
    optional int64 ride_duration_s;
    optional int64 reported_duration_s;
    optional binary from_station_id (UTF8);
    required int32 from_station_alias;
    optional binary to_station_id (UTF8);
    required int32 to_station_alias;
    optional binary vehicle_id (UTF8);
    optional binary rideable_type (UTF8);
    optional binary rider (UTF8);
    optional binary gender (UTF8);
    optional int32 birth_year (INTEGER(16,true));
    optional int32 from_latitude (DECIMAL(9,6));
    optional int32 from_longitude (DECIMAL(9,6));
    optional int32 to_latitude (DECIMAL(9,6));
    optional int32 to_longitude (DECIMAL(9,6));
    required int32 flags (INTEGER(16,false));
}";

/// The columns of [`MESSAGE`] that layouts 1 and 2 lack.
const SINCE_LAYOUT_3: [&str; 4] = [
    " system ",
    " ride_duration_s;",
    " from_station_alias;",
    " to_station_alias;",
];

/// The indexes of the columns of [`LAYOUT`].
pub(super) mod column {
    pub(in super::super) const TRIP_ID: usize = 0;
    #[cfg(test)]
    pub(in super::super) const SYSTEM: usize = 1;
    pub(in super::super) const STARTED_AT: usize = 2;
    pub(in super::super) const STARTED_OFFSET_S: usize = 3;
    pub(in super::super) const ENDED_AT: usize = 4;
    pub(in super::super) const ENDED_OFFSET_S: usize = 5;
    pub(in super::super) const PRECISION_MS: usize = 6;
    #[cfg(test)]
    pub(in super::super) const RIDE_S: usize = 7;
    pub(in super::super) const REPORTED_S: usize = 8;
    pub(in super::super) const ORIGIN: usize = 9;
    pub(in super::super) const ORIGIN_ALIAS: usize = 10;
    pub(in super::super) const DESTINATION: usize = 11;
    pub(in super::super) const DESTINATION_ALIAS: usize = 12;
    pub(in super::super) const VEHICLE: usize = 13;
    pub(in super::super) const BIKE: usize = 14;
    pub(in super::super) const RIDER: usize = 15;
    pub(in super::super) const GENDER: usize = 16;
    pub(in super::super) const BIRTH_YEAR: usize = 17;
    pub(in super::super) const FROM_LATITUDE: usize = 18;
    pub(in super::super) const FROM_LONGITUDE: usize = 19;
    pub(in super::super) const TO_LATITUDE: usize = 20;
    pub(in super::super) const TO_LONGITUDE: usize = 21;
    pub(in super::super) const FLAGS: usize = 22;
}

/// The columns of the layouts of one schema.
pub(super) struct Schema {
    pub(super) descriptor: SchemaDescPtr,
    /// The index of each column of [`LAYOUT`] in this schema. `None` for one that it lacks.
    indexes: Vec<Option<usize>>,
}

impl Schema {
    /// Returns the index of a column of [`LAYOUT`] in this schema.
    pub(super) fn index(&self, column: usize) -> Option<usize> {
        self.indexes[column]
    }

    fn new(message: &str, columns: &SchemaDescriptor) -> Self {
        let descriptor = describe(message);
        let index = |name: &str| descriptor.columns().iter().position(|c| c.name() == name);
        Self {
            indexes: columns.columns().iter().map(|c| index(c.name())).collect(),
            descriptor: Arc::new(descriptor),
        }
    }
}

/// The schema of [`LAYOUT`].
pub(super) static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::new(MESSAGE, &describe(MESSAGE)));

/// The schema of layouts 1 and 2.
pub(super) static SCHEMA_BEFORE_ALIASES: LazyLock<Schema> = LazyLock::new(|| {
    let is_old = |line: &&str| !SINCE_LAYOUT_3.iter().any(|column| line.contains(column));
    let lines: Vec<&str> = MESSAGE.lines().filter(is_old).collect();
    let message = lines
        .join("\n")
        .replace("int64 reported_duration_s", "int32 reported_duration_s");
    Schema::new(&message, &describe(MESSAGE))
});

fn describe(message: &str) -> SchemaDescriptor {
    let message = parse_message_type(message).expect("the messages above are well formed");
    SchemaDescriptor::new(Arc::new(message))
}
