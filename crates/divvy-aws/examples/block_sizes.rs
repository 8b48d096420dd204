//! How small and how quick blocks are, on archives at hand:
//! `cargo run --release -p divvy-aws --example block_sizes -- FILE.zip…`

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use divvy::model::System;
use divvy::sources::archive::Archive;
use divvy::sources::trips_csv::{ColumnMapping, TimeHints, TripReader};
use divvy_aws::blocks::{self, Gatherer, Rows, SPOOL_LEVEL};

fn main() -> Result<(), Box<dyn Error>> {
    for path in std::env::args().skip(1) {
        let archive = Archive::open(Path::new(&path))?;
        let mut gatherer = Gatherer::default();
        let (mut spool_bytes, mut writing_s, mut reading_s, mut gathering_s) = (0, 0.0, 0.0, 0.0);
        for (place, member) in archive.members().iter().enumerate() {
            let mut open = || archive.read(place).map_err(std::io::Error::other);
            let Ok(mapping) = ColumnMapping::detect(&mut open, &member.name, TimeHints::default())
            else {
                continue;
            };
            let system = mapping.system().or_else(|| System::named("divvy"));
            let system = system.ok_or("whose trips are these?")?;
            let mut reader = TripReader::new(archive.read(place)?, mapping, &system, &member.name)?;
            while let Some(batch) = reader.next_batch(&())? {
                let rows = Rows::of_member(batch, place as u32);
                let start = Instant::now();
                let spooled = blocks::encode(&rows, SPOOL_LEVEL);
                writing_s += start.elapsed().as_secs_f64();
                spool_bytes += spooled.len();
                let start = Instant::now();
                let back = blocks::decode(&spooled)?;
                reading_s += start.elapsed().as_secs_f64();
                let start = Instant::now();
                gatherer.add(&back);
                gathering_s += start.elapsed().as_secs_f64();
            }
        }
        let rows = gatherer.into_rows();
        let n = rows.len() as f64;
        println!("{}: {} rows", archive.name(), rows.len());
        println!(
            "  spool: {:.2} bytes a trip, written in {writing_s:.2} s, read in {reading_s:.2} s, gathered in {gathering_s:.2} s",
            spool_bytes as f64 / n
        );
        let (mut bytes, mut items, mut units, mut largest) = (0, 0, 0, 0);
        let start = Instant::now();
        blocks::pack(&rows, &mut |packed| {
            bytes += packed.block.len();
            items += 1;
            units += packed.block.len().div_ceil(1024);
            largest = largest.max(packed.block.len());
        });
        println!(
            "  packed: {:.2} bytes a trip, {items} blocks, {units} KB begun, largest {largest} bytes, in {:.2} s",
            bytes as f64 / n,
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
