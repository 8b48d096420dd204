//! The store in a folder on a disk that fails: plans in which any operation on a file may.
//! `DIVVY_PLANS` sets their number.
#![cfg(all(feature = "embedded", target_os = "linux"))]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use async_trait::async_trait;
use divvy::store::StoreError;
use divvy::store::embedded::EmbeddedStore;
use divvy_testkit::simulator::{self, Act, Ran, World};
use failing_disk::{Disk, FaultKind, Operation};
use futures_executor::block_on;
use proptest::prelude::*;
use proptest::sample::select;

/// A fault of the disk, and what happens behind the step in which it strikes.
#[derive(Clone, Debug)]
struct Fault {
    disk: failing_disk::Fault,
    /// The power is cut, with this seed.
    cut: Option<u64>,
    /// The process ends after the step.
    ends: bool,
}

/// A folder on a disk that fails, and the process that has it open.
struct Folder {
    root: PathBuf,
    disk: Disk,
    open: Option<EmbeddedStore>,
    /// The disk failed in the last step, in which `open` may have been opened.
    was_failing: bool,
    _all: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let all = tempfile::tempdir().unwrap();
        let here = all.path().canonicalize().unwrap();
        let (root, kept) = (here.join("store"), here.join("kept"));
        std::fs::create_dir(&kept).unwrap();
        Self {
            disk: Disk::new(&root, &kept),
            root,
            open: None,
            was_failing: false,
            _all: all,
        }
    }

    /// Lists the trips files that the catalog names: none where there is no store yet, or no more of
    /// it than an empty catalog.
    fn named(&self) -> rusqlite::Result<Vec<PathBuf>> {
        let path = self.root.join("catalog.db");
        if !path.metadata().is_ok_and(|metadata| metadata.len() > 0) {
            return Ok(Vec::new());
        }
        let catalog = rusqlite::Connection::open(path)?;
        if !catalog.table_exists(None, "file")? {
            return Ok(Vec::new());
        }
        let mut select = catalog.prepare("SELECT path FROM file")?;
        let paths = select.query_map([], |row| row.get::<_, String>(0))?;
        paths.map(|path| Ok(self.root.join(path?))).collect()
    }

    /// Lists the trips files that other programs see.
    fn visible(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.join("trips")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path)
                } else {
                    found.push(path)
                }
            }
        }
        found
    }
}

fn perform(store: &EmbeddedStore, act: &Act) -> Result<Option<String>, String> {
    if matches!(act, Act::Check) {
        let checked = store.check(&|_, _| ()).map_err(|error| error.to_string())?;
        return if checked.faults.is_empty() {
            Ok(None)
        } else {
            Err(format!("check: {:?}", checked.faults))
        };
    }
    block_on(simulator::perform(store, act)).map_err(|error| error.to_string())
}

#[async_trait(?Send)]
impl World for Folder {
    type Fault = Fault;
    type Store = EmbeddedStore;

    async fn run(&mut self, acts: &[Act], fault: Option<Fault>) -> Ran {
        let is_calm = fault.is_none();
        if let Some(fault) = &fault {
            self.disk.arm(fault.disk);
        }
        // In one process SQLite's connections to a file share what they map of its log: one that was
        // opened read-only while the disk failed keeps the others from writing. Processes do not share it.
        let is_usable = acts.len() == 1 || !self.was_failing;
        self.was_failing = fault.is_some();
        let opened = match self.open.take().filter(|_| is_usable) {
            Some(store) => Ok(store),
            None => EmbeddedStore::open(&self.root),
        };
        let root = &self.root;
        let results: Vec<_> = match &opened {
            Err(error) => acts.iter().map(|_| Err(error.to_string())).collect(),
            // A thread each: these futures do not wait, they work.
            Ok(store) => std::thread::scope(|scope| {
                let first = scope.spawn(|| perform(store, &acts[0]));
                let beside = acts[1..].iter().map(|act| {
                    scope.spawn(move || {
                        let store = EmbeddedStore::open(root).map_err(|e| e.to_string())?;
                        perform(&store, act)
                    })
                });
                let beside: Vec<_> = beside.collect();
                let all = std::iter::once(first).chain(beside);
                all.map(|thread| thread.join().unwrap()).collect()
            }),
        };
        self.disk.clear_faults();
        let is_dead = self.disk.is_dead();
        let mut may_forget = false;
        let fault = fault.filter(|fault| is_dead || fault.cut.is_some() || fault.ends);
        if let Some(fault) = fault {
            drop(opened);
            if let Some(seed) = fault.cut {
                may_forget = self.disk.cut_power(seed);
                let _ = std::fs::remove_file(self.root.join("catalog.db-shm"));
            }
            self.disk.revive();
        } else {
            self.open = opened.ok();
        }
        // Where nothing fails all acts succeed, and a check finds no fault.
        let failed = results.iter().find(|result| result.is_err());
        assert!(!is_calm || failed.is_none(), "{failed:?}");
        Ran {
            results,
            may_forget,
        }
    }

    async fn open(&mut self) -> Result<EmbeddedStore, StoreError> {
        EmbeddedStore::open(&self.root)
    }

    async fn faults(&mut self, store: &EmbeddedStore) -> Result<Vec<String>, StoreError> {
        let mut faults = store.check(&|_, _| ())?.faults;
        let named = self.named().unwrap_or_else(|error| {
            faults.push(format!("the catalog cannot be read: {error}"));
            Vec::new()
        });
        for path in self.visible() {
            if !named.contains(&path) {
                faults.push(format!("{} is visible", path.display()));
            }
        }
        Ok(faults)
    }
}

fn fault() -> impl Strategy<Value = Fault> + Clone {
    const KINDS: &[FaultKind] = &[
        FaultKind::Error,
        FaultKind::Short,
        FaultKind::Full,
        FaultKind::IgnoreSync,
        FaultKind::Kill,
        FaultKind::Kill,
    ];
    const OPERATIONS: &[Option<Operation>] = &[
        None,
        None,
        None,
        Some(Operation::Read),
        Some(Operation::Open),
        Some(Operation::Write),
        Some(Operation::Resize),
        Some(Operation::Sync),
        Some(Operation::Rename),
        Some(Operation::Remove),
        Some(Operation::MakeFolder),
    ];
    (
        select(KINDS),
        select(OPERATIONS),
        prop_oneof![0..4_u64, 0..30_u64, 0..200_u64],
        prop::option::weighted(0.4, any::<u64>()),
        any::<bool>(),
    )
        .prop_map(|(kind, operation, after, cut, ends)| Fault {
            disk: failing_disk::Fault {
                operation,
                after,
                kind,
            },
            cut,
            ends,
        })
        .boxed()
}

/// How many plans ended how.
static ENDINGS: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

#[test]
fn whatever_fails_nothing_is_lost_or_half_done() {
    follows_plans();
    println!("{:?}", ENDINGS.lock().unwrap());
}

proptest! {
    #![proptest_config(simulator::config(200, 300, concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/proptest-regressions/simulator.txt"
    )))]

    fn follows_plans(plan in simulator::plans(fault(), 8)) {
        let ending = block_on(simulator::follow(&mut Folder::new(), &plan));
        *ENDINGS.lock().unwrap().entry(format!("{ending:?}")).or_default() += 1;
    }
}
