//! Station lists: CSV files with names and coordinates, published with the trips until 2017 and
//! recognised by their header.
//!
//! Their dates (`online date`, `dateCreated`) have five forms and some state when a row was edited,
//! so they are not read; nor are `landmark`, the number of a terminal, and `city`.

use std::io::Read;

use csv::ByteRecord;
use rustc_hash::FxHashMap;

use super::sniff::SEPARATORS;
use super::station_feed::{Fault, Faults};
use super::text::decode;
use crate::issue::READABLE_CHARS;
use crate::model::{Degrees, MAX_STATION_ID_BYTES, Station, StationId};

/// The stations of one list.
#[derive(Clone, Debug, PartialEq)]
pub struct StationList {
    /// The stations, each id once, in the order of the file.
    pub stations: Vec<Station>,
    /// Values that could not be used, and rows left out.
    pub faults: Vec<Fault>,
    /// Some bytes are not UTF-8, and were taken for Windows-1252.
    pub has_other_encoding: bool,
}

/// How a station list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListForm {
    /// What separates its cells.
    pub separator: u8,
    /// How many lines stand before its header, without blank ones.
    lines_before: usize,
}

/// How many lines may stand before a header, such as the day of the last update.
const MAX_LINES_BEFORE: usize = 5;

/// Why a file cannot be read as a station list.
#[derive(Debug, thiserror::Error)]
pub enum StationListError {
    /// The file has no first line.
    #[error("{file} is empty")]
    Empty {
        /// The file, or member of an archive.
        file: String,
    },
    /// The first line is not the header of a station list.
    #[error(
        "{file} holds no station list: its first line is {first_line:?}; expected columns such as \
         id, name, latitude, longitude, dpcapacity"
    )]
    NotStations {
        /// The file, or member of an archive.
        file: String,
        /// Its first line, cut to a readable length.
        first_line: String,
    },
    /// Reading failed: a wrong checksum, a truncated archive, a failing disk.
    #[error("{file}: {source}")]
    Read {
        /// The file, or member of an archive.
        file: String,
        /// The cause.
        source: csv::Error,
    },
}

// Every spelling of every column, as `normalise` returns it. The first that a header has is read.
const ID: &[&str] = &["id", "stationid", "kioskid", "number"];
const NAME: &[&str] = &["name", "stationname", "kioskname", "station"];
const SHORT_NAME: &[&str] = &["shortname"];
const LATITUDE: &[&str] = &["latitude", "lat"];
const LONGITUDE: &[&str] = &["longitude", "lon", "lng", "long"];
const CAPACITY: &[&str] = &[
    "dpcapacity",
    "capacity",
    "totaldocks",
    "ofdocks",
    "currentdockcount",
    "installdockcount",
];
/// Columns of other tables: of trips, of recorded states, or of counts that analysts made.
const EXCLUDED: &[&str] = &[
    "startn",
    "total",
    "trips",
    "tripid",
    "rideid",
    "bikeid",
    "executiontime",
    "lastreported",
    "availablebikes",
    "numbikesavailable",
];

/// Recognises a station list by its beginning. `None` for other files.
///
/// ```
/// use divvy::sources::station_list::recognise;
/// assert!(recognise(b"id,name,latitude,longitude,dpcapacity,online date").is_some());
/// assert!(recognise(b"trip_id,starttime,stoptime,bikeid").is_none());
/// ```
pub fn recognise(head: &[u8]) -> Option<ListForm> {
    SEPARATORS.into_iter().find_map(|separator| {
        let mut reader = csv_reader(head, separator);
        let mut record = ByteRecord::new();
        (0..=MAX_LINES_BEFORE).find_map(|lines_before| {
            let found = reader.read_byte_record(&mut record).ok()?;
            (found && Columns::of(&record).is_some()).then_some(ListForm {
                separator,
                lines_before,
            })
        })
    })
}

/// Reads a station list. `file` is its name, for messages.
///
/// A row without an id is left out, and of two rows with one id the last is kept. Both are faults,
/// as are values that cannot be read.
///
/// # Errors
///
/// [`StationListError`] where the file is no station list, or its bytes end in an error.
pub fn read(input: impl Read, form: ListForm, file: &str) -> Result<StationList, StationListError> {
    let read_error = |source| StationListError::Read {
        file: file.into(),
        source,
    };
    let mut reader = csv_reader(input, form.separator);
    let mut row = ByteRecord::new();
    for _ in 0..=form.lines_before {
        if !reader.read_byte_record(&mut row).map_err(read_error)? {
            return Err(StationListError::Empty { file: file.into() });
        }
    }
    let Some(columns) = Columns::of(&row) else {
        return Err(StationListError::NotStations {
            file: file.into(),
            first_line: shown(&row),
        });
    };
    let mut stations: Vec<Station> = Vec::new();
    let mut indexes: FxHashMap<StationId, usize> = FxHashMap::default();
    let mut faults = Faults::default();
    let mut has_other_encoding = false;
    while reader.read_byte_record(&mut row).map_err(read_error)? {
        has_other_encoding |= std::str::from_utf8(row.as_slice()).is_err();
        let Some(station) = columns.station(&row, &mut faults) else {
            let line = row.position().map_or(0, csv::Position::line);
            let found = || format!("line {line}: {}", shown(&row));
            faults.general("id", found, "the id of a station");
            continue;
        };
        match indexes.get(&station.id) {
            Some(index) => {
                let expected = "each station once; the last is kept";
                faults.of_station(&station.id, "id", "it again", expected);
                stations[*index] = station;
            }
            None => {
                indexes.insert(station.id.clone(), stations.len());
                stations.push(station);
            }
        }
    }
    Ok(StationList {
        stations,
        faults: faults.into_vec(),
        has_other_encoding,
    })
}

