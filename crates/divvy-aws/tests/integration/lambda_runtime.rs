//! The real Lambda binaries, driven through the Runtime API on loopback, on the emulator.

use std::convert::Infallible;
use std::error::Error;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lambda_events::dynamodb::Event;
use divvy::ingest::{self, LoadOptions, PollOptions};
use divvy::model::System;
use divvy::refresh;
use divvy::sample::{self, Era, Sample};
use divvy::sources::archive::Archive;
use divvy::store::embedded::EmbeddedStore;
use divvy::store::{CountsTable, FromStationCount, StationTable, Store, TotalsReader};
use divvy_aws::item::{Item, of_event, to_event};
use divvy_aws::stream::{Checkpoints, StreamReader};
use divvy_aws::{DynamoStore, OpenOptions};
use divvy_testkit::inputs::published;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use throttling_dynamodb::{Emulator, Options, Server};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

type Done = Result<(), Box<dyn Error>>;

/// The service from which a Lambda gets invocations, and to which it posts responses:
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.
struct Runtime {
    address: String,
    invocations: mpsc::Sender<(String, Duration)>,
    /// What was posted: the last part of the path, and the body.
    answers: mpsc::Receiver<(String, Value)>,
}

struct Lines {
    waiting: Mutex<mpsc::Receiver<(String, Duration)>>,
    answers: mpsc::Sender<(String, Value)>,
}

