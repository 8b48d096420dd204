//! Trips by group: from the cube if it has the groups ([`cube`]), otherwise from the trips
//! ([`trips`]).

mod coded;
mod cube;
mod trips;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(super) use self::cube::CubeSource;
pub(super) use self::trips::{TripCounter, projection};
use super::dims::{Dim, Group};
use super::filters::Filters;
use super::measures::{GroupCounts, Needs};
use crate::model::{BoundingBox, StationAlias, StationId};
use crate::tally::FlagCounts;

/// The largest number of dimensions of a report.
pub(super) const MAX_DIMS: usize = 3;

/// Trips by group.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub by_group: BTreeMap<Vec<Group>, GroupCounts>,
    /// Flags of the counted trips. `None` if they were counted from the cube.
    pub flags: Option<FlagCounts>,
    /// Counted trips whose distance is unknown, if distances were counted.
    pub unplaced: Unplaced,
}

/// Trips whose distance is unknown, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unplaced {
    /// An end has no coordinates, or impossible ones.
    pub without: i64,
    /// An end has coordinates of two decimals.
    pub coarse: i64,
    /// An end is far outside of the system's area.
    pub far: i64,
}

impl Unplaced {
    fn add(&mut self, other: Self) {
        self.without += other.without;
        self.coarse += other.coarse;
        self.far += other.far;
    }
}

/// The places at which trips start, for reports that group or filter by station.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// The index of the place of each alias.
    pub place_of: HashMap<StationAlias, i32>,
    /// The indexes of the places to count. `None` for all.
    pub only: Option<Vec<i32>>,
}

impl Origins {
    /// Returns the index of the place of an alias. `None` for one that is not counted.
    fn find(&self, alias: &StationAlias) -> Option<i32> {
        let place = *self.place_of.get(alias)?;
        let is_counted = self.only.as_ref().is_none_or(|only| only.contains(&place));
        is_counted.then_some(place)
    }

    /// Lists the ids of the places to count. `None` for all.
    fn ids(&self) -> Option<Vec<StationId>> {
        let only = self.only.as_ref()?;
        let aliases = self.place_of.iter();
        let ids: BTreeSet<StationId> = aliases
            .filter(|(_, place)| only.contains(place))
            .map(|(alias, _)| alias.id())
            .collect();
        Some(ids.into_iter().collect())
    }
}

/// What to count.
pub(super) struct Query<'a> {
    pub dims: &'a [Dim],
    pub needs: Needs,
    pub filters: &'a Filters,
    /// `None` for a report that neither groups nor filters by station.
    pub origins: Option<&'a Origins>,
    /// The area of the system. `None` if it has none: no position is far then.
    pub area: Option<BoundingBox>,
}
