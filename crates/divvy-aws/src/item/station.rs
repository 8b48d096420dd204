//! StationData: a station with its latest report.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use divvy::model::{
    Availability, Degrees, FilledByLists, ListedStation, Station, StationAlias, StationSource,
    StationStatus,
};
use divvy::stations::data::Row;

use super::{Item, ItemError, Reader, put_number, put_text};

/// The name of the table, without its prefix.
pub const TABLE: &str = "StationData";
/// The attribute that is its key.
pub const KEY: &str = "station_id";

const SOURCE: &str = "source";
const NAME: &str = "name";
const SHORT_NAME: &str = "short_name";
const LEGACY_ID: &str = "legacy_id";
const LATITUDE: &str = "latitude";
const LONGITUDE: &str = "longitude";
const CAPACITY: &str = "capacity";
const STATUS: &str = "status";
const VEHICLES: &str = "available_bikes";
const EBIKES: &str = "available_ebikes";
const VEHICLES_DISABLED: &str = "disabled_bikes";
const DOCKS: &str = "available_docks";
const DOCKS_DISABLED: &str = "disabled_docks";
const REPORTED_AT: &str = "reported_at";
/// The attribute with the ids that trips use for the station.
pub const ORIGIN_IDS: &str = "origin_ids";
/// The attribute with the aliases that trips use for the station: the id, the character U+001F, and the
/// name as names are compared. Left out where trips have no names: then the ids are the aliases.
pub const ALIASES: &str = "aliases";
/// The attribute with the version of the trips: a load changes it, which causes a refresh.
pub const TRIPS_VERSION: &str = "trips_version";
/// The attribute with the [`Cause`] of the last write. Rows do not have it: it is for filters of the
/// stream.
pub const CAUSE: &str = "cause";
/// The attribute with the time at which a feed last wrote the row.
pub const WRITTEN_AT: &str = "written_at";

/// The attribute with the time of the snapshot that names and position come from.
pub const NAMED_AT: &str = "named_at";
/// The attribute with the forms in which station lists have the station: a set of JSON texts.
pub const LISTED_AS: &str = "listed_as";
const FILLED_BY_LISTS: &str = "filled_by_lists";

/// The attributes that detect a change of a row. Each writer changes at least one of them: a feed the
/// time of writing or that of the names, a load the version or the ids, a station list the forms; a
/// list that an older program reads, the others.
pub const OPTIMISTIC_LOCK_ATTRIBUTES: [&str; 13] = [
    WRITTEN_AT,
    NAMED_AT,
    LISTED_AS,
    TRIPS_VERSION,
    ORIGIN_IDS,
    ALIASES,
    SOURCE,
    NAME,
    SHORT_NAME,
    LEGACY_ID,
    LATITUDE,
    LONGITUDE,
    CAPACITY,
];

/// Makes the item of a row.
pub fn item(row: &Row) -> Item {
    // By name, so that the compiler reports a new field.
    let Row {
        station,
        written_at,
    } = row;
    let Station {
        id,
        source,
        name,
        short_name,
        legacy_id,
        latitude,
        longitude,
        capacity,
        status,
        available,
        reported_at,
        aliases,
        trips_version,
        named_at,
        listed_as,
        filled_by_lists,
    } = station;
    let Availability {
        vehicles,
        ebikes,
        vehicles_disabled,
        docks,
        docks_disabled,
    } = available;
    let mut item = Item::new();
    put_text(&mut item, KEY, Some(id.as_str()));
    put_text(&mut item, SOURCE, Some(source.as_str()));
    put_text(&mut item, NAME, name.as_deref());
    put_text(&mut item, SHORT_NAME, short_name.as_deref());
    put_text(&mut item, LEGACY_ID, legacy_id.as_deref());
    put_degrees(&mut item, LATITUDE, latitude.as_ref());
    put_degrees(&mut item, LONGITUDE, longitude.as_ref());
    put_number(&mut item, CAPACITY, *capacity);
    put_text(
        &mut item,
        STATUS,
        status.as_ref().map(StationStatus::as_str),
    );
    put_number(&mut item, VEHICLES, *vehicles);
    put_number(&mut item, EBIKES, *ebikes);
    put_number(&mut item, VEHICLES_DISABLED, *vehicles_disabled);
    put_number(&mut item, DOCKS, *docks);
    put_number(&mut item, DOCKS_DISABLED, *docks_disabled);
    put_text(
        &mut item,
        REPORTED_AT,
        reported_at.map(|at| at.to_string()).as_deref(),
    );
    if !aliases.is_empty() {
        let ids = station.origin_ids();
        let ids = ids.iter().map(ToString::to_string).collect();
        item.insert(ORIGIN_IDS.into(), AttributeValue::Ss(ids));
    }
    if aliases.iter().any(|alias| alias.name().is_some()) {
        let texts = aliases.iter().map(|alias| alias.as_str().to_owned());
        item.insert(ALIASES.into(), AttributeValue::Ss(texts.collect()));
    }
    put_number(&mut item, TRIPS_VERSION, *trips_version);
    put_text(
        &mut item,
        NAMED_AT,
        named_at.map(|at| at.to_string()).as_deref(),
    );
    if !listed_as.is_empty() {
        let forms = listed_as.iter().map(form_text).collect();
        item.insert(LISTED_AS.into(), AttributeValue::Ss(forms));
    }
    let filled = Some(*filled_by_lists).filter(|filled| *filled != FilledByLists::Nothing);
    put_text(
        &mut item,
        FILLED_BY_LISTS,
        filled.map(FilledByLists::as_str),
    );
    put_text(
        &mut item,
        WRITTEN_AT,
        written_at.map(|at| at.to_string()).as_deref(),
    );
    item
}

