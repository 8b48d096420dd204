//! The table of systems that are known by name: built in, added by the user, or in a store.

use std::sync::{Arc, LazyLock};

use super::system::{BoundingBox, SAMPLE, System, SystemNameError};
use super::{IdShape, Position, SystemId, Zone};

/// A system, and what its files look like.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownSystem {
    /// The system.
    pub system: System,
    /// Other names: GBFS `system_id`s, and words in the names of its files.
    pub aliases: Vec<String>,
    /// What the station ids in its trip files look like. Empty where that is not known, or not the
    /// same in all files.
    pub id_shapes: Vec<IdShape>,
    /// Names of columns of its trip files that no published form has.
    pub columns: Vec<ColumnNames>,
}

/// What a system's trip files call a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnNames {
    /// The value, such as `started_at`: a name in
    /// [`COLUMN_FIELDS`](crate::sources::trips_csv::COLUMN_FIELDS).
    pub field: String,
    /// The names of the column.
    pub names: Vec<String>,
}

impl From<System> for KnownSystem {
    fn from(system: System) -> Self {
        Self {
            system,
            aliases: Vec::new(),
            id_shapes: Vec::new(),
            columns: Vec::new(),
        }
    }
}

impl KnownSystem {
    /// Returns whether this is the system's id or one of its other names, ignoring case.
    fn is_called(&self, name: &str) -> bool {
        let mut names = self.names();
        names.any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Lists its id and its other names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let aliases = self.aliases.iter().map(String::as_str);
        std::iter::once(self.system.id.as_str()).chain(aliases)
    }
}

/// A row of [`BUILT_IN`].
struct Row {
    id: &'static str,
    name: &'static str,
    time_zone: &'static str,
    /// south, west, north, east
    area: [f64; 4],
    aliases: &'static [&'static str],
}

/// The systems known by name. To add one, add a row.
///
/// The areas hold all stations of the recorded feeds with a margin; Divvy's is the one in use
/// among its analysts. They may not overlap, so that a position belongs to at most one system.
const BUILT_IN: &[Row] = &[
    Row {
        id: "divvy",
        name: "Divvy (Chicago)",
        time_zone: "America/Chicago",
        area: [41.55, -88.05, 42.20, -87.40],
        aliases: &["lyft_chi", "chi", "divvy_trips"],
    },
    Row {
        id: "citibike",
        name: "Citi Bike (New York, Jersey City, Hoboken)",
        time_zone: "America/New_York",
        area: [40.45, -74.35, 41.00, -73.65],
        aliases: &["lyft_nyc", "nyc", "bkn", "jc", "citibikejc"],
    },
    Row {
        id: "capitalbikeshare",
        name: "Capital Bikeshare (Washington)",
        time_zone: "America/New_York",
        area: [38.65, -77.50, 39.25, -76.75],
        aliases: &["cabi", "lyft_dca", "capital_bikeshare"],
    },
    Row {
        id: "bluebikes",
        name: "Bluebikes, once Hubway (Boston)",
        time_zone: "America/New_York",
        area: [42.15, -71.35, 42.65, -70.80],
        aliases: &["hubway", "lyft_bos"],
    },
    Row {
        id: "baywheels",
        name: "Bay Wheels, once Ford GoBike (San Francisco Bay)",
        time_zone: "America/Los_Angeles",
        area: [37.20, -122.60, 37.95, -121.70],
        aliases: &["lyft_bay", "bay", "fordgobike", "gobike", "bay_wheels"],
    },
    Row {
        id: "biketown",
        name: "BIKETOWN (Portland)",
        time_zone: "America/Los_Angeles",
        area: [45.35, -122.90, 45.70, -122.40],
        aliases: &["biketown_pdx", "pdx"],
    },
    Row {
        id: "ecobici",
        name: "Ecobici (Mexico City)",
        time_zone: "America/Mexico_City",
        area: [19.20, -99.35, 19.60, -98.95],
        aliases: &["mex", "ecobici_mex"],
    },
    Row {
        id: "santander",
        name: "Santander Cycles (London)",
        time_zone: "Europe/London",
        area: [51.30, -0.50, 51.70, 0.25],
        aliases: &["london", "tfl", "JourneyDataExtract"],
    },
    Row {
        id: "pronto",
        name: "Pronto (Seattle, until 2017)",
        time_zone: "America/Los_Angeles",
        area: [47.45, -122.45, 47.75, -122.20],
        aliases: &[],
    },
    Row {
        id: "indego",
        name: "Indego (Philadelphia)",
        time_zone: "America/New_York",
        area: [39.85, -75.30, 40.10, -74.95],
        aliases: &["bcycle_indego"],
    },
    Row {
        id: "metro",
        name: "Metro Bike Share (Los Angeles)",
        time_zone: "America/Los_Angeles",
        area: [33.65, -118.70, 34.35, -117.95],
        aliases: &["lametro", "bcycle_lametro", "metro_bike_share"],
    },
    Row {
        id: "toronto",
        name: "Bike Share Toronto",
        time_zone: "America/Toronto",
        area: [43.55, -79.65, 43.90, -79.10],
        aliases: &["bike_share_toronto", "bike share ridership"],
    },
    Row {
        id: "bixi",
        name: "BIXI (Montréal)",
        time_zone: "America/Toronto",
        area: [45.35, -73.95, 45.75, -73.35],
        aliases: &["bixi_mtl", "donnees_ouvertes", "DonneesOuverte"],
    },
    Row {
        id: "mibici",
        name: "MiBici (Guadalajara)",
        time_zone: "America/Mexico_City",
        area: [20.50, -103.60, 20.85, -103.15],
        aliases: &["datos_abiertos"],
    },
];

