//! Sorted lists of ids (and keys) as bytes: each as the length of the prefix that it shares with the
//! one before, the length of the rest, and the rest.

use divvy::store::StoreError;
use divvy::varint;

use super::damaged;

/// Encodes sorted ids.
pub fn encode_ids<'a>(ids: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut previous: &[u8] = &[];
    for id in ids {
        let shared = previous.iter().zip(id).take_while(|(a, b)| a == b).count();
        varint::write(&mut bytes, shared as u64);
        varint::write(&mut bytes, (id.len() - shared) as u64);
        bytes.extend_from_slice(&id[shared..]);
        previous = id;
    }
    bytes
}

/// Decodes what [`encode_ids`] returned, and passes each id to `visit`.
///
/// # Errors
///
/// The bytes are not an encoded list.
pub fn decode_ids(bytes: &[u8], mut visit: impl FnMut(&[u8])) -> Result<(), StoreError> {
    let mut reader = IdsReader::default();
    reader.push(bytes, &mut |id| {
        visit(id);
        Ok(())
    })?;
    reader.finish()
}

/// Decodes what [`encode_ids`] returned, piece by piece.
#[derive(Debug, Default)]
pub(crate) struct IdsReader {
    /// The previous id.
    id: Vec<u8>,
    /// The bytes of the next id so far.
    incomplete: Vec<u8>,
}

impl IdsReader {
    /// Adds bytes; passes the ids that are complete to `visit`.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        visit: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let joined;
        let mut bytes = if self.incomplete.is_empty() {
            bytes
        } else {
            self.incomplete.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.incomplete);
            &joined
        };
        while let Some((shared, rest, behind)) = split_id(bytes) {
            if shared > self.id.len() {
                return Err(damaged("a list of ids", "one shares more than there is"));
            }
            self.id.truncate(shared);
            self.id.extend_from_slice(rest);
            visit(&self.id)?;
            bytes = behind;
        }
        self.incomplete = bytes.to_vec();
        Ok(())
    }

    /// Ends the list.
    ///
    /// # Errors
    ///
    /// The last id is incomplete.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        if self.incomplete.is_empty() {
            Ok(())
        } else {
            Err(damaged("a list of ids", "it ends in the middle of one"))
        }
    }
}

/// Splits off the first id: the length of the shared prefix, its rest, and the bytes behind it.
/// `None` where it is incomplete.
fn split_id(mut bytes: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    let shared = varint::read(&mut bytes)?;
    let length = varint::read(&mut bytes)?;
    let (rest, behind) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    Some((usize::try_from(shared).ok()?, rest, behind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_come_back(mut ids in prop::collection::vec("[0-9A-F]{0,18}", 0..50)) {
            ids.sort();
            let bytes = encode_ids(ids.iter().map(String::as_bytes));
            let mut found = Vec::new();
            decode_ids(&bytes, |id| found.push(String::from_utf8_lossy(id).into_owned())).unwrap();
            prop_assert_eq!(found, ids);
        }

        #[test]
        fn other_bytes_are_refused_or_read_but_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode_ids(&bytes, |_| {});
        }
    }
}
