//! The chain of the execution APIs behind the real driver and store, under the engine that checks no seal.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use alloy_consensus::Header;
use alloy_primitives::B256;
use bytes::Bytes;
use chainwright_chain::{
    BlockId, BoxFuture, ChainHandle, Clock, Consensus, Driver, Header as _, Inbox, Inline, Ledger as _,
    Limits, Message, Notice, Parts, Proof, Timestamp,
};
use chainwright_evm::Evm;
use chainwright_evm::config::Genesis;
use chainwright_evm::types::EvmBlock;
use chainwright_external::External;
use chainwright_rpc::testing::TestHost;
use chainwright_rpc::{Answer, Call, Dialect as _, Follower, Method, RpcError, Session};
use chainwright_rpc_ethereum::{CallLimits, EthereumDialect};
use chainwright_store::{DiskStore, Identity, Options, SimulatedDisk};
use serde_json::{Value, json};

/// Later than every block.
const NOW: Timestamp = Timestamp(1_700_000_000);

/// Nobody sleeps.
struct Late;

impl Clock for Late {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(core::future::pending())
    }
}

/// The chain of a folder.
fn blocks(folder: &Path) -> Vec<EvmBlock> {
    let mut rest = Bytes::from(std::fs::read(folder.join("chain.rlp")).unwrap());
    let mut all = Vec::new();
    while !rest.is_empty() {
        all.push(EvmBlock::take(&mut rest).unwrap());
    }
    all
}

/// A node and its methods.
pub(crate) struct Node {
    methods: BTreeMap<&'static str, Method>,
    follower: Mutex<Follower>,
    chain: ChainHandle<Evm>,
    letters: mpsc::Sender<Option<Message<Evm>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn driver(ledger: Evm, inbox: Inbox<Evm>) -> Driver<Evm> {
    let consensus: Arc<dyn Consensus<Evm>> = Arc::new(External);
    let identity = Identity {
        ledger: Evm::NAME.to_owned(),
        engine: consensus.name().to_owned(),
        chain: ledger.genesis().0.header.hash().to_string(),
        tables: ledger.tables(),
    };
    let store = DiskStore::open(Arc::new(SimulatedDisk::new(1)), identity, Options::default()).unwrap();
    let parts = Parts {
        ledger: Arc::new(ledger),
        consensus,
        store: Box::new(store),
        workers: Arc::new(Inline),
        inbox,
        limits: Limits::default(),
    };
    Driver::open(parts, NOW).unwrap()
}

impl Node {
    /// The chain of a folder, head, safe and finalized as its last file says.
    pub(crate) fn start(folder: &Path) -> Self {
        let node = Self::with_chain(folder);
        node.choose(folder);
        node
    }

    /// The chain of a folder; nothing is final.
    pub(crate) fn with_chain(folder: &Path) -> Self {
        let genesis = std::fs::read_to_string(folder.join("genesis.json")).unwrap();
        let node = Self::of(&genesis, CallLimits::default());
        node.import(folder);
        (node.follower.lock().unwrap())(&[]);
        node
    }

    /// A chain that has but its genesis.
    pub(crate) fn of(genesis: &str, limits: CallLimits) -> Self {
        let ledger = Evm::new(Genesis::from_json(genesis).unwrap());
        let (letters, incoming) = mpsc::channel();
        let sender = letters.clone();
        let inbox: Inbox<Evm> = Arc::new(move |message| drop(sender.send(Some(message))));
        let mut driver = driver(ledger, inbox.clone());
        let chain = ChainHandle::new(inbox, driver.published(), Arc::new(Late));
        let thread = std::thread::spawn(move || {
            while let Ok(Some(message)) = incoming.recv() {
                driver.handle(message, NOW);
            }
        });
        let dialect = EthereumDialect::with_limits(chain.clone(), Arc::new(TestHost::default()), limits);
        let follower = Mutex::new(Arc::clone(&dialect).follower().unwrap());
        let methods = dialect.methods().into_iter().map(|method| (method.name, method)).collect();
        Self { methods, follower, chain, letters, thread: Some(thread) }
    }

