//! Differences between an existing table and the one that [`create`](super::create) makes.

use aws_sdk_dynamodb::types::{
    GlobalSecondaryIndexDescription, KeySchemaElement, KeyType, ProjectionType,
    ScalarAttributeType, StreamViewType, TableDescription,
};

use super::{INDEX, IndexShape, Layout, Table};
use crate::item::trip::{INDEX_KEY, STARTED_AT};

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
        keys.extend([INDEX_KEY, STARTED_AT]);
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
    differences.extend(other_index(table, found));
    if table == Table::TripData
        && let Some(index) = index_of(found)
        && let Err(difference) = index_kind(index)
    {
        differences.push(difference);
    }
    differences
}

/// Returns the index of TripData by origin. `None` where there is none.
pub(super) fn index_of(found: &TableDescription) -> Option<&GlobalSecondaryIndexDescription> {
    let mut indexes = found.global_secondary_indexes().iter();
    indexes.find(|index| index.index_name() == Some(INDEX))
}

/// Describes an index that divvy does not make: each write to the table would cost and take capacity
/// of it, which no forecast and no limiter considers.
fn other_index(table: Table, found: &TableDescription) -> Option<String> {
    let global = found.global_secondary_indexes().iter();
    let global = global.filter_map(|index| index.index_name());
    let local = found.local_secondary_indexes().iter();
    let local = local.filter_map(|index| index.index_name());
    let mut others = global
        .chain(local)
        .filter(|name| table != Table::TripData || *name != INDEX);
    let other = others.next()?;
    Some(format!(
        "it has the index {other} as well, whose writes and prices divvy does not account for"
    ))
}

/// Returns the layout and the shape of an existing index.
///
/// # Errors
///
/// It is none that divvy makes, in one clause.
pub(super) fn index_kind(
    index: &GlobalSecondaryIndexDescription,
) -> Result<(Layout, IndexShape), String> {
    let key = |kind: KeyType| {
        let mut elements = index.key_schema().iter();
        let element = elements.find(|element| *element.key_type() == kind)?;
        Some(element.attribute_name())
    };
    let hash = key(KeyType::Hash);
    if hash != Some(INDEX_KEY) {
        return Err(format!(
            "{INDEX} is by {}, expected {INDEX_KEY}",
            hash.unwrap_or("nothing")
        ));
    }
    let range = key(KeyType::Range);
    let projection = index.projection();
    let kind = projection.and_then(|projection| projection.projection_type());
    let with = projection
        .map(|projection| projection.non_key_attributes())
        .unwrap_or_default();
    let projects =
        |layout: Layout| kind == Some(&ProjectionType::Include) && with == [layout.projected()];
    match range {
        None if kind == Some(&ProjectionType::KeysOnly) => Ok((Layout::Rows, IndexShape::Compared)),
        None if projects(Layout::Packed) => Ok((Layout::Packed, IndexShape::Compared)),
        Some(STARTED_AT) if projects(Layout::Rows) => Ok((Layout::Rows, IndexShape::Counted)),
        Some(STARTED_AT) if projects(Layout::Packed) => Ok((Layout::Packed, IndexShape::Counted)),
        _ => Err(format!(
            "{INDEX} is sorted by {} and projects {}{}, expected {STARTED_AT} and INCLUDE {} \
             (INCLUDE {} for the packed layout)",
            range.unwrap_or("nothing"),
            kind.map_or("nothing", |kind| kind.as_str()),
            with.iter()
                .map(|name| format!(" {name}"))
                .collect::<String>(),
            Layout::Rows.projected(),
            Layout::Packed.projected(),
        )),
    }
}
