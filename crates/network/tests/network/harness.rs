//! Nodes (driver and protocol), links with delay, and virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::*;
use chainwright_network::*;
use futures_channel::mpsc;
use parking_lot::Mutex;

use crate::support::memory_store::MemoryStore;
use crate::support::{Header, Slots, TestBlock};

/// Virtual time at the start, in milliseconds since 1970.
pub(crate) const START: u64 = 1_000_000_000;
pub(crate) const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
/// A header of this weight has no seal.
pub(crate) const UNSEALED: u8 = 201;

/// Weighs what the header says; a proof is the block's id.
pub(crate) struct Balance;

impl Consensus<Slots> for Balance {
    fn name(&self) -> &'static str {
        "balance"
    }
    fn check_header(&self, header: &Header, _: &Headers<Slots>, now: Timestamp) -> Result<(), Reject> {
        self.check_seal(header)?;
        let limit = now.0 + 7200;
        if header.time > limit { Err(Reject::NotYet(Timestamp(header.time))) } else { Ok(()) }
    }
    fn check_seal(&self, header: &Header) -> Result<(), Reject> {
        if header.weight == UNSEALED { Err(Reject::invalid("high-hash")) } else { Ok(()) }
    }
    fn weight(&self, header: &Header) -> Weight {
        Weight(U256::from(header.weight))
    }
    fn attributes(&self, _: &Headers<Slots>, now: Timestamp) -> Attributes {
        Attributes { time: now, ..Attributes::default() }
    }
    fn check_proof(&self, id: BlockId, _: Height, proof: &Proof, _: &ValidatorSet) -> Result<(), Reject> {
        if proof.0[..] == id.0 { Ok(()) } else { Err(Reject::invalid("bad-proof")) }
    }
    fn run(self: Arc<Self>, _: ChainHandle<Slots>) -> BoxFuture<'static, Result<(), Fault>> {
        Box::pin(core::future::ready(Ok(())))
    }
}

/// Answers that the driver still owes.
enum Owed {
    Headers(Token, Reply<Result<HeadersImported, Reject>>),
    Block(Token, Reply<Result<Imported, Reject>>),
    Transaction(Token, Reply<Result<Admission, Refusal>>),
    Finalize(Token, Reply<Result<(), Reject>>),
}

struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> Timestamp {
        Timestamp(START / 1000)
    }
    fn sleep(&self, _: std::time::Duration) -> BoxFuture<'static, ()> {
        Box::pin(core::future::ready(()))
    }
}

pub(crate) struct Node {
    pub(crate) protocol: Protocol<Slots>,
    pub(crate) chain: ChainHandle<Slots>,
    pub(crate) farewells: Vec<(PeerId, Farewell)>,
    pub(crate) discouraged: Vec<NetworkAddress>,
    pub(crate) dialed: Vec<(NetworkAddress, ConnectionKind)>,
    pub(crate) imports: Vec<BlockId>,
    pub(crate) out: VecDeque<(PeerId, Bytes)>,
    pub(crate) now: u64,
    driver: Driver<Slots>,
    messages: Arc<Mutex<VecDeque<Message<Slots>>>>,
    notices: mpsc::Receiver<Notice>,
    owed: Vec<Owed>,
    pub(crate) store: MemoryStore,
    /// What the pool says of transactions instead of taking them.
    pub(crate) refusals: BTreeMap<TxId, Refusal>,
    refused: Vec<(Token, Refusal)>,
    /// The pool's verdicts do not come for now.
    pub(crate) is_pool_slow: bool,
}

/// All headers have one length.
pub(crate) fn header_length() -> usize {
    crate::support::genesis().header.to_bytes().len()
}

pub(crate) fn parameters() -> Parameters<Slots> {
    let mut parameters = Parameters::new(MAGIC, 18444);
    parameters.header_length = Some(header_length());
    parameters.message_max = 1 << 20;
    parameters.policy.outbound_full_relay_max = 0;
    parameters.policy.outbound_block_relay_max = 0;
    parameters
}

impl Node {
    pub(crate) fn new(seed: u8, parameters: Parameters<Slots>) -> Self {
        let messages = Arc::new(Mutex::new(VecDeque::new()));
        let queue = Arc::clone(&messages);
        let inbox: Inbox<Slots> = Arc::new(move |message| queue.lock().push_back(message));
        let store = MemoryStore::default();
        let parts = Parts {
            ledger: Arc::new(Slots),
            consensus: Arc::new(Balance),
            store: Box::new(store.clone()),
            workers: Arc::new(Inline),
            inbox: inbox.clone(),
            limits: Limits::default(),
        };
        let driver = Driver::open(parts, Timestamp(START / 1000)).expect("the store opens");
        let published = driver.published();
        let notices = published.subscribe();
        let setup = Setup {
            parameters,
            published: published.clone(),
            consensus: Arc::new(Balance),
            book: AddressBook::new([seed; 32]),
            seed: [seed; 32],
        };
        Self {
            protocol: Protocol::new(setup, START),
            chain: ChainHandle::new(inbox, published, Arc::new(NoClock)),
            farewells: Vec::new(),
            discouraged: Vec::new(),
            dialed: Vec::new(),
            imports: Vec::new(),
            out: VecDeque::new(),
            now: START,
            driver,
            messages,
            notices,
            owed: Vec::new(),
            store,
            refusals: BTreeMap::new(),
            refused: Vec::new(),
            is_pool_slow: false,
        }
    }