/// Reads the row of an item.
///
/// # Errors
///
/// An attribute is not what [`item`] writes.
pub fn row(item: &Item) -> Result<Row, ItemError> {
    let reader = Reader::new(TABLE, KEY, item);
    let text = |attribute| Ok::<_, ItemError>(reader.text(attribute)?.map(str::to_owned));
    let source = match reader.text(SOURCE)? {
        None => StationSource::default(),
        Some(word) => StationSource::named(word)
            .ok_or_else(|| reader.unexpected(SOURCE, "trips, list or feed"))?,
    };
    let attribute = if item.contains_key(ALIASES) {
        ALIASES
    } else {
        ORIGIN_IDS
    };
    let texts = reader.texts(attribute)?;
    let aliases: BTreeSet<StationAlias> = texts
        .iter()
        .map(|text| StationAlias::from(text.as_str()))
        .collect();
    let filled_by_lists = match reader.text(FILLED_BY_LISTS)? {
        None => FilledByLists::default(),
        Some(word) => FilledByLists::named(word)
            .ok_or_else(|| reader.unexpected(FILLED_BY_LISTS, "capacity or everything"))?,
    };
    let form = |text: &String| {
        serde_json::from_str::<ListedStation>(text)
            .map_err(|_| reader.unexpected(LISTED_AS, "stations of lists as JSON"))
    };
    let listed_as: Result<BTreeSet<_>, _> = reader.texts(LISTED_AS)?.iter().map(form).collect();
    Ok(Row {
        station: Station {
            id: reader.required_text(KEY)?.into(),
            source,
            name: text(NAME)?,
            short_name: text(SHORT_NAME)?,
            legacy_id: text(LEGACY_ID)?,
            latitude: degrees(&reader, item, LATITUDE)?,
            longitude: degrees(&reader, item, LONGITUDE)?,
            capacity: reader.number(CAPACITY)?,
            status: text(STATUS)?.map(StationStatus::from),
            available: Availability {
                vehicles: reader.number(VEHICLES)?,
                ebikes: reader.number(EBIKES)?,
                vehicles_disabled: reader.number(VEHICLES_DISABLED)?,
                docks: reader.number(DOCKS)?,
                docks_disabled: reader.number(DOCKS_DISABLED)?,
            },
            reported_at: reader.instant(REPORTED_AT)?,
            aliases,
            trips_version: reader.number(TRIPS_VERSION)?,
            named_at: reader.instant(NAMED_AT)?,
            listed_as: listed_as?,
            filled_by_lists,
        },
        written_at: reader.instant(WRITTEN_AT)?,
    })
}

/// Writes a form of a station list as a text, of which a set is made.
fn form_text(form: &ListedStation) -> String {
    serde_json::to_string(form).expect("it has texts and a number")
}

/// Puts a coordinate as a number where the service returns the same digits: it drops trailing zeros
/// and changes exponents. Otherwise as a text.
fn put_degrees(item: &mut Item, attribute: &str, degrees: Option<&Degrees>) {
    let Some(degrees) = degrees else { return };
    let digits = degrees.as_str().to_owned();
    let value = match is_canonical(&digits) {
        true => AttributeValue::N(digits),
        false => AttributeValue::S(digits),
    };
    item.insert(attribute.into(), value);
}

