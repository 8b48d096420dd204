//! TripData, one item a trip.
//!
//! | attribute | type | left out |
//! |---|---|---|
//! | `trip_id` | S, the key | |
//! | `from_station_id` | S, the key of the index | no origin: the index lacks the trip |
//! | `from_name`, `to_name` | S, the names of the stations as names are compared | the row has none |
//! | `cells` | N, 1: the stations' aliases have the [`Cell`]s of the coordinates | an older program wrote it, or no end has one |
//! | `to_station_id`, `bike_id`, `bike_type`, `rider`, `gender` | S | unknown |
//! | `started_at`, `ended_at` | S, local time with its offset; `started_at` is the sort key of the index | |
//! | `precision_ms` | N | 1000 |
//! | `duration_s` | N, as the file states it | the file states none |
//! | `birth_year` | N | unknown |
//! | `from_latitude`, `from_longitude`, `to_latitude`, `to_longitude` | N, decimal degrees | unknown |
//! | `flags` | N, [`Flags::bits`] | 0 |
//! | `archive` | S, see [`archive_tag`]; projected to the index | another program wrote it |
//! | `member`, `line` | N, the location of the row | 0 |

use std::fmt::Write;

use aws_sdk_dynamodb::types::AttributeValue;
use divvy::model::{
    Cell, Degrees, Flag, Flags, NONE_I16, NONE_I32, Rider, StationAlias, Trip, TripBatch, TripId,
    VehicleId,
};
use divvy::store::ContentHash;

pub(crate) use super::local_time::local_text;
use super::local_time::{read_time, write_time};
use super::size::number_bytes;
use super::{Item, ItemError, Reader};

/// The name of the table, without its prefix.
pub const TABLE: &str = "TripData";
/// The attribute that is its key.
pub const KEY: &str = "trip_id";
/// The attribute that is the key of its index.
pub const INDEX_KEY: &str = "from_station_id";
/// The attribute with the tag of the archive.
pub const ARCHIVE: &str = "archive";

const TO_STATION_ID: &str = "to_station_id";
/// The names that make the ids aliases ([`StationAlias`]).
const NAMES: [&str; 2] = ["from_name", "to_name"];
/// The way in which the cells of aliases are computed from coordinates.
const CELLS: &str = "cells";
/// The value of [`CELLS`]: [`Cell::of_end`].
const CELLS_OF_ENDS: i32 = 1;
/// The attribute with the start, which is the sort key of the index.
pub const STARTED_AT: &str = "started_at";
const ENDED_AT: &str = "ended_at";
const PRECISION_MS: &str = "precision_ms";
const DURATION_S: &str = "duration_s";
const BIKE_ID: &str = "bike_id";
const BIKE_TYPE: &str = "bike_type";
const RIDER: &str = "rider";
const GENDER: &str = "gender";
const BIRTH_YEAR: &str = "birth_year";
const FROM: [&str; 2] = ["from_latitude", "from_longitude"];
const TO: [&str; 2] = ["to_latitude", "to_longitude"];
const FLAGS: &str = "flags";
const MEMBER: &str = "member";
const LINE: &str = "line";

/// The precision of the times of most files.
const USUAL_PRECISION_MS: i32 = 1000;

/// Returns the tag of an archive in items: the first 16 hex digits of its content hash.
pub fn archive_tag(content: ContentHash) -> String {
    format!("{:016x}", content.0 >> 64)
}

/// Returns the tag of an archive, from the text of its content hash.
pub fn tag_of_content(content: &str) -> String {
    content.chars().take(16).collect()
}

/// A row to be made into an item.
#[derive(Clone, Copy, Debug)]
pub struct TripRow<'a> {
    /// The batch.
    pub batch: &'a TripBatch,
    /// The index of the row in it.
    pub row: usize,
    /// The archive's member with the row.
    pub member: u32,
    /// The tag of the archive.
    pub archive: &'a str,
}

/// A type of attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    S,
    N,
}

