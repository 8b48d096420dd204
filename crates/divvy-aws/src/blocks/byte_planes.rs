//! Columns of numbers and texts as bytes that compress well.
//!
//! A column of numbers is its smallest number, a width in bytes, and then byte planes: the lowest
//! byte of every row, the next byte of every row, and so on. The bytes of one plane are similar, so
//! each plane gets a zstd block with its own entropy table; a plane of zeros takes four bytes.
//!
//! ```text
//!  raw = varint(length of head), head (smallest numbers, widths, counts), body (planes, texts)
//! ```

use std::io::{self, Read, Write};

use divvy::varint::{self, unzigzag, zigzag};

use super::BlockError;

/// The smallest plane with its own entropy table: of 96, 200 and 400 this gave the smallest blocks.
const MIN_TABLE_BYTES: usize = 200;
/// The largest expansion by zstd: a block of 128 KB with one repeated byte takes four bytes.
const MAX_EXPANSION: u64 = 128 * 1024 / 3;

/// Collects the columns of a block.
#[derive(Default)]
pub(super) struct Writer {
    head: Vec<u8>,
    body: Vec<u8>,
    /// The end of each plane in `body`.
    cuts: Vec<usize>,
}

impl Writer {
    pub(super) fn count(&mut self, number: u64) {
        varint::write(&mut self.head, number);
    }

    pub(super) fn signed(&mut self, number: i64) {
        self.count(zigzag(number));
    }

    /// Writes a column of at least `min_width` bytes a row.
    pub(super) fn numbers(&mut self, values: &[u64], min_width: usize) {
        let least = values.iter().copied().min().unwrap_or(0);
        let most = values.iter().copied().max().unwrap_or(0);
        let bits = 64 - (most - least).leading_zeros();
        let width = (bits.div_ceil(8) as usize).max(min_width);
        self.count(least);
        self.head.push(width as u8);
        for plane in 0..width {
            let shift = 8 * plane;
            let bytes = values.iter().map(|value| ((value - least) >> shift) as u8);
            self.body.extend(bytes);
            self.cuts.push(self.body.len());
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
        self.cuts.push(self.body.len());
    }

    /// Writes texts: where all are plain decimals in rising order, the differences of the numbers;
    /// else their lengths and their bytes.
    pub(super) fn texts(&mut self, texts: &[&str]) {
        self.count(texts.len() as u64);
        let decimals: Option<Vec<u64>> =
            texts.iter().map(|text| decimal(text.as_bytes())).collect();
        match decimals {
            Some(numbers) if numbers.is_sorted() && !numbers.is_empty() => {
                self.head.push(1);
                let mut previous = 0;
                let steps = numbers.iter();
                let steps: Vec<u64> = steps
                    .map(|number| number - std::mem::replace(&mut previous, *number))
                    .collect();
                self.numbers(&steps, 1);
            }
            _ => {
                self.head.push(0);
                let lengths: Vec<u64> = texts.iter().map(|text| text.len() as u64).collect();
                self.numbers(&lengths, 1);
                self.body.extend(texts.iter().flat_map(|text| text.bytes()));
                self.cuts.push(self.body.len());
            }
        }
    }

    /// Appends the raw length and the compressed bytes.
    pub(super) fn compress(self, out: &mut Vec<u8>, level: i32) {
        let Self { head, body, cuts } = self;
        let mut start = Vec::with_capacity(head.len() + 5);
        varint::write(&mut start, head.len() as u64);
        start.extend_from_slice(&head);
        let length = (start.len() + body.len()) as u64;
        varint::write(out, length);
        let encoder = zstd::stream::write::Encoder::new(out, level).and_then(|mut encoder| {
            encoder.set_pledged_src_size(Some(length))?;
            encoder.include_contentsize(false)?;
            Ok(encoder)
        });
        encoder
            .and_then(|encoder| write_frame(encoder, &start, &body, &cuts))
            .expect("memory takes any bytes");
    }
}

/// Writes a frame with a block for each large plane.
fn write_frame(
    mut encoder: zstd::stream::write::Encoder<'_, &mut Vec<u8>>,
    start: &[u8],
    body: &[u8],
    cuts: &[usize],
) -> io::Result<()> {
    encoder.write_all(start)?;
    let mut unflushed = start.len();
    let mut offset = 0;
    for cut in cuts {
        let plane = &body[offset..*cut];
        offset = *cut;
        if plane.len() >= MIN_TABLE_BYTES && unflushed > 0 {
            encoder.flush()?;
            unflushed = 0;
        }
        encoder.write_all(plane)?;
        unflushed += plane.len();
    }
    encoder.write_all(&body[offset..])?;
    encoder.finish()?;
    Ok(())
}

/// Reads the columns of a block.
pub(super) struct Reader<'a> {
    head: &'a [u8],
    body: &'a [u8],
}

