//! What the members of an archive are: trips, station lists, or other files. Decided by their
//! headers, not by their names.

use super::LoadError;
use crate::model::{Station, System};
use crate::sample;
use crate::sources::archive::Archive;
use crate::sources::station_list::{self, StationList};
use crate::sources::trips_csv::{ColumnMapping, TripsError};

/// What an archive holds.
pub(super) struct Contents {
    pub(super) trips: Vec<TripsMember>,
    /// Station lists, by the names of their members.
    pub(super) lists: Vec<(String, StationList)>,
    /// Warnings for the user: members left out that may hold trips.
    pub(super) warnings: Vec<String>,
    /// Notes for the user: other members left out, lists with faults.
    pub(super) notes: Vec<String>,
    /// It carries the sample label.
    is_sample: bool,
}

/// A member with trips.
pub(super) struct TripsMember {
    /// Its index among the archive's members.
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) size_bytes: Option<u64>,
    pub(super) mapping: ColumnMapping,
}

impl Contents {
    /// Reads the header and the first rows of each member.
    pub(super) fn examine(archive: &Archive, day_first: bool) -> Result<Self, LoadError> {
        let (packed, others): (Vec<_>, Vec<_>) =
            archive.left_out().iter().partition(|left| left.is_packed);
        let mut contents = Self {
            trips: Vec::new(),
            lists: Vec::new(),
            warnings: packed
                .into_iter()
                .map(|left| format!("left out: {left}"))
                .collect(),
            notes: others.into_iter().map(ToString::to_string).collect(),
            is_sample: archive.comment() == sample::LABEL,
        };
        let mut first_error = None;
        for (index, member) in archive.members().iter().enumerate() {
            let mut open = || archive.read(index).map_err(std::io::Error::other);
            match ColumnMapping::detect(&mut open, &member.name, day_first) {
                Ok(mapping) => contents.trips.push(TripsMember {
                    index,
                    name: member.name.clone(),
                    size_bytes: member.size_bytes,
                    mapping,
                }),
                Err(TripsError::NotTrips { first_line, .. })
                    if station_list::recognise(&first_line) =>
                {
                    let list = station_list::read(archive.read(index)?, &member.name)?;
                    let faults = list.faults.iter();
                    contents
                        .notes
                        .extend(faults.map(|fault| format!("{}: {fault}", member.name)));
                    contents.lists.push((member.name.clone(), list));
                }
                // A readme or an empty file beside trips is no reason to refuse the archive.
                Err(error @ (TripsError::NotTrips { .. } | TripsError::Empty { .. })) => {
                    contents.notes.push(error.to_string());
                    first_error.get_or_insert(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !contents.trips.is_empty() || !contents.lists.is_empty() {
            return Ok(contents);
        }
        Err(match first_error {
            Some(error) if archive.members().len() == 1 => error.into(),
            _ => LoadError::NothingToLoad {
                archive: archive.name().into(),
                left_out: if archive.left_out().is_empty() && contents.notes.is_empty() {
                    "it is empty".into()
                } else {
                    [contents.warnings, contents.notes].concat().join("; ")
                },
            },
        })
    }

    /// Returns the names of the members with trips, by index.
    pub(super) fn trip_members(&self) -> Vec<String> {
        let members = self.trips.iter();
        members.map(|member| member.name.clone()).collect()
    }

    /// Returns the members that are station lists, with their numbers of stations.
    pub(super) fn station_counts(&self) -> Vec<(String, usize)> {
        let lists = self.lists.iter();
        lists
            .map(|(member, list)| (member.clone(), list.stations.len()))
            .collect()
    }

    /// Decides to which system the archive belongs. A sample archive belongs to the sample system
    /// unless the user names another; any archive belongs to the sample system if the user says so.
    ///
    /// # Errors
    ///
    /// [`LoadError`] where `given`, the system named by the user, and the systems of the members are
    /// not one, or where there is none.
    pub(super) fn system(
        &self,
        archive: &str,
        given: Option<&System>,
    ) -> Result<System, LoadError> {
        if let Some(given) = given.filter(|given| given.is_sample()) {
            return Ok(given.clone());
        }
        if given.is_none() && self.is_sample {
            return Ok(System::sample());
        }
        let trips = self
            .trips
            .iter()
            .filter_map(|member| Some((&member.name, member.mapping.system()?.clone())));
        let lists = self
            .lists
            .iter()
            .filter_map(|(name, list)| Some((name, system_of(&list.stations)?)));
        let mut found: Option<System> = None;
        for (member, system) in trips.chain(lists) {
            if let Some(given) = given.filter(|given| given.id != system.id) {
                return Err(LoadError::Contradiction {
                    archive: archive.into(),
                    member: member.clone(),
                    given: given.id.to_string(),
                    found: system.id.to_string(),
                });
            }
            if let Some(first) = found.as_ref().filter(|first| first.id != system.id) {
                return Err(LoadError::TwoSystems {
                    archive: archive.into(),
                    first: first.id.to_string(),
                    second: system.id.to_string(),
                });
            }
            found = Some(system);
        }
        found
            .or_else(|| given.cloned())
            .ok_or_else(|| LoadError::UnknownSystem {
                archive: archive.into(),
            })
    }
}

/// Returns the system in whose area most of the stations lie. `None` where none lies in one.
fn system_of(stations: &[Station]) -> Option<System> {
    let mut systems: Vec<(System, usize)> = Vec::new();
    for system in stations
        .iter()
        .filter_map(|station| System::at(station.position()?))
    {
        match systems.iter_mut().find(|(known, _)| known.id == system.id) {
            Some((_, n)) => *n += 1,
            None => systems.push((system, 1)),
        }
    }
    systems.into_iter().max_by_key(|(_, n)| *n).map(|(s, _)| s)
}
