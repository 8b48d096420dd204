//! What the front must know of expressions: which attributes they name.

use std::collections::{BTreeSet, HashMap};

type Names = HashMap<String, String>;

/// Returns the attributes that an update expression names. What is named without being changed
/// is among them, and so are the words of the language.
pub(super) fn named(expression: &str, names: Option<&Names>) -> BTreeSet<String> {
    expression
        .split(|c: char| !(c.is_alphanumeric() || "_#:".contains(c)))
        .filter(|word| !word.is_empty() && !word.starts_with(':'))
        .map(|word| resolved(word, names).to_owned())
        .collect()
}

/// Returns the placeholder of the value that a key condition asks of one attribute. `None`: the
/// condition asks for no single value.
pub(super) fn pinned<'e>(
    condition: &'e str,
    attribute: &str,
    names: Option<&Names>,
) -> Option<&'e str> {
    condition.match_indices('=').find_map(|(at, _)| {
        let (before, after) = (condition[..at].trim_end(), condition[at + 1..].trim_start());
        let apart = |c: char| c.is_whitespace() || "()=<>".contains(c);
        let left = before.rsplit(apart).next()?;
        let right = after.split(apart).next()?;
        (resolved(left, names) == attribute && right.starts_with(':')).then_some(right)
    })
}

fn resolved<'w>(word: &'w str, names: Option<&'w Names>) -> &'w str {
    let alias = names.and_then(|names| names.get(word));
    alias.map_or(word, String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_names_what_it_may_change() {
        let names = Names::from([("#n".to_owned(), "name".to_owned())]);
        let named = named(
            "SET #n = :name, docks=:d REMOVE bikes.electric",
            Some(&names),
        );
        for name in ["name", "docks", "bikes"] {
            assert!(named.contains(name), "{name}");
        }
        assert!(!named.contains("#n") && !named.contains("d"));
    }

    #[test]
    fn a_key_condition_asks_for_one_partition() {
        let names = Names::from([("#k".to_owned(), "from_station_id".to_owned())]);
        let asked = |condition| pinned(condition, "from_station_id", Some(&names));
        assert_eq!(asked("from_station_id = :s"), Some(":s"));
        assert_eq!(asked("(#k=:s) AND trip_id <= :t"), Some(":s"));
        assert_eq!(asked("trip_id = :t and #k = :s"), Some(":s"));
        assert_eq!(asked("trip_id = :t and from_station_id >= :s"), None);
    }
}
