//! From entries to stations: each id once, each odd value a fault.

use rustc_hash::FxHashMap;

use super::entry::Entry;
use super::error::FeedError;
use super::fault::{Fault, Faults, shown};
use super::time::FeedTime;
use super::value::{self, Json, Reading};
use crate::model::{Degrees, Station, StationId};
use crate::sources::trips_csv::LONGEST_ID;

/// The stations of one file as they are read.
#[derive(Default)]
pub(super) struct Stations {
    stations: Vec<Station>,
    /// Beside each station, the time of its report where that lacks an offset.
    local_reports: Vec<Option<i64>>,
    places: FxHashMap<StationId, usize>,
    faults: Faults,
    /// Entries left out because they cannot be used.
    unusable: usize,
}

/// What remains when all entries are read.
pub(super) struct Listed {
    pub(super) stations: Vec<Station>,
    pub(super) local_reports: Vec<(usize, i64)>,
    pub(super) faults: Vec<Fault>,
}

impl Stations {
    /// Reads an entry: `fill` makes the station of its fields. Of two entries with one id the
    /// last stays, in the place of the first.
    pub(super) fn take(
        &mut self,
        entry: &Entry<'_>,
        id: (&'static str, Reading<StationId>),
        fill: impl FnOnce(&mut Station, &mut Fields),
    ) {
        let (field, reading) = id;
        let odd = matches!(reading, Reading::Odd(_));
        let id = reading.value();
        let Some(id) = id.filter(|id| id.as_str().len() <= LONGEST_ID) else {
            self.unusable += 1;
            let found = || shown(entry.raw(field));
            return self.faults.general(field, found, "the id of a station");
        };
        if odd {
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
        match self.places.get(&station.id) {
            Some(place) => {
                let expected = "each station once; the last is kept";
                self.faults
                    .of_station(&station.id, field, "it again", expected);
                self.stations[*place] = station;
                self.local_reports[*place] = local_report;
            }
            None => {
                self.places.insert(station.id.clone(), self.stations.len());
                self.stations.push(station);
                self.local_reports.push(local_report);
            }
        }
    }

    /// Leaves an entry out that is no station of the public.
    pub(super) fn leave_out(&mut self, id: &StationId, field: &'static str) {
        self.faults
            .of_station(id, field, "true", "false; the station is left out");
    }

    /// Returns the stations.
    ///
    /// # Errors
    ///
    /// [`FeedError::NoUsableStation`] where there are entries and every one was unusable.
    pub(super) fn finish(self, file: &str) -> Result<Listed, FeedError> {
        let mut faults = self.faults.into_vec();
        if self.stations.is_empty() && self.unusable > 0 {
            return Err(FeedError::NoUsableStation {
                file: file.into(),
                stations: self.unusable,
                fault: Box::new(faults.swap_remove(0)),
            });
        }
        let reports = self.local_reports.into_iter().enumerate();
        Ok(Listed {
            stations: self.stations,
            local_reports: reports.filter_map(|(at, ms)| Some((at, ms?))).collect(),
            faults,
        })
    }
}

/// The fields of the station at hand.
pub(super) struct Fields<'a> {
    entry: &'a Entry<'a>,
    id: StationId,
    faults: &'a mut Faults,
    local_report: Option<i64>,
}

/// Whether the specification lets a field be absent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
}

impl<'a> Fields<'a> {
    /// Returns what a field says, for the caller to read.
    pub(super) fn json(&self, field: &str) -> Json<'a> {
        self.entry.get(field)
    }

    pub(super) fn text(&mut self, field: &'static str, presence: Presence) -> Option<String> {
        let reading = value::text(&self.entry.get(field));
        self.keep(field, reading, "a text", presence)
    }

    /// Reads an id of another kind, whether text or number.
    pub(super) fn other_id(&mut self, field: &'static str) -> Option<String> {
        value::text(&self.entry.get(field)).value()
    }

    pub(super) fn count(&mut self, field: &'static str, presence: Presence) -> Option<u32> {
        let reading = value::count(&self.entry.get(field));
        self.keep(field, reading, "a whole number from 0", presence)
    }

    /// Reads the first of the fields that is there; they are names of one thing.
    pub(super) fn count_of(&mut self, names: [&'static str; 2], presence: Presence) -> Option<u32> {
        let [first, second] = names;
        let there = if self.entry.raw(first) == "null" {
            second
        } else {
            first
        };
        self.count(there, presence)
    }

    pub(super) fn latitude(&mut self, field: &'static str) -> Option<Degrees> {
        let reading = value::degrees(&self.entry.get(field), 90.0);
        self.keep(field, reading, "degrees from -90 to 90", Presence::Required)
    }

    pub(super) fn longitude(&mut self, field: &'static str) -> Option<Degrees> {
        let reading = value::degrees(&self.entry.get(field), 180.0);
        let expected = "degrees from -180 to 180";
        self.keep(field, reading, expected, Presence::Required)
    }

    /// Reads yes or no; `digits` says whether 0 and 1 are as specified.
    pub(super) fn flag(
        &mut self,
        field: &'static str,
        digits: bool,
        presence: Presence,
    ) -> Option<bool> {
        match value::flag(&self.entry.get(field)) {
            Reading::Odd(flag) if digits => Some(flag),
            reading => self.keep(field, reading, "true or false", presence),
        }
    }

    /// Reads when the station reported. A time without an offset is kept for later.
    pub(super) fn report_time(
        &mut self,
        field: &'static str,
        presence: Presence,
    ) -> Option<jiff::Timestamp> {
        let reading = value::time(&self.entry.get(field));
        match self.keep(field, reading, "a time since 2010", presence)? {
            FeedTime::Instant(instant) => Some(instant),
            FeedTime::Local { ms } => {
                self.local_report = Some(ms);
                None
            }
        }
    }

    /// Notes a value that cannot be used.
    pub(super) fn fault(&mut self, field: &'static str, expected: &'static str) {
        let found = shown(self.entry.raw(field));
        self.faults.of_station(&self.id, field, found, expected);
    }

    fn keep<T>(
        &mut self,
        field: &'static str,
        reading: Reading<T>,
        expected: &'static str,
        presence: Presence,
    ) -> Option<T> {
        match &reading {
            Reading::Good(_) => {}
            Reading::Odd(_) => {
                let found = || shown(self.entry.raw(field));
                self.faults.general(field, found, expected);
            }
            Reading::Nothing if presence == Presence::Optional => {}
            Reading::Nothing | Reading::Bad => self.fault(field, expected),
        }
        reading.value()
    }
}
