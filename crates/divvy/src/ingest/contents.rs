//! What the members of an archive are: trips, station lists, or other files. Decided by their
//! headers, not by their names.

use super::LoadError;
use super::load::LoadOptions;
use crate::attribution::Evidence;
use crate::model::{Station, Systems};
use crate::sample;
use crate::sources::archive::{Archive, Member};
use crate::sources::station_list::{self, StationList};
use crate::sources::trips_csv::{ColumnMapping, TripsError};

/// What an archive holds.
pub(super) struct Contents {
    pub(super) trips: Vec<TripsMember>,
    /// Station lists.
    pub(super) lists: Vec<ListMember>,
    /// Warnings for the user: members left out that may hold trips.
    pub(super) warnings: Vec<String>,
    /// Notes for the user: other members left out, lists with faults.
    pub(super) notes: Vec<String>,
    /// It carries the sample label.
    pub(super) is_sample: bool,
}

/// A member with trips.
pub(super) struct TripsMember {
    /// Its index among the archive's members.
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) size_bytes: Option<u64>,
    pub(super) mapping: ColumnMapping,
    /// What it shows of its system.
    pub(super) evidence: Evidence,
}

/// A member that is a station list.
pub(super) struct ListMember {
    pub(super) member: String,
    pub(super) list: StationList,
    /// What it shows of its system.
    pub(super) evidence: Evidence,
}

impl Contents {
    /// Reads the header and the first rows of each member.
    pub(super) fn examine(archive: &Archive, options: &LoadOptions) -> Result<Self, LoadError> {
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
            let systems = &options.systems;
            let day_first = options.day_first;
            match ColumnMapping::detect_among(systems, &mut open, &member.name, day_first) {
                Ok(mapping) => contents.add_trips(index, member, mapping),
                Err(TripsError::NotTrips { first_line, .. })
                    if station_list::recognise(&first_line) =>
                {
                    let list = station_list::read(archive.read(index)?, &member.name)?;
                    let faults = list.faults.iter();
                    contents
                        .notes
                        .extend(faults.map(|fault| format!("{}: {fault}", member.name)));
                    contents.lists.push(ListMember {
                        member: member.name.clone(),
                        evidence: evidence_of(&list.stations, systems),
                        list,
                    });
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

    fn add_trips(&mut self, index: usize, member: &Member, mapping: ColumnMapping) {
        let sentence = |sentence: String| format!("{}: {sentence}", member.name);
        self.warnings
            .extend(mapping.warnings().into_iter().map(sentence));
        self.notes.extend(mapping.notes().into_iter().map(sentence));
        self.trips.push(TripsMember {
            index,
            name: member.name.clone(),
            size_bytes: member.size_bytes,
            evidence: mapping.evidence().clone(),
            mapping,
        });
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
            .map(|list| (list.member.clone(), list.list.stations.len()))
            .collect()
    }

    /// Lists the evidence of the members with trips and of the station lists, with their names.
    pub(super) fn evidence(&self) -> impl Iterator<Item = (&str, &Evidence)> {
        let trips = self.trips.iter();
        trips
            .map(|member| (member.name.as_str(), &member.evidence))
            .chain(
                self.lists
                    .iter()
                    .map(|list| (list.member.as_str(), &list.evidence)),
            )
    }

    /// Lists the same, to be changed.
    pub(super) fn evidence_mut(&mut self) -> impl Iterator<Item = &mut Evidence> {
        let trips = self.trips.iter_mut();
        trips
            .map(|member| &mut member.evidence)
            .chain(self.lists.iter_mut().map(|list| &mut list.evidence))
    }
}

/// Returns what the stations of a list tell of their system.
fn evidence_of(stations: &[Station], systems: &Systems) -> Evidence {
    let mut evidence = Evidence::default();
    for station in stations {
        if let Some(position) = station.position() {
            evidence.see_position(position, systems);
        }
        evidence.see_name(station.name.as_deref().unwrap_or_default());
    }
    evidence
}