    pub(crate) fn head(&self) -> BlockId {
        self.chain.published().head().headers.id()
    }

    pub(crate) fn height(&self) -> u32 {
        self.chain.published().head().headers.height().0
    }

    /// Imports a block of our own making.
    #[track_caller]
    pub(crate) fn mine(&mut self, block: &TestBlock) {
        let mut reply = self.chain.import(block.clone());
        self.settle();
        reply.take().expect("the driver has settled").expect("the block is valid");
    }

    /// The same for several.
    #[track_caller]
    pub(crate) fn mine_all(&mut self, blocks: &[TestBlock]) {
        for block in blocks {
            self.mine(block);
        }
    }

    /// The same for a block that only a certificate moves the head to.
    #[track_caller]
    pub(crate) fn mine_final(&mut self, block: &TestBlock) {
        self.mine(block);
        let id = crate::support::id(block);
        let mut reply = self.chain.finalize(id, Proof(Bytes::copy_from_slice(&id.0)));
        self.settle();
        reply.take().expect("the driver has settled").expect("the proof is right");
    }

    #[track_caller]
    pub(crate) fn submit(&mut self, tx: crate::support::Tx) {
        let mut reply = self.chain.submit(Arc::new(tx));
        self.settle();
        reply.take().expect("the driver has settled").expect("the pool takes everything");
    }

    /// Puts a transaction into the pool before the protocol listens.
    pub(crate) fn submit_quietly(&mut self, tx: crate::support::Tx) {
        let reply = self.chain.submit(Arc::new(tx));
        while let Some(message) = { self.messages.lock().pop_front() } {
            self.driver.handle(message, Timestamp(self.now / 1000));
        }
        while self.notices.try_recv().is_ok() {}
        drop(reply);
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.protocol.handle(input, self.now);
        self.settle();
    }

    pub(crate) fn connect(&mut self, peer: u64, kind: ConnectionKind) {
        let address = address(peer as u8);
        self.handle(Input::Connected { peer: PeerId(peer), address, kind });
    }

    /// Lets driver and protocol talk until both are silent.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut busy = false;
            while let Some(message) = { self.messages.lock().pop_front() } {
                self.driver.handle(message, Timestamp(self.now / 1000));
                busy = true;
            }
            while let Some(output) = self.protocol.next_output() {
                self.act(output);
                busy = true;
            }
            while let Ok(notice) = self.notices.try_recv() {
                self.protocol.handle(Input::Notice(notice), self.now);
                busy = true;
            }
            busy |= self.pay();
            if !busy {
                return;
            }
        }
    }

    fn act(&mut self, output: Output<Slots>) {
        match output {
            Output::Send { peer, bytes } => self.out.push_back((peer, bytes)),
            Output::Connect { address, kind } => self.dialed.push((address, kind)),
            Output::Disconnect { peer, why } => self.farewells.push((peer, why)),
            Output::Discourage { address, .. } => self.discouraged.push(address),
            Output::ImportHeaders { token, headers } => {
                self.owed.push(Owed::Headers(token, self.chain.import_headers(headers)));
            }
            Output::ImportBlock { token, block } => {
                self.imports.push(crate::support::id(&block));
                self.owed.push(Owed::Block(token, self.chain.import(block)));
            }
            Output::SubmitTransaction { token, tx } => {
                if let Some(refusal) = self.refusals.get(&tx.id()) {
                    return self.refused.push((token, refusal.clone()));
                }
                self.owed.push(Owed::Transaction(token, self.chain.submit(tx)));
            }
            Output::Finalize { token, id, proof } => {
                self.owed.push(Owed::Finalize(token, self.chain.finalize(id, proof)));
            }
        }
    }

    /// Hands over answers that have come.
    fn pay(&mut self) -> bool {
        let is_pool_slow = self.is_pool_slow;
        let refused = if is_pool_slow { Vec::new() } else { core::mem::take(&mut self.refused) };
        let mut inputs: Vec<_> = refused
            .into_iter()
            .map(|(token, refusal)| Input::TransactionSubmitted { token, result: Err(refusal) })
            .collect();
        self.owed.retain_mut(|owed| {
            let input = match owed {
                Owed::Transaction(..) if is_pool_slow => return true,
                Owed::Headers(token, reply) => {
                    reply.take().map(|result| Input::HeadersImported { token: *token, result })
                }
                Owed::Block(token, reply) => {
                    reply.take().map(|result| Input::BlockImported { token: *token, result })
                }
                Owed::Transaction(token, reply) => {
                    reply.take().map(|result| Input::TransactionSubmitted { token: *token, result })
                }
                Owed::Finalize(token, reply) => {
                    reply.take().map(|result| Input::Finalized { token: *token, result })
                }
            };
            let open = input.is_none();
            inputs.extend(input);
            open
        });
        let paid = !inputs.is_empty();
        for input in inputs {
            self.protocol.handle(input, self.now);
        }
        paid
    }
}

