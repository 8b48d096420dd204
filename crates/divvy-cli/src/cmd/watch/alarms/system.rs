//! The rules of one system: each of its polls becomes events of the evaluator.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use divvy::alarms::{Evaluator, Event, Readings};
use divvy::history::StationState;
use divvy::ingest::Polled;
use divvy::ingest::watch::{Outcome, PollReport};
use divvy::model::{Snapshot, SnapshotKind, Station, StationId};
use divvy::reports::SHORTEST_GAP;
use divvy::store::{Applied, Store};
use jiff::{SignedDuration, Timestamp};

use crate::flags;

/// The rules of one system.
pub struct SystemAlarms {
    pub evaluator: Evaluator,
    /// The address that the user gave. Files of states are named by a hash of it.
    pub url: String,
    /// The stations of the last snapshot, with what rules may name them by.
    listed: BTreeMap<StationId, Names>,
    /// Sentences about names in rules, each of which is printed once.
    printed: BTreeSet<String>,
}

/// By what rules may name a station, beside its id.
#[derive(PartialEq)]
struct Names {
    name: Option<String>,
    short_name: Option<String>,
}

impl SystemAlarms {
    /// Begins to evaluate the polls of the system at an address.
    pub fn new(evaluator: Evaluator, url: String) -> Self {
        Self {
            evaluator,
            url,
            listed: BTreeMap::new(),
            printed: BTreeSet::new(),
        }
    }

    /// Evaluates the rules after a poll. `interval` is the time between two polls. Returns sentences about what
    /// rules name and the system lacks.
    ///
    /// # Errors
    ///
    /// The stations cannot be read from the store. The states count all the same.
    pub async fn step(
        &mut self,
        report: &PollReport,
        interval: Duration,
        store: &dyn Store,
    ) -> anyhow::Result<Vec<String>> {
        let at = report.fetched_at;
        self.evaluator.set_max_gap(max_gap(interval));
        for text in &report.moved {
            self.evaluator.step(at, Event::Moved { text });
        }
        match &report.outcome {
            Outcome::Taken(polled) => return self.step_snapshot(at, polled, store).await,
            Outcome::Unchanged => self.evaluator.step(at, Event::Unchanged),
            Outcome::Failed(error) => {
                let error = &flags::message(error);
                self.evaluator.step(at, Event::Failed { error });
            }
        }
        Ok(Vec::new())
    }

    /// Evaluates a snapshot, unless its states are not newer than those of the last one. Another program may
    /// have stored it before.
    async fn step_snapshot(
        &mut self,
        at: Timestamp,
        polled: &Polled,
        store: &dyn Store,
    ) -> anyhow::Result<Vec<String>> {
        let last = self.evaluator.state().last_snapshot();
        let is_newer = last.is_none_or(|last| polled.time.taken_at > last);
        let is_evaluated = match polled.applied {
            Applied::Accepted { .. } => true,
            Applied::Repeated => is_newer,
            Applied::Refused { .. } => false,
        };
        if let Applied::Refused { last, .. } = polled.applied {
            let zone = polled.system.zone();
            let error = &format!(
                "the states of {} are older than the last ones ({})",
                zone.rfc3339(polled.time.taken_at),
                zone.rfc3339(last)
            );
            self.evaluator.step(at, Event::Failed { error });
            return Ok(Vec::new());
        }
        if !is_evaluated || polled.snapshot.kind == SnapshotKind::Information {
            self.evaluator.step(at, Event::Unchanged);
            return Ok(Vec::new());
        }
        let named = self.name_stations(polled, store).await;
        // Where the names cannot be read, the states count with the names that there are.
        let event = Event::Snapshot {
            taken_at: polled.time.taken_at,
            stations: &readings(&polled.snapshot),
        };
        self.evaluator.step(at, event);
        named
    }

    /// Finds the stations of each rule again, where the list of a snapshot has other ids or names than the one
    /// before. Returns a sentence for each that a rule names and the system lacks, once.
    async fn name_stations(
        &mut self,
        polled: &Polled,
        store: &dyn Store,
    ) -> anyhow::Result<Vec<String>> {
        let names = |station: &Station| {
            let names = Names {
                name: station.name.clone(),
                short_name: station.short_name.clone(),
            };
            (station.id.clone(), names)
        };
        let listed = polled.snapshot.stations.iter().map(names).collect();
        if self.listed == listed {
            return Ok(Vec::new());
        }
        // Also those that have left the list have names.
        let stored = store.stations(&polled.system.id).await?;
        let mut sentences = self.evaluator.name_stations(&polled.system, &stored);
        sentences.retain(|sentence| self.printed.insert(sentence.clone()));
        self.listed = listed;
        Ok(sentences)
    }
}

