//! Parquet, with the values of the CSV.
//!
//! Counts, hours and years are INT64; numbers with decimals are DOUBLE; dates, months and instants
//! are text.

use std::io::{self, Write};
use std::sync::Arc;

use divvy::reports::{Column, Table, Value, ValueKind};
use parquet::basic::{Compression, ConvertedType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

/// Writes a file with one row group.
pub fn write(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let bytes = file(table).map_err(io::Error::other)?;
    out.write_all(&bytes)
}

fn file(table: &Table) -> Result<Vec<u8>, ParquetError> {
    let fields = table.columns.iter();
    let fields = fields.map(|column| field(column).map(Arc::new));
    let schema = Type::group_type_builder("report")
        .with_fields(fields.collect::<Result<_, _>>()?)
        .build()?;
    let properties = WriterProperties::builder()
        .set_created_by(concat!("divvy ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (index, column) in table.columns.iter().enumerate() {
        let values: Vec<&Value> = table.rows.iter().map(|row| &row[index]).collect();
        let mut out = group
            .next_column()?
            .ok_or_else(|| ParquetError::General("a column is missing".into()))?;
        let levels: Vec<i16> = values
            .iter()
            .map(|value| i16::from(!matches!(value, Value::Empty)))
            .collect();
        let levels = Some(&levels[..]);
        match physical(column.kind) {
            Physical::INT64 => {
                let present: Vec<i64> = values.iter().filter_map(|value| integer(value)).collect();
                out.typed::<Int64Type>()
                    .write_batch(&present, levels, None)?;
            }
            Physical::DOUBLE => {
                let present: Vec<f64> = values.iter().filter_map(|value| value.number()).collect();
                out.typed::<DoubleType>()
                    .write_batch(&present, levels, None)?;
            }
            Physical::BOOLEAN => {
                let present: Vec<bool> = values.iter().filter_map(|value| truth(value)).collect();
                out.typed::<BoolType>()
                    .write_batch(&present, levels, None)?;
            }
            _ => {
                let present: Vec<ByteArray> =
                    values.iter().filter_map(|value| text(value)).collect();
                out.typed::<ByteArrayType>()
                    .write_batch(&present, levels, None)?;
            }
        }
        out.close()?;
    }
    group.close()?;
    writer.into_inner()
}

fn field(column: &Column) -> Result<Type, ParquetError> {
    let physical = physical(column.kind);
    let converted = match physical {
        Physical::BYTE_ARRAY => ConvertedType::UTF8,
        _ => ConvertedType::NONE,
    };
    Type::primitive_type_builder(column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_converted_type(converted)
        .build()
}

fn physical(kind: ValueKind) -> Physical {
    match kind {
        ValueKind::Count | ValueKind::Ordinal => Physical::INT64,
        ValueKind::Seconds
        | ValueKind::Meters
        | ValueKind::Share
        | ValueKind::Rate
        | ValueKind::Score
        | ValueKind::Dollars
        | ValueKind::Degrees => Physical::DOUBLE,
        ValueKind::Truth => Physical::BOOLEAN,
        ValueKind::Text
        | ValueKind::Name
        | ValueKind::Date
        | ValueKind::Instant
        | ValueKind::Distribution => Physical::BYTE_ARRAY,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Truth(truth) => Some(*truth),
        _ => None,
    }
}

fn text(value: &Value) -> Option<ByteArray> {
    match value {
        Value::Text(text) => Some(text.as_str().into()),
        _ => value.distribution_text().map(|text| text.as_str().into()),
    }
}
