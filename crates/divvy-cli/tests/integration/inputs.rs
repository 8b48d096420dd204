//! Inputs and outputs of the program: paths of any bytes, outputs that are closed or full, a download
//! that is stopped.
#![cfg(unix)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::{divvy, succeed};

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

#[test]
fn help_that_cannot_be_written_is_an_error() {
    let folder = folder();
    for arguments in [&["--help"][..], &["--version"], &["load", "--help"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = divvy(folder.path()).args(arguments).stdout(full).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("No space left on device"), "{message}");
        // A reader that has enough closes a pipe.
        let (reader, closed) = std::io::pipe().unwrap();
        drop(reader);
        let output = divvy(folder.path()).args(arguments).stdout(closed).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(output.stderr, b"");
    }
}

#[test]
fn too_few_threads_or_file_handles_are_an_error_in_one_sentence() {
    let folder = folder();
    run(folder.path(), &["load", "trips.csv"].map(OsStr::new));
    let refuse = |command: &mut Command| {
        let output = command.output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(message.contains("too few threads"), "{message}");
    };
    let local = ["status", "--store", "dynamodb-local:new.db"];
    for arguments in [&["status"][..], &local] {
        let mut shell = Command::new("sh");
        let limited = "ulimit -n 5 && exec \"$0\" \"$@\"";
        shell
            .args(["-c", limited, env!("CARGO_BIN_EXE_divvy")])
            .current_dir(folder.path())
            .env_remove("DIVVY_STORE")
            .stdin(Stdio::null());
        refuse(shell.args(arguments));
    }
    // No thread gets a stack of that size.
    let without_threads = |arguments: &[&str]| {
        let mut command = divvy(folder.path());
        let size = (1_u64 << 50).to_string();
        command.args(arguments).env("RUST_MIN_STACK", size);
        command
    };
    refuse(&mut without_threads(&local));
    succeed(&mut without_threads(&["status"]));
}

#[test]
fn what_was_asked_for_is_done_even_if_its_result_cannot_be_printed() {
    let folder = folder();
    run(folder.path(), &["load", "trips.csv"].map(OsStr::new));
    // A feed of the station where the trip starts.
    let feed = FEED.replace(
        "\"a\",\"name\":\"Lake St\",\"lat\":41.9,\"lon\":-87.6",
        "\"13001\",\"name\":\"A\",\"lat\":41.88,\"lon\":-87.63",
    );
    assert_ne!(feed, FEED);
    std::fs::write(folder.path().join("feed.json"), feed).unwrap();
    run(folder.path(), &["poll", "feed.json"].map(OsStr::new));
    let status = || run(folder.path(), &["status"].map(OsStr::new));
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let unload = ["unload", "trips.csv", "--format", "json"];
    let load = ["load", "trips.csv", "--format", "json"];
    for arguments in [&unload, &load] {
        let mut command = divvy(folder.path());
        let printed = command.args(arguments).stdout(full()).status().unwrap();
        assert_eq!(printed.code(), Some(2), "{arguments:?}");
        assert!(status().contains("counts     up to date"), "{}", status());
    }
}

