//! The flags that errors of the libraries concern: the libraries do not name any.

use std::borrow::Cow;
use std::error::Error;

use divvy::ingest::{LoadError, PollError};
use divvy::reports::{Filter, Filters, ReportError};
use divvy::sources::trips_csv::TripsError;
use divvy::store::StoreError;
use divvy_aws::duplicate_estimate::DuplicateEstimateError;
use divvy_aws::store::LoadRefusal;
use divvy_aws::tables::MissingTables;

use crate::store_name::{FOLDER, StoreName};

/// Returns the message of an error, with the flags that it concerns.
pub fn message(error: &(dyn Error + 'static)) -> String {
    if let Some(ReportError::Filter {
        report,
        refused,
        takes,
    }) = error.downcast_ref()
    {
        return for_filter(report, *refused, takes);
    }
    if let Some(refusal) = refusal(error) {
        return for_refusal(refusal);
    }
    if missing_tables(error).is_some() {
        return format!(
            "{error}: add --create-tables and divvy creates them there, or deploy the stack of infra/ \
             first"
        );
    }
    let advice = if let Some(error) = error.downcast_ref::<LoadError>() {
        for_load(error)
    } else if let Some(DuplicateEstimateError::Load(error)) = error.downcast_ref() {
        for_load(error)
    } else if let Some(error) = error.downcast_ref::<PollError>() {
        for_poll(error).into()
    } else {
        "".into()
    };
    format!("{error}{advice}")
}

/// Returns the flags that name a store and a system, each with a blank before it, as a shell takes them.
/// Empty for the default store and no system.
pub fn of_store(store: &StoreName, system: Option<&str>) -> String {
    let store = store.to_string();
    let store = (store != FOLDER).then_some(("--store", store));
    let system = system.map(|system| ("--system", system.to_owned()));
    joined(store.into_iter().chain(system))
}

/// Returns the flags that pick the same trips, each with a blank before it, as a shell takes them.
pub fn of_filters(filters: &Filters) -> String {
    let Filters {
        from,
        to,
        rider,
        bike,
        station,
        weekdays,
        hours,
        by,
        as_of,
        max_unusable,
        areas,
        horizons,
        arrive,
        need,
        // Which rows are shown, and in which order.
        sort: _,
        top: _,
    } = filters;
    let horizons: Vec<String> = horizons.iter().map(ToString::to_string).collect();
    let dims: Vec<&str> = by.iter().map(|dim| dim.as_str()).collect();
    let flags = [
        ("--from", from.map(|date| date.to_string())),
        ("--to", to.map(|date| date.to_string())),
        ("--rider", rider.as_ref().map(ToString::to_string)),
        ("--bike", bike.clone()),
        ("--station", station.clone()),
        ("--weekday", weekdays.map(|days| days.to_string())),
        ("--hour", hours.map(|hours| hours.to_string())),
        ("--by", (!dims.is_empty()).then(|| dims.join(","))),
        ("--as-of", as_of.map(|time| time.to_string())),
        (
            "--max-unusable",
            max_unusable.map(|most| most.share().to_string()),
        ),
        (
            "--areas",
            areas.as_ref().map(|areas| areas.file().to_owned()),
        ),
        (
            "--horizon",
            (!horizons.is_empty()).then(|| horizons.join(",")),
        ),
        ("--arrive", arrive.map(|minutes| minutes.to_string())),
        ("--need", need.map(|bikes| bikes.to_string())),
    ];
    joined(
        flags
            .into_iter()
            .filter_map(|(flag, value)| Some((flag, value?))),
    )
}

fn joined(flags: impl Iterator<Item = (&'static str, String)>) -> String {
    let flags = flags.map(|(flag, value)| format!(" {flag} {}", shell_word(&value)));
    flags.collect()
}

/// Quotes a text so that a shell takes it as one word. The text itself if it has a NUL, which no shell
/// takes.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    shlex::try_quote(text).unwrap_or(Cow::Borrowed(text))
}

/// Returns the flags of a filter.
pub fn of_filter(filter: Filter) -> &'static str {
    match filter {
        Filter::Dates => "--from and --to",
        Filter::Rider => "--rider",
        Filter::Bike => "--bike",
        Filter::Station => "--station",
        Filter::Weekday => "--weekday",
        Filter::Hour => "--hour",
        Filter::By => "--by",
        Filter::Top => "--top",
        Filter::AsOf => "--as-of",
        Filter::MaxUnusable => "--max-unusable",
        Filter::Areas => "--areas",
        Filter::Horizon => "--horizon",
        Filter::Arrive => "--arrive",
        Filter::Need => "--need",
    }
}

fn for_filter(report: &str, refused: Filter, takes: &[Filter]) -> String {
    let takes: Vec<&str> = takes.iter().copied().map(of_filter).collect();
    let takes = if takes.is_empty() {
        "no filter".into()
    } else {
        takes.join(", ")
    };
    let refused = of_filter(refused);
    format!("the report \"{report}\" cannot be narrowed by {refused}: it takes {takes}")
}

/// Returns the refusal of a load that is the error or its source. `None` for other errors.
fn refusal<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a LoadRefusal> {
    if let Some(refusal) = error.downcast_ref() {
        return Some(refusal);
    }
    let error = match error.downcast_ref() {
        Some(LoadError::Store(error)) => error,
        _ => error.downcast_ref::<StoreError>()?,
    };
    error.source.as_deref()?.downcast_ref()
}

/// Returns the missing tables that are the error or its source. `None` for other errors.
fn missing_tables<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a MissingTables> {
    if let Some(missing) = error.downcast_ref() {
        return Some(missing);
    }
    let error: &StoreError = error.downcast_ref()?;
    error.source.as_deref()?.downcast_ref()
}

