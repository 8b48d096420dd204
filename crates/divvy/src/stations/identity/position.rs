//! What positions state about two stations being the same.

use crate::model::{Degrees, ListedStation, Position, Station};

/// The largest distance between a station of the feed and the mean of its trip ends, in metres.
/// Beyond it they are different stations.
pub const SAME_STATION_M: f64 = 500.0;

/// The largest error of a position of two decimals, in metres: half of a hundredth of a degree in each
/// direction, at the equator 0.79 km.
const COARSE_M: f64 = 790.0;

/// A position, and whether it is published with no more than two decimals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) position: Position,
    pub(super) is_coarse: bool,
}

impl Placed {
    /// Returns the position of a row of StationData. `None` where it has none.
    pub(super) fn of(station: &Station) -> Option<Self> {
        Self::new(station.position(), [&station.latitude, &station.longitude])
    }

    /// Returns the position that a station list states. `None` where it states none.
    pub(super) fn of_list(form: &ListedStation) -> Option<Self> {
        Self::new(form.position(), [&form.latitude, &form.longitude])
    }

    /// Makes it of the mean of ends of trips.
    pub(super) fn exactly(position: Position) -> Self {
        Self {
            position,
            is_coarse: false,
        }
    }

    fn new(position: Option<Position>, coordinates: [&Option<Degrees>; 2]) -> Option<Self> {
        let mut coordinates = coordinates.into_iter().flatten();
        Some(Self {
            position: position?,
            is_coarse: coordinates.all(|degrees| degrees.decimals() <= 2),
        })
    }
}

/// What one property of two stations states about their being the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    Agrees,
    Contradicts,
    /// One of the two is unknown, or not exact enough.
    Unknown,
}

/// Compares positions. One of two decimals contradicts others, but confirms none.
pub(super) fn position_evidence(a: Option<Placed>, b: Option<Placed>) -> Evidence {
    let Some((a, b)) = a.zip(b) else {
        return Evidence::Unknown;
    };
    let distance_m = a.position.distance_m(b.position);
    let coarse = u8::from(a.is_coarse) + u8::from(b.is_coarse);
    if coarse > 0 && distance_m <= SAME_STATION_M + f64::from(coarse) * COARSE_M {
        Evidence::Unknown
    } else if distance_m <= SAME_STATION_M {
        Evidence::Agrees
    } else {
        Evidence::Contradicts
    }
}
