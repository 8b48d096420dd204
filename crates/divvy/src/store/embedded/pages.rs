//! A column of a row group as Parquet pages: an optional dictionary page, then one data page.
//!
//! The library's writers take each value by itself and copy a column some times on its way; a
//! [`TripBatch`](crate::model::TripBatch) has whole columns, and most of the time of a load used
//! to go there. So the pages are ours and the file around them is the library's.
//!
//! Each page has a CRC-32, which the library's writer leaves out.
//!
//! Format: <https://parquet.apache.org/docs/file-format/data-pages/>, data page V1; the header of
//! a page is a `PageHeader` of `parquet.thrift` in Thrift's compact protocol.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use crate::model::NONE_I32;

/// What the pages of a column are made of.
pub(super) struct Pages {
    /// The distinct values, plain, and their number. `None` where the data page holds values.
    pub(super) dictionary: Option<(Vec<u8>, u32)>,
    /// The data page: levels, then values.
    pub(super) data: Vec<u8>,
    pub(super) encoding: Encoding,
    /// Nothing is gained by compressing it.
    pub(super) dense: bool,
    pub(super) statistics: Statistics,
}

/// The bytes of a column chunk, and what the row group must know of it.
pub(super) type Chunk = (Bytes, ColumnCloseResult);

impl Pages {
    /// Makes the chunk of a column with as many rows.
    pub(super) fn chunk(
        self,
        column: ColumnDescPtr,
        rows: usize,
        zstd: &mut zstd::bulk::Compressor<'_>,
    ) -> Result<Chunk> {
        let (plain, distinct) = self.dictionary.unwrap_or_default();
        let sizes = (plain.len(), self.data.len());
        let mut compression = Compression::UNCOMPRESSED;
        let (mut dictionary, mut data) = (plain, self.data);
        if !self.dense {
            let small = (zstd.compress(&dictionary)?, zstd.compress(&data)?);
            // Reading what hardly shrank would cost for nothing.
            if (small.0.len() + small.1.len()) * 20 < (sizes.0 + sizes.1) * 19 {
                compression = Compression::ZSTD(ZstdLevel::default());
                (dictionary, data) = small;
            }
        }
        let mut chunk = Vec::with_capacity(dictionary.len() + data.len() + 64);
        let mut metadata = ColumnChunkMetaData::builder(column)
            .set_compression(compression)
            .set_num_values(rows as i64);
        let mut encodings = vec![Encoding::RLE, self.encoding];
        let mut unpacked = 0;
        if distinct > 0 {
            let kind = PageKind::Dictionary { distinct };
            metadata = metadata.set_dictionary_page_offset(Some(chunk.len() as i64));
            unpacked += page(&mut chunk, &kind, &dictionary, sizes.0);
            encodings.push(Encoding::PLAIN);
        }
        let kind = PageKind::Data {
            rows,
            encoding: self.encoding,
        };
        let offset = chunk.len() as i64;
        unpacked += page(&mut chunk, &kind, &data, sizes.1);
        let metadata = metadata
            .set_encodings(encodings)
            .set_data_page_offset(offset)
            .set_total_compressed_size(chunk.len() as i64)
            .set_total_uncompressed_size(unpacked as i64)
            .set_statistics(self.statistics)
            .build()?;
        let result = ColumnCloseResult {
            bytes_written: chunk.len() as u64,
            rows_written: rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok((Bytes::from(chunk), result))
    }
}

enum PageKind {
    /// The distinct values, plain.
    Dictionary { distinct: u32 },
    /// The rows: levels, then values.
    Data { rows: usize, encoding: Encoding },
}

/// Appends a page, its header first. Returns what it takes uncompressed, the header included.
fn page(chunk: &mut Vec<u8>, kind: &PageKind, bytes: &[u8], uncompressed: usize) -> usize {
    let start = chunk.len();
    let mut header = Fields::new(chunk);
    header.int(
        1,
        i64::from(matches!(kind, PageKind::Dictionary { .. })) * 2,
    );
    header.int(2, uncompressed as i64);
    header.int(3, bytes.len() as i64);
    header.int(4, i64::from(crc32fast::hash(bytes) as i32));
    match kind {
        PageKind::Data { rows, encoding } => header.inner(5, |data| {
            data.int(1, *rows as i64);
            data.int(2, *encoding as i64);
            data.int(3, Encoding::RLE as i64);
            data.int(4, Encoding::RLE as i64);
        }),
        PageKind::Dictionary { distinct } => header.inner(7, |dictionary| {
            dictionary.int(1, i64::from(*distinct));
            dictionary.int(2, Encoding::PLAIN as i64);
        }),
    }
    header.end();
    let size = chunk.len() - start + uncompressed;
    chunk.extend_from_slice(bytes);
    size
}

/// The fields of a struct in Thrift's compact protocol.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
    last: u8,
}

