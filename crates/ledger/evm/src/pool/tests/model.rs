//! The pool and a specification as simple as it gets, fed with the same random submissions, blocks and reorganisations.

use alloy_consensus::Transaction as _;
use proptest::prelude::*;

use super::super::account::{cost_of, tip_cap};
use super::super::order::Bid;
use super::*;

/// One waiting transaction.
#[derive(Clone, Debug)]
struct Waiting {
    tx: Arc<EvmTx>,
    sender: Address,
    arrival: u64,
}

/// A list of everything, searched every time.
#[derive(Debug, Default)]
struct Model {
    waiting: Vec<Waiting>,
    arrivals: u64,
}

impl Model {
    fn find(&self, sender: Address, nonce: u64) -> Option<usize> {
        self.waiting.iter().position(|one| one.sender == sender && one.tx.nonce() == nonce)
    }

    /// The transactions that follow the account's nonce without a gap.
    fn pending(&self, world: &World, sender: Address) -> Vec<usize> {
        let nonce = world.account(&sender).unwrap().nonce;
        (nonce..).map_while(|nonce| self.find(sender, nonce)).collect()
    }

    fn add(&mut self, tx: &Arc<EvmTx>, sender: Address) {
        if let Some(at) = self.find(sender, tx.nonce()) {
            self.waiting.remove(at);
        }
        self.waiting.push(Waiting { tx: Arc::clone(tx), sender, arrival: self.arrivals });
        self.arrivals += 1;
    }

    /// geth's rules for transactions without blobs or delegations, and without limits.
    fn submit(&mut self, world: &World, tx: &Arc<EvmTx>, sender: Address) -> Result<(), String> {
        if self.waiting.iter().any(|one| one.tx.hash() == tx.hash()) {
            return Err("already known".to_owned());
        }
        let state = world.account(&sender).unwrap();
        if tx.nonce() < state.nonce {
            return Err(format!("nonce too low: next nonce {}, tx nonce {}", state.nonce, tx.nonce()));
        }
        let cost = cost_of(tx);
        let balance = alloy_primitives::U512::from(state.balance);
        let poor = "insufficient funds for gas * price + value";
        if cost > balance {
            return Err(format!("{poor}: balance {balance}, tx cost {cost}, overshot {}", cost - balance));
        }
        let pending = self.pending(world, sender);
        let spent: alloy_primitives::U512 = pending.iter().map(|at| cost_of(&self.waiting[*at].tx)).sum();
        let old = self.find(sender, tx.nonce());
        match old.filter(|at| pending.contains(at)) {
            Some(at) => {
                let before = cost_of(&self.waiting[at].tx);
                if spent - before + cost > balance {
                    let bump = if cost < before {
                        format!("-{}", before - cost)
                    } else {
                        (cost - before).to_string()
                    };
                    let over = spent - before + cost - balance;
                    return Err(format!(
                        "{poor}: balance {balance}, queued cost {spent}, tx bumped {bump}, overshot {over}"
                    ));
                }
            }
            None if spent + cost > balance => {
                let over = spent + cost - balance;
                return Err(format!(
                    "{poor}: balance {balance}, queued cost {spent}, tx cost {cost}, overshot {over}"
                ));
            }
            None => {}
        }
        if let Some(at) = old {
            let old = &self.waiting[at].tx;
            let raised = |new: u128, old: u128| new > old && new >= old * 110 / 100;
            if !raised(tx.max_fee_per_gas(), old.max_fee_per_gas()) || !raised(tip_cap(tx), tip_cap(old)) {
                return Err("replacement transaction underpriced".to_owned());
            }
        }
        self.add(tx, sender);
        Ok(())
    }

    fn follow(&mut self, world: &World, left: &[(Arc<EvmTx>, Address)], joined: &[Arc<EvmTx>]) {
        let fits = |tx: &EvmTx, sender: &Address| {
            let state = world.account(sender).unwrap();
            tx.nonce() >= state.nonce && cost_of(tx) <= alloy_primitives::U512::from(state.balance)
        };
        self.waiting.retain(|one| fits(&one.tx, &one.sender));
        for (tx, sender) in left {
            if joined.iter().all(|other| other.hash() != tx.hash()) && fits(tx, sender) {
                self.add(tx, *sender);
            }
        }
    }

