//! What the members of an archive are: trips, station lists, or other files. Decided by their
//! headers, not by their names.

use std::io::{self, Read};

use super::LoadError;
use crate::issue::Skipped;
use crate::model::{Station, System};
use crate::sample;
use crate::sources::archive::{Archive, LeftOut, Member};
use crate::sources::sniff;
use crate::sources::station_list::{self, StationList};
use crate::sources::trips_csv::{ColumnMapping, TimeHints, TripsError};

/// Bytes at the beginning of a member in which the header of a station list is looked for.
const LIST_HEAD_BYTES: u64 = 16 * 1024;

/// What an archive holds.
pub(super) struct Contents {
    pub(super) trips: Vec<TripsMember>,
    /// Station lists, by the names of their members.
    pub(super) lists: Vec<(String, StationList)>,
    /// Members that may be tables and are not loaded.
    pub(super) skipped: Vec<Skipped>,
    /// Warnings for the user: what was read otherwise than it stands.
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
    pub(super) fn examine(archive: &Archive, hints: TimeHints) -> Result<Self, LoadError> {
        let left_out = archive.left_out().iter();
        let others = left_out.clone().filter(|left| left.table.is_none());
        let mut contents = Self {
            trips: Vec::new(),
            lists: Vec::new(),
            skipped: left_out.filter_map(LeftOut::skipped).collect(),
            warnings: Vec::new(),
            notes: others.map(ToString::to_string).collect(),
            is_sample: archive.comment() == sample::LABEL,
        };
        let mut first_error = None;
        for (index, member) in archive.members().iter().enumerate() {
            if let Some(error) = contents.add(archive, index, member, hints)? {
                first_error.get_or_insert(error);
            }
        }
        if !contents.trips.is_empty() || !contents.lists.is_empty() {
            return Ok(contents);
        }
        Err(match first_error {
            Some(error) if archive.members().len() == 1 && archive.left_out().is_empty() => {
                error.into()
            }
            _ => LoadError::NothingToLoad {
                archive: archive.name().into(),
                left_out: contents.left_out(),
            },
        })
    }

    /// Adds a member to the trips, the lists, or what is left out. Returns the error of one that is left
    /// out.
    ///
    /// # Errors
    ///
    /// [`LoadError`] for a member for which the whole archive is refused.
    fn add(
        &mut self,
        archive: &Archive,
        index: usize,
        member: &Member,
        hints: TimeHints,
    ) -> Result<Option<TripsError>, LoadError> {
        let name = &member.name;
        let mut open = || archive.read(index).map_err(io::Error::other);
        let error = match ColumnMapping::detect(&mut open, name, hints) {
            Ok(mapping) => {
                let warnings = mapping.warnings().into_iter();
                self.warnings
                    .extend(warnings.map(|warning| format!("{name}: {warning}")));
                self.notes.extend(form_note(member, mapping.separator()));
                self.trips.push(TripsMember {
                    index,
                    name: name.clone(),
                    size_bytes: member.size_bytes,
                    mapping,
                });
                return Ok(None);
            }
            Err(error) => error,
        };
        let mut head = Vec::new();
        if matches!(
            error,
            TripsError::NotTrips { .. } | TripsError::NoHeader { .. }
        ) {
            let read_error = |source| TripsError::Read {
                file: name.clone(),
                source,
            };
            let input = archive.read(index)?.take(LIST_HEAD_BYTES);
            head = head_of(input).map_err(read_error)?;
        }
        if let Some(form) = station_list::recognise(&head) {
            let list = station_list::read(archive.read(index)?, form, name)?;
            let faults = list.faults.iter();
            self.notes
                .extend(faults.map(|fault| format!("{name}: {fault}")));
            self.notes.extend(form_note(member, form.separator));
            if list.has_other_encoding {
                self.warnings.push(other_encoding_warning(name));
            }
            self.lists.push((name.clone(), list));
            return Ok(None);
        }
        let Some(skipped) = error.skipped(name) else {
            return Err(error.into());
        };
        let is_prose = matches!(error, TripsError::NotTrips { .. })
            && !sniff::is_named_as_table(name)
            && !sniff::is_regular(&head);
        if is_prose {
            self.notes.push(error.to_string());
        } else {
            self.skipped.push(skipped);
        }
        Ok(Some(error))
    }

    /// Says what an archive holds of which nothing is loaded.
    fn left_out(self) -> String {
        let skipped = self.skipped.iter().map(ToString::to_string);
        let all: Vec<String> = skipped.chain(self.notes).collect();
        if all.is_empty() {
            return "it is empty".into();
        }
        all.join("; ")
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

fn head_of(mut input: impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    input.read_to_end(&mut head)?;
    Ok(head)
}

/// Says that a member is not plain CSV. `None` for one that is.
fn form_note(member: &Member, separator: u8) -> Option<String> {
    let separator = match separator {
        b';' => Some("semicolons"),
        b'\t' => Some("tabs"),
        b'|' => Some("bars"),
        _ => None,
    };
    let parts = [
        member.encoding.name().map(|name| format!("read as {name}")),
        separator.map(|name| format!("cells separated by {name}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("{}: {}", member.name, parts.join(", ")))
}

/// Says that bytes of a member are no UTF-8.
pub(super) fn other_encoding_warning(member: &str) -> String {
    format!("{member}: some of its texts are not UTF-8, and were read as Windows-1252")
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
