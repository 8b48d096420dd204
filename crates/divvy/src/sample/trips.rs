//! Draws trips, each by its number.

use super::calendar::{Calendar, Flow};
use super::city::{City, DEGREE, Purpose, Station};
use super::rng::Rng;
use super::{Era, Publication};
use crate::model::civil_date::DAY_MS;

/// The types of bikes since 2020.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bike {
    Docked,
    Classic,
    Electric,
}

impl Bike {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Docked => "docked_bike",
            Self::Classic => "classic_bike",
            Self::Electric => "electric_bike",
        }
    }
}

/// The start or end of a trip.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    /// Milliseconds since the first midnight of the archive.
    pub ms: i64,
    /// `None` away from stations.
    pub station: Option<&'a Station>,
    /// Latitude and longitude in billionths of a degree. `None` for a lost bike.
    pub position: Option<(i64, i64)>,
}

/// One invented trip, with the values of all eras.
pub(super) struct Trip<'a> {
    pub number: u64,
    pub start: End<'a>,
    pub end: End<'a>,
    pub is_member: bool,
    pub bike: Bike,
    pub vehicle: u64,
    /// Empty where it is unknown.
    pub gender: &'static str,
    pub birth_year: Option<i64>,
}

/// A data quirk of a trip.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Anomaly {
    /// Unlocked and locked again at once.
    FalseStart,
    /// A wrong clock.
    EndsFirst,
    /// Returned after days.
    Late,
    /// Not returned to a station.
    Lost,
}

/// Draws the trips of one archive.
pub(super) struct Trips<'a> {
    era: Era,
    publication: &'static Publication,
    seed: u64,
    city: &'a City,
    calendar: &'a Calendar,
}

impl<'a> Trips<'a> {
    pub(super) fn new(era: Era, seed: u64, city: &'a City, calendar: &'a Calendar) -> Self {
        Self {
            era,
            publication: era.publication(),
            seed,
            city,
            calendar,
        }
    }

