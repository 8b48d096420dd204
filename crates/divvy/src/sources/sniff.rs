//! Recognises a file by its first bytes, not by its name: publishers name workbooks `.csv`, and servers
//! send web pages under the name of a zip. The name decides only whether a file that is not read may be a
//! table.

use super::text::Encoding;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// What separates the cells of tables, the most frequent first.
pub const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How many bytes from the beginning of a file [`sniff`] uses.
pub const HEAD_BYTES: usize = 4096;

/// The kinds of files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FileKind {
    /// A zip, but not one of the document formats that are zips inside.
    Zip,
    /// Gzip. Its content is to be recognised by itself.
    Gzip,
    /// Text with lines of several cells, in any [`Encoding`].
    Table,
    /// Other text, such as a readme.
    Text,
    /// A file that is not supported.
    Unsupported(&'static Unsupported),
}

/// A kind of file that cannot be loaded.
#[derive(Debug, PartialEq)]
pub struct Unsupported {
    /// One or two words for it, such as `workbook`.
    pub word: &'static str,
    /// The same in a sentence: "… is *a spreadsheet workbook*".
    pub what: &'static str,
    /// What the user can do.
    pub advice: &'static str,
    /// It may hold trips or stations. Pictures and documents do not.
    pub may_be_table: bool,
}

impl Unsupported {
    /// Returns whether a file of this kind was a table once, by its name. What a Mac leaves beside
    /// a table has the table's name, too.
    pub fn is_table_by_name(&self, name: &str) -> bool {
        *self != LEFTOVER && is_named_as_table(name)
    }
}

const UNPACK: &str = "unpack it and load the CSV files that it holds";
const UNPACK_OUTER: &str = "unpack the outer archive and load the folder";
const NOT_DATA: &str = "load the CSV file, or the zip in which it is published";
const DOWNLOAD_AGAIN: &str = "check the address and download the file again";
const SAVE_SHEET: &str =
    "open it in a spreadsheet program and save the sheet as CSV (UTF-8, comma separated)";
const SAVE_UTF8: &str = "save it as CSV in UTF-8";

macro_rules! unsupported {
    ($may_be_table:literal: $($name:ident: $word:literal, $what:literal, $advice:expr;)*) => {
        $(static $name: Unsupported = Unsupported {
            word: $word,
            what: $what,
            advice: $advice,
            may_be_table: $may_be_table,
        };)*
    };
}

unsupported! { true:
    ZEROS: "zero bytes", "nothing but zero bytes", DOWNLOAD_AGAIN;
    WORKBOOK: "workbook", "a spreadsheet workbook", SAVE_SHEET;
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
    UTF32: "UTF-32 text", "a text in UTF-32", SAVE_UTF8;
}

unsupported! { false:
    DOCUMENT: "document", "a word processor document", NOT_DATA;
    PICTURE: "picture", "a picture", NOT_DATA;
    PDF: "PDF", "a PDF document", NOT_DATA;
    LEFTOVER: "macOS leftover", "a macOS leftover (AppleDouble), not the file itself",
        "load the file of the same name without the leading \"._\"";
    BINARY: "binary file", "a binary file of an unknown kind", NOT_DATA;
}

/// A file without bytes, or a zip without members.
pub static EMPTY: Unsupported = Unsupported {
    word: "empty",
    what: "empty",
    advice: "download or save the file again",
    may_be_table: true,
};

/// A zip or gzip that lies in more archives than are opened.
pub static NESTED: Unsupported = Unsupported {
    word: "packed file",
    what: "a packed file deep inside other archives",
    advice: UNPACK_OUTER,
    may_be_table: true,
};

/// A text that is named as a table.
pub static NO_COLUMNS: Unsupported = Unsupported {
    word: "text",
    what: "a text without columns",
    advice: "check what it holds, and save it as CSV with a header",
    may_be_table: true,
};

