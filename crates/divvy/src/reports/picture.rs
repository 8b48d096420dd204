//! The picture of a report: its shape, and what it shows.

use super::dims::Dim;
use super::measures::Measure;

/// The picture of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// A bar for each group, side by side for the groups of another dimension.
    Bars {
        /// The dimension whose groups run from left to right, if the rows are grouped by it.
        across: Dim,
        /// The measure that is shown.
        up: Measure,
    },
    /// A line over dates with the mean of seven days. Bars if the rows have no dates.
    Line {
        /// The dimension whose groups run from left to right in bars.
        across: Dim,
        /// The measure that is shown.
        up: Measure,
    },
    /// How often each duration occurs.
    Histogram,
    /// Trips by month, beside those of the same month a year before.
    Growth,
    /// How often events happened, by the probability that was forecast.
    Reliability,
    /// The busiest stations as horizontal bars.
    Ranking,
    /// Stations at their positions, sized by trips and coloured by net gain or loss.
    StationMap,
    /// The busiest routes as arrows between stations.
    RouteMap,
}

/// Stations on a map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// The stations with a position.
    pub stations: Vec<MapStation>,
}

/// A station on a map.
#[derive(Clone, Debug, PartialEq)]
pub struct MapStation {
    /// As in the report.
    pub id: String,
    /// Its name. Empty if it has none.
    pub name: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Trips that start or end there.
    pub trips: i64,
    /// Arrivals minus departures.
    pub net: i64,
}

#[cfg(test)]
mod tests {
    use super::super::{REPORTS, Role};
    use super::*;

    #[test]
    fn every_picture_finds_its_columns() {
        for report in REPORTS {
            let shown = match report.picture() {
                Some(Picture::Bars { across, up } | Picture::Line { across, up }) => {
                    vec![Role::Group(across), Role::Measure(up)]
                }
                Some(Picture::Growth) => vec![
                    Role::Group(Dim::Month),
                    Role::Group(Dim::Rider),
                    Role::Measure(Measure::Trips),
                ],
                Some(Picture::Ranking) => vec![
                    Role::Group(Dim::Station),
                    Role::StationId,
                    Role::Measure(Measure::Trips),
                ],
                Some(Picture::RouteMap) => vec![
                    Role::OriginId,
                    Role::DestinationId,
                    Role::Measure(Measure::Trips),
                ],
                Some(Picture::Histogram | Picture::StationMap | Picture::Reliability) | None => {
                    Vec::new()
                }
            };
            let roles: Vec<Role> = report.columns().iter().map(|it| it.role).collect();
            for role in shown {
                let found = roles.iter().filter(|it| **it == role).count();
                assert_eq!(found, 1, "{}: {role:?}", report.name());
            }
        }
    }
}
