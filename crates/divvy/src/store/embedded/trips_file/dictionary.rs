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

use super::pages::{Number, Pages, levels, number_levels, number_statistics, pack, plain, present};
use crate::model::Dictionary;
use crate::varint;

/// Encodes an optional column of texts, given by their indexes in `texts`; index 0 stands for a
/// missing value.
pub(super) fn texts(indexes: &[u32], texts: &Dictionary) -> Pages {
    let mut used = Vec::new();
    let codes = codes(indexes, texts, |text| {
        used.push(text);
        used.len() as u32 - 1
    });
    text_pages(indexes, &codes, &used)
}

/// Returns the code of each text that is not missing; `code` is called for each distinct one, in the
/// order of appearance.
pub(super) fn codes<'a>(
    indexes: &[u32],
    texts: &'a Dictionary,
    mut code: impl FnMut(&'a str) -> u32,
) -> Vec<u32> {
    let mut codes_of = vec![u32::MAX; texts.len()];
    let mut codes = Vec::with_capacity(indexes.len());
    for index in indexes.iter().filter(|index| **index != 0) {
        let known = &mut codes_of[*index as usize];
        if *known == u32::MAX {
            *known = code(texts.text(*index));
        }
        codes.push(*known);
    }
    codes
}

/// Makes the pages of an optional column of texts from the distinct texts and the codes of those that
/// are not missing. Index 0 stands for a missing value.
pub(super) fn text_pages(indexes: &[u32], codes: &[u32], distinct: &[&str]) -> Pages {
    let mut plain = Vec::new();
    for text in distinct {
        append_text(&mut plain, text);
    }
    let nulls = indexes.len() - codes.len();
    let mut data = Vec::with_capacity(indexes.len() * 2);
    levels(&mut data, indexes.len(), nulls, |row| indexes[row] != 0);
    let bounds = (distinct.iter().min(), distinct.iter().max());
    let statistics = text_statistics(bounds.0, bounds.1, nulls as u64);
    pages((plain, distinct.len() as u32), data, codes, statistics)
}

fn append_text(plain: &mut Vec<u8>, text: &str) {
    plain.extend_from_slice(&(text.len() as u32).to_le_bytes());
    plain.extend_from_slice(text.as_bytes());
}

fn text_statistics(min: Option<&&str>, max: Option<&&str>, nulls: u64) -> Statistics {
    let bound = |text: Option<&&str>| text.map(|text| text.as_bytes().to_vec().into());
    Statistics::byte_array(bound(min), bound(max), None, Some(nulls), false)
}

/// Encodes a required column that has the same text in each row.
pub(super) fn constant_text(text: &str, rows: usize) -> Pages {
    let mut plain = Vec::new();
    append_text(&mut plain, text);
    constant(plain, rows, text_statistics(Some(&text), Some(&text), 0))
}

/// Encodes a required column that has the same number in each row.
pub(super) fn constant_int(value: i32, rows: usize) -> Pages {
    let bounds = (Some(value), Some(value));
    let statistics = Number::statistics(bounds, 0);
    constant(value.to_le_bytes().to_vec(), rows, statistics)
}

fn constant(plain: Vec<u8>, rows: usize, statistics: Statistics) -> Pages {
    let mut data = Vec::new();
    append_run(&mut data, rows);
    Pages {
        dictionary: Some((plain, 1)),
        data,
        encoding: Encoding::RLE_DICTIONARY,
        is_compact: true,
        statistics,
    }
}

/// Encodes a required column of few distinct numbers.
pub(super) fn ints(values: &[i32]) -> Pages {
    let coded = Coded::of(values.iter().copied(), |_, _| true);
    coded.pages(Vec::new(), number_statistics(values))
}

/// Encodes a required column of small numbers, none of them negative.
pub(super) fn small_ints(values: &[i32]) -> Pages {
    let most = values.iter().max().copied().unwrap_or_default();
    let mut code_of = vec![u32::MAX; most as usize + 1];
    let (mut plain, mut distinct) = (Vec::new(), 0);
    let codes = values.iter().map(|value| {
        let code = &mut code_of[*value as usize];
        if *code == u32::MAX {
            value.append(&mut plain);
            *code = distinct;
            distinct += 1;
        }
        *code
    });
    let codes: Vec<u32> = codes.collect();
    pages(
        (plain, distinct),
        Vec::new(),
        &codes,
        number_statistics(values),
    )
}

