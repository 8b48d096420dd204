//! The first few of very many.

/// Keeps the first items in the order of a key: `most` of them, or all.
pub(super) struct Largest<T, K: Ord> {
    most: Option<usize>,
    key: fn(&T) -> K,
    kept: Vec<T>,
    /// The key of the last item kept. `None` until there are more than `most`.
    last: Option<K>,
    /// The number of items added.
    pub seen: usize,
}

impl<T, K: Ord> Largest<T, K> {
    pub(super) fn new(most: Option<usize>, key: fn(&T) -> K) -> Self {
        Self {
            most,
            key,
            kept: Vec::new(),
            last: None,
            seen: 0,
        }
    }

    pub(super) fn add(&mut self, one: T) {
        // Sorted only now and then, because most of many items are rejected above.
        const MANY: usize = 1 << 10;
        self.seen += 1;
        if (self.last.as_ref()).is_some_and(|last| (self.key)(&one) > *last) {
            return;
        }
        self.kept.push(one);
        if (self.most).is_some_and(|most| self.kept.len() >= 2 * most.max(MANY)) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if let Some(most) = self.most.filter(|most| *most < self.kept.len()) {
            let (_, next, _) = self.kept.select_nth_unstable_by_key(most, self.key);
            self.last = Some((self.key)(next));
            self.kept.truncate(most);
        }
    }

    /// Returns the kept items in order.
    pub(super) fn finish(mut self) -> Vec<T> {
        self.cut();
        self.kept.sort_unstable_by_key(self.key);
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;

    proptest::proptest! {
        #[test]
        fn the_largest_are_those_that_sorting_gives(
            numbers in proptest::collection::vec(0..5_000_u32, 0..5_000),
            most in proptest::option::of(0..40_usize),
        ) {
            let mut largest = Largest::new(most, |number: &u32| Reverse(*number));
            numbers.iter().for_each(|number| largest.add(*number));
            proptest::prop_assert_eq!(largest.seen, numbers.len());
            let mut sorted = numbers;
            sorted.sort_by_key(|number| Reverse(*number));
            sorted.truncate(most.unwrap_or(usize::MAX));
            proptest::prop_assert_eq!(largest.finish(), sorted);
        }
    }
}
