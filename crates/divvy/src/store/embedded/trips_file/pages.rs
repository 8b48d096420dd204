//! Encodes a column of a row group as Parquet pages: an optional dictionary page, then one data
//! page.
//!
//! Each page has a CRC-32, which the library's writer leaves out.
//!
//! Format: <https://parquet.apache.org/docs/file-format/data-pages/>, data page V1; the header of
//! a page is a `PageHeader` of `parquet.thrift` in Thrift's compact protocol.

use std::hash::Hash;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::Result;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use crate::model::NONE_I32;
use crate::varint::{self, zigzag};

/// The contents of the pages of a column.
pub(super) struct Pages {
    /// The distinct values, plain, and their number. `None` if the data page holds the values.
    pub(super) dictionary: Option<(Vec<u8>, u32)>,
    /// The data page: levels, then values.
    pub(super) data: Vec<u8>,
    pub(super) encoding: Encoding,
    /// Whether the pages are stored uncompressed, because they are compact already.
    pub(super) is_compact: bool,
    pub(super) statistics: Statistics,
}

/// The bytes of a column chunk, and its description in the footer.
pub(super) struct Chunk {
    /// The pages with their headers.
    pub(super) bytes: Vec<u8>,
    rows: usize,
    compression: Compression,
    encodings: Vec<Encoding>,
    /// Where the data page begins, behind the dictionary page if there is one.
    data_page: usize,
    /// Bytes of the pages if none were compressed.
    uncompressed: usize,
    statistics: Statistics,
}

impl Pages {
    /// Encodes the chunk of a column with this number of rows.
    pub(super) fn chunk(self, rows: usize, zstd: &mut zstd::bulk::Compressor<'_>) -> Result<Chunk> {
        let (plain, distinct) = self.dictionary.unwrap_or_default();
        let sizes = (plain.len(), self.data.len());
        let mut compression = Compression::UNCOMPRESSED;
        let (mut dictionary, mut data) = (plain, self.data);
        if !self.is_compact {
            let small = (zstd.compress(&dictionary)?, zstd.compress(&data)?);
            // Decompressing takes time when read: not worth it unless they shrink by 5 %.
            if (small.0.len() + small.1.len()) * 20 < (sizes.0 + sizes.1) * 19 {
                compression = Compression::ZSTD(ZstdLevel::default());
                (dictionary, data) = small;
            }
        }
        let mut bytes = Vec::with_capacity(dictionary.len() + data.len() + 64);
        let mut encodings = vec![Encoding::RLE, self.encoding];
        let mut uncompressed = 0;
        if distinct > 0 {
            let header = PageHeader::Dictionary { distinct };
            uncompressed += append_page(&mut bytes, &header, &dictionary, sizes.0);
            encodings.push(Encoding::PLAIN);
        }
        let header = PageHeader::Data {
            rows,
            encoding: self.encoding,
        };
        let data_page = bytes.len();
        uncompressed += append_page(&mut bytes, &header, &data, sizes.1);
        Ok(Chunk {
            bytes,
            rows,
            compression,
            encodings,
            data_page,
            uncompressed,
            statistics: self.statistics,
        })
    }
}

impl Chunk {
    /// Describes the chunk as that of a column, at an offset in the file.
    pub(super) fn metadata(
        &self,
        column: ColumnDescPtr,
        offset: u64,
    ) -> Result<ColumnChunkMetaData> {
        let offset = offset as i64;
        let has_dictionary = self.data_page > 0;
        ColumnChunkMetaData::builder(column)
            .set_compression(self.compression)
            .set_num_values(self.rows as i64)
            .set_encodings(self.encodings.clone())
            .set_dictionary_page_offset(has_dictionary.then_some(offset))
            .set_data_page_offset(offset + self.data_page as i64)
            .set_total_compressed_size(self.bytes.len() as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_statistics(self.statistics.clone())
            .build()
    }
}

/// What differs between the headers of dictionary pages and data pages.
enum PageHeader {
    /// Of the distinct values.
    Dictionary { distinct: u32 },
    /// Of the rows: levels, then values.
    Data { rows: usize, encoding: Encoding },
}

/// Appends a header and a page. Returns their size uncompressed, in bytes.
fn append_page(chunk: &mut Vec<u8>, page: &PageHeader, bytes: &[u8], uncompressed: usize) -> usize {
    // Values of `PageType` in `parquet.thrift`.
    let page_type = match page {
        PageHeader::Data { .. } => 0,
        PageHeader::Dictionary { .. } => 2,
    };
    let start = chunk.len();
    let mut header = ThriftStruct::new(chunk);
    header.int(1, page_type);
    header.int(2, uncompressed as i64);
    header.int(3, bytes.len() as i64);
    header.int(4, i64::from(crc32fast::hash(bytes) as i32));
    match page {
        PageHeader::Data { rows, encoding } => header.inner(5, |data| {
            data.int(1, *rows as i64);
            data.int(2, *encoding as i64);
            data.int(3, Encoding::RLE as i64);
            data.int(4, Encoding::RLE as i64);
        }),
        PageHeader::Dictionary { distinct } => header.inner(7, |dictionary| {
            dictionary.int(1, i64::from(*distinct));
            dictionary.int(2, Encoding::PLAIN as i64);
        }),
    }
    header.end();
    let size = chunk.len() - start + uncompressed;
    chunk.extend_from_slice(bytes);
    size
}

/// Writes a struct in Thrift's compact protocol.
struct ThriftStruct<'a> {
    out: &'a mut Vec<u8>,
    /// The id of the last field.
    last_id: u8,
}

