//! Invented trip archives and station feeds, in the form of published ones.
//!
//! They are for trying the program without a download, and for tests and benchmarks with millions of
//! rows. The city, its stations and its riders are invented; headers, quoting, times, ids and data
//! quirks of each [`Era`] are those of published files, which `docs/FORMATS.md` describes.
//!
//! ```text
//!  rng ──► city (stations) ─────┐
//!      ──► calendar (hours) ────┴─► trips (one by its number) ──► rows (text) ──► zip
//! ```
//!
//! A trip depends only on the seed and its number, so rows are written in any order and without
//! storing them.
//!
//! ```
//! use divvy::sample::{Era, Sample};
//! let sample = Sample { era: Era::Y2016, trips: 1000, seed: 1 };
//! let mut zip = std::io::Cursor::new(Vec::new());
//! let written = sample.write_zip(&mut zip, &mut |_| {})?;
//! assert_eq!(written.trips, 1000);
//! # Ok::<(), std::io::Error>(())
//! ```

mod calendar;
mod city;
mod feed;
mod rng;
mod rows;
mod trips;

use std::fmt;
use std::io::{self, Seek, Write};
use std::str::FromStr;

use jiff::civil::{Date, date};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use calendar::Calendar;
use city::{City, DEGREE};
pub use feed::feed;
pub(crate) use rng::Rng;
use rows::Lines;
use trips::Trips;

/// The sample label: the comment of the zip of an archive, and the `made_by` of a feed. Archives and
/// feeds with it belong to the system [`System::sample`](crate::model::System::sample). CSV files
/// taken out of the zip have no label.
pub const LABEL: &str = "Invented trips, written by: divvy sample";

/// A time in which trip files had one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// July to December 2016: two trip files and a station list in a folder, every cell quoted,
    /// `M/D/YYYY HH:MM:SS`, newest first.
    Y2016,
    /// July to September 2018: ISO times, durations such as `"1,048.0"`.
    Y2018,
    /// June 2020: ride ids and coordinates, no ages; CRLF, and a file that macOS adds to zips.
    Y2020,
    /// June 2024: milliseconds, e-bikes away from stations, station ids such as `TA1309000067`.
    Y2024,
}

impl Era {
    /// Every era, the oldest first.
    pub const ALL: [Self; 4] = [Self::Y2016, Self::Y2018, Self::Y2020, Self::Y2024];

    /// Returns its name, the year: `2016`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Y2016 => "2016",
            Self::Y2018 => "2018",
            Self::Y2020 => "2020",
            Self::Y2024 => "2024",
        }
    }

    /// Returns the name of such an archive when published: `202406-divvy-tripdata.zip`.
    pub fn archive_name(self) -> String {
        format!("{}.zip", self.publication().archive)
    }

    fn publication(self) -> &'static Publication {
        match self {
            Self::Y2016 => &Y2016,
            Self::Y2018 => &Y2018,
            Self::Y2020 => &Y2020,
            Self::Y2024 => &Y2024,
        }
    }

    /// Returns the seed of this era's trips. Eras have different ones, so that their ride ids differ.
    fn trips_seed(self, seed: u64) -> u64 {
        rng::mix(seed).wrapping_add(self as u64)
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Era {
    type Err = UnknownEra;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|era| era.as_str() == text)
            .ok_or_else(|| UnknownEra { found: text.into() })
    }
}

/// The name of no [`Era`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are no samples of {found:?}: choose 2016, 2018, 2020 or 2024")]
pub struct UnknownEra {
    /// The name.
    pub found: String,
}

/// The parameters of a sample archive.
///
/// Samples of one era have the same trip ids (2016, 2018), so that a store takes two of them, with
/// different seeds, for copies of the same trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its form.
    pub era: Era,
    /// Its number of trips.
    pub trips: u64,
    /// The seed of its random numbers. The same seed gives the same rows.
    pub seed: u64,
}

/// The result of writing a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Number of trips, which is that of rows.
    pub trips: u64,
    /// The paths of the trip files in the archive.
    pub trip_files: Vec<String>,
}

/// The form of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeForm {
    /// `7/1/2016 00:04:09`
    American,
    /// `2018-07-01 00:04:09`
    Iso,
    /// `2024-07-01 00:04:09.123`
    IsoMilliseconds,
}

/// Which cells are in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoting {
    Nothing,
    Texts,
    Everything,
}

/// The order of the rows in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    OldestFirst,
    NewestFirst,
    None,
}

impl Order {
    /// Returns the number of the trip in a row, of `trips` trips numbered by their start.
    fn trip_in_row(self, row: u64, trips: u64) -> u64 {
        match self {
            Self::OldestFirst => row,
            Self::NewestFirst => trips - 1 - row,
            Self::None => (u128::from(row) * u128::from(stride(trips)) % u128::from(trips)) as u64,
        }
    }
}

