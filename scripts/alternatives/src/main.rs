//! Measures our own formats beside what libraries offer, on the same trips.
//!
//! ```sh
//! cargo run --release --manifest-path scripts/alternatives/Cargo.toml -- ARCHIVE...
//! ```
//!
//! `sample:2016:200000` in place of an archive stands for so many invented trips of that year's form.
//! Times are processor time (user and system) of the process, the best of nine runs (of two at zstd
//! 19). The ratio in brackets is that to ours: above 1, the library takes more.
//!
//! Code that `divvy` and `divvy-aws` keep to themselves is compiled in from their sources, so that
//! nothing has to be public for this.

mod beside_blocks;
mod beside_cube;
mod input;
mod measure;
mod store;

#[allow(dead_code, unused_imports)]
#[path = "../../../crates/divvy-aws/src/blocks/mod.rs"]
mod blocks;
#[allow(dead_code, unused_imports)]
#[path = "../../../crates/divvy-aws/src/civil_date.rs"]
mod civil_date;
#[path = "../../../crates/divvy-aws/src/varint.rs"]
mod varint;

use std::error::Error;

use divvy::model;

/// A tool for developers: any error ends it.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let archives: Vec<String> = std::env::args().skip(1).collect();
    if archives.is_empty() {
        return Err("name an archive, or sample:2016:200000".into());
    }
    for archive in archives {
        let batches = input::read(&archive)?;
        let trips: usize = batches.iter().map(model::TripBatch::len).sum();
        println!("## {archive}: {trips} trips\n");
        store::embedded::beside_trips::measure(&batches)?;
        store::embedded::beside_index::measure(&batches)?;
        beside_cube::measure(&batches)?;
        beside_blocks::measure(&batches)?;
    }
    Ok(())
}
