//! The header of a trip file: its form, and where its columns are.

use super::column_names::{Column, IS_MEMBER, NAMES, normalise};
use super::forms::{Form, NAMED_BY_USER, NAMED_BY_USER_WITHOUT_IDS};
use crate::model::{KnownSystem, SystemId, Systems};

/// The columns of one file.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub form: &'static Form,
    /// The system whose columns the user has named, where no published form has them.
    pub named_by_user: Option<SystemId>,
    /// The names as the file spells them.
    pub names: Vec<String>,
    /// The names as [`normalise`] returns them.
    pub normal: Vec<String>,
    /// The index of each [`Column`].
    indexes: [Option<usize>; Column::COUNT],
}

impl Header {
    /// Recognises a header by its cells. `None` for one of no trip file.
    pub(super) fn recognise(names: Vec<String>, systems: &Systems) -> Option<Self> {
        let normal: Vec<String> = names.iter().map(|name| normalise(name)).collect();
        let (form, user) = match Form::of(&normal) {
            Some(form) => (form, None),
            None => {
                let user = systems.iter().find(|system| names_times(system, &normal))?;
                let has_ids = find(user, Column::Id, &normal).is_some();
                let form = if has_ids {
                    &NAMED_BY_USER
                } else {
                    &NAMED_BY_USER_WITHOUT_IDS
                };
                (form, Some(user))
            }
        };
        let mut indexes = [None; Column::COUNT];
        for names in &NAMES {
            let own = form.columns.iter().find(|(own, _)| *own == names.column);
            let spellings = own.map_or(names.spellings, |(_, spellings)| spellings);
            // The first one counts: copies of a column that a spreadsheet adds come after it.
            let at = |spelling: &&str| normal.iter().position(|name| name == spelling);
            let published = || spellings.iter().find_map(at);
            // Of a header that no publisher has, the user decides.
            indexes[names.column as usize] = match user {
                Some(user) => find(user, names.column, &normal).or_else(published),
                None => published().or_else(|| {
                    let mut systems = systems.iter();
                    systems.find_map(|system| find(system, names.column, &normal))
                }),
            };
        }
        let is_complete = indexes[Column::StartedAt as usize].is_some()
            && indexes[Column::EndedAt as usize].is_some();
        is_complete.then(|| Self {
            form,
            named_by_user: user.map(|user| user.system.id.clone()),
            names,
            normal,
            indexes,
        })
    }

    /// Returns what a header lacks that otherwise is like one of a trip file. `None` for other headers.
    pub(super) fn missing_in(names: &[String]) -> Option<&'static str> {
        const FEW: usize = 4;
        let normal: Vec<String> = names.iter().map(|name| normalise(name)).collect();
        let has = |column: Column| {
            let mut spellings = NAMES[column as usize].spellings.iter();
            spellings.any(|spelling| normal.iter().any(|name| name == spelling))
        };
        let known = NAMES.iter().filter(|names| has(names.column));
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
        self.has_form_of(other)
            && self.indexes == other.indexes
            && self.names.len() == other.names.len()
    }

    /// Returns whether another header is of the same form.
    pub(super) fn has_form_of(&self, other: &Self) -> bool {
        std::ptr::eq(self.form, other.form)
    }

    /// Returns whether another header spells the name of a column alike.
    pub(super) fn has_same_name(&self, other: &Self, column: Column) -> bool {
        let name = |header: &Self| {
            header
                .index(column)
                .map(|index| header.normal[index].clone())
        };
        name(self) == name(other)
    }

    /// Returns the index of a column. `None` for one that the file lacks.
    pub(super) fn index(&self, column: Column) -> Option<usize> {
        self.indexes[column as usize]
    }

    /// Returns the name that the file gives a column. Empty for one that the file lacks.
    pub(super) fn name(&self, column: Column) -> &str {
        self.index(column).map_or("", |index| &self.names[index])
    }

    /// Returns whether the column at an index is read.
    pub(super) fn is_read(&self, index: usize) -> bool {
        self.indexes.contains(&Some(index))
    }

    /// Returns whether the column of riders has 1 for members and 0 for the others.
    pub(super) fn riders_are_flags(&self) -> bool {
        let index = self.index(Column::Rider);
        index.is_some_and(|index| self.normal[index] == IS_MEMBER)
    }

    /// Returns how many cells a row must have: up to the last column that is not optional.
    pub(super) fn cells_needed(&self) -> usize {
        let last = NAMES
            .iter()
            .filter(|names| !names.column.is_optional_at_end())
            .filter_map(|names| self.index(names.column))
            .max();
        last.map_or(0, |index| index + 1)
    }
}

/// Returns whether a header has the columns that the user calls start and end of a system's trips.
fn names_times(system: &KnownSystem, normal: &[String]) -> bool {
    let has = |column| find(system, column, normal).is_some();
    has(Column::StartedAt) && has(Column::EndedAt)
}

/// Finds a column by the names that the user gives it for a system.
fn find(system: &KnownSystem, column: Column, normal: &[String]) -> Option<usize> {
    let of_column = |names: &&crate::model::ColumnNames| names.field == column.field();
    let names = system.columns.iter().find(of_column)?.names.iter();
    let at = |name: &String| normal.iter().position(|found| *found == normalise(name));
    names.into_iter().find_map(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form_of(header: &str) -> Option<(&'static str, usize)> {
        let names = header
            .split(',')
            .map(|name| name.trim_matches('"').to_owned())
            .collect();
        let header = Header::recognise(names, &Systems::default())?;
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
            (
                "Rental Id,Duration,Bike Id,End Date,EndStation Logical Terminal,EndStation Name,endStationPriority_id,Start Date,StartStation Logical Terminal,StartStation Name",
                "London",
                9,
            ),
            (
                "Rental Id,Duration_Seconds,Bike Id,End Date,End Station Id,End Station Name,Start Date,Start Station Id,Start Station Name",
                "London",
                9,
            ),
            (
                "Rental Id,Duration,Bike Id,End Date,EndStation Name,Start Date,StartStation Id,StartStation Name",
                "London",
                8,
            ),
            (
                "Number,Start date,Start station number,End date,End station,End station number,Start station,Bike number,Bike model,Total duration,Total duration (ms)",
                "London since 2022",
                10,
            ),
            (
                "Duration,Duration(Sec),Start date,Start Station,Start terminal,End date,End Station,End terminal,Bike#,Subscription Type",
                "Capital Bikeshare",
                9,
            ),
            (
                "Duration,Start date,End date,Start station,End station,Bike#,Member Type",
                "Capital Bikeshare until 2014",
                7,
            ),
            (
                "trip_id,duration,start_time,end_time,start_station,start_lat,start_lon,end_station,end_lat,end_lon,bike_id,plan_duration,trip_route_category,passholder_type,bike_type",
                "Bicycle Transit",
                13,
            ),
            (
                "Trip Id,Trip  Duration,Start Station Id,Start Time,Start Station Name,End Station Id,End Time,End Station Name,Bike Id,User Type",
                "Toronto",
                10,
            ),
            (
                "start_date,start_station_code,end_date,end_station_code,duration_sec,is_member",
                "BIXI",
                6,
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
