//! Parts of the cube as they are stored: packed into few bytes, and unpacked only when read.
//!
//! A part is packed in one way only, whatever the order in which its trips were counted, so equal
//! parts are equal bytes.
//!
//! Format: eight bytes of XXH3 over the rest (its seed is the version), then whole numbers as LEB128 (those that could be
//! negative in zigzag) and texts as their length and UTF-8. Stores compress it.
//!
//! Beside Postcard, both with zstd 1 (2026-11-27, April 2020 and January 2021; `scripts/alternatives`):
//! plain maps with the same counts take 1.5 to 1.6 times the bytes, 7 to 9 times the processor time to
//! read and 1.5 to 2.1 times to merge. Derived structs of the same columns take the same bytes, and to read
//! 1.9 to 2.5 times: `routes` and `station_hours`, of which ours opens only what is read. `durations`
//! alone is read faster by them, in a third of the time; see docs/BENCHMARKS.md.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::varint::{self, unzigzag, zigzag};

/// A part of the cube that can be packed.
pub(super) trait Pack: Default + Clone {
    /// Brings it into the form in which it is packed with the least effort.
    fn settle(&mut self) {}

    /// Writes it. Nothing for a part without counts.
    fn pack(&self, out: &mut Packer);

    /// Reads it. `None` for bytes that [`pack`](Self::pack) does not make.
    fn unpack(bytes: &mut Unpacker<'_>) -> Option<Self>;

    /// Adds another to it.
    fn merge(&mut self, other: &Self);

    /// Adds two up as they are packed. `None` where they have to be opened.
    fn sum(_: &[u8], _: &[u8], _: &mut Packer) -> Option<()> {
        None
    }

    /// Returns whether two parts that are packed into different bytes have the same counts.
    fn same(_: &[u8], _: &[u8]) -> bool {
        false
    }
}

/// A part of the cube: packed until it is counted into.
#[derive(Clone)]
pub struct Sealed<T>(State<T>);

#[derive(Clone)]
enum State<T> {
    Packed(Arc<Vec<u8>>),
    Open(T),
}

/// Bytes that are no part of a cube: damaged, or of another program.
#[derive(Debug, thiserror::Error)]
#[error("a part of the cube is damaged, or was made by another divvy: load the archives again")]
pub struct NoPart;

const CHECKSUM: usize = 8;

/// Why unpacking cannot fail.
pub(super) const SOUND: &str = "its checksum was that of a part";

/// Changes with the way parts are packed, so that those of another program are not opened.
const VERSION: u64 = 4;

fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, VERSION)
}

#[expect(private_bounds, reason = "parts of the cube are made here alone")]
impl<T: Pack> Sealed<T> {
    /// Makes it of the bytes that [`to_bytes`](Self::to_bytes) returned.
    ///
    /// # Errors
    ///
    /// For anything else.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, NoPart> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let (said, rest) = bytes.split_first_chunk::<CHECKSUM>().ok_or(NoPart)?;
        if u64::from_le_bytes(*said) != checksum(rest) {
            return Err(NoPart);
        }
        Ok(Self(State::Packed(bytes.into())))
    }

    /// Returns it packed. Empty if nothing is counted.
    pub fn to_bytes(&self) -> Arc<Vec<u8>> {
        match &self.0 {
            State::Packed(bytes) => bytes.clone(),
            State::Open(part) => pack(part),
        }
    }

    /// Packs it, so that clones share the bytes.
    pub(super) fn seal(&mut self) {
        if let State::Open(part) = &mut self.0 {
            part.settle();
            self.0 = State::Packed(pack(part));
        }
    }

    /// Returns whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.to_bytes().is_empty()
    }

    /// Adds another's counts to these.
    pub(super) fn merge(&mut self, other: &Self) {
        let nothing = |part: &Self| matches!(&part.0, State::Packed(bytes) if bytes.is_empty());
        if nothing(other) {
            return;
        }
        if nothing(self) {
            *self = other.clone();
            return;
        }
        if let (State::Packed(mine), State::Packed(theirs)) = (&self.0, &other.0) {
            let sum = packed(|out| T::sum(&mine[CHECKSUM..], &theirs[CHECKSUM..], out));
            if let Some(sum) = sum {
                self.0 = State::Packed(sum);
                return;
            }
        }
        self.open().merge(&other.get());
    }

    /// Returns what [`Pack::pack`] makes of it.
    pub(super) fn packed(&self) -> Cow<'_, [u8]> {
        match &self.0 {
            State::Packed(bytes) => Cow::Borrowed(bytes.get(CHECKSUM..).unwrap_or_default()),
            State::Open(part) => {
                let mut out = Packer::default();
                part.pack(&mut out);
                Cow::Owned(out.0)
            }
        }
    }

    /// Opens it for reading.
    pub fn get(&self) -> Cow<'_, T> {
        match &self.0 {
            State::Packed(bytes) => Cow::Owned(unpack(bytes)),
            State::Open(part) => Cow::Borrowed(part),
        }
    }

    /// Opens it for counting.
    pub(super) fn open(&mut self) -> &mut T {
        if let State::Packed(bytes) = &self.0 {
            self.0 = State::Open(unpack(bytes));
        }
        match &mut self.0 {
            State::Open(part) => part,
            State::Packed(_) => unreachable!("it has just been opened"),
        }
    }
}

