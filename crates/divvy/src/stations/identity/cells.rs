//! Joins the cells of an id and a name to positions: one, unless two stations have both.

use rustc_hash::FxHashMap;

use super::groups::Groups;
use super::position::{Evidence, Placed, SAME_STATION_M, position_evidence};
use crate::model::{Position, StationAlias};
use crate::tally::Totals;

/// How many times as many ends of trips a station has as one position that is taken for an error of
/// satellite positions: all trips with that position have the station's id and name, and are between its
/// first and last day. Of the ends of 349,840 trips of Divvy 89 were such errors, at 88
/// positions of at most 1.2 % of their stations' ends each.
const STATION_TO_STRAY: i64 = 20;

/// Metres of a degree of latitude, at least.
const M_PER_DEGREE: f64 = 110_000.0;

/// Groups the aliases of an id and a name by position: cells whose trips end within 500 m of each other,
/// on the mean, are one group, and so is a larger group with its strays ([`STATION_TO_STRAY`]). The alias
/// without a cell is in the group of the others if there is only one: its trips have no position, or one of
/// two decimals. If it has no trips, it is of a station list, and its position must not contradict. `stated`
/// are the positions in feeds and lists.
pub(super) fn by_position(
    aliases: &[StationAlias],
    known: &Totals,
    stated: &FxHashMap<StationAlias, Placed>,
) -> Vec<Vec<StationAlias>> {
    if let [only] = aliases {
        return vec![vec![only.clone()]];
    }
    let totals = &known.stations;
    let position = |alias: &StationAlias| totals.0.get(alias)?.position();
    let (mut placed, mut others): (Vec<(Position, &StationAlias)>, Vec<StationAlias>) =
        Default::default();
    for alias in aliases {
        match position(alias).filter(|_| alias.has_cell()) {
            Some(position) => placed.push((position, alias)),
            None => others.push(alias.clone()),
        }
    }
    placed.sort_by(|(a, _), (b, _)| a.latitude.total_cmp(&b.latitude));
    let mut groups = Groups::new(placed.len());
    for (index, (position, _)) in placed.iter().enumerate() {
        let is_near_north = |(other, _): &&(Position, _)| {
            other.latitude - position.latitude <= SAME_STATION_M / M_PER_DEGREE
        };
        let north = placed[index + 1..].iter().take_while(is_near_north);
        for (other, (_, _)) in (index + 1..).zip(north) {
            if position.distance_m(placed[other].0) <= SAME_STATION_M {
                groups.join(index, other);
            }
        }
    }
    let all: Vec<usize> = (0..placed.len()).collect();
    let mut groups: Vec<Vec<StationAlias>> = (groups.of(&all).into_iter())
        .map(|group| group.into_iter().map(|at| placed[at].1.clone()).collect())
        .collect();
    if groups.len() > 1 {
        groups = with_strays(groups, known);
    }
    let is_of_group = |alias: &StationAlias, group: &[StationAlias]| {
        let placed = totals
            .position(group.iter(), SAME_STATION_M)
            .map(Placed::exactly);
        totals.0.contains_key(alias)
            || position_evidence(placed, stated.get(alias).copied()) != Evidence::Contradicts
    };
    for alias in others {
        match &mut groups[..] {
            [only] if is_of_group(&alias, only) => only.push(alias),
            _ => groups.push(vec![alias]),
        }
    }
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups
}

/// Puts strays into the group of their station ([`STATION_TO_STRAY`]).
fn with_strays(groups: Vec<Vec<StationAlias>>, known: &Totals) -> Vec<Vec<StationAlias>> {
    let ends = |group: &Vec<StationAlias>| {
        let sum = known.stations.sum(group.iter());
        sum.departures + sum.arrivals
    };
    let mut groups: Vec<_> = (groups.into_iter())
        .map(|group| (ends(&group), days(&group, known), group))
        .collect();
    groups.sort_by(|a, b| (b.0, &a.2).cmp(&(a.0, &b.2)));
    let mut stations: Vec<(i64, Option<(i32, i32)>, Vec<StationAlias>)> = Vec::new();
    for (ends, days, mut group) in groups {
        let station = stations.iter_mut().find(|(most, all_days, _)| {
            let is_then = (all_days.zip(days)).is_none_or(|(a, b)| a.0 <= b.0 && b.1 <= a.1);
            is_then && ends.saturating_mul(STATION_TO_STRAY) <= *most
        });
        match station {
            Some((.., station)) => station.append(&mut group),
            None => stations.push((ends, days, group)),
        }
    }
    stations.into_iter().map(|(.., group)| group).collect()
}

/// Returns the first and the last day of trips with any of the aliases.
pub(super) fn days(aliases: &[StationAlias], known: &Totals) -> Option<(i32, i32)> {
    let days = aliases.iter().filter_map(|alias| known.names.days(alias));
    days.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}
