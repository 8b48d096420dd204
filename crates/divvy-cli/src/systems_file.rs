//! Systems of the user, in a file beside the store or named by `--systems`.
//!
//! ```toml
//! [[system]]
//! id = "wren"
//! zone = "Europe/Paris"
//! name = "Wren (Lyon)"             # optional, like all that follows
//! box = [45.6, 4.7, 45.9, 5.0]     # south, west, north, east
//! aliases = ["velo-wren"]          # words in the names of its files
//! ids = ["1..400", "WR-###"]       # shapes of its station ids
//!
//! [system.columns]                 # what its files call what is read
//! started_at = ["Depart le"]
//! ended_at = ["Retour le"]
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use divvy::model::{BoundingBox, ColumnNames, IdShape, KnownSystem, System};
use divvy::sources::trips_csv::COLUMN_FIELDS;
use serde::Deserialize;

/// The name of the file in the folder of a store.
pub const NAME: &str = "systems.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    system: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    zone: String,
    name: Option<String>,
    /// south, west, north, east
    #[serde(rename = "box")]
    area: Option<[f64; 4]>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    columns: BTreeMap<String, Vec<String>>,
}

/// Reads the systems of a file.
///
/// # Errors
///
/// The file cannot be read, or a system in it cannot be one.
pub fn read(path: &Path) -> anyhow::Result<Vec<KnownSystem>> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
    let read: File = toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map_or(1, |at| text[..at.start].lines().count().max(1));
        anyhow::anyhow!(
            "{file}, line {line}: {}",
            error.message().replace('\n', " ")
        )
    })?;
    let systems = read.system.into_iter().map(known);
    let systems: Vec<KnownSystem> = systems
        .collect::<anyhow::Result<_>>()
        .with_context(|| file.clone())?;
    let mut ids = BTreeSet::new();
    for id in systems.iter().map(|known| known.system.id.as_str()) {
        ensure!(
            ids.insert(id.to_lowercase()),
            "{file}: the system {id} stands twice (case does not matter)"
        );
    }
    Ok(systems)
}

fn known(entry: Entry) -> anyhow::Result<KnownSystem> {
    // The same rules as on the command line.
    let new = System::parse(&format!("{}@{}", entry.id, entry.zone))?;
    ensure!(
        !new.is_sample(),
        "{}: invented trips have this id",
        entry.id
    );
    let area = entry.area.map(area).transpose();
    for field in entry.columns.keys() {
        if !COLUMN_FIELDS.contains(&field.as_str()) {
            bail!(
                "{}: there is no column {field:?}: expected one of {}",
                entry.id,
                COLUMN_FIELDS.join(", ")
            );
        }
    }
    Ok(KnownSystem {
        system: System {
            name: entry.name.unwrap_or_else(|| entry.id.clone()),
            area: area.with_context(|| entry.id.clone())?,
            id: entry.id.as_str().into(),
            ..new
        },
        aliases: entry.aliases,
        id_shapes: entry.ids.iter().map(|shape| IdShape::new(shape)).collect(),
        columns: entry
            .columns
            .into_iter()
            .map(|(field, names)| ColumnNames { field, names })
            .collect(),
    })
}

fn area([south, west, north, east]: [f64; 4]) -> anyhow::Result<BoundingBox> {
    let is_box = (-90.0..north).contains(&south)
        && north <= 90.0
        && (-180.0..east).contains(&west)
        && east <= 180.0;
    ensure!(is_box, "box = [south, west, north, east], in degrees");
    Ok(BoundingBox {
        south,
        west,
        north,
        east,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<KnownSystem>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().display().to_string();
        read(file.path()).map_err(|error| format!("{error:#}").replace(&path, "systems.toml"))
    }

    #[test]
    fn the_example_is_read() {
        let page = include_str!("systems_file.rs").lines();
        let example: Vec<&str> = page
            .map_while(|line| line.strip_prefix("//!"))
            .skip_while(|line| !line.contains("```toml"))
            .skip(1)
            .take_while(|line| !line.contains("```"))
            .collect();
        let systems = read_text(&example.join("\n")).unwrap();
        let [wren] = systems.as_slice() else {
            panic!("{systems:?}")
        };
        assert_eq!(wren.system.time_zone, "Europe/Paris");
        assert_eq!(wren.id_shapes.len(), 2);
        assert_eq!(wren.columns.len(), 2);
    }

    #[test]
    fn mistakes_are_named() {
        let mistakes = [
            "[[system]]\nid = \"wren\"",
            "[[system]]\nid = \"wren\"\nzone = \"Europe/Lyonish\"",
            "[[system]]\nid = \"wren\"\nzone = \"UTC\"\nbox = [5, 4, 3, 2]",
            "[[system]]\nid = \"wren\"\nzone = \"UTC\"\ncolumns.begin = [\"a\"]",
            "[[system]]\nid = \"wren\"\nzone = \"UTC\"\nbbox = 1",
        ];
        let expected = [
            "missing field `zone`",
            "there is no time zone \"Europe/Lyonish\" for wren",
            "wren: box = [south, west, north, east], in degrees",
            "wren: there is no column \"begin\"",
            "unknown field `bbox`",
        ];
        for (text, expected) in mistakes.iter().zip(expected) {
            let sentence = read_text(text).unwrap_err();
            assert!(sentence.starts_with("systems.toml"), "{sentence}");
            assert!(sentence.contains(expected), "{sentence}");
        }
    }
}
