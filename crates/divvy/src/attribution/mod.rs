//! Whose a file is: the evidence that it shows is weighed, and decides for one system or for none.
//!
//! Each system gets [points](Ground::points) for the evidence for it. It is excluded by the evidence
//! against it: coordinates elsewhere, station ids of another shape, a column that it never
//! published, none of its station names. The last three do not exclude a system in whose area most
//! coordinates lie, or whose station names these are. The system with the most points is taken if it
//! has [`ENOUGH`], and [`LEAD`] more than the next.

mod evidence;

use std::collections::BTreeSet;
use std::fmt;

pub use evidence::{Evidence, HeaderEvidence, KnownNames, PublisherEvidence, plain_name};

use crate::model::{IdShape, KnownSystem, System, SystemId, Systems};

/// How many points decide.
const ENOUGH: u32 = 3;
/// How many points more than those of the next system.
const LEAD: u32 = 2;

/// A piece of evidence for a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ground {
    /// The user names it.
    Given,
    /// The archive is labelled as invented.
    Label,
    /// Most coordinates lie in its area.
    Coordinates,
    /// Most station names are those of its stations in the store.
    StationNames,
    /// Its header, which no other system uses.
    OwnHeader,
    /// Its header, which others may use, too.
    Header,
    /// Nearly all station ids have the shape of its ids.
    StationIds,
    /// The name of the file has the name of the system.
    FileName,
}

impl Ground {
    fn points(self) -> u32 {
        match self {
            Self::Given | Self::Label => 0,
            Self::Coordinates => 8,
            Self::StationNames => 6,
            Self::OwnHeader => 4,
            Self::StationIds | Self::FileName => 3,
            Self::Header => 1,
        }
    }

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Given => "as given",
            Self::Label => "label",
            Self::Coordinates => "coordinates",
            Self::StationNames => "station names",
            Self::OwnHeader | Self::Header => "header",
            Self::StationIds => "station ids",
            Self::FileName => "file name",
        }
    }
}

/// The system of a file, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// The system.
    pub system: System,
    /// What decided, the strongest first. Empty for an archive that was loaded before.
    pub grounds: Vec<Ground>,
    /// The system in whose area most coordinates lie, though the user gave another. `None` where
    /// they do not contradict.
    pub against: Option<SystemId>,
}

impl Attribution {
    /// Makes the attribution to a system for one reason.
    pub fn new(system: System, ground: Ground) -> Self {
        Self {
            system,
            grounds: vec![ground],
            against: None,
        }
    }

    /// Returns the grounds in words: `by header and station ids`, `as given`.
    pub fn reason(&self) -> String {
        let words: Vec<&str> = self.grounds.iter().map(|ground| ground.as_str()).collect();
        match words.as_slice() {
            [first @ .., last] if !first.is_empty() => {
                format!("by {} and {last}", first.join(", "))
            }
            [only] if self.grounds != [Ground::Given] => format!("by {only}"),
            _ => words.concat(),
        }
    }
}

/// Why a file is not attributed to any system.
#[derive(Clone, Debug, PartialEq)]
pub struct Undecided {
    /// The systems with evidence for them and none against them, the likeliest first.
    pub candidates: Vec<SystemId>,
    /// What was found.
    pub findings: Vec<String>,
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.findings.join("; "))
    }
}

/// The evidence for and against a system.
struct Case<'a> {
    known: &'a KnownSystem,
    grounds: Vec<Ground>,
    against: Vec<String>,
}

impl Case<'_> {
    fn points(&self) -> u32 {
        self.grounds.iter().map(|ground| ground.points()).sum()
    }

    fn id(&self) -> &SystemId {
        &self.known.system.id
    }
}

/// Decides whose a file is. `file_names` are the names of the archive and of the file in it.
///
/// # Errors
///
/// [`Undecided`] where the evidence is for several systems, or for none.
pub fn attribute(
    evidence: &Evidence,
    file_names: &[&str],
    systems: &Systems,
) -> Result<Attribution, Undecided> {
    let named: BTreeSet<&SystemId> = systems
        .iter()
        .filter(|known| file_names.iter().any(|name| is_named_in(known, name)))
        .map(|known| &known.system.id)
        .collect();
    let cases: Vec<Case> = systems
        .iter()
        .map(|known| weigh(evidence, known, named.contains(&known.system.id)))
        .collect();
    let (mut open, excluded): (Vec<Case>, Vec<Case>) =
        cases.into_iter().partition(|case| case.against.is_empty());
    open.retain(|case| case.points() > 0);
    // The first of equals stays the first.
    open.sort_by_key(|case| std::cmp::Reverse(case.points()));
    if let Some(first) = open.first() {
        let next = open.get(1).map_or(0, Case::points);
        let is_certain = |ground| {
            first.grounds.contains(&ground)
                && [Ground::Coordinates, Ground::StationNames].contains(&ground)
        };
        // Another system in the name of the file makes all but the strongest grounds doubtful.
        let is_doubtful = named.iter().any(|id| *id != first.id())
            && !first.grounds.iter().copied().any(is_certain);
        if first.points() >= ENOUGH && first.points() >= next + LEAD && !is_doubtful {
            return Ok(Attribution {
                system: first.known.system.clone(),
                grounds: first.grounds.clone(),
                against: None,
            });
        }
    }
    Err(undecided(evidence, &open, &excluded))
}

