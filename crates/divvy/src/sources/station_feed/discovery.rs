//! `gbfs.json`: where the feeds of a system are.

use std::collections::BTreeMap;

use serde_json::Value;

use super::value;

/// The feeds of a system: the address of each by its name, such as `station_status`.
///
/// <https://github.com/MobilityData/gbfs/blob/v3.0/gbfs.md#gbfsjson>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The publisher's name of the system, in the few files that state it: `lyft_chi`.
    pub system_id: Option<String>,
    /// The version of GBFS. `None` for 1.0, which does not say.
    pub version: Option<String>,
    /// Addresses by name: the English feeds, else those of the first language by code.
    pub feeds: BTreeMap<String, String>,
    /// The same for each language. Empty since GBFS 3, where feeds speak all languages at once.
    pub languages: BTreeMap<String, BTreeMap<String, String>>,
}

impl Discovery {
    /// Reads the document. `None` where it lists no feeds.
    pub(super) fn of(json: &Value) -> Option<Self> {
        let data = json.get("data")?;
        let mut languages = BTreeMap::new();
        let feeds = match data.get("feeds") {
            Some(feeds) => addresses(feeds)?,
            None => {
                for (language, listed) in data.as_object()? {
                    if let Some(feeds) = listed.get("feeds").and_then(addresses) {
                        languages.insert(language.clone(), feeds);
                    }
                }
                languages.get("en").or(languages.values().next())?.clone()
            }
        };
        let stated = |json: &Value, name| value::text(&json[name]).value();
        Some(Self {
            system_id: stated(data, "system_id").or_else(|| stated(json, "system_id")),
            version: stated(json, "version"),
            feeds,
            languages,
        })
    }

    /// Returns the feeds in a language, [`feeds`](Self::feeds) where it is not offered.
    pub fn feeds_in(&self, language: &str) -> &BTreeMap<String, String> {
        self.languages.get(language).unwrap_or(&self.feeds)
    }
}

/// Reads a list of feeds, those without name or address left out. `None` for something else.
fn addresses(feeds: &Value) -> Option<BTreeMap<String, String>> {
    let address = |feed: &Value| {
        let name = feed["name"].as_str()?.trim();
        let url = feed["url"].as_str()?.trim();
        Some((name.to_owned(), url.to_owned()))
    };
    Some(feeds.as_array()?.iter().filter_map(address).collect())
}