pub(crate) fn address(last: u8) -> NetworkAddress {
    NetworkAddress { host: Host::Ip4([8, last, 8, 8]), port: 18444 }
}

type End = (usize, PeerId);

/// Several nodes and the links between them.
pub(crate) struct Net {
    pub(crate) nodes: Vec<Node>,
    pub(crate) now: u64,
    pub(crate) delay: u64,
    links: BTreeMap<End, End>,
    on_the_way: VecDeque<(u64, End, Bytes)>,
    next_peer: u64,
    /// Nodes that never read, to play a slow peer.
    pub(crate) deaf: Vec<usize>,
    /// Bytes carried by message name.
    pub(crate) carried: BTreeMap<String, usize>,
}

impl Net {
    pub(crate) fn new(nodes: Vec<Node>) -> Self {
        let now = START;
        Self {
            nodes,
            now,
            delay: 20,
            links: BTreeMap::new(),
            on_the_way: VecDeque::new(),
            next_peer: 0,
            deaf: Vec::new(),
            carried: BTreeMap::new(),
        }
    }

    /// The first connects to the second.
    pub(crate) fn link(&mut self, from: usize, to: usize, kind: ConnectionKind) {
        self.next_peer += 1;
        let peer = PeerId(self.next_peer);
        self.links.insert((from, peer), (to, peer));
        self.links.insert((to, peer), (from, peer));
        let input = |node: usize, kind| Input::Connected { peer, address: address(node as u8), kind };
        self.nodes[to].handle(input(from, ConnectionKind::Inbound));
        self.nodes[from].handle(input(to, kind));
    }

    /// Cuts every link of a node.
    pub(crate) fn cut(&mut self, node: usize) {
        let ends: Vec<_> =
            self.links.iter().filter(|((at, _), _)| *at == node).map(|(a, b)| (*a, *b)).collect();
        for (near, far) in ends {
            self.close(near);
            self.close(far);
        }
    }

    fn close(&mut self, end: End) {
        self.links.remove(&end);
        self.on_the_way.retain(|(_, to, _)| *to != end);
        self.nodes[end.0].handle(Input::Disconnected { peer: end.1 });
    }

    fn carry(&mut self) {
        for at in 0..self.nodes.len() {
            while let Some((peer, bytes)) = self.nodes[at].out.pop_front() {
                let name: String =
                    bytes[4..16].iter().take_while(|byte| **byte != 0).map(|byte| *byte as char).collect();
                *self.carried.entry(name).or_default() += bytes.len();
                if let Some(far) = self.links.get(&(at, peer)) {
                    self.on_the_way.push_back((self.now + self.delay, *far, bytes));
                }
            }
            for (peer, _) in self.nodes[at].farewells.clone() {
                if let Some(far) = self.links.remove(&(at, peer)) {
                    self.close(far);
                }
            }
        }
    }

    /// One step of virtual time: ten milliseconds.
    fn step(&mut self) {
        self.now += 10;
        for node in &mut self.nodes {
            node.now = self.now;
        }
        let (due, later): (Vec<_>, Vec<_>) = self
            .on_the_way
            .drain(..)
            .partition(|(at, (node, _), _)| *at <= self.now && !self.deaf.contains(node));
        self.on_the_way = later.into();
        let mut waiting = Vec::new();
        for (at, end, bytes) in due {
            let (node, peer) = end;
            let blocked = waiting.iter().any(|(_, other, _)| *other == end);
            if self.links.contains_key(&end) && (blocked || !self.nodes[node].protocol.wants_bytes(peer)) {
                waiting.push((at, end, bytes));
            } else if self.links.contains_key(&end) {
                self.nodes[node].handle(Input::Received { peer, bytes });
            }
        }
        waiting.into_iter().rev().for_each(|item| self.on_the_way.push_front(item));
        for node in &mut self.nodes {
            if node.protocol.wake_at() <= self.now {
                node.handle(Input::Tick);
            }
        }
        self.carry();
    }

    pub(crate) fn run(&mut self, milliseconds: u64) {
        let end = self.now + milliseconds;
        self.carry();
        while self.now < end {
            self.step();
        }
    }

    /// Runs until a condition holds, at most this long; says whether it does.
    pub(crate) fn run_until(&mut self, milliseconds: u64, condition: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + milliseconds;
        self.carry();
        while self.now < end {
            if condition(self) {
                return true;
            }
            self.step();
        }
        condition(self)
    }
}
