//! A grid of cells over the earth. Starts and ends of trips are counted by the cell of their coordinates.

use std::fmt;

use super::Position;

/// A cell of about a third of a kilometre: two positions in it are less than 500 m apart.
///
/// Publishers move stations, and give the id and the name of a removed station to a new one. The cell is part
/// of a [`StationAlias`](super::StationAlias), so that the trips of the two positions have separate counts.
///
/// A cell is 0.003 degrees of latitude high (334 m). It is 0.003 degrees of longitude wide, and 0.004, 0.005 or
/// 0.006 farther from the equator ([`WIDTHS`]), where they are no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// Latitude of the southern edge, thousandths of a degree.
    latitude: i32,
    /// Longitude of the western edge, thousandths of a degree.
    longitude: i32,
    /// Width, thousandths of a degree of longitude. Cells of one latitude have the same.
    width: i32,
}

/// The height of a cell, thousandths of a degree.
const HEIGHT: i32 = 3;

/// The widths of cells, thousandths of a degree, with the latitude from which each is used, by the edge that is
/// nearer to the equator: there the cosine is [`HEIGHT`] / width.
const WIDTHS: [(i32, i32); 3] = [(60_000, 6), (53_131, 5), (41_410, 4)];

impl Cell {
    /// Returns the cell of one end of a trip: of its latitude and longitude, millionths of a degree.
    /// `is_far_away` is whether the trip has the flag of that name
    /// ([`Flag::FarAway`](super::Flag::FarAway)).
    ///
    /// `None` where the position is unknown, has no more than two decimals, or where an end of the trip
    /// is outside the area of its system: such positions do not show where a station is.
    #[inline]
    pub fn of_end(point: Option<(i32, i32)>, is_far_away: bool) -> Option<Self> {
        Self::usable(point, is_far_away).map(Self::at)
    }

    /// Returns the point if it has a cell; see [`of_end`](Self::of_end).
    #[inline]
    pub fn usable(point: Option<(i32, i32)>, is_far_away: bool) -> Option<(i32, i32)> {
        let is_fine =
            |(latitude, longitude): &(i32, i32)| !Position::is_coarse(*latitude, *longitude);
        point.filter(is_fine).filter(|_| !is_far_away)
    }

    /// Returns whether a point, in millionths of a degree, is in the cell.
    #[inline]
    pub fn contains(self, (latitude, longitude): (i32, i32)) -> bool {
        let is_within = |micro: i32, edge: i32, size: i32| {
            // Below the edge, the difference is large without its sign.
            (micro.wrapping_sub(1000 * edge) as u32) < 1000 * size as u32
        };
        is_within(latitude, self.latitude, HEIGHT)
            && is_within(longitude, self.longitude, self.width)
    }

    /// Returns the cell of a position in millionths of a degree.
    pub fn at((latitude, longitude): (i32, i32)) -> Self {
        let south = latitude.div_euclid(1000 * HEIGHT) * HEIGHT;
        // The edge that is nearer to the equator, where a degree of longitude is longest.
        let inner = if south < 0 { -(south + HEIGHT) } else { south };
        let is_beyond = |(from, _): &&(i32, i32)| inner >= *from;
        let width = WIDTHS
            .iter()
            .find(is_beyond)
            .map_or(HEIGHT, |(_, width)| *width);
        Self {
            latitude: south,
            longitude: longitude.div_euclid(1000 * width) * width,
            width,
        }
    }
}

/// Writes the south-western corner in decimal degrees: `41.880,-87.632`.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let degrees = |thousandths: i32| {
            let sign = if thousandths < 0 { "-" } else { "" };
            let size = thousandths.unsigned_abs();
            format!("{sign}{}.{:03}", size / 1000, size % 1000)
        };
        write!(f, "{},{}", degrees(self.latitude), degrees(self.longitude))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(latitude: i32, longitude: i32) -> Option<Cell> {
        Cell::of_end(Some((latitude, longitude)), false)
    }

    #[test]
    fn a_cell_is_named_by_its_corner() {
        let corner = |latitude, longitude| cell(latitude, longitude).unwrap().to_string();
        assert_eq!(corner(41_881_300, -87_629_700), "41.880,-87.632");
        assert_eq!(corner(-33_448_900, -70_669_300), "-33.450,-70.671");
        assert_eq!(corner(500, -500), "0.000,-0.003");
    }

    #[test]
    fn some_positions_have_no_cell() {
        assert_eq!(Cell::of_end(None, false), None);
        assert_eq!(cell(41_880_000, -87_630_000), None, "two decimals");
        assert_eq!(Cell::of_end(Some((41_881_300, -87_629_700)), true), None);
    }

    proptest::proptest! {
        #[test]
        fn positions_in_one_cell_are_less_than_500_m_apart(
            latitude in -70_000_000..70_000_000,
            longitude in -180_000_000..180_000_000,
            north in 0..6_000,
            east in 0..12_000,
        ) {
            let [a, b] = [(latitude, longitude), (latitude + north, longitude + east)];
            let distance_m = Position::from_micro(a.0, a.1).distance_m(Position::from_micro(b.0, b.1));
            let same = Cell::at(a) == Cell::at(b);
            proptest::prop_assert_eq!(same, Cell::at(a).contains(b));
            proptest::prop_assert!(Cell::at(b).contains(b));
            if same {
                proptest::prop_assert!(distance_m < 500.0, "{distance_m}");
            }
        }

        #[test]
        fn cells_are_as_wide_as_they_may_be(
            latitude in -60_000_000..60_000_000,
            longitude in -180_000_000..180_000_000,
        ) {
            let here = Cell::at((latitude, longitude));
            let next = (0..).map(|n| longitude + 1000 * n).find(|at| Cell::at((latitude, *at)) != here);
            let after = (0..).map(|n| next.unwrap() + 1000 * n)
                .find(|at| Cell::at((latitude, *at)) != Cell::at((latitude, next.unwrap())));
            let [west, east] = [next.unwrap(), after.unwrap()]
                .map(|longitude| Position::from_micro(latitude, longitude));
            let width_m = west.distance_m(east);
            proptest::prop_assert!((222.0..336.0).contains(&width_m), "{width_m}");
        }
    }
}
