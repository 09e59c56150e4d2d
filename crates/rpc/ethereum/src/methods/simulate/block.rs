//! One block of a simulation after another.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, U64};
use alloy_rpc_types_eth::{Log, TransactionRequest};
use chainwright_chain::{Fault, Headers, Reject, View};
use chainwright_evm::Evm;
use chainwright_evm::config::ChainConfig;
use chainwright_evm::execute::{Executor, Finished, complete_header, machine_rules};
use chainwright_evm::state::{AccountRow, Ancestors, Overlay};
use chainwright_evm::types::{EvmBlock, EvmHeader, EvmTx};
use chainwright_rpc::{Answer, RpcError};
use revm::context::result::ExecutionResult;
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::hardfork::SpecId;
use serde_json::json;

use super::logs::{Logs, Numbered};
use super::plan::Plan;
use super::{Options, refuse, transaction};
use crate::call::{self, Last, halted, reverted};
use crate::chain::{fault, server_error};
use crate::dialect::Context;
use crate::limits::Deadline;
use crate::methods::proof;
use crate::shape;
use crate::supposed::suppose;

/// What a block that is only supposed sees behind it.
struct Behind {
    base: Headers<Evm>,
    /// Of the blocks after it, in order.
    hashes: Vec<B256>,
}

impl Ancestors for Behind {
    fn hash(&self, number: u64) -> Option<B256> {
        match number.checked_sub(self.base.header().number) {
            None | Some(0) => self.base.hash(number),
            Some(distance) => self.hashes.get(usize::try_from(distance).ok()? - 1).copied(),
        }
    }
}

/// A chain of blocks that are only supposed.
pub(super) struct Simulation<'a> {
    context: &'a Context,
    config: &'a ChainConfig,
    options: Options,
    deadline: Deadline,
    base: Headers<Evm>,
    /// The state after the last block.
    overlay: Overlay,
    parent: EvmHeader,
    hashes: Vec<B256>,
    gas_left: u64,
}

/// One call that was executed.
struct Done {
    tx: EvmTx,
    result: ExecutionResult,
    logs: Vec<Numbered>,
    last: Last,
}

impl<'a> Simulation<'a> {
    pub(super) fn new(context: &'a Context, base: &View<Evm>, options: Options, deadline: Deadline) -> Self {
        let ledger = context.chain.ledger();
        Self {
            context,
            config: ledger.config(),
            options,
            deadline,
            base: base.headers.clone(),
            overlay: ledger.overlay(base),
            parent: base.headers.header().clone(),
            hashes: Vec::new(),
            gas_left: context.limits.gas_max(),
        }
    }

    /// Executes the next block and shows it.
    pub(super) fn block(&mut self, mut plan: Plan) -> Answer {
        let parent = (self.parent.header(), self.parent.hash());
        let header = plan.header(self.config, parent, self.options.validation)?;
        let calls = core::mem::take(&mut plan.calls);
        let mut executor = self.begin(&plan, &header)?;
        let mut done = Vec::with_capacity(calls.len());
        for call in calls {
            done.push(self.call(&mut executor, call)?);
        }
        let fork = executor.fork();
        let withdrawals = plan.withdrawals(fork);
        let finished = executor.finish(&[], withdrawals).map_err(refused)?;
        let block = self.assemble(header, &done, withdrawals, finished)?;
        self.show(&block, &done)
    }

