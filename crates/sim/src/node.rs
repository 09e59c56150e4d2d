//! One simulated node: the product's own driver, protocol and store, fed by hand.

use std::collections::VecDeque;
use std::sync::Arc;

use chainwright_chain::{
    BlockId, BlockInfo, BoxFuture, ChainHandle, Clock, Driver, Fault, Header, Inbox, Ledger, Limits, Message,
    Notice, Parts, Published, Reply, Status, Timestamp,
};
use chainwright_network::{AddressBook, Input, Output, Protocol, Setup, Token};
use chainwright_store::{DiskStore, Identity, Options, SimulatedDisk};
use parking_lot::Mutex;

use crate::{Cell, HeldBack, Random};

type Queue<L> = Arc<Mutex<VecDeque<Message<L>>>>;

/// Engines of the simulator are driven by the scenario; nobody sleeps.
struct VirtualClock(Mutex<Timestamp>);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }

    fn sleep(&self, _: std::time::Duration) -> BoxFuture<'static, ()> {
        Box::pin(core::future::pending())
    }
}

/// What the protocol asked the driver and waits for.
enum Pending {
    Headers(Token, Reply<Result<chainwright_chain::HeadersImported, chainwright_chain::Reject>>),
    Block(Token, Reply<Result<chainwright_chain::Imported, chainwright_chain::Reject>>),
    Transaction(Token, Reply<Result<chainwright_chain::Admission, chainwright_chain::Refusal>>),
    Final(Token, Reply<Result<(), chainwright_chain::Reject>>),
}

/// Options of stores in simulations: small files and windows, so that flushes and compactions happen.
fn store_options(seed: u64) -> Options {
    let hash_key = Some((seed, !seed));
    Options { segment_bytes: 64 << 10, window_bytes: 16 << 10, hash_key, ..Options::default() }
}

/// Small limits, so that they are met; every third process goes long ways back in short pieces.
fn limits(seed: u64) -> Limits {
    let plain = Limits { unproven_blocks_max: 4, prepared_blocks_max: 8, ..Limits::default() };
    if seed.is_multiple_of(3) { Limits { rollback_blocks_max: 3, ..plain } } else { plain }
}

/// A running process.
pub(crate) struct Life<C: Cell> {
    driver: Driver<C::Ledger>,
    protocol: Protocol<C::Ledger>,
    /// Asks the driver.
    pub(crate) chain: ChainHandle<C::Ledger>,
    messages: Queue<C::Ledger>,
    workers: Arc<HeldBack>,
    notices: futures_channel::mpsc::Receiver<Notice>,
    pending: Vec<Pending>,
    clock: Arc<VirtualClock>,
    /// Heads published since the last look, in order.
    pub(crate) heads: Vec<BlockId>,
}

impl<C: Cell> Life<C> {
    /// Starts a process on a disk.
    ///
    /// # Errors
    /// When the store refuses the disk, or the driver the store.
    pub(crate) fn start(cell: &C, disk: &SimulatedDisk, seed: u64, now_ms: u64) -> Result<Self, Fault> {
        let ledger = cell.ledger();
        let consensus = cell.consensus();
        let genesis = chainwright_chain::Block::header(&ledger.genesis().0).id();
        let identity = Identity {
            ledger: C::Ledger::NAME.to_owned(),
            engine: consensus.name().to_owned(),
            chain: genesis.to_string(),
            tables: ledger.tables(),
        };
        let store = DiskStore::open(Arc::new(disk.clone()), identity, store_options(seed))
            .map_err(|error| Fault::new(error.to_string()))?;
        let messages: Queue<C::Ledger> = Arc::default();
        let queue = Arc::clone(&messages);
        let inbox: Inbox<C::Ledger> = Arc::new(move |message| queue.lock().push_back(message));
        let workers = Arc::new(HeldBack::default());
        let now = Timestamp(now_ms / 1000);
        let parts = Parts {
            ledger,
            consensus: Arc::clone(&consensus),
            store: Box::new(store),
            workers: workers.clone(),
            inbox: inbox.clone(),
            limits: limits(seed),
        };
        let driver = Driver::open(parts, now)?;
        let published = driver.published();
        let notices = published.subscribe();
        let clock = Arc::new(VirtualClock(Mutex::new(now)));
        let chain = ChainHandle::new(inbox, Arc::clone(&published), clock.clone());
        let mut seeds = Random::new(seed);
        let mut parameters = cell.network();
        parameters.policy.tip_age_max_ms = None;
        parameters.policy.feelers = false;
        parameters.policy.outbound_full_relay_max = 0;
        parameters.policy.outbound_block_relay_max = 0;
        let book = AddressBook::new(seeds.bytes());
        let protocol =
            Protocol::new(Setup { parameters, published, consensus, book, seed: seeds.bytes() }, now_ms);
        let pending = Vec::new();
        Ok(Self { driver, protocol, chain, messages, workers, notices, pending, clock, heads: Vec::new() })
    }

