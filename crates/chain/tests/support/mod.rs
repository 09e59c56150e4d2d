//! The smallest ledger, engine and store that can show what the driver does: a block moves one unit between slots,
//! its header says what it weighs and whether a deferred check fails.

// Each test binary uses its own part of this.
#![allow(dead_code, unreachable_pub)]

pub mod memory_store;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;

use bytes::Bytes;
use chainwright_chain::*;

pub const SLOTS: TableId = TableId(0);
pub const NAMES: TableId = TableId(1);

const HEADER_BYTES: usize = 57;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub parent: BlockId,
    pub time: u64,
    pub weight: u8,
    pub body: u64,
    /// Sum over all rows after the block; 0 in blocks that carry none.
    pub root: u64,
}

impl Codec for Header {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.parent.0);
        out.extend_from_slice(&self.time.to_le_bytes());
        out.push(self.weight);
        out.extend_from_slice(&self.body.to_le_bytes());
        out.extend_from_slice(&self.root.to_le_bytes());
    }

    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        if input.len() != HEADER_BYTES {
            return Err(DecodeError::new("a header has 57 bytes"));
        }
        let number = |at: usize| u64::from_le_bytes(input[at..at + 8].try_into().expect("eight bytes"));
        let parent = BlockId(input[..32].try_into().expect("32 bytes"));
        Ok(Self { parent, time: number(32), weight: input[40], body: number(41), root: number(49) })
    }
}

impl chainwright_chain::Header for Header {
    fn id(&self) -> BlockId {
        let mut id = [0; 32];
        let mut hasher = DefaultHasher::new();
        self.to_bytes().hash(&mut hasher);
        id[..8].copy_from_slice(&hasher.finish().to_le_bytes());
        BlockId(id)
    }
    fn parent(&self) -> BlockId {
        self.parent
    }
    fn time(&self) -> Timestamp {
        Timestamp(self.time)
    }
    fn carries(&self, on: &Attributes) -> bool {
        on.time == self.time()
    }
    fn state_root(&self) -> Option<Hash> {
        (self.root != 0).then(|| hash_of(self.root))
    }
    fn set_state_root(&mut self, root: Hash) {
        self.root = u64::from_le_bytes(root.0[..8].try_into().expect("eight bytes"));
    }
}

pub fn hash_of(root: u64) -> Hash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&root.to_le_bytes());
    Hash(hash)
}

/// The sum over all rows, whatever order they came in.
#[derive(Default)]
pub struct Sum(u64);

thread_local! {
    /// Deltas all indexes of this thread have followed.
    pub static FOLLOWED: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
}

impl Sum {
    pub fn add(&mut self, table: TableId, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(Self::row(table, key, value));
    }
    fn row(table: TableId, key: &[u8], value: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        (table.0, key, value).hash(&mut hasher);
        hasher.finish()
    }
    pub fn value(&self) -> u64 {
        self.0
    }
}

impl Index for Sum {
    fn load(state: &StateView) -> Result<Self, Fault> {
        let mut sum = Self::default();
        for table in [SLOTS, NAMES] {
            state.scan(table, &mut |key, value| {
                sum.add(table, key, value);
                Ok(())
            })?;
        }
        Ok(sum)
    }
    fn follow(&mut self, delta: &Delta) {
        FOLLOWED.set(FOLLOWED.get() + 1);
        for change in delta.iter() {
            if let Some(old) = change.old {
                self.0 = self.0.wrapping_sub(Self::row(change.table, change.key, old));
            }
            if let Some(new) = change.new {
                self.add(change.table, change.key, new);
            }
        }
    }
    fn root(&mut self) -> Result<Option<Hash>, Fault> {
        Ok(Some(hash_of(self.0)))
    }
}

/// Sets a slot; some values have a meaning of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tx {
    pub slot: u8,
    pub value: u8,
}

/// A body with this value is refused when executed.
pub const BAD: u8 = 255;
/// A body with this value fails a deferred check.
pub const BAD_JOB: u8 = 254;
/// A body with this value is mutated: same header, other bytes.
pub const MUTATED: u8 = 253;

