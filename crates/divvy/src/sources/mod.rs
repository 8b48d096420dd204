//! Readers of everything that publishers write: archives, trip files, station lists and feeds.

pub mod archive;
pub mod http;
pub mod recordings;
pub mod sniff;
pub mod station_feed;
pub mod station_list;
pub mod text;
pub mod trips_csv;
