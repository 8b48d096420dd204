//! Conditions of writes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

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