impl From<&Row> for KnownSystem {
    fn from(row: &Row) -> Self {
        let [south, west, north, east] = row.area;
        Self {
            aliases: row.aliases.iter().copied().map(String::from).collect(),
            ..Self::from(System {
                id: row.id.into(),
                name: row.name.into(),
                time_zone: row.time_zone.into(),
                area: Some(BoundingBox {
                    south,
                    west,
                    north,
                    east,
                }),
            })
        }
    }
}

/// The systems that are known. By default those of the table in the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Systems(Arc<Vec<KnownSystem>>);

impl Default for Systems {
    fn default() -> Self {
        static TABLE: LazyLock<Systems> =
            LazyLock::new(|| Systems(Arc::new(BUILT_IN.iter().map(KnownSystem::from).collect())));
        TABLE.clone()
    }
}

impl Systems {
    /// Adds systems. One that is known by that id is replaced.
    #[must_use]
    pub fn with(mut self, added: Vec<KnownSystem>) -> Self {
        if !added.is_empty() {
            let known = Arc::make_mut(&mut self.0);
            known.retain(|old| added.iter().all(|new| new.system.id != old.system.id));
            known.extend(added);
        }
        self
    }

    /// Adds the systems of a store. Of one that is known, only the time zone is taken: trips in the
    /// store have been read with it.
    #[must_use]
    pub fn with_stored(mut self, stored: &[System]) -> Self {
        for system in stored.iter().filter(|system| !system.is_sample()) {
            let known = Arc::make_mut(&mut self.0);
            match known.iter_mut().find(|known| known.system.id == system.id) {
                Some(known) => known.system.time_zone.clone_from(&system.time_zone),
                None => known.push(system.clone().into()),
            }
        }
        self
    }

    /// Lists them.
    pub fn iter(&self) -> impl Iterator<Item = &KnownSystem> {
        self.0.iter()
    }

    /// Finds a system by its id. `None` for an id that is not known.
    pub fn with_id(&self, id: &SystemId) -> Option<&KnownSystem> {
        self.iter().find(|known| known.system.id == *id)
    }