impl<'a> Fields<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, last: 0 }
    }

    /// Begins a field: ids grow, and by less than 16.
    fn field(&mut self, id: u8, kind: u8) {
        self.out.push((id - self.last) << 4 | kind);
        self.last = id;
    }

    fn int(&mut self, id: u8, value: i64) {
        const I32: u8 = 5;
        self.field(id, I32);
        varint(self.out, (value << 1 ^ value >> 63) as u64);
    }

    fn inner(&mut self, id: u8, fill: impl FnOnce(&mut Fields<'_>)) {
        const STRUCT: u8 = 12;
        self.field(id, STRUCT);
        let mut fields = Fields::new(self.out);
        fill(&mut fields);
        fields.end();
    }

    fn end(self) {
        self.out.push(0);
    }
}

/// Takes an optional column of 32-bit numbers as it is, for what nothing can foretell;
/// [`NONE_I32`] for none.
pub(super) fn plain(values: &[i32]) -> Pages {
    let mut data = int_levels(values);
    data.extend(present(values).flat_map(i32::to_le_bytes));
    Pages {
        dictionary: None,
        data,
        encoding: Encoding::PLAIN,
        dense: false,
        statistics: int_statistics(values),
    }
}

/// Lists the numbers of an optional column that are there.
pub(super) fn present(values: &[i32]) -> impl Iterator<Item = i32> {
    values.iter().copied().filter(|value| *value != NONE_I32)
}

/// Begins the data page of an optional column of numbers: its definition levels.
pub(super) fn int_levels(values: &[i32]) -> Vec<u8> {
    let mut data = Vec::with_capacity(values.len() * 4 + 16);
    let nulls = values.len() - present(values).count();
    levels(&mut data, values.len(), nulls, |row| {
        values[row] != NONE_I32
    });
    data
}

pub(super) fn int_statistics(values: &[i32]) -> Statistics {
    let nulls = values.len() - present(values).count();
    let bounds = (present(values).min(), present(values).max());
    Statistics::int32(bounds.0, bounds.1, None, Some(nulls as u64), false)
}

/// Writes the definition levels of an optional column: 1 where there is a value.
pub(super) fn levels(out: &mut Vec<u8>, rows: usize, nulls: usize, has: impl Fn(usize) -> bool) {
    let length = out.len();
    out.extend_from_slice(&[0; 4]);
    if nulls == 0 || nulls == rows {
        varint(out, (rows as u64) << 1);
        out.push(u8::from(nulls == 0));
    } else {
        varint(out, ((rows as u64).div_ceil(8)) << 1 | 1);
        out.extend((0..rows).step_by(8).map(|start| {
            let eight = start..rows.min(start + 8);
            eight.fold(0, |byte, row| byte | u8::from(has(row)) << (row - start))
        }));
    }
    let written = (out.len() - length - 4) as u32;
    out[length..length + 4].copy_from_slice(&written.to_le_bytes());
}

/// Writes a number of unsigned LEB128.
pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Packs numbers of at most 32 bits at `width` bits each, the lowest bit first. The last byte is
/// filled up with zeros.
pub(super) fn pack(out: &mut Vec<u8>, values: impl Iterator<Item = u32>, width: u32) {
    let (mut buffer, mut bits) = (0_u64, 0);
    for value in values {
        buffer |= u64::from(value) << bits;
        bits += width;
        if bits >= 32 {
            out.extend_from_slice(&(buffer as u32).to_le_bytes());
            buffer >>= 32;
            bits -= 32;
        }
    }
    while bits > 0 {
        out.push(buffer as u8);
        buffer >>= 8;
        bits = bits.saturating_sub(8);
    }
}
