//! The report of all stations: their trips and their last reported state.

mod matched;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use matched::Matched;

use super::column::STATION_ID;
use super::dims::Dim;
use super::measures::{Measure, rounded};
use super::places::Place;
use super::question::{CountedStations, FeedStates, no_history, unmatched};
use super::{
    Column, Filter, Filters, Note, Picture, Question, Report, Role, Row, Table, Value, ValueKind,
    plural,
};
use crate::history::StationState;
use crate::model::{Degrees, Station, StationAlias, StationId, StationSource};
use crate::store::{FromStationCount, StoreError};
use crate::tally::Totals;

/// Stations with their counts and their state.
pub struct Stations;

/// One station.
#[derive(Clone, Debug, PartialEq)]
pub struct StationRow {
    /// The feed's id; the trips' id for a station in no feed.
    pub station_id: StationId,
    /// The feed's name, otherwise the latest in the trips.
    pub name: Option<String>,
    /// As published; for a station in no feed, the mean of its trip ends.
    pub latitude: Option<Degrees>,
    /// See [`latitude`](Self::latitude).
    pub longitude: Option<Degrees>,
    /// Whether it can be used; [`NOT_IN_FEED`] where the newest snapshot lacks it. `None` where
    /// there is no feed.
    pub status: Option<String>,
    /// Vehicles that can be rented, e-bikes included.
    pub available_bikes: Option<u32>,
    /// E-bikes among them.
    pub available_ebikes: Option<u32>,
    /// Docks that accept a vehicle.
    pub available_docks: Option<u32>,
    /// Docks installed.
    pub total_docks: Option<u32>,
    /// When it last reported, RFC 3339.
    pub reported_at: Option<String>,
    /// Trips that start here.
    pub from_count: i64,
    /// Trips that end here.
    pub to_count: i64,
    /// Trips that start here for each day in service: those with any trip, from the first to the
    /// last with a trip that names the station. `None` without such a day.
    pub from_per_day: Option<f64>,
    /// Trips that start here for each dock installed. `None` if neither a feed nor a station list has the
    /// number of docks.
    pub from_per_dock: Option<f64>,
    /// The place: unlike the id, no two stations share it.
    pub place_id: StationId,
}

/// The status of a station that the newest snapshot lacks.
pub const NOT_IN_FEED: &str = "not in feed";

impl Row for StationRow {
    fn columns() -> Vec<Column> {
        let count = |name| Column::new(name, ValueKind::Count);
        vec![
            STATION_ID.defined("the feed's id; the trips' where no feed has the station"),
            Dim::Station.column(),
            Column::new("latitude", ValueKind::Degrees).defined("as published; where no feed states it, the mean of the trip ends there").spare(5),
            Column::new("longitude", ValueKind::Degrees).defined("as published; where no feed states it, the mean of the trip ends there").spare(5),
            Column::new("status", ValueKind::Text).defined("what the newest snapshot states; \"not in feed\" where it lacks the station; empty \
                 where there is no feed").spare(1),
            count("available_bikes").headed("bikes").defined("vehicles that can be rented, e-bikes included"),
            count("available_ebikes").headed("e-bikes").defined("e-bikes among them").spare(2),
            count("available_docks").headed("docks").defined("docks that accept a vehicle"),
            count("total_docks").headed("capacity").defined("docks installed; those of station lists where no feed states them").spare(2),
            Column::new("reported_at", ValueKind::Instant).headed("reported").defined("when the station last reported, by the system's clocks").spare(4),
            count("from_count").headed("departures").role(Role::Measure(Measure::Trips)).defined("stored trips that start here, at any of the station's ids"),
            Column::new("from_range", ValueKind::Text).headed("departure size").defined("XS below 10, S below 100, M below 1,500, L below 5,000, XL from there").spare(2),
            count("to_count").headed("arrivals").defined("stored trips that end here"),
            Column::new("to_range", ValueKind::Text).headed("arrival size").defined("as from_range").spare(2),
            Column::new("from_per_day", ValueKind::Rate).headed("departures per day").defined("from_count / days in service: those with any stored trip, from the first to the \
                 last with a trip that names the station, within the dates asked for").spare(6),
            Column::new("from_per_dock", ValueKind::Rate).headed("departures per dock").defined("from_count / total_docks").spare(6),
            Column::new("place_id", ValueKind::Text).defined("the place: unlike the id, no two stations share it; an addition in brackets \
                 where trips use the id for another station, too").spare(7),
        ]
    }

