//! One block, step by step: system calls, transactions, what happens after them, and what headers claim of it all.

use alloy_consensus::{Eip658Value, Header, Transaction};
use alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
use alloy_eips::eip4788::BEACON_ROOTS_ADDRESS;
use alloy_eips::eip4895::Withdrawal;
use alloy_evm::FromRecoveredTx;
use alloy_primitives::{Address, B256, Bytes};
use chainwright_chain::{Fault, Reject};
use revm::context::TxEnv;
use revm::inspector::NoOpInspector;

use super::env::{block_environment, machine_rules};
use super::error::TransactionError;
use super::machine::{Machine, Outcome};
use super::requests::system_error;
use super::roots::RunningRoot;
use crate::config::{ChainConfig, Fork};
use crate::state::Overlay;
use crate::types::{EvmReceipt, EvmReceipts, EvmTx};

/// A block whose execution is over.
pub struct Finished {
    /// The state after it.
    pub overlay: Overlay,
    /// Receipts and requests.
    pub receipts: EvmReceipts,
    /// Gas all transactions used.
    pub gas_used: u64,
    /// Gas all blobs used.
    pub blob_gas_used: u64,
}

/// Executes one block: [`Executor::begin`], each transaction, [`Executor::finish`].
pub struct Executor<'c, I = NoOpInspector> {
    pub(super) config: &'c ChainConfig,
    pub(super) fork: Fork,
    pub(super) header: &'c Header,
    pub(super) machine: Machine<I>,
    pub(super) receipts: Vec<EvmReceipt>,
    gas_used: u64,
    blob_gas_used: u64,
    /// Before Byzantium every receipt holds a state root.
    root: Option<RunningRoot>,
}

impl<'c> Executor<'c> {
    /// A block with this header on the state of its parent. Of the header only what is known before execution counts.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn new(config: &'c ChainConfig, header: &'c Header, overlay: Overlay) -> Result<Self, Fault> {
        Self::watched(config, header, overlay, NoOpInspector)
    }
}

