//! Whole numbers in few bits: in frames of 128, each with its own least number and width.
//!
//! ```text
//! numbers      =  frame…                 (all of 128 numbers but the last)
//! frame        =  width u8, least, then (number - least) in `width` bits each, the lowest bit
//!                 first, filled up with zeros to a whole byte
//! differences  =  base, then each number less the one before it (the first less `base`) as numbers
//! least, base  =  zigzag LEB128
//! ```
//!
//! Sums and differences wrap around, so that any numbers can be packed either way.

use super::pages::varint;

/// Numbers that share a least one and a width.
const FRAME: usize = 128;

/// Bytes that have to lie behind what [`unpack`] reads.
pub(super) const PADDING: usize = 16;

/// Packs numbers as they are.
pub(super) fn plain(out: &mut Vec<u8>, numbers: &[u64]) {
    for frame in numbers.chunks(FRAME) {
        let (least, width) = bounds(frame.iter().copied());
        put(out, least, width, frame.iter().copied());
    }
}

/// Packs the differences between neighbours, which are small where numbers lie in order.
pub(super) fn differences(out: &mut Vec<u8>, numbers: &[u64]) {
    // Chosen so that the first difference is as large as the second.
    let mut before = match numbers {
        [first, second, ..] => first.wrapping_sub(second.wrapping_sub(*first)),
        [first] => *first,
        [] => 0,
    };
    varint(out, zigzag(before));
    let mut slots = [0; FRAME];
    for frame in numbers.chunks(FRAME) {
        let slots = &mut slots[..frame.len()];
        for (slot, number) in slots.iter_mut().zip(frame) {
            *slot = number.wrapping_sub(before);
            before = *number;
        }
        // Small steps back are small numbers, too.
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

/// Numbers near 0, negative ones among them, become small ones.
fn zigzag(number: u64) -> u64 {
    number << 1 ^ ((number as i64) >> 63) as u64
}

fn unzigzag(number: u64) -> u64 {
    number >> 1 ^ (number & 1).wrapping_neg()
}

fn put(out: &mut Vec<u8>, least: u64, width: u32, numbers: impl Iterator<Item = u64>) {
    out.push(width as u8);
    varint(out, zigzag(least));
    let (mut buffer, mut bits) = (0_u64, 0);
    for number in numbers {
        let number = number.wrapping_sub(least);
        buffer |= number << bits;
        bits += width;
        if bits >= 64 {
            out.extend_from_slice(&buffer.to_le_bytes());
            bits -= 64;
            // What did not fit. With `bits` 0 all did, and a shift by `width` may be one by 64.
            buffer = if bits == 0 {
                0
            } else {
                number >> (width - bits)
            };
        }
    }
    out.extend_from_slice(&buffer.to_le_bytes()[..bits.div_ceil(8) as usize]);
}

/// Reads `n` numbers that [`differences`] packed; as [`unpack`] otherwise.
pub(super) fn unpack_differences(bytes: &[u8], n: usize) -> Option<(Vec<u64>, usize)> {
    let (base, start) = read_zigzag(bytes)?;
    let (mut numbers, used) = unpack(bytes.get(start..)?, n)?;
    let mut sum = base;
    for number in &mut numbers {
        sum = sum.wrapping_add(*number);
        *number = sum;
    }
    Some((numbers, start + used))
}

/// Reads a number, and tells how many bytes it takes.
fn read_zigzag(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0_u64;
    for (place, byte) in bytes.iter().enumerate() {
        number |= u64::from(byte & 0x7f).checked_shl(7 * place as u32)?;
        if byte & 0x80 == 0 {
            return Some((unzigzag(number), place + 1));
        }
    }
    None
}

/// Reads `n` packed numbers from the front of `bytes`, which must end in [`PADDING`] more bytes.
/// Returns them with the number of bytes they took. `None` where they are cut off.
pub(super) fn unpack(bytes: &[u8], n: usize) -> Option<(Vec<u64>, usize)> {
    let mut numbers = Vec::with_capacity(n);
    let end = bytes.len().checked_sub(PADDING)?;
    let mut at = 0;
    while numbers.len() < n {
        let width = u32::from(*bytes.get(at)?);
        at += 1;
        let (least, used) = read_zigzag(&bytes[at..])?;
        at += used;
        let rows = FRAME.min(n - numbers.len());
        let size = (rows * width as usize).div_ceil(8);
        if width > 64 || at + size > end {
            return None;
        }
        let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
        let packed = &bytes[at..at + size + PADDING];
        numbers.extend((0..rows).map(|row| {
            let bit = row * width as usize;
            let at = &packed[bit / 8..bit / 8 + 16];
            let two = u128::from_le_bytes(at.try_into().expect("these are 16 bytes"));
            ((two >> (bit % 8)) as u64 & mask).wrapping_add(least)
        }));
        at += size;
    }
    Some((numbers, at))
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
                plain(&mut bytes, &numbers);
                let plain_size = bytes.len();
                differences(&mut bytes, &numbers);
                let size = bytes.len();
                bytes.extend([0; PADDING]);
                let (read, used) = unpack(&bytes, numbers.len()).unwrap();
                proptest::prop_assert_eq!(&read, &numbers);
                proptest::prop_assert_eq!(used, plain_size);
                let packed = &bytes[plain_size..];
                let (read, used) = unpack_differences(packed, numbers.len()).unwrap();
                proptest::prop_assert_eq!(&read, &numbers);
                proptest::prop_assert_eq!(used, size - plain_size);
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
        differences(&mut bytes, &rows);
        assert!(bytes.len() < 110, "{}", bytes.len());
    }
}
