//! Files for an import of trips from S3: compressed DynamoDB JSON, in an order that spreads the
//! writes over all partitions of the table, and the definition of the table.
//!
//! ```text
//!  estimate_duplicates ─► items by the hashes of their ids ─► data/00000.json.gz …
//!                                                             table.json, README.txt
//! ```
//!
//! An import makes a new table, uses no write units, and is billed by unpacked bytes:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataImport.HowItWorks.html>.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use divvy::new_folder::{NewFolder, NewFolderError};
use divvy::reports::plural;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::duplicate_estimate::{DuplicateEstimate, Partition, on_all_cores};
use crate::item::trip::{INDEX_KEY, KEY, STARTED_AT, TABLE, TripRow};
use crate::plan::Prices;
use crate::tables::{INDEX, Layout};

/// The compression of the objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// gzip.
    #[default]
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    fn extension(self) -> &'static str {
        match self {
            Self::Gzip => "json.gz",
            Self::Zstd => "json.zst",
        }
    }

    /// Returns the value for `InputCompressionType` of the import.
    fn input_type(self) -> &'static str {
        match self {
            Self::Gzip => "GZIP",
            Self::Zstd => "ZSTD",
        }
    }
}

/// Settings of an export.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// The compression of the objects.
    pub compression: Compression,
    /// The name of the table that the import will make, with the prefix.
    pub table: String,
    /// Write and read units of the table and of its index. `None` for on-demand.
    pub capacity: Option<(u32, u32)>,
    /// The usual number of uncompressed bytes of an object.
    pub object_bytes: u64,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            table: TABLE.into(),
            capacity: None,
            object_bytes: 64 << 20,
        }
    }
}

/// The reason for which an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder has other files, or cannot be made.
    #[error(transparent)]
    Folder(#[from] NewFolderError),
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The temporary files cannot be read.
    #[error("cannot read the rows back from the folder for temporary files: {0}")]
    Spool(io::Error),
}

/// The numbers of an export.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// Items: one for each trip.
    pub rows: u64,
    /// Duplicates, which are left out.
    pub copies: u64,
    /// Files to upload.
    pub objects: u64,
    /// Bytes of the items as JSON, by which the import is billed.
    pub json_bytes: u64,
    /// Bytes of the files.
    pub packed_bytes: u64,
    /// The price of the import in dollars.
    pub import_usd: f64,
}

/// The numbers of one partition.
#[derive(Default)]
struct WrittenPartition {
    rows: u64,
    copies: u64,
    objects: u64,
    json_bytes: u64,
    packed_bytes: u64,
}

fn cannot(path: &Path) -> impl Fn(io::Error) -> ExportError {
    move |source| ExportError::Write {
        path: path.display().to_string(),
        source,
    }
}

/// Writes the trips of archives into a folder, which is missing or empty. The folder appears when
/// everything is written; after a failure there is nothing. The same trips give the same files.
///
/// # Errors
///
/// [`ExportError`].
pub fn export(
    estimate: &DuplicateEstimate,
    folder: &Path,
    options: &ExportOptions,
    prices: &Prices,
) -> Result<Exported, ExportError> {
    let making = NewFolder::create(folder)?;
    let data = making.path().join("data");
    fs::create_dir(&data).map_err(cannot(&data))?;
    let partitions = on_all_cores(estimate.partitions(), |index| {
        let partition = estimate.partition(index).map_err(ExportError::Spool)?;
        write_partition(estimate, &partition, index, &data, options)
    })?;
    let mut sum = WrittenPartition::default();
    for partition in partitions {
        sum.rows += partition.rows;
        sum.copies += partition.copies;
        sum.objects += partition.objects;
        sum.json_bytes += partition.json_bytes;
        sum.packed_bytes += partition.packed_bytes;
    }
    let exported = Exported {
        rows: sum.rows,
        copies: sum.copies,
        objects: sum.objects,
        json_bytes: sum.json_bytes,
        packed_bytes: sum.packed_bytes,
        import_usd: prices.import_usd(sum.json_bytes),
    };
    for (name, text) in [
        ("table.json", definition(options)),
        ("README.txt", readme(options, &exported)),
    ] {
        let path = making.path().join(name);
        fs::write(&path, text).map_err(cannot(&path))?;
    }
    making.finish()?;
    Ok(exported)
}

fn write_partition(
    estimate: &DuplicateEstimate,
    partition: &Partition,
    index: usize,
    data: &Path,
    options: &ExportOptions,
) -> Result<WrittenPartition, ExportError> {
    let Partition { rows, kept } = partition;
    let mut written = WrittenPartition {
        rows: kept.len() as u64,
        copies: (rows.len() - kept.len()) as u64,
        ..WrittenPartition::default()
    };
    let mut line = Vec::with_capacity(1024);
    let mut object: Option<Object> = None;
    for row in kept {
        let row = *row as usize;
        let (archive, member) = DuplicateEstimate::source_of(rows.member[row]);
        line.clear();
        line.extend_from_slice(b"{\"Item\":");
        let trip = TripRow {
            batch: &rows.batch,
            row,
            member,
            archive: &estimate.sources[archive].tag,
        };
        trip.write_json(&mut line);
        line.extend_from_slice(b"}\n");
        if object
            .as_ref()
            .is_some_and(|object| object.is_full(&line, options))
        {
            written.finish(object.take())?;
        }
        let object = match &mut object {
            Some(object) => object,
            None => object.insert(Object::create(data, index, written.objects, options)?),
        };
        object.write(&line)?;
    }
    written.finish(object)?;
    Ok(written)
}

