//! The driver over a ledger of a few lines, with workers that hold results back and a disk that fails on request.

mod support;

use core::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use chainwright_chain::*;
use support::*;

/// A branch of blocks, each writing its own value.
fn branch(from: &TestBlock, count: u8, weight: u8, salt: u8) -> Vec<TestBlock> {
    let mut blocks: Vec<TestBlock> = Vec::new();
    for n in 0..count {
        let parent = blocks.last().unwrap_or(from);
        blocks.push(block_on(parent, weight, &[(n % 5, salt.wrapping_add(n)), (9, salt)]));
    }
    blocks
}

/// The state after importing exactly these blocks in order.
fn replay(blocks: &[&[TestBlock]]) -> Vec<Option<Value>> {
    let mut bench = Bench::new(1);
    for block in blocks.iter().copied().flatten() {
        assert_eq!(bench.import(block), Ok(Imported::Valid));
    }
    bench.state()
}

#[test]
fn blocks_in_order_move_the_head() {
    let mut bench = Bench::new(1);
    let blocks = branch(&genesis(), 8, 1, 10);
    for block in &blocks {
        assert_eq!(bench.import(block), Ok(Imported::Valid));
        assert_eq!(bench.head(), id(block));
    }
    assert_eq!(bench.import(&blocks[3]), Ok(Imported::Known));
}

#[test]
fn blocks_in_any_order_and_any_order_of_workers_end_alike() {
    let blocks = branch(&genesis(), 9, 1, 10);
    let expected = replay(&[&blocks]);
    for seed in 0..40 {
        let mut bench = Bench::new(seed);
        let headers = blocks.iter().map(|block| block.header.clone()).collect();
        let imported = bench.chain.import_headers(headers);
        let imported = bench.ask(imported).expect("headers are valid");
        assert_eq!(imported, HeadersImported { fresh: 9, last: id(&blocks[8]) });
        let order = |n: usize| (n * 4 + seed as usize) % 9;
        let replies: Vec<_> = (0..9).map(|n| bench.chain.import(blocks[order(n)].clone())).collect();
        bench.settle();
        for mut reply in replies {
            assert!(matches!(reply.take(), Some(Ok(Imported::Valid | Imported::Stored))));
        }
        assert_eq!(bench.head(), id(&blocks[8]), "seed {seed}");
        assert_eq!(bench.state(), expected, "seed {seed}");
    }
}

#[test]
fn blocks_handed_in_in_order_are_answered_when_they_are_valid() {
    let blocks = branch(&genesis(), 12, 1, 10);
    for seed in 0..40 {
        let mut bench = Bench::new(seed);
        let replies: Vec<_> = blocks.iter().map(|block| bench.chain.import(block.clone())).collect();
        bench.settle();
        for mut reply in replies {
            assert_eq!(reply.take(), Some(Ok(Imported::Valid)), "seed {seed}: workers finish in any order");
        }
    }
}

#[test]
fn a_heavier_branch_takes_over_and_the_pool_is_told() {
    for seed in 0..20 {
        let mut bench = Bench::new(seed);
        let old = branch(&genesis(), 12, 1, 10);
        let new = branch(&old[1], 11, 1, 90);
        for block in &old {
            assert_eq!(bench.import(block), Ok(Imported::Valid));
        }
        let before = bench.chain.published().head();
        let slots =
            |view: &View<Slots>| (0..10).map(|n| view.state.get(SLOTS, &[n]).unwrap()).collect::<Vec<_>>();
        let names = |view: &View<Slots>| view.state.range(NAMES, &[], None, 99).unwrap();
        let (slots_before, names_before) = (slots(&before), names(&before));
        for block in &new[..10] {
            assert_eq!(bench.import(block), Ok(Imported::Stored), "as heavy is not heavier");
            assert_eq!(bench.head(), id(&old[11]));
        }
        assert_eq!(bench.import(&new[10]), Ok(Imported::Valid));
        assert_eq!(bench.head(), id(&new[10]));
        assert_eq!(bench.state(), replay(&[&old[..2], &new]));
        assert_eq!((slots(&before), names(&before)), (slots_before, names_before), "a view never changes");
        let told = bench.chain.published().pool().told.last().cloned().unwrap();
        assert_eq!(told.0, old[2..].iter().rev().map(id).collect::<Vec<_>>());
        assert_eq!(told.1, new.iter().map(id).collect::<Vec<_>>());
    }
}

