//! State roots: compared beside execution, whatever order workers finish in, wherever the index stands.

mod support;

use std::collections::BTreeMap;

use chainwright_chain::*;
use support::*;

/// A block and the rows after it, as a naive program keeps them.
#[derive(Clone)]
struct Model {
    block: TestBlock,
    rows: BTreeMap<(u8, u8), u8>,
}

impl Model {
    fn genesis() -> Self {
        Self { block: genesis(), rows: BTreeMap::from([((0, 0), 100)]) }
    }

    /// A block on this one, with the right root.
    fn child(&self, weight: u8, txs: &[(u8, u8)]) -> Self {
        let mut rows = self.rows.clone();
        for &(slot, value) in txs {
            let sum = rows.get(&(0, slot)).map_or(0, |value| *value).wrapping_mul(31).wrapping_add(value);
            rows.insert((0, slot), sum);
            if rows.remove(&(1, sum)).is_none() {
                rows.insert((1, sum), slot);
            }
        }
        let mut block = block_on(&self.block, weight, txs);
        block.header.root = root_of(&rows);
        Self { block, rows }
    }

    /// Blocks on this one, each writing its own value.
    fn branch(&self, count: u8, weight: u8, salt: u8) -> Vec<Self> {
        let mut models: Vec<Self> = Vec::new();
        for n in 0..count {
            let parent = models.last().unwrap_or(self);
            models.push(parent.child(weight, &[(n % 5, salt.wrapping_add(n)), (9, salt)]));
        }
        models
    }

    /// The same block with another root.
    fn forged(&self) -> Self {
        let mut forged = self.clone();
        forged.block.header.root ^= 0x10;
        forged
    }

    fn id(&self) -> BlockId {
        id(&self.block)
    }
}

fn root_of(rows: &BTreeMap<(u8, u8), u8>) -> u64 {
    let mut sum = Sum::default();
    for ((table, key), value) in rows {
        sum.add(TableId(*table), &[*key], &[*value]);
    }
    sum.value()
}

fn bad_root(verdict: &Result<Imported, Reject>) -> bool {
    matches!(verdict, Err(Reject::Invalid(reason)) if reason.code == "bad-state-root")
}

/// Hands in all blocks at once and answers what became of each.
fn import_all(bench: &mut Bench, blocks: &[Model]) -> Vec<Result<Imported, Reject>> {
    let replies: Vec<_> = blocks.iter().map(|model| bench.chain.import(model.block.clone())).collect();
    bench.settle();
    replies.into_iter().map(|mut reply| reply.take().expect("everything has settled")).collect()
}

#[test]
fn right_roots_pass_in_any_order_of_workers() {
    let blocks = Model::genesis().branch(9, 1, 10);
    for seed in 0..60 {
        let mut bench = Bench::new(seed);
        assert_eq!(import_all(&mut bench, &blocks), vec![Ok(Imported::Valid); 9], "seed {seed}");
        assert_eq!(bench.head(), blocks[8].id(), "seed {seed}");
    }
}

#[test]
fn a_wrong_root_makes_its_block_and_all_above_invalid() {
    for seed in 0..60 {
        let mut bench = Bench::new(seed);
        let mut blocks = Model::genesis().branch(3, 1, 10);
        blocks.push(blocks[2].child(1, &[(7, 7)]).forged());
        blocks.extend(blocks[3].branch(3, 1, 40));
        let verdicts = import_all(&mut bench, &blocks);
        assert_eq!(verdicts[..3], vec![Ok(Imported::Valid); 3], "seed {seed}");
        assert!(bad_root(&verdicts[3]), "seed {seed}: {:?}", verdicts[3]);
        assert!(verdicts[4..].iter().all(|verdict| matches!(verdict, Err(Reject::Invalid(_)))));
        assert_eq!(bench.head(), blocks[2].id());
        let honest = blocks[2].branch(4, 1, 80);
        assert_eq!(import_all(&mut bench, &honest), vec![Ok(Imported::Valid); 4], "seed {seed}");
    }
}