/// Returns whether a decimal text is the one that DynamoDB returns for its number: at most 38
/// digits, no insignificant zeros, no plus, no negative zero, no exponent.
///
/// Very small numbers, with more than 6 zeros after the point, are returned with an exponent; here
/// 6 zeros are enough to count as small.
fn is_canonical(digits: &str) -> bool {
    let magnitude = digits.strip_prefix('-').unwrap_or(digits);
    let (whole, fraction) = match magnitude.split_once('.') {
        None => (magnitude, None),
        Some((whole, fraction)) => (whole, Some(fraction)),
    };
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let whole_is_plain = are_digits(whole) && (whole == "0" || !whole.starts_with('0'));
    let fraction_is_plain = fraction.is_none_or(|fraction| {
        are_digits(fraction) && !fraction.ends_with('0') && !fraction.starts_with("000000")
    });
    let is_short = magnitude.len() <= 38;
    whole_is_plain && fraction_is_plain && is_short && digits != "-0"
}

fn degrees(
    reader: &Reader<'_>,
    item: &Item,
    attribute: &'static str,
) -> Result<Option<Degrees>, ItemError> {
    let parsed = match item.get(attribute) {
        None => return Ok(None),
        Some(AttributeValue::N(digits) | AttributeValue::S(digits)) => digits.parse().ok(),
        Some(_) => None,
    };
    match parsed {
        Some(degrees) => Ok(Some(degrees)),
        None => Err(reader.unexpected(attribute, "decimal degrees")),
    }
}

/// The reason for which a row was written. The first three concern counts; a consumer of the stream
/// that keeps counts needs no other records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The row is new.
    Insert,
    /// Trips were added or removed: it has another version of them.
    Load,
    /// Other ids of trips belong to the station.
    Ids,
    /// The feed reports another state.
    Feed,
    /// Only the report time, or the time of the names, is another.
    Time,
}

impl Cause {
    /// Returns the value of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Load => "load",
            Self::Ids => "ids",
            Self::Feed => "feed",
            Self::Time => "time",
        }
    }
}

/// Returns the reason for which a row replaces another. `None`: there is none before.
pub fn cause(before: Option<&Row>, row: &Row) -> Cause {
    let Some(before) = before else {
        return Cause::Insert;
    };
    let (old, new) = (&before.station, &row.station);
    if old.trips_version != new.trips_version {
        Cause::Load
    } else if old.counted_ids() != new.counted_ids() {
        Cause::Ids
    } else if differ_in_report_time_only(&item(before), &item(row)) {
        Cause::Time
    } else {
        Cause::Feed
    }
}

/// Puts the reason for which a row is written.
pub fn put_cause(item: &mut Item, cause: Cause) {
    put_text(item, CAUSE, Some(cause.as_str()));
}

/// Returns whether two items of a station differ only in the report time, the time of the names and the
/// time of writing and the cause, which do not affect counts.
pub fn differ_in_report_time_only(old: &Item, new: &Item) -> bool {
    let rest = |item: &Item| {
        let mut rest = item.clone();
        rest.retain(|name, _| ![REPORTED_AT, NAMED_AT, WRITTEN_AT, CAUSE].contains(&name.as_str()));
        rest
    };
    !are_same(old, new) && are_same(&rest(old), &rest(new))
}

/// Returns whether two items are equal; sets are compared without order.
pub fn are_same(one: &Item, other: &Item) -> bool {
    let is_same = |value: &AttributeValue, other: &AttributeValue| match (value, other) {
        (AttributeValue::Ss(texts), AttributeValue::Ss(others)) => {
            let texts: BTreeSet<&String> = texts.iter().collect();
            texts == others.iter().collect()
        }
        _ => value == other,
    };
    one.len() == other.len()
        && one
            .iter()
            .all(|(name, value)| other.get(name).is_some_and(|other| is_same(value, other)))
}

#[cfg(test)]
pub(crate) mod tests {
    use divvy::model::StationId;
    use jiff::Timestamp;
    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;

    fn degrees_text() -> impl Strategy<Value = Degrees> {
        let forms = prop_oneof![
            "-?[0-9]{1,3}\\.[0-9]{1,20}",
            "-?[0-9]{1,3}",
            "[+-]?[0-9]{1,2}(\\.[0-9]{0,8})?[eE]-?[0-9]",
            Just("41.000000".to_owned()),
            Just("-0".to_owned()),
            Just("-0.0".to_owned()),
            Just(".5".to_owned()),
            Just("0.0000001".to_owned()),
        ];
        forms.prop_filter_map("a number", |text| text.parse().ok())
    }

    fn instant() -> impl Strategy<Value = Timestamp> {
        (-2_000_000_000_i64..4_000_000_000, 0..1000_i32)
            .prop_map(|(second, ms)| Timestamp::new(second, ms * 1_000_000).unwrap())
    }

