//! Everything that publishers ever wrote, read into the model. No store in sight.

pub mod archive;
pub mod http;
pub mod sniff;
pub mod station_feed;
pub mod station_list;
pub mod trips_csv;