    /// Draws the trip of that number. Trips are numbered in the order of their starts.
    pub(super) fn draw(&self, number: u64) -> Trip<'a> {
        let mut rng = Rng::of(self.seed, number ^ (1 << 63));
        let (hour, started_ms) = self.calendar.start_of(number, &mut rng);
        let is_member = rng.happens(hour.member_fraction);
        let (origin, mut destination) = self.stations(hour.flow, is_member, &mut rng);
        let bike = self.bike(origin, destination, &mut rng);
        let anomaly = self.anomaly(bike, &mut rng);
        let mut duration_ms = duration_ms(origin, destination, is_member, bike, &mut rng);
        match anomaly {
            Some(Anomaly::FalseStart) => {
                destination = origin;
                duration_ms = rng.between(1_000, 59_000);
            }
            Some(Anomaly::EndsFirst) => duration_ms = -rng.between(1_000, 600_000),
            Some(Anomaly::Late) => duration_ms = rng.between(DAY_MS + 1_000, 6 * DAY_MS),
            Some(Anomaly::Lost) => duration_ms = rng.between(DAY_MS + 1_000, 38 * DAY_MS),
            None => {}
        }
        let ended_ms = (started_ms + duration_ms).max(0);
        let mut trip = Trip {
            number,
            start: self.end(started_ms, origin, bike, &mut rng),
            end: self.end(ended_ms, destination, bike, &mut rng),
            is_member,
            bike,
            vehicle: 1 + rng.below(self.publication.vehicles),
            gender: "",
            birth_year: None,
        };
        if anomaly == Some(Anomaly::Lost) {
            trip.end.station = None;
            trip.end.position = None;
        }
        if is_member || rng.happens(self.publication.known_casuals_fraction) {
            trip.gender = ["Male", "Male", "Male", "Female"][rng.below(4) as usize];
            trip.birth_year = Some(self.birth_year(&mut rng));
        }
        trip
    }

    fn stations(&self, flow: Flow, is_member: bool, rng: &mut Rng) -> (&'a Station, &'a Station) {
        let (from, to) = match (is_member, flow) {
            (true, Flow::ToWork) => (Purpose::Home, Purpose::Work),
            (true, Flow::FromWork) => (Purpose::Work, Purpose::Home),
            (true, Flow::Anywhere) => (Purpose::Home, Purpose::Home),
            (false, _) => (Purpose::Leisure, Purpose::Leisure),
        };
        let origin = self.city.origin(from, rng);
        let round_trips = if is_member { 0.02 } else { 0.12 };
        let destination = if rng.happens(round_trips) {
            origin
        } else {
            self.city.destination(origin, to, rng)
        };
        let stations = self.city.stations();
        (&stations[origin], &stations[destination])
    }

    fn bike(&self, origin: &Station, destination: &Station, rng: &mut Rng) -> Bike {
        if self.era != Era::Y2024 {
            return Bike::Docked;
        }
        // Racks have only e-bikes.
        let electric = rng.happens(0.55) || origin.is_rack || destination.is_rack;
        if electric {
            Bike::Electric
        } else {
            Bike::Classic
        }
    }

    /// Makes the start or end of a trip. E-bikes may be away from stations, with rounded coordinates.
    fn end(&self, ms: i64, station: &'a Station, bike: Bike, rng: &mut Rng) -> End<'a> {
        const HUNDREDTH: i64 = DEGREE / 100;
        let mut end = End {
            ms,
            station: Some(station),
            position: Some(station.position),
        };
        if bike != Bike::Electric {
            return end;
        }
        let metre = 10_000;
        let mut near = |at: i64, metres: i64| at + rng.between(-metres * metre, metres * metre);
        let round = |at: i64| (at + at.signum() * HUNDREDTH / 2) / HUNDREDTH * HUNDREDTH;
        let (latitude, longitude) = station.position;
        end.position = Some((near(latitude, 25), near(longitude, 25)));
        let away = (near(latitude, 300), near(longitude, 300));
        if rng.happens(0.34) {
            end.station = None;
            end.position = Some((round(away.0), round(away.1)));
        }
        end
    }

    /// Draws an anomaly. Files before 2020 have none.
    fn anomaly(&self, bike: Bike, rng: &mut Rng) -> Option<Anomaly> {
        let draw = rng.below(10_000);
        match self.era {
            Era::Y2016 | Era::Y2018 => None,
            Era::Y2020 | Era::Y2024 => match draw {
                0..150 => Some(Anomaly::FalseStart),
                150..156 => Some(Anomaly::EndsFirst),
                // E-bikes report their position, so they are not lost.
                156..176 if bike != Bike::Electric => Some(Anomaly::Late),
                176..192 if bike != Bike::Electric => Some(Anomaly::Lost),
                _ => None,
            },
        }
    }

    fn birth_year(&self, rng: &mut Rng) -> i64 {
        let year = i64::from(self.publication.files[0].from.year());
        if rng.happens(0.0002) {
            return 1899 + rng.between(0, 20);
        }
        // Most riders are young.
        let bell = rng.bell();
        let age = 33 + (bell * if bell < 0.0 { 8.0 } else { 13.5 }) as i64;
        // Riders are 16 or older.
        year - (16 + (age - 16).abs())
    }
}

/// Draws a duration: the distance at the rider's speed, with delays; a few take many times as long.
fn duration_ms(
    origin: &Station,
    destination: &Station,
    is_member: bool,
    bike: Bike,
    rng: &mut Rng,
) -> i64 {
    const DETOUR: f64 = 1.3;
    let (speed_m_s, delay) = if is_member { (3.9, 0.03) } else { (3.1, 0.22) };
    let speed_m_s = if bike == Bike::Electric {
        1.35 * speed_m_s
    } else {
        speed_m_s
    };
    let distance_m = if std::ptr::eq(origin, destination) {
        1_500.0 + 4_000.0 * rng.unit()
    } else {
        DETOUR * origin.metres_to(destination)
    };
    let unlocking_s = 60.0 + 60.0 * rng.unit();
    let steady = (1.0 + 0.18 * rng.bell()).max(0.6);
    // From 1 + delay for most riders to 1 + 30 × delay for one in a thousand.
    let slowness = 1.0 + delay / (0.03 + rng.unit());
    let mut seconds = unlocking_s + distance_m / speed_m_s * steady * slowness;
    if rng.happens(0.0008) {
        seconds *= 4.0 + 20.0 * rng.unit();
    }
    ((seconds * 1000.0) as i64).clamp(60_000, DAY_MS - 1_000)
}
