//! Rows as items, a module for each table. Ids are texts, numbers are decimal texts, and blank
//! values are left out.
//!
//! The client, its streams and Lambda's events have different types of items of the same shape.
//! Here all are those of the client; [`of_event`] and [`to_event`] convert those of events.

pub mod count;
mod local_time;
pub mod packed;
pub mod size;
pub mod station;
pub mod trip;

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

/// An item of the client.
pub type Item = HashMap<String, AttributeValue>;

/// An attribute with an unexpected value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{table}: item {key}: {attribute}: expected {expected}, found {found}")]
pub struct ItemError {
    /// The table, without its prefix.
    pub table: &'static str,
    /// The key of the item; `?` where the key itself is wrong.
    pub key: String,
    /// The attribute.
    pub attribute: &'static str,
    /// Its value.
    pub found: String,
    /// The expected form.
    pub expected: &'static str,
}

/// Reads an item's attributes by name.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    table: &'static str,
    key: &'static str,
    item: &'a Item,
}

impl<'a> Reader<'a> {
    /// Makes a reader of an item of a table whose key is the attribute `key`.
    pub fn new(table: &'static str, key: &'static str, item: &'a Item) -> Self {
        Self { table, key, item }
    }

    /// Returns the item.
    pub fn item(&self) -> &'a Item {
        self.item
    }

    /// Makes the error of an attribute.
    pub fn unexpected(&self, attribute: &'static str, expected: &'static str) -> ItemError {
        let key = match self.item.get(self.key) {
            Some(AttributeValue::S(key)) => key.clone(),
            _ => "?".into(),
        };
        let found = match self.item.get(attribute) {
            None => "nothing".into(),
            Some(AttributeValue::S(text)) => format!("the text {text:?}"),
            Some(AttributeValue::N(number)) => format!("the number {number}"),
            Some(AttributeValue::B(bytes)) => format!("{} bytes", bytes.as_ref().len()),
            Some(other) => format!("{other:?}"),
        };
        ItemError {
            table: self.table,
            key,
            attribute,
            found,
            expected,
        }
    }

    /// Reads a text. `None` where the attribute is left out.
    pub fn text(&self, attribute: &'static str) -> Result<Option<&'a str>, ItemError> {
        match self.item.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(self.unexpected(attribute, "a text")),
        }
    }

    /// Reads a required text.
    pub fn required_text(&self, attribute: &'static str) -> Result<&'a str, ItemError> {
        let text = self.text(attribute)?;
        text.ok_or_else(|| self.unexpected(attribute, "a text"))
    }

    /// Reads and parses a text. `None` where the attribute is left out.
    pub fn parsed<T: FromStr>(
        &self,
        attribute: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, ItemError> {
        let text = self.text(attribute)?;
        let parsed = text.map(str::parse::<T>).transpose();
        parsed.map_err(|_| self.unexpected(attribute, expected))
    }

    /// Reads a whole number. `None` where the attribute is left out.
    pub fn number<T: FromStr>(&self, attribute: &'static str) -> Result<Option<T>, ItemError> {
        const EXPECTED: &str = "a whole number";
        match self.item.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::N(digits)) => match digits.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.unexpected(attribute, EXPECTED)),
            },
            Some(_) => Err(self.unexpected(attribute, EXPECTED)),
        }
    }

    /// Reads a required whole number.
    pub fn required_number<T: FromStr>(&self, attribute: &'static str) -> Result<T, ItemError> {
        let number = self.number(attribute)?;
        number.ok_or_else(|| self.unexpected(attribute, "a whole number"))
    }

    /// Reads an instant. `None` where the attribute is left out.
    pub fn instant(&self, attribute: &'static str) -> Result<Option<Timestamp>, ItemError> {
        self.parsed(attribute, "a time such as 2024-06-01T12:00:00Z")
    }

    /// Reads a set of texts; one left out is empty.
    pub fn texts(&self, attribute: &'static str) -> Result<&'a [String], ItemError> {
        match self.item.get(attribute) {
            None => Ok(&[]),
            Some(AttributeValue::Ss(texts)) => Ok(texts),
            Some(_) => Err(self.unexpected(attribute, "a set of texts")),
        }
    }

    /// Reads required bytes.
    pub fn required_bytes(&self, attribute: &'static str) -> Result<&'a [u8], ItemError> {
        match self.item.get(attribute) {
            Some(AttributeValue::B(bytes)) => Ok(bytes.as_ref()),
            _ => Err(self.unexpected(attribute, "bytes")),
        }
    }
}

/// Puts a text, unless it is blank.
pub fn put_text(item: &mut Item, attribute: &str, text: Option<&str>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        item.insert(attribute.into(), AttributeValue::S(text.into()));
    }
}

