//! The outlook: how likely each station is to be empty or full, minutes to hours ahead.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::SignedDuration;

use super::column::STATION_ID;
use super::dims::Dim;
use super::gaps::SHORTEST_GAP;
use super::measures::rounded;
use super::question::{length, no_history};
use super::{Column, Filter, Note, Question, Report, Row, Table, Value, ValueKind, plural};
use crate::forecast::{DAYS, Follower, HORIZONS, Models};
use crate::history::{AsOf, StationState};
use crate::model::{StationId, StationStatus};
use crate::outlook::{Cadence, Claim, Event, Reading, Vehicles};
use crate::store::StoreError;
use crate::tally::Parts;

/// How likely stations are to be empty or full.
pub struct Outlook;

/// The age above which that of a feed is not written to the hour.
const LONG_AGO: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The outlook of one station, for a group of vehicles at one horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct OutlookRow {
    /// The feed's id.
    pub station_id: StationId,
    /// The feed's name.
    pub name: Option<String>,
    /// Which bikes.
    pub vehicles: Vehicles,
    /// What the station has now.
    pub now: Reading,
    /// The forecast.
    pub claim: Claim,
    /// The number of bikes of the filters.
    pub need: usize,
    /// The median interval between the snapshots that the models were trained on, in minutes. `None` where
    /// it is not coarse.
    pub coarse_interval_min: Option<usize>,
}

impl OutlookRow {
    /// Returns the largest probability of being empty or full.
    fn risk(&self) -> f64 {
        let events = self.claim.events.iter().flatten();
        events.fold(0.0, |most: f64, p| most.max(*p))
    }
}

impl Row for OutlookRow {
    fn columns() -> Vec<Column> {
        let share = |name, words| Column::new(name, ValueKind::Share).headed(words);
        vec![
            STATION_ID.defined("the feed's id"),
            Dim::Station.column().defined("the feed's name"),
            Column::new("bikes_of", ValueKind::Text).headed("which bikes").defined(
                "all bikes, ebike or classic: the last two where the feed counts e-bikes",
            ),
            Column::new("bikes", ValueKind::Count)
                .headed("bikes now")
                .defined("bikes of this kind that can be rented in the newest snapshot"),
            Column::new("docks", ValueKind::Count)
                .headed("docks now")
                .spare(2)
                .defined("docks that accept a bike in the newest snapshot"),
            Column::new("horizon_min", ValueKind::Ordinal)
                .headed("minutes ahead")
                .defined("minutes from the newest snapshot to the horizon"),
            share("p_empty", "empty then")
                .defined("the probability that there is no bike of this kind at the horizon"),
            share("p_empty_within", "empty until then").defined(
                "the probability that there is none in at least one minute until the horizon; empty where \
                 there is none now",
            ),
            share("p_full", "full then").spare(1).defined(
                "the probability that no dock is free at the horizon; empty for one kind of bikes, and where \
                 the station has no docks",
            ),
            share("p_full_within", "full until then").spare(1).defined(
                "the probability that no dock is free in at least one minute until the horizon; empty also where \
                 none is free now",
            ),
            Column::new("expected_bikes", ValueKind::Rate)
                .spare(3)
                .defined("the mean number of bikes of this kind at the horizon"),
            share("p_need", "enough bikes").defined(
                "the probability that there are as many bikes of this kind at the horizon as --need states, or at least one",
            ),
            Column::new("distribution", ValueKind::Distribution).defined(
                "the probabilities of 0, 1, 2 and so on bikes of this kind at the horizon, as an array; tables leave \
                 it out",
            ),
            Column::new("coarse_interval_min", ValueKind::Ordinal)
                .headed("minutes between snapshots")
                .spare(4)
                .defined(
                    "the median of the minutes between the snapshots that the models were trained on, where it is 15 \
                     or more: p_empty_within and p_full_within are then too low; empty where it is not",
                ),
        ]
    }

    fn values(self) -> Vec<Value> {
        let p = |event| {
            let probability = self.claim.probability(event);
            Value::from(probability.map(|p| rounded(p, 1e6)))
        };
        vec![
            self.station_id.as_str().into(),
            self.name.clone().into(),
            self.vehicles.as_str().into(),
            u32::from(self.now.bikes).into(),
            u32::from(self.now.docks).into(),
            (self.claim.horizon_min as i64).into(),
            p(Event::EmptyAt),
            p(Event::EmptyWithin),
            p(Event::FullAt),
            p(Event::FullWithin),
            rounded(self.claim.expected(), 1e3).into(),
            rounded(self.claim.at_least(self.need), 1e6).into(),
            Value::Distribution(self.claim.bikes.iter().map(|p| rounded(*p, 1e6)).collect()),
            self.coarse_interval_min
                .map(|minutes| minutes as i64)
                .into(),
        ]
    }
}

