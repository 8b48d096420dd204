//! Requests for a feed that has changed: `If-None-Match` and `If-Modified-Since`.

use ureq::http::HeaderMap;

use super::{Client, HttpError, Problem, read_feed, successful};

/// What identifies a version of a feed on its server (RFC 9110, section 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The header `ETag`, with its quotes. `None` where the server sends none.
    pub etag: Option<String>,
    /// The header `Last-Modified`. `None` where the server sends none.
    pub last_modified: Option<String>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self {
            etag: text("etag"),
            last_modified: text("last-modified"),
        }
    }

    /// Returns the headers of a request for a version other than this one.
    pub(super) fn request_headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        // A server with an `ETag` ignores the date, of which a resolution of a second is known.
        let etag = self.etag.as_deref().map(|it| ("if-none-match", it));
        let date = self.last_modified.as_deref();
        etag.into_iter()
            .chain(date.map(|it| ("if-modified-since", it)))
    }
}

/// The answer to a request for a version other than the one that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The feed has not changed: status 304.
    NotModified,
    /// The feed.
    Body {
        /// The status of success.
        status: u16,
        /// The whole body, unpacked.
        bytes: Vec<u8>,
        /// What identifies this version.
        validators: Validators,
    },
}

const NOT_MODIFIED: u16 = 304;

impl Client {
    /// Fetches a feed as [`get`](Self::get) does, unless it is still the version that is held.
    ///
    /// # Errors
    ///
    /// [`HttpError`].
    pub fn get_if_changed(&self, url: &str, held: &Validators) -> Result<Answer, HttpError> {
        self.answer(url, held).map_err(|problem| HttpError {
            url: url.into(),
            problem,
        })
    }

    fn answer(&self, url: &str, held: &Validators) -> Result<Answer, Problem> {
        let response = self.fetch_feed(url, held)?;
        let is_conditional = *held != Validators::default();
        if is_conditional && response.status().as_u16() == NOT_MODIFIED {
            return Ok(Answer::NotModified);
        }
        let response = successful(response)?;
        let status = response.status().as_u16();
        let validators = Validators::of(response.headers());
        Ok(Answer::Body {
            status,
            bytes: read_feed(response, self.max_wait)?,
            validators,
        })
    }
}