    /// What the process publishes.
    pub(crate) fn published(&self) -> &Arc<Published<C::Ledger>> {
        self.chain.published()
    }

    /// Where the process stands, for a failure's report.
    pub(crate) fn describe(&self) -> String {
        let published = self.published();
        let invalid = |tip: &BlockInfo<C::Ledger>| matches!(tip.status, Status::Invalid(_));
        format!(
            "{:?}, best header {:?}, {} peers, {} tips of which {} invalid",
            published.head().headers,
            published.best_header(),
            self.protocol.peers().len(),
            published.tips().len(),
            published.tips().iter().filter(|tip| invalid(tip)).count()
        )
    }

    /// Tells the protocol something.
    pub(crate) fn tell(&mut self, input: Input, now_ms: u64) {
        self.protocol.handle(input, now_ms);
    }

    /// When the protocol wants to be woken.
    pub(crate) fn wake_at(&self) -> u64 {
        self.protocol.wake_at()
    }

    /// Whether bytes from this peer are welcome.
    pub(crate) fn has_tasks(&self) -> bool {
        !self.workers.is_empty() || !self.messages.lock().is_empty()
    }

    /// Handles all messages and, each with this chance in 100, lets waiting tasks run. Returns what the protocol wants done
    /// outside.
    pub(crate) fn turn(&mut self, random: &mut Random, patience: u64, now_ms: u64) -> Vec<Output<C::Ledger>> {
        let mut outside = Vec::new();
        *self.clock.0.lock() = Timestamp(now_ms / 1000);
        loop {
            let mut busy = self.handle_one(now_ms);
            if random.percent(patience) {
                busy |= self.workers.run_one(random);
            }
            busy |= self.answer_protocol(now_ms);
            while let Some(output) = self.protocol.next_output() {
                busy = true;
                outside.extend(self.ask_driver(output));
            }
            if !busy {
                return outside;
            }
        }
    }

    /// Handles this many messages and nothing else, as a process does that ends in the middle of its work.
    pub(crate) fn begin(&mut self, messages: usize, now_ms: u64) {
        for _ in 0..messages {
            self.handle_one(now_ms);
        }
    }

    /// Imports a block and stops when it is the head, whatever else waits.
    pub(crate) fn begin_import(
        &mut self,
        block: <C::Ledger as Ledger>::Block,
        random: &mut Random,
        now_ms: u64,
    ) {
        let id = chainwright_chain::Block::header(&block).id();
        drop(self.chain.import(block));
        while self.published().head().headers.id() != id
            && (self.handle_one(now_ms) || self.workers.run_one(random))
        {}
    }

    fn handle_one(&mut self, now_ms: u64) -> bool {
        let message = self.messages.lock().pop_front();
        let Some(message) = message else { return false };
        self.driver.handle(message, Timestamp(now_ms / 1000));
        true
    }

    /// Runs everything to the end, network aside.
    pub(crate) fn settle(&mut self, random: &mut Random, now_ms: u64) -> Vec<Output<C::Ledger>> {
        let mut outside = Vec::new();
        while self.has_tasks() {
            outside.extend(self.turn(random, 70, now_ms));
        }
        outside
    }

    /// Passes answers and notices on to the protocol.
    fn answer_protocol(&mut self, now_ms: u64) -> bool {
        let mut inputs = Vec::new();
        self.pending.retain_mut(|pending| {
            let input = match pending {
                Pending::Headers(token, reply) => {
                    reply.take().map(|result| Input::HeadersImported { token: *token, result })
                }
                Pending::Block(token, reply) => {
                    reply.take().map(|result| Input::BlockImported { token: *token, result })
                }
                Pending::Transaction(token, reply) => {
                    reply.take().map(|result| Input::TransactionSubmitted { token: *token, result })
                }
                Pending::Final(token, reply) => {
                    reply.take().map(|result| Input::Finalized { token: *token, result })
                }
            };
            let answered = input.is_some();
            inputs.extend(input);
            !answered
        });
        while let Ok(notice) = self.notices.try_recv() {
            if let Notice::Head(id, _) = notice {
                self.heads.push(id);
            }
            inputs.push(Input::Notice(notice));
        }
        let busy = !inputs.is_empty();
        for input in inputs {
            self.protocol.handle(input, now_ms);
        }
        busy
    }

    /// Hands what is meant for the driver to it; gives the rest back.
    fn ask_driver(&mut self, output: Output<C::Ledger>) -> Option<Output<C::Ledger>> {
        let pending = match output {
            Output::ImportHeaders { token, headers } => {
                Pending::Headers(token, self.chain.import_headers(headers))
            }
            Output::ImportBlock { token, block } => Pending::Block(token, self.chain.import(block)),
            Output::SubmitTransaction { token, tx } => Pending::Transaction(token, self.chain.submit(tx)),
            Output::Finalize { token, id, proof } => Pending::Final(token, self.chain.finalize(id, proof)),
            outside => return Some(outside),
        };
        self.pending.push(pending);
        None
    }
}