    fn values(self) -> Vec<Value> {
        let Self {
            station_id,
            name,
            latitude,
            longitude,
            status,
            available_bikes,
            available_ebikes,
            available_docks,
            total_docks,
            reported_at,
            from_count,
            to_count,
            from_per_day,
            from_per_dock,
            place_id,
        } = self;
        vec![
            station_id.as_str().into(),
            name.into(),
            latitude.into(),
            longitude.into(),
            status.into(),
            available_bikes.into(),
            available_ebikes.into(),
            available_docks.into(),
            total_docks.into(),
            reported_at.into(),
            from_count.into(),
            Range::of(from_count).as_str().into(),
            to_count.into(),
            Range::of(to_count).as_str().into(),
            from_per_day.into(),
            from_per_dock.into(),
            place_id.as_str().into(),
        ]
    }
}

/// How busy a station is, by its number of trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Range {
    /// Below 10.
    ExtraSmall,
    /// Below 100.
    Small,
    /// Below 1,500.
    Medium,
    /// Below 5,000.
    Large,
    /// From 5,000.
    ExtraLarge,
}

impl Range {
    /// Finds the range of a number of trips.
    pub fn of(trips: i64) -> Self {
        match trips {
            ..10 => Self::ExtraSmall,
            10..100 => Self::Small,
            100..1_500 => Self::Medium,
            1_500..5_000 => Self::Large,
            5_000.. => Self::ExtraLarge,
        }
    }

    /// Returns the size as on a shirt.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExtraSmall => "XS",
            Self::Small => "S",
            Self::Medium => "M",
            Self::Large => "L",
            Self::ExtraLarge => "XL",
        }
    }
}

#[async_trait]
impl Report for Stations {
    fn name(&self) -> &str {
        "stations"
    }

    fn about(&self) -> &str {
        "every station: departures and arrivals beside what it reports now"
    }

    fn takes(&self) -> &'static [Filter] {
        &[
            Filter::Dates,
            Filter::Rider,
            Filter::Bike,
            Filter::Station,
            Filter::Weekday,
            Filter::Hour,
            Filter::Top,
            Filter::AsOf,
        ]
    }

    fn is_long(&self) -> bool {
        true
    }

    fn picture(&self) -> Option<Picture> {
        Some(Picture::Ranking)
    }

    fn columns(&self) -> Vec<Column> {
        StationRow::columns()
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let Some(states) = question.feed_states().await? else {
            return Ok(Table::new(Vec::<StationRow>::new(), vec![no_history()]));
        };
        let CountedStations {
            counted,
            ends,
            unmatched: lost,
        } = question.by_station().await?;
        let known = &counted.known.totals;
        let kept = question.store.counts(&question.system.id).await?;
        let places = question.places_of(known, states.feed.as_ref()).await?;
        let selected = question.resolve_places(&places, known);
        let selected = selected.unwrap_or_else(|| (0..places.len()).collect());
        let shown = selected.into_iter().map(|index| &places[index]);
        let facts = Facts::new(question, known, &ends, &kept, &states);
        let mut rows: Vec<StationRow> = shown.map(|place| facts.row(place)).collect();
        rows.sort_by(|a, b| {
            let key = |row: &StationRow| Reverse(row.from_count);
            (key(a), &a.place_id).cmp(&(key(b), &b.place_id))
        });

        // The station picks rows here, not trips.
        let anywhere = Filters {
            station: None,
            ..question.filters.clone()
        };
        let mut notes = question.scope(&counted, &anywhere);
        notes.extend(unmatched(lost));
        if !question.filters.narrow_trips() {
            notes.extend(behind(known, &kept));
        }
        let mut how = String::new();
        notes.extend(states.notes);
        match (&states.feed, &question.filters.station) {
            (Some(feed), None) => {
                let matched = Matched::of(&places, known, &ends);
                notes.extend(matched.notes(question, feed));
                how = matched.by_key();
            }
            (None, _) if question.filters.as_of.is_none() => {
                notes.push(Note::Scope("no live data yet: divvy poll URL".into()));
            }
            _ => {}
        }
        let mut table = Table::new(rows, notes).counted_as(&counted, question.filters);
        table.how += &how;
        Ok(table)
    }
}

/// All that the rows are made from.
struct Facts<'a> {
    question: &'a Question<'a>,
    known: &'a Totals,
    /// Departures and arrivals by alias.
    ends: &'a HashMap<StationAlias, [i64; 2]>,
    /// The counts kept from the change stream, by id. `None` if the filters select some trips only.
    kept: Option<HashMap<&'a StationId, i64>>,
    /// How many aliases trips use for each id.
    aliases_of: HashMap<StationId, usize>,
    states: &'a FeedStates,
}