/// Returns how long a time between two snapshots may be without being a gap.
fn max_gap(interval: Duration) -> SignedDuration {
    let interval = SignedDuration::try_from(interval).unwrap_or(SHORTEST_GAP);
    SHORTEST_GAP.max(interval * 3 / 2)
}

fn readings(snapshot: &Snapshot) -> Readings {
    let stations = snapshot.stations.iter();
    let state = |station: &Station| {
        let state = StationState::of(station, snapshot.by_type.get(&station.id));
        (station.id.clone(), state)
    };
    stations.map(state).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use divvy::alarms::{Rules, SavedState, Setting};
    use divvy::ingest;
    use divvy::model::System;
    use divvy::sources::station_feed::{self, Document};
    use divvy_testkit::MemoryStore;
    use futures_executor::block_on;

    use super::*;

    /// Evaluates snapshots a minute apart, of stations with their names and short names, which have no bike.
    /// Returns what is printed, and the texts of the notices, after each.
    fn evaluate(stations: &str, snapshots: &[&[(&str, &str, &str)]]) -> Vec<String> {
        let rules = format!(
            "[[rule]]\nname = \"empty\"\nwhen = \"empty\"\nfor = \"0s\"\nstations = [{stations}]"
        );
        let setting = Setting {
            rules: Arc::new(Rules::parse(&rules).unwrap()),
            max_gap: SHORTEST_GAP,
            forecasts: None,
            system: None,
            address: String::new(),
        };
        let evaluator = Evaluator::new(setting, SavedState::default());
        let mut alarms = SystemAlarms::new(evaluator, String::new());
        let store = MemoryStore::default();
        let mut lines = Vec::new();
        for (minute, stations) in snapshots.iter().enumerate() {
            let at = Timestamp::from_second(1_700_000_000 + 60 * minute as i64).unwrap();
            let report = PollReport {
                outcome: Outcome::Taken(poll(&store, at, stations)),
                fetched_at: at,
                notices: Vec::new(),
                moved: Vec::new(),
                exchanges: Vec::new(),
            };
            let interval = Duration::from_secs(60);
            let mut texts = block_on(alarms.step(&report, interval, &store)).unwrap();
            let notices = alarms.evaluator.take_unsent().into_iter();
            texts.extend(notices.map(|notice| notice.text));
            lines.push(texts.join("; "));
        }
        lines
    }

    fn poll(store: &MemoryStore, at: Timestamp, stations: &[(&str, &str, &str)]) -> Polled {
        let seconds = at.as_second();
        let joined = |write: &dyn Fn(&(&str, &str, &str)) -> String| {
            let texts: Vec<String> = stations.iter().map(write).collect();
            format!(
                r#"{{"last_updated":{seconds},"data":{{"stations":[{}]}}}}"#,
                texts.join(",")
            )
        };
        let information = joined(&|(id, name, short)| {
            format!(
                r#"{{"station_id":"{id}","name":"{name}","short_name":"{short}","lat":41.9,"lon":-87.6}}"#
            )
        });
        let status = joined(&|(id, _, _)| {
            format!(
                r#"{{"station_id":"{id}","num_bikes_available":0,"num_docks_available":9,"is_renting":true}}"#
            )
        });
        let feeds = [information, status].map(|text| {
            match station_feed::read(text.as_bytes(), "feed.json").unwrap() {
                Document::Feed(feed) => feed,
                _ => panic!("a feed"),
            }
        });
        let divvy = System::named("divvy").unwrap();
        block_on(ingest::apply(feeds.into(), store, &divvy, at)).unwrap()
    }

    #[test]
    fn stations_are_matched_again_when_they_are_renamed() {
        let missing = "rule empty: no station has the id or the name \"New St\"";
        assert_eq!(
            evaluate(
                "\"New St\"",
                &[&[("a", "Old St", "1")], &[("a", "New St", "1")]]
            ),
            [missing, "New St has no bike"]
        );
        assert_eq!(
            evaluate(
                "\"New St\"",
                &[&[("a", "New St", "1")], &[("a", "Old St", "1")]]
            ),
            [
                "New St has no bike".to_owned(),
                format!("{missing}; the rule no longer names Old St: its alarm is closed")
            ]
        );
    }

    #[test]
    fn stations_are_matched_again_when_they_have_another_short_name_or_are_new() {
        let missing = "rule empty: no station has the id or the name \"13022\"";
        let raised = "Clark St has no bike";
        assert_eq!(
            evaluate(
                "\"13022\"",
                &[&[("a", "Clark St", "1")], &[("a", "Clark St", "13022")]]
            ),
            [missing, raised]
        );
        assert_eq!(
            evaluate(
                "\"13022\"",
                &[
                    &[("a", "Elm St", "1")],
                    &[("a", "Elm St", "1"), ("b", "Clark St", "13022")]
                ]
            ),
            [missing, raised]
        );
    }
}
