//! The names that trips use for a station.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Cell, StationId};

/// Separates the id from the name in the text of a [`StationAlias`]: U+001F, the unit separator of
/// ASCII. [`comparable_name`] removes it from names.
const SEPARATOR: char = '\u{1f}';

/// Separates the name from the cell: U+001E, the record separator of ASCII. Names do not have it either.
const CELL_SEPARATOR: char = '\u{1e}';

/// A published station id together with the name that the trip's row gives the station, in the form
/// of [`comparable_name`], and with the cell of the position in the row.
///
/// Publishers give the id of a removed station to another one later, and move stations. Counts are kept
/// by alias, so that the trips of both have separate counts without reading them again. An id without a name
/// or a cell is an alias as well: files without names or coordinates have it, and archives that were
/// loaded before there were aliases.
///
/// Aliases are ordered by id, then by name; all aliases of an id are neighbours in a sorted map, and so
/// are all of an id and name, of which that without a cell is the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StationAlias(Box<str>);

impl StationAlias {
    /// Makes the alias of an id and a published name. Spellings that
    /// [`comparable_name`] does not distinguish give the same alias. Where the id is itself the name,
    /// the alias has none.
    pub fn new(id: &str, name: &str) -> Self {
        let is_id = id == name;
        let name = Some(name).filter(|_| !is_id).and_then(comparable_name);
        Self::join(id, &name.unwrap_or_default())
    }

    /// Returns the alias with the same id and name in a cell. `None` for the one without a cell.
    pub fn in_cell(&self, cell: Option<Cell>) -> Self {
        let (id, qualifier) = Self::split(&self.0);
        let name = name_of(qualifier);
        match cell {
            None => Self::join(id, name),
            Some(cell) => Self::join(id, &format!("{name}{CELL_SEPARATOR}{cell}")),
        }
    }

    /// Returns whether it has a cell.
    pub fn has_cell(&self) -> bool {
        self.qualifier().contains(CELL_SEPARATOR)
    }

    /// Returns whether another alias has the same id and name; the cells may differ.
    pub fn is_same_name(&self, other: &Self) -> bool {
        self.id_and_name() == other.id_and_name()
    }

    /// Returns the published id and the name as names are compared, which is empty for an id without a
    /// name.
    pub fn id_and_name(&self) -> (&str, &str) {
        Self::split_name(&self.0)
    }

    /// Returns what [`id_and_name`](Self::id_and_name) does, of the text of an alias.
    pub fn split_name(text: &str) -> (&str, &str) {
        let (id, qualifier) = Self::split(text);
        (id, name_of(qualifier))
    }

    /// Returns a range that contains every alias of an id, and hardly any other: of ids with control
    /// characters.
    pub fn range_of(id: &StationId) -> Range<Self> {
        // The character after the separator.
        let end = format!("{id} ");
        Self(id.as_str().into())..Self(end.into())
    }

    /// Returns the published id.
    pub fn id(&self) -> StationId {
        self.id_str().into()
    }

    /// Returns the published id as text.
    pub fn id_str(&self) -> &str {
        Self::split(&self.0).0
    }

    /// Returns the name as names are compared. `None` for an id without a name.
    pub fn name(&self) -> Option<&str> {
        Some(name_of(self.qualifier())).filter(|name| !name.is_empty())
    }

    /// Returns what follows the id: the name, and behind a separator the cell. Empty without both.
    pub fn qualifier(&self) -> &str {
        Self::split(&self.0).1
    }

    /// Returns id, name and cell in one text, as it is kept in dictionaries of batches and in stores.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Splits the text of an alias into the id and its [`qualifier`](Self::qualifier).
    pub fn split(text: &str) -> (&str, &str) {
        text.rsplit_once(SEPARATOR).unwrap_or((text, ""))
    }

    /// Puts together what [`split`](Self::split) split.
    pub fn join(id: &str, qualifier: &str) -> Self {
        if qualifier.is_empty() && !id.contains(SEPARATOR) {
            return Self(id.into());
        }
        Self(format!("{id}{SEPARATOR}{qualifier}").into())
    }
}

/// Returns the name in a qualifier.
fn name_of(qualifier: &str) -> &str {
    let name = qualifier.split_once(CELL_SEPARATOR);
    name.map_or(qualifier, |(name, _)| name)
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

/// Writes `id`, or `id (name)`, without the cell.
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
    fn an_alias_in_a_cell_has_the_same_id_and_name() {
        let cell = Cell::of_end(Some((41_881_300, -87_629_700)), false);
        for (id, name) in [("517", "Lake St"), ("517", ""), ("5\u{1f}1\u{1e}7", "")] {
            let alias = StationAlias::new(id, name);
            let placed = alias.in_cell(cell);
            assert!(placed.has_cell() && !alias.has_cell(), "{placed:?}");
            assert_ne!(placed, alias);
            assert!(placed.is_same_name(&alias));
            assert_eq!(placed.id_and_name(), alias.id_and_name());
            assert_eq!(placed.to_string(), alias.to_string());
            assert_eq!(placed.in_cell(None), alias);
            assert_eq!(placed.in_cell(cell), placed);
            let read = StationAlias::join(placed.id_str(), placed.qualifier());
            assert_eq!(read, placed);
        }
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
