//! The headers of trip files since 2013, as tables.
//!
//! To add a spelling of a column, add an alias to [`ALIASES`]; to add a form, add a row to
//! [`FORMS`].

/// What a column means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Id,
    StartedAt,
    EndedAt,
    Duration,
    OriginId,
    OriginName,
    DestinationId,
    DestinationName,
    Vehicle,
    Bike,
    Rider,
    Gender,
    BirthYear,
    FromLatitude,
    FromLongitude,
    ToLatitude,
    ToLongitude,
}

impl Column {
    pub(super) const COUNT: usize = 17;

    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Id,
        Self::StartedAt,
        Self::EndedAt,
        Self::Duration,
        Self::OriginId,
        Self::OriginName,
        Self::DestinationId,
        Self::DestinationName,
        Self::Vehicle,
        Self::Bike,
        Self::Rider,
        Self::Gender,
        Self::BirthYear,
        Self::FromLatitude,
        Self::FromLongitude,
        Self::ToLatitude,
        Self::ToLongitude,
    ];

    /// Returns whether it holds the name of a station.
    pub(super) fn is_name(self) -> bool {
        matches!(self, Self::OriginName | Self::DestinationName)
    }

    /// Returns whether a row may end before this column: spreadsheets drop empty cells at the end of
    /// a row.
    pub(super) fn is_optional_at_end(self) -> bool {
        matches!(self, Self::Gender | Self::BirthYear | Self::Rider)
    }
}

/// Every spelling of every column, as [`normalise`] returns it.
const ALIASES: &[(Column, &[&str])] = &[
    (
        Column::Id,
        &["tripid", "rideid", "01rentaldetailsrentalid", "rentalid"],
    ),
    (
        Column::StartedAt,
        &[
            "starttime",
            "startedat",
            "01rentaldetailslocalstarttime",
            "startdate",
        ],
    ),
    (
        Column::EndedAt,
        &[
            "stoptime",
            "endtime",
            "endedat",
            "01rentaldetailslocalendtime",
            "enddate",
        ],
    ),
    (
        Column::Duration,
        &[
            "tripduration",
            "01rentaldetailsdurationinsecondsuncapped",
            "duration",
            "durationsec",
            "durationms",
        ],
    ),
    (
        Column::OriginId,
        &[
            "fromstationid",
            "startstationid",
            "03rentalstartstationid",
            "startstationnumber",
        ],
    ),
    (
        Column::OriginName,
        &[
            "fromstationname",
            "startstationname",
            "03rentalstartstationname",
            "startstation",
        ],
    ),
    (
        Column::DestinationId,
        &[
            "tostationid",
            "endstationid",
            "02rentalendstationid",
            "endstationnumber",
        ],
    ),
    (
        Column::DestinationName,
        &[
            "tostationname",
            "endstationname",
            "02rentalendstationname",
            "endstation",
        ],
    ),
    (
        Column::Vehicle,
        &["bikeid", "01rentaldetailsbikeid", "bikenumber"],
    ),
    (Column::Bike, &["rideabletype"]),
    (Column::Rider, &["usertype", "membercasual", "membertype"]),
    (Column::Gender, &["gender", "membergender"]),
    (
        Column::BirthYear,
        &[
            "birthyear",
            "birthday",
            "memberbirthyear",
            "05memberdetailsmemberbirthdayyear",
        ],
    ),
    (
        Column::FromLatitude,
        &["startlat", "startstationlatitude", "fromlatitude"],
    ),
    (
        Column::FromLongitude,
        &["startlng", "startstationlongitude", "fromlongitude"],
    ),
    (
        Column::ToLatitude,
        &["endlat", "endstationlatitude", "tolatitude"],
    ),
    (
        Column::ToLongitude,
        &["endlng", "endstationlongitude", "tolongitude"],
    ),
];

/// The trip ids of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdKind {
    /// A whole number, perhaps with thousands commas.
    Digits,
    /// 16 hexadecimal digits.
    Hex16,
    /// None: an id is derived from the row.
    Derived,
}

/// A family of headers.
#[derive(Debug)]
pub(super) struct Form {
    /// Its name in `docs/FORMATS.md`.
    pub name: &'static str,
    /// Normalised names of columns that are all in its header, and not all in a form further down in
    /// [`FORMS`].
    identifying: &'static [&'static str],
    pub id: IdKind,
    /// The only system that publishes it. `None` where several do.
    pub system: Option<&'static str>,
    /// Its dates have the day first.
    pub day_first: bool,
}

