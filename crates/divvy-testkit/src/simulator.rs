//! Plans of what happens to a store while things around it fail, held against the store in memory.
//!
//! A plan is a list of [`Step`]s: one act, or two at the same time in two processes, with or
//! without a fault. After each step the store must hold what the store in memory holds after the
//! acts that succeeded, and of those that failed any or none, each as a whole; and it must find no
//! fault in itself. In the manner of the simulator of Turso, <https://github.com/tursodatabase/turso>.
//!
//! A [`World`] is a store with what surrounds it: it runs acts, and injects the faults.

use async_trait::async_trait;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed};

use divvy::model::{Rider, Snapshot, Station};
use divvy::refresh::{self, Recounter};
use divvy::reports::{self, Filters, REPORTS};
use divvy::stations::identity;
use divvy::store::{ContentHash, Store, StoreError, StoreErrorKind, Unload};
use divvy::tally::Totals;

use crate::cases::{self, Archive, minute, system};
use crate::driver::{load, stored};
use crate::memory::MemoryStore;
use crate::model::entry_line;

/// What one process does.
#[derive(Clone, Debug)]
pub enum Act {
    /// Loads an archive, which may overlap with others and may replace them.
    Load(Archive),
    /// Unloads an archive: of those loaded, the one at the index modulo their number.
    UnloadAt(usize),
    /// Takes an archive out again, by its content.
    Unload(ContentHash),
    /// Polls a feed.
    Poll(Snapshot),
    /// Reads a station list.
    Describe(Vec<Station>),
    /// Drains the change stream.
    Refresh,
    /// Has everything counted again.
    TouchAll,
    /// Reads a report: one of all, counted round and round, with one of the [`questions`].
    Report(usize, usize),
    /// Checks the store.
    Check,
}

/// A step of a plan.
#[derive(Clone, Debug)]
pub struct Step<F> {
    /// What is done.
    pub act: Act,
    /// What is done at the same time, in another process.
    pub beside: Option<Act>,
    /// What fails meanwhile.
    pub fault: Option<F>,
    /// Whether an act that failed is done again, without a fault.
    pub is_repeated: bool,
}

/// What came of the acts of a step.
#[derive(Debug, Default)]
pub struct Ran {
    /// For each act in their order what it returned: the text of a report, or nothing. An error is
    /// a sentence; so is the end of the process.
    pub results: Vec<Result<Option<String>, String>>,
    /// Whether what had been made durable may be lost, as after a power cut on a disk whose sync
    /// lies. Then the store may be as it was at any time before, or be found damaged.
    pub may_forget: bool,
}

/// A store, and what surrounds it.
#[async_trait(?Send)]
pub trait World {
    /// What may fail.
    type Fault: Clone + std::fmt::Debug + Sync;
    /// The store.
    type Store: Store;

    /// Runs acts at the same time, each in a process of its own, while a fault is armed; each by
    /// [`perform`]. Afterwards nothing fails any more.
    async fn run(&mut self, acts: &[Act], fault: Option<Self::Fault>) -> Ran;

    /// Opens the store in a new process.
    async fn open(&mut self) -> Result<Self::Store, StoreError>;

    /// Lists what the store finds wrong with itself.
    async fn faults(&mut self, store: &Self::Store) -> Result<Vec<String>, StoreError>;

    /// Returns the act that a process has left unfinished so that counts may include it already.
    fn unfinished(&self) -> Option<Act> {
        None
    }
}

