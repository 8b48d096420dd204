//! Columns that look like one of those that are read, and are not.

use super::column_names::{Column, NAMES};
use super::schema::Header;

/// Words of which each must be in the normalised name of a column, some alternatives of each.
struct Look {
    column: Column,
    words: &'static [&'static [&'static str]],
}

const START: &[&str] = &[
    "start", "from", "origin", "depart", "begin", "retiro", "inicio",
];
const END: &[&str] = &[
    "end", "stop", "dest", "arriv", "return", "to", "arribo", "fin",
];
const TIME: &[&str] = &["time", "date", "fecha", "hora"];
const STATION: &[&str] = &["station", "terminal", "dock", "estacion"];
const NUMBER: &[&str] = &["id", "code", "number", "no", "terminal", "pk"];
const LATITUDE: &[&str] = &["lat"];
const LONGITUDE: &[&str] = &["lon", "lng"];

/// The first that fits counts.
const LOOKS: &[Look] = &[
    look(Column::FromLatitude, &[START, LATITUDE]),
    look(Column::FromLongitude, &[START, LONGITUDE]),
    look(Column::ToLatitude, &[END, LATITUDE]),
    look(Column::ToLongitude, &[END, LONGITUDE]),
    look(Column::OriginId, &[START, STATION, NUMBER]),
    look(Column::DestinationId, &[END, STATION, NUMBER]),
    look(Column::OriginName, &[START, STATION]),
    look(Column::DestinationName, &[END, STATION]),
    look(Column::StartedAt, &[START, TIME]),
    look(Column::EndedAt, &[END, TIME]),
    look(Column::Duration, &[&["duration", "duree", "elapsed"]]),
    look(
        Column::Bike,
        &[&["bike", "ride", "vehicle"], &["type", "model"]],
    ),
    look(Column::Vehicle, &[&["bike", "vehicle"], NUMBER]),
    look(
        Column::Rider,
        &[&[
            "usertype",
            "member",
            "subscriber",
            "subscription",
            "passholder",
            "customer",
        ]],
    ),
    look(Column::Gender, &[&["gender", "sex", "genero"]]),
    look(Column::BirthYear, &[&["birth", "nacimiento"]]),
];

const fn look(column: Column, words: &'static [&'static [&'static str]]) -> Look {
    Look { column, words }
}

/// A column that looks like one that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unread {
    /// The column that it looks like.
    pub(super) like: Column,
    /// Its name in the file.
    pub(super) name: String,
}

/// Lists the columns of a header that look like one that is read. Other spellings of one that is read
/// are not among them.
pub(super) fn unread(header: &Header) -> Vec<Unread> {
    let mut found = Vec::new();
    for (index, name) in header.normal.iter().enumerate() {
        let is_known =
            |names: &super::column_names::Names| names.spellings.contains(&name.as_str());
        if header.is_read(index) || NAMES.iter().any(is_known) {
            continue;
        }
        let has_one = |words: &&[&str]| words.iter().any(|word| name.contains(word));
        let look = LOOKS.iter().find(|look| look.words.iter().all(has_one));
        found.extend(look.map(|look| Unread {
            like: look.column,
            name: header.names[index].clone(),
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Systems;

    #[test]
    fn columns_that_look_like_ours_are_named() {
        let names = "ride_id,started_at,ended_at,Origin Station Code,start_latitude_deg,weather,\
                     member_since,start_lon,start_lng,plan_duration";
        let names = names.split(',').map(str::to_owned).collect();
        let header = Header::recognise(names, &Systems::default()).unwrap();
        let found: Vec<String> = unread(&header)
            .iter()
            .map(|unread| format!("{} {}", unread.name, unread.like.field()))
            .collect();
        let expected = [
            "Origin Station Code origin_id",
            "start_latitude_deg from_latitude",
            "member_since rider",
            "plan_duration duration",
        ];
        assert_eq!(found, expected);
    }
}
