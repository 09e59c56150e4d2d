//! Transactions of a block executed once more, with somebody watching.

use core::time::Duration;

use alloy_primitives::B256;
use chainwright_chain::{Headers, Reject};
use chainwright_evm::Evm;
use chainwright_evm::execute::{Executor, MachineContext, Outcome, TransactionError, environment, replay};
use chainwright_evm::state::Overlay;
use chainwright_evm::types::{EvmBlock, EvmTx};
use chainwright_rpc::{Call, RpcError};
use revm::Inspector;
use revm::context::result::{HaltReason, ResultAndState};
use revm::context::{BlockEnv, TxEnv};
use revm_inspectors::tracing::TransactionContext;

use crate::chain::{fault, server_error};
use crate::dialect::Context;
use crate::limits::{Deadline, parse_duration};
use crate::measured::{self, Kept, Measured};
use crate::shape;

/// However long a caller would wait for one transaction.
const TRACE_TIME_MAX: Duration = Duration::from_mins(10);

/// Who asks for traces, and what bounds them.
pub(super) struct Watch<'a> {
    pub(super) context: &'a Context,
    pub(super) call: &'a Call,
    /// Time for one transaction, as the caller wrote it.
    pub(super) timeout: Option<&'a str>,
    pub(super) kept: Kept,
}

/// A transaction that was executed again.
pub(super) struct Seen<'a, I> {
    pub(super) tx: &'a EvmTx,
    pub(super) about: TransactionContext,
    pub(super) environment: &'a TxEnv,
    pub(super) block: &'a BlockEnv,
    pub(super) outcome: &'a ResultAndState<HaltReason>,
    /// Before the transaction.
    pub(super) state: &'a mut Overlay,
    pub(super) tracer: I,
}

impl Watch<'_> {
    /// When the trace of a transaction that begins now has to be over.
    pub(super) fn deadline(&self) -> Result<Deadline, RpcError> {
        let limits = &self.context.limits;
        let time = self.timeout.map(parse_duration).transpose()?.unwrap_or(limits.trace_time);
        Ok(Deadline::after(&self.context.host, time.min(TRACE_TIME_MAX)).during(self.call))
    }

    /// A tracer that may keep as much as there is room for.
    pub(super) fn bounded<I>(&self, tracer: I) -> Measured<I> {
        Measured::new(tracer, self.kept, self.context.limits.trace_bytes)
    }

    /// Why a trace did not come to its end.
    pub(super) fn failed(&self, deadline: &Deadline, error: TransactionError) -> RpcError {
        match error {
            TransactionError::Fault(error) => fault(error),
            TransactionError::Interrupted => deadline.trace_error(),
            other => {
                let words = other.to_string();
                let too_large = measured::words(&words, self.context.limits.trace_bytes);
                server_error(too_large.unwrap_or_else(|| format!("tracing failed: {words}")))
            }
        }
    }

    /// The block up to a transaction.
    pub(super) fn until<'b>(
        &'b self,
        headers: &Headers<Evm>,
        block: &'b EvmBlock,
        count: usize,
    ) -> Result<Executor<'b>, RpcError> {
        let parent = headers.parent().ok_or_else(|| server_error("genesis is not traceable"))?;
        let ledger = self.context.chain.ledger();
        let overlay = ledger.overlay(&self.context.chain.view_at(&parent)?);
        replay(ledger.config(), block, overlay, count).map_err(|reject| match reject {
            Reject::Fault(error) => fault(error),
            other => server_error(format!("the block cannot be executed again: {other:?}")),
        })
    }

    /// Executes the transactions of a block from one position up to another, each under a tracer of its own, and looks at
    /// each. Together the tracers may keep no more than one.
    pub(super) fn each<I: Inspector<MachineContext>, T>(
        &self,
        (headers, block): (&Headers<Evm>, &EvmBlock),
        (from, to): (usize, usize),
        tracer: impl Fn() -> Result<I, RpcError>,
        mut look: impl FnMut(Seen<'_, I>) -> Result<T, RpcError>,
    ) -> Result<Vec<T>, RpcError> {
        let mut executor = self.until(headers, block, from)?.with_inspector(self.bounded(tracer()?));
        let mut all = Vec::new();
        for (index, tx) in block.transactions.iter().enumerate().take(to).skip(from) {
            let deadline = self.deadline()?;
            executor = executor.with_machine(|machine| machine.bounded(deadline.bound()));
            let failed = |error| self.failed(&deadline, error);
            let sender = shape::sender(tx)?;
            let outcome = executor.inspect(tx, sender).map_err(failed)?;
            let outcome = ResultAndState::new(outcome.result, outcome.changes);
            let machine = executor.machine();
            let (block_environment, mut state) = (machine.block().clone(), machine.overlay().clone());
            let seen = Seen {
                tx,
                about: about(block.header.hash(), index, tx),
                environment: &environment(tx, sender),
                block: &block_environment,
                outcome: &outcome,
                state: &mut state,
                tracer: machine.inspector().next(tracer()?),
            };
            all.push(look(seen)?);
            let ResultAndState { result, state: changes } = outcome;
            executor.keep(tx, Outcome { result, changes }).map_err(failed)?;
        }
        Ok(all)
    }
}

fn about(block_hash: B256, index: usize, tx: &EvmTx) -> TransactionContext {
    TransactionContext { block_hash: Some(block_hash), tx_index: Some(index), tx_hash: Some(tx.hash()) }
}
