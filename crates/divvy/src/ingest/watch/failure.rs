//! What kind of failure an error of a poll is, and what it means for the next poll.

use std::fmt;
use std::time::Duration;

use super::schedule::After;
use crate::ingest::PollError;
use crate::sources::http::Problem;

/// Why a poll failed, for counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// The server cannot be reached, or the connection broke.
    Network,
    /// No answer, or no whole one, in time.
    Timeout,
    /// No secure connection can be made.
    Tls,
    /// The server asks for fewer requests: status 429.
    RateLimited,
    /// There is no such feed: status 404 or 410.
    Gone,
    /// Another status from 300 to 499, or a redirect that is not followed.
    Refused,
    /// A status from 500 on.
    ServerError,
    /// The body is longer than any feed.
    TooLarge,
    /// The body is no feed, or is cut.
    Malformed,
    /// The time of the feed cannot be right.
    Clock,
    /// It is not clear whose stations these are.
    System,
    /// The store failed.
    Store,
}

impl FailureKind {
    /// Returns the kind in lower case, with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::RateLimited => "rate_limited",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::ServerError => "server_error",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Clock => "clock",
            Self::System => "system",
            Self::Store => "store",
        }
    }

    /// Returns the kind of an error.
    pub fn of(error: &PollError) -> Self {
        match error {
            PollError::Http(error) => Self::of_request(&error.problem),
            PollError::Store(_) => Self::Store,
            PollError::FeedTimeAheadOfClock { .. } => Self::Clock,
            PollError::UnknownSystem { .. }
            | PollError::SeveralSystems { .. }
            | PollError::Contradiction { .. } => Self::System,
            PollError::TooLarge { .. } => Self::TooLarge,
            PollError::Read { .. }
            | PollError::Feed(_)
            | PollError::NoFeed { .. }
            | PollError::NoStations { .. }
            | PollError::NoStationFeed { .. } => Self::Malformed,
        }
    }

    fn of_request(problem: &Problem) -> Self {
        match problem {
            Problem::NoSuchHost
            | Problem::Refused
            | Problem::Connection(_)
            | Problem::NotPublic { .. } => Self::Network,
            Problem::Timeout | Problem::TooSlow => Self::Timeout,
            Problem::Tls(_) => Self::Tls,
            Problem::Status { status, .. } => match status {
                404 | 410 => Self::Gone,
                429 => Self::RateLimited,
                500.. => Self::ServerError,
                _ => Self::Refused,
            },
            Problem::BadUrl | Problem::Redirect(_) | Problem::TooManyRedirects => Self::Refused,
            Problem::TooLarge { .. } => Self::TooLarge,
            Problem::Answer(_) | Problem::Save(_) => Self::Malformed,
        }
    }

    /// Returns what a failure means for the next poll.
    pub(super) fn after(error: &PollError) -> After {
        let retry_after = match error {
            PollError::Http(error) => asked_wait(&error.problem),
            _ => None,
        };
        match Self::of(error) {
            Self::Network | Self::Timeout | Self::Tls | Self::Store => After::Unreachable,
            _ => After::Refusal { retry_after },
        }
    }

    /// Returns whether there is nothing at the address, so that the feed may have another one.
    pub(super) fn is_gone(error: &PollError) -> bool {
        Self::of(error) == Self::Gone
    }
}

fn asked_wait(problem: &Problem) -> Option<Duration> {
    match problem {
        Problem::Status { retry_after, .. } => *retry_after,
        _ => None,
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
