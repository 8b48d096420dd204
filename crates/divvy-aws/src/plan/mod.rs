//! What it takes to bring archives into DynamoDB, each way, before a byte is written.
//!
//! ```text
//!  sift ─► measure (every item weighed, every block made) ─► forecasts ─► a table to print
//! ```
//!
//! A load writes to several tables side by side: it takes as long as the slowest of them, which
//! has the burst of the last 300 seconds if it has been idle. Then the handler counts every origin
//! once: what it reads of the index and writes to FromStationCounts is a forecast of its own.

mod prices;
mod workload;

use divvy::reports::{Column, Kind, Note, Row, Table, Value, grouped, plural};

pub use prices::{HOURS_A_MONTH, NoPrices, Prices};
pub use workload::{Items, Workload, measure};

/// Seconds of unused capacity that a table keeps, at most:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/burst-adaptive-capacity.html>.
pub const BURST_S: f64 = 300.0;
/// Write and read units a second that a new on-demand table takes at once:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html>.
pub const ON_DEMAND: Units = Units {
    write: 4000,
    read: 12_000,
};
/// What the proof of concept gave its table, and again its index.
const SEED: Units = Units { write: 5, read: 5 };

/// Bytes of a row of StationData, about: what a poll reads of each.
const STATION_BYTES: f64 = 400.0;
/// Bytes that a read unit reads: polls must see the newest write.
const READ_UNIT: f64 = 4096.0;
/// Bytes that the ledger has beside totals and ids, about: state, entry, the load under way.
const LEDGER_NOTES: u64 = 8 * 1024;

/// Capacity units a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// For writes.
    pub write: u32,
    /// For reads.
    pub read: u32,
}

/// The provisioned capacity of everything that has one.
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
    /// The same for each table and for the index.
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

/// What stations do once they are polled, for what a month costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Live {
    /// Stations of the feed. `None` takes as many as there are origins.
    pub stations: Option<u64>,
    /// Seconds between two polls.
    pub every_s: f64,
    /// Share of the stations that changed between two polls, in more than their report time.
    pub changed: f64,
    /// Seconds that the poll and the handler run, together.
    pub lambda_s: f64,
    /// Their memory in gigabytes.
    pub memory_gb: f64,
}

impl Default for Live {
    /// A poll a minute. That one station in ten changes in a minute is an assumption; a busy system
    /// has more.
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

/// On what terms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// The capacity that tables have, or are to have. `None` where they are on demand.
    pub capacities: Option<Capacities>,
    /// The tables have not been idle for the last five minutes: nothing has been saved up.
    pub busy: bool,
    /// The free tier is there to be used, and nothing else uses it.
    pub free_tier: bool,
    /// Blocks are what is wanted: the ways of an item a trip are left out.
    pub packed_only: bool,
    /// What AWS charges.
    pub prices: Prices,
    /// What comes after the load.
    pub live: Live,
}

/// A way to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// An item a trip, at the capacity given.
    Rows,
    /// Blocks, at the capacity given.
    Packed,
    /// An item a trip, paid by request.
    RowsOnDemand,
    /// Blocks, paid by request.
    PackedOnDemand,
    /// An item a trip, within the free tier.
    RowsFree,
    /// Blocks, within the free tier.
    PackedFree,
    /// `divvy export`, and an import from S3.
    Import,
    /// As the proof of concept did it: an index of whole items, 5 units each.
    Seed,
}

impl Way {
    /// Returns what reports call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Packed => "packed",
            Self::RowsOnDemand => "rows, on demand",
            Self::PackedOnDemand => "packed, on demand",
            Self::RowsFree => "rows, free tier",
            Self::PackedFree => "packed, free tier",
            Self::Import => "S3 import",
            Self::Seed => "proof of concept",
        }
    }

    /// Returns the way that a load goes into tables that are there.
    pub fn of(packed: bool, on_demand: bool) -> Self {
        match (packed, on_demand) {
            (false, false) => Self::Rows,
            (true, false) => Self::Packed,
            (false, true) => Self::RowsOnDemand,
            (true, true) => Self::PackedOnDemand,
        }
    }

    fn is_packed(self) -> bool {
        matches!(self, Self::Packed | Self::PackedOnDemand | Self::PackedFree)
    }
}

