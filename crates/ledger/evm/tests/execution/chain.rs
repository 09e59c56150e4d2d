//! A small chain without a driver: accounts, a contract, a disk that can be told to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use alloy_consensus::{EthereumTxEnvelope, Header, SignableTransaction, TxLegacy};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, address};
use chainwright_chain::{
    Fault, Headers, Ledger, Row, Rows, StateView, TableId, Timeline, Value, View, Visit, Weight,
};
use chainwright_evm::Evm;
use chainwright_evm::config::{ChainConfig, Fork, Genesis, GenesisAccount};
use chainwright_evm::state::TABLES;
use chainwright_evm::types::EvmTx;

pub(crate) const ALICE: Address = address!("00000000000000000000000000000000000a11ce");
pub(crate) const BOB: Address = address!("0000000000000000000000000000000000000b0b");
pub(crate) const MINER: Address = address!("00000000000000000000000000000000000111e4");
/// Adds one to slot 0 and returns it.
pub(crate) const COUNTER: Address = address!("00000000000000000000000000000000000c0de5");

/// `PUSH0 SLOAD PUSH1 1 ADD DUP1 PUSH0 SSTORE PUSH0 MSTORE PUSH1 32 PUSH0 RETURN`
const COUNTER_CODE: [u8; 16] =
    [0x5f, 0x54, 0x60, 1, 0x01, 0x80, 0x5f, 0x55, 0x5f, 0x52, 0x60, 32, 0x5f, 0xf3, 0, 0];

pub(crate) fn ether(count: u64) -> U256 {
    U256::from(count) * U256::from(10).pow(U256::from(18))
}

/// A state whose rows all lie in a layer below; reads of one table may fail after some that succeed.
#[derive(Clone)]
pub(crate) struct Disk {
    below: Option<StateView>,
    fails: Option<TableId>,
    reads_left: Arc<AtomicUsize>,
}

impl Rows for Disk {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Value>, Fault> {
        let spend = |left: usize| left.checked_sub(1);
        let order = Ordering::Relaxed;
        if self.fails == Some(table) && self.reads_left.fetch_update(order, order, spend).is_err() {
            return Err(Fault::new("the disk is on fire"));
        }
        self.below.as_ref().map_or(Ok(None), |below| below.get(table, key))
    }

    fn range(&self, table: TableId, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        self.below.as_ref().map_or(Ok(Vec::new()), |below| below.range(table, from, to, limit))
    }

    fn scan(&self, table: TableId, visit: Visit<'_>) -> Result<(), Fault> {
        self.below.as_ref().map_or(Ok(()), |below| below.scan(table, visit))
    }
}

/// The ledger, and the chain that is its genesis alone.
pub(crate) fn chain(change: impl FnOnce(&mut ChainConfig)) -> (Evm, View<Evm>) {
    let mut config = ChainConfig::up_to(1, Fork::Cancun);
    change(&mut config);
    let person = GenesisAccount { balance: ether(100), ..GenesisAccount::default() };
    let contract = GenesisAccount { code: Bytes::from(COUNTER_CODE), nonce: 1, ..GenesisAccount::default() };
    let accounts = [(ALICE, person.clone()), (BOB, person), (COUNTER, contract)].into();
    let header = Header { gas_limit: 30_000_000, ..Header::default() };
    let mut genesis = Genesis { config, header, accounts };
    genesis.complete_header();
    let evm = Evm::new(genesis);
    let (block, delta) = evm.genesis();
    let disk = Disk { below: None, fails: None, reads_left: Arc::default() };
    let state = StateView::new(TABLES, Arc::new(disk), Timeline::new().pin()).with_layer(delta);
    let headers = Headers::genesis(block.header, Weight::ZERO);
    (evm, View { headers, state })
}

/// The same chain on a disk that fails at the read of `table` after `reads` others.
pub(crate) fn failing(view: &View<Evm>, table: TableId, reads: usize) -> View<Evm> {
    let (below, fails) = (Some(view.state.clone()), Some(table));
    let disk = Disk { below, fails, reads_left: Arc::new(AtomicUsize::new(reads)) };
    let state = StateView::new(TABLES, Arc::new(disk), Timeline::new().pin());
    View { headers: view.headers.clone(), state }
}

/// A transaction of `sender`'s whose signature nobody looks at.
pub(crate) fn tx(sender: Address, nonce: u64, to: Address, value: U256) -> Arc<EvmTx> {
    let fields = TxLegacy {
        chain_id: Some(1),
        nonce,
        gas_price: 2_000_000_000,
        gas_limit: 100_000,
        to: TxKind::Call(to),
        value,
        input: Bytes::new(),
    };
    let signature = Signature::new(U256::from(nonce + 1), U256::from(1), false);
    let tx = EvmTx::new(EthereumTxEnvelope::Legacy(fields.into_signed(signature)));
    tx.assume_sender(sender);
    Arc::new(tx)
}
