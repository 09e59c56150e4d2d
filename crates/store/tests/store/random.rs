//! Random lives of a store, compared with the model after each of them.

use chainwright_chain::{BlockId, StateView, Step, Store, TableId, Task, Timeline};
use chainwright_store::SimulatedDisk;
use proptest::prelude::*;

use crate::model::{Model, Random, TABLES, check, check_rows, open, take};

#[derive(Clone, Debug)]
enum Act {
    Connect(usize),
    Back(usize),
    /// A task is given out, and runs when this happens the next time.
    Maintain,
    Flush,
    Sync,
    Kill,
    /// Everything is synced, then power fails.
    PowerCut,
    /// Takes a picture that must not change.
    Look,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0..30_usize).prop_map(Act::Connect),
        3 => (1..6_usize).prop_map(Act::Back),
        6 => Just(Act::Maintain),
        1 => Just(Act::Flush),
        1 => Just(Act::Sync),
        1 => Just(Act::Kill),
        1 => Just(Act::PowerCut),
        2 => Just(Act::Look),
    ]
}

fn run(acts: &[Act], seed: u64) {
    let mut disk = SimulatedDisk::new(seed);
    let mut store = open(disk.clone()).expect("opens");
    let (mut model, mut random) = (Model::new(), Random(seed));
    let mut held: Option<Task> = None;
    let mut timeline = Timeline::new();
    let mut pictures: Vec<(StateView, Model)> = Vec::new();
    for act in acts {
        let steps: Vec<Step> = match act {
            Act::Connect(rows) => vec![model.connect(&mut random, *rows)],
            Act::Back(count) => (0..(*count).min(model.chain.len())).map(|_| model.disconnect()).collect(),
            _ => Vec::new(),
        };
        for step in &steps {
            timeline.publish(step.delta.clone());
        }
        take(&mut store, &steps).expect("there is space");
        match act {
            Act::Maintain => match held.take() {
                Some(task) => task(),
                None => held = store.maintenance(),
            },
            Act::Flush => {
                drop(held.take());
                store.flush().expect("there is space");
            }
            Act::Sync => store.sync().expect("there is space"),
            Act::Look => {
                let view = StateView::new(TABLES, store.rows(), timeline.pin());
                check_picture(&view, &model);
                pictures.push((view, model.clone()));
            }
            Act::Kill | Act::PowerCut => {
                store.sync().expect("there is space");
                (held, timeline, pictures) = (None, Timeline::new(), Vec::new());
                disk = if matches!(act, Act::Kill) { disk.kill() } else { disk.crash() };
                store = open(disk.clone()).expect("opens");
            }
            Act::Connect(_) | Act::Back(_) => {}
        }
        assert_eq!(store.head().filter(|head| *head != BlockId::ZERO), model.head());
        check_rows(store.rows().as_ref(), &model.state());
    }
    for (view, model) in &pictures {
        check_picture(view, model);
    }
    check_connected(&open(disk.kill()).expect("opens"), &model);
}

fn check_picture(view: &StateView, model: &Model) {
    let state = model.state();
    for (at, table) in (0..TABLES.len() as u8).map(TableId).enumerate() {
        let mut found = std::collections::BTreeMap::new();
        view.scan(table, &mut |key, value| {
            let before = found.insert((table, key.to_vec()), value.to_vec());
            assert_eq!(before, None, "a row is shown twice");
            Ok(())
        })
        .expect("reads");
        let expected = state.iter().filter(|((of, _), _)| usize::from(of.0) == at);
        assert!(found.iter().eq(expected));
    }
    for number in 0..60 {
        let key = format!("key {number}").into_bytes();
        let found = view.get(TableId(0), &key).expect("reads");
        assert_eq!(found.as_deref(), state.get(&(TableId(0), key)).map(Vec::as_slice));
    }
}

fn check_connected(store: &chainwright_store::DiskStore, model: &Model) {
    if model.head().is_some() {
        check(store, model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_life_is_that_of_a_plain_map(acts in prop::collection::vec(act(), 1..80), seed in any::<u64>()) {
        run(&acts, seed);
    }
}
