//! Records of the stream: as Lambda delivers them, and as changes of stations.

use std::collections::HashMap;
use std::time::Duration;

use aws_lambda_events::dynamodb::{EventRecord, StreamRecord, StreamViewType};
use aws_sdk_dynamodbstreams::types::{AttributeValue, OperationType, Record};
use divvy::model::SystemId;
use divvy::store::Change;

use crate::item::{self, ItemError, station};

/// A record with its shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The shard.
    pub shard: String,
    /// The record as Lambda delivers it.
    pub record: EventRecord,
}

/// A change, with the number of its record.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamChange {
    /// The change. Its `sequence` is 0, since numbers of records do not fit: the caller numbers
    /// changes.
    pub change: Change,
    /// The sequence number of the record, 21 to 40 digits.
    pub sequence_number: String,
}

/// Reads a record. `None` where the row was removed, or is unchanged.
///
/// # Errors
///
/// The new image is not a row of StationData.
pub fn change(record: &EventRecord, system: &SystemId) -> Result<Option<StreamChange>, ItemError> {
    if record.event_name == "REMOVE" {
        return Ok(None);
    }
    let new = item::of_event(&record.change.new_image);
    let old = item::of_event(&record.change.old_image);
    let row = station::row(&new)?;
    if station::are_same(&old, &new) {
        return Ok(None);
    }
    let change = Change {
        sequence: 0,
        system: system.clone(),
        station: row.station,
        report_time_only: station::differ_in_report_time_only(&old, &new),
    };
    Ok(Some(StreamChange {
        change,
        sequence_number: record.change.sequence_number.clone().unwrap_or_default(),
    }))
}

/// Converts a record of the SDK to one of Lambda.
pub(super) fn event_record(record: Record, stream_arn: &str) -> EventRecord {
    let mut event = EventRecord::default();
    event.aws_region = record.aws_region.unwrap_or_default();
    event.event_id = record.event_id.unwrap_or_default();
    event.event_name = record
        .event_name
        .as_ref()
        .map_or("", OperationType::as_str)
        .into();
    event.event_source = record.event_source;
    event.event_version = record.event_version;
    event.event_source_arn = Some(stream_arn.into());
    let Some(source) = record.dynamodb else {
        return event;
    };
    let mut change = StreamRecord::default();
    if let Some(at) = source.approximate_creation_date_time {
        // Its default is the epoch.
        change.approximate_creation_date_time +=
            Duration::new(at.secs().try_into().unwrap_or(0), at.subsec_nanos());
    }
    let image = |map: Option<HashMap<String, AttributeValue>>| {
        let attribute = |(name, value)| (name, attribute(value));
        let map = map.unwrap_or_default().into_iter().map(attribute);
        let map: HashMap<String, serde_dynamo::AttributeValue> = map.collect();
        serde_dynamo::Item::from(map)
    };
    change.keys = image(source.keys);
    change.new_image = image(source.new_image);
    change.old_image = image(source.old_image);
    change.sequence_number = source.sequence_number;
    change.size_bytes = source.size_bytes.unwrap_or(0);
    change.stream_view_type = Some(StreamViewType::NewAndOldImages);
    event.change = change;
    event
}

fn attribute(value: AttributeValue) -> serde_dynamo::AttributeValue {
    use serde_dynamo::AttributeValue as Event;
    match value {
        AttributeValue::N(digits) => Event::N(digits),
        AttributeValue::S(text) => Event::S(text),
        AttributeValue::Bool(is) => Event::Bool(is),
        AttributeValue::B(blob) => Event::B(blob.into_inner()),
        AttributeValue::Null(is) => Event::Null(is),
        AttributeValue::M(map) => {
            let entry = |(name, value)| (name, attribute(value));
            Event::M(map.into_iter().map(entry).collect())
        }
        AttributeValue::L(list) => Event::L(list.into_iter().map(attribute).collect()),
        AttributeValue::Ss(texts) => Event::Ss(texts),
        AttributeValue::Ns(numbers) => Event::Ns(numbers),
        AttributeValue::Bs(blobs) => {
            let bytes = blobs.into_iter().map(|blob| blob.into_inner());
            Event::Bs(bytes.collect())
        }
        other => Event::S(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use divvy::model::{Station, StationStatus};
    use divvy::stations::data::Row;
    use jiff::Timestamp;

    use super::*;

    fn row(version: Option<u64>, reported: i64) -> Row {
        Row {
            station: Station {
                status: Some(StationStatus::InService),
                reported_at: Some(Timestamp::from_second(reported).unwrap()),
                trips_version: version,
                ..Station::unknown("35".into())
            },
            written_at: None,
        }
    }

    fn record(name: &str, old: Option<Row>, new: Option<Row>) -> EventRecord {
        let image = |row: Option<Row>| {
            let item = row.map(|row| station::item(&row)).unwrap_or_default();
            item::to_event(&item)
        };
        let mut record = EventRecord::default();
        record.event_name = name.into();
        record.change.old_image = image(old);
        record.change.new_image = image(new);
        record.change.sequence_number = Some("1".repeat(25));
        record
    }

    #[test]
    fn records_are_distinguished() {
        let divvy = SystemId::from("divvy");
        let of = |record: &EventRecord| {
            let change = change(record, &divvy).unwrap();
            change.map(|StreamChange { change, .. }| change.report_time_only)
        };
        let (old, later) = (row(Some(1), 0), row(Some(1), 60));
        assert_eq!(of(&record("INSERT", None, Some(old.clone()))), Some(false));
        let changed = record("MODIFY", Some(old.clone()), Some(row(Some(2), 60)));
        assert_eq!(of(&changed), Some(false));
        let reported = record("MODIFY", Some(old.clone()), Some(later));
        assert_eq!(of(&reported), Some(true));
        let same = record("MODIFY", Some(old.clone()), Some(old.clone()));
        assert_eq!(of(&same), None);
        assert_eq!(of(&record("REMOVE", Some(old.clone()), None)), None);
        let emptied = record("MODIFY", Some(old), None);
        assert_eq!(
            change(&emptied, &divvy).unwrap_err().attribute,
            "station_id"
        );
    }
}
