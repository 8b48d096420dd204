//! Trips as DynamoDB imports them from S3: DynamoDB JSON, packed, in an order that heats no
//! partition, with the definition of the table beside it.
//!
//! ```text
//!  sift ─► a bucket at a time: items in the order of their ids' hashes ─► data/00000.json.gz …
//!                                                                        table.json, README.txt
//! ```
//!
//! An import makes a new table, uses no write units, and is billed by unpacked bytes:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataImport.HowItWorks.html>.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use divvy::reports::plural;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::item::trip::{INDEX_KEY, KEY, TABLE, TripRow};
use crate::plan::Prices;
use crate::sift::{Share, Sifted, on_all_cores};

/// How the objects are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// gzip.
    #[default]
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    fn ending(self) -> &'static str {
        match self {
            Self::Gzip => "json.gz",
            Self::Zstd => "json.zst",
        }
    }

    /// What the import calls it.
    fn input(self) -> &'static str {
        match self {
            Self::Gzip => "GZIP",
            Self::Zstd => "ZSTD",
        }
    }
}

/// How to export.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// How the objects are packed.
    pub compression: Compression,
    /// The name of the table that the import will make, prefix and all.
    pub table: String,
    /// Write and read units of the table and of its index. `None` for on-demand.
    pub capacity: Option<(u32, u32)>,
    /// Unpacked bytes of an object, about.
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

/// Why an export came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// What is there might be somebody's.
    #[error("{folder} is there already and not empty: name another folder")]
    NotEmpty {
        /// The folder.
        folder: String,
    },
    /// The disk fails.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
        path: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// What was read cannot be read again.
    #[error("cannot read the rows back from the folder for temporary files: {0}")]
    Spool(io::Error),
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// Items: trips, each once.
    pub rows: u64,
    /// Copies of trips that were left out.
    pub copies: u64,
    /// Files to upload.
    pub objects: u64,
    /// Bytes of the items as JSON: what the import is billed for.
    pub json_bytes: u64,
    /// Bytes on disk.
    pub packed_bytes: u64,
    /// What the import costs.
    pub import_usd: f64,
}

/// What one bucket came to.
#[derive(Default)]
struct Part {
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

/// Refuses a folder that is not empty: to be asked before archives are read for it.
///
/// # Errors
///
/// [`ExportError::NotEmpty`], or [`ExportError::Write`] where a file is in the way.
pub fn expect_empty(folder: &Path) -> Result<(), ExportError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(ExportError::NotEmpty {
                folder: folder.display().to_string(),
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot(folder)(error)),
    }
}

