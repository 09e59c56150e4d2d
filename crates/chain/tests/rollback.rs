//! Long ways back: in pieces, with a bound on each journal record, and a crash between any two of them.

mod support;

use chainwright_chain::*;
use support::memory_store::MemoryStore;
use support::*;

/// Blocks that leave at once, and steps a journal record may have: a piece back, or a piece back and a piece forth.
const PIECE: usize = 5;
const STEPS_MAX: usize = 2 * PIECE + 3;

fn limits() -> Limits {
    Limits { rollback_blocks_max: PIECE, unproven_blocks_max: 3, ..Limits::default() }
}

fn bench(seed: u64) -> Bench {
    let store = MemoryStore::default();
    store.0.lock().steps_max = Some(STEPS_MAX);
    Bench::within(limits(), store, seed)
}

fn branch(from: &TestBlock, count: usize, weight: u8, salt: u8) -> Vec<TestBlock> {
    let mut blocks: Vec<TestBlock> = Vec::new();
    for n in 0..count {
        let parent = blocks.last().unwrap_or(from);
        blocks.push(block_on(parent, weight, &[((n % 5) as u8, salt.wrapping_add(n as u8)), (9, salt)]));
    }
    blocks
}

fn import_all(bench: &mut Bench, blocks: &[TestBlock]) {
    let replies: Vec<_> = blocks.iter().map(|block| bench.chain.import(block.clone())).collect();
    bench.settle();
    for mut reply in replies {
        assert!(matches!(reply.take(), Some(Ok(_))));
    }
}

/// The state after exactly these blocks.
fn replay(blocks: &[&[TestBlock]]) -> Vec<Option<Value>> {
    let mut bench = Bench::new(1);
    for block in blocks.iter().copied().flatten() {
        assert_eq!(bench.import(block), Ok(Imported::Valid));
    }
    bench.state()
}

#[test]
fn a_block_far_below_is_invalidated_and_reconsidered() {
    let mut bench = bench(3);
    let main = branch(&genesis(), 60, 1, 10);
    import_all(&mut bench, &main);
    let reply = bench.chain.invalidate(id(&main[2]));
    assert_eq!(bench.ask(reply), Ok(()), "no record of the journal is too large");
    assert_eq!((bench.head(), bench.state()), (id(&main[1]), replay(&[&main[..2]])));
    let told: usize = bench.chain.published().pool().told.iter().map(|(left, _)| left.len()).sum();
    assert_eq!(told, 58, "the pool hears of each block that left");
    let reply = bench.chain.reconsider(id(&main[59]));
    assert_eq!(bench.ask(reply), Ok(()));
    assert_eq!((bench.head(), bench.state()), (id(&main[59]), replay(&[&main])));
}

#[test]
fn a_long_branch_takes_over_from_far_below() {
    for seed in 0..10 {
        let mut bench = bench(seed);
        let main = branch(&genesis(), 40, 2, 10);
        let side = branch(&main[3], 75, 1, 90);
        import_all(&mut bench, &main);
        import_all(&mut bench, &side[..72]);
        assert_eq!(bench.head(), id(&main[39]), "as heavy is not heavier");
        import_all(&mut bench, &side[72..]);
        assert_eq!((bench.head(), bench.state()), (id(&side[74]), replay(&[&main[..4], &side])));
    }
}

#[test]
fn a_long_branch_that_breaks_a_rule_is_left_for_the_old_one() {
    for seed in 0..10 {
        let mut bench = bench(seed);
        let main = branch(&genesis(), 20, 1, 10);
        let mut side = branch(&main[1], 17, 1, 90);
        let bad = [BAD, BAD_JOB][seed as usize % 2];
        side.push(block_on(&side[16], 4, &[(1, bad)]));
        import_all(&mut bench, &main);
        import_all(&mut bench, &side[..17]);
        assert!(matches!(bench.import(&side[17]), Err(Reject::Invalid(_))));
        assert_eq!((bench.head(), bench.state()), (id(&main[19]), replay(&[&main])), "seed {seed}");
    }
}

/// The process dies after any number of messages on the long way back, comes up again and goes on.
#[test]
fn a_crash_between_two_pieces_loses_nothing() {
    let main = branch(&genesis(), 40, 1, 10);
    let side = branch(&main[4], 3, 1, 90);
    let expected = replay(&[&main[..5], &side]);
    let mut heads = std::collections::BTreeSet::new();
    for messages in 1..12 {
        let mut bench = bench(messages);
        import_all(&mut bench, &main);
        import_all(&mut bench, &side);
        drop(bench.chain.invalidate(id(&main[5])));
        for _ in 0..messages {
            bench.pump();
        }
        let height = bench.chain.published().head().headers.height();
        heads.insert(height);
        let store = bench.store.clone();
        drop(bench);
        let mut bench = Bench::within(limits(), store, messages);
        assert!(bench.chain.published().head().headers.height() <= height, "no step is taken twice");
        bench.settle();
        assert_eq!((bench.head(), bench.state()), (id(&side[2]), expected.clone()), "{messages} messages");
        let reply = bench.chain.reconsider(id(&main[5]));
        assert_eq!(bench.ask(reply), Ok(()));
        assert_eq!((bench.head(), bench.state()), (id(&main[39]), replay(&[&main])));
    }
    assert!(heads.len() > 5, "the way was gone in pieces: {heads:?}");
}

#[test]
fn others_are_answered_between_two_pieces() {
    let mut bench = bench(5);
    let main = branch(&genesis(), 40, 1, 10);
    import_all(&mut bench, &main);
    let mut invalidated = bench.chain.invalidate(id(&main[0]));
    let mut synced = bench.chain.sync();
    bench.pump();
    bench.pump();
    assert_eq!(synced.take(), Some(Ok(())));
    assert!(invalidated.take().is_none(), "the way back is longer than one piece");
    assert!(!bench.driver.is_idle());
    assert_eq!(bench.ask(invalidated), Ok(()));
    assert_eq!(bench.head(), id(&genesis()));
}
