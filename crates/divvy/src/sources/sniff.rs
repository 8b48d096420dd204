//! What a file is, told by its first bytes and never by its name: publishers name workbooks `.csv`,
//! and servers send web pages under the name of a zip.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// How many bytes from the beginning of a file are enough for [`sniff`].
pub const HEAD_BYTES: usize = 4096;

/// What the first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A zip, and not one of the document formats that are zips inside.
    Zip,
    /// Gzip; what it packs must be sniffed again.
    Gzip,
    /// Text whose first line has several cells.
    Table,
    /// Other text: a readme, or no file of ours.
    Text,
    /// Something that no reader here understands.
    Foreign(&'static Foreign),
}

/// A kind of file that holds no trips as it is.
#[derive(Debug, PartialEq)]
pub struct Foreign {
    /// One or two words for it, such as `workbook`.
    pub word: &'static str,
    /// The same in a sentence: "… is *a spreadsheet workbook*".
    pub what: &'static str,
    /// What a person can do.
    pub advice: &'static str,
}

const UNPACK: &str = "unpack it and load the CSV files that it holds";
const NOT_DATA: &str = "load the CSV file, or the zip in which it is published";
const DOWNLOAD_AGAIN: &str = "check the address and download the file again";
const SAVE_SHEET: &str =
    "open it in a spreadsheet program and save the sheet as CSV (UTF-8, comma separated)";
const SAVE_UTF8: &str = "save it as CSV in UTF-8";

macro_rules! foreign {
    ($($name:ident: $word:literal, $what:literal, $advice:expr;)*) => {
        $(static $name: Foreign = Foreign { word: $word, what: $what, advice: $advice };)*
    };
}

foreign! {
    EMPTY: "empty", "empty", "download or save the file again";
    ZEROS: "zero bytes", "nothing but zero bytes", DOWNLOAD_AGAIN;
    WORKBOOK: "workbook", "a spreadsheet workbook", SAVE_SHEET;
    DOCUMENT: "document", "a word processor document", NOT_DATA;
    PICTURE: "picture", "a picture", NOT_DATA;
    PDF: "PDF", "a PDF document", NOT_DATA;
    HTML: "web page", "a web page (HTML), not the file that was asked for", DOWNLOAD_AGAIN;
    XML: "XML", "an XML text, such as servers send for an error", DOWNLOAD_AGAIN;
    JSON: "JSON", "JSON, not a table of trips",
        "trips come as CSV; a station feed in JSON is read by `divvy poll`";
    SEVEN_ZIP: "7z archive", "a 7z archive", UNPACK;
    RAR: "RAR archive", "a RAR archive", UNPACK;
    XZ: "xz", "packed with xz", UNPACK;
    ZSTD: "zstd", "packed with zstd", UNPACK;
    BZIP2: "bzip2", "packed with bzip2", UNPACK;
    COMPRESS: "compress", "packed with compress", UNPACK;
    TAR: "tar archive", "a tar archive", UNPACK;
    PARQUET: "Parquet", "a Parquet file", NOT_DATA;
    SQLITE: "database", "an SQLite database", NOT_DATA;
    LEFTOVER: "macOS leftover", "a macOS leftover (AppleDouble), not the file itself",
        "load the file of the same name without the leading \"._\"";
    UTF16: "UTF-16 text", "a text in UTF-16", SAVE_UTF8;
    UTF32: "UTF-32 text", "a text in UTF-32", SAVE_UTF8;
    BINARY: "binary file", "a binary file of an unknown kind", NOT_DATA;
}

/// A zip inside another archive.
pub static NESTED_ZIP: Foreign = Foreign {
    word: "zip",
    what: "a zip inside an archive",
    advice: "unpack the outer archive and load the folder",
};

/// A gzip inside another archive.
pub static NESTED_GZIP: Foreign = Foreign {
    word: "gzip",
    what: "a gzip inside an archive",
    advice: "unpack the outer archive and load the folder",
};

