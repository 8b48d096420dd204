//! The program on an emulated DynamoDB in another process: it is killed while it loads, and its
//! requests fail in the ways that the service documents.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use throttling_dynamodb::{Emulator, Options};

/// Kills, spread evenly over the duration of a load and a little more.
const KILLS: u32 = 50;
const TRIPS: &str = "1500";

/// Makes a command on a store, without credentials in its environment.
fn divvy(folder: &Path, store: &str) -> Command {
    let mut command = crate::program::divvy(folder);
    command
        .env_clear()
        .env("HOME", folder)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("DIVVY_STORE", store);
    command
}

fn succeed(folder: &Path, store: &str, arguments: &[&str]) -> (String, String) {
    crate::program::succeed(divvy(folder, store).args(arguments))
}

fn serve<T>(test: impl FnOnce(&str) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let local = Emulator::open(Options {
        scratch: true,
        ..Options::default()
    });
    let serving = runtime.block_on(local.unwrap().serve()).unwrap();
    test(&format!(
        "dynamodb://t?region=us-east-1&endpoint=http://{}",
        serving.addr
    ))
}

fn stored(summary: &str) -> u64 {
    let summary: Value = serde_json::from_str(summary).unwrap();
    summary[0]["stored"].as_u64().unwrap()
}

#[test]
fn a_load_killed_at_any_moment_is_finished_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (seed, name) in [("1", "first.zip"), ("2", "second.zip")] {
        let sample = [
            "sample", "--trips", TRIPS, "--era", "2020", "--seed", seed, name,
        ];
        succeed(folder, "none", &sample);
    }
    serve(|store| {
        let start = Instant::now();
        let json = ["load", "--format", "json"];
        let (first, _) = succeed(folder, store, &[&json[..], &["first.zip"]].concat());
        let whole = start.elapsed();
        let first = stored(&first);

        let mut landed = 0;
        for kill in 0..KILLS {
            let mut load = divvy(folder, store)
                .args(["load", "second.zip"])
                .spawn()
                .unwrap();
            std::thread::sleep(whole * kill / KILLS + Duration::from_millis(5));
            let _ = load.kill();
            landed += u32::from(!load.wait().unwrap().success());
        }
        // Each load continues the one that was killed before it, so that the last ones find the
        // archive loaded.
        assert!(
            landed >= 3,
            "{landed} of {KILLS} loads were killed before they ended"
        );
        let (second, output) = succeed(folder, store, &[&json[..], &["second.zip"]].concat());
        assert!(!output.to_lowercase().contains("throttl"), "{output}");
        let (checked, _) = succeed(folder, store, &["check"]);
        let all = first + stored(&second);
        assert!(
            checked.contains(&format!("{all} trips"))
                || checked.contains("trips, each stored once"),
            "{checked}"
        );

        succeed(folder, store, &["refresh"]);
        let (counts, _) = succeed(
            folder,
            store,
            &["report", "from-counts", "--format", "json"],
        );
        let counts: Vec<Value> = serde_json::from_str(&counts).unwrap();
        let counted: u64 = counts
            .iter()
            .map(|row| row["from_count"].as_u64().unwrap())
            .sum();
        let (quality, _) = succeed(folder, store, &["report", "quality", "--format", "json"]);
        let quality: Vec<Value> = serde_json::from_str(&quality).unwrap();
        let of = |name: &str| -> u64 { quality.iter().filter_map(|row| row[name].as_u64()).sum() };
        assert_eq!(of("stored"), all);
        assert_eq!(counted, all - of("no_origin"));
    });
}

/// Starts a service that gives the same answer to every request. Returns the store's name.
fn always(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 65536];
            let _ = stream.read(&mut request);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: \
                 {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    format!("dynamodb://t?region=us-east-1&endpoint=http://{address}")
}

