//! The columns of trip files, and what publishers call them.
//!
//! To add a spelling of a column, add a name to [`NAMES`].

/// What a column means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Id,
    StartedAt,
    EndedAt,
    /// The time of day of the start, where the column of the start has the date alone.
    StartClock,
    /// The time of day of the end, where the column of the end has the date alone.
    EndClock,
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

/// A column: its name in Divvy Analyze, and those in the headers of published files.
pub(super) struct Names {
    pub(super) column: Column,
    /// The name by which users refer to it.
    pub(super) field: &'static str,
    /// Every spelling, as [`normalise`] returns it. Of several in a header the first in this order is
    /// read.
    pub(super) spellings: &'static [&'static str],
}

const fn names(column: Column, field: &'static str, spellings: &'static [&'static str]) -> Names {
    Names {
        column,
        field,
        spellings,
    }
}

/// Every spelling of every column.
pub(super) const NAMES: [Names; Column::COUNT] = [
    names(
        Column::Id,
        "id",
        &[
            "tripid",
            "rideid",
            "01rentaldetailsrentalid",
            "rentalid",
            "viajeid",
            "number",
        ],
    ),
    names(
        Column::StartedAt,
        "started_at",
        &[
            "starttime",
            "startedat",
            "01rentaldetailslocalstarttime",
            "startdate",
            "tripstarttime",
            "iniciodelviaje",
            "fecharetiro",
            "starttimems",
        ],
    ),
    names(
        Column::EndedAt,
        "ended_at",
        &[
            "stoptime",
            "endtime",
            "endedat",
            "01rentaldetailslocalendtime",
            "enddate",
            "tripstoptime",
            "tripendtime",
            "findelviaje",
            "fechaarribo",
            "endtimems",
        ],
    ),
    names(Column::StartClock, "start_clock", &["horaretiro"]),
    names(Column::EndClock, "end_clock", &["horaarribo"]),
    // Those that name a unit come first: beside them, others state the duration in words.
    names(
        Column::Duration,
        "duration",
        &[
            "tripduration",
            "01rentaldetailsdurationinsecondsuncapped",
            "totaldurationms",
            "durationms",
            "durationsec",
            "durationseconds",
            "tripdurationseconds",
            "totaldurationseconds",
            "duration",
            "totalduration",
        ],
    ),
    names(
        Column::OriginId,
        "origin_id",
        &[
            "fromstationid",
            "startstationid",
            "03rentalstartstationid",
            "startstationnumber",
            "startterminal",
            "startstationcode",
            "emplacementpkstart",
            "startstationlogicalterminal",
            "origenid",
            "cicloestacionretiro",
        ],
    ),
    names(
        Column::OriginName,
        "origin_name",
        &[
            "fromstationname",
            "startstationname",
            "03rentalstartstationname",
            "startstation",
        ],
    ),
    names(
        Column::DestinationId,
        "destination_id",
        &[
            "tostationid",
            "endstationid",
            "02rentalendstationid",
            "endstationnumber",
            "endterminal",
            "endstationcode",
            "emplacementpkend",
            "endstationlogicalterminal",
            "destinoid",
            "cicloestacionarribo",
        ],
    ),
    names(
        Column::DestinationName,
        "destination_name",
        &[
            "tostationname",
            "endstationname",
            "02rentalendstationname",
            "endstation",
        ],
    ),
    names(
        Column::Vehicle,
        "vehicle",
        &[
            "bikeid",
            "01rentaldetailsbikeid",
            "bikenumber",
            "bike",
            "bici",
        ],
    ),
    names(
        Column::Bike,
        "bike",
        &["rideabletype", "biketype", "bikemodel"],
    ),
    names(
        Column::Rider,
        "rider",
        &[
            "usertype",
            "membercasual",
            "membertype",
            "passholdertype",
            "subscriptiontype",
            "subscribertype",
            "accounttype",
            IS_MEMBER,
        ],
    ),
    names(
        Column::Gender,
        "gender",
        &["gender", "membergender", "genero", "generousuario"],
    ),
    names(
        Column::BirthYear,
        "birth_year",
        &[
            "birthyear",
            "birthday",
            "memberbirthyear",
            "05memberdetailsmemberbirthdayyear",
            "añodenacimiento",
            "anodenacimiento",
            // The same with a letter that was lost with its encoding.
            "aodenacimiento",
        ],
    ),
    names(
        Column::FromLatitude,
        "from_latitude",
        &["startlat", "startstationlatitude", "fromlatitude"],
    ),
    names(
        Column::FromLongitude,
        "from_longitude",
        &[
            "startlng",
            "startlon",
            "startstationlongitude",
            "fromlongitude",
        ],
    ),
    names(
        Column::ToLatitude,
        "to_latitude",
        &["endlat", "endstationlatitude", "tolatitude"],
    ),
    names(
        Column::ToLongitude,
        "to_longitude",
        &["endlng", "endlon", "endstationlongitude", "tolongitude"],
    ),
];

/// A column with 1 for each rider who is a member, and 0 for the others.
pub(super) const IS_MEMBER: &str = "ismember";

/// What columns of trip files mean: the names by which `systems.toml` refers to them.
pub const COLUMN_FIELDS: [&str; Column::COUNT] = {
    let mut fields = [""; Column::COUNT];
    let mut index = 0;
    while index < Column::COUNT {
        fields[index] = NAMES[index].field;
        index += 1;
    }
    fields
};

impl Column {
    pub(super) const COUNT: usize = 19;

    /// Returns whether it holds the name of a station.
    pub(super) fn is_name(self) -> bool {
        matches!(self, Self::OriginName | Self::DestinationName)
    }

    /// Returns whether a row may end before this column: spreadsheets drop empty cells at the end of
    /// a row.
    pub(super) fn is_optional_at_end(self) -> bool {
        matches!(self, Self::Gender | Self::BirthYear | Self::Rider)
    }

    /// Returns the name by which users refer to it.
    pub(super) fn field(self) -> &'static str {
        NAMES[self as usize].field
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

    #[test]
    fn names_are_in_the_order_of_columns() {
        for (index, names) in NAMES.iter().enumerate() {
            assert_eq!(names.column as usize, index, "{}", names.field);
            for spelling in names.spellings {
                assert_eq!(normalise(spelling), *spelling);
            }
        }
    }
}
