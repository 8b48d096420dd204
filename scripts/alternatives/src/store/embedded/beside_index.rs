//! The id index beside Postcard and Zstandard of the same columns.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::hashed_file::HashedFile;
use super::id_index::{Index, IndexWriter, key_of};
use crate::measure::{Table, cpu_ms, decompress, from_postcard_zstd, postcard_zstd};
use crate::model::TripBatch;

/// The keys and the lines of a trips file, by row.
struct Input {
    keys: Vec<u64>,
    lines: Vec<u64>,
}

pub fn measure(batches: &[TripBatch]) -> crate::Result<()> {
    let rows = |batch: &TripBatch| (0..batch.len()).collect::<Vec<_>>();
    let keys = batches.iter().flat_map(|batch| {
        let keys = rows(batch).into_iter().map(|row| key_of(batch.id_raw(row)));
        keys.collect::<Vec<_>>()
    });
    let input = Input {
        keys: keys.collect(),
        lines: batches
            .iter()
            .flat_map(|batch| batch.line.clone())
            .collect(),
    };
    let trips = input.keys.len();
    let mut random = fastrand::Rng::with_seed(1);
    let wanted = [10_000, 100].map(|n| {
        let mut keys: Vec<u64> = (0..n).map(|_| input.keys[random.usize(..trips)]).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    });

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("trips.index");
    let columns = [
        "sort and write, ms",
        "look up 10,000 keys, ms",
        "look up 100 keys, ms",
        "read all lines, ms",
    ];
    let mut table = Table::new("Id index", trips, &columns);
    let write = cpu_ms(|| write_ours(&path, &input))?;
    let many = cpu_ms(|| look_up_ours(&path, &wanted[0]))?;
    let few = cpu_ms(|| look_up_ours(&path, &wanted[1]))?;
    let lines = cpu_ms(|| Ok(Index::open(&path)?.lines(0..trips as u32)?))?;
    let size = std::fs::metadata(&path)?.len() as usize;
    table.row("ours", size, &[write, many, few, lines]);
    let expected = look_up_ours(&path, &wanted[0])?;

    for (name, block, differences) in [
        ("Postcard, zstd 1", usize::MAX, false),
        ("the same, of differences", usize::MAX, true),
        ("the same, in blocks of 4,096", 4096, true),
    ] {
        let way = Way { block, differences };
        let write = cpu_ms(|| way.write(&path, &input))?;
        let many = cpu_ms(|| way.look_up(&path, &wanted[0]))?;
        let few = cpu_ms(|| way.look_up(&path, &wanted[1]))?;
        let lines = cpu_ms(|| way.lines(&path))?;
        let size = std::fs::metadata(&path)?.len() as usize;
        assert_eq!(way.look_up(&path, &wanted[0])?, expected);
        assert_eq!(way.lines(&path)?, input.lines);
        table.row(name, size, &[write, many, few, lines]);
    }
    table.print();
    Ok(())
}

fn write_ours(path: &Path, input: &Input) -> crate::Result<()> {
    let mut writer = IndexWriter::create(path)?;
    for (key, line) in input.keys.iter().zip(&input.lines) {
        writer.push(*key, *line)?;
    }
    writer.finish()?;
    Ok(())
}

/// Returns the sum of the rows that have one of the keys.
fn look_up_ours(path: &Path, keys: &[u64]) -> crate::Result<u64> {
    let mut sum = 0;
    Index::open(path)?.join(keys, |_, row| sum += u64::from(row))?;
    Ok(sum)
}

/// A way to write an index with the libraries.
#[derive(Clone, Copy)]
struct Way {
    /// Rows of a block.
    block: usize,
    /// Whether keys and lines are written as differences.
    differences: bool,
}

