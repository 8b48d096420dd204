//! Encodes numbers as the differences between neighbours: times, which are in order, and lengths.
//!
//! Format: DELTA_BINARY_PACKED and DELTA_LENGTH_BYTE_ARRAY of
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

use parquet::basic::Encoding;
use parquet::file::statistics::Statistics;

use super::pages::{Pages, pack};
use crate::varint::{self, zigzag};

/// Differences of a block, which share the smallest of them.
const BLOCK: usize = 128;
/// Differences of a miniblock, which share a bit width.
const MINIBLOCK: usize = 32;

/// Encodes the values of a required column of 64-bit numbers.
pub(super) fn longs(values: &[i64]) -> Pages {
    let mut data = Vec::with_capacity(values.len() * 4);
    pack_differences(&mut data, values);
    let bounds = (values.iter().min().copied(), values.iter().max().copied());
    Pages {
        dictionary: None,
        data,
        encoding: Encoding::DELTA_BINARY_PACKED,
        is_compact: true,
        statistics: Statistics::int64(bounds.0, bounds.1, None, Some(0), false),
    }
}

/// Encodes a required column of distinct texts: their lengths, then their bytes.
pub(super) fn texts(bytes: &[u8], ends: &[u32]) -> Pages {
    let mut start = 0;
    let lengths: Vec<i64> = ends
        .iter()
        .map(|end| i64::from(*end - std::mem::replace(&mut start, *end)))
        .collect();
    let mut data = Vec::with_capacity(bytes.len() + ends.len() / 16 + 16);
    pack_differences(&mut data, &lengths);
    data.extend_from_slice(bytes);
    Pages {
        dictionary: None,
        data,
        encoding: Encoding::DELTA_LENGTH_BYTE_ARRAY,
        is_compact: false,
        // Ids are looked up by the id index, not by bounds.
        statistics: Statistics::byte_array(None, None, None, Some(0), false),
    }
}

fn pack_differences(out: &mut Vec<u8>, values: &[i64]) {
    varint::write(out, BLOCK as u64);
    varint::write(out, (BLOCK / MINIBLOCK) as u64);
    varint::write(out, values.len() as u64);
    varint::write(out, zigzag(values.first().copied().unwrap_or(0)));
    let mut block = [0_i64; BLOCK];
    for start in (1..values.len()).step_by(BLOCK) {
        let end = values.len().min(start + BLOCK);
        let pairs = values[start - 1..end - 1].iter().zip(&values[start..end]);
        let block = &mut block[..end - start];
        for (slot, (before, value)) in block.iter_mut().zip(pairs) {
            *slot = value.wrapping_sub(*before);
        }
        let least = block.iter().copied().fold(i64::MAX, i64::min);
        varint::write(out, zigzag(least));
        let widths = out.len();
        out.extend_from_slice(&[0; BLOCK / MINIBLOCK]);
        for (n, miniblock) in block.chunks_mut(MINIBLOCK).enumerate() {
            let mut any = 0;
            for slot in miniblock.iter_mut() {
                *slot = slot.wrapping_sub(least);
                any |= *slot as u64;
            }
            let width = 64 - any.leading_zeros();
            out[widths + n] = width as u8;
            // The last miniblock is padded with zeros.
            let padding = std::iter::repeat_n(0, MINIBLOCK - miniblock.len());
            let numbers = miniblock.iter().map(|slot| *slot as u64).chain(padding);
            if width <= 32 {
                pack(out, numbers.map(|number| number as u32), width);
            } else {
                // Bit by bit is fast enough: times are never that far apart.
                let bits = numbers.flat_map(|number| (0..width).map(move |bit| number >> bit & 1));
                pack(out, bits.map(|bit| bit as u32), 1);
            }
        }
    }
}
