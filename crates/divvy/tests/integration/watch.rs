//! Watched systems whose server misbehaves. Waits take no time: each poll gets the moment at which it is
//! due.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use divvy::ingest::watch::{
    Content, DEFAULT_FLOOR, FailureKind, Moment, Outcome, SystemWatch, WatchOptions,
};
use divvy::model::{System, Systems};
use divvy::sources::http::Client;
use divvy::store::{Applied, StationTable};
use divvy_testkit::MemoryStore;
use divvy_testkit::feed_server::{Behaviour, FeedServer};
use futures_executor::block_on;
use jiff::Timestamp;

use Behaviour::*;

/// How long the client waits for an answer.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// A watched system, and the moments at which it is polled.
struct Watched {
    server: FeedServer,
    watch: SystemWatch,
    store: MemoryStore,
}

impl Watched {
    fn new(ttl_s: i64) -> Self {
        let server = FeedServer::start(ttl_s);
        let options = WatchOptions {
            system: None,
            systems: Systems::default(),
            client: Client::with_time_limit(TIME_LIMIT),
            floor: DEFAULT_FLOOR,
            first_poll_at: Duration::ZERO,
            seed: 1,
            keeps_bodies: true,
            describe: |error| error.to_string(),
        };
        let watch = SystemWatch::new(&server.url(), options);
        Self {
            server,
            watch,
            store: MemoryStore::default(),
        }
    }

    /// Polls once, when it is due, while the server behaves so.
    fn poll(&mut self, behaviour: Behaviour) -> (Moment, divvy::ingest::watch::PollReport) {
        let due = self.watch.next_poll_at();
        let start: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        let now = Moment {
            since_start: due,
            wall: start + due,
        };
        self.server.set_clock(now.wall);
        self.server.set(behaviour);
        (now, block_on(self.watch.poll(&self.store, now)))
    }
}

/// What the server does, and for how many polls.
type Script = &'static [(Behaviour, usize)];

const SCRIPTS: &[(&str, Script)] = &[
    ("works", &[(Works, 5)]),
    ("nothing new", &[(Works, 1), (Unchanged, 5)]),
    (
        "slow",
        &[(Works, 1), (Slow(Duration::from_secs(8)), 2), (Works, 2)],
    ),
    ("no answer", &[(Works, 1), (Silent, 90), (Works, 2)]),
    ("500", &[(Works, 1), (Status(500), 6), (Works, 2)]),
    (
        "500 at every other poll",
        &[
            (Works, 1),
            (Status(500), 1),
            (Works, 1),
            (Status(500), 1),
            (Works, 1),
            (Status(500), 1),
            (Works, 1),
        ],
    ),
    (
        "429, Retry-After in seconds",
        &[(Works, 1), (RetrySeconds(429, 900), 2), (Works, 2)],
    ),
    (
        "503, Retry-After as a date",
        &[(Works, 1), (RetryDate(503, 1_800), 2), (Works, 2)],
    ),
    (
        "Retry-After of a day",
        &[(Works, 1), (RetrySeconds(429, 86_400), 1), (Works, 2)],
    ),
    ("gzip that is cut", &[(Works, 1), (CutGzip, 2), (Works, 2)]),
    ("body that is cut", &[(Works, 1), (CutBody, 2), (Works, 2)]),
    ("65 MiB in gzip", &[(Works, 1), (Huge, 2), (Works, 2)]),
    ("web page", &[(Works, 1), (WebPage, 2), (Works, 2)]),
    ("redirect", &[(Works, 1), (Redirect, 2), (Works, 2)]),
    (
        "redirect loop",
        &[(Works, 1), (RedirectLoop, 2), (Works, 2)],
    ),
    ("stale", &[(Works, 1), (Stale(0), 20), (Works, 2)]),
    (
        "clock stands still",
        &[(Works, 1), (FrozenClock, 4), (Works, 2)],
    ),
    (
        "time goes back",
        &[(Works, 1), (Backwards(3_600), 3), (Works, 2)],
    ),
    (
        "clock 3 hours ahead",
        &[(Works, 1), (Backwards(-3 * 3_600), 2)],
    ),
    (
        "clock 3 hours ahead once",
        &[(Works, 1), (Backwards(-3 * 3_600), 1), (Works, 3)],
    ),
    (
        "clock 3 hours ahead at first",
        &[(Backwards(-3 * 3_600), 3)],
    ),
    (
        "clock 23 hours ahead, then right",
        &[(Works, 1), (Backwards(-23 * 3_600), 2), (Works, 2)],
    ),
    ("no stations", &[(Works, 1), (NoStations, 2), (Works, 2)]),
    ("no states", &[(Works, 1), (NoStates, 2), (Works, 2)]),
    (
        "clock 3 days ahead",
        &[(Works, 1), (Backwards(-3 * 86_400), 2), (Works, 2)],
    ),
    ("moved", &[(Works, 1), (Moved, 3)]),
    ("gone", &[(Works, 1), (Gone, 3), (Works, 2)]),
    ("ids renewed", &[(Works, 1), (IdsRenewed, 70)]),
    (
        "information fails",
        &[(Works, 1), (NoInformation, 3), (Works, 2)],
    ),
];

