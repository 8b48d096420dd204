//! Columns with few distinct values: a dictionary page, then one page of codes.
//!
//! A [`TripBatch`](crate::model::TripBatch) has such texts as places in a dictionary already, so a
//! place is packed into bits and that is all.
//!
//! Format: RLE_DICTIONARY of
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

use parquet::basic::{Encoding, PageType};
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::statistics::Statistics;
use rustc_hash::FxHashMap;

use super::pages::{Pages, int_levels, int_statistics, levels, pack, present, varint};
use crate::model::Dictionary;

/// Encodes an optional column of texts: the text at each place, none at place 0.
pub(super) fn texts(places: &[u32], texts: &Dictionary) -> Pages {
    let mut codes_of = vec![u32::MAX; texts.len()];
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
    let nulls = places.len() - codes.len();
    let mut data = Vec::with_capacity(places.len() * 2);
    levels(&mut data, places.len(), nulls, |row| places[row] != 0);
    let in_order = |place: &&u32| texts.text(**place);
    let bound =
        |place: Option<&u32>| place.map(|place| texts.text(*place).as_bytes().to_vec().into());
    let statistics = Statistics::byte_array(
        bound(used.iter().min_by_key(in_order)),
        bound(used.iter().max_by_key(in_order)),
        None,
        Some(nulls as u64),
        false,
    );
    pages((plain, used.len() as u32), data, &codes, statistics)
}

/// Encodes a required column of numbers of which there are few.
pub(super) fn ints(values: &[i32]) -> Pages {
    coded(values, Vec::new(), values.iter().copied())
}

/// Encodes an optional column of numbers of which there are few; [`NONE_I32`](crate::model::NONE_I32) for none.
pub(super) fn optional_ints(values: &[i32]) -> Pages {
    coded(values, int_levels(values), present(values))
}

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

/// Puts the codes behind the levels.
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
            dense: true,
            statistics,
        };
    }
    let width = (32 - (distinct - 1).leading_zeros()).max(1);
    data.push(width as u8);
    if distinct == 1 {
        varint(&mut data, (codes.len() as u64) << 1);
        data.push(0);
    } else {
        let eights = codes.len().div_ceil(8);
        varint(&mut data, (eights as u64) << 1 | 1);
        let padding = std::iter::repeat_n(0, 8 * eights - codes.len());
        pack(&mut data, codes.iter().copied().chain(padding), width);
    }
    Pages {
        dictionary: Some(dictionary),
        data,
        encoding: Encoding::RLE_DICTIONARY,
        dense: false,
        statistics,
    }
}

/// Decodes a column that [`texts`] made: adds its texts to a dictionary and returns their places.
///
/// # Errors
///
/// For pages that [`texts`] does not make.
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
