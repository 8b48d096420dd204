//! Which copy of a trip is the best one, and what changes by that.

use std::collections::BTreeMap;

use crate::store::copies::Copy;

/// The changes of a partition.
#[derive(Default)]
pub(super) struct Changes {
    /// Copies of the incoming archive that are written.
    pub(super) puts: Vec<Copy>,
    /// Copies that are no longer stored, by archive.
    pub(super) demoted: BTreeMap<usize, Vec<Copy>>,
    /// Copies of other archives that become stored, by archive.
    pub(super) promoted: BTreeMap<usize, Vec<Copy>>,
    /// Copies that are not stored, as before or from now on, by archive.
    pub(super) duplicates: BTreeMap<usize, Vec<Copy>>,
}

impl Changes {
    /// Chooses the copy of one trip that is stored. `duplicates` are those of other archives.
    pub(super) fn resolve(
        &mut self,
        incoming: Vec<Copy>,
        stored: Option<&Copy>,
        duplicates: Vec<Copy>,
    ) {
        let copies = incoming.iter().chain(stored).chain(&duplicates);
        let Some(best) = copies.min_by(|a, b| a.cmp_copies(b)).cloned() else {
            return;
        };
        if let Some(stored) = stored.filter(|stored| **stored != best) {
            let demoted = self.demoted.entry(stored.archive).or_default();
            demoted.push(stored.clone());
            self.keep_duplicates(std::iter::once(stored.clone()));
        }
        if duplicates.contains(&best) {
            let promoted = self.promoted.entry(best.archive).or_default();
            promoted.push(best.clone());
        } else if incoming.contains(&best) {
            self.puts.push(best.clone());
        }
        let others = incoming.into_iter().chain(duplicates);
        self.keep_duplicates(others.filter(|copy| *copy != best));
    }

    /// Adds copies that are not stored.
    pub(super) fn keep_duplicates(&mut self, copies: impl Iterator<Item = Copy>) {
        for copy in copies {
            self.duplicates.entry(copy.archive).or_default().push(copy);
        }
    }
}
