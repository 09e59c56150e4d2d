//! What a claim may do, and what becomes of bytes that are none.

use bytes::Bytes;
use chainwright_names::{NamesBlock, commitment};
use proptest::prelude::*;

use super::*;

/// A node without a miner, and a way to put a block of these claims on any parent.
pub(crate) struct Bench {
    pub(crate) chain: ChainHandle<Names>,
    engine: Arc<Pow>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let engine = Arc::new(pow());
        Self { chain: node(engine.clone()), engine }
    }

    pub(crate) fn head(&self) -> Headers<Names> {
        self.chain.published().head().headers
    }

    pub(crate) fn block(&self, parent: &Headers<Names>, claims: &[Claim]) -> NamesBlock {
        let on = Consensus::attributes(&*self.engine, parent, NOW);
        let header = NamesHeader {
            parent: parent.id(),
            body: commitment(claims),
            time: on.time.0,
            bits: on.target.unwrap().0,
            nonce: 0,
        };
        let mut block = NamesBlock { header, claims: claims.to_vec() };
        assert!(Consensus::<Names>::seal(&*self.engine, &mut block.header, &|| false));
        block
    }

    pub(crate) fn import(&self, block: NamesBlock) -> Result<Imported, Reject> {
        self.chain.import(block).wait().unwrap()
    }

    /// Puts a block of these claims on a parent and gives the branch it ends.
    pub(crate) fn extend(&self, parent: &Headers<Names>, claims: &[Claim]) -> Headers<Names> {
        let block = self.block(parent, claims);
        let id = block.header.id();
        self.import(block).unwrap();
        self.chain.published().headers(&id).unwrap()
    }

    /// What the engine would make of the pool.
    pub(crate) fn build(&self) -> NamesBlock {
        let head = self.head();
        let on = Consensus::attributes(&*self.engine, &head, NOW);
        self.chain.build(None, on).wait().unwrap().unwrap().block
    }

    pub(crate) fn submit(&self, claim: Claim) -> Result<Admission, Refusal> {
        self.chain.submit(Arc::new(claim)).wait().unwrap()
    }

    pub(crate) fn row(&self, name: &[u8; 32]) -> Option<Vec<u8>> {
        self.chain.published().head().state.get(TableId(0), name).unwrap().map(|row| row.to_vec())
    }
}

const ALICE: u8 = 1;
const BOB: u8 = 2;
const MALICE: u8 = 3;

/// Alice registers; her secret gives the name to Bob, or to Malice.
fn story() -> [Claim; 3] {
    let registered = register("alice", 1, ALICE);
    [registered, give(&registered, 2, (ALICE, BOB)), give(&registered, 3, (ALICE, MALICE))]
}

#[track_caller]
fn check_invalid(verdict: Result<Imported, Reject>, code: &'static str) {
    assert_eq!(verdict, Err(Reject::invalid(code)));
}

#[test]
fn of_two_claims_with_one_secret_only_the_first_counts() {
    let bench = Bench::new();
    let [registered, to_bob, to_malice] = story();
    let both = bench.block(&bench.head(), &[registered, to_bob, to_malice]);
    check_invalid(bench.import(both), "wrong-claim");
    let wrong_order = bench.block(&bench.head(), &[to_bob, registered]);
    check_invalid(bench.import(wrong_order), "wrong-claim");
    let twice = bench.block(&bench.head(), &[registered, registered]);
    check_invalid(bench.import(twice), "wrong-claim");
    assert_eq!(bench.import(bench.block(&bench.head(), &[registered, to_bob])), Ok(Imported::Valid));
    assert_eq!(bench.row(&to_bob.name), Some([to_bob.id().0, to_bob.lock, to_bob.value].concat()));
    check_invalid(bench.import(bench.block(&bench.head(), &[to_malice])), "wrong-claim");
}

#[test]
fn no_claim_counts_twice_even_when_locks_come_again() {
    let bench = Bench::new();
    let registered = register("alice", 1, ALICE);
    let kept = give(&registered, 2, (ALICE, ALICE));
    let away = give(&kept, 3, (ALICE, BOB));
    let back = give(&away, 4, (BOB, ALICE));
    bench.extend(&bench.head(), &[registered, kept, away, back]);
    for old in [registered, kept, away, back] {
        check_invalid(bench.import(bench.block(&bench.head(), &[old])), "wrong-claim");
        assert_eq!(bench.submit(old), Err(Refusal::Policy(Reason::new("does-not-fit"))));
    }
    let wrong_secret = give(&back, 5, (BOB, BOB));
    check_invalid(bench.import(bench.block(&bench.head(), &[wrong_secret])), "wrong-claim");
}