/// The forms. The first whose identifying columns are all in a header is the file's.
static FORMS: &[Form] = &[
    Form {
        name: "M",
        identifying: &["rideid", "startedat", "endedat"],
        id: IdKind::Hex16,
        system: None,
        day_first: false,
    },
    Form {
        name: "L3",
        identifying: &["01rentaldetailsrentalid", "01rentaldetailslocalstarttime"],
        id: IdKind::Digits,
        system: Some("divvy"),
        day_first: false,
    },
    Form {
        name: "city portal",
        identifying: &[
            "tripid",
            "starttime",
            "stoptime",
            "fromstationid",
            "fromlatitude",
        ],
        id: IdKind::Digits,
        system: Some("divvy"),
        day_first: false,
    },
    Form {
        name: "L1",
        identifying: &["tripid", "starttime", "stoptime", "fromstationid"],
        id: IdKind::Digits,
        system: Some("divvy"),
        day_first: false,
    },
    Form {
        name: "L2",
        identifying: &["tripid", "starttime", "endtime", "fromstationid"],
        id: IdKind::Digits,
        system: Some("divvy"),
        day_first: false,
    },
    Form {
        name: "London",
        identifying: &["rentalid", "startdate", "startstationid", "endstationid"],
        id: IdKind::Digits,
        system: Some("santander"),
        day_first: true,
    },
    Form {
        name: "Capital Bikeshare",
        identifying: &["startdate", "startstationnumber", "endstationnumber"],
        id: IdKind::Derived,
        system: Some("capitalbikeshare"),
        day_first: false,
    },
    Form {
        name: "Citi Bike",
        identifying: &["starttime", "startstationid", "endstationid", "bikeid"],
        id: IdKind::Derived,
        system: None,
        day_first: false,
    },
];

/// The columns of one file.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub form: &'static Form,
    /// The names as the file spells them.
    pub names: Vec<String>,
    /// The index of each [`Column`].
    indexes: [Option<usize>; Column::COUNT],
}

impl Header {
    /// Recognises a header by its cells. `None` for one of no trip file.
    pub(super) fn recognise(names: Vec<String>) -> Option<Self> {
        let normal: Vec<String> = names.iter().map(|name| normalise(name)).collect();
        let has = |column: &&str| normal.iter().any(|name| name == column);
        let form = FORMS.iter().find(|form| form.identifying.iter().all(has))?;
        let mut indexes = [None; Column::COUNT];
        for (column, aliases) in ALIASES {
            // The first one counts: copies of a column that a spreadsheet adds come after it.
            indexes[*column as usize] = normal
                .iter()
                .position(|name| aliases.contains(&name.as_str()));
        }
        let is_complete = indexes[Column::StartedAt as usize].is_some()
            && indexes[Column::EndedAt as usize].is_some();
        is_complete.then_some(Self {
            form,
            names,
            indexes,
        })
    }

    /// Returns what a header lacks that otherwise is like one of a trip file. `None` for other headers.
    pub(super) fn missing_in(names: &[String]) -> Option<&'static str> {
        const FEW: usize = 4;
        let normal: Vec<String> = names.iter().map(|name| normalise(name)).collect();
        let has = |column: Column| {
            let aliases = ALIASES.iter().filter(|(known, _)| *known == column);
            aliases
                .flat_map(|(_, aliases)| *aliases)
                .any(|alias| normal.iter().any(|name| name == alias))
        };
        let known = Column::ALL.into_iter().filter(|column| has(*column));
        let needed = [
            (Column::StartedAt, "the time of the start"),
            (Column::EndedAt, "the time of the end"),
            (Column::Id, "the id of the trip"),
        ];
        let has_time = has(Column::StartedAt) || has(Column::EndedAt);
        let missing = needed.into_iter().find(|(column, _)| !has(*column));
        let (_, missing) = missing.filter(|_| has_time && known.count() >= FEW)?;
        Some(missing)
    }

    /// Returns whether another header has the same columns in the same places.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self.form, other.form)
            && self.indexes == other.indexes
            && self.names.len() == other.names.len()
    }

    /// Returns the index of a column. `None` for one that the file lacks.
    pub(super) fn index(&self, column: Column) -> Option<usize> {
        self.indexes[column as usize]
    }

    /// Returns the name that the file gives a column. Empty for one that the file lacks.
    pub(super) fn name(&self, column: Column) -> &str {
        self.index(column).map_or("", |index| &self.names[index])
    }

    /// Returns how many cells a row must have: up to the last column that is not optional.
    pub(super) fn cells_needed(&self) -> usize {
        let is_needed = |(column, _): &&(Column, &[&str])| !column.is_optional_at_end();
        let last = ALIASES
            .iter()
            .filter(is_needed)
            .filter_map(|(column, _)| self.index(*column))
            .max();
        last.map_or(0, |index| index + 1)
    }
}

