//! A server of a webhook on this machine that fails as a test asks it to.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How the server answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// With that status.
    Status(u16),
    /// With that status, and the request to wait for so many seconds.
    RetrySeconds(u16, u64),
    /// Not at all, after that time.
    Hangs(Duration),
    /// By closing the connection at once.
    Closes,
}

/// A request that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How it was answered.
    pub reply: Reply,
}

impl Received {
    /// Returns the value of a header. `None` where it was not sent.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns whether it was answered with a status of success.
    pub fn is_taken(&self) -> bool {
        matches!(self.reply, Reply::Status(200..=299))
    }
}

#[derive(Debug)]
struct State {
    /// The replies to the next requests.
    next: VecDeque<Reply>,
    /// The reply to all requests after these.
    then: Reply,
    received: Vec<Received>,
}

/// A server that runs until the process ends.
#[derive(Clone, Debug)]
pub struct WebhookServer {
    address: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl WebhookServer {
    /// Starts a server that takes all requests.
    ///
    /// # Panics
    ///
    /// No port is free.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let state = State {
            next: VecDeque::new(),
            then: Reply::Status(204),
            received: Vec::new(),
        };
        let server = Self {
            address: format!("http://{address}"),
            state: Arc::new((Mutex::new(state), Condvar::new())),
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

    /// Returns the address of the webhook. It has a key, which is not to be printed.
    pub fn url(&self) -> String {
        format!("{}/hooks/path-secret?key=query-secret", self.address)
    }

    /// Sets the replies to the next requests, and to all after them.
    pub fn reply(&self, next: &[Reply], then: Reply) {
        let mut state = self.state();
        state.next = next.iter().copied().collect();
        state.then = then;
    }

    /// Returns the requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.state().received.clone()
    }

    /// Waits until the received requests satisfy a condition, and returns them.
    ///
    /// # Panics
    ///
    /// They do not satisfy it within a minute.
    pub fn wait_for(&self, is_enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        const AT_MOST: Duration = Duration::from_secs(60);
        let until = Instant::now() + AT_MOST;
        let mut state = self.state();
        while !is_enough(&state.received) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "not received in time: {:?}",
                state.received
            );
            let waited = self.state.1.wait_timeout(state, left);
            state = waited.expect("no holder of this lock panics").0;
        }
        state.received.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().expect("no holder of this lock panics")
    }

    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            // A process that is killed while it sends leaves a part of a request, which is none.
            if reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let reply = {
            let mut state = self.state();
            let reply = state.next.pop_front().unwrap_or(state.then);
            state.received.push(Received {
                headers,
                body,
                reply,
            });
            reply
        };
        self.state.1.notify_all();
        let (status, retry_after) = match reply {
            Reply::Status(status) => (status, String::new()),
            Reply::RetrySeconds(status, wait) => (status, format!("Retry-After: {wait}\r\n")),
            Reply::Hangs(time) => {
                thread::sleep(time);
                return Ok(());
            }
            Reply::Closes => return Ok(()),
        };
        write!(
            stream,
            "HTTP/1.1 {status} Status\r\n{retry_after}Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
    }
}