/// Lets one act happen to a store. Returns the text of a report, or the faults that a check found.
///
/// # Errors
///
/// Those of the store.
pub async fn perform<S: Store + Unload>(
    store: &S,
    act: &Act,
) -> Result<Option<String>, StoreError> {
    let id = system().id;
    match act {
        Act::Load(archive) => {
            load(store, archive, &std::sync::Mutex::default()).await?;
        }
        Act::UnloadAt(_) => {}
        Act::Unload(content) => {
            store.unload(&id, &[*content], false).await?;
        }
        Act::Poll(snapshot) => {
            store.apply(snapshot, snapshot.taken_at).await?;
        }
        Act::Describe(listed) => {
            store.describe(&system(), listed).await?;
        }
        Act::Refresh => {
            let refreshed = refresh::drain(store, refresh::CONSUMER, minute(0)).await?;
            if !refreshed.uncounted.is_empty() {
                let message = format!("not all was counted: {:?}", refreshed.uncounted);
                return Err(StoreError::new(StoreErrorKind::Unreachable, message));
            }
        }
        Act::TouchAll => {
            store.republish_all(&id).await?;
        }
        Act::Report(report, question) => return answer(store, *report, *question).await.map(Some),
        Act::Check => {}
    }
    Ok(None)
}

/// Filters that narrow a report, each in another way.
pub fn questions() -> Vec<Filters> {
    let all = Filters::default();
    vec![
        all.clone(),
        Filters {
            rider: Some(Rider::parse("member")),
            ..all.clone()
        },
        Filters {
            bike: Some("electric".into()),
            to: Some(jiff::civil::date(2024, 1, 1)),
            ..all.clone()
        },
        Filters {
            station: Some("35".into()),
            ..all.clone()
        },
        Filters {
            top: Some(2),
            ..all
        },
    ]
}

/// Answers a report as text; a refused filter is an answer, too.
///
/// # Errors
///
/// Those of the store.
pub async fn answer(
    store: &dyn Store,
    report: usize,
    question: usize,
) -> Result<String, StoreError> {
    let questions = questions();
    let filters = &questions[question % questions.len()];
    let name = REPORTS[report % REPORTS.len()].name();
    let mut answer = reports::report(name, store, &system(), filters).await;
    if let Err(reports::ReportError::Store(error)) = answer {
        return Err(error);
    }
    if let Ok(table) = &mut answer {
        table.how.clear(); // one store may read fewer trips than another
    }
    Ok(format!("{name} {filters:?}: {answer:#?}"))
}

/// What a store holds, versions, times and FromStationCounts aside.
#[derive(Debug, PartialEq)]
struct Holdings {
    /// Trips, ledger entries, stations, and the feed.
    lines: Vec<String>,
    totals: Totals,
}

async fn holdings(store: &dyn Store) -> Result<Holdings, StoreError> {
    let id = system().id;
    let mut held: Vec<String> = Vec::new();
    held.extend(stored(store).await?.iter().map(|trip| format!("{trip:?}")));
    for entry in store.entries(&id).await? {
        held.push(entry_line(&entry));
    }
    for mut station in stations_in_use(store).await? {
        station.trips_version = None;
        held.push(format!("{station:?}"));
    }
    held.push(format!("{:?}", store.feed(&id).await?));
    Ok(Holdings {
        lines: held,
        totals: store.totals(&id).await?,
    })
}

async fn stations_in_use(store: &dyn Store) -> Result<Vec<Station>, StoreError> {
    let id = system().id;
    let totals = store.totals(&id).await?;
    Ok(identity::in_use(store.stations(&id).await?, &totals))
}

/// Lists FromStationCounts of the ids by which the stations of a store are counted.
async fn counts(store: &dyn Store) -> Result<Vec<String>, StoreError> {
    let id = system().id;
    let counts = store.counts(&id).await?;
    let mut listed = Vec::new();
    for station in stations_in_use(store).await? {
        for id in station.counted_ids() {
            let count = counts.iter().find(|count| count.from_station_id == id);
            let trips = count.map_or(0, |count| count.from_count);
            listed.push(format!("{id}: {trips}"));
        }
    }
    listed.sort();
    Ok(listed)
}

/// The store in memory after some acts.
async fn model(acts: &[Act]) -> MemoryStore {
    let store = MemoryStore::default();
    for act in acts {
        perform(&store, act).await.expect("memory does not fail");
    }
    store
}

/// How a plan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The store held what it must hold, to the end.
    Right,
    /// What had been made durable was lost ([`Ran::may_forget`]), and the store is as it was at a
    /// moment before.
    WentBack,
    /// Data was lost, and the store reports that it is damaged.
    FoundDamaged,
    /// It was lost in parts, and the store does not know. No store can: the parts that are there
    /// are whole.
    Torn,
}

