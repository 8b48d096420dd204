//! `divvy backtest`

use std::ops::ControlFlow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use divvy::forecast;
use divvy::model::{Snapshot, System};
use divvy::numerals::plural;
use divvy::outlook::{
    self, Added, BacktestOptions, Calendar, Observations, ObservationsBuilder, OnlineOptions,
    Vehicles,
};
use divvy::reports::Period;
use divvy::sources::recordings::Recording;
use divvy::sources::station_feed::{self, Feed};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::grouped;
use super::left_out::{self, LeftOut};
use crate::open::Common;
use crate::outputs;
use crate::runtime::block_on;

/// Scores forecasts of empty and full stations against what happened then.
///
/// The model is trained on the history of the store, or a recorded feed, of one period, and its forecasts for random readings of
/// another are compared with later snapshots. Horizons shorter than the interval between snapshots are left out. Skills are shares by which the Brier score
/// is below that of a simpler forecast: that nothing changes (persistence), how often it happened at
/// the station in that half hour (climatology), how often at stations with as many bikes (bikes table).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  divvy backtest --train 2024-05 --test 2024-06 > scores.json
  divvy backtest --recording recorded/ --train 2013-10 --test 2013-11
  divvy backtest --recording recorded/ --train 2013-10-01..2013-10-31 --test 2013-11-01..2013-11-30 --horizon 60")]
pub struct Backtest {
    /// The folder with a recorded feed: bodies, days with patches, or tables. Without it the history
    /// of the store is read
    #[arg(long, value_name = "FOLDER")]
    recording: Option<PathBuf>,
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
    /// How many readings of stations are drawn, each at most once
    #[arg(long, default_value_t = 250_000, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    samples: u64,
    /// The seed of the random draw
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Do not correct forecasts by the outcomes of earlier ones in the test
    #[arg(long)]
    no_online_correction: bool,
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
        let mut left_out = LeftOut::default();
        let (train, test) = match &self.recording {
            Some(folder) => self.recorded(folder, &mut left_out, common)?,
            None => self.stored(common)?,
        };
        let tested = outlook::backtest(&train, &test, &self.options())?;
        left_out.say(common);
        for horizon in &tested.left_out {
            common.say(format_args!("  left out: {horizon}"));
        }
        if (tested.samples as u64) < self.samples {
            common.say(format_args!(
                "  the test has {} readings: all of them are scored",
                grouped(tested.samples as u64)
            ));
        }
        match self.format {
            BacktestFormat::Json => outputs::print_json(&tested.scores)?,
        }
        let faults = train.faults().len() + test.faults().len();
        let is_complete = left_out.is_empty() && tested.left_out.is_empty() && faults == 0;
        Ok(ExitCode::from(u8::from(!is_complete)))
    }

    /// Reads both periods of a recording.
    fn recorded(
        &self,
        folder: &Path,
        left_out: &mut LeftOut,
        common: &Common,
    ) -> anyhow::Result<(Observations, Observations)> {
        let recording = Recording::open(folder)?;
        // Both periods are looked for before one of them is read.
        let of = |days: Days| recording.clone().between(days.first, days.last);
        let (train, test) = (of(self.train)?, of(self.test)?);
        let system = match common.named_system(&[])? {
            Some(named) => named,
            None => system_of(&recording, common)?,
        };
        let mut read = |recording: &Recording, days: Days| {
            let mut reader = Reader::new(&system, days)?;
            reader.read(recording, left_out);
            reader.finish(common)
        };
        Ok((read(&train, self.train)?, read(&test, self.test)?))
    }

    /// Reads both periods of the store's own history.
    fn stored(&self, common: &Common) -> anyhow::Result<(Observations, Observations)> {
        let opened = common.open_existing()?;
        let system = common.system_of(opened.store())?;
        let Some(history) = opened.store().history() else {
            bail!("the store keeps no history of stations: name a recorded feed with --recording");
        };
        let read = |days: Days| {
            let period = days.period(&system)?;
            let walked = forecast::walk(history, &system, &period, Vehicles::All, 1, &[]);
            let walked = block_on(walked)?;
            days.expect_readings(walked.snapshots as u64, &walked.observations, common)?;
            anyhow::Ok(walked.observations)
        };
        Ok((read(self.train)?, read(self.test)?))
    }

    fn options(&self) -> BacktestOptions {
        BacktestOptions {
            horizons: self.horizon.iter().copied().map(usize::from).collect(),
            samples: usize::try_from(self.samples).unwrap_or(usize::MAX),
            seed: self.seed,
            online: (!self.no_online_correction).then(OnlineOptions::default),
        }
    }
}

