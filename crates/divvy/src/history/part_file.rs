//! Sealed parts: Parquet files of changes of states, sorted by station and snapshot.
//!
//! `docs/FORMATS.md` describes the columns, which other engines read.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::reader::get_typed_column_reader;
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::{StateChange, StationState};
use crate::model::{Availability, StationId, StationStatus};

/// The columns. A state of `NULL` in all columns behind `listed` is that of a station that has left the
/// list.
const SCHEMA: &str = "message status_history {
    required binary station_id (STRING);
    required int64 snapshot;
    required int64 taken_at (TIMESTAMP(MILLIS,true));
    required boolean listed;
    optional binary status (STRING);
    optional int32 vehicles;
    optional int32 ebikes;
    optional int32 vehicles_disabled;
    optional int32 docks;
    optional int32 docks_disabled;
    optional binary vehicles_by_type (STRING);
}";

/// The number of columns before the optional ones.
const FIRST_OPTIONAL: usize = 4;

/// Rows of a row group. A reader of one station skips the groups without it.
const GROUP_ROWS: usize = 16_384;

/// The counts of a state, in the order of the columns.
fn counts(state: &StationState) -> [Option<u32>; 5] {
    let Availability {
        vehicles,
        ebikes,
        vehicles_disabled,
        docks,
        docks_disabled,
    } = state.available;
    [vehicles, ebikes, vehicles_disabled, docks, docks_disabled]
}

/// Writes vehicles by type as a JSON object. `None` for none.
pub(crate) fn by_type_text(state: &StationState) -> Option<String> {
    let by_type = Some(&state.by_type).filter(|by_type| !by_type.is_empty())?;
    serde_json::to_string(by_type).ok()
}

fn properties() -> WriterPropertiesPtr {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("divvy ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()));
    for column in ["snapshot", "taken_at"] {
        let path = || ColumnPath::from(column);
        properties = properties
            .set_column_dictionary_enabled(path(), false)
            .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED);
    }
    Arc::new(properties.build())
}

/// Writes changes, which are sorted by station and snapshot. Returns the writer.
pub(crate) fn write<W: Write + Send>(out: W, changes: &[StateChange]) -> Result<W> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut file = SerializedFileWriter::new(out, schema, properties())?;
    for rows in changes.chunks(GROUP_ROWS) {
        let mut group = file.next_row_group()?;
        write_group(&mut group, rows)?;
        group.close()?;
    }
    file.into_inner()
}

fn write_group<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[StateChange],
) -> Result<()> {
    let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    let state = |row: &StateChange| row.state.clone();
    write_column::<ByteArrayType, W>(group, rows, |row| Some(text(row.station.as_str())))?;
    write_column::<Int64Type, W>(group, rows, |row| Some(row.snapshot as i64))?;
    write_column::<Int64Type, W>(group, rows, |row| Some(row.taken_at.as_millisecond()))?;
    write_column::<BoolType, W>(group, rows, |row| Some(row.state.is_some()))?;
    write_column::<ByteArrayType, W>(group, rows, |row| {
        Some(text(row.state.as_ref()?.status.as_ref()?.as_str()))
    })?;
    for column in 0..counts(&StationState::default()).len() {
        write_column::<Int32Type, W>(group, rows, |row| {
            counts(&state(row)?)[column].map(u32::cast_signed)
        })?;
    }
    write_column::<ByteArrayType, W>(group, rows, |row| {
        Some(text(&by_type_text(row.state.as_ref()?)?))
    })
}

/// Writes the next column: the values that are there, and for an optional column which rows have one.
fn write_column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[StateChange],
    value: impl Fn(&StateChange) -> Option<T::T>,
) -> Result<()> {
    let missing = || ParquetError::General("the schema has fewer columns".into());
    let mut writer = group.next_column()?.ok_or_else(missing)?;
    let mut values = Vec::with_capacity(rows.len());
    let mut levels = Vec::with_capacity(rows.len());
    for row in rows {
        let value = value(row);
        levels.push(i16::from(value.is_some()));
        values.extend(value);
    }
    let typed: &mut ColumnWriterImpl<'_, T> = writer.typed::<T>();
    let is_optional = typed.get_descriptor().max_def_level() > 0;
    typed.write_batch(&values, is_optional.then_some(&levels), None)?;
    writer.close()
}

/// Reads the changes of a part from the bytes of its file, those of one station or of all.
pub(crate) fn read(bytes: Bytes, station: Option<&StationId>) -> Result<Vec<StateChange>> {
    let file = SerializedFileReader::new(bytes)?;
    let mut changes = Vec::new();
    for index in 0..file.num_row_groups() {
        let group = file.get_row_group(index)?;
        if station.is_none_or(|station| may_hold(&*group, station)) {
            read_group(&*group, station, &mut changes)?;
        }
    }
    Ok(changes)
}

/// Returns the number of rows that a part states.
pub(crate) fn rows(path: &Path) -> Result<u64> {
    let file = SerializedFileReader::new(File::open(path)?)?;
    let rows = file.metadata().file_metadata().num_rows();
    Ok(u64::try_from(rows).unwrap_or_default())
}

