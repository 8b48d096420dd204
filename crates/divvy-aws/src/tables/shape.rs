//! Differences between an existing table and the one that [`create`](super::create) makes.

use aws_sdk_dynamodb::types::{
    KeySchemaElement, KeyType, ProjectionType, ScalarAttributeType, StreamViewType,
    TableDescription,
};

use super::{INDEX, Table};
use crate::item::packed;
use crate::item::trip::INDEX_KEY;

/// Lists in what a table differs from the expected shape, one clause each.
pub(super) fn differences(table: Table, found: &TableDescription) -> Vec<String> {
    let mut differences = Vec::new();
    let (hash, range) = table.key();
    let key = |schema: &[KeySchemaElement], kind: &KeyType| {
        let element = schema.iter().find(|element| element.key_type() == kind);
        element.map(|element| element.attribute_name().to_owned())
    };
    for (kind, expected) in [(KeyType::Hash, Some(hash)), (KeyType::Range, range)] {
        let actual = key(found.key_schema(), &kind);
        if actual.as_deref() != expected {
            differences.push(format!(
                "its {} key is {}, expected {}",
                if kind == KeyType::Hash {
                    "hash"
                } else {
                    "range"
                },
                actual.as_deref().unwrap_or("none"),
                expected.unwrap_or("none")
            ));
        }
    }
    let mut keys = vec![hash];
    keys.extend(range);
    if table == Table::TripData {
        keys.push(INDEX_KEY);
    }
    for attribute in found.attribute_definitions() {
        let is_key = keys.contains(&attribute.attribute_name());
        if is_key && *attribute.attribute_type() != ScalarAttributeType::S {
            differences.push(format!(
                "{} is of type {}, expected S",
                attribute.attribute_name(),
                attribute.attribute_type().as_str()
            ));
        }
    }
    if table == Table::StationData {
        let view = found
            .stream_specification()
            .and_then(|stream| stream.stream_view_type());
        if view != Some(&StreamViewType::NewAndOldImages) {
            differences.push(format!(
                "its stream shows {}, expected NEW_AND_OLD_IMAGES",
                view.map_or("nothing", |view| view.as_str())
            ));
        }
    }
    if table == Table::TripData {
        differences.extend(index_difference(found));
    }
    differences
}

fn index_difference(found: &TableDescription) -> Option<String> {
    let indexes = found.global_secondary_indexes();
    let Some(index) = indexes.iter().find(|i| i.index_name() == Some(INDEX)) else {
        return Some(format!("it has no index {INDEX}"));
    };
    let hash = index
        .key_schema()
        .iter()
        .find(|element| *element.key_type() == KeyType::Hash)
        .map(|element| element.attribute_name());
    if hash != Some(INDEX_KEY) {
        return Some(format!(
            "{INDEX} is by {}, expected {INDEX_KEY}",
            hash.unwrap_or("nothing")
        ));
    }
    let projection = index.projection();
    let kind = projection.and_then(|projection| projection.projection_type());
    let with = projection
        .map(|projection| projection.non_key_attributes())
        .unwrap_or_default();
    match kind {
        Some(ProjectionType::KeysOnly) => None,
        Some(ProjectionType::Include) if with == [packed::N] => None,
        _ => Some(format!(
            "{INDEX} projects {}, expected KEYS_ONLY (or INCLUDE n for the packed layout): a count \
             over it would cost nine times as much",
            kind.map_or("nothing", |kind| kind.as_str())
        )),
    }
}
