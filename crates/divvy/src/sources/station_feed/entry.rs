//! The unparsed fields of one station of a feed.

use std::fmt;
use std::sync::LazyLock;

use rustc_hash::FxHashSet;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::value::Json;

/// Every field of a station that is read, of all feeds. Other fields are skipped.
pub(super) const FIELDS: &[&str] = &[
    // station_information
    "station_id",
    "name",
    "short_name",
    "legacy_id",
    "lat",
    "lon",
    "capacity",
    // station_status
    "num_bikes_available",
    "num_ebikes_available",
    "num_bikes_disabled",
    "num_vehicles_available",
    "num_vehicles_disabled",
    "num_docks_available",
    "num_docks_disabled",
    "vehicle_types_available",
    "num_bikes_available_types",
    "vehicle_docks_available",
    "numBikesAvailable",
    "numDocksAvailable",
    "is_installed",
    "is_renting",
    "is_returning",
    "last_reported",
    // stationBeanList
    "id",
    "stationName",
    "latitude",
    "longitude",
    "totalDocks",
    "availableDocks",
    "availableBikes",
    "statusValue",
    "statusKey",
    "status",
    "renting",
    "testStation",
    "lastCommunicationTime",
];

/// [`FIELDS`] as a set, since a station has some twenty fields to look up.
static KNOWN: LazyLock<FxHashSet<&'static str>> =
    LazyLock::new(|| FIELDS.iter().copied().collect());

/// The fields of one station that are in [`FIELDS`], as JSON.
#[derive(Debug, Default)]
pub(super) struct Entry<'a>(Vec<(&'static str, &'a RawValue)>);

impl<'a> Entry<'a> {
    /// Returns the JSON of a field: null where the station lacks it, the last value where it has
    /// several.
    pub(super) fn raw(&self, field: &str) -> &'a str {
        self.0
            .iter()
            .rev()
            .find(|(name, _)| *name == field)
            .map_or("null", |(_, value)| value.get())
    }

    /// Returns the value of a field.
    pub(super) fn get(&self, field: &str) -> Json<'a> {
        Json::of(self.raw(field))
    }

    /// Returns whether any of the fields is there and not null.
    pub(super) fn has_any(&self, fields: &[&str]) -> bool {
        fields.iter().any(|field| self.raw(field) != "null")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entry<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

/// Reads an object. Any other JSON becomes an entry without fields, so that the other entries are
/// still read.
struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a station")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry<'de>, A::Error> {
        let mut fields = Vec::with_capacity(12);
        while let Some(Name(name)) = map.next_key()? {
            match name {
                Some(name) => fields.push((name, map.next_value()?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Entry(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entry<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Entry::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Entry<'de>, E> {
        Ok(Entry::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Entry<'de>, E> {
        Ok(Entry::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Entry<'de>, E> {
        Ok(Entry::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Entry<'de>, E> {
        Ok(Entry::default())
    }

    fn visit_unit<E>(self) -> Result<Entry<'de>, E> {
        Ok(Entry::default())
    }
}

/// The name of a field, `None` for one that is skipped. Static, so that names are not copied.
struct Name(Option<&'static str>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(Name(KNOWN.get(name).copied()))
    }
}
