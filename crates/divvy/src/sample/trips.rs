//! One trip after another, each drawn from its number alone.

use super::calendar::{Calendar, Flow};
use super::chance::Chance;
use super::city::{City, DEGREE, Purpose, Station};
use super::{Era, Publication};
use crate::model::civil_date::DAY_MS;

/// What is ridden, since 2020.
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

/// One end of a trip.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    /// Milliseconds since the first midnight of the archive.
    pub ms: i64,
    /// `None` away from stations.
    pub station: Option<&'a Station>,
    /// Latitude and longitude in billionths of a degree. `None` where the bike was not found.
    pub at: Option<(i64, i64)>,
}

/// One invented trip: all that any era's file says of one.
pub(super) struct Trip<'a> {
    pub number: u64,
    pub start: End<'a>,
    pub end: End<'a>,
    pub is_member: bool,
    pub bike: Bike,
    pub vehicle: u64,
    /// Empty where the rider does not say.
    pub gender: &'static str,
    pub birth_year: Option<i64>,
}

/// What is odd about a trip.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Odd {
    /// Unlocked and locked again.
    FalseStart,
    /// A clock was wrong.
    EndsFirst,
    /// Back after days.
    Late,
    /// Never seen again at a station.
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

    /// Draws the trip of that number. Trips are numbered in the order in which they start.
    pub(super) fn draw(&self, number: u64) -> Trip<'a> {
        let mut chance = Chance::of(self.seed, number ^ (1 << 63));
        let (hour, started_ms) = self.calendar.start_of(number, &mut chance);
        let is_member = chance.happens(hour.member_share);
        let (origin, mut destination) = self.places(hour.flow, is_member, &mut chance);
        let bike = self.bike(origin, destination, &mut chance);
        let odd = self.oddity(bike, &mut chance);
        let mut duration_ms = duration_ms(origin, destination, is_member, bike, &mut chance);
        match odd {
            Some(Odd::FalseStart) => {
                destination = origin;
                duration_ms = chance.between(1_000, 59_000);
            }
            Some(Odd::EndsFirst) => duration_ms = -chance.between(1_000, 600_000),
            Some(Odd::Late) => duration_ms = chance.between(DAY_MS + 1_000, 6 * DAY_MS),
            Some(Odd::Lost) => duration_ms = chance.between(DAY_MS + 1_000, 38 * DAY_MS),
            None => {}
        }
        let ended_ms = (started_ms + duration_ms).max(0);
        let mut trip = Trip {
            number,
            start: self.end(started_ms, origin, bike, &mut chance),
            end: self.end(ended_ms, destination, bike, &mut chance),
            is_member,
            bike,
            vehicle: 1 + chance.below(self.publication.vehicles),
            gender: "",
            birth_year: None,
        };
        if odd == Some(Odd::Lost) {
            trip.end.station = None;
            trip.end.at = None;
        }
        if is_member || chance.happens(self.publication.casuals_who_say_who_they_are) {
            trip.gender = ["Male", "Male", "Male", "Female"][chance.below(4) as usize];
            trip.birth_year = Some(self.birth_year(&mut chance));
        }
        trip
    }

    fn places(
        &self,
        flow: Flow,
        is_member: bool,
        chance: &mut Chance,
    ) -> (&'a Station, &'a Station) {
        let (from, to) = match (is_member, flow) {
            (true, Flow::ToWork) => (Purpose::Home, Purpose::Work),
            (true, Flow::FromWork) => (Purpose::Work, Purpose::Home),
            (true, Flow::Anywhere) => (Purpose::Home, Purpose::Home),
            (false, _) => (Purpose::Leisure, Purpose::Leisure),
        };
        let origin = self.city.origin(from, chance);
        let there_and_back = if is_member { 0.02 } else { 0.12 };
        let destination = if chance.happens(there_and_back) {
            origin
        } else {
            self.city.destination(origin, to, chance)
        };
        let stations = self.city.stations();
        (&stations[origin], &stations[destination])
    }

    fn bike(&self, origin: &Station, destination: &Station, chance: &mut Chance) -> Bike {
        if self.era != Era::Y2024 {
            return Bike::Docked;
        }
        // A rack holds none but e-bikes.
        let electric = chance.happens(0.55) || origin.is_rack || destination.is_rack;
        if electric {
            Bike::Electric
        } else {
            Bike::Classic
        }
    }

    /// Makes one end: an e-bike may stand at no station, and tells its place less exactly then.
    fn end(&self, ms: i64, station: &'a Station, bike: Bike, chance: &mut Chance) -> End<'a> {
        const HUNDREDTH: i64 = DEGREE / 100;
        let mut end = End {
            ms,
            station: Some(station),
            at: Some(station.at),
        };
        if bike != Bike::Electric {
            return end;
        }
        let metre = 10_000;
        let mut near = |at: i64, metres: i64| at + chance.between(-metres * metre, metres * metre);
        let round = |at: i64| (at + at.signum() * HUNDREDTH / 2) / HUNDREDTH * HUNDREDTH;
        let (latitude, longitude) = station.at;
        end.at = Some((near(latitude, 25), near(longitude, 25)));
        let away = (near(latitude, 300), near(longitude, 300));
        if chance.happens(0.34) {
            end.station = None;
            end.at = Some((round(away.0), round(away.1)));
        }
        end
    }

    /// Legacy files were cleaned of all of these.
    fn oddity(&self, bike: Bike, chance: &mut Chance) -> Option<Odd> {
        let draw = chance.below(10_000);
        match self.era {
            Era::Y2016 | Era::Y2018 => None,
            Era::Y2020 | Era::Y2024 => match draw {
                0..150 => Some(Odd::FalseStart),
                150..156 => Some(Odd::EndsFirst),
                // An e-bike phones home.
                156..176 if bike != Bike::Electric => Some(Odd::Late),
                176..192 if bike != Bike::Electric => Some(Odd::Lost),
                _ => None,
            },
        }
    }

    fn birth_year(&self, chance: &mut Chance) -> i64 {
        let year = i64::from(self.publication.files[0].from.year());
        if chance.happens(0.0002) {
            return 1899 + chance.between(0, 20);
        }
        // The young are many and the old are few.
        let bell = chance.bell();
        let age = 33 + (bell * if bell < 0.0 { 8.0 } else { 13.5 }) as i64;
        // Riders are 16 or older.
        year - (16 + (age - 16).abs())
    }
}

