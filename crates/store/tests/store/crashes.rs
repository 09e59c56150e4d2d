//! A crash at every write, of the process and of the machine.

use std::sync::Arc;

use chainwright_chain::{BlockId, Fault, Height, Step, Store, Task};
use chainwright_store::{Disk, DiskStore, Options, SimulatedDisk};

use crate::model::{Model, Random, body_of, check, check_rows, identity, open, small, take};

/// What may be found after a crash.
struct Journey {
    /// The model after each group of steps that was attempted, oldest first; the first is the empty chain.
    stages: Vec<Model>,
    /// Stages that are sure to survive the death of the process, and a power cut.
    returned: usize,
    synced: usize,
    /// How many steps the journal keeps.
    steps_min: Option<u64>,
}

/// Reorganisations, flushes, compactions, checkpoints and syncs; a task may run later than it was given out.
fn travel(disk: &SimulatedDisk, journey: &mut Journey, blocks: usize) -> Result<(), Fault> {
    let mut random = Random(9 + journey.stages.len() as u64);
    let options = Options { journal_steps_min: journey.steps_min, ..small() };
    let store = DiskStore::open(Arc::new(disk.clone()), identity(), options);
    let mut store = store.map_err(|error| Fault::new(error.to_string()))?;
    let mut model = journey.stages.last().expect("there is a first").clone();
    let mut held: Option<Task> = None;
    for _ in 0..blocks {
        let mut steps: Vec<Step> = Vec::new();
        let back = if random.below(4) == 0 { random.below(4).min(model.chain.len()) } else { 0 };
        steps.extend((0..back).map(|_| model.disconnect()));
        steps.extend((0..=back).map(|_| model.connect(&mut random, 9)));
        journey.stages.push(model.clone());
        take(&mut store, &steps)?;
        journey.returned = journey.stages.len() - 1;
        if random.below(2) == 0
            && let Some(task) = held.take()
        {
            task();
        }
        if held.is_none() {
            held = store.maintenance();
        }
        if random.below(5) == 0 {
            store.sync()?;
            journey.synced = journey.returned;
        }
    }
    Ok(())
}

fn journey(steps_min: Option<u64>) -> Journey {
    Journey { stages: vec![Model::new()], returned: 0, synced: 0, steps_min }
}

/// The store stands at one of the stages from `least` on, with everything that belongs to it.
#[track_caller]
fn check_survivor(store: &DiskStore, journey: &Journey, least: usize, bodies: bool) -> usize {
    let head = store.head().filter(|head| *head != BlockId::ZERO);
    let stage = (least..journey.stages.len()).rev().find(|&stage| journey.stages[stage].head() == head);
    let stage = stage.unwrap_or_else(|| panic!("{head:?} is older than stage {least}"));
    let model = &journey.stages[stage];
    check_rows(store.rows().as_ref(), &model.state());
    if bodies && journey.steps_min.is_none() {
        check(store, model);
    }
    let chain = &journey.stages[least].chain;
    let forgotten = journey.steps_min.map_or(0, |kept| chain.len().saturating_sub(kept as usize / 3));
    for (height, (id, delta, _)) in chain.iter().enumerate() {
        assert_eq!(store.bodies().body(id).expect("reads").expect("was kept"), body_of(*id));
        if height < forgotten {
            continue;
        }
        assert_eq!(&store.bodies().connected(id).expect("reads").expect("was kept").delta, delta);
    }
    stage
}

/// Goes on from where the crash left the chain, and looks again after one more life.
fn go_on(disk: &SimulatedDisk, journey: &Journey, stage: usize) {
    let model = journey.stages[stage].clone();
    let mut store = open(disk.clone()).expect("opens");
    for (id, ..) in &model.chain {
        // A power cut may have kept a step and lost its block, which the driver then asks for again.
        store.put_body(*id, Height(1), &body_of(*id)).expect("there is space");
    }
    drop(store);
    let mut next = Journey { stages: vec![model], ..self::journey(journey.steps_min) };
    travel(disk, &mut next, 6).expect("the disk is well");
    let store = open(disk.kill()).expect("opens");
    assert_eq!(check_survivor(&store, &next, next.returned, false), next.returned);
}

