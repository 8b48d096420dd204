//! The bike-share systems that the program knows, as one table.

use serde::{Deserialize, Serialize};

use super::{Position, SystemId, Zone};

/// One operator's network: owner of a time zone and of a piece of the map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// The key, such as `divvy`.
    pub id: SystemId,
    /// What people call it.
    pub name: String,
    /// IANA zone of its wall clocks, such as `America/Chicago`.
    pub time_zone: String,
    /// Where its stations lie. `None` for a system named only on the command line.
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
    /// Tells whether the point lies inside.
    pub fn contains(&self, at: Position) -> bool {
        (self.south..=self.north).contains(&at.latitude)
            && (self.west..=self.east).contains(&at.longitude)
    }
}

/// A row of [`SYSTEMS`].
#[derive(Debug)]
pub struct Known {
    id: &'static str,
    name: &'static str,
    time_zone: &'static str,
    /// south, west, north, east
    area: [f64; 4],
    /// Other names it goes by: GBFS `system_id`s and what archives are called.
    aliases: &'static [&'static str],
}

/// Every system known by name. A new one is a new row.
///
/// Boxes hold all stations of the recorded feeds with a margin; Divvy's is the one in use among
/// its analysts. Boxes may not overlap: a position names at most one system.
pub static SYSTEMS: &[Known] = &[
    Known {
        id: "divvy",
        name: "Divvy (Chicago)",
        time_zone: "America/Chicago",
        area: [41.55, -88.05, 42.20, -87.40],
        aliases: &["lyft_chi", "chi"],
    },
    Known {
        id: "citibike",
        name: "Citi Bike (New York, Jersey City, Hoboken)",
        time_zone: "America/New_York",
        area: [40.45, -74.35, 41.00, -73.65],
        aliases: &["lyft_nyc", "nyc", "bkn", "jc", "citibikejc"],
    },
    Known {
        id: "capitalbikeshare",
        name: "Capital Bikeshare (Washington)",
        time_zone: "America/New_York",
        area: [38.65, -77.50, 39.25, -76.75],
        aliases: &["cabi", "lyft_dca", "capital_bikeshare"],
    },
    Known {
        id: "bluebikes",
        name: "Bluebikes, once Hubway (Boston)",
        time_zone: "America/New_York",
        area: [42.15, -71.35, 42.65, -70.80],
        aliases: &["hubway", "lyft_bos"],
    },
    Known {
        id: "baywheels",
        name: "Bay Wheels, once Ford GoBike (San Francisco Bay)",
        time_zone: "America/Los_Angeles",
        area: [37.20, -122.60, 37.95, -121.70],
        aliases: &["lyft_bay", "bay", "fordgobike", "gobike", "bay_wheels"],
    },
    Known {
        id: "biketown",
        name: "BIKETOWN (Portland)",
        time_zone: "America/Los_Angeles",
        area: [45.35, -122.90, 45.70, -122.40],
        aliases: &["biketown_pdx", "pdx"],
    },
    Known {
        id: "ecobici",
        name: "Ecobici (Mexico City)",
        time_zone: "America/Mexico_City",
        area: [19.20, -99.35, 19.60, -98.95],
        aliases: &["mex", "ecobici_mex"],
    },
    Known {
        id: "santander",
        name: "Santander Cycles (London)",
        time_zone: "Europe/London",
        area: [51.30, -0.50, 51.70, 0.25],
        aliases: &["london", "tfl"],
    },
];

impl From<&Known> for System {
    fn from(known: &Known) -> Self {
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
    /// Returns the system of invented trips and stations ([`sample`](crate::sample)): in the area and
    /// on the clocks of the one that they imitate, and never mixed with it. No row of [`SYSTEMS`],
    /// because no place tells it.
    pub fn sample() -> Self {
        Self {
            id: SAMPLE.into(),
            name: "Sample (invented trips)".into(),
            ..Self::from(&SYSTEMS[0])
        }
    }

    /// Tells whether it is that of invented trips.
    pub fn is_sample(&self) -> bool {
        self.id.as_str() == SAMPLE
    }

    /// Finds a system by its id or one of its other names, whatever the case.
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

    /// Finds the system whose area holds the point.
    pub fn at(position: Position) -> Option<Self> {
        SYSTEMS
            .iter()
            .map(Self::from)
            .find(|system| system.area.is_some_and(|area| area.contains(position)))
    }

    /// Reads what a person writes after `--system`: a known name, or `ID@Area/City` for a
    /// system that the table lacks, such as `velov@Europe/Paris`.
    ///
    /// # Errors
    ///
    /// [`UnknownSystem`] lists what would have been understood.
    pub fn parse(text: &str) -> Result<Self, UnknownSystem> {
        let unknown = || UnknownSystem { found: text.into() };
        match text.split_once('@') {
            None => Self::named(text).ok_or_else(unknown),
            Some((id, zone)) => {
                let plain = !id.is_empty()
                    && id
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
                if !plain || Zone::named(zone).is_none() {
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

    /// Returns the rules of the system's wall clocks.
    pub fn zone(&self) -> Zone {
        Zone::named(&self.time_zone).expect("a system is made only with a zone of the database")
    }
}

/// A name that no row of [`SYSTEMS`] answers to.
#[derive(Debug, thiserror::Error)]
#[error(
    "no system is called \"{found}\": expected one of {}, or ID@Area/City for any other, \
     such as velov@Europe/Paris",
    SYSTEMS.iter().map(|known| known.id).collect::<Vec<_>>().join(", ")
)]
pub struct UnknownSystem {
    /// What was asked for.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_names_one_system_at_most() {
        for a in SYSTEMS {
            for b in SYSTEMS {
                if a.id != b.id {
                    let [south, west, north, east] = a.area;
                    let apart = south > b.area[2]
                        || north < b.area[0]
                        || west > b.area[3]
                        || east < b.area[1];
                    assert!(apart, "{} and {} overlap", a.id, b.id);
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
    fn other_systems_bring_their_zone() {
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