#[test]
fn every_refusal_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let refusal = |store: &str| {
        let mut report = divvy(folder, store);
        let output = report.args(["report", "stations"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let output = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.lines().count(), 1, "{output}");
        output.trim_end().to_owned()
    };
    insta::assert_snapshot!(refusal("dynamodb://t"), @"divvy: no AWS region: name it in the store (dynamodb://PREFIX?region=us-east-2), in AWS_REGION, or in the profile");
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = refusal(&format!(
        "dynamodb://t?region=us-east-1&endpoint=http://{address}"
    ));
    insta::assert_snapshot!(output.replace(&address.to_string(), "[address]"), @"divvy: describe t-StationData: the connection was refused: check the host and the port of the endpoint");
    insta::assert_snapshot!(refusal(&always(
        "400 Bad Request",
        r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token included in the request is invalid."}"#,
    )), @"divvy: describe t-StationData: AWS rejects these credentials: check that the access key is right and active");
    insta::assert_snapshot!(refusal(&always(
        "400 Bad Request",
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#AccessDeniedException","Message":"User: arn:aws:iam::123456789012:user/ann is not authorized to perform: dynamodb:DescribeTable on resource: arn:aws:dynamodb:us-east-1:123456789012:table/t-StationData because no identity-based policy allows the dynamodb:DescribeTable action"}"#,
    )), @"divvy: describe t-StationData: these credentials may not call dynamodb:DescribeTable on arn:aws:dynamodb:us-east-1:123456789012:table/t-StationData: grant it, or use others");
    insta::assert_snapshot!(refusal(&always(
        "200 OK",
        r#"{"Table":{"TableName":"t-StationData","TableStatus":"DELETING"}}"#,
    )), @"divvy: t-StationData is being deleted: wait until it is gone, or name another prefix");
    insta::assert_snapshot!(refusal(&always(
        "400 Bad Request",
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"Requested resource not found"}"#,
    )), @"divvy: there is no store in dynamodb://t: load an archive first (divvy load FILE.zip), or try divvy demo");
}

#[test]
fn a_load_that_costs_too_much_is_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sample = ["sample", "--trips", "2000", "--era", "2020", "first.zip"];
    succeed(folder, "none", &sample);
    serve(|store| {
        let endpoint = store.rsplit_once("endpoint=").unwrap().1;
        // As on AWS itself: the name has no endpoint.
        let load = |most: &str| {
            let mut load = divvy(folder, "dynamodb://t?region=us-east-1");
            load.env("AWS_ENDPOINT_URL", endpoint);
            load.args(["load", "first.zip", "--max-cost", most])
                .output()
                .unwrap()
        };
        let refused = load("0.001");
        let output = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{output}");
        insta::assert_snapshot!(output.trim_end(), @r"
        first.zip: 2,000 trips as rows, on demand: 4,000 write units, 1 s, less than a cent
        divvy: $0.0032 in all is more than --max-cost 0.001: raise it, or see divvy plan for other ways
        nothing was stored: the tables that were created for it are deleted
        ");
        let allowed = load("0.01");
        let output = String::from_utf8(allowed.stderr).unwrap();
        assert!(allowed.status.success(), "{output}");
    });
}

#[test]
fn a_store_on_dynamodb_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sample = [
        "sample", "--trips", "300", "--era", "2016", "--seed", "1", "a.zip",
    ];
    succeed(folder, "none", &sample);
    serve(|store| {
        succeed(folder, store, &["load", "a.zip"]);
        // No process reads the stream here: the counts are missing.
        let would = ["check", "--repair", "--dry-run"];
        let (output, used) = succeed(folder, store, &would);
        assert!(
            output.contains("missing counts of stations made"),
            "{output}"
        );
        assert!(
            used.contains(" read units and 0 write units used"),
            "{used}"
        );
        assert_eq!(succeed(folder, store, &would).0, output);
        let repair = ["check", "--repair", "--format", "json"];
        let repaired: Value = serde_json::from_str(&succeed(folder, store, &repair).0).unwrap();
        assert_eq!(repaired["done"].as_array().unwrap().len(), 1, "{repaired}");
        let (output, _) = succeed(folder, store, &would);
        assert_eq!(output, "✓ nothing to repair\n");
        let (checked, _) = succeed(folder, store, &["check"]);
        assert!(!checked.contains("wait for"), "{checked}");
    });
}