/// Follows a plan, and panics where the store is not as it must be.
pub async fn follow<W: World>(world: &mut W, plan: &[Step<W::Fault>]) -> Ending {
    let mut past: Vec<Act> = Vec::new();
    for (place, step) in plan.iter().enumerate() {
        let mut acts = vec![resolved(&step.act, &past).await];
        if let Some(beside) = &step.beside {
            acts.push(resolved(beside, &past).await);
        }
        let ran = world.run(&acts, step.fault.clone()).await;
        let what = format!("step {place}: {:?}", ran.results);
        let store = match world.open().await {
            Ok(store) => store,
            Err(_) if ran.may_forget => return Ending::FoundDamaged,
            Err(error) => panic!("{what}: the store does not open: {error}"),
        };
        if ran.may_forget {
            return went_back(world, &store, &past, &acts, &what).await;
        }
        past = as_one_of(&store, &past, &acts, &ran.results, &what).await;
        assert_sound(world, &store, &what).await;
        let is_alone = acts.len() == 1 && ran.results[0].is_ok();
        if is_alone && matches!(acts[0], Act::Refresh) && world.unfinished().is_none() {
            assert_counts(&store, &past, &what).await;
        }
        if step.is_repeated {
            let failed = acts
                .iter()
                .zip(&ran.results)
                .filter(|(_, result)| result.is_err());
            drop(store);
            for (act, _) in failed {
                let again = world.run(std::slice::from_ref(act), None).await;
                let what = format!("{what}, again: {:?}", again.results);
                assert!(again.results[0].is_ok(), "{what}");
                let act = std::slice::from_ref(act);
                let store = world.open().await.expect("nothing fails any more");
                past = as_one_of(&store, &past, act, &again.results, &what).await;
                assert_sound(world, &store, &what).await;
            }
        }
    }
    ends_well(world, past).await;
    Ending::Right
}

/// Drains the stream and compares counts and every report.
async fn ends_well<W: World>(world: &mut W, mut past: Vec<Act>) {
    if let Some(act) = world.unfinished() {
        let ran = world.run(std::slice::from_ref(&act), None).await;
        assert!(
            ran.results[0].is_ok(),
            "finished at the end: {:?}",
            ran.results
        );
        past.push(act);
    }
    let ran = world.run(&[Act::Refresh], None).await;
    assert!(ran.results[0].is_ok(), "at the end: {:?}", ran.results);
    past.push(Act::Refresh);
    let store = world.open().await.expect("nothing fails any more");
    let model = model(&past).await;
    assert_sound(world, &store, "at the end").await;
    assert_counts(&store, &past, "at the end").await;
    for report in 0..REPORTS.len() {
        if is_of_counts(report) || lacks_history(&store, report) {
            continue;
        }
        for question in 0..questions().len() {
            let found = answer(&store, report, question).await;
            let expected = answer(&model, report, question).await;
            let (found, expected) = (found.expect("it reads"), expected.expect("it reads"));
            let lines = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
            assert!(
                found == expected,
                "at the end: {}",
                difference(&lines(&found), &lines(&expected))
            );
        }
    }
}

/// Whether a report reads the history of states, and the store keeps none.
fn lacks_history(store: &dyn Store, report: usize) -> bool {
    let name = REPORTS[report % REPORTS.len()].name();
    store.history().is_none()
        && ["history", "coverage", "service", "outlook", "calibration"].contains(&name)
}

/// Whether a report reads FromStationCounts, which also has ids that a feed gave up.
fn is_of_counts(report: usize) -> bool {
    REPORTS[report % REPORTS.len()].name() == "from-counts"
}

/// Returns the content of the archive at an index.
async fn resolved(act: &Act, past: &[Act]) -> Act {
    let Act::UnloadAt(place) = act else {
        return act.clone();
    };
    let loaded = entries(past).await;
    match loaded.len() {
        0 => Act::Check,
        n => Act::Unload(loaded[place % n]),
    }
}

