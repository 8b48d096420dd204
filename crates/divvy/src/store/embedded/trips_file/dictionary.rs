//! Encodes columns with few distinct values: a dictionary page, then one page of codes.
//!
//! A [`TripBatch`](crate::model::TripBatch) has such texts as indexes in a dictionary already, which
//! only have to be packed.
//!
//! Format: RLE_DICTIONARY of
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

use parquet::basic::{Encoding, PageType};
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::statistics::Statistics;
use rustc_hash::FxHashMap;

use super::pages::{Pages, int_levels, int_statistics, levels, pack, present};
use crate::model::Dictionary;
use crate::varint;

/// Encodes an optional column of texts, given by their indexes in `texts`; index 0 stands for a
/// missing value.
pub(super) fn texts(indexes: &[u32], texts: &Dictionary) -> Pages {
    let mut codes_of = vec![u32::MAX; texts.len()];
    let mut used: Vec<u32> = Vec::new();
    let mut codes: Vec<u32> = Vec::with_capacity(indexes.len());
    for index in indexes.iter().filter(|index| **index != 0) {
        let code = &mut codes_of[*index as usize];
        if *code == u32::MAX {
            *code = used.len() as u32;
            used.push(*index);
        }
        codes.push(*code);
    }
    let mut plain = Vec::new();
    for index in &used {
        let text = texts.text(*index).as_bytes();
        plain.extend_from_slice(&(text.len() as u32).to_le_bytes());
        plain.extend_from_slice(text);
    }
    let nulls = indexes.len() - codes.len();
    let mut data = Vec::with_capacity(indexes.len() * 2);
    levels(&mut data, indexes.len(), nulls, |row| indexes[row] != 0);
    let used = || used.iter().map(|index| texts.text(*index));
    let bound = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec().into());
    let statistics = Statistics::byte_array(
        bound(used().min()),
        bound(used().max()),
        None,
        Some(nulls as u64),
        false,
    );
    let dictionary = (plain, used().count() as u32);
    pages(dictionary, data, &codes, statistics)
}

/// Encodes a required column of few distinct numbers.
pub(super) fn ints(values: &[i32]) -> Pages {
    coded(values, Vec::new(), values.iter().copied())
}

/// Encodes an optional column of few distinct numbers; [`NONE_I32`](crate::model::NONE_I32) stands
/// for a missing value.
pub(super) fn optional_ints(values: &[i32]) -> Pages {
    coded(values, int_levels(values), present(values))
}

/// Encodes the `values` of a column, of which `all` has one for each row, behind the levels in `data`.
fn coded(all: &[i32], data: Vec<u8>, values: impl Iterator<Item = i32>) -> Pages {
    let mut codes_of: FxHashMap<i32, u32> = FxHashMap::default();
    let mut plain = Vec::new();
    let mut codes = Vec::with_capacity(all.len());
    let mut last = None;
    for value in values {
        let code = match last {
            Some((same, code)) if same == value => code,
            _ => {
                let next = codes_of.len() as u32;
                *codes_of.entry(value).or_insert_with(|| {
                    plain.extend_from_slice(&value.to_le_bytes());
                    next
                })
            }
        };
        last = Some((value, code));
        codes.push(code);
    }
    let dictionary = (plain, codes_of.len() as u32);
    pages(dictionary, data, &codes, int_statistics(all))
}

/// Makes the pages of a column from its dictionary, its levels and its codes.
fn pages(
    dictionary: (Vec<u8>, u32),
    mut data: Vec<u8>,
    codes: &[u32],
    statistics: Statistics,
) -> Pages {
    let distinct = dictionary.1;
    if distinct == 0 {
        return Pages {
            dictionary: None,
            data,
            encoding: Encoding::PLAIN,
            is_compact: true,
            statistics,
        };
    }
    let width = (32 - (distinct - 1).leading_zeros()).max(1);
    data.push(width as u8);
    if distinct == 1 {
        varint::write(&mut data, (codes.len() as u64) << 1);
        data.push(0);
    } else {
        let eights = codes.len().div_ceil(8);
        varint::write(&mut data, (eights as u64) << 1 | 1);
        let padding = std::iter::repeat_n(0, 8 * eights - codes.len());
        pack(&mut data, codes.iter().copied().chain(padding), width);
    }
    Pages {
        dictionary: Some(dictionary),
        data,
        encoding: Encoding::RLE_DICTIONARY,
        is_compact: false,
        statistics,
    }
}

/// Decodes a column of [`texts`]: adds its texts to a dictionary and returns their indexes there.
///
/// # Errors
///
/// If the pages are not as [`texts`] makes them.
pub(super) fn decode(pages: &mut dyn PageReader, texts: &mut Texts) -> Result<Vec<u32>> {
    let mut index_of_code: Vec<u32> = Vec::new();
    let mut indexes = Vec::new();
    while let Some(page) = pages.get_next_page()? {
        match page.page_type() {
            PageType::DICTIONARY_PAGE => index_of_code = read_texts(page.buffer(), texts)?,
            _ => read_codes(&page, &index_of_code, &mut indexes)?,
        }
    }
    Ok(indexes)
}

/// A dictionary without repeated texts.
#[derive(Default)]
pub(super) struct Texts {
    pub(super) dictionary: Dictionary,
    indexes: FxHashMap<Box<str>, u32>,
}

impl Texts {
    /// Returns the index of a text, which is added unless it is there already.
    fn index_of(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(index) = self.indexes.get(text) {
            return *index;
        }
        let index = self.dictionary.push(text);
        self.indexes.insert(text.into(), index);
        index
    }
}

fn damaged(what: &str) -> ParquetError {
    ParquetError::General(format!("a page of texts is damaged: {what}"))
}

fn read_texts(mut plain: &[u8], texts: &mut Texts) -> Result<Vec<u32>> {
    let mut indexes = Vec::new();
    while let Some((length, rest)) = plain.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let (text, rest) = rest
            .split_at_checked(length)
            .ok_or_else(|| damaged("a text is cut off"))?;
        let text = std::str::from_utf8(text).map_err(|_| damaged("a text is not UTF-8"))?;
        indexes.push(texts.index_of(text));
        plain = rest;
    }
    Ok(indexes)
}

fn read_codes(page: &Page, index_of_code: &[u32], indexes: &mut Vec<u32>) -> Result<()> {
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
        let index = if level == 0 {
            0
        } else {
            let code = codes.next().ok_or_else(short)?;
            let index = index_of_code.get(code as usize);
            *index.ok_or_else(|| damaged("a code has no text"))?
        };
        indexes.push(index);
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
        let header = varint::read(&mut runs).ok_or_else(short)?;
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
