//! The duration and cost of loading archives into DynamoDB by each method, before anything is
//! written.
//!
//! ```text
//!  estimate_duplicates ─► measure (sizes of all items and blocks) ─► forecasts ─► report
//! ```
//!
//! A load writes to several tables in parallel and takes as long as the slowest of them; a table
//! that was idle has its burst capacity in addition. Then the handler of the stream counts every
//! origin once, reading the index and writing FromStationCounts: the refresh.

mod forecast;
mod price_list;
mod prices;
mod terms;
mod workload;

use divvy::reports::{Column, Note, Row, Table, Value, ValueKind, grouped, plural};

pub use forecast::{Forecast, forecasts};
pub use price_list::InvalidPriceList;
pub use prices::{HOURS_A_MONTH, InvalidPrices, Prices};
pub use terms::{Capacities, Live, LoadMethod, OfTables, Terms, Units, Warm};
pub use workload::{Items, Workload, measure};

pub use crate::pace::BURST_S;

impl Row for Forecast {
    fn columns() -> Vec<Column> {
        vec![
            Column::new("way", ValueKind::Text),
            Column::new("load_s", ValueKind::Seconds).headed("load time"),
            Column::new("refresh_s", ValueKind::Seconds)
                .headed("refresh time")
                .spare(2),
            Column::new("table_write_units", ValueKind::Count).spare(4),
            Column::new("index_write_units", ValueKind::Count).spare(5),
            Column::new("other_write_units", ValueKind::Count).spare(6),
            Column::new("read_units", ValueKind::Count).spare(3),
            Column::new("once_usd", ValueKind::Dollars).headed("to load"),
            Column::new("idle_month_usd", ValueKind::Dollars).headed("per month idle"),
            Column::new("live_month_usd", ValueKind::Dollars)
                .headed("per month polling")
                .spare(1),
        ]
    }

    fn values(self) -> Vec<Value> {
        let whole = |number: f64| Value::Integer(number.round() as i64);
        let cents = |dollars: f64| Value::Float((dollars * 100.0).round() / 100.0);
        vec![
            self.method.as_str().into(),
            self.load_s.map_or(Value::Empty, whole),
            whole(self.refresh_s),
            whole(self.table_write_units),
            whole(self.index_write_units),
            whole(self.other_write_units),
            whole(self.read_units),
            cents(self.once_usd + self.warm_usd),
            cents(self.idle_usd_month),
            cents(self.live_usd_month),
        ]
    }
}

/// Makes the table that `divvy plan` prints: a row for each method of loading.
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
    if let Some(warm) = &terms.warm {
        notes.push(Note::Scope(format!(
            "on demand: TripData and its index are warmed for {} write units a second, ${:.2} once, which is in \
             the dollars of the load",
            count(warm.to.into()),
            prices.warm_usd(warm.raised_by()),
        )));
    }
    for forecast in forecasts {
        let method = forecast.method;
        let split = matches!(method, LoadMethod::RowsFree | LoadMethod::PackedFree);
        if let Some(at) = forecast.capacities.filter(|_| split) {
            let units = |units: Option<Units>| match units {
                Some(units) => format!("{}/{}", units.write, units.read),
                None => "on demand".into(),
            };
            notes.push(Note::Scope(format!(
                "{} (write/read units): TripData {}, its index {}, StationData {}, \
                 FromStationCounts {}, LoadLedger {}",
                method.as_str(),
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
