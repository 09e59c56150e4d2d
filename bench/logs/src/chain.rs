//! A long chain of transfers, in memory.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use alloy_consensus::{EthereumTxEnvelope, Header, SignableTransaction as _, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use chainwright_chain::{
    BoxFuture, ChainHandle, Clock, Consensus, Driver, Header as _, Inbox, Index as _, Inline, Ledger as _,
    Limits, Message, Parts, Timestamp,
};
use chainwright_evm::Evm;
use chainwright_evm::config::{ChainConfig, Fork, Genesis, GenesisAccount};
use chainwright_evm::rules::{BlockAttributes, child_header};
use chainwright_evm::trie::StateTrie;
use chainwright_evm::types::EvmTx;
use chainwright_external::External;
use chainwright_store::{DiskStore, Identity, Options, SimulatedDisk};

/// Later than every block.
const NOW: Timestamp = Timestamp(1_900_000_000);
/// Who transfers; how many there are.
pub(crate) const HOLDERS: u64 = 20_000;
/// Contracts.
pub(crate) const TOKENS: u64 = 50;
/// The first topic of all logs.
pub(crate) const TRANSFER: u64 = 0xddf2_52ad;

/// Adds one to the slot of a holder and logs: the event, the holder, the caller.
///
/// `PUSH0 CALLDATALOAD DUP1 SLOAD PUSH1 1 ADD DUP2 SSTORE CALLER SWAP1 PUSH4 event PUSH0 PUSH0 LOG3 STOP`
const TOKEN_CODE: &[u8] = &[
    0x5f, 0x35, 0x80, 0x54, 0x60, 1, 0x01, 0x81, 0x55, 0x33, 0x90, 0x63, 0xdd, 0xf2, 0x52, 0xad, 0x5f, 0x5f,
    0xa3, 0,
];

pub(crate) fn token(number: u64) -> Address {
    Address::left_padding_from(&(0x7_0000 + number).to_be_bytes())
}

pub(crate) fn holder(number: u64) -> Address {
    Address::left_padding_from(&(0x1_0000_0000 + number).to_be_bytes())
}

fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}

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

fn genesis() -> Genesis {
    let person = GenesisAccount { balance: U256::from(10).pow(U256::from(24)), ..GenesisAccount::default() };
    let contract =
        GenesisAccount { code: Bytes::from_static(TOKEN_CODE), nonce: 1, ..GenesisAccount::default() };
    let tokens = (0..TOKENS).map(|number| (token(number), contract.clone()));
    let accounts = tokens.chain([(holder(0), person)]).collect();
    let header = Header { gas_limit: 30_000_000, ..Header::default() };
    let mut genesis = Genesis { config: ChainConfig::up_to(1, Fork::Cancun), header, accounts };
    genesis.complete_header();
    genesis
}

fn driver(ledger: Evm, inbox: Inbox<Evm>) -> Driver<Evm> {
    let consensus: Arc<dyn Consensus<Evm>> = Arc::new(External);
    let identity = Identity {
        ledger: Evm::NAME.to_owned(),
        engine: consensus.name().to_owned(),
        chain: "transfers".to_owned(),
        tables: ledger.tables(),
    };
    let store = DiskStore::open(Arc::new(SimulatedDisk::new(1)), identity, Options::default());
    let store = Box::new(store.expect("a disk in memory opens"));
    let (ledger, workers) = (Arc::new(ledger), Arc::new(Inline));
    let parts = Parts { ledger, consensus, store, workers, inbox, limits: Limits::default() };
    Driver::open(parts, NOW).expect("a new store opens")
}

/// A transfer whose signature nobody looks at: its sender is said.
fn transfer(nonce: u64, number: u64) -> (Arc<EvmTx>, Address) {
    let fields = TxLegacy {
        chain_id: Some(1),
        nonce,
        gas_price: 2_000_000_000,
        gas_limit: 100_000,
        to: TxKind::Call(token(mix(number) % TOKENS)),
        value: U256::ZERO,
        input: B256::from(U256::from(mix(number ^ 0x5555) % HOLDERS)).into(),
    };
    let signature = Signature::new(U256::from(nonce + 1), U256::from(1), false);
    let tx = EvmTx::new(EthereumTxEnvelope::Legacy(fields.into_signed(signature)));
    tx.assume_sender(holder(0));
    (Arc::new(tx), holder(0))
}

impl Chain {
    /// So many blocks of so many transfers.
    pub(crate) fn make(blocks: u32, logs: u32) -> Self {
        let ledger = Evm::new(genesis());
        let (letters, incoming) = mpsc::channel();
        let sender = letters.clone();
        let inbox: Inbox<Evm> = Arc::new(move |message| drop(sender.send(Some(message))));
        let mut driver = driver(ledger, inbox.clone());
        let handle = ChainHandle::new(inbox, driver.published(), Arc::new(Late));
        let thread = std::thread::spawn(move || {
            while let Ok(Some(message)) = incoming.recv() {
                driver.handle(message, NOW);
            }
        });
        let chain = Self { handle, letters, thread: Some(thread) };
        let head = chain.handle.published().head();
        let mut trie = StateTrie::load(&head.state).expect("memory can be read");
        for number in 0..u64::from(blocks) {
            let first = number * u64::from(logs);
            chain.extend(&mut trie, (first..first + u64::from(logs)).map(|number| transfer(number, number)));
        }
        chain.handle.sync().wait().expect("the driver runs").expect("memory can be written");
        chain
    }

    fn extend(&self, trie: &mut StateTrie, transfers: impl Iterator<Item = (Arc<EvmTx>, Address)>) {
        let view = self.handle.published().head();
        let ledger = self.handle.published().ledger();
        let time = view.headers.header().time().0 + 12;
        let on = BlockAttributes { time, ..BlockAttributes::default() };
        let header = child_header(ledger.config(), &view.headers, &on);
        let candidates: Vec<_> = transfers.collect();
        let built = ledger.build_on(&view, header, &[], &mut candidates.into_iter());
        let (mut block, executed) = built.expect("a transfer is good");
        trie.follow(&executed.delta);
        let root = trie.root().expect("memory can be read").expect("there is a root");
        block.header.alter(|header| header.state_root = B256::from(root.0));
        let id = block.header.id();
        let imported = self.handle.import_built(block, executed).wait().expect("the driver runs");
        imported.expect("the block is good");
        self.handle.prefer(id).wait().expect("the driver runs").expect("the block is known");
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