/// Unpacks what [`Writer::compress`] wrote.
pub(super) fn unpack(mut bytes: &[u8]) -> Result<Vec<u8>, BlockError> {
    let length = read_varint(&mut bytes)?;
    // No memory is reserved for more than the frame can hold.
    if length > MAX_EXPANSION.saturating_mul(bytes.len() as u64) {
        return Err(BlockError::Damaged("the length"));
    }
    let mut raw = Vec::with_capacity(length.min(64 * bytes.len() as u64) as usize);
    zstd::stream::read::Decoder::with_buffer(bytes)
        .and_then(|decoder| decoder.take(length + 1).read_to_end(&mut raw))
        .map_err(|_| BlockError::Damaged("the compressed columns"))?;
    if raw.len() as u64 != length {
        return Err(BlockError::Damaged("the length"));
    }
    Ok(raw)
}

impl<'a> Reader<'a> {
    pub(super) fn new(mut raw: &'a [u8]) -> Result<Self, BlockError> {
        let length = read_varint(&mut raw)?;
        let head = usize::try_from(length).ok().filter(|at| *at <= raw.len());
        let (head, body) = raw.split_at(head.ok_or(BlockError::Damaged("the head"))?);
        Ok(Self { head, body })
    }

    pub(super) fn count(&mut self) -> Result<u64, BlockError> {
        read_varint(&mut self.head)
    }

    /// Reads the number of elements that take at least one byte of the body each.
    pub(super) fn length(&mut self) -> Result<usize, BlockError> {
        let length = self.count()?;
        match usize::try_from(length) {
            Ok(length) if length <= self.body.len() => Ok(length),
            _ => Err(BlockError::Damaged("a count")),
        }
    }

    pub(super) fn signed(&mut self) -> Result<i64, BlockError> {
        Ok(unzigzag(self.count()?))
    }

    pub(super) fn byte(&mut self) -> Result<u8, BlockError> {
        let (byte, rest) = self
            .head
            .split_first()
            .ok_or(BlockError::Damaged("the head"))?;
        self.head = rest;
        Ok(*byte)
    }

    pub(super) fn numbers(&mut self, rows: usize) -> Result<Vec<u64>, BlockError> {
        let least = self.count()?;
        let width = usize::from(self.byte()?);
        if width > 8 {
            return Err(BlockError::Damaged("a width"));
        }
        let mut values = vec![least; rows];
        for plane in 0..width {
            let bytes = self.bytes(rows)?;
            for (value, byte) in values.iter_mut().zip(bytes) {
                *value = value.wrapping_add(u64::from(*byte) << (8 * plane));
            }
        }
        Ok(values)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], BlockError> {
        let (bytes, rest) = self
            .body
            .split_at_checked(length)
            .ok_or(BlockError::Damaged("the body"))?;
        self.body = rest;
        Ok(bytes)
    }

    /// Reads what [`Writer::texts`] wrote, and passes each text to `each`.
    pub(super) fn texts(&mut self, mut each: impl FnMut(&str)) -> Result<(), BlockError> {
        let length = self.length()?;
        match self.byte()? {
            1 => {
                let mut number = 0_u64;
                for step in self.numbers(length)? {
                    number = number.wrapping_add(step);
                    each(&number.to_string());
                }
            }
            0 => {
                for length in self.numbers(length)? {
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    let text = std::str::from_utf8(self.bytes(length)?);
                    each(text.map_err(|_| BlockError::Damaged("a text"))?);
                }
            }
            _ => return Err(BlockError::Damaged("the form of texts")),
        }
        Ok(())
    }

    /// Returns whether all has been read.
    pub(super) fn is_at_end(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }
}

/// Reads a decimal number without sign and leading zeros. `None` for other texts, and for more than
/// 18 digits.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    text.iter().try_fold(0, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| number * 10 + u64::from(digit))
    })
}

fn read_varint(bytes: &mut &[u8]) -> Result<u64, BlockError> {
    varint::read(bytes).ok_or(BlockError::Damaged("the head"))
}
