//! Who rides what.

use std::cmp::Reverse;

use async_trait::async_trait;

use super::{Column, Filter, Kind, Question, Report, Row, Table, Value};
use crate::store::StoreError;

/// Trips by rider and kind of bike.
pub struct Riders;

/// One kind of rider on one kind of bike.
#[derive(Clone, Debug, PartialEq)]
pub struct RiderRow {
    /// Who rides.
    pub rider: String,
    /// The kind of bike, as published. `None` where the files state none.
    pub bike: Option<String>,
    /// How many trips.
    pub trips: i64,
    /// Their share of the counted trips, from 0 to 1.
    pub share: f64,
}

impl Row for RiderRow {
    fn columns() -> Vec<Column> {
        vec![
            Column::new("rider", Kind::Text),
            Column::new("bike", Kind::Text),
            Column::new("trips", Kind::Count),
            Column::new("share", Kind::Share),
        ]
    }

    fn values(self) -> Vec<Value> {
        vec![
            self.rider.into(),
            self.bike.into(),
            self.trips.into(),
            ((self.share * 1e6).round() / 1e6).into(),
        ]
    }
}

#[async_trait]
impl Report for Riders {
    fn name(&self) -> &'static str {
        "riders"
    }

    fn about(&self) -> &'static str {
        "trips by kind of rider and kind of bike"
    }

    fn takes(&self) -> &'static [Filter] {
        &[Filter::Dates, Filter::Rider, Filter::Bike, Filter::Station]
    }

    fn columns(&self) -> Vec<Column> {
        RiderRow::columns()
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let counted = question.counted().await?;
        let all = counted.asked.trips as f64;
        let by_kind = counted.asked.riders.0.iter();
        let mut rows: Vec<RiderRow> = by_kind
            .map(|((rider, bike), trips)| RiderRow {
                rider: rider.as_str().to_owned(),
                bike: (!bike.is_empty()).then(|| bike.to_string()),
                trips: *trips,
                share: *trips as f64 / all,
            })
            .collect();
        rows.sort_by_key(|row| Reverse(row.trips)); // stable: equal ones stay in their order
        Ok(Table::new(rows, question.scope(&counted)))
    }
}