impl Runtime {
    async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (invocations, waiting) = mpsc::channel(8);
        let (answered, answers) = mpsc::channel(8);
        let lines = Arc::new(Lines {
            waiting: Mutex::new(waiting),
            answers: answered,
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let lines = lines.clone();
                let service = service_fn(move |request| serve(request, lines.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self {
            address,
            invocations,
            answers,
        })
    }

    /// Starts a binary as Lambda does, with no environment variables but those given.
    fn lambda(&self, binary: &str, told: &[(&str, &str)]) -> std::io::Result<Lambda> {
        let child = Command::new(binary)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", &self.address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "test")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .envs(told.iter().copied())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Lambda(child))
    }

    /// Invokes the Lambda. Returns the kind of its result, `response` or `error`, and the result.
    async fn invoke(&mut self, event: Value, time: Duration) -> (String, Value) {
        self.invoke_with_body(&event.to_string(), time).await
    }

    /// The same with any body.
    async fn invoke_with_body(&mut self, body: &str, time: Duration) -> (String, Value) {
        let asked = self.invocations.send((body.to_owned(), time)).await;
        asked.expect("the runtime lives");
        let answer = tokio::time::timeout(MINUTE, self.answers.recv()).await;
        let answer = answer.expect("the Lambda answers");
        answer.expect("the runtime lives")
    }
}

async fn serve(
    request: Request<Incoming>,
    lines: Arc<Lines>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if request.method() == Method::GET && path.ends_with("/runtime/invocation/next") {
        let next = lines.waiting.lock().await.recv().await;
        let Some((event, time)) = next else {
            return std::future::pending().await;
        };
        let end = SystemTime::now() + time;
        let end = end.duration_since(SystemTime::UNIX_EPOCH);
        let end_ms = end.expect("the clock is right").as_millis();
        let answer = Response::builder()
            .header("Lambda-Runtime-Aws-Request-Id", "8476a536")
            .header("Lambda-Runtime-Deadline-Ms", end_ms.to_string())
            .header("Lambda-Runtime-Invoked-Function-Arn", "arn:test")
            .header("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7")
            .body(Full::new(Bytes::from(event)));
        return Ok(answer.expect("headers are right"));
    }
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let kind = path.rsplit('/').next().unwrap_or_default().to_owned();
    let said = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let _ = lines.answers.send((kind, said)).await;
    let mut accepted = Response::new(Full::new(Bytes::new()));
    *accepted.status_mut() = StatusCode::ACCEPTED;
    Ok(accepted)
}

/// A running Lambda; it ends with the test.
struct Lambda(Child);

impl Lambda {
    /// Ends the process. Returns its log.
    fn log(mut self) -> String {
        let _ = self.0.kill();
        let mut log = String::new();
        if let Some(mut stdout) = self.0.stdout.take() {
            let _ = std::io::Read::read_to_string(&mut stdout, &mut log);
        }
        log
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An emulator that listens on a port, with a store.
struct Emulated {
    store: DynamoStore,
    endpoint: String,
    _serving: Server,
}

impl Emulated {
    async fn start() -> Result<Self, Box<dyn Error>> {
        let serving = Emulator::open(Options::default())?.serve().await?;
        let endpoint = format!("http://{}", serving.addr);
        let options = OpenOptions {
            prefix: "test".into(),
            region: Some("us-east-1".into()),
            endpoint: Some(endpoint.clone()),
            ..OpenOptions::default()
        };
        Ok(Self {
            store: DynamoStore::open(options).await?,
            endpoint,
            _serving: serving,
        })
    }

    fn environment<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let told = [
            ("DIVVY_TABLE_PREFIX", "test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
        ];
        told.into_iter().chain(more.iter().copied()).collect()
    }

    /// Reads the stream from its beginning, as the events of Lambda.
    async fn events(&self, size: usize) -> Result<Vec<Event>, Box<dyn Error>> {
        let arn = self.store.tables().station_data.stream.clone();
        let streams = self.store.connection().streams.clone();
        let mut reader = StreamReader::new(streams, Checkpoints::start(arn.unwrap_or_default()));
        let mut events = Vec::new();
        loop {
            let read = reader.read(size).await?;
            if read.is_empty() {
                return Ok(events);
            }
            let mut event = Event::default();
            event.records = read.into_iter().map(|delivery| delivery.record).collect();
            events.push(event);
        }
    }

    async fn counts(&self) -> Result<Vec<FromStationCount>, Box<dyn Error>> {
        Ok(self.store.counts(&divvy().id).await?)
    }
}

fn divvy() -> System {
    System::named("divvy").expect("a known system")
}

/// An archive, and a folder with a feed.
struct City {
    archive: PathBuf,
    feed: PathBuf,
    now: Timestamp,
    /// The folder of an invented archive.
    _folder: Option<tempfile::TempDir>,
}

const ERA: Era = Era::Y2024;

impl City {
    fn invented() -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let sample = Sample {
            era: ERA,
            trips: 2000,
            seed: 7,
        };
        let archive = folder.path().join(ERA.archive_name());
        sample.write_zip(std::fs::File::create(&archive)?, &mut |_| {})?;
        let now = Timestamp::now();
        let feed = folder.path().join("feed");
        std::fs::create_dir(&feed)?;
        for (name, bytes) in sample::feed(ERA, 7, now) {
            std::fs::write(feed.join(name), bytes)?;
        }
        Ok(Self {
            archive,
            feed,
            now,
            _folder: Some(folder),
        })
    }

    /// Returns Divvy's trips of January 2021, and its feed of four years later. `None`, with a line on
    /// standard error, where they are missing.
    fn real() -> Result<Option<Self>, Box<dyn Error>> {
        let archive = published("trips/divvy/202101-divvy-tripdata.zip");
        let feed = published("feeds/gbfs/divvy_2.3_2025-01-29");
        let (Some(archive), Some(feed)) = (archive, feed) else {
            return Ok(None);
        };
        Ok(Some(Self {
            archive,
            feed,
            now: "2025-01-30T00:00:00Z".parse()?,
            _folder: None,
        }))
    }

    async fn load(&self, store: &dyn Store) -> Done {
        let archive = Archive::open(&self.archive)?;
        let options = LoadOptions {
            system: Some(divvy()),
            ..LoadOptions::new(self.now)
        };
        ingest::load(&archive, store, &options, &(), &()).await?;
        Ok(())
    }

    async fn poll(&self, store: &dyn Store) -> Done {
        let feed = self.feed.display().to_string();
        let options = PollOptions {
            system: Some(divvy()),
            ..PollOptions::new(self.now)
        };
        ingest::poll(&[feed], store, &options).await?;
        Ok(())
    }
}

/// Returns ids and counts, without the times at which they were refreshed.
fn numbers(counts: &[FromStationCount]) -> Vec<(String, u64)> {
    let number = |count: &FromStationCount| (count.from_station_id.to_string(), count.from_count);
    counts.iter().map(number).collect()
}

fn failed_at(answer: &Value) -> Option<&str> {
    let failures = answer["batchItemFailures"].as_array()?;
    assert!(failures.len() <= 1, "{answer}");
    failures.first()?["itemIdentifier"].as_str()
}

const STATION_STREAM: &str = env!("CARGO_BIN_EXE_station-stream");
const SCHEDULED_POLL: &str = env!("CARGO_BIN_EXE_scheduled-poll");
const SCHEDULED_REFRESH: &str = env!("CARGO_BIN_EXE_scheduled-refresh");
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn counts_follow_the_stream_through_the_real_lambda() -> Done {
    let city = City::invented()?;
    for trips_come_first in [true, false] {
        flow(&city, trips_come_first).await?;
    }
    Ok(())
}

/// Trips and feed use different ids for one station.
#[tokio::test(flavor = "multi_thread")]
async fn counts_of_a_real_month_are_those_of_the_embedded_store_trips_first() -> Done {
    match City::real()? {
        Some(city) => flow(&city, true).await,
        None => Ok(()),
    }
}

/// Trips and feed use different ids for one station.
#[tokio::test(flavor = "multi_thread")]
async fn counts_of_a_real_month_are_those_of_the_embedded_store_stations_first() -> Done {
    match City::real()? {
        Some(city) => flow(&city, false).await,
        None => Ok(()),
    }
}

/// Puts trips and stations into both stores, in one order or the other; then passes the stream to the
/// Lambda twice.
async fn flow(city: &City, trips_come_first: bool) -> Done {
    let emulated = Emulated::start().await?;
    let folder = tempfile::tempdir()?;
    let embedded = EmbeddedStore::open(folder.path())?;
    for store in [&emulated.store as &dyn Store, &embedded] {
        if trips_come_first {
            city.load(store).await?;
            city.poll(store).await?;
        } else {
            city.poll(store).await?;
            city.load(store).await?;
        }
    }
    let mut runtime = Runtime::start().await?;
    let lambda = runtime.lambda(STATION_STREAM, &emulated.environment(&[]))?;
    let events = emulated.events(100).await?;
    assert!(events.len() > 1);
    for event in &events {
        let (kind, answer) = runtime.invoke(serde_json::to_value(event)?, MINUTE).await;
        let outcome = (kind.as_str(), failed_at(&answer));
        assert_eq!(outcome, ("response", None), "{answer}");
    }
    let counts = emulated.counts().await?;
    refresh::drain(&embedded, refresh::CONSUMER, city.now).await?;
    let expected = embedded.counts(&divvy().id).await?;
    assert_eq!(numbers(&counts), numbers(&expected));
    assert!(counts.iter().any(|count| count.from_count > 0));

    // Records that are delivered twice, or late, change nothing, not even `refreshed_at`.
    for event in events.iter().rev() {
        let (_, answer) = runtime.invoke(serde_json::to_value(event)?, MINUTE).await;
        assert_eq!(failed_at(&answer), None, "{answer}");
    }
    assert_eq!(emulated.counts().await?, counts);

    let log = lambda.log();
    let lines: Result<Vec<Value>, _> = log.lines().map(serde_json::from_str).collect();
    let lines = lines?;
    let (first, again) = lines.split_at(events.len());
    assert_eq!(again.len(), events.len(), "a line an invocation");
    let total = |lines: &[Value], name: &str| -> f64 {
        lines.iter().filter_map(|line| line[name].as_f64()).sum()
    };
    assert_eq!(total(again, "recounts"), 0.0);
    for (name, lines) in [("first", first), ("again", again)] {
        println!(
            "{name}: {} records, {} recounts, {} skipped, {} read units",
            total(lines, "records"),
            total(lines, "recounts"),
            total(lines, "skipped"),
            total(lines, "read_units"),
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_done_up_to_its_time_and_what_cannot_be_read_is_logged() -> Done {
    let city = City::invented()?;
    let emulated = Emulated::start().await?;
    city.load(&emulated.store).await?;
    let mut runtime = Runtime::start().await?;
    let lambda = runtime.lambda(STATION_STREAM, &emulated.environment(&[]))?;
    let mut event = emulated.events(1000).await?.remove(0);
    event.records.truncate(10);
    let number = |event: &Event, n: usize| event.records[n].change.sequence_number.clone();

    // The deadline is past from the start: nothing is done, and all records are delivered again.
    let late = runtime.invoke(serde_json::to_value(&event)?, Duration::ZERO);
    let (kind, answer) = late.await;
    assert_eq!(kind, "response");
    assert_eq!(failed_at(&answer), number(&event, 0).as_deref());
    assert_eq!(emulated.counts().await?, []);

    let mut poisoned = event.clone();
    poisoned.records[4].change.new_image = to_event(&Item::new());
    let (kind, answer) = runtime
        .invoke(serde_json::to_value(&poisoned)?, MINUTE)
        .await;
    assert_eq!(kind, "response");
    // It would never be readable: Lambda must not deliver it again.
    assert_eq!(failed_at(&answer), None);
    let all = event.records.iter().map(|record| {
        let keys = of_event(&record.change.keys);
        keys["station_id"].as_s().cloned().unwrap_or_default()
    });
    let mut others: Vec<String> = all.collect();
    others.remove(4);
    others.sort();
    let counts = emulated.counts().await?;
    let ids = counts.iter().map(|count| count.from_station_id.to_string());
    assert_eq!(ids.collect::<Vec<_>>(), others);

    // The same records again, readable: the station is counted.
    let (_, answer) = runtime.invoke(serde_json::to_value(&event)?, MINUTE).await;
    assert_eq!(failed_at(&answer), None);
    assert_eq!(emulated.counts().await?.len(), 10);
    // The log ends the function.
    let log = lambda.log();
    assert!(
        log.contains("station_id: expected a text, found nothing"),
        "{log}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daily_refresh_counts_what_the_stream_has_missed() -> Done {
    let city = City::invented()?;
    let emulated = Emulated::start().await?;
    city.load(&emulated.store).await?;
    assert_eq!(emulated.counts().await?, []);
    let mut runtime = Runtime::start().await?;
    let lambda = runtime.lambda(SCHEDULED_REFRESH, &emulated.environment(&[]))?;
    let event = json!({"source": "aws.scheduler"});
    let (kind, answer) = runtime.invoke(event.clone(), MINUTE).await;
    assert_eq!(kind, "response", "{answer}");
    let counted = emulated.counts().await?;
    let totals = emulated.store.totals(&divvy().id).await?;
    for count in &counted {
        let departures = totals.stations.departures(&count.from_station_id);
        assert_eq!(count.from_count, departures);
    }
    assert!(!counted.is_empty());

    // Nothing is outdated, and no time is left.
    let (kind, _) = runtime.invoke(event.clone(), MINUTE).await;
    assert_eq!(kind, "response");
    let (kind, _) = runtime.invoke(event, Duration::ZERO).await;
    assert_eq!(kind, "response");
    let log = lambda.log();
    assert!(log.contains(r#""is_complete":true"#));
    assert!(log.contains(r#""is_complete":false"#));
    assert_eq!(emulated.counts().await?, counted);
    Ok(())
}

/// The schedule of a new stack begins at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_daily_refresh_of_empty_tables_is_no_failure() -> Done {
    let emulated = Emulated::start().await?;
    let mut runtime = Runtime::start().await?;
    let _lambda = runtime.lambda(SCHEDULED_REFRESH, &emulated.environment(&[]))?;
    let (kind, answer) = runtime.invoke(json!({}), MINUTE).await;
    assert_eq!(kind, "response", "{answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_brings_stations_up_to_the_feed() -> Done {
    let city = City::invented()?;
    let emulated = Emulated::start().await?;
    let mut runtime = Runtime::start().await?;
    let feed = city.feed.display().to_string();
    let told = [("DIVVY_FEED_URL", feed.as_str()), ("DIVVY_SYSTEM", "divvy")];
    let lambda = runtime.lambda(SCHEDULED_POLL, &emulated.environment(&told))?;
    let event = json!({"source": "aws.events", "detail-type": "Scheduled Event"});
    let (kind, answer) = runtime.invoke(event.clone(), MINUTE).await;
    assert_eq!(kind, "response", "{answer}");
    assert!(!emulated.store.stations(&divvy().id).await?.is_empty());

    std::fs::remove_dir_all(&feed)?;
    let (kind, answer) = runtime.invoke(event, MINUTE).await;
    assert_eq!(kind, "error", "{answer}");
    let message = answer["errorMessage"].to_string();
    assert!(message.contains(&feed), "{answer}");
    assert_eq!(answer["errorType"], "FeedUnreachable");
    let log = lambda.log();
    assert_eq!(log.lines().count(), 2);
    let failed = log.lines().last().unwrap_or_default();
    expect_failure_line(failed, &answer)
}

/// Asserts that a log line has the metric `failures` and the error of the answer.
fn expect_failure_line(line: &str, answer: &Value) -> Done {
    let line: Value = serde_json::from_str(line)?;
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(
        directive["Metrics"],
        json!([{"Name": "failures", "Unit": "Count"}])
    );
    let dimensions = json!([["system", "prefix", "function"]]);
    assert_eq!(directive["Dimensions"], dimensions);
    assert_eq!(line["failures"], 1);
    assert_eq!(line["prefix"], "test");
    assert_eq!(line["error_type"], answer["errorType"]);
    assert_eq!(line["error"], answer["errorMessage"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_no_event_is_one_log_line_and_a_clean_error() -> Done {
    let city = City::invented()?;
    let emulated = Emulated::start().await?;
    city.poll(&emulated.store).await?;
    let feed = city.feed.display().to_string();
    let told = [("DIVVY_FEED_URL", feed.as_str()), ("DIVVY_SYSTEM", "divvy")];
    let mut seen = Vec::new();
    for (binary, body) in [
        (STATION_STREAM, r#"{"source":"aws.events"}"#),
        (STATION_STREAM, r#"{"Records":[{"eventID":1}]}"#),
        (STATION_STREAM, "not json"),
        (STATION_STREAM, ""),
        (SCHEDULED_POLL, "{"),
    ] {
        let mut runtime = Runtime::start().await?;
        let lambda = runtime.lambda(binary, &emulated.environment(&told))?;
        let (kind, answer) = runtime.invoke_with_body(body, MINUTE).await;
        assert_eq!(
            (kind.as_str(), &answer["errorType"]),
            ("error", &json!("InvalidPayload"))
        );
        seen.push(
            answer["errorMessage"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        );
        // The function lives on.
        let next = match binary {
            SCHEDULED_POLL => json!({"source": "aws.events"}),
            _ => json!({"Records": []}),
        };
        let (kind, answer_of_next) = runtime.invoke(next, MINUTE).await;
        assert_eq!(kind, "response", "{answer_of_next}");
        let log = lambda.log();
        assert_eq!(log.lines().count(), 2, "{log}");
        expect_failure_line(log.lines().next().unwrap_or_default(), &answer)?;
    }
    insta::assert_snapshot!(seen.join("\n"), @r"
    the payload of the invocation is not an event of a DynamoDB stream: missing field `Records` at line 1 column 23
    the payload of the invocation is not an event of a DynamoDB stream: invalid type: integer `1`, expected a string at line 1 column 24
    the payload of the invocation is not an event of a DynamoDB stream: expected ident at line 1 column 2
    the payload of the invocation is not an event of a DynamoDB stream: EOF while parsing a value at line 1 column 0
    the payload of the invocation is not JSON: EOF while parsing an object at line 1 column 1
    ");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_fails_is_one_log_line_and_a_clean_error() -> Done {
    let emulated = Emulated::start().await?;
    let folder = tempfile::tempdir()?;
    let malformed = folder.path().join("stations.json");
    std::fs::write(&malformed, "{\"stationBeanList\":")?;
    let malformed = malformed.display().to_string();
    let city = City::invented()?;
    let whole = city.feed.display().to_string();
    let nobody = TcpListener::bind("127.0.0.1:0").await?;
    let down = format!("http://{}/gbfs.json", nobody.local_addr()?);
    drop(nobody);
    // The last one while the ledger is missing.
    let feeds = [
        (down.as_str(), "FeedUnreachable"),
        (malformed.as_str(), "InvalidFeed"),
        (whole.as_str(), "StoreUnreachable"),
    ];
    for (feed, error_type) in feeds {
        let told = [("DIVVY_FEED_URL", feed), ("DIVVY_SYSTEM", "divvy")];
        let mut runtime = Runtime::start().await?;
        let lambda = runtime.lambda(SCHEDULED_POLL, &emulated.environment(&told))?;
        let event = json!({"source": "aws.events"});
        if error_type == "StoreUnreachable" {
            // The function has described the tables.
            let (kind, answer) = runtime.invoke(event.clone(), MINUTE).await;
            assert_eq!(kind, "response", "{answer}");
            let client = &emulated.store.connection().retrying;
            let ledger = &emulated.store.tables().ledger.name;
            client.delete_table().table_name(ledger).send().await?;
        }
        let (kind, answer) = runtime.invoke(event, MINUTE).await;
        assert_eq!(
            (kind.as_str(), &answer["errorType"]),
            ("error", &json!(error_type))
        );
        let log = lambda.log();
        let last = log.lines().last().unwrap_or_default();
        expect_failure_line(last, &answer)?;
    }
    Ok(())
}

/// Returns the output of a binary that cannot start.
fn last_words(binary: &str, told: &[(&str, &str)]) -> Result<String, Box<dyn Error>> {
    let output = Command::new(binary)
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(told.iter().copied())
        .output()?;
    assert!(!output.status.success());
    Ok(String::from_utf8(output.stderr)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lambda_that_cannot_begin_says_why_in_one_line() -> Done {
    let nobody = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", nobody.local_addr()?);
    drop(nobody);
    let emulator = Emulator::open(Options::default())?.serve().await?;
    let empty = format!("http://{}", emulator.addr);
    let region = ("AWS_REGION", "us-east-1");
    let feed = ("DIVVY_FEED_URL", "https://example.com/gbfs.json");
    let said = [
        last_words(STATION_STREAM, &[])?,
        last_words(STATION_STREAM, &[region])?,
        last_words(STATION_STREAM, &[region, ("AWS_ENDPOINT_URL", &address)])?,
        last_words(STATION_STREAM, &[region, ("AWS_ENDPOINT_URL", &empty)])?,
        last_words(SCHEDULED_POLL, &[region])?,
        last_words(SCHEDULED_POLL, &[region, feed, ("DIVVY_SYSTEM", "nowhere")])?,
    ];
    for said in &said {
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    insta::assert_snapshot!(said.concat(), @r#"
    no AWS region: name it in the store (dynamodb://PREFIX?region=us-east-2), in AWS_REGION, or in the profile
    describe StationData: no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or sign in (aws sso login)
    describe StationData: the connection was refused: check the host and the port of the endpoint
    there are no tables without a prefix: deploy the stack first
    DIVVY_FEED_URL is not set: it says which feed to poll
    DIVVY_SYSTEM: no system is called "nowhere": expected one of divvy, citibike, capitalbikeshare, bluebikes, baywheels, biketown, ecobici, santander, pronto, indego, metro, toronto, bixi, mibici, or ID@Area/City for any other, such as velov@Europe/Paris
    "#);
    Ok(())
}
