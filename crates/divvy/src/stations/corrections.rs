//! Corrections of the join by hand.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{StationAlias, StationId, comparable_name};
use crate::tally::Totals;

/// What people have decided on aliases of a system, against the rules of [`identity`](super::identity).
///
/// As TOML:
///
/// ```toml
/// [[link]]
/// id = "517"                  # the id that trips use
/// name = "Clark & Jarvis"     # left out: all names of the id
/// place = "a3a3b4c5"          # the station of the feed, or the id of other trips
///
/// [[split]]
/// id = "517"
/// name = "Pulaski & Armitage"
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corrections {
    /// Aliases that belong to a place.
    #[serde(default, rename = "link", skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
    /// Aliases that belong to no other place.
    #[serde(default, rename = "split", skip_serializing_if = "Vec::is_empty")]
    splits: Vec<Named>,
}

/// A change of corrections. It may be made more than once.
pub type CorrectionsChange<'c> = dyn Fn(&mut Corrections) + Send + Sync + 'c;

/// An alias as people name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The id that trips use.
    pub id: StationId,
    /// The name, in any spelling that names are compared in. `None` for all names of the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    id: StationId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    place: StationId,
}

/// The decision on one alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction<'a> {
    /// It belongs to the station of the feed with this id, or to the trips of this id.
    Link(&'a StationId),
    /// It belongs to no station of a feed, and to no place of other ids.
    Split {
        /// Nor to other names of its id: its name was given.
        is_named: bool,
    },
}

impl fmt::Display for Named {
    /// Writes the id, and the name in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} ({name})", self.id),
            None => self.id.fmt(f),
        }
    }
}

impl Named {
    /// Returns whether it names an alias.
    pub fn is(&self, alias: &StationAlias) -> bool {
        is_named(&self.id, self.name.as_deref(), alias)
    }
}

fn is_named(id: &StationId, name: Option<&str>, alias: &StationAlias) -> bool {
    let is_name = |name| comparable_name(name).as_deref() == alias.name();
    id.as_str() == alias.id_str() && name.is_none_or(is_name)
}

impl Corrections {
    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty() && self.splits.is_empty()
    }

    /// Returns the decision on an alias. `None` where the rules decide. A name decides before an id, and
    /// what was decided last before the rest.
    pub fn of(&self, alias: &StationAlias) -> Option<Correction<'_>> {
        let links = self.links.iter().map(|link| {
            let Link { id, name, place } = link;
            (id, name.as_deref(), Correction::Link(place))
        });
        let splits = (self.splits.iter()).map(|Named { id, name }| {
            (
                id,
                name.as_deref(),
                Correction::Split {
                    is_named: name.is_some(),
                },
            )
        });
        let decisions = links.chain(splits);
        let decisions = decisions.filter(|(id, name, _)| is_named(id, *name, alias));
        let decision = decisions.max_by_key(|(_, name, _)| name.is_some());
        decision.map(|(_, _, correction)| correction)
    }

    /// Decides that an alias belongs to a place, in place of an earlier decision on the same alias.
    pub fn link(&mut self, alias: Named, place: StationId) {
        self.forget(&alias);
        let Named { id, name } = alias;
        self.links.push(Link { id, name, place });
    }

    /// Decides that an alias, or all names of an id by themselves, is a place of its own, in place of an earlier
    /// decision on the same alias.
    pub fn split(&mut self, alias: Named) {
        self.forget(&alias);
        self.splits.push(alias);
    }

    /// Drops the decision on an alias. Returns whether there was one.
    pub fn forget(&mut self, alias: &Named) -> bool {
        let before = self.links.len() + self.splits.len();
        let key = |id: &StationId, name: &Option<String>| {
            (id.clone(), name.as_deref().and_then(comparable_name))
        };
        let forgotten = key(&alias.id, &alias.name);
        self.links
            .retain(|link| key(&link.id, &link.name) != forgotten);
        self.splits
            .retain(|split| key(&split.id, &split.name) != forgotten);
        self.links.len() + self.splits.len() < before
    }

    /// Lists the aliases that are decided on and that no trip has, as a sentence for each. `totals` are
    /// those of all trips of the system.
    pub fn without_trips(&self, totals: &Totals) -> Vec<String> {
        let is_unused = |alias: &Named| {
            let mut of_id = totals.stations.of_id(&alias.id);
            !of_id.any(|(used, _)| alias.is(used))
        };
        let aliases = self.iter().map(|(alias, _)| alias).filter(is_unused);
        let sentence = |alias| format!("the correction of {alias} concerns no stored trip");
        aliases.map(sentence).collect()
    }

    /// Lists the decisions: the alias, and the place to which it belongs. `None` for one of its own.
    pub fn iter(&self) -> impl Iterator<Item = (Named, Option<&StationId>)> {
        let links = self.links.iter().map(|Link { id, name, place }| {
            let (id, name) = (id.clone(), name.clone());
            (Named { id, name }, Some(place))
        });
        links.chain(self.splits.iter().map(|split| (split.clone(), None)))
    }
}
