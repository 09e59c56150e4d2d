//! The format does not change by accident, and old steps go when they may.

use std::sync::Arc;

use chainwright_chain::Store;
use chainwright_store::{Disk, DiskStore, Options, SimulatedDisk};

use crate::model::{Model, Random, check, check_rows, identity, open, small, take};

fn live(disk: &SimulatedDisk, options: Options, blocks: usize) -> (DiskStore, Model) {
    let mut store = DiskStore::open(Arc::new(disk.clone()), identity(), options).expect("opens");
    let (mut model, mut random) = (Model::new(), Random(11));
    for _ in 0..blocks {
        take(&mut store, &[model.connect(&mut random, 6)]).expect("there is space");
        if let Some(task) = store.maintenance() {
            task();
        }
    }
    store.flush().expect("there is space");
    (store, model)
}

/// FNV-1a, 64 bits, over names and bytes of all files.
fn digest(disk: &SimulatedDisk) -> u64 {
    let mut names = disk.list().expect("lists");
    names.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for name in names {
        for byte in name.bytes().chain(disk.bytes(&name).expect("is there")) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// If this fails, either the format has changed: raise the version in `format.rs`, then write down the new digest. Or rows
/// reach the disk at another moment or in another order: then write down the digest alone.
#[test]
fn the_format_is_frozen() {
    let disk = SimulatedDisk::new(1);
    drop(live(&disk, small(), 12));
    assert_eq!(format!("{:016x}", digest(&disk)), "e91233302257a336");
}

#[test]
fn old_steps_are_forgotten_if_asked_for_and_the_rows_stay() {
    let disk = SimulatedDisk::new(1);
    let options = Options { journal_steps_min: Some(10), ..small() };
    let (store, model) = live(&disk, options, 60);
    assert!(disk.bytes("journal-00000000").is_none(), "the first segment is gone");
    for _ in 0..2 {
        let store = open(disk.kill()).expect("opens");
        check_rows(store.rows().as_ref(), &model.state());
        for (age, (id, delta, _)) in model.chain.iter().rev().enumerate() {
            let connected = store.bodies().connected(id).expect("reads");
            assert!(age >= 10 || connected.as_ref().is_some_and(|c| c.delta == *delta), "block {age} back");
        }
        assert_eq!(store.bodies().connected(&model.chain[0].0).expect("reads"), None);
    }
    assert_eq!(store.bodies().connected(&model.chain[0].0).expect("reads"), None);
}

#[test]
fn all_steps_are_kept_unless_told_otherwise() {
    let disk = SimulatedDisk::new(1);
    let (store, model) = live(&disk, small(), 60);
    check(&store, &model);
}
