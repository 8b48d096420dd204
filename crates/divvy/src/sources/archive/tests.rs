use std::io::{Cursor, Seek, Write};
use std::path::PathBuf;

use ::zip::CompressionMethod;
use ::zip::write::{SimpleFileOptions, ZipWriter};
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

mod nested;

const TRIPS: &[u8] =
    b"ride_id,started_at,ended_at\n0123456789ABCDEF,2020-04-01 07:00:00,2020-04-01 07:10:00\n";
const STATIONS: &[u8] = b"id,name,latitude,longitude,dpcapacity\n2,Lake & Shore,41.88,-87.62,15\n";
const WORKBOOK: &[u8] =
    b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x13\0\0\0[Content_Types].xml";

/// Offsets of fields in an entry of the directory (APPNOTE 4.3.12).
const FLAGS: usize = 8;
const METHOD: usize = 10;
const CRC32: usize = 16;
const SIZE: usize = 24;
const HEADER_START: usize = 42;

fn pack(mut zip: ZipWriter<impl Write + Seek>, members: &[(&str, &[u8])]) {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in members {
        if name.ends_with('/') {
            zip.add_directory(*name, options).unwrap();
        } else {
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
    }
    zip.finish().unwrap();
}

fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    pack(ZipWriter::new(Cursor::new(&mut bytes)), members);
    bytes
}

fn gzip_of(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Overwrites a field in the nth entry of the directory of a zip.
fn patch(mut zip: Vec<u8>, entry: usize, field: usize, value: &[u8]) -> Vec<u8> {
    let entries: Vec<usize> = memchr::memmem::find_iter(&zip, b"PK\x01\x02").collect();
    let at = entries[entry] + field;
    zip[at..at + value.len()].copy_from_slice(value);
    zip
}

/// An archive with its temporary folder.
fn saved(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn open(name: &str, bytes: &[u8]) -> Result<(Archive, TempDir), ArchiveError> {
    let (folder, path) = saved(name, bytes);
    Ok((Archive::open(&path)?, folder))
}

/// Returns the error of opening or reading an archive.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let (archive, _folder) = match open(name, bytes) {
        Ok(opened) => opened,
        Err(error) => return error.to_string(),
    };
    let mut text = Vec::new();
    let error = archive.read(0).unwrap().read_to_end(&mut text).unwrap_err();
    assert!(error.get_ref().unwrap().is::<Damage>());
    format!("{name}: {error}")
}

fn read(archive: &Archive, member: usize) -> Vec<u8> {
    let mut text = Vec::new();
    archive
        .read(member)
        .unwrap()
        .read_to_end(&mut text)
        .unwrap();
    text
}

fn names(archive: &Archive) -> Vec<&str> {
    archive
        .members()
        .iter()
        .map(|member| &*member.name)
        .collect()
}

#[test]
fn a_zip_as_people_make_them() {
    let leftover: &[u8] = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X";
    let bytes = zip_of(&[
        ("trips/", b""),
        ("trips/Divvy_Trips_2019_Q1", TRIPS),
        ("trips/deeper/Divvy_Stations.csv", STATIONS),
        ("__MACOSX/", b""),
        ("__MACOSX/trips/._Divvy_Trips_2019_Q1.csv", leftover),
        ("trips/._odd.csv", leftover),
        ("trips/AppleDouble.csv", leftover),
        ("trips/.DS_Store", b"\0\0\0\x01Bud1"),
        ("trips/Thumbs.db", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        (
            "trips/README.txt",
            b"This file tells, in many words, what the others hold.\n",
        ),
        ("trips/LICENSE", b"Do not sell.\n"),
        ("trips/Divvy_Stations.xlsx", WORKBOOK),
        ("trips/map.png", b"\x89PNG\r\n\x1a\n"),
        ("trips/2018.zip", &zip_of(&[("a.csv", TRIPS)])),
        ("trips/empty.csv", b""),
    ]);
    let (archive, _folder) = open("Divvy_Trips_2019_Q1.zip", &bytes).unwrap();
    assert_eq!(archive.name(), "Divvy_Trips_2019_Q1.zip");
    assert_eq!(archive.size_bytes(), bytes.len() as u64);
    assert_eq!(
        names(&archive),
        [
            "trips/Divvy_Trips_2019_Q1",
            "trips/deeper/Divvy_Stations.csv",
            "trips/2018.zip/a.csv"
        ]
    );
    assert_eq!(read(&archive, 2), TRIPS);
    assert_eq!(archive.members()[0].size_bytes, Some(TRIPS.len() as u64));
    assert_eq!(read(&archive, 0), TRIPS);
    assert_eq!(read(&archive, 1), STATIONS);
    let left_out: Vec<String> = archive.left_out().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(left_out.join("\n"), @r#"
    __MACOSX/trips/._Divvy_Trips_2019_Q1.csv (macOS leftover)
    trips/._odd.csv (macOS leftover)
    trips/.DS_Store (hidden file)
    trips/Thumbs.db (hidden file)
    trips/AppleDouble.csv (macOS leftover)
    trips/README.txt (readme)
    trips/LICENSE (readme)
    trips/Divvy_Stations.xlsx (workbook): open it in a spreadsheet program and save the sheet as CSV (UTF-8, comma separated)
    trips/map.png (picture)
    trips/empty.csv (empty): download or save the file again
    "#);
}

#[test]
fn members_are_read_at_once_and_unread_ones_cost_nothing() {
    let long: Vec<u8> = TRIPS.iter().copied().cycle().take(3_000_000).collect();
    let bytes = zip_of(&[("a.csv", &long), ("b.csv", TRIPS)]);
    let (archive, _folder) = open("two.zip", &bytes).unwrap();
    let mut first = archive.read(0).unwrap();
    let mut beginning = vec![0; 1000];
    first.read_exact(&mut beginning).unwrap();
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| assert_eq!(read(&archive, 0), long));
            threads.spawn(|| assert_eq!(read(&archive, 1), TRIPS));
        }
    });
    let mut rest = Vec::new();
    first.read_to_end(&mut rest).unwrap();
    assert!([beginning, rest].concat() == long);
}