impl<'a> Facts<'a> {
    fn new(
        question: &'a Question<'a>,
        known: &'a Totals,
        ends: &'a HashMap<StationAlias, [i64; 2]>,
        kept: &'a [FromStationCount],
        states: &'a FeedStates,
    ) -> Self {
        let by_id = || {
            kept.iter()
                .map(|count| (&count.from_station_id, count.from_count as i64))
        };
        let mut aliases_of: HashMap<StationId, usize> = HashMap::new();
        for alias in known.stations.0.keys() {
            *aliases_of.entry(alias.id()).or_default() += 1;
        }
        Self {
            question,
            known,
            ends,
            aliases_of,
            kept: (!question.filters.narrow_trips()).then(|| by_id().collect()),
            states,
        }
    }

    fn row(&self, place: &Place) -> StationRow {
        let feed = self.states.feed.as_ref();
        let listed = feed.is_some_and(|feed| feed.listed.contains(&place.id));
        let listed = listed && place.is_of_feed();
        let station = place.station.as_ref();
        let live = station.filter(|_| listed);
        let reported_at = live.and_then(|station| station.reported_at);
        let state = live.map(|station| self.state(station)).unwrap_or_default();
        let status = match live {
            Some(_) => state.status.map(|status| status.to_string()),
            None => feed.map(|_| NOT_IN_FEED.to_owned()),
        };
        let (latitude, longitude) = place.position(self.known).unzip();
        let available = state.available;
        let from_count = self.departures(place);
        // The state of a station that lists alone have is not known.
        let is_of_lists = |station: &&Station| station.source == StationSource::List;
        let installed = live.or(station.filter(is_of_lists));
        let total_docks = installed.and_then(|station| station.capacity);
        StationRow {
            station_id: place.station_id.clone(),
            name: place.name(self.known).map(Into::into),
            latitude,
            longitude,
            status,
            available_bikes: available.vehicles,
            available_ebikes: available.ebikes,
            available_docks: available.docks,
            total_docks,
            // The history has no times of reports.
            reported_at: reported_at
                .filter(|_| self.states.by_station.is_none())
                .map(|at| self.question.instant(at)),
            from_count,
            to_count: place.aliases().map(|alias| self.ends(alias)[1]).sum(),
            from_per_day: rate(from_count, self.days_in_service(place)),
            from_per_dock: total_docks.and_then(|docks| rate(from_count, docks.into())),
            place_id: place.id.clone(),
        }
    }

    /// Returns the newest state of a station, or that of the instant asked for.
    fn state(&self, station: &Station) -> StationState {
        match &self.states.by_station {
            None => StationState::of(station, None),
            Some(states) => states.get(&station.id).cloned().unwrap_or_default(),
        }
    }

    /// Counts the departures of a place: from the counts that the change stream keeps, which are those of
    /// ids; where another place has an alias of the same id, from the trips' totals.
    fn departures(&self, place: &Place) -> i64 {
        let by_alias = |alias| self.ends(alias)[0];
        let Some(kept) = &self.kept else {
            return place.aliases().map(by_alias).sum();
        };
        let mut aliases_of: BTreeMap<StationId, Vec<&StationAlias>> = BTreeMap::new();
        for alias in place
            .aliases()
            .filter(|alias| self.known.stations.0.contains_key(*alias))
        {
            aliases_of.entry(alias.id()).or_default().push(alias);
        }
        let by_id = aliases_of.into_iter().map(|(id, aliases)| {
            if self.aliases_of.get(&id) == Some(&aliases.len()) {
                kept.get(&id).copied().unwrap_or(0)
            } else {
                aliases.into_iter().map(by_alias).sum()
            }
        });
        by_id.sum()
    }

    fn ends(&self, alias: &StationAlias) -> [i64; 2] {
        self.ends.get(alias).copied().unwrap_or_default()
    }

    /// Counts the days of a place that the filters let through.
    fn days_in_service(&self, place: &Place) -> i64 {
        let Some((first, last)) = place.days(self.known) else {
            return 0;
        };
        let filters = self.question.filters;
        let days = self.known.days.0.range(first..=last);
        days.filter(|(day, _)| filters.has_day(**day)).count() as i64
    }
}

/// Returns the quotient. `None` for a divisor of 0 or less.
fn rate(number: i64, each: i64) -> Option<f64> {
    (each > 0).then(|| rounded(number as f64 / each as f64, 1e3))
}

/// Warns if the counts kept from the change stream differ from the stored trips.
pub(super) fn behind(known: &Totals, kept: &[FromStationCount]) -> Option<Note> {
    let mut departures = known.stations.departures_by_id();
    for count in kept {
        let rest = departures.entry(count.from_station_id.clone()).or_default();
        *rest -= count.from_count as i64;
    }
    let behind = departures.values().filter(|rest| **rest != 0).count() as i64;
    let text = format!(
        "the counts of {} are behind the trips stored: divvy refresh brings them up to date",
        plural(behind, "station id")
    );
    (behind != 0).then_some(Note::Warning(text))
}
