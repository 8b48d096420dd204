//! The only place that opens connections.

use std::io::{self, Read, Write};
use std::time::Duration;

use ureq::http::Response;
use ureq::{Agent, Body, ResponseExt, Timeout};

/// What a feed may weigh, unpacked. The largest system's is 2 MB.
const FEED_LIMIT_BYTES: u64 = 64 << 20;
/// A redirect or two are usual; more is a loop.
const REDIRECTS: u32 = 5;
/// How long a server may keep silent.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a feed may take in all. Archives take what they take.
const FEED_PATIENCE: Duration = Duration::from_secs(60);

/// Tells addresses from paths.
pub fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|s| s.eq_ignore_ascii_case("http") || s.eq_ignore_ascii_case("https"))
}

/// Fetches feeds and archives.
///
/// Follows redirects within http(s), unpacks gzip, honours `HTTPS_PROXY` and its kin, and gives up
/// on a server that keeps silent.
pub struct Client {
    agent: Agent,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// Makes a client; nothing is opened yet.
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .user_agent(concat!("divvy-analyze/", env!("CARGO_PKG_VERSION")))
            .max_redirects(REDIRECTS)
            .http_status_as_error(false)
            .timeout_resolve(Some(PATIENCE))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE));
        Self {
            agent: config.build().into(),
        }
    }

    /// Fetches a feed.
    ///
    /// # Errors
    ///
    /// [`HttpError`], also for a body beyond 64 MiB.
    pub fn get(&self, url: &str) -> Result<Vec<u8>, HttpError> {
        let mut bytes = Vec::new();
        let response = self.open(url, Some(FEED_PATIENCE))?;
        copy(response, &mut bytes, FEED_LIMIT_BYTES, url)?;
        Ok(bytes)
    }

    /// Fetches an archive of at most `limit_bytes` into a file. Returns the name that the address
    /// gives it.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; what has been written to the file is then of no use.
    pub fn download(
        &self,
        url: &str,
        to: &mut impl Write,
        limit_bytes: u64,
    ) -> Result<String, HttpError> {
        let response = self.open(url, None)?;
        let name = name_in(url);
        copy(response, to, limit_bytes, url)?;
        Ok(name)
    }

    fn open(&self, url: &str, patience: Option<Duration>) -> Result<Response<Body>, HttpError> {
        let failed = |error| HttpError::of(url, error);
        let request = self
            .agent
            .get(url)
            .config()
            .timeout_global(patience)
            .build();
        let response = request.call().map_err(failed)?;
        let scheme = response.get_uri().scheme_str();
        if !matches!(scheme, Some("http" | "https")) {
            return Err(HttpError::Redirect { url: url.into() });
        }
        match response.status().as_u16() {
            200..=299 => Ok(response),
            status => Err(HttpError::Status {
                url: url.into(),
                status,
                meaning: meaning(status),
            }),
        }
    }
}

/// Copies a body, up to a limit.
fn copy(
    response: Response<Body>,
    to: &mut impl Write,
    limit_bytes: u64,
    url: &str,
) -> Result<(), HttpError> {
    let mut body = response
        .into_body()
        .into_with_config()
        .limit(u64::MAX)
        .reader();
    let mut block = vec![0; 256 * 1024];
    let mut copied = 0;
    loop {
        let n = match body.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(HttpError::of(url, error.into())),
        };
        copied += n as u64;
        if copied > limit_bytes {
            return Err(HttpError::TooLarge {
                url: url.into(),
                limit_bytes,
            });
        }
        to.write_all(&block[..n])
            .map_err(|source| HttpError::Keep {
                url: url.into(),
                source,
            })?;
    }
}

/// The last part of the path: what a browser would call the download.
fn name_in(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    match path.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => name.into(),
        _ => "download".into(),
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        401 | 403 => "the server does not let us; the address may be misspelt or no longer public",
        404 | 410 => "there is nothing at this address; look for it at the publisher's site",
        429 => "too many requests; wait a little and try again",
        500..=599 => "the server has trouble; try again later",
        _ => "that is no answer with data in it",
    }
}

