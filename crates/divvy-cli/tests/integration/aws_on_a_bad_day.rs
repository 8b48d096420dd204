//! What the program says where the AWS configuration, the address, the credentials or the tables are not as they
//! should be: one sentence each, with what was found and what to do.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use throttling_dynamodb::{Emulator, Options};

/// Makes a command with nothing in its environment but a home.
fn divvy(folder: &Path) -> Command {
    let mut command = crate::program::divvy(folder);
    command
        .env_clear()
        .env("HOME", folder)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// Returns what a command prints that fails with exit status 2, in one line.
fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    errors.trim_end().to_owned()
}

const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    (
        "AWS_SECRET_ACCESS_KEY",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    ),
];
const STORE: &str = "dynamodb://t?region=us-east-2";

#[test]
fn a_profile_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let report = ["report", "stations", "--store", STORE];
    let mut refusals = vec![refusal(
        divvy(folder).env("AWS_PROFILE", "nope").args(report),
    )];
    std::fs::create_dir(folder.join(".aws")).unwrap();
    let config = folder.join(".aws/config");
    std::fs::write(
        &config,
        "[profile ann]\nregion = us-east-2\n[default]\nregion = us-east-1\n",
    )
    .unwrap();
    refusals.push(refusal(
        divvy(folder).env("AWS_PROFILE", "nope").args(report),
    ));
    // Without a region in the name of the store.
    let nowhere = ["report", "stations", "--store", "dynamodb://t"];
    refusals.push(refusal(
        divvy(folder).env("AWS_PROFILE", "nope").args(nowhere),
    ));
    // A profile without credentials.
    refusals.push(refusal(
        divvy(folder).env("AWS_PROFILE", "ann").args(nowhere),
    ));
    refusals.push(refusal(divvy(folder).args(report)));
    std::fs::write(&config, "[profile ann\nregion = us-east-2\n").unwrap();
    refusals.push(refusal(divvy(folder).args(report)));
    refusals.push(refusal(divvy(folder).args(nowhere)));
    let refusals = refusals
        .join("\n")
        .replace(&folder.display().to_string(), "[home]");
    insta::assert_snapshot!(refusals, @r#"
    divvy: AWS_PROFILE is "nope", and the AWS configuration has no profile at all: name another, or make it (aws configure --profile nope)
    divvy: AWS_PROFILE is "nope", and the AWS configuration has the profiles ann, default: name another, or make it (aws configure --profile nope)
    divvy: AWS_PROFILE is "nope", and the AWS configuration has the profiles ann, default: name another, or make it (aws configure --profile nope)
    divvy: describe t-StationData: no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or sign in (aws sso login)
    divvy: describe t-StationData: no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or sign in (aws sso login)
    divvy: the AWS configuration cannot be read (error parsing [home]/.aws/config on line 1: Profile definition must end with ']'): correct the file, or name others in AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE
    divvy: the AWS configuration cannot be read (error parsing [home]/.aws/config on line 1: Profile definition must end with ']'): correct the file, or name others in AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE
    "#);
}

/// Starts a service that sends the same bytes to each connection. Returns its address.
fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 65536];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(bytes);
        }
    });
    address.to_string()
}

#[test]
fn a_scheme_that_is_not_that_of_the_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |scheme: &str, bytes: &'static [u8]| {
        let address = answering(bytes);
        let store = format!("dynamodb://t?region=us-east-2&endpoint={scheme}://{address}");
        let started = std::time::Instant::now();
        let refused = refusal(divvy(folder.path()).args(["report", "stations", "--store", &store]));
        assert!(started.elapsed().as_secs() < 5, "it is not tried again");
        refused
    };
    let plain = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    // An alert of TLS: unexpected_message.
    let alert = b"\x15\x03\x03\x00\x02\x02\x0a";
    // What nginx answers.
    let nginx = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\ncontent-length: 58\r\nconnection: close\r\n\r\n\
                  The plain HTTP request was sent to HTTPS port............\n";
    let refusals = [
        refused("https", plain),
        refused("http", alert),
        refused("http", nginx),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @r"
    divvy: describe t-StationData: the server at the endpoint does not use https: write http:// in the endpoint, or another port
    divvy: describe t-StationData: the server at the endpoint does not use http: write https:// in the endpoint, or another port
    divvy: describe t-StationData: the server at the endpoint is not DynamoDB (its answer is HTTP 400): check the endpoint
    ");
}

