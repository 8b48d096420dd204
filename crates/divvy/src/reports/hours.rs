//! When trips start and stop.

use async_trait::async_trait;

use super::{Column, Filter, Kind, Question, Report, Row, Table, Value};
use crate::store::StoreError;

/// Starts and stops by hour of the day.
pub struct Hours;

/// One hour of the local day, over all days.
#[derive(Clone, Debug, PartialEq)]
pub struct HourRow {
    /// 0 to 23.
    pub hour: i64,
    /// Trips that start in it.
    pub starts: i64,
    /// Trips that end in it.
    pub stops: i64,
}

impl Row for HourRow {
    fn columns() -> Vec<Column> {
        vec![
            Column::new("hour", Kind::Ordinal),
            Column::new("starts", Kind::Count),
            Column::new("stops", Kind::Count),
        ]
    }

    fn values(self) -> Vec<Value> {
        let Self {
            hour,
            starts,
            stops,
        } = self;
        vec![hour.into(), starts.into(), stops.into()]
    }
}

#[async_trait]
impl Report for Hours {
    fn name(&self) -> &'static str {
        "hours"
    }

    fn about(&self) -> &'static str {
        "trips that start and stop in each hour of the day"
    }

    fn takes(&self) -> &'static [Filter] {
        &[Filter::Dates, Filter::Rider, Filter::Bike, Filter::Station]
    }

    fn columns(&self) -> Vec<Column> {
        HourRow::columns()
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let counted = question.counted().await?;
        let rows = counted
            .asked
            .hours
            .0
            .iter()
            .zip(0..)
            .map(|(n, hour)| HourRow {
                hour,
                starts: n.starts,
                stops: n.stops,
            });
        Ok(Table::new(rows, question.scope(&counted)))
    }
}
