//! Places of aliases that belong to no station of the feed.

use super::origins::Origins;
use super::position::Evidence;
use crate::stations::corrections::Correction;

/// Groups aliases by place. `indexes` are those of aliases that no station of the feed has.
///
/// Two aliases with the same id, or with the same name, are one place within 500 m of each other. An alias
/// whose position is not known, or not exactly, belongs to the place with the same name, else to that with
/// the same id whose trips are nearest in time, if these are at most a year apart; a position that contradicts excludes it. Aliases that are
/// split by hand are places of their own, and those that are linked belong to the place of the other id.
pub(super) fn clusters(
    origins: &Origins<'_>,
    indexes: &[usize],
    decided: &[Option<Correction<'_>>],
) -> Vec<Vec<usize>> {
    let mut groups = Groups::new(origins.all.len());
    let mut is_unmatched = vec![false; origins.all.len()];
    indexes.iter().for_each(|index| is_unmatched[*index] = true);
    // Aliases that the rules may join: without a correction, or all names of an id that is split.
    let may_join = |index: usize, other: usize| {
        let by_rules = |decision: Option<Correction<'_>>| {
            matches!(decision, None | Some(Correction::Split { is_named: false }))
        };
        let (mine, theirs) = (decided[index], decided[other]);
        let is_same_id = origins.all[index].alias.id_str() == origins.all[other].alias.id_str();
        is_unmatched[other] && by_rules(mine) && mine == theirs && (mine.is_none() || is_same_id)
    };
    let related = |index: usize| {
        let by_name = origins.same_name(index).map(|other| (other, true));
        let by_id = origins.same_id(index).iter().map(|other| (*other, false));
        by_name
            .chain(by_id)
            .filter(move |(other, _)| *other != index && may_join(index, *other))
    };
    for index in indexes
        .iter()
        .copied()
        .filter(|index| origins.all[*index].is_used)
    {
        for (other, _) in related(index) {
            let evidence = origins.all[index].position_evidence(&origins.all[other]);
            if evidence == Evidence::Agrees {
                groups.join(index, other);
            }
        }
    }
    // Each alias that agrees with no other joins the nearest place, if any, so that none of unknown position
    // connects two that are far from each other. All are found before any is joined, so that the order of
    // names does not matter.
    let contradicts = |groups: &Groups, a: usize, b: usize| {
        groups.members(a).iter().any(|a| {
            let b = groups.members(b).iter();
            let mut evidence = b.map(|b| origins.all[*a].position_evidence(&origins.all[*b]));
            evidence.any(|evidence| evidence == Evidence::Contradicts)
        })
    };
    let nearest = |index: usize| {
        let mine = &origins.all[index];
        let others = related(index).filter(|(other, is_name)| {
            (*is_name || mine.may_be_renamed(&origins.all[*other]))
                && !contradicts(&groups, index, *other)
        });
        let nearest = others.min_by_key(|(other, is_name)| {
            let theirs = &origins.all[*other];
            (!is_name, mine.days_from(theirs), &theirs.alias)
        });
        nearest.map(|(other, _)| (index, other))
    };
    let is_alone = |index: &usize| groups.members(*index).len() == 1;
    let alone = indexes.iter().copied().filter(is_alone);
    let found: Vec<(usize, usize)> = alone.filter_map(nearest).collect();
    for (index, other) in found {
        if !contradicts(&groups, index, other) {
            groups.join(index, other);
        }
    }
    for index in indexes.iter().copied() {
        let Some(Correction::Link(place)) = decided[index] else {
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
