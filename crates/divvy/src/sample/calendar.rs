//! The distribution of trips over time: by season, weather, day of the week and hour.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::rng::Rng;
use super::{Publication, TimeForm};

/// Relative number of trips by month; the largest is 100.
const SEASON: [f64; 12] = [
    18.0, 22.0, 38.0, 52.0, 76.0, 92.0, 100.0, 98.0, 88.0, 68.0, 40.0, 22.0,
];

/// Relative number of trips by hour of the day: of members and casual riders, on weekdays and at
/// weekends.
const MEMBERS_ON_WEEKDAYS: [u16; 24] = [
    6, 3, 2, 2, 5, 20, 55, 118, 135, 66, 40, 45, 54, 52, 52, 66, 108, 160, 118, 75, 50, 38, 27, 14,
];
const MEMBERS_AT_WEEKENDS: [u16; 24] = [
    16, 11, 7, 4, 3, 6, 12, 20, 34, 48, 58, 64, 68, 68, 66, 65, 64, 62, 56, 45, 34, 26, 22, 17,
];
const CASUALS_ON_WEEKDAYS: [u16; 24] = [
    7, 4, 2, 1, 1, 3, 7, 15, 20, 23, 30, 39, 46, 49, 51, 55, 62, 71, 63, 48, 35, 27, 20, 12,
];
const CASUALS_AT_WEEKENDS: [u16; 24] = [
    26, 18, 12, 7, 4, 5, 8, 16, 32, 55, 83, 107, 124, 132, 134, 130, 122, 110, 92, 70, 50, 38, 32,
    24,
];

/// The main direction of trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    ToWork,
    FromWork,
    Anywhere,
}

/// One hour in which trips start or end.
#[derive(Debug)]
pub(super) struct Hour {
    /// The text of a time up to the minutes: `7/1/2016 00:`.
    pub text: String,
    /// The fraction of trips by members.
    pub member_fraction: f64,
    pub flow: Flow,
}

/// Every hour of the months that an archive covers, and of the weeks after them in which the last
/// trips end. In order of instants, so that a repeated hour is in it twice.
pub(super) struct Calendar {
    hours: Vec<Hour>,
    /// How many trips start before each hour; the last element is the number of trips.
    before: Vec<u64>,
    first: Timestamp,
}

pub(super) const HOUR_MS: i64 = 3_600_000;
const DAYS_AFTER: i64 = 45;

/// Relative numbers of trips in an hour.
struct Weights {
    members: f64,
    casuals: f64,
}

impl Calendar {
    /// Distributes `trips` over the hours.
    pub(super) fn new(publication: &Publication, seed: u64, trips: u64) -> Self {
        let files = publication.files;
        let (from, until) = (files[0].from, files[files.len() - 1].until);
        let time_zone = zone();
        let first = midnight(from);
        let end = midnight(until);
        let after = midnight(until.saturating_add(Span::new().days(DAYS_AFTER)));
        let hours_until = |at: Timestamp| (at.as_second() - first.as_second()) / 3600;

        let mut hours = Vec::new();
        let mut weights = Vec::new();
        for nth in 0..hours_until(after) {
            let at = Timestamp::from_second(first.as_second() + 3600 * nth)
                .expect("archives are of this century");
            let at = time_zone.to_datetime(at);
            let (date, hour) = (at.date(), at.hour() as usize);
            hours.push(Hour {
                text: match publication.times {
                    TimeForm::American => {
                        format!("{}/{}/{} {hour:02}:", date.month(), date.day(), date.year())
                    }
                    TimeForm::Iso | TimeForm::IsoMilliseconds => format!("{date} {hour:02}:"),
                },
                member_fraction: 0.0,
                flow: flow(date, hour),
            });
            if nth < hours_until(end) {
                weights.push(weigh(date, hour, seed));
            }
        }

        // Members and casual riders are scaled to the era's fraction over all hours.
        let members: f64 = weights.iter().map(|hour| hour.members).sum();
        let casuals: f64 = weights.iter().map(|hour| hour.casuals).sum();
        let mut before = vec![0];
        let mut reached = 0.0;
        for (hour, weight) in hours.iter_mut().zip(&weights) {
            let members = publication.member_fraction * weight.members / members;
            let casuals = (1.0 - publication.member_fraction) * weight.casuals / casuals;
            hour.member_fraction = members / (members + casuals);
            reached += members + casuals;
            before.push(((reached * trips as f64).round() as u64).min(trips));
        }
        before[weights.len()] = trips;
        Self {
            hours,
            before,
            first,
        }
    }

    /// Counts the trips that start before a day.
    pub(super) fn trips_before(&self, day: Date) -> u64 {
        let nth = (midnight(day).as_second() - self.first.as_second()) / 3600;
        self.before[(nth as usize).min(self.before.len() - 1)]
    }

    /// Finds the hour in which a trip starts, and its start in milliseconds since the first midnight.
    /// The trips of an hour have intervals of equal length, and each starts at a random moment of its
    /// own.
    pub(super) fn start_of(&self, trip: u64, rng: &mut Rng) -> (&Hour, i64) {
        let nth = self.before.partition_point(|before| *before <= trip) - 1;
        let (earlier, until) = (self.before[nth], self.before[nth + 1]);
        let fraction = ((trip - earlier) as f64 + rng.unit()) / (until - earlier) as f64;
        let ms = HOUR_MS * nth as i64 + (fraction * HOUR_MS as f64) as i64;
        (&self.hours[nth], ms)
    }

    /// Finds the hour of an instant in milliseconds since the first midnight.
    pub(super) fn hour_at(&self, ms: i64) -> &Hour {
        &self.hours[((ms / HOUR_MS) as usize).min(self.hours.len() - 1)]
    }
}

fn zone() -> TimeZone {
    TimeZone::get("America/Chicago").expect("the zone database is compiled in")
}

fn midnight(date: Date) -> Timestamp {
    zone()
        .to_timestamp(date.to_datetime(Time::midnight()))
        .expect("archives are of this century")
}

fn is_working_day(date: Date) -> bool {
    !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
}

fn flow(date: Date, hour: usize) -> Flow {
    match hour {
        6..=9 if is_working_day(date) => Flow::ToWork,
        16..=19 if is_working_day(date) => Flow::FromWork,
        _ => Flow::Anywhere,
    }
}

fn weigh(date: Date, hour: usize, seed: u64) -> Weights {
    let season = SEASON[date.month() as usize - 1];
    let day = i64::from(date.year()) * 366 + i64::from(date.day_of_year());
    // Bad weather has more effect on casual riders, for whom it is squared.
    let weather = (1.0 + 0.2 * Rng::of(seed, day as u64).bell()).clamp(0.4, 1.4);
    let (members, casuals) = if is_working_day(date) {
        (MEMBERS_ON_WEEKDAYS[hour], CASUALS_ON_WEEKDAYS[hour])
    } else {
        (MEMBERS_AT_WEEKENDS[hour], CASUALS_AT_WEEKENDS[hour])
    };
    Weights {
        members: f64::from(members) * season * weather,
        casuals: f64::from(casuals) * season * season * weather * weather,
    }
}