/// Encodes an optional column of few distinct numbers; [`Number::NONE`] stands for a missing value.
pub(super) fn optional<N: Number>(values: &[N]) -> Pages {
    let coded = Coded::of(present(values), |_, _| true);
    coded.pages(number_levels(values), number_statistics(values))
}

/// Encodes an optional column of numbers of which perhaps few are distinct: as [`optional`] does, or
/// where that takes more bytes, as [`plain`] does.
pub(super) fn optional_or_plain<N: Number>(values: &[N]) -> Pages {
    // A distinct number takes its own bytes and those of the codes. Rows without a pattern reach the
    // limit soon, so that little time is lost.
    let at_first = 2048.min(values.len() / 8);
    let coded = Coded::of(present(values), |rows, distinct| {
        distinct <= rows / 4 + at_first
    });
    if coded.is_complete {
        coded.pages(number_levels(values), number_statistics(values))
    } else {
        plain(values)
    }
}

/// Numbers as codes in a dictionary.
struct Coded {
    /// The distinct numbers, plain.
    plain: Vec<u8>,
    distinct: u32,
    codes: Vec<u32>,
    /// Whether all numbers have been coded.
    is_complete: bool,
}

impl Coded {
    /// Codes numbers until `go_on` is false of how many there have been and how many are distinct.
    fn of<N: Number>(
        values: impl Iterator<Item = N>,
        go_on: impl Fn(usize, usize) -> bool,
    ) -> Self {
        let mut codes_of: FxHashMap<N, u32> = FxHashMap::default();
        let mut coded = Self {
            plain: Vec::new(),
            distinct: 0,
            codes: Vec::with_capacity(values.size_hint().1.unwrap_or_default()),
            is_complete: true,
        };
        let mut last = None;
        for value in values {
            let code = match last {
                Some((same, code)) if same == value => code,
                _ => {
                    let next = coded.distinct;
                    let code = *codes_of.entry(value).or_insert(next);
                    if code == next {
                        value.append(&mut coded.plain);
                        coded.distinct += 1;
                        if !go_on(coded.codes.len() + 1, coded.distinct as usize) {
                            coded.is_complete = false;
                            return coded;
                        }
                    }
                    code
                }
            };
            last = Some((value, code));
            coded.codes.push(code);
        }
        coded
    }

    /// Makes the pages of a column; `data` has its levels.
    fn pages(self, data: Vec<u8>, statistics: Statistics) -> Pages {
        pages((self.plain, self.distinct), data, &self.codes, statistics)
    }
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
    if distinct == 1 {
        append_run(&mut data, codes.len());
    } else {
        let width = 32 - (distinct - 1).leading_zeros();
        data.push(width as u8);
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

/// Appends the codes of a column with one distinct value.
fn append_run(data: &mut Vec<u8>, rows: usize) {
    const WIDTH: u8 = 1;
    data.push(WIDTH);
    varint::write(data, (rows as u64) << 1);
    data.push(0);
}

/// Decodes a column of [`texts`]: returns for each row what `index_of` returns for its text, and 0 for a
/// missing one. `index_of` is called for each distinct text.
///
/// # Errors
///
/// If the pages are not as [`texts`] makes them, or `index_of` fails.
pub(super) fn decode(
    pages: &mut dyn PageReader,
    index_of: &mut dyn FnMut(&str) -> Result<u32>,
) -> Result<Vec<u32>> {
    let mut index_of_code: Vec<u32> = Vec::new();
    let mut indexes = Vec::new();
    while let Some(page) = pages.get_next_page()? {
        match page.page_type() {
            PageType::DICTIONARY_PAGE => index_of_code = read_texts(page.buffer(), index_of)?,
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
    pub(super) fn index_of(&mut self, text: &str) -> u32 {
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

fn read_texts(mut plain: &[u8], index_of: &mut dyn FnMut(&str) -> Result<u32>) -> Result<Vec<u32>> {
    let mut indexes = Vec::new();
    while let Some((length, rest)) = plain.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let (text, rest) = rest
            .split_at_checked(length)
            .ok_or_else(|| damaged("a text is cut off"))?;
        let text = std::str::from_utf8(text).map_err(|_| damaged("a text is not UTF-8"))?;
        indexes.push(index_of(text)?);
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
