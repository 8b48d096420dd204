//! The only place that opens connections: feeds into memory, archives onto disk.

mod pace;
mod public;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use flate2::read::{GzDecoder, MultiGzDecoder};
use ureq::http::{Response, Uri};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body};

use self::pace::{LEAST_BYTES_A_SECOND, Paced, TooSlow};
use self::public::{NotPublic, PublicOnly};

/// No feed is longer: the largest system's takes some 2 MiB.
pub const MOST_FEED_BYTES: u64 = 64 * 1024 * 1024;

/// How often a server may send us elsewhere.
const MOST_REDIRECTS: u32 = 5;

/// How long a server may keep silent, and how long a feed may take in all.
const PATIENCE: Duration = Duration::from_secs(30);

const BLOCK: usize = 256 * 1024;

/// Tells whether a text is an address for [`Client`] rather than a path.
pub fn is_url(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {problem}")]
pub struct HttpError {
    /// What was asked for.
    pub url: String,
    /// What went wrong.
    pub problem: Problem,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Not an address.
    #[error("this is no address of the web: write http:// or https://, a host and a path")]
    BadUrl,
    /// The name of the host has no meaning.
    #[error("no host of that name can be found: check the address and the network")]
    NoSuchHost,
    /// Nobody listens there.
    #[error("the host refuses connections: check the address, or try again later")]
    Refused,
    /// The network does not lead there, or the connection broke.
    #[error("the connection failed ({0}): try again")]
    Connection(io::Error),
    /// Silence.
    #[error("no answer in time: try again later")]
    Timeout,
    /// A byte now and then.
    #[error(
        "fewer than {LEAST_BYTES_A_SECOND} bytes a second come, which is given up: try again later"
    )]
    TooSlow,
    /// The host lies in a network that may not be asked.
    #[error("{host} is {address}, which is no address of the public internet: it is not asked")]
    NotPublic {
        /// The name or number of the host.
        host: String,
        /// What it stands for.
        address: IpAddr,
    },
    /// Encryption failed.
    #[error(
        "no secure connection can be made ({0}): check the address, the clock of this computer \
         and the certificate of the host"
    )]
    Tls(String),
    /// The server answers, but not with the file.
    #[error("the server answers {status}: {}", meaning(*.status))]
    Status {
        /// The number, 404 for example.
        status: u16,
    },
    /// More bytes than anything of ours has.
    #[error("the answer is longer than {} MiB and is not read: check the address", .most_bytes >> 20)]
    TooLarge {
        /// What would have been read.
        most_bytes: u64,
    },
    /// A redirect to an address that we do not follow.
    #[error("the server sends us to an address that is not followed ({0})")]
    Redirect(String),
    /// Redirects in a circle.
    #[error("the server sends us on more than {MOST_REDIRECTS} times: check the address")]
    TooManyRedirects,
    /// Not HTTP, or damaged on the way.
    #[error("the answer makes no sense ({0}): check the address, or try again")]
    Answer(String),
    /// The disk does not take it.
    #[error("the download cannot be saved: {0}")]
    Save(io::Error),
}

fn meaning(status: u16) -> &'static str {
    match status {
        206 => "that is a part of the file, and the whole was asked for; try again",
        401 | 407 => "a password is needed",
        // S3 denies what does not exist.
        403 => "access denied; the file may not exist, or is not public",
        404 | 410 => "there is no such file; check the address",
        408 | 429 => "too many requests; wait some minutes",
        500..=599 => "the server has failed; try again later",
        _ => "this is not the file; check the address",
    }
}