#[test]
fn a_body_the_header_does_not_name_is_mutated_and_the_honest_one_still_passes() {
    let bench = Bench::new();
    let honest = bench.block(&bench.head(), &[story()[0]]);
    for claims in [vec![], vec![story()[1]], vec![story()[0]; 2]] {
        let spoilt = NamesBlock { claims, ..honest.clone() };
        assert_eq!(bench.import(spoilt), Err(Reject::mutated("bad-body")));
    }
    assert_eq!(bench.import(honest), Ok(Imported::Valid));
}

#[test]
fn a_block_holds_a_thousand_claims_and_no_more() {
    let bench = Bench::new();
    let many = |count: u16| -> Vec<_> {
        let name = |n: u16| core::array::from_fn(|at| if at < 2 { n.to_le_bytes()[at] } else { 9 });
        (0..count).map(|n| Claim { name: name(n), ..story()[0] }).collect()
    };
    check_invalid(bench.import(bench.block(&bench.head(), &many(1001))), "too-many-claims");
    assert_eq!(bench.import(bench.block(&bench.head(), &many(1000))), Ok(Imported::Valid));
}

#[test]
fn the_pool_holds_what_can_follow_and_loses_what_no_longer_can() {
    let bench = Bench::new();
    let [registered, to_bob, to_malice] = story();
    let does_not_fit = Err(Refusal::Policy(Reason::new("does-not-fit")));
    assert_eq!(bench.submit(to_bob), does_not_fit, "nobody has the name");
    assert_eq!(bench.submit(registered), Ok(Admission::default()));
    assert_eq!(bench.submit(registered), Err(Refusal::Known(Reason::new("already-known"))));
    bench.chain.submit_dry_run(Arc::new(to_bob)).wait().unwrap().unwrap();
    assert_eq!(bench.chain.published().pool().len(), 1, "a dry run keeps nothing");
    assert_eq!(bench.submit(to_bob), Ok(Admission::default()));
    assert_eq!(bench.submit(to_malice), does_not_fit);
    assert_eq!(bench.build().claims, [registered, to_bob]);
    let found = bench.chain.published().pool().get(&to_bob.id());
    assert_eq!(found.as_deref(), Some(&to_bob));
    // A block gives the name to somebody else: the claims that waited can never follow.
    bench.extend(&bench.head(), &[register("alice", 9, MALICE)]);
    assert!(bench.chain.published().pool().is_empty());
}

#[test]
fn what_a_reorganisation_takes_out_of_the_chain_waits_again() {
    let bench = Bench::new();
    let root = bench.head();
    let [registered, to_bob, _] = story();
    let other = register("other", 5, MALICE);
    let first = bench.extend(&root, &[registered, other]);
    bench.extend(&first, &[to_bob]);
    let mut branch = root;
    for claims in [vec![other], vec![], vec![]] {
        branch = bench.extend(&branch, &claims);
    }
    assert_eq!(bench.head().id(), branch.id(), "the longer branch leads");
    assert_eq!(bench.row(&registered.name), None);
    assert_eq!(
        bench.build().claims,
        [registered, to_bob],
        "in an order that works, without what came in again"
    );
}

fn bytes32() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>()
}

prop_compose! {
    fn any_claim()(fields in any::<[[u8; 32]; 5]>()) -> Claim {
        let [name, value, after, secret, lock] = fields;
        Claim { name, value, after, secret, lock }
    }
}

prop_compose! {
    fn any_header()(parent in bytes32(), body in bytes32(), time: u64, bits: u32, nonce: u64) -> NamesHeader {
        NamesHeader { parent: BlockId(parent), body, time, bits, nonce }
    }
}

proptest! {
    #[test]
    fn blocks_survive_their_bytes(header in any_header(), claims in prop::collection::vec(any_claim(), 0..5)) {
        let block = NamesBlock { header, claims };
        let bytes = Bytes::from(block.to_bytes());
        prop_assert_eq!(NamesBlock::decode(&bytes).unwrap(), block);
        for cut in [1, 44, 84, 100, 127] {
            let short = bytes.slice(..bytes.len() - cut.min(bytes.len()));
            if let Ok(decoded) = NamesBlock::decode(&short) {
                prop_assert_eq!(decoded.to_bytes(), &short[..]);
            }
        }
    }

    #[test]
    fn garbage_is_refused_or_is_what_it_encodes_to(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from(bytes);
        if let Ok(block) = NamesBlock::decode(&bytes) {
            prop_assert_eq!(block.to_bytes(), &bytes[..]);
        }
        prop_assert_eq!(NamesHeader::decode(&bytes).is_ok(), bytes.len() == 84);
        prop_assert_eq!(Claim::decode(&bytes).is_ok(), bytes.len() == 160);
    }
}