impl<'a> ThriftStruct<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, last_id: 0 }
    }

    /// Begins a field. Ids grow, by less than 16 each.
    fn field(&mut self, id: u8, field_type: u8) {
        self.out.push((id - self.last_id) << 4 | field_type);
        self.last_id = id;
    }

    fn int(&mut self, id: u8, value: i64) {
        const I32: u8 = 5;
        self.field(id, I32);
        varint::write(self.out, zigzag(value));
    }

    fn inner(&mut self, id: u8, fill: impl FnOnce(&mut ThriftStruct<'_>)) {
        const STRUCT: u8 = 12;
        self.field(id, STRUCT);
        let mut fields = ThriftStruct::new(self.out);
        fill(&mut fields);
        fields.end();
    }

    fn end(self) {
        self.out.push(0);
    }
}

/// A type of the numbers in optional columns.
pub(super) trait Number: Copy + Ord + Hash {
    /// Stands for a missing value.
    const NONE: Self;

    /// Appends the number as a page has it that is not encoded further.
    fn append(self, page: &mut Vec<u8>);

    /// Makes the statistics of a column from its least and greatest number, and how many are missing.
    fn statistics(bounds: (Option<Self>, Option<Self>), nulls: u64) -> Statistics;
}

impl Number for i32 {
    const NONE: Self = NONE_I32;

    fn append(self, page: &mut Vec<u8>) {
        page.extend_from_slice(&self.to_le_bytes());
    }

    fn statistics((min, max): (Option<Self>, Option<Self>), nulls: u64) -> Statistics {
        Statistics::int32(min, max, None, Some(nulls), false)
    }
}

impl Number for i64 {
    const NONE: Self = i64::MIN;

    fn append(self, page: &mut Vec<u8>) {
        page.extend_from_slice(&self.to_le_bytes());
    }

    fn statistics((min, max): (Option<Self>, Option<Self>), nulls: u64) -> Statistics {
        Statistics::int64(min, max, None, Some(nulls), false)
    }
}

/// Encodes an optional column of numbers without a pattern; [`Number::NONE`] stands for a missing
/// value.
pub(super) fn plain<N: Number>(values: &[N]) -> Pages {
    let mut data = number_levels(values);
    present(values).for_each(|value| value.append(&mut data));
    Pages {
        dictionary: None,
        data,
        encoding: Encoding::PLAIN,
        is_compact: false,
        statistics: number_statistics(values),
    }
}

/// Returns the numbers of an optional column that are not missing.
pub(super) fn present<N: Number>(values: &[N]) -> impl Iterator<Item = N> {
    values.iter().copied().filter(|value| *value != N::NONE)
}

/// Begins the data page of an optional column of numbers: its definition levels.
pub(super) fn number_levels<N: Number>(values: &[N]) -> Vec<u8> {
    let mut data = Vec::with_capacity(size_of_val(values) + 16);
    let nulls = values.len() - present(values).count();
    levels(&mut data, values.len(), nulls, |row| values[row] != N::NONE);
    data
}

/// Returns the statistics of an optional column of numbers.
pub(super) fn number_statistics<N: Number>(values: &[N]) -> Statistics {
    let nulls = values.len() - present(values).count();
    let bounds = (present(values).min(), present(values).max());
    N::statistics(bounds, nulls as u64)
}

/// Appends the definition levels of an optional column: 1 for a row with a value.
pub(super) fn levels(
    out: &mut Vec<u8>,
    rows: usize,
    nulls: usize,
    has_value: impl Fn(usize) -> bool,
) {
    let length = out.len();
    out.extend_from_slice(&[0; 4]);
    if nulls == 0 || nulls == rows {
        varint::write(out, (rows as u64) << 1);
        out.push(u8::from(nulls == 0));
    } else {
        varint::write(out, ((rows as u64).div_ceil(8)) << 1 | 1);
        out.extend((0..rows).step_by(8).map(|start| {
            let eight = start..rows.min(start + 8);
            eight.fold(0, |byte, row| {
                byte | u8::from(has_value(row)) << (row - start)
            })
        }));
    }
    let written = (out.len() - length - 4) as u32;
    out[length..length + 4].copy_from_slice(&written.to_le_bytes());
}

/// Packs numbers of at most 32 bits in `width` bits each, the lowest bit first. The last byte is
/// padded with zeros.
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