#[test]
fn a_failed_check_is_named_before_a_wrong_root() {
    for seed in 0..40 {
        let mut bench = Bench::new(seed);
        let mut blocks = Model::genesis().branch(2, 1, 10);
        blocks.push(blocks[1].child(1, &[(7, BAD_JOB)]).forged());
        blocks.extend(blocks[2].branch(3, 1, 40));
        let verdicts = import_all(&mut bench, &blocks);
        assert!(
            matches!(&verdicts[2], Err(Reject::Invalid(reason)) if reason.code == "bad-job"),
            "seed {seed}: {:?}",
            verdicts[2]
        );
        let honest = blocks[1].branch(2, 1, 80);
        assert_eq!(import_all(&mut bench, &honest), vec![Ok(Imported::Valid); 2], "seed {seed}");
    }
}

#[test]
fn branches_overtake_each_other_and_every_root_is_right() {
    for seed in 0..60 {
        let mut bench = Bench::new(seed);
        let main = Model::genesis().branch(7, 1, 10);
        let side = main[2].branch(6, 1, 70);
        let third = side[1].branch(7, 1, 120);
        let mut blocks = [&main[..], &side[..], &third[..]].concat();
        // Any order: a body waits for its parents.
        blocks.rotate_left(seed as usize % 20);
        let headers = [&main[..], &side[..], &third[..]].concat();
        let headers = headers.iter().map(|model| model.block.header.clone()).collect();
        let imported = bench.chain.import_headers(headers);
        bench.ask(imported).expect("headers are valid");
        for verdict in import_all(&mut bench, &blocks) {
            assert!(matches!(verdict, Ok(Imported::Valid | Imported::Stored)), "seed {seed}: {verdict:?}");
        }
        assert_eq!(bench.head(), third[6].id(), "seed {seed}");
        let reply = bench.chain.invalidate(third[0].id());
        assert_eq!(bench.ask(reply), Ok(()));
        assert_eq!(bench.head(), side[5].id(), "seed {seed}");
        let reply = bench.chain.invalidate(side[0].id());
        assert_eq!(bench.ask(reply), Ok(()));
        assert_eq!(bench.head(), main[6].id(), "seed {seed}");
        let reply = bench.chain.invalidate(main[5].id());
        assert_eq!(bench.ask(reply), Ok(()));
        assert_eq!(bench.head(), main[4].id(), "a pure rollback, seed {seed}");
        assert_eq!(import_all(&mut bench, &main[4].branch(2, 1, 200)), vec![Ok(Imported::Valid); 2]);
        let reply = bench.chain.reconsider(third[0].id());
        assert_eq!(bench.ask(reply), Ok(()));
        assert_eq!(bench.head(), third[6].id(), "seed {seed}");
    }
}

#[test]
fn an_index_is_loaded_from_the_rows_and_damaged_rows_are_noticed() {
    let mut bench = Bench::new(5);
    let main = Model::genesis().branch(6, 1, 10);
    let side = main[3].branch(4, 1, 70);
    drop(import_all(&mut bench, &main));
    drop(import_all(&mut bench, &side[..3]));
    let store = bench.store.clone();
    drop(bench);
    FOLLOWED.set(0);
    let mut bench = Bench::on(store.clone(), 6);
    assert_eq!(FOLLOWED.get(), 0, "the journal is not replayed");
    assert_eq!(bench.head(), side[2].id());
    assert_eq!(import_all(&mut bench, &side[3..]), [Ok(Imported::Valid)]);
    let back = main[5].branch(3, 1, 90);
    assert_eq!(import_all(&mut bench, &back)[2], Ok(Imported::Valid));
    assert_eq!(bench.head(), back[2].id());
    drop(bench);
    store.0.lock().damage_row(SLOTS, &[9]);
    let error = Bench::try_within(Limits::default(), store, 7).err().expect("a damaged state is not opened");
    assert!(error.what.contains("damaged"), "{error}");
}

