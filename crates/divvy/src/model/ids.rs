//! Identifiers. All of them are text, even where a file shows digits: `5905.10` and
//! `2232759736070696510` are ids, and neither survives being read as a number.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// Returns the id as its publisher writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

id! {
    /// One operator's network, such as `divvy`: the key of [`SYSTEMS`](super::SYSTEMS).
    SystemId
}
id! {
    /// A station, as the trips or the feed at hand name it.
    StationId
}
id! {
    /// A trip: `trip_id`, `ride_id`, or the hash derived where a schema has neither.
    TripId
}
id! {
    /// A bike or e-bike.
    VehicleId
}
