//! Packs integers in frames of 128, each with its own least number and bit width.
//!
//! ```text
//! numbers      =  frame…                 (all of 128 numbers but the last)
//! frame        =  width u8, least, then (number - least) in `width` bits each, the lowest bit
//!                 first, filled up with zeros to a whole byte
//! differences  =  base, then each number less the one before it (the first less `base`) as numbers
//! least, base  =  zigzag LEB128
//! ```
//!
//! Sums and differences wrap around, so any numbers can be packed either way.

use crate::varint::{self, unzigzag, zigzag};

/// Numbers of a frame.
const FRAME: usize = 128;

/// Bytes that [`unpack`] requires behind the packed numbers.
pub(super) const PADDING: usize = 16;

/// Packs numbers as they are.
pub(super) fn pack(out: &mut Vec<u8>, numbers: &[u64]) {
    for frame in numbers.chunks(FRAME) {
        let (least, width) = bounds(frame.iter().copied());
        put(out, least, width, frame.iter().copied());
    }
}

/// Packs the differences between neighbours, which are small if the numbers are in order.
pub(super) fn pack_differences(out: &mut Vec<u8>, numbers: &[u64]) {
    // Chosen so that the first difference is as large as the second.
    let mut before = match numbers {
        [first, second, ..] => first.wrapping_sub(second.wrapping_sub(*first)),
        [first] => *first,
        [] => 0,
    };
    varint::write(out, zigzag(before as i64));
    let mut slots = [0; FRAME];
    for frame in numbers.chunks(FRAME) {
        let slots = &mut slots[..frame.len()];
        for (slot, number) in slots.iter_mut().zip(frame) {
            *slot = number.wrapping_sub(before);
            before = *number;
        }
        // As signed numbers: small negative differences are small, too.
        let (least, width) = signed_bounds(slots);
        put(out, least, width, slots.iter().copied());
    }
}

fn bounds(frame: impl Iterator<Item = u64>) -> (u64, u32) {
    let (least, most) = frame.fold((u64::MAX, 0), |(least, most), number| {
        (number.min(least), number.max(most))
    });
    (least, 64 - (most - least).leading_zeros())
}

fn signed_bounds(frame: &[u64]) -> (u64, u32) {
    let numbers = frame.iter().map(|number| *number as i64);
    let (least, most) = numbers.fold((i64::MAX, i64::MIN), |(least, most), number| {
        (number.min(least), number.max(most))
    });
    (least as u64, 64 - most.abs_diff(least).leading_zeros())
}

/// Appends a frame.
fn put(out: &mut Vec<u8>, least: u64, width: u32, numbers: impl Iterator<Item = u64>) {
    out.push(width as u8);
    varint::write(out, zigzag(least as i64));
    let (mut buffer, mut bits) = (0_u64, 0);
    for number in numbers {
        let number = number.wrapping_sub(least);
        buffer |= number << bits;
        bits += width;
        if bits >= 64 {
            out.extend_from_slice(&buffer.to_le_bytes());
            bits -= 64;
            // The bits that did not fit. If all did, a shift by `width` could be one by 64.
            buffer = if bits == 0 {
                0
            } else {
                number >> (width - bits)
            };
        }
    }
    out.extend_from_slice(&buffer.to_le_bytes()[..bits.div_ceil(8) as usize]);
}

/// Reads `n` numbers that [`pack_differences`] packed; otherwise as [`unpack`].
pub(super) fn unpack_differences(mut bytes: &[u8], n: usize) -> Option<(Vec<u64>, &[u8])> {
    let base = varint::read(&mut bytes)?;
    let (mut numbers, rest) = unpack(bytes, n)?;
    let mut sum = unzigzag(base) as u64;
    for number in &mut numbers {
        sum = sum.wrapping_add(*number);
        *number = sum;
    }
    Some((numbers, rest))
}

/// Reads `n` packed numbers from the front of `bytes`, which must end in [`PADDING`] more bytes.
/// Returns them with the bytes behind them. `None` if they are cut off.
pub(super) fn unpack(mut bytes: &[u8], n: usize) -> Option<(Vec<u64>, &[u8])> {
    let mut numbers = Vec::with_capacity(n);
    while numbers.len() < n {
        let (width, mut rest) = bytes.split_first()?;
        let width = u32::from(*width);
        let least = unzigzag(varint::read(&mut rest)?) as u64;
        let rows = FRAME.min(n - numbers.len());
        let size = (rows * width as usize).div_ceil(8);
        if width > 64 || size + PADDING > rest.len() {
            return None;
        }
        let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
        let packed = &rest[..size + PADDING];
        numbers.extend((0..rows).map(|row| {
            let bit = row * width as usize;
            let two = &packed[bit / 8..bit / 8 + 16];
            let two = u128::from_le_bytes(two.try_into().expect("these are 16 bytes"));
            ((two >> (bit % 8)) as u64 & mask).wrapping_add(least)
        }));
        bytes = &rest[size..];
    }
    Some((numbers, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_numbers_survive(
            numbers in proptest::collection::vec(
                proptest::prop_oneof![
                    0_u64..9, 1_000_000..1_001_000_u64, proptest::num::u64::ANY,
                    proptest::strategy::Just(u64::MAX), proptest::strategy::Just(0),
                ],
                0..400,
            ),
            same in 0_usize..300,
        ) {
            for numbers in [numbers.clone(), vec![17; same]] {
                let mut bytes = Vec::new();
                pack(&mut bytes, &numbers);
                pack_differences(&mut bytes, &numbers);
                bytes.extend([0; PADDING]);
                let (read, rest) = unpack(&bytes, numbers.len()).unwrap();
                proptest::prop_assert_eq!(&read, &numbers);
                let (read, rest) = unpack_differences(rest, numbers.len()).unwrap();
                proptest::prop_assert_eq!(&read, &numbers);
                proptest::prop_assert_eq!(rest, [0; PADDING]);
            }
        }

        #[test]
        fn any_bytes_are_numbers_or_none(bytes in proptest::collection::vec(0_u8.., 0..200), n in 0_usize..300) {
            let _ = (unpack(&bytes, n), unpack_differences(&bytes, n));
        }
    }

    #[test]
    fn rows_in_order_take_next_to_nothing() {
        let rows: Vec<u64> = (1_000_000..1_004_096).collect();
        let mut bytes = Vec::new();
        pack_differences(&mut bytes, &rows);
        assert!(bytes.len() < 110, "{}", bytes.len());
    }
}
