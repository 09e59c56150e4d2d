//! A chain of our own behind the real driver and store: a contract that counts and logs, blocks on any parent.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use alloy_consensus::crypto::secp256k1::sign_message;
use alloy_consensus::{EthereumTxEnvelope, Header, SignableTransaction as _, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, b256};
use chainwright_chain::{
    BoxFuture, ChainHandle, Clock, Consensus, Driver, Header as _, Headers, Inbox, Index as _, Inline,
    Ledger as _, Limits, Message, Parts, Timestamp,
};
use chainwright_evm::Evm;
use chainwright_evm::config::{ChainConfig, Fork, Genesis, GenesisAccount};
use chainwright_evm::rules::{BlockAttributes, child_header};
use chainwright_evm::trie::StateTrie;
use chainwright_evm::types::EvmTx;
use chainwright_external::External;
use chainwright_rpc::testing::TestHost;
use chainwright_rpc::{Call, Dialect as _, Method, RpcError};
use chainwright_rpc_ethereum::{CallLimits, EthereumDialect, Past};
use chainwright_store::{DiskStore, Identity, Options, SimulatedDisk};
use serde_json::Value;

/// Later than every block.
const NOW: Timestamp = Timestamp(1_700_000_000);
/// Whoever pays; everybody knows the key.
pub(crate) const ALICE: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const ALICE_KEY: B256 = b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
/// Adds one to the slot its first word names, and logs that word under its second word and the caller.
pub(crate) const COUNTERS: [Address; 2] = [
    address!("00000000000000000000000000000000000c0de1"),
    address!("00000000000000000000000000000000000c0de2"),
];
/// `PUSH0 CALLDATALOAD DUP1 SLOAD PUSH1 1 ADD DUP2 SSTORE PUSH0 MSTORE CALLER PUSH1 32 CALLDATALOAD PUSH1 32 PUSH0 LOG2 STOP`
const COUNTER_CODE: &[u8] = &[
    0x5f, 0x35, 0x80, 0x54, 0x60, 1, 0x01, 0x81, 0x55, 0x5f, 0x52, 0x33, 0x60, 32, 0x35, 0x60, 32, 0x5f,
    0xa2, 0,
];
/// Returns the balance of the account its first word names.
pub(crate) const READER: Address = address!("000000000000000000000000000000000000ead0");
/// `PUSH0 CALLDATALOAD BALANCE PUSH0 MSTORE PUSH1 32 PUSH0 RETURN`
const READER_CODE: &[u8] = &[0x5f, 0x35, 0x31, 0x5f, 0x52, 0x60, 32, 0x5f, 0xf3];

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

/// A running chain.
pub(crate) struct Chain {
    pub(crate) handle: ChainHandle<Evm>,
    letters: mpsc::Sender<Option<Message<Evm>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A call of a contract: which one, the slot, the first topic.
pub(crate) type Count = (usize, u64, u64);

fn genesis() -> Genesis {
    let contract = |code: &'static [u8]| GenesisAccount {
        code: Bytes::from_static(code),
        nonce: 1,
        ..GenesisAccount::default()
    };
    let person = GenesisAccount { balance: U256::from(10).pow(U256::from(24)), ..GenesisAccount::default() };
    let accounts = [
        (ALICE, person),
        (COUNTERS[0], contract(COUNTER_CODE)),
        (COUNTERS[1], contract(COUNTER_CODE)),
        (READER, contract(READER_CODE)),
    ];
    let header = Header { gas_limit: 30_000_000, ..Header::default() };
    let mut genesis =
        Genesis { config: ChainConfig::up_to(1, Fork::Cancun), header, accounts: accounts.into() };
    genesis.complete_header();
    genesis
}

fn word(number: u64) -> [u8; 32] {
    U256::from(number).to_be_bytes()
}

