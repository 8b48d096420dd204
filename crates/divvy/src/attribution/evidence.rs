//! What a file shows of the system that it is of.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{IdShape, Position, SystemId, Systems};

/// What is found in the header and the first rows of a file.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What its header states. `None` for a station list.
    pub header: Option<HeaderEvidence>,
    /// Its station ids. Empty where it has none, or names in their place.
    pub ids: BTreeSet<String>,
    /// Its station names, as [`plain_name`] returns them.
    pub names: BTreeSet<String>,
    /// How many positions were found.
    pub positions: usize,
    /// How many of them lie in the area of each system.
    pub inside: BTreeMap<SystemId, usize>,
    /// The stations of a store with the file's names, by system. Empty before a store is asked.
    pub known_names: BTreeMap<SystemId, KnownNames>,
}

/// What the header of a trip file states about its publisher.
#[derive(Clone, Debug)]
pub struct HeaderEvidence {
    /// The name of its form in `docs/FORMATS.md`.
    pub form: &'static str,
    /// The systems that are known to publish this form.
    pub publishers: Vec<PublisherEvidence>,
    /// No other system uses these names of columns.
    pub is_own: bool,
}

/// A system that is known to publish a form.
#[derive(Clone, Debug)]
pub struct PublisherEvidence {
    /// The system.
    pub system: SystemId,
    /// What its station ids look like in this form. Empty where that is not known.
    pub id_shapes: Vec<IdShape>,
    /// A column of the header that the system has never published. `None` where there is none, and
    /// where the system's columns are not known.
    pub foreign_column: Option<String>,
}

/// The file's station names among those of a system in a store.
#[derive(Clone, Copy, Debug)]
pub struct KnownNames {
    /// How many names the system has.
    pub stored: usize,
    /// How many of the file's names are among them.
    pub found: usize,
}

impl Evidence {
    /// Adds a position.
    pub fn see_position(&mut self, position: Position, systems: &Systems) {
        self.positions += 1;
        for system in systems.containing(position) {
            *self.inside.entry(system.id.clone()).or_default() += 1;
        }
    }

    /// Adds the name of a station.
    pub fn see_name(&mut self, name: &str) {
        let name = plain_name(name);
        if !name.is_empty() {
            self.names.insert(name);
        }
    }

    /// Compares the names with those that the stations of a system have in a store, each as
    /// [`plain_name`] returns it.
    pub fn compare_names(&mut self, system: &SystemId, stored: &BTreeSet<String>) {
        let known = KnownNames {
            stored: stored.len(),
            found: self.names.intersection(stored).count(),
        };
        self.known_names.insert(system.clone(), known);
    }

    /// Returns whether most positions lie in the area of a system.
    pub(super) fn is_mostly_inside(&self, system: &SystemId) -> bool {
        self.inside
            .get(system)
            .is_some_and(|inside| 2 * inside > self.positions)
    }

    /// Returns what is known of a system as a publisher of the header. `None` for a system that is
    /// not known to publish it.
    pub(super) fn publisher(&self, system: &SystemId) -> Option<&PublisherEvidence> {
        let header = self.header.as_ref()?;
        header.publishers.iter().find(|of| of.system == *system)
    }
}

/// Reduces the name of a station to its letters and digits in lower case.
pub fn plain_name(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}