fn csv_reader<R: Read>(input: R, separator: u8) -> csv::Reader<R> {
    csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(input)
}

/// The index of each column.
struct Columns {
    id: usize,
    name: usize,
    latitude: usize,
    longitude: usize,
    short_name: Option<usize>,
    capacity: Option<usize>,
}

impl Columns {
    /// Finds the columns of a header. `None` where it is not that of a station list.
    fn of(header: &ByteRecord) -> Option<Self> {
        let names: Vec<String> = header.iter().map(normalise).collect();
        let index = |aliases: &[&str]| {
            let place = |alias: &&str| names.iter().position(|name| name == alias);
            aliases.iter().find_map(place)
        };
        if index(EXCLUDED).is_some() {
            return None;
        }
        Some(Self {
            id: index(ID)?,
            name: index(NAME)?,
            latitude: index(LATITUDE)?,
            longitude: index(LONGITUDE)?,
            short_name: index(SHORT_NAME),
            capacity: index(CAPACITY),
        })
    }

    /// Reads a row. `None` for one without an id.
    fn station(&self, row: &ByteRecord, faults: &mut Faults) -> Option<Station> {
        let cell = |index: usize| {
            let text = decode(row.get(index).unwrap_or_default());
            (!text.is_empty()).then(|| text.into_owned())
        };
        let id = cell(self.id).filter(|id| id.len() <= MAX_STATION_ID_BYTES)?;
        let mut station = Station::unknown(id.into());
        station.name = cell(self.name);
        station.short_name = self.short_name.and_then(cell);
        let mut parse = Parse {
            id: station.id.clone(),
            faults,
        };
        let latitude = |text: &str| degrees(text, 90.0);
        let longitude = |text: &str| degrees(text, 180.0);
        station.latitude = parse.value("latitude", cell(self.latitude), latitude, "degrees");
        station.longitude = parse.value("longitude", cell(self.longitude), longitude, "degrees");
        let capacity = self.capacity.and_then(cell);
        if capacity.is_some() {
            station.capacity = parse.value("capacity", capacity, whole, "a whole number from 0");
        }
        Some(station)
    }
}

/// Parses the values of one station, and adds a fault for each that is invalid.
struct Parse<'a> {
    id: StationId,
    faults: &'a mut Faults,
}

impl Parse<'_> {
    fn value<T>(
        &mut self,
        column: &'static str,
        cell: Option<String>,
        parse: impl FnOnce(&str) -> Option<T>,
        expected: &'static str,
    ) -> Option<T> {
        let value = cell.as_deref().and_then(parse);
        if value.is_none() {
            let found = cell.map_or("nothing".into(), |text| format!("{text:?}"));
            self.faults.of_station(&self.id, column, found, expected);
        }
        value
    }
}

fn degrees(text: &str, limit: f64) -> Option<Degrees> {
    // Spreadsheets of many countries write a comma.
    let degrees: Degrees = text.replacen(',', ".", 1).parse().ok()?;
    (degrees.to_f64().abs() <= limit).then_some(degrees)
}

