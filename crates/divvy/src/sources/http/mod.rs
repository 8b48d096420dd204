//! HTTP requests: feeds into memory, archives onto disk, notices to webhooks. No other module opens connections.

mod body;
mod conditional;
mod error;
mod post;
mod public_only;
mod retry_after;
mod transfer_rate;

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use ureq::http::{Response, Uri};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body};

pub use self::conditional::{Answer, Validators};
pub use self::error::{HttpError, Problem};
use self::public_only::PublicOnly;
use self::transfer_rate::RateLimited;

/// The longest feed that is read. That of the largest system takes some 2 MiB.
pub const MAX_FEED_BYTES: u64 = 64 * 1024 * 1024;

/// How many redirects are followed.
const MAX_REDIRECTS: u32 = 5;

/// How long a server may send nothing, and how long a feed may take in all.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Returns whether a text is an address for [`Client`], and not a path.
pub fn is_url(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

/// Sends requests over HTTP, accepts compressed feeds, and follows redirects within http and https.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    max_wait: Duration,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// Makes a client. It keeps connections open between requests; its clones share them.
    pub fn new() -> Self {
        Self::with_max_wait(MAX_WAIT, false)
    }

    /// Makes a client that connects to hosts of the public internet only, also on redirects: for
    /// programs in a private network that follow addresses of others. It uses no proxy, because a
    /// proxy would resolve hosts itself.
    pub fn public_only() -> Self {
        Self::with_max_wait(MAX_WAIT, true)
    }

    /// Makes a client with another limit than 30 seconds: for how long a server may send nothing, and
    /// for how long a feed may take in all.
    pub fn with_time_limit(max_wait: Duration) -> Self {
        Self::with_max_wait(max_wait, false)
    }

    fn with_max_wait(max_wait: Duration, public_only: bool) -> Self {
        let config = Agent::config_builder()
            .user_agent(concat!("divvy/", env!("CARGO_PKG_VERSION")))
            .max_redirects(MAX_REDIRECTS)
            // The headers of a failure may state when to try again.
            .http_status_as_error(false)
            .timeout_resolve(Some(max_wait))
            .timeout_connect(Some(max_wait))
            .timeout_recv_response(Some(max_wait))
            .timeout_per_read(Some(max_wait));
        let connector = DefaultConnector::default();
        let agent = if public_only {
            let config = config.proxy(None).build();
            Agent::with_parts(config, connector, PublicOnly::default())
        } else {
            Agent::with_parts(config.build(), connector, DefaultResolver::default())
        };
        Self { agent, max_wait }
    }

    /// Fetches a feed of at most [`MAX_FEED_BYTES`] unpacked.
    ///
    /// # Errors
    ///
    /// [`HttpError`]. The bytes are not examined, and servers send web pages with a status of
    /// success.
    pub fn get(&self, url: &str) -> Result<Vec<u8>, HttpError> {
        let body = self.fetch_feed(url, &Validators::default());
        let body = body.and_then(|response| read_feed(successful(response)?, self.max_wait));
        body.map_err(|problem| HttpError {
            url: url.into(),
            problem,
        })
    }

    /// Sends the request for a feed, with the headers that ask for a newer version only.
    fn fetch_feed(&self, url: &str, held: &Validators) -> Result<Response<Body>, Problem> {
        let mut request = self
            .agent
            .get(parse(url)?)
            .header("accept-encoding", "gzip");
        for (name, value) in held.request_headers() {
            request = request.header(name, value);
        }
        let request = request.config().timeout_global(Some(self.max_wait)).build();
        Ok(request.call()?)
    }

    /// Downloads an archive of at most `max_bytes` into a file, and returns its name: the last
    /// segment of the address. There is no limit of time while bytes come.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; the file then holds the bytes that came before.
    pub fn download(&self, url: &str, to: &mut File, max_bytes: u64) -> Result<String, HttpError> {
        let name = self.fetch_archive(url, to, max_bytes);
        name.map_err(|problem| HttpError {
            url: url.into(),
            problem,
        })
    }

    fn fetch_archive(&self, url: &str, to: &mut File, max_bytes: u64) -> Result<String, Problem> {
        let uri = parse(url)?;
        let name = body::file_name(&uri);
        let request = self.agent.get(uri).header("accept-encoding", "identity");
        let response = successful(request.call()?)?;
        let is_compressed = body::is_compressed(&response);
        let body = RateLimited::new(response.into_body().into_reader(), self.max_wait);
        let save = |block: &[u8]| to.write_all(block).map_err(Problem::Save);
        if is_compressed {
            body::copy(body::as_published(body, &name)?, max_bytes, save)?;
        } else {
            body::copy(body, max_bytes, save)?;
        }
        Ok(name)
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

/// Reads the body of a feed, without the compression that was added for the transfer.
fn read_feed(response: Response<Body>, max_wait: Duration) -> Result<Vec<u8>, Problem> {
    let is_compressed = body::is_compressed(&response);
    let body = RateLimited::new(response.into_body().into_reader(), max_wait);
    let mut bytes = Vec::new();
    let keep = |block: &[u8]| {
        bytes.extend_from_slice(block);
        Ok(())
    };
    if is_compressed {
        body::copy(MultiGzDecoder::new(body), MAX_FEED_BYTES, keep)?;
    } else {
        body::copy(body, MAX_FEED_BYTES, keep)?;
    }
    Ok(bytes)
}

/// Returns a response whose body is the whole file.
fn successful(response: Response<Body>) -> Result<Response<Body>, Problem> {
    let status = response.status().as_u16();
    // 203 comes through a proxy. Other successes have no file, or a section of one (206).
    if matches!(status, 200 | 203) {
        return Ok(response);
    }
    Err(Problem::Status {
        status,
        retry_after: retry_after::of(response.headers(), Timestamp::now()),
    })
}

#[cfg(test)]
mod tests;
