//! The feeds of one system, fetched again only where they have changed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::failure::FailureKind;
use super::request::{Exchange, Held, Requests};
use super::{MAX_INTERVAL, Moment};
use crate::ingest::PollError;
use crate::ingest::feed_sources::{STATION_FEEDS, VEHICLE_TYPES, resolve_url};
use crate::sources::http::Client;
use crate::sources::station_feed::{Document, Feed, FeedError};

/// How often the file is fetched again that lists the addresses, and the list of vehicle types.
const DISCOVERY_INTERVAL: Duration = MAX_INTERVAL;

/// After what time a discovery file is fetched again that could not be fetched.
const DISCOVERY_RETRY: Duration = Duration::from_secs(10 * 60);

/// The name of a discovery file.
const DISCOVERY: &str = "gbfs";

/// The feed whose previous version is used where it cannot be fetched: it has names and
/// positions, and a snapshot is made for the states.
const INFORMATION: &str = STATION_FEEDS[0];

/// The feeds of one poll.
pub(super) struct Round {
    /// One feed, or a pair.
    pub(super) feeds: Vec<Feed>,
    /// The publisher's name of the system. `None` where no discovery file states it.
    pub(super) system_id: Option<String>,
    /// Whether no snapshot of these feeds has been stored yet.
    pub(super) is_changed: bool,
    /// Sentences about feeds whose addresses have changed.
    pub(super) moved: Vec<String>,
    /// Why a document could not be fetched whose previous version is used.
    pub(super) incomplete: Option<PollError>,
    /// The `ttl` of the feed with the states. `None` where it states none.
    pub(super) ttl: Option<Duration>,
}

/// The documents of one system.
pub(super) struct Documents {
    url: String,
    requests: Requests,
    /// The document at the address that the user gave: a discovery file, or the only feed.
    root: Option<Held>,
    /// The documents that a discovery file names, by their names in it.
    named: BTreeMap<&'static str, Held>,
    /// Sentences about addresses that have changed, until a round has them.
    moved: Vec<String>,
    /// Whether a snapshot of these documents is stored.
    is_taken: bool,
}

impl Documents {
    /// Makes the documents of the system whose discovery file, or only feed, is at `url`. Exchanges have
    /// the bytes of bodies with `keeps_bodies`.
    pub(super) fn new(url: String, client: Client, keeps_bodies: bool) -> Self {
        Self {
            url,
            requests: Requests::new(client, keeps_bodies),
            root: None,
            named: BTreeMap::new(),
            moved: Vec::new(),
            is_taken: false,
        }
    }

    /// Returns the address that the user gave.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Notes that a snapshot of the present documents is stored.
    pub(super) fn mark_taken(&mut self) {
        self.is_taken = true;
    }

    /// Returns the requests since the last call.
    pub(super) fn take_exchanges(&mut self) -> Vec<Exchange> {
        self.requests.take_exchanges()
    }

    /// Fetches what is due: the feed with the states at each call, the one with names and positions
    /// after its `ttl`. A feed that has gone is looked up in the discovery file again.
    pub(super) fn fetch(&mut self, now: Moment, interval: Duration) -> Result<Round, PollError> {
        let mut incomplete = None;
        let is_root_new = self.fetch_root(now, &mut incomplete)?;
        if let Err(error) = self.fetch_named(now, interval, &mut incomplete) {
            if is_root_new || self.is_single() || !FailureKind::is_gone(&error) {
                return Err(error);
            }
            self.expire_root(now.since_start);
            incomplete = None;
            self.fetch_root(now, &mut incomplete)?;
            self.fetch_named(now, interval, &mut incomplete)?;
        }
        self.round(incomplete)
    }

    /// Returns whether the system has a single feed, without a discovery file.
    fn is_single(&self) -> bool {
        let root = self.root.as_ref();
        root.is_some_and(|root| !matches!(root.document, Document::Discovery(_)))
    }

    fn expire_root(&mut self, at: Duration) {
        if let Some(root) = &mut self.root {
            root.due_at = at;
        }
    }

