//! `divvy watch` against a server on this machine: signals, kills, and what is recorded.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command};
use std::time::{Duration, Instant};

use divvy::model::SystemId;
use divvy::store::StatusHistory;
use divvy::store::embedded::EmbeddedStore;
use divvy_testkit::feed_server::{Behaviour, FeedServer};
use futures_executor::block_on;
use jiff::Timestamp;
use serde_json::Value;

use crate::program::{divvy, succeed};

/// A watch that runs.
struct Watching {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Watching {
    fn start(folder: &Path, arguments: &[&str], server: &FeedServer) -> Self {
        let mut command = divvy(folder);
        command.args(["watch", "--every", "1s", "--format", "ndjson"]);
        let mut child = command.args(arguments).arg(server.url()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            stdout,
            stderr,
        }
    }

    fn next_snapshot(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn next_message(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the end. Returns the exit status, the rest of stdout and of stderr, and how long it took.
    fn end(mut self) -> (Option<i32>, String, String, Duration) {
        let start = Instant::now();
        let status = self.child.wait().unwrap();
        let took = start.elapsed();
        let (mut out, mut errors) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.stderr.read_to_string(&mut errors).unwrap();
        (status.code(), out, errors, took)
    }
}

/// Requests a page of a server.
pub fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Returns the compressed files of a recording.
fn bodies(folder: &Path) -> Vec<PathBuf> {
    let mut bodies = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bodies.extend(self::bodies(&path));
        } else if path.extension().is_some_and(|it| it == "zst") {
            bodies.push(path);
        }
    }
    bodies
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_watch_with_totals() {
    let server = FeedServer::start(0);
    for signal in ["-TERM", "-INT"] {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["--record", "recorded", "--metrics", "0"];
        let mut watching = Watching::start(folder.path(), &arguments, &server);
        let address = watching.next_message();
        let address = address.trim().strip_prefix("metrics at http://").unwrap();
        let address = address.strip_suffix("/metrics").unwrap().to_owned();
        assert_eq!(
            watching.next_message(),
            "watching 1 system; Ctrl-C ends it\n"
        );
        let first = watching.next_snapshot();
        assert_eq!(first["system"], "divvy");
        assert_eq!(first["inserted"], 20);
        watching.next_snapshot();
        let metrics = get(&address, "/metrics");
        assert!(
            metrics.contains("divvy_stations{system=\"divvy\"} 20"),
            "{metrics}"
        );
        assert!(get(&address, "/healthz").ends_with("\r\n\r\nok\n"));
        assert!(get(&address, "/").starts_with("HTTP/1.1 404"));

        watching.signal(signal);
        let (code, out, errors, took) = watching.end();
        assert_eq!(code, Some(0), "{errors}");
        // Seconds rather than one, because the machine of the test may be busy.
        assert!(took < Duration::from_secs(4), "{took:?}");
        println!("{signal}: ended after {took:?}");
        assert!(
            out.lines()
                .all(|line| serde_json::from_str::<Value>(line).is_ok())
        );
        let last = errors.lines().last().unwrap();
        assert!(last.starts_with("watched for "), "{errors}");
        assert!(
            last.contains(" 0 failures; 0 polls found nothing new"),
            "{errors}"
        );
        succeed(divvy(folder.path()).arg("check"));
        let stations = ["report", "stations", "--format", "csv"];
        let (stations, _) = succeed(divvy(folder.path()).args(stations));
        assert_eq!(stations.lines().count(), 21);
    }
}

#[cfg(unix)]
#[test]
fn a_second_signal_and_a_slow_server_do_not_delay_the_end() {
    let server = FeedServer::start(0);
    server.set(Behaviour::Slow(Duration::from_secs(20)));
    let folder = tempfile::tempdir().unwrap();
    let mut watching = Watching::start(folder.path(), &[], &server);
    watching.next_message();
    while server.requests() < 3 {
        std::thread::sleep(Duration::from_millis(10));
    }
    watching.signal("-TERM");
    let (code, _, errors, took) = watching.end();
    assert_eq!(code, Some(0), "{errors}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn what_a_watch_cannot_do_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = "http://127.0.0.1:1/gbfs.json";
    for (arguments, message) in [
        (&["stations.json"][..], "divvy poll reads files"),
        (&[url, url][..], "is named twice"),
        (&["--every", "0s", url][..], "expected a time from 1s to 1h"),
        (
            &["--system", "divvy", url, "http://127.0.0.1:1/b"][..],
            "SYSTEM=URL",
        ),
        (&["nowhere=http://127.0.0.1:1/b"][..], "nowhere"),
    ] {
        let output = divvy(folder.path())
            .arg("watch")
            .args(arguments)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(message), "{errors}");
    }
}

/// How often a watch is killed; `DIVVY_KILLS=100` kills it more often.
const KILLS: u64 = 20;

/// The bikes of each station, by id.
type Bikes = BTreeMap<String, u64>;

/// Returns the states in all bodies of a recording, with the time of their feed in seconds: processes that follow
/// one another may record two of a second.
fn recorded_states(folder: &Path) -> Vec<(i64, Bikes)> {
    let mut states = Vec::new();
    for body in bodies(folder) {
        let bytes = zstd::decode_all(File::open(&body).unwrap()).unwrap();
        let feed: Value = serde_json::from_slice(&bytes).unwrap();
        let stations = feed["data"]["stations"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let bikes = stations.iter().filter_map(|station| {
            let bikes = station["num_bikes_available"].as_u64()?;
            Some((station["station_id"].as_str()?.to_owned(), bikes))
        });
        states.push((feed["last_updated"].as_i64().unwrap(), bikes.collect()));
    }
    states
}

/// Checks that the history has each snapshot that was acknowledged by a line on stdout, with the states of a body
/// that was recorded.
fn expect_history(store: &Path, recorded: &Path, acknowledged: &[Timestamp]) {
    let recorded = recorded_states(recorded);
    let store = EmbeddedStore::open(store).unwrap();
    for at in acknowledged {
        let states = block_on(store.as_of(&SystemId::from("divvy"), *at))
            .unwrap()
            .unwrap();
        assert_eq!(states.snapshot.taken_at, *at);
        let bikes: Bikes = states
            .states
            .iter()
            .map(|(id, state)| {
                (
                    id.as_str().to_owned(),
                    state.available.vehicles.unwrap().into(),
                )
            })
            .collect();
        let of_time = recorded
            .iter()
            .filter(|(made_at, _)| *made_at == at.as_second());
        assert!(
            of_time.into_iter().any(|(_, body)| *body == bikes),
            "{at}: {bikes:?}"
        );
    }
}

#[test]
fn a_watch_killed_at_any_moment_leaves_a_sound_store_and_whole_bodies() {
    let server = FeedServer::start(0);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut snapshots = 0;
    let kills = std::env::var("DIVVY_KILLS").map_or(KILLS, |n| n.parse().unwrap());
    let mut acknowledged = Vec::new();
    for kill in 0..kills {
        let mut watching = Watching::start(folder, &["--record", "recorded"], &server);
        // Moments spread over the first polls, without an order.
        let moment = Duration::from_millis(150 + kill * 677 % 1_400);
        std::thread::sleep(moment);
        watching.child.kill().unwrap();
        let (_, out, errors, _) = watching.end();
        snapshots += out.lines().count();
        let lines = out
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let accepted = lines.filter(|line| line["outcome"] == "accepted");
        acknowledged.extend(accepted.map(|line| {
            line["taken_at"]
                .as_str()
                .unwrap()
                .parse::<Timestamp>()
                .unwrap()
        }));
        assert!(!errors.contains("panicked"), "{errors}");
        if folder.join("divvy-data").exists() {
            succeed(divvy(folder).arg("check"));
        }
        for body in bodies(&folder.join("recorded")) {
            let bytes = zstd::decode_all(File::open(&body).unwrap()).unwrap();
            serde_json::from_slice::<Value>(&bytes).unwrap();
        }
    }
    println!("{snapshots} snapshots before {kills} kills");
    assert!(snapshots > 0 && !acknowledged.is_empty());
    expect_history(
        &folder.join("divvy-data"),
        &folder.join("recorded"),
        &acknowledged,
    );
    // The next watch mends the manifest and leaves nothing half written.
    let mut watching = Watching::start(folder, &["--record", "recorded"], &server);
    watching.next_snapshot();
    watching.child.kill().unwrap();
    watching.end();
    let manifest = std::fs::read_to_string(folder.join("recorded/manifest.ndjson")).unwrap();
    let whole = manifest.rsplit_once('\n').unwrap().0;
    for line in whole.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(
            folder
                .join("recorded")
                .join(line["file"].as_str().unwrap())
                .exists()
        );
    }
}