fn for_refusal(refusal: &LoadRefusal) -> String {
    match refusal {
        LoadRefusal::OnDemand { .. } => {
            format!("{refusal}: --boost is for provisioned tables")
        }
        LoadRefusal::Provisioned { .. } => {
            format!(
                "{refusal}: --warm is for tables that are paid by request, --boost for this one"
            )
        }
        LoadRefusal::WarmAboveMaximum { most, .. } => {
            format!("{refusal}: give --warm {most} at most")
        }
        LoadRefusal::UnfinishedLoad { archive } => format!(
            "{archive}: its load with --replace was interrupted: give that command again first"
        ),
        LoadRefusal::UnfinishedUnload { archive } => {
            format!("{archive}: its unloading was interrupted: give that command again first")
        }
        LoadRefusal::NotImported { .. } => format!(
            "{refusal}; import it (divvy export --dynamodb-import), or load it without --imported"
        ),
    }
}

fn for_load(error: &LoadError) -> Cow<'static, str> {
    let advice = match error {
        LoadError::UnknownSystem { candidates, .. } => return for_unknown(candidates),
        LoadError::Contradiction { .. } => {
            ": load it without --system, name the right one, or add --force-system"
        }
        LoadError::OtherTimeZone { .. } => {
            ": leave the time zone of --system out, or give the new system another name"
        }
        LoadError::LoadedElsewhere { .. } => {
            ": load it without --system, or unload it first (divvy unload)"
        }
        LoadError::SameName { .. } => ": add --replace to supersede it, or --keep-both",
        LoadError::Trips(TripsError::AmbiguousDates { .. }) => {
            ": add --day-first if the day comes first, or save the dates as YYYY-MM-DD"
        }
        LoadError::Trips(TripsError::UtcTimes { .. }) => {
            ": add --utc-times convert if they are in UTC, --utc-times local if they are local"
        }
        _ => "",
    };
    Cow::Borrowed(advice)
}

/// Returns the flags that name the system of a file. `candidates` are the systems that it may be of.
fn for_unknown(candidates: &[String]) -> Cow<'static, str> {
    const NEW: &str = "--system NAME@Area/City for a system that is not built in, such as \
                       velov@Europe/Paris";
    let ways: Vec<String> = candidates
        .iter()
        .map(|id| format!("--system {id}"))
        .collect();
    Cow::Owned(match ways.as_slice() {
        [] => format!(": add --system NAME, or {NEW}"),
        ways => format!(": add {}, or {NEW}", ways.join(", ")),
    })
}

fn for_poll(error: &PollError) -> &'static str {
    match error {
        PollError::SeveralSystems { .. } => ": add --system NAME",
        PollError::UnknownSystem { .. } => {
            ": add --system NAME, or --system ID@Area/City for a system that is not built in, \
             such as velov@Europe/Paris"
        }
        PollError::Contradiction { .. } => ": poll it without --system, or name the right one",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::messages;

    #[test]
    fn flags_of_filters_pick_the_same_trips_in_a_shell() {
        let filters = Filters {
            from: Some("2024-06-01".parse().unwrap()),
            rider: Some(divvy::model::Rider::parse("Subscriber")),
            station: Some("Clark & O'Hare".into()),
            weekdays: Some("mon-fri".parse().unwrap()),
            hours: Some("7-9,22".parse().unwrap()),
            by: vec!["rider".parse().unwrap(), "hour".parse().unwrap()],
            ..Filters::default()
        };
        let flags = of_filters(&filters);
        let words = [
            "--from",
            "2024-06-01",
            "--rider",
            "member",
            "--station",
            "Clark & O'Hare",
            "--weekday",
            "Mon-Fri",
            "--hour",
            "7-9,22",
            "--by",
            "rider,hour",
        ];
        assert_eq!(shlex::split(&flags).unwrap(), words);
        let store = StoreName::parse("my trips".into()).unwrap();
        assert_eq!(
            of_store(&store, Some("divvy")),
            " --store 'my trips' --system divvy"
        );
        let default = StoreName::parse(FOLDER.into()).unwrap();
        assert_eq!(of_store(&default, None), "");
    }

    #[test]
    fn a_refused_load_names_the_flag() {
        let archive = || "a.zip".to_owned();
        let table = || "t-TripData".to_owned();
        let sentences = [
            LoadRefusal::OnDemand { table: table() },
            LoadRefusal::Provisioned { table: table() },
            LoadRefusal::WarmAboveMaximum {
                table: table(),
                most: 4000,
            },
            LoadRefusal::UnfinishedLoad { archive: archive() },
            LoadRefusal::UnfinishedUnload { archive: archive() },
            LoadRefusal::NotImported {
                table: table(),
                trip: "1".into(),
                fault: "is not there",
            },
        ]
        .map(|refusal| {
            let of_store = messages::sentence(&anyhow!(StoreError::from(refusal.clone())));
            let of_load = messages::sentence(&anyhow!(LoadError::Store(refusal.into())));
            assert_eq!(of_store, of_load);
            of_load
        });
        insta::assert_snapshot!(sentences.join("\n"), @r"
        t-TripData is paid by request: it has no provisioned capacity to be raised: --boost is for provisioned tables
        t-TripData has provisioned capacity, which limits it whatever its warm throughput: --warm is for tables that are paid by request, --boost for this one
        t-TripData or its index takes at most 4000 write units a second (a maximum that is configured, or the quota of an account): to be warm for more would be paid for in vain: give --warm 4000 at most
        a.zip: its load with --replace was interrupted: give that command again first
        a.zip: its unloading was interrupted: give that command again first
        t-TripData: trip 1 is not there: the import is not of this archive, or not done; import it (divvy export --dynamodb-import), or load it without --imported
        ");
    }
}