impl Codec for Tx {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.slot, self.value]);
    }
    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        match input[..] {
            [slot, value] => Ok(Self { slot, value }),
            _ => Err(DecodeError::new("a transaction has two bytes")),
        }
    }
}

impl Transaction for Tx {
    fn id(&self) -> TxId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&[self.slot, self.value]);
        TxId(id)
    }
}

#[derive(Clone, Debug)]
pub struct TestBlock {
    pub header: Header,
    pub txs: Vec<Tx>,
}

pub fn body_digest(txs: &[Tx]) -> u64 {
    let mut hasher = DefaultHasher::new();
    txs.hash(&mut hasher);
    hasher.finish()
}

impl Codec for TestBlock {
    fn encode(&self, out: &mut Vec<u8>) {
        self.header.encode(out);
        self.txs.iter().for_each(|tx| tx.encode(out));
    }
    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        if input.len() < HEADER_BYTES {
            return Err(DecodeError::new("a block starts with a header"));
        }
        let header = Header::decode(&input.slice(..HEADER_BYTES))?;
        let txs = input[HEADER_BYTES..].chunks(2).map(|tx| Tx::decode(&Bytes::copy_from_slice(tx)));
        Ok(Self { header, txs: txs.collect::<Result<_, _>>()? })
    }
}

impl Block for TestBlock {
    type Header = Header;
    type Tx = Tx;
    fn header(&self) -> &Header {
        &self.header
    }
    fn header_mut(&mut self) -> &mut Header {
        &mut self.header
    }
    fn transactions(&self) -> &[Tx] {
        &self.txs
    }
}

/// Remembers what it was told.
#[derive(Default)]
pub struct TestPool {
    pub told: Vec<(Vec<BlockId>, Vec<BlockId>)>,
    pub waiting: Vec<Arc<Tx>>,
}

impl Pool<Slots> for TestPool {
    fn submit(&mut self, _: &Slots, tx: Arc<Tx>, at: &PoolContext<'_, Slots>) -> Result<Admission, Refusal> {
        if !at.dry_run {
            self.waiting.push(tx);
        }
        Ok(Admission::default())
    }
    fn head_changed(&mut self, _: &Slots, change: &HeadChange<'_, Slots>) -> Result<(), Fault> {
        let ids = |blocks: &[Arc<Prepared<Slots>>]| blocks.iter().map(|block| block.id).collect();
        self.told.push((ids(change.disconnected), ids(change.connected)));
        Ok(())
    }
    fn get(&self, id: &TxId) -> Option<Arc<Tx>> {
        self.waiting.iter().find(|tx| tx.id() == *id).cloned()
    }
    fn len(&self) -> usize {
        self.waiting.len()
    }
    fn all(&self) -> Vec<Arc<Tx>> {
        self.waiting.clone()
    }
    fn expire(&mut self, _: Timestamp) {
        self.waiting.clear();
    }
}

pub struct Slots;

impl Ledger for Slots {
    const NAME: &'static str = "slots";
    type Header = Header;
    type Tx = Tx;
    type Block = TestBlock;
    type Facts = ();
    type Receipts = ();
    type Index = Sum;
    type Pool = TestPool;