async fn entries(past: &[Act]) -> Vec<ContentHash> {
    use divvy::store::Ledger as _;
    let entries = model(past).await.entries(&system().id).await;
    let entries = entries.expect("memory does not fail");
    entries.into_iter().map(|entry| entry.id.content).collect()
}

/// Lists what may have happened: every order of the acts that succeeded, with any of those that
/// failed.
fn pasts(past: &[Act], acts: &[Act], results: &[Result<Option<String>, String>]) -> Vec<Vec<Act>> {
    let orders: &[&[usize]] = match acts.len() {
        1 => &[&[0], &[]],
        _ => &[&[0, 1], &[1, 0], &[0], &[1], &[]],
    };
    let has_all = |order: &&&[usize]| {
        let mut succeeded = (0..acts.len()).filter(|act| results[*act].is_ok());
        succeeded.all(|act| order.contains(&act))
    };
    let happened = |order: &&[usize]| {
        let new = order.iter().map(|act| acts[*act].clone());
        past.iter().cloned().chain(new).collect()
    };
    orders.iter().filter(has_all).map(happened).collect()
}

/// Finds what has happened, and that reports read meanwhile were of one of its moments.
async fn as_one_of(
    store: &dyn Store,
    past: &[Act],
    acts: &[Act],
    results: &[Result<Option<String>, String>],
    what: &str,
) -> Vec<Act> {
    let held = match holdings(store).await {
        Ok(held) => held,
        Err(error) => panic!("{what}: the store cannot be read: {error}"),
    };
    let pasts = pasts(past, acts, results);
    for (act, result) in acts.iter().zip(results) {
        let (Act::Report(report, question), Ok(Some(found))) = (act, result) else {
            continue;
        };
        // Counts are as far as the last refresh has come, even where it failed.
        if ["stations", "from-counts"].contains(&REPORTS[report % REPORTS.len()].name())
            || lacks_history(store, *report)
        {
            continue;
        }
        let mut expected = Vec::new();
        for past in pasts.iter().map(Vec::as_slice).chain([past]) {
            let model = model(past).await;
            let answer = answer(&model, *report, *question).await;
            expected.push(answer.expect("memory does not fail"));
        }
        let lines = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
        assert!(
            expected.contains(found),
            "step of {acts:?}: {}",
            difference(&lines(found), &lines(&expected[0]))
        );
    }
    let mut nearest: Option<(Holdings, String)> = None;
    for past in pasts {
        let expected = holdings(&model(&past).await).await;
        let expected = expected.expect("memory does not fail");
        if expected == held {
            return past;
        }
        let lines = difference(&held.lines, &expected.lines);
        if nearest
            .as_ref()
            .is_none_or(|(_, other)| lines.len() < other.len())
        {
            nearest = Some((expected, lines));
        }
    }
    let (expected, lines) = nearest.expect("there is one past at least");
    panic!(
        "{what}: {lines}\n+ {:?}\n- {:?}",
        held.totals, expected.totals
    );
}

/// Finds what has become of a store that may have lost what it had made durable.
async fn went_back<W: World>(
    world: &mut W,
    store: &W::Store,
    past: &[Act],
    acts: &[Act],
    what: &str,
) -> Ending {
    let is_sound = (world.faults(store).await).is_ok_and(|faults| faults.is_empty());
    let Some(held) = holdings(store).await.ok().filter(|_| is_sound) else {
        return Ending::FoundDamaged;
    };
    let failed: Vec<_> = acts.iter().map(|_| Err(String::new())).collect();
    let mut moments = pasts(past, acts, &failed);
    moments.extend((0..past.len()).rev().map(|n| past[..n].to_vec()));
    for past in moments {
        let expected = holdings(&model(&past).await).await;
        if expected.expect("memory does not fail") == held {
            // The change stream may have lost more than the stations did.
            let id = system().id;
            let drained = refresh::drain(store, refresh::CONSUMER, minute(0)).await;
            let counted = refresh::count_missing(store, Recounter::of(store), &id, minute(0)).await;
            let is_done = drained.is_ok() && counted.is_ok();
            assert!(is_done, "{what}: {drained:?} {counted:?}");
            if !world
                .faults(store)
                .await
                .is_ok_and(|faults| faults.is_empty())
            {
                return Ending::FoundDamaged;
            }
            assert_counts(store, &past, what).await;
            return Ending::WentBack;
        }
    }
    Ending::Torn
}

