//! Reads the feeds of one snapshot: from files, a folder, addresses, or a discovery file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::PollError;
use crate::sources::http::{self, Client, MAX_FEED_BYTES};
use crate::sources::station_feed::{self, Discovery, Document, Feed, FeedError, VehicleTypes};

/// The feeds that a snapshot is made of.
pub(super) struct FeedSources {
    /// One feed, or a pair.
    pub(super) feeds: Vec<Feed>,
    /// The publisher's name of the system. `None` where no discovery file states it.
    pub(super) system_id: Option<String>,
    vehicle_types: Option<VehicleTypes>,
    /// The files or addresses that the user named, for error messages.
    pub(super) name: String,
}

/// The feeds with stations, by their names in a discovery file.
pub(super) const STATION_FEEDS: [&str; 2] = ["station_information", "station_status"];

/// The feed with the types of vehicles, by its name in a discovery file.
pub(super) const VEHICLE_TYPES: &str = "vehicle_types";

impl FeedSources {
    /// Takes feeds that have been read. `name` is where they come from, for messages.
    pub(super) fn of(feeds: Vec<Feed>, name: &str) -> Self {
        Self {
            feeds,
            system_id: None,
            vehicle_types: None,
            name: name.into(),
        }
    }

    /// Reads files, folders and addresses.
    pub(super) fn read(sources: &[&OsStr], client: &Client) -> Result<Self, PollError> {
        let names: Vec<_> = sources
            .iter()
            .map(|source| source.to_string_lossy())
            .collect();
        let mut feeds = Self {
            feeds: Vec::new(),
            system_id: None,
            vehicle_types: None,
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
        if feeds.feeds.is_empty() {
            return Err(FeedError::OtherFeed {
                file: feeds.name,
                feed: VEHICLE_TYPES,
            }
            .into());
        }
        if let Some(types) = &feeds.vehicle_types {
            for feed in &mut feeds.feeds {
                feed.set_vehicle_types(types);
            }
        }
        Ok(feeds)
    }

    /// Adds a document. A discovery file names the others, which `fetch` reads by their names.
    fn add(
        &mut self,
        document: Document,
        source: &str,
        fetch: impl Fn(&Discovery, &str) -> Result<Option<Document>, PollError>,
    ) -> Result<(), PollError> {
        let discovery = match document {
            Document::Feed(feed) => {
                self.feeds.push(feed);
                return Ok(());
            }
            Document::VehicleTypes(types) => {
                self.vehicle_types = Some(types);
                return Ok(());
            }
            Document::Discovery(discovery) => discovery,
        };
        self.system_id.clone_from(&discovery.system_id);
        let feeds_before = self.feeds.len();
        for name in STATION_FEEDS {
            // A system may publish one of the two alone.
            if let Some(Document::Feed(feed)) = fetch(&discovery, name)? {
                self.feeds.push(feed);
            }
        }
        if self.feeds.len() == feeds_before {
            let listed: Vec<&str> = discovery.feeds.keys().map(String::as_str).collect();
            return Err(PollError::NoStationFeed {
                source_name: source.into(),
                listed: listed.join(", "),
            });
        }
        if self.feeds.iter().any(Feed::needs_vehicle_types) {
            // Without them only the number of e-bikes is not known.
            if let Ok(Some(Document::VehicleTypes(types))) = fetch(&discovery, VEHICLE_TYPES) {
                self.vehicle_types = Some(types);
            }
        }
        Ok(())
    }

    fn read_url(&mut self, url: &str, client: &Client) -> Result<(), PollError> {
        let document = station_feed::read(&client.get(url)?, url)?;
        self.add(document, url, |discovery, name| {
            let Some(address) = discovery.feeds.get(name) else {
                return Ok(None);
            };
            let address = resolve_url(url, address);
            Ok(Some(station_feed::read(&client.get(&address)?, &address)?))
        })
    }

    /// Reads a file. The feeds of a saved discovery file are those saved in its folder, else those at
    /// their addresses.
    fn read_path(&mut self, path: &Path, client: &Client) -> Result<(), PollError> {
        let source = path.display().to_string();
        let document = station_feed::read(&read_file(path)?, &source)?;
        self.add(document, &source, |discovery, name| {
            let saved = path.with_file_name(format!("{name}.json"));
            if saved.exists() {
                let name = saved.display().to_string();
                return Ok(Some(station_feed::read(&read_file(&saved)?, &name)?));
            }
            let Some(address) = discovery.feeds.get(name) else {
                return Ok(None);
            };
            Ok(Some(station_feed::read(&client.get(address)?, address)?))
        })
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
                Ok(Document::VehicleTypes(types)) => self.vehicle_types = Some(types),
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

/// Returns the address of a feed as its discovery file at `base` writes it: whole, from the root of the
/// server, or from the folder of the discovery file.
pub(super) fn resolve_url(base: &str, address: &str) -> String {
    if http::is_url(address) {
        return address.into();
    }
    let base = base.split(['?', '#']).next().unwrap_or(base);
    let server_end = base.find("://").map_or(0, |scheme| {
        let host = scheme + "://".len();
        base[host..]
            .find('/')
            .map_or(base.len(), |slash| host + slash)
    });
    let (server, path) = base.split_at(server_end);
    if let Some(rest) = address.strip_prefix("//") {
        let scheme = base.split("//").next().unwrap_or("https:");
        return format!("{scheme}//{rest}");
    }
    if address.starts_with('/') {
        return format!("{server}{address}");
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{server}{folder}/{}", address.trim_start_matches("./"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_a_discovery_file_may_be_relative() {
        const BASE: &str = "https://gbfs.example:8443/2.3/en/gbfs.json?key=a/b";
        for (address, whole) in [
            (
                "https://other.example/si.json",
                "https://other.example/si.json",
            ),
            ("si.json", "https://gbfs.example:8443/2.3/en/si.json"),
            ("./si.json", "https://gbfs.example:8443/2.3/en/si.json"),
            ("/si.json", "https://gbfs.example:8443/si.json"),
            ("//cdn.example/si.json", "https://cdn.example/si.json"),
        ] {
            assert_eq!(resolve_url(BASE, address), whole);
        }
        assert_eq!(
            resolve_url("http://a.example", "si.json"),
            "http://a.example/si.json"
        );
    }
}
