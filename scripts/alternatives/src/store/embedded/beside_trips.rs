//! Trips files beside those of Parquet's `ArrowWriter`.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, Decimal32Array, DictionaryArray, Int16Array, Int32Array, RecordBatch,
    StringArray, TimestampMillisecondArray, UInt16Array,
};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::hashed_file::HashedFile;
use super::trips_file::{TripsFile, TripsWriter};
use crate::measure::{Table, cpu_ms};
use crate::model::{Dictionary, NONE_I16, NONE_I32, TripBatch};
use crate::store::Projection;

pub fn measure(batches: &[TripBatch]) -> crate::Result<()> {
    let trips = batches.iter().map(TripBatch::len).sum();
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let columns = [
        "write, ms",
        "scan starts and durations, ms",
        "and stations, ms",
    ];
    let mut table = Table::new("Trips files", trips, &columns);

    let ours = path("ours.parquet");
    let write = cpu_ms(|| write_ours(&ours, batches))?;
    let scans = [false, true].map(|stations| cpu_ms(|| scan_ours(&ours, stations)));
    let [durations, stations] = scans;
    let size = |path: &Path| std::fs::metadata(path).map(|file| file.len() as usize);
    table.row("ours", size(&ours)?, &[write, durations?, stations?]);
    let expected = [scan_ours(&ours, false)?, scan_ours(&ours, true)?];

    let own_reader = [false, true].map(|stations| cpu_ms(|| scan_library(&ours, stations)));
    let [durations, stations] = own_reader;
    let figures = [f64::NAN, durations?, stations?];
    table.row("ours, read by Arrow", size(&ours)?, &figures);

    for (name, properties) in [
        ("ArrowWriter, encodings as ours", as_ours()),
        ("ArrowWriter, the same, zstd 1 for all", all_compressed()),
        ("ArrowWriter, its defaults and zstd 1", defaults()),
    ] {
        let library = path("library.parquet");
        let write = cpu_ms(|| write_library(&library, batches, &properties))?;
        let durations = cpu_ms(|| scan_library(&library, false))?;
        let stations = cpu_ms(|| scan_library(&library, true))?;
        let found = [
            scan_library(&library, false)?,
            scan_library(&library, true)?,
        ];
        assert_eq!(found, expected, "both files have the same trips");
        table.row(name, size(&library)?, &[write, durations, stations]);
    }
    table.print();
    Ok(())
}

fn write_ours(path: &Path, batches: &[TripBatch]) -> crate::Result<()> {
    let mut writer = TripsWriter::create(path.into())?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    Ok(())
}

/// Sums up starts and durations, and the lengths of the ids of stations.
fn scan_ours(path: &Path, stations: bool) -> crate::Result<i64> {
    let file = TripsFile::open(path)?;
    let projection = Projection {
        ends: true,
        stations,
        ..Projection::default()
    };
    let mut sum = 0_i64;
    for group in 0..file.groups().len() {
        let batch = file.read_projection(group, &projection)?;
        // As TripBatch::duration_s, which is a call into another crate here: this is built without
        // link-time optimisation.
        let (starts, ends) = (&batch.started_ms[..], &batch.ended_ms[..]);
        let (from, to) = (&batch.started_offset_s[..], &batch.ended_offset_s[..]);
        for row in 0..batch.len() {
            let duration = match batch.reported_s[row] {
                NONE_I32 => {
                    let elapsed = ends[row] - starts[row] - 1000 * i64::from(to[row] - from[row]);
                    elapsed.div_euclid(1000)
                }
                stated => i64::from(stated),
            };
            sum += starts[row] + duration;
        }
        let lengths: Vec<i64> = batch.stations.iter().map(|id| id.len() as i64).collect();
        let ends = batch.origin.iter().chain(&batch.destination);
        sum += ends.map(|place| lengths[*place as usize]).sum::<i64>();
    }
    Ok(sum)
}