impl<'c, I> Executor<'c, I> {
    /// As [`Executor::new`], for an inspector that [`Machine::inspect`] may wake.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn watched(
        config: &'c ChainConfig,
        header: &'c Header,
        overlay: Overlay,
        inspector: I,
    ) -> Result<Self, Fault> {
        let fork = config.fork(header);
        let root = (fork < Fork::Byzantium).then(|| RunningRoot::load(overlay.view())).transpose()?;
        let env = (machine_rules(config, fork), block_environment(config, fork, header));
        let machine = Machine::watched(overlay, env, config.fees.collector, inspector);
        Ok(Self { config, fork, header, machine, receipts: Vec::new(), gas_used: 0, blob_gas_used: 0, root })
    }

    /// The machine, to look at the state or to try something without counting it.
    pub fn machine(&mut self) -> &mut Machine<I> {
        &mut self.machine
    }

    /// The state where the block stands; what is left of the block will not happen.
    pub fn into_machine(self) -> Machine<I> {
        self.machine
    }

    /// The same block, the machine of which is made otherwise.
    #[must_use]
    pub fn with_machine(mut self, change: impl FnOnce(Machine<I>) -> Machine<I>) -> Self {
        self.machine = change(self.machine);
        self
    }

    /// The same block with another inspector.
    #[must_use]
    pub fn with_inspector<J>(self, inspector: J) -> Executor<'c, J> {
        let Self { config, fork, header, machine, receipts, gas_used, blob_gas_used, root } = self;
        let machine = machine.with_inspector(inspector);
        Executor { config, fork, header, machine, receipts, gas_used, blob_gas_used, root }
    }

    /// The rules of the block.
    pub fn fork(&self) -> Fork {
        self.fork
    }

    /// Receipts of the transactions so far.
    pub fn receipts(&self) -> &[EvmReceipt] {
        &self.receipts
    }

    /// Gas used so far.
    pub fn gas_used(&self) -> u64 {
        self.gas_used
    }

    /// Gas that transactions may still ask for.
    pub fn gas_left(&self) -> u64 {
        self.header.gas_limit.saturating_sub(self.gas_used)
    }

    /// Blob gas used so far.
    pub fn blob_gas_used(&self) -> u64 {
        self.blob_gas_used
    }

    /// What comes before the first transaction: the DAO's balances (EIP-779), the parent beacon block root (EIP-4788),
    /// the parent's hash (EIP-2935). The contracts of the last two may be missing or fail.
    ///
    /// # Errors
    /// [`Reject::Fault`].
    pub fn begin(&mut self) -> Result<(), Reject> {
        self.move_dao()?;
        if let Some(root) = self.header.parent_beacon_block_root.filter(|_| self.fork >= Fork::Cancun) {
            self.tell(BEACON_ROOTS_ADDRESS, root)?;
        }
        if self.fork >= Fork::Prague {
            self.tell(HISTORY_STORAGE_ADDRESS, self.header.parent_hash)?;
        }
        Ok(())
    }

    fn tell(&mut self, contract: Address, word: B256) -> Result<(), Reject> {
        let outcome = self.machine.system_call(contract, Bytes::from(word.0)).map_err(system_error)?;
        Ok(self.machine.commit(outcome.changes)?)
    }

    /// Executes the next transaction and keeps what it did.
    ///
    /// # Errors
    /// Why it does not fit here; nothing has changed then.
    pub fn transact(&mut self, tx: &EvmTx, sender: Address) -> Result<&EvmReceipt, TransactionError> {
        self.check_gas(tx)?;
        let outcome = self.machine.transact(environment(tx, sender))?;
        self.keep(tx, outcome)
    }

    /// Whether the block has as much gas left as the transaction asks for.
    ///
    /// # Errors
    /// [`TransactionError::GasLimitReached`].
    pub fn check_gas(&self, tx: &EvmTx) -> Result<(), TransactionError> {
        let (wanted, left) = (tx.gas_limit(), self.gas_left());
        if wanted > left { Err(TransactionError::GasLimitReached { wanted, left }) } else { Ok(()) }
    }

    /// Keeps what the next transaction did, as [`Executor::machine`] found it.
    ///
    /// # Errors
    /// A fault of the disk.
    pub fn keep(&mut self, tx: &EvmTx, outcome: Outcome) -> Result<&EvmReceipt, TransactionError> {
        let Outcome { result, changes } = outcome;
        self.machine.commit(changes)?;
        self.gas_used = self.gas_used.saturating_add(result.tx_gas_used());
        self.blob_gas_used = self.blob_gas_used.saturating_add(tx.blob_gas_used().unwrap_or_default());
        let outcome = match &mut self.root {
            Some(root) => Eip658Value::PostState(root.after(self.machine.overlay())?),
            None => Eip658Value::Eip658(result.is_success()),
        };
        let (tx_type, cumulative_gas_used) = (tx.tx_type(), self.gas_used);
        self.receipts.push(EvmReceipt { tx_type, outcome, cumulative_gas_used, logs: result.into_logs() });
        Ok(self.receipts.last().expect("a receipt was pushed"))
    }

    /// What comes after the last transaction: rewards, withdrawals, requests.
    ///
    /// # Errors
    /// [`Reject::Invalid`] when requests cannot be had (see EIP-6110, EIP-7002, EIP-7251), or [`Reject::Fault`].
    pub fn finish(
        mut self,
        ommers: &[Header],
        withdrawals: Option<&[Withdrawal]>,
    ) -> Result<Finished, Reject> {
        self.pay_rewards(ommers)?;
        self.pay_withdrawals(withdrawals.unwrap_or_default())?;
        let requests = if self.fork >= Fork::Prague { self.requests()? } else { Vec::new() };
        Ok(Finished {
            overlay: self.machine.into_overlay(),
            receipts: EvmReceipts { receipts: self.receipts, requests },
            gas_used: self.gas_used,
            blob_gas_used: self.blob_gas_used,
        })
    }
}

/// A transaction as the machine takes it.
pub fn environment(tx: &EvmTx, sender: Address) -> TxEnv {
    TxEnv::from_recovered_tx(tx.envelope(), sender)
}