impl TripRow<'_> {
    /// Passes each attribute to `put`: name, type, value.
    fn each(&self, mut put: impl FnMut(&'static str, Type, &str)) {
        let Self {
            batch,
            row,
            member,
            archive,
        } = *self;
        let mut text = String::with_capacity(32);
        put(KEY, Type::S, batch.id(row));
        let rider = match Rider::parse(batch.words.text(batch.rider[row])) {
            Rider::Unknown => "",
            _ => batch.words.text(batch.rider[row]),
        };
        let stations = [&batch.origin, &batch.destination]
            .map(|ends| StationAlias::from(batch.stations.text(ends[row])));
        let has_cells = stations.iter().any(StationAlias::has_cell);
        let [(from_id, from_name), (to_id, to_name)] =
            [0, 1].map(|end: usize| stations[end].id_and_name());
        for (name, value) in [
            (INDEX_KEY, from_id),
            (NAMES[0], from_name),
            (TO_STATION_ID, to_id),
            (NAMES[1], to_name),
            (BIKE_ID, batch.vehicles.text(batch.vehicle[row])),
            (BIKE_TYPE, batch.words.text(batch.bike[row])),
            (RIDER, rider),
            (GENDER, batch.words.text(batch.gender[row])),
            (ARCHIVE, archive),
        ] {
            if !value.is_empty() {
                put(name, Type::S, value);
            }
        }
        for (name, local_ms, offset_s) in [
            (
                STARTED_AT,
                batch.started_ms[row],
                batch.started_offset_s[row],
            ),
            (ENDED_AT, batch.ended_ms[row], batch.ended_offset_s[row]),
        ] {
            text.clear();
            write_time(&mut text, local_ms, offset_s);
            put(name, Type::S, &text);
        }
        let reported_s = batch.reported_s[row];
        let birth_year = batch.birth_year[row];
        let precision_ms = batch.precision_ms[row];
        let flags = batch.flags[row].bits();
        let line = batch.line[row];
        for (name, there, number) in [
            (
                PRECISION_MS,
                precision_ms != USUAL_PRECISION_MS,
                i128::from(precision_ms),
            ),
            (CELLS, has_cells, CELLS_OF_ENDS.into()),
            (DURATION_S, reported_s != NONE_I32, reported_s.into()),
            (BIRTH_YEAR, birth_year != NONE_I16, birth_year.into()),
            (FLAGS, flags != 0, flags.into()),
            (MEMBER, member != 0, member.into()),
            (LINE, line != 0, line.into()),
        ] {
            if there {
                text.clear();
                write!(text, "{number}").expect("texts take what is written");
                put(name, Type::N, &text);
            }
        }
        for (names, latitude, longitude) in [
            (FROM, batch.from_latitude[row], batch.from_longitude[row]),
            (TO, batch.to_latitude[row], batch.to_longitude[row]),
        ] {
            if latitude != NONE_I32 && longitude != NONE_I32 {
                put(names[0], Type::N, Degrees::from_micro(latitude).as_str());
                put(names[1], Type::N, Degrees::from_micro(longitude).as_str());
            }
        }
    }

    /// Makes the item.
    pub fn item(&self) -> Item {
        let mut item = Item::with_capacity(16);
        self.each(|name, kind, value| {
            let value = match kind {
                Type::S => AttributeValue::S(value.into()),
                Type::N => AttributeValue::N(value.into()),
            };
            item.insert(name.into(), value);
        });
        item
    }

    /// Appends the item as DynamoDB JSON: `{"trip_id":{"S":"10426648"},…}`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let mut before = b'{';
        self.each(|name, kind, value| {
            out.push(before);
            before = b',';
            let kind: &[u8] = match kind {
                Type::S => b"S",
                Type::N => b"N",
            };
            for part in [b"\"", name.as_bytes(), b"\":{\"", kind, b"\":"] {
                out.extend_from_slice(part);
            }
            serde_json::to_writer(&mut *out, value).expect("a text is JSON, and memory takes it");
            out.push(b'}');
        });
        out.push(b'}');
    }

    /// Returns the bytes of the item by DynamoDB's rule.
    pub fn bytes(&self) -> u64 {
        let mut bytes = 0;
        self.each(|name, kind, value| {
            bytes += name.len() as u64;
            bytes += match kind {
                Type::S => value.len() as u64,
                Type::N => number_bytes(value),
            };
        });
        bytes
    }

    /// Returns the bytes of the item's entry in the index: the keys, the start and the tag of the
    /// archive. `None` without an origin.
    pub fn index_bytes(&self) -> Option<u64> {
        let Self { batch, row, .. } = *self;
        let origin = batch.origin_id(row);
        if origin.is_empty() {
            return None;
        }
        let mut started = String::with_capacity(25);
        write_time(
            &mut started,
            batch.started_ms[row],
            batch.started_offset_s[row],
        );
        let names = KEY.len() + INDEX_KEY.len() + STARTED_AT.len() + ARCHIVE.len();
        let values = batch.id_raw(row).len() + origin.len() + started.len() + self.archive.len();
        Some((names + values) as u64)
    }
}

