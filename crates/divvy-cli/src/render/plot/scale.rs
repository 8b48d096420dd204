//! The axis of groups: in the order of the rows, or numbers, months and dates to scale.

use divvy::reports::{Dim, ValueKind};
use jiff::civil::Date;

use crate::render::colours::NOT_STATED;

/// An axis of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// One place for each group, in the order of the rows.
    Named,
    /// A place for each whole number.
    Numbers,
    /// A place for each month, also for those without trips.
    Months,
    /// A place for each day.
    Dates,
}

impl Scale {
    /// Returns the axis of a dimension. Rows that were sorted stay in their order.
    pub(super) fn of(dim: Dim, kind: ValueKind, is_sorted: bool) -> Self {
        match (dim, kind) {
            _ if is_sorted => Self::Named,
            (Dim::Month, _) => Self::Months,
            (Dim::Date, _) => Self::Dates,
            (_, ValueKind::Ordinal) => Self::Numbers,
            _ => Self::Named,
        }
    }

    /// Returns the place of a label on the axis. `None` for one that is not on it, such as a value
    /// that is not stated.
    pub(super) fn place(self, label: &str) -> Option<i64> {
        match self {
            Self::Named => None,
            Self::Numbers => label.parse().ok(),
            Self::Months => {
                let (year, month) = label.split_once('-')?;
                Some(year.parse::<i64>().ok()? * 12 + month.parse::<i64>().ok()? - 1)
            }
            Self::Dates => {
                let date = label.parse::<Date>().ok()?;
                Some(i64::from(date.since(EPOCH).ok()?.get_days()))
            }
        }
    }

    /// Returns the places to be labelled between the first and the last, at most `most` of them.
    pub(super) fn ticks(self, first: i64, last: i64, most: usize) -> Vec<(i64, String)> {
        let most = most.max(1) as i64;
        let fits = |step: &i64| (last - first) / step < most;
        match self {
            Self::Named => Vec::new(),
            Self::Numbers => {
                let step = [1, 2, 3, 5, 10, 20, 25, 50, 100].into_iter().find(fits);
                let step = step.unwrap_or(1_000);
                let places = (first..=last).filter(|place| place % step == 0);
                places.map(|place| (place, place.to_string())).collect()
            }
            Self::Months => months(first, last, most),
            Self::Dates if last - first <= 92 => {
                let step = [1, 2, 7, 14, 28].into_iter().find(fits).unwrap_or(31);
                let days = (first..=last).filter(|day| (day - first) % step == 0);
                days.map(|day| (day, date_of(day).to_string())).collect()
            }
            Self::Dates => {
                let [from, to] = [first, last].map(|day| month_of(date_of(day)));
                let ticks = months(from, to, most).into_iter();
                let ticks = ticks.map(|(month, label)| (first_day_of(month), label));
                ticks.filter(|(day, _)| *day >= first).collect()
            }
        }
    }
}

const EPOCH: Date = Date::constant(1970, 1, 1);

/// Returns the months to be labelled, at most `most`: the first ones of equal parts of a year, or of
/// several years.
fn months(first: i64, last: i64, most: i64) -> Vec<(i64, String)> {
    let steps = [1, 2, 3, 6, 12, 24, 60];
    // A year is shorter than a year and a month.
    let fitting = |step: i64| if step >= 12 { most * 8 / 5 } else { most };
    let mut steps = steps.into_iter();
    let step = steps.find(|step| (last - first) / step < fitting(*step));
    let step = step.unwrap_or(120);
    let label = |month: i64| {
        let year = month.div_euclid(12);
        if step >= 12 {
            format!("{year:04}")
        } else {
            month_label(month)
        }
    };
    let is_labelled = |month: &i64| month % step == 0;
    let months = (first..=last).filter(is_labelled);
    let mut labelled: Vec<(i64, String)> = months.map(|month| (month, label(month))).collect();
    if labelled.is_empty() {
        labelled.push((first, label(first)));
    }
    labelled
}

/// Returns the label of a month's place on the axis: `2021-03`.
pub(super) fn month_label(month: i64) -> String {
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    format!("{year:04}-{month:02}")
}

fn month_of(date: Date) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

fn first_day_of(month: i64) -> i64 {
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    Scale::Dates
        .place(&format!("{year:04}-{month:02}-01"))
        .unwrap_or(0)
}

/// Returns the date of a number of days since 1970-01-01.
pub(super) fn date_of(day: i64) -> Date {
    EPOCH.saturating_add(jiff::Span::new().days(day))
}

/// Returns whether a label stands for trips whose files do not state the value.
pub(super) fn is_stated(label: &str) -> bool {
    label != NOT_STATED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_to_scale_and_what_is_not_stated_has_no_place() {
        let place = |label: &str| Scale::Months.place(label);
        assert_eq!(place("2021-01").unwrap() - place("2020-04").unwrap(), 9);
        assert_eq!(Scale::Numbers.place(NOT_STATED), None);
        assert_eq!(Scale::Numbers.place("1980"), Some(1980));
        assert_eq!(Scale::Dates.place("1970-03-01"), Some(59));
        assert_eq!(Scale::of(Dim::Month, ValueKind::Date, true), Scale::Named);
    }

    #[test]
    fn labels_are_round_and_no_more_than_fit() {
        let place = |label: &str| Scale::Months.place(label).unwrap();
        for most in [3, 6, 14] {
            let ticks = Scale::Months.ticks(place("2016-06"), place("2022-08"), most);
            assert!(!ticks.is_empty() && ticks.len() <= most, "{ticks:?}");
        }
        let years = Scale::Months.ticks(place("2016-06"), place("2022-08"), 8);
        assert_eq!(years[0], (2017 * 12, "2017".to_owned()));
        let ages = Scale::Numbers.ticks(16, 78, 10);
        let ages: Vec<&str> = ages.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(ages, ["20", "30", "40", "50", "60", "70"]);
    }
}