/// Returns whether a row group may have rows of a station, by the smallest and the largest id.
fn may_hold(group: &dyn RowGroupReader, station: &StationId) -> bool {
    let id = station.as_str().as_bytes();
    let Some(statistics) = group.metadata().column(0).statistics() else {
        return true;
    };
    let (min, max) = (statistics.min_bytes_opt(), statistics.max_bytes_opt());
    // A largest id that was cut is not exact, but not smaller than the ids.
    min.is_none_or(|min| min <= id) && max.is_none_or(|max| id <= max)
}

fn read_group(
    group: &dyn RowGroupReader,
    station: Option<&StationId>,
    changes: &mut Vec<StateChange>,
) -> Result<()> {
    let stations = read_column::<ByteArrayType>(group, 0)?;
    let snapshots = read_column::<Int64Type>(group, 1)?;
    let times = read_column::<Int64Type>(group, 2)?;
    let listed = read_column::<BoolType>(group, 3)?;
    let statuses = read_column::<ByteArrayType>(group, FIRST_OPTIONAL)?;
    let counts = (1..=5).map(|n| read_column::<Int32Type>(group, FIRST_OPTIONAL + n));
    let counts: Vec<_> = counts.collect::<Result<_>>()?;
    let by_type = read_column::<ByteArrayType>(group, FIRST_OPTIONAL + 6)?;
    for row in 0..stations.len() {
        let id = text(&stations[row])?.unwrap_or_default();
        if station.is_some_and(|station| station.as_str() != id) {
            continue;
        }
        let count = |column: usize| counts[column][row].map(i32::cast_unsigned);
        let state = StationState {
            status: text(&statuses[row])?.map(|text| StationStatus::from(text.to_owned())),
            available: Availability {
                vehicles: count(0),
                ebikes: count(1),
                vehicles_disabled: count(2),
                docks: count(3),
                docks_disabled: count(4),
            },
            by_type: match text(&by_type[row])? {
                None => Default::default(),
                Some(json) => {
                    serde_json::from_str(json).map_err(|e| ParquetError::External(e.into()))?
                }
            },
        };
        changes.push(StateChange {
            station: StationId::from(id),
            snapshot: snapshots[row].unwrap_or_default().cast_unsigned(),
            taken_at: Timestamp::from_millisecond(times[row].unwrap_or_default())
                .map_err(|e| ParquetError::External(e.into()))?,
            state: (listed[row] == Some(true)).then_some(state),
        });
    }
    Ok(())
}

fn text(value: &Option<ByteArray>) -> Result<Option<&str>> {
    value.as_ref().map(ByteArray::as_utf8).transpose()
}

/// Reads a column of a row group, `None` for NULL.
fn read_column<T: DataType>(
    group: &dyn RowGroupReader,
    column: usize,
) -> Result<Vec<Option<T::T>>> {
    let reader = group.get_column_reader(column)?;
    let is_optional = group
        .metadata()
        .column(column)
        .column_descr()
        .max_def_level()
        > 0;
    let mut reader = get_typed_column_reader::<T>(reader);
    let rows = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
    let (mut values, mut levels) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    loop {
        let left = rows
            - if is_optional {
                levels.len()
            } else {
                values.len()
            };
        if left == 0 {
            break;
        }
        let levels = Some(&mut levels).filter(|_| is_optional);
        let (read, _, _) = reader.read_records(left, levels, None, &mut values)?;
        if read == 0 {
            return Err(ParquetError::EOF(
                "a column ends before its row group".into(),
            ));
        }
    }
    if !is_optional {
        return Ok(values.into_iter().map(Some).collect());
    }
    let mut values = values.into_iter();
    let value = |level: i16| if level > 0 { values.next() } else { None };
    Ok(levels.into_iter().map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_reads_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part.parquet");
        let change = |station: usize, snapshot: u64| StateChange {
            station: format!("s{station:03}").into(),
            snapshot,
            taken_at: Timestamp::from_millisecond(1_700_000_000_000 + snapshot as i64).unwrap(),
            state: (snapshot % 7 != 3).then(|| StationState {
                status: (!snapshot.is_multiple_of(5)).then_some(StationStatus::InService),
                available: Availability {
                    vehicles: (!snapshot.is_multiple_of(3)).then_some(snapshot as u32),
                    docks_disabled: Some(u32::MAX),
                    ..Availability::default()
                },
                by_type: (0..snapshot % 3).map(|n| (n.to_string(), 4)).collect(),
            }),
        };
        let stations = 0..90;
        let changes: Vec<StateChange> = stations
            .flat_map(|station| (0..400).map(move |snapshot| change(station, snapshot)))
            .collect();
        write(File::create(&path).unwrap(), &changes).unwrap();
        assert_eq!(rows(&path).unwrap(), 36_000);
        let bytes = || Bytes::from(std::fs::read(&path).unwrap());
        assert_eq!(read(bytes(), None).unwrap(), changes);
        let station = StationId::from("s041");
        let of_one = read(bytes(), Some(&station)).unwrap();
        assert_eq!(of_one, changes[41 * 400..42 * 400]);
        assert!(read(bytes(), Some(&"t".into())).unwrap().is_empty());
    }
}
