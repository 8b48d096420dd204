//! A server of station feeds on this machine that misbehaves as a test asks it to.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use xxhash_rust::xxh3::xxh3_64;

/// What the server does. Unless stated otherwise, it concerns the feed with the states alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Serves new states at each request that is not conditional, and for each time of its clock.
    Works,
    /// Serves the previous states, which conditional requests do not get again.
    Unchanged,
    /// Waits before it answers.
    Slow(Duration),
    /// Closes the connection without an answer.
    Silent,
    /// Answers with that status.
    Status(u16),
    /// Answers with that status, and asks for a wait of so many seconds.
    RetrySeconds(u16, u64),
    /// Answers with that status, and asks for a wait until a date, so many seconds ahead.
    RetryDate(u16, u64),
    /// Sends gzip that ends in the middle.
    CutGzip,
    /// Sends fewer bytes than it states.
    CutBody,
    /// Sends gzip of 65 MiB.
    Huge,
    /// Sends a web page with a status of success.
    WebPage,
    /// Redirects to another address with the feed.
    Redirect,
    /// Redirects to itself.
    RedirectLoop,
    /// The time of the feed is so many seconds in the past, and nothing changes.
    Stale(i64),
    /// States change; the time of the feed is that of the last snapshot.
    FrozenClock,
    /// States change; the time of the feed is so many seconds in the past.
    Backwards(i64),
    /// The discovery file names other addresses; nothing is at the previous ones.
    Moved,
    /// There is nothing at any address.
    Gone,
    /// All stations have other ids.
    IdsRenewed,
    /// Lists no station with a state.
    NoStates,
    /// Lists no station, neither with states nor with names.
    NoStations,
    /// The feed with names and positions fails.
    NoInformation,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    /// The time of the server's clock. `None`: that of this computer.
    clock: Option<Timestamp>,
    ttl_s: i64,
    /// The number of versions of the states so far.
    version: u64,
    /// The time of the last states.
    last_updated: i64,
    requests: u64,
}

/// A server that runs until the process ends.
#[derive(Clone, Debug)]
pub struct FeedServer {
    address: String,
    state: Arc<Mutex<State>>,
}

/// The number of stations.
const STATIONS: u64 = 20;

impl FeedServer {
    /// Starts a server, whose feeds have that `ttl`.
    ///
    /// # Panics
    ///
    /// No port is free.
    pub fn start(ttl_s: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let server = Self {
            address: format!("http://{address}"),
            state: Arc::new(Mutex::new(State {
                behaviour: Behaviour::Works,
                clock: None,
                ttl_s,
                version: 0,
                last_updated: 0,
                requests: 0,
            })),
        };
        let own = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                // A client may leave before it has been answered.
                thread::spawn(move || own.answer(stream));
            }
        });
        server
    }

    /// Returns the address of the server, without a path.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the address of the discovery file.
    pub fn url(&self) -> String {
        format!("{}/gbfs.json", self.address)
    }

    /// Changes what the server does.
    pub fn set(&self, behaviour: Behaviour) {
        if behaviour == Behaviour::Huge {
            // Before a request waits for it.
            LazyLock::force(&HUGE);
        }
        self.state().behaviour = behaviour;
    }

    /// Sets the clock of the server, which stands still until the next call.
    pub fn set_clock(&self, now: Timestamp) {
        self.state().clock = Some(now);
    }

    /// Returns the number of requests so far.
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn answer(&self, stream: TcpStream) -> io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().unwrap_or(Ok(String::new()))?;
        let mut if_none_match = None;
        for line in lines {
            let line = line?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("if-none-match")
            {
                if_none_match = Some(value.trim().to_owned());
            }
        }
        let path = request.split(' ').nth(1).unwrap_or("/");
        let answer = {
            let mut state = self.state();
            state.requests += 1;
            state.answer(path, &self.address, if_none_match.as_deref())
        };
        thread::sleep(answer.delay);
        answer.send(stream)
    }
}

/// What is sent.
struct Answer {
    delay: Duration,
    status: u16,
    headers: String,
    body: Vec<u8>,
    /// The length that is stated beyond that of the body.
    missing_bytes: usize,
    is_silent: bool,
}

impl Answer {
    fn of(status: u16, headers: String, body: Vec<u8>) -> Self {
        Self {
            delay: Duration::ZERO,
            status,
            headers,
            body,
            missing_bytes: 0,
            is_silent: false,
        }
    }

    fn status(status: u16) -> Self {
        Self::of(status, String::new(), Vec::new())
    }

    fn redirect(to: &str) -> Self {
        Self::of(302, format!("Location: {to}\r\n"), Vec::new())
    }

    fn send(self, mut stream: TcpStream) -> io::Result<()> {
        if self.is_silent {
            return Ok(());
        }
        let length = self.body.len() + self.missing_bytes;
        write!(
            stream,
            "HTTP/1.1 {} Status\r\n{}Content-Length: {length}\r\nConnection: close\r\n\r\n",
            self.status, self.headers
        )?;
        stream.write_all(&self.body)
    }
}

impl State {
    fn now(&self) -> Timestamp {
        self.clock.unwrap_or_else(Timestamp::now)
    }

    fn answer(&mut self, path: &str, address: &str, if_none_match: Option<&str>) -> Answer {
        let is_moved = self.behaviour == Behaviour::Moved;
        let folder = if is_moved { "/new" } else { "" };
        let name = path.strip_prefix(folder).unwrap_or("");
        let body = match name {
            _ if self.behaviour == Behaviour::Gone => return Answer::status(404),
            "/station_information.json" if self.behaviour == Behaviour::NoInformation => {
                return Answer::status(500);
            }
            "/station_information.json" => self.information(),
            "/station_status.json" => match self.status(path) {
                Ok(body) => body,
                Err(answer) => return *answer,
            },
            "/elsewhere.json" => self.states(0, ""),
            _ if path == "/gbfs.json" => self.discovery(&format!("{address}{folder}")),
            _ => return Answer::status(404),
        };
        let etag = format!("\"{:016x}\"", xxh3_64(body.as_bytes()));
        let headers = format!("ETag: {etag}\r\n");
        if if_none_match == Some(&etag) {
            return Answer::of(304, headers, Vec::new());
        }
        Answer::of(200, headers, body.into_bytes())
    }

