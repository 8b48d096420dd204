//! Shapes of station ids, which differ between systems.

use std::fmt;

/// What the station ids of a system look like.
///
/// ```
/// use divvy::model::IdShape;
/// assert!(IdShape::new("2..999").matches("86"));
/// assert!(IdShape::new("CHI#####").matches("CHI00474"));
/// assert!(!IdShape::new("@@-##").matches("CBD-06"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdShape(Shape);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// Whole numbers without leading zeros, both ends included.
    Numbers(u64, u64),
    /// `#` stands for a digit, `@` for a capital letter, anything else for itself.
    Pattern(Box<str>),
}

impl IdShape {
    /// Reads a shape: two numbers with `..` between them, or a text in which `#` stands for a digit
    /// and `@` for a capital letter.
    pub fn new(text: &str) -> Self {
        let numbers = text
            .split_once("..")
            .and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
        Self(match numbers {
            Some((first, last)) => Shape::Numbers(first, last),
            None => Shape::Pattern(text.into()),
        })
    }

    /// Returns whether an id has this shape.
    pub fn matches(&self, id: &str) -> bool {
        match &self.0 {
            Shape::Numbers(first, last) => {
                !id.starts_with('0') && id.parse().is_ok_and(|n| (*first..=*last).contains(&n))
            }
            Shape::Pattern(pattern) => {
                let fits = |(wanted, found): (char, char)| match wanted {
                    '#' => found.is_ascii_digit(),
                    '@' => found.is_ascii_uppercase(),
                    other => other == found,
                };
                pattern.chars().count() == id.chars().count()
                    && pattern.chars().zip(id.chars()).all(fits)
            }
        }
    }
}

impl fmt::Display for IdShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Numbers(first, last) => write!(f, "{first} to {last}"),
            Shape::Pattern(pattern) => f.write_str(pattern),
        }
    }
}
