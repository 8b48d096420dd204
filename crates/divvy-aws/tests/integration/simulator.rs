//! Random plans on DynamoDB, in which any request may fail and any process may end at any request.
//! `DIVVY_PLANS` sets their number.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use divvy::model::Trip;
use divvy::store::StoreError;
use divvy_aws::tables::{Capacity, Layout};
use divvy_aws::{DynamoStore, OpenOptions};
use divvy_testkit::cases::{Archive, Row};
use divvy_testkit::simulator::{self, Act, Ran, World};
use proptest::prelude::*;
use throttling_dynamodb::{Emulator, Faults, Options};

use crate::paused::block_on;
use crate::process::{End, LATE, Process};

/// Longer than any wait, on the clock of the test.
const FOR_EVER: Duration = Duration::from_secs(24 * 3_600);

/// What fails during a step.
#[derive(Clone, Debug)]
enum Fault {
    /// Requests of all processes fail.
    Requests(Faults),
    /// The process of the first act ends.
    Ends(End),
}

/// The tables of an emulator.
struct Tables {
    local: Emulator,
    layout: Layout,
    random: fastrand::Rng,
    /// A load that has failed, until the next load or unload succeeds.
    unfinished: Option<Act>,
}

impl Tables {
    fn new(layout: Layout, seed: u64) -> Self {
        fastrand::seed(seed);
        let options = Options {
            scratch: true,
            ..Options::default()
        };
        Self {
            local: Emulator::open(options).unwrap(),
            layout,
            random: fastrand::Rng::with_seed(seed),
            unfinished: None,
        }
    }

    async fn store(&self, client: SharedHttpClient) -> Result<DynamoStore, StoreError> {
        DynamoStore::open(OpenOptions {
            http_client: Some(client),
            layout: Some(self.layout),
            capacity: Capacity::OnDemand,
            late: Some(LATE),
            ..OpenOptions::default()
        })
        .await
    }

    /// Runs an act in a process of its own.
    async fn act(&self, act: &Act, process: &Process, client: SharedHttpClient) -> Done {
        let work = async {
            let store = self.store(client).await.map_err(|e| e.to_string())?;
            if matches!(act, Act::Check) {
                let checked = store.check().await.map_err(|e| e.to_string())?;
                let is_sound = checked.faults.is_empty();
                return is_sound.then_some(None).ok_or(format!("{checked:?}"));
            }
            let done = simulator::perform(&store, act).await;
            done.map_err(|e| e.to_string())
        };
        tokio::select! {
            biased;
            () = process.ended() => Err("killed".into()),
            done = work => done,
            () = tokio::time::sleep(FOR_EVER) => panic!("{act:?} never ends"),
        }
    }
}

type Done = Result<Option<String>, String>;

#[async_trait(?Send)]
impl World for Tables {
    type Fault = Fault;
    type Store = DynamoStore;

    async fn run(&mut self, acts: &[Act], fault: Option<Fault>) -> Ran {
        if are_polls_of_different_times(acts) {
            // Stations are written row by row, and the row of one is not protected from an older
            // snapshot that is being written at the same time: see docs/RELIABILITY.md.
            let mut results = self.run(&acts[..1], fault).await.results;
            results.extend(self.run(&acts[1..], None).await.results);
            return Ran {
                results,
                may_forget: false,
            };
        }
        let mut end = None;
        match fault {
            Some(Fault::Requests(faults)) => self.local.set_faults(faults),
            Some(Fault::Ends(fault)) => end = Some(fault),
            None => {}
        }
        let first = Process::new(end, &mut self.random);
        let other = Process::new(None, &mut self.random);
        let client = |process: &std::sync::Arc<Process>| process.client(self.local.http_client());
        let beside = async {
            match acts.get(1) {
                Some(act) => Some(self.act(act, &other, client(&other)).await),
                None => None,
            }
        };
        let (one, beside) = tokio::join!(self.act(&acts[0], &first, client(&first)), beside);
        let mut results = vec![one];
        results.extend(beside);
        self.local.set_faults(Faults::default());
        // Requests of a process that has ended arrive until then.
        tokio::time::sleep(LATE).await;
        // A load that supersedes archives has to be finished before another one begins. In the
        // layout of rows a scan lacks trips that an unfinished load has overwritten by better
        // copies, until the load continues or another load undoes it. Stations are written row by
        // row; the next write of stations completes an unfinished one.
        let goes_on = match &acts[0] {
            Act::Load(archive) => archive.replace || self.layout == Layout::Rows,
            _ => true,
        };
        if results[0].is_err() && goes_on {
            let process = Process::new(None, &mut self.random);
            let client = process.client(self.local.http_client());
            results[0] = self.act(&acts[0], &process, client).await;
        }
        for (act, result) in acts.iter().zip(&results) {
            let is_load = matches!(act, Act::Load(_));
            if result.is_err() && is_load {
                self.unfinished = Some(act.clone());
            } else if is_load || matches!(act, Act::Unload(_)) {
                self.unfinished = None;
            }
        }
        Ran {
            results,
            may_forget: false,
        }
    }