#[derive(Serialize, Deserialize)]
struct KeyBlock {
    keys: Vec<u64>,
    rows: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
enum LineBlock {
    Plain(Vec<u64>),
    Differences(Vec<i64>),
}

/// What stands at the end of the file, before its own length.
#[derive(Serialize, Deserialize)]
struct Directory {
    /// The first key and the length of each.
    keys: Vec<(u64, u32)>,
    lines: Vec<u32>,
}

impl Way {
    fn write(self, path: &Path, input: &Input) -> crate::Result<()> {
        let mut entries: Vec<(u64, u32)> = input.keys.iter().copied().zip(0..).collect();
        radsort::sort_by_key(&mut entries, |(key, _)| *key);
        let mut file = HashedFile::create(path)?;
        let mut directory = Directory {
            keys: Vec::new(),
            lines: Vec::new(),
        };
        for entries in entries.chunks(self.block) {
            let mut block = KeyBlock {
                keys: entries.iter().map(|(key, _)| *key).collect(),
                rows: entries.iter().map(|(_, row)| *row).collect(),
            };
            if self.differences {
                let mut last = 0;
                for key in &mut block.keys {
                    *key -= std::mem::replace(&mut last, *key);
                }
            }
            let bytes = postcard_zstd(&block, 1)?;
            directory.keys.push((entries[0].0, bytes.len() as u32));
            file.append(&bytes)?;
        }
        for lines in input.lines.chunks(self.block) {
            let block = if self.differences {
                let mut last = 0;
                let steps = lines
                    .iter()
                    .map(|line| line.wrapping_sub(std::mem::replace(&mut last, *line)) as i64);
                LineBlock::Differences(steps.collect())
            } else {
                LineBlock::Plain(lines.to_vec())
            };
            let bytes = postcard_zstd(&block, 1)?;
            directory.lines.push(bytes.len() as u32);
            file.append(&bytes)?;
        }
        let directory = postcard_zstd(&directory, 1)?;
        file.append(&directory)?;
        file.append(&(directory.len() as u32).to_le_bytes())?;
        file.finish()?;
        Ok(())
    }

    fn directory(self, file: &super::shared_file::SharedFile) -> crate::Result<Directory> {
        let size = file.size();
        let len = file.exactly(size - 4, 4)?;
        let len = u32::from_le_bytes(len[..].try_into()?);
        let bytes = file.exactly(size - 4 - u64::from(len), len as usize)?;
        from_postcard_zstd(&bytes)
    }

    /// As [`look_up_ours`]: blocks without any of the keys are not read.
    fn look_up(self, path: &Path, keys: &[u64]) -> crate::Result<u64> {
        let file = super::shared_file::SharedFile::new(std::fs::File::open(path)?)?;
        let directory = self.directory(&file)?;
        let (mut sum, mut start, mut passed) = (0, 0, 0);
        for (n, (first, len)) in directory.keys.iter().enumerate() {
            let place = start;
            start += u64::from(*len);
            passed += keys[passed..].partition_point(|key| key < first);
            let next = directory.keys.get(n + 1);
            if keys
                .get(passed)
                .is_none_or(|key| next.is_some_and(|(next, _)| key > next))
            {
                continue;
            }
            let bytes = file.exactly(place, *len as usize)?;
            let mut block: KeyBlock = from_postcard_zstd(&bytes)?;
            if self.differences {
                let mut last = 0;
                for key in &mut block.keys {
                    last += *key;
                    *key = last;
                }
            }
            // Both are in order.
            let mut wanted = keys[passed..].iter().peekable();
            for (key, row) in block.keys.iter().zip(&block.rows) {
                while wanted.next_if(|wanted| *wanted < key).is_some() {}
                if wanted.peek() == Some(&key) {
                    sum += u64::from(*row);
                }
            }
        }
        Ok(sum)
    }

    fn lines(self, path: &Path) -> crate::Result<Vec<u64>> {
        let file = super::shared_file::SharedFile::new(std::fs::File::open(path)?)?;
        let directory = self.directory(&file)?;
        let mut start = directory.keys.iter().map(|(_, len)| u64::from(*len)).sum();
        let mut lines = Vec::new();
        for len in directory.lines {
            let bytes = file.exactly(start, len as usize)?;
            start += u64::from(len);
            match postcard::from_bytes(&decompress(&bytes)?)? {
                LineBlock::Plain(plain) => lines.extend(plain),
                LineBlock::Differences(steps) => {
                    let mut last = 0_u64;
                    lines.extend(steps.into_iter().map(|step| {
                        last = last.wrapping_add(step as u64);
                        last
                    }));
                }
            }
        }
        Ok(lines)
    }
}
