//! The report of places: each station with the ids and names that trips, station lists and feeds use
//! for it.

use async_trait::async_trait;

use super::places::{Place, PlaceName};
use super::question::Counted;
use super::{Column, Filter, Note, Question, Report, Row, Table, Value, ValueKind, plural};
use crate::model::civil_date::date_of;
use crate::model::{Degrees, Position, StationAlias, StationId, StationSource, comparable_name};
use crate::stations::identity::{MatchKey, SAME_STATION_M};
use crate::store::StoreError;
use crate::tally::{Parts, Totals};

/// Places with their aliases.
pub struct Places;

/// One alias of a place.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceAliasRow {
    /// The place.
    pub place_id: StationId,
    /// Its name.
    pub name: Option<String>,
    /// Its position.
    pub position: Option<(Degrees, Degrees)>,
    /// What uses the alias: `feed`, `list` or `trips`.
    pub id_space: &'static str,
    /// The id there.
    pub id: StationId,
    /// The name there. `None` where none is stated.
    pub alias: Option<String>,
    /// The first day of a trip with it, ISO 8601. `None` where trips state no name, or use it not.
    pub first_seen: Option<String>,
    /// The last day.
    pub last_seen: Option<String>,
    /// What identified it. `None` for the place's own id and for places in no feed.
    pub matched_by: Option<&'static str>,
    /// Trips that start or end there under this alias.
    pub trips: i64,
    /// How strong the evidence for it is: `high`, `medium` or `low`. `None` for the place's own id.
    pub confidence: Option<&'static str>,
    /// The metres between the place and the mean of the trip ends. `None` where either is not known.
    pub distance_m: Option<i64>,
}

impl Row for PlaceAliasRow {
    fn columns() -> Vec<Column> {
        vec![
            Column::new("place_id", ValueKind::Text).defined("the place: unlike an id, no two stations share it").spare(6),
            Column::new("name", ValueKind::Name).defined("its name: the feed's, else the latest that trips use"),
            Column::new("latitude", ValueKind::Degrees).defined("its position: of the feed or a station list, else the mean of its trip ends").spare(5),
            Column::new("longitude", ValueKind::Degrees).defined("see latitude").spare(5),
            Column::new("id_space", ValueKind::Text).defined("what uses the alias: feed, list or trips"),
            Column::new("id", ValueKind::Text).defined("the id there"),
            Column::new("alias", ValueKind::Name).defined("the name there"),
            Column::new("first_seen", ValueKind::Date).defined("the first day of a trip with this id and name").spare(3),
            Column::new("last_seen", ValueKind::Date).defined("the last day").spare(3),
            Column::new("matched_by", ValueKind::Text).defined(
                "what identified it as this station of the feed: correction, station_id, short_name, \
                 legacy_id, name, or alias (another id or name of the station); empty for places in no feed",
            ),
            Column::new("trips", ValueKind::Count).defined("stored trips that start or end there under this alias; one that does both counts twice"),
            Column::new("confidence", ValueKind::Text).defined(
                "high: name and position agree with those of the place; medium: one of them agrees; low: \
                 neither, or they are not known",
            ).spare(1),
            Column::new("distance_m", ValueKind::Meters).defined("between the place and the mean of the trip ends").spare(4),
        ]
    }

    fn values(self) -> Vec<Value> {
        let (latitude, longitude) = self.position.unzip();
        vec![
            self.place_id.as_str().into(),
            self.name.into(),
            latitude.into(),
            longitude.into(),
            self.id_space.into(),
            self.id.as_str().into(),
            self.alias.into(),
            self.first_seen.into(),
            self.last_seen.into(),
            self.matched_by.into(),
            self.trips.into(),
            self.confidence.into(),
            self.distance_m.into(),
        ]
    }
}

#[async_trait]
impl Report for Places {
    fn name(&self) -> &str {
        "places"
    }

