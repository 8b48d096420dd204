//! A set of rows of one file: a bit for each, so that millions of them stay small.

/// Rows of a file. Grows with the highest row in it.
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

    /// Tells whether a row is in it.
    pub(super) fn contains(&self, row: u32) -> bool {
        (self.words.get(row as usize / 64)).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Counts the rows.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Tells whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lists the rows of a range that are in it, in order.
    pub(super) fn within(&self, rows: std::ops::Range<u32>) -> impl Iterator<Item = u32> {
        let words = rows.start / 64..rows.end.div_ceil(64);
        words
            .flat_map(move |place| {
                let mut word = self.words.get(place as usize).copied().unwrap_or(0);
                std::iter::from_fn(move || {
                    let bit = word.trailing_zeros();
                    word &= word.wrapping_sub(1);
                    (bit < 64).then(|| place * 64 + bit)
                })
            })
            .filter(move |row| rows.contains(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_where_they_were_put() {
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