/// What one way takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Which.
    pub way: Way,
    /// Seconds until all is written. `None` where AWS does not say: an import takes minutes.
    pub load_s: Option<f64>,
    /// Seconds until every count is refreshed after that.
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
    /// Dollars a month when nothing happens: capacity and storage.
    pub idle_usd_month: f64,
    /// Dollars a month more for polls, stream and handler.
    pub live_usd_month: f64,
    /// The capacity that this is for. `None` where it is paid by request.
    pub capacities: Option<Capacities>,
}

/// What all ways have in common.
struct Common<'a> {
    workload: &'a Workload,
    terms: &'a Terms,
}

/// Forecasts every way that is open under the terms.
pub fn forecasts(workload: &Workload, terms: &Terms) -> Vec<Forecast> {
    let common = Common { workload, terms };
    let mut ways = Vec::new();
    if terms.capacities.is_some() {
        ways.extend([Way::Rows, Way::Packed]);
    }
    ways.extend([Way::RowsOnDemand, Way::PackedOnDemand, Way::Import]);
    if terms.free_tier {
        ways.extend([Way::RowsFree, Way::PackedFree]);
    }
    ways.push(Way::Seed);
    ways.into_iter()
        .filter(|way| way.is_packed() || !terms.packed_only)
        .filter_map(|way| common.forecast(way))
        .collect()
}

