//! Requests for one document, which is read where it has changed.

use std::time::Duration;

use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_128;

use super::Moment;
use crate::ingest::PollError;
use crate::sources::http::{Answer, Client, Problem, Validators};
use crate::sources::station_feed::{self, Document};
use crate::store::ContentHash;

/// One request for a feed, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The name of the feed, such as `station_status`; `gbfs` for a discovery file.
    pub feed: &'static str,
    /// The address.
    pub url: String,
    /// When the poll began that the request was part of.
    pub fetched_at: Timestamp,
    /// The status of the answer. `None` where no answer came.
    pub status: Option<u16>,
    /// What came.
    pub content: Content,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A body.
    Body {
        /// As it was published, without the compression of the transfer. Empty where bodies are not kept.
        bytes: Vec<u8>,
        /// The hash of the body.
        hash: ContentHash,
        /// The header `ETag`.
        etag: Option<String>,
        /// Why it cannot be read as a feed. `None` where it can.
        fault: Option<String>,
    },
    /// The server states that the last body is still the newest.
    NotModified,
    /// The request failed, for this reason.
    Failed(String),
}

/// A version of a document.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) url: String,
    pub(super) document: Document,
    /// From when on it is fetched again.
    pub(super) due_at: Duration,
    validators: Validators,
    hash: ContentHash,
}

/// Sends requests and notes what came of them.
pub(super) struct Requests {
    client: Client,
    keeps_bodies: bool,
    exchanges: Vec<Exchange>,
}

/// The status of an answer without a body, because nothing has changed.
const NOT_MODIFIED: u16 = 304;

impl Requests {
    /// Makes requests with that client. Exchanges have the bytes of bodies with `keeps_bodies`.
    pub(super) fn new(client: Client, keeps_bodies: bool) -> Self {
        Self {
            client,
            keeps_bodies,
            exchanges: Vec::new(),
        }
    }

    /// Returns the requests since the last call.
    pub(super) fn take_exchanges(&mut self) -> Vec<Exchange> {
        std::mem::take(&mut self.exchanges)
    }

    /// Fetches a document into `held`, unless that is its newest version. Returns whether there is
    /// another document now. After an error `held` is what it was.
    pub(super) fn refresh(
        &mut self,
        held: &mut Option<Held>,
        url: &str,
        feed: &'static str,
        now: Moment,
    ) -> Result<bool, PollError> {
        let same_url = held.as_mut().filter(|held| held.url == url);
        let validators =
            (same_url.as_ref()).map_or_else(Validators::default, |held| held.validators.clone());
        let mut exchange = Exchange {
            feed,
            url: url.into(),
            fetched_at: now.wall,
            status: None,
            content: Content::NotModified,
        };
        let (status, bytes, validators) = match self.client.get_if_changed(url, &validators) {
            Ok(Answer::Body {
                status,
                bytes,
                validators,
            }) => (status, bytes, validators),
            Ok(Answer::NotModified) => {
                exchange.status = Some(NOT_MODIFIED);
                self.exchanges.push(exchange);
                return Ok(false);
            }
            Err(error) => {
                if let Problem::Status { status, .. } = error.problem {
                    exchange.status = Some(status);
                }
                exchange.content = Content::Failed(error.problem.to_string());
                self.exchanges.push(exchange);
                return Err(error.into());
            }
        };
        let hash = ContentHash(xxh3_128(&bytes));
        let etag = validators.etag.clone();
        exchange.status = Some(status);
        if let Some(held) = same_url.filter(|held| held.hash == hash) {
            held.validators = validators;
            exchange.feed = name(&held.document, feed);
            self.note_body(exchange, bytes, hash, etag, None);
            return Ok(false);
        }
        match station_feed::read(&bytes, url) {
            Ok(document) => {
                exchange.feed = name(&document, feed);
                self.note_body(exchange, bytes, hash, etag, None);
                *held = Some(Held {
                    url: url.into(),
                    document,
                    due_at: now.since_start,
                    validators,
                    hash,
                });
                Ok(true)
            }
            Err(error) => {
                self.note_body(exchange, bytes, hash, etag, Some(error.to_string()));
                Err(error.into())
            }
        }
    }

    fn note_body(
        &mut self,
        exchange: Exchange,
        bytes: Vec<u8>,
        hash: ContentHash,
        etag: Option<String>,
        fault: Option<String>,
    ) {
        let content = Content::Body {
            bytes: if self.keeps_bodies { bytes } else { Vec::new() },
            hash,
            etag,
            fault,
        };
        self.exchanges.push(Exchange {
            content,
            ..exchange
        });
    }
}

/// Returns the name of the feed that a document is. `expected` is that under which it was fetched.
fn name(document: &Document, expected: &'static str) -> &'static str {
    match document {
        Document::Feed(feed) => feed.kind.as_str(),
        Document::Discovery(_) | Document::VehicleTypes(_) => expected,
    }
}
