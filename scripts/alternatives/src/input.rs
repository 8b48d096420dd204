//! Archives as batches, each in the order of starts, as stores have them.

use std::fs::File;
use std::path::Path;

use divvy::model::{System, TripBatch};
use divvy::sample::Sample;
use divvy::sources::archive::Archive;
use divvy::sources::trips_csv::{ColumnMapping, TripReader};

/// Reads an archive, or makes one: `sample:YEAR:TRIPS`.
pub fn read(name: &str) -> crate::Result<Vec<TripBatch>> {
    let Some(sample) = name.strip_prefix("sample:") else {
        return read_archive(Path::new(name));
    };
    let (era, trips) = sample.split_once(':').ok_or("sample:YEAR:TRIPS")?;
    let sample = Sample {
        era: era.parse()?,
        trips: trips.parse()?,
        seed: 1,
    };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(sample.era.archive_name());
    sample.write_zip(File::create(&path)?, &mut |_| {})?;
    read_archive(&path)
}

fn read_archive(path: &Path) -> crate::Result<Vec<TripBatch>> {
    let archive = Archive::open(path)?;
    let divvy = System::named("divvy").ok_or("divvy is in the table")?;
    let mut batches = Vec::new();
    for (index, member) in archive.members().iter().enumerate() {
        let mut open = || archive.read(index).map_err(std::io::Error::other);
        let Ok(mapping) = ColumnMapping::detect(&mut open, &member.name, false) else {
            continue;
        };
        let system = mapping.system().unwrap_or(&divvy).clone();
        let mut reader = TripReader::new(archive.read(index)?, mapping, &system, &member.name)?;
        while let Some(batch) = reader.next_batch(&())? {
            let mut order: Vec<u32> = (0..batch.len() as u32).collect();
            order.sort_by_key(|row| batch.started_ms[*row as usize]);
            batches.push(batch.select(&order));
        }
    }
    if batches.is_empty() {
        return Err(format!("{} has no trips", path.display()).into());
    }
    Ok(batches)
}