    /// Finds a system by its id or one of its other names, ignoring case: also that of invented
    /// trips.
    pub fn named(&self, name: &str) -> Option<System> {
        let known = self.iter().find(|known| known.is_called(name));
        match known {
            Some(known) => Some(known.system.clone()),
            None => name.eq_ignore_ascii_case(SAMPLE).then(System::sample),
        }
    }

    /// Finds a system whose area holds the position. `None` outside of all areas.
    pub fn at(&self, position: Position) -> Option<System> {
        self.containing(position).next().cloned()
    }

    /// Lists the systems whose areas hold the position: areas that users state may overlap.
    pub fn containing(&self, position: Position) -> impl Iterator<Item = &System> {
        let systems = self.iter().map(|known| &known.system);
        systems.filter(move |system| system.area.is_some_and(|area| area.contains(position)))
    }

    /// Reads the name of a system as users write it: a known name, or `ID@Area/City` for a system
    /// that is not known, such as `velov@Europe/Paris`. With a known id that is the known system, on
    /// the wall clock of the zone.
    ///
    /// # Errors
    ///
    /// [`SystemNameError`] for any other text.
    pub fn parse(&self, text: &str) -> Result<System, SystemNameError> {
        let unknown = || {
            let ids: Vec<&str> = self.iter().map(|known| known.system.id.as_str()).collect();
            SystemNameError::Unknown {
                found: text.into(),
                known: ids.join(", "),
            }
        };
        let Some((id, zone)) = text.split_once('@') else {
            return self.named(text).ok_or_else(unknown);
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if id.is_empty() || !id.chars().all(is_plain) {
            return Err(SystemNameError::Id { found: id.into() });
        }
        if Zone::named(zone).is_none() {
            return Err(SystemNameError::Zone {
                id: id.into(),
                found: zone.into(),
            });
        }
        let known = self.named(id).unwrap_or_else(|| System {
            id: id.into(),
            name: id.into(),
            time_zone: zone.into(),
            area: None,
        });
        Ok(System {
            time_zone: zone.into(),
            ..known
        })
    }
}

impl System {
    /// Returns the system of invented trips and stations ([`sample`](crate::sample)). It has the area
    /// and time zone of Divvy, which they imitate, so it is not in [`Systems`]: a position would
    /// belong to both.
    pub fn sample() -> Self {
        Self {
            id: SAMPLE.into(),
            name: "Sample (invented trips)".into(),
            ..KnownSystem::from(&BUILT_IN[0]).system
        }
    }

    /// Finds a built-in system by its id or one of its other names, ignoring case. See
    /// [`Systems::named`].
    pub fn named(name: &str) -> Option<Self> {
        Systems::default().named(name)
    }

    /// Finds the built-in system whose area holds the position. `None` outside of all areas.
    pub fn at(position: Position) -> Option<Self> {
        Systems::default().at(position)
    }

    /// Reads the name of a system as users write it, among the built-in ones. See
    /// [`Systems::parse`].
    ///
    /// # Errors
    ///
    /// Those of [`Systems::parse`].
    pub fn parse(text: &str) -> Result<Self, SystemNameError> {
        Systems::default().parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_belongs_to_one_system_at_most() {
        for a in BUILT_IN {
            for b in BUILT_IN {
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

    #[test]
    fn systems_are_added_and_replaced() {
        let wren = System {
            id: "wren".into(),
            name: "Wren".into(),
            time_zone: "Europe/Paris".into(),
            area: None,
        };
        let divvy = System {
            time_zone: "UTC".into(),
            ..System::named("divvy").unwrap()
        };
        let systems = Systems::default().with(vec![KnownSystem {
            aliases: vec!["velo-wren".into()],
            ..wren.clone().into()
        }]);
        assert_eq!(systems.named("VELO-wren"), Some(wren.clone()));
        assert!(Systems::default().named("wren").is_none());
        let stored = Systems::default().with_stored(&[wren.clone(), divvy.clone()]);
        assert_eq!(stored.named("wren"), Some(wren));
        assert_eq!(stored.named("chi"), Some(divvy));
        assert_eq!(stored.iter().count(), BUILT_IN.len() + 1);
    }
}