impl Days {
    /// Returns when they begin and end, by the clocks of a system.
    fn period(self, system: &System) -> anyhow::Result<Range<Timestamp>> {
        let zone = TimeZone::get(&system.time_zone).context("the time zone of the system")?;
        let midnight = |date: Date| zone.to_timestamp(date.at(0, 0, 0, 0));
        Ok(midnight(self.first)?..midnight(self.last.tomorrow()?)?)
    }

    /// Prints what was read of them.
    ///
    /// # Errors
    ///
    /// There is no reading.
    fn expect_readings(
        self,
        snapshots: u64,
        observations: &Observations,
        common: &Common,
    ) -> anyhow::Result<()> {
        let readings = observations.count_readings();
        let Self { first, last } = self;
        common.say(format_args!(
            "{first} to {last}: {} snapshots, usually {} apart; {} stations, {} readings in service",
            grouped(snapshots),
            plural(observations.interval() as i64, "minute"),
            grouped(observations.stations().len() as u64),
            grouped(readings as u64)
        ));
        let faults = observations.faults().len() as i64;
        if faults > 0 {
            common.say(format_args!(
                "  left out: {}, in which most stations lost all bikes, or all free docks, at once",
                plural(faults, "snapshot")
            ));
        }
        if readings == 0 {
            bail!("no snapshot has a station in service from {first} to {last}");
        }
        Ok(())
    }
}

/// Makes observations of the snapshots of some days.
struct Reader<'a> {
    system: &'a System,
    days: Days,
    builder: ObservationsBuilder,
    snapshots: u64,
}

impl<'a> Reader<'a> {
    fn new(system: &'a System, days: Days) -> anyhow::Result<Self> {
        let period = days.period(system)?;
        let calendar = Calendar::of(system, days.first, days.last);
        Ok(Self {
            system,
            days,
            builder: ObservationsBuilder::new(calendar, period),
            snapshots: 0,
        })
    }

    fn read(&mut self, recording: &Recording, left_out: &mut LeftOut) {
        let _: ControlFlow<()> = recording.visit(|recorded| {
            let name = left_out::name(&recorded);
            let after = self.builder.last_taken();
            let snapshot = recorded
                .feeds
                .map_err(anyhow::Error::from)
                .and_then(|feeds| Ok(station_feed::snapshot(feeds, self.system, after)?));
            match snapshot {
                Ok(snapshot) => self.add(&snapshot, left_out),
                Err(error) => left_out.add(&name, &error),
            }
            ControlFlow::Continue(())
        });
    }

    fn add(&mut self, snapshot: &Snapshot, left_out: &mut LeftOut) {
        match self.builder.add(snapshot) {
            Added::Taken => self.snapshots += 1,
            Added::Information | Added::OutsidePeriod => {}
            Added::Older => left_out.add_reason("older than the snapshot before it"),
            Added::LastRevoked => {
                left_out.add_reason("its time is after that of the snapshots after it");
            }
        }
    }

    fn finish(self, common: &Common) -> anyhow::Result<Observations> {
        let observations = self.builder.finish();
        self.days
            .expect_readings(self.snapshots, &observations, common)?;
        Ok(observations)
    }
}

/// How many snapshots are read to find coordinates. Feeds without any need `--system`.
const LOOKED_AT: usize = 500;

/// Finds the system by the coordinates of the first snapshot that has any.
fn system_of(recording: &Recording, common: &Common) -> anyhow::Result<System> {
    let known = common.known_systems()?;
    let mut looked_at = 0;
    let found = recording.visit(|recorded| {
        looked_at += 1;
        let feeds: Vec<Feed> = recorded.feeds.unwrap_or_default();
        let systems: Vec<System> = feeds.iter().flat_map(|feed| feed.systems(&known)).collect();
        match systems.is_empty() && looked_at < LOOKED_AT {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(systems),
        }
    });
    match found {
        ControlFlow::Break(systems) if systems.len() == 1 => Ok(systems[0].clone()),
        _ => bail!("the recording does not show of which system it is: name it with --system"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_a_period_or_two() {
        let days = |text: &str| text.parse::<Days>().map(|days| (days.first, days.last));
        let october = days("2013-10").unwrap();
        assert_eq!(days("2013-10-01..2013-10-31").unwrap(), october);
        assert!(days("2013-10-31..2013-10-01").is_err());
        assert!(days("october").is_err());
    }
}