    /// Returns the feed with the states, or another answer to a request for it.
    fn status(&mut self, path: &str) -> Result<String, Box<Answer>> {
        use Behaviour::{
            Backwards, CutBody, CutGzip, FrozenClock, Huge, IdsRenewed, NoStates, NoStations,
            Redirect, RedirectLoop, RetryDate, RetrySeconds, Silent, Slow, Stale, Status,
            Unchanged, WebPage,
        };
        let gzip = |body: Vec<u8>| Answer::of(200, "Content-Encoding: gzip\r\n".into(), body);
        let answer = match self.behaviour {
            FrozenClock => {
                self.version += 1;
                return Ok(self.feed(self.last_updated, ""));
            }
            Backwards(seconds) => return Ok(self.states(seconds, "")),
            Stale(seconds) => {
                let made_at = self.now().as_second() - seconds;
                return Ok(self.feed(made_at.min(self.last_updated), ""));
            }
            Unchanged => return Ok(self.feed(self.last_updated, "")),
            IdsRenewed => return Ok(self.states(0, "new-")),
            NoStates | NoStations => {
                let made_at = self.now().as_second();
                return Ok(self.envelope(made_at, std::iter::empty()));
            }
            Slow(delay) => Answer {
                delay,
                ..Answer::of(200, String::new(), self.states(0, "").into_bytes())
            },
            Silent => Answer {
                is_silent: true,
                ..Answer::status(200)
            },
            Status(status) => Answer::status(status),
            RetrySeconds(status, wait) => {
                Answer::of(status, format!("Retry-After: {wait}\r\n"), Vec::new())
            }
            RetryDate(status, wait) => {
                let date = |at: i64| {
                    let at = Timestamp::from_second(at).unwrap_or_default();
                    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&at);
                    text.unwrap_or_default()
                };
                let now = self.now().as_second();
                let until = date(now + wait as i64);
                let headers = format!("Date: {}\r\nRetry-After: {until}\r\n", date(now));
                Answer::of(status, headers, Vec::new())
            }
            CutGzip => {
                let mut whole = packed(self.states(0, "").as_bytes());
                whole.truncate(whole.len() / 2);
                gzip(whole)
            }
            CutBody => Answer {
                missing_bytes: 100,
                ..Answer::of(200, String::new(), self.states(0, "").into_bytes())
            },
            Huge => gzip(HUGE.clone()),
            WebPage => {
                let page = b"<!doctype html><html>Maintenance</html>";
                Answer::of(200, String::new(), page.to_vec())
            }
            Redirect => Answer::redirect("/elsewhere.json"),
            RedirectLoop => Answer::redirect(path),
            _ => return Ok(self.states(0, "")),
        };
        Err(Box::new(answer))
    }

    /// Makes new states of so many seconds ago.
    fn states(&mut self, seconds_ago: i64, prefix: &str) -> String {
        let made_at = self.now().as_second() - seconds_ago;
        self.version += 1;
        self.last_updated = self.last_updated.max(made_at);
        self.feed(made_at, prefix)
    }

    fn feed(&self, made_at: i64, prefix: &str) -> String {
        let station = |n: u64| {
            let bikes = (self.version + n) % 10;
            format!(
                r#"{{"station_id":"{prefix}{n}","num_bikes_available":{bikes},"num_docks_available":{},"is_installed":true,"is_renting":true,"is_returning":true,"last_reported":{made_at}}}"#,
                10 - bikes
            )
        };
        self.envelope(made_at, (0..STATIONS).map(station))
    }

    fn information(&self) -> String {
        if self.behaviour == Behaviour::NoStations {
            return self.envelope(1_700_000_001, std::iter::empty());
        }
        let prefix = match self.behaviour {
            Behaviour::IdsRenewed => "new-",
            _ => "",
        };
        let station = |n: u64| {
            let (latitude, longitude) = (41.88 + n as f64 / 1000.0, -87.63);
            format!(
                r#"{{"station_id":"{prefix}{n}","name":"Station {n}","lat":{latitude:.3},"lon":{longitude:.3},"capacity":10}}"#
            )
        };
        self.envelope(1_700_000_000, (0..STATIONS).map(station))
    }

    fn envelope(&self, made_at: i64, stations: impl Iterator<Item = String>) -> String {
        let stations: Vec<String> = stations.collect();
        format!(
            r#"{{"version":"2.3","last_updated":{made_at},"ttl":{},"data":{{"stations":[{}]}}}}"#,
            self.ttl_s,
            stations.join(",")
        )
    }

    fn discovery(&self, folder: &str) -> String {
        let feeds = ["station_information", "station_status"]
            .map(|name| format!(r#"{{"name":"{name}","url":"{folder}/{name}.json"}}"#));
        format!(
            r#"{{"version":"2.3","last_updated":1700000000,"ttl":{},"data":{{"en":{{"feeds":[{}]}}}}}}"#,
            self.ttl_s,
            feeds.join(",")
        )
    }
}

/// A body that is longer than any feed when it is unpacked.
static HUGE: LazyLock<Vec<u8>> = LazyLock::new(|| packed(&vec![b' '; 65 << 20]));

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes)
        .and_then(|()| gzip.finish())
        .expect("memory takes all bytes")
}