/// Writes the trips of archives into a folder that is not there yet, or empty. It appears when
/// all is written; a failure leaves nothing. The same trips give the same files.
///
/// # Errors
///
/// [`ExportError`].
pub fn export(
    sifted: &Sifted,
    folder: &Path,
    options: &ExportOptions,
    prices: &Prices,
) -> Result<Exported, ExportError> {
    expect_empty(folder)?;
    let parent = match folder.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(cannot(parent))?;
    // Beside it, so that one renaming makes it appear; gone again when anything fails.
    let making = tempfile::Builder::new()
        .prefix(".divvy-export-")
        .tempdir_in(parent)
        .map_err(cannot(parent))?;
    let data = making.path().join("data");
    fs::create_dir(&data).map_err(cannot(&data))?;
    let parts = on_all_cores(sifted.buckets(), |bucket| {
        let share = sifted.share(bucket).map_err(ExportError::Spool)?;
        write_share(sifted, &share, bucket, &data, options)
    })?;
    let mut sum = Part::default();
    for part in parts {
        sum.rows += part.rows;
        sum.copies += part.copies;
        sum.objects += part.objects;
        sum.json_bytes += part.json_bytes;
        sum.packed_bytes += part.packed_bytes;
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
    open_to_others(making.path()).map_err(cannot(making.path()))?;
    if folder.exists() {
        fs::remove_dir(folder).map_err(cannot(folder))?;
    }
    fs::rename(making.path(), folder).map_err(cannot(folder))?;
    // It has moved: there is nothing to take away.
    let _ = making.keep();
    Ok(exported)
}

/// Gives a folder the rights that any new one has: one for temporary files has its owner's alone.
fn open_to_others(folder: &Path) -> io::Result<()> {
    let like = folder.join("data");
    fs::set_permissions(folder, fs::metadata(like)?.permissions())
}

fn write_share(
    sifted: &Sifted,
    share: &Share,
    bucket: usize,
    data: &Path,
    options: &ExportOptions,
) -> Result<Part, ExportError> {
    let mut part = Part {
        rows: share.kept.len() as u64,
        copies: (share.rows.len() - share.kept.len()) as u64,
        ..Part::default()
    };
    let mut line = Vec::with_capacity(1024);
    let mut object: Option<Object> = None;
    for row in &share.kept {
        let row = *row as usize;
        let (archive, member) = Sifted::origin_of(share.rows.member[row]);
        line.clear();
        line.extend_from_slice(b"{\"Item\":");
        let trip = TripRow {
            batch: &share.rows.batch,
            row,
            member,
            archive: &sifted.sources[archive].tag,
        };
        trip.write_json(&mut line);
        line.extend_from_slice(b"}\n");
        if object
            .as_ref()
            .is_some_and(|object| object.is_full(&line, options))
        {
            part.finish(object.take())?;
        }
        let object = match &mut object {
            Some(object) => object,
            None => object.insert(Object::create(data, bucket, part.objects, options)?),
        };
        object.write(&line)?;
    }
    part.finish(object)?;
    Ok(part)
}

impl Part {
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
            Packing::Gzip(writer) => writer.finish(),
            Packing::Zstd(writer) => writer.finish(),
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

/// A file on its way.
struct Object {
    path: PathBuf,
    writer: Packing,
    json_bytes: u64,
}

enum Packing {
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<File>>),
}

impl Object {
    /// Begins a file: `00007.json.gz`, or `00007-1.json.gz` for what a bucket has more.
    fn create(
        data: &Path,
        bucket: usize,
        before: u64,
        options: &ExportOptions,
    ) -> Result<Self, ExportError> {
        let ending = options.compression.ending();
        let path = data.join(match before {
            0 => format!("{bucket:05}.{ending}"),
            _ => format!("{bucket:05}-{before}.{ending}"),
        });
        let create = || {
            let file = BufWriter::new(File::create_new(&path)?);
            Ok(match options.compression {
                // No name and no time in it, so that the same trips are the same bytes.
                Compression::Gzip => {
                    Packing::Gzip(GzEncoder::new(file, flate2::Compression::default()))
                }
                Compression::Zstd => Packing::Zstd(zstd::stream::write::Encoder::new(file, 3)?),
            })
        };
        Ok(Self {
            writer: create().map_err(cannot(&path))?,
            path,
            json_bytes: 0,
        })
    }

    fn is_full(&self, line: &[u8], options: &ExportOptions) -> bool {
        // A little more than asked for is better than a last object with a few lines.
        self.json_bytes + line.len() as u64 > options.object_bytes * 3 / 2
    }

    fn write(&mut self, line: &[u8]) -> Result<(), ExportError> {
        let written = match &mut self.writer {
            Packing::Gzip(writer) => writer.write_all(line),
            Packing::Zstd(writer) => writer.write_all(line),
        };
        self.json_bytes += line.len() as u64;
        written.map_err(cannot(&self.path))
    }
}

/// The name of the index, which the handler counts by.
const INDEX: &str = "from_station_id-index";

/// Writes what `aws dynamodb import-table` is told, but for the bucket.
fn definition(options: &ExportOptions) -> String {
    let key = |name: &str| json!([{ "AttributeName": name, "KeyType": "HASH" }]);
    let attribute = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
    let mut index = json!({
        "IndexName": INDEX,
        "KeySchema": key(INDEX_KEY),
        "Projection": { "ProjectionType": "KEYS_ONLY" },
    });
    let mut table = json!({
        "TableName": options.table,
        "AttributeDefinitions": [attribute(KEY), attribute(INDEX_KEY)],
        "KeySchema": key(KEY),
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
        "InputCompressionType": options.compression.input(),
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
