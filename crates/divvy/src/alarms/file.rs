//! A file of rules and targets, as TOML. docs/ALARMS.md describes it.

mod rule;
mod target;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::rule::{Rule, Rules, Target};

/// A mistake in a file of rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct RulesError {
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters from 1.
    pub column: usize,
    /// What was found, and what is expected.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Spanned<rule::Entry>>,
    #[serde(default)]
    group: Vec<Group>,
    #[serde(default)]
    target: Vec<Spanned<target::Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: Spanned<String>,
    stations: Spanned<Vec<String>>,
}

/// A mistake, and where it is in the text.
struct Mistake {
    at: Range<usize>,
    problem: String,
}

type Parsed<T> = Result<T, Mistake>;

/// Makes a mistake at something that was read.
fn mistake<T, V>(at: &Spanned<T>, problem: impl fmt::Display) -> Parsed<V> {
    Err(Mistake {
        at: at.span(),
        problem: problem.to_string(),
    })
}

impl Rules {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// The first mistake in it.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let read = toml::from_str::<File>(text).map_err(|error| Mistake {
            at: error.span().unwrap_or_default(),
            problem: in_words(error.message()),
        });
        let rules = read.and_then(|file| rules(&file));
        rules.map_err(|mistake| {
            let before = &text[..mistake.at.start.min(text.len())];
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            RulesError {
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                problem: mistake.problem,
            }
        })
    }
}

/// Adds a suggestion to the message of the TOML reader about an unknown key.
fn in_words(message: &str) -> String {
    let message = message.trim().replace('\n', " ");
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = match message.starts_with("unknown field") {
        true => names.next(),
        false => None,
    };
    let near = unknown.and_then(|unknown| nearest(unknown, names));
    let suggestion = near.map(|name| format!("; did you mean `{name}`?"));
    let message = message.replace("unknown field", "unknown key");
    let message = message.replace("missing field", "missing key");
    message + suggestion.as_deref().unwrap_or_default()
}

/// Returns the name that is spelled most like a text. `None` where none is similar.
fn nearest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const MIN_SIMILARITY: f64 = 0.7;
    let similar = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(text, name), name));
    let near = similar.filter(|(similarity, _)| *similarity >= MIN_SIMILARITY);
    near.max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Writes that a name is none of those that are expected.
fn not_among(what: &str, found: &str, names: &[&str]) -> String {
    let suggestion = nearest(found, names.iter().copied());
    let suggestion = suggestion.map(|name| format!("; did you mean {name:?}?"));
    let expected = match names {
        [] => "the file has none".to_owned(),
        _ => format!("expected one of {}", names.join(", ")),
    };
    let suggestion = suggestion.unwrap_or_default();
    format!("there is no {what} {found:?}: {expected}{suggestion}")
}

fn rules(file: &File) -> Parsed<Rules> {
    let targets: Vec<Target> = file
        .target
        .iter()
        .map(target::read)
        .collect::<Parsed<_>>()?;
    expect_different("target", file.target.iter().map(|it| &it.as_ref().name))?;
    expect_different("rule", file.rule.iter().map(|it| &it.as_ref().name))?;
    expect_different("group", file.group.iter().map(|it| &it.name))?;
    for group in &file.group {
        expect_some(&group.stations)?;
    }
    let rules = file.rule.iter().map(|entry| rule::read(entry, file));
    let rules: Vec<Rule> = rules.collect::<Parsed<_>>()?;
    if rules.is_empty() {
        return Err(Mistake {
            at: 0..0,
            problem: "there is no rule in this file: expected [[rule]]".into(),
        });
    }
    Ok(Rules { rules, targets })
}

fn expect_different<'a>(
    what: &str,
    names: impl IntoIterator<Item = &'a Spanned<String>>,
) -> Parsed<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        let text = name.as_ref();
        if text.trim().is_empty() {
            return mistake(
                name,
                format_args!("a {what} without a name: expected a text"),
            );
        }
        if !seen.insert(text) {
            return mistake(
                name,
                format_args!("another {what} has the name {text:?}: expected another name"),
            );
        }
    }
    Ok(())
}

fn expect_some<T>(list: &Spanned<Vec<T>>) -> Parsed<()> {
    match list.as_ref().is_empty() {
        true => mistake(list, "an empty list: expected at least one text"),
        false => Ok(()),
    }
}
