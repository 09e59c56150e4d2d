//! The engines in action: making blocks, refusing what is not sealed, ending with the chain.

use super::*;

fn key(byte: u8) -> SealingKey {
    SealingKey::from_bytes([byte; 32]).unwrap()
}

fn sealer(sealing: Sealing) -> Arc<Solo> {
    Arc::new(Solo::sealer(genesis().id(), key(7), sealing, Vec::new()))
}

fn follower() -> Arc<Solo> {
    Arc::new(Solo::follower(genesis().id(), key(7).verifying_key()))
}

fn running(engine: Arc<dyn Consensus<Names>>) -> ChainHandle<Names> {
    let chain = node(engine.clone());
    let served = chain.clone();
    thread::spawn(move || futures_executor::block_on(engine.run(served)));
    chain
}

fn height(chain: &ChainHandle<Names>) -> u32 {
    chain.published().head().headers.height().0
}

#[track_caller]
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..5000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain: {what}");
}

#[test]
fn a_block_on_request_is_final_and_proven() {
    let solo = sealer(Sealing::OnRequest);
    let chain = running(solo.clone());
    chain.submit(Arc::new(register("alice", 1, 1))).wait().unwrap().unwrap();
    thread::sleep(Duration::from_millis(20));
    assert_eq!(height(&chain), 0, "nobody asked");
    for expected in 1..=5 {
        let id = futures_executor::block_on(solo.seal_now()).unwrap();
        assert_eq!(chain.published().finalized().unwrap().id(), id);
        assert_eq!(chain.published().head().headers.id(), id);
        let proof = chain.published().proof(&id).unwrap();
        let none = ValidatorSet::default();
        Consensus::<Names>::check_proof(&*solo, id, Height(expected), &proof, &none).unwrap();
        assert_eq!(height(&chain), expected);
    }
    assert!(chain.published().pool().is_empty());
}

#[test]
fn a_transaction_is_sealed_at_once_and_a_quiet_chain_stays_quiet() {
    let chain = running(sealer(Sealing::OnTransaction));
    let mut last = register("alice", 0, 0);
    for value in 1..=5 {
        chain.submit(Arc::new(last)).wait().unwrap().unwrap();
        last = give(&last, value, (value - 1, value));
        wait_for("a block with the claim", || chain.published().pool().is_empty());
    }
    wait_for("the last block to be final", || {
        chain.published().finalized().is_some_and(|last| last.height().0 == height(&chain))
    });
    let quiet = height(&chain);
    assert!((1..=5).contains(&quiet));
    thread::sleep(Duration::from_millis(30));
    assert_eq!(height(&chain), quiet);
}

#[test]
fn blocks_come_on_an_interval_without_transactions() {
    let chain = running(sealer(Sealing::Interval(Duration::from_millis(1))));
    wait_for("five empty blocks", || height(&chain) >= 5);
}

#[test]
fn what_the_sealer_does_may_be_changed_while_it_runs() {
    let solo = sealer(Sealing::OnRequest);
    let chain = running(solo.clone());
    solo.control(|controls| controls.time.next = Some(Timestamp(NOW.0 + 500))).unwrap();
    let wait = || {
        futures_executor::block_on(solo.seal_batch(chainwright_solo::Batch {
            count: 3,
            first: None,
            step_seconds: Some(60),
        }))
    };
    let id = wait().unwrap();
    let head = chain.published().head().headers;
    assert_eq!((head.id(), head.height()), (id, Height(3)));
    assert_eq!(chain.published().finalized().unwrap().id(), id, "the last one makes all final");
    let times: Vec<_> = head.down().take(3).map(|block| block.header().time().0 - NOW.0).collect();
    assert_eq!(times, [620, 560, 500]);
    futures_executor::block_on(solo.seal_now()).unwrap();
    let after = chain.published().head().headers.header().time();
    assert_eq!(after.0 - NOW.0, 620, "time goes on from there");

    solo.control(|controls| controls.time.step_seconds = Some(7));
    futures_executor::block_on(solo.seal_now()).unwrap();
    assert_eq!(chain.published().head().headers.header().time().0 - NOW.0, 627);

    chain.submit(Arc::new(register("alice", 1, 1))).wait().unwrap().unwrap();
    solo.control(|controls| controls.sealing = Sealing::OnTransaction);
    wait_for("a block with what waits", || chain.published().pool().is_empty());
    solo.control(|controls| controls.sealing = Sealing::Interval(Duration::from_millis(1)));
    let quiet = height(&chain);
    wait_for("empty blocks", || height(&chain) > quiet + 2);
    assert_eq!(follower().control(|_| ()), None);
}

