//! The terms of a plan: capacities, prices and polls; and the methods of loading.

use super::Prices;

/// Capacity in units a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// Write units.
    pub write: u32,
    /// Read units.
    pub read: u32,
}

/// The provisioned capacities of all tables and of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacities {
    /// TripData.
    pub trip_data: Units,
    /// Its index.
    pub index: Units,
    /// StationData.
    pub station_data: Units,
    /// FromStationCounts.
    pub counts: Units,
    /// LoadLedger.
    pub ledger: Units,
}

impl Capacities {
    /// Makes capacities that are the same for each table and for the index.
    pub fn each(units: Units) -> Self {
        Self {
            trip_data: units,
            index: units,
            station_data: units,
            counts: units,
            ledger: units,
        }
    }

    fn all(&self) -> [Units; 5] {
        [
            self.trip_data,
            self.index,
            self.station_data,
            self.counts,
            self.ledger,
        ]
    }

    /// Returns the sum.
    pub fn sum(&self) -> Units {
        Units {
            write: self.all().iter().map(|units| units.write).sum(),
            read: self.all().iter().map(|units| units.read).sum(),
        }
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
    /// The run time of the poll and the handler together, in seconds.
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

/// The terms of a forecast.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// The provisioned capacities of the tables. `None` where they are on demand.
    pub capacities: Option<Capacities>,
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
    /// As in the proof of concept: an index of whole items, 5 units each.
    ProofOfConcept,
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
            Self::ProofOfConcept => "proof of concept",
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
