//! Scores of issued forecasts: probabilities beside observed shares.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::measures::rounded;
use super::{
    Column, Filter, Note, Picture, Question, Report, Row, Table, Value, ValueKind, plural,
};
use crate::forecast::{BinSum, BinSums, Follower, HORIZONS, bin};
use crate::outlook::{Bin, Event, Vehicles, parts};
use crate::store::StoreError;

/// How good the forecasts of the outlook were.
pub struct Calibration;

/// The forecasts of one event at one horizon: all of them, or those of similar probability.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationRow {
    /// Which bikes.
    pub vehicles: Vehicles,
    /// Minutes ahead.
    pub horizon_min: usize,
    /// The event.
    pub event: Event,
    /// The forecasts of similar probability. `None` for all of them.
    pub bin: Option<Bin>,
    /// The sums of these forecasts.
    pub sum: BinSum,
    /// All bins, which the Brier score is divided by. Empty in the row of one bin.
    pub bins: Vec<Bin>,
}

impl Row for CalibrationRow {
    fn columns() -> Vec<Column> {
        let score = |name| Column::new(name, ValueKind::Score);
        let share = |name| Column::new(name, ValueKind::Share);
        vec![
            Column::new("bikes_of", ValueKind::Text)
                .headed("which bikes")
                .defined("all bikes, ebike or classic: as in outlook"),
            Column::new("horizon_min", ValueKind::Ordinal)
                .headed("minutes ahead")
                .defined("minutes from the snapshot that the forecast was made from to the horizon"),
            Column::new("event", ValueKind::Text).defined(
                "empty_at or full_at the horizon; empty_within or full_within: in at least one snapshot until it, \
                 where it was not so at the start",
            ),
            share("forecast_from").spare(1).defined(
                "the lowest probability of the row; empty for all forecasts together",
            ),
            share("forecast_until").spare(1).defined("the probability that the row ends before"),
            share("forecast").defined("the mean probability of the forecasts"),
            share("observed").defined("the share of them whose event happened"),
            Column::new("n", ValueKind::Count).headed("forecasts").defined(
                "forecasts that are due and whose outcome is known: one a station and hour",
            ),
            Column::new("events", ValueKind::Count)
                .defined("those of them whose event happened"),
            score("brier").defined(
                "the mean square of the probability's error, 0 is best; this and the following are empty in rows of \
                 similar probabilities",
            ),
            score("skill_persistence").headed("skill").defined(
                "the share by which the Brier score is below that of the forecast that nothing changes",
            ),
            score("log_score").spare(2).defined("the mean of -ln p of what happened, 0 is best"),
            score("reliability").spare(3).defined(
                "the part of the Brier score due to shares that differ from the forecast probabilities, 0 is best",
            ),
            score("resolution").spare(3).defined(
                "the part by which the shares of the bins differ from each other, more is better",
            ),
            score("uncertainty").spare(3).defined(
                "the Brier score of always saying the overall share: brier is about reliability - resolution + \
                 uncertainty",
            ),
        ]
    }

    fn values(self) -> Vec<Value> {
        let n = self.sum.n.max(1) as f64;
        let mean = |sum: f64| rounded(sum / n, 1e6);
        let of_all = |value: Option<f64>| {
            let value = value.filter(|_| self.bin.is_none());
            Value::from(value.map(|value| rounded(value, 1e6)))
        };
        let wrong = self.sum.persistence_wrong as f64;
        let skill = (wrong > 0.0).then(|| 1.0 - self.sum.brier / wrong);
        let parts = parts(&self.bins);
        vec![
            self.vehicles.as_str().into(),
            (self.horizon_min as i64).into(),
            self.event.as_str().into(),
            self.bin.map(|bin| bin.from).into(),
            self.bin.map(|bin| bin.until).into(),
            mean(self.sum.probability).into(),
            mean(self.sum.happened as f64).into(),
            (self.sum.n as i64).into(),
            (self.sum.happened as i64).into(),
            of_all(Some(self.sum.brier / n)),
            of_all(skill),
            of_all(Some(self.sum.log_score / n)),
            of_all(parts.map(|parts| parts.reliability)),
            of_all(parts.map(|parts| parts.resolution)),
            of_all(parts.map(|parts| parts.uncertainty)),
        ]
    }
}