impl Common<'_> {
    /// `None` for a way of which nothing was measured.
    fn forecast(&self, way: Way) -> Option<Forecast> {
        let Self { workload, terms } = self;
        let mut items = match way.is_packed() {
            true => workload.blocks?,
            false => workload.items,
        };
        if way == Way::Seed {
            items.count_read_units = workload.whole_items_read_units;
            items.index_bytes = items.bytes;
            items.index_write_units = items
                .write_units
                .min(items.index_write_units.max(items.index_n));
        }
        let imported = way == Way::Import;
        let capacities = match way {
            Way::Rows | Way::Packed => Some(terms.capacities?),
            Way::RowsFree | Way::PackedFree => Some(self.free_split(&items)),
            Way::Seed => Some(Capacities {
                index: SEED,
                trip_data: SEED,
                ..Capacities::each(Units { write: 1, read: 1 })
            }),
            Way::RowsOnDemand | Way::PackedOnDemand | Way::Import => None,
        };
        let (table, index) = match imported {
            true => (0.0, 0.0),
            false => (items.write_units as f64, items.index_write_units as f64),
        };
        // The proof of concept kept no ledger, and woke nothing.
        let (ledger, stations) = match way {
            Way::Seed => (0.0, 0.0),
            _ => (self.ledger_write_units(), workload.origins as f64),
        };
        let counts = workload.origins as f64;
        let versions = match way {
            Way::Seed => 0.0,
            // What is known of the count so far.
            _ => workload.origins as f64,
        };
        let at = capacities.unwrap_or(Capacities::each(ON_DEMAND));
        let saved_s = match capacities {
            Some(_) if !terms.busy => BURST_S,
            _ => 0.0,
        };
        let seconds =
            |units: f64, a_second: u32| (units / f64::from(a_second.max(1)) - saved_s).max(0.0);
        let load_s = [
            seconds(table, at.trip_data.write),
            seconds(index, at.index.write),
            seconds(ledger, at.ledger.write),
            seconds(stations, at.station_data.write),
        ];
        let refresh_s = [
            seconds(items.count_read_units, at.index.read),
            seconds(counts, at.counts.write),
            seconds(versions, at.counts.read),
        ];
        let longest = |seconds: &[f64]| seconds.iter().copied().fold(0.0, f64::max);
        let (load_s, refresh_s) = (longest(&load_s), longest(&refresh_s));
        let other = ledger + stations + counts;
        let read_units = items.count_read_units + versions;
        let prices = &terms.prices;
        let paid = capacities.map(|capacities| self.paid(&capacities));
        let once_usd = match paid {
            Some(Units { write, read }) => {
                prices.capacity_usd(write, read, (load_s + refresh_s) / 3600.0)
            }
            None => prices.requests_usd(table + index + other, read_units),
        };
        let idle = paid.map_or(0.0, |Units { write, read }| {
            prices.capacity_usd(write, read, HOURS_A_MONTH)
        });
        let stored = items.stored_bytes() + workload.ledger_bytes;
        Some(Forecast {
            way,
            load_s: (!imported).then_some(load_s),
            refresh_s,
            table_write_units: table,
            index_write_units: index,
            other_write_units: other,
            read_units,
            once_usd: match imported {
                true => once_usd + prices.import_usd(workload.json_bytes),
                false => once_usd,
            },
            idle_usd_month: idle + prices.storage_usd_month(stored),
            live_usd_month: self.live_usd(capacities.is_some()),
            capacities,
        })
    }

    fn ledger_write_units(&self) -> f64 {
        let Workload {
            ledger_bytes,
            ledger_replaced_bytes,
            ..
        } = self.workload;
        // What is deleted costs as much as what is written.
        (ledger_bytes + 2 * ledger_replaced_bytes + LEDGER_NOTES).div_ceil(1024) as f64
    }

    fn stations(&self) -> f64 {
        let origins = self.workload.origins;
        self.terms.live.stations.unwrap_or(origins) as f64
    }

    /// What of the capacity is to be paid for.
    fn paid(&self, capacities: &Capacities) -> Units {
        let Units { write, read } = capacities.sum();
        match self.terms.free_tier {
            true => Units {
                write: write.saturating_sub(self.terms.prices.free_wcu),
                read: read.saturating_sub(self.terms.prices.free_rcu),
            },
            false => Units { write, read },
        }
    }

    /// Deals the free units so that the slowest table is as quick as can be.
    fn free_split(&self, items: &Items) -> Capacities {
        let Self { workload, terms } = self;
        let origins = workload.origins as f64;
        let live = &terms.live;
        // Polls must not fall behind either.
        let polled = self.stations() * live.changed / live.every_s;
        let read = self.stations() * STATION_BYTES / READ_UNIT / live.every_s;
        let least = |rate: f64| (rate * 1.25).ceil().max(1.0) as u32;
        let writes = deal(
            terms.prices.free_wcu,
            [
                (items.write_units as f64, 1),
                (items.index_write_units as f64, 1),
                (origins, least(polled)),
                (origins, 1),
                (self.ledger_write_units(), 1),
            ],
        );
        let reads = deal(
            terms.prices.free_rcu,
            [
                (0.0, 1),
                (items.count_read_units, 1),
                (0.0, least(read)),
                (origins, least(polled)),
                (0.0, 1),
            ],
        );
        let units = |place: usize| Units {
            write: writes[place],
            read: reads[place],
        };
        Capacities {
            trip_data: units(0),
            index: units(1),
            station_data: units(2),
            counts: units(3),
            ledger: units(4),
        }
    }

    /// A month of polls. Provisioned capacity is paid for already; what polls take fits into it.
    fn live_usd(&self, provisioned: bool) -> f64 {
        let Terms { live, prices, .. } = self.terms;
        let polls = HOURS_A_MONTH * 3600.0 / live.every_s;
        let changed = self.stations() * live.changed;
        // What the feed was at, then what changed; the handler looks at the version of each.
        let writes = polls * (1.0 + changed);
        let reads = polls * (self.stations() * STATION_BYTES / READ_UNIT + changed);
        let lambda = prices.lambda_usd_month(2.0 * polls, polls * live.lambda_s * live.memory_gb);
        match provisioned {
            true => lambda,
            false => lambda + prices.requests_usd(writes, reads),
        }
    }
}

/// Deals units, one by one, to whatever takes longest with what it has. Each gets its least first,
/// also where that is more than there is.
fn deal<const N: usize>(units: u32, wants: [(f64, u32); N]) -> [u32; N] {
    let mut dealt = wants.map(|(_, least)| least);
    for _ in dealt.iter().sum::<u32>()..units {
        let seconds = |place: &usize| wants[*place].0 / f64::from(dealt[*place]);
        let slowest = (0..N).max_by(|a, b| seconds(a).total_cmp(&seconds(b)));
        dealt[slowest.expect("there is something to deal to")] += 1;
    }
    dealt
}