/// Reads `15`, or `15.0`, which spreadsheets write.
fn whole(text: &str) -> Option<u32> {
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// Reduces the name of a column to its letters and digits, in lower case.
fn normalise(name: &[u8]) -> String {
    let plain = name.iter().filter(|byte| byte.is_ascii_alphanumeric());
    plain
        .map(|byte| byte.to_ascii_lowercase() as char)
        .collect()
}

/// Returns a row as text, cut to a readable length.
fn shown(row: &ByteRecord) -> String {
    let cells: Vec<_> = row.iter().map(decode).collect();
    cells.join(",").chars().take(READABLE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> StationList {
        let form = recognise(text.as_bytes()).unwrap();
        read(text.as_bytes(), form, "list.csv").unwrap()
    }

    #[test]
    fn every_published_header_is_a_station_list() {
        for header in [
            "id,name,latitude,longitude,dpcapacity,landmark,online date",
            "id,name,latitude,longitude,dpcapacity,dateCreated",
            "id,name,latitude,longitude,dpcapacity,landmark",
            "\"id\",\"name\",\"latitude\",\"longitude\",\"dpcapacity\",\"online_date\"\r\n",
            "id,name,city,latitude,longitude,dpcapacity,online_date,",
            "\u{feff}id,name,latitude,longitude,dpcapacity,online_date",
            "ID,Station Name,Short Name,Total Docks,Docks in Service,Status,Latitude,Longitude,Location",
            "Station,Station ID,Latitude,Longitude,Municipality,# of Docks",
            "Last Updated,1/28/2019,,,,,\nNumber,Name,Latitude,Longitude,District,Public,Total docks",
            "Kiosk ID,Kiosk Name,Go Live Date,Region ,Status,Latitude,Longitude",
            "\"station_id\",\"name\",\"lat\",\"long\",\"install_date\",\"install_dockcount\"",
            "id;name;latitude;longitude;dpcapacity;landmark",
        ] {
            assert!(recognise(header.as_bytes()).is_some(), "{header}");
        }
        for header in [
            "",
            "ride_id,rideable_type,started_at,ended_at,start_station_name,start_station_id",
            "trip_id,id,name,latitude,longitude",
            "id,stationName,latitude,longitude,totalDocks,availableBikes,executionTime",
            "id,name",
            "station_id,station_name,lat,long,start_n,end_n,total",
        ] {
            assert!(recognise(header.as_bytes()).is_none(), "{header}");
        }
    }

    #[test]
    fn ids_stay_text_and_coordinates_keep_their_digits() {
        let list = list(
            "id,name,city,latitude,longitude,dpcapacity,online_date,\r\n\
             007,\"Lake St & First Ave \",Chicago            ,41.870000000001,-87.62770,27,6/10/2013 10:43,\r\n",
        );
        assert_eq!(list.faults, []);
        let [station] = &list.stations[..] else {
            panic!("one station")
        };
        assert_eq!(station.id.as_str(), "007");
        assert_eq!(station.name.as_deref(), Some("Lake St & First Ave"));
        assert_eq!(
            station.latitude.as_ref().unwrap().as_str(),
            "41.870000000001"
        );
        assert_eq!(station.longitude.as_ref().unwrap().as_str(), "-87.62770");
        assert_eq!(station.capacity, Some(27));
        assert_eq!(station.status, None);
    }

    #[test]
    fn lists_of_spreadsheets_are_read() {
        let bytes = b"Last Updated;1/2/2019;;;\nid;name;latitude;longitude;current_dockcount;install_dockcount\n\
            7;Pe\xf1a;41,87;-87,63;15;18\n";
        let form = recognise(bytes).unwrap();
        let list = read(&bytes[..], form, "list.csv").unwrap();
        assert!(list.has_other_encoding);
        assert_eq!(list.faults, []);
        let station = &list.stations[0];
        assert_eq!(station.name.as_deref(), Some("Peña"));
        assert_eq!(station.latitude.as_ref().unwrap().as_str(), "41.87");
        assert_eq!(station.capacity, Some(15));
    }

    #[test]
    fn values_that_cannot_be_used_are_faults() {
        let list = list(
            "id,name,latitude,longitude,dpcapacity\n\
             1,First,north,-87.6,15.0\n\
             ,Nowhere,41.9,-87.6,15\n\
             1,First again,41.9,-187.6,\n\
             2,Short row\n",
        );
        let faults: Vec<String> = list.faults.iter().map(Fault::to_string).collect();
        insta::assert_snapshot!(faults.join("\n"), @r#"
        id: expected the id of a station, found line 3: ,Nowhere,41.9,-87.6,15
        station 1: latitude: expected degrees, found "north"
        station 1: longitude: expected degrees, found "-187.6"
        station 1: id: expected each station once; the last is kept, found it again
        station 2: latitude: expected degrees, found nothing
        station 2: longitude: expected degrees, found nothing
        "#);
        let names: Vec<_> = list.stations.iter().map(|s| s.name.as_deref()).collect();
        assert_eq!(names, [Some("First again"), Some("Short row")]);
    }

    #[test]
    fn other_files_are_refused_in_a_sentence() {
        let form = recognise(b"id,name,latitude,longitude").unwrap();
        let refuse = |text: &str| {
            let error = read(text.as_bytes(), form, "x.csv").unwrap_err();
            error.to_string()
        };
        assert_eq!(refuse(""), "x.csv is empty");
        assert_eq!(
            refuse("a,b\n1,2\n"),
            "x.csv holds no station list: its first line is \"a,b\"; expected columns such as \
             id, name, latitude, longitude, dpcapacity"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes: Vec<u8>) {
            let form = recognise(b"id,name,latitude,longitude").unwrap();
            let _ = recognise(&bytes);
            let _ = read(&bytes[..], form, "x.csv");
            let mut list = b"id,name,latitude,longitude\n".to_vec();
            list.extend(bytes);
            let _ = read(&list[..], form, "x.csv");
        }
    }
}
