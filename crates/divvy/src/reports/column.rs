//! The declarations of columns, among them those of dimensions and measures.

use super::dims::Dim;
use super::measures::Measure;

/// The declaration of one column of a report. Its name and type are stable: scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name, with the unit at its end where it has one: `median_s`.
    pub name: &'static str,
    /// The type and unit of its values.
    pub kind: ValueKind,
    /// What it holds, by which pictures find it.
    pub role: Role,
    /// The order in which a narrow table leaves columns out, the largest first. 0 for a column that
    /// is always shown.
    pub spare: u8,
    /// The heading for people. Empty where it follows from the name: see [`Column::heading`].
    pub words: &'static str,
    /// The numbers are estimates, which the definition bounds.
    pub is_approximate: bool,
    /// The definition, a text for people. Empty for a column of a table that is no report.
    pub definition: &'static str,
}

impl Column {
    /// Makes a column that every table shows and no picture, without a definition.
    pub const fn new(name: &'static str, kind: ValueKind) -> Self {
        Self {
            name,
            kind,
            role: Role::Other,
            spare: 0,
            words: "",
            is_approximate: false,
            definition: "",
        }
    }

    /// Sets the definition.
    pub const fn defined(self, definition: &'static str) -> Self {
        Self { definition, ..self }
    }

    /// Sets the role.
    pub const fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Sets the heading for people, where the words of the name are not those in use.
    pub const fn headed(self, words: &'static str) -> Self {
        Self { words, ..self }
    }

    /// Marks its numbers as estimates.
    pub const fn approximate(self) -> Self {
        Self {
            is_approximate: true,
            ..self
        }
    }

    /// Returns the heading for people: the declared one, else the name in words without the unit,
    /// which the values have.
    pub fn heading(&self) -> String {
        if !self.words.is_empty() {
            return self.words.to_owned();
        }
        let name = match self.kind {
            ValueKind::Seconds => self.name.trim_end_matches("_s"),
            ValueKind::Dollars => self.name.trim_end_matches("_usd"),
            ValueKind::Meters => self.name.trim_end_matches("_m"),
            _ => self.name,
        };
        name.replace('_', " ")
    }

    /// Returns whether a word is its name or its heading, ignoring case; blanks may be written as `_`
    /// or `-`.
    pub fn is_called(&self, word: &str) -> bool {
        let plain = |text: &str| text.to_lowercase().replace(['_', '-'], " ");
        word == self.name || plain(word) == plain(&self.heading())
    }

    /// Sets the order in which a narrow table leaves it out.
    pub const fn spare(self, spare: u8) -> Self {
        Self { spare, ..self }
    }
}

/// What a column holds. No two columns of a table have the same role, but for [`Role::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The groups of a dimension; of stations, their names.
    Group(Dim),
    /// The ids of stations.
    StationId,
    /// The ids of the stations where routes start.
    OriginId,
    /// The ids of the stations where routes end.
    DestinationId,
    /// A measure of the trips of each row.
    Measure(Measure),
    /// Anything that no picture shows.
    Other,
}

/// The type and unit of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A word or an id: a short text that is never cut.
    Text,
    /// A name for people; a narrow table may cut it.
    Name,
    /// A number of things.
    Count,
    /// An ordinal number, such as an hour or a year; without separators of thousands.
    Ordinal,
    /// A duration in seconds.
    Seconds,
    /// A share of the whole, from 0 to 1.
    Share,
    /// Money in US dollars.
    Dollars,
    /// A distance in metres.
    Meters,
    /// A number for each of something, such as a day.
    Rate,
    /// A score of forecasts, of which small differences count.
    Score,
    /// A date or a month.
    Date,
    /// Decimal degrees, exactly as published.
    Degrees,
    /// An instant as RFC 3339 with the offset of the system's clocks.
    Instant,
    /// Yes or no.
    Truth,
    /// The probabilities of 0, 1, 2 and so on: an array in JSON and its text elsewhere. Tables for people
    /// leave it out.
    Distribution,
}

impl ValueKind {
    /// Returns whether its values are aligned at their right ends.
    pub fn is_numeric(self) -> bool {
        !matches!(
            self,
            Self::Text | Self::Name | Self::Date | Self::Instant | Self::Truth | Self::Distribution
        )
    }
}

/// The column of the ids of stations.
pub(super) const STATION_ID: Column = Column::new("station_id", ValueKind::Text)
    .role(Role::StationId)
    .spare(3);

impl Dim {
    /// Returns the declarations of its columns. A station has two, an id and a name.
    pub(super) fn columns(self) -> Vec<Column> {
        let column = self.column();
        match self {
            Self::Station => {
                let id = STATION_ID.defined(
                    "the station of the start: the feed's id, the trips' where no feed has it",
                );
                vec![id, column]
            }
            _ => vec![column],
        }
    }

