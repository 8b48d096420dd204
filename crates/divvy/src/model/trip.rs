//! One trip.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{StationAlias, TripId, VehicleId};

/// One rental, from unlock to return.
///
/// Times are wall-clock times with the offset in force, which give both the hour of the day and
/// the instant: `utc_ms = local_ms - 1000 * offset_s`.
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
    /// The resolution of the file's times in milliseconds: 60000 for minutes, 1000 for seconds, or 1.
    pub precision_ms: i32,
    /// The duration that the file states, in seconds. `None` where it states none.
    pub reported_s: Option<i32>,
    /// The station at the start: the id and the name of the row. `None` for a vehicle unlocked away from
    /// a station.
    pub origin: Option<StationAlias>,
    /// The station at the end. `None` for a vehicle left away from a station.
    pub destination: Option<StationAlias>,
    /// The vehicle. `None` in files since 2020.
    pub vehicle: Option<VehicleId>,
    /// `classic_bike`, `electric_bike`, ... as published. `None` before 2020.
    pub bike: Option<Box<str>>,
    /// The rider's kind of pass.
    pub rider: Rider,
    /// `Male` or `Female`, as stated by members until 2019.
    pub gender: Option<Box<str>>,
    /// Stated by members until 2019 (Citi Bike: 2021).
    pub birth_year: Option<i16>,
    /// Latitude and longitude of the start in millionths of a degree.
    pub from: Option<(i32, i32)>,
    /// Latitude and longitude of the end in millionths of a degree.
    pub to: Option<(i32, i32)>,
    /// Its data quirks.
    pub flags: Flags,
}

impl Trip {
    /// Makes a trip of which only the id and the times are known, to the second. `started_ms` and
    /// `ended_ms` are wall-clock times, both `offset_s` seconds east of UTC.
    pub fn new(id: impl Into<TripId>, started_ms: i64, ended_ms: i64, offset_s: i32) -> Self {
        Self {
            id: id.into(),
            started_ms,
            started_offset_s: offset_s,
            ended_ms,
            ended_offset_s: offset_s,
            precision_ms: 1000,
            reported_s: None,
            origin: None,
            destination: None,
            vehicle: None,
            bike: None,
            rider: Rider::Unknown,
            gender: None,
            birth_year: None,
            from: None,
            to: None,
            flags: Flags::NONE,
        }
    }

    /// Returns the time between the two instants in milliseconds; negative when it ends first.
    pub fn elapsed_ms(&self) -> i64 {
        (self.ended_ms - self.started_ms)
            - 1000 * i64::from(self.ended_offset_s - self.started_offset_s)
    }

    /// Returns the duration in seconds: the one that the file states, else the time between the two
    /// instants, rounded down.
    pub fn duration_s(&self) -> i64 {
        self.reported_s
            .map_or(self.elapsed_ms().div_euclid(1000), i64::from)
    }

    /// Orders two copies of one trip, the one to be kept first: the one that does not end before its
    /// start, then the finer time, then the smaller row text, then the one without
    /// [`Flags::OTHER_WORDS`]. Equal copies are interchangeable.
    pub fn cmp_copies(&self, other: &Self) -> Ordering {
        let ends_first = |trip: &Self| trip.elapsed_ms() < 0;
        let has_other_words = |trip: &Self| trip.flags.intersects(Flags::OTHER_WORDS);
        ends_first(self)
            .cmp(&ends_first(other))
            .then(self.precision_ms.cmp(&other.precision_ms))
            .then_with(|| self.row_text().cmp(&other.row_text()))
            .then_with(|| has_other_words(self).cmp(&has_other_words(other)))
    }

    /// Writes the stored values of the trip in one order and form, whatever file it comes from.
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
            id(self.origin.as_ref().map(StationAlias::as_str)),
            id(self.destination.as_ref().map(StationAlias::as_str)),
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

/// The rider's kind of pass. Publishers use two vocabularies for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Rider {
    /// `member`, `Subscriber`, `Registered`: rides on a yearly or monthly plan.
    Member,
    /// `casual`, `Customer`: buys a pass or a single ride.
    Casual,
    /// `Dependent`: on another rider's plan; a few rows before 2016.
    Dependent,
    /// The file states none.
    #[default]
    Unknown,
    /// Another word of the publisher.
    Other(Box<str>),
}

impl Rider {
    /// Reads either vocabulary, ignoring case.
    pub fn parse(text: &str) -> Self {
        let is = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
        if is(&["member", "subscriber", "registered", "annual member"]) {
            Self::Member
        } else if is(&["casual", "customer", "casual member"]) {
            Self::Casual
        } else if is(&["dependent"]) {
            Self::Dependent
        } else if text.is_empty() || is(&["unknown"]) {
            Self::Unknown
        } else {
            Self::Other(text.into())
        }
    }

    /// Returns the name used in stores and reports.
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

/// The word under which unlisted words of trips with [`Flags::OTHER_WORDS`] are counted.
pub const OTHER: &str = "other";

/// A data quirk of a trip that is stored all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Flag {
    /// It ends before it starts, clock changes considered.
    EndsBeforeStart = 1,
    /// It ends when it starts.
    ZeroLength = 1 << 1,
    /// It takes more than 0 but under 60 seconds: probably a false start.
    Under60S = 1 << 2,
    /// It takes more than 24 hours: probably a lost or badly docked bike.
    Over24H = 1 << 3,
    /// No station at the start.
    NoOrigin = 1 << 4,
    /// No station at the end.
    NoDestination = 1 << 5,
    /// It starts or ends at a station for the operator's tests.
    TestStation = 1 << 6,
    /// The file has coordinates, but this trip lacks them (or has 0, 0) at its start or end.
    NoCoordinates = 1 << 7,
    /// Its start or end lies outside the system's area.
    FarAway = 1 << 8,
    /// A time falls in the hour that is repeated or skipped when the clocks change, or the clocks
    /// change between start and end.
    ClockChange = 1 << 9,
    /// It starts or ends before 2005, when no system of today had opened, or after 2034.
    OddYear = 1 << 10,
}

impl Flag {
    /// Every flag, in the order of reports.
    pub const ALL: [Self; 11] = [
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
        Self::OddYear,
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
            Self::OddYear => "odd_year",
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

    /// The flags of trips that statistics of durations leave out by default: negative, under 60 s,
    /// over 24 h.
    pub const IMPLAUSIBLE_DURATION: Self = Self(
        Flag::EndsBeforeStart as u16
            | Flag::ZeroLength as u16
            | Flag::Under60S as u16
            | Flag::Over24H as u16,
    );

    /// Set where an archive has too many unlisted words (for riders, types of bikes, genders) to
    /// count each separately, and the trip has one: it is counted as [`OTHER`]. Reports do not show
    /// this flag.
    pub const OTHER_WORDS: Self = Self(1 << 15);

    /// Sets all flags of the other set.
    pub fn insert_all(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Adds a flag.
    pub fn insert(&mut self, flag: Flag) {
        self.0 |= flag as u16;
    }

    /// Adds a flag if `condition` holds, without a branch.
    pub fn insert_if(&mut self, flag: Flag, condition: bool) {
        self.0 |= (flag as u16) * u16::from(condition);
    }

    /// Returns whether the flag is set.
    pub fn contains(self, flag: Flag) -> bool {
        self.0 & flag as u16 != 0
    }

    /// Returns whether any of the other set's flags is set.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the set as the bits kept in stores.
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
