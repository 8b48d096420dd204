//! The aliases of stations in a trips file.
//!
//! The columns of station ids have the published ids alone. A column beside each has the number of the
//! alias among those of its id in this file, in the order in which they first appear; the names and cells
//! ([`StationAlias::qualifier`]) are in the file's metadata, as JSON:
//! `{"517": ["clark st and jarvis ave\u001e41.880,-87.632", ""]}`, with `""` for an alias without both. An
//! id of which all trips have neither is not in it.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

use parquet::column::page::PageReader;
use parquet::errors::{ParquetError, Result};
use rustc_hash::FxHashMap;

use super::dictionary::{self, Texts};
use super::pages::Pages;
use crate::model::{Dictionary, StationAlias};

/// The numbers of the aliases of a file that is being written.
///
/// It holds each alias of the file once, as the tallies of its archive do.
#[derive(Default)]
pub(super) struct AliasNumbers {
    numbers: FxHashMap<Box<str>, i32>,
    /// How many aliases each id has.
    counts: FxHashMap<Box<str>, i32>,
}

impl AliasNumbers {
    /// Returns the number of an alias among those of its id.
    pub(super) fn number(&mut self, alias: &StationAlias) -> i32 {
        if let Some(number) = self.numbers.get(alias.as_str()) {
            return *number;
        }
        let count = self.counts.entry(alias.id_str().into()).or_default();
        let number = *count;
        *count += 1;
        self.numbers.insert(alias.as_str().into(), number);
        number
    }

    /// Writes the names for the file's metadata. `None` if no alias has a name.
    pub(super) fn to_metadata(&self) -> Option<String> {
        let mut aliases: Vec<(i32, StationAlias)> = (self.numbers.iter())
            .map(|(text, number)| (*number, text.as_ref().into()))
            .collect();
        aliases.sort_unstable_by_key(|(number, _)| *number);
        let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (_, alias) in &aliases {
            let of_id = names.entry(alias.id_str()).or_default();
            of_id.push(alias.qualifier());
        }
        names.retain(|_, of_id| *of_id != [""]);
        let json = || serde_json::to_string(&names).expect("texts and lists of them are JSON");
        (!names.is_empty()).then(json)
    }
}

/// Encodes a column of stations, given by the indexes of their aliases in `texts`; index 0 stands for
/// none. Returns the column of ids and that of numbers.
pub(super) fn encode(
    indexes: &[u32],
    texts: &Dictionary,
    numbers: &mut AliasNumbers,
) -> [Pages; 2] {
    let mut ids: Vec<StationAlias> = Vec::new();
    let mut codes_of: FxHashMap<Box<str>, u32> = FxHashMap::default();
    let mut number_of: FxHashMap<&str, i32> = FxHashMap::default();
    let codes = dictionary::codes(indexes, texts, |text| {
        let alias = StationAlias::from(text);
        let number = numbers.number(&alias);
        if number != 0 {
            number_of.insert(text, number);
        }
        *codes_of.entry(alias.id_str().into()).or_insert_with(|| {
            ids.push(alias);
            ids.len() as u32 - 1
        })
    });
    let ids: Vec<&str> = ids.iter().map(StationAlias::id_str).collect();
    let id_pages = dictionary::text_pages(indexes, &codes, &ids);
    if number_of.is_empty() {
        return [id_pages, dictionary::constant_int(0, indexes.len())];
    }
    let by_index: Vec<i32> = (texts.iter())
        .map(|text| number_of.get(text).copied().unwrap_or(0))
        .collect();
    let numbers: Vec<i32> = indexes.iter().map(|n| by_index[*n as usize]).collect();
    [id_pages, dictionary::small_ints(&numbers)]
}

/// Decodes a column of stations: adds their aliases to a dictionary and returns their indexes there. Of
/// `numbers`, the column beside it, `None` stands for 0 in each row.
///
/// # Errors
///
/// If the file has no such alias, or its pages are not as [`encode`] makes them.
pub(super) fn decode(
    ids: &mut dyn PageReader,
    numbers: Option<Vec<i32>>,
    names: &AliasNames,
    texts: &mut Texts,
) -> Result<Vec<u32>> {
    let mut indexes = dictionary::decode(ids, &mut |id| {
        Ok(texts.index_of(names.alias(id, 0)?.as_str()))
    })?;
    let mut others: FxHashMap<(u32, i32), u32> = FxHashMap::default();
    for (index, number) in indexes.iter_mut().zip(numbers.unwrap_or_default()) {
        if number == 0 {
            continue;
        }
        if *index == 0 {
            return Err(ParquetError::General("no station has an alias".into()));
        }
        *index = match others.entry((*index, number)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let first = StationAlias::from(texts.dictionary.text(*index));
                let alias = names.alias(first.id_str(), number)?;
                *new.insert(texts.index_of(alias.as_str()))
            }
        };
    }
    Ok(indexes)
}

