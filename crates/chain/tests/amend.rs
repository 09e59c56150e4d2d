//! Changing the state by hand and going back for good, against a naive model, over restarts.

mod support;

use std::collections::BTreeMap;

use chainwright_chain::*;
use support::memory_store::MemoryStore;
use support::*;

type Rows = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

/// A block and the rows above it, changes by hand included, as a naive program keeps them.
#[derive(Clone)]
struct Model {
    block: TestBlock,
    rows: Rows,
}

impl Model {
    fn genesis() -> Self {
        Self { block: genesis(), rows: Rows::from([((0, vec![0]), vec![100])]) }
    }

    /// A block without weight on this one, with the right root.
    fn child(&self, txs: &[(u8, u8)]) -> Self {
        let mut rows = self.rows.clone();
        for &(slot, value) in txs {
            let before = rows.get(&(0, vec![slot])).map_or(0, |value| value[0]);
            let sum = before.wrapping_mul(31).wrapping_add(value);
            rows.insert((0, vec![slot]), vec![sum]);
            if rows.remove(&(1, vec![sum])).is_none() {
                rows.insert((1, vec![sum]), vec![slot]);
            }
        }
        let mut block = block_on(&self.block, 0, txs);
        let mut sum = Sum::default();
        for ((table, key), value) in &rows {
            sum.add(TableId(*table), key, value);
        }
        block.header.root = sum.value();
        Self { block, rows }
    }

    fn id(&self) -> BlockId {
        id(&self.block)
    }

    fn state(&self) -> Vec<Option<Value>> {
        let slots = (0..=9).map(|slot| self.rows.get(&(0, vec![slot])).map(|value| Value::from_slice(value)));
        let names = self.rows.iter().filter(|((table, _), _)| *table == 1);
        slots
            .chain(names.flat_map(|((_, key), value)| [key, value].map(|it| Some(Value::from_slice(it)))))
            .collect()
    }
}

/// Sets or removes a row by hand.
fn set(
    table: TableId,
    key: u8,
    value: Option<u8>,
) -> impl FnOnce(&View<Slots>) -> Result<Delta, Fault> + Send {
    move |view| {
        let mut draft = Draft::new(&view.state);
        match value {
            Some(value) => draft.put(table, &[key], &[value])?,
            None => drop(draft.take(table, &[key])?),
        }
        Ok(draft.finish())
    }
}

fn amend(bench: &mut Bench, model: &mut Model, (table, key, value): (TableId, u8, Option<u8>)) {
    let reply = bench.chain.amend(set(table, key, value));
    assert_eq!(bench.ask(reply), Ok(()));
    match value {
        Some(value) => drop(model.rows.insert((table.0, vec![key]), vec![value])),
        None => drop(model.rows.remove(&(table.0, vec![key]))),
    }
}

/// Makes a block the chain's, new or not, final if asked for.
fn mine(bench: &mut Bench, model: &Model, is_final: bool) {
    let imported = bench.import(&model.block);
    assert!(matches!(imported, Ok(Imported::Stored | Imported::Known)), "{imported:?}");
    let reply = if is_final {
        bench.chain.finalize(model.id(), Proof(model.id().0.to_vec().into()))
    } else {
        bench.chain.prefer(model.id())
    };
    assert_eq!(bench.ask(reply), Ok(()));
    assert_eq!(bench.head(), model.id());
}

fn restarted(store: &MemoryStore, seed: u64) -> Bench {
    let mut bench = Bench::on(store.clone(), seed);
    bench.settle();
    bench
}

#[test]
fn a_change_by_hand_lies_above_the_head_and_is_part_of_the_next_block() {
    let store = MemoryStore::default();
    let mut bench = Bench::on(store.clone(), 1);
    let mut model = Model::genesis();
    amend(&mut bench, &mut model, (SLOTS, 5, Some(7)));
    amend(&mut bench, &mut model, (NAMES, 9, Some(1)));
    assert_eq!(bench.state(), model.state());
    let published = bench.chain.published().clone();
    assert_eq!(rows(&published.sealed_head().state), Model::genesis().state(), "the block's own state stays");

    let forged = Model::genesis().child(&[(1, 1)]);
    let next = model.child(&[(1, 1), (5, 2)]);
    drop(bench.import(&forged.block));
    let refused = bench.chain.prefer(forged.id());
    assert!(matches!(bench.ask(refused), Err(Reject::Invalid(reason)) if reason.code == "bad-state-root"));
    mine(&mut bench, &next, true);
    assert_eq!(bench.state(), next.state());
    let connected = published.bodies().connected(&next.id()).unwrap().unwrap();
    let set = connected.delta.get(NAMES, &[9]).expect("what was changed by hand is in the block's delta");
    assert_eq!((set.old, set.new), (None, Some(&[1][..])));
    let genesis = published.headers(&id(&genesis())).unwrap();
    assert_eq!(
        rows(&published.view(&genesis, 9).unwrap().state),
        model.state(),
        "as it was before the block"
    );
    assert_eq!(restarted(&store, 2).state(), next.state());
}

