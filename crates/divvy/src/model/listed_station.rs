//! Stations as published lists state them.

use std::cmp::{Ordering, Reverse};

use serde::{Deserialize, Serialize};

use super::{Degrees, Position, position};

/// What a published list states of a station, besides its id.
///
/// The better form is the lesser one, so that the first of a sorted set is the best: one with a
/// position before one without, then the one with more decimals, then that of the greatest capacity,
/// then by the text of name, coordinates and other ids. Lists have no time, and the order in
/// which they were read does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListedStation {
    /// Its name. `None` where the list has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The operator's short name. `None` where the list has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_name: Option<String>,
    /// The id in a previous feed. `None` where the list has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legacy_id: Option<String>,
    /// Degrees north, as published. `None` where the list has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latitude: Option<Degrees>,
    /// Degrees east, as published. `None` where the list has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longitude: Option<Degrees>,
    /// Number of docks installed. `None` where the list has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
}

impl ListedStation {
    /// Returns the coordinates. `None` where the list states none, or 0, 0.
    pub fn position(&self) -> Option<Position> {
        position::known(self.latitude.as_ref(), self.longitude.as_ref())
    }

    /// Returns by what forms are ordered, the best first.
    fn rank(&self) -> impl Ord + '_ {
        let coordinates = [&self.latitude, &self.longitude];
        let decimals = coordinates.into_iter().flatten().map(Degrees::decimals);
        (
            Reverse((self.position().is_some(), decimals.max(), self.capacity)),
            (&self.name, coordinates, &self.short_name, &self.legacy_id),
        )
    }
}

impl Ord for ListedStation {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for ListedStation {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn form(name: &str, at: Option<(&str, &str)>, capacity: Option<u32>) -> ListedStation {
        ListedStation {
            name: Some(name.into()),
            latitude: at.map(|at| at.0.parse().unwrap()),
            longitude: at.map(|at| at.1.parse().unwrap()),
            capacity,
            ..ListedStation::default()
        }
    }

    #[test]
    fn the_best_form_is_the_first() {
        let best_first = [
            form("e", Some(("41.8734", "-87.634645")), None),
            form("a", Some(("41.87", "-87.6346")), Some(19)),
            form("b", Some(("41.87", "-87.6346")), Some(15)),
            form("c", Some(("41.87", "-87.6346")), Some(15)),
            form("a", Some(("41.8700000", "-87.63")), Some(99)),
            form("z", Some(("0.0000000", "0")), Some(15)),
            form("a", None, Some(15)),
            form("a", None, None),
        ];
        let sorted: BTreeSet<_> = best_first.iter().rev().cloned().collect();
        assert!(sorted.iter().eq(&best_first), "{sorted:#?}");
    }

    #[test]
    fn only_what_is_known_is_written() {
        let blank = serde_json::to_string(&ListedStation::default()).unwrap();
        assert_eq!(blank, "{}");
        let some = form("Osprey Ave", Some(("41.8734", "-87.6346")), Some(15));
        let text = serde_json::to_string(&some).unwrap();
        let expected =
            r#"{"name":"Osprey Ave","latitude":"41.8734","longitude":"-87.6346","capacity":15}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<ListedStation>(&text).unwrap(), some);
    }
}
