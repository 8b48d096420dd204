//! Verifies unpacked bytes: their length, their checksum, and a limit against zip bombs.

use std::io::{self, Read};

use flate2::Crc;

/// The largest accepted compression ratio. CSV files have less, a deflate bomb has 1000.
const MAX_RATIO: u64 = 200;

/// Up to this size any ratio is accepted: it does no harm, and small files of equal rows have high
/// ratios.
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
    /// The compressed bytes are malformed.
    #[error("the packed data make no sense ({0}): the file is damaged; download it again")]
    Packed(io::Error),
    /// More data than the archive states.
    #[error("the data are longer than the archive states: it is damaged, or a zip bomb")]
    Longer,
    /// A larger ratio than that of any CSV file.
    #[error(
        "the data unpack to more than {MAX_RATIO} times their size, as no CSV file does: \
         this is a zip bomb, or not data"
    )]
    Bomb,
}

impl From<Damage> for io::Error {
    fn from(damage: Damage) -> Self {
        Self::new(io::ErrorKind::InvalidData, damage)
    }
}

/// Returns how many bytes `packed_bytes` may unpack to.
pub(super) fn max_unpacked(packed_bytes: u64) -> u64 {
    HARMLESS_BYTES.max(packed_bytes.saturating_mul(MAX_RATIO))
}

/// An unpacking reader that verifies its bytes.
pub(super) struct Checked<R> {
    unpacked: R,
    read_bytes: u64,
    max_bytes: u64,
    /// `None` for gzip, whose reader verifies the checksum.
    stated: Option<Stated>,
}

/// The length and checksum of a member in the directory of a zip.
struct Stated {
    size_bytes: u64,
    crc32: u32,
    crc: Crc,
}

impl<R: Read> Checked<R> {
    /// Verifies data of stated length and checksum.
    pub(super) fn stated(unpacked: R, size_bytes: u64, crc32: u32) -> Self {
        Self {
            unpacked,
            read_bytes: 0,
            max_bytes: size_bytes,
            stated: Some(Stated {
                size_bytes,
                crc32,
                crc: Crc::new(),
            }),
        }
    }

    /// Limits data of `packed_bytes` whose reader verifies a checksum.
    pub(super) fn unstated(unpacked: R, packed_bytes: u64) -> Self {
        Self {
            unpacked,
            read_bytes: 0,
            max_bytes: max_unpacked(packed_bytes),
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
        if self.read_bytes > self.max_bytes {
            let stated = self.stated.is_some();
            return Err(if stated { Damage::Longer } else { Damage::Bomb }.into());
        }
        if let Some(stated) = &mut self.stated {
            stated.crc.update(&into[..n]);
        }
        Ok(n)
    }
}

/// Makes errors of the decompression a [`Damage`]. Errors of the disk stay.
fn blame_packing(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Damage::CutOff.into(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Damage::Packed(error).into(),
        _ => error,
    }
}