    /// Hashes of what a block would take, the best first.
    fn best(&self, world: &World, base_fee: u128) -> Vec<alloy_primitives::B256> {
        let mut queues: Vec<Vec<usize>> = world.0.keys().map(|sender| self.pending(world, *sender)).collect();
        let mut taken = Vec::new();
        loop {
            let offers = queues.iter().enumerate().filter_map(|(queue, entries)| {
                let one = &self.waiting[*entries.first()?];
                let bid = Bid {
                    sender: one.sender,
                    nonce: one.tx.nonce(),
                    fee_cap: one.tx.max_fee_per_gas(),
                    tip: tip_cap(&one.tx),
                    sequence: one.arrival,
                };
                Some(((bid.effective_tip(base_fee)?, core::cmp::Reverse(one.arrival)), queue))
            });
            let Some((_, queue)) = offers.max() else { return taken };
            taken.push(self.waiting[queues[queue].remove(0)].tx.hash());
        }
    }

    /// Senders and nonces of what is pending and of what is queued.
    fn content(&self, world: &World) -> [Vec<(Address, u64)>; 2] {
        let pending: Vec<usize> = world.0.keys().flat_map(|sender| self.pending(world, *sender)).collect();
        let key = |one: &Waiting| (one.sender, one.tx.nonce());
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for (at, one) in self.waiting.iter().enumerate() {
            if pending.contains(&at) { first.push(key(one)) } else { second.push(key(one)) }
        }
        first.sort_unstable();
        second.sort_unstable();
        [first, second]
    }
}

#[derive(Clone, Debug)]
enum Action {
    Submit {
        who: u8,
        ahead: u64,
        fee_cap: u128,
        tip: u128,
        value: u128,
    },
    /// Each account's next transactions: from the pool, or one nobody has seen.
    Block(Vec<(u8, bool)>),
    /// So many blocks leave; of what was in them some comes again at once.
    Reorganise {
        depth: usize,
        again: Vec<bool>,
    },
    Fund {
        who: u8,
        amount: u128,
    },
    BaseFee(u64),
}

fn action() -> impl Strategy<Value = Action> {
    let submit =
        (0..4_u8, 0..6_u64, 1..60_u128, 1..60_u128, 0..400_000_u128).prop_map(|(who, ahead, a, b, value)| {
            Action::Submit { who, ahead, fee_cap: a.max(b), tip: a.min(b), value }
        });
    let block =
        proptest::collection::vec((0..4_u8, proptest::bool::weighted(0.2)), 0..8).prop_map(Action::Block);
    let again = proptest::collection::vec(any::<bool>(), 12);
    let reorganise = (1..4_usize, again).prop_map(|(depth, again)| Action::Reorganise { depth, again });
    prop_oneof![
        12 => submit,
        4 => block,
        2 => reorganise,
        1 => (0..4_u8, 0..3_000_000_u128).prop_map(|(who, amount)| Action::Fund { who, amount }),
        1 => (0..60_u64).prop_map(Action::BaseFee),
    ]
}

/// A block of the test's chain: the accounts before it, and what it took.
struct Mined {
    before: World,
    taken: Vec<(Arc<EvmTx>, Address)>,
}

struct Story {
    bench: Bench,
    model: Model,
    chain: Vec<Mined>,
    strangers: u128,
}

