use super::*;
use crate::store::ContentHash;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_659_918_222 + second).unwrap()
}

fn body(second: i64, text: &str, fault: Option<&str>) -> Exchange {
    Exchange {
        feed: "station_status",
        url: "http://host.example/ss.json".into(),
        fetched_at: at(second),
        status: Some(200),
        content: Content::Body {
            bytes: text.into(),
            hash: ContentHash(xxhash_rust::xxh3::xxh3_128(text.as_bytes())),
            etag: Some("\"1\"".into()),
            fault: fault.map(str::to_owned),
        },
    }
}

fn failed(second: i64) -> Exchange {
    Exchange {
        status: None,
        content: Content::Failed("no answer".into()),
        ..body(second, "", None)
    }
}

fn manifest(root: &Path) -> String {
    fs::read_to_string(root.join(MANIFEST)).unwrap()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn bodies_are_written_once_and_every_request_has_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut recorder = Recorder::open(root).unwrap();
    recorder
        .record("divvy", &[body(0, "{\"a\":1}", None)])
        .unwrap();
    recorder
        .record("divvy", &[body(60, "{\"a\":1}", None), failed(60)])
        .unwrap();
    recorder
        .record("divvy", &[body(120, "<html>", Some("a web page"))])
        .unwrap();
    let again = Exchange {
        status: Some(304),
        content: Content::NotModified,
        ..body(180, "", None)
    };
    recorder.record("divvy", &[again]).unwrap();
    insta::assert_snapshot!(manifest(root));
    let day = root.join("divvy/2022-08-08");
    assert_eq!(
        files(&day),
        [
            "station_status_20220808T002342Z.json.zst",
            "station_status_20220808T002542Z.unreadable.zst"
        ]
    );
    let file = File::open(day.join("station_status_20220808T002342Z.json.zst")).unwrap();
    assert_eq!(zstd::decode_all(file).unwrap(), b"{\"a\":1}");
}

#[test]
fn a_recording_goes_on_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut recorder = Recorder::open(root).unwrap();
    recorder
        .record("divvy", &[body(0, "{\"a\":1}", None)])
        .unwrap();
    assert!(matches!(
        Recorder::open(root),
        Err(RecordError::InUse { .. })
    ));
    drop(recorder);
    let whole = manifest(root);
    fs::write(root.join(MANIFEST), format!("{whole}{{\"file\":\"div")).unwrap();
    fs::write(root.join(".recording-x1.tmp"), "a part").unwrap();
    let mut recorder = Recorder::open(root).unwrap();
    assert_eq!(manifest(root), whole);
    recorder
        .record("divvy", &[body(60, "{\"a\":1}", None)])
        .unwrap();
    recorder
        .record("divvy", &[body(60, "{\"a\":2}", None)])
        .unwrap();
    recorder
        .record("divvy", &[body(60, "{\"a\":3}", None)])
        .unwrap();
    assert_eq!(files(root), [".lock", "divvy", MANIFEST]);
    assert_eq!(
        files(&root.join("divvy/2022-08-08")),
        [
            "station_status_20220808T002342Z.json.zst",
            "station_status_20220808T002442Z.json.zst",
            "station_status_20220808T002442Z_2.json.zst"
        ]
    );
    assert_eq!(manifest(root).lines().count(), 4);
}

#[test]
fn addresses_are_names_of_folders() {
    let names = [
        "divvy",
        "https://h.example:81/a/gbfs.json?k=1",
        "../..",
        "http://",
    ];
    let expected = ["divvy", "h.example_81_a_gbfs.json_k_1", "_..", "system"];
    assert_eq!(names.map(folder_name), expected);
}
