//! Items that cannot be read, because another program has written them in another form: the readable
//! ones beside them are used, and the others are named.

use std::collections::BTreeMap;

use divvy::model::StationId;

use crate::item::{Item, ItemError};
use crate::store::layout::text;

/// The number of ids that a sentence names.
const NAMED: usize = 5;

/// An item that cannot be read.
#[derive(Clone, Debug)]
pub(super) struct Unreadable {
    /// The item as it is stored.
    pub(super) item: Item,
    /// Why it cannot be read: table, key, attribute, what was found and what was expected.
    reason: String,
}

/// The items of a table, read.
#[derive(Debug)]
pub(super) struct ReadItems<T> {
    /// What the readable items are.
    pub(super) read: Vec<T>,
    /// The other items, by their key.
    pub(super) unreadable: BTreeMap<StationId, Unreadable>,
}

impl<T> ReadItems<T> {
    /// Reads items whose key is the attribute `key`.
    pub(super) fn of(
        items: Vec<Item>,
        key: &str,
        read: impl Fn(&Item) -> Result<T, ItemError>,
    ) -> Self {
        let mut all = Self {
            read: Vec::with_capacity(items.len()),
            unreadable: BTreeMap::new(),
        };
        for item in items {
            match read(&item) {
                Ok(read) => all.read.push(read),
                Err(error) => {
                    let key = text(&item, key).unwrap_or_default().into();
                    let reason = error.to_string();
                    all.unreadable.insert(key, Unreadable { item, reason });
                }
            }
        }
        all
    }

    /// Describes the unreadable items: the first few in a sentence each, which ends with the
    /// `consequence`, and the number of the others.
    pub(super) fn describe_unreadable(&self, consequence: &str) -> Vec<String> {
        let described = self.unreadable.values().take(NAMED);
        let mut sentences: Vec<String> = described
            .map(|unreadable| format!("{}; {consequence}", unreadable.reason))
            .collect();
        if let Some(more @ 1..) = self.unreadable.len().checked_sub(NAMED) {
            sentences.push(format!("{more} more items cannot be read; {consequence}"));
        }
        sentences
    }
}

/// Lists ids for people: the first five, and the number of the others.
pub(super) fn in_short<'a>(ids: impl ExactSizeIterator<Item = &'a StationId>) -> String {
    let more = ids.len().saturating_sub(NAMED);
    let named: Vec<&str> = ids.take(NAMED).map(StationId::as_str).collect();
    let named = named.join(", ");
    match more {
        0 => named,
        _ => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::{count, put_text};

    #[test]
    fn few_items_are_described_and_the_others_counted() {
        let of = |n: usize| {
            let items = (0..n).map(|n| {
                let mut item = Item::new();
                put_text(&mut item, count::KEY, Some(&n.to_string()));
                item
            });
            let read = ReadItems::of(items.collect(), count::KEY, count::count);
            read.describe_unreadable("it is left out")
        };
        assert_eq!(of(0), Vec::<String>::new());
        assert_eq!(
            of(1),
            [
                "FromStationCounts: item 0: from_count: expected a whole number, found nothing; it is left out"
            ]
        );
        assert_eq!(of(5).len(), 5);
        assert_eq!(of(7)[5], "2 more items cannot be read; it is left out");
    }

    #[test]
    fn five_ids_are_named() {
        let of = |n: u32| {
            let ids: Vec<StationId> = (0..n).map(|n| n.to_string().into()).collect();
            in_short(ids.iter())
        };
        assert_eq!(
            [of(1), of(5), of(8)],
            ["0", "0, 1, 2, 3, 4", "0, 1, 2, 3, 4 and 3 more"]
        );
    }
}