/// Finds a step that visits each of `n` numbers once: about the golden ratio of `n`, and coprime to
/// it.
fn stride(n: u64) -> u64 {
    let divisor = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let near = (n as f64 * 0.618) as u64;
    (near.max(1)..)
        .find(|step| divisor(*step, n) == 1)
        .expect("the next prime is coprime")
}

/// A trip file of an archive.
#[derive(Debug)]
struct TripFile {
    name: &'static str,
    /// Its first day.
    from: Date,
    /// The day after its last.
    until: Date,
}

/// The properties of an era's archives.
#[derive(Debug)]
struct Publication {
    /// The name without its ending, also of the folder inside.
    archive: &'static str,
    has_folder: bool,
    files: &'static [TripFile],
    header: &'static str,
    times: TimeForm,
    quoting: Quoting,
    line_end: &'static str,
    order: Order,
    /// Number of docking stations.
    stations: usize,
    /// The fraction of trips by members.
    member_fraction: f64,
    /// The fraction of casual riders whose gender and age are known.
    known_casuals_fraction: f64,
    vehicles: u64,
    /// The first trip id. 0 in files without numbers.
    first_trip_id: u64,
}

static Y2016: Publication = Publication {
    archive: "Divvy_Trips_2016_Q3Q4",
    has_folder: true,
    files: &[
        TripFile {
            name: "Divvy_Trips_2016_Q3.csv",
            from: date(2016, 7, 1),
            until: date(2016, 10, 1),
        },
        TripFile {
            name: "Divvy_Trips_2016_Q4.csv",
            from: date(2016, 10, 1),
            until: date(2017, 1, 1),
        },
    ],
    header: "trip_id,starttime,stoptime,bikeid,tripduration,from_station_id,from_station_name,to_station_id,to_station_name,usertype,gender,birthyear",
    times: TimeForm::American,
    quoting: Quoting::Everything,
    line_end: "\n",
    order: Order::NewestFirst,
    stations: 580,
    member_fraction: 0.73,
    known_casuals_fraction: 0.0,
    vehicles: 5_900,
    first_trip_id: 10_400_000,
};

static Y2018: Publication = Publication {
    archive: "Divvy_Trips_2018_Q3",
    has_folder: false,
    files: &[TripFile {
        name: "Divvy_Trips_2018_Q3.csv",
        from: date(2018, 7, 1),
        until: date(2018, 10, 1),
    }],
    header: "trip_id,start_time,end_time,bikeid,tripduration,from_station_id,from_station_name,to_station_id,to_station_name,usertype,gender,birthyear",
    times: TimeForm::Iso,
    quoting: Quoting::Nothing,
    line_end: "\n",
    order: Order::OldestFirst,
    stations: 600,
    member_fraction: 0.72,
    known_casuals_fraction: 0.2,
    vehicles: 6_400,
    first_trip_id: 19_200_000,
};

const MODERN_HEADER: &str = "ride_id,rideable_type,started_at,ended_at,start_station_name,start_station_id,end_station_name,end_station_id,start_lat,start_lng,end_lat,end_lng,member_casual";

static Y2020: Publication = Publication {
    archive: "202006-divvy-tripdata",
    has_folder: false,
    files: &[TripFile {
        name: "202006-divvy-tripdata.csv",
        from: date(2020, 6, 1),
        until: date(2020, 7, 1),
    }],
    header: MODERN_HEADER,
    times: TimeForm::Iso,
    quoting: Quoting::Nothing,
    line_end: "\r\n",
    order: Order::None,
    stations: 620,
    member_fraction: 0.55,
    known_casuals_fraction: 0.0,
    vehicles: 6_500,
    first_trip_id: 0,
};

static Y2024: Publication = Publication {
    archive: "202406-divvy-tripdata",
    has_folder: false,
    files: &[TripFile {
        name: "202406-divvy-tripdata.csv",
        from: date(2024, 6, 1),
        until: date(2024, 7, 1),
    }],
    header: MODERN_HEADER,
    times: TimeForm::IsoMilliseconds,
    quoting: Quoting::Texts,
    line_end: "\n",
    order: Order::None,
    stations: 740,
    member_fraction: 0.58,
    known_casuals_fraction: 0.0,
    vehicles: 15_000,
    first_trip_id: 0,
};

/// Bytes of text that are compressed at a time.
const BLOCK_BYTES: usize = 256 * 1024;

