//! The file of `--rules`.

use std::path::Path;

use anyhow::{Context, bail};
use divvy::alarms::Rules;

/// Reads a file of rules.
///
/// # Errors
///
/// It cannot be read, or has a mistake. The message has the file, the line and the column.
pub fn read_rules(path: &Path) -> anyhow::Result<Rules> {
    let file = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
    match Rules::parse(&text) {
        Ok(rules) => Ok(rules),
        Err(mistake) => bail!("{file}, {mistake}"),
    }
}

/// Refuses rules that need forecasts, for a command without any.
///
/// # Errors
///
/// There is such a rule.
pub fn expect_no_forecasts(path: &Path, rules: &Rules) -> anyhow::Result<()> {
    match rules.rules.iter().find(|rule| rule.when.is_likely()) {
        None => Ok(()),
        Some(rule) => bail!(
            "{}: rule {} needs forecasts, which only divvy watch on a store with a history of states has",
            path.display(),
            rule.name
        ),
    }
}