/// Puts a number, if there is one.
pub fn put_number(item: &mut Item, attribute: &str, number: Option<impl ToString>) {
    if let Some(number) = number {
        item.insert(attribute.into(), AttributeValue::N(number.to_string()));
    }
}

/// Converts an item of an event.
pub fn of_event(image: &serde_dynamo::Item) -> Item {
    let attribute = |(name, value): (&String, _)| (name.clone(), attribute_of_event(value));
    image.iter().map(attribute).collect()
}

fn attribute_of_event(value: &serde_dynamo::AttributeValue) -> AttributeValue {
    use serde_dynamo::AttributeValue as Event;
    let blob = |bytes: &Vec<u8>| Blob::new(bytes.clone());
    match value {
        Event::N(digits) => AttributeValue::N(digits.clone()),
        Event::S(text) => AttributeValue::S(text.clone()),
        Event::Bool(is) => AttributeValue::Bool(*is),
        Event::B(bytes) => AttributeValue::B(blob(bytes)),
        Event::Null(is) => AttributeValue::Null(*is),
        Event::M(map) => {
            let entry = |(name, value): (&String, _)| (name.clone(), attribute_of_event(value));
            AttributeValue::M(map.iter().map(entry).collect())
        }
        Event::L(list) => AttributeValue::L(list.iter().map(attribute_of_event).collect()),
        Event::Ss(texts) => AttributeValue::Ss(texts.clone()),
        Event::Ns(numbers) => AttributeValue::Ns(numbers.clone()),
        Event::Bs(blobs) => AttributeValue::Bs(blobs.iter().map(blob).collect()),
    }
}

/// Converts an item to one of an event. An attribute of an unknown type becomes the text of its
/// debug form.
pub fn to_event(item: &Item) -> serde_dynamo::Item {
    let attribute = |(name, value): (&String, _)| (name.clone(), attribute_to_event(value));
    let image: HashMap<String, serde_dynamo::AttributeValue> = item.iter().map(attribute).collect();
    image.into()
}

fn attribute_to_event(value: &AttributeValue) -> serde_dynamo::AttributeValue {
    use serde_dynamo::AttributeValue as Event;
    let bytes = |blob: &Blob| blob.as_ref().to_vec();
    match value {
        AttributeValue::N(digits) => Event::N(digits.clone()),
        AttributeValue::S(text) => Event::S(text.clone()),
        AttributeValue::Bool(is) => Event::Bool(*is),
        AttributeValue::B(blob) => Event::B(bytes(blob)),
        AttributeValue::Null(is) => Event::Null(*is),
        AttributeValue::M(map) => {
            let entry = |(name, value): (&String, _)| (name.clone(), attribute_to_event(value));
            Event::M(map.iter().map(entry).collect())
        }
        AttributeValue::L(list) => Event::L(list.iter().map(attribute_to_event).collect()),
        AttributeValue::Ss(texts) => Event::Ss(texts.clone()),
        AttributeValue::Ns(numbers) => Event::Ns(numbers.clone()),
        AttributeValue::Bs(blobs) => Event::Bs(blobs.iter().map(bytes).collect()),
        other => Event::S(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_of_another_program_is_named() {
        let mut item = Item::new();
        put_text(&mut item, "from_station_id", Some("35"));
        put_text(&mut item, "from_count", Some("many"));
        let reader = Reader::new("FromStationCounts", "from_station_id", &item);
        let wrong = reader.required_number::<u64>("from_count").unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "FromStationCounts: item 35: from_count: expected a whole number, found the text \
             \"many\""
        );
        let absent = reader.required_text("refreshed_at").unwrap_err();
        assert_eq!(absent.found, "nothing");
    }

    #[test]
    fn events_and_items_are_the_same() {
        let map = HashMap::from([("a".to_owned(), AttributeValue::Bool(true))]);
        let item: Item = [
            ("n", AttributeValue::N("41.90".into())),
            ("s", AttributeValue::S(String::new())),
            ("b", AttributeValue::B(Blob::new([0, 255]))),
            ("null", AttributeValue::Null(true)),
            ("l", AttributeValue::L(vec![AttributeValue::M(map)])),
            ("ss", AttributeValue::Ss(vec!["x".into()])),
            ("ns", AttributeValue::Ns(vec!["1".into()])),
            ("bs", AttributeValue::Bs(vec![Blob::new([7])])),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        assert_eq!(of_event(&to_event(&item)), item);
    }
}
