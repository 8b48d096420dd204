//! Trips by group: from the cube if it has the groups ([`cube`]), otherwise from the trips
//! ([`trips`]).

mod coded;
mod cube;
mod trips;

use std::collections::{BTreeMap, HashMap};

pub(super) use self::cube::CubeSource;
pub(super) use self::trips::{TripCounter, projection};
use super::dims::{Dim, Group};
use super::filters::Filters;
use super::measures::{GroupCounts, Needs};
use crate::model::StationId;
use crate::tally::FlagCounts;

/// The largest number of dimensions of a report.
pub(super) const MAX_DIMS: usize = 3;

/// Trips by group.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub by_group: BTreeMap<Vec<Group>, GroupCounts>,
    /// Flags of the counted trips. `None` if they were counted from the cube.
    pub flags: Option<FlagCounts>,
}

/// The places at which trips start, for reports that group or filter by station.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// The index of the place of each id.
    pub place_of: HashMap<StationId, i32>,
    /// The indexes of the places to count. `None` for all.
    pub only: Option<Vec<i32>>,
}

impl Origins {
    /// Returns the index of the place of an id. `None` for one that is not counted.
    fn find(&self, id: &StationId) -> Option<i32> {
        let place = *self.place_of.get(id)?;
        let is_counted = self.only.as_ref().is_none_or(|only| only.contains(&place));
        is_counted.then_some(place)
    }
}

/// What to count.
pub(super) struct Query<'a> {
    pub dims: &'a [Dim],
    pub needs: Needs,
    pub filters: &'a Filters,
    /// `None` for a report that neither groups nor filters by station.
    pub origins: Option<&'a Origins>,
}