#[test]
fn whoever_holds_the_pool_sees_the_head_it_has_followed() {
    let mut bench = Bench::new(1);
    let published = bench.chain.published().clone();
    let (genesis_id, is_done) = (bench.head(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !is_done.load(Ordering::Relaxed) {
                let pool = published.pool();
                let followed = pool.told.last().and_then(|(_, joined)| joined.last()).copied();
                let head = published.head().headers.id();
                drop(pool);
                assert_eq!(head, followed.unwrap_or(genesis_id), "after {looks} looks");
                looks += 1;
            }
        });
        let mut tip = genesis();
        for n in 0..1000_u32 {
            tip = block_on(&tip, 1, &[((n % 5) as u8, (n % 250) as u8)]);
            assert_eq!(bench.import(&tip), Ok(Imported::Valid));
            if reader.is_finished() {
                break;
            }
        }
        is_done.store(true, Ordering::Relaxed);
        reader.join().expect("pool and head have moved as one");
    });
}

#[test]
fn a_failing_job_invalidates_the_block_and_its_descendants() {
    for seed in 0..20 {
        let mut bench = Bench::new(seed);
        let good = branch(&genesis(), 4, 1, 10);
        let bad = block_on(&good[1], 3, &[(1, 1), (2, BAD_JOB), (3, BAD_JOB)]);
        let above = branch(&bad, 3, 3, 60);
        for block in &good {
            assert_eq!(bench.import(block), Ok(Imported::Valid));
        }
        let replies: Vec<_> =
            [&bad].into_iter().chain(&above).map(|block| bench.chain.import(block.clone())).collect();
        bench.settle();
        for mut reply in replies {
            let verdict = reply.take().expect("everybody is answered");
            // A body that came before its parent's is stored, and falls with it.
            let early = [Err(Reject::invalid("bad-prevblk")), Ok(Imported::Stored)].contains(&verdict);
            let failed = verdict == Err(Reject::Invalid(Reason::with("bad-job", "1")));
            assert!(early || failed, "seed {seed}: {verdict:?}");
        }
        assert_eq!(bench.head(), id(&good[3]));
        assert_eq!(bench.state(), replay(&[&good]));
        let more = branch(&good[3], 2, 1, 77);
        assert_eq!(bench.import(&more[0]), Ok(Imported::Valid), "the chain goes on");
    }
}

#[test]
fn an_invalid_body_is_remembered_and_a_mutated_one_is_not() {
    let mut bench = Bench::new(3);
    let honest = block_on(&genesis(), 1, &[(1, 5)]);
    let mut mutated = honest.clone();
    mutated.txs[0].value = MUTATED;
    assert_eq!(bench.import(&mutated), Err(Reject::mutated("bad-body")));
    assert_eq!(bench.import(&honest), Ok(Imported::Valid));
    let invalid = block_on(&honest, 1, &[(1, BAD)]);
    assert_eq!(bench.import(&invalid), Err(Reject::invalid("bad-value")));
    assert_eq!(bench.import(&invalid), Err(Reject::invalid("bad-value")));
    let child = block_on(&invalid, 1, &[]);
    assert_eq!(bench.import(&child), Err(Reject::invalid("bad-prevblk")));
    let orphan = block_on(&block_on(&honest, 1, &[(4, 4)]), 1, &[]);
    assert!(matches!(bench.import(&orphan), Err(Reject::MissingParent(_))));
    let mut early = block_on(&honest, 1, &[]);
    early.header.time = NOW.0 + 101;
    assert_eq!(bench.import(&early), Err(Reject::NotYet(Timestamp(NOW.0 + 1))));
}