/// The names of the aliases of a file, by id and number.
#[derive(Default)]
pub(super) struct AliasNames(FxHashMap<Box<str>, Vec<Box<str>>>);

impl AliasNames {
    /// Reads what [`AliasNumbers::to_metadata`] wrote.
    pub(super) fn from_metadata(json: Option<&str>) -> serde_json::Result<Self> {
        json.map_or(Ok(Self::default()), |json| {
            serde_json::from_str(json).map(Self)
        })
    }

    /// Returns an alias of an id.
    ///
    /// # Errors
    ///
    /// If there is none of this number.
    pub(super) fn alias(&self, id: &str, number: i32) -> Result<StationAlias> {
        let name = match self.0.get(id) {
            None => (number == 0).then_some(""),
            Some(names) => usize::try_from(number)
                .ok()
                .and_then(|number| names.get(number))
                .map(AsRef::as_ref),
        };
        name.map(|name| StationAlias::join(id, name))
            .ok_or_else(|| {
                let message = format!("station {id} has no alias of number {number}");
                ParquetError::General(message)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TripsFile, TripsWriter};
    use super::*;
    use crate::model::Trip;
    use crate::store::embedded::testing::{divvy, trip};

    #[test]
    fn numbers_follow_the_order_of_appearance() {
        let mut numbers = AliasNumbers::default();
        let aliases = [
            ("517", "Clark St & Jarvis Ave", 0),
            ("517", "", 1),
            ("86", "", 0),
            ("517", "Pulaski Rd", 2),
            ("517", "clark st and jarvis ave", 0),
            ("5\u{1f}17", "", 0),
        ]
        .map(|(id, name, number)| (StationAlias::new(id, name), number));
        for (alias, number) in &aliases {
            assert_eq!(numbers.number(alias), *number, "{alias}");
        }
        let json = numbers.to_metadata().unwrap();
        assert_eq!(
            json,
            r#"{"517":["clark st and jarvis ave","","pulaski rd"]}"#
        );
        let names = AliasNames::from_metadata(Some(&json)).unwrap();
        for (alias, number) in &aliases {
            assert_eq!(names.alias(alias.id_str(), *number).unwrap(), *alias);
        }
        for (id, number) in [("517", 3), ("517", -1), ("86", 1)] {
            assert!(names.alias(id, number).is_err(), "{id}: {number}");
        }
    }

    proptest::proptest! {
        /// Whatever separators and marks ids and names have.
        #[test]
        fn any_aliases_survive(
            groups in proptest::collection::vec(
                proptest::collection::vec(("[ab\u{1f}]{1,3}", "[ab \u{1f}()*/-]{0,5}"), 1..20),
                1..4,
            ),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("trips.parquet");
            let mut writer = TripsWriter::create(path.clone(), &divvy().id).unwrap();
            let mut written = Vec::new();
            for rows in &groups {
                let ids = rows.iter().map(|(id, name)| StationAlias::new(id, name));
                let texts: Vec<Box<str>> = ids.map(|alias| alias.as_str().into()).collect();
                let trips = texts.iter().zip(0..).map(|(text, n)| Trip {
                    destination: Some(text.as_ref().into()),
                    ..trip(&n.to_string(), n)
                });
                writer.write(&trips.collect()).unwrap();
                written.push(texts);
            }
            writer.finish().unwrap();
            let file = TripsFile::open(&path).unwrap();
            for (group, texts) in written.iter().enumerate() {
                let batch = file.read(group).unwrap();
                let read: Vec<Box<str>> = (batch.destination.iter())
                    .map(|index| batch.stations.text(*index).into())
                    .collect();
                proptest::prop_assert_eq!(&read, texts);
            }
        }
    }

    #[test]
    fn a_file_without_names_has_no_metadata() {
        let mut numbers = AliasNumbers::default();
        numbers.number(&"517".into());
        assert_eq!(numbers.to_metadata(), None);
        let names = AliasNames::from_metadata(None).unwrap();
        assert_eq!(names.alias("517", 0).unwrap(), "517".into());
        assert!(names.alias("517", 1).is_err());
        assert!(AliasNames::from_metadata(Some("{\"517\": 3}")).is_err());
    }
}
