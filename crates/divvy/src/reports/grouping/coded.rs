//! Groups as small numbers, because thousands of them are added up for one report.

use rustc_hash::FxHashMap;

use super::{Groups, MAX_DIMS};
use crate::reports::dims::{Dim, Group};
use crate::reports::measures::GroupCounts;

/// A group as numbers, one for each dimension.
pub(super) type Key = [i32; MAX_DIMS];

/// Cells by group.
pub(super) struct Coded<'a> {
    pub(super) dims: &'a [Dim],
    words: [Vec<Group>; MAX_DIMS],
    pub(super) groups: FxHashMap<Key, GroupCounts>,
}

/// The code of trips of which the file does not state the group.
pub(super) const UNKNOWN: i32 = i32::MIN;

impl<'a> Coded<'a> {
    pub(super) fn new(dims: &'a [Dim]) -> Self {
        Self {
            dims,
            words: Default::default(),
            groups: FxHashMap::default(),
        }
    }

    /// Returns the code of a group that has a name, in the dimension of that index.
    pub(super) fn word(&mut self, dim: usize, group: Group) -> i32 {
        let words = &mut self.words[dim];
        let known = words.iter().position(|word| *word == group);
        known.unwrap_or_else(|| {
            words.push(group);
            words.len() - 1
        }) as i32
    }

    /// Returns the codes of a group: `code` returns those of numbers, `group` the names of others.
    pub(super) fn key(
        &mut self,
        code: impl Fn(Dim) -> Option<i32>,
        group: impl Fn(Dim) -> Option<Group>,
    ) -> Key {
        let mut key = [UNKNOWN; MAX_DIMS];
        for (index, dim) in self.dims.iter().enumerate() {
            key[index] = match group(*dim) {
                Some(group) => self.word(index, group),
                None => code(*dim).unwrap_or(UNKNOWN),
            };
        }
        key
    }

    pub(super) fn group(&mut self, key: Key) -> &mut GroupCounts {
        self.groups.entry(key).or_default()
    }

    /// Adds the groups to those of `groups`.
    pub(super) fn add_to(self, groups: &mut Groups) {
        for (key, counts) in self.groups {
            let group = |(index, dim): (usize, &Dim)| match (dim, key[index]) {
                (_, UNKNOWN) => Group::Unknown,
                (Dim::Rider | Dim::Bike | Dim::Gender, word) => {
                    self.words[index][word as usize].clone()
                }
                (_, number) => Group::Number(number),
            };
            let key: Vec<Group> = self.dims.iter().enumerate().map(group).collect();
            groups.by_group.entry(key).or_default().add(&counts);
        }
    }
}