/// Draws how long it takes: the way, at the rider's speed, then what is lost on it; a few take
/// many times as long.
fn duration_ms(
    origin: &Station,
    destination: &Station,
    is_member: bool,
    bike: Bike,
    chance: &mut Chance,
) -> i64 {
    const DETOUR: f64 = 1.3;
    let (speed_m_s, dawdling) = if is_member { (3.9, 0.03) } else { (3.1, 0.22) };
    let speed_m_s = if bike == Bike::Electric {
        1.35 * speed_m_s
    } else {
        speed_m_s
    };
    let way_m = if std::ptr::eq(origin, destination) {
        1_500.0 + 4_000.0 * chance.unit()
    } else {
        DETOUR * origin.metres_to(destination)
    };
    let unlocking_s = 60.0 + 60.0 * chance.unit();
    let steady = (1.0 + 0.18 * chance.bell()).max(0.6);
    // From 1 + dawdling for the hasty to 1 + 30 × dawdling for one in a thousand.
    let lingering = 1.0 + dawdling / (0.03 + chance.unit());
    let mut seconds = unlocking_s + way_m / speed_m_s * steady * lingering;
    if chance.happens(0.0008) {
        seconds *= 4.0 + 20.0 * chance.unit();
    }
    ((seconds * 1000.0) as i64).clamp(60_000, DAY_MS - 1_000)
}
