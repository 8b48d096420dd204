//! A set of rows of one file, with one bit for each row.

/// A set of rows of a file. Its size depends on the highest row in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RowSet {
    words: Vec<u64>,
    len: u64,
}

impl RowSet {
    /// Adds a row.
    pub(super) fn insert(&mut self, row: u32) {
        let word = row as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (row % 64);
        self.len += u64::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    /// Returns whether a row is in the set.
    pub(super) fn contains(&self, row: u32) -> bool {
        (self.words.get(row as usize / 64)).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Returns the number of rows.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether the set has no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the rows of a range that are in the set, in order.
    pub(super) fn within(&self, rows: std::ops::Range<u32>) -> impl Iterator<Item = u32> {
        let words = rows.start / 64..rows.end.div_ceil(64);
        words
            .flat_map(move |n| {
                let mut word = self.words.get(n as usize).copied().unwrap_or(0);
                std::iter::from_fn(move || {
                    let bit = word.trailing_zeros();
                    word &= word.wrapping_sub(1);
                    (bit < 64).then(|| n * 64 + bit)
                })
            })
            .filter(move |row| rows.contains(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserted_rows_are_found() {
        let mut set = RowSet::default();
        assert!(set.is_empty() && !set.contains(0));
        for row in [0, 63, 64, 200, 64] {
            set.insert(row);
        }
        assert_eq!(set.len(), 4);
        assert!(set.contains(63) && !set.contains(62) && !set.contains(9_999));
        assert_eq!(set.within(0..1000).collect::<Vec<_>>(), [0, 63, 64, 200]);
        assert_eq!(set.within(1..200).collect::<Vec<_>>(), [63, 64]);
        assert_eq!(set.within(201..201).count(), 0);
    }
}
