//! Bike-share systems.

use serde::{Deserialize, Serialize};

use super::{Position, SystemId, Zone};

/// One operator's network, with its time zone and area.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// The key, such as `divvy`.
    pub id: SystemId,
    /// Its name in public.
    pub name: String,
    /// IANA zone of its wall clocks, such as `America/Chicago`.
    pub time_zone: String,
    /// The area that holds its stations. `None` for a system whose area is not known.
    pub area: Option<BoundingBox>,
}

/// A box of latitudes and longitudes, borders included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundingBox {
    /// Southern border, degrees.
    pub south: f64,
    /// Western border, degrees.
    pub west: f64,
    /// Northern border, degrees.
    pub north: f64,
    /// Eastern border, degrees.
    pub east: f64,
}

impl BoundingBox {
    /// Returns whether the point lies inside.
    pub fn contains(&self, position: Position) -> bool {
        (self.south..=self.north).contains(&position.latitude)
            && (self.west..=self.east).contains(&position.longitude)
    }

    /// Returns the box whose borders lie this many metres further out.
    pub fn widened(&self, metres: f64) -> Self {
        const METRES_PER_DEGREE: f64 = 111_195.0;
        let north_south = metres / METRES_PER_DEGREE;
        let middle = (self.south + self.north) / 2.0;
        let east_west = north_south / middle.to_radians().cos();
        Self {
            south: self.south - north_south,
            west: self.west - east_west,
            north: self.north + north_south,
            east: self.east + east_west,
        }
    }
}

/// The id of the system of invented trips.
pub(super) const SAMPLE: &str = "sample";

impl System {
    /// Returns the name without the city behind it: `Divvy` of `Divvy (Chicago)`.
    pub fn short_name(&self) -> &str {
        self.name_and_city().map_or(&self.name, |(name, _)| name)
    }

    /// Returns its city: the one in the name, else that of the time zone. `None` for the system of
    /// invented trips.
    pub fn city(&self) -> Option<String> {
        if self.is_sample() {
            return None;
        }
        match self.name_and_city() {
            Some((_, city)) => Some(city.to_owned()),
            None => Some(self.time_zone.rsplit('/').next()?.replace('_', " ")),
        }
    }

    fn name_and_city(&self) -> Option<(&str, &str)> {
        self.name.strip_suffix(')')?.rsplit_once(" (")
    }

    /// Returns whether this is the system of invented trips.
    pub fn is_sample(&self) -> bool {
        self.id.as_str() == SAMPLE
    }

    /// Returns the time zone of the system's wall clocks.
    pub fn zone(&self) -> Zone {
        Zone::named(&self.time_zone).expect("a system has a zone of the database")
    }
}

/// Why a text is not the name of a system.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemNameError {
    /// No system has the name.
    #[error(
        "no system is called \"{found}\": expected one of {known}, or ID@Area/City for any other, \
         such as velov@Europe/Paris"
    )]
    Unknown {
        /// The name.
        found: String,
        /// The ids of the systems that there are, with commas between them.
        known: String,
    },
    /// The id of a new system has other characters than a file name may have everywhere.
    #[error("the id {found:?} of a system may have letters and digits of ASCII, _ and - alone")]
    Id {
        /// The id.
        found: String,
    },
    /// There is no such time zone.
    #[error(
        "there is no time zone \"{found}\" for {id}: expected one of the tz database, such as \
         Europe/Paris"
    )]
    Zone {
        /// The id of the system.
        id: String,
        /// The zone.
        found: String,
    },
}