fn schema() -> SchemaRef {
    let text = || DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
    let time = || DataType::Timestamp(TimeUnit::Millisecond, None);
    let degrees = || DataType::Decimal32(9, 6);
    Arc::new(Schema::new(vec![
        Field::new("trip_id", DataType::Utf8, false),
        Field::new("started_at", time(), false),
        Field::new("started_offset_s", DataType::Int32, false),
        Field::new("ended_at", time(), false),
        Field::new("ended_offset_s", DataType::Int32, false),
        Field::new("precision_ms", DataType::Int32, false),
        Field::new("reported_duration_s", DataType::Int32, true),
        Field::new("from_station_id", text(), true),
        Field::new("to_station_id", text(), true),
        Field::new("vehicle_id", text(), true),
        Field::new("rideable_type", text(), true),
        Field::new("rider", text(), true),
        Field::new("gender", text(), true),
        Field::new("birth_year", DataType::Int16, true),
        Field::new("from_latitude", degrees(), true),
        Field::new("from_longitude", degrees(), true),
        Field::new("to_latitude", degrees(), true),
        Field::new("to_longitude", degrees(), true),
        Field::new("flags", DataType::UInt16, false),
    ]))
}

fn record_batch(schema: &SchemaRef, batch: &TripBatch) -> crate::Result<RecordBatch> {
    let mut offsets = vec![0_i32];
    offsets.extend(batch.id_ends.iter().map(|end| *end as i32));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let ids = StringArray::try_new(offsets, Buffer::from_slice_ref(&batch.id_bytes), None)?;
    let times = |values: &Vec<i64>| -> ArrayRef {
        Arc::new(TimestampMillisecondArray::from(values.clone()))
    };
    let ints = |values: &Vec<i32>| -> ArrayRef { Arc::new(Int32Array::from(values.clone())) };
    let some = |value: &i32| (*value != NONE_I32).then_some(*value);
    let degrees = |values: &Vec<i32>| -> crate::Result<ArrayRef> {
        let array: Decimal32Array = values.iter().map(some).collect();
        Ok(Arc::new(array.with_precision_and_scale(9, 6)?))
    };
    let texts = |column: &Vec<u32>, texts: &Dictionary| -> crate::Result<ArrayRef> {
        let keys: Int32Array = column
            .iter()
            .map(|index| (*index != 0).then_some(*index as i32))
            .collect();
        let values = Arc::new(StringArray::from_iter_values(texts.iter()));
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(
            keys, values,
        )?))
    };
    // What a trips file has: nothing where the duration is the time elapsed, -1 for none stated.
    let reported: Int32Array = (0..batch.len())
        .map(|row| match batch.reported_s[row] {
            stated if i64::from(stated) * 1000 == batch.elapsed_ms(row) => None,
            NONE_I32 => Some(-1),
            stated => Some(stated),
        })
        .collect();
    let years: Int16Array = batch
        .birth_year
        .iter()
        .map(|year| (*year != NONE_I16).then_some(*year))
        .collect();
    let flags: UInt16Array = batch.flags.iter().map(|f| Some(f.bits())).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ids),
        times(&batch.started_ms),
        ints(&batch.started_offset_s),
        times(&batch.ended_ms),
        ints(&batch.ended_offset_s),
        ints(&batch.precision_ms),
        Arc::new(reported),
        texts(&batch.origin, &batch.stations)?,
        texts(&batch.destination, &batch.stations)?,
        texts(&batch.vehicle, &batch.vehicles)?,
        texts(&batch.bike, &batch.words)?,
        texts(&batch.rider, &batch.words)?,
        texts(&batch.gender, &batch.words)?,
        Arc::new(years),
        degrees(&batch.from_latitude)?,
        degrees(&batch.from_longitude)?,
        degrees(&batch.to_latitude)?,
        degrees(&batch.to_longitude)?,
        Arc::new(flags),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// Columns in which few values are the same as another.
const WITHOUT_DICTIONARY: [&str; 8] = [
    "trip_id",
    "started_at",
    "ended_at",
    "reported_duration_s",
    "from_latitude",
    "from_longitude",
    "to_latitude",
    "to_longitude",
];

/// Columns that ours packs as differences and does not compress.
const DIFFERENCES: [&str; 3] = ["started_at", "ended_at", "reported_duration_s"];

