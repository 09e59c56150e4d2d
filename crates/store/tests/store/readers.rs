//! Readers on other threads while rows move from the window to the log and through compaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use chainwright_chain::{BlockId, Change, Delta, Rows, Step, Store};
use chainwright_store::SimulatedDisk;

use crate::model::{COINS, open};

/// Every row always exists; each step gives some of them their next value.
#[test]
fn a_row_that_always_exists_is_never_missing() {
    const ROWS: u32 = 200;
    let mut store = open(SimulatedDisk::new(1)).expect("opens");
    let done = Arc::new(AtomicBool::new(false));
    let mut values = vec![0_u32; ROWS as usize];
    step(&mut store, &mut values, 0, true);
    let readers: Vec<_> =
        (0..2).map(|_| std::thread::spawn(reader(store.rows(), Arc::clone(&done)))).collect();
    for number in 1..600 {
        step(&mut store, &mut values, number, false);
        if let Some(task) = store.maintenance() {
            std::thread::spawn(task);
        }
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.join().expect("no row was missing or older than before") > 0);
    }
}

fn reader(rows: Arc<dyn Rows>, done: Arc<AtomicBool>) -> impl FnOnce() -> u64 {
    move || {
        let (mut seen, mut rounds) = (vec![0_u32; 200], 0);
        while !done.load(Ordering::Relaxed) {
            for (number, seen) in seen.iter_mut().enumerate() {
                let row = rows.get(COINS, &(number as u32).to_le_bytes()).expect("reads");
                let row = row.expect("the row always exists");
                let value = u32::from_le_bytes(*row.first_chunk().expect("is four bytes long"));
                assert!(value >= *seen, "row {number} went back from {seen} to {value}");
                *seen = value;
            }
            rounds += 1;
        }
        rounds
    }
}

fn step(store: &mut impl Store, values: &mut [u32], number: u32, first: bool) {
    let id = |number: u32| {
        let mut id = [1; 32];
        id[..4].copy_from_slice(&number.to_le_bytes());
        BlockId(id)
    };
    let changed = values.iter().enumerate().filter(|&(at, _)| first || at as u32 % 7 == number % 7);
    let changes: Vec<_> = changed
        .map(|(at, &old)| ((at as u32).to_le_bytes(), old.to_le_bytes(), (old + 1).to_le_bytes()))
        .collect();
    let delta = Delta::from_changes(changes.iter().map(|(key, old, new)| Change {
        table: COINS,
        key,
        old: (!first).then_some(old),
        new: Some(new),
    }));
    for (key, ..) in &changes {
        values[u32::from_le_bytes(*key) as usize] += 1;
    }
    let from = if first { BlockId::ZERO } else { id(number - 1) };
    let step = Step { from, to: id(number), delta, receipts: Bytes::new() };
    store.journal(std::slice::from_ref(&step)).expect("there is space");
    store.apply(&step);
}
