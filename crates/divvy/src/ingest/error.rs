//! Errors of loads and polls.

use std::io;

use crate::sources::archive::ArchiveError;
use crate::sources::http::{HttpError, MAX_FEED_BYTES};
use crate::sources::station_feed::FeedError;
use crate::sources::station_list::StationListError;
use crate::sources::trips_csv::TripsError;
use crate::store::StoreError;

/// Why an archive could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The archive cannot be opened or read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A member cannot be read as trips.
    #[error(transparent)]
    Trips(#[from] TripsError),
    /// A member cannot be read as a station list.
    #[error(transparent)]
    StationList(#[from] StationListError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The evidence is for several systems, or for none.
    #[error(
        "{archive} does not state its system{}{findings}",
        if findings.is_empty() { "" } else { ": " }
    )]
    UnknownSystem {
        /// The archive.
        archive: String,
        /// What was found, in sentences. May be empty.
        findings: String,
        /// The systems with evidence for them and none against them, the likeliest
        /// first.
        candidates: Vec<String>,
    },
    /// The store has trips of the system, read with another wall clock.
    #[error("the trips of {system} in the store have the time zone {stored}, not {given}")]
    OtherTimeZone {
        /// The system.
        system: String,
        /// The time zone that the user named.
        given: String,
        /// The time zone in the store.
        stored: String,
    },
    /// Most coordinates of a member lie in the area of another system than the one named by the
    /// user.
    #[error(
        "{archive} was called {given}, but most coordinates of {member} lie in the area of {found}"
    )]
    Contradiction {
        /// The archive.
        archive: String,
        /// The member.
        member: String,
        /// The system that the user named.
        given: String,
        /// The system in whose area they lie.
        found: String,
    },
    /// The archive is loaded under another system than the one named by the user.
    #[error("{archive} is loaded already as one of {loaded}, and not loaded again as {given}")]
    LoadedElsewhere {
        /// The archive.
        archive: String,
        /// The system under which it is loaded.
        loaded: String,
        /// The system that the user named.
        given: String,
    },
    /// Members of two systems.
    #[error("{archive} holds files of two systems ({first} and {second}): load them one by one")]
    TwoSystems {
        /// The archive.
        archive: String,
        /// One of them.
        first: String,
        /// Another.
        second: String,
    },
    /// An archive of that name and other content is loaded.
    #[error("{archive} is loaded already for {system}, with other content")]
    SameName {
        /// The name.
        archive: String,
        /// The system that has it.
        system: String,
    },
    /// No member is a trip file or a station list.
    #[error("{archive} holds neither trips nor a station list: {left_out}")]
    NothingToLoad {
        /// The archive.
        archive: String,
        /// What it holds.
        left_out: String,
    },
}

/// Why a snapshot could not be read or stored.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The path.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// A file is longer than any feed.
    #[error("{path} is longer than {} MiB, as no feed is: it is not read", MAX_FEED_BYTES >> 20)]
    TooLarge {
        /// The path.
        path: String,
    },
    /// A request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A file is no feed, or the feeds make no snapshot.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A folder without a feed, or a discovery file without feeds of stations.
    #[error(
        "{path} holds no station feed: expected stations.json, or station_information.json and \
         station_status.json"
    )]
    NoFeed {
        /// The folder or discovery file.
        path: String,
    },
    /// A discovery file that lists feeds, and none with stations.
    #[error(
        "{source_name} lists no station_information and no station_status, only {listed}: nothing of it \
         can be used here"
    )]
    NoStationFeed {
        /// The discovery file.
        source_name: String,
        /// The names of the feeds that it lists.
        listed: String,
    },
    /// Nothing identifies the system.
    #[error("{source_name} does not state the system of its stations")]
    UnknownSystem {
        /// The files or addresses.
        source_name: String,
    },
    /// The stations lie in the areas of several systems, which overlap.
    #[error("{source_name} may be of {systems}: their areas overlap")]
    SeveralSystems {
        /// The files or addresses.
        source_name: String,
        /// Their ids, with "and" between them.
        systems: String,
    },
    /// The system named by the user is not the one in whose area the stations lie.
    #[error("{source_name} was called {given}, but its stations lie in the area of {found}")]
    Contradiction {
        /// The files or addresses.
        source_name: String,
        /// The system that the user named.
        given: String,
        /// The system in whose area the stations lie.
        found: String,
    },
    /// The time of the feed is more than a day ahead of the clock.
    #[error(
        "{file} has the time {taken_at}, more than a day after it was read \
         ({fetched_at}): it is not taken; one of the two clocks is wrong"
    )]
    FeedTimeAheadOfClock {
        /// The file or address.
        file: String,
        /// When it was made, by its own clock.
        taken_at: String,
        /// When it was read, by the clock of this computer.
        fetched_at: String,
    },
    /// The feed has a list without stations.
    #[error("{file} lists no station: the stored ones stay as they are")]
    NoStations {
        /// The file or address.
        file: String,
    },
}
