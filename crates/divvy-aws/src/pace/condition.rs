//! Conditions of writes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::item::Item;

/// The expression of a condition, and its values. `#name` in it is the attribute `name`, for names
/// that DynamoDB reserves.
pub type Condition<'a> = (&'a str, HashMap<String, AttributeValue>);

/// A condition as the fields of a request. The service refuses empty maps.
#[derive(Default)]
pub(super) struct ConditionFields {
    pub(super) expression: Option<String>,
    pub(super) names: Option<HashMap<String, String>>,
    pub(super) values: Option<HashMap<String, AttributeValue>>,
}

impl ConditionFields {
    pub(super) fn of(condition: Option<Condition<'_>>) -> Self {
        let Some((expression, values)) = condition else {
            return Self::default();
        };
        let words = expression.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '#'));
        let names: HashMap<String, String> = words
            .filter_map(|word| Some((word.to_owned(), word.strip_prefix('#')?.to_owned())))
            .collect();
        Self {
            expression: Some(expression.to_owned()),
            names: (!names.is_empty()).then_some(names),
            values: (!values.is_empty()).then_some(values),
        }
    }
}

/// Returns the condition that an item exists and some of its attributes are what they are in `known`: equal,
/// or left out. `key` is the attribute of the table's key. Attributes whose names a condition cannot have are
/// not compared.
pub fn unchanged<'a>(
    key: &str,
    names: impl Iterator<Item = &'a str>,
    known: &Item,
) -> (String, HashMap<String, AttributeValue>) {
    let mut text = format!("attribute_exists({key})");
    let mut values = HashMap::new();
    let can_be_named = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    for name in names.filter(can_be_named) {
        match known.get(name) {
            None => text += &format!(" AND attribute_not_exists(#{name})"),
            Some(value) => {
                text += &format!(" AND #{name} = :{name}");
                values.insert(format!(":{name}"), value.clone());
            }
        }
    }
    (text, values)
}