/// Returns why a system is excluded by the evidence of a file. Empty where it is not.
pub fn against(evidence: &Evidence, known: &KnownSystem) -> Vec<String> {
    weigh(evidence, known, false).against
}

/// Returns the system in whose area most coordinates lie, where it is another than the one given and
/// they do not lie in that one's area, too. `None` where they do not contradict.
pub fn contradiction(evidence: &Evidence, given: &System, systems: &Systems) -> Option<SystemId> {
    let is_inside = |system: &System| evidence.is_mostly_inside(&system.id);
    if is_inside(given) {
        return None;
    }
    let mut others = systems.iter().map(|known| &known.system);
    let other = others.find(|other| other.id != given.id && is_inside(other))?;
    Some(other.id.clone())
}

fn weigh<'a>(evidence: &Evidence, known: &'a KnownSystem, is_named: bool) -> Case<'a> {
    let id = &known.system.id;
    let publisher = evidence.publisher(id);
    let mut grounds = Vec::new();
    let mut weak_against = Vec::new();
    let mut against = Vec::new();

    if evidence.is_mostly_inside(id) {
        grounds.push(Ground::Coordinates);
    } else if evidence.positions > 0 && known.system.area.is_some() {
        against.push(format!("most coordinates lie outside the area of {id}"));
    }
    match evidence.known_names.get(id) {
        Some(names) if names.found >= 2 && 2 * names.found >= evidence.names.len() => {
            grounds.push(Ground::StationNames);
        }
        Some(names) if names.found == 0 && names.stored >= 50 && evidence.names.len() >= 10 => {
            weak_against.push(format!("no station name is one of {id} in the store"));
        }
        _ => {}
    }
    if publisher.is_some() {
        let is_own = evidence.header.as_ref().is_some_and(|header| header.is_own);
        grounds.push(if is_own {
            Ground::OwnHeader
        } else {
            Ground::Header
        });
    }
    let shapes = match publisher.map_or(&[][..], |publisher| &publisher.id_shapes) {
        [] => &known.id_shapes[..],
        shapes => shapes,
    };
    if !shapes.is_empty() && !evidence.ids.is_empty() {
        match strangers(&evidence.ids, shapes) {
            None => grounds.push(Ground::StationIds),
            Some(strangers) => {
                let shapes: Vec<String> = shapes.iter().map(IdShape::to_string).collect();
                weak_against.push(format!(
                    "station ids such as {strangers} are not those of {id} ({})",
                    shapes.join(", ")
                ));
            }
        }
    }
    if let Some(column) = publisher.and_then(|of| of.foreign_column.as_ref()) {
        weak_against.push(format!("{id} has never published a column {column:?}"));
    }
    if is_named {
        grounds.push(Ground::FileName);
    }
    let is_proved =
        grounds.contains(&Ground::Coordinates) || grounds.contains(&Ground::StationNames);
    if !is_proved {
        against.extend(weak_against);
    }
    Case {
        known,
        grounds,
        against,
    }
}

/// Returns examples of ids that have none of the shapes. `None` where nearly all ids have one.
fn strangers(ids: &BTreeSet<String>, shapes: &[IdShape]) -> Option<String> {
    /// Cells in the wrong column are expected in one row of ten.
    const DAMAGED: usize = 10;
    let has_shape = |id: &&String| shapes.iter().any(|shape| shape.matches(id));
    let strange: Vec<&str> = ids
        .iter()
        .filter(|id| !has_shape(id))
        .map(String::as_str)
        .collect();
    (strange.len() * DAMAGED > ids.len()).then(|| strange[..strange.len().min(2)].join(", "))
}

/// Returns whether the name of a file has one of the names of a system.
fn is_named_in(known: &KnownSystem, file_name: &str) -> bool {
    /// Shorter names are in too many others.
    const READABLE: usize = 6;
    const A_WORD: usize = 4;
    let plain = plain_name(file_name);
    let mut words = file_name.split(|c: char| !c.is_alphanumeric());
    known.names().map(plain_name).any(|name| {
        (name.len() >= READABLE && plain.contains(&name))
            || (name.len() >= A_WORD && words.any(|word| word.eq_ignore_ascii_case(&name)))
    })
}

