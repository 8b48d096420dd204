//! `gbfs.json`: the addresses of a system's feeds.

use std::collections::BTreeMap;

use serde_json::Value;

use super::value::{self, Json};

/// The feeds of a system.
///
/// <https://github.com/MobilityData/gbfs/blob/v3.0/gbfs.md#gbfsjson>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The publisher's name of the system, such as `lyft_chi`. Few files state it.
    pub system_id: Option<String>,
    /// The address of each feed by its name, such as `station_status`. Before GBFS 3 each language
    /// has its own: those of the English feeds, else of the first language by code.
    pub feeds: BTreeMap<String, String>,
}

impl Discovery {
    /// Reads the document. `None` where it lists no feeds.
    pub(super) fn of(json: &Value) -> Option<Self> {
        let data = json.get("data")?;
        let feeds = match data.get("feeds") {
            Some(feeds) => addresses(feeds)?,
            None => {
                let languages = data.as_object()?;
                let mut languages: BTreeMap<&String, BTreeMap<_, _>> = languages
                    .iter()
                    .filter_map(|(language, data)| Some((language, addresses(data.get("feeds")?)?)))
                    .collect();
                // A language may be listed without the feeds of stations.
                let english = languages.remove(&"en".to_owned());
                let others = languages.into_values();
                let mut all: Vec<BTreeMap<_, _>> = english.into_iter().chain(others).collect();
                let has_stations = |feeds: &BTreeMap<String, String>| {
                    feeds.keys().any(|name| name.starts_with("station_"))
                };
                let first = all.iter().position(has_stations);
                (!all.is_empty()).then(|| all.swap_remove(first.unwrap_or(0)))?
            }
        };
        let system_id = |json: &Value| value::text(&Json::from(&json["system_id"])).value();
        Some(Self {
            system_id: system_id(data).or_else(|| system_id(json)),
            feeds,
        })
    }
}

/// Reads a list of feeds, without those that lack a name or address. `None` for other JSON.
fn addresses(feeds: &Value) -> Option<BTreeMap<String, String>> {
    let address = |feed: &Value| {
        let name = feed["name"].as_str()?.trim();
        let url = feed["url"].as_str()?.trim();
        Some((name.to_owned(), url.to_owned()))
    };
    Some(feeds.as_array()?.iter().filter_map(address).collect())
}
