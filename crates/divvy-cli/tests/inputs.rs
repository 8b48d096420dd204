//! Inputs and outputs of the program: paths of any bytes, outputs that are closed or full, a download
//! that is stopped.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

mod program;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use program::{divvy, succeed};

const TRIPS: &str = "ride_id,rideable_type,started_at,ended_at,start_station_name,start_station_id,\
    end_station_name,end_station_id,start_lat,start_lng,end_lat,end_lng,member_casual\n\
    0000003300000014,classic_bike,2024-04-01 10:00:00,2024-04-01 10:10:00,A,13001,B,13002,41.88,\
    -87.63,41.89,-87.64,member\n";

const FEED: &str = r#"{"last_updated":1717484711,"ttl":60,"version":"2.3","data":{"stations":[
    {"station_id":"a","name":"Lake St","lat":41.9,"lon":-87.6}]}}"#;

fn run(folder: &Path, arguments: &[&OsStr]) -> String {
    succeed(divvy(folder).args(arguments)).0
}

/// Makes a folder with a trip file and a feed.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("trips.csv"), TRIPS).unwrap();
    std::fs::write(folder.path().join("feed.json"), FEED).unwrap();
    folder
}

#[test]
fn a_closed_or_full_output_is_no_panic() {
    let folder = folder();
    // Each writes something to stderr, and the last but one a report to stdout.
    let commands: [(&[&str], i32); 8] = [
        (&["load", "nowhere.zip"], 2),
        (&["load", "trips.csv"], 0),
        (&["poll", "nowhere.json"], 2),
        (&["poll", "feed.json"], 0),
        (&["check"], 0),
        (&["report", "no-such-report"], 2),
        (&["report", "stations"], 0),
        (&["refresh", "--all"], 0),
    ];
    for stderr in ["closed", "full"] {
        for (arguments, expected) in commands {
            let mut command = match stderr {
                "closed" => {
                    let mut shell = Command::new("sh");
                    shell
                        .args(["-c", "exec \"$0\" \"$@\" 2>&-", env!("CARGO_BIN_EXE_divvy")])
                        .current_dir(folder.path())
                        .env_remove("DIVVY_STORE")
                        .stdin(Stdio::null());
                    shell
                }
                _ => {
                    let mut command = divvy(folder.path());
                    command.stderr(File::options().write(true).open("/dev/full").unwrap());
                    command
                }
            };
            let status = command.args(arguments).stdout(Stdio::null()).status();
            let status = status.unwrap().code();
            assert_eq!(status, Some(expected), "{arguments:?}, stderr {stderr}");
        }
    }
    // A report that cannot be written is an error.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut report = divvy(folder.path());
    let output = report.args(["report", "stations"]).stdout(full).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("No space left on device"), "{message}");
}

#[test]
fn paths_may_be_of_any_bytes() {
    let folder = folder();
    let odd = |name: &str| {
        let mut bytes = b"caf\xe9-".to_vec();
        bytes.extend_from_slice(name.as_bytes());
        OsString::from(OsStr::from_bytes(&bytes))
    };
    let [trips, zip, feed, feeds, store, file, prices] = [
        "t.csv",
        "t.zip",
        "f.json",
        "feeds",
        "store",
        "out.csv",
        "prices.json",
    ]
    .map(odd);
    let path = |name: &OsStr| folder.path().join(name);
    std::fs::write(path(&trips), TRIPS).unwrap();
    std::fs::write(path(&feed), FEED).unwrap();
    std::fs::create_dir(path(&feeds)).unwrap();
    std::fs::write(
        path(&feeds).join(&feed),
        FEED.replace("1717484711", "1717484771"),
    )
    .unwrap();
    std::fs::write(path(&prices), r#"{"wcu_hour":0.00074}"#).unwrap();
    let text = OsStr::new;
    let on_store = [text("--store"), &store];
    let run = |arguments: &[&OsStr]| run(folder.path(), arguments);
    let with = |arguments: &[&OsStr]| run(&[&on_store, arguments].concat());

    run(&[text("sample"), text("--trips"), text("50"), &zip]);
    with(&[text("load"), &trips, text("--rejects"), &file]);
    with(&[text("poll"), &feed]);
    with(&[text("poll"), &feeds]);
    with(&[text("refresh"), text("--all")]);
    with(&[text("check")]);
    std::fs::remove_file(path(&file)).unwrap();
    with(&[text("report"), text("stations"), text("--output"), &file]);
    let report = std::fs::read_to_string(path(&file)).unwrap();
    assert!(report.contains("Lake St"), "{report}");
    // The environment may name the store.
    let mut command = divvy(folder.path());
    let command = command
        .args(["report", "riders"])
        .env("DIVVY_STORE", &store);
    assert!(command.output().unwrap().status.success());
    let layout = [text("--prices"), &prices, text("--format"), text("json")];
    run(&[&[text("plan"), &trips], &layout[..]].concat());
    let out = odd("export");
    run(&[text("export"), &trips, text("--dynamodb-import"), &out]);
    let demo = odd("demo");
    let few = [text("--trips"), text("50"), text("--quiet")];
    run(&[&[text("demo"), text("--folder"), &demo], &few[..]].concat());
    let folder_of_zips = odd("zips");
    std::fs::create_dir(path(&folder_of_zips)).unwrap();
    std::fs::rename(path(&zip), path(&folder_of_zips).join(&zip)).unwrap();
    with(&[text("load"), &folder_of_zips]);
}

#[test]
fn a_download_that_is_stopped_leaves_no_file() {
    let folder = folder();
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/trips.zip", listener.local_addr().unwrap());
    let mut load = divvy(folder.path())
        .args(["load", &url])
        .env("TMPDIR", &temporary)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The server sends half of the file, and waits for the end of the program.
    let (mut stream, _) = listener.accept().unwrap();
    let request = BufReader::new(&stream).lines();
    for line in request.map_while(Result::ok) {
        if line.is_empty() {
            break;
        }
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n")
        .unwrap();
    stream.write_all(&vec![b'P'; 1_000_000]).unwrap();
    let interrupt = ["-INT", &load.id().to_string()];
    assert!(
        Command::new("kill")
            .args(interrupt)
            .status()
            .unwrap()
            .success()
    );
    assert!(!load.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn a_demo_writes_over_no_file_that_is_no_sample() {
    let folder = folder();
    let demo = || {
        let mut demo = divvy(folder.path());
        demo.args(["demo", "--quiet", "--trips", "50", "--folder", "city"]);
        demo.output().unwrap()
    };
    assert!(demo().status.success());
    assert!(demo().status.success(), "its own files are replaced");
    let mut own: Vec<_> = ["city", "city/feed"]
        .iter()
        .flat_map(|name| std::fs::read_dir(folder.path().join(name)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    own.sort();
    assert!(own.len() > 2, "{own:?}");
    for path in own {
        let sample = std::fs::read(&path).unwrap();
        std::fs::write(&path, "mine").unwrap();
        let refused = demo();
        assert_eq!(refused.status.code(), Some(2));
        let message = String::from_utf8(refused.stderr).unwrap();
        assert!(message.contains("is there and is no sample"), "{message}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        std::fs::write(&path, sample).unwrap();
    }
}
