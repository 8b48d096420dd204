//! A small server of the metrics, for this computer alone.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::shared::Shared;

/// How long a client may take to send its request and to read the answer.
const MAX_TIME: Duration = Duration::from_secs(2);

/// The longest request that is read.
const MAX_REQUEST_BYTES: usize = 8 * 1024;

/// How many clients are answered at a time.
const MAX_CLIENTS: usize = 64;

/// How often it is looked for a client: a scrape may take that much longer.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Starts to answer requests until the watch ends. Returns the address.
///
/// # Errors
///
/// The port is in use, or there are too few threads.
pub fn start<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    port: u16,
    shared: &'scope Shared<'env>,
) -> anyhow::Result<SocketAddr> {
    let in_use = || format!("cannot serve metrics at port {port}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(in_use)?;
    listener.set_nonblocking(true).with_context(in_use)?;
    let address = listener.local_addr()?;
    let inside = shared.gate.enter();
    let clients = Arc::new(AtomicUsize::new(0));
    thread::Builder::new().spawn_scoped(scope, move || {
        let _inside = inside;
        while shared.gate.goes_on_after(LOOK_EVERY) {
            // All that wait are answered, each by a thread of its own: one that sends nothing delays no other.
            while clients.load(Ordering::Relaxed) < MAX_CLIENTS
                && let Ok((stream, _)) = listener.accept()
            {
                clients.fetch_add(1, Ordering::Relaxed);
                let answered = Arc::clone(&clients);
                let work = move || {
                    // A client may leave before it has its answer.
                    let _ = answer(stream, shared);
                    answered.fetch_sub(1, Ordering::Relaxed);
                };
                if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    // The client has no answer, and asks again.
                    clients.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    })?;
    Ok(address)
}

fn answer(mut stream: TcpStream, shared: &Shared<'_>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(MAX_TIME))?;
    let request = request(&mut stream)?;
    let mut words = request.split(' ');
    let method = words.next().unwrap_or_default();
    let path = words.next().unwrap_or_default();
    let path = path.split('?').next().unwrap_or(path);
    let (status, body) = response(method, path, shared);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    if method != "HEAD" {
        stream.write_all(body.as_bytes())?;
    }
    Ok(())
}

/// Reads the first line of a request, after all of its headers have come.
fn request(stream: &mut TcpStream) -> io::Result<String> {
    let until = Instant::now() + MAX_TIME;
    let mut bytes = Vec::new();
    let mut block = [0; 1024];
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || bytes.len() > MAX_REQUEST_BYTES {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut block)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => bytes.extend_from_slice(&block[..n]),
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn response(method: &str, path: &str, shared: &Shared<'_>) -> (&'static str, String) {
    if !matches!(method, "GET" | "HEAD") {
        return ("405 Method Not Allowed", "expected GET\n".into());
    }
    match path {
        "/metrics" => {
            let mut text = shared.metrics.text();
            if let Some(alarms) = &shared.alarms {
                alarms.write_metrics(&mut text);
            }
            ("200 OK", text)
        }
        "/healthz" => match shared.metrics.stuck() {
            stuck if stuck.is_empty() => ("200 OK", "ok\n".into()),
            stuck => (
                "503 Service Unavailable",
                format!("polls are late: {}\n", stuck.join(", ")),
            ),
        },
        _ => ("404 Not Found", "expected /metrics or /healthz\n".into()),
    }
}
