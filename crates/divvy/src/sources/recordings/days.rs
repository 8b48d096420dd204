//! The minutes of a day: its first state, and a JSON patch a line.
//!
//! A patch changes few stations. Only these are read again, since writing and parsing a whole feed
//! for each minute takes many times as long.

use std::collections::BTreeSet;
use std::io::{BufRead, Read};
use std::ops::ControlFlow;
use std::path::Path;

use json_patch::{Patch, PatchOperation};
use serde_json::{Value, json};

use super::files::{self, Part};
use super::{Recorded, RecordingError};
use crate::sources::http::MAX_FEED_BYTES;
use crate::sources::station_feed::{self, Document, Feed, FeedError};

/// Passes the states of a day to `pass`, until it breaks.
pub(super) fn visit<B>(
    part: &Part,
    pass: &mut dyn FnMut(Recorded) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let first = files::read(&part.path).and_then(|bytes| Day::begin(&bytes, &part.name()));
    let mut day = match first {
        Ok(day) => day,
        Err(error) => {
            return pass(part.recorded(Err(RecordingError::FirstState {
                reason: Box::new(error),
            })));
        }
    };
    pass(part.recorded(day.feed()))?;
    match &part.patches {
        Some(patches) => day.replay(patches, pass),
        None => ControlFlow::Continue(()),
    }
}

/// The state of the feed at one minute.
struct Day {
    document: Value,
    /// `document` as read. `None` where its last state was no feed.
    read: Option<Feed>,
    file: String,
}

impl Day {
    fn begin(bytes: &[u8], file: &str) -> Result<Self, RecordingError> {
        let feed = as_feed(station_feed::read(bytes, file)?, file)?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let document = serde_json::from_slice(bytes).map_err(|reason| FeedError::Damaged {
            file: file.into(),
            reason,
        })?;
        Ok(Self {
            document,
            read: Some(feed),
            file: file.into(),
        })
    }

    /// Returns the feed of the present state.
    fn feed(&mut self) -> Result<Feed, RecordingError> {
        if let Some(feed) = &self.read {
            return Ok(feed.clone());
        }
        let text = self.document.to_string();
        let feed = as_feed(station_feed::read(text.as_bytes(), &self.file)?, &self.file)?;
        self.read = Some(feed.clone());
        Ok(feed)
    }

    fn replay<B>(
        &mut self,
        patches: &Path,
        pass: &mut dyn FnMut(Recorded) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.file = patches.display().to_string();
        let mut lines = match files::open(patches) {
            Ok(lines) => lines,
            Err(error) => return pass(self.recorded(None, Err(error))),
        };
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            let read = lines
                .by_ref()
                .take(MAX_FEED_BYTES)
                .read_until(b'\n', &mut text);
            let applied = match read {
                Ok(0) => break,
                Ok(_) if text.trim_ascii().is_empty() => continue,
                Ok(_) => self.apply(&text),
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = applied {
                let file = self.file.clone();
                let error = RecordingError::Patch { file, line, reason };
                return pass(self.recorded(Some(line), Err(error)));
            }
            let feed = self.feed();
            pass(self.recorded(Some(line), feed))?;
        }
        ControlFlow::Continue(())
    }

    fn recorded(&self, line: Option<usize>, feed: Result<Feed, RecordingError>) -> Recorded {
        Recorded {
            file: self.file.clone(),
            line,
            feeds: feed.map(|feed| vec![feed]),
        }
    }

    /// Applies one line of patches.
    fn apply(&mut self, line: &[u8]) -> Result<(), String> {
        let patch: Patch = serde_json::from_slice(line.trim_ascii())
            .map_err(|error| error.to_string().replace(" at line 1 column", " at column"))?;
        let changed = changed_stations(&patch);
        json_patch::patch(&mut self.document, &patch).map_err(|error| error.to_string())?;
        let read = self.read.take();
        self.read = read
            .zip(changed)
            .and_then(|(feed, changed)| self.update(feed, &changed));
        Ok(())
    }

    /// Reads the changed stations again. `None` where the whole feed has to be read.
    fn update(&self, mut feed: Feed, changed: &BTreeSet<usize>) -> Option<Feed> {
        let mut outer = outer_fields(&self.document)?;
        let (list, key) = stations(&self.document)?;
        let entries: Option<Vec<&Value>> = changed.iter().map(|index| list.get(*index)).collect();
        match key {
            LIST => outer.insert(LIST.into(), json!(entries?)),
            _ => outer.insert("data".into(), json!({ "stations": entries? })),
        };
        let text = serde_json::to_string(&outer).ok()?;
        let Ok(Document::Feed(update)) = station_feed::read(text.as_bytes(), &self.file) else {
            return None;
        };
        let indexes: Vec<usize> = changed.iter().copied().collect();
        feed.replace_stations(list.len(), &indexes, update)
            .then_some(feed)
    }
}

/// The list of stations of the feed before GBFS.
const LIST: &str = "stationBeanList";

/// Returns the stations of a document, and the name of the outer field with them.
fn stations(document: &Value) -> Option<(&Vec<Value>, &'static str)> {
    let list = document.get(LIST).and_then(Value::as_array);
    list.map(|list| (list, LIST))
        .or_else(|| Some((document.get("data")?.get("stations")?.as_array()?, "data")))
}

/// Copies the outer fields of a document, without its stations.
fn outer_fields(document: &Value) -> Option<serde_json::Map<String, Value>> {
    let fields = document.as_object()?.iter();
    let others = fields.filter(|(key, _)| !["data", LIST].contains(&key.as_str()));
    Some(
        others
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    )
}

/// Returns the indexes of the stations whose fields a patch changes. `None` where it changes the list
/// itself.
fn changed_stations(patch: &Patch) -> Option<BTreeSet<usize>> {
    let mut changed = BTreeSet::new();
    for operation in &patch.0 {
        if matches!(operation, PatchOperation::Move(_) | PatchOperation::Copy(_)) {
            return None;
        }
        let path: Vec<&str> = operation.path().as_str().split('/').skip(1).collect();
        match path[..] {
            [LIST, index, _, ..] | ["data", "stations", index, _, ..] => {
                changed.insert(index.parse().ok()?);
            }
            [LIST | "data", ..] | [] => return None,
            _ => {}
        }
    }
    Some(changed)
}

fn as_feed(document: Document, file: &str) -> Result<Feed, FeedError> {
    match document {
        Document::Feed(feed) => Ok(feed),
        Document::Discovery(_) | Document::VehicleTypes(_) => Err(FeedError::NotAFeed {
            file: file.into(),
            found: "a file without stations".into(),
        }),
    }
}