#[test]
fn the_cursor_visits_a_sibling_and_comes_back() {
    let mut bench = Bench::new(3);
    let main = Model::genesis().branch(6, 1, 10);
    drop(import_all(&mut bench, &main));
    // Executed on an ancestor of the head, to be judged only.
    let sibling = main[2].child(1, &[(4, 44)]);
    let reply = bench.chain.check(sibling.block.clone());
    assert_eq!(bench.ask(reply), Ok(()));
    let reply = bench.chain.check(sibling.forged().block);
    assert!(matches!(bench.ask(reply), Err(Reject::Invalid(reason)) if reason.code == "bad-state-root"));
    let next = main[5].branch(2, 1, 30);
    assert_eq!(import_all(&mut bench, &next), vec![Ok(Imported::Valid); 2]);
    let attributes = Scale.attributes(&bench.chain.published().head().headers, NOW);
    let reply = bench.chain.build(Some(main[1].id()), attributes.clone());
    assert_eq!(
        bench.ask(reply).expect("built").block.header.root,
        root_of(&main[1].rows),
        "of an empty block"
    );
    let reply = bench.chain.build(None, attributes);
    assert_eq!(
        bench.ask(reply).expect("built").block.header.root,
        root_of(&next[1].rows),
        "of an empty block"
    );
    assert_eq!(import_all(&mut bench, &next[1].branch(2, 1, 50)), vec![Ok(Imported::Valid); 2]);
}

#[test]
fn consecutive_blocks_cost_one_step_and_built_ones_are_not_compared_twice() {
    let mut bench = Bench::new(8);
    let main = Model::genesis().branch(8, 1, 10);
    FOLLOWED.set(0);
    assert_eq!(import_all(&mut bench, &main), vec![Ok(Imported::Valid); 8]);
    assert_eq!(FOLLOWED.get(), 8);
    let reply = bench.chain.submit(std::sync::Arc::new(Tx { slot: 3, value: 33 }));
    assert!(bench.ask(reply).is_ok());
    let attributes = Scale.attributes(&bench.chain.published().head().headers, NOW);
    let reply = bench.chain.build(None, attributes);
    let candidate = bench.ask(reply).expect("a block is built");
    let built = main[7].child(1, &[(3, 33)]);
    assert_eq!(candidate.block.header, built.block.header, "build fills the root in");
    let reply = bench.chain.import_built(candidate.block, candidate.executed);
    assert_eq!(bench.ask(reply), Ok(Imported::Valid));
    assert_eq!(FOLLOWED.get(), 9);
    assert_eq!(import_all(&mut bench, &built.branch(3, 1, 60)), vec![Ok(Imported::Valid); 3]);
    assert_eq!(FOLLOWED.get(), 12);
}

#[test]
fn a_built_block_with_another_root_is_refused() {
    let mut bench = Bench::new(8);
    let main = Model::genesis().branch(2, 1, 10);
    drop(import_all(&mut bench, &main));
    let attributes = Scale.attributes(&bench.chain.published().head().headers, NOW);
    let reply = bench.chain.build(None, attributes);
    let mut candidate = bench.ask(reply).expect("a block is built");
    candidate.block.header.root ^= 1;
    let reply = bench.chain.import_built(candidate.block, candidate.executed);
    assert!(bad_root(&bench.ask(reply)));
    assert_eq!(import_all(&mut bench, &main[1].branch(2, 1, 60)), vec![Ok(Imported::Valid); 2]);
}

#[test]
fn a_disk_that_fails_while_the_cursor_moves_says_nothing_of_the_block() {
    let mut bench = Bench::new(4);
    let main = Model::genesis().branch(30, 1, 10);
    assert_eq!(import_all(&mut bench, &main), vec![Ok(Imported::Valid); 30]);
    let side = main[0].branch(1, 99, 70);
    let mut reply = bench.chain.import(side[0].block.clone());
    bench.pump();
    assert!(bench.workers.run(0), "prepares");
    bench.pump();
    assert_eq!(bench.workers.len(), 3, "a root, and a check for each of two transactions");
    bench.store.0.lock().reads_fail = true;
    assert!(bench.workers.run(0), "compares the root");
    bench.store.0.lock().reads_fail = false;
    bench.settle();
    assert!(matches!(reply.take(), Some(Err(Reject::Fault(_)))));
    drop(import_all(&mut bench, &side));
    assert_eq!(bench.head(), side[0].id(), "tried again");
    assert_eq!(import_all(&mut bench, &side[0].branch(2, 1, 20)), vec![Ok(Imported::Valid); 2]);
}
