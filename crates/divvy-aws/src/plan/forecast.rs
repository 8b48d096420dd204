//! Forecasts of duration and cost, one for each method of loading.

use super::{Capacities, HOURS_A_MONTH, Items, LoadMethod, OfTables, Terms, Units, Workload};
use crate::item::size::{CONSISTENT_READ_UNIT_BYTES, WRITE_UNIT_BYTES};
use crate::pace::BURST_S;
use crate::tables::{ON_DEMAND_READ_UNITS, ON_DEMAND_WRITE_UNITS};

/// The capacity of a new on-demand table.
const ON_DEMAND: Units = Units {
    write: ON_DEMAND_WRITE_UNITS,
    read: ON_DEMAND_READ_UNITS,
};
/// The capacity of the table of the original program, and of its index.
const PROOF_OF_CONCEPT: Units = Units { write: 5, read: 5 };

/// The usual size of a row of StationData.
const STATION_BYTES: f64 = 400.0;
/// The units of an eventually consistent read of a row of StationData.
const STATION_READ_UNITS: f64 = STATION_BYTES / CONSISTENT_READ_UNIT_BYTES as f64 / 2.0;
/// The seconds after which Lambda starts a function anew: then it reads all rows. In between it keeps
/// them in memory. AWS does not state them; an hour is an assumption.
const RESTART_S: f64 = 3600.0;
/// The read units of LoadLedger for a poll: the state of the store, and twice the times of the feed.
const POLL_LEDGER_READS: f64 = 3.0;
/// The usual size of what the ledger has besides totals and ids: state, entry, unfinished load.
const LEDGER_NOTES: u64 = 8 * 1024;

/// The duration and cost of a load by one method.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The method.
    pub method: LoadMethod,
    /// Seconds until all is written. `None` for an import, whose duration AWS does not state.
    pub load_s: Option<f64>,
    /// Seconds from then on until every count is refreshed.
    pub refresh_s: f64,
    /// Write units of TripData.
    pub table_write_units: f64,
    /// Write units of its index.
    pub index_write_units: f64,
    /// Write units of the other tables, the refresh included.
    pub other_write_units: f64,
    /// Read units of the first refresh.
    pub read_units: f64,
    /// Dollars for load and first refresh.
    pub once_usd: f64,
    /// Dollars for each begun hour in which a load has raised the capacity ([`Terms::boost`]), in addition.
    pub boost_usd_hour: f64,
    /// Dollars for the raised warm throughput ([`Terms::warm`]), paid once, in addition.
    pub warm_usd: f64,
    /// Dollars a month without polls: capacity and storage.
    pub idle_usd_month: f64,
    /// Additional dollars a month for polls, stream and handler.
    pub live_usd_month: f64,
    /// The provisioned capacities. `None` where it is paid by request.
    pub capacities: Option<Capacities>,
}

/// Makes the forecasts of the methods that are possible under the terms.
pub fn forecasts(workload: &Workload, terms: &Terms) -> Vec<Forecast> {
    let forecaster = Forecaster { workload, terms };
    let mut methods = Vec::new();
    if terms.capacities.is_some() {
        methods.extend([LoadMethod::Rows, LoadMethod::Packed]);
    }
    methods.extend([
        LoadMethod::RowsOnDemand,
        LoadMethod::PackedOnDemand,
        LoadMethod::Import,
    ]);
    if terms.free_tier {
        methods.extend([LoadMethod::RowsFree, LoadMethod::PackedFree]);
    }
    methods.push(LoadMethod::Original);
    methods
        .into_iter()
        .filter(|method| method.is_packed() || !terms.packed_only)
        .filter_map(|method| forecaster.forecast(method))
        .collect()
}

/// Makes forecasts of one workload.
struct Forecaster<'a> {
    workload: &'a Workload,
    terms: &'a Terms,
}