/// Fetches over HTTP: compressed where the server can, following redirects within http and https.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    patience: Duration,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// Makes a client. It keeps connections open between requests; its clones share them.
    pub fn new() -> Self {
        Self::with_patience(PATIENCE, false)
    }

    /// Makes a client that asks hosts of the public internet alone, on redirects too: for programs
    /// that follow addresses which others have written, from inside a network of their own. It
    /// asks no proxy, which would look hosts up in its place.
    pub fn public_only() -> Self {
        Self::with_patience(PATIENCE, true)
    }

    fn with_patience(patience: Duration, public_only: bool) -> Self {
        let config = Agent::config_builder()
            .user_agent(concat!("divvy/", env!("CARGO_PKG_VERSION")))
            .max_redirects(MOST_REDIRECTS)
            .timeout_resolve(Some(patience))
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience));
        let connector = DefaultConnector::default();
        let agent = match public_only {
            true => {
                let config = config.proxy(None).build();
                Agent::with_parts(config, connector, PublicOnly::default())
            }
            false => Agent::with_parts(config.build(), connector, DefaultResolver::default()),
        };
        Self { agent, patience }
    }

    /// Fetches a feed, of at most 64 MiB unpacked.
    ///
    /// # Errors
    ///
    /// [`HttpError`]. What the bytes are is for their reader to tell: servers send web pages with
    /// a status of success.
    pub fn get(&self, url: &str) -> Result<Vec<u8>, HttpError> {
        let fetch = || {
            let request = self
                .agent
                .get(parse(url)?)
                .header("accept-encoding", "gzip");
            let request = request.config().timeout_global(Some(self.patience)).build();
            let response = checked(request.call())?;
            let is_packed = is_packed(&response);
            let body = Paced::new(response.into_body().into_reader(), self.patience);
            let mut bytes = Vec::new();
            let keep = |block: &[u8]| {
                bytes.extend_from_slice(block);
                Ok(())
            };
            match is_packed {
                true => copy(MultiGzDecoder::new(body), MOST_FEED_BYTES, keep)?,
                false => copy(body, MOST_FEED_BYTES, keep)?,
            }
            Ok(bytes)
        };
        fetch().map_err(|problem| HttpError {
            url: url.into(),
            problem,
        })
    }

    /// Fetches an archive of at most `most_bytes` into a file, and returns the name that the
    /// address gives it: its last part. However long that takes, as long as bytes keep coming.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; the file then holds what came until then.
    pub fn download(&self, url: &str, to: &mut File, most_bytes: u64) -> Result<String, HttpError> {
        let mut fetch = || {
            let uri = parse(url)?;
            let name = file_name(&uri);
            let request = self.agent.get(uri).header("accept-encoding", "identity");
            let response = checked(request.call())?;
            let is_packed = is_packed(&response);
            let body = Paced::new(response.into_body().into_reader(), self.patience);
            let save = |block: &[u8]| to.write_all(block).map_err(Problem::Save);
            match is_packed {
                true => copy(as_published(body, &name)?, most_bytes, save)?,
                false => copy(body, most_bytes, save)?,
            }
            Ok(name)
        };
        fetch().map_err(|problem| HttpError {
            url: url.into(),
            problem,
        })
    }
}

fn parse(url: &str) -> Result<Uri, Problem> {
    let uri: Uri = url.parse().map_err(|_| Problem::BadUrl)?;
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    if is_url(url) && has_host {
        Ok(uri)
    } else {
        Err(Problem::BadUrl)
    }
}

/// Takes an answer that is the file.
fn checked(answer: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, Problem> {
    let response = answer.map_err(problem)?;
    let status = response.status();
    // 203 comes from a proxy between. Others of success are no file, or a part of one (206).
    if matches!(status.as_u16(), 200 | 203) {
        return Ok(response);
    }
    Err(Problem::Status {
        status: status.as_u16(),
    })
}

/// Tells whether a server labels the body as packed. It does so even where that was not asked for.
fn is_packed(response: &Response<Body>) -> bool {
    let label = response.headers().get("content-encoding");
    let label = label.and_then(|label| label.to_str().ok()).map(str::trim);
    label.is_some_and(|label| {
        ["gzip", "x-gzip"]
            .iter()
            .any(|gzip| label.eq_ignore_ascii_case(gzip))
    })
}

/// Undoes the packing of an archive that was put on for the way, and only that.
///
/// Servers label two things as packed: what they have just packed, although it was to come as it
/// is; and a file that is gzip itself, stored with that label, as many a `trips.csv.gz` is. The
/// latter is saved packed, as browsers do: unpacked it would be another archive than the same one
/// downloaded by hand. So under a name in `.gz` the body is the file, unless a gzip is packed in it.
fn as_published<'a>(mut body: impl Read + 'a, name: &str) -> Result<Box<dyn Read + 'a>, Problem> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let mut head = Vec::new();
    let taken = body.by_ref().take(BLOCK as u64).read_to_end(&mut head);
    taken.map_err(broke_off)?;
    let mut inside = [0; GZIP.len()];
    let is_read = GzDecoder::new(&head[..]).read_exact(&mut inside).is_ok();
    let is_gzip_itself = name.to_ascii_lowercase().ends_with(".gz") && !(is_read && inside == GZIP);
    let body = io::Cursor::new(head).chain(body);
    Ok(match is_gzip_itself {
        true => Box::new(body),
        false => Box::new(MultiGzDecoder::new(body)),
    })
}