/// Bytes at a place that only one kind of file has there. The first row that fits counts.
static MARKS: &[(usize, &[u8], Kind)] = &[
    (0, b"PK\x03\x04", Kind::Zip),
    (0, b"PK\x05\x06", Kind::Zip),
    (0, b"PK\x07\x08", Kind::Zip),
    (0, b"\x1f\x8b", Kind::Gzip),
    (0, b"\x1f\x9d", Kind::Foreign(&COMPRESS)),
    // The compound files of older office programs; among data, .xls.
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        Kind::Foreign(&WORKBOOK),
    ),
    (0, b"\x00\x05\x16\x07", Kind::Foreign(&LEFTOVER)),
    (0, b"\x00\x05\x16\x00", Kind::Foreign(&LEFTOVER)),
    (0, b"7z\xbc\xaf\x27\x1c", Kind::Foreign(&SEVEN_ZIP)),
    (0, b"Rar!\x1a\x07", Kind::Foreign(&RAR)),
    (0, b"\xfd7zXZ\x00", Kind::Foreign(&XZ)),
    (0, b"\x28\xb5\x2f\xfd", Kind::Foreign(&ZSTD)),
    (0, b"BZh", Kind::Foreign(&BZIP2)),
    (257, b"ustar", Kind::Foreign(&TAR)),
    (0, b"PAR1", Kind::Foreign(&PARQUET)),
    (0, b"SQLite format 3\x00", Kind::Foreign(&SQLITE)),
    (0, b"%PDF-", Kind::Foreign(&PDF)),
    (0, b"\x89PNG", Kind::Foreign(&PICTURE)),
    (0, b"\xff\xd8\xff", Kind::Foreign(&PICTURE)),
    (0, b"GIF8", Kind::Foreign(&PICTURE)),
    (0, b"II*\x00", Kind::Foreign(&PICTURE)),
    (0, b"MM\x00*", Kind::Foreign(&PICTURE)),
    (8, b"WEBP", Kind::Foreign(&PICTURE)),
    // UTF-32 first: its little-endian mark begins with that of UTF-16.
    (0, b"\xff\xfe\x00\x00", Kind::Foreign(&UTF32)),
    (0, b"\x00\x00\xfe\xff", Kind::Foreign(&UTF32)),
    (0, b"\xff\xfe", Kind::Foreign(&UTF16)),
    (0, b"\xfe\xff", Kind::Foreign(&UTF16)),
];

/// How the first member of a zip is called that is a document.
static DOCUMENT_PARTS: &[(&str, &Foreign)] = &[
    ("[Content_Types].xml", &WORKBOOK),
    ("_rels/.rels", &WORKBOOK),
    ("docProps/", &WORKBOOK),
    ("xl/", &WORKBOOK),
    (
        "mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
        &WORKBOOK,
    ),
    ("word/", &DOCUMENT),
    ("mimetypeapplication/vnd.oasis.opendocument", &DOCUMENT),
];

/// Tells what a file is by its first bytes, [`HEAD_BYTES`] of them where the file is that long.
pub fn sniff(head: &[u8]) -> Kind {
    if head.is_empty() {
        return Kind::Foreign(&EMPTY);
    }
    let has = |at: usize, bytes: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(bytes));
    match MARKS.iter().find(|(at, bytes, _)| has(*at, bytes)) {
        Some((_, _, Kind::Zip)) => document_in_zip(head).map_or(Kind::Zip, Kind::Foreign),
        Some((_, _, kind)) => *kind,
        None => sniff_text(head),
    }
}

/// Recognises a document that is a zip inside by what it packs first. The name stands at byte 30,
/// and a stored `mimetype` has its text right behind.
fn document_in_zip(head: &[u8]) -> Option<&'static Foreign> {
    let first = head.get(30..)?;
    DOCUMENT_PARTS
        .iter()
        .find(|(part, _)| first.starts_with(part.as_bytes()))
        .map(|(_, foreign)| *foreign)
}

fn sniff_text(head: &[u8]) -> Kind {
    if head.contains(&0) {
        return Kind::Foreign(with_zero_bytes(head));
    }
    let text = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii();
    if text.is_empty() {
        return Kind::Foreign(&EMPTY);
    }
    match text[0] {
        b'<' => {
            let beginning = text[..text.len().min(512)].to_ascii_lowercase();
            let says = |word: &[u8]| memchr::memmem::find(&beginning, word).is_some();
            let is_html = says(b"<html") || says(b"<!doctype html") || says(b"<head");
            return Kind::Foreign(if is_html { &HTML } else { &XML });
        }
        b'{' | b'[' if begins_as_json(text) => return Kind::Foreign(&JSON),
        _ => {}
    }
    let controls = head
        .iter()
        .filter(|b| **b < b' ' && !b.is_ascii_whitespace());
    if controls.count() * 10 > head.len() {
        return Kind::Foreign(&BINARY);
    }
    let first_line = text.split(|b| matches!(b, b'\n' | b'\r')).next();
    let separated = first_line.is_some_and(|line| line.iter().any(|b| b",;\t|".contains(b)));
    if separated { Kind::Table } else { Kind::Text }
}

/// Tells JSON from other text in brackets, such as `[package]`: nothing that can be seen of its
/// first value is wrong, though the head may end within it.
pub(super) fn begins_as_json(text: &[u8]) -> bool {
    let mut json = serde_json::Deserializer::from_slice(text);
    IgnoredAny::deserialize(&mut json).map_or_else(|error| error.is_eof(), |_| true)
}