impl Sample {
    /// Writes the archive. Calls `progress` with the number of rows written so far, for each block.
    ///
    /// # Errors
    ///
    /// Any error of writing to `out`.
    pub fn write_zip(
        &self,
        out: impl Write + Seek,
        progress: &mut dyn FnMut(u64),
    ) -> io::Result<Written> {
        let publication = self.era.publication();
        let seed = self.era.trips_seed(self.seed);
        let city = City::new(city::stations(self.era, self.seed).0);
        let calendar = Calendar::new(publication, seed, self.trips);
        let trips = Trips::new(self.era, seed, &city, &calendar);
        let lines = Lines::new(self.era, seed, &calendar);

        let mut zip = ZipWriter::new(out);
        zip.set_comment(LABEL)?;
        if publication.has_folder {
            zip.add_directory(publication.archive, options())?;
        }
        let mut trip_files = Vec::new();
        let mut text = Vec::with_capacity(BLOCK_BYTES + 1024);
        let mut rows_written = 0;
        for file in publication.files {
            let path = self.path_of(file.name);
            zip.start_file(&path, options().large_file(self.is_large()))?;
            trip_files.push(path);
            lines.header(&mut text);
            let (from, until) = (
                calendar.trips_before(file.from),
                calendar.trips_before(file.until),
            );
            for row in 0..until - from {
                let number = from + publication.order.trip_in_row(row, until - from);
                lines.trip(&trips.draw(number), &mut text);
                rows_written += 1;
                if text.len() >= BLOCK_BYTES {
                    zip.write_all(&text)?;
                    text.clear();
                    progress(rows_written);
                }
            }
            zip.write_all(&text)?;
            text.clear();
            progress(rows_written);
        }
        for (name, content) in self.other_files(&city) {
            zip.start_file(name, options())?;
            zip.write_all(&content)?;
        }
        zip.finish()?;
        Ok(Written {
            trips: rows_written,
            trip_files,
        })
    }

    fn path_of(&self, name: &str) -> String {
        let publication = self.era.publication();
        if publication.has_folder {
            format!("{}/{name}", publication.archive)
        } else {
            name.into()
        }
    }

    /// Returns whether a file may have 4 GiB or more, which is to be declared before it is written.
    fn is_large(&self) -> bool {
        const MAX_ROW_BYTES: u64 = 300;
        self.trips.saturating_mul(MAX_ROW_BYTES) > u64::from(u32::MAX)
    }

    /// Returns the other files of the archive, with their paths.
    fn other_files(&self, city: &City) -> Vec<(String, Vec<u8>)> {
        match self.era {
            Era::Y2016 => vec![
                (
                    self.path_of("Divvy_Stations_2016_Q4.csv"),
                    station_list(city).into_bytes(),
                ),
                (
                    self.path_of("README_2016_Q3Q4.txt"),
                    self.readme().into_bytes(),
                ),
            ],
            Era::Y2018 | Era::Y2024 => Vec::new(),
            Era::Y2020 => vec![(
                "__MACOSX/._202006-divvy-tripdata.csv".into(),
                APPLE_DOUBLE.to_vec(),
            )],
        }
    }

    fn readme(&self) -> String {
        let Self { era, trips, seed } = self;
        format!(
            "Invented trips in the form of {era}, written by: divvy sample --era {era} --trips {trips} --seed {seed}\n\
             Nobody rode them, and no station in them exists.\n\n\
             trip_id: number of the trip\n\
             starttime, stoptime: when it starts and ends, on Chicago's clocks\n\
             bikeid: number of the bike\n\
             tripduration: seconds\n\
             from_station_id, from_station_name: where it starts\n\
             to_station_id, to_station_name: where it ends\n\
             usertype: Subscriber (yearly pass) or Customer (day pass)\n\
             gender, birthyear: known of Subscribers only\n"
        )
    }
}

/// A file that macOS adds for every file in a zip. It is no CSV, although it has its name.
const APPLE_DOUBLE: &[u8] =
    b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \x00\x02\x00\x00\x00\x09\x00\x00\x00\x32\x00\x00\x00\x00";

/// The station list of 2016.
fn station_list(city: &City) -> String {
    let mut list = String::from("id,name,latitude,longitude,dpcapacity,online_date\n");
    for station in city.stations() {
        let degrees = |at: i64| at as f64 / DEGREE as f64;
        let (month, day) = (station.legacy_id % 12 + 1, station.legacy_id % 28 + 1);
        list += &format!(
            "{},{},{},{},{},{month}/{day}/2015\n",
            station.legacy_id,
            station.name,
            degrees(station.position.0),
            degrees(station.position.1),
            station.docks,
        );
    }
    list
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(6))
        .last_modified_time(
            // Fixed, so that the same sample has the same bytes.
            DateTime::from_date_and_time(2025, 1, 1, 0, 0, 0).expect("2025 is a year of zips"),
        )
}

#[cfg(test)]
mod tests;
