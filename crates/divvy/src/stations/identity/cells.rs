//! Joins the cells of an id and a name to positions: one, unless two stations have both.

use std::slice;

use super::MAX_SAME_NAME;
use super::groups::Groups;
use super::position::{Evidence, Placed, SAME_STATION_M, position_evidence};
use crate::model::{Position, StationAlias};
use crate::tally::Totals;

/// How many times as many ends of trips a station has as a *stray*: a position of its id and name that is taken
/// for an error of satellite positions. All its trips are between the first and the last day of the station,
/// and neither a feed nor a list has the station there: a rack that was moved has trips before or after. Of the ends of 349,840
/// trips of Divvy 89 were such errors, at 88 positions of at most 1.2 % of their stations' ends each.
const STATION_TO_STRAY: i64 = 20;

/// The most ends of a stray with trips on the first or the last day of its station: more may be the first or
/// the last trips at another place of a rack that was moved on that day.
const MAX_ENDS_ON_FIRST_OR_LAST_DAY: i64 = 2;

/// The most positions of an id and a name that are compared with each other.
const MAX_COMPARED: usize = 1024;

/// Metres of a degree of latitude, at least.
const M_PER_DEGREE: f64 = 110_000.0;

/// Groups the aliases of an id and a name by position.
///
/// - Cells whose trips end within 500 m of each other, on the mean, are one group. A cell with few ends
///   ([`STATION_TO_STRAY`]) connects no larger ones: it belongs to the nearest of these within 500 m.
/// - A group belongs with its strays to one station.
/// - More positions than [`MAX_SAME_NAME`] are those of bikes that are parked anywhere: all are one group.
/// - The alias without a cell is in the group of the others if there is only one: its trips have no position,
///   or one of two decimals. If it has no trips, it is of a station list, and its position must not contradict.
///
/// `stated` are the positions that feeds and lists state for the id and the name.
pub(super) fn by_position(
    aliases: &[StationAlias],
    known: &Totals,
    stated: &Stated,
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
    let mut groups = near_cells(placed, known);
    if (2..=MAX_COMPARED).contains(&groups.len()) {
        groups = with_strays(groups, known, stated);
    }
    if groups.len() > MAX_SAME_NAME {
        groups = vec![groups.concat()];
    }
    let is_of_group = |alias: &StationAlias, group: &[StationAlias]| {
        let placed = placed_at(group, known);
        totals.0.contains_key(alias)
            || position_evidence(placed, stated.of_name) != Evidence::Contradicts
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

/// The positions that feeds and lists state for an id and a name.
#[derive(Default)]
pub(super) struct Stated {
    /// That of a row or a list with both. `None` where none states any.
    pub(super) of_name: Option<Placed>,
    /// Those of stations of feeds with the id, as `station_id`, `short_name` or `legacy_id`, or with the
    /// name.
    pub(super) of_feeds: Vec<Placed>,
}

fn placed_at(aliases: &[StationAlias], known: &Totals) -> Option<Placed> {
    let position = known.stations.position(aliases.iter(), SAME_STATION_M);
    position.map(Placed::exactly)
}

fn ends(aliases: &[StationAlias], known: &Totals) -> i64 {
    let sum = known.stations.sum(aliases.iter());
    sum.departures + sum.arrivals
}

/// Groups cells that are near each other.
fn near_cells(
    mut placed: Vec<(Position, &StationAlias)>,
    known: &Totals,
) -> Vec<Vec<StationAlias>> {
    placed.sort_by(|(a, name), (b, other)| {
        (a.latitude.total_cmp(&b.latitude)).then_with(|| name.cmp(other))
    });
    let counts = placed
        .iter()
        .map(|(_, alias)| ends(slice::from_ref(*alias), known));
    let counts: Vec<i64> = counts.collect();
    let most = counts.iter().max().copied().unwrap_or_default();
    let has_few = |index: usize| counts[index].saturating_mul(STATION_TO_STRAY) <= most;
    let mut near: Vec<(usize, usize, f64)> = Vec::new();
    for (index, (position, _)) in placed.iter().enumerate() {
        let is_near_north = |(other, _): &&(Position, _)| {
            other.latitude - position.latitude <= SAME_STATION_M / M_PER_DEGREE
        };
        let north = placed[index + 1..].iter().take_while(is_near_north);
        let north = (index + 1..).zip(north.map(|(other, _)| position.distance_m(*other)));
        let north = north.filter(|(_, distance_m)| *distance_m <= SAME_STATION_M);
        near.extend(north.map(|(other, distance_m)| (index, other, distance_m)));
    }
    let mut groups = Groups::new(placed.len());
    let mut nearest: Vec<Option<(f64, usize)>> = vec![None; placed.len()];
    for (a, b, distance_m) in near.iter().copied() {
        match (has_few(a), has_few(b)) {
            (false, false) => groups.join(a, b),
            (true, true) => {}
            (is_a, _) => {
                let (few, many) = if is_a { (a, b) } else { (b, a) };
                let best = nearest[few].get_or_insert((distance_m, many));
                if distance_m < best.0 {
                    *best = (distance_m, many);
                }
            }
        }
    }
    for (a, b, _) in near {
        if has_few(a) && has_few(b) && nearest[a].is_none() && nearest[b].is_none() {
            groups.join(a, b);
        }
    }
    for (few, nearest) in nearest.iter().enumerate() {
        if let Some((_, many)) = nearest {
            groups.join(few, *many);
        }
    }
    let all: Vec<usize> = (0..placed.len()).collect();
    (groups.of(&all).into_iter())
        .map(|group| group.into_iter().map(|at| placed[at].1.clone()).collect())
        .collect()
}

/// A position of an id and a name.
struct Spot {
    ends: i64,
    days: Option<(i32, i32)>,
    placed: Option<Placed>,
    aliases: Vec<StationAlias>,
}

impl Spot {
    /// Returns whether another position is a stray of this one ([`STATION_TO_STRAY`]). Where a day is not
    /// known, it may be an earlier or a later place of the station.
    fn has_stray(&self, other: &Self) -> bool {
        let days = self.days.zip(other.days);
        let is_within = days.is_some_and(|(mine, theirs)| {
            let may_be_moved = mine.0 == theirs.0 || theirs.1 == mine.1;
            let is_single = other.ends <= MAX_ENDS_ON_FIRST_OR_LAST_DAY;
            mine.0 <= theirs.0 && theirs.1 <= mine.1 && (is_single || !may_be_moved)
        });
        is_within && other.ends.saturating_mul(STATION_TO_STRAY) <= self.ends
    }

    fn distance_m(&self, other: &Self) -> f64 {
        let both = self.placed.zip(other.placed);
        both.map_or(f64::MAX, |(a, b)| a.position.distance_m(b.position))
    }
}

/// Puts strays into the group of the nearest station of which they may be.
fn with_strays(
    groups: Vec<Vec<StationAlias>>,
    known: &Totals,
    stated: &Stated,
) -> Vec<Vec<StationAlias>> {
    let mut spots: Vec<Spot> = (groups.into_iter())
        .map(|aliases| Spot {
            ends: ends(&aliases, known),
            days: known.names.days_of(aliases.iter()),
            placed: placed_at(&aliases, known),
            aliases,
        })
        .collect();
    spots.sort_by(|a, b| (b.ends, &a.aliases).cmp(&(a.ends, &b.aliases)));
    // A feed or a list has the station here, and not there.
    let is_stated_apart = |here: &Spot, there: &Spot| {
        let mut stated = stated.of_feeds.iter().copied().chain(stated.of_name);
        stated.any(|stated| {
            let [here, there] =
                [here, there].map(|spot| position_evidence(Some(stated), spot.placed));
            here == Evidence::Agrees && there == Evidence::Contradicts
        })
    };
    let mut stations: Vec<Spot> = Vec::new();
    let mut strays: Vec<(usize, Vec<StationAlias>)> = Vec::new();
    for spot in spots {
        let candidates = stations.iter().enumerate();
        let candidates = candidates
            .filter(|(_, station)| station.has_stray(&spot) && !is_stated_apart(&spot, station));
        let nearest =
            candidates.min_by(|(_, a), (_, b)| a.distance_m(&spot).total_cmp(&b.distance_m(&spot)));
        match nearest {
            Some((station, _)) => strays.push((station, spot.aliases)),
            None => stations.push(spot),
        }
    }
    for (station, mut aliases) in strays {
        stations[station].aliases.append(&mut aliases);
    }
    stations
        .into_iter()
        .map(|station| station.aliases)
        .collect()
}
