//! What the disk loses and spoils: events of what is durable, bodies that heal.

mod support;

use chainwright_chain::*;
use support::memory_store::MemoryStore;
use support::*;

fn branch(from: &TestBlock, count: u8, salt: u8) -> Vec<TestBlock> {
    let mut blocks: Vec<TestBlock> = Vec::new();
    for n in 0..count {
        let parent = blocks.last().unwrap_or(from);
        blocks.push(block_on(parent, 1, &[(n % 5, salt.wrapping_add(n))]));
    }
    blocks
}

fn import_all(bench: &mut Bench, blocks: &[TestBlock]) {
    for block in blocks {
        drop(bench.import(block));
    }
}

fn event_ids(published: &Published<Slots>, cursor: Option<Cursor>) -> Vec<BlockId> {
    let events = published.events(cursor, 100).expect("the cursor is known");
    events
        .iter()
        .map(|event| match event {
            Event::Connected(block) | Event::Disconnected(block) => block.id,
        })
        .collect()
}

fn cursor(block: &TestBlock, height: u32) -> Cursor {
    Cursor { height: Height(height), id: id(block) }
}

#[test]
fn events_wait_until_a_power_cut_cannot_take_them_back() {
    let store = MemoryStore::default();
    store.0.lock().syncs_later = true;
    let mut bench = Bench::on(store, 1);
    let published = bench.chain.published().clone();
    let blocks = branch(&genesis(), 2, 10);
    assert_eq!(bench.import(&blocks[0]), Ok(Imported::Valid));
    assert_eq!(event_ids(&published, None), [id(&genesis()), id(&blocks[0])], "at rest all is durable");
    let mut notices = published.subscribe();
    drop(bench.chain.import(blocks[1].clone()));
    while bench.head() != id(&blocks[1]) {
        bench.pump();
        // Checks, but no sync: that is spawned last.
        bench.workers.run(0);
    }
    assert_eq!(published.durable().id(), id(&blocks[0]));
    assert!(event_ids(&published, Some(cursor(&blocks[0], 1))).is_empty(), "published, not durable");
    assert!(event_ids(&published, Some(cursor(&blocks[1], 2))).is_empty(), "a consumer that is ahead waits");
    bench.settle();
    assert_eq!(event_ids(&published, Some(cursor(&blocks[0], 1))), [id(&blocks[1])]);
    let noticed: Vec<_> = core::iter::from_fn(|| notices.try_recv().ok()).collect();
    let last = |notice: &Notice| noticed.iter().position(|other| other == notice);
    let (head, durable) =
        (Notice::Head(id(&blocks[1]), Height(2)), Notice::Durable(id(&blocks[1]), Height(2)));
    assert!(last(&head).expect("the head moved") < last(&durable).expect("and became durable"));
}

#[test]
fn a_sync_that_fails_beside_the_driver_is_a_fault() {
    for later in [true, false] {
        let store = MemoryStore::default();
        let mut bench = Bench::on(store.clone(), 1);
        store.0.lock().syncs_later = later;
        store.0.lock().syncs_left = Some(0);
        drop(bench.import(&branch(&genesis(), 1, 10)[0]));
        assert!(bench.chain.published().fault().is_some());
        assert_eq!(bench.chain.published().durable().id(), id(&genesis()));
    }
}

/// A reader met the damage; the driver hears of it with the next message.
fn meet_damage(bench: &mut Bench, block: &TestBlock) {
    bench.store.0.lock().damage_body(&id(block));
    assert!(bench.chain.published().read_block(&id(block)).is_err());
    bench.chain.expire_pool();
    bench.settle();
    assert!(bench.chain.published().fault().is_none(), "another copy is all that is needed");
}

#[test]
fn a_damaged_block_of_the_chain_is_replaced() {
    let mut bench = Bench::new(3);
    let published = bench.chain.published().clone();
    let main = branch(&genesis(), 9, 10);
    import_all(&mut bench, &main);
    let (state, mut notices) = (bench.state(), published.subscribe());
    meet_damage(&mut bench, &main[3]);
    assert_eq!(published.missing_bodies(), [id(&main[3])]);
    assert_eq!(notices.try_recv().ok(), Some(Notice::BodyMissing(id(&main[3]), Height(4))));
    assert!(published.wants_body(&id(&main[3])) && !published.wants_body(&id(&main[4])));
    assert!(published.events(Some(cursor(&main[2], 3)), 9).is_err(), "events stop there until it is back");
    let mut mutated = main[3].clone();
    mutated.txs[0].value = MUTATED;
    assert_eq!(bench.import(&mutated), Err(Reject::mutated("bad-body")));
    assert_eq!(published.missing_bodies(), [id(&main[3])]);
    assert_eq!(bench.import(&main[3]), Ok(Imported::Valid));
    assert!(published.missing_bodies().is_empty() && !published.wants_body(&id(&main[3])));
    assert!(published.read_block(&id(&main[3])).expect("is healed").is_some());
    assert_eq!(event_ids(&published, Some(cursor(&main[2], 3))).len(), 6);
    assert_eq!((bench.head(), bench.state()), (id(&main[8]), state));
    assert_eq!(bench.import(&main[3]), Ok(Imported::Known));
    meet_damage(&mut bench, &genesis());
    assert!(published.read_block(&id(&genesis())).expect("genesis is known anyway").is_some());
}

#[test]
fn a_damaged_block_that_was_to_lead_is_waited_for() {
    for seed in 0..10 {
        let mut bench = Bench::new(seed);
        let main = branch(&genesis(), 8, 10);
        let side = branch(&main[0], 9, 90);
        import_all(&mut bench, &main);
        import_all(&mut bench, &side[..7]);
        // The last of them are read back before they are executed: memory keeps few.
        bench.store.0.lock().damage_body(&id(&side[5]));
        drop(bench.import(&side[7]));
        let published = bench.chain.published().clone();
        if bench.head() == id(&main[7]) {
            assert!(published.missing_bodies().is_empty() && published.wants_body(&id(&side[5])));
            assert_eq!(bench.import(&side[5]), Ok(Imported::Valid));
        }
        assert_eq!(bench.head(), id(&side[7]), "seed {seed}");
        assert!(published.fault().is_none());
    }
}

#[test]
fn a_damaged_block_that_leaves_the_chain_comes_back_with_a_new_body() {
    for met in [false, true] {
        let mut bench = Bench::new(7);
        let published = bench.chain.published().clone();
        let main = branch(&genesis(), 6, 10);
        let side = branch(&main[1], 5, 90);
        import_all(&mut bench, &main);
        if met {
            meet_damage(&mut bench, &main[4]);
        } else {
            bench.store.0.lock().damage_body(&id(&main[4]));
        }
        import_all(&mut bench, &side);
        assert_eq!(bench.head(), id(&side[4]), "undoing needs the journal, not the body");
        let told = published.pool().told.last().cloned().expect("the pool was told");
        assert_eq!(told.0, [id(&main[5]), id(&main[3]), id(&main[2])]);
        bench.chain.expire_pool();
        let more = block_on(&main[5], 9, &[(1, 1)]);
        drop(bench.import(&more));
        assert_eq!(bench.head(), id(&side[4]), "a body is missing on the way");
        assert!(published.missing_bodies().is_empty() && published.wants_body(&id(&main[4])));
        assert_eq!(bench.import(&main[4]), Ok(Imported::Valid));
        assert_eq!(bench.head(), id(&more));
        assert!(published.fault().is_none());
    }
}