    /// Any row whose texts are not empty: what is blank is left out.
    pub(crate) fn rows() -> impl Strategy<Value = Row> {
        let text = || "[^\u{0}]{1,12}";
        let alias = (text(), of(text()))
            .prop_map(|(id, name)| StationAlias::new(&id, &name.unwrap_or_default()));
        let source = prop_oneof![
            Just(StationSource::Trips),
            Just(StationSource::List),
            Just(StationSource::Feed)
        ];
        let names = (of(text()), of(text()), of(text()));
        let place = (of(degrees_text()), of(degrees_text()), of(any::<u32>()));
        let count = || of(any::<u32>());
        let available = (count(), count(), count(), count(), count());
        let ids = prop::collection::btree_set(alias, 0..3);
        let state = (
            of(text().prop_map(StationStatus::from)),
            available,
            of(instant()),
        );
        let form = (of(text()), of(degrees_text()), of(any::<u32>()));
        let form = form.prop_map(|(name, latitude, capacity)| ListedStation {
            name,
            longitude: latitude.clone(),
            latitude,
            capacity,
            ..ListedStation::default()
        });
        let forms = prop::collection::btree_set(form, 0..3);
        let lists = (forms, prop::sample::select(&FilledByLists::ALL));
        let kept = (ids, of(any::<u64>()), of(instant()), of(instant()), lists);
        let id = text().prop_map(StationId::from);
        (id, source, names, place, state, kept).prop_map(
            |(id, source, names, place, (status, available, reported_at), kept)| Row {
                station: Station {
                    id,
                    source,
                    name: names.0,
                    short_name: names.1,
                    legacy_id: names.2,
                    latitude: place.0,
                    longitude: place.1,
                    capacity: place.2,
                    status,
                    available: Availability {
                        vehicles: available.0,
                        ebikes: available.1,
                        vehicles_disabled: available.2,
                        docks: available.3,
                        docks_disabled: available.4,
                    },
                    reported_at,
                    aliases: kept.0,
                    trips_version: kept.1,
                    named_at: kept.3,
                    listed_as: kept.4.0,
                    filled_by_lists: kept.4.1,
                },
                written_at: kept.2,
            },
        )
    }

    /// Returns an item as the service stores it: without trailing zeros in numbers.
    fn stored(item: Item) -> Item {
        let keep = |value| match value {
            AttributeValue::N(digits) => AttributeValue::N(normal(&digits)),
            other => other,
        };
        item.into_iter().map(|(k, v)| (k, keep(v))).collect()
    }

    fn normal(digits: &str) -> String {
        let (sign, magnitude) = match digits.strip_prefix('-') {
            Some(magnitude) => ("-", magnitude),
            None => ("", digits),
        };
        let magnitude = magnitude.trim_start_matches('0');
        let magnitude = match magnitude.split_once('.') {
            None => magnitude,
            Some(_) => magnitude.trim_end_matches('0').trim_end_matches('.'),
        };
        match magnitude.strip_prefix('.') {
            Some(fraction) => format!("{sign}0.{fraction}"),
            None if magnitude.is_empty() => "0".into(),
            None => format!("{sign}{magnitude}"),
        }
    }

    proptest! {
        #[test]
        fn a_row_survives_the_table(row in rows()) {
            let item = stored(item(&row));
            prop_assert_eq!(super::row(&item).unwrap(), row.clone());
            let event = super::super::to_event(&item);
            prop_assert_eq!(super::row(&super::super::of_event(&event)).unwrap(), row);
        }

        #[test]
        fn a_new_report_time_alone_is_recognised(row in rows(), other in rows(), at in instant()) {
            let mut later = row.clone();
            later.station.reported_at = Some(at);
            later.station.named_at = Some(at);
            later.written_at = Some(at);
            let is_later = later != row;
            prop_assert_eq!(differ_in_report_time_only(&item(&row), &item(&later)), is_later);
            let rest = |mut row: Row| {
                row.station.reported_at = None;
                row.station.named_at = None;
                row.written_at = None;
                row
            };
            prop_assume!(rest(row.clone()) != rest(other.clone()));
            prop_assert!(!differ_in_report_time_only(&item(&row), &item(&other)));
        }
    }

    #[test]
    fn coordinates_are_numbers_where_the_store_keeps_their_digits() {
        for (digits, is_number) in [
            ("41.8964", true),
            ("-87.661", true),
            ("0.5", true),
            ("41", true),
            ("0", true),
            ("41.000000", false),
            ("1e2", false),
            ("+41.5", false),
            ("-0", false),
            (".5", false),
            ("041.5", false),
            ("0.00000012", false),
        ] {
            assert_eq!(is_canonical(digits), is_number, "{digits}");
        }
    }

    #[test]
    fn a_blank_attribute_is_left_out() {
        let row = Row {
            station: Station {
                name: Some(String::new()),
                ..Station::unknown("35".into())
            },
            written_at: None,
        };
        let mut names: Vec<String> = item(&row).into_keys().collect();
        names.sort();
        assert_eq!(names, ["source", "station_id"]);
    }
}