    fn import(&self, folder: &Path) {
        for block in blocks(folder) {
            let id = block.header.id();
            self.chain.import(block).wait().unwrap().unwrap();
            self.chain.prefer(id).wait().unwrap().unwrap();
        }
    }

    /// Stores a block like the last one of a folder's chain, but for what is altered in its header; its hash.
    pub(crate) fn import_beside(&self, folder: &Path, alter: impl FnOnce(&mut Header)) -> B256 {
        let mut block = blocks(folder).pop().unwrap();
        block.header.alter(alter);
        let hash = block.header.hash();
        self.chain.import(block).wait().unwrap().unwrap();
        hash
    }

    /// The same of its header alone.
    pub(crate) fn import_header(&self, folder: &Path, alter: impl FnOnce(&mut Header)) -> B256 {
        let mut header = blocks(folder).pop().unwrap().header;
        header.alter(alter);
        let hash = header.hash();
        self.chain.import_headers(vec![header]).wait().unwrap().unwrap();
        hash
    }

    /// Whether a known block can be the head.
    pub(crate) fn can_be_head(&self, hash: B256) -> bool {
        self.chain.prefer(BlockId(hash.0)).wait().unwrap().is_ok()
    }

    fn choose(&self, folder: &Path) {
        let choice = std::fs::read_to_string(folder.join("headfcu.json")).unwrap();
        let choice: Value = serde_json::from_str(&choice).unwrap();
        let id = |name: &str| {
            let hash: B256 = serde_json::from_value(choice["params"][0][name].clone()).unwrap();
            BlockId(hash.0)
        };
        self.chain.prefer(id("headBlockHash")).wait().unwrap().unwrap();
        self.chain.safe(id("safeBlockHash")).wait().unwrap().unwrap();
        self.chain.finalize(id("finalizedBlockHash"), Proof::default()).wait().unwrap().unwrap();
        self.chain.sync().wait().unwrap().unwrap();
    }

    /// What a method answers, over a connection that takes messages if there is one.
    pub(crate) fn ask(&self, name: &str, params: Value, session: Option<&Session>) -> Answer {
        self.answer(name, params, |call| match session {
            Some(session) => call.over(session.clone()),
            None => call,
        })
    }

    fn answer(&self, name: &str, params: Value, over: impl FnOnce(Call) -> Call) -> Answer {
        let missing = || format!("the method {name} does not exist/is not available");
        let method = self.methods.get(name).ok_or_else(|| RpcError::new(-32601, missing()))?;
        let call = over(Call::new(method.arguments(params)?));
        let answer = (method.handler)(&call);
        call.reply_is_sent();
        answer
    }

    /// Makes a known block the head, and lets the follower hear of it.
    pub(crate) fn prefer(&self, hash: &Value) {
        let hash: B256 = serde_json::from_value(hash.clone()).unwrap();
        self.chain.prefer(BlockId(hash.0)).wait().unwrap().unwrap();
        let head = self.chain.published().head().headers;
        let notice = Notice::Head(head.id(), head.height());
        (self.follower.lock().unwrap())(&[notice]);
    }

    /// The reply to a request, both as they travel.
    pub(crate) fn reply(&self, request: &Value) -> Value {
        self.reply_until(request, &Arc::default())
    }

    /// The same, when the node may stop meanwhile.
    pub(crate) fn reply_until(&self, request: &Value, stopping: &Arc<AtomicBool>) -> Value {
        let name = request["method"].as_str().unwrap();
        let params = request.get("params").cloned().unwrap_or(Value::Null);
        let answer = self.answer(name, params, |mut call| {
            call.stopping = Arc::clone(stopping);
            call
        });
        let id = &request["id"];
        match answer {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error.to_json() }),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.letters.send(None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
