//! Columns of texts with few values, as Parquet pages: a dictionary page, then one page of codes.
//!
//! A [`TripBatch`](crate::model::TripBatch) has such columns as places in a dictionary already.
//! The library's writer would look up each text again, which costs more than reading the CSV;
//! here a place is packed into bits and that is all.
//!
//! Format: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>, data page V1,
//! RLE_DICTIONARY.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageReader, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use rustc_hash::FxHashMap;

use crate::model::Dictionary;

/// Encodes one optional column: the text at each place, none at place 0.
///
/// Returns the bytes of the column chunk and what the row group must know of it.
pub(super) fn encode(
    column: ColumnDescPtr,
    places: &[u32],
    texts: &Dictionary,
    zstd: &mut zstd::bulk::Compressor<'_>,
) -> Result<(Bytes, ColumnCloseResult)> {
    let mut codes_of = vec![u32::MAX; texts.len()];
    codes_of[0] = 0;
    let mut used: Vec<u32> = Vec::new();
    let mut codes: Vec<u32> = Vec::with_capacity(places.len());
    for place in places.iter().filter(|place| **place != 0) {
        let code = &mut codes_of[*place as usize];
        if *code == u32::MAX {
            *code = used.len() as u32;
            used.push(*place);
        }
        codes.push(*code);
    }

    let mut plain = Vec::new();
    for place in &used {
        let text = texts.text(*place).as_bytes();
        plain.extend_from_slice(&(text.len() as u32).to_le_bytes());
        plain.extend_from_slice(text);
    }
    let mut page = Vec::with_capacity(places.len() * 2);
    let levels = levels(places, codes.len());
    page.extend_from_slice(&(levels.len() as u32).to_le_bytes());
    page.extend_from_slice(&levels);
    if !used.is_empty() {
        let width = 32 - (used.len() as u32 - 1).leading_zeros();
        let width = width.max(1);
        page.push(width as u8);
        if used.len() == 1 {
            varint(&mut page, (codes.len() as u64) << 1);
            page.push(0);
        } else {
            varint(&mut page, ((codes.len() as u64).div_ceil(8)) << 1 | 1);
            pack(&mut page, &codes, width);
        }
    }

    let mut sink = TrackedWrite::new(Vec::new());
    let mut writer = SerializedPageWriter::new(&mut sink);
    let (small_plain, small_page) = (zstd.compress(&plain)?, zstd.compress(&page)?);
    // Reading what hardly shrank would cost for nothing.
    let shrinks = (small_plain.len() + small_page.len()) * 20 < (plain.len() + page.len()) * 19;
    let (compression, packed_plain, packed_page) = if shrinks {
        (
            Compression::ZSTD(ZstdLevel::default()),
            small_plain,
            small_page,
        )
    } else {
        (Compression::UNCOMPRESSED, plain.clone(), page.clone())
    };
    let mut metadata = ColumnChunkMetaData::builder(column)
        .set_compression(compression)
        .set_num_values(places.len() as i64);
    let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
    let (mut packed, mut unpacked) = (0, 0);
    let mut write = |writer: &mut SerializedPageWriter<'_, Vec<u8>>, bytes: Page, size: usize| {
        let spec = writer.write_page(CompressedPage::new(bytes, size))?;
        packed += spec.compressed_size as i64;
        unpacked += spec.uncompressed_size as i64;
        Ok::<_, ParquetError>(spec.offset as i64)
    };
    if !used.is_empty() {
        let dictionary = Page::DictionaryPage {
            buf: Bytes::from(packed_plain),
            num_values: used.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let offset = write(&mut writer, dictionary, plain.len())?;
        metadata = metadata.set_dictionary_page_offset(Some(offset));
        encodings.push(Encoding::RLE_DICTIONARY);
    }
    let data = Page::DataPage {
        buf: Bytes::from(packed_page),
        num_values: places.len() as u32,
        encoding: if used.is_empty() {
            Encoding::PLAIN
        } else {
            Encoding::RLE_DICTIONARY
        },
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    let offset = write(&mut writer, data, page.len())?;
    writer.close()?;

    let in_order = |place: &&u32| texts.text(**place);
    let bound =
        |place: Option<&u32>| place.map(|place| texts.text(*place).as_bytes().to_vec().into());
    let statistics = Statistics::byte_array(
        bound(used.iter().min_by_key(in_order)),
        bound(used.iter().max_by_key(in_order)),
        None,
        Some((places.len() - codes.len()) as u64),
        false,
    );
    let metadata = metadata
        .set_encodings(encodings)
        .set_data_page_offset(offset)
        .set_total_compressed_size(packed)
        .set_total_uncompressed_size(unpacked)
        .set_statistics(statistics)
        .build()?;
    let chunk = sink.into_inner()?;
    let result = ColumnCloseResult {
        bytes_written: chunk.len() as u64,
        rows_written: places.len() as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    Ok((Bytes::from(chunk), result))
}

/// Definition levels: 1 where there is a text.
fn levels(places: &[u32], present: usize) -> Vec<u8> {
    let mut out = Vec::new();
    if present == places.len() || present == 0 {
        varint(&mut out, (places.len() as u64) << 1);
        out.push(u8::from(present != 0));
    } else {
        varint(&mut out, ((places.len() as u64).div_ceil(8)) << 1 | 1);
        out.extend(places.chunks(8).map(|eight| {
            let bits = eight.iter().enumerate();
            bits.fold(0, |byte, (bit, place)| byte | u8::from(*place != 0) << bit)
        }));
    }
    out
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Packs codes at `width` bits each, the lowest bit first, and fills up the last eight with zeros.
fn pack(out: &mut Vec<u8>, codes: &[u32], width: u32) {
    let (mut buffer, mut bits) = (0_u64, 0);
    let padding = codes.len().next_multiple_of(8) - codes.len();
    for code in codes.iter().copied().chain(std::iter::repeat_n(0, padding)) {
        buffer |= u64::from(code) << bits;
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

/// Decodes a column that [`encode`] wrote: adds its texts to a dictionary and returns their places.
///
/// # Errors
///
/// For pages that [`encode`] does not write.
pub(super) fn decode(pages: &mut dyn PageReader, texts: &mut Texts) -> Result<Vec<u32>> {
    let mut places_of: Vec<u32> = Vec::new();
    let mut places = Vec::new();
    while let Some(page) = pages.get_next_page()? {
        match page.page_type() {
            PageType::DICTIONARY_PAGE => places_of = read_texts(page.buffer(), texts)?,
            _ => read_codes(&page, &places_of, &mut places)?,
        }
    }
    Ok(places)
}

/// A dictionary that finds the place of a text it holds already.
#[derive(Default)]
pub(super) struct Texts {
    pub(super) dictionary: Dictionary,
    places: FxHashMap<Box<str>, u32>,
}

impl Texts {
    fn find(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        match self.places.get(text) {
            Some(place) => *place,
            None => {
                let place = self.dictionary.push(text);
                self.places.insert(text.into(), place);
                place
            }
        }
    }
}

fn damaged(what: &str) -> ParquetError {
    ParquetError::General(format!("a page of texts is damaged: {what}"))
}

fn read_texts(mut plain: &[u8], texts: &mut Texts) -> Result<Vec<u32>> {
    let mut places = Vec::new();
    while let Some((length, rest)) = plain.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let (text, rest) = rest
            .split_at_checked(length)
            .ok_or_else(|| damaged("a text is cut off"))?;
        let text = std::str::from_utf8(text).map_err(|_| damaged("a text is not UTF-8"))?;
        places.push(texts.find(text));
        plain = rest;
    }
    Ok(places)
}

fn read_codes(page: &Page, places_of: &[u32], places: &mut Vec<u32>) -> Result<()> {
    let rows = page.num_values() as usize;
    let short = || damaged("it is cut off");
    let (length, rest) = page.buffer().split_first_chunk::<4>().ok_or_else(short)?;
    let (levels, rest) = rest
        .split_at_checked(u32::from_le_bytes(*length) as usize)
        .ok_or_else(short)?;
    let mut present = Vec::with_capacity(rows);
    unpack(levels, 1, rows, &mut present)?;
    let texts = present.iter().filter(|level| **level == 1).count();
    let mut codes = Vec::with_capacity(texts);
    if texts > 0 {
        let (width, runs) = rest.split_first().ok_or_else(short)?;
        unpack(runs, u32::from(*width), texts, &mut codes)?;
    }
    let mut codes = codes.into_iter();
    for level in present {
        let place = match level {
            0 => 0,
            _ => {
                let code = codes.next().ok_or_else(short)?;
                *places_of
                    .get(code as usize)
                    .ok_or_else(|| damaged("a code has no text"))?
            }
        };
        places.push(place);
    }
    Ok(())
}

/// Reads runs of equal or bit-packed numbers until there are `n`.
fn unpack(mut runs: &[u8], width: u32, n: usize, out: &mut Vec<u32>) -> Result<()> {
    let short = || damaged("a run is cut off");
    if width > 32 {
        return Err(damaged("a width is beyond 32 bits"));
    }
    while out.len() < n {
        let mut header = 0_u64;
        let mut shift = 0;
        loop {
            let (byte, rest) = runs.split_first().ok_or_else(short)?;
            runs = rest;
            header |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift > 56 {
                return Err(damaged("a run is too long"));
            }
        }
        let left = n - out.len();
        if header & 1 == 0 {
            let bytes = width.div_ceil(8) as usize;
            let (value, rest) = runs.split_at_checked(bytes).ok_or_else(short)?;
            runs = rest;
            let value = value.iter().rev().fold(0, |v, b| v << 8 | u32::from(*b));
            let times = usize::try_from(header >> 1).unwrap_or(usize::MAX).min(left);
            out.extend(std::iter::repeat_n(value, times));
            if times == 0 {
                return Err(damaged("a run is empty"));
            }
        } else {
            let groups = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            let bytes = groups.saturating_mul(width as usize);
            let (packed, rest) = runs.split_at_checked(bytes).ok_or_else(short)?;
            runs = rest;
            let times = groups.saturating_mul(8).min(left);
            if times == 0 {
                return Err(damaged("a run is empty"));
            }
            let mask = ((1_u64 << width) - 1) as u32;
            let (mut buffer, mut bits) = (0_u64, 0);
            let mut bytes = packed.iter();
            for _ in 0..times {
                while bits < width {
                    buffer |= u64::from(*bytes.next().ok_or_else(short)?) << bits;
                    bits += 8;
                }
                out.push(buffer as u32 & mask);
                buffer >>= width;
                bits -= width;
            }
        }
    }
    Ok(())
}
