//! Cases through what a node runs: the real driver and store on a simulated disk, under the `external` engine.

use std::collections::VecDeque;
use std::sync::Arc;

use chainwright_chain::{
    BlockId, BoxFuture, ChainHandle, Clock, Codec, Consensus, Driver, Header as _, Inbox, Inline, Ledger,
    Limits, Message, Parts, Reject, Reply, Timestamp,
};
use chainwright_evm::Evm;
use chainwright_evm::types::EvmBlock;
use chainwright_external::External;
use chainwright_store::{DiskStore, Identity, Options, SimulatedDisk};
use parking_lot::Mutex;

use crate::case::Case;
use crate::direct::check_state;

/// Later than every block of the tests.
const NOW: Timestamp = Timestamp(u64::MAX / 2);

/// Nobody sleeps.
struct Late;

impl Clock for Late {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn sleep(&self, _: std::time::Duration) -> BoxFuture<'static, ()> {
        Box::pin(core::future::pending())
    }
}

/// A chain in one thread.
struct Node {
    driver: Driver<Evm>,
    chain: ChainHandle<Evm>,
    messages: Arc<Mutex<VecDeque<Message<Evm>>>>,
}

impl Node {
    fn open(ledger: Evm) -> Self {
        let consensus: Arc<dyn Consensus<Evm>> = Arc::new(External);
        let identity = Identity {
            ledger: Evm::NAME.to_owned(),
            engine: consensus.name().to_owned(),
            chain: ledger.genesis().0.header.hash().to_string(),
            tables: ledger.tables(),
        };
        let store = DiskStore::open(Arc::new(SimulatedDisk::new(1)), identity, Options::default()).unwrap();
        let messages: Arc<Mutex<VecDeque<_>>> = Arc::default();
        let queue = Arc::clone(&messages);
        let inbox: Inbox<Evm> = Arc::new(move |message| queue.lock().push_back(message));
        let parts = Parts {
            ledger: Arc::new(ledger),
            consensus,
            store: Box::new(store),
            workers: Arc::new(Inline),
            inbox: inbox.clone(),
            limits: Limits::default(),
        };
        let driver = Driver::open(parts, NOW).unwrap();
        let chain = ChainHandle::new(inbox, driver.published(), Arc::new(Late));
        Self { driver, chain, messages }
    }

    /// Runs until the answer is there.
    fn answer<T>(&mut self, mut reply: Reply<T>) -> T {
        loop {
            if let Some(answer) = reply.take() {
                return answer;
            }
            let message = self.messages.lock().pop_front().expect("an answer comes before silence");
            self.driver.handle(message, NOW);
        }
    }

    /// Imports a block and, once it is known to be sound so far, follows it.
    fn follow(&mut self, block: EvmBlock) -> Result<(), Reject> {
        let id = block.header.id();
        let reply = self.chain.import(block);
        self.answer(reply)?;
        let reply = self.chain.prefer(id);
        self.answer(reply)
    }

    fn head(&self) -> BlockId {
        self.chain.published().head().headers.id()
    }
}

pub(crate) fn run(case: &Case) -> Result<(), String> {
    let mut node = Node::open(Evm::new(case.genesis()));
    for (index, block) in case.blocks.iter().enumerate() {
        let before = node.head();
        let result = match EvmBlock::decode(&block.rlp.0) {
            Ok(block) => node.follow(block),
            Err(error) => Err(Reject::Invalid(chainwright_chain::Reason::with("decode", error.to_string()))),
        };
        match (result, &block.expect_exception) {
            (Ok(()), None) => {}
            (Err(Reject::Invalid(_) | Reject::Mutated(_)), Some(_)) if node.head() == before => {}
            (result, expected) => {
                return Err(format!("block {index}: {result:?}, expected {expected:?}, head was {before}"));
            }
        }
    }
    if node.head().0 != case.lastblockhash.0 {
        return Err(format!("head is {}, not {}", node.head(), case.lastblockhash));
    }
    let view = node.chain.published().head().state;
    check_state(&view, &case.post_state)
}
