//! Archives in archives, and texts in UTF-16.

use super::*;

#[test]
fn archives_in_archives_are_read() {
    let zip = zip_of(&[("a.csv", TRIPS), ("readme", b"Hello.")]);
    let packed = gzip_of(TRIPS);
    for (name, bytes, member) in [
        ("one.zip", zip_of(&[("1.zip", &zip)]), "1.zip/a.csv"),
        (
            "two.zip",
            zip_of(&[("2.zip", &zip_of(&[("1.zip", &zip)]))]),
            "2.zip/1.zip/a.csv",
        ),
        ("gzip.zip", zip_of(&[("a.csv.gz", &packed)]), "a.csv"),
        ("zip.zip.gz", gzip_of(&zip), "a.csv"),
        (
            "all.zip",
            zip_of(&[("1.zip.gz", &gzip_of(&zip_of(&[("a.csv.gz", &packed)])))]),
            "1.zip/a.csv",
        ),
    ] {
        let (archive, _folder) = open(name, &bytes).unwrap();
        assert_eq!(names(&archive), [member], "{name}");
        assert_eq!(read(&archive, 0), TRIPS, "{name}");
        let archive = archive.released();
        assert_eq!(read(&archive, 0), TRIPS, "{name}");
    }
    let inner = zip_of(&[("2.zip", &zip_of(&[("1.zip", &zip)]))]);
    let (archive, _folder) =
        open("deep.zip", &zip_of(&[("3.zip", &inner), ("a.csv", TRIPS)])).unwrap();
    assert_eq!(names(&archive), ["a.csv"]);
    let skipped: Vec<_> = archive
        .left_out()
        .iter()
        .filter_map(LeftOut::skipped)
        .collect();
    assert_eq!(skipped.len(), 1);
    assert_eq!(skipped[0].member, "3.zip/2.zip/1.zip");
}

#[test]
fn a_bomb_of_zips_is_refused() {
    let zeros = vec![0; 60_000_000];
    let layer = zip_of(&[("a", &zeros)]);
    let layers: Vec<(String, &[u8])> = (0..3).map(|n| (format!("{n}.zip"), &*zeros)).collect();
    let mut stored = Vec::new();
    let mut zip = ZipWriter::new(Cursor::new(&mut stored));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in &layers {
        zip.start_file(name, options).unwrap();
        zip.write_all(&layer).unwrap();
        zip.write_all(&bytes[..40_000_000]).unwrap();
    }
    zip.finish().unwrap();
    // Packed, the three unpack to 120 MB, which is more than is written to disk for a small file.
    let bomb = zip_of(&[("all.zip", &stored)]);
    let sentence = refusal("bomb.zip", &bomb);
    assert!(sentence.contains("zip bomb"), "{sentence}");
}

#[test]
fn texts_in_utf_16_are_decoded() {
    let text = String::from_utf8(TRIPS.to_vec()).unwrap();
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes) in [
        ("wide.csv", wide.clone()),
        ("wide.csv.gz", gzip_of(&wide)),
        ("wide.zip", zip_of(&[("a.csv", &wide)])),
    ] {
        let (archive, _folder) = open(name, &bytes).unwrap();
        assert_eq!(read(&archive, 0), TRIPS, "{name}");
        assert_eq!(archive.members()[0].encoding, Encoding::Utf16Le);
        assert_eq!(archive.members()[0].size_bytes, None);
    }
}
