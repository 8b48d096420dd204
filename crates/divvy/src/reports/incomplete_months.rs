//! Months of which only some days are stored.

use std::collections::BTreeMap;

use crate::model::civil_date::{first_day_of, month_of};
use crate::tally::Days;

/// Returns the months of which trips of some days are not stored, each with the number of days that
/// have trips: a day before the first or after the last one with a trip, or in a gap between days with
/// trips that is longer than a closure (storms have closed systems for up to three days).
pub(super) fn incomplete_months(days: &Days) -> BTreeMap<i32, usize> {
    const LONGEST_CLOSURE_DAYS: i32 = 3;
    let Some((first, last)) = days.range() else {
        return BTreeMap::new();
    };
    let stored: Vec<i32> = days.0.keys().copied().collect();
    let gaps = stored.windows(2).map(|pair| (pair[0] + 1, pair[1] - 1));
    let gaps = gaps.filter(|(from, to)| to - from + 1 > LONGEST_CLOSURE_DAYS);
    let before = (first_day_of(month_of(first)), first - 1);
    let after = (last + 1, first_day_of(month_of(last) + 1) - 1);
    let missing = gaps.chain([before, after].into_iter().filter(|(from, to)| from <= to));
    let months = missing.flat_map(|(from, to)| month_of(from)..=month_of(to));
    let days_of = |month| stored.iter().filter(|day| month_of(**day) == month).count();
    let counted = months.map(|month| (month, days_of(month)));
    counted.filter(|(_, days)| *days != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::civil_date::day_of;
    use jiff::civil::date;

    fn found(
        stored: impl IntoIterator<Item = (jiff::civil::Date, jiff::civil::Date)>,
    ) -> Vec<(i32, usize)> {
        let days = stored
            .into_iter()
            .flat_map(|(from, to)| day_of(from)..=day_of(to));
        let days = Days(days.map(|day| (day, 1)).collect());
        incomplete_months(&days).into_iter().collect()
    }

    const JANUARY_2024: i32 = 54 * 12;

    #[test]
    fn a_month_is_complete_from_its_first_day_to_its_last() {
        let whole = (date(2024, 1, 1), date(2024, 2, 29));
        assert_eq!(found([whole]), []);
        let cut = (date(2024, 1, 2), date(2024, 2, 28));
        assert_eq!(found([cut]), [(JANUARY_2024, 30), (JANUARY_2024 + 1, 28)]);
        assert_eq!(found([]), []);
    }

    #[test]
    fn a_gap_between_archives_makes_months_incomplete_and_a_closure_does_not() {
        let closure = [
            (date(2024, 1, 1), date(2024, 1, 29)),
            (date(2024, 2, 2), date(2024, 2, 29)),
        ];
        assert_eq!(found(closure), []);
        let gap = [
            (date(2024, 1, 1), date(2024, 1, 29)),
            (date(2024, 3, 5), date(2024, 3, 31)),
        ];
        // February has no trip at all, and no row.
        assert_eq!(found(gap), [(JANUARY_2024, 29), (JANUARY_2024 + 2, 27)]);
    }
}
