//! `divvy places`

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;

use anyhow::ensure;
use clap::{Args, Subcommand};
use divvy::model::{StationAlias, StationSource, System};
use divvy::stations::corrections::Named;
use divvy::store::{Corrections, CorrectionsChange, Store};

use crate::open::Common;
use crate::outputs;
use crate::runtime::block_on;

/// Corrects by hand which ids and names of the trips belong to which station.
///
/// The corrections are kept in the store (in a folder: places.toml, which may be edited); no trip is
/// changed. divvy report places shows what belongs together, and why.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  divvy places link 517 a3a3b4c5 --name \"Clark & Jarvis\"
  divvy places split 517 --name \"Pulaski & Armitage\"
  divvy places list")]
pub struct Places {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// An id of the trips belongs to a station of the feed, or to the trips of another id
    Link {
        #[command(flatten)]
        alias: AliasArgs,
        /// The id of the station in the feed, or an id that other trips use
        place: String,
    },
    /// An id of the trips is a station of its own
    Split {
        #[command(flatten)]
        alias: AliasArgs,
    },
    /// The rules decide again
    Forget {
        #[command(flatten)]
        alias: AliasArgs,
    },
    /// Prints the corrections
    List,
}

#[derive(Debug, Args)]
struct AliasArgs {
    /// The id that trips use
    id: String,
    /// Only trips that give the station this name [default: all trips with the id]
    #[arg(long)]
    name: Option<String>,
}

impl Places {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let opened = common.open_existing()?;
        let system = common.system_of(opened.store())?;
        let store = opened.store();
        let change =
            |change: &CorrectionsChange<'_>| block_on(store.change_corrections(&system.id, change));
        let done = match self.what {
            What::List => {
                let text = listed(&block_on(store.corrections(&system.id))?);
                outputs::unless_closed(std::io::stdout().write_all(text.as_bytes()))?;
                return Ok(ExitCode::SUCCESS);
            }
            What::Link { alias, place } => {
                let alias = known(store, &system, alias)?;
                expect_station(store, &system, &place)?;
                change(&|corrections| corrections.link(alias.clone(), place.as_str().into()))?;
                format!("{alias} belongs to {place}")
            }
            What::Split { alias } => {
                let alias = known(store, &system, alias)?;
                change(&|corrections| corrections.split(alias.clone()))?;
                format!("{alias} is a station of its own")
            }
            What::Forget { alias } => {
                let alias = named(alias);
                ensure!(
                    block_on(store.corrections(&system.id))?.forget(&alias),
                    "there is no correction of {alias}: divvy places list prints all"
                );
                change(&|corrections| {
                    corrections.forget(&alias);
                })?;
                format!("the rules decide on {alias}")
            }
        };
        common.say(format_args!("{}: {done}", system.id));
        Ok(ExitCode::SUCCESS)
    }
}

fn named(AliasArgs { id, name }: AliasArgs) -> Named {
    let id = id.as_str().into();
    Named { id, name }
}

/// Returns the alias if trips use it.
fn known(store: &dyn Store, system: &System, alias: AliasArgs) -> anyhow::Result<Named> {
    let alias = named(alias);
    let totals = block_on(store.totals(&system.id))?;
    let of_id: Vec<&StationAlias> = totals.stations.of_id(&alias.id).map(|(a, _)| a).collect();
    ensure!(
        !of_id.is_empty(),
        "no stored trip has the station id {}",
        alias.id
    );
    let names: BTreeSet<&str> = of_id
        .iter()
        .filter_map(|a| totals.names.latest(a))
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    ensure!(
        of_id.iter().any(|a| alias.is(a)),
        "no stored trip has the station id {} with that name; its names are {}",
        alias.id,
        names.join(", ")
    );
    Ok(alias)
}

/// Fails if no station of a feed and no trip has an id.
fn expect_station(store: &dyn Store, system: &System, id: &str) -> anyhow::Result<()> {
    let stations = block_on(store.stations(&system.id))?;
    let is_known = stations.iter().any(|row| {
        let is_of_feed = row.source == StationSource::Feed && row.id.as_str() == id;
        is_of_feed || row.aliases.iter().any(|alias| alias.id_str() == id)
    });
    ensure!(
        is_known,
        "no feed and no stored trip has a station with the id {id}"
    );
    Ok(())
}

fn listed(corrections: &Corrections) -> String {
    let mut text = String::new();
    for (alias, place) in corrections.iter() {
        text += &match place {
            Some(place) => format!("{alias} belongs to {place}\n"),
            None => format!("{alias} is a station of its own\n"),
        };
    }
    if text.is_empty() {
        text += "no corrections\n";
    }
    text
}
