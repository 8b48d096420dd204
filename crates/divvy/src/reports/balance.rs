//! Where bikes gather, and where they run out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;

use super::dims::{Dim, WEEKDAYS};
use super::largest::Largest;
use super::question::{Counted, nowhere};
use super::{
    Column, Filter, Filters, Kind, Note, Picture, Question, Report, Row, Shape, Table, Value,
    plural,
};
use crate::model::{Flag, StationId};
use crate::store::StoreError;
use crate::tally::Parts;

/// Departures and arrivals by station, weekday and hour.
pub struct Balance;

/// One station in one hour of the week, or in what is added up over several.
#[derive(Clone, Debug, PartialEq)]
pub struct BalanceRow {
    /// The feed's id, the trips' where no feed knows the station. `None` over all stations.
    pub station_id: Option<StationId>,
    /// The feed's name, else the trips' latest.
    pub name: Option<String>,
    /// 0 for Monday. `None` over all weekdays.
    pub weekday: Option<i32>,
    /// 0 to 23. `None` over all hours.
    pub hour: Option<i32>,
    /// Trips that start there and then.
    pub departures: i64,
    /// Trips that end there and then.
    pub arrivals: i64,
}

impl Row for BalanceRow {
    fn columns() -> Vec<Column> {
        vec![
            Column::new("station_id", Kind::Text).defined("the feed's id, the trips' where no feed knows the station; empty over all stations").spare(3),
            Column::new("name", Kind::Name).defined("the feed's name, else the latest that trips use"),
            Column::new("weekday", Kind::Text).defined("the local weekday on which the bike leaves or arrives; empty over all weekdays"),
            Column::new("hour", Kind::Ordinal).defined("the local hour in which the bike leaves or arrives, 0 to 23; empty over all hours"),
            Column::new("departures", Kind::Count).defined("stored trips that start there and then"),
            Column::new("arrivals", Kind::Count).defined("stored trips that end there and then"),
            Column::new("net", Kind::Count).defined("arrivals - departures: bikes gained"),
        ]
    }

    fn values(self) -> Vec<Value> {
        vec![
            self.station_id.map(|id| id.as_str().to_owned()).into(),
            self.name.into(),
            self.weekday.map(|day| WEEKDAYS[day as usize]).into(),
            self.hour.map(i64::from).into(),
            self.departures.into(),
            self.arrivals.into(),
            (self.arrivals - self.departures).into(),
        ]
    }
}

#[async_trait]
impl Report for Balance {
    fn name(&self) -> &str {
        "balance"
    }

    fn about(&self) -> &str {
        "departures, arrivals and their difference by station, weekday and hour"
    }

