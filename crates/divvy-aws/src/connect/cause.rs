//! The chain of causes of an error, and the causes that mean that no connection was made.

use std::error::Error;
use std::io;

/// Iterates over an error and its sources, the error itself first.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // The error inside an io::Error is not its source().
        match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// Returns the text of the last cause.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let last = causes(error).last().unwrap_or(error);
    last.to_string()
}

/// Returns whether a request failed because no connection could be made: connection refused, an
/// unknown host name, or a server without TLS. A connection that broke later is another
/// case.
pub(crate) fn is_unreachable(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused)
            || is_unknown_host(cause)
            || is_not_tls(cause)
    })
}

/// A host whose name did not resolve. The resolver's error does not contain the name.
#[derive(Debug, thiserror::Error)]
#[error("no host of the name {host} can be found")]
pub(super) struct UnknownHost {
    /// The name.
    pub(super) host: String,
    /// The error of the resolver.
    pub(super) source: Box<dyn Error + Send + Sync>,
}

/// Returns whether the host name did not resolve. The resolver has no error kind for that, only
/// a text.
pub(super) fn is_unknown_host(cause: &(dyn Error + 'static)) -> bool {
    let text = cause.to_string();
    text.contains("dns error") || text.contains("failed to lookup address")
}

/// Returns whether the server answered to the TLS handshake with something else: it uses plain
/// HTTP.
pub(super) fn is_not_tls(cause: &(dyn Error + 'static)) -> bool {
    cause.to_string().contains("InvalidContentType")
}

/// Returns whether the answer was no HTTP, such as an alert of TLS.
pub(super) fn is_not_http(cause: &(dyn Error + 'static)) -> bool {
    cause.to_string().contains("invalid HTTP version parsed")
}
