//! One trip.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{StationId, TripId, VehicleId};

/// One rental, from unlock to return.
///
/// Times are wall-clock times with the offset that was in force, so that both the hour of the day
/// and the instant can be told: `utc_ms = local_ms - 1000 * offset_s`.
#[derive(Clone, Debug, PartialEq)]
pub struct Trip {
    /// The published id, or the derived one.
    pub id: TripId,
    /// Start, milliseconds since 1970-01-01T00:00 on the system's wall clock.
    pub started_ms: i64,
    /// Offset at the start, seconds east of UTC.
    pub started_offset_s: i32,
    /// End, milliseconds since 1970-01-01T00:00 on the system's wall clock.
    pub ended_ms: i64,
    /// Offset at the end, seconds east of UTC.
    pub ended_offset_s: i32,
    /// How fine the file's times are, in milliseconds: 60000 for minutes, 1000 for seconds, 1.
    pub precision_ms: i32,
    /// The duration that the file states, in seconds. `None` where it states none.
    pub reported_s: Option<i32>,
    /// Where it starts, as published. `None` for a vehicle unlocked away from a station.
    pub origin: Option<StationId>,
    /// Where it ends, as published. `None` for a vehicle left away from a station.
    pub destination: Option<StationId>,
    /// The vehicle. `None` in files since 2020.
    pub vehicle: Option<VehicleId>,
    /// `classic_bike`, `electric_bike`, ... as published. `None` before 2020.
    pub bike: Option<Box<str>>,
    /// Who rides.
    pub rider: Rider,
    /// `Male` or `Female`, as stated by members until 2019.
    pub gender: Option<Box<str>>,
    /// Stated by members until 2019 (Citi Bike: 2021).
    pub birth_year: Option<i16>,
    /// Latitude and longitude of the start in millionths of a degree.
    pub from: Option<(i32, i32)>,
    /// Latitude and longitude of the end in millionths of a degree.
    pub to: Option<(i32, i32)>,
    /// What is odd about it.
    pub flags: Flags,
}

impl Trip {
    /// Returns the time between the two instants in milliseconds; negative when it ends first.
    pub fn elapsed_ms(&self) -> i64 {
        (self.ended_ms - self.started_ms)
            - 1000 * i64::from(self.ended_offset_s - self.started_offset_s)
    }

    /// Returns how long it took, in seconds: as the file states, else between the two instants
    /// (fractions cut off).
    pub fn duration_s(&self) -> i64 {
        self.reported_s
            .map_or(self.elapsed_ms().div_euclid(1000), i64::from)
    }

    /// Orders two copies of one trip, the one to be kept first: the one not ending before its
    /// start, then the finer time, then the smaller row text, then the one whose words are counted
    /// as they are. Equal copies are interchangeable.
    pub fn cmp_copies(&self, other: &Self) -> Ordering {
        let backwards = |trip: &Self| trip.elapsed_ms() < 0;
        let marked = |trip: &Self| trip.flags.intersects(Flags::OTHER_WORDS);
        backwards(self)
            .cmp(&backwards(other))
            .then(self.precision_ms.cmp(&other.precision_ms))
            .then_with(|| self.row_text().cmp(&other.row_text()))
            .then_with(|| marked(self).cmp(&marked(other)))
    }

    /// Writes all that is kept of the row, in one order and form whatever file it came from.
    pub fn row_text(&self) -> String {
        let text = |value: &Option<Box<str>>| value.clone().unwrap_or_default();
        let id = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let point =
            |value: Option<(i32, i32)>| value.map_or(String::new(), |(a, b)| format!("{a} {b}"));
        format!(
            "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}",
            self.id,
            self.started_ms,
            self.started_offset_s,
            self.ended_ms,
            self.ended_offset_s,
            self.reported_s.map_or(String::new(), |s| s.to_string()),
            id(self.origin.as_ref().map(StationId::as_str)),
            id(self.destination.as_ref().map(StationId::as_str)),
            id(self.vehicle.as_ref().map(VehicleId::as_str)),
            text(&self.bike),
            self.rider,
            text(&self.gender),
            self.birth_year
                .map_or(String::new(), |year| year.to_string()),
            point(self.from),
            point(self.to),
        )
    }
}

/// Who rides: both vocabularies on one scale.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Rider {
    /// `member`, `Subscriber`, `Registered`: rides on a yearly or monthly plan.
    Member,
    /// `casual`, `Customer`: buys a pass or a single ride.
    Casual,
    /// `Dependent`: on somebody's plan; a few rows before 2016.
    Dependent,
    /// The file says nothing.
    #[default]
    Unknown,
    /// A word of the publisher's that this list lacks.
    Other(Box<str>),
}