    /// Returns the declaration of the column with its groups; for stations, with their names.
    pub(super) fn column(self) -> Column {
        let (kind, definition) = match self {
            Self::Station => (
                ValueKind::Name,
                "the feed's name, else the latest that trips use",
            ),
            Self::Rider => (
                ValueKind::Text,
                "member (also published as Subscriber) or casual (Customer); other words as \
                 published",
            ),
            Self::Bike => (
                ValueKind::Text,
                "the kind of bike, as published; empty where files state none",
            ),
            Self::Gender => (
                ValueKind::Text,
                "as published; empty where files state none",
            ),
            Self::BirthYear => (
                ValueKind::Ordinal,
                "as published; empty where files state none. Some publishers fill in a default \
                 where a rider states none, such as 1969 at Citi Bike",
            ),
            Self::Age => (
                ValueKind::Ordinal,
                "the year of the start less the year of birth, if that is 1 to 100; empty where it \
                 is not, or files state no year of birth",
            ),
            Self::Year => (ValueKind::Ordinal, "the local year of the start"),
            Self::Month => (ValueKind::Date, "the local month of the start"),
            Self::Date => (ValueKind::Date, "the local date of the start"),
            Self::Weekday => (ValueKind::Text, "the local weekday of the start"),
            Self::Hour => (
                ValueKind::Ordinal,
                "the local hour of the start, 0 to 23; of the end, where arrivals are counted",
            ),
        };
        let name = match self {
            Self::Station => "name",
            _ => self.as_str(),
        };
        let words = match self {
            Self::Station => "station",
            _ => "",
        };
        Column::new(name, kind)
            .role(Role::Group(self))
            .headed(words)
            .defined(definition)
    }
}

impl Measure {
    /// Returns the declaration of its column.
    pub(super) fn column(self) -> Column {
        let kind = match self {
            Self::Share | Self::DocklessShare | Self::RoundTripShare => ValueKind::Share,
            Self::PerDay => ValueKind::Rate,
            Self::MinS | Self::MeanS | Self::MedianS | Self::P90S | Self::P99S | Self::MaxS => {
                ValueKind::Seconds
            }
            Self::MeanM | Self::MedianM | Self::P90M | Self::MaxM => ValueKind::Meters,
            _ => ValueKind::Count,
        };
        let words = match self {
            Self::Starts => "departures",
            Self::Stops => "arrivals",
            Self::PerDay => "trips per day",
            Self::NoOrigin => "no start station",
            Self::NoDestination => "no end station",
            _ => "",
        };
        let spare = match self {
            Self::MinS | Self::MaxS | Self::MaxM => 2,
            Self::P99S => 1,
            _ => 0,
        };
        Column::new(self.as_str(), kind)
            .role(Role::Measure(self))
            .spare(spare)
            .headed(words)
            .defined(self.definition())
    }

    fn definition(self) -> &'static str {
        match self {
            Self::Trips => "stored trips",
            Self::Share => "trips / trips of all rows",
            Self::PerDay => {
                "trips / days of the row's kind in service: those on which any stored trip starts, \
                 within the dates and weekdays asked for"
            }
            Self::Starts => "stored trips that start in the hour",
            Self::Stops => {
                "the same trips by the hour in which they end, and by the weekday, date, month or year \
                 of the end where these are groups; other groups are those of the start"
            }
            Self::NoOrigin => "trips without a station at the start",
            Self::NoDestination => "trips without a station at the end",
            Self::Dockless => "trips without a station at the start, at the end or at both",
            Self::DocklessShare => "dockless / trips",
            Self::RoundTrips => "trips that end at the station where they start",
            Self::RoundTripShare => "round_trips / trips",
            Self::TimedTrips => {
                "trips with a plausible duration: not negative, not under 60 s, not over 24 h"
            }
            Self::MinS => "shortest duration in seconds: as stated, else the time elapsed",
            Self::MeanS => "arithmetic mean of the durations in seconds",
            Self::MedianS => "half of the durations are no longer: nearest rank, exact",
            Self::P90S => "nine in ten durations are no longer: nearest rank, exact",
            Self::P99S => "99 in 100 durations are no longer: nearest rank, exact",
            Self::MaxS => "longest duration in seconds",
            Self::PlacedTrips => {
                "trips with coordinates at both ends, not no_coordinates, of more than two decimals \
                 (fewer are off by up to 700 m), and no more than 25 km outside of the system's area"
            }
            Self::MeanM => {
                "mean great-circle distance between the ends in metres (sphere of 6,371,008.8 m): \
                 a lower bound of the way ridden, 0 for a round trip"
            }
            Self::MedianM => "half of the distances are no longer: nearest rank, whole metres",
            Self::P90M => "nine in ten distances are no longer: nearest rank, whole metres",
            Self::MaxM => "longest distance in whole metres",
        }
    }
}