#[async_trait]
impl Report for Outlook {
    fn name(&self) -> &str {
        "outlook"
    }

    fn about(&self) -> &str {
        "how likely stations are to be empty or full, minutes to hours ahead"
    }

    fn takes(&self) -> &'static [Filter] {
        &[
            Filter::Bike,
            Filter::Station,
            Filter::Top,
            Filter::Horizon,
            Filter::Arrive,
            Filter::Need,
        ]
    }

    fn columns(&self) -> Vec<Column> {
        OutlookRow::columns()
    }

    fn is_long(&self) -> bool {
        true
    }

    fn reads_history(&self) -> bool {
        true
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let nothing = |note| Ok(Table::new(Vec::<OutlookRow>::new(), vec![note]));
        let Some(history) = question.store.history() else {
            return nothing(no_history());
        };
        let mut follower = Follower::open(question.store, question.system).await?;
        follower.follow(question.store).await?;
        let Some(taken_at) = follower.taken_at() else {
            return nothing(Note::Scope(
                "no snapshot with states is stored: divvy watch URL polls them".into(),
            ));
        };
        let Some(models) = follower.models() else {
            let why = follower.untrained().unwrap_or("there is no model");
            return nothing(Note::Warning(format!("no forecast: {why}")));
        };
        let Some(now) = history.as_of(&question.system.id, taken_at).await? else {
            return nothing(no_history());
        };
        let known = question.known(Parts::NONE).await?;
        let places = question.places_of_feed(&known.totals).await?;
        let selected = question.resolve_places(&places, &known.totals);
        let selected: Option<BTreeSet<&StationId>> =
            selected.map(|at| at.into_iter().map(|at| &places[at].station_id).collect());
        let is_selected = |id: &StationId| selected.as_ref().is_none_or(|ids| ids.contains(id));
        let named: BTreeMap<&StationId, _> = places
            .iter()
            .map(|place| (&place.station_id, place))
            .collect();
        let groups = models.groups.iter().map(|group| group.vehicles);
        let asked = question.filters.vehicles();
        let groups: Vec<Vehicles> = groups
            .filter(|group| asked.is_none_or(|asked| asked == *group))
            .collect();
        if let Some(asked) = asked.filter(|asked| !groups.contains(asked)) {
            return nothing(Note::Scope(format!(
                "the feed does not count bikes of the kind {}",
                asked.as_str()
            )));
        }
        let horizons = horizons(question, models);
        let cadence = models.cadence;
        let coarse_interval_min = cadence.is_coarse().then_some(cadence.interval);
        let mut stations: Vec<Vec<OutlookRow>> = Vec::new();
        let mut left_out: BTreeMap<&str, i64> = BTreeMap::new();
        for (id, state) in now.states.iter().filter(|(id, _)| is_selected(id)) {
            let name = named.get(id).and_then(|place| place.name(&known.totals));
            let forecasts = follower.claims_of_groups(id, &groups, &horizons);
            let rows = forecasts.into_iter().flat_map(|of_group| {
                let claims = of_group.claims.into_iter();
                claims.map(move |claim| (of_group.vehicles, of_group.now, claim))
            });
            let rows: Vec<OutlookRow> = rows
                .map(|(vehicles, now, claim)| OutlookRow {
                    station_id: id.clone(),
                    name: name.map(str::to_owned),
                    vehicles,
                    now,
                    claim,
                    need: question.filters.need.unwrap_or(1) as usize,
                    coarse_interval_min,
                })
                .collect();
            match rows.is_empty() {
                true => *left_out.entry(why_not(state)).or_default() += 1,
                false => stations.push(rows),
            }
        }
        let risk = |rows: &[OutlookRow]| rows.iter().map(OutlookRow::risk).fold(0.0, f64::max);
        stations.sort_by(|a, b| risk(b).total_cmp(&risk(a)));
        let notes = notes(
            question,
            (&now, models, follower.left_out()),
            stations.len(),
            &left_out,
            &horizons,
        );
        Ok(Table::new(stations.into_iter().flatten(), notes))
    }
}