/// Reduces a header cell to its letters and digits in lower case, since `start_time`, `Start Time`
/// and `starttime` are one column.
pub(super) fn normalise(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form_of(header: &str) -> Option<(&'static str, usize)> {
        let names = header
            .split(',')
            .map(|name| name.trim_matches('"').to_owned())
            .collect();
        let header = Header::recognise(names)?;
        let mapped = header.indexes.iter().flatten().count();
        Some((header.form.name, mapped))
    }

    #[test]
    fn every_published_header_is_recognised_with_all_its_columns() {
        let cases = [
            (
                "trip_id,starttime,stoptime,bikeid,tripduration,from_station_id,from_station_name,to_station_id,to_station_name,usertype,gender,birthyear",
                "L1",
                12,
            ),
            (
                "trip_id,starttime,stoptime,bikeid,tripduration,from_station_id,from_station_name,to_station_id,to_station_name,usertype,gender,birthday",
                "L1",
                12,
            ),
            (
                "trip_id,start_time,end_time,bikeid,tripduration,from_station_id,from_station_name,to_station_id,to_station_name,usertype,gender,birthyear",
                "L2",
                12,
            ),
            (
                "01 - Rental Details Rental ID,01 - Rental Details Local Start Time,01 - Rental Details Local End Time,01 - Rental Details Bike ID,01 - Rental Details Duration In Seconds Uncapped,03 - Rental Start Station ID,03 - Rental Start Station Name,02 - Rental End Station ID,02 - Rental End Station Name,User Type,Member Gender,05 - Member Details Member Birthday Year",
                "L3",
                12,
            ),
            (
                "ride_id,rideable_type,started_at,ended_at,start_station_name,start_station_id,end_station_name,end_station_id,start_lat,start_lng,end_lat,end_lng,member_casual",
                "M",
                13,
            ),
            (
                "TRIP ID,START TIME,STOP TIME,BIKE ID,TRIP DURATION,FROM STATION ID,FROM STATION NAME,TO STATION ID,TO STATION NAME,USER TYPE,GENDER,BIRTH YEAR,FROM LATITUDE,FROM LONGITUDE,FROM LOCATION,TO LATITUDE,TO LONGITUDE,TO LOCATION",
                "city portal",
                16,
            ),
            (
                "tripduration,starttime,stoptime,start station id,start station name,start station latitude,start station longitude,end station id,end station name,end station latitude,end station longitude,bikeid,usertype,birth year,gender",
                "Citi Bike",
                15,
            ),
            (
                "tripduration,starttime,stoptime,start_station_id,start_station_name,start_station_latitude,start_station_longitude,end_station_id,end_station_name,end_station_latitude,end_station_longitude,bikeid,usertype,birth_year,gender",
                "Citi Bike",
                15,
            ),
            (
                "Trip Duration,Start Time,Stop Time,Start Station ID,Start Station Name,Start Station Latitude,Start Station Longitude,End Station ID,End Station Name,End Station Latitude,End Station Longitude,Bike ID,User Type,Birth Year,Gender",
                "Citi Bike",
                15,
            ),
            (
                "Duration,Start date,End date,Start station number,Start station,End station number,End station,Bike number,Member Type",
                "Capital Bikeshare",
                9,
            ),
            (
                "Rental Id,Duration,Bike Id,End Date,EndStation Id,EndStation Name,Start Date,StartStation Id,StartStation Name",
                "London",
                9,
            ),
        ];
        for (header, form, columns) in cases {
            assert_eq!(form_of(header), Some((form, columns)), "{header}");
        }
        assert_eq!(
            form_of("id,name,latitude,longitude,dpcapacity,landmark,online date"),
            None
        );
    }
}