#[test]
fn the_kind_of_an_archive_is_found_by_its_bytes() {
    for name in ["trips.csv", "trips.zip", "trips"] {
        let (archive, _folder) = open(name, TRIPS).unwrap();
        assert_eq!(names(&archive), [name]);
        assert_eq!(archive.members()[0].size_bytes, Some(TRIPS.len() as u64));
        assert_eq!(read(&archive, 0), TRIPS);
    }
    for (name, member) in [
        ("trips.csv.gz", "trips.csv"),
        ("trips.csv", "trips.csv"),
        ("trips.GZ", "trips"),
    ] {
        let (archive, _folder) = open(name, &gzip_of(TRIPS)).unwrap();
        assert_eq!(names(&archive), [member]);
        assert_eq!(archive.members()[0].size_bytes, None);
        assert_eq!(read(&archive, 0), TRIPS);
    }
    let (archive, _folder) = open("trips.csv", &zip_of(&[("a.csv", TRIPS)])).unwrap();
    assert_eq!(read(&archive, 0), TRIPS);
}

#[test]
fn data_descriptors_and_stored_members() {
    let mut streamed = Vec::new();
    let mut zip = ZipWriter::new_stream(&mut streamed);
    for (name, method) in [
        ("a.csv", CompressionMethod::Deflated),
        ("b.csv", CompressionMethod::Stored),
    ] {
        zip.start_file(
            name,
            SimpleFileOptions::default().compression_method(method),
        )
        .unwrap();
        zip.write_all(TRIPS).unwrap();
    }
    zip.finish().unwrap();
    let descriptor = 1 << 3;
    assert_eq!(
        streamed[6] & descriptor,
        descriptor,
        "the writer leaves sizes to a descriptor"
    );
    let (archive, _folder) = open("streamed.zip", &streamed).unwrap();
    assert_eq!(read(&archive, 0), TRIPS);
    assert_eq!(read(&archive, 1), TRIPS);
}

#[test]
fn gzip_in_several_members_is_one_file() {
    let bytes = [gzip_of(&TRIPS[..40]), gzip_of(&TRIPS[40..]), gzip_of(b"")].concat();
    let (archive, _folder) = open("trips.csv.gz", &bytes).unwrap();
    assert_eq!(read(&archive, 0), TRIPS);
}

#[test]
fn content_is_of_the_bytes_not_of_the_name() {
    let content = |name, bytes: &[u8]| open(name, bytes).unwrap().0.content();
    assert_eq!(content("a.csv", TRIPS), content("b", TRIPS));
    assert_eq!(content("a.csv", TRIPS), xxhash_rust::xxh3::xxh3_128(TRIPS));
    assert_ne!(
        content("a.csv", TRIPS),
        content("a.csv.gz", &gzip_of(TRIPS))
    );
}