/// The trip of an item, with its location.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTrip {
    /// The trip.
    pub trip: Trip,
    /// The tag of its archive.
    pub archive: String,
    /// The archive's member with its row.
    pub member: u32,
    /// The line of its row; 0 where it is not known.
    pub line: u64,
}

/// Reads the trip of an item.
///
/// # Errors
///
/// An attribute is not what [`TripRow::item`] writes.
pub fn trip(item: &Item) -> Result<StoredTrip, ItemError> {
    let reader = Reader::new(TABLE, KEY, item);
    let text = |name| Ok::<_, ItemError>(reader.text(name)?.map(Into::into));
    let time = |name| {
        let expected = "a local time such as 2016-07-01T00:04:09-05:00";
        let text = reader.required_text(name)?;
        read_time(text).ok_or_else(|| reader.unexpected(name, expected))
    };
    let (started_ms, started_offset_s) = time(STARTED_AT)?;
    let (ended_ms, ended_offset_s) = time(ENDED_AT)?;
    let point = |[latitude, longitude]: [&'static str; 2]| {
        Ok::<_, ItemError>(
            match (degrees(&reader, latitude)?, degrees(&reader, longitude)?) {
                (Some(latitude), Some(longitude)) => Some((latitude, longitude)),
                _ => None,
            },
        )
    };
    let flags = Flags::from_bits(reader.number(FLAGS)?.unwrap_or_default());
    let has_cells = match reader.number(CELLS)? {
        None => false,
        Some(CELLS_OF_ENDS) => true,
        Some(_) => return Err(reader.unexpected(CELLS, "1, or nothing")),
    };
    let station = |id, name, point: Option<(i32, i32)>| {
        let (id, name) = (reader.text(id)?, reader.text(name)?.unwrap_or_default());
        let cell = Cell::of_end(point.filter(|_| has_cells), flags.contains(Flag::FarAway));
        Ok::<_, ItemError>(id.map(|id| StationAlias::join(id, name).in_cell(cell)))
    };
    let (from, to) = (point(FROM)?, point(TO)?);
    Ok(StoredTrip {
        trip: Trip {
            id: TripId::from(reader.required_text(KEY)?),
            started_ms,
            started_offset_s,
            ended_ms,
            ended_offset_s,
            precision_ms: reader.number(PRECISION_MS)?.unwrap_or(USUAL_PRECISION_MS),
            reported_s: reader.number(DURATION_S)?,
            origin: station(INDEX_KEY, NAMES[0], from)?,
            destination: station(TO_STATION_ID, NAMES[1], to)?,
            vehicle: reader.text(BIKE_ID)?.map(VehicleId::from),
            bike: text(BIKE_TYPE)?,
            rider: Rider::parse(reader.text(RIDER)?.unwrap_or_default()),
            gender: text(GENDER)?,
            birth_year: reader.number(BIRTH_YEAR)?,
            from,
            to,
            flags,
        },
        archive: reader.text(ARCHIVE)?.unwrap_or_default().into(),
        member: reader.number(MEMBER)?.unwrap_or_default(),
        line: reader.number(LINE)?.unwrap_or_default(),
    })
}

