//! Places of aliases that belong to no station of the feed.

use super::groups::Groups;
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
    // Aliases that the rules may join: without a correction, or of what is split, all names of the id or
    // all cells of the name.
    let may_join = |index: usize, other: usize| {
        let [a, b] = [&origins.all[index], &origins.all[other]];
        let is_allowed = match decided[index] {
            None => true,
            Some(Correction::Split { is_named: false }) => a.id_str() == b.id_str(),
            Some(Correction::Split { is_named: true }) => a.alias().is_same_name(b.alias()),
            Some(Correction::Link(_)) => false,
        };
        is_unmatched[other] && is_allowed && decided[index] == decided[other]
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
            (!is_name, mine.days_from(theirs), theirs.alias())
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
            .find(|other| *other != index && origins.all[*other].id_str() == place.as_str());
        if let Some(target) = target {
            groups.join(index, target);
        }
    }
    groups.of(indexes)
}
