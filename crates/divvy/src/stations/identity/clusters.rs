//! Places of aliases that belong to no station of the feed.

use super::origins::Origins;
use super::position::Evidence;
use crate::stations::corrections::{Correction, Corrections};

/// Groups aliases by place. `indexes` are those of aliases that no station of the feed has.
///
/// Two aliases with the same id, or with the same name, are one place within 500 m of each other. An alias
/// whose position is not known, or not exactly, belongs to the place with the same name, else to that with
/// the same id whose trips are nearest in time, if these are at most a year apart; a position that contradicts excludes it. Aliases that are
/// split by hand are places of their own, and those that are linked belong to the place of the other id.
pub(super) fn clusters(
    origins: &Origins<'_>,
    indexes: &[usize],
    corrections: &Corrections,
) -> Vec<Vec<usize>> {
    let mut groups = Groups::new(origins.all.len());
    let correction = |index: usize| corrections.of(&origins.all[index].alias);
    let is_free = |index: &usize| correction(*index).is_none();
    let is_candidate: Vec<bool> = {
        let mut is_candidate = vec![false; origins.all.len()];
        indexes
            .iter()
            .filter(|index| is_free(index) && origins.all[**index].is_used)
            .for_each(|index| is_candidate[*index] = true);
        is_candidate
    };
    let related = |index: usize| {
        let by_name = origins.same_name(index).map(|other| (other, true));
        let by_id = origins.same_id(index).iter().map(|other| (*other, false));
        by_name
            .chain(by_id)
            .filter(move |(other, _)| *other != index)
    };
    let free = || indexes.iter().copied().filter(is_free);

    for index in free().filter(|index| is_candidate[*index]) {
        for (other, _) in related(index).filter(|(other, _)| is_candidate[*other]) {
            let evidence = origins.all[index].position_evidence(&origins.all[other]);
            if evidence == Evidence::Agrees {
                groups.join(index, other);
            }
        }
    }
    // Each alias that agrees with no other joins one place at most, so that none of unknown position
    // connects two that are far from each other.
    for index in free() {
        let is_alone = |groups: &mut Groups| groups.members(index).len() == 1;
        if !is_alone(&mut groups) {
            continue;
        }
        let mine = &origins.all[index];
        let mut best = None;
        for (other, is_name) in related(index).filter(|(other, _)| is_candidate[*other]) {
            let contradicts = groups.members(other).iter().any(|member| {
                mine.position_evidence(&origins.all[*member]) == Evidence::Contradicts
            });
            if contradicts {
                continue;
            }
            let theirs = &origins.all[other];
            if !is_name && !mine.may_be_renamed(theirs) {
                continue;
            }
            let order = (!is_name, mine.days_from(theirs), &theirs.alias);
            if best.as_ref().is_none_or(|(least, _)| order < *least) {
                best = Some((order, other));
            }
        }
        if let Some((_, other)) = best {
            groups.join(index, other);
        }
    }
    for index in indexes.iter().copied() {
        let Some(Correction::Link(place)) = correction(index) else {
            continue;
        };
        let target = indexes
            .iter()
            .copied()
            .find(|other| *other != index && origins.all[*other].alias.id_str() == place.as_str());
        if let Some(target) = target {
            groups.join(index, target);
        }
    }
    groups.of(indexes)
}

/// Disjoint sets of indexes.
struct Groups {
    group_of: Vec<usize>,
    members: Vec<Vec<usize>>,
}

impl Groups {
    fn new(len: usize) -> Self {
        Self {
            group_of: (0..len).collect(),
            members: (0..len).map(|index| vec![index]).collect(),
        }
    }

    fn members(&self, index: usize) -> &[usize] {
        &self.members[self.group_of[index]]
    }

    fn join(&mut self, a: usize, b: usize) {
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
    fn of(&self, indexes: &[usize]) -> Vec<Vec<usize>> {
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