impl Story {
    fn new() -> Self {
        let mut bench = Bench::new();
        bench.policy.account_queue = 1000;
        for number in 0..4 {
            bench.account(number).balance = U256::from(4_000_000);
        }
        Self { bench, model: Model::default(), chain: Vec::new(), strangers: 0 }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Submit { who: number, ahead, fee_cap, tip, value } => {
                let nonce = (self.bench.account(*number).nonce + ahead).saturating_sub(1);
                let tx = transfer(who(*number), nonce, (*fee_cap, *tip), *value);
                let expected = self.model.submit(&self.bench.world, &tx, who(*number));
                assert_eq!(self.bench.submit(&tx).map(drop), expected);
            }
            Action::Block(takes) => self.mine(takes),
            Action::Reorganise { depth, again } => self.reorganise(*depth, again),
            Action::Fund { who: number, amount } => {
                self.bench.account(*number).balance = U256::from(*amount);
                // As if an empty block had changed the row.
                self.chain.clear();
                self.follow(&[], &[]);
            }
            Action::BaseFee(base_fee) => {
                self.bench.terms = terms(*base_fee);
                self.follow(&[], &[]);
            }
        }
        self.compare();
    }

    /// Puts a transaction into the block being made, if the account can.
    fn apply(world: &mut World, tx: &EvmTx, sender: Address) -> bool {
        let state = world.0.get_mut(&sender).unwrap();
        let cost = cost_of(tx).saturating_to::<U256>();
        if state.nonce != tx.nonce() || state.balance < cost {
            return false;
        }
        state.nonce += 1;
        // Sent to itself; not all of the fee is used.
        state.balance -= (cost - tx.value()) / U256::from(2);
        true
    }

    fn mine(&mut self, takes: &[(u8, bool)]) {
        let before = self.bench.world.clone();
        let mut taken = Vec::new();
        for (number, is_strange) in takes {
            let sender = who(*number);
            let nonce = self.bench.account(*number).nonce;
            let tx = if *is_strange {
                self.strangers += 1;
                transfer(sender, nonce, (1, 1), 1_000_000 + self.strangers)
            } else {
                let Some(at) = self.model.find(sender, nonce) else { continue };
                Arc::clone(&self.model.waiting[at].tx)
            };
            if Self::apply(&mut self.bench.world, &tx, sender) {
                taken.push((tx, sender));
            }
        }
        let joined: Vec<_> = taken.iter().map(|(tx, _)| Arc::clone(tx)).collect();
        self.chain.push(Mined { before, taken });
        self.follow(&[], &joined);
    }

    fn reorganise(&mut self, depth: usize, again: &[bool]) {
        let keep = self.chain.len().saturating_sub(depth);
        let undone: Vec<Mined> = self.chain.drain(keep..).collect();
        let Some(first) = undone.first() else { return };
        self.bench.world = first.before.clone();
        let left: Vec<_> = undone.iter().flat_map(|block| block.taken.clone()).collect();
        let mut taken = Vec::new();
        for ((tx, sender), again) in left.iter().zip(again) {
            if *again && Self::apply(&mut self.bench.world, tx, *sender) {
                taken.push((Arc::clone(tx), *sender));
            }
        }
        let joined: Vec<_> = taken.iter().map(|(tx, _)| Arc::clone(tx)).collect();
        self.chain.push(Mined { before: first.before.clone(), taken });
        self.follow(&left, &joined);
    }

    fn follow(&mut self, left: &[(Arc<EvmTx>, Address)], joined: &[Arc<EvmTx>]) {
        self.model.follow(&self.bench.world, left, joined);
        let left: Vec<_> = left.iter().map(|(tx, _)| Arc::clone(tx)).collect();
        self.bench.follow(&left, joined, 11);
    }

    fn compare(&self) {
        let (world, pool) = (&self.bench.world, &self.bench.pool);
        let content = pool.content();
        let keys = |part: &super::super::ByAccount| -> Vec<(Address, u64)> {
            part.iter().flat_map(|(sender, txs)| txs.keys().map(|nonce| (*sender, *nonce))).collect()
        };
        assert_eq!([keys(&content.pending), keys(&content.queued)], self.model.content(world));
        let base_fee = u64::try_from(self.bench.terms.base_fee).unwrap();
        for base_fee in [base_fee, base_fee + 5] {
            let best: Vec<_> = pool.best(base_fee, 0).map(|one| one.tx.hash()).collect();
            assert_eq!(best, self.model.best(world, u128::from(base_fee)), "base fee {base_fee}");
        }
        assert_eq!(pool.heads.is_ready(), pool.best(base_fee, 0).next().is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_pool_is_what_the_specification_says(actions in proptest::collection::vec(action(), 1..60)) {
        let mut story = Story::new();
        for action in &actions {
            story.act(action);
        }
    }
}

#[test]
fn long_stories_meet_everything() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut counts = [0_usize; 4];
    for _ in 0..20 {
        let actions = proptest::collection::vec(action(), 150).new_tree(&mut runner).unwrap().current();
        let mut story = Story::new();
        for action in &actions {
            story.act(action);
            let status = story.bench.pool.status();
            counts[0] += usize::from(status.pending > 3);
            counts[1] += usize::from(status.queued > 1);
            counts[2] += usize::from(matches!(action, Action::Reorganise { .. }) && status.pending > 0);
            counts[3] += usize::from(story.chain.len() > 3);
        }
    }
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
}