async fn assert_sound<W: World>(world: &mut W, store: &W::Store, what: &str) {
    match world.faults(store).await {
        Ok(faults) => assert!(faults.is_empty(), "{what}: {faults:#?}"),
        Err(error) => panic!("{what}: the store cannot be checked: {error}"),
    }
}

async fn assert_counts(store: &dyn Store, past: &[Act], what: &str) {
    let model = model(past).await;
    // Drained, whatever of its stream the plan has drained.
    let drained = refresh::drain(&model, refresh::CONSUMER, minute(0)).await;
    drained.expect("memory does not fail");
    let (found, expected) = (counts(store).await, counts(&model).await);
    let (found, expected) = (found.expect("it can be read"), expected.unwrap_or_default());
    assert!(
        found == expected,
        "{what}: {}",
        difference(&found, &expected)
    );
}

/// Lists the lines that only one of two lists has.
fn difference(found: &[String], expected: &[String]) -> String {
    let mut lines = String::new();
    for line in found.iter().filter(|line| !expected.contains(line)) {
        lines += &format!("\n+ {line}");
    }
    for line in expected.iter().filter(|line| !found.contains(line)) {
        lines += &format!("\n- {line}");
    }
    if lines.is_empty() {
        lines = format!("another order: {found:#?}");
    }
    lines
}

/// Returns the test settings: the number of plans that `DIVVY_PLANS` gives, at random; if it is not set,
/// `plans` plans, the same in each run. Those on which a store fails are made small in up to `shrinks` steps and kept in the
/// file `failures`.
///
/// # Panics
///
/// Where `DIVVY_PLANS` is no number.
pub fn config(plans: u32, shrinks: u32, failures: &'static str) -> ProptestConfig {
    let asked = std::env::var("DIVVY_PLANS").ok();
    let asked = asked.map(|plans| plans.parse().expect("DIVVY_PLANS is a number"));
    ProptestConfig {
        cases: asked.unwrap_or(plans),
        rng_seed: match asked {
            None => RngSeed::Fixed(1),
            Some(_) => RngSeed::Random,
        },
        max_shrink_iters: shrinks,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(failures))),
        ..ProptestConfig::default()
    }
}

/// Plans of up to `steps` steps, with these faults in half of them.
pub fn plans<F: Clone + std::fmt::Debug + 'static>(
    fault: impl Strategy<Value = F> + Clone + 'static,
    steps: usize,
) -> impl Strategy<Value = Vec<Step<F>>> {
    cases::rows().prop_flat_map(move |rows| {
        let step = (
            act(rows.clone()),
            prop::option::weighted(0.25, act(rows)),
            prop::option::of(fault.clone()),
            any::<bool>(),
        );
        let step = step.prop_map(|(act, beside, fault, is_repeated)| Step {
            act,
            beside,
            fault,
            is_repeated,
        });
        prop::collection::vec(step, 1..=steps)
    })
}

fn act(rows: Vec<cases::Row>) -> impl Strategy<Value = Act> + Clone {
    let archive = cases::archive(rows).prop_map(Act::Load).boxed();
    prop_oneof![
        6 => archive,
        2 => (0..4_usize).prop_map(Act::UnloadAt),
        3 => cases::snapshot().prop_map(Act::Poll),
        1 => cases::stations().prop_map(Act::Describe),
        2 => Just(Act::Refresh),
        1 => Just(Act::TouchAll),
        2 => (0..REPORTS.len(), 0..5_usize).prop_map(|(report, question)| Act::Report(report, question)),
        1 => Just(Act::Check),
    ]
    .boxed()
}
