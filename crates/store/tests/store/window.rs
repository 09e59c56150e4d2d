//! How much memory the rows take that are not on disk yet.

use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{BlockId, Change, Delta, Step, Store};
use chainwright_store::{Disk, DiskStore, Options, SimulatedDisk};

use crate::model::{COINS, Model, Random, check, identity, open, small, take};

const ROWS: u64 = 500;
const WINDOW: usize = 200_000;
/// Key and value of a row.
const ROW_BYTES: usize = 12;

fn id(number: u64) -> BlockId {
    let mut id = [3; 32];
    id[..8].copy_from_slice(&number.to_le_bytes());
    BlockId(id)
}

/// Makes small rows, so that most of the memory is what it takes to find them.
fn grow(store: &mut DiskStore, block: u64) {
    let rows: Vec<_> = (0..ROWS).map(|row| (block * ROWS + row).to_le_bytes()).collect();
    let changes = rows.iter().map(|key| Change { table: COINS, key, old: None, new: Some(&key[..4]) });
    let delta = Delta::from_changes(changes);
    let from = if block == 0 { BlockId::ZERO } else { id(block) };
    let step = Step { from, to: id(block + 1), delta, receipts: Bytes::new() };
    store.journal(std::slice::from_ref(&step)).expect("there is space");
    store.apply(&step);
}

fn store() -> (SimulatedDisk, DiskStore) {
    let disk = SimulatedDisk::new(1);
    let options = Options { window_bytes: WINDOW, segment_bytes: 1 << 20, ..small() };
    let store = DiskStore::open(Arc::new(disk.clone()), identity(), options).expect("opens");
    (disk, store)
}

#[test]
fn what_it_takes_to_find_a_row_counts() {
    let (_, mut store) = store();
    grow(&mut store, 0);
    let bytes = store.footprint().window_bytes;
    assert!(bytes >= ROWS as usize * (ROW_BYTES + 40), "{bytes} B for {ROWS} rows");
    assert!(bytes <= ROWS as usize * (ROW_BYTES + 80), "{bytes} B for {ROWS} rows");
}

#[test]
fn the_window_is_flushed_before_it_takes_more_than_it_may() {
    let (disk, mut store) = store();
    let mut largest = 0;
    for block in 0..60 {
        grow(&mut store, block);
        largest = largest.max(store.footprint().window_bytes);
        if let Some(task) = store.maintenance() {
            largest = largest.max(store.footprint().window_bytes);
            task();
        }
    }
    assert!(largest <= WINDOW, "{largest} B");
    assert!(largest > WINDOW / 2, "{largest} B");
    assert!(disk.list().expect("lists").iter().any(|name| name.starts_with("values-")));
}

/// The task is given out and never begins, as when all workers are busy.
#[test]
fn a_writer_that_gets_too_far_ahead_flushes() {
    let (_, mut store) = store();
    let (mut held, mut was_behind, mut largest) = (None, false, 0);
    for block in 0..60 {
        grow(&mut store, block);
        held = held.or_else(|| store.maintenance());
        was_behind |= store.is_behind();
        largest = largest.max(store.footprint().window_bytes);
    }
    assert!(was_behind && held.is_some());
    assert!(largest <= WINDOW * 2, "{largest} B");
    assert!(largest > WINDOW, "{largest} B: it flushed earlier than it had to");
}

/// While tasks run on threads, late or early, and the writer does not wait for them.
#[test]
fn a_flush_by_the_writer_and_one_beside_it_lose_nothing() {
    let disk = SimulatedDisk::new(7);
    let mut store = open(disk.clone()).expect("opens");
    let (mut model, mut random) = (Model::new(), Random(4));
    let mut threads = Vec::new();
    for _ in 0..300 {
        let mut steps = vec![model.connect(&mut random, 12)];
        if random.below(5) == 0 {
            steps.extend([model.disconnect(), model.connect(&mut random, 12)]);
        }
        take(&mut store, &steps).expect("there is space");
        threads.extend(store.maintenance().map(std::thread::spawn));
    }
    for thread in threads {
        thread.join().expect("the task does not panic");
    }
    check(&store, &model);
    drop(store);
    check(&open(disk.kill()).expect("opens"), &model);
}

#[test]
fn a_task_that_comes_late_finds_its_work_done() {
    let disk = SimulatedDisk::new(2);
    let mut store = open(disk.clone()).expect("opens");
    let (mut model, mut random) = (Model::new(), Random(8));
    let (mut held, mut flushed_by_writer) = (None, 0);
    for block in 0..200 {
        let (before, was_behind) = (disk.writes(), store.is_behind());
        take(&mut store, &[model.connect(&mut random, 12)]).expect("there is space");
        // Body, record and journal take few writes; a flush takes more.
        flushed_by_writer += u32::from(was_behind && !store.is_behind() && disk.writes() > before + 6);
        held = held.or_else(|| store.maintenance());
        if block % 40 == 39
            && let Some(task) = held.take()
        {
            task();
        }
    }
    assert!(flushed_by_writer > 3, "{flushed_by_writer}");
    check(&store, &model);
    drop(store);
    check(&open(disk.kill()).expect("opens"), &model);
}