/// Text has no zero bytes, unless its letters are two bytes wide: then every second one is zero.
fn with_zero_bytes(head: &[u8]) -> &'static Foreign {
    if head.iter().all(|b| *b == 0) {
        return &ZEROS;
    }
    let zeros = |skip: usize| head[skip..].iter().step_by(2).filter(|b| **b == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let most = head.len() / 2 * 9 / 10;
    if even.min(odd) == 0 && even.max(odd) > most {
        &UTF16
    } else {
        &BINARY
    }
}

/// Takes the words out of the beginning of a page: what a server says where a file was expected.
/// At most 60 letters; empty where there are none.
pub fn words_of_page(head: &[u8]) -> String {
    const READABLE: usize = 60;
    let mut inside_tag = false;
    let text: String = String::from_utf8_lossy(head)
        .chars()
        .map(|c| {
            inside_tag = (inside_tag || c == '<') && c != '>';
            if inside_tag || c == '>' || c.is_control() {
                ' '
            } else {
                c
            }
        })
        .collect();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(READABLE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(head: &[u8]) -> &'static str {
        match sniff(head) {
            Kind::Zip => "zip",
            Kind::Gzip => "gzip",
            Kind::Table => "table",
            Kind::Text => "text",
            Kind::Foreign(foreign) => foreign.word,
        }
    }

    #[test]
    fn files_are_told_by_their_first_bytes() {
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let zip_of = |first: &str| [&b"PK\x03\x04"[..], &[0; 26], first.as_bytes()].concat();
        let utf16: Vec<u8> = "trip_id,start".bytes().flat_map(|b| [b, 0]).collect();
        let utf16_big: Vec<u8> = "trip_id,start".bytes().flat_map(|b| [0, b]).collect();
        let cases: &[(&[u8], &str)] = &[
            (b"", "empty"),
            (b" \r\n\n", "empty"),
            (b"\xef\xbb\xbf", "empty"),
            (&[0; 100], "zero bytes"),
            (b"trip_id,starttime\n1,2\n", "table"),
            (b"\xef\xbb\xbf\"ride_id\",\"rideable_type\"\r\n", "table"),
            (b"ride_id;rideable_type\n", "table"),
            (b"\n\ntrip_id,starttime\n", "table"),
            (b"caf\xe9,na\xefve\n", "table"),
            (b"This file contains metadata.\n\na, b\n", "text"),
            (b"404: Not Found", "text"),
            (&zip_of("202004-divvy-tripdata.csv"), "zip"),
            (&zip_of("[Content_Types].xml"), "workbook"),
            (
                &zip_of("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"),
                "workbook",
            ),
            (&zip_of("word/document.xml"), "document"),
            (b"PK\x05\x06\0\0", "zip"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "workbook"),
            (b"\x00\x05\x16\x07\x00\x02", "macOS leftover"),
            (b"\x89PNG\r\n", "picture"),
            (b"%PDF-1.7", "PDF"),
            (b"<!DOCTYPE html><html>", "web page"),
            (
                b"\n <?xml version=\"1.0\"?><!DOCTYPE html PUBLIC>",
                "web page",
            ),
            (
                b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
                "XML",
            ),
            (b"{\"last_updated\":1}", "JSON"),
            (b"[1,2]", "JSON"),
            (b"{}", "JSON"),
            (
                b"{\n  \"data\": {\"stations\": [{\"name\": \"caf\xc3",
                "JSON",
            ),
            (b"{\"a\":1}\n{\"a\":2}\n", "JSON"),
            (b"[tru", "JSON"),
            (b"[package]\nname = \"divvy\"\n", "text"),
            (b"[[bin]]\npath = \"main.rs\"\n", "text"),
            (b"[false friends]\n", "text"),
            (b"[2024-06-01 00:00:00] started, listening\n", "table"),
            (b"{{ template }}\n", "text"),
            (b"7z\xbc\xaf\x27\x1c", "7z archive"),
            (b"Rar!\x1a\x07\x01\0", "RAR archive"),
            (b"\xfd7zXZ\x00", "xz"),
            (b"\x28\xb5\x2f\xfd", "zstd"),
            (b"BZh91AY", "bzip2"),
            (&tar, "tar archive"),
            (b"PAR1\x15", "Parquet"),
            (b"SQLite format 3\0", "database"),
            (b"\xff\xfet\0r\0", "UTF-16 text"),
            (&utf16, "UTF-16 text"),
            (&utf16_big, "UTF-16 text"),
            (b"\xff\xfe\0\0t\0\0\0", "UTF-32 text"),
            (b"\x7fELF\x02\x01\x01\0\0", "binary file"),
            (b"\x01\x02\x03\x04,\x05\n", "binary file"),
        ];
        for (head, expected) in cases {
            assert_eq!(word(head), *expected, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn what_a_page_says() {
        let page = b"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
        assert_eq!(words_of_page(page), "AccessDenied Access Denied");
        assert_eq!(words_of_page(b"<p>"), "");
    }
}