/// Takes a body to its end, of at most `most_bytes`.
fn copy(
    mut body: impl Read,
    most_bytes: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut block = vec![0; BLOCK];
    let mut bytes = 0;
    loop {
        match body.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                bytes += n as u64;
                if bytes > most_bytes {
                    return Err(Problem::TooLarge { most_bytes });
                }
                take(&block[..n])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broke_off(error)),
        }
    }
}

/// Tells what broke while the body came.
fn broke_off(error: io::Error) -> Problem {
    problem(ureq::Error::from(error))
}

fn problem(error: ureq::Error) -> Problem {
    use ureq::Error;
    match error {
        Error::StatusCode(status) => Problem::Status { status },
        Error::HostNotFound => Problem::NoSuchHost,
        Error::Timeout(_) => Problem::Timeout,
        Error::BodyExceedsLimit(most_bytes) => Problem::TooLarge { most_bytes },
        Error::TooManyRedirects => Problem::TooManyRedirects,
        // The first address has been looked at, so this one came from a server.
        Error::BadUri(detail) => Problem::Redirect(detail),
        Error::Protocol(ureq_problem) => match ureq_problem.to_string() {
            detail if detail.contains("location header") => Problem::Redirect(detail),
            detail => Problem::Answer(detail),
        },
        Error::Rustls(error) => Problem::Tls(error.to_string()),
        Error::Tls(detail) => Problem::Tls(detail.into()),
        Error::Io(error) => io_problem(error),
        other => Problem::Answer(other.to_string()),
    }
}

fn io_problem(error: io::Error) -> Problem {
    let error = match error.downcast::<NotPublic>() {
        Ok(NotPublic { host, address }) => return Problem::NotPublic { host, address },
        Err(error) => error,
    };
    if error.get_ref().is_some_and(|cause| cause.is::<TooSlow>()) {
        return Problem::TooSlow;
    }
    const NO_SUCH_HOST_WINDOWS: i32 = 11_001;
    let says = error.to_string();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Problem::Refused,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Problem::Timeout,
        // The encryption speaks through the stream that it encrypts.
        io::ErrorKind::InvalidData => Problem::Tls(says),
        // So does the unpacking.
        io::ErrorKind::InvalidInput => Problem::Answer(says),
        // The standard library has no kind for this one.
        _ if says.contains("lookup address")
            || error.raw_os_error() == Some(NO_SUCH_HOST_WINDOWS) =>
        {
            Problem::NoSuchHost
        }
        _ => Problem::Connection(error),
    }
}

/// Takes the last part of an address for a file name, or the host where there is none.
fn file_name(uri: &Uri) -> String {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let bytes = percent_decoded(last.as_bytes());
    let name: String = String::from_utf8_lossy(&bytes)
        .chars()
        .map(|c| {
            if c.is_control() || matches!(c, '/' | '\\') {
                '_'
            } else {
                c
            }
        })
        .collect();
    match name.as_str() {
        "" | "." | ".." => uri.host().unwrap_or("download").to_owned(),
        _ => name,
    }
}

