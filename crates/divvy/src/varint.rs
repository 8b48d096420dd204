//! Integers of variable length: unsigned LEB128 (seven bits a byte, the lowest first; the highest
//! bit is set in all bytes but the last), and zigzag for signed numbers.
//!
//! Formats: [LEB128](https://dwarfstd.org/doc/DWARF5.pdf) (section 7.6),
//! [zigzag](https://protobuf.dev/programming-guides/encoding/#signed-ints).

/// Appends a number: one to ten bytes.
#[inline]
pub fn write(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a number from the front. `None`, with some bytes read, where it is cut off or longer than
/// ten bytes.
#[inline]
pub fn read(bytes: &mut &[u8]) -> Option<u64> {
    // Nearly all numbers are small.
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    if *first < 0x80 {
        return Some(u64::from(*first));
    }
    let mut number = u64::from(*first & 0x7f);
    for shift in (7..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Maps numbers near zero, negative ones included, to small numbers.
#[inline]
pub const fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

/// Inverts [`zigzag`].
#[inline]
pub const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, number);
        bytes
    }

    #[test]
    fn bytes_are_those_of_the_formats() {
        assert_eq!(written(0), [0]);
        assert_eq!(written(127), [0x7f]);
        assert_eq!(written(128), [0x80, 1]);
        assert_eq!(written(624_485), [0xe5, 0x8e, 0x26]);
        assert_eq!(written(u64::MAX)[..9], [0xff; 9]);
        assert_eq!(written(u64::MAX)[9..], [1]);
        let signed = [0, -1, 1, -2, i64::MAX, i64::MIN];
        assert_eq!(signed.map(zigzag), [0, 1, 2, 3, u64::MAX - 1, u64::MAX]);
    }

    #[test]
    fn a_number_that_does_not_end_is_none() {
        for n in 0..12 {
            assert_eq!(read(&mut &[0x80; 12][..n]), None);
        }
        let eleven = [&[0x80; 10][..], &[0]].concat();
        assert_eq!(read(&mut &eleven[..]), None);
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_written(bits in any::<u64>(), shift in 0..64, behind in any::<[u8; 3]>()) {
            let number = bits >> shift;
            let mut bytes = written(number);
            bytes.extend(behind);
            let mut rest = &bytes[..];
            prop_assert_eq!(read(&mut rest), Some(number));
            prop_assert_eq!(rest, behind);
            prop_assert_eq!(zigzag(unzigzag(number)), number);
            prop_assert_eq!(unzigzag(zigzag(number as i64)), number as i64);
        }
    }
}
