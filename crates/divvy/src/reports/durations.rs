//! How long trips take.

use async_trait::async_trait;

use super::question::left_out;
use super::{Column, Filter, Kind, Question, Report, Row, Table, Value};
use crate::model::Flags;
use crate::store::StoreError;
use crate::tally::Spread;

/// The spread of durations by rider.
pub struct Durations;

/// The durations of one kind of rider, or of all.
#[derive(Clone, Debug, PartialEq)]
pub struct DurationRow {
    /// Who rides; `all` in the last row.
    pub rider: String,
    /// Their spread, in seconds.
    pub spread: Spread,
}

impl Row for DurationRow {
    fn columns() -> Vec<Column> {
        let seconds = |name| Column::new(name, Kind::Seconds);
        vec![
            Column::new("rider", Kind::Text),
            Column::new("trips", Kind::Count),
            seconds("min_s").spare(2),
            seconds("mean_s"),
            seconds("median_s"),
            seconds("p90_s"),
            seconds("p99_s").spare(1),
            seconds("max_s").spare(2),
        ]
    }

    fn values(self) -> Vec<Value> {
        let Spread {
            trips,
            min_s,
            mean_s,
            median_s,
            p90_s,
            p99_s,
            max_s,
        } = self.spread;
        vec![
            self.rider.into(),
            trips.into(),
            min_s.into(),
            ((mean_s * 1e3).round() / 1e3).into(),
            median_s.into(),
            p90_s.into(),
            p99_s.into(),
            max_s.into(),
        ]
    }
}

#[async_trait]
impl Report for Durations {
    fn name(&self) -> &'static str {
        "durations"
    }

    fn about(&self) -> &'static str {
        "how long trips take, by rider: mean, median, tails"
    }

    fn takes(&self) -> &'static [Filter] {
        &[Filter::Dates, Filter::Rider, Filter::Bike, Filter::Station]
    }

    fn columns(&self) -> Vec<Column> {
        DurationRow::columns()
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let counted = question.counted().await?;
        let durations = &counted.asked.durations;
        let riders = durations.riders().map(Some).chain([None]);
        let rows = riders.filter_map(|rider| {
            Some(DurationRow {
                rider: rider.map_or("all", |rider| rider.as_str()).to_owned(),
                spread: durations.spread(rider)?,
            })
        });
        let flags = &counted.asked.flags;
        let mut notes = question.scope(&counted);
        notes.extend(left_out(
            Flags::IMPLAUSIBLE_DURATION,
            flags.implausible_durations,
            flags,
        ));
        Ok(Table::new(rows, notes))
    }
}
