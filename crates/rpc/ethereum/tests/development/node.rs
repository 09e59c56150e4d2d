//! A development node in one process: a driver, a sealer and the methods, on a simulated disk that may be killed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use alloy_primitives::{Address, U256, address};
use chainwright_chain::{
    BoxFuture, ChainHandle, Clock, Consensus, Driver, Header as _, Inbox, Inline, Ledger as _, Limits,
    Message, Parts, Reply, Timestamp,
};
use chainwright_evm::Evm;
use chainwright_evm::config::{ChainConfig, Fork, Genesis, GenesisAccount};
use chainwright_evm::pool::PoolPolicy;
use chainwright_rpc::testing::TestHost;
use chainwright_rpc::{Answer, Call, Dialect as _, Method, RpcError};
use chainwright_rpc_ethereum::EthereumDialect;
use chainwright_solo::{Sealing, SealingKey, Solo};
use chainwright_store::{DiskStore, Identity, Options, SimulatedDisk};
use serde_json::{Value, json};

/// The first two accounts of everybody's mnemonic.
pub(crate) const ALICE: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
pub(crate) const BOB: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");
/// When the tests begin.
pub(crate) const START: u64 = 1_800_000_000;

/// A clock that is moved by hand; sleeping takes real time.
pub(crate) struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (sender, reply) = Reply::new();
        thread::spawn(move || {
            thread::sleep(duration);
            let _ = sender.send(());
        });
        Box::pin(async move { drop(reply.await) })
    }
}

pub(crate) struct Node {
    methods: BTreeMap<&'static str, Method>,
    pub(crate) host: Arc<TestHost>,
    disk: SimulatedDisk,
    letters: mpsc::Sender<Option<Message<Evm>>>,
    thread: Option<thread::JoinHandle<()>>,
}

fn ledger() -> Evm {
    let mut config = ChainConfig::up_to(31_337, Fork::Osaka);
    config.development = true;
    let mut genesis = Genesis::empty(config);
    genesis.header.gas_limit = 60_000_000;
    genesis.header.timestamp = START - 1000;
    for account in [ALICE, BOB] {
        let balance = U256::from(10_000) * U256::from(10).pow(U256::from(18));
        genesis.accounts.insert(account, GenesisAccount { balance, ..GenesisAccount::default() });
    }
    genesis.add_system_contracts();
    genesis.complete_header();
    Evm::new(genesis).with_pool_policy(PoolPolicy::development())
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::open(SimulatedDisk::new(1), true)
    }

    /// The process dies, and another begins where it stood.
    pub(crate) fn restart(&self) -> Self {
        Self::open(self.disk.kill(), true)
    }

    /// A node that only follows.
    pub(crate) fn follower() -> Self {
        Self::open(SimulatedDisk::new(1), false)
    }

    fn open(disk: SimulatedDisk, seals: bool) -> Self {
        let ledger = Arc::new(ledger());
        let genesis = ledger.genesis().0.header.id();
        let key = SealingKey::from_bytes([7; 32]).unwrap();
        let mut solo = if seals {
            Solo::sealer(genesis, key, Sealing::OnTransaction, Vec::new())
        } else {
            Solo::follower(genesis, key.verifying_key())
        };
        (solo.future_limit_seconds, solo.time_step_seconds) = (u64::MAX, 1);
        let solo = Arc::new(solo);
        let consensus: Arc<dyn Consensus<Evm>> = solo.clone();
        let identity = Identity {
            ledger: Evm::NAME.to_owned(),
            engine: consensus.name().to_owned(),
            chain: ledger.genesis().0.header.hash().to_string(),
            tables: ledger.tables(),
        };
        let store = DiskStore::open(Arc::new(disk.clone()), identity, Options::default()).unwrap();
        let (letters, incoming) = mpsc::channel();
        let sender = letters.clone();
        let inbox: Inbox<Evm> = Arc::new(move |message| drop(sender.send(Some(message))));
        let clock = Arc::new(Hand(AtomicU64::new(START)));
        let parts = Parts {
            ledger,
            consensus: consensus.clone(),
            store: Box::new(store),
            workers: Arc::new(Inline),
            inbox: inbox.clone(),
            limits: Limits::default(),
        };
        let mut driver = Driver::open(parts, clock.now()).unwrap();
        let chain = ChainHandle::new(inbox, driver.published(), clock.clone());
        let now = clock;
        let thread = thread::spawn(move || {
            while let Ok(Some(message)) = incoming.recv() {
                driver.handle(message, now.now());
            }
        });
        let served = chain.clone();
        thread::spawn(move || futures_executor::block_on(consensus.run(served)));
        let host = Arc::new(TestHost::default());
        let dialect = EthereumDialect::new(chain, host.clone()).sealed_by(solo);
        let methods = dialect.methods().into_iter().map(|method| (method.name, method)).collect();
        Self { methods, host, disk, letters, thread: Some(thread) }
    }

    pub(crate) fn try_ask(&self, name: &str, params: Value) -> Answer {
        let missing = || RpcError::new(-32601, format!("the method {name} does not exist"));
        let method = self.methods.get(name).ok_or_else(missing)?;
        (method.handler)(&Call::new(method.arguments(params)?))
    }

    #[track_caller]
    pub(crate) fn ask(&self, name: &str, params: Value) -> Value {
        self.try_ask(name, params).unwrap_or_else(|error| panic!("{name}: {error:?}"))
    }

    /// What a call that must fail says.
    #[track_caller]
    pub(crate) fn refusal(&self, name: &str, params: Value) -> String {
        self.try_ask(name, params).expect_err("it must be refused").message
    }

    #[track_caller]
    pub(crate) fn number(&self, name: &str, params: Value) -> u64 {
        let answer = self.ask(name, params);
        match answer.as_u64() {
            Some(number) => number,
            None => u64::from_str_radix(&answer.as_str().unwrap()[2..], 16).unwrap(),
        }
    }

    pub(crate) fn height(&self) -> u64 {
        self.number("eth_blockNumber", json!([]))
    }

    pub(crate) fn block(&self) -> Value {
        self.ask("eth_getBlockByNumber", json!(["latest", false]))
    }

    pub(crate) fn time(&self) -> u64 {
        u64::from_str_radix(&self.block()["timestamp"].as_str().unwrap()[2..], 16).unwrap()
    }

    pub(crate) fn nonce(&self, account: Address) -> u64 {
        self.number("eth_getTransactionCount", json!([account, "latest"]))
    }

    pub(crate) fn balance(&self, account: Address) -> U256 {
        serde_json::from_value(self.ask("eth_getBalance", json!([account, "latest"]))).unwrap()
    }

    /// Sends, without waiting for a block.
    #[track_caller]
    pub(crate) fn send(&self, transaction: Value) -> Value {
        self.ask("eth_sendTransaction", json!([transaction]))
    }

    /// Sends, and waits for the block that has it; the receipt.
    #[track_caller]
    pub(crate) fn pay(&self, transaction: Value) -> Value {
        let hash = self.send(transaction);
        for _ in 0..5000 {
            let receipt = self.ask("eth_getTransactionReceipt", json!([hash]));
            if !receipt.is_null() {
                return receipt;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("no block took {hash}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.letters.send(None));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
