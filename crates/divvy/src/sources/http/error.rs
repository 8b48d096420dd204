//! Errors of requests, and how they follow from those of the HTTP library.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::MAX_REDIRECTS;
use super::public_only::NotPublic;
use super::transfer_rate::{MIN_BYTES_PER_SECOND, TooSlow};

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {problem}")]
pub struct HttpError {
    /// The address.
    pub url: String,
    /// Why it failed.
    pub problem: Problem,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Not an address.
    #[error("this is no address of the web: write http:// or https://, a host and a path")]
    BadUrl,
    /// The name of the host cannot be resolved.
    #[error("no host of that name can be found: check the address and the network")]
    NoSuchHost,
    /// The host refuses the connection.
    #[error("the host refuses connections: check the address, or try again later")]
    Refused,
    /// The host cannot be reached, or the connection broke.
    #[error("the connection failed ({0}): try again")]
    Connection(io::Error),
    /// No bytes came within the time limit.
    #[error("no answer in time: try again later")]
    Timeout,
    /// Bytes came at less than [`MIN_BYTES_PER_SECOND`].
    #[error(
        "fewer than {MIN_BYTES_PER_SECOND} bytes a second come, which is given up: try again later"
    )]
    TooSlow,
    /// The host is not on the public internet, and the client is limited to that.
    #[error("{host} is {address}, which is no address of the public internet: it is not asked")]
    NotPublic {
        /// The name or number of the host.
        host: String,
        /// Its address.
        address: IpAddr,
    },
    /// Encryption failed.
    #[error(
        "no secure connection can be made ({0}): check the address, the clock of this computer \
         and the certificate of the host"
    )]
    Tls(String),
    /// A status other than success.
    #[error("the server answers {status}: {}", meaning(*.status))]
    Status {
        /// The number, 404 for example.
        status: u16,
        /// For how long the server asks not to be asked again. `None` where it does not state that.
        retry_after: Option<Duration>,
    },
    /// The body is longer than the limit.
    #[error("the answer is longer than {} MiB and is not read: check the address", .max_bytes >> 20)]
    TooLarge {
        /// The limit.
        max_bytes: u64,
    },
    /// A redirect to an address that is not HTTP.
    #[error("the server sends us to an address that is not followed ({0})")]
    Redirect(String),
    /// More redirects than [`MAX_REDIRECTS`].
    #[error("the server sends us on more than {MAX_REDIRECTS} times: check the address")]
    TooManyRedirects,
    /// Not HTTP, or a damaged response.
    #[error("the answer makes no sense ({0}): check the address, or try again")]
    Answer(String),
    /// Writing the download to disk failed.
    #[error("the download cannot be saved: {0}")]
    Save(io::Error),
}

fn meaning(status: u16) -> &'static str {
    match status {
        206 => "that is a part of the file, and the whole was asked for; try again",
        401 | 407 => "a password is needed",
        // S3 answers 403 for a file that does not exist.
        403 => "access denied; the file may not exist, or is not public",
        404 | 410 => "there is no such file; check the address",
        408 | 429 => "too many requests; wait some minutes",
        500..=599 => "the server has failed; try again later",
        _ => "this is not the file; check the address",
    }
}

impl From<ureq::Error> for Problem {
    fn from(error: ureq::Error) -> Self {
        use ureq::Error;
        match error {
            Error::StatusCode(status) => Self::Status {
                status,
                retry_after: None,
            },
            Error::HostNotFound => Self::NoSuchHost,
            Error::Timeout(_) => Self::Timeout,
            Error::BodyExceedsLimit(max_bytes) => Self::TooLarge { max_bytes },
            Error::TooManyRedirects => Self::TooManyRedirects,
            // The address of the request was parsed before, so this is that of a redirect.
            Error::BadUri(detail) => Self::Redirect(detail),
            Error::Protocol(error) => match error.to_string() {
                detail if detail.contains("location header") => Self::Redirect(detail),
                detail => Self::Answer(detail),
            },
            Error::Rustls(error) => Self::Tls(error.to_string()),
            Error::Tls(detail) => Self::Tls(detail.into()),
            Error::Io(error) => io_problem(error),
            other => Self::Answer(other.to_string()),
        }
    }
}

/// Returns the problem of an error while a body is read.
pub(super) fn body_problem(error: io::Error) -> Problem {
    ureq::Error::from(error).into()
}

fn io_problem(error: io::Error) -> Problem {
    const NO_SUCH_HOST_WINDOWS: i32 = 11_001;
    let error = match error.downcast::<NotPublic>() {
        Ok(NotPublic { host, address }) => return Problem::NotPublic { host, address },
        Err(error) => error,
    };
    if error.get_ref().is_some_and(|cause| cause.is::<TooSlow>()) {
        return Problem::TooSlow;
    }
    let message = error.to_string();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Problem::Refused,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Problem::Timeout,
        // The kind of errors of the encryption.
        io::ErrorKind::InvalidData => Problem::Tls(message),
        // The kind of errors of the decompression.
        io::ErrorKind::InvalidInput => Problem::Answer(message),
        // The standard library has no kind for a failed lookup.
        _ if message.contains("lookup address")
            || error.raw_os_error() == Some(NO_SUCH_HOST_WINDOWS) =>
        {
            Problem::NoSuchHost
        }
        _ => Problem::Connection(error),
    }
}
