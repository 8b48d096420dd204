//! Coordinates, and distances between them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A latitude or longitude in decimal degrees, exactly as published.
///
/// Kept as text, because a store of decimal numbers (DynamoDB) must receive the digits of the
/// feed, not the nearest float. [`to_f64`](Self::to_f64) is for measuring distances only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Degrees(Box<str>);

impl Degrees {
    /// Returns the published digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the nearest float.
    pub fn to_f64(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }

    /// Returns millionths of a degree (0.11 m), rounded; the unit in which trips keep positions.
    pub fn to_micro(&self) -> i32 {
        (self.to_f64() * 1e6).round() as i32
    }

    /// Returns the number of decimals, without zeros at the end. 0 for a number with an exponent.
    pub fn decimals(&self) -> usize {
        let fraction = self.0.split_once('.').map_or("", |(_, fraction)| fraction);
        if fraction.contains(['e', 'E']) {
            return 0;
        }
        fraction.trim_end_matches('0').len()
    }

    /// Makes the decimal text of a number of millionths, without trailing zeros: `41.8964`.
    pub fn from_micro(micro: i32) -> Self {
        let sign = if micro < 0 { "-" } else { "" };
        let magnitude = micro.unsigned_abs();
        let text = format!(
            "{sign}{}.{:06}",
            magnitude / 1_000_000,
            magnitude % 1_000_000
        );
        let text = text.trim_end_matches('0').trim_end_matches('.');
        Self(text.into())
    }
}

impl FromStr for Degrees {
    type Err = std::num::ParseFloatError;

    /// Accepts any finite decimal number and keeps its text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let value: f64 = text.parse()?;
        if !value.is_finite() {
            return Err("not finite".parse::<f64>().expect_err("is no number"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Degrees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Returns the point of two coordinates. `None` if one is missing, or both are 0.
pub(super) fn known(latitude: Option<&Degrees>, longitude: Option<&Degrees>) -> Option<Position> {
    let (latitude, longitude) = (latitude?.to_f64(), longitude?.to_f64());
    let is_known = latitude != 0.0 || longitude != 0.0;
    is_known.then_some(Position {
        latitude,
        longitude,
    })
}

/// A point in WGS 84 degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// Degrees north of the equator.
    pub latitude: f64,
    /// Degrees east of Greenwich.
    pub longitude: f64,
}

impl Position {
    /// Makes a position from millionths of a degree.
    pub fn from_micro(latitude: i32, longitude: i32) -> Self {
        Self {
            latitude: f64::from(latitude) / 1e6,
            longitude: f64::from(longitude) / 1e6,
        }
    }

    /// Returns latitude and longitude in millionths of a degree, rounded.
    pub fn to_micro(self) -> (i32, i32) {
        let micro = |degrees: f64| (degrees * 1e6).round() as i32;
        (micro(self.latitude), micro(self.longitude))
    }

    /// Returns whether a position in millionths of a degree has no more than two decimals: it is good to a
    /// kilometre. Publishers round so where a bike was parked away from stations.
    pub fn is_coarse(latitude: i32, longitude: i32) -> bool {
        const HUNDREDTH: i32 = 10_000;
        latitude % HUNDREDTH == 0 && longitude % HUNDREDTH == 0
    }

    /// Returns the great-circle distance in metres.
    ///
    /// Haversine on a sphere of radius 6 371 008.8 m (IUGG mean).
    pub fn distance_m(self, other: Self) -> f64 {
        let (lat1, lat2) = (self.latitude.to_radians(), other.latitude.to_radians());
        let dlat = (lat2 - lat1) / 2.0;
        let dlng = (other.longitude - self.longitude).to_radians() / 2.0;
        if dlat.abs() < MAX_SERIES_ANGLE && dlng.abs() < MAX_SERIES_ANGLE {
            // cos a cos b = cos² of the mean - sin² of half the difference; sines by their series.
            let sine = |x: f64| x * (1.0 - x * x / 6.0 * (1.0 - x * x / 20.0));
            let (dlat2, dlng2) = (sine(dlat).powi(2), sine(dlng).powi(2));
            let h = dlat2 + (((lat1 + lat2) / 2.0).cos().powi(2) - dlat2) * dlng2;
            return 2.0 * EARTH_RADIUS_M * h.sqrt() * (1.0 + h / 6.0 * (1.0 + h * 9.0 / 20.0));
        }
        let h = dlat.sin().powi(2) + lat1.cos() * lat2.cos() * dlng.sin().powi(2);
        2.0 * EARTH_RADIUS_M * h.sqrt().min(1.0).asin()
    }
}

const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// Half a difference in radians (about a degree) up to which a few terms of a series give the
/// distance to a micrometre. Nearly all trips are shorter, and the series is faster.
const MAX_SERIES_ANGLE: f64 = 0.01;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_degrees_and_text_are_the_same_number() {
        for (text, micro) in [
            ("41.8964", 41_896_400),
            ("-87.661", -87_661_000),
            ("0.5", 500_000),
        ] {
            assert_eq!(Degrees::from_micro(micro).as_str(), text);
            assert_eq!(text.parse::<Degrees>().unwrap().to_micro(), micro);
        }
        assert_eq!(Degrees::from_micro(-500_000).as_str(), "-0.5");
        assert!("NaN".parse::<Degrees>().is_err());
        assert!("north".parse::<Degrees>().is_err());
    }

    #[test]
    fn a_degree_of_latitude_is_111_km() {
        let loop_ = Position {
            latitude: 41.0,
            longitude: -87.0,
        };
        let north = Position {
            latitude: 42.0,
            longitude: -87.0,
        };
        assert_eq!(loop_.distance_m(north).round(), 111_195.0);
    }

    proptest::proptest! {
        #[test]
        fn near_points_are_as_far_apart_as_by_the_full_formula(
            latitude in -85.0..85.0,
            longitude in -180.0..180.0,
            north in -1.1..1.1,
            east in -1.1..1.1,
            nearer in 0..6_i32,
        ) {
            let scale = 10_f64.powi(-nearer);
            let here = Position { latitude, longitude };
            let there = Position {
                latitude: latitude + north * scale,
                longitude: longitude + east * scale,
            };
            let (lat1, lat2) = (here.latitude.to_radians(), there.latitude.to_radians());
            let dlng = (there.longitude - here.longitude).to_radians() / 2.0;
            let h = ((lat2 - lat1) / 2.0).sin().powi(2)
                + lat1.cos() * lat2.cos() * dlng.sin().powi(2);
            let full = 2.0 * EARTH_RADIUS_M * h.sqrt().asin();
            let by_series = here.distance_m(there);
            proptest::prop_assert!((by_series - full).abs() < 1e-6, "{by_series} for {full}");
        }
    }
}