/// Offset and bytes that only one kind of file has there. The first row that matches counts.
static SIGNATURES: &[(usize, &[u8], FileKind)] = &[
    (0, b"PK\x03\x04", FileKind::Zip),
    (0, b"PK\x05\x06", FileKind::Zip),
    (0, b"PK\x07\x08", FileKind::Zip),
    (0, b"\x1f\x8b", FileKind::Gzip),
    (0, b"\x1f\x9d", FileKind::Unsupported(&COMPRESS)),
    // The compound files of older office programs; among data, .xls.
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        FileKind::Unsupported(&WORKBOOK),
    ),
    (0, b"\x00\x05\x16\x07", FileKind::Unsupported(&LEFTOVER)),
    (0, b"\x00\x05\x16\x00", FileKind::Unsupported(&LEFTOVER)),
    (0, b"7z\xbc\xaf\x27\x1c", FileKind::Unsupported(&SEVEN_ZIP)),
    (0, b"Rar!\x1a\x07", FileKind::Unsupported(&RAR)),
    (0, b"\xfd7zXZ\x00", FileKind::Unsupported(&XZ)),
    (0, b"\x28\xb5\x2f\xfd", FileKind::Unsupported(&ZSTD)),
    (0, b"BZh", FileKind::Unsupported(&BZIP2)),
    (257, b"ustar", FileKind::Unsupported(&TAR)),
    (0, b"PAR1", FileKind::Unsupported(&PARQUET)),
    (0, b"SQLite format 3\x00", FileKind::Unsupported(&SQLITE)),
    (0, b"%PDF-", FileKind::Unsupported(&PDF)),
    (0, b"\x89PNG", FileKind::Unsupported(&PICTURE)),
    (0, b"\xff\xd8\xff", FileKind::Unsupported(&PICTURE)),
    (0, b"GIF8", FileKind::Unsupported(&PICTURE)),
    (0, b"II*\x00", FileKind::Unsupported(&PICTURE)),
    (0, b"MM\x00*", FileKind::Unsupported(&PICTURE)),
    (8, b"WEBP", FileKind::Unsupported(&PICTURE)),
    (0, b"\xff\xfe\x00\x00", FileKind::Unsupported(&UTF32)),
    (0, b"\x00\x00\xfe\xff", FileKind::Unsupported(&UTF32)),
];

/// Beginnings of the first member of a zip that is a document: its name, and a stored content.
static DOCUMENT_MEMBERS: &[(&str, &Unsupported)] = &[
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

/// Recognises a file by its first bytes, [`HEAD_BYTES`] of them where the file is that long.
pub fn sniff(head: &[u8]) -> FileKind {
    if head.is_empty() {
        return FileKind::Unsupported(&EMPTY);
    }
    let has = |offset: usize, bytes: &[u8]| {
        head.get(offset..)
            .is_some_and(|rest| rest.starts_with(bytes))
    };
    let signature = SIGNATURES
        .iter()
        .find(|(offset, bytes, _)| has(*offset, bytes));
    match signature {
        Some((_, _, FileKind::Zip)) => {
            document_in_zip(head).map_or(FileKind::Zip, FileKind::Unsupported)
        }
        Some((_, _, kind)) => *kind,
        None => sniff_text(&Encoding::of(head).decode_head(head)),
    }
}

/// Recognises a document that is a zip inside by its first member. The name is at byte 30, and the
/// text of a stored `mimetype` follows it.
fn document_in_zip(head: &[u8]) -> Option<&'static Unsupported> {
    let first = head.get(30..)?;
    DOCUMENT_MEMBERS
        .iter()
        .find(|(member, _)| first.starts_with(member.as_bytes()))
        .map(|(_, document)| *document)
}