    fn tables(&self) -> &'static [TableSpec] {
        const { &[table("slots", TableKind::Point), table("names", TableKind::Ordered)] }
    }

    fn is_amendable(&self) -> bool {
        true
    }

    fn genesis(&self) -> (TestBlock, Delta) {
        let header = Header { parent: BlockId::ZERO, time: 0, weight: 0, body: body_digest(&[]), root: 0 };
        let change = Change { table: SLOTS, key: &[0], old: None, new: Some(&[100]) };
        (TestBlock { header, txs: Vec::new() }, Delta::from_changes([change]))
    }

    fn check_header(&self, header: &Header, parent: &Headers<Self>) -> Result<(), Reject> {
        if header.time > parent.header().time { Ok(()) } else { Err(Reject::invalid("time-too-old")) }
    }

    fn prepare(&self, block: TestBlock) -> Result<Prepared<Self>, Reject> {
        if block.header.body != body_digest(&block.txs) {
            return Err(Reject::mutated("bad-body"));
        }
        Ok(Prepared { id: chainwright_chain::Header::id(&block.header), block, facts: () })
    }

    fn check_body(&self, _: &Prepared<Self>, _: &Headers<Self>) -> Result<(), Reject> {
        Ok(())
    }

    fn execute(
        &self,
        parent: &View<Self>,
        block: &Arc<Prepared<Self>>,
        jobs: &mut Jobs,
    ) -> Result<Executed<Self>, Reject> {
        let mut draft = Draft::new(&parent.state);
        for (at, tx) in block.block.txs.iter().enumerate() {
            match tx.value {
                BAD => return Err(Reject::invalid("bad-value")),
                BAD_JOB => jobs.push(move || Err(Reason::with("bad-job", format!("{at}")))),
                _ => jobs.push(|| Ok(())),
            }
            let before = draft.get(SLOTS, &[tx.slot])?;
            let sum = before.map_or(0, |value| value[0]).wrapping_mul(31).wrapping_add(tx.value);
            draft.put(SLOTS, &[tx.slot], &[sum])?;
            match draft.get(NAMES, &[sum])? {
                Some(_) => drop(draft.take(NAMES, &[sum])?),
                None => draft.put(NAMES, &[sum], &[tx.slot])?,
            }
        }
        Ok(Executed { delta: draft.finish(), receipts: Arc::new(()) })
    }

    fn build(
        &self,
        parent: &View<Self>,
        on: &Attributes,
        pool: &TestPool,
    ) -> Result<(TestBlock, Executed<Self>), Reject> {
        let txs: Vec<_> = pool.waiting.iter().map(|tx| (**tx).clone()).collect();
        // Who builds on a block with a root wants one, too; any number but 0 asks for it.
        let root = u64::from(parent.headers.state_root().is_some());
        let (parent_id, body) = (parent.headers.id(), body_digest(&txs));
        let header = Header { parent: parent_id, time: on.time.0, weight: 1, body, root };
        let prepared = Arc::new(self.prepare(TestBlock { header, txs })?);
        let executed = self.execute(parent, &prepared, &mut Jobs::skipped())?;
        Ok((prepared.block.clone(), executed))
    }
}

/// Weighs what the header says; proofs are the block's id.
pub struct Scale;

impl Consensus<Slots> for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }
    fn check_header(&self, header: &Header, _: &Headers<Slots>, now: Timestamp) -> Result<(), Reject> {
        if header.time > now.0 + 100 { Err(Reject::NotYet(Timestamp(header.time - 100))) } else { Ok(()) }
    }
    fn weight(&self, header: &Header) -> Weight {
        Weight(U256::from(header.weight))
    }
    fn attributes(&self, parent: &Headers<Slots>, _: Timestamp) -> Attributes {
        Attributes { time: Timestamp(parent.header().time + 1), ..Attributes::default() }
    }
    fn check_proof(&self, id: BlockId, _: Height, proof: &Proof, _: &ValidatorSet) -> Result<(), Reject> {
        if proof.0[..] == id.0 { Ok(()) } else { Err(Reject::invalid("bad-proof")) }
    }
    fn run(self: Arc<Self>, _: ChainHandle<Slots>) -> BoxFuture<'static, Result<(), Fault>> {
        Box::pin(core::future::ready(Ok(())))
    }
}

/// Keeps tasks until the test picks one.
#[derive(Default)]
pub struct HeldBack(Mutex<VecDeque<Task>>);

impl HeldBack {
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }
    /// Runs the task at a position, counted round.
    pub fn run(&self, at: usize) -> bool {
        let task = {
            let mut tasks = self.0.lock();
            if tasks.is_empty() {
                return false;
            }
            let at = at % tasks.len();
            tasks.remove(at)
        };
        task.expect("the position is within the queue")();
        true
    }
}

impl Workers for HeldBack {
    fn spawn(&self, task: Task) {
        self.0.lock().push_back(task);
    }
}

/// A driver, its workers and its disk, driven by hand.
pub struct Bench {
    pub driver: Driver<Slots>,
    pub chain: ChainHandle<Slots>,
    pub workers: Arc<HeldBack>,
    pub store: memory_store::MemoryStore,
    messages: Arc<Mutex<VecDeque<Message<Slots>>>>,
    random: u64,
}

struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> Timestamp {
        NOW
    }
    fn sleep(&self, _: std::time::Duration) -> BoxFuture<'static, ()> {
        Box::pin(core::future::ready(()))
    }
}

pub const NOW: Timestamp = Timestamp(1000);

impl Bench {
    pub fn new(seed: u64) -> Self {
        Self::on(memory_store::MemoryStore::default(), seed)
    }

    /// Opens a chain on a store that may hold one already.
    pub fn on(store: memory_store::MemoryStore, seed: u64) -> Self {
        let limits = Limits { unproven_blocks_max: 3, prepared_blocks_max: 4, ..Limits::default() };
        Self::within(limits, store, seed)
    }

    /// As [`Bench::on`], within other limits.
    pub fn within(limits: Limits, store: memory_store::MemoryStore, seed: u64) -> Self {
        Self::try_within(limits, store, seed).expect("the store opens")
    }

    /// As [`Bench::within`], on a store that may be damaged.
    pub fn try_within(limits: Limits, store: memory_store::MemoryStore, seed: u64) -> Result<Self, Fault> {
        let messages = Arc::new(Mutex::new(VecDeque::new()));
        let queue = Arc::clone(&messages);
        let inbox: Inbox<Slots> = Arc::new(move |message| queue.lock().push_back(message));
        let workers = Arc::new(HeldBack::default());
        let parts = Parts {
            ledger: Arc::new(Slots),
            consensus: Arc::new(Scale),
            store: Box::new(store.clone()),
            workers: workers.clone(),
            inbox: inbox.clone(),
            limits,
        };
        let driver = Driver::open(parts, NOW)?;
        let chain = ChainHandle::new(inbox, driver.published(), Arc::new(NoClock));
        Ok(Self { driver, chain, workers, store, messages, random: seed | 1 })
    }

    /// Handles messages and runs tasks in seeded order until nothing is left.
    pub fn settle(&mut self) {
        loop {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pick = (self.random >> 33) as usize;
            let waiting = !self.messages.lock().is_empty();
            if waiting && (pick.is_multiple_of(2) || self.workers.len() == 0) {
                self.pump();
            } else if !self.workers.run(pick / 2) && !waiting {
                return;
            }
        }
    }

    /// Handles one message.
    pub fn pump(&mut self) {
        let message = self.messages.lock().pop_front();
        if let Some(message) = message {
            self.driver.handle(message, NOW);
        }
    }

    /// Waits for a reply.
    #[track_caller]
    pub fn ask<T>(&mut self, mut reply: Reply<T>) -> T {
        self.settle();
        reply.take().expect("everything has settled and the reply is there")
    }

    #[track_caller]
    pub fn import(&mut self, block: &TestBlock) -> Result<Imported, Reject> {
        let reply = self.chain.import(block.clone());
        self.ask(reply)
    }

    pub fn head(&self) -> BlockId {
        self.chain.published().head().headers.id()
    }

    /// All rows of the published head.
    pub fn state(&self) -> Vec<Option<Value>> {
        rows(&self.chain.published().head().state)
    }
}

/// All rows of a picture.
pub fn rows(state: &StateView) -> Vec<Option<Value>> {
    let slots = (0..=9).map(|slot| state.get(SLOTS, &[slot]).expect("memory does not fail"));
    let names = state.range(NAMES, &[], None, 1000).expect("memory does not fail");
    slots.chain(names.into_iter().flat_map(|(key, value)| [Some(key), Some(value)])).collect()
}

/// A block on a parent.
pub fn block_on(parent: &TestBlock, weight: u8, txs: &[(u8, u8)]) -> TestBlock {
    let txs: Vec<_> = txs.iter().map(|&(slot, value)| Tx { slot, value }).collect();
    let parent_id = chainwright_chain::Header::id(&parent.header);
    let (time, body) = (parent.header.time + 1, body_digest(&txs));
    TestBlock { header: Header { parent: parent_id, time, weight, body, root: 0 }, txs }
}

pub fn genesis() -> TestBlock {
    Slots.genesis().0
}

pub fn id(block: &TestBlock) -> BlockId {
    chainwright_chain::Header::id(&block.header)
}
