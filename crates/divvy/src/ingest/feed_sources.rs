//! Reads the feeds of one snapshot: from files, a folder, addresses, or a discovery file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::PollError;
use crate::model::System;
use crate::sample;
use crate::sources::http::{self, Client, MAX_FEED_BYTES};
use crate::sources::station_feed::{self, Discovery, Document, Feed, FeedError};
use crate::store::Store;

/// The feeds that a snapshot is made of.
pub(super) struct FeedSources {
    /// One feed, or a pair.
    pub(super) feeds: Vec<Feed>,
    /// The publisher's name of the system. `None` where no discovery file states it.
    system_id: Option<String>,
    /// The files or addresses that the user named, for error messages.
    name: String,
}

/// The feeds with stations, by their names in a discovery file.
const STATION_FEEDS: [&str; 2] = ["station_information", "station_status"];

impl FeedSources {
    /// Reads files, folders and addresses.
    pub(super) fn read(sources: &[&OsStr], client: &Client) -> Result<Self, PollError> {
        let names: Vec<_> = sources
            .iter()
            .map(|source| source.to_string_lossy())
            .collect();
        let mut feeds = Self {
            feeds: Vec::new(),
            system_id: None,
            name: names.join(" and "),
        };
        for source in sources {
            if let Some(url) = source.to_str().filter(|source| http::is_url(source)) {
                feeds.read_url(url, client)?;
            } else if Path::new(source).is_dir() {
                feeds.read_folder(Path::new(source))?;
            } else {
                feeds.read_path(Path::new(source), client)?;
            }
        }
        Ok(feeds)
    }

    fn add(&mut self, document: Document) {
        if let Document::Feed(feed) = document {
            self.feeds.push(feed);
        }
    }

    fn read_url(&mut self, url: &str, client: &Client) -> Result<(), PollError> {
        match station_feed::read(&client.get(url)?, url)? {
            Document::Feed(feed) => self.feeds.push(feed),
            Document::Discovery(discovery) => {
                self.system_id.clone_from(&discovery.system_id);
                for name in STATION_FEEDS {
                    let address = match discovery.feeds.get(name) {
                        Some(address) => address.clone(),
                        // Feeds are mostly in the folder of the discovery file.
                        None => sibling_url(url, name),
                    };
                    self.add(station_feed::read(&client.get(&address)?, &address)?);
                }
            }
        }
        Ok(())
    }

    fn read_path(&mut self, path: &Path, client: &Client) -> Result<(), PollError> {
        let name = path.display().to_string();
        match station_feed::read(&read_file(path)?, &name)? {
            Document::Feed(feed) => self.feeds.push(feed),
            Document::Discovery(discovery) => self.read_discovered(path, &discovery, client)?,
        }
        Ok(())
    }

    /// Reads the feeds of a saved discovery file: those saved in its folder, else their addresses.
    fn read_discovered(
        &mut self,
        path: &Path,
        discovery: &Discovery,
        client: &Client,
    ) -> Result<(), PollError> {
        self.system_id.clone_from(&discovery.system_id);
        for name in STATION_FEEDS {
            let saved = path.with_file_name(format!("{name}.json"));
            if saved.exists() {
                let bytes = read_file(&saved)?;
                self.add(station_feed::read(&bytes, &saved.display().to_string())?);
            } else if let Some(address) = discovery.feeds.get(name) {
                let bytes = client.get(address)?;
                self.add(station_feed::read(&bytes, address)?);
            } else {
                return Err(PollError::NoFeed {
                    path: path.display().to_string(),
                });
            }
        }
        Ok(())
    }

    /// Reads the files with stations in a folder. Other files of GBFS (regions, alerts, prices) are
    /// skipped.
    fn read_folder(&mut self, folder: &Path) -> Result<(), PollError> {
        let read_error = |source| PollError::Read {
            path: folder.display().to_string(),
            source,
        };
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(read_error)? {
            let path = entry.map_err(read_error)?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        let feeds_before = self.feeds.len();
        for path in paths {
            let name = path.display().to_string();
            match station_feed::read(&read_file(&path)?, &name) {
                Ok(Document::Feed(feed)) => self.feeds.push(feed),
                Ok(Document::Discovery(discovery)) => {
                    self.system_id = discovery.system_id.or(self.system_id.take());
                }
                Err(error) if error.is_other_feed() => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.feeds.len() == feeds_before {
            return Err(PollError::NoFeed {
                path: folder.display().to_string(),
            });
        }
        Ok(())
    }
}

/// Reads a file of a feed, at most [`MAX_FEED_BYTES`]: it is held in memory, and may be a device
/// that never ends.
fn read_file(path: &Path) -> Result<Vec<u8>, PollError> {
    let read_error = |source| PollError::Read {
        path: path.display().to_string(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(read_error)?;
    let mut input = file.take(MAX_FEED_BYTES + 1);
    input.read_to_end(&mut bytes).map_err(read_error)?;
    if bytes.len() as u64 > MAX_FEED_BYTES {
        return Err(PollError::TooLarge {
            path: path.display().to_string(),
        });
    }
    Ok(bytes)
}

/// Returns the address of a feed in the same folder.
fn sibling_url(url: &str, name: &str) -> String {
    let folder = url.rsplit_once('/').map_or(url, |(folder, _)| folder);
    format!("{folder}/{name}.json")
}

/// Decides to which system the stations belong. `given` is the system named by the user.
pub(super) async fn system(
    sources: &FeedSources,
    given: Option<&System>,
    store: &dyn Store,
) -> Result<System, PollError> {
    if sources.feeds.is_empty() {
        return Err(FeedError::NoPair {
            given: "no feed at all".into(),
        }
        .into());
    }
    let is_sample = |feed: &Feed| feed.made_by.as_deref() == Some(sample::LABEL);
    if sources.feeds.iter().any(is_sample) || given.is_some_and(System::is_sample) {
        // Invented stations lie in the area of a real system, so that is not compared.
        return Ok(given.cloned().unwrap_or_else(System::sample));
    }
    let found = sources.feeds.iter().find_map(Feed::system);
    if let (Some(given), Some(found)) = (given, &found)
        && given.id != found.id
    {
        return Err(PollError::Contradiction {
            source_name: sources.name.clone(),
            given: given.id.to_string(),
            found: found.id.to_string(),
        });
    }
    if let Some(system) = given.cloned().or(found) {
        return Ok(system);
    }
    if let Some(system) = sources.system_id.as_deref().and_then(System::named) {
        return Ok(system);
    }
    match <[System; 1]>::try_from(store.systems().await?) {
        Ok([only]) if !sources.feeds.iter().any(has_positions) => Ok(only),
        _ => Err(PollError::UnknownSystem {
            source_name: sources.name.clone(),
        }),
    }
}

/// Returns whether a feed has the position of any station.
fn has_positions(feed: &Feed) -> bool {
    feed.stations.iter().any(|s| s.position().is_some())
}
