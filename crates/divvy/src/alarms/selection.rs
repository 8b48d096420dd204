//! Which stations a rule is about.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Station, StationId, comparable_name};

/// The stations that one rule names, as ids of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// `None`: every station.
    ids: Option<BTreeSet<StationId>>,
    /// What the rule names and no station has as id or name.
    pub(super) unmatched: Vec<String>,
}

impl Selection {
    /// Finds the stations that texts name: by id, else by the operator's short name, else by name in any
    /// spelling in which names are compared. Several stations of one name are all meant.
    pub(super) fn of(texts: Option<&[String]>, stations: &[Station]) -> Self {
        let Some(texts) = texts else {
            return Self::default();
        };
        let mut by_name: BTreeMap<String, Vec<&StationId>> = BTreeMap::new();
        for station in stations {
            if let Some(name) = station.name.as_deref().and_then(comparable_name) {
                by_name.entry(name).or_default().push(&station.id);
            }
        }
        let mut ids = BTreeSet::new();
        let mut unmatched = Vec::new();
        for text in texts {
            let by_id = stations.iter().filter(|it| it.id.as_str() == text);
            let mut found: Vec<&StationId> = by_id.map(|it| &it.id).collect();
            if found.is_empty() {
                let short = stations.iter();
                let short = short.filter(|it| it.short_name.as_deref() == Some(text));
                found = short.map(|it| &it.id).collect();
            }
            if found.is_empty() {
                let named = comparable_name(text).and_then(|name| by_name.get(&name));
                found = named.cloned().unwrap_or_default();
            }
            if found.is_empty() {
                unmatched.push(text.clone());
            }
            ids.extend(found.into_iter().cloned());
        }
        Self {
            ids: Some(ids),
            unmatched,
        }
    }

    /// Returns whether a station is among them.
    pub(super) fn contains(&self, station: &StationId) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(station))
    }
}
