//! What the members of an archive are: trips, station lists, or other files. Decided by their
//! headers, not by their names.

use std::io::{self, Read};

use super::LoadError;
use crate::attribution::Evidence;
use crate::issue::Skipped;
use crate::model::{Station, Systems};
use crate::sample;
use crate::sources::archive::{Archive, LeftOut, Member};
use crate::sources::sniff;
use crate::sources::station_feed::{self, Fault};
use crate::sources::station_list::{self, StationList};
use crate::sources::trips_csv::{ColumnMapping, TimeHints, TripsError};

/// Bytes at the beginning of a member in which the header of a station list is looked for.
const LIST_HEAD_BYTES: u64 = 16 * 1024;

/// What an archive holds.
pub(super) struct Contents {
    pub(super) trips: Vec<TripsMember>,
    /// Station lists.
    pub(super) lists: Vec<ListMember>,
    /// Members that may be tables and are not loaded.
    pub(super) skipped: Vec<Skipped>,
    /// Warnings for the user: what was read otherwise than it stands.
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
    pub(super) fn examine(
        archive: &Archive,
        systems: &Systems,
        hints: TimeHints,
    ) -> Result<Self, LoadError> {
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
        for index in 0..archive.members().len() {
            if let Some(error) = contents.add(archive, index, systems, hints)? {
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
        systems: &Systems,
        hints: TimeHints,
    ) -> Result<Option<TripsError>, LoadError> {
        let member = &archive.members()[index];
        let name = &member.name;
        let mut open = || archive.read(index).map_err(io::Error::other);
        let error = match ColumnMapping::detect_among(systems, &mut open, name, hints) {
            Ok(mapping) => {
                let warnings = mapping.warnings().into_iter();
                self.warnings
                    .extend(warnings.map(|warning| format!("{name}: {warning}")));
                let notes = mapping.notes().into_iter();
                self.notes
                    .extend(notes.map(|note| format!("{name}: {note}")));
                self.notes.extend(form_note(member, mapping.separator()));
                self.trips.push(TripsMember {
                    index,
                    name: name.clone(),
                    size_bytes: member.size_bytes,
                    evidence: mapping.evidence().clone(),
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
            // A row that is left out is a warning, a value that is left out a note.
            let (rows, values): (Vec<Fault>, Vec<Fault>) =
                (list.faults.iter().cloned()).partition(|fault| fault.field == "id");
            let sentences = |faults: &[Fault]| {
                let faults = station_feed::in_short(faults).into_iter();
                faults
                    .map(|fault| format!("{name}: {fault}"))
                    .collect::<Vec<_>>()
            };
            self.warnings.extend(sentences(&rows));
            self.notes.extend(sentences(&values));
            if list.stations.is_empty() {
                self.skipped.push(Skipped {
                    member: name.clone(),
                    why: "a station list without stations".into(),
                    what_to_do: "download or save the file again".into(),
                });
                return Ok(Some(TripsError::NoRows { file: name.clone() }));
            }
            self.notes.extend(form_note(member, form.separator));
            if list.has_other_encoding {
                self.warnings.push(other_encoding_warning(name));
            }
            self.lists.push(ListMember {
                member: name.clone(),
                evidence: evidence_of(&list.stations, systems),
                list,
            });
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

/// Returns the evidence about the system in the stations of a list.
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
