//! What the members of an archive are: trips, a station list, or something to leave alone. Their
//! headers tell, never their names.

use super::LoadError;
use crate::model::{Station, System};
use crate::sample;
use crate::sources::archive::Archive;
use crate::sources::station_list::{self, StationList};
use crate::sources::trips_csv::{Plan, TripsError};

/// What an archive holds.
pub(super) struct Contents {
    pub(super) trips: Vec<TripsMember>,
    pub(super) lists: Vec<(String, StationList)>,
    pub(super) notes: Vec<String>,
    /// It carries the mark of `divvy sample`.
    pub(super) is_sample: bool,
}

/// A member with trips.
pub(super) struct TripsMember {
    /// Its place among the archive's members.
    pub(super) place: usize,
    pub(super) name: String,
    pub(super) size_bytes: Option<u64>,
    pub(super) plan: Plan,
}

/// Looks at the header and the first rows of each member.
pub(super) fn look(archive: &Archive, day_first: bool) -> Result<Contents, LoadError> {
    let mut contents = Contents {
        trips: Vec::new(),
        lists: Vec::new(),
        notes: archive.left_out().iter().map(ToString::to_string).collect(),
        is_sample: archive.comment() == sample::MARK,
    };
    let mut refusal = None;
    for (place, member) in archive.members().iter().enumerate() {
        let mut open = || archive.read(place).map_err(std::io::Error::other);
        match Plan::make(&mut open, &member.name, day_first) {
            Ok(plan) => contents.trips.push(TripsMember {
                place,
                name: member.name.clone(),
                size_bytes: member.size_bytes,
                plan,
            }),
            Err(TripsError::NotTrips { first_line, .. })
                if station_list::recognise(&first_line) =>
            {
                let list = station_list::read(archive.read(place)?, &member.name)?;
                let faults = list.faults.iter();
                contents
                    .notes
                    .extend(faults.map(|fault| format!("{}: {fault}", member.name)));
                contents.lists.push((member.name.clone(), list));
            }
            // Beside trips, a readme or an empty file is no reason to refuse them.
            Err(error @ (TripsError::NotTrips { .. } | TripsError::Empty { .. })) => {
                contents.notes.push(error.to_string());
                refusal.get_or_insert(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if !contents.trips.is_empty() || !contents.lists.is_empty() {
        return Ok(contents);
    }
    Err(match refusal {
        Some(error) if archive.members().len() == 1 => error.into(),
        _ => LoadError::NothingToLoad {
            archive: archive.name().into(),
            left_out: match contents.notes.len() {
                0 => "it is empty".into(),
                _ => contents.notes.join("; "),
            },
        },
    })
}

impl Contents {
    /// Decides whose trips and stations these are. A sample is of a system of its own, unless the
    /// user says otherwise; so is whatever the user calls one.
    pub(super) fn system(&self, archive: &str, said: Option<&System>) -> Result<System, LoadError> {
        if let Some(said) = said.filter(|said| said.is_sample()) {
            return Ok(said.clone());
        }
        if said.is_none() && self.is_sample {
            return Ok(System::sample());
        }
        let trips = self
            .trips
            .iter()
            .filter_map(|member| Some((&member.name, member.plan.system()?.clone())));
        let lists = self
            .lists
            .iter()
            .filter_map(|(name, list)| Some((name, system_of(&list.stations)?)));
        let mut found: Option<System> = None;
        for (member, told) in trips.chain(lists) {
            if let Some(said) = said.filter(|said| said.id != told.id) {
                return Err(LoadError::Contradiction {
                    archive: archive.into(),
                    member: member.clone(),
                    said: said.id.to_string(),
                    found: told.id.to_string(),
                });
            }
            if let Some(first) = found.as_ref().filter(|first| first.id != told.id) {
                return Err(LoadError::TwoSystems {
                    archive: archive.into(),
                    first: first.id.to_string(),
                    second: told.id.to_string(),
                });
            }
            found = Some(told);
        }
        found
            .or_else(|| said.cloned())
            .ok_or_else(|| LoadError::UnknownSystem {
                archive: archive.into(),
            })
    }
}

/// Tells whose a list is by where most of its stations lie.
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