/// A data page for each column of a row group, encoded as ours.
fn all_compressed() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(None)
        .set_data_page_row_count_limit(1 << 30)
        .set_data_page_size_limit(1 << 28)
        .set_dictionary_page_size_limit(1 << 24)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_column_encoding(
            ColumnPath::from("trip_id"),
            Encoding::DELTA_LENGTH_BYTE_ARRAY,
        )
        .set_column_statistics_enabled(ColumnPath::from("trip_id"), EnabledStatistics::None);
    for column in WITHOUT_DICTIONARY {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    for column in DIFFERENCES {
        let column = ColumnPath::from(column);
        properties = properties.set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    properties.build()
}

/// The same, with differences uncompressed, as ours are.
fn as_ours() -> WriterProperties {
    let mut properties = all_compressed().into_builder();
    for column in DIFFERENCES {
        let column = ColumnPath::from(column);
        properties = properties.set_column_compression(column, Compression::UNCOMPRESSED);
    }
    properties.build()
}

fn defaults() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(None)
        .build()
}

/// Writes each batch as a row group into a file that is hashed and made durable as ours is.
fn write_library(
    path: &Path,
    batches: &[TripBatch],
    properties: &WriterProperties,
) -> crate::Result<()> {
    let schema = schema();
    let file = HashedFile::create(path)?;
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties.clone()))?;
    for batch in batches {
        writer.write(&record_batch(&schema, batch)?)?;
        writer.flush()?;
    }
    writer.into_inner()?.finish()?;
    Ok(())
}

/// As [`scan_ours`], of Arrow's arrays as they are.
fn scan_library(path: &Path, stations: bool) -> crate::Result<i64> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let mut names = vec![
        "started_at",
        "started_offset_s",
        "ended_at",
        "ended_offset_s",
        "reported_duration_s",
    ];
    if stations {
        names.extend(["from_station_id", "to_station_id"]);
    }
    let mask = ProjectionMask::columns(builder.parquet_schema(), names);
    let groups = builder.metadata().row_groups().iter();
    let rows = groups.map(|group| group.num_rows()).max().unwrap_or(1);
    let reader = builder
        .with_projection(mask)
        .with_batch_size(rows as usize)
        .build()?;
    let mut sum = 0_i64;
    for batch in reader {
        let batch = batch?;
        let column = |name: &str| {
            let column = batch.column_by_name(name);
            column.ok_or_else(|| format!("{name} is a column"))
        };
        let times = |name| -> crate::Result<&[i64]> {
            let array = column(name)?.as_primitive::<TimestampMillisecondType>();
            Ok(array.values())
        };
        let ints = |name| -> crate::Result<_> { Ok(column(name)?.as_primitive::<Int32Type>()) };
        let (starts, ends) = (times("started_at")?, times("ended_at")?);
        let from = ints("started_offset_s")?.values();
        let to = ints("ended_offset_s")?.values();
        let reported = ints("reported_duration_s")?;
        for row in 0..batch.num_rows() {
            let stated = reported.is_valid(row).then(|| reported.value(row));
            let duration = match stated {
                Some(stated) if stated != -1 => i64::from(stated),
                _ => {
                    let elapsed = ends[row] - starts[row] - 1000 * i64::from(to[row] - from[row]);
                    elapsed.div_euclid(1000)
                }
            };
            sum += starts[row] + duration;
        }
        if stations {
            for name in ["from_station_id", "to_station_id"] {
                sum += lengths(column(name)?);
            }
        }
    }
    Ok(sum)
}

/// Sums up the lengths of texts: of a dictionary where the file says that it was written from one.
fn lengths(column: &ArrayRef) -> i64 {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return texts.iter().flatten().map(|text| text.len() as i64).sum();
    }
    let column = column.as_dictionary::<Int32Type>();
    let texts = column.values().as_string::<i32>();
    let lengths: Vec<i64> = (0..texts.len())
        .map(|n| texts.value(n).len() as i64)
        .collect();
    let keys = column.keys().iter().flatten();
    keys.map(|key| lengths[key as usize]).sum()
}
