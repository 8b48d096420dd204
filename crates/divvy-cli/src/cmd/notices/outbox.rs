//! Notices that wait for one target, each in a file, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use divvy::alarms::Notice;
use serde::Serialize;

use super::durable::{remove_unfinished, sync_folder, write_whole};

/// How many notices wait for a target at most. At one more, the oldest goes to the refused ones.
pub const MAX_WAITING: usize = 10_000;

/// The size from which on the file of refused notices is renamed, and another one begun.
const MAX_REFUSED_BYTES: u64 = 16 * 1024 * 1024;

/// The notices that wait for one target. A notice that was added is on the disk until it is removed.
pub struct Outbox {
    folder: PathBuf,
    refused: PathBuf,
    waiting: Mutex<Waiting>,
    max_waiting: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The ids of notices, by the numbers of their files.
    ids: BTreeMap<u64, String>,
    /// The ids of notices that were added, until they are forgotten: those that were sent meanwhile, too.
    added: BTreeSet<String>,
    next: u64,
}

/// A line in the file of refused notices.
#[derive(Serialize)]
struct Refused<'a> {
    reason: &'a str,
    notice: &'a Notice,
}

impl Outbox {
    /// Opens an outbox with what waits from before, and makes its folder if it is missing.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn open(folder: &Path, refused: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        remove_unfinished(folder)?;
        let mut waiting = Waiting::default();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let Some(number) = number_of(&path) else {
                continue;
            };
            // A file that is no notice is not sent, and stays for people to look at.
            if let Some(notice) = read(&path)? {
                waiting.ids.insert(number, notice.id);
            }
            waiting.next = waiting.next.max(number + 1);
        }
        Ok(Self {
            folder: folder.to_owned(),
            refused: refused.to_owned(),
            waiting: Mutex::new(waiting),
            max_waiting: MAX_WAITING,
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder of this lock panics")
    }

    /// Counts the notices that wait.
    pub fn len(&self) -> usize {
        self.waiting().ids.len()
    }

    /// Adds notices behind those that wait. They are on the disk when this returns. Notices that wait already,
    /// or were added since [`forget_added`](Self::forget_added), are left out. Returns how many of the oldest were
    /// moved to the refused ones, because too many wait.
    ///
    /// # Errors
    ///
    /// They cannot be written. Those before the failure are added.
    pub fn add(&self, notices: &[&Notice]) -> io::Result<usize> {
        let mut waiting = self.waiting();
        let held: BTreeSet<String> = waiting.ids.values().cloned().collect();
        for notice in notices {
            if held.contains(&notice.id) || waiting.added.contains(&notice.id) {
                continue;
            }
            let number = waiting.next;
            write_whole(&self.path(number), &serde_json::to_vec(notice)?)?;
            waiting.next += 1;
            waiting.ids.insert(number, notice.id.clone());
            waiting.added.insert(notice.id.clone());
        }
        sync_folder(&self.folder)?;
        let mut moved = 0;
        while waiting.ids.len() > self.max_waiting
            && let Some((number, _)) = waiting.ids.first_key_value()
        {
            let number = *number;
            self.set_aside(number, "too many notices wait")?;
            waiting.ids.remove(&number);
            moved += 1;
        }
        Ok(moved)
    }

    /// Forgets that notices were added: their caller will not add them again.
    pub fn forget_added(&self, notices: &[Notice]) {
        let mut waiting = self.waiting();
        for notice in notices {
            waiting.added.remove(&notice.id);
        }
    }

    /// Returns the oldest notice and its number. `None` where none waits, or the oldest cannot be read now. One
    /// whose file is gone, or is no notice, is left out.
    pub fn oldest(&self) -> Option<(u64, Notice)> {
        let mut waiting = self.waiting();
        while let Some((number, _)) = waiting.ids.first_key_value() {
            let number = *number;
            match read(&self.path(number)) {
                Ok(Some(notice)) => return Some((number, notice)),
                Ok(None) => waiting.ids.remove(&number),
                Err(_) => return None,
            };
        }
        None
    }

    /// Removes a notice that the target has taken. One that is not there any more is no error.
    ///
    /// # Errors
    ///
    /// Its file cannot be removed.
    pub fn remove(&self, number: u64) -> io::Result<()> {
        let mut waiting = self.waiting();
        remove(&self.path(number))?;
        sync_folder(&self.folder)?;
        waiting.ids.remove(&number);
        Ok(())
    }

    /// Moves a notice to the refused ones.
    ///
    /// # Errors
    ///
    /// They cannot be written: the notice waits on.
    pub fn refuse(&self, number: u64, reason: &str) -> io::Result<()> {
        let mut waiting = self.waiting();
        self.set_aside(number, reason)?;
        waiting.ids.remove(&number);
        Ok(())
    }

    fn set_aside(&self, number: u64, reason: &str) -> io::Result<()> {
        if let Some(notice) = read(&self.path(number))? {
            let is_long =
                |path: &Path| fs::metadata(path).is_ok_and(|it| it.len() > MAX_REFUSED_BYTES);
            if is_long(&self.refused) {
                fs::rename(&self.refused, self.refused.with_extension("old.ndjson"))?;
            }
            let mut line = serde_json::to_vec(&Refused {
                reason,
                notice: &notice,
            })?;
            line.push(b'\n');
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.refused)?;
            file.write_all(&line)?;
            file.sync_all()?;
        }
        remove(&self.path(number))?;
        sync_folder(&self.folder)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:012}.json"))
    }
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".json")?.parse().ok()
}

