//! Which times between snapshots are gaps.

use jiff::SignedDuration;

use crate::history::SnapshotEntry;

/// A shorter time between snapshots is no gap, whatever the others are.
pub const SHORTEST_GAP: SignedDuration = SignedDuration::from_mins(15);

/// Returns how long a time between snapshots may be without being a gap: 15 minutes, or one and a half times the
/// median. Feeds that are recorded every hour have no gap in each.
pub fn shortest_gap(snapshots: &[SnapshotEntry]) -> SignedDuration {
    let between = snapshots.windows(2);
    let between = between.map(|two| two[1].taken_at.duration_since(two[0].taken_at));
    let mut between: Vec<SignedDuration> = between.collect();
    between.sort_unstable();
    let median = between.get(between.len() / 2).copied().unwrap_or_default();
    SHORTEST_GAP.max(median * 3 / 2)
}