    /// The block before its first call: what is supposed of accounts, then what every block begins with.
    fn begin<'h>(&mut self, plan: &Plan, header: &'h Header) -> Result<Executor<'h, Logs>, RpcError>
    where
        'a: 'h,
    {
        let behind = Behind { base: self.base.clone(), hashes: self.hashes.clone() };
        let mut overlay = self.overlay.clone().with_ancestors(Arc::new(behind));
        let rules = machine_rules(self.config, self.config.fork(header));
        let moved = suppose(&mut overlay, &rules, plan.state.clone())?;
        let logs = Logs::new(self.options.trace_transfers);
        let bound = self.deadline.bound();
        let mut executor = Executor::watched(self.config, header, overlay, logs)
            .map_err(fault)?
            .with_machine(|machine| machine.bounded(bound).with_precompiles(moved));
        if let Some(fee) = plan.overrides.header.blob_base_fee {
            let blobs = &mut executor.machine().block_mut().blob_excess_gas_and_price;
            *blobs = blobs.map(|blobs| BlobExcessGasAndPrice { blob_gasprice: fee.saturating_to(), ..blobs });
        }
        executor.begin().map_err(refused)?;
        Ok(executor)
    }

    fn call(
        &mut self,
        executor: &mut Executor<'_, Logs>,
        mut request: TransactionRequest,
    ) -> Result<Done, RpcError> {
        if self.deadline.is_over() {
            return Err(refuse::late(&self.deadline));
        }
        self.complete(executor, &mut request)?;
        let mut environment = call::environment(self.context, &request)?;
        let (tx, gas) = (transaction::of(self.config.chain_id, &request)?, environment.gas_limit);
        let (caller, is_call) = (environment.caller, environment.kind.is_call());
        let machine = executor.machine();
        let row = machine.overlay().account(caller).map_err(fault)?;
        let wraps = is_call && row.is_some_and(|row| row.nonce == u64::MAX);
        let (rules, validates) = (machine.cfg_mut(), self.options.validation);
        rules.disable_nonce_check = !validates;
        rules.disable_eip3607 = true;
        rules.disable_block_gas_limit = true;
        rules.tx_gas_limit_cap = Some(u64::MAX);
        rules.tx_chain_id_check = false;
        if !validates {
            environment.nonce = 0;
        }
        let names_price = environment.gas_price != 0 || environment.gas_priority_fee.unwrap_or_default() != 0;
        rules.disable_base_fee = !validates && !names_price;
        let outcome =
            machine.inspect(environment).map_err(|error| refuse::call(error, gas, &self.deadline))?;
        let (last, logs) = (machine.inspector().last(), machine.inspector().take());
        let result = outcome.result.clone();
        self.gas_left = self.gas_left.saturating_sub(result.tx_gas_used());
        executor.keep(&tx, outcome).map_err(|error| refuse::call(error, gas, &self.deadline))?;
        if wraps {
            wrap_nonce(executor.machine().overlay(), caller).map_err(fault)?;
        }
        Ok(Done { tx, result, logs, last })
    }

    /// Fills in what a call leaves open (geth, `sanitizeCall`).
    fn complete(
        &self,
        executor: &mut Executor<'_, Logs>,
        request: &mut TransactionRequest,
    ) -> Result<(), RpcError> {
        let left = executor.gas_left();
        if request.nonce.is_none() {
            let from = request.from.unwrap_or_default();
            let row = executor.machine().overlay().account(from).map_err(fault)?;
            request.nonce = Some(row.map_or(0, |row| row.nonce));
        }
        let wanted = request.gas.unwrap_or(left);
        if wanted > left {
            return Err(refuse::block_gas(left, wanted));
        }
        request.gas = Some(wanted.min(self.gas_left));
        if executor.machine().cfg().spec < SpecId::LONDON && request.gas_price.is_none() {
            // Nothing else is known there.
            request.gas_price = Some(0);
            (request.max_fee_per_gas, request.max_priority_fee_per_gas) = (None, None);
        }
        Ok(())
    }

    /// The block as it would be.
    fn assemble(
        &mut self,
        header: Header,
        done: &[Done],
        withdrawals: Option<&[Withdrawal]>,
        finished: Finished,
    ) -> Result<EvmBlock, RpcError> {
        let transactions: Vec<_> = done.iter().map(|done| done.tx.clone()).collect();
        let mut header = complete_header(self.config, header, &transactions, &finished);
        let delta = finished.overlay.delta().map_err(fault)?;
        header.state_root = proof::root_after(self.context, &self.base, &delta)?;
        let header = EvmHeader::new(header);
        self.overlay = finished.overlay;
        self.hashes.push(header.hash());
        self.parent = header.clone();
        let withdrawals = withdrawals.map(<[_]>::to_vec);
        Ok(EvmBlock { header, transactions, ommers: Vec::new(), withdrawals })
    }

    fn show(&self, block: &EvmBlock, done: &[Done]) -> Answer {
        let mut shown = shape::block(block, self.options.return_full_transactions)?;
        if let Some(transactions) = shown["transactions"].as_array_mut() {
            transactions
                .iter_mut()
                .zip(done)
                .for_each(|(shown, done)| transaction::unsigned(shown, &done.tx));
        }
        let calls = done.iter().enumerate().map(|(index, done)| result(block, index, done));
        shown["calls"] = calls.collect::<Result<Vec<_>, _>>()?.into();
        Ok(shown)
    }
}

/// Where nonces are not checked, the one after the last is 0 in geth; the machine lets the last stay.
fn wrap_nonce(overlay: &mut Overlay, caller: Address) -> Result<(), Fault> {
    let row = overlay.account(caller)?;
    overlay.set_account(caller, row.map(|row| AccountRow { nonce: 0, ..row }))
}

/// A block that cannot be finished.
fn refused(reject: Reject) -> RpcError {
    match reject {
        Reject::Fault(error) => fault(error),
        Reject::Invalid(reason) | Reject::Mutated(reason) => server_error(reason.to_string()),
        other => server_error(format!("{other:?}")),
    }
}

/// What a call did.
fn result(block: &EvmBlock, index: usize, done: &Done) -> Answer {
    let gas = done.result.gas();
    let peak = gas.total_gas_spent().max(gas.floor_gas());
    let mut shown = json!({
        "gasUsed": U64::from(gas.tx_gas_used()),
        "maxUsedGas": U64::from(peak),
        "logs": shape::json_of(&logs(block, index, done))?,
        "status": U64::from(u8::from(done.result.is_success())),
        "returnData": "0x",
    });
    match &done.result {
        ExecutionResult::Success { output, .. } => shown["returnData"] = json!(output.data()),
        ExecutionResult::Revert { output, .. } => shown["error"] = reverted(output).to_json(),
        ExecutionResult::Halt { reason, .. } => {
            shown["error"] = json!({ "code": refuse::HALTED, "message": halted(reason, || Some(done.last)) });
        }
    }
    Ok(shown)
}

fn logs(block: &EvmBlock, index: usize, done: &Done) -> Vec<Log> {
    let log = |(number, log): &Numbered| Log {
        inner: log.clone(),
        block_hash: Some(block.header.hash()),
        block_number: Some(block.header.number),
        block_timestamp: Some(block.header.timestamp),
        transaction_hash: Some(done.tx.hash()),
        transaction_index: Some(index as u64),
        log_index: Some(*number),
        removed: false,
    };
    done.logs.iter().map(log).collect()
}
