//! Whose an archive is: the evidence of its members, and of the store.

use std::collections::BTreeSet;

use super::LoadError;
use super::contents::Contents;
use super::load::LoadOptions;
use crate::attribution::{self, Attribution, Evidence, Ground, Undecided, plain_name};
use crate::model::{System, SystemId, Systems};
use crate::store::{Store, StoreError};
use crate::tally::Parts;

/// Decides to which system an archive belongs, which is to be loaded into a store. Where coordinates
/// do not decide, the station names that the store has are evidence, too.
///
/// # Errors
///
/// Those of [`attribute`], and those of the store.
pub(super) async fn attribute_in(
    store: &dyn Store,
    contents: &mut Contents,
    archive: &str,
    options: &LoadOptions,
) -> Result<Attribution, LoadError> {
    let stored = store.systems().await?;
    let alone = attribute(contents, archive, options, &stored);
    let is_final = match &alone {
        Ok(found) => {
            let strongest = [Ground::Given, Ground::Label, Ground::Coordinates];
            strongest
                .iter()
                .any(|ground| found.grounds.contains(ground))
        }
        Err(error) => !matches!(error, LoadError::UnknownSystem { .. }),
    };
    if is_final || stored.is_empty() {
        return alone;
    }
    ask_store(contents, store, &stored).await?;
    attribute(contents, archive, options, &stored)
}

/// Decides to which system an archive belongs. A sample archive belongs to the sample system unless
/// the user names another; any archive belongs to the sample system if the user names it. `stored` are
/// the systems of the store.
///
/// # Errors
///
/// [`LoadError`] where the evidence is not for one system, where most coordinates lie in another
/// system than the one that the user names, and where the store has the system on another wall clock.
pub(super) fn attribute(
    contents: &Contents,
    archive: &str,
    options: &LoadOptions,
    stored: &[System],
) -> Result<Attribution, LoadError> {
    let systems = options.systems.clone().with_stored(stored);
    if let Some(given) = &options.system {
        expect_same_clock(given, stored)?;
        return given_system(contents, archive, given, options, &systems);
    }
    if contents.is_sample {
        return Ok(Attribution::new(System::sample(), Ground::Label));
    }
    decide(contents, archive, &systems)
}

/// Refuses a system whose trips the store has on another wall clock.
fn expect_same_clock(given: &System, stored: &[System]) -> Result<(), LoadError> {
    match stored.iter().find(|system| system.id == given.id) {
        Some(system) if system.time_zone != given.time_zone => Err(LoadError::OtherTimeZone {
            system: given.id.to_string(),
            given: given.time_zone.clone(),
            stored: system.time_zone.clone(),
        }),
        _ => Ok(()),
    }
}

fn given_system(
    contents: &Contents,
    archive: &str,
    given: &System,
    options: &LoadOptions,
    systems: &Systems,
) -> Result<Attribution, LoadError> {
    let mut attribution = Attribution::new(given.clone(), Ground::Given);
    if given.is_sample() {
        return Ok(attribution);
    }
    let mut members = contents.evidence();
    let against = members.find_map(|(member, evidence)| {
        let found = attribution::contradiction(evidence, given, systems)?;
        Some((member.to_owned(), found))
    });
    match against {
        Some((member, found)) if !options.force_system => Err(LoadError::Contradiction {
            archive: archive.into(),
            member,
            given: given.id.to_string(),
            found: found.to_string(),
        }),
        against => {
            attribution.against = against.map(|(_, found)| found);
            Ok(attribution)
        }
    }
}

/// Adds to the evidence which of the station names a store has, by system.
async fn ask_store(
    contents: &mut Contents,
    store: &dyn Store,
    stored: &[System],
) -> Result<(), StoreError> {
    for system in stored.iter().filter(|system| !system.is_sample()) {
        let names = station_names(store, &system.id).await?;
        for evidence in contents.evidence_mut() {
            evidence.compare_names(&system.id, &names);
        }
    }
    Ok(())
}

/// Lists the names of the stations of a system, as [`plain_name`] returns them.
async fn station_names(
    store: &dyn Store,
    system: &SystemId,
) -> Result<BTreeSet<String>, StoreError> {
    let stations = store.stations(system).await?;
    let totals = store.totals_with(system, Parts::NONE).await?;
    let listed = stations
        .iter()
        .filter_map(|station| station.name.as_deref());
    let of_trips = totals.names.iter().map(|(_, name)| name);
    Ok(listed.chain(of_trips).map(plain_name).collect())
}

/// Decides by the evidence of all members.
fn decide(contents: &Contents, archive: &str, systems: &Systems) -> Result<Attribution, LoadError> {
    let mut found: Option<Attribution> = None;
    let mut undecided: Vec<(&Evidence, Undecided)> = Vec::new();
    for (member, evidence) in contents.evidence() {
        match attribution::attribute(evidence, &[archive, member], systems) {
            Ok(next) => match &mut found {
                None => found = Some(next),
                Some(first) if first.system.id == next.system.id => {
                    let stronger = first.grounds.first() <= next.grounds.first();
                    if !stronger {
                        *first = next;
                    }
                }
                Some(first) => {
                    return Err(LoadError::TwoSystems {
                        archive: archive.into(),
                        first: first.system.id.to_string(),
                        second: next.system.id.to_string(),
                    });
                }
            },
            Err(why) => undecided.push((evidence, why)),
        }
    }
    let Some(found) = found else {
        return Err(unknown(archive, undecided.into_iter().next()));
    };
    // A member without evidence belongs to the system of the others, unless it has evidence against it.
    let known = systems.with_id(&found.system.id);
    let is_against = |(evidence, _): &(&Evidence, _)| {
        known.is_some_and(|known| !attribution::against(evidence, known).is_empty())
    };
    match undecided.into_iter().find(is_against) {
        Some(against) => Err(unknown(archive, Some(against))),
        None => Ok(found),
    }
}

fn unknown(archive: &str, undecided: Option<(&Evidence, Undecided)>) -> LoadError {
    let (findings, candidates) = undecided.map_or_else(Default::default, |(_, why)| {
        (why.to_string(), why.candidates)
    });
    LoadError::UnknownSystem {
        archive: archive.into(),
        findings,
        candidates: candidates.iter().map(SystemId::to_string).collect(),
    }
}