#[test]
fn operators_invalidate_and_reconsider() {
    for seed in 0..10 {
        let mut bench = Bench::new(seed);
        let main = branch(&genesis(), 6, 1, 10);
        let side = branch(&main[0], 3, 1, 50);
        main.iter().chain(&side).for_each(|block| drop(bench.import(block)));
        let reply = bench.chain.invalidate(id(&main[2]));
        assert_eq!(bench.ask(reply), Ok(()));
        assert_eq!(bench.head(), id(&side[2]), "seed {seed}");
        assert_eq!(bench.state(), replay(&[&main[..1], &side]));
        let reply = bench.chain.reconsider(id(&main[4]));
        assert_eq!(bench.ask(reply), Ok(()));
        assert_eq!(bench.head(), id(&main[5]));
        assert_eq!(bench.state(), replay(&[&main]));
    }
}

#[test]
fn without_weights_only_prefer_and_finalize_move_the_head() {
    let mut bench = Bench::new(5);
    let main = branch(&genesis(), 4, 0, 10);
    let side = branch(&main[1], 2, 0, 50);
    for block in main.iter().chain(&side) {
        assert_eq!(bench.import(block), Ok(Imported::Stored));
    }
    assert_eq!(bench.head(), id(&genesis()));
    let reply = bench.chain.prefer(id(&main[3]));
    assert_eq!(bench.ask(reply), Ok(()));
    assert_eq!(bench.head(), id(&main[3]));
    let proof = |block: &TestBlock| Proof(Bytes::copy_from_slice(&id(block).0));
    let reply = bench.chain.finalize(id(&side[1]), proof(&main[0]));
    assert_eq!(bench.ask(reply), Err(Reject::invalid("bad-proof")));
    let reply = bench.chain.finalize(id(&side[0]), proof(&side[0]));
    assert_eq!(bench.ask(reply), Ok(()));
    assert_eq!(bench.head(), id(&side[0]));
    let reply = bench.chain.finalize(id(&main[3]), proof(&main[3]));
    assert_eq!(bench.ask(reply), Err(Reject::invalid("conflicts-with-finalized")));
    let reply = bench.chain.prefer(id(&main[3]));
    assert_eq!(bench.ask(reply), Ok(()));
    assert_eq!(bench.head(), id(&side[0]), "what is final stays");
    let reply = bench.chain.invalidate(id(&main[0]));
    assert_eq!(bench.ask(reply), Err(Reject::invalid("finalized")));
    let store = bench.store.clone();
    drop(bench);
    let bench = Bench::on(store, 1);
    assert_eq!(bench.head(), id(&side[0]));
    assert_eq!(bench.chain.published().finalized().unwrap().id(), id(&side[0]));
    assert_eq!(bench.chain.published().proof(&id(&side[0])), Some(proof(&side[0])));
}

#[test]
fn a_full_disk_changes_nothing_and_is_tried_again() {
    for writes in 0..9 {
        let mut bench = Bench::new(7);
        let blocks = branch(&genesis(), 4, 1, 10);
        bench.store.0.lock().writes_left = Some(writes);
        let verdicts: Vec<_> = blocks.iter().map(|block| bench.import(block)).collect();
        assert!(
            verdicts.iter().any(|verdict| *verdict != Ok(Imported::Valid)),
            "{writes} writes: {verdicts:?}"
        );
        assert!(!verdicts.iter().any(|verdict| matches!(verdict, Err(Reject::Invalid(_)))));
        bench.store.0.lock().writes_left = None;
        for block in &blocks {
            drop(bench.import(block));
        }
        assert_eq!(bench.head(), id(&blocks[3]), "{writes} writes: {verdicts:?}");
        assert_eq!(bench.state(), replay(&[&blocks]));
    }
}