#[test]
fn what_nobody_may_go_back_to_is_refused() {
    let mut bench = Bench::new(1);
    let model = Model::genesis();
    let (one, other) = (model.child(&[(1, 1)]), model.child(&[(1, 2)]));
    mine(&mut bench, &one, false);
    drop(bench.import(&other.block));
    let refused = bench.chain.rewind(other.id(), Delta::empty());
    assert_eq!(bench.ask(refused), Err(Reject::invalid("not-in-chain")));
    let mut heavy = block_on(&one.block, 1, &[(2, 2)]);
    heavy.header.root = 0;
    assert_eq!(bench.import(&heavy), Ok(Imported::Valid));
    let refused = bench.chain.rewind(one.id(), Delta::empty());
    assert_eq!(bench.ask(refused), Err(Reject::invalid("blocks-have-weight")));
}

#[test]
fn a_way_back_that_a_crash_cut_short_is_finished_after_it() {
    let store = MemoryStore::default();
    let limits = Limits { rollback_blocks_max: 2, ..Limits::default() };
    let mut bench = Bench::within(limits, store.clone(), 1);
    let mut chain = vec![Model::genesis()];
    for n in 0..9 {
        let next = chain[n].child(&[(1, n as u8)]);
        mine(&mut bench, &next, true);
        chain.push(next);
    }
    drop(bench.chain.rewind(chain[1].id(), Delta::empty()));
    while bench.head() == chain[9].id() {
        bench.pump();
    }
    assert_ne!(bench.head(), chain[1].id(), "the way is too long for one piece");
    drop(bench);
    let mut bench = restarted(&store, 2);
    assert_eq!(bench.head(), chain[1].id());
    assert_eq!(bench.chain.published().finalized().unwrap().id(), chain[1].id());
    mine(&mut bench, &chain[1].child(&[(3, 3)]), true);
}

/// One step of a story that a seed tells.
fn step(bench: &mut Bench, chain: &mut Vec<Model>, snapshots: &mut Vec<(usize, Model, Delta)>, random: u64) {
    let (kind, a, b) = (random % 10, (random >> 8) as u8, (random >> 16) as u8);
    let length = chain.len();
    let head = chain.last_mut().expect("there is always genesis");
    match kind {
        0..=2 => amend(bench, head, (SLOTS, a % 10, Some(b))),
        3 => amend(bench, head, (NAMES, a % 16, (b % 2 == 0).then_some(b))),
        4..=6 => {
            // Few choices, so that a block that was undone often comes again.
            let next = head.child(&[(a % 2, b % 2), (9, b % 3)]);
            mine(bench, &next, a % 4 > 0);
            chain.push(next);
        }
        7 => snapshots.push((length, head.clone(), bench.chain.published().amendment(&head.id()))),
        8 => {
            let Some((length, model, amendment)) = snapshots.pop() else { return };
            let reply = bench.chain.rewind(model.id(), amendment);
            assert_eq!(bench.ask(reply), Ok(()));
            chain.truncate(length);
            chain[length - 1] = model;
        }
        _ => *bench = restarted(&bench.store.clone(), random),
    }
}

#[test]
fn any_story_of_changes_blocks_ways_back_and_restarts_ends_as_the_model_says() {
    for seed in 0..300_u64 {
        let mut bench = Bench::new(seed);
        let (mut chain, mut snapshots) = (vec![Model::genesis()], Vec::new());
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for at in 0..60 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            step(&mut bench, &mut chain, &mut snapshots, random >> 24);
            let model = chain.last().unwrap();
            assert_eq!(bench.head(), model.id(), "seed {seed}, step {at}");
            assert_eq!(bench.state(), model.state(), "seed {seed}, step {at}");
            let published = bench.chain.published();
            if let [.., parent, _] = chain.as_slice() {
                let parent_headers = published.headers(&parent.id()).unwrap();
                let view = published.view(&parent_headers, 99).unwrap();
                assert_eq!(rows(&view.state), parent.state(), "seed {seed}, step {at}, one block before");
            }
        }
    }
}