    fn about(&self) -> &str {
        "every station with the ids and names that trips, lists and feeds use for it, and why"
    }

    fn takes(&self) -> &'static [Filter] {
        &[Filter::Station, Filter::Top]
    }

    fn columns(&self) -> Vec<Column> {
        PlaceAliasRow::columns()
    }

    fn is_long(&self) -> bool {
        true
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let known = question.known(Parts::NONE).await?;
        let places = question.places(&known.totals).await?;
        let selected = question.resolve_places(&places, &known.totals);
        let counted = Counted {
            known,
            trips: None,
            how: "from the totals over all trips".into(),
            with_origin: false,
        };
        let known = &counted.known.totals;
        let selected = selected.unwrap_or_else(|| (0..places.len()).collect());
        let shown = selected.iter().map(|index| &places[*index]);
        let rows: Vec<PlaceAliasRow> = shown.flat_map(|place| rows_of(place, known)).collect();
        let mut notes = question.scope(&counted, question.filters);
        notes.push(Note::Scope(format!(
            "{}, known by {} of id and name",
            plural(selected.len() as i64, "place"),
            plural(rows.len() as i64, "pair"),
        )));
        Ok(Table::new(rows, notes).counted_as(&counted, question.filters))
    }
}

fn rows_of(place: &Place, known: &Totals) -> Vec<PlaceAliasRow> {
    let name = place.name(known).map(str::to_owned);
    let position = place.position(known);
    let at = position.as_ref().map(|(latitude, longitude)| Position {
        latitude: latitude.to_f64(),
        longitude: longitude.to_f64(),
    });
    let row = |id_space, id, alias| PlaceAliasRow {
        place_id: place.id.clone(),
        name: name.clone(),
        position: position.clone(),
        id_space,
        id,
        alias,
        first_seen: None,
        last_seen: None,
        matched_by: None,
        trips: 0,
        confidence: None,
        distance_m: None,
    };
    let stated = (place.station.iter())
        .filter(|station| station.source != StationSource::Trips)
        .map(|station| {
            row(
                station.source.as_str(),
                station.id.clone(),
                station.name.clone(),
            )
        });
    let used = place.names(known).into_iter();
    let used = used.map(|PlaceName { aliases, key }| {
        let totals = known.stations.sum(aliases.iter().copied());
        let alias = aliases[0];
        let mut latest = aliases.iter().filter_map(|alias| known.names.latest(alias));
        let published = latest.next().or(alias.name());
        let mean = (known.stations).position(aliases.iter().copied(), SAME_STATION_M);
        let distance_m = mean.zip(at).map(|(mean, at)| mean.distance_m(at));
        let (first, last) = known.names.days_of(aliases.iter().copied()).unzip();
        let confidence = confidence(alias, name.as_deref(), distance_m, key);
        PlaceAliasRow {
            first_seen: first.map(|day| date_of(day).to_string()),
            last_seen: last.map(|day| date_of(day).to_string()),
            matched_by: key.map(MatchKey::as_str),
            trips: totals.departures + totals.arrivals,
            confidence: Some(confidence),
            distance_m: distance_m.map(|m| m.round() as i64),
            ..row("trips", alias.id(), published.map(str::to_owned))
        }
    });
    stated.chain(used).collect()
}

/// Returns how strong the evidence for an alias is, in a word.
fn confidence(
    alias: &StationAlias,
    name: Option<&str>,
    distance_m: Option<f64>,
    key: Option<MatchKey>,
) -> &'static str {
    let has_name = name.and_then(comparable_name).as_deref() == alias.name();
    let name_agrees = alias.name().is_some() && has_name;
    let is_near = distance_m.is_some_and(|m| m <= SAME_STATION_M);
    match (key, name_agrees, is_near) {
        (Some(MatchKey::Correction), ..) | (_, true, true) => "high",
        (_, true, false) | (_, false, true) => "medium",
        (_, false, false) => "low",
    }
}
