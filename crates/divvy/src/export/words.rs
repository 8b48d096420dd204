//! The stations and archives of a system's trips, by number.
//!
//! There are as many as in the system's totals, which every report holds in memory.

use std::collections::HashMap;

use parquet::data_type::ByteArray;

use crate::model::{Dictionary, StationAlias};
use crate::store::{ContentHash, LedgerEntry};
use crate::tally::Names;

/// Stations and archives by number.
pub(super) struct Words {
    /// The published names of stations.
    names: Names,
    numbers: HashMap<Box<str>, i32>,
    /// Ids and names by number. Number 0 has neither.
    stations: Vec<(Option<ByteArray>, Option<ByteArray>)>,
    /// The archives, in the order of loading.
    archives: Vec<(ContentHash, ByteArray)>,
}

impl Words {
    /// Makes the words of the trips of some archives. `names` are the names that files give to stations.
    pub(super) fn new(names: Names, archives: &[LedgerEntry]) -> Self {
        let archives = archives.iter();
        Self {
            names,
            numbers: HashMap::new(),
            stations: vec![(None, None)],
            archives: archives
                .map(|entry| (entry.id.content, entry.id.name.as_str().into()))
                .collect(),
        }
    }

    /// Returns the number of an archive. `None` for one that is not among those given.
    pub(super) fn archive_number(&self, content: ContentHash) -> Option<usize> {
        let mut archives = self.archives.iter();
        archives.position(|(known, _)| *known == content)
    }

    /// Returns the numbers of the stations of a batch, by their indexes in its dictionary.
    pub(super) fn station_numbers(&mut self, stations: &Dictionary) -> Vec<i32> {
        let texts = stations.iter();
        texts.map(|text| self.station_number(text)).collect()
    }

    fn station_number(&mut self, text: &str) -> i32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.stations.len() as i32;
        self.numbers.insert(text.into(), number);
        self.stations.push(self.station(text));
        number
    }

    /// Makes the id and the name of an alias: the latest spelling of files, else the name as names are
    /// compared.
    fn station(&self, text: &str) -> (Option<ByteArray>, Option<ByteArray>) {
        let alias = StationAlias::from(text);
        let name = self.names.latest(&alias).or(alias.name());
        (Some(alias.id_str().into()), name.map(ByteArray::from))
    }

    /// Returns the id of a station. `None` for number 0.
    pub(super) fn station_id(&self, number: i32) -> Option<ByteArray> {
        self.stations[number as usize].0.clone()
    }

    /// Returns the name of a station. `None` where its trips have none.
    pub(super) fn station_name(&self, number: i32) -> Option<ByteArray> {
        self.stations[number as usize].1.clone()
    }

    /// Returns the file name of an archive.
    pub(super) fn archive(&self, number: i32) -> ByteArray {
        self.archives[number as usize].1.clone()
    }
}