impl Rider {
    /// Reads either vocabulary, whatever the case.
    pub fn parse(text: &str) -> Self {
        let is = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
        if is(&["member", "subscriber", "registered"]) {
            Self::Member
        } else if is(&["casual", "customer"]) {
            Self::Casual
        } else if is(&["dependent"]) {
            Self::Dependent
        } else if text.is_empty() || is(&["unknown"]) {
            Self::Unknown
        } else {
            Self::Other(text.into())
        }
    }

    /// Returns the word used in stores and reports.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Member => "member",
            Self::Casual => "casual",
            Self::Dependent => "dependent",
            Self::Unknown => "unknown",
            Self::Other(text) => text,
        }
    }
}

impl fmt::Display for Rider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<String> for Rider {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl From<Rider> for String {
    fn from(rider: Rider) -> Self {
        rider.as_str().into()
    }
}

/// What a word of a trip with [`Flags::OTHER_WORDS`] is counted as, where no list knows it.
pub const OTHER: &str = "other";

/// Something odd about a trip that is kept all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Flag {
    /// It ends before it starts, clock changes considered.
    EndsBeforeStart = 1,
    /// It ends when it starts.
    ZeroLength = 1 << 1,
    /// It takes more than no time but under a minute: most likely a false start.
    Under60S = 1 << 2,
    /// It takes more than a day: most likely a lost or badly docked bike.
    Over24H = 1 << 3,
    /// No station at the start.
    NoOrigin = 1 << 4,
    /// No station at the end.
    NoDestination = 1 << 5,
    /// It starts or ends at a station that serves the operator's tests.
    TestStation = 1 << 6,
    /// The file has coordinates, but this trip lacks them (or has 0, 0) at an end.
    NoCoordinates = 1 << 7,
    /// An end lies outside the system's area.
    FarAway = 1 << 8,
    /// A time falls in the hour that is repeated or skipped when clocks change, or the change
    /// lies between start and end.
    ClockChange = 1 << 9,
}

impl Flag {
    /// Every flag, in the order of reports.
    pub const ALL: [Self; 10] = [
        Self::EndsBeforeStart,
        Self::ZeroLength,
        Self::Under60S,
        Self::Over24H,
        Self::NoOrigin,
        Self::NoDestination,
        Self::TestStation,
        Self::NoCoordinates,
        Self::FarAway,
        Self::ClockChange,
    ];

    /// Returns the name used in reports and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EndsBeforeStart => "ends_before_start",
            Self::ZeroLength => "zero_length",
            Self::Under60S => "under_60_s",
            Self::Over24H => "over_24_h",
            Self::NoOrigin => "no_origin",
            Self::NoDestination => "no_destination",
            Self::TestStation => "test_station",
            Self::NoCoordinates => "no_coordinates",
            Self::FarAway => "far_away",
            Self::ClockChange => "clock_change",
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A set of [`Flag`]s.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);

    /// Trips that durations leave out by default: negative, under 60 s, over 24 h.
    pub const IMPLAUSIBLE_DURATION: Self = Self(
        Flag::EndsBeforeStart as u16
            | Flag::ZeroLength as u16
            | Flag::Under60S as u16
            | Flag::Over24H as u16,
    );

    /// Nothing odd about the trip: its archive has too many words that no list knows (for riders,
    /// kinds of bikes, genders), so that those of this trip are counted as [`OTHER`]. Reports do not
    /// show it.
    pub const OTHER_WORDS: Self = Self(1 << 15);

    /// Sets all flags of the other set.
    pub fn insert_all(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Adds a flag.
    pub fn insert(&mut self, flag: Flag) {
        self.0 |= flag as u16;
    }

    /// Adds a flag if `odd`.
    pub fn insert_if(&mut self, flag: Flag, odd: bool) {
        self.0 |= (flag as u16) * u16::from(odd);
    }

    /// Tells whether the flag is set.
    pub fn contains(self, flag: Flag) -> bool {
        self.0 & flag as u16 != 0
    }

    /// Tells whether any of the other set's flags is set.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the set as the bits that stores keep.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Makes a set from [`bits`](Self::bits).
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Lists the flags in the order of reports.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL
            .into_iter()
            .filter(move |flag| self.contains(*flag))
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(Flag::as_str))
            .finish()
    }
}
