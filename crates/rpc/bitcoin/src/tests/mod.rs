//! The dialect against a real chain in this process: driver, store on a simulated disk, proof of work on regtest.
//! The oracle for shapes is `corepc-types`, which refuses fields it does not know.

mod blocks;
mod miners;
mod others;
mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use chainwright_chain::{
    BoxFuture, ChainHandle, Clock, Consensus, Driver, Inbox, Inline, Ledger as _, Limits, Message, Parts,
    Timestamp, U256,
};
use chainwright_pow::{Pow, Retarget, TargetRule};
use chainwright_store::{DiskStore, Identity, Options, SimulatedDisk};
use chainwright_utxo::Utxo;
use chainwright_utxo::address::Destination;
use chainwright_utxo::amount::Amount;
use chainwright_utxo::hash::sha256;
use chainwright_utxo::params::bitcoin_regtest;
use chainwright_utxo::script::Script;
use chainwright_utxo::script::opcode::OP_1;
use chainwright_utxo::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};
use hex_conservative::DisplayHex as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{BitcoinDialect, BitcoinNode};
use chainwright_rpc::Answer;
use chainwright_rpc::Dialect as _;
use chainwright_rpc::testing::{TEST_NOW, TestHost};
use chainwright_rpc::{Call, Method};

/// A script anybody can satisfy, behind a hash so that it is standard.
const ANYBODY: [u8; 1] = [OP_1];

struct TestClock(Arc<TestHost>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        chainwright_rpc::Host::now(self.0.as_ref())
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// A node and its methods.
pub(super) struct TestNode {
    methods: BTreeMap<&'static str, Method>,
    pub(super) chain: ChainHandle<Utxo>,
    pub(super) host: Arc<TestHost>,
    letters: mpsc::Sender<Option<Message<Utxo>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn engine() -> Arc<dyn Consensus<Utxo>> {
    Arc::new(Pow::new(TargetRule::Bitcoin(Retarget {
        limit: U256::MAX >> 1,
        spacing_seconds: 600,
        timespan_seconds: 24 * 60 * 60,
        allow_min_difficulty: true,
        no_retarget: true,
        bip94: false,
    })))
}

fn driver(ledger: Utxo, inbox: Inbox<Utxo>) -> Driver<Utxo> {
    let identity = Identity {
        ledger: Utxo::NAME.into(),
        engine: "pow".into(),
        chain: "regtest".into(),
        tables: ledger.tables(),
    };
    let options = Options { hash_key: Some((1, 2)), ..Options::default() };
    let store = DiskStore::open(Arc::new(SimulatedDisk::new(7)), identity, options).unwrap();
    let parts = Parts {
        ledger: Arc::new(ledger),
        consensus: engine(),
        store: Box::new(store),
        workers: Arc::new(Inline),
        inbox,
        limits: Limits::default(),
    };
    Driver::open(parts, TEST_NOW).unwrap()
}

impl TestNode {
    pub(super) fn start() -> Self {
        Self::with_generate_to(None)
    }

    pub(super) fn with_generate_to(generate_to: Option<Script>) -> Self {
        let host = Arc::new(TestHost::default());
        let (letters, incoming) = mpsc::channel();
        let sender = letters.clone();
        let inbox: Inbox<Utxo> = Arc::new(move |message| drop(sender.send(Some(message))));
        let mut driver = driver(Utxo::new(bitcoin_regtest()), inbox.clone());
        let chain = ChainHandle::new(inbox, driver.published(), Arc::new(TestClock(Arc::clone(&host))));
        let clock = Arc::clone(&host);
        let thread = std::thread::spawn(move || {
            while let Ok(Some(message)) = incoming.recv() {
                driver.handle(message, chainwright_rpc::Host::now(clock.as_ref()));
            }
        });
        let dialect = BitcoinDialect::new(BitcoinNode {
            chain: chain.clone(),
            consensus: engine(),
            host: host.clone(),
            client_name: "Chainwright".into(),
            client_version: 310_000,
            retarget_interval: 144,
            generate_to,
        });
        let methods = dialect.methods().into_iter().map(|method| (method.name, method)).collect();
        Self { methods, chain, host, letters, thread: Some(thread) }
    }

    pub(super) fn call(&self, method: &str, params: Value) -> Answer {
        let method = self.methods.get(method).unwrap_or_else(|| panic!("no method {method}"));
        (method.handler)(&Call::new(method.positional(params)?))
    }

    #[track_caller]
    pub(super) fn ok(&self, method: &str, params: Value) -> Value {
        match self.call(method, params) {
            Ok(value) => value,
            Err(error) => panic!("{method}: {error}"),
        }
    }

    /// The answer as Bitcoin Core's type.
    #[track_caller]
    pub(super) fn typed<T: DeserializeOwned>(&self, method: &str, params: Value) -> T {
        let text = self.ok(method, params).to_string();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{method}: {error}: {text}"))
    }

    #[track_caller]
    pub(super) fn check_error(&self, method: &str, params: Value, code: i32, message: &str) {
        let error = self.call(method, params).expect_err("should fail");
        assert_eq!((error.code, error.message.as_str()), (code, message));
    }

    /// Blocks that pay to whoever can satisfy [`ANYBODY`].
    #[track_caller]
    pub(super) fn mine(&self, count: u32) -> Vec<String> {
        let hashes = self.ok("generatetoaddress", json!([count, address()]));
        serde_json::from_value(hashes).unwrap()
    }

    /// The coinbase's id and value of a block.
    pub(super) fn coinbase_of(&self, hash: &str) -> (OutPoint, i64) {
        let block = self.ok("getblock", json!([hash, 0]));
        let block = super::rawtransaction::decode_block(block.as_str().unwrap()).unwrap();
        let coinbase = &block.transactions[0];
        (OutPoint { txid: coinbase.txid(), index: 0 }, coinbase.outputs()[0].value.0)
    }

    /// A chain with one spendable coinbase: its outpoint and value.
    pub(super) fn funded() -> (Self, OutPoint, i64) {
        let node = Self::start();
        let hashes = node.mine(101);
        let (outpoint, value) = node.coinbase_of(&hashes[0]);
        (node, outpoint, value)
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        let _ = self.letters.send(None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where [`ANYBODY`] is paid.
pub(super) fn payee() -> Destination {
    Destination::Witness { version: 0, program: sha256(&ANYBODY).as_slice().into() }
}

pub(super) fn address() -> String {
    let prefixes = chainwright_utxo::address::AddressPrefixes::bitcoin_test("bcrt");
    payee().encode(&prefixes).unwrap()
}

/// A transaction that spends an output to [`ANYBODY`] and pays a fee.
pub(super) fn spend(outpoint: OutPoint, value: i64, fee: i64) -> Transaction {
    Transaction::new(TransactionParts {
        version: 2,
        inputs: vec![TxIn {
            previous_output: outpoint,
            script_sig: Script::default(),
            sequence: 0xffff_fffd,
            witness: Witness::from_items([ANYBODY]),
        }],
        outputs: vec![TxOut { value: Amount(value - fee), script_pubkey: payee().script_pubkey() }],
        lock_time: 0,
    })
}

pub(super) fn hex(tx: &Transaction) -> String {
    tx.encode().to_lower_hex_string()
}