#[test]
fn credentials_and_regions_that_are_wrong_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let expired = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: \
                   128\r\nconnection: close\r\n\r\n{\"__type\":\"com.amazon.coral.service#ExpiredTokenException\",\
                   \"message\":\"The security token included in the request is expired\"}   ";
    let address = answering(expired.as_bytes());
    let store = format!("dynamodb://t?region=us-east-2&endpoint=http://{address}");
    let report = |store: &str| {
        let mut report = divvy(folder.path());
        report.args(["report", "stations", "--store", store]);
        report
    };
    let refusals = [
        refusal(report(&store).envs(KEYS)),
        refusal(&mut report(STORE)),
        refusal(report("dynamodb://t?region=us-esat-2").envs(KEYS)),
        refusal(report("dynamodb://t?region=us%20east").envs(KEYS)),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    divvy: describe t-StationData: the AWS credentials have expired: sign in again (aws sso login) or get new ones
    divvy: describe t-StationData: no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or sign in (aws sso login)
    divvy: describe t-StationData: no host of the name dynamodb.us-esat-2.amazonaws.com can be found: check the endpoint, the region and the network
    divvy: "us%20east" is no name of an AWS region: expected one such as us-east-2, in the store (dynamodb://PREFIX?region=us-east-2), in AWS_REGION, or in the profile
    "#);
}

/// Lets a command reach an emulator under a name that is not of this machine.
fn far<T>(test: impl FnOnce(&dyn Fn() -> Command) -> T) -> T {
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
    let folder = tempfile::tempdir().unwrap();
    test(&|| {
        let mut command = divvy(folder.path());
        command
            .envs(KEYS)
            .env("AWS_ACCOUNT_ID", "123456789012")
            .env("HTTP_PROXY", format!("http://{}", serving.addr))
            .env(
                "DIVVY_STORE",
                "dynamodb://t?region=us-east-2&endpoint=http://dynamodb.test",
            );
        command
    })
}

#[test]
fn tables_in_aws_are_made_on_request() {
    far(|divvy| {
        crate::program::succeed(divvy().args(["demo", "--trips", "500", "--store", "divvy-data"]));
        let sample = ["sample", "--trips", "200", "--era", "2020", "a.zip"];
        crate::program::succeed(divvy().env("DIVVY_STORE", "none").args(sample));
        let feed = "divvy-demo/feed";
        let refusals = [
            refusal(divvy().args(["load", "a.zip"])),
            refusal(divvy().args(["poll", feed])),
            refusal(divvy().args(["report", "stations"])),
            refusal(divvy().args(["poll", feed, "--store", "folder", "--create-tables"])),
            refusal(divvy().args(["load", "a.zip", "--store", "folder", "--create-tables"])),
        ];
        insta::assert_snapshot!(refusals.join("\n"), @r"
        divvy: t-StationData, t-TripData, t-FromStationCounts, t-LoadLedger are missing in us-east-2 (http://dynamodb.test), account 123456789012: add --create-tables and divvy creates them there, or deploy the stack of infra/ first
        divvy: t-StationData, t-TripData, t-FromStationCounts, t-LoadLedger are missing in us-east-2 (http://dynamodb.test), account 123456789012: add --create-tables and divvy creates them there, or deploy the stack of infra/ first
        divvy: there is no store in dynamodb://t: load an archive first (divvy load FILE.zip), or try divvy demo
        divvy: --create-tables is for stores on DynamoDB, and folder is a folder
        divvy: --create-tables is for stores on DynamoDB, and folder is a folder
        ");
        let (_, made) = crate::program::succeed(divvy().args(["poll", feed, "--create-tables"]));
        assert!(
            made.contains(
                "refreshed by the Lambda of the stack where it is deployed, else by divvy refresh"
            ),
            "{made}"
        );
        let (_, loaded) = crate::program::succeed(divvy().args([
            "load",
            "a.zip",
            "--warm",
            "4500",
            "--max-cost",
            "2",
        ]));
        let lines: Vec<&str> = loaded.lines().take(2).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        a.zip: 200 trips as rows, on demand: 400 write units, 0 s, $0.65
        t-TripData and its index are warmed for 4500 write units a second, which may take some minutes
        ");
        let sample = [
            "sample", "--trips", "200", "--seed", "9", "--era", "2020", "b.zip",
        ];
        crate::program::succeed(divvy().env("DIVVY_STORE", "none").args(sample));
        let dear = refusal(divvy().args(["load", "b.zip", "--warm", "9000", "--quiet"]));
        insta::assert_snapshot!(dear, @"divvy: $5.8505 in all is more than --max-cost 1: raise it, or see divvy plan for other ways");
    });
}
