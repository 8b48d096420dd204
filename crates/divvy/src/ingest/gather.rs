//! Finds the feeds of one snapshot: among files, in a folder, or through discovery.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::PollError;
use crate::model::System;
use crate::sample;
use crate::sources::http::{self, Client, MOST_FEED_BYTES};
use crate::sources::station_feed::{self, Discovery, Document, Feed, FeedError};
use crate::store::Store;

/// The feeds that a snapshot is made of.
pub struct Gathered {
    /// One, or a pair.
    pub feeds: Vec<Feed>,
    /// What the publisher calls the system. `None` where no discovery file says it.
    pub system_id: Option<String>,
    /// What was asked for, for messages.
    pub name: String,
}

/// The feeds with stations, as discovery names them.
const WANTED: [&str; 2] = ["station_information", "station_status"];

/// Reads what the user names.
pub(super) fn gather(sources: &[&OsStr], client: &Client) -> Result<Gathered, PollError> {
    let names: Vec<_> = sources
        .iter()
        .map(|source| source.to_string_lossy())
        .collect();
    let mut gathered = Gathered {
        feeds: Vec::new(),
        system_id: None,
        name: names.join(" and "),
    };
    for source in sources {
        if let Some(url) = source.to_str().filter(|source| http::is_url(source)) {
            gathered.url(url, client)?;
        } else if Path::new(source).is_dir() {
            gathered.folder(Path::new(source))?;
        } else {
            gathered.file(Path::new(source), client)?;
        }
    }
    Ok(gathered)
}

/// Reads a file of a feed, which has the limit of one that is fetched: it is held in memory, and may
/// be a device that never ends.
fn read_file(path: &Path) -> Result<Vec<u8>, PollError> {
    let failed = |source| PollError::Read {
        path: path.display().to_string(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    let mut input = file.take(MOST_FEED_BYTES + 1);
    input.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_FEED_BYTES {
        return Err(PollError::TooLarge {
            path: path.display().to_string(),
        });
    }
    Ok(bytes)
}

impl Gathered {
    fn url(&mut self, url: &str, client: &Client) -> Result<(), PollError> {
        match station_feed::read(&client.get(url)?, url)? {
            Document::Feed(feed) => self.feeds.push(feed),
            Document::Discovery(discovery) => {
                self.system_id.clone_from(&discovery.system_id);
                for name in WANTED {
                    let address = match discovery.feeds.get(name) {
                        Some(address) => address.clone(),
                        // Feeds mostly lie beside the discovery file.
                        None => beside(url, name),
                    };
                    self.feed(station_feed::read(&client.get(&address)?, &address)?);
                }
            }
        }
        Ok(())
    }

    fn feed(&mut self, document: Document) {
        if let Document::Feed(feed) = document {
            self.feeds.push(feed);
        }
    }

    fn file(&mut self, path: &Path, client: &Client) -> Result<(), PollError> {
        let name = path.display().to_string();
        match station_feed::read(&read_file(path)?, &name)? {
            Document::Feed(feed) => self.feeds.push(feed),
            Document::Discovery(discovery) => self.discovered(path, &discovery, client)?,
        }
        Ok(())
    }

    /// A saved discovery file: the feeds were saved beside it, else they are where it says.
    fn discovered(
        &mut self,
        path: &Path,
        discovery: &Discovery,
        client: &Client,
    ) -> Result<(), PollError> {
        self.system_id.clone_from(&discovery.system_id);
        for name in WANTED {
            let saved = path.with_file_name(format!("{name}.json"));
            if saved.exists() {
                let bytes = read_file(&saved)?;
                self.feed(station_feed::read(&bytes, &saved.display().to_string())?);
            } else if let Some(address) = discovery.feeds.get(name) {
                let bytes = client.get(address)?;
                self.feed(station_feed::read(&bytes, address)?);
            } else {
                return Err(PollError::NoFeed {
                    path: path.display().to_string(),
                });
            }
        }
        Ok(())
    }

    /// Takes the files with stations; the others of a set (regions, alerts, prices) are let be.
    fn folder(&mut self, folder: &Path) -> Result<(), PollError> {
        let failed = |source| PollError::Read {
            path: folder.display().to_string(),
            source,
        };
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        let before = self.feeds.len();
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
        if self.feeds.len() == before {
            return Err(PollError::NoFeed {
                path: folder.display().to_string(),
            });
        }
        Ok(())
    }
}

/// The address of a feed in the same folder.
fn beside(url: &str, name: &str) -> String {
    let folder = url.rsplit_once('/').map_or(url, |(folder, _)| folder);
    format!("{folder}/{name}.json")
}

/// Decides whose stations these are.
pub(super) async fn system(
    gathered: &Gathered,
    said: Option<&System>,
    store: &dyn Store,
) -> Result<System, PollError> {
    if gathered.feeds.is_empty() {
        return Err(FeedError::NoPair {
            given: "no feed at all".into(),
        }
        .into());
    }
    let is_sample = |feed: &Feed| feed.made_by.as_deref() == Some(sample::MARK);
    let made_up = gathered.feeds.iter().any(is_sample);
    if made_up || said.is_some_and(System::is_sample) {
        // Whatever the user says of invented stations, their places do not contradict.
        return Ok(said.cloned().unwrap_or_else(System::sample));
    }
    let told = gathered.feeds.iter().find_map(Feed::system);
    if let (Some(said), Some(told)) = (said, &told)
        && said.id != told.id
    {
        return Err(PollError::Contradiction {
            source_name: gathered.name.clone(),
            said: said.id.to_string(),
            found: told.id.to_string(),
        });
    }
    if let Some(system) = said.cloned().or(told) {
        return Ok(system);
    }
    if let Some(system) = gathered.system_id.as_deref().and_then(System::named) {
        return Ok(system);
    }
    match <[System; 1]>::try_from(store.systems().await?) {
        Ok([only]) if gathered.feeds.iter().all(|feed| !has_places(feed)) => Ok(only),
        _ => Err(PollError::UnknownSystem {
            source_name: gathered.name.clone(),
        }),
    }
}

/// Tells whether a feed says where its stations are.
fn has_places(feed: &Feed) -> bool {
    feed.stations.iter().any(|s| s.position().is_some())
}
