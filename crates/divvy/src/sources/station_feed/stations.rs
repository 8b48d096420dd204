//! Makes stations of entries: each id once, and a fault for each value not as specified.

use rustc_hash::FxHashMap;

use super::entry::Entry;
use super::error::FeedError;
use super::fault::{Fault, Faults, shown};
use super::time::FeedTime;
use super::value::{self, Json, Parsed};
use crate::model::{Degrees, MAX_STATION_ID_BYTES, Station, StationId};

/// The stations of one file while it is read.
#[derive(Default)]
pub(super) struct Stations {
    stations: Vec<Station>,
    /// For each station, the time of its report where that lacks an offset.
    local_reports: Vec<Option<i64>>,
    indexes: FxHashMap<StationId, usize>,
    faults: Faults,
    /// Entries left out because they cannot be used.
    unusable: usize,
}

/// The result of parsed all entries.
pub(super) struct StationsRead {
    pub(super) stations: Vec<Station>,
    /// Times of reports that lack an offset, with the index in `stations`.
    pub(super) local_reports: Vec<(usize, i64)>,
    pub(super) faults: Vec<Fault>,
}

impl Stations {
    /// Reads an entry: `fill` sets the station's values from its fields. Of two entries with one id
    /// the last is kept, at the index of the first. Returns the index. `None` for an entry that is left
    /// out.
    pub(super) fn take(
        &mut self,
        entry: &Entry<'_>,
        id: (&'static str, Parsed<StationId>),
        fill: impl FnOnce(&mut Station, &mut Fields),
    ) -> Option<usize> {
        let (field, parsed) = id;
        let is_tolerated = matches!(parsed, Parsed::Tolerated(_));
        let id = parsed.value();
        let Some(id) = id.filter(|id| id.as_str().len() <= MAX_STATION_ID_BYTES) else {
            self.unusable += 1;
            let found = || shown(entry.raw(field));
            self.faults.general(field, found, "the id of a station");
            return None;
        };
        if is_tolerated {
            let found = || shown(entry.raw(field));
            self.faults.general(field, found, "a text");
        }
        let mut station = Station::unknown(id);
        let mut fields = Fields {
            entry,
            id: station.id.clone(),
            faults: &mut self.faults,
            local_report: None,
        };
        fill(&mut station, &mut fields);
        let local_report = fields.local_report;
        match self.indexes.get(&station.id) {
            Some(index) => {
                let expected = "each station once; the last is kept";
                self.faults
                    .of_station(&station.id, field, "it again", expected);
                self.stations[*index] = station;
                self.local_reports[*index] = local_report;
                Some(*index)
            }
            None => {
                let index = self.stations.len();
                self.indexes.insert(station.id.clone(), index);
                self.stations.push(station);
                self.local_reports.push(local_report);
                Some(index)
            }
        }
    }

    /// Leaves out an entry that is not open to the public.
    pub(super) fn leave_out(&mut self, id: &StationId, field: &'static str) {
        self.faults
            .of_station(id, field, "true", "false; the station is left out");
    }

    /// Returns the stations.
    ///
    /// # Errors
    ///
    /// [`FeedError::NoUsableStation`] where there are entries and every one was unusable.
    pub(super) fn finish(self, file: &str) -> Result<StationsRead, FeedError> {
        let mut faults = self.faults.into_vec();
        if self.stations.is_empty() && self.unusable > 0 {
            return Err(FeedError::NoUsableStation {
                file: file.into(),
                stations: self.unusable,
                fault: Box::new(faults.swap_remove(0)),
            });
        }
        let reports = self.local_reports.into_iter().enumerate();
        Ok(StationsRead {
            stations: self.stations,
            local_reports: reports
                .filter_map(|(index, ms)| Some((index, ms?)))
                .collect(),
            faults,
        })
    }
}

/// The fields of one station, with the faults found in them.
pub(super) struct Fields<'a> {
    entry: &'a Entry<'a>,
    id: StationId,
    faults: &'a mut Faults,
    local_report: Option<i64>,
}

/// Whether the specification requires a field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
}

impl<'a> Fields<'a> {
    /// Returns the JSON of a field.
    pub(super) fn json(&self, field: &str) -> Json<'a> {
        self.entry.get(field)
    }

    pub(super) fn text(&mut self, field: &'static str, presence: Presence) -> Option<String> {
        let parsed = value::text(&self.entry.get(field));
        self.keep(field, parsed, "a text", presence)
    }

    /// Reads an id other than the station's, as text or number.
    pub(super) fn other_id(&mut self, field: &'static str) -> Option<String> {
        value::text(&self.entry.get(field)).value()
    }

    pub(super) fn count(&mut self, field: &'static str, presence: Presence) -> Option<u32> {
        let parsed = value::count(&self.entry.get(field));
        self.keep(field, parsed, "a whole number from 0", presence)
    }

    /// Reads the first that is there of fields with one meaning. A fault names the last of them: `names`
    /// is not empty.
    pub(super) fn count_of(&mut self, names: &[&'static str], presence: Presence) -> Option<u32> {
        let present = names.iter().find(|name| self.entry.raw(name) != "null");
        let last = names.last().expect("fields have names");
        self.count(present.unwrap_or(last), presence)
    }

    pub(super) fn latitude(&mut self, field: &'static str) -> Option<Degrees> {
        let parsed = value::degrees(&self.entry.get(field), 90.0);
        self.keep(field, parsed, "degrees from -90 to 90", Presence::Required)
    }

    pub(super) fn longitude(&mut self, field: &'static str) -> Option<Degrees> {
        let parsed = value::degrees(&self.entry.get(field), 180.0);
        let expected = "degrees from -180 to 180";
        self.keep(field, parsed, expected, Presence::Required)
    }

    /// Reads a flag. `digits` states whether 0 and 1 are the specified form.
    pub(super) fn flag(
        &mut self,
        field: &'static str,
        digits: bool,
        presence: Presence,
    ) -> Option<bool> {
        match value::flag(&self.entry.get(field)) {
            Parsed::Tolerated(flag) if digits => Some(flag),
            parsed => self.keep(field, parsed, "true or false", presence),
        }
    }

    /// Reads the time of the station's report. `None` for one without an offset, which is kept in
    /// `local_report`.
    pub(super) fn report_time(
        &mut self,
        field: &'static str,
        presence: Presence,
    ) -> Option<jiff::Timestamp> {
        let parsed = value::time(&self.entry.get(field));
        match self.keep(field, parsed, "a time since 2010", presence)? {
            FeedTime::Instant(instant) => Some(instant),
            FeedTime::Local { ms } => {
                self.local_report = Some(ms);
                None
            }
        }
    }

    /// Adds a fault for a value that cannot be used.
    pub(super) fn fault(&mut self, field: &'static str, expected: &'static str) {
        let found = shown(self.entry.raw(field));
        self.faults.of_station(&self.id, field, found, expected);
    }

    fn keep<T>(
        &mut self,
        field: &'static str,
        parsed: Parsed<T>,
        expected: &'static str,
        presence: Presence,
    ) -> Option<T> {
        match &parsed {
            Parsed::Valid(_) => {}
            Parsed::Tolerated(_) => {
                let found = || shown(self.entry.raw(field));
                self.faults.general(field, found, expected);
            }
            Parsed::Missing if presence == Presence::Optional => {}
            Parsed::Missing | Parsed::Invalid => self.fault(field, expected),
        }
        parsed.value()
    }
}