    fn takes(&self) -> &'static [Filter] {
        &Filter::ALL
    }

    fn groups_by(&self) -> &'static [Dim] {
        &[Dim::Station, Dim::Weekday, Dim::Hour]
    }

    fn columns(&self) -> Vec<Column> {
        BalanceRow::columns()
    }

    fn is_long(&self) -> bool {
        true
    }

    fn picture(&self) -> Option<Picture> {
        Some(Picture {
            shape: Shape::StationMap,
            across: "longitude",
            up: "net",
        })
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let filters = question.filters;
        // Weekday and hour are those of the event, and the station is the one that is shown.
        let picking = Filters {
            weekdays: None,
            hours: None,
            station: None,
            ..filters.clone()
        };
        let parts = Parts {
            station_hours: true,
            ..Parts::NONE
        };
        let dated = picking.from.is_some() || picking.to.is_some();
        let in_cube = !dated && picking.bike.is_none() && !question.reads_trips;
        let (known, cube, _, how) = question.cube(in_cube, parts, &picking, None).await?;
        let places = question.places(&known.totals).await?;
        let mut place_of: HashMap<&StationId, usize> = HashMap::new();
        let meant = question.meant(&places, &known.totals);
        let no_such_station = meant.as_ref().is_some_and(Vec::is_empty);
        for at in meant.unwrap_or_else(|| (0..places.len()).collect()) {
            place_of.extend(places[at].ids.iter().map(|(id, _)| (id, at)));
        }
        let by = |dim| filters.by.is_empty() || filters.by.contains(&dim);
        let (by_station, by_weekday, by_hour) = (by(Dim::Station), by(Dim::Weekday), by(Dim::Hour));
        // A place has a cell for each hour of the week, or for what is added up over several.
        let cell_of: Vec<Option<usize>> = (0..168)
            .map(|period| {
                let (weekday, hour) = (period / 24, period % 24);
                let wanted = filters.has_weekday(weekday as i32) && filters.has_hour(hour);
                let weekday = if by_weekday { weekday } else { 0 };
                wanted.then_some(weekday * 24 + if by_hour { hour } else { 0 })
            })
            .collect();
        let across = if by_station { places.len() } else { 1 };
        let mut dense = vec![[0_i64; 2]; across * 168];
        let mut net: BTreeMap<usize, [i64; 2]> = BTreeMap::new();
        cube.station_hours.kept().each(|station, rider, periods| {
            let Some(at) = place_of.get(station) else {
                return;
            };
            if !filters.has_rider(rider) {
                return;
            }
            let sums = net.entry(*at).or_default();
            let at = if by_station { *at } else { 0 };
            for (period, [departures, arrivals]) in periods {
                if let Some(cell) = cell_of[period.rem_euclid(168) as usize] {
                    let cell = &mut dense[at * 168 + cell];
                    cell[0] += departures;
                    cell[1] += arrivals;
                    sums[0] += departures;
                    sums[1] += arrivals;
                }
            }
        });
        let totals =
            (net.values()).fold([0; 2], |sum: [i64; 2], it| [sum[0] + it[0], sum[1] + it[1]]);
        // By how much they gain or lose; over all stations, in the order of the week.
        let most = question.shown();
        let mut largest = match by_station {
            true => Largest::new(most, |(at, [departures, arrivals]): &(usize, [i64; 2])| {
                (Reverse((arrivals - departures).abs()), *at)
            }),
            false => Largest::new(most, |(at, _)| (Reverse(0), *at)),
        };
        for cell in dense.into_iter().enumerate() {
            if cell.1 != [0, 0] {
                largest.add(cell);
            }
        }
        let all = largest.seen;
        let cells = largest.finish();
        let rows: Vec<BalanceRow> = cells
            .into_iter()
            .map(|(at, [departures, arrivals])| {
                let place = by_station.then(|| &places[at / 168]);
                let period = (at % 168) as i32;
                BalanceRow {
                    station_id: place.map(|place| place.id.clone()),
                    name: place.and_then(|place| place.name(&known.totals).map(str::to_owned)),
                    weekday: by_weekday.then_some(period / 24),
                    hour: by_hour.then_some(period % 24),
                    departures,
                    arrivals,
                }
            })
            .collect();
        let more = all - rows.len();
        let flags = &known.totals.flags;
        let lost = [Flag::NoOrigin, Flag::NoDestination].map(|flag| flags.get(flag));
        let counted = Counted {
            trips: None,
            how,
            known,
            no_such_station,
            with_origin: false,
        };
        let said = filters.to_string();
        let mut notes = question.scope(&counted, filters);
        if said.is_empty() {
            notes.extend(nowhere(lost));
        }
        let [departures, arrivals] = totals;
        let which = if said.is_empty() {
            said
        } else {
            format!(" ({said})")
        };
        notes.push(Note::Scope(format!(
            "{} and {} counted{which}, each at its own hour",
            plural(departures, "departure"),
            plural(arrivals, "arrival"),
        )));
        if all == 0 && counted.known.totals.trips != 0 && !counted.no_such_station {
            notes.push(Note::Warning(format!(
                "no departure or arrival matches{which}"
            )));
        }
        let mut table = Table::new(rows, notes).told(counted.how);
        table.more = more;
        table.map = Some(question.map(&places, &counted.known.totals, &net));
        Ok(table)
    }
}
