//! The columns of a trips file, for every engine that reads Parquet.

use std::sync::{Arc, LazyLock};

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};

/// The version of this layout, in each file's metadata. A reader refuses a newer one.
pub(super) const LAYOUT: u32 = 1;

/// The metadata key of [`LAYOUT`].
pub(super) const LAYOUT_KEY: &str = "divvy.layout";

/// Times are wall-clock times; the instant is the time less its offset. Texts are as published.
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

/// The places of the columns.
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

/// How the columns that the Parquet library encodes are encoded. Numbers are packed as
/// differences, which suits times in order and constants alike. Texts with few values are ours:
/// see [`dictionary`](super::dictionary).
pub(super) static PROPERTIES: LazyLock<WriterPropertiesPtr> = LazyLock::new(|| {
    let fast = Compression::ZSTD(ZstdLevel::try_new(1).expect("1 is a level of Zstandard"));
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("divvy ", env!("CARGO_PKG_VERSION")).into())
        .set_key_value_metadata(Some(vec![KeyValue::new(
            LAYOUT_KEY.into(),
            LAYOUT.to_string(),
        )]))
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BINARY_PACKED)
        .set_compression(Compression::UNCOMPRESSED)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_write_batch_size(1 << 14)
        .set_data_page_size_limit(1 << 22)
        .set_data_page_row_count_limit(1 << 20);
    let id = path(column::TRIP_ID);
    properties = properties
        .set_column_encoding(id.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .set_column_compression(id.clone(), fast)
        .set_column_statistics_enabled(id, EnabledStatistics::None);
    for place in column::FROM_LATITUDE..=column::TO_LONGITUDE {
        properties = properties
            .set_column_encoding(path(place), Encoding::PLAIN)
            .set_column_compression(path(place), fast);
    }
    Arc::new(properties.build())
});

fn path(place: usize) -> ColumnPath {
    let name = SCHEMA.get_fields()[place].name().to_owned();
    ColumnPath::new(vec![name])
}
