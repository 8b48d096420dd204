//! An invented city: stations at the corners of a grid beside a lake.
//!
//! Avenues run north and have names of birds, streets run west and have names of stones. Shape and
//! size are those of Chicago; names, numbers and coordinates are of no real station.

use super::Era;
use super::rng::{Rng, WeightedIndex};

/// Avenues from west to east.
#[rustfmt::skip]
const AVENUES: [&str; 44] = [
    "Avocet", "Bittern", "Bobolink", "Bunting", "Chickadee", "Cormorant", "Curlew", "Dipper",
    "Dunlin", "Egret", "Finch", "Flicker", "Gadwall", "Godwit", "Grebe", "Grosbeak", "Harrier",
    "Heron", "Ibis", "Junco", "Kestrel", "Killdeer", "Kinglet", "Lapwing", "Loon", "Mallard",
    "Merlin", "Nuthatch", "Oriole", "Osprey", "Pelican", "Petrel", "Pintail", "Plover",
    "Redstart", "Sandpiper", "Shrike", "Siskin", "Sora", "Tanager", "Teal", "Towhee", "Vireo",
    "Warbler",
];

/// Streets from south to north.
#[rustfmt::skip]
const STREETS: [&str; 50] = [
    "Agate", "Alabaster", "Amethyst", "Andesite", "Apatite", "Azurite", "Barite", "Basalt",
    "Bauxite", "Beryl", "Borax", "Calcite", "Carnelian", "Chert", "Chromite", "Cinnabar",
    "Citrine", "Cobalt", "Corundum", "Diorite", "Dolomite", "Feldspar", "Flint", "Fluorite",
    "Gabbro", "Galena", "Garnet", "Gneiss", "Graphite", "Gypsum", "Halite", "Hematite",
    "Jasper", "Kaolin", "Lapis", "Magnetite", "Malachite", "Mica", "Obsidian", "Olivine",
    "Onyx", "Peridot", "Porphyry", "Pumice", "Pyrite", "Quartz", "Rhyolite", "Schist", "Topaz",
    "Zircon",
];

/// One degree in billionths, the unit of coordinates: publishers write nine decimals.
pub(super) const DEGREE: i64 = 1_000_000_000;

/// The south-western corner and the width of a block.
const SOUTH_WEST: (i64, i64) = (41_735_000_000, -87_800_000_000);
const BLOCK: (i64, i64) = (6_600_000, 5_700_000);

/// The city centre.
const CENTRE: (i64, i64) = (41_880_000_000, -87_630_000_000);

/// Metres in a billionth of a degree, northward and (at this latitude) eastward.
const METRES: (f64, f64) = (111_100.0 / 1e9, 82_900.0 / 1e9);

/// The largest numbers of docking stations, and of racks without docks.
const DOCKING: usize = 760;
const RACKS: usize = 160;

/// One station.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Station {
    pub name: String,
    /// Its id in trips before 2021: a small number.
    pub legacy_id: u32,
    /// Its id in trips since then. That of a rack resembles a legacy id.
    pub short_name: String,
    /// Its id in feeds.
    pub feed_id: String,
    /// Latitude and longitude in billionths of a degree.
    pub position: (i64, i64),
    /// Metres north and east of the centre.
    metres: (f64, f64),
    pub docks: u32,
    pub is_rack: bool,
    /// Its relative number of trips at all hours.
    popularity: f64,
}

impl Station {
    /// Returns the distance to another station in metres.
    pub(super) fn metres_to(&self, other: &Self) -> f64 {
        let north = self.metres.0 - other.metres.0;
        let east = self.metres.1 - other.metres.1;
        (north * north + east * east).sqrt()
    }

    /// Returns the weight of trips from or to home.
    fn homes(&self) -> f64 {
        let km = (self.km_to_centre() - 4.0) / 4.0;
        self.popularity / (1.0 + km * km)
    }

    /// Returns the weight of trips from or to work.
    fn jobs(&self) -> f64 {
        let km = self.km_to_centre() / 1.8;
        self.popularity / (1.0 + km * km) / (1.0 + km)
    }

    /// Returns the weight of leisure trips, which are near the lake.
    fn leisure(&self) -> f64 {
        let km_to_lake = (shore(self.position.0) - self.position.1) as f64 * METRES.1 / 1000.0;
        let (lake, centre) = (km_to_lake / 0.9, self.km_to_centre() / 5.0);
        self.popularity / (1.0 + lake * lake) / (1.0 + centre * centre)
    }

