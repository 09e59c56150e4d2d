//! A driver under the engine: what leads before headers stop claiming weight, and after.

#![allow(clippy::unwrap_used, clippy::wildcard_imports, reason = "tests")]

mod claims;

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use chainwright_chain::*;
use chainwright_external::External;
use chainwright_store::{DiskStore, Identity, Options, SimulatedDisk};
use claims::{BLACK, COLOUR, ClaimBlock, ClaimHeader, Claims};

const NOW: Timestamp = Timestamp(1_800_000_000);

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        NOW
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(core::future::pending())
    }
}

/// A chain of its own on a disk; dropping the handles ends its thread.
struct Node {
    chain: ChainHandle<Claims>,
    thread: thread::JoinHandle<()>,
}

impl Node {
    fn on(disk: &Arc<SimulatedDisk>) -> Self {
        let (ledger, consensus) = (Arc::new(Claims), Arc::new(External));
        let identity = Identity {
            ledger: Claims::NAME.to_owned(),
            engine: Consensus::<Claims>::name(&*consensus).to_owned(),
            chain: "test".to_owned(),
            tables: ledger.tables(),
        };
        let store = Box::new(DiskStore::open(disk.clone(), identity, Options::default()).unwrap());
        let (sender, messages) = mpsc::channel();
        let inbox: Inbox<Claims> = Arc::new(move |message| drop(sender.send(message)));
        let (workers, limits) = (Arc::new(Inline), Limits::default());
        // What the driver keeps for its workers must not keep its own thread alive.
        let (late, late_messages) = mpsc::channel();
        let own: Inbox<Claims> = Arc::new(move |message| drop(late.send(message)));
        let parts = Parts { ledger, consensus, store, workers, inbox: own, limits };
        let mut driver = Driver::open(parts, NOW).unwrap();
        let published = driver.published();
        let thread = thread::spawn(move || {
            for message in messages {
                driver.handle(message, NOW);
                while let Ok(message) = late_messages.try_recv() {
                    driver.handle(message, NOW);
                }
            }
        });
        Self { chain: ChainHandle::new(inbox, published, Arc::new(StoppedClock)), thread }
    }

    fn new() -> Self {
        Self::on(&Arc::new(SimulatedDisk::new(1)))
    }

    fn stop(self) {
        drop(self.chain);
        self.thread.join().unwrap();
    }

    fn import(&self, header: ClaimHeader) -> Result<Imported, Reject> {
        self.chain.import(ClaimBlock(header)).wait().unwrap()
    }

    fn prefer(&self, header: ClaimHeader) -> Result<(), Reject> {
        self.chain.prefer(header.id()).wait().unwrap()
    }

    #[track_caller]
    fn stands_at(&self, header: ClaimHeader) {
        let head = self.chain.published().head();
        assert_eq!(head.headers.id(), header.id());
        let colour = head.state.get(COLOUR, b"last").unwrap().unwrap();
        assert_eq!(colour[..], [header.colour]);
    }
}

fn genesis() -> ClaimHeader {
    Claims.genesis().0.0
}

fn child(parent: ClaimHeader, claim: u64, colour: u8) -> ClaimHeader {
    ClaimHeader { parent: parent.id(), time: parent.time + 1, claim, colour }
}

#[test]
fn the_branch_that_claims_most_leads_without_being_asked() {
    let node = Node::new();
    let light = child(genesis(), 10, 2);
    assert_eq!(node.import(light), Ok(Imported::Valid));
    let longer = child(light, 10, 3);
    assert_eq!(node.import(longer), Ok(Imported::Valid));
    node.stands_at(longer);
    assert_eq!(node.chain.published().head().headers.weight(), Weight(U256::from(25)), "genesis claims five");
    let heavy = child(genesis(), 21, 4);
    assert_eq!(node.import(heavy), Ok(Imported::Valid), "one block outweighs two");
    node.stands_at(heavy);
    assert_eq!(node.import(child(longer, 0, 5)), Ok(Imported::Stored));
    node.stands_at(heavy);
}

