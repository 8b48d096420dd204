//! Attributes and values named in expressions.

use std::collections::{BTreeSet, HashMap};

type Names = HashMap<String, String>;

/// Returns the attributes that an update expression may change: all names in it, which include
/// attributes that are only read, and keywords.
pub(crate) fn attribute_names(expression: &str, names: Option<&Names>) -> BTreeSet<String> {
    expression
        .split(|c: char| !(c.is_alphanumeric() || "_#:".contains(c)))
        .filter(|word| !word.is_empty() && !word.starts_with(':'))
        .map(|word| resolve(word, names).to_owned())
        .collect()
}

/// Returns the placeholder of the value that a key condition requires an attribute to equal.
/// `None`: the condition does not require a single value.
pub(crate) fn equality_placeholder<'e>(
    condition: &'e str,
    attribute: &str,
    names: Option<&Names>,
) -> Option<&'e str> {
    condition.match_indices('=').find_map(|(offset, _)| {
        let before = condition[..offset].trim_end();
        let after = condition[offset + 1..].trim_start();
        let separator = |c: char| c.is_whitespace() || "()=<>".contains(c);
        let left = before.rsplit(separator).next()?;
        let right = after.split(separator).next()?;
        (resolve(left, names) == attribute && right.starts_with(':')).then_some(right)
    })
}

/// Replaces a `#placeholder` by its attribute.
fn resolve<'w>(word: &'w str, names: Option<&'w Names>) -> &'w str {
    let alias = names.and_then(|names| names.get(word));
    alias.map_or(word, String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_names_the_attributes_it_may_change() {
        let names = Names::from([("#n".to_owned(), "name".to_owned())]);
        let named = attribute_names(
            "SET #n = :name, price=:p REMOVE address.street",
            Some(&names),
        );
        for name in ["name", "price", "address"] {
            assert!(named.contains(name), "{name}");
        }
        assert!(!named.contains("#n") && !named.contains("p"));
    }

    #[test]
    fn a_key_condition_requires_one_value_of_the_key() {
        let names = Names::from([("#k".to_owned(), "customer_id".to_owned())]);
        let placeholder = |condition| equality_placeholder(condition, "customer_id", Some(&names));
        assert_eq!(placeholder("customer_id = :c"), Some(":c"));
        assert_eq!(placeholder("(#k=:c) AND order_id <= :o"), Some(":c"));
        assert_eq!(placeholder("order_id = :o and #k = :c"), Some(":c"));
        assert_eq!(placeholder("order_id = :o and customer_id >= :c"), None);
    }
}
