//! The message about a filter's value that nothing in the store has.

use std::fmt;

use super::{Filter, grouped};

/// A value of a filter that no stored trip or station of a system has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct UnknownValue {
    /// The filter: rider, bike or station.
    pub filter: Filter,
    /// The value.
    pub value: String,
    /// Values that it could have: all kinds of riders or bikes; the largest stations whose names
    /// contain the value, or the one with the most similar name.
    pub known: Vec<String>,
    /// How many stations have names that contain the value. 0 for riders and bikes.
    pub containing: usize,
    /// The value is one of the feed, not of the trips.
    pub is_of_feed: bool,
}

impl fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.join(", ");
        match self.filter {
            Filter::Station => write!(f, "no station {:?}", self.value)?,
            filter => write!(f, "no {filter} type {:?}", self.value)?,
        }
        match (self.filter, self.known.len()) {
            (Filter::Station, 0) => {
                f.write_str(", by id or by name: the report places lists all of them")
            }
            (Filter::Station, shown) if self.containing > 0 => {
                let contain = match self.containing {
                    1 => "1 station contains it".to_owned(),
                    n => format!("{} stations contain it", grouped(n as i64)),
                };
                let more = if self.containing > shown { ", …" } else { "" };
                write!(f, ": {contain}: {known}{more}")
            }
            (Filter::Station, _) => write!(f, " (did you mean {:?}?)", self.known[0]),
            (filter, 0) => write!(f, ": the trips do not state the {filter}"),
            _ if self.is_of_feed => write!(f, ": expected one of {known}"),
            _ => write!(f, ": the trips have {known}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_value_names_what_there_is() {
        let sentence = |filter, known: &[&str], containing| {
            let unknown = UnknownValue {
                filter,
                value: "foo".into(),
                known: known.iter().copied().map(String::from).collect(),
                containing,
                is_of_feed: false,
            };
            unknown.to_string()
        };
        let sentences = [
            sentence(Filter::Rider, &["casual", "member"], 0),
            sentence(Filter::Bike, &[], 0),
            sentence(Filter::Station, &["A foo", "B foo"], 1_200),
            sentence(Filter::Station, &["A foo"], 1),
            sentence(Filter::Station, &["Fop"], 0),
            sentence(Filter::Station, &[], 0),
        ];
        insta::assert_snapshot!(sentences.join("\n"), @r#"
        no rider type "foo": the trips have casual, member
        no bike type "foo": the trips do not state the bike
        no station "foo": 1,200 stations contain it: A foo, B foo, …
        no station "foo": 1 station contains it: A foo
        no station "foo" (did you mean "Fop"?)
        no station "foo", by id or by name: the report places lists all of them
        "#);
    }
}
