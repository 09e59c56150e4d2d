//! A flipped byte in every kind of file, missing files: refused or repaired, never wrong data, no panic.

use std::collections::BTreeMap;

use chainwright_chain::{Height, Store};
use chainwright_store::{Disk, OpenError, SimulatedDisk};

use crate::model::{COINS, Model, NAMES, Random, body_of, check, open, take};

/// A store with files of every kind, all synced, some rows only in the journal.
fn build() -> (SimulatedDisk, Model) {
    let disk = SimulatedDisk::new(1);
    let mut store = open(disk.clone()).expect("opens");
    let (mut model, mut random) = (Model::new(), Random(2));
    for block in 0..30 {
        let mut steps = vec![model.connect(&mut random, 9)];
        if block % 5 == 4 {
            steps.extend([model.disconnect(), model.connect(&mut random, 9)]);
        }
        take(&mut store, &steps).expect("there is space");
        if let Some(task) = store.maintenance() {
            task();
        }
    }
    store.flush().expect("there is space");
    take(&mut store, &[model.connect(&mut random, 5)]).expect("there is space");
    store.sync().expect("there is space");
    drop(store);
    (disk.kill(), model)
}

/// Whatever the store answers is right; refusals are counted.
#[track_caller]
fn count_refusals(disk: SimulatedDisk, model: &Model, what: &str) -> usize {
    let store = match open(disk) {
        Ok(store) => store,
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains("hint: "), "{what}: {message}");
            return 1;
        }
    };
    assert_eq!(store.head(), model.head(), "{what}");
    let (rows, bodies, state) = (store.rows(), store.bodies(), model.state());
    let mut refused = 0;
    for number in 0..60 {
        let key = format!("key {number}").into_bytes();
        for table in [COINS, NAMES] {
            match rows.get(table, &key) {
                Ok(found) => {
                    let expected = state.get(&(table, key.clone()));
                    assert_eq!(found.as_deref(), expected.map(Vec::as_slice), "{what}");
                }
                Err(_) => refused += 1,
            }
        }
    }
    for (id, delta) in &model.made {
        match bodies.body(id) {
            Ok(body) => assert_eq!(body.as_deref(), Some(&body_of(*id)[..]), "{what}"),
            Err(_) => refused += 1,
        }
        match bodies.connected(id) {
            Ok(connected) => assert_eq!(connected.map(|c| c.delta).as_ref(), Some(delta), "{what}"),
            Err(_) => refused += 1,
        }
    }
    refused + usize::from(store.records().is_err())
}

#[test]
fn a_flipped_byte_is_noticed() {
    let (disk, model) = build();
    assert_eq!(count_refusals(disk.copy(0), &model, "nothing"), 0);
    let mut tried: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut random = Random(3);
    for name in disk.list().expect("lists") {
        let kind = name.split('-').next().unwrap_or_default().to_owned();
        let len = disk.bytes(&name).map_or(0, |bytes| bytes.len());
        let counted = tried.entry(kind).or_default();
        let mut at = random.below(5);
        while at < len {
            let mask = 1 << random.below(8);
            let damaged = disk.copy(at as u64);
            damaged.flip(&name, at, mask);
            let refused = count_refusals(damaged, &model, &format!("{name} byte {at} mask {mask}"));
            counted.0 += usize::from(refused > 0);
            counted.1 += 1;
            at += 1 + random.below(9);
        }
    }
    for kind in ["FORMAT", "blocks", "records", "index"] {
        let (refused, flips) = tried[kind];
        assert!(flips > 10 && refused == flips, "{kind}: {refused} of {flips} refused");
    }
    // Steps that undo are not read any more once the rows have taken them.
    let (refused, flips) = tried["journal"];
    assert!(refused * 10 > flips * 7, "journal: {refused} of {flips} refused");
    // One copy of the marks is enough; dead rows and the rest of an undone flush are never read.
    assert_eq!(tried["SYNCED"].0, 0);
    let (refused, flips) = tried["values"];
    assert!(refused * 3 > flips, "values: {refused} of {flips} refused");
}

#[test]
fn another_copy_takes_the_place_of_a_damaged_block() {
    let (disk, model) = build();
    let (id, _) = model.made.first().expect("blocks were made");
    let body = body_of(*id);
    let found = disk.list().expect("lists").into_iter().find_map(|name| {
        let bytes = disk.bytes(&name).filter(|_| name.starts_with("blocks-"))?;
        Some((bytes.windows(body.len()).position(|window| window == body)?, name))
    });
    let (at, name) = found.expect("the block is in a file");
    disk.flip(&name, at + body.len() / 2, 4);
    let mut store = open(disk.clone()).expect("opens");
    assert!(store.bodies().body(id).is_err());
    store.put_body(*id, Height(1), &body).expect("there is space");
    assert!(store.bodies().body(id).is_err(), "what is stored is not written again");
    store.forget_body(id).expect("a store can forget");
    assert!(!store.bodies().has_body(id));
    store.put_body(*id, Height(1), &body).expect("there is space");
    for _ in 0..2 {
        assert_eq!(store.bodies().body(id).expect("is healed").as_deref(), Some(&body[..]));
        drop(store);
        store = open(disk.kill()).expect("opens");
    }
}

#[test]
fn a_missing_file_is_noticed() {
    let (disk, model) = build();
    for name in disk.list().expect("lists") {
        let damaged = disk.copy(0);
        damaged.remove(&name).expect("removes");
        let refused = count_refusals(damaged, &model, &name) > 0;
        assert_eq!(refused, name != "SYNCED", "{name}");
    }
}

#[test]
fn the_state_is_rebuilt_when_its_files_are_removed() {
    let (disk, model) = build();
    for name in disk.list().expect("lists") {
        if name.starts_with("index-") || name.starts_with("values-") {
            disk.remove(&name).expect("removes");
        }
    }
    for _ in 0..2 {
        check(&open(disk.kill()).expect("is rebuilt"), &model);
    }
    let mut store = open(disk.kill()).expect("opens");
    store.flush().expect("there is space");
    drop(store);
    check(&open(disk.kill()).expect("opens"), &model);
}

#[test]
fn a_damaged_middle_names_file_and_place() {
    let (disk, _) = build();
    disk.flip("journal-00000001", 100, 1);
    match open(disk.kill()).map(drop) {
        Err(OpenError::Damaged { file, offset, .. }) => {
            assert_eq!((file.as_str(), offset < 100), ("journal-00000001", true));
        }
        other => panic!("{other:?}"),
    }
}
