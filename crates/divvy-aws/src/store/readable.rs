//! Items that cannot be read, because another program has written them in another form: the readable
//! ones beside them are used, and the others are named.

use std::collections::BTreeMap;

use divvy::model::StationId;

use crate::item::{Item, ItemError};
use crate::store::layout::text;

/// The items of a table, read.
#[derive(Debug)]
pub(super) struct ReadItems<T> {
    /// What the readable items are.
    pub(super) read: Vec<T>,
    /// The reasons for which others cannot be read, by their key.
    pub(super) unreadable: BTreeMap<StationId, String>,
}

impl<T> ReadItems<T> {
    /// Reads items whose key is the attribute `key`.
    pub(super) fn of(
        items: &[Item],
        key: &str,
        read: impl Fn(&Item) -> Result<T, ItemError>,
    ) -> Self {
        let mut all = Self {
            read: Vec::with_capacity(items.len()),
            unreadable: BTreeMap::new(),
        };
        for item in items {
            match read(item) {
                Ok(read) => all.read.push(read),
                Err(error) => {
                    let key = text(item, key).unwrap_or_default();
                    all.unreadable.insert(key.into(), error.to_string());
                }
            }
        }
        all
    }
}

/// Describes unreadable items in a few sentences, each of which ends with the `consequence`.
pub(super) fn describe_unreadable(
    unreadable: &BTreeMap<StationId, String>,
    consequence: &str,
) -> Vec<String> {
    /// Items that are described one by one.
    const DESCRIBED: usize = 5;
    let described = unreadable.values().take(DESCRIBED);
    let mut sentences: Vec<String> = described
        .map(|reason| format!("{reason}; {consequence}"))
        .collect();
    if let Some(more @ 1..) = unreadable.len().checked_sub(DESCRIBED) {
        sentences.push(format!("and {more} more items that cannot be read"));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_items_are_described_and_the_others_counted() {
        let of = |n: usize| {
            let ids = (0..n).map(|n| (StationId::from(n.to_string()), format!("item {n}")));
            describe_unreadable(&ids.collect(), "it is left out")
        };
        assert_eq!(of(0), Vec::<String>::new());
        assert_eq!(of(1), ["item 0; it is left out"]);
        assert_eq!(of(5).len(), 5);
        assert_eq!(of(7)[5], "and 2 more items that cannot be read");
    }
}
