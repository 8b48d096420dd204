//! Why an archive or a snapshot could not be taken in.

use std::io;

use crate::sources::archive::ArchiveError;
use crate::sources::http::HttpError;
use crate::sources::station_feed::FeedError;
use crate::sources::station_list::StationListError;
use crate::sources::trips_csv::TripsError;
use crate::store::StoreError;

/// Why an archive could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be opened or read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// One of its members cannot be read as trips.
    #[error(transparent)]
    Trips(#[from] TripsError),
    /// One of its members cannot be read as a station list.
    #[error(transparent)]
    StationList(#[from] StationListError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Neither schema nor coordinates tell whose trips these are.
    #[error("{archive} does not tell whose it is: say --system NAME, such as --system divvy")]
    UnknownSystem {
        /// The archive.
        archive: String,
    },
    /// What the user says and what the file says differ.
    #[error(
        "{archive} was called {said}, but its {member} is of {found}: load it without --system, \
         or name the right one"
    )]
    Contradiction {
        /// The archive.
        archive: String,
        /// The member that contradicts.
        member: String,
        /// The system that the user named.
        said: String,
        /// The system that the file tells.
        found: String,
    },
    /// Members of several systems.
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
    #[error(
        "{archive} is loaded already for {system}, with other content: say --replace to supersede \
         it, or --keep-both"
    )]
    SameName {
        /// The name.
        archive: String,
        /// The system that has it.
        system: String,
    },
    /// There are members, but none is a trip file or a station list.
    #[error("{archive} holds neither trips nor a station list: {left_out}")]
    NothingToLoad {
        /// The archive.
        archive: String,
        /// What it holds.
        left_out: String,
    },
}

/// Why a snapshot could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// An address does not answer as it should.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A file is none of a feed, or the files make no snapshot.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A folder without a feed.
    #[error(
        "{path} holds no station feed: expected stations.json, or station_information.json and \
         station_status.json"
    )]
    NoFeed {
        /// The folder or discovery file.
        path: String,
    },
    /// Nothing tells whose stations these are.
    #[error(
        "{source_name} does not tell whose stations these are: say --system NAME, or \
         --system ID@Area/City for a system that divvy does not know, such as velov@Europe/Paris"
    )]
    UnknownSystem {
        /// What was polled.
        source_name: String,
    },
    /// What the user says and what the feed says differ.
    #[error(
        "{source_name} was called {said}, but its stations lie in the area of {found}: poll it \
         without --system, or name the right one"
    )]
    Contradiction {
        /// What was polled.
        source_name: String,
        /// The system that the user named.
        said: String,
        /// The system that the stations tell.
        found: String,
    },
    /// The clock of the feed is far ahead.
    #[error(
        "{file} says that it was made at {taken_at}, more than a day after it was read \
         ({fetched_at}): it is not taken, since all later snapshots would count as older; one of \
         the two clocks is wrong"
    )]
    FromTheFuture {
        /// The file or address.
        file: String,
        /// When it was made, by its own clock.
        taken_at: String,
        /// When it was read, by ours.
        fetched_at: String,
    },
}