impl Row for Forecast {
    fn columns() -> Vec<Column> {
        vec![
            Column::new("way", Kind::Text),
            Column::new("load_s", Kind::Seconds),
            Column::new("refresh_s", Kind::Seconds).spare(2),
            Column::new("table_write_units", Kind::Count).spare(4),
            Column::new("index_write_units", Kind::Count).spare(5),
            Column::new("other_write_units", Kind::Count).spare(6),
            Column::new("read_units", Kind::Count).spare(3),
            Column::new("once_usd", Kind::Dollars),
            Column::new("idle_month_usd", Kind::Dollars),
            Column::new("live_month_usd", Kind::Dollars).spare(1),
        ]
    }

    fn values(self) -> Vec<Value> {
        let whole = |number: f64| Value::Integer(number.round() as i64);
        let cents = |dollars: f64| Value::Float((dollars * 100.0).round() / 100.0);
        vec![
            self.way.as_str().into(),
            self.load_s.map_or(Value::Empty, whole),
            whole(self.refresh_s),
            whole(self.table_write_units),
            whole(self.index_write_units),
            whole(self.other_write_units),
            whole(self.read_units),
            cents(self.once_usd),
            cents(self.idle_usd_month),
            cents(self.live_usd_month),
        ]
    }
}

/// Makes the table that `divvy plan` prints.
pub fn report(workload: &Workload, terms: &Terms) -> Table {
    let forecasts = forecasts(workload, terms);
    let notes = notes(workload, terms, &forecasts);
    Table::new(forecasts, notes)
}

fn notes(workload: &Workload, terms: &Terms, forecasts: &[Forecast]) -> Vec<Note> {
    let count = |n: u64| grouped(n as i64);
    let Terms { prices, live, .. } = terms;
    let mut scope = format!(
        "{} from {}, {} bytes an item on average; as JSON {} bytes",
        plural(workload.rows as i64, "trip"),
        plural(workload.origins as i64, "origin"),
        count(workload.items.bytes / workload.rows.max(1)),
        count(workload.json_bytes),
    );
    if let Some(blocks) = &workload.blocks {
        let a_trip = blocks.bytes as f64 / workload.rows.max(1) as f64;
        scope += &format!(
            "; packed {}, {a_trip:.1} bytes a trip",
            plural(blocks.n as i64, "block")
        );
    }
    if workload.copies > 0 {
        scope += &format!(
            "; {} left out",
            match workload.copies {
                1 => "1 copy".into(),
                n => format!("{} copies", count(n)),
            }
        );
    }
    let mut notes = vec![
        Note::Scope(scope),
        Note::Scope(format!(
            "LoadLedger keeps {} bytes, {} of them the cube that reports are answered from",
            count(workload.ledger_bytes),
            count(workload.cube_bytes),
        )),
        Note::Scope(format!(
            "prices of {} as of {}, without tax; storage beyond {} GB that are free",
            prices.region, prices.as_of, prices.free_storage_gb
        )),
        Note::Scope(format!(
            "live: a poll every {} s, {:.0} % of {} stations changed in each, {} s of Lambda with {} GB",
            live.every_s,
            100.0 * live.changed,
            count(live.stations.unwrap_or(workload.origins)),
            live.lambda_s,
            live.memory_gb,
        )),
        Note::Scope(
            "an S3 import takes minutes; how many, AWS does not promise; uploading is not counted"
                .into(),
        ),
    ];
    for forecast in forecasts {
        let split = matches!(forecast.way, Way::RowsFree | Way::PackedFree);
        if let Some(at) = forecast.capacities.filter(|_| split) {
            let units = |units: Units| format!("{}/{}", units.write, units.read);
            notes.push(Note::Scope(format!(
                "{} (write/read units): TripData {}, its index {}, StationData {}, \
                 FromStationCounts {}, LoadLedger {}",
                forecast.way.as_str(),
                units(at.trip_data),
                units(at.index),
                units(at.station_data),
                units(at.counts),
                units(at.ledger),
            )));
        }
    }
    notes
}

#[cfg(test)]
mod tests;
