//! The time under which a snapshot is stored, where the clock of its feed is wrong.

use jiff::{SignedDuration, Timestamp};

use crate::model::System;
use crate::numerals::in_words;

/// How far the time of a feed may be ahead of this computer's clock and still be the time of its snapshot. Clocks
/// that are set by a server differ by less.
const MAX_CLOCK_DIFFERENCE: SignedDuration = SignedDuration::from_secs(30);

/// Times have milliseconds in all stores.
const MILLISECOND: SignedDuration = SignedDuration::from_millis(1);

/// When a snapshot was made, by two clocks.
///
/// A store takes states of the newest snapshot alone, in whatever order snapshots come, from several programs. So a
/// snapshot of a time in the future makes all later ones count as older until then, and no store can go back.
/// Therefore a snapshot that is more than 30 seconds ahead of this computer's clock, because the publisher's clock
/// or zone is wrong, is stored under another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotTime {
    /// When the feed was made, by its own clock.
    pub made_at: Timestamp,
    /// The time of the snapshot in the store.
    pub taken_at: Timestamp,
}

impl SnapshotTime {
    /// Returns the time of a feed as it is.
    pub(super) fn as_made(made_at: Timestamp) -> Self {
        Self {
            made_at,
            taken_at: made_at,
        }
    }

    /// Decides under which time a snapshot is stored. `stored` is the time of the newest snapshot in the store,
    /// `before` that of the last snapshot of the same feed, where the caller has it.
    ///
    /// - The time of the feed, unless that is more than 30 seconds ahead of `now`.
    /// - If it is, and is not later than that of `before`: as much before the stored time of that one. So a feed
    ///   that was made earlier stays older, and one that was read before is repeated.
    /// - If `stored` is itself more than 30 seconds ahead, the clock of this computer was set back: the time of the
    ///   feed, up to 30 seconds after `stored`.
    /// - Otherwise `now`, at which the feed showed these states, but after `stored`.
    pub(super) fn at_poll(
        made_at: Timestamp,
        now: Timestamp,
        stored: Option<Timestamp>,
        before: Option<Self>,
    ) -> Self {
        let is_ahead = |at: Timestamp| at.duration_since(now) > MAX_CLOCK_DIFFERENCE;
        let taken_at = match (stored, before) {
            _ if !is_ahead(made_at) => made_at,
            (_, Some(before)) if made_at <= before.made_at => {
                before.taken_at - before.made_at.duration_since(made_at)
            }
            (Some(stored), _) if is_ahead(stored) && made_at <= stored + MAX_CLOCK_DIFFERENCE => {
                made_at
            }
            (stored, _) => {
                let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
                stored.map_or(now, |stored| now.max(stored + MILLISECOND))
            }
        };
        Self { made_at, taken_at }
    }

    /// Returns a sentence about a feed whose time is more than 30 seconds ahead of the clock of this computer.
    /// `None` for any other.
    pub fn ahead_of_clock(self, now: Timestamp, system: &System) -> Option<String> {
        let ahead = self.made_at.duration_since(now);
        let stored = match self.taken_at == self.made_at {
            true => "",
            false => ": its states are stored under the time of the clock",
        };
        (ahead > MAX_CLOCK_DIFFERENCE).then(|| {
            format!(
                "the feed is of {}, which is {} ahead of this computer's clock{stored}",
                system.zone().rfc3339(self.made_at),
                in_words(ahead.unsigned_abs())
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    /// Returns the stored time of a snapshot in milliseconds. All times are after the present moment.
    fn stored(made_s: i64, last_s: Option<i64>) -> i128 {
        let time = SnapshotTime::at_poll(at(made_s), at(0), last_s.map(at), None);
        time.taken_at.duration_since(at(0)).as_millis()
    }

    #[test]
    fn no_time_ahead_of_the_clock_becomes_that_of_a_snapshot() {
        // Clocks that agree, and feeds of earlier.
        for made in [-6_000, -60, 0, 30] {
            for last in [None, Some(-60), Some(30), Some(3_600)] {
                assert_eq!(stored(made, last), i128::from(made) * 1_000, "{last:?}");
            }
        }
        // Feeds that are ahead.
        for made in [31, 3_600, 86_400] {
            assert_eq!(stored(made, None), 0);
            assert_eq!(stored(made, Some(-60)), 0);
            // The newest snapshot is ahead as far as clocks may differ: this one is later.
            assert_eq!(stored(made, Some(20)), 20_001);
        }
        // The clock of this computer was set back by an hour.
        assert_eq!(stored(3_620, Some(3_600)), 3_620_000);
        assert_eq!(stored(3_580, Some(3_600)), 3_580_000);
        // And this feed is wrong, too.
        assert_eq!(stored(14 * 3_600, Some(3_600)), 3_600_001);
    }

    #[test]
    fn feeds_that_are_ahead_stay_in_their_own_order() {
        let first = SnapshotTime::at_poll(at(10_860), at(0), None, None);
        assert_eq!(first.taken_at, at(0));
        let next = |made: i64, now: i64| {
            let stored = Some(first.taken_at);
            SnapshotTime::at_poll(at(made), at(now), stored, Some(first)).taken_at
        };
        // Made before it, and read after it.
        assert_eq!(next(10_800, 60), at(-60));
        assert_eq!(next(10_860, 60), at(0));
        assert_eq!(next(10_920, 60), at(60));
        // The clock of the feed is right again.
        assert_eq!(next(120, 120), at(120));
    }

    proptest::proptest! {
        /// A feed whose clock is ahead by any time, at each poll another one, loses no snapshot while its clock
        /// goes on, and no two snapshots have one time.
        #[test]
        fn snapshots_of_a_clock_that_drifts_ahead_have_times_in_their_order(
            ahead in proptest::collection::vec(0_i64..40, 1..20),
        ) {
            let (mut stored, mut before, mut offset) = (None, None, 0);
            for (minute, more) in (0..).zip(ahead) {
                offset += more;
                let (made, now) = (at(60 * minute + offset), at(60 * minute));
                let time = SnapshotTime::at_poll(made, now, stored, before);
                proptest::prop_assert!(stored.is_none_or(|stored| time.taken_at > stored));
                proptest::prop_assert!(time.taken_at <= now + MAX_CLOCK_DIFFERENCE + MILLISECOND);
                (stored, before) = (Some(time.taken_at), Some(time));
            }
        }
    }
}