#[test]
fn blocks_that_claim_nothing_wait_to_be_preferred() {
    let node = Node::new();
    let last = child(genesis(), 10, 2);
    node.import(last).unwrap();
    let (left, right) = (child(last, 0, 3), child(last, 0, 4));
    for side in [left, right] {
        assert_eq!(node.import(side), Ok(Imported::Stored));
        node.stands_at(last);
    }
    for side in [left, right, left, last, right] {
        assert_eq!(node.prefer(side), Ok(()));
        node.stands_at(side);
    }
    let black = child(right, 0, BLACK);
    assert_eq!(node.import(black), Ok(Imported::Stored));
    assert_eq!(node.prefer(black), Err(Reject::invalid("black")), "judged when it is to lead");
    node.stands_at(right);
    assert_eq!(node.prefer(child(right, 0, 9)), Err(Reject::MissingParent(child(right, 0, 9).id())));
}

#[test]
fn final_is_what_the_caller_calls_final() {
    let node = Node::new();
    let (left, right) = (child(genesis(), 1, 3), child(genesis(), 2, 4));
    node.import(left).unwrap();
    let proof = Proof(bytes::Bytes::from_static(b"a signature"));
    let with_proof = node.chain.finalize(left.id(), proof).wait().unwrap();
    assert_eq!(with_proof, Err(Reject::invalid("unexpected-proof")));
    node.chain.safe(left.id()).wait().unwrap().unwrap();
    assert_eq!(node.chain.published().safe().unwrap().id(), left.id());
    node.chain.finalize(left.id(), Proof::default()).wait().unwrap().unwrap();
    node.import(right).unwrap();
    node.stands_at(left);
    assert_eq!(node.chain.published().finalized().unwrap().id(), left.id());
}

#[test]
fn a_preferred_head_survives_a_restart() {
    let disk = Arc::new(SimulatedDisk::new(1));
    let node = Node::on(&disk);
    let last = child(genesis(), 10, 2);
    let (left, right) = (child(last, 0, 3), child(last, 0, 4));
    for block in [last, left, right] {
        node.import(block).unwrap();
    }
    node.prefer(right).unwrap();
    node.chain.sync().wait().unwrap().unwrap();
    node.stop();
    let node = Node::on(&disk);
    node.stands_at(right);
    let next = child(right, 0, 5);
    assert_eq!(node.import(next), Ok(Imported::Stored));
    node.stands_at(right);
    node.prefer(next).unwrap();
    node.stands_at(next);
}

#[test]
fn any_time_the_ledger_takes_is_taken() {
    let node = Node::new();
    let future = ClaimHeader { time: u64::MAX, ..child(genesis(), 1, 2) };
    assert_eq!(node.import(future), Ok(Imported::Valid));
    let same = ClaimHeader { time: 0, ..child(genesis(), 1, 3) };
    assert_eq!(node.import(same), Err(Reject::invalid("time-too-old")));
}

#[test]
fn a_block_of_ours_is_never_older_than_its_parent_allows() {
    let time_on = |time: u64, now: u64| {
        let parent = Headers::<Claims>::genesis(ClaimHeader { time, ..genesis() }, Weight::ZERO);
        Consensus::<Claims>::attributes(&External, &parent, Timestamp(now)).time.0
    };
    assert_eq!([time_on(100, 50), time_on(100, 100), time_on(100, 300)], [101, 101, 300]);
    assert_eq!(time_on(u64::MAX, 0), u64::MAX);
    let node = Node::new();
    let on = Consensus::<Claims>::attributes(&External, &node.chain.published().head().headers, NOW);
    let built = node.chain.build(None, on).wait().unwrap().unwrap();
    let id = built.block.0.id();
    node.chain.import_built(built.block, built.executed).wait().unwrap().unwrap();
    node.chain.prefer(id).wait().unwrap().unwrap();
    assert_eq!(node.chain.published().head().headers.id(), id);
}

#[test]
fn the_engine_ends_when_the_chain_stops() {
    let node = Node::new();
    let run = Consensus::<Claims>::run(Arc::new(External), node.chain.clone());
    node.stop();
    assert_eq!(futures_executor::block_on(run), Ok(()));
}