/// Reads a notice. `None` where its file is gone, or is no notice.
fn read(path: &Path) -> io::Result<Option<Notice>> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use divvy::alarms::{NoticeState, Values};

    fn notice(id: &str) -> Notice {
        Notice {
            id: id.into(),
            rule: "empty".into(),
            when: "empty".into(),
            system: "divvy".into(),
            subject: "s0".into(),
            name: None,
            state: NoticeState::Raised,
            since: "2025-01-15T12:00:00-06:00".into(),
            at: "2025-01-15T12:05:00-06:00".into(),
            text: "a station has no bike".into(),
            values: Values::default(),
        }
    }

    #[test]
    fn notices_wait_in_order_over_a_restart_and_once_each() {
        let folder = tempfile::tempdir().unwrap();
        let refused = folder.path().join("refused.ndjson");
        let open = || Outbox::open(&folder.path().join("ops"), &refused).unwrap();
        let outbox = open();
        let (a, b, c) = (notice("a"), notice("b"), notice("c"));
        outbox.add(&[&a, &b]).unwrap();
        drop(outbox);
        let outbox = open();
        outbox.add(&[&b, &c]).unwrap();
        assert_eq!(outbox.len(), 3);
        let (number, first) = outbox.oldest().unwrap();
        assert_eq!(first, a);
        outbox.remove(number).unwrap();
        let (number, second) = outbox.oldest().unwrap();
        assert_eq!(second, b);
        outbox.refuse(number, "status 400").unwrap();
        drop(outbox);
        let outbox = open();
        assert_eq!(outbox.oldest().unwrap().1, c);
        assert_eq!(outbox.len(), 1);
        let kept = fs::read_to_string(&refused).unwrap();
        assert!(
            kept.starts_with("{\"reason\":\"status 400\",\"notice\":{\"id\":\"b\""),
            "{kept}"
        );
    }

    #[test]
    fn a_notice_that_is_added_again_after_it_was_sent_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let refused = folder.path().join("refused.ndjson");
        let outbox = Outbox::open(&folder.path().join("ops"), &refused).unwrap();
        outbox.add(&[&notice("a")]).unwrap();
        outbox.remove(outbox.oldest().unwrap().0).unwrap();
        outbox.add(&[&notice("a"), &notice("b")]).unwrap();
        assert_eq!(outbox.oldest().unwrap().1.id, "b");
        outbox.forget_added(&[notice("a")]);
        outbox.add(&[&notice("a")]).unwrap();
        assert_eq!(outbox.len(), 2);
    }

    #[test]
    fn the_oldest_of_too_many_is_kept_among_the_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = folder.path().join("refused.ndjson");
        let mut outbox = Outbox::open(&folder.path().join("ops"), &refused).unwrap();
        outbox.max_waiting = 2;
        let notices = ["a", "b", "c", "d"].map(notice);
        assert_eq!(outbox.add(&notices.each_ref()[..]).unwrap(), 2);
        assert_eq!(outbox.oldest().unwrap().1.id, "c");
        assert_eq!(fs::read_to_string(&refused).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_file_that_is_no_notice_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let ops = folder.path().join("ops");
        fs::create_dir(&ops).unwrap();
        fs::write(ops.join("000000000007.json"), "{").unwrap();
        fs::write(ops.join(".divvy-alarms-aBc1"), "{").unwrap();
        fs::write(ops.join(".other"), "{").unwrap();
        let outbox = Outbox::open(&ops, &folder.path().join("refused.ndjson")).unwrap();
        assert!(outbox.oldest().is_none());
        outbox.add(&[&notice("a")]).unwrap();
        assert_eq!(outbox.oldest().unwrap().0, 8);
        // What a killed process was writing is removed, and nothing else.
        assert_eq!(fs::read_dir(&ops).unwrap().count(), 3);
    }
}