    fn km_to_centre(&self) -> f64 {
        (self.metres.0 * self.metres.0 + self.metres.1 * self.metres.1).sqrt() / 1000.0
    }
}

/// Returns the longitude of the shore, which runs to the north-west.
fn shore(latitude: i64) -> i64 {
    CENTRE.1 + DEGREE / 65 - (latitude - CENTRE.0) * 42 / 100
}

/// The purpose of a trip at one of its stations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Home,
    Work,
    Leisure,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Home, Self::Work, Self::Leisure];

    fn weight(self, station: &Station) -> f64 {
        match self {
            Self::Home => station.homes(),
            Self::Work => station.jobs(),
            Self::Leisure => station.leisure(),
        }
    }

    /// Returns the distance in metres beyond which trips are rare.
    fn reach_m(self) -> f64 {
        match self {
            Self::Home | Self::Work => 1_500.0,
            Self::Leisure => 1_900.0,
        }
    }
}

/// The stations of an era, with the distributions of origins and destinations.
pub(super) struct City {
    stations: Vec<Station>,
    /// By purpose.
    origins: Vec<WeightedIndex>,
    /// By origin, then by purpose.
    destinations: Vec<Vec<WeightedIndex>>,
}

impl City {
    pub(super) fn new(stations: Vec<Station>) -> Self {
        const ORIGIN_ENTRIES: usize = 1 << 16;
        const DESTINATION_ENTRIES: usize = 1 << 9;
        let origins = |purpose: Purpose| {
            let weights: Vec<f64> = stations.iter().map(|to| purpose.weight(to)).collect();
            WeightedIndex::new(ORIGIN_ENTRIES, &weights)
        };
        let destinations = |from: &Station, purpose: Purpose| {
            let weigh = |to: &Station| {
                let far = from.metres_to(to) / purpose.reach_m();
                let is_another = f64::from(u8::from(far > 0.0));
                is_another * purpose.weight(to) / (1.0 + far * far * far * far)
            };
            let weights: Vec<f64> = stations.iter().map(weigh).collect();
            WeightedIndex::new(DESTINATION_ENTRIES, &weights)
        };
        Self {
            origins: Purpose::ALL.map(origins).into(),
            destinations: stations
                .iter()
                .map(|from| {
                    Purpose::ALL
                        .map(|purpose| destinations(from, purpose))
                        .into()
                })
                .collect(),
            stations,
        }
    }

    pub(super) fn stations(&self) -> &[Station] {
        &self.stations
    }

    /// Draws the index of the origin of a trip that comes from home, work or leisure.
    pub(super) fn origin(&self, from: Purpose, rng: &mut Rng) -> usize {
        self.origins[from as usize].draw(rng)
    }

    /// Draws the index of the destination of a trip to home, work or leisure.
    pub(super) fn destination(&self, origin: usize, to: Purpose, rng: &mut Rng) -> usize {
        self.destinations[origin][to as usize].draw(rng)
    }
}

/// Returns the stations of an era, and those that open after it.
pub(super) fn stations(era: Era, seed: u64) -> (Vec<Station>, Vec<Station>) {
    let mut stations = build(seed);
    let racks = stations.split_off(DOCKING);
    let later = stations.split_off(era.publication().stations);
    if era == Era::Y2024 {
        stations.extend(racks);
    }
    (stations, later)
}

/// Makes the stations of all eras: first those with docks, in the order in which they open, then the
/// racks.
fn build(seed: u64) -> Vec<Station> {
    let mut corners = Vec::new();
    for north in 0..STREETS.len() {
        for east in 0..AVENUES.len() {
            let corner = (
                SOUTH_WEST.0 + BLOCK.0 * north as i64,
                SOUTH_WEST.1 + BLOCK.1 * east as i64,
            );
            if corner.1 > shore(corner.0) {
                continue;
            }
            let mut rng = Rng::of(seed, (north * AVENUES.len() + east) as u64);
            let (metres_north, metres_east) = metres_from_centre(corner);
            let km = (metres_north * metres_north + metres_east * metres_east).sqrt() / 1000.0;
            // Far from the centre stations are few and open late.
            let rank = rng.unit() * (1.0 + (km / 5.0) * (km / 5.0));
            corners.push((rank, north, east, rng));
        }
    }
    corners.sort_by(|a, b| a.0.total_cmp(&b.0));
    corners
        .into_iter()
        .take(DOCKING + RACKS)
        .enumerate()
        .map(|(nth, (_, north, east, mut rng))| station(nth, north, east, &mut rng))
        .collect()
}