    /// Returns the addresses in the discovery file, by the names of feeds. Empty without such a file.
    fn addresses(&self) -> BTreeMap<&'static str, String> {
        let Some(Document::Discovery(discovery)) = self.root.as_ref().map(|root| &root.document)
        else {
            return BTreeMap::new();
        };
        let names = STATION_FEEDS.into_iter().chain([VEHICLE_TYPES]);
        let address = |name| {
            let address = discovery.feeds.get(name)?;
            Some((name, resolve_url(&self.url, address)))
        };
        names.filter_map(address).collect()
    }

    /// Fetches the document at the address that the user gave, if it is due. Returns whether it was.
    fn fetch_root(
        &mut self,
        now: Moment,
        incomplete: &mut Option<PollError>,
    ) -> Result<bool, PollError> {
        let due_at = self.root.as_ref().map(|root| root.due_at);
        let is_due = due_at.is_none_or(|due_at| due_at <= now.since_start);
        if !is_due && !self.is_single() {
            return Ok(false);
        }
        let before = self.addresses();
        let refreshed = (self.requests).refresh(&mut self.root, &self.url, DISCOVERY, now);
        let wait = match refreshed {
            Ok(is_other) => {
                // Addresses alone change nothing in a snapshot.
                self.is_taken &= !(is_other && self.is_single());
                DISCOVERY_INTERVAL
            }
            Err(error) if before.is_empty() => return Err(error),
            Err(error) => {
                *incomplete = Some(error);
                DISCOVERY_RETRY
            }
        };
        self.expire_root(now.since_start + wait);
        for (name, address) in self.addresses() {
            if before.get(name).is_some_and(|before| *before != address) {
                self.moved.push(format!("{name} has moved to {address}"));
            }
        }
        Ok(true)
    }

    /// Fetches the feeds of the discovery file that are due.
    fn fetch_named(
        &mut self,
        now: Moment,
        interval: Duration,
        incomplete: &mut Option<PollError>,
    ) -> Result<(), PollError> {
        let addresses = self.addresses();
        self.named.retain(|name, _| addresses.contains_key(name));
        for name in STATION_FEEDS {
            let Some(url) = addresses.get(name) else {
                continue;
            };
            match self.fetch_one(name, url, now, interval) {
                Err(error) if name == INFORMATION && self.named.contains_key(name) => {
                    *incomplete = Some(error);
                }
                fetched => fetched?,
            }
        }
        let needs_types = |held: &Held| match &held.document {
            Document::Feed(feed) => feed.needs_vehicle_types(),
            _ => false,
        };
        if self.named.values().any(needs_types)
            && let Some(url) = addresses.get(VEHICLE_TYPES)
        {
            // Without them only the number of e-bikes is not known.
            let _ = self.fetch_one(VEHICLE_TYPES, url, now, interval);
        }
        Ok(())
    }

    /// Fetches one feed of the discovery file, if it is due or has another address.
    fn fetch_one(
        &mut self,
        name: &'static str,
        url: &str,
        now: Moment,
        interval: Duration,
    ) -> Result<(), PollError> {
        let mut held = self.named.remove(name);
        // Half an interval early rather than half an interval late.
        let soon = now.since_start + interval / 2;
        let is_held = |held: &Held| held.url == url && held.due_at > soon;
        if !held.as_ref().is_some_and(is_held) {
            let refreshed = self.requests.refresh(&mut held, url, name, now);
            if let (Ok(is_other), Some(held)) = (&refreshed, &mut held) {
                self.is_taken &= !is_other;
                held.due_at = now.since_start + pause(name, &held.document);
            }
            self.named.extend(held.map(|held| (name, held)));
            refreshed?;
        } else {
            self.named.extend(held.map(|held| (name, held)));
        }
        Ok(())
    }

    /// Returns the feeds that are held.
    fn round(&mut self, incomplete: Option<PollError>) -> Result<Round, PollError> {
        let root = self.root.as_ref().map(|root| &root.document);
        let documents = root.into_iter();
        let documents = documents.chain(self.named.values().map(|held| &held.document));
        let (mut feeds, mut types, mut system_id) = (Vec::new(), None, None);
        for document in documents {
            match document {
                Document::Feed(feed) => feeds.push(feed.clone()),
                Document::VehicleTypes(found) => types = Some(found),
                Document::Discovery(discovery) => system_id.clone_from(&discovery.system_id),
            }
        }
        if feeds.is_empty() {
            return Err(self.no_feed());
        }
        for feed in &mut feeds {
            types
                .into_iter()
                .for_each(|types| feed.set_vehicle_types(types));
        }
        // The states come last.
        let newest = feeds.iter().max_by_key(|feed| feed.kind);
        let ttl = newest.and_then(|feed| feed.ttl_s);
        Ok(Round {
            feeds,
            system_id,
            is_changed: !self.is_taken,
            moved: std::mem::take(&mut self.moved),
            incomplete,
            ttl: ttl.map(Duration::from_secs),
        })
    }

    fn no_feed(&self) -> PollError {
        match self.root.as_ref().map(|root| &root.document) {
            Some(Document::Discovery(discovery)) => {
                let listed: Vec<&str> = discovery.feeds.keys().map(String::as_str).collect();
                PollError::NoStationFeed {
                    source_name: self.url.clone(),
                    listed: listed.join(", "),
                }
            }
            _ => FeedError::OtherFeed {
                file: self.url.clone(),
                feed: VEHICLE_TYPES,
            }
            .into(),
        }
    }
}

/// Returns after what time a feed of a discovery file is fetched again.
fn pause(name: &str, document: &Document) -> Duration {
    match document {
        Document::Feed(feed) if name == INFORMATION => {
            Duration::from_secs(feed.ttl_s.unwrap_or(0)).min(MAX_INTERVAL)
        }
        Document::Feed(_) => Duration::ZERO,
        Document::VehicleTypes(_) | Document::Discovery(_) => DISCOVERY_INTERVAL,
    }
}
