//! `divvy backtest`

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use divvy::model::System;
use divvy::outlook::{self, BacktestOptions, Calendar, Observations, ObservationsBuilder};
use divvy::reports::Period;
use divvy::sources::recordings::Recording;
use divvy::sources::station_feed::{self, Feed};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::grouped;
use crate::open::{Common, without};
use crate::outputs;

/// Scores forecasts of empty and full stations against what happened then.
///
/// The model is trained on the recorded feed of one period, and its forecasts for random
/// station-minutes of another are compared with the feed. Skills are shares by which the Brier score
/// is below that of a simpler forecast: that nothing changes (persistence), how often it happened at
/// the station in that half hour (climatology), how often at stations with as many bikes (bikes table).
#[derive(Debug, Args)]
#[command(args = without(&["store"]))]
#[command(after_help = "Examples:
  divvy backtest --recording recorded/ --train 2013-10 --test 2013-11 > scores.json
  divvy backtest --recording recorded/ --train 2013-10-01..2013-10-31 --test 2013-11-01..2013-11-30 --horizon 60")]
pub struct Backtest {
    /// The folder with the recorded feed: bodies, days with patches, or tables
    #[arg(long, value_name = "FOLDER")]
    recording: PathBuf,
    /// The days that the model is trained on, first and last
    #[arg(long, value_name = "DAY..DAY")]
    train: Days,
    /// The days that its forecasts are scored on
    #[arg(long, value_name = "DAY..DAY")]
    test: Days,
    /// Minutes ahead
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "15,30,60,120",
        value_name = "MINUTES"
    )]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1440))]
    horizon: Vec<u16>,
    /// How many station-minutes are drawn
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    samples: usize,
    /// Which station-minutes are drawn
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// How to write it
    #[arg(long, value_enum, default_value = "json")]
    format: BacktestFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BacktestFormat {
    /// One array of objects, a horizon and event each
    Json,
}

/// Days of a recording, as `FIRST..LAST`, or one period.
#[derive(Clone, Copy, Debug)]
struct Days {
    first: Date,
    last: Date,
}

impl FromStr for Days {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let (first, last) = (first.parse::<Period>()?, last.parse::<Period>()?);
        let days = Self {
            first: first.first,
            last: last.last,
        };
        if days.first > days.last {
            bail!("{} is after {}", days.first, days.last);
        }
        Ok(days)
    }
}

impl Backtest {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        if self.train.last >= self.test.first {
            bail!(
                "the test ({}) must begin after the training ({})",
                self.test.first,
                self.train.last
            );
        }
        let system = match common.named_system(&[])? {
            Some(named) => named,
            None => system_of(&self.recording, common)?,
        };
        let mut left_out = 0;
        let mut read = |days: Days| -> anyhow::Result<Observations> {
            let (observations, errors) = observations(&self.recording, &system, days, common)?;
            left_out += errors;
            Ok(observations)
        };
        let (train, test) = (read(self.train)?, read(self.test)?);
        let scores = outlook::backtest(
            &train,
            &test,
            &BacktestOptions {
                horizons: self
                    .horizon
                    .iter()
                    .map(|minutes| usize::from(*minutes))
                    .collect(),
                samples: self.samples,
                seed: self.seed,
                ..BacktestOptions::default()
            },
        );
        match self.format {
            BacktestFormat::Json => outputs::print_json(&scores)?,
        }
        Ok(ExitCode::from(u8::from(left_out > 0)))
    }
}

