//! Which columns a trip file has: a decade of headers, kept as data.
//!
//! A new spelling is a new alias in [`ALIASES`]; a new form is a new row in [`FORMS`].

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

    /// A row may end before such a column: spreadsheets drop empty cells at the end of a row.
    pub(super) fn may_be_cut_off(self) -> bool {
        matches!(self, Self::Gender | Self::BirthYear | Self::Rider)
    }
}

/// Every spelling of every column, as [`normalise`] leaves it.
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

/// How a form names its trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdKind {
    /// A whole number, perhaps with thousands commas.
    Digits,
    /// 16 hexadecimal digits.
    Hex16,
    /// Not at all: an id is derived from the row.
    Derived,
}

/// A family of headers.
#[derive(Debug)]
pub(super) struct Form {
    /// What `docs/FORMATS.md` calls it.
    pub name: &'static str,
    /// Normalised names that all stand in its header and tell it from the rows below.
    marks: &'static [&'static str],
    pub id: IdKind,
    /// The only system that publishes it.
    pub system: Option<&'static str>,
    /// Its dates have the day first.
    pub day_first: bool,
}

/// The forms, the most telling first.
static FORMS: &[Form] = &[
    Form {
        name: "M",
        marks: &["rideid", "startedat", "endedat"],
        id: IdKind::Hex16,
        system: None,
        day_first: false,
    },
    Form {
        name: "L3",
        marks: &["01rentaldetailsrentalid", "01rentaldetailslocalstarttime"],
        id: IdKind::Digits,
        system: Some("divvy"),
        day_first: false,
    },
    Form {
        name: "city portal",
        marks: &[
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
        marks: &["tripid", "starttime", "stoptime", "fromstationid"],
        id: IdKind::Digits,
        system: Some("divvy"),
        day_first: false,
    },
    Form {
        name: "L2",
        marks: &["tripid", "starttime", "endtime", "fromstationid"],
        id: IdKind::Digits,
        system: Some("divvy"),
        day_first: false,
    },
    Form {
        name: "London",
        marks: &["rentalid", "startdate", "startstationid", "endstationid"],
        id: IdKind::Digits,
        system: Some("santander"),
        day_first: true,
    },
    Form {
        name: "Capital Bikeshare",
        marks: &["startdate", "startstationnumber", "endstationnumber"],
        id: IdKind::Derived,
        system: Some("capitalbikeshare"),
        day_first: false,
    },
    Form {
        name: "Citi Bike",
        marks: &["starttime", "startstationid", "endstationid", "bikeid"],
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
    /// Where each [`Column`] stands.
    places: [Option<usize>; Column::COUNT],
}

impl Header {
    /// Recognises a header by its cells. `None` for one that no trip file has.
    pub(super) fn recognise(names: Vec<String>) -> Option<Self> {
        let normal: Vec<String> = names.iter().map(|name| normalise(name)).collect();
        let form = FORMS.iter().find(|form| {
            form.marks
                .iter()
                .all(|mark| normal.iter().any(|name| name == mark))
        })?;
        let mut places = [None; Column::COUNT];
        for (column, aliases) in ALIASES {
            // The first one counts: copies of a column that a spreadsheet adds stand behind it.
            places[*column as usize] = normal
                .iter()
                .position(|name| aliases.contains(&name.as_str()));
        }
        let complete = places[Column::StartedAt as usize].is_some()
            && places[Column::EndedAt as usize].is_some();
        complete.then_some(Self {
            form,
            names,
            places,
        })
    }

    /// Returns where a column stands. `None` for one that the file lacks.
    pub(super) fn place(&self, column: Column) -> Option<usize> {
        self.places[column as usize]
    }

    /// Returns the name that the file gives a column.
    pub(super) fn name(&self, column: Column) -> &str {
        self.place(column).map_or("", |place| &self.names[place])
    }

    /// Tells how many cells a row must have: up to the last column that may not be cut off.
    pub(super) fn cells_needed(&self) -> usize {
        let needed = |(column, _): &&(Column, &[&str])| !column.may_be_cut_off();
        let last = ALIASES
            .iter()
            .filter(needed)
            .filter_map(|(column, _)| self.place(*column))
            .max();
        last.map_or(0, |place| place + 1)
    }
}

/// Reduces a header cell to its letters and digits, lower case: `start_time`, `Start Time` and
/// `starttime` are one column.
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
        let mapped = header.places.iter().flatten().count();
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