fn pack<T: Pack>(part: &T) -> Arc<Vec<u8>> {
    packed(|out| {
        part.pack(out);
        Some(())
    })
    .unwrap_or_default()
}

/// Puts a checksum before what `write` writes, if that is anything.
fn packed(write: impl FnOnce(&mut Packer) -> Option<()>) -> Option<Arc<Vec<u8>>> {
    let mut out = Packer(vec![0; CHECKSUM]);
    write(&mut out)?;
    if out.0.len() == CHECKSUM {
        return Some(Arc::default());
    }
    let checksum = checksum(&out.0[CHECKSUM..]);
    out.0[..CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    Some(out.0.into())
}

fn unpack<T: Pack>(bytes: &[u8]) -> T {
    match bytes.get(CHECKSUM..) {
        Some(rest) => T::unpack(&mut Unpacker(rest)).expect(SOUND),
        None => T::default(),
    }
}

impl<T> Default for Sealed<T> {
    fn default() -> Self {
        Self(State::Packed(Arc::default()))
    }
}

impl<T: Pack> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.packed(), other.packed());
        mine == theirs || T::same(&mine, &theirs)
    }
}

impl<T: Pack> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.to_bytes().len())
    }
}

impl<T: Pack> Serialize for Sealed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}

impl<'de, T: Pack> Deserialize<'de> for Sealed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a packed part of the cube")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        let bytes = deserializer.deserialize_byte_buf(Bytes)?;
        Self::from_bytes(bytes).map_err(D::Error::custom)
    }
}

/// Writes numbers and texts one after another.
#[derive(Default)]
pub(super) struct Packer(Vec<u8>);

impl Packer {
    /// Returns what has been written.
    pub(super) fn written(&self) -> &[u8] {
        &self.0
    }

    /// Writes bytes without their length.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.size(bytes.len());
        self.raw(bytes);
    }

    pub(super) fn number(&mut self, number: u64) {
        varint::write(&mut self.0, number);
    }

    pub(super) fn size(&mut self, number: usize) {
        self.number(number as u64);
    }

    pub(super) fn signed(&mut self, number: i64) {
        self.number(zigzag(number));
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn texts<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) {
        self.size(texts.len());
        for text in texts {
            self.text(text);
        }
    }
}

/// Reads what a [`Packer`] wrote.
pub(super) struct Unpacker<'a>(&'a [u8]);

impl<'a> Unpacker<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns what has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    #[inline]
    pub(super) fn number(&mut self) -> Option<u64> {
        varint::read(&mut self.0)
    }

    /// Reads how many there are of something; each takes at least a byte.
    pub(super) fn size(&mut self) -> Option<usize> {
        let size = usize::try_from(self.number()?).ok()?;
        (size <= self.0.len()).then_some(size)
    }

    #[inline]
    pub(super) fn signed(&mut self) -> Option<i64> {
        Some(unzigzag(self.number()?))
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let size = self.size()?;
        let (bytes, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn texts(&mut self) -> Option<Vec<&'a str>> {
        (0..self.size()?).map(|_| self.text()).collect()
    }
}