#[test]
fn a_restart_goes_on_where_the_journal_ends() {
    let mut bench = Bench::new(9);
    let main = branch(&genesis(), 7, 1, 10);
    let side = branch(&main[2], 5, 1, 70);
    main.iter().chain(&side).for_each(|block| drop(bench.import(block)));
    let expected = bench.state();
    let store = bench.store.clone();
    drop(bench);
    let mut bench = Bench::on(store.clone(), 2);
    bench.settle();
    assert_eq!((bench.head(), bench.state()), (id(&side[4]), expected));
    drop(bench);
    store.0.lock().lose_body(&id(&side[3]));
    let mut bench = Bench::on(store, 3);
    bench.settle();
    assert_eq!(bench.head(), id(&main[6]), "the longest branch whose bodies are there");
    assert_eq!(bench.state(), replay(&[&main]));
    assert_eq!(bench.import(&side[3]), Ok(Imported::Valid), "fetched again, it leads to the heavier branch");
    assert_eq!(bench.head(), id(&side[4]));
}

#[test]
fn consumers_follow_events_across_reorganisations() {
    let mut bench = Bench::new(11);
    let main = branch(&genesis(), 5, 1, 10);
    let side = branch(&main[1], 6, 1, 70);
    for block in &main {
        drop(bench.import(block));
    }
    let mut cursor = None;
    let mut followed: Vec<BlockId> = Vec::new();
    let mut follow = |bench: &Bench, cursor: &mut Option<Cursor>, limit| {
        for event in bench.chain.published().events(*cursor, limit).unwrap() {
            match event {
                Event::Connected(block) => {
                    followed.push(block.id);
                    *cursor = Some(block.cursor);
                }
                Event::Disconnected(block) => {
                    assert_eq!(followed.pop(), Some(block.id));
                    assert_eq!(followed.last(), Some(&block.cursor.id));
                    *cursor = Some(block.cursor);
                }
            }
        }
        followed.clone()
    };
    let ids = |blocks: &[&[TestBlock]]| -> Vec<BlockId> {
        [genesis()].iter().chain(blocks.iter().copied().flatten()).map(id).collect()
    };
    assert_eq!(follow(&bench, &mut cursor, 3).len(), 3);
    assert_eq!(follow(&bench, &mut cursor, 100), ids(&[&main]));
    for block in &side {
        drop(bench.import(block));
    }
    follow(&bench, &mut cursor, 4);
    assert_eq!(follow(&bench, &mut cursor, 100), ids(&[&main[..2], &side]));
    assert!(
        bench.chain.published().events(Some(Cursor { height: Height(3), id: BlockId([9; 32]) }), 1).is_err()
    );
}

#[test]
fn what_is_built_is_accepted_and_building_has_no_side_effects() {
    let mut bench = Bench::new(13);
    let tx = std::sync::Arc::new(Tx { slot: 3, value: 33 });
    let reply = bench.chain.submit_dry_run(tx.clone());
    assert!(bench.ask(reply).is_ok());
    assert!(bench.chain.published().pool().is_empty());
    let reply = bench.chain.submit(tx);
    assert!(bench.ask(reply).is_ok());
    let before = (bench.head(), bench.state());
    let attributes = Scale.attributes(&bench.chain.published().head().headers, NOW);
    let reply = bench.chain.build(None, attributes);
    let candidate = bench.ask(reply).expect("a block is built");
    let reply = bench.chain.check(candidate.block.clone());
    assert_eq!(bench.ask(reply), Ok(()));
    assert_eq!((bench.head(), bench.state()), before);
    let reply = bench.chain.import_built(candidate.block.clone(), candidate.executed);
    assert_eq!(bench.ask(reply), Ok(Imported::Valid));
    assert_eq!(bench.state(), replay(&[&[candidate.block]]));
}
