//! Rows partitioned into temporary files, so that each partition fits into memory.
//!
//! The files have no names: they disappear when the process ends, however it ends.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::sync::Mutex;

use crate::blocks::{self, Gatherer, Rows, SPOOL_LEVEL};

/// Files with the rows of one partition each. Several threads may write at a time.
pub(crate) struct PartitionFiles {
    files: Vec<Mutex<BufWriter<File>>>,
}

impl PartitionFiles {
    /// Makes `n` empty files.
    pub(crate) fn new(n: usize) -> io::Result<Self> {
        let file = |_| Ok(Mutex::new(BufWriter::new(tempfile::tempfile()?)));
        let files = (0..n).map(file).collect::<io::Result<_>>()?;
        Ok(Self { files })
    }

    /// Returns the number of partitions.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Writes some rows, each to the partition of its hash.
    pub(crate) fn put(
        &self,
        rows: &Rows,
        some: impl Iterator<Item = u32>,
        hash: impl Fn(u32) -> u64,
    ) -> io::Result<()> {
        let mut assigned: Vec<Vec<u32>> = vec![Vec::new(); self.files.len()];
        for row in some {
            assigned[partition_of(hash(row), self.files.len())].push(row);
        }
        for (file, some) in self.files.iter().zip(&assigned) {
            if some.is_empty() {
                continue;
            }
            let member = |row: usize| rows.member[row];
            let block = blocks::encode_some(&rows.batch, member, some, SPOOL_LEVEL);
            let mut file = file.lock().expect("no holder of this lock panics");
            file.write_all(&(block.len() as u64).to_le_bytes())?;
            file.write_all(&block)?;
        }
        Ok(())
    }

    /// Reads the rows of a partition, in any order.
    pub(crate) fn read(&self, partition: usize) -> io::Result<Rows> {
        let mut writer = self.files[partition]
            .lock()
            .expect("no holder of this lock panics");
        writer.flush()?;
        let file = writer.get_mut();
        file.seek(SeekFrom::Start(0))?;
        let mut file = BufReader::with_capacity(256 * 1024, file);
        let mut gatherer = Gatherer::default();
        let mut length = [0; 8];
        let mut block = Vec::new();
        loop {
            match file.read_exact(&mut length) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
            block.clear();
            let length = u64::from_le_bytes(length);
            if (&mut file).take(length).read_to_end(&mut block)? as u64 != length {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            gatherer.add(&blocks::decode(&block).map_err(io::Error::other)?);
        }
        Ok(gatherer.into_rows())
    }
}

/// Returns the partition, of `n`, of a hash.
fn partition_of(hash: u64, n: usize) -> usize {
    ((u128::from(hash) * n as u128) >> 64) as usize
}