impl Forecaster<'_> {
    /// Makes the forecast of a method. `None` for blocks where these were not measured.
    fn forecast(&self, method: LoadMethod) -> Option<Forecast> {
        let Self { workload, terms } = self;
        let is_original = method == LoadMethod::Original;
        let mut items = if method.is_packed() {
            workload.blocks?
        } else {
            workload.items
        };
        if is_original {
            items.count_read_units = workload.whole_items_read_units;
            items.index_bytes = items.bytes;
            items.index_write_units = items
                .write_units
                .min(items.index_write_units.max(items.index_n));
        }
        let imported = method == LoadMethod::Import;
        let capacities = match method {
            LoadMethod::Rows | LoadMethod::Packed => Some(terms.capacities?),
            LoadMethod::RowsFree | LoadMethod::PackedFree => Some(self.free_split(&items)),
            LoadMethod::Original => Some(Capacities {
                index: Some(PROOF_OF_CONCEPT),
                trip_data: Some(PROOF_OF_CONCEPT),
                ..Capacities::each(Some(Units { write: 1, read: 1 }))
            }),
            LoadMethod::RowsOnDemand | LoadMethod::PackedOnDemand | LoadMethod::Import => None,
        };
        let (table, index) = if imported {
            (0.0, 0.0)
        } else {
            (items.write_units as f64, items.index_write_units as f64)
        };
        let counts = workload.origins as f64;
        // The original program had no ledger and no stream; now each origin's row in StationData is
        // written, and its count so far is read.
        let (ledger, stations, versions) = if is_original {
            (0.0, 0.0, 0.0)
        } else {
            (self.ledger_write_units(), counts, counts)
        };
        let at = capacities.unwrap_or_default();
        let is_given = matches!(method, LoadMethod::Rows | LoadMethod::Packed);
        let boost = terms.boost.filter(|_| is_given);
        let raised = boost.map_or(at, |write| at.raised(write));
        let is_on_demand = matches!(
            method,
            LoadMethod::RowsOnDemand | LoadMethod::PackedOnDemand
        );
        let warm = terms.warm.filter(|_| is_on_demand);
        let warmed = |units: u32| warm.map_or(units, |warm| warm.to.max(units));
        let trips_on_demand = Units {
            write: warmed(ON_DEMAND.write),
            ..ON_DEMAND
        };
        let on_demand = OfTables {
            trip_data: trips_on_demand,
            index: trips_on_demand,
            ..OfTables::each(ON_DEMAND)
        };
        let written = OfTables {
            trip_data: table,
            index,
            station_data: stations,
            counts,
            ledger,
        };
        let read = OfTables {
            index: items.count_read_units,
            counts: versions,
            ..OfTables::default()
        };
        let seconds_at = |units: f64,
                          (provisioned, on_demand): (Option<Units>, Units),
                          rate: fn(Units) -> u32| {
            let has_burst = provisioned.is_some() && !terms.busy;
            let burst_s = if has_burst { BURST_S } else { 0.0 };
            let a_second = rate(provisioned.unwrap_or(on_demand)).max(1);
            (units / f64::from(a_second) - burst_s).max(0.0)
        };
        let seconds = |units: f64, provisioned: Option<Units>, rate: fn(Units) -> u32| {
            seconds_at(units, (provisioned, ON_DEMAND), rate)
        };
        let write = |units: Units| units.write;
        // Counts are written by the refresh.
        let load_s = OfTables {
            counts: 0.0,
            ..written
        }
        .zip(raised.zip(on_demand));
        let load_s = load_s.all().map(|(units, at)| seconds_at(units, at, write));
        let refresh_s = [
            seconds(read.index, at.index, |units| units.read),
            seconds(written.counts, at.counts, write),
            seconds(read.counts, at.counts, |units| units.read),
        ];
        let longest = |seconds: &[f64]| seconds.iter().copied().fold(0.0, f64::max);
        let (load_s, refresh_s) = (longest(&load_s), longest(&refresh_s));
        let other = ledger + stations + counts;
        let read_units = items.count_read_units + versions;
        let prices = &terms.prices;
        let paid = capacities.map(|capacities| self.paid(&capacities));
        let requests = written.zip(read).zip(at).all().into_iter();
        let requests_usd: f64 = requests
            .filter(|(_, provisioned)| provisioned.is_none())
            .map(|((write, read), _)| prices.requests_usd(write, read))
            .sum();
        let capacity_usd = paid.map_or(0.0, |Units { write, read }| {
            prices.capacity_usd(write, read, (load_s + refresh_s) / 3600.0)
        });
        let more = self.paid(&raised).write - paid.map_or(0, |paid| paid.write);
        let once_usd = requests_usd + capacity_usd;
        let idle = paid.map_or(0.0, |Units { write, read }| {
            prices.capacity_usd(write, read, HOURS_A_MONTH)
        });
        let stored = items.stored_bytes() + workload.ledger_bytes;
        let import_bytes = if imported { workload.json_bytes } else { 0 };
        Some(Forecast {
            method,
            load_s: (!imported).then_some(load_s),
            refresh_s,
            table_write_units: table,
            index_write_units: index,
            other_write_units: other,
            read_units,
            once_usd: once_usd + prices.import_usd(import_bytes),
            boost_usd_hour: prices.capacity_usd(more, 0, 1.0),
            warm_usd: warm.map_or(0.0, |warm| prices.warm_usd(warm.raised_by())),
            idle_usd_month: idle + prices.storage_usd_month(stored),
            live_usd_month: self.live_usd(&at),
            capacities,
        })
    }

    fn ledger_write_units(&self) -> f64 {
        let Workload {
            ledger_bytes,
            ledger_replaced_bytes,
            ..
        } = self.workload;
        // A delete costs as much as a write.
        (ledger_bytes + 2 * ledger_replaced_bytes + LEDGER_NOTES).div_ceil(WRITE_UNIT_BYTES) as f64
    }

    fn stations(&self) -> f64 {
        let origins = self.workload.origins;
        self.terms.live.stations.unwrap_or(origins) as f64
    }

    /// Returns the units that are not free.
    fn paid(&self, capacities: &Capacities) -> Units {
        let units = capacities.sum();
        if !self.terms.free_tier {
            return units;
        }
        Units {
            write: units.write.saturating_sub(self.terms.prices.free_wcu),
            read: units.read.saturating_sub(self.terms.prices.free_rcu),
        }
    }

    /// Assigns the free units to the tables so that the slowest one takes as little time as
    /// possible.
    fn free_split(&self, items: &Items) -> Capacities {
        let Self { workload, terms } = self;
        let origins = workload.origins as f64;
        let live = &terms.live;
        // Later polls need a minimum.
        let polled = self.stations() * live.changed / live.every_s;
        let read = self.stations() * STATION_READ_UNITS / live.every_s.max(RESTART_S);
        let least = |rate: f64| (rate * 1.25).ceil().max(1.0) as u32;
        let writes = assign_units(
            terms.prices.free_wcu,
            [
                (items.write_units as f64, 1),
                (items.index_write_units as f64, 1),
                (origins, least(polled)),
                (origins, 1),
                (self.ledger_write_units(), 1),
            ],
        );
        let reads = assign_units(
            terms.prices.free_rcu,
            [
                (0.0, 1),
                (items.count_read_units, 1),
                (0.0, least(read)),
                (origins, least(polled)),
                (0.0, 1),
            ],
        );
        let units = |index: usize| {
            Some(Units {
                write: writes[index],
                read: reads[index],
            })
        };
        Capacities {
            trip_data: units(0),
            index: units(1),
            station_data: units(2),
            counts: units(3),
            ledger: units(4),
        }
    }

    /// Returns the cost of a month of polls. Provisioned capacity is paid for by the hour, and
    /// polls fit into it.
    fn live_usd(&self, capacities: &Capacities) -> f64 {
        let Terms { live, prices, .. } = self.terms;
        let polls = HOURS_A_MONTH * 3600.0 / live.every_s;
        let changed = self.stations() * live.changed;
        // Written are the times of the feed and the changed stations. The handler is not called: only
        // the state of stations changes.
        let starts = (live.every_s / RESTART_S).min(1.0);
        let requests = OfTables {
            station_data: (changed, starts * self.stations() * STATION_READ_UNITS),
            ledger: (1.0, POLL_LEDGER_READS),
            ..OfTables::default()
        };
        let requests = requests.zip(*capacities).all().into_iter();
        let requests_usd: f64 = requests
            .filter(|(_, provisioned)| provisioned.is_none())
            .map(|((write, read), _)| prices.requests_usd(polls * write, polls * read))
            .sum();
        let lambda = prices.lambda_usd_month(polls, polls * live.lambda_s * live.memory_gb);
        lambda + requests_usd
    }
}

/// Assigns units, one by one, to the table that takes longest with those that it has. `tables` are
/// the units that each has to consume, and its minimum a second, which it gets in any case.
pub(super) fn assign_units<const N: usize>(units: u32, tables: [(f64, u32); N]) -> [u32; N] {
    let mut assigned = tables.map(|(_, least)| least);
    for _ in assigned.iter().sum::<u32>()..units {
        let seconds = |index: &usize| tables[*index].0 / f64::from(assigned[*index]);
        let slowest = (0..N).max_by(|a, b| seconds(a).total_cmp(&seconds(b)));
        assigned[slowest.expect("there is a table")] += 1;
    }
    assigned
}