#[test]
fn nothing_is_sealed_while_something_is_done_between_blocks() {
    let solo = sealer(Sealing::OnTransaction);
    let chain = running(solo.clone());
    chain.submit(Arc::new(register("alice", 1, 1))).wait().unwrap().unwrap();
    let (seen, reader) = (chain.clone(), chain.clone());
    let before = solo.between_blocks(async move { height(&seen) }).wait().unwrap();
    assert_eq!(before, 1, "what was sent before is in a block");
    let submitted = solo.between_blocks(async move {
        reader.submit(Arc::new(register("bob", 1, 1))).await.unwrap().unwrap();
        thread::sleep(Duration::from_millis(20));
        height(&reader)
    });
    assert_eq!(submitted.wait().unwrap(), before);
    wait_for("a block with what was sent meanwhile", || chain.published().pool().is_empty());
    assert!(follower().between_blocks(async {}).wait().is_err());
}

#[test]
fn only_the_key_makes_blocks_final() {
    let made = running(sealer(Sealing::Interval(Duration::from_millis(1))));
    wait_for("two final blocks", || made.published().finalized().is_some_and(|last| last.height().0 >= 2));
    let first = made.published().head().headers.ancestor(Height(1)).unwrap();
    let chain = running(follower());
    let body = made.published().read_block(&first.id()).unwrap().unwrap();
    assert_eq!(chain.import(body).wait().unwrap(), Ok(Imported::Stored), "a header alone moves nothing");
    assert_eq!(height(&chain), 0);
    let proof = made.published().proof(&first.id()).unwrap();
    let mut flipped = proof.0.to_vec();
    flipped[10] ^= 1;
    let stranger = Solo::sealer(genesis().id(), key(8), Sealing::OnRequest, Vec::new());
    let strangers = stranger.proof_of(first.id(), Height(1)).unwrap();
    for bad in [Proof::default(), Proof(flipped.into()), strangers] {
        assert_eq!(chain.finalize(first.id(), bad).wait().unwrap(), Err(Reject::invalid("bad-seal")));
        assert_eq!(height(&chain), 0);
    }
    chain.finalize(first.id(), proof).wait().unwrap().unwrap();
    assert_eq!(height(&chain), 1);
}

#[test]
fn a_follower_does_not_seal() {
    let refused = futures_executor::block_on(follower().seal_now());
    assert_eq!(refused.unwrap_err().what, "this node does not hold the sealing key");
}

#[test]
fn asking_a_sealer_that_has_ended_is_answered() {
    let solo = sealer(Sealing::OnRequest);
    let asked = solo.seal_now();
    drop(solo);
    assert_eq!(futures_executor::block_on(asked).unwrap_err().what, "the sealer has stopped");
}

#[test]
fn times_of_a_sealed_chain_never_run_backwards() {
    let solo = follower();
    let parent = Headers::<Names>::genesis(genesis(), Weight::ZERO);
    let check = |time: u64| solo.check_header(&NamesHeader { time, ..genesis() }, &parent, NOW);
    let before = genesis().time;
    assert!(check(before).is_ok() && check(NOW.0 + 7200).is_ok());
    assert_eq!(check(NOW.0 + 7201), Err(Reject::NotYet(Timestamp(NOW.0 + 1))));
    assert!(matches!(check(before - 1), Err(Reject::Invalid(reason)) if reason.code == "time-too-old"));
    let on = Consensus::<Names>::attributes(&*solo, &parent, Timestamp(0));
    assert_eq!((on.time.0, on.target), (before, None));
}

fn mine_until_height(threads: usize, wanted: u32) {
    let mut miner = pow();
    miner.miner = Some(Miner { payee: Vec::new(), pace: None, threads });
    let chain = node(Arc::new(pow()));
    let served = chain.clone();
    let run = Consensus::<Names>::run(Arc::new(miner), served);
    // Dropped when the height is reached, which also ends its threads.
    let reached = async {
        while height(&chain) < wanted {
            chain.clock().sleep(Duration::from_millis(1)).await;
            yield_once().await;
        }
    };
    let both = futures_executor::block_on(either(run, Box::pin(reached)));
    assert!(both.is_none(), "the miner ended: {both:?}");
    let head = chain.published().head().headers;
    assert!(head.down().all(|block| block.height().0 == 0 || pow().is_sealed(block.header())));
}

/// The first future's output if it ends first.
async fn either<T>(mut left: BoxFuture<'_, T>, mut right: BoxFuture<'_, ()>) -> Option<T> {
    core::future::poll_fn(|context| {
        if let core::task::Poll::Ready(output) = left.as_mut().poll(context) {
            return core::task::Poll::Ready(Some(output));
        }
        right.as_mut().poll(context).map(|()| None)
    })
    .await
}

async fn yield_once() {
    let mut has_yielded = false;
    core::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if core::mem::replace(&mut has_yielded, true) {
            core::task::Poll::Ready(())
        } else {
            core::task::Poll::Pending
        }
    })
    .await;
}

#[test]
fn the_miner_mines_on_the_executor() {
    mine_until_height(0, 20);
}

#[test]
fn the_miner_mines_on_threads() {
    mine_until_height(2, 20);
}
