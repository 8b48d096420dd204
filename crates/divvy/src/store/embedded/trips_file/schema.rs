//! The columns of a trips file, which any program that reads Parquet can read.

use std::sync::{Arc, LazyLock};

use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{SchemaDescriptor, TypePtr};

/// The version of the layout, in each file's metadata. A reader refuses a newer one.
///
/// Version 1 has the same columns and no checksums.
pub(super) const LAYOUT: u32 = 2;

/// The metadata key of [`LAYOUT`].
pub(super) const LAYOUT_KEY: &str = "divvy.layout";

/// Times are wall-clock times; the instant is the time minus its offset. Texts are as published.
const MESSAGE: &str = "
message trip {
    required binary trip_id (UTF8);
    required int64 started_at (TIMESTAMP(MILLIS,false));
    required int32 started_offset_s;
    required int64 ended_at (TIMESTAMP(MILLIS,false));
    required int32 ended_offset_s;
    required int32 precision_ms;
    optional int32 reported_duration_s;
    optional binary from_station_id (UTF8);
    optional binary to_station_id (UTF8);
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

/// The indexes of the columns.
pub(super) mod column {
    pub(in super::super) const TRIP_ID: usize = 0;
    pub(in super::super) const STARTED_AT: usize = 1;
    pub(in super::super) const STARTED_OFFSET_S: usize = 2;
    pub(in super::super) const ENDED_AT: usize = 3;
    pub(in super::super) const ENDED_OFFSET_S: usize = 4;
    pub(in super::super) const PRECISION_MS: usize = 5;
    pub(in super::super) const REPORTED_S: usize = 6;
    pub(in super::super) const ORIGIN: usize = 7;
    pub(in super::super) const DESTINATION: usize = 8;
    pub(in super::super) const VEHICLE: usize = 9;
    pub(in super::super) const BIKE: usize = 10;
    pub(in super::super) const RIDER: usize = 11;
    pub(in super::super) const GENDER: usize = 12;
    pub(in super::super) const BIRTH_YEAR: usize = 13;
    pub(in super::super) const FROM_LATITUDE: usize = 14;
    pub(in super::super) const FROM_LONGITUDE: usize = 15;
    pub(in super::super) const TO_LATITUDE: usize = 16;
    pub(in super::super) const TO_LONGITUDE: usize = 17;
    pub(in super::super) const FLAGS: usize = 18;
}

/// The schema of a trips file.
pub(super) static SCHEMA: LazyLock<TypePtr> = LazyLock::new(|| {
    let message = parse_message_type(MESSAGE).expect("the message above is well formed");
    Arc::new(message)
});

thread_local! {
    /// The columns of [`SCHEMA`]. The library's type is not `Sync`, hence one for each thread.
    pub(super) static DESCRIPTOR: SchemaDescriptor = SchemaDescriptor::new(SCHEMA.clone());
}

/// The metadata of a file. How its columns are encoded is up to [`pages`](super::pages).
pub(super) static PROPERTIES: LazyLock<WriterPropertiesPtr> = LazyLock::new(|| {
    let properties = WriterProperties::builder()
        .set_created_by(concat!("divvy ", env!("CARGO_PKG_VERSION")).into())
        .set_key_value_metadata(Some(vec![KeyValue::new(
            LAYOUT_KEY.into(),
            LAYOUT.to_string(),
        )]))
        .set_offset_index_disabled(true);
    Arc::new(properties.build())
});