/// Why an address could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// It is no address.
    #[error("{url} is no address that can be fetched: expected http:// or https:// and a host")]
    Address {
        /// The address.
        url: String,
    },
    /// No such host.
    #[error("{url}: no such host: check the address, and that this machine is online")]
    Host {
        /// The address.
        url: String,
    },
    /// The server does not answer, or stops in the middle.
    #[error("{url}: the server did not answer in time ({during}): try again later")]
    Timeout {
        /// The address.
        url: String,
        /// While doing what.
        during: &'static str,
    },
    /// The connection failed or broke.
    #[error("{url}: the connection failed: {source}")]
    Connection {
        /// The address.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The server is not who it says.
    #[error("{url}: no secure connection: {source}")]
    Tls {
        /// The address.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// It leads elsewhere for ever, or to something that is no web address.
    #[error("{url} leads on and on, or away from the web: check the address in a browser")]
    Redirect {
        /// The address.
        url: String,
    },
    /// The server answers with a status that is not success.
    #[error("{url} answers {status}: {meaning}")]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
        /// What it means.
        meaning: &'static str,
    },
    /// More bytes than such a thing ever has.
    #[error("{url} sends more than {} MiB: that is not what was expected here", limit_bytes >> 20)]
    TooLarge {
        /// The address.
        url: String,
        /// What would have been read.
        limit_bytes: u64,
    },
    /// The download cannot be kept.
    #[error("the download of {url} cannot be kept: {source}")]
    Keep {
        /// The address.
        url: String,
        /// Why.
        source: io::Error,
    },
}

impl HttpError {
    fn of(url: &str, error: ureq::Error) -> Self {
        let url = url.to_owned();
        match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Self::Address { url },
            ureq::Error::HostNotFound => Self::Host { url },
            ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => Self::Redirect { url },
            ureq::Error::Timeout(during) => Self::Timeout {
                url,
                during: match during {
                    Timeout::Resolve => "looking up its name",
                    Timeout::Connect => "connecting",
                    _ => "waiting for data",
                },
            },
            error @ (ureq::Error::Tls(_) | ureq::Error::Rustls(_)) => Self::Tls {
                url,
                source: Box::new(error),
            },
            error => Self::Connection {
                url,
                source: Box::new(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead;
    use std::net::TcpListener;

    /// Serves canned answers on loopback, one a connection; returns the address.
    fn serve(answers: Vec<Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let base = address.clone();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = io::BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let text = String::from_utf8_lossy(&answer).replace("BASE", &base);
                let bytes = if text.contains(&base) {
                    text.into_bytes()
                } else {
                    answer
                };
                stream.write_all(&bytes).unwrap();
            }
        });
        address
    }

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    #[test]
    fn addresses_are_told_from_paths() {
        assert!(is_url("https://gbfs.divvybikes.com/gbfs/gbfs.json"));
        assert!(is_url("HTTP://localhost/"));
        assert!(!is_url("C://temp") && !is_url("feeds/http") && !is_url("ftp://host/file"));
        assert_eq!(name_in("https://host/a/202101.zip?x=1/2#y"), "202101.zip");
        assert_eq!(name_in("https://host"), "download");
    }

    #[test]
    fn redirects_and_gzip_are_followed() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        packer.write_all(b"{\"data\":1}").unwrap();
        let packed = packer.finish().unwrap();
        let url = serve(vec![
            answer("302 Found\r\nLocation: BASE/there", b""),
            answer("200 OK\r\nContent-Encoding: gzip", &packed),
        ]);
        assert_eq!(Client::new().get(&url).unwrap(), b"{\"data\":1}");
    }

    #[test]
    fn every_failure_is_a_sentence() {
        let gone = serve(vec![answer("404 Not Found", b"no")]);
        let error = Client::new().get(&gone).unwrap_err().to_string();
        assert!(error.contains("answers 404: there is nothing"), "{error}");

        let away = serve(vec![answer(
            "302 Found\r\nLocation: file:///etc/passwd",
            b"",
        )]);
        let error = Client::new().get(&away).unwrap_err();
        assert!(!matches!(error, HttpError::Status { .. }), "{error}");

        let large = serve(vec![answer("200 OK", &[b'x'; 2000])]);
        let error = Client::new()
            .download(&large, &mut Vec::new(), 1000)
            .unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { .. }), "{error}");

        let cut = serve(vec![
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec(),
        ]);
        let error = Client::new().get(&cut).unwrap_err();
        assert!(matches!(error, HttpError::Connection { .. }), "{error}");

        let closed = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let error = Client::new().get(&format!("http://{closed}")).unwrap_err();
        assert!(matches!(error, HttpError::Connection { .. }), "{error}");
        assert!(matches!(
            Client::new().get("http://"),
            Err(HttpError::Address { .. })
        ));
    }
}
