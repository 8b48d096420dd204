//! The picture of a report: its shape and its columns.

/// The picture of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its shape.
    pub shape: Shape,
    /// The column that runs from left to right.
    pub across: &'static str,
    /// The column whose numbers are shown.
    pub up: &'static str,
}

/// A shape of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A bar for each group, side by side for each rider.
    Bars,
    /// A line over dates with the mean of seven days.
    Line,
    /// How often each duration occurs.
    Histogram,
    /// The busiest rows as horizontal bars.
    Ranking,
    /// Stations at their positions, sized by trips and coloured by net gain or loss.
    StationMap,
    /// The busiest routes as lines between stations.
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
