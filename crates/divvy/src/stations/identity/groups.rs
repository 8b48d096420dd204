//! Sets of things that are the same.

/// Disjoint sets of indexes.
pub(super) struct Groups {
    group_of: Vec<usize>,
    members: Vec<Vec<usize>>,
}

impl Groups {
    /// Makes a set of each index below `len`.
    pub(super) fn new(len: usize) -> Self {
        Self {
            group_of: (0..len).collect(),
            members: (0..len).map(|index| vec![index]).collect(),
        }
    }

    /// Lists the set of an index, in no order.
    pub(super) fn members(&self, index: usize) -> &[usize] {
        &self.members[self.group_of[index]]
    }

    /// Makes the sets of two indexes one.
    pub(super) fn join(&mut self, a: usize, b: usize) {
        let [a, b] = [a, b].map(|index| self.group_of[index]);
        if a == b {
            return;
        }
        let (into, from) = if self.members[a].len() >= self.members[b].len() {
            (a, b)
        } else {
            (b, a)
        };
        let moved = std::mem::take(&mut self.members[from]);
        moved.iter().for_each(|index| self.group_of[*index] = into);
        self.members[into].extend(moved);
    }

    /// Lists the sets of some indexes, each in order, by their first.
    pub(super) fn of(&self, indexes: &[usize]) -> Vec<Vec<usize>> {
        let mut groups: Vec<usize> = indexes.iter().map(|index| self.group_of[*index]).collect();
        groups.sort_unstable();
        groups.dedup();
        let mut sets: Vec<Vec<usize>> = groups
            .into_iter()
            .map(|group| self.members[group].clone())
            .collect();
        sets.iter_mut().for_each(|set| set.sort_unstable());
        sets.sort();
        sets
    }
}
