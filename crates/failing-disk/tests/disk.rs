//! Files of the standard library, on a disk that fails.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use failing_disk::{Disk, Fault, FaultKind, Operation};

fn disk() -> (Disk, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().canonicalize().unwrap();
    let (root, kept) = (here.join("disk"), here.join("kept"));
    fs::create_dir(&kept).unwrap();
    let disk = Disk::new(&root, &kept);
    fs::create_dir(&root).unwrap();
    (disk, root, folder)
}

fn write(path: &PathBuf, text: &str) -> std::io::Result<File> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

fn sync(folder: &PathBuf) {
    File::open(folder).unwrap().sync_all().unwrap();
}

#[test]
fn the_operation_that_was_named_fails_and_no_other() {
    let (disk, root, _folder) = disk();
    let fault = |operation, after, kind| Fault {
        operation: Some(operation),
        after,
        kind,
    };
    disk.arm(fault(Operation::Write, 1, FaultKind::Error));
    write(&root.join("a"), "one").unwrap();
    write(&root.join("b"), "two").unwrap_err();
    write(&root.join("c"), "three").unwrap();
    assert_eq!(disk.clear_faults().len(), 1);

    disk.arm(fault(Operation::Rename, 0, FaultKind::Error));
    fs::rename(root.join("a"), root.join("d")).unwrap_err();
    fs::rename(root.join("a"), root.join("d")).unwrap();

    disk.arm(fault(Operation::Write, 0, FaultKind::Full));
    let error = write(&root.join("e"), "four").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(fs::read(root.join("e")).unwrap(), b"fo");
    write(&root.join("f"), "five").unwrap_err();
    disk.clear_faults();
    write(&root.join("f"), "five").unwrap();

    disk.arm(fault(Operation::Write, 0, FaultKind::Short));
    write(&root.join("g"), "the rest is written by a second call").unwrap();
    assert_eq!(fs::read(root.join("g")).unwrap().len(), 36);

    disk.arm(fault(Operation::Open, 0, FaultKind::Kill));
    write(&root.join("h"), "six").unwrap_err();
    fs::remove_file(root.join("f")).unwrap_err();
    assert!(disk.is_dead());
    disk.revive();
    assert!(root.join("f").exists());
    assert!(!root.join("h").exists());
}

#[test]
fn what_is_durable_outlives_the_power_and_the_rest_may_go() {
    let mut lost = [false; 4];
    for seed in 0..40 {
        let (disk, root, _folder) = disk();
        write(&root.join("kept"), "old")
            .unwrap()
            .sync_all()
            .unwrap();
        write(&root.join("gone"), "old")
            .unwrap()
            .sync_all()
            .unwrap();
        sync(&root);
        write(&root.join("kept"), "newer").unwrap();
        write(&root.join("new"), "new").unwrap();
        fs::remove_file(root.join("gone")).unwrap();
        fs::rename(root.join("kept"), root.join("renamed")).unwrap();
        disk.cut_power(seed);
        let kept = fs::read(root.join("kept")).or_else(|_| fs::read(root.join("renamed")));
        let kept = kept.unwrap();
        assert!(
            [&b"old"[..], b"", b"newer"].contains(&&kept[..]),
            "{kept:?}"
        );
        lost[0] |= kept == b"old";
        lost[1] |= !root.join("new").exists();
        lost[2] |= root.join("gone").exists();
        lost[3] |= root.join("kept").exists();

        let (disk, root, _folder) = self::disk();
        write(&root.join("a"), "text").unwrap().sync_all().unwrap();
        fs::rename(root.join("a"), root.join("b")).unwrap();
        sync(&root);
        disk.cut_power(seed);
        assert_eq!(fs::read(root.join("b")).unwrap(), b"text");
    }
    assert_eq!(lost, [true; 4]);
}

#[test]
fn a_sync_that_lies_makes_nothing_durable() {
    let mut is_lost = false;
    for seed in 0..20 {
        let (disk, root, _folder) = disk();
        disk.arm(Fault {
            operation: Some(Operation::Sync),
            after: 0,
            kind: FaultKind::IgnoreSync,
        });
        write(&root.join("a"), "text").unwrap().sync_all().unwrap();
        sync(&root);
        assert!(disk.cut_power(seed));
        is_lost |= fs::read(root.join("a")).map_or(true, |text| text.is_empty());
    }
    assert!(is_lost);
}
