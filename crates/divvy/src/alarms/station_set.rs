//! Which stations the list has, compared with before.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::StationId;

/// The stations of the list, as one rule was notified of them last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StationSet {
    ids: BTreeSet<StationId>,
    /// Another list that snapshots have had since then.
    pending: Option<Pending>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    difference: Difference,
    since: Timestamp,
}

/// How one list differs from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Difference {
    pub(super) added: BTreeSet<StationId>,
    pub(super) removed: BTreeSet<StationId>,
}

impl StationSet {
    /// Begins with the first list.
    pub(super) fn new(ids: BTreeSet<StationId>) -> Self {
        Self { ids, pending: None }
    }

    /// Adds the list of a snapshot. Returns how it differs from the last one that was notified, and since
    /// when, where all snapshots have had the new list for `hold`.
    pub(super) fn add(
        &mut self,
        now: &BTreeSet<StationId>,
        at: Timestamp,
        is_after_gap: bool,
        hold: SignedDuration,
    ) -> Option<(Difference, Timestamp)> {
        if *now == self.ids {
            self.pending = None;
            return None;
        }
        let difference = Difference {
            added: now.difference(&self.ids).cloned().collect(),
            removed: self.ids.difference(now).cloned().collect(),
        };
        let same = self.pending.take();
        let same = same.filter(|it| it.difference == difference && !is_after_gap);
        let since = same.map_or(at, |pending| pending.since);
        if at.duration_since(since) >= hold {
            self.ids.clone_from(now);
            return Some((difference, since));
        }
        self.pending = Some(Pending { difference, since });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_lasts_is_a_change_and_one_that_flickers_is_none() {
        let ids = |text: &str| -> BTreeSet<StationId> {
            text.chars()
                .map(|id| StationId::from(id.to_string()))
                .collect()
        };
        let minute = |minute: i64| Timestamp::from_second(60 * minute).unwrap();
        let hold = SignedDuration::from_mins(2);
        let mut set = StationSet::new(ids("abc"));
        let mut add = |text: &str, at| {
            let (change, since) = set.add(&ids(text), minute(at), false, hold)?;
            Some((
                change.added.len(),
                change.removed.len(),
                since.as_second() / 60,
            ))
        };
        assert_eq!(add("ab", 1), None);
        assert_eq!(add("abc", 2), None);
        assert_eq!(add("abx", 3), None);
        assert_eq!(add("ab", 4), None);
        assert_eq!(add("ab", 5), None);
        assert_eq!(add("ab", 6), Some((0, 1, 4)));
        assert_eq!(add("ab", 7), None);
    }
}
