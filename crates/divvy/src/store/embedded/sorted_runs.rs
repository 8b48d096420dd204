//! Sorts records in bounded memory: what does not fit is written to a temporary file in sorted runs,
//! which are merged when they are read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::PathBuf;

use super::error::io_error;
use super::shared_file::{Reading, SharedFile};
use crate::store::StoreError;

/// A record that can be sorted.
pub(super) trait Record: Ord {
    /// Returns the memory that the record takes, in bytes.
    fn size(&self) -> usize;

    /// Writes the record for [`read`](Self::read).
    fn write(&self, out: &mut dyn Write) -> io::Result<()>;

    /// Reads a record back.
    fn read(from: &mut dyn Read) -> io::Result<Self>
    where
        Self: Sized;

    /// Sorts records.
    fn sort(records: &mut [Self])
    where
        Self: Sized,
    {
        records.sort_unstable();
    }
}

/// Collects records in any order.
pub(super) struct Runs<T> {
    path: PathBuf,
    /// Bytes of records in memory at most.
    max_bytes: usize,
    in_memory: Vec<T>,
    bytes_in_memory: usize,
    /// The temporary file. `None` while all records are in memory.
    file: Option<BufWriter<File>>,
    /// For each run in the file its offset and its number of records.
    runs: Vec<(u64, u64)>,
}

impl<T: Record> Runs<T> {
    /// Keeps up to `max_bytes` of records in memory and the others in a temporary file at `path`,
    /// which is removed when the records have been read or dropped.
    pub(super) fn new(path: PathBuf, max_bytes: usize) -> Self {
        Self {
            path,
            max_bytes,
            in_memory: Vec::new(),
            bytes_in_memory: 0,
            file: None,
            runs: Vec::new(),
        }
    }

    /// Moves all records out, to be read in order.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.path.clone(), self.max_bytes))
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: T) -> Result<(), StoreError> {
        let size = record.size();
        if self.bytes_in_memory + size > self.max_bytes && !self.in_memory.is_empty() {
            self.spill()?;
        }
        self.bytes_in_memory += size;
        self.in_memory.push(record);
        Ok(())
    }

    fn spill(&mut self) -> Result<(), StoreError> {
        T::sort(&mut self.in_memory);
        let failed = |e| io_error("write", &self.path, e);
        let out = match &mut self.file {
            Some(file) => file,
            None => {
                let file = File::options()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .open(&self.path)
                    .map_err(failed)?;
                self.file.insert(BufWriter::with_capacity(1 << 18, file))
            }
        };
        let start = out.stream_position().map_err(failed)?;
        self.runs.push((start, self.in_memory.len() as u64));
        for record in self.in_memory.drain(..) {
            record.write(out).map_err(failed)?;
        }
        self.bytes_in_memory = 0;
        Ok(())
    }

    /// Returns the records in order.
    pub(super) fn sorted(mut self) -> Result<Sorted<T>, StoreError> {
        let mut sorted = Sorted {
            path: self.path.clone(),
            in_memory: Vec::new().into_iter(),
            heads: BinaryHeap::new(),
            runs: Vec::new(),
            temporary: None,
        };
        if self.file.is_none() {
            T::sort(&mut self.in_memory);
            sorted.in_memory = std::mem::take(&mut self.in_memory).into_iter();
            return Ok(sorted);
        }
        self.spill()?;
        self.in_memory = Vec::new();
        let failed = |e| io_error("read", &self.path, e);
        if let Some(file) = self.file.take() {
            let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
            let file = SharedFile::new(file).map_err(failed)?;
            for (start, left) in std::mem::take(&mut self.runs) {
                let input = BufReader::with_capacity(1 << 16, file.reading(start));
                sorted.runs.push(Run { input, left });
            }
        }
        sorted.temporary = Some(Temporary(std::mem::take(&mut self.path)));
        for (n, run) in sorted.runs.iter_mut().enumerate() {
            let record = run.next();
            if let Some(record) = record.map_err(|e| io_error("read", &sorted.path, e))? {
                sorted.heads.push(Reverse((record, n)));
            }
        }
        Ok(sorted)
    }
}

impl<T> Drop for Runs<T> {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes a file when it is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A run of the temporary file.
struct Run {
    input: BufReader<Reading>,
    left: u64,
}

impl Run {
    fn next<T: Record>(&mut self) -> io::Result<Option<T>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        T::read(&mut self.input).map(Some)
    }
}

/// Records in order.
pub(super) struct Sorted<T> {
    path: PathBuf,
    /// All records, if they fitted in memory.
    in_memory: std::vec::IntoIter<T>,
    /// The next record of each run, with the index of the run.
    heads: BinaryHeap<Reverse<(T, usize)>>,
    runs: Vec<Run>,
    /// Declared after the runs, so that it is removed when they are closed.
    temporary: Option<Temporary>,
}

impl<T: Record> Iterator for Sorted<T> {
    type Item = Result<T, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.temporary.is_none() {
            return self.in_memory.next().map(Ok);
        }
        let mut head = self.heads.peek_mut()?;
        let Reverse((_, run)) = &*head;
        match self.runs[*run].next() {
            Err(e) => Some(Err(io_error("read", &self.path, e))),
            Ok(Some(next)) => {
                let Reverse((record, _)) = &mut *head;
                Some(Ok(std::mem::replace(record, next)))
            }
            Ok(None) => {
                let Reverse((record, _)) = PeekMut::pop(head);
                Some(Ok(record))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Record for String {
        fn size(&self) -> usize {
            self.len()
        }

        fn write(&self, out: &mut dyn Write) -> io::Result<()> {
            out.write_all(&[self.len() as u8])?;
            out.write_all(self.as_bytes())
        }

        fn read(from: &mut dyn Read) -> io::Result<Self> {
            let mut len = [0];
            from.read_exact(&mut len)?;
            let mut bytes = vec![0; usize::from(len[0])];
            from.read_exact(&mut bytes)?;
            Ok(String::from_utf8(bytes).unwrap())
        }
    }

    proptest::proptest! {
        #[test]
        fn any_records_come_in_order(
            records in proptest::collection::vec("[a-c]{0,9}", 0..200),
            max_bytes in 0_usize..300,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("records.runs");
            let mut runs = Runs::new(path.clone(), max_bytes);
            for record in &records {
                runs.push(record.clone()).unwrap();
            }
            let sorted: Vec<String> = runs.sorted().unwrap().collect::<Result<_, _>>().unwrap();
            let mut expected = records;
            expected.sort();
            proptest::prop_assert_eq!(sorted, expected);
            proptest::prop_assert!(!path.exists());
        }
    }
}