/// Returns the horizons of the filters, ascending; those that are trained without any.
fn horizons(question: &Question<'_>, models: &Models) -> Vec<usize> {
    let filters = question.filters;
    let asked = filters.horizons.iter().chain(&filters.arrive);
    let asked: BTreeSet<usize> = asked.map(|minutes| usize::from(minutes.get())).collect();
    match asked.is_empty() {
        true => match models.group(Vehicles::All) {
            Some(group) => group.model.horizons().to_vec(),
            None => HORIZONS.to_vec(),
        },
        false => asked.into_iter().collect(),
    }
}

/// Returns why a station has no forecast.
fn why_not(state: &StationState) -> &'static str {
    let available = &state.available;
    match (available.vehicles, available.docks) {
        _ if !StationStatus::is_in_service(state.status.as_ref()) => "out of service",
        (None, _) | (_, None) => "without a number of bikes or docks",
        (Some(0), Some(0)) => "without any bike or dock",
        _ => "without free docks or bikes of that kind",
    }
}

fn notes(
    question: &Question<'_>,
    (now, models, faults): (&AsOf, &Models, usize),
    stations: usize,
    left_out: &BTreeMap<&str, i64>,
    horizons: &[usize],
) -> Vec<Note> {
    let made = question.instant(now.snapshot.taken_at);
    let mut notes = vec![Note::Scope(format!(
        "{}, from the snapshot made {made}; {}",
        plural(stations as i64, "station"),
        trained(question, models)
    ))];
    let age = question.now.duration_since(now.snapshot.taken_at);
    let usual = SignedDuration::from_mins(5 * models.cadence.interval as i64);
    if age > usual.max(SHORTEST_GAP) {
        let followed = if faults > 0 { " without a fault" } else { "" };
        let age = match age > LONG_AGO {
            true => "more than 30 days".to_owned(),
            false => length(age),
        };
        notes.push(Note::Warning(format!(
            "the newest snapshot{followed} is {age} old: minutes ahead count from it, {made}"
        )));
    }
    if faults > 0 {
        notes.push(Note::Warning(format!(
            "{} left out: most stations have lost all bikes, or all free docks, at once",
            match faults {
                1 => "the snapshot after it is".to_owned(),
                n => format!("the {n} snapshots after it are"),
            }
        )));
    }
    if !left_out.is_empty() {
        let all: i64 = left_out.values().sum();
        let reasons = left_out.iter().map(|(why, n)| format!("{n} {why}"));
        notes.push(Note::Scope(format!(
            "{} not forecast: {}",
            plural(all, "station"),
            reasons.collect::<Vec<_>>().join(", ")
        )));
    }
    notes.extend(coarse_snapshots(models.cadence));
    notes.extend(untrained_horizons(models, horizons));
    notes.push(Note::Scope(
        "How often such forecasts came true: divvy report calibration".into(),
    ));
    notes
}

/// Writes what the models were trained on.
fn trained(question: &Question<'_>, models: &Models) -> String {
    let until = question.instant(models.until);
    let days = match models.days as i64 {
        days if days < DAYS => format!("{} of {DAYS} days", days),
        days => plural(days, "day"),
    };
    let thinned = match models.step_min {
        0 | 1 => String::new(),
        step => format!(", one in {step} minutes"),
    };
    format!(
        "trained on {} of {days} until {until}{thinned}",
        plural(models.snapshots as i64, "snapshot")
    )
}

/// Writes that snapshots are too far apart for what riders do between them. `None` where they are not.
pub(super) fn coarse_snapshots(cadence: Cadence) -> Option<Note> {
    cadence.is_coarse().then(|| {
        Note::Warning(format!(
            "snapshots are {} minutes apart: bikes that come and go between two of them are not seen. Stations are \
             empty or full in at least one minute until a horizon more often than forecast: 1.4 to 3 times as often where \
             that was measured (docs/OUTLOOK.md)",
            cadence.interval
        ))
    })
}

/// Writes which horizons are corrected as others are.
fn untrained_horizons(models: &Models, horizons: &[usize]) -> Option<Note> {
    let trained = models.group(Vehicles::All)?.model.horizons();
    let others = horizons.iter().filter(|horizon| !trained.contains(horizon));
    let others: Vec<String> = others.map(ToString::to_string).collect();
    let trained: Vec<String> = trained.iter().map(ToString::to_string).collect();
    (!others.is_empty()).then(|| {
        Note::Scope(format!(
            "Forecasts of {} minutes are calibrated as those of {}: between two of them interpolated, else as the \
             nearest",
            others.join(", "),
            trained.join(", ")
        ))
    })
}