/// Undoes `%20` and the like (RFC 3986, 2.1); what is not hexadecimal stays.
fn percent_decoded(mut text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        let hex = match rest {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        bytes.push(hex.map_or(*first, |(high, low)| (high * 16 + low) as u8));
        text = if hex.is_some() { &rest[2..] } else { rest };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Seek};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    /// Answers each connection with the next text, then closes it. Returns the address.
    fn server(answers: Vec<Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                read_request(&stream);
                let _ = stream.write_all(&answer);
            }
        });
        address
    }

    fn read_request(stream: &TcpStream) {
        let lines = BufReader::new(stream).lines();
        for line in lines.map_while(Result::ok) {
            if line.is_empty() {
                return;
            }
        }
    }

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    fn client() -> Client {
        Client::with_patience(Duration::from_millis(300), false)
    }

    /// The problem that an answer is.
    fn problem_with(answers: Vec<Vec<u8>>) -> String {
        let address = server(answers);
        client().get(&address).unwrap_err().problem.to_string()
    }

    #[test]
    fn a_feed_comes_plain_packed_and_through_redirects() {
        let feed = b"{\"last_updated\":1}";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(feed).unwrap();
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n12\r\n{\"last_updated\":1}\r\n0\r\n\r\n";
        let elsewhere = server(vec![answer("200 OK", feed)]);
        let address = server(vec![
            answer("200 OK", feed),
            answer("200 OK\r\ncontent-encoding: gzip", &gzip.finish().unwrap()),
            chunked.to_vec(),
            answer("302 Found\r\nlocation: /other", b""),
            answer("200 OK", feed),
            answer(&format!("301 Moved\r\nlocation: {elsewhere}/feed"), b""),
        ]);
        for _ in 0..5 {
            assert_eq!(client().get(&address).unwrap(), feed);
        }
    }

    #[test]
    fn a_download_is_named_by_its_address() {
        let bytes: Vec<u8> = (0..600_000_u32).map(|n| n as u8).collect();
        let address = server(vec![answer("200 OK", &bytes)]);
        let mut file = tempfile::tempfile().unwrap();
        let url = format!("{address}/tripdata/202004%20divvy.zip?versionId=7#top");
        let name = client().download(&url, &mut file, 1 << 20).unwrap();
        assert_eq!(name, "202004 divvy.zip");
        let mut saved = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut saved).unwrap();
        assert!(saved == bytes);
    }

    #[test]
    fn a_download_is_the_file_that_was_published() {
        let gzip = |bytes: &[u8]| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(bytes).unwrap();
            gzip.finish().unwrap()
        };
        let (table, zip) = (
            &b"ride_id,rideable_type\n"[..],
            &b"PK\x03\x04 and so on"[..],
        );
        let packed = gzip(table);
        for (name, body, published) in [
            ("trips.csv.gz", packed.clone(), &packed[..]),
            ("trips.csv.gz", gzip(&packed), &packed),
            ("trips.csv", packed.clone(), table),
            ("trips.zip", gzip(zip), zip),
        ] {
            let address = server(vec![answer("200 OK\r\nContent-Encoding: gzip", &body)]);
            let mut file = tempfile::tempfile().unwrap();
            let url = format!("{address}/{name}");
            client().download(&url, &mut file, 1 << 20).unwrap();
            let mut saved = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut saved).unwrap();
            assert!(saved == published, "{name}");
        }
    }

    #[test]
    fn names_from_addresses() {
        let name = |url: &str| file_name(&url.parse().unwrap());
        assert_eq!(name("https://host/a/b.csv.gz"), "b.csv.gz");
        assert_eq!(name("https://host"), "host");
        assert_eq!(name("https://host/a/"), "host");
        assert_eq!(name("https://host/a/%2e%2E"), "host");
        assert_eq!(name("https://host/%2fetc%2Fpasswd%00"), "_etc_passwd_");
        assert_eq!(name("https://host/50%25%zz%"), "50%%zz%");
    }

    #[test]
    fn addresses_and_paths() {
        for url in ["http://a/b", "HTTPS://a", "http://"] {
            assert!(is_url(url), "{url}");
        }
        for path in [
            "http",
            "httpd/x.zip",
            "./http://",
            "ftp://a/b",
            "",
            "hütte://",
        ] {
            assert!(!is_url(path), "{path}");
        }
    }

    #[test]
    fn each_failure_is_one_sentence() {
        let status = |status: &str| vec![answer(status, b"<html>Sorry</html>")];
        let redirect = |to: &str| answer(&format!("302 Found\r\nlocation: {to}"), b"");
        let too_long = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 65 << 20);
        let too_long = [too_long.as_bytes(), &vec![b' '; 65 << 20]].concat();
        let sentences = [
            problem_with(status("403 Forbidden")),
            problem_with(status("404 Not Found")),
            problem_with(status("429 Slow Down")),
            problem_with(status("503 Service Unavailable")),
            problem_with(status("304 Not Modified")),
            problem_with(status("206 Partial Content")),
            problem_with(vec![b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()]),
            problem_with(vec![redirect("ftp://host/trips.zip")]),
            problem_with(vec![redirect("/round"); 10]),
            problem_with(vec![
                b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_vec(),
            ]),
            problem_with(vec![b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()]),
            problem_with(vec![b"".to_vec()]),
            problem_with(vec![answer(
                "200 OK\r\ncontent-encoding: gzip",
                b"not gzip at all",
            )]),
            // 65 MiB take longer than the others.
            Client::new()
                .get(&server(vec![too_long]))
                .unwrap_err()
                .problem
                .to_string(),
        ];
        insta::assert_snapshot!(sentences.join("\n"), @r#"
    the server answers 403: access denied; the file may not exist, or is not public
    the server answers 404: there is no such file; check the address
    the server answers 429: too many requests; wait some minutes
    the server answers 503: the server has failed; try again later
    the server answers 304: this is not the file; check the address
    the server answers 206: that is a part of the file, and the whole was asked for; try again
    the server answers 204: this is not the file; check the address
    the server sends us to an address that is not followed (unknown scheme: ftp)
    the server sends us on more than 5 times: check the address
    the connection failed (Peer disconnected): try again
    the answer makes no sense (http parse fail: invalid HTTP version): check the address, or try again
    the connection failed (Peer disconnected): try again
    the answer makes no sense (invalid gzip header): check the address, or try again
    the answer is longer than 64 MiB and is not read: check the address
    "#);
    }

    #[test]
    fn hosts_that_cannot_be_had() {
        let get = |url: &str| client().get(url).unwrap_err().to_string();
        // A label this long is no name for any resolver, so none is asked.
        let no_name = format!("http://{}.invalid/", "x".repeat(70));
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let refusing = format!("http://{}/", taken.local_addr().unwrap());
        drop(taken);
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = (format!("http://{}/", silent.local_addr().unwrap()), silent);
        let plain = server(vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]);
        let sentences = [
            get(&no_name).replace(&no_name, "NO-NAME"),
            get(&refusing).replace(&refusing, "REFUSING"),
            get(&silent.0).replace(&silent.0, "SILENT"),
            get(&plain.replace("http:", "https:")).replace(&plain[5..], "PLAIN"),
            get("http://"),
            get("stations.json"),
            get("http://white space/"),
        ];
        insta::assert_snapshot!(sentences.join("\n"), @r#"
    NO-NAME: no host of that name can be found: check the address and the network
    REFUSING: the host refuses connections: check the address, or try again later
    SILENT: no answer in time: try again later
    https:PLAIN: no secure connection can be made (received corrupt message of type InvalidContentType): check the address, the clock of this computer and the certificate of the host
    http://: this is no address of the web: write http:// or https://, a host and a path
    stations.json: this is no address of the web: write http:// or https://, a host and a path
    http://white space/: this is no address of the web: write http:// or https://, a host and a path
    "#);
    }

    #[test]
    fn a_full_disk_and_a_limit_stop_a_download() {
        let address = server(vec![
            answer("200 OK", &[0; 2000]),
            answer("200 OK", &[0; 2000]),
        ]);
        let mut file = tempfile::tempfile().unwrap();
        let limited = client().download(&address, &mut file, 1000).unwrap_err();
        assert!(matches!(
            limited.problem,
            Problem::TooLarge { most_bytes: 1000 }
        ));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("read-only");
        std::fs::write(&path, "").unwrap();
        let unsaved = client().download(&address, &mut File::open(path).unwrap(), 5000);
        assert!(matches!(unsaved.unwrap_err().problem, Problem::Save(_)));
    }

    #[test]
    fn a_server_that_drips_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/trips.zip", listener.local_addr().unwrap());
        // It ends when the receiver is dropped.
        let dripping = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            read_request(&stream);
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
            let mut sent = stream.write_all(head);
            while sent.is_ok() {
                thread::sleep(Duration::from_millis(20));
                sent = stream.write_all(b"P");
            }
        });
        let mut file = tempfile::tempfile().unwrap();
        let error = client().download(&address, &mut file, 1 << 20).unwrap_err();
        assert!(matches!(error.problem, Problem::TooSlow), "{error}");
        dripping.join().unwrap();
    }

    #[test]
    fn a_client_of_the_public_internet_asks_nobody_else() {
        let asked = TcpListener::bind("127.0.0.1:0").unwrap();
        asked.set_nonblocking(true).unwrap();
        let port = asked.local_addr().unwrap().port();
        let client = Client::with_patience(Duration::from_secs(5), true);
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "2130706433",
        ] {
            let error = client.get(&format!("http://{host}:{port}/")).unwrap_err();
            let is_refused = matches!(
                error.problem,
                Problem::NotPublic { .. } | Problem::NoSuchHost
            );
            assert!(is_refused, "{error}");
        }
        let metadata = client
            .get("http://169.254.169.254/latest/meta-data/")
            .unwrap_err();
        insta::assert_snapshot!(metadata, @"http://169.254.169.254/latest/meta-data/: 169.254.169.254 is 169.254.169.254, which is no address of the public internet: it is not asked");
        assert!(asked.accept().is_err(), "nobody has been asked");
    }
}
