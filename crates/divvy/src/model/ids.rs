//! Identifiers. All of them are text, even where a file shows digits: `5905.10` and
//! `2232759736070696510` are ids, and reading either as a float would change it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest id of a station that is read. Longer values are damaged cells, and not every store
/// can keep them as a key.
pub const MAX_STATION_ID_BYTES: usize = 1024;

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
    /// One operator's network, such as `divvy`: the key of [`Systems`](super::Systems).
    SystemId
}
id! {
    /// A station: the id that trips use for it, or that its feed uses.
    StationId
}
id! {
    /// A trip: `trip_id`, `ride_id`, or a hash of the row where the file has neither.
    TripId
}
id! {
    /// A bike or e-bike.
    VehicleId
}
