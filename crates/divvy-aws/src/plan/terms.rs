//! The terms of a plan: capacities, prices and polls; and the methods of loading.

use super::Prices;
use crate::tables::ON_DEMAND_WRITE_UNITS;

/// Capacity in units a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// Write units.
    pub write: u32,
    /// Read units.
    pub read: u32,
}

/// A value for each table and for the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfTables<T> {
    /// TripData.
    pub trip_data: T,
    /// Its index.
    pub index: T,
    /// StationData.
    pub station_data: T,
    /// FromStationCounts.
    pub counts: T,
    /// LoadLedger.
    pub ledger: T,
}

/// The provisioned capacities of all tables and of the index. `None` for a table that is paid by
/// request.
pub type Capacities = OfTables<Option<Units>>;

impl<T> OfTables<T> {
    /// Makes a value that is the same for each.
    pub fn each(value: T) -> Self
    where
        T: Copy,
    {
        Self {
            trip_data: value,
            index: value,
            station_data: value,
            counts: value,
            ledger: value,
        }
    }

    /// Lists the values.
    pub(super) fn all(self) -> [T; 5] {
        [
            self.trip_data,
            self.index,
            self.station_data,
            self.counts,
            self.ledger,
        ]
    }

    /// Joins two values of each table.
    pub(super) fn zip<U>(self, other: OfTables<U>) -> OfTables<(T, U)> {
        OfTables {
            trip_data: (self.trip_data, other.trip_data),
            index: (self.index, other.index),
            station_data: (self.station_data, other.station_data),
            counts: (self.counts, other.counts),
            ledger: (self.ledger, other.ledger),
        }
    }
}

impl Capacities {
    /// Returns the sum of what is provisioned.
    pub fn sum(&self) -> Units {
        let all = self.all().into_iter().flatten();
        all.fold(Units::default(), |sum, units| Units {
            write: sum.write + units.write,
            read: sum.read + units.read,
        })
    }

    /// Returns the capacities with TripData and its index raised to some write units
    /// ([`Terms::boost`]).
    pub(super) fn raised(mut self, write: u32) -> Self {
        for units in [&mut self.trip_data, &mut self.index].into_iter().flatten() {
            units.write = units.write.max(write);
        }
        self
    }
}

/// The polls of stations after the load, for the costs of a month.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Live {
    /// Stations of the feed. `None` assumes as many as there are origins.
    pub stations: Option<u64>,
    /// Seconds between two polls.
    pub every_s: f64,
    /// The share of stations that change between two polls in more than their report time.
    pub changed: f64,
    /// The run time of a poll, in seconds.
    pub lambda_s: f64,
    /// The memory of each, in gigabytes.
    pub memory_gb: f64,
}

impl Default for Live {
    /// Returns one poll a minute. That one station in ten changes in a minute is an assumption; in
    /// a busy system more do.
    fn default() -> Self {
        Self {
            stations: None,
            every_s: 60.0,
            changed: 0.1,
            lambda_s: 1.5,
            memory_gb: 0.25,
        }
    }
}

/// Warm throughput that is raised before a load: the write units a second that an on-demand table takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warm {
    /// The units of TripData and of its index after that.
    pub to: u32,
    /// The units for which TripData is warm before.
    pub table: u32,
    /// The units for which its index is warm before.
    pub index: u32,
}

impl Warm {
    /// Raises new tables to some units.
    pub fn new_tables(to: u32) -> Self {
        Self {
            to,
            table: ON_DEMAND_WRITE_UNITS,
            index: ON_DEMAND_WRITE_UNITS,
        }
    }

    /// Returns how many units the table and the index are raised by, together.
    pub fn raised_by(&self) -> u32 {
        self.to.saturating_sub(self.table) + self.to.saturating_sub(self.index)
    }
}

/// The terms of a forecast.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// The provisioned capacities of the tables. `None` where all are on demand.
    pub capacities: Option<Capacities>,
    /// The write units to which the load raises TripData and its index. `None` where it does not. Their price
    /// is [`Forecast::boost_usd_hour`](super::Forecast::boost_usd_hour).
    pub boost: Option<u32>,
    /// Raised warm throughput of TripData and its index, where they are paid by request. `None` where it is not raised.
    pub warm: Option<Warm>,
    /// Whether the tables were used in the last five minutes: they have no burst capacity then.
    pub busy: bool,
    /// Whether the whole free tier is available.
    pub free_tier: bool,
    /// Whether to leave out the methods of the layout of rows.
    pub packed_only: bool,
    /// The prices of AWS.
    pub prices: Prices,
    /// The polls after the load.
    pub live: Live,
}

/// A method of loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadMethod {
    /// One item for each trip, at the given capacities.
    Rows,
    /// Blocks, at the given capacities.
    Packed,
    /// One item for each trip, paid by request.
    RowsOnDemand,
    /// Blocks, paid by request.
    PackedOnDemand,
    /// One item for each trip, within the free tier.
    RowsFree,
    /// Blocks, within the free tier.
    PackedFree,
    /// An export, and an import from S3.
    Import,
    /// As in the original program: an index of whole items, 5 units each.
    Original,
}

impl LoadMethod {
    /// Returns the name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Packed => "packed",
            Self::RowsOnDemand => "rows, on demand",
            Self::PackedOnDemand => "packed, on demand",
            Self::RowsFree => "rows, free tier",
            Self::PackedFree => "packed, free tier",
            Self::Import => "S3 import",
            Self::Original => "the original's 5 units",
        }
    }

    /// Returns the method of a load into existing tables.
    pub fn of(packed: bool, on_demand: bool) -> Self {
        match (packed, on_demand) {
            (false, false) => Self::Rows,
            (true, false) => Self::Packed,
            (false, true) => Self::RowsOnDemand,
            (true, true) => Self::PackedOnDemand,
        }
    }

    pub(super) fn is_packed(self) -> bool {
        matches!(self, Self::Packed | Self::PackedOnDemand | Self::PackedFree)
    }
}