fn check_crashes(power_cut: bool, steps_min: Option<u64>) {
    let disk = SimulatedDisk::new(0);
    let mut whole = journey(steps_min);
    travel(&disk, &mut whole, 40).expect("nothing fails");
    for log in ["blocks", "records", "journal", "index", "values"] {
        let names = disk.list().expect("lists");
        let last = names.iter().filter(|name| name.starts_with(log)).max().expect("is there");
        assert!(last.as_str() >= format!("{log}-00000001").as_str(), "the scenario is too small: {last}");
    }
    for number in 0..disk.writes() {
        let disk = SimulatedDisk::new(number);
        disk.crash_at_write(number);
        let mut journey = journey(steps_min);
        let stopped = travel(&disk, &mut journey, 40).is_err() || disk.has_stopped();
        assert!(stopped, "write {number} was not reached");
        let (mut next, least) =
            if power_cut { (disk.crash(), journey.synced) } else { (disk.kill(), journey.returned) };
        if number % 3 == 0 {
            // Recovery itself is interrupted.
            next.crash_at_write(next.writes() + number % 7);
            drop(open(next.clone()));
            next = if power_cut { next.crash() } else { next.kill() };
        }
        let store = open(next.clone()).unwrap_or_else(|error| panic!("write {number}: {error}"));
        let stage = check_survivor(&store, &journey, least, !power_cut);
        drop(store);
        go_on(&next.kill(), &journey, stage);
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_returned() {
    check_crashes(false, None);
}

#[test]
fn a_power_cut_loses_nothing_that_was_synced() {
    check_crashes(true, None);
}

/// Reorganisations here are at most four blocks deep, 9 steps.
#[test]
fn a_power_cut_loses_nothing_when_old_steps_are_forgotten() {
    check_crashes(true, Some(9));
}

/// Each write fails once for lack of space; the same process goes on.
#[test]
fn a_full_disk_loses_nothing_and_the_store_goes_on() {
    let disk = SimulatedDisk::new(0);
    travel(&disk, &mut journey(None), 25).expect("nothing fails");
    for number in 40..disk.writes() {
        let disk = SimulatedDisk::new(number);
        let mut store = open(disk.clone()).expect("opens");
        disk.fail_write(number);
        let (mut model, mut random, mut failures) = (Model::new(), Random(5), 0);
        for _ in 0..25 {
            let before = model.clone();
            let mut steps = vec![model.connect(&mut random, 9)];
            if random.below(4) == 0 {
                steps.extend([model.disconnect(), model.connect(&mut random, 9)]);
            }
            if let Err(fault) = take(&mut store, &steps).and_then(|()| store.sync()) {
                failures += 1;
                let message = fault.to_string();
                assert!(message.contains("no space left") || message.contains("restart"), "{message}");
                if store.head() != model.head() {
                    model = before;
                }
                check_rows(store.rows().as_ref(), &model.state());
                if message.contains("sync") {
                    drop(store);
                    store = open(disk.kill()).expect("opens");
                }
            }
            if let Some(task) = store.maintenance() {
                task();
            }
        }
        assert!(failures <= 2, "write {number}: {failures} failures");
        check_rows(store.rows().as_ref(), &model.state());
        store.flush().ok();
        let store = open(disk.kill()).expect("opens");
        check(&store, &model);
    }
}

#[test]
fn a_store_goes_on_when_space_returns() {
    let disk = SimulatedDisk::new(3);
    let mut store = open(disk.clone()).expect("opens");
    let (mut model, mut random) = (Model::new(), Random(5));
    for block in 0..300 {
        if block % 60 == 30 {
            disk.set_capacity(Some(disk.used() + 3_000));
        }
        let before = model.clone();
        let step = model.connect(&mut random, 9);
        if take(&mut store, &[step]).is_err() {
            model = before;
            check_rows(store.rows().as_ref(), &model.state());
            if block % 7 == 0 {
                drop(store);
                store = open(disk.kill()).expect("opens");
            }
            if block % 60 > 50 {
                disk.set_capacity(None);
            }
        }
        if let Some(task) = store.maintenance() {
            task();
        }
    }
    disk.set_capacity(None);
    store.flush().ok();
    store.flush().expect("there is space");
    check(&store, &model);
    drop(store);
    check(&open(disk.kill()).expect("opens"), &model);
}