/// Reads decimal degrees as millionths, without floating-point numbers.
fn degrees(reader: &Reader, name: &'static str) -> Result<Option<i32>, ItemError> {
    const EXPECTED: &str = "decimal degrees of up to six decimals";
    let read = |text: &str| {
        let magnitude = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || fraction.len() > 6 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let micro: i64 = format!("{whole}{fraction:0<6}").parse().ok()?;
        let sign = if magnitude.len() < text.len() { -1 } else { 1 };
        i32::try_from(sign * micro).ok()
    };
    match reader.item().get(name) {
        None => Ok(None),
        Some(AttributeValue::N(text)) => match read(text) {
            Some(micro) => Ok(Some(micro)),
            None => Err(reader.unexpected(name, EXPECTED)),
        },
        Some(_) => Err(reader.unexpected(name, EXPECTED)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::blocks::any;

    fn row<'a>(batch: &'a TripBatch, row: usize, member: u32) -> TripRow<'a> {
        TripRow {
            batch,
            row,
            member,
            archive: "0123456789abcdef",
        }
    }

    /// Returns the size by the rule of the service's documentation, not by that of the emulator.
    fn weighed(item: &Item) -> u64 {
        let value = |value: &AttributeValue| match value {
            AttributeValue::S(text) => text.len() as u64,
            AttributeValue::N(text) => number_bytes(text),
            other => panic!("{other:?}"),
        };
        item.iter()
            .map(|(name, held)| name.len() as u64 + value(held))
            .sum()
    }

    proptest! {
        #[test]
        fn a_trip_survives_the_table(rows in any::rows()) {
            for at in 0..rows.len() {
                let row = row(&rows.batch, at, rows.member[at]);
                let item = row.item();
                let stored = trip(&item).unwrap();
                prop_assert_eq!(&stored.trip, &rows.batch.trip(at));
                prop_assert_eq!(stored.member, rows.member[at]);
                prop_assert_eq!(stored.line, rows.batch.line[at]);
                prop_assert_eq!(row.bytes(), weighed(&item));

                let mut json = Vec::new();
                row.write_json(&mut json);
                let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
                let attributes = json.as_object().unwrap();
                prop_assert_eq!(attributes.len(), item.len());
                for (name, value) in &item {
                    let same = match value {
                        AttributeValue::S(text) => attributes[name]["S"] == text.as_str(),
                        AttributeValue::N(text) => attributes[name]["N"] == text.as_str(),
                        _ => false,
                    };
                    prop_assert!(same, "{} {:?}", name, value);
                }
            }
        }
    }

    fn sample() -> TripBatch {
        let mut batch: TripBatch = [Trip {
            id: "10426648".into(),
            started_ms: 1_467_331_449_000,
            started_offset_s: -18_000,
            ended_ms: 1_467_332_000_500,
            ended_offset_s: -18_000,
            precision_ms: 1000,
            reported_s: Some(551),
            origin: Some("35".into()),
            destination: None,
            vehicle: Some("3018".into()),
            bike: None,
            rider: Rider::Member,
            gender: Some("Male".into()),
            birth_year: Some(1985),
            from: Some((41_896_400, -87_661_000)),
            to: None,
            flags: Flags::NONE,
        }]
        .into_iter()
        .collect();
        batch.line = vec![1042];
        batch
    }

    #[test]
    fn an_item_is_readable() {
        let mut json = Vec::new();
        let batch = sample();
        row(&batch, 0, 0).write_json(&mut json);
        insta::assert_snapshot!(String::from_utf8(json).unwrap(), @r#"{"trip_id":{"S":"10426648"},"from_station_id":{"S":"35"},"bike_id":{"S":"3018"},"rider":{"S":"member"},"gender":{"S":"Male"},"archive":{"S":"0123456789abcdef"},"started_at":{"S":"2016-07-01T00:04:09-05:00"},"ended_at":{"S":"2016-07-01T00:13:20.500-05:00"},"duration_s":{"N":"551"},"birth_year":{"N":"1985"},"line":{"N":"1042"},"from_latitude":{"N":"41.8964"},"from_longitude":{"N":"-87.661"}}"#);
        assert_eq!(row(&batch, 0, 0).bytes(), 228);
        assert_eq!(row(&batch, 0, 0).index_bytes(), Some(90));
    }

    #[test]
    fn an_item_of_another_program_is_named() {
        let batch = sample();
        let item = row(&batch, 0, 0).item();
        let with = |name: &str, value: AttributeValue| {
            let mut item = item.clone();
            item.insert(name.into(), value);
            trip(&item).unwrap_err().to_string()
        };
        insta::assert_snapshot!(with(STARTED_AT, AttributeValue::S("7/1/2016 0:04".into())), @r#"TripData: item 10426648: started_at: expected a local time such as 2016-07-01T00:04:09-05:00, found the text "7/1/2016 0:04""#);
        insta::assert_snapshot!(with("from_latitude", AttributeValue::N("41.8964001".into())), @"TripData: item 10426648: from_latitude: expected decimal degrees of up to six decimals, found the number 41.8964001");
        insta::assert_snapshot!(with(FLAGS, AttributeValue::N("70000".into())), @"TripData: item 10426648: flags: expected a whole number, found the number 70000");
    }
}