#[test]
fn refusals_of_other_files() {
    let mut tar = vec![b'a'; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    let page = b"<html><head><title>404 Not Found</title></head></html>";
    let denied = b"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    let sentences = [
        refusal("empty.csv", b""),
        refusal("blank.csv", b"\n\n"),
        refusal("stations.xlsx", WORKBOOK),
        refusal("stations.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        refusal("map.csv", b"\x89PNG\r\n"),
        refusal("readme.pdf", b"%PDF-1.4"),
        refusal("page.zip", page),
        refusal("denied.zip", denied),
        refusal("feed.csv", b"{\"data\":{}}"),
        refusal("a.7z", b"7z\xbc\xaf\x27\x1c"),
        refusal("a.rar", b"Rar!\x1a\x07"),
        refusal("a.csv.xz", b"\xfd7zXZ\x00"),
        refusal("a.csv.zst", b"\x28\xb5\x2f\xfd"),
        refusal("a.csv.bz2", b"BZh91AY"),
        refusal("a.tar", &tar),
        refusal("a.tar.gz", &gzip_of(&tar)),
        refusal("a.zip.gz", &gzip_of(&zip_of(&[("a.txt", b"Hello.")]))),
        refusal("a.csv.gz.gz", &gzip_of(&gzip_of(TRIPS))),
        refusal("a.xlsx.gz", &gzip_of(WORKBOOK)),
        refusal("a.csv.gz", &gzip_of(b"")),
        refusal("a.parquet", b"PAR1"),
        refusal("._a.csv", b"\x00\x05\x16\x07\x00\x02"),
        refusal("program", b"\x7fELF\x02\x01\x01\0\0"),
    ];
    insta::assert_snapshot!(sentences.join("\n"), @r#"
    empty.csv is empty: download or save the file again
    blank.csv is empty: download or save the file again
    stations.xlsx is a spreadsheet workbook: open it in a spreadsheet program and save the sheet as CSV (UTF-8, comma separated)
    stations.xls is a spreadsheet workbook: open it in a spreadsheet program and save the sheet as CSV (UTF-8, comma separated)
    map.csv is a picture: load the CSV file, or the zip in which it is published
    readme.pdf is a PDF document: load the CSV file, or the zip in which it is published
    page.zip is a web page (HTML), not the file that was asked for (it says "404 Not Found"): check the address and download the file again
    denied.zip is an XML text, such as servers send for an error (it says "AccessDenied Access Denied"): check the address and download the file again
    feed.csv is JSON, not a table of trips: trips come as CSV; a station feed in JSON is read by `divvy poll`
    a.7z is a 7z archive: unpack it and load the CSV files that it holds
    a.rar is a RAR archive: unpack it and load the CSV files that it holds
    a.csv.xz is packed with xz: unpack it and load the CSV files that it holds
    a.csv.zst is packed with zstd: unpack it and load the CSV files that it holds
    a.csv.bz2 is packed with bzip2: unpack it and load the CSV files that it holds
    a.tar is a tar archive: unpack it and load the CSV files that it holds
    a.tar.gz is a tar archive: unpack it and load the CSV files that it holds
    a.zip.gz holds no CSV file, only a.txt (readme): download the archive with the trips
    a.csv.gz.gz is a packed file deep inside other archives: unpack the outer archive and load the folder
    a.xlsx.gz is a spreadsheet workbook: open it in a spreadsheet program and save the sheet as CSV (UTF-8, comma separated)
    a.csv.gz is empty: download or save the file again
    a.parquet is a Parquet file: load the CSV file, or the zip in which it is published
    ._a.csv is a macOS leftover (AppleDouble), not the file itself: load the file of the same name without the leading "._"
    program is a binary file of an unknown kind: load the CSV file, or the zip in which it is published
    "#);
}

#[test]
fn refusals_of_zips() {
    let valid = || zip_of(&[("a.csv", TRIPS), ("b.csv", STATIONS)]);
    let header_of_first = 0_u32.to_le_bytes();
    let sentences = [
        refusal("nothing.zip", &zip_of(&[])),
        refusal("folders.zip", &zip_of(&[("a/", b""), ("b/", b"")])),
        refusal(
            "readmes.zip",
            &zip_of(&[("README", b"Hello."), (".x", b"a,b")]),
        ),
        refusal(
            "nested.zip",
            &zip_of(&[
                ("readme.txt", b"Hello."),
                ("1.zip", &zip_of(&[])),
                ("2.zip", &zip_of(&[])),
                ("3.zip", &zip_of(&[])),
            ]),
        ),
        refusal("book.zip", &zip_of(&[("a.xlsx", WORKBOOK)])),
        refusal("twice.zip", &{
            let mut bytes = zip_of(&[("a.csv", TRIPS), ("b.csv", TRIPS)]);
            let names: Vec<usize> = memchr::memmem::find_iter(&bytes, b"b.csv").collect();
            for at in names {
                bytes[at] = b'a';
            }
            bytes
        }),
        refusal("cut.zip", &valid()[..100]),
        refusal("cut-in-directory.zip", &valid()[..valid().len() - 30]),
        refusal("secret.zip", &patch(valid(), 1, FLAGS, &[1])),
        refusal("deflate64.zip", &patch(valid(), 0, METHOD, &[9, 0])),
        refusal("rare.zip", &patch(valid(), 0, METHOD, &[77, 0])),
        refusal("checksum.zip", &patch(valid(), 0, CRC32, &[1, 2, 3, 4])),
        refusal("longer.zip", &patch(valid(), 0, SIZE, &[50])),
        refusal("shorter.zip", &patch(valid(), 0, SIZE, &[250])),
        refusal("bomb.zip", &patch(valid(), 0, SIZE, &[0, 0, 0, 5])),
        refusal(
            "overlap.zip",
            &patch(valid(), 1, HEADER_START, &header_of_first),
        ),
    ];
    insta::assert_snapshot!(sentences.join("\n"), @r#"
    nothing.zip holds no CSV file, it is empty: download the archive with the trips
    folders.zip holds no CSV file, it is empty: download the archive with the trips
    readmes.zip holds no CSV file, only .x (hidden file), README (readme): download the archive with the trips
    nested.zip holds no CSV file, only 1.zip (empty), 2.zip (empty), 3.zip (empty) and 1 more: download or save the file again
    book.zip holds no CSV file, only a.xlsx (workbook): open it in a spreadsheet program and save the sheet as CSV (UTF-8, comma separated)
    twice.zip is a zip of a rare kind (two members of the same name): unpack it and load the CSV files
    cut.zip is a damaged or incomplete zip (its end is missing): download it again
    cut-in-directory.zip is a damaged or incomplete zip (its end is missing): download it again
    secret.zip is protected by a password (b.csv): unpack it and load the CSV files
    deflate64.zip packs a.csv by deflate64, which is not supported: unpack it and load the CSV files
    rare.zip packs a.csv by method 77, which is not supported: unpack it and load the CSV files
    checksum.zip: a.csv: the checksum of the data is wrong: the file is damaged; download it again
    longer.zip: a.csv: the data are longer than the archive states: it is damaged, or a zip bomb
    shorter.zip: a.csv: the data end too early: the file was cut off or damaged; download it again
    bomb.zip: a.csv: the data unpack to more than 200 times their size, as no CSV file does: this is a zip bomb, or not data
    overlap.zip has members that lie over one another (a.csv): it is damaged, or a zip bomb
    "#);
}

#[test]
fn damage_found_while_reading() {
    // Long and incompressible, so that the damage is after the bytes that opening reads.
    let long: Vec<u8> = (0..200_000_u32)
        .flat_map(|n| format!("{n},{}\n", n.wrapping_mul(2_654_435_761)).into_bytes())
        .collect();
    let (zip, gzip) = (zip_of(&[("a.csv", &long)]), gzip_of(&long));
    let spoiled = |mut bytes: Vec<u8>, at: usize| {
        bytes[at..at + 8].fill(0xff);
        bytes
    };
    let harmless = b"1,2\n".repeat(10_000_000);
    let bomb = b"1,2\n".repeat(17_000_000);
    let (archive, _folder) = open("harmless.csv.gz", &gzip_of(&harmless)).unwrap();
    assert_eq!(read(&archive, 0).len(), harmless.len());
    let sentences = [
        refusal("spoiled.zip", &spoiled(zip.clone(), zip.len() / 2)),
        refusal("spoiled.csv.gz", &spoiled(gzip.clone(), gzip.len() / 2)),
        refusal("cut.csv.gz", &gzip[..gzip.len() / 2]),
        refusal("cut-in-trailer.csv.gz", &gzip[..gzip.len() - 3]),
        refusal("cut-in-header.csv.gz", &gzip[..5]),
        refusal("checksum.csv.gz", &spoiled(gzip.clone(), gzip.len() - 8)),
        refusal("garbage-behind.csv.gz", &[&gzip[..], b"garbage"].concat()),
        refusal("bomb.csv.gz", &gzip_of(&bomb)),
    ];
    insta::assert_snapshot!(sentences.join("\n"), @r#"
    spoiled.zip: the packed data make no sense (corrupt deflate stream): the file is damaged; download it again
    spoiled.csv.gz: the packed data make no sense (corrupt deflate stream): the file is damaged; download it again
    cut.csv.gz: the data end too early: the file was cut off or damaged; download it again
    cut-in-trailer.csv.gz: the data end too early: the file was cut off or damaged; download it again
    cut-in-header.csv.gz: cut-in-header.csv: the data end too early: the file was cut off or damaged; download it again
    checksum.csv.gz: the packed data make no sense (corrupt gzip stream does not have a matching checksum): the file is damaged; download it again
    garbage-behind.csv.gz: the data end too early: the file was cut off or damaged; download it again
    bomb.csv.gz: the data unpack to more than 200 times their size, as no CSV file does: this is a zip bomb, or not data
    "#);
}

#[test]
fn a_list_of_members_too_long_for_the_memory() {
    let names: Vec<String> = (0..8_000).map(|n| format!("{n:0>600}")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b"1,2"[..])).collect();
    insta::assert_snapshot!(refusal("many.zip", &zip_of(&members)), @"many.zip cannot be read: its list of members is too long");
}

#[test]
fn a_folder_stands_for_its_archives() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    assert!(
        expand(root)
            .unwrap_err()
            .to_string()
            .contains("holds no archives")
    );
    assert!(
        expand(&root.join("absent.zip"))
            .unwrap_err()
            .to_string()
            .contains("absent.zip")
    );
    for (name, bytes) in [
        ("b.zip", &b"whatever"[..]),
        ("a.CSV", TRIPS),
        ("c/2020/d.csv.gz", b"whatever"),
        ("Divvy_Trips_2019_Q1", TRIPS),
        ("LICENSE", b"Do not sell."),
        ("readme.txt", b"a,b"),
        ("stations.xlsx", WORKBOOK),
        ("trips.tsv", b"a\tb"),
        ("trips.txt", b"a,b,c\n1,2,3\n"),
        ("prose.txt", b"Here, as said,\nare trips.\n"),
        (".hidden.csv", TRIPS),
        ("__MACOSX/a.csv", TRIPS),
        (".git/a.csv", TRIPS),
    ] {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let found: Vec<String> = expand(root)
        .unwrap()
        .iter()
        .map(|found| {
            let path = found.path.strip_prefix(root).unwrap().to_string_lossy();
            let kind = match &found.kind {
                FoundKind::Archive => "archive",
                FoundKind::Perhaps => "perhaps",
                FoundKind::Skipped(skipped) => &skipped.why,
            };
            format!("{path}: {kind}")
        })
        .collect();
    assert_eq!(
        found,
        [
            "Divvy_Trips_2019_Q1: perhaps",
            "a.CSV: archive",
            "b.zip: archive",
            "c/2020/d.csv.gz: archive",
            "stations.xlsx: a spreadsheet workbook",
            "trips.tsv: perhaps",
            "trips.txt: perhaps",
        ]
    );
    let path = root.join("stations.xlsx");
    let kind = FoundKind::Archive;
    assert_eq!(expand(&path).unwrap(), [Found { path, kind }]);
}

#[test]
fn a_folder_is_no_archive() {
    let folder = TempDir::new().unwrap();
    let error = Archive::open(folder.path()).unwrap_err();
    assert!(matches!(error, ArchiveError::NotAFile { .. }));
    assert!(Archive::open(&folder.path().join("absent.zip")).is_err());
}

/// Makes a zip of that many trip files.
fn zip_of_many(members: usize) -> Vec<u8> {
    let names: Vec<String> = (0..members).map(|n| format!("trips-{n}.csv")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, TRIPS)).collect();
    zip_of(&members)
}

#[test]
fn a_zip_of_too_many_members_is_refused() {
    let (archive, _folder) = open("days.zip", &zip_of_many(2000)).unwrap();
    assert_eq!(archive.members().len(), 2000);
    insta::assert_snapshot!(refusal("days.zip", &zip_of_many(2001)), @"days.zip holds 2001 files, more than the 2000 that are read from one archive: unpack it and load the folder");
}

#[cfg(target_os = "linux")]
#[test]
fn all_members_are_read_through_one_file() {
    let (archive, folder) = open("days.zip", &zip_of_many(300)).unwrap();
    let path = folder.path().join("days.zip");
    let handles = || {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        // Other tests close their files meanwhile.
        let files = all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        files.filter(|file| *file == path).count()
    };
    let mut readers: Vec<_> = (0..300).map(|n| archive.read(n).unwrap()).collect();
    for reader in &mut readers {
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        assert_eq!(text, TRIPS);
    }
    assert_eq!(handles(), 1);
    drop(readers);
    let archive = archive.released();
    assert_eq!(handles(), 0);
    assert_eq!(read(&archive, 299), TRIPS);
}
