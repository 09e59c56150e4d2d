//! One life, two lives, two owners.

use std::sync::Arc;

use chainwright_chain::Store;
use chainwright_store::{Disk, DiskStore, Identity, OpenError, RealDisk, SimulatedDisk};

use crate::model::{Model, Random, check, identity, open, small, take};

#[track_caller]
fn check_lives(mut reopen: impl FnMut() -> DiskStore) {
    let (mut model, mut random) = (Model::new(), Random(1));
    for life in 0..6 {
        let mut store = reopen();
        check(&store, &model);
        for block in 0..20 {
            let mut steps = vec![model.connect(&mut random, 8)];
            if block % 4 == 3 {
                let back = [model.disconnect(), model.disconnect()];
                steps.extend(back);
                steps.push(model.connect(&mut random, 8));
            }
            take(&mut store, &steps).expect("there is space");
            if let Some(task) = store.maintenance() {
                task();
            }
        }
        if life % 2 == 0 {
            store.sync().expect("there is space");
        }
        check(&store, &model);
        assert_eq!(store.records().expect("reads").len(), 25 * (life + 1));
    }
}

#[test]
fn all_is_there_after_reopening_a_real_directory() {
    let directory = tempfile::tempdir().expect("there is space");
    check_lives(|| open(RealDisk::open(directory.path()).expect("opens")).expect("opens"));
}

#[test]
fn all_is_there_after_the_process_is_killed() {
    let mut disk = SimulatedDisk::new(1);
    check_lives(|| {
        disk = disk.kill();
        open(disk.clone()).expect("opens")
    });
}

#[test]
fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().expect("there is space");
    let first = RealDisk::open(directory.path()).expect("opens");
    let second = RealDisk::open(directory.path());
    let message = second.expect_err("is locked").to_string();
    assert!(message.contains("in use by another process") && message.contains("hint:"), "{message}");
    drop(first);
    RealDisk::open(directory.path()).expect("is free again");
}

#[test]
fn a_store_of_another_chain_is_refused() {
    let disk = SimulatedDisk::new(1);
    drop(open(disk.clone()).expect("opens"));
    let others = [
        ("ledger", Identity { ledger: "other".into(), ..identity() }),
        ("engine", Identity { engine: "other".into(), ..identity() }),
        ("chain", Identity { chain: "other".into(), ..identity() }),
        ("tables", Identity { tables: &[], ..identity() }),
    ];
    for (expected, other) in others {
        match DiskStore::open(Arc::new(disk.kill()) as Arc<dyn Disk>, other, small()).map(drop) {
            Err(OpenError::Identity { what, .. }) => assert_eq!(what, expected),
            other => panic!("{other:?}"),
        }
    }
}
