//! Values of filters that no stored trip or station has.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::outlook::Vehicles;
use crate::reports::places::{self, Place};
use crate::reports::{Filter, Question, Report, UnknownValue};
use crate::store::StoreError;
use crate::tally::{Parts, Totals};

/// How many stations are suggested.
const SUGGESTIONS: usize = 5;

impl Question<'_> {
    /// Finds a value of the filters that no stored trip or station of the system has, whatever the
    /// other filters let through. `None` if each has some, or nothing is stored.
    pub(in crate::reports) async fn unknown_value(
        &self,
        report: &dyn Report,
    ) -> Result<Option<UnknownValue>, StoreError> {
        let filters = self.filters;
        if filters.rider.is_none() && filters.bike.is_none() && filters.station.is_none() {
            return Ok(None);
        }
        let known = self.known(Parts::NONE).await?.totals;
        let unknown = match report.reads_history() {
            true => self.unknown_vehicles(),
            false => self.unknown_word(&known),
        };
        if unknown.is_some() {
            return Ok(unknown);
        }
        let Some(text) = &filters.station else {
            return Ok(None);
        };
        let places = self.places(&known).await?;
        if places.is_empty() || !places::resolve_places(&places, text, &known).is_empty() {
            return Ok(None);
        }
        if filters.as_of.is_some() || report.reads_history() {
            let past = self.places_of_the_past(&known).await?;
            if self
                .resolve_places(&past, &known)
                .is_some_and(|it| !it.is_empty())
            {
                return Ok(None);
            }
        }
        Ok(Some(unknown_station(text, &places, &known)))
    }

    /// Finds a kind of bike that no feed counts by itself.
    fn unknown_vehicles(&self) -> Option<UnknownValue> {
        let bike = self.filters.bike.as_ref()?;
        self.filters.vehicles().is_none().then(|| UnknownValue {
            filter: Filter::Bike,
            value: bike.clone(),
            known: Vehicles::ALL.map(|it| it.as_str().to_owned()).into(),
            containing: 0,
            is_of_feed: true,
        })
    }

    fn unknown_word(&self, known: &Totals) -> Option<UnknownValue> {
        let kinds = &known.riders.0;
        let words = |words: BTreeSet<&str>| {
            let stated = words.into_iter().filter(|word| !word.is_empty());
            stated.map(str::to_owned).collect()
        };
        if kinds.is_empty() {
            return None;
        }
        if let Some(rider) = &self.filters.rider
            && !kinds.keys().any(|(known, _)| known == rider)
        {
            return Some(UnknownValue {
                filter: Filter::Rider,
                value: rider.to_string(),
                known: words(kinds.keys().map(|(rider, _)| rider.as_str()).collect()),
                containing: 0,
                is_of_feed: false,
            });
        }
        if let Some(bike) = &self.filters.bike
            && !kinds.keys().any(|(_, known)| self.filters.has_bike(known))
        {
            return Some(UnknownValue {
                filter: Filter::Bike,
                value: bike.clone(),
                known: words(kinds.keys().map(|(_, bike)| bike.as_ref()).collect()),
                containing: 0,
                is_of_feed: false,
            });
        }
        None
    }
}

/// Suggests the stations whose names contain a text, those with the most trips first; without any, the
/// station whose name is most similar.
fn unknown_station(text: &str, places: &[Place], known: &Totals) -> UnknownValue {
    let wanted = text.to_lowercase();
    let mut similar: Vec<(Reverse<i64>, &str)> = Vec::new();
    let mut nearest: Option<(usize, &str)> = None;
    for place in places {
        let Some(name) = place.name(known) else {
            continue;
        };
        let lower = name.to_lowercase();
        if lower.contains(&wanted) {
            let totals = known.stations.sum(place.aliases());
            similar.push((Reverse(totals.departures + totals.arrivals), name));
        }
        let edits = strsim::levenshtein(&wanted, &lower);
        if edits <= 1 + wanted.len() / 4 && nearest.is_none_or(|(least, _)| edits < least) {
            nearest = Some((edits, name));
        }
    }
    similar.sort_unstable();
    let containing = similar.len();
    let named = similar.into_iter().map(|(_, name)| name);
    let known: Vec<String> = match containing {
        0 => nearest.into_iter().map(|(_, name)| name.into()).collect(),
        _ => named.take(SUGGESTIONS).map(str::to_owned).collect(),
    };
    UnknownValue {
        filter: Filter::Station,
        value: text.to_owned(),
        known,
        containing,
        is_of_feed: true,
    }
}