    async fn open(&mut self) -> Result<DynamoStore, StoreError> {
        self.store(self.local.http_client()).await
    }

    fn unfinished(&self) -> Option<Act> {
        self.unfinished.clone()
    }

    async fn faults(&mut self, store: &DynamoStore) -> Result<Vec<String>, StoreError> {
        Ok(store.check().await?.faults)
    }
}

/// Whether both acts are polls, of snapshots of different times.
fn are_polls_of_different_times(acts: &[Act]) -> bool {
    matches!(acts, [Act::Poll(first), Act::Poll(second)] if first.taken_at != second.taken_at)
}

fn fault() -> impl Strategy<Value = Fault> + Clone {
    let ends = (0..110_i64, any::<bool>()).prop_map(|(after, is_last_done)| {
        Fault::Ends(End {
            after,
            is_last_done,
        })
    });
    let fails = (any::<u64>(), 0.0..0.2).prop_map(|(seed, share)| {
        Fault::Requests(Faults {
            seed,
            internal_error: share / 4.0,
            throttle: share,
            timeout: share / 4.0,
            dropped_reply: share / 2.0,
            partial_batch: share,
            unanswered: share / 4.0,
            slow_reply: share / 2.0,
        })
    });
    prop_oneof![2 => ends, 1 => fails].boxed()
}

/// The number of plans by their outcome.
static ENDINGS: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

#[test]
fn whatever_fails_nothing_is_lost_or_half_done() {
    follows_plans();
    println!("{:?}", ENDINGS.lock().unwrap());
}

proptest! {
    #![proptest_config(simulator::config(40, 200, concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/proptest-regressions/simulator.txt"
    )))]

    fn follows_plans(plan in simulator::plans(fault(), 6), is_packed: bool, seed: u64) {
        let layout = if is_packed { Layout::Packed } else { Layout::Rows };
        let ending = block_on(simulator::follow(&mut Tables::new(layout, seed), &plan));
        *ENDINGS.lock().unwrap().entry(format!("{ending:?}")).or_default() += 1;
    }
}

#[test]
fn counts_of_a_load_that_was_killed_at_its_end_are_no_fault() {
    let trip = Trip {
        origin: Some("35".into()),
        ..Trip::new("T4", 1_704_074_400_000, 1_704_075_000_000, -21_600)
    };
    let archive = Archive {
        name: "202401.zip".into(),
        members: vec![vec![Row { trip, name: None }]],
        unreadable: 0,
        batch: 2,
        replace: false,
    };
    // From the version of the station to the commit, and some requests around them.
    for after in 25..45 {
        let end = End {
            after,
            is_last_done: true,
        };
        let step = |act, fault| simulator::Step {
            act,
            beside: None,
            fault,
            is_repeated: false,
        };
        let plan = [
            step(Act::Load(archive.clone()), Some(Fault::Ends(end))),
            step(Act::Refresh, None),
        ];
        block_on(simulator::follow(
            &mut Tables::new(Layout::Packed, 0),
            &plan,
        ));
    }
}