fn sniff_text(head: &[u8]) -> FileKind {
    if head.contains(&0) {
        let only_zeros = head.iter().all(|byte| *byte == 0);
        return FileKind::Unsupported(if only_zeros { &ZEROS } else { &BINARY });
    }
    let text = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii();
    if text.is_empty() {
        return FileKind::Unsupported(&EMPTY);
    }
    match text[0] {
        b'<' => {
            let beginning = text[..text.len().min(512)].to_ascii_lowercase();
            let contains = |word: &[u8]| memchr::memmem::find(&beginning, word).is_some();
            let is_html = contains(b"<html") || contains(b"<!doctype html") || contains(b"<head");
            return FileKind::Unsupported(if is_html { &HTML } else { &XML });
        }
        b'{' | b'[' if begins_as_json(text) => return FileKind::Unsupported(&JSON),
        _ => {}
    }
    let controls = head
        .iter()
        .filter(|b| **b < b' ' && !b.is_ascii_whitespace());
    if controls.count() * 10 > head.len() {
        return FileKind::Unsupported(&BINARY);
    }
    let first_line = text.split(|b| matches!(b, b'\n' | b'\r')).next();
    let separated = first_line.is_some_and(|line| line.iter().any(|b| SEPARATORS.contains(b)));
    if separated || is_regular(text) {
        FileKind::Table
    } else {
        FileKind::Text
    }
}

/// Returns whether two lines at the beginning of a text, one after the other, have the same number of
/// cells, at least three: those of a table below a title. Prose has such lines rarely.
pub fn is_regular(text: &[u8]) -> bool {
    const LINES: usize = 10;
    let lines = text.split(|byte| matches!(byte, b'\n' | b'\r'));
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    let lines: Vec<&[u8]> = lines.take(LINES).collect();
    SEPARATORS.iter().any(|separator| {
        let count = |line: &[u8]| line.iter().filter(|byte| *byte == separator).count();
        let is_same = |pair: &[&[u8]]| count(pair[0]) >= 2 && count(pair[0]) == count(pair[1]);
        lines.windows(2).any(is_same)
    })
}

/// Endings of the names of tables: in text, packed, and in the formats of statistics programs,
/// databases and columnar stores.
const TABLE_ENDINGS: [&str; 26] = [
    "csv", "tsv", "tab", "dat", "zip", "gz", "tgz", "gpg", "xls", "xlsx", "ods", "parquet",
    "feather", "arrow", "orc", "avro", "dta", "sas7bdat", "rds", "rdata", "pkl", "mdb", "accdb",
    "dbf", "sqlite", "db",
];

/// Returns whether a file is a table by its name, whatever its content: a server's message may be saved
/// in its place, and a program may have packed or encrypted it.
pub fn is_named_as_table(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    TABLE_ENDINGS
        .iter()
        .any(|known| ending.eq_ignore_ascii_case(known))
}

/// Distinguishes JSON from other text in brackets, such as `[package]`: its first value is valid, as
/// far as the text goes.
pub(super) fn begins_as_json(text: &[u8]) -> bool {
    let mut json = serde_json::Deserializer::from_slice(text);
    IgnoredAny::deserialize(&mut json).map_or_else(|error| error.is_eof(), |_| true)
}

/// Returns the words at the beginning of a web page, at most 60 letters, without its tags: the
/// message of a server in place of a file.
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
            FileKind::Zip => "zip",
            FileKind::Gzip => "gzip",
            FileKind::Table => "table",
            FileKind::Text => "text",
            FileKind::Unsupported(unsupported) => unsupported.word,
        }
    }

    #[test]
    fn files_are_recognised_by_their_first_bytes() {
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
            (b"\xff\xfet\0,\0", "table"),
            (&utf16, "table"),
            (&utf16_big, "table"),
            (b"\xff\xfe", "empty"),
            (b"Trips of April\na,b,c\n1,2,3\n", "table"),
            (b"\xff\xfe\0\0t\0\0\0", "UTF-32 text"),
            (b"\x7fELF\x02\x01\x01\0\0", "binary file"),
            (b"\x01\x02\x03\x04,\x05\n", "binary file"),
        ];
        for (head, expected) in cases {
            assert_eq!(word(head), *expected, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn words_of_pages_are_those_outside_of_tags() {
        let page = b"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
        assert_eq!(words_of_page(page), "AccessDenied Access Denied");
        assert_eq!(words_of_page(b"<p>"), "");
    }
}
