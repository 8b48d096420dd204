//! How many write units a second the writer gets onto the way, on the real clock: an on-demand
//! table that is warm for 40,000, played by a server on a loopback port that answers a batch after
//! 5 to 10 ms.
//!
//! ```sh
//! cargo run -p divvy-aws --example fill -- --seconds 20
//! ```

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use divvy_aws::connect::{ConnectOptions, Connection};
use divvy_aws::pace::{PacedTable, Write, Writer};
use divvy_aws::tables::{Described, Grant, Granted, Layout};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Write units a second that the table is warm for.
const WARM: f64 = 40_000.0;

/// Connections, as the server sees them.
#[derive(Default)]
struct Seen {
    connections: AtomicU64,
    batches: AtomicU64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seconds = args.iter().position(|arg| arg == "--seconds");
    let seconds = seconds.and_then(|place| args.get(place + 1));
    let seconds: u64 = seconds.map_or(Ok(20), |text| text.parse())?;
    // A runtime each, as two machines have: neither waits for the other's work.
    let seen = Arc::new(Seen::default());
    let server = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let listener = server.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    server.spawn(serve(listener, Arc::clone(&seen)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    println!(
        "| bytes of an item | WCU a second | of 40,000 | batches a second | connections | WCU a \
         second of CPU, the server's included |\n|---|---|---|---|---|---|"
    );
    for bytes in [250, 3_900] {
        let before = (
            seen.batches.load(Ordering::Relaxed),
            seen.connections.load(Ordering::Relaxed),
        );
        let cpu_before_s = cpu_s();
        let used = runtime.block_on(fill(&endpoint, bytes, Duration::from_secs(seconds)))?;
        let rate = used / seconds as f64;
        println!(
            "| {bytes} | {rate:.0} | {:.2} | {:.0} | {} | {:.0} |",
            rate / WARM,
            (seen.batches.load(Ordering::Relaxed) - before.0) as f64 / seconds as f64,
            seen.connections.load(Ordering::Relaxed) - before.1,
            used / (cpu_s() - cpu_before_s),
        );
    }
    server.shutdown_background();
    Ok(())
}

/// Seconds of CPU that this process has had; 0 where the system does not report it.
fn cpu_s() -> f64 {
    /// What Linux counts in, on every machine it runs on today.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may hold anything: state, then eleven numbers, then the two wanted.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rest.split_whitespace().skip(11).take(2);
    let ticks = ticks.filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_A_SECOND
}

/// Writes for so long. Returns the units of the table that the service charged.
async fn fill(endpoint: &str, bytes: usize, time: Duration) -> Result<f64, Box<dyn Error>> {
    let connection = Connection::open(ConnectOptions {
        region: Some("us-east-1".into()),
        endpoint: Some(endpoint.into()),
        ..ConnectOptions::default()
    });
    let grant = Grant {
        rate: WARM,
        ceiling: WARM,
        burst: false,
    };
    let granted = Granted {
        write: grant,
        read: grant,
    };
    let described = Described {
        name: "TripData".into(),
        table: granted,
        index: Some(granted),
        on_demand: true,
        index_shape: divvy_aws::tables::IndexShape::Counted,
        items: 0,
        bytes: 0,
        layout: Layout::Rows,
        stream: None,
        arn: None,
    };
    let client = connection.await?.dynamo;
    let table = Arc::new(PacedTable::new(client, &described, 1.0));
    let mut writer = Writer::new(Arc::clone(&table), 0);
    let start = Instant::now();
    let mut n = 0;
    while start.elapsed() < time {
        let batch = (0..writer.batch_size()).map(|place| item(n + place as u64, bytes));
        let batch: Vec<Write> = batch.map(Write::Put).collect();
        n += batch.len() as u64;
        writer.write(batch).await?;
    }
    let used = table.used().write;
    writer.finish().await?;
    Ok(used)
}

fn item(n: u64, bytes: usize) -> HashMap<String, AttributeValue> {
    let text = |text: String| AttributeValue::S(text);
    HashMap::from([
        ("trip_id".to_owned(), text(n.to_string())),
        ("from_station_id".to_owned(), text((n % 580).to_string())),
        ("block".to_owned(), text("x".repeat(bytes))),
    ])
}

async fn serve(listener: TcpListener, seen: Arc<Seen>) {
    while let Ok((stream, _)) = listener.accept().await {
        seen.connections.fetch_add(1, Ordering::Relaxed);
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let service = service_fn(|request| answer(request, &seen));
            // A client that went away.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Takes a batch, and returns what it cost: every item its bytes, every entry of the index one unit.
async fn answer(
    request: Request<Incoming>,
    seen: &Seen,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let batch = seen.batches.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(5 + batch % 6)).await;
    let items = count(&body, b"\"PutRequest\"");
    let each = (body.len() / items.max(1)).saturating_sub(100);
    let table = items * each.div_ceil(1024).max(1);
    let answer = format!(
        r#"{{"UnprocessedItems":{{}},"ConsumedCapacity":[{{"TableName":"TripData","CapacityUnits":{},"Table":{{"CapacityUnits":{table}}},"GlobalSecondaryIndexes":{{"from_station_id-index":{{"CapacityUnits":{items}}}}}}}]}}"#,
        table + items
    );
    let mut response = Response::new(Full::new(Bytes::from(answer)));
    let json = hyper::header::HeaderValue::from_static("application/x-amz-json-1.0");
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, json);
    Ok(response)
}

/// Counts how often a word stands in some bytes.
fn count(bytes: &[u8], word: &[u8]) -> usize {
    bytes
        .windows(word.len())
        .filter(|some| *some == word)
        .count()
}