/// Reads the observations of some days. Returns with them how many snapshots could not be read.
fn observations(
    folder: &Path,
    system: &System,
    days: Days,
    common: &Common,
) -> anyhow::Result<(Observations, usize)> {
    let zone = TimeZone::get(&system.time_zone).context("the time zone of the system")?;
    let midnight = |date: Date| zone.to_timestamp(date.at(0, 0, 0, 0));
    let period = midnight(days.first)?..midnight(days.last.tomorrow()?)?;
    let calendar = Calendar {
        zone: system.zone(),
        holidays: holidays(system, days),
    };
    let mut builder = ObservationsBuilder::new(calendar, period);
    let (mut snapshots, mut errors) = (0, 0);
    let mut last: Option<Timestamp> = None;
    let recording = Recording::open(folder)?.between(days.first, days.last)?;
    let _: ControlFlow<()> = recording.visit(|recorded| {
        let snapshot = recorded
            .feeds
            .map_err(anyhow::Error::from)
            .and_then(|feeds| Ok(station_feed::snapshot(feeds, system, last)?));
        match snapshot {
            Ok(snapshot) => {
                snapshots += 1;
                last = Some(snapshot.taken_at);
                builder.add(&snapshot);
            }
            Err(error) => {
                errors += 1;
                common.say(format_args!("{error}"));
            }
        }
        ControlFlow::Continue(())
    });
    let observations = builder.finish();
    let minutes = observations.station_minutes();
    common.say(format_args!(
        "{} to {}: {} snapshots, {} stations, {} station-minutes in service",
        days.first,
        days.last,
        grouped(snapshots),
        grouped(observations.stations().len() as u64),
        grouped(minutes as u64)
    ));
    if minutes == 0 {
        bail!(
            "the recording has no station in service from {} to {}",
            days.first,
            days.last
        );
    }
    Ok((observations, errors))
}

/// Finds the system by the coordinates of the first snapshot that has any.
fn system_of(folder: &Path, common: &Common) -> anyhow::Result<System> {
    let known = common.known_systems()?;
    let found = Recording::open(folder)?.visit(|recorded| {
        let feeds: Vec<Feed> = recorded.feeds.unwrap_or_default();
        match feeds
            .iter()
            .flat_map(|feed| feed.systems(&known))
            .collect::<Vec<_>>()
        {
            systems if systems.is_empty() => ControlFlow::Continue(()),
            systems => ControlFlow::Break(systems),
        }
    });
    match found {
        ControlFlow::Break(systems) if systems.len() == 1 => Ok(systems[0].clone()),
        _ => bail!("the recording does not show of which system it is: name it with --system"),
    }
}

/// Returns the holidays of the United States in a period on which few people commute. Elsewhere none
/// are known: these days count as what their weekday is.
fn holidays(system: &System, days: Days) -> BTreeSet<Date> {
    const ZONES: [&str; 6] = [
        "America/Chicago",
        "America/Denver",
        "America/Detroit",
        "America/Los_Angeles",
        "America/New_York",
        "America/Phoenix",
    ];
    if !ZONES.contains(&system.time_zone.as_str()) {
        return BTreeSet::new();
    }
    (days.first.year()..=days.last.year())
        .flat_map(united_states)
        .collect()
}

fn united_states(year: i16) -> Vec<Date> {
    use jiff::civil::Weekday::{Monday, Thursday};
    let fixed = [(1, 1), (7, 4), (12, 25)];
    // The last Monday of May, the first of September, the fourth Thursday of November.
    let moving = [(5, -1, Monday), (9, 1, Monday), (11, 4, Thursday)];
    let fixed = fixed
        .into_iter()
        .filter_map(|(month, day)| Date::new(year, month, day).ok());
    let moving = moving.into_iter().filter_map(|(month, nth, weekday)| {
        Date::new(year, month, 1)
            .ok()?
            .nth_weekday_of_month(nth, weekday)
            .ok()
    });
    fixed.chain(moving).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holidays_fall_on_their_weekdays() {
        let dates: Vec<String> = united_states(2013).iter().map(Date::to_string).collect();
        assert_eq!(
            dates,
            [
                "2013-01-01",
                "2013-07-04",
                "2013-12-25",
                "2013-05-27",
                "2013-09-02",
                "2013-11-28"
            ]
        );
    }

    #[test]
    fn days_are_a_period_or_two() {
        let days = |text: &str| text.parse::<Days>().map(|days| (days.first, days.last));
        let october = days("2013-10").unwrap();
        assert_eq!(days("2013-10-01..2013-10-31").unwrap(), october);
        assert!(days("2013-10-31..2013-10-01").is_err());
        assert!(days("october").is_err());
    }
}
