//! The names under which trips know a station.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::StationId;

/// Separates the id from the name in the text of a [`StationAlias`]: U+001F, the unit separator of
/// ASCII. [`comparable_name`] removes it from names.
const SEPARATOR: char = '\u{1f}';

/// A published station id together with the name that the trip's row gives the station, in the form
/// of [`comparable_name`].
///
/// Publishers give the id of a removed station to another one later. Counts are kept by alias, so
/// that trips of both can be counted apart without reading them again. An id without a name is an
/// alias as well: files without names have it, and archives that were loaded before there were
/// aliases.
///
/// Aliases are ordered by id, then by name; all aliases of an id are neighbours in a sorted map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StationAlias(Box<str>);

impl StationAlias {
    /// Makes the alias of an id and a published name. Spellings that
    /// [`comparable_name`] does not distinguish give the same alias.
    pub fn new(id: &str, name: &str) -> Self {
        Self::of_comparable(id, &comparable_name(name).unwrap_or_default())
    }

    /// Makes the alias of an id and a name that [`name`](Self::name) returned; `""` for none.
    pub fn of_comparable(id: &str, name: &str) -> Self {
        if name.is_empty() && !id.contains(SEPARATOR) {
            return Self(id.into());
        }
        Self(format!("{id}{SEPARATOR}{name}").into())
    }

    /// Returns the published id.
    pub fn id(&self) -> StationId {
        self.id_str().into()
    }

    /// Returns the published id as text.
    pub fn id_str(&self) -> &str {
        self.parts().0
    }

    /// Returns the name as names are compared. `None` for an id without a name.
    pub fn name(&self) -> Option<&str> {
        Some(self.parts().1).filter(|name| !name.is_empty())
    }

    /// Returns the id and the name in one text, as it is kept in dictionaries of batches and in stores.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once(SEPARATOR).unwrap_or((&self.0, ""))
    }
}

/// Takes a text that [`as_str`](StationAlias::as_str) returned, or a published id.
impl From<&str> for StationAlias {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for StationAlias {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// An id without a name.
impl From<&StationId> for StationAlias {
    fn from(id: &StationId) -> Self {
        Self::new(id.as_str(), "")
    }
}

/// Writes `id`, or `id (name)`.
impl fmt::Display for StationAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.id_str()),
            None => f.write_str(self.id_str()),
        }
    }
}

/// Returns a name in the form in which names are compared. `None` if nothing is left.
///
/// It is in lower case, without the marks of moved and temporary docks and of racks without docks, with
/// `and` for `&`, and with one blank for blanks, control characters, `/` and `-`. Names that are spelled
/// otherwise are different names.
pub fn comparable_name(name: &str) -> Option<String> {
    const SUFFIXES: [&str; 3] = ["(*)", "*", "(temp)"];
    const PREFIX: &str = "public rack";
    let lower = name.to_lowercase().replace('&', " and ");
    let mut rest = lower.trim();
    while let Some(shorter) = SUFFIXES.iter().find_map(|suffix| rest.strip_suffix(suffix)) {
        rest = shorter.trim_end();
    }
    let is_between = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '-' | '–');
    if let Some(name) = rest.strip_prefix(PREFIX) {
        // "Public Rack - Lake St", but not "Public Racks".
        rest = if name.starts_with(is_between) {
            name
        } else {
            rest
        };
    }
    let words: Vec<&str> = rest
        .split(is_between)
        .filter(|word| !word.is_empty())
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_has_the_id_and_the_comparable_name() {
        let alias = StationAlias::new("517", "Clark St & Jarvis Ave (*)");
        assert_eq!(alias.id_str(), "517");
        assert_eq!(alias.name(), Some("clark st and jarvis ave"));
        assert_eq!(alias, StationAlias::new("517", "clark st and  Jarvis/Ave"));
        assert_ne!(alias, StationAlias::new("517", "Pulaski Rd & Armitage Ave"));
        assert_eq!(alias.to_string(), "517 (clark st and jarvis ave)");
    }

    #[test]
    fn an_id_is_an_alias_without_a_name() {
        let alias = StationAlias::new("517", " ");
        assert_eq!(alias, StationAlias::from("517"));
        assert_eq!((alias.id_str(), alias.name()), ("517", None));
    }

    #[test]
    fn separators_in_ids_and_names_change_neither() {
        let alias = StationAlias::new("5\u{1f}17", "");
        assert_eq!((alias.id_str(), alias.name()), ("5\u{1f}17", None));
        let alias = StationAlias::new("5\u{1f}17", "Lake\u{1f}St");
        assert_eq!(
            (alias.id_str(), alias.name()),
            ("5\u{1f}17", Some("lake st"))
        );
    }

    #[test]
    fn aliases_of_an_id_are_neighbours() {
        let mut aliases = ["51", "517", "5170", "517 a"]
            .map(|id| {
                [
                    StationAlias::new(id, "a"),
                    StationAlias::new(id, "z"),
                    id.into(),
                ]
            })
            .concat();
        aliases.sort();
        let ids: Vec<&str> = aliases.iter().map(StationAlias::id_str).collect();
        let mut distinct = ids.clone();
        distinct.dedup();
        assert_eq!(distinct.len(), 4, "{ids:?}");
    }
}