fn station(nth: usize, north: usize, east: usize, rng: &mut Rng) -> Station {
    let is_rack = nth >= DOCKING;
    let jitter = |rng: &mut Rng| rng.between(-350, 350) * 1_000;
    // Older stations have four decimals.
    let digits = if nth < 450 { 100_000 } else { 1_000 };
    let round = |degrees: i64| degrees / digits * digits;
    let position = (
        round(SOUTH_WEST.0 + BLOCK.0 * north as i64 + jitter(rng)),
        round(SOUTH_WEST.1 + BLOCK.1 * east as i64 + jitter(rng)),
    );
    let corner = format!("{} Ave & {} St", AVENUES[east], STREETS[north]);
    let name = match nth {
        _ if is_rack => format!("Public Rack - {corner}"),
        _ if rng.happens(0.03) => format!("{corner} (*)"),
        _ => corner,
    };
    let id = rng.bits();
    Station {
        name,
        legacy_id: (2 + nth + nth / 9) as u32,
        short_name: short_name(nth, rng),
        feed_id: if nth < 600 {
            let (clock, node) = (id >> 48, id & 0xffff_ffff_ffff);
            format!("{:08x}-a135-11e9-{clock:04x}-{node:012x}", id >> 32)
        } else {
            format!(
                "{}",
                1_900_000_000_000_000_000 + id % 300_000_000_000_000_000
            )
        },
        position,
        metres: metres_from_centre(position),
        docks: if is_rack {
            0
        } else {
            11 + 4 * rng.below(5) as u32
        },
        is_rack,
        popularity: {
            let usual = 1.0 / (0.2 + rng.unit());
            if is_rack { 0.2 * usual } else { usual }
        },
    }
}

/// Makes an id of trips since 2021, of one of four forms by the age of the station.
fn short_name(nth: usize, rng: &mut Rng) -> String {
    let month = 5 + rng.below(5);
    match nth {
        DOCKING.. => format!("{}", 301 + nth - DOCKING),
        700.. => format!("SL-{:03}", nth - 699),
        480.. => format!("{}", 13_000 + 7 * (nth - 480)),
        300.. => format!("KA15{month:02}{:06}", nth - 299),
        _ => format!("TA13{month:02}{:06}", nth + 1),
    }
}

fn metres_from_centre(position: (i64, i64)) -> (f64, f64) {
    (
        (position.0 - CENTRE.0) as f64 * METRES.0,
        (position.1 - CENTRE.1) as f64 * METRES.1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Position, System};
    use std::collections::BTreeSet;

    #[test]
    fn stations_lie_in_the_area_of_the_system_and_have_unique_ids() {
        let (stations, later) = stations(Era::Y2024, 1);
        let all: Vec<&Station> = stations.iter().chain(&later).collect();
        assert_eq!(all.len(), DOCKING + RACKS);
        let distinct = |text: fn(&Station) -> String| {
            all.iter().map(|s| text(s)).collect::<BTreeSet<_>>().len()
        };
        assert_eq!(distinct(|s| s.name.clone()), all.len());
        assert_eq!(distinct(|s| s.short_name.clone()), all.len());
        assert_eq!(distinct(|s| s.feed_id.clone()), all.len());
        assert_eq!(distinct(|s| s.legacy_id.to_string()), all.len());
        let area = System::named("divvy").unwrap().area.unwrap();
        for station in all {
            let at = Position {
                latitude: station.position.0 as f64 / DEGREE as f64,
                longitude: station.position.1 as f64 / DEGREE as f64,
            };
            assert!(area.contains(at), "{station:?}");
        }
    }

    #[test]
    fn an_era_has_the_stations_of_the_one_before() {
        let [early, late] = [Era::Y2016, Era::Y2020].map(|era| stations(era, 5).0);
        assert!(early.len() < late.len());
        assert_eq!(early, late[..early.len()]);
    }
}
