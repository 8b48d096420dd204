//! Checks docs/ALARMS.md: its rules are read, its notice is one, its tables have all names.

use crate::alarms::{Combine, Notice, Rules, When};

const PAGE: &str = include_str!("../../../../../docs/ALARMS.md");

fn example(language: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("\n```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

/// Returns the names in the first cells of the table below a heading of that text.
fn first_cells(head: &str) -> Vec<&'static str> {
    let (_, rest) = PAGE.split_once(head).unwrap();
    let rows = rest
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap());
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn the_rules_of_the_page_are_read() {
    let rules = Rules::parse(example("toml")).unwrap();
    assert_eq!((rules.rules.len(), rules.targets.len()), (6, 3));
    let stations = rules.rules[0].stations.as_ref().unwrap();
    assert_eq!(stations.len(), 3, "the group is replaced by its stations");
}

#[test]
fn the_notice_of_the_page_is_one() {
    let example = example("json");
    let notice: Notice = serde_json::from_str(example).unwrap();
    let written = serde_json::to_string_pretty(&notice).unwrap();
    assert_eq!(written, example.trim_end());
}

#[test]
fn the_tables_of_the_page_have_all_names() {
    assert_eq!(first_cells("| `when` | holds while |\n"), When::NAMES);
    let mut keys = first_cells("| key of a rule | |\n");
    keys.sort_unstable();
    // The message about an unknown key lists those that exist.
    let unknown = Rules::parse("[[rule]]\nunknown_key = 1")
        .unwrap_err()
        .problem;
    let mut expected: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    for name in Combine::NAMES {
        assert!(PAGE.contains(&format!("`{name}`")));
    }
}