impl WrittenPartition {
    fn finish(&mut self, object: Option<Object>) -> Result<(), ExportError> {
        let Some(object) = object else {
            return Ok(());
        };
        let Object {
            path,
            writer,
            json_bytes,
        } = object;
        let finish = || match writer {
            Compressor::Gzip(writer) => writer.finish(),
            Compressor::Zstd(writer) => writer.finish(),
        };
        let packed = finish()
            .and_then(|file| file.into_inner().map_err(io::IntoInnerError::into_error))
            .and_then(|file| file.metadata())
            .map_err(cannot(&path))?;
        self.objects += 1;
        self.json_bytes += json_bytes;
        self.packed_bytes += packed.len();
        Ok(())
    }
}

/// A file that is being written.
struct Object {
    path: PathBuf,
    writer: Compressor,
    json_bytes: u64,
}

enum Compressor {
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<File>>),
}

impl Object {
    /// Creates the `n`-th file of a partition: `00007.json.gz`, from the second on
    /// `00007-1.json.gz`.
    fn create(
        data: &Path,
        partition: usize,
        n: u64,
        options: &ExportOptions,
    ) -> Result<Self, ExportError> {
        let extension = options.compression.extension();
        let path = data.join(match n {
            0 => format!("{partition:05}.{extension}"),
            _ => format!("{partition:05}-{n}.{extension}"),
        });
        let create = || {
            let file = BufWriter::new(File::create_new(&path)?);
            Ok(match options.compression {
                // Without name and time, so that the same trips give the same bytes.
                Compression::Gzip => {
                    Compressor::Gzip(GzEncoder::new(file, flate2::Compression::default()))
                }
                Compression::Zstd => Compressor::Zstd(zstd::stream::write::Encoder::new(file, 3)?),
            })
        };
        Ok(Self {
            writer: create().map_err(cannot(&path))?,
            path,
            json_bytes: 0,
        })
    }

    fn is_full(&self, line: &[u8], options: &ExportOptions) -> bool {
        // Up to half more, to avoid a last object with a few lines.
        self.json_bytes + line.len() as u64 > options.object_bytes * 3 / 2
    }

    fn write(&mut self, line: &[u8]) -> Result<(), ExportError> {
        let written = match &mut self.writer {
            Compressor::Gzip(writer) => writer.write_all(line),
            Compressor::Zstd(writer) => writer.write_all(line),
        };
        self.json_bytes += line.len() as u64;
        written.map_err(cannot(&self.path))
    }
}

/// Makes the input of `aws dynamodb import-table`, without the bucket.
fn definition(options: &ExportOptions) -> String {
    let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
    let attribute = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
    let mut index = json!({
        "IndexName": INDEX,
        "KeySchema": [key(INDEX_KEY, "HASH"), key(STARTED_AT, "RANGE")],
        "Projection": {
            "ProjectionType": "INCLUDE",
            "NonKeyAttributes": [Layout::Rows.projected()],
        },
    });
    let mut table = json!({
        "TableName": options.table,
        "AttributeDefinitions": [attribute(KEY), attribute(INDEX_KEY), attribute(STARTED_AT)],
        "KeySchema": [key(KEY, "HASH")],
    });
    match options.capacity {
        None => table["BillingMode"] = json!("PAY_PER_REQUEST"),
        Some((write, read)) => {
            let capacity = json!({ "WriteCapacityUnits": write, "ReadCapacityUnits": read });
            table["BillingMode"] = json!("PROVISIONED");
            index["ProvisionedThroughput"] = capacity.clone();
            table["ProvisionedThroughput"] = capacity;
        }
    }
    table["GlobalSecondaryIndexes"] = json!([index]);
    let import = json!({
        "InputFormat": "DYNAMODB_JSON",
        "InputCompressionType": options.compression.input_type(),
        "TableCreationParameters": table,
    });
    format!("{import:#}\n")
}

fn readme(options: &ExportOptions, exported: &Exported) -> String {
    let Exported {
        rows,
        objects,
        json_bytes,
        import_usd,
        ..
    } = exported;
    let table = &options.table;
    format!(
        "{} for DynamoDB, in {}, {} unpacked.\n\
         \n\
         An import makes a new table: {table} must not be there yet. It uses no write units and\n\
         costs about ${import_usd:.2}, by unpacked bytes; what lies in S3 meanwhile is billed too.\n\
         \n\
         1. Upload, into a bucket of the region that the table is to be in:\n\
         \n\
         \x20  aws s3 cp --recursive data s3://YOUR-BUCKET/divvy/data\n\
         \n\
         2. Import:\n\
         \n\
         \x20  aws dynamodb import-table --cli-input-json file://table.json \\\n\
         \x20    --s3-bucket-source S3Bucket=YOUR-BUCKET,S3KeyPrefix=divvy/data/\n\
         \n\
         3. Wait until ImportStatus is COMPLETED and ErrorCount is 0:\n\
         \n\
         \x20  aws dynamodb describe-import --import-arn ARN-THAT-STEP-2-PRINTED\n\
         \n\
         4. Have the same archives verified, and the counts refreshed:\n\
         \n\
         \x20  divvy load FILE... --imported --store dynamodb://...\n\
         \n\
         5. Take the objects away:\n\
         \n\
         \x20  aws s3 rm --recursive s3://YOUR-BUCKET/divvy/data\n",
        plural(*rows as i64, "trip"),
        plural(*objects as i64, "object"),
        plural(*json_bytes as i64, "byte"),
    )
}