#[async_trait]
impl Report for Calibration {
    fn name(&self) -> &str {
        "calibration"
    }

    fn about(&self) -> &str {
        "how often the forecasts of outlook came true"
    }

    fn takes(&self) -> &'static [Filter] {
        &[Filter::Bike, Filter::Top, Filter::Horizon]
    }

    fn columns(&self) -> Vec<Column> {
        CalibrationRow::columns()
    }

    fn is_long(&self) -> bool {
        true
    }

    fn picture(&self) -> Option<Picture> {
        Some(Picture::Reliability)
    }

    fn reads_history(&self) -> bool {
        true
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let nothing = |note| Ok(Table::new(Vec::<CalibrationRow>::new(), vec![note]));
        if question.store.forecasts().is_none() {
            return nothing(Note::Warning(
                "this store keeps no record of forecasts: stores in a folder do".into(),
            ));
        }
        let follower = Follower::open(question.store, question.system).await?;
        let (Some(record), Some(since), Some(until)) =
            (follower.record(), follower.since(), follower.taken_at())
        else {
            return nothing(Note::Scope(
                "no forecast is recorded: divvy watch URL issues them".into(),
            ));
        };
        let filters = question.filters;
        let horizons: BTreeSet<usize> = filters.horizons.iter().map(|it| it.get().into()).collect();
        let asked = filters.vehicles();
        let all = record.over_all_days();
        let selected = all.iter().filter(|((vehicles, horizon, _), _)| {
            asked.is_none_or(|asked| asked == *vehicles)
                && (horizons.is_empty() || horizons.contains(horizon))
        });
        let (mut rows, mut of_bins) = (Vec::new(), Vec::new());
        for ((vehicles, horizon_min, event), sums) in selected {
            let row = |bin, sum, bins| CalibrationRow {
                vehicles: *vehicles,
                horizon_min: *horizon_min,
                event: *event,
                bin,
                sum,
                bins,
            };
            rows.push(row(None, all_of(sums), bins_of(sums)));
            let bins = sums.iter();
            of_bins.extend(bins.map(|(at, sum)| row(Some(bin(*at, sum)), *sum, Vec::new())));
        }
        let n: u64 = rows.iter().map(|row| row.sum.n).sum();
        rows.extend(of_bins);
        if n == 0 {
            let is_recorded = |horizon: &usize| HORIZONS.contains(horizon);
            let why = match follower.untrained() {
                Some(why) => format!(": {why}"),
                None if !horizons.is_empty() && !horizons.iter().any(is_recorded) => {
                    let recorded = HORIZONS.map(|horizon| horizon.to_string());
                    format!(": those of {} minutes are recorded", recorded.join(", "))
                }
                None => String::new(),
            };
            return nothing(Note::Scope(format!(
                "no such forecast has been due yet{why}"
            )));
        }
        let mut notes = vec![Note::Scope(format!(
            "{} due by {}, of the history since {}",
            plural(n as i64, "forecast"),
            question.instant(until),
            question.instant(since)
        ))];
        notes.push(Note::Scope(
            "Each station is forecast once an hour, as divvy report outlook does, and compared with the snapshots \
             after it"
                .into(),
        ));
        let cadence = follower.models().map(|models| models.cadence);
        notes.extend(cadence.and_then(super::outlook::coarse_snapshots));
        Ok(Table::new(rows, notes))
    }
}

fn all_of(sums: &BinSums) -> BinSum {
    let mut all = BinSum::default();
    sums.values().for_each(|sum| all.add(sum));
    all
}

fn bins_of(sums: &BinSums) -> Vec<Bin> {
    sums.iter().map(|(at, sum)| bin(*at, sum)).collect()
}
