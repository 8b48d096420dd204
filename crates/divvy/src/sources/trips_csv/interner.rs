//! Indexes of texts that are in many rows.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHashMap;

use crate::sources::text::decode;

/// A text of at most 16 bytes as numbers: two texts are equal if and only if these are. A lookup of
/// one follows no pointer, which would be most of the cost for millions of short ids.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct ShortText {
    low: u64,
    high: u64,
    len: u8,
}

impl Hash for ShortText {
    /// Combines the three numbers to one, so that hashing is one multiplication.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low ^ self.high.rotate_left(27) ^ u64::from(self.len) << 56);
    }
}

impl ShortText {
    /// Packs a text; `None` for a longer one.
    #[inline]
    fn pack(text: &[u8]) -> Option<Self> {
        // The two halves may overlap: with the length, they still determine every byte.
        let (low, high) = match text {
            [] => (0, 0),
            [a] => (u64::from(*a), 0),
            [a, b] => (u64::from(*a), u64::from(*b)),
            [a, b, c] => (u64::from(*a), u64::from(*b) << 8 | u64::from(*c)),
            _ if text.len() < 8 => {
                let (first, last) = (text.first_chunk()?, text.last_chunk()?);
                let number = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
                (number(first), number(last))
            }
            _ if text.len() <= 16 => {
                let (first, last) = (text.first_chunk()?, text.last_chunk()?);
                (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
            }
            _ => return None,
        };
        let len = text.len() as u8;
        Some(Self { low, high, len })
    }
}

/// The indexes of texts in a dictionary.
#[derive(Default)]
pub(super) struct Interner {
    /// Indexes of small whole numbers, by number: most ids are, and a table of them stays in the
    /// processor's cache where a map would not. 0 for none yet, else the index plus 1.
    numbers: Vec<u32>,
    short: FxHashMap<ShortText, u32>,
    long: FxHashMap<Box<[u8]>, u32>,
    /// The last short text.
    last: Option<(ShortText, u32)>,
    /// A text is not UTF-8: it was taken for Windows-1252.
    pub(super) has_other_encoding: bool,
}

/// Reads a whole number below 100,000 without leading zeros, so that each number has one text.
#[inline]
fn small_number(text: &[u8]) -> Option<usize> {
    let may_be_small = matches!(text, [b'1'..=b'9', ..]) && text.len() <= 5;
    if !may_be_small {
        return None;
    }
    text.iter().try_fold(0, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then_some(number * 10 + usize::from(digit))
    })
}

impl Interner {
    /// Finds the index of a text. `add` makes that of a new one.
    #[inline]
    pub(super) fn find(&mut self, raw: &[u8], add: impl FnOnce(&str) -> u32) -> u32 {
        let other = &mut self.has_other_encoding;
        let new = || {
            *other |= std::str::from_utf8(raw).is_err();
            add(&decode(raw))
        };
        if let Some(number) = small_number(raw) {
            if self.numbers.len() <= number {
                self.numbers.resize(number + 1, 0);
            }
            let slot = &mut self.numbers[number];
            if *slot == 0 {
                *slot = new() + 1;
            }
            return *slot - 1;
        }
        let Some(short) = ShortText::pack(raw) else {
            return match self.long.get(raw) {
                Some(index) => *index,
                None => *self.long.entry(raw.into()).or_insert_with(new),
            };
        };
        match self.last {
            Some((last, index)) if last == short => index,
            _ => {
                let index = match self.short.get(&short) {
                    Some(index) => *index,
                    None => *self.short.entry(short).or_insert_with(new),
                };
                self.last = Some((short, index));
                index
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn short_texts_are_equal_only_when_their_numbers_are(
            a in proptest::collection::vec(prop_oneof![Just(0_u8), Just(b'1'), any::<u8>()], 0..20),
            b in proptest::collection::vec(prop_oneof![Just(0_u8), Just(b'1'), any::<u8>()], 0..20),
        ) {
            prop_assert_eq!(ShortText::pack(&a).is_some(), a.len() <= 16);
            if let (Some(one), Some(other)) = (ShortText::pack(&a), ShortText::pack(&b)) {
                prop_assert_eq!(one == other, a == b);
            }
        }
    }
}
