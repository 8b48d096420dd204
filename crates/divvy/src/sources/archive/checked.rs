//! Unpacked bytes with a guard at their end: length and checksum, and an end to zip bombs.

use std::io::{self, Read};

use flate2::Crc;

/// No CSV file shrinks more than this, while a deflate bomb shrinks a thousand times.
const MOST_SHRINKING: u64 = 200;

/// Unpacked to less than this, a bomb does no harm, and small files of equal rows do shrink.
const HARMLESS_BYTES: u64 = 64 * 1024 * 1024;

/// What is wrong with the packed bytes.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The file ends before the data do.
    #[error("the data end too early: the file was cut off or damaged; download it again")]
    CutOff,
    /// The checksum is not that of the data.
    #[error("the checksum of the data is wrong: the file is damaged; download it again")]
    Checksum,
    /// The packed form breaks its own rules.
    #[error("the packed data make no sense ({0}): the file is damaged; download it again")]
    Packed(io::Error),
    /// More data than the archive states.
    #[error("the data are longer than the archive states: it is damaged, or a zip bomb")]
    Longer,
    /// More data than a CSV file can shrink.
    #[error(
        "the data unpack to more than {MOST_SHRINKING} times their size, as no CSV file does: \
         this is a zip bomb, or not data"
    )]
    Bomb,
}

impl From<Damage> for io::Error {
    fn from(damage: Damage) -> Self {
        Self::new(io::ErrorKind::InvalidData, damage)
    }
}

/// Returns how many bytes may come out of so many packed ones.
pub(super) fn most_unpacked(packed_bytes: u64) -> u64 {
    HARMLESS_BYTES.max(packed_bytes.saturating_mul(MOST_SHRINKING))
}

/// An unpacking reader under guard.
pub(super) struct Checked<R> {
    unpacked: R,
    read_bytes: u64,
    most_bytes: u64,
    /// `None` where the packing checks itself (gzip).
    stated: Option<Stated>,
}

/// What the directory of a zip states about a member.
struct Stated {
    size_bytes: u64,
    crc32: u32,
    crc: Crc,
}

impl<R: Read> Checked<R> {
    /// Guards data of stated length and checksum.
    pub(super) fn stated(unpacked: R, size_bytes: u64, crc32: u32) -> Self {
        Self {
            unpacked,
            read_bytes: 0,
            most_bytes: size_bytes,
            stated: Some(Stated {
                size_bytes,
                crc32,
                crc: Crc::new(),
            }),
        }
    }

    /// Guards data that come out of `packed_bytes` and carry a checksum of their own.
    pub(super) fn unstated(unpacked: R, packed_bytes: u64) -> Self {
        Self {
            unpacked,
            read_bytes: 0,
            most_bytes: most_unpacked(packed_bytes),
            stated: None,
        }
    }

    fn check_end(&self) -> Result<(), Damage> {
        let Some(stated) = &self.stated else {
            return Ok(());
        };
        if self.read_bytes < stated.size_bytes {
            return Err(Damage::CutOff);
        }
        if stated.crc.sum() != stated.crc32 {
            return Err(Damage::Checksum);
        }
        Ok(())
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let n = self.unpacked.read(into).map_err(blame_packing)?;
        if n == 0 {
            self.check_end()?;
            return Ok(0);
        }
        self.read_bytes += n as u64;
        if self.read_bytes > self.most_bytes {
            let stated = self.stated.is_some();
            return Err(if stated { Damage::Longer } else { Damage::Bomb }.into());
        }
        if let Some(stated) = &mut self.stated {
            stated.crc.update(&into[..n]);
        }
        Ok(n)
    }
}

/// Tells errors of the packing from those of the disk.
fn blame_packing(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Damage::CutOff.into(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Damage::Packed(error).into(),
        _ => error,
    }
}
