//! The version of the program, and what it was built from.

/// What `divvy --version` prints behind the name of the program. `DIVVY_COMMIT` and `DIVVY_TARGET` are of
/// the build script.
pub const LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    env!("DIVVY_COMMIT"),
    "\nstores: folder (Parquet, SQLite), dynamodb, dynamodb-local",
    "\nbuilt for: ",
    env!("DIVVY_TARGET"),
);