/// Runs a script. Returns what the watch did, as a line, and the lines that it printed with their times.
fn run(name: &str, script: Script) -> String {
    let mut watched = Watched::new(60);
    let (mut snapshots, mut unchanged, mut polls) = (0, 0, 0);
    let mut failures: BTreeMap<FailureKind, u64> = BTreeMap::new();
    let mut lines = String::new();
    let mut longest = Duration::ZERO;
    let behaviours = script.iter().flat_map(|(it, times)| vec![*it; *times]);
    for behaviour in behaviours {
        let (at, report) = watched.poll(behaviour);
        polls += 1;
        longest = longest.max(watched.watch.next_poll_at() - at.since_start);
        match &report.outcome {
            Outcome::Taken(_) => snapshots += 1,
            Outcome::Unchanged => unchanged += 1,
            Outcome::Failed(error) => *failures.entry(FailureKind::of(error)).or_default() += 1,
        }
        for line in report.notices {
            let line = line.replace(watched.server.address(), "SERVER");
            let minute = at.since_start.as_secs() / 60;
            writeln!(lines, "    {:02}:{:02}  {line}", minute / 60, minute % 60).unwrap();
        }
    }
    let failures: Vec<String> = failures
        .iter()
        .map(|(kind, times)| format!("{times} {kind}"))
        .collect();
    let failures = match failures.is_empty() {
        true => "none".into(),
        false => failures.join(", "),
    };
    let minutes = longest.as_secs() / 60;
    format!(
        "{name:<28} {polls:>5} {snapshots:>9} {unchanged:>9} {minutes:>12}  {failures}\n{lines}"
    )
}

#[test]
fn a_watch_survives_a_server_that_misbehaves() {
    let head = format!(
        "{:<28} {:>5} {:>9} {:>9} {:>12}  failures\n",
        "the server", "polls", "snapshots", "unchanged", "longest min"
    );
    let threads: Vec<_> = SCRIPTS
        .iter()
        .map(|(name, script)| std::thread::spawn(move || run(name, script)))
        .collect();
    let outcomes = threads.into_iter().map(|thread| thread.join().unwrap());
    insta::assert_snapshot!(head + &outcomes.collect::<String>());
}

#[test]
fn a_snapshot_of_before_a_failure_is_the_one_that_is_stored() {
    let mut watched = Watched::new(60);
    watched.poll(Works);
    let divvy = System::named("divvy").unwrap();
    let stored = |watched: &Watched| block_on(watched.store.stations(&divvy.id)).unwrap();
    let before = stored(&watched);
    for behaviour in [
        Status(500),
        CutGzip,
        CutBody,
        Huge,
        WebPage,
        RedirectLoop,
        Gone,
    ] {
        let (_, report) = watched.poll(behaviour);
        assert!(
            matches!(report.outcome, Outcome::Failed(_)),
            "{behaviour:?}"
        );
        assert_eq!(stored(&watched), before, "{behaviour:?}");
    }
    watched.poll(Works);
    assert_ne!(stored(&watched), before);
}

#[test]
fn states_of_a_feed_whose_clock_was_ahead_are_taken_before_and_after_it_is_set_right() {
    let mut watched = Watched::new(60);
    let ahead = Backwards(-23 * 3_600);
    let script = [Works, ahead, ahead, Works, ahead, Works, Works];
    for (poll, behaviour) in script.into_iter().enumerate() {
        let (now, report) = watched.poll(behaviour);
        let Outcome::Taken(polled) = &report.outcome else {
            panic!("{behaviour:?}: {:?}", report.outcome)
        };
        let applied = &polled.applied;
        assert!(
            matches!(applied, Applied::Accepted { changed, .. } if *changed > 0 || poll == 0),
            "{behaviour:?}: {applied:?}"
        );
        assert!(polled.time.taken_at <= now.wall, "{behaviour:?}");
    }
}

#[test]
fn requests_are_conditional_and_discovery_is_rare() {
    let mut watched = Watched::new(60);
    watched.poll(Works);
    assert_eq!(watched.server.requests(), 3);
    let (_, report) = watched.poll(Unchanged);
    let is_not_modified = |content: &Content| *content == Content::NotModified;
    assert!(
        report
            .exchanges
            .iter()
            .all(|it| is_not_modified(&it.content))
    );
    assert_eq!(report.exchanges.len(), 2);
    // An hour has 60 polls of two feeds each, and one of the discovery file.
    let before = watched.server.requests();
    for _ in 0..60 {
        watched.poll(Unchanged);
    }
    assert_eq!(watched.server.requests() - before, 121);
}

#[test]
fn the_interval_is_that_of_the_feed() {
    for (ttl_s, interval_s) in [(0, 60), (-5, 60), (300, 300), (1_000_000, 3_600)] {
        let mut watched = Watched::new(ttl_s);
        watched.poll(Works);
        assert_eq!(
            watched.watch.interval().as_secs(),
            interval_s,
            "ttl {ttl_s}"
        );
    }
}
