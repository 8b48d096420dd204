//! Groups of station-hours: by station or area, weekday and hour.

use std::collections::{BTreeSet, HashMap};

use super::column::STATION_ID;
use super::dims::{Dim, WEEKDAYS};
use super::observed_time::LocalHour;
use super::{Column, Filter, Filters, Note, Question, Value, ValueKind, plural};
use crate::model::StationId;
use crate::store::StoreError;
use crate::tally::Parts;

/// The filters of reports on station-hours.
pub(super) const FILTERS: [Filter; 7] = [
    Filter::Dates,
    Filter::Station,
    Filter::Weekday,
    Filter::Hour,
    Filter::By,
    Filter::Top,
    Filter::Areas,
];

/// The dimensions by which they can be grouped.
pub(super) const DIMS: [Dim; 3] = [Dim::Station, Dim::Weekday, Dim::Hour];

/// A group. What it is not grouped by is `None`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey {
    pub(super) station_id: Option<StationId>,
    /// `None` also for stations in no area.
    area: Option<String>,
    /// 0 for Monday.
    weekday: Option<usize>,
    /// 0 to 23.
    hour: Option<usize>,
}

impl GroupKey {
    /// Lists the columns of a group.
    pub(super) fn columns() -> [Column; 5] {
        [
            STATION_ID.defined("the feed's id; empty over all stations"),
            Dim::Station.column().defined("the feed's name; empty over all stations"),
            Column::new("area", ValueKind::Text).defined(
                "the area of --areas in which the station lies; empty without that and for stations in none",
            ),
            Dim::Weekday.column().defined("the local weekday; empty over all weekdays"),
            Dim::Hour.column().defined("the local hour, 0 to 23; empty over all hours"),
        ]
    }

    /// Lists the values of these columns. `name` is that of the station.
    pub(super) fn values(self, name: Option<String>) -> [Value; 5] {
        [
            self.station_id.map(|id| id.as_str().to_owned()).into(),
            name.into(),
            self.area.into(),
            self.weekday.map(|day| WEEKDAYS[day]).into(),
            self.hour.map(|hour| hour as i64).into(),
        ]
    }
}

/// Which station-hours a report counts, and how it groups them.
pub(super) struct StationHours<'a> {
    filters: &'a Filters,
    /// The stations to count. `None` for all.
    selected: Option<BTreeSet<StationId>>,
    names: HashMap<StationId, String>,
    areas: HashMap<StationId, String>,
    by_station: bool,
}

impl<'a> StationHours<'a> {
    /// Reads the names and areas of all stations.
    pub(super) async fn read(question: &'a Question<'_>) -> Result<Self, StoreError> {
        let filters = question.filters;
        let known = question.known(Parts::NONE).await?;
        let places = question.places_of_feed(&known.totals).await?;
        let selected = question.resolve_places(&places, &known.totals);
        let selected = selected.map(|selected| {
            let selected = selected.into_iter();
            selected.map(|at| places[at].station_id.clone()).collect()
        });
        let (mut names, mut areas) = (HashMap::new(), HashMap::new());
        for place in &places {
            if let Some(name) = place.name(&known.totals) {
                names.insert(place.station_id.clone(), name.to_owned());
            }
            let position = place.position(&known.totals);
            if let Some((all, (latitude, longitude))) = filters.areas.as_ref().zip(position)
                && let Some(area) = all.find(latitude.to_f64(), longitude.to_f64())
            {
                areas.insert(place.station_id.clone(), area.to_owned());
            }
        }
        Ok(Self {
            by_station: filters.by.contains(&Dim::Station)
                || filters.by.is_empty() && filters.areas.is_none(),
            filters,
            selected,
            names,
            areas,
        })
    }

    /// Returns whether rows are of all hours together.
    pub(super) fn has_whole_weeks(&self) -> bool {
        let by = |dim| self.filters.by.contains(&dim);
        let is_narrowed = self.filters.weekdays.is_some() || self.filters.hours.is_some();
        !is_narrowed && !by(Dim::Weekday) && !by(Dim::Hour)
    }

    /// Returns whether a station is counted.
    pub(super) fn has_station(&self, station: &StationId) -> bool {
        self.selected
            .as_ref()
            .is_none_or(|only| only.contains(station))
    }

    /// Returns the group of a station in an hour. `None` where the filters leave the hour out.
    pub(super) fn key(&self, station: &StationId, hour_of_week: usize) -> Option<GroupKey> {
        let by = |dim| self.filters.by.contains(&dim);
        let (weekday, hour) = (hour_of_week / 24, hour_of_week % 24);
        let is_counted = self.filters.has_weekday(weekday as i32) && self.filters.has_hour(hour);
        is_counted.then(|| GroupKey {
            station_id: self.by_station.then(|| station.clone()),
            area: self.areas.get(station).cloned(),
            weekday: by(Dim::Weekday).then_some(weekday),
            hour: by(Dim::Hour).then_some(hour),
        })
    }

    /// Returns the group of a station in an hour of the calendar.
    pub(super) fn key_at(&self, station: &StationId, hour: LocalHour) -> Option<GroupKey> {
        self.key(station, hour.of_week)
            .filter(|_| self.has_station(station))
    }

    /// Returns the name of the station of a group.
    pub(super) fn name(&self, key: &GroupKey) -> Option<String> {
        self.names.get(key.station_id.as_ref()?).cloned()
    }

    /// Writes how many of the counted stations lie in no area. `None` for none, and without areas.
    pub(super) fn outside_note<'s>(
        &self,
        stations: impl IntoIterator<Item = &'s StationId>,
    ) -> Option<Note> {
        let areas = self.filters.areas.as_ref()?;
        let outside = stations
            .into_iter()
            .filter(|id| !self.areas.contains_key(*id));
        let outside = outside.count();
        (outside > 0).then(|| {
            Note::Warning(format!(
                "{} in no area of {}, or without a position",
                plural(outside as i64, "station"),
                areas.file()
            ))
        })
    }
}
