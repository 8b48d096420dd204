//! A temporary file of trips that do not fit in memory.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use xxhash_rust::xxh3::xxh3_64;

use super::trip_rows::TripRows;

/// The temporary file. It has no name in its folder, and goes when the process ends, however it ends.
pub(super) struct Spool {
    file: Mutex<File>,
    end: u64,
}

/// Trips in the spool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spooled {
    offset: u64,
    bytes: usize,
    /// The XXH3-64 of its bytes.
    hash: u64,
    rows: usize,
}

impl Spooled {
    /// Counts the trips.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }
}

impl Spool {
    /// Makes an empty spool on the disk of a folder.
    pub(super) fn create_in(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            file: Mutex::new(tempfile::tempfile_in(folder)?),
            end: 0,
        })
    }

    /// Writes some rows.
    pub(super) fn write(&mut self, trips: &TripRows, rows: Range<usize>) -> io::Result<Spooled> {
        let length = rows.len();
        let mut packed = BufWriter::new(zstd::stream::write::Encoder::new(Vec::new(), 1)?);
        trips.write(rows, &mut packed)?;
        let packed = packed
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        let packed = packed.finish()?;
        let file = self.file.get_mut().expect("no holder of this lock panics");
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(&packed)?;
        let spooled = Spooled {
            offset: self.end,
            bytes: packed.len(),
            hash: xxh3_64(&packed),
            rows: length,
        };
        self.end += packed.len() as u64;
        Ok(spooled)
    }

    /// Adds spooled trips to others.
    pub(super) fn read(&self, spooled: Spooled, trips: &mut TripRows) -> io::Result<()> {
        let mut packed = vec![0; spooled.bytes];
        {
            let mut file = self.file.lock().expect("no holder of this lock panics");
            file.seek(SeekFrom::Start(spooled.offset))?;
            file.read_exact(&mut packed)?;
        }
        if xxh3_64(&packed) != spooled.hash {
            return Err(io::Error::other(
                "its bytes are not those that were written",
            ));
        }
        let unpacked = zstd::stream::read::Decoder::new(&packed[..])?;
        trips.read(spooled.rows, &mut BufReader::new(unpacked))
    }
}