impl Chain {
    pub(crate) fn start() -> Self {
        let ledger = Evm::new(genesis());
        let (letters, incoming) = mpsc::channel();
        let sender = letters.clone();
        let inbox: Inbox<Evm> = Arc::new(move |message| drop(sender.send(Some(message))));
        let consensus: Arc<dyn Consensus<Evm>> = Arc::new(External);
        let identity = Identity {
            ledger: Evm::NAME.to_owned(),
            engine: consensus.name().to_owned(),
            chain: "counting".to_owned(),
            tables: ledger.tables(),
        };
        let store = DiskStore::open(Arc::new(SimulatedDisk::new(1)), identity, Options::default()).unwrap();
        let (ledger, store, workers) = (Arc::new(ledger), Box::new(store), Arc::new(Inline));
        let parts =
            Parts { ledger, consensus, store, workers, inbox: inbox.clone(), limits: Limits::default() };
        let mut driver = Driver::open(parts, NOW).unwrap();
        let handle = ChainHandle::new(inbox, driver.published(), Arc::new(Late));
        let thread = std::thread::spawn(move || {
            while let Ok(Some(message)) = incoming.recv() {
                driver.handle(message, NOW);
            }
        });
        Self { handle, letters, thread: Some(thread) }
    }

    pub(crate) fn head(&self) -> Headers<Evm> {
        self.handle.published().head().headers
    }

    /// Makes a block on another one, and makes it the head.
    pub(crate) fn extend(&self, parent: &Headers<Evm>, counts: &[Count]) {
        let ledger = self.handle.published().ledger();
        let view = self.handle.published().view(parent, 64).unwrap();
        let first = ledger.overlay(&view).account(ALICE).unwrap().unwrap().nonce;
        let signed = |(at, (contract, slot, topic)): (u64, &Count)| {
            let fields = TxLegacy {
                chain_id: Some(1),
                nonce: first + at,
                gas_price: 2_000_000_000,
                gas_limit: 100_000,
                to: TxKind::Call(COUNTERS[*contract]),
                value: U256::ZERO,
                input: [word(*slot), word(*topic)].concat().into(),
            };
            let signature = sign_message(ALICE_KEY, fields.signature_hash()).unwrap();
            let tx = EvmTx::new(EthereumTxEnvelope::Legacy(fields.into_signed(signature)));
            tx.assume_sender(ALICE);
            (Arc::new(tx), ALICE)
        };
        let candidates: Vec<_> = (0..).zip(counts).map(signed).collect();
        let time = parent.header().time().0 + 12;
        let on =
            BlockAttributes { time, beneficiary: Address::with_last_byte(9), ..BlockAttributes::default() };
        let header = child_header(ledger.config(), parent, &on);
        let (mut block, executed) = ledger.build_on(&view, header, &[], &mut candidates.into_iter()).unwrap();
        assert_eq!(block.transactions.len(), counts.len());
        let mut trie = StateTrie::load(&view.state).unwrap();
        trie.follow(&executed.delta);
        let root = trie.root().unwrap().unwrap();
        block.header.alter(|header| header.state_root = B256::from(root.0));
        let id = block.header.id();
        self.handle.import(block).wait().unwrap().unwrap();
        self.handle.prefer(id).wait().unwrap().unwrap();
        assert_eq!(self.head().id(), id);
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.letters.send(None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Ethereum's methods over a chain.
pub(crate) struct Methods(BTreeMap<&'static str, Method>);

impl Methods {
    /// With indexes in a folder, or without any.
    pub(crate) fn new(chain: &Chain, past: Option<(&Path, Past)>) -> Self {
        let host = |data: Option<&Path>| {
            Arc::new(TestHost { data: data.map(Path::to_path_buf), ..TestHost::default() })
        };
        let dialect = match past {
            Some((folder, past)) => EthereumDialect::with_past(
                chain.handle.clone(),
                host(Some(folder)),
                past,
                CallLimits::default(),
            ),
            None => EthereumDialect::new(chain.handle.clone(), host(None)),
        };
        Self(dialect.methods().into_iter().map(|method| (method.name, method)).collect())
    }

    pub(crate) fn ask(&self, name: &str, params: Value) -> Result<Value, RpcError> {
        let method = &self.0[name];
        method.arguments(params).and_then(|params| (method.handler)(&Call::new(params)))
    }
}
