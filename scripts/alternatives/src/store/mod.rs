//! The modules of `divvy::store` that the sources compiled in here name.

pub use divvy::store::{Projection, StoreError, StoreErrorKind};

pub mod embedded;
