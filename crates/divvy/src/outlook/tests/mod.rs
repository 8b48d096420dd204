mod calibration;
mod chain;
mod faults;
mod observations;
mod recent;
mod scoring;
mod training;

use jiff::Timestamp;

use super::*;
use crate::model::{
    Availability, Snapshot, SnapshotKind, Station, StationId, StationStatus, System, Zone,
};

fn rates(arrivals: f64, departures: f64) -> FlowRates {
    FlowRates {
        departures,
        arrivals,
    }
}

/// The bikes of a station by minute, or `None` for out of service.
type Bikes<'a> = &'a dyn Fn(usize) -> Option<u32>;

/// Midnight in Chicago.
const START: &str = "2013-10-01T05:00:00Z";

fn at(minute: f64) -> Timestamp {
    let start: Timestamp = START.parse().unwrap();
    Timestamp::from_second(start.as_second() + (60.0 * minute) as i64).unwrap()
}

fn builder(minutes: usize) -> ObservationsBuilder {
    let calendar = Calendar {
        zone: Zone::named("America/Chicago").unwrap(),
        holidays: ["2013-10-14".parse().unwrap()].into(),
    };
    ObservationsBuilder::new(calendar, at(0.0)..at(minutes as f64))
}

fn station(index: usize, bikes: Option<u32>, docks: u32) -> Station {
    Station {
        status: Some(match bikes {
            Some(_) => StationStatus::InService,
            None => StationStatus::NotInService,
        }),
        available: Availability {
            vehicles: Some(bikes.unwrap_or(0)),
            docks: Some(docks),
            ..Availability::default()
        },
        ..Station::unknown(StationId::from(index.to_string().as_str()))
    }
}

fn snapshot(minute: f64, stations: Vec<Station>) -> Snapshot {
    Snapshot {
        system: System::named("divvy").unwrap(),
        taken_at: at(minute),
        kind: SnapshotKind::Full,
        by_type: Default::default(),
        stations,
    }
}

/// Observations of stations with 10 places, one snapshot in each of the minutes `taken` of a period.
fn observed_at(
    stations: &[Bikes<'_>],
    minutes: usize,
    taken: impl IntoIterator<Item = usize>,
) -> Observations {
    let mut builder = builder(minutes);
    for minute in taken {
        let stations = stations.iter().enumerate().map(|(index, bikes)| {
            let bikes = bikes(minute);
            station(index, bikes, 10 - bikes.unwrap_or(0))
        });
        let added = builder.add(&snapshot(minute as f64, stations.collect()));
        assert_eq!(added, Added::Taken);
    }
    builder.finish()
}

/// The same with a snapshot in each minute.
fn observed(stations: &[Bikes<'_>], minutes: usize) -> Observations {
    observed_at(stations, minutes, 0..minutes)
}

/// Bikes leave through the day and are back in the morning: at the same minutes each day.
fn falling(minute: usize) -> Option<u32> {
    Some(9 - ((minute % 1440) / 150) as u32)
}

/// A chain of bikes at 10 places, which goes up and down at random each minute.
fn random_bikes(minutes: usize, station: u64) -> Vec<u32> {
    let mut rng = crate::sample::Rng::of(5, station);
    let mut bikes = 3_u32;
    let mut next = |_| {
        let (up, down) = (rng.happens(0.1), rng.happens(0.12));
        bikes = (bikes + u32::from(up)).min(10);
        bikes = bikes.saturating_sub(u32::from(down));
        bikes
    };
    (0..minutes).map(&mut next).collect()
}

/// Observations of 6 random stations, one snapshot in `interval` minutes.
fn random(minutes: usize, interval: usize) -> Observations {
    let bikes: Vec<Vec<u32>> = (0..6).map(|s| random_bikes(minutes, s)).collect();
    let of: Vec<Box<dyn Fn(usize) -> Option<u32>>> = bikes
        .into_iter()
        .map(|bikes| -> Box<dyn Fn(usize) -> Option<u32>> { Box::new(move |m| Some(bikes[m])) })
        .collect();
    let stations: Vec<Bikes<'_>> = of.iter().map(|bikes| &**bikes).collect();
    observed_at(&stations, minutes, (0..minutes).step_by(interval))
}
