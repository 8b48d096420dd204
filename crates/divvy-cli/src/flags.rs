//! Advice on flags, added to errors of the libraries, which do not name any.

use std::error::Error;

use divvy::ingest::{LoadError, PollError};
use divvy::sources::trips_csv::TripsError;
use divvy_aws::duplicate_estimate::DuplicateEstimateError;

/// Returns the message of an error, with the flags that help where there are any.
pub fn message(error: &(dyn Error + 'static)) -> String {
    let advice = if let Some(error) = error.downcast_ref::<LoadError>() {
        for_load(error)
    } else if let Some(DuplicateEstimateError::Load(error)) = error.downcast_ref() {
        for_load(error)
    } else if let Some(error) = error.downcast_ref::<PollError>() {
        for_poll(error)
    } else {
        ""
    };
    format!("{error}{advice}")
}

fn for_load(error: &LoadError) -> &'static str {
    match error {
        LoadError::UnknownSystem { .. } => ": say --system NAME, such as --system divvy",
        LoadError::Contradiction { .. } => ": load it without --system, or name the right one",
        LoadError::SameName { .. } => ": say --replace to supersede it, or --keep-both",
        LoadError::Trips(TripsError::AmbiguousDates { .. }) => {
            ": say --day-first if the day comes first, or save the dates as YYYY-MM-DD"
        }
        _ => "",
    }
}

fn for_poll(error: &PollError) -> &'static str {
    match error {
        PollError::UnknownSystem { .. } => {
            ": say --system NAME, or --system ID@Area/City for a system that divvy does not know, \
             such as velov@Europe/Paris"
        }
        PollError::Contradiction { .. } => ": poll it without --system, or name the right one",
        _ => "",
    }
}
