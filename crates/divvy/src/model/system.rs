//! Bike-share systems, and the table of those known by name.

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
    /// The area that holds its stations. `None` for a system that [`SYSTEMS`] lacks.
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

/// A row of [`SYSTEMS`].
#[derive(Debug)]
pub struct KnownSystem {
    id: &'static str,
    name: &'static str,
    time_zone: &'static str,
    /// south, west, north, east
    area: [f64; 4],
    /// Other names: GBFS `system_id`s, and those in the names of archives.
    aliases: &'static [&'static str],
}

/// Every system known by name. To add one, add a row.
///
/// The areas hold all stations of the recorded feeds with a margin; Divvy's is the one in use
/// among its analysts. They may not overlap, so that a position belongs to at most one system.
pub static SYSTEMS: &[KnownSystem] = &[
    KnownSystem {
        id: "divvy",
        name: "Divvy (Chicago)",
        time_zone: "America/Chicago",
        area: [41.55, -88.05, 42.20, -87.40],
        aliases: &["lyft_chi", "chi"],
    },
    KnownSystem {
        id: "citibike",
        name: "Citi Bike (New York, Jersey City, Hoboken)",
        time_zone: "America/New_York",
        area: [40.45, -74.35, 41.00, -73.65],
        aliases: &["lyft_nyc", "nyc", "bkn", "jc", "citibikejc"],
    },
    KnownSystem {
        id: "capitalbikeshare",
        name: "Capital Bikeshare (Washington)",
        time_zone: "America/New_York",
        area: [38.65, -77.50, 39.25, -76.75],
        aliases: &["cabi", "lyft_dca", "capital_bikeshare"],
    },
    KnownSystem {
        id: "bluebikes",
        name: "Bluebikes, once Hubway (Boston)",
        time_zone: "America/New_York",
        area: [42.15, -71.35, 42.65, -70.80],
        aliases: &["hubway", "lyft_bos"],
    },
    KnownSystem {
        id: "baywheels",
        name: "Bay Wheels, once Ford GoBike (San Francisco Bay)",
        time_zone: "America/Los_Angeles",
        area: [37.20, -122.60, 37.95, -121.70],
        aliases: &["lyft_bay", "bay", "fordgobike", "gobike", "bay_wheels"],
    },
    KnownSystem {
        id: "biketown",
        name: "BIKETOWN (Portland)",
        time_zone: "America/Los_Angeles",
        area: [45.35, -122.90, 45.70, -122.40],
        aliases: &["biketown_pdx", "pdx"],
    },
    KnownSystem {
        id: "ecobici",
        name: "Ecobici (Mexico City)",
        time_zone: "America/Mexico_City",
        area: [19.20, -99.35, 19.60, -98.95],
        aliases: &["mex", "ecobici_mex"],
    },
    KnownSystem {
        id: "santander",
        name: "Santander Cycles (London)",
        time_zone: "Europe/London",
        area: [51.30, -0.50, 51.70, 0.25],
        aliases: &["london", "tfl"],
    },
];

impl From<&KnownSystem> for System {
    fn from(known: &KnownSystem) -> Self {
        let [south, west, north, east] = known.area;
        Self {
            id: known.id.into(),
            name: known.name.into(),
            time_zone: known.time_zone.into(),
            area: Some(BoundingBox {
                south,
                west,
                north,
                east,
            }),
        }
    }
}

/// The id of the system of invented trips.
const SAMPLE: &str = "sample";

impl System {
    /// Returns the system of invented trips and stations ([`sample`](crate::sample)). It has the area
    /// and time zone of the system that they imitate, so it is no row of [`SYSTEMS`]: a position
    /// would belong to both.
    pub fn sample() -> Self {
        Self {
            id: SAMPLE.into(),
            name: "Sample (invented trips)".into(),
            ..Self::from(&SYSTEMS[0])
        }
    }

    /// Returns whether this is the system of invented trips.
    pub fn is_sample(&self) -> bool {
        self.id.as_str() == SAMPLE
    }

    /// Finds a system by its id or one of its other names, ignoring case.
    pub fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case(SAMPLE) {
            return Some(Self::sample());
        }
        SYSTEMS
            .iter()
            .find(|known| {
                known.id.eq_ignore_ascii_case(name)
                    || known
                        .aliases
                        .iter()
                        .any(|alias| alias.eq_ignore_ascii_case(name))
            })
            .map(Self::from)
    }

    /// Finds the system whose area holds the position. `None` outside of all areas.
    pub fn at(position: Position) -> Option<Self> {
        SYSTEMS
            .iter()
            .map(Self::from)
            .find(|system| system.area.is_some_and(|area| area.contains(position)))
    }

    /// Reads the name of a system as users write it: a known name, or `ID@Area/City` for a system
    /// that [`SYSTEMS`] lacks, such as `velov@Europe/Paris`.
    ///
    /// # Errors
    ///
    /// [`UnknownSystem`] for any other text.
    pub fn parse(text: &str) -> Result<Self, UnknownSystem> {
        let unknown = || UnknownSystem { found: text.into() };
        match text.split_once('@') {
            None => Self::named(text).ok_or_else(unknown),
            Some((id, zone)) => {
                let is_plain = !id.is_empty()
                    && id
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
                if !is_plain || Zone::named(zone).is_none() {
                    return Err(unknown());
                }
                Ok(Self {
                    id: id.into(),
                    name: id.into(),
                    time_zone: zone.into(),
                    area: None,
                })
            }
        }
    }

    /// Returns the time zone of the system's wall clocks.
    pub fn zone(&self) -> Zone {
        Zone::named(&self.time_zone).expect("a system has a zone of the database")
    }
}

/// A name of no known system.
#[derive(Debug, thiserror::Error)]
#[error(
    "no system is called \"{found}\": expected one of {}, or ID@Area/City for any other, \
     such as velov@Europe/Paris",
    SYSTEMS.iter().map(|known| known.id).collect::<Vec<_>>().join(", ")
)]
pub struct UnknownSystem {
    /// The name.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_belongs_to_one_system_at_most() {
        for a in SYSTEMS {
            for b in SYSTEMS {
                if a.id != b.id {
                    let [south, west, north, east] = a.area;
                    let are_apart = south > b.area[2]
                        || north < b.area[0]
                        || west > b.area[3]
                        || east < b.area[1];
                    assert!(are_apart, "{} and {} overlap", a.id, b.id);
                }
            }
            assert!(Zone::named(a.time_zone).is_some(), "{}", a.time_zone);
        }
        let the_loop = Position {
            latitude: 41.88,
            longitude: -87.63,
        };
        assert_eq!(System::at(the_loop).unwrap().id.as_str(), "divvy");
    }

    #[test]
    fn an_unknown_system_is_read_with_its_zone() {
        assert_eq!(System::parse("lyft_CHI").unwrap().id.as_str(), "divvy");
        assert_eq!(
            System::parse("velov@Europe/Paris").unwrap().time_zone,
            "Europe/Paris"
        );
        assert!(System::parse("velov@Europe/Lyon-ish").is_err());
        assert!(
            System::parse("velov")
                .unwrap_err()
                .to_string()
                .contains("divvy")
        );
    }
}
