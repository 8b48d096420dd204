//! Writes a Parquet file with the columns of a table.
//!
//! Pages are compressed with Zstandard. Times are DELTA_BINARY_PACKED, all others PLAIN, with
//! dictionaries where values repeat: what Athena, Spark, DuckDB and pyarrow read.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};

use super::shape::{ColumnType, TableShape};
use super::{ExportError, cannot_write};

/// The values of a column in a row group.
pub(super) struct ColumnValues {
    values: Values,
    /// The definition levels. `None` for a column without NULL.
    definition: Option<Vec<i16>>,
    /// The repetition levels. `None` for a column without lists.
    repetition: Option<Vec<i16>>,
}

/// The values that are not NULL.
pub(super) enum Values {
    Texts(Vec<ByteArray>),
    Ints(Vec<i32>),
    Longs(Vec<i64>),
    Doubles(Vec<f64>),
}

impl ColumnValues {
    /// Makes a column without NULL.
    pub(super) fn required<T: Physical>(values: impl Iterator<Item = T>) -> Self {
        Self {
            values: T::wrap(values.collect()),
            definition: None,
            repetition: None,
        }
    }

    /// Makes a column in which `None` is NULL.
    pub(super) fn optional<T: Physical>(values: impl Iterator<Item = Option<T>>) -> Self {
        let mut present = Vec::with_capacity(values.size_hint().0);
        let mut levels = Vec::with_capacity(values.size_hint().0);
        for value in values {
            levels.push(i16::from(value.is_some()));
            present.extend(value);
        }
        Self {
            values: T::wrap(present),
            definition: Some(levels),
            repetition: None,
        }
    }

    /// Makes a column of lists without NULL, neither as list nor in one.
    pub(super) fn lists<I>(lists: impl Iterator<Item = I>) -> Self
    where
        I: Iterator<Item = ByteArray>,
    {
        /// Levels of the required group of a list: 0 is an empty list, 2 an element that is there.
        const EMPTY: i16 = 0;
        const ELEMENT: i16 = 2;
        let (mut texts, mut definition, mut repetition) = (Vec::new(), Vec::new(), Vec::new());
        for list in lists {
            let start = texts.len();
            for text in list {
                definition.push(ELEMENT);
                repetition.push(i16::from(texts.len() > start));
                texts.push(text);
            }
            if texts.len() == start {
                definition.push(EMPTY);
                repetition.push(0);
            }
        }
        Self {
            values: Values::Texts(texts),
            definition: Some(definition),
            repetition: Some(repetition),
        }
    }
}

/// A type of values in Parquet.
pub(super) trait Physical: Sized {
    /// Wraps the values of a column.
    fn wrap(values: Vec<Self>) -> Values;
}

impl Physical for ByteArray {
    fn wrap(values: Vec<Self>) -> Values {
        Values::Texts(values)
    }
}

impl Physical for i32 {
    fn wrap(values: Vec<Self>) -> Values {
        Values::Ints(values)
    }
}

impl Physical for i64 {
    fn wrap(values: Vec<Self>) -> Values {
        Values::Longs(values)
    }
}

impl Physical for f64 {
    fn wrap(values: Vec<Self>) -> Values {
        Values::Doubles(values)
    }
}

/// A Parquet file that is being written.
pub(super) struct ParquetFile {
    path: PathBuf,
    file: SerializedFileWriter<File>,
}

impl ParquetFile {
    /// Creates the file, and the folders that it lies in.
    pub(super) fn create(path: PathBuf, table: &TableShape) -> Result<Self, ExportError> {
        let create = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create_new(&path)
        };
        let file = create().map_err(|error| cannot_write(&path, error))?;
        let file = SerializedFileWriter::new(file, schema(table), properties(table))
            .map_err(|error| cannot_write(&path, error))?;
        Ok(Self { path, file })
    }

    /// Writes a row group. `column` makes the values of each column of the table, by its index.
    pub(super) fn write(
        &mut self,
        column: impl Fn(usize) -> ColumnValues,
    ) -> Result<(), ExportError> {
        let mut write = || {
            let mut group = self.file.next_row_group()?;
            let mut index = 0;
            while let Some(writer) = group.next_column()? {
                write_column(writer, column(index))?;
                index += 1;
            }
            group.close()?;
            Ok(())
        };
        write().map_err(|error: ParquetError| cannot_write(&self.path, error))
    }

    /// Ends the file. Returns its size in bytes.
    pub(super) fn finish(self) -> Result<u64, ExportError> {
        let finish = || Ok(self.file.into_inner()?.metadata()?.len());
        finish().map_err(|error: ParquetError| cannot_write(&self.path, error))
    }
}

fn write_column(
    mut writer: SerializedColumnWriter<'_>,
    column: ColumnValues,
) -> Result<(), ParquetError> {
    fn write<T: DataType>(
        writer: &mut SerializedColumnWriter<'_>,
        values: &[T::T],
        levels: (Option<&[i16]>, Option<&[i16]>),
    ) -> Result<(), ParquetError> {
        let typed = writer.typed::<T>();
        typed.write_batch(values, levels.0, levels.1).map(drop)
    }
    let levels = (column.definition.as_deref(), column.repetition.as_deref());
    match &column.values {
        Values::Texts(values) => write::<ByteArrayType>(&mut writer, values, levels),
        Values::Ints(values) => write::<Int32Type>(&mut writer, values, levels),
        Values::Longs(values) => write::<Int64Type>(&mut writer, values, levels),
        Values::Doubles(values) => write::<DoubleType>(&mut writer, values, levels),
    }?;
    writer.close()
}

fn schema(table: &TableShape) -> TypePtr {
    let columns = table.columns.iter();
    let fields = columns.map(|column| column.kind.parquet_field(column.name, column.is_required));
    let message = format!(
        "message {} {{ {} }}",
        table.name,
        fields.collect::<String>()
    );
    Arc::new(parse_message_type(&message).expect("the fields above are well formed"))
}

fn properties(table: &TableShape) -> WriterPropertiesPtr {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("divvy ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()));
    for column in table.columns {
        let path = || ColumnPath::from(column.name);
        if matches!(column.kind, ColumnType::LocalTime | ColumnType::Instant) {
            properties = properties
                .set_column_dictionary_enabled(path(), false)
                .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED);
        } else if column.name == "trip_id" {
            // No two are equal.
            properties = properties.set_column_dictionary_enabled(path(), false);
        }
    }
    Arc::new(properties.build())
}