fn undecided(evidence: &Evidence, open: &[Case], excluded: &[Case]) -> Undecided {
    let mut findings = Vec::new();
    if let Some(header) = &evidence.header {
        let publishers: Vec<&str> = header
            .publishers
            .iter()
            .map(|publisher| publisher.system.as_str())
            .collect();
        if !publishers.is_empty() {
            findings.push(format!(
                "its header is of the form {}, which others than {} may use, too",
                header.form,
                publishers.join(", ")
            ));
        }
    }
    if evidence.positions > 0 && evidence.inside.is_empty() {
        findings.push("its coordinates lie in no area of a known system".into());
    }
    let reasons = excluded.iter().filter(|case| !case.grounds.is_empty());
    findings.extend(reasons.flat_map(|case| case.against.clone()).take(3));
    Undecided {
        candidates: open.iter().map(|case| case.id().clone()).collect(),
        findings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Position;

    fn publisher(system: &str, shapes: &[&str], foreign: Option<&str>) -> PublisherEvidence {
        PublisherEvidence {
            system: system.into(),
            id_shapes: shapes.iter().map(|shape| IdShape::new(shape)).collect(),
            foreign_column: foreign.map(Into::into),
        }
    }

    fn evidence(publishers: Vec<PublisherEvidence>, ids: &[&str]) -> Evidence {
        Evidence {
            header: Some(HeaderEvidence {
                form: "L1",
                publishers,
                is_own: false,
            }),
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..Evidence::default()
        }
    }

    fn decide(evidence: &Evidence, file: &str) -> String {
        match attribute(evidence, &[file], &Systems::default()) {
            Ok(attribution) => format!("{} {}", attribution.system.id, attribution.reason()),
            Err(undecided) => {
                let ids: Vec<&str> = undecided.candidates.iter().map(SystemId::as_str).collect();
                format!("? {}", ids.join(" "))
            }
        }
    }

    const SHAPES: &[&str] = &["2..999"];

    #[test]
    fn a_shared_header_needs_the_ids_of_its_publisher() {
        let divvy = || vec![publisher("divvy", SHAPES, None)];
        let legacy = evidence(divvy(), &["82", "542"]);
        assert_eq!(decide(&legacy, "a.csv"), "divvy by header and station ids");
        let others = evidence(divvy(), &["1000", "1001"]);
        assert_eq!(decide(&others, "Divvy_Trips.csv"), "? ");
        let foreign = vec![publisher("divvy", SHAPES, Some("plan"))];
        assert_eq!(decide(&evidence(foreign, &["82"]), "a.csv"), "? ");
        // Ids alone do not decide against the name of the file.
        assert_eq!(decide(&legacy, "pronto.csv"), "? divvy pronto");
        // Nor does a header that two systems use.
        let two = vec![
            publisher("indego", &[], None),
            publisher("metro", &[], None),
        ];
        assert_eq!(
            decide(&evidence(two.clone(), &["3001"]), "a.csv"),
            "? indego metro"
        );
        assert_eq!(
            decide(&evidence(two, &["3001"]), "indego-trips-2017.csv"),
            "indego by header and file name"
        );
    }

    #[test]
    fn coordinates_and_known_stations_outweigh_the_rest() {
        let systems = Systems::default();
        let mut seattle = evidence(vec![publisher("divvy", SHAPES, Some("plan"))], &["82"]);
        seattle.see_position(
            Position {
                latitude: 47.6,
                longitude: -122.3,
            },
            &systems,
        );
        assert_eq!(decide(&seattle, "Divvy_Trips.csv"), "pronto by coordinates");
        let divvy = System::named("divvy").unwrap();
        let found = contradiction(&seattle, &divvy, &systems);
        assert_eq!(found, Some("pronto".into()));

        let mut known = evidence(vec![publisher("divvy", SHAPES, Some("plan"))], &["1000"]);
        known.see_name("Wren Ave & O St");
        known.see_name("Quill & R St");
        let stored = ["Quill & R St.", "Wren Ave & O St"].map(plain_name);
        known.compare_names(&"divvy".into(), &BTreeSet::from(stored));
        assert_eq!(decide(&known, "a.csv"), "divvy by station names and header");
    }

    #[test]
    fn names_of_files_are_recognised() {
        let systems = Systems::default();
        let named = |file: &str| {
            let known = systems.iter().filter(|known| is_named_in(known, file));
            let ids: Vec<&str> = known.map(|known| known.system.id.as_str()).collect();
            ids.join(" ")
        };
        for (file, expected) in [
            ("Divvy_Trips_2019_Q4.csv.gz", "divvy"),
            ("386JourneyDataExtract01Jan2024-14Jan2024.csv", "santander"),
            ("201802_citibikejc_tripdata.csv", "citibike"),
            ("metro-bike-share-trips-2019-q1.csv", "metro"),
            ("bike share ridership 2022-01.csv", "toronto"),
            ("bixi.csv", "bixi"),
            ("metro-trips-2024-q1.zip", "metro"),
            ("DivvyTrips2015.csv", "divvy"),
            ("metropolitan.csv", ""),
            ("machine.csv", ""),
            ("trips.csv", ""),
        ] {
            assert_eq!(named(file), expected, "{file}");
        }
    }
}