#[test]
fn a_reader_that_has_enough_hides_no_failure() {
    let folder = folder();
    let closed = || {
        let (_, closed) = std::io::pipe().unwrap();
        closed
    };
    let load = ["load", "trips.csv", "nowhere.zip", "--format", "json"];
    let mut command = divvy(folder.path());
    let status = command.args(load).stdout(closed()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn no_link_leads_an_output_to_an_input_or_into_the_store() {
    use std::fs::{create_dir, hard_link};
    use std::os::unix::fs::symlink;

    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    create_dir(path("real")).unwrap();
    create_dir(path("dl")).unwrap();
    std::fs::rename(path("trips.csv"), path("real/trips.csv")).unwrap();
    std::fs::write(path("dl/other.csv"), TRIPS.replace("33", "44")).unwrap();
    symlink("../real/trips.csv", path("dl/linked.csv")).unwrap();
    run(
        folder.path(),
        &["load", "real", "--store", "s"].map(OsStr::new),
    );
    run(
        folder.path(),
        &["poll", "feed.json", "--store", "s"].map(OsStr::new),
    );
    let mut files = vec![path("dl/other.csv"), path("real/trips.csv")];
    let mut folders = vec![path("s")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap().path();
            let of_kind = if entry.is_dir() {
                &mut folders
            } else {
                &mut files
            };
            of_kind.push(entry);
        }
    }
    let ends_in = |ending: &str| {
        let mut found = files
            .iter()
            .filter(|file| file.ends_with(ending) || file.extension().is_some_and(|e| e == ending));
        found.next().unwrap().clone()
    };
    hard_link(path("dl/other.csv"), path("input.csv")).unwrap();
    hard_link(ends_in("catalog.db"), path("catalog.csv")).unwrap();
    hard_link(ends_in("parquet"), path("parquet.csv")).unwrap();
    symlink("s/trips/new.csv", path("dangling.csv")).unwrap();
    symlink("new-store/trips", path("new-trips")).unwrap();
    let before: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();

    let refuse = |arguments: &[&str], expected: &str| {
        let output = divvy(folder.path()).args(arguments).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
    };
    let read = "is a file that is read";
    let of_store = "lies in the store";
    for rejects in ["real/trips.csv", "input.csv", "dl/linked.csv"] {
        refuse(&["load", "dl", "--rejects", rejects, "--store", "s"], read);
    }
    refuse(
        &["load", "real/trips.csv", "--rejects", "dl/linked.csv"],
        read,
    );
    for output in ["catalog.csv", "parquet.csv", "dangling.csv", "s/new.csv"] {
        refuse(
            &["load", "dl", "--rejects", output, "--store", "s"],
            of_store,
        );
        refuse(
            &["report", "hours", "--output", output, "--store", "s"],
            of_store,
        );
    }
    for output in ["new-trips/new.csv", "new-store/new.csv"] {
        refuse(
            &["load", "dl", "--rejects", output, "--store", "new-store"],
            of_store,
        );
    }
    for output in ["new.db", "new.db-wal"] {
        let store = "dynamodb-local:new.db";
        refuse(
            &["load", "dl", "--rejects", output, "--store", store],
            of_store,
        );
    }
    let after: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    assert!(before == after);
    // Other files may have several names.
    std::fs::write(path("own.csv"), "").unwrap();
    hard_link(path("own.csv"), path("own-2.csv")).unwrap();
    let load = ["load", "dl", "--rejects", "own-2.csv", "--store", "s"];
    run(folder.path(), &load.map(OsStr::new));
}

#[test]
fn a_demo_loads_nothing_into_a_store_of_other_archives() {
    let folder = folder();
    let store = ["--store", "city/divvy-data"];
    run(
        folder.path(),
        &[&["load", "trips.csv"][..], &store]
            .concat()
            .iter()
            .map(OsStr::new)
            .collect::<Vec<_>>(),
    );
    let demo = ["demo", "--quiet", "--trips", "50", "--folder", "city"];
    let output = divvy(folder.path()).args(demo).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("holds trips.csv of divvy"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    let there = std::fs::read_dir(folder.path().join("city")).unwrap();
    assert_eq!(there.count(), 1, "nothing was written beside the store");
    // The same in an emulator.
    let local = ["--store", "dynamodb-local:demo.db"];
    succeed(divvy(folder.path()).args(demo).args(local));
    succeed(divvy(folder.path()).args(demo).args(local));
}

#[test]
fn an_archive_belongs_to_one_system() {
    let folder = folder();
    run(
        folder.path(),
        &["sample", "--trips", "50", "s.zip"].map(OsStr::new),
    );
    let refuse = |arguments: &[&str], expected: &[&str]| {
        let output = divvy(folder.path())
            .arg("load")
            .args(arguments)
            .output()
            .unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        for expected in expected {
            assert!(message.contains(expected), "{arguments:?}: {message}");
        }
    };
    let invented = ["s.zip holds invented trips", "--system"];
    refuse(&["s.zip", "--system", "divvy"], &invented);
    refuse(&["s.zip", "--system", "velov@Europe/Paris"], &invented);
    run(
        folder.path(),
        &["load", "trips.csv", "s.zip"].map(OsStr::new),
    );
    refuse(&["s.zip", "--system", "divvy"], &invented);
    for other in ["citibike", "sample", "velov@Europe/Paris"] {
        let loaded = "trips.csv is loaded already as one of divvy";
        refuse(&["trips.csv", "--system", other], &[loaded, "divvy unload"]);
        refuse(&["trips.csv", "--replace", "--system", other], &[loaded]);
    }
    run(
        folder.path(),
        &["load", "trips.csv", "--system", "divvy"].map(OsStr::new),
    );
    run(
        folder.path(),
        &["load", "s.zip", "--system", "sample"].map(OsStr::new),
    );
}

fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_packed_member_that_is_left_out_is_named() {
    let folder = folder();
    let picture = b"\x89PNG\r\n\x1a\n";
    let members: [(&str, &[u8]); 5] = [
        ("trips.csv", TRIPS.as_bytes()),
        ("old/inner.7z", b"7z\xbc\xaf\x27\x1c"),
        ("README.txt", b"A readme.\n"),
        ("map.png", picture),
        ("__MACOSX/._trips.csv", b"\0\x05\x16\x07"),
    ];
    std::fs::write(folder.path().join("outer.zip"), zip_of(&members)).unwrap();
    let said = |verb: &[&str], expected: i32| {
        let output = divvy(folder.path()).args(verb).output().unwrap();
        assert_eq!(output.status.code(), Some(expected));
        String::from_utf8(output.stderr).unwrap()
    };
    let left_out =
        "old/inner.7z was not loaded: it is a 7z archive; unpack it and load the CSV files";
    for (verb, expected) in [(&["plan", "outer.zip"][..], 0), (&["load", "outer.zip"], 1)] {
        let said = said(verb, expected);
        assert!(said.contains(left_out), "{said}");
        assert!(
            !said.contains("README.txt") && !said.contains("map.png"),
            "{said}"
        );
        assert!(!said.contains("__MACOSX"), "{said}");
    }
    let said = said(&["load", "outer.zip", "-v", "--store", "other"], 1);
    assert!(
        said.contains(left_out) && said.contains("README.txt"),
        "{said}"
    );
}
