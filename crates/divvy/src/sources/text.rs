//! Texts in other encodings than UTF-8: UTF-16 is decoded while it is read, and single bytes that are
//! not UTF-8 are taken for Windows-1252.

use std::borrow::Cow;
use std::io::Read;

use encoding_rs::{UTF_16BE, UTF_16LE, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;

/// How the characters of a file are encoded, as far as its first bytes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One byte for each ASCII character: UTF-8, or a code page. See [`decode`].
    Bytes,
    /// Two bytes a character, the low one first: "Unicode text" of spreadsheets.
    Utf16Le,
    /// Two bytes a character, the high one first.
    Utf16Be,
}

impl Encoding {
    /// Recognises UTF-16 by its byte order mark, or by the zero bytes of its ASCII characters, in
    /// the beginning of a file.
    pub fn of(head: &[u8]) -> Self {
        match head {
            // UTF-32
            [0xff, 0xfe, 0, 0, ..] => Self::Bytes,
            [0xff, 0xfe, ..] => Self::Utf16Le,
            [0xfe, 0xff, ..] => Self::Utf16Be,
            _ => Self::without_mark(head),
        }
    }

    fn without_mark(head: &[u8]) -> Self {
        let zeros = |skip: usize| {
            let bytes = head.iter().skip(skip).step_by(2);
            bytes.filter(|byte| **byte == 0).count()
        };
        let (even, odd) = (zeros(0), zeros(1));
        let most = head.len() / 2 * 9 / 10;
        if even.max(odd) == 0 || even.min(odd) > 0 || even.max(odd) <= most {
            Self::Bytes
        } else if even > odd {
            Self::Utf16Be
        } else {
            Self::Utf16Le
        }
    }

    /// Returns its name, for messages. `None` for [`Bytes`](Self::Bytes).
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Bytes => None,
            Self::Utf16Le | Self::Utf16Be => Some("UTF-16"),
        }
    }

    /// Decodes the beginning of a file. A character that is cut off at its end is left out.
    pub fn decode_head(self, head: &[u8]) -> Cow<'_, [u8]> {
        let encoding = match self {
            Self::Bytes => return Cow::Borrowed(head),
            Self::Utf16Le => UTF_16LE,
            Self::Utf16Be => UTF_16BE,
        };
        let (text, _) = encoding.decode_with_bom_removal(&head[..head.len() / 2 * 2]);
        Cow::Owned(text.into_owned().into_bytes())
    }

    /// Returns a reader of the same text in UTF-8. Errors of `input` are passed on.
    pub fn reader(self, input: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        let encoding = match self {
            Self::Bytes => return input,
            Self::Utf16Le => UTF_16LE,
            Self::Utf16Be => UTF_16BE,
        };
        let mut decoder = DecodeReaderBytesBuilder::new();
        Box::new(decoder.encoding(Some(encoding)).build(input))
    }
}

/// Returns bytes as text: as UTF-8, or as Windows-1252 where they are no UTF-8.
///
/// ```
/// use divvy::sources::text::decode;
/// assert_eq!(decode("Peñ".as_bytes()), "Peñ");
/// assert_eq!(decode(b"Pe\xf1"), "Peñ");
/// ```
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(
        |_| WINDOWS_1252.decode_without_bom_handling(bytes).0,
        Cow::Borrowed,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_16_is_recognised_and_decoded() {
        let text = "ride_id\tname\nñ\t1\n";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = [&[0xff, 0xfe][..], &le].concat();
        for (bytes, encoding) in [
            (&le, Encoding::Utf16Le),
            (&be, Encoding::Utf16Be),
            (&marked, Encoding::Utf16Le),
        ] {
            assert_eq!(Encoding::of(bytes), encoding);
            assert_eq!(*encoding.decode_head(bytes), *text.as_bytes());
            let mut read = String::new();
            let mut reader = encoding.reader(Box::new(std::io::Cursor::new(bytes.clone())));
            reader.read_to_string(&mut read).unwrap();
            assert_eq!(read.trim_start_matches('\u{feff}'), text);
        }
        for bytes in [
            &b"ride_id,name\n"[..],
            b"",
            b"\0\0\0\0",
            b"\x7fELF\x02\x01\x01\0\0",
        ] {
            assert_eq!(Encoding::of(bytes), Encoding::Bytes);
        }
    }
}
