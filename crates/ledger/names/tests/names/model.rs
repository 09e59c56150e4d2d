//! The same rules, naively: a map from names to locks and values, and the history of it.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use proptest::sample::Index;

use super::rules::Bench;
use super::*;

/// Name → the last claim to it, as one block leaves it.
type Registry = BTreeMap<[u8; 32], Claim>;

fn apply(registry: &mut Registry, claim: &Claim) -> bool {
    let opens = match registry.get(&claim.name) {
        Some(last) => last.id().0 == claim.after && last.lock == sha256(&claim.secret),
        None => claim.after == [0; 32] && claim.secret == [0; 32],
    };
    if opens {
        registry.insert(claim.name, *claim);
    }
    opens
}

/// One random move.
#[derive(Clone, Debug)]
enum Move {
    /// A block with some claims on one of the blocks so far, mostly the newest.
    Extend(Option<Index>, Vec<(u8, u8, u8)>),
    /// Some claims into the pool.
    Submit(Vec<(u8, u8, u8)>),
    /// A block of the pool's claims.
    Mine,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let claims = || prop::collection::vec((0..6_u8, 0..4_u8, 0..4_u8), 0..8);
    let one = prop_oneof![
        (prop::option::weighted(0.4, any::<Index>()), claims())
            .prop_map(|(on, claims)| Move::Extend(on, claims)),
        claims().prop_map(Move::Submit),
        Just(Move::Mine),
    ];
    prop::collection::vec(one, 1..40)
}

/// Few names and few secrets, so that claims fit, conflict and come again. Claims name the last one of `registry`, or none.
fn small(registry: &Registry, (name, secret, next): (u8, u8, u8)) -> Claim {
    let name = [name + 1; 32];
    let after = registry.get(&name).filter(|_| secret != 0).map_or([0; 32], |last| last.id().0);
    Claim { name, value: [next; 32], after, secret: [secret; 32], lock: sha256(&[next; 32]) }
}

struct World {
    bench: Bench,
    /// Every block ever made, oldest first, and what it leaves.
    blocks: Vec<Headers<Names>>,
    left: HashMap<BlockId, Registry>,
}

impl World {
    fn new() -> Self {
        let bench = Bench::new();
        let root = bench.head();
        Self { bench, left: HashMap::from([(root.id(), Registry::new())]), blocks: vec![root] }
    }

    fn extend(&mut self, parent: &Headers<Names>, make: impl Fn(&Registry) -> Vec<Claim>) {
        let mut registry = self.left[&parent.id()].clone();
        let (fitting, rest): (Vec<_>, Vec<_>) =
            make(&registry).into_iter().partition(|claim| apply(&mut registry, claim));
        if let Some(misfit) = rest.first().filter(|misfit| !apply(&mut registry.clone(), misfit)) {
            // One claim too many makes the whole block invalid, wherever it stands.
            let bad = self.bench.block(parent, &[&fitting[..], &[*misfit]].concat());
            let verdict = self.bench.import(bad);
            assert!(
                matches!(verdict, Err(Reject::Invalid(_)) | Ok(Imported::Stored)),
                "{verdict:?} for a block with a claim too many"
            );
        }
        let known = self.bench.block(parent, &fitting).header.id();
        let headers = self.bench.extend(parent, &fitting);
        assert_eq!(headers.id(), known);
        self.left.insert(headers.id(), registry);
        self.blocks.push(headers);
    }

    fn make(&mut self, step: Move) {
        match step {
            Move::Extend(on, claims) => {
                let parent = on.map_or_else(|| self.bench.head(), |on| on.get(&self.blocks).clone());
                self.extend(&parent, |left| claims.iter().map(|claim| small(left, *claim)).collect());
            }
            Move::Submit(claims) => {
                for claim in claims {
                    let mut registry = self.waiting();
                    let claim = small(&registry, claim);
                    let is_known = self.bench.chain.published().pool().get(&claim.id()).is_some();
                    let fits = apply(&mut registry, &claim);
                    assert_eq!(self.bench.submit(claim).is_ok(), fits && !is_known, "{claim:?}");
                }
            }
            Move::Mine => {
                let claims = self.bench.build().claims;
                self.extend(&self.bench.head(), |_| claims.clone());
                assert_eq!(self.bench.chain.published().pool().len(), 0, "a small pool fits one block");
            }
        }
    }

    /// What the chain and then the pool leave; every claim of the pool must fit.
    fn waiting(&self) -> Registry {
        let mut registry = self.left[&self.bench.head().id()].clone();
        for claim in self.bench.chain.published().pool().all() {
            assert!(apply(&mut registry, &claim), "the pool holds a claim that does not fit: {claim:?}");
        }
        registry
    }

    fn check(&self) {
        let head = self.bench.chain.published().head();
        let heaviest = self.blocks.iter().map(Headers::weight).max().unwrap();
        assert_eq!(head.headers.weight(), heaviest, "the heaviest branch leads");
        let rows = head.state.range(TableId(0), &[], None, usize::MAX).unwrap();
        let found: Vec<_> = rows.into_iter().map(|(name, row)| (name.to_vec(), row.to_vec())).collect();
        let model = self.left[&head.headers.id()].iter();
        let row = |last: &Claim| [last.id().0, last.lock, last.value].concat();
        let expected: Vec<_> = model.map(|(name, last)| (name.to_vec(), row(last))).collect();
        assert_eq!(found, expected);
        self.waiting();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_chain_does_what_the_naive_model_does(moves in moves()) {
        let mut world = World::new();
        for step in moves {
            world.make(step);
            world.check();
        }
    }
}
