//! What transactions did, step by step or call by call: geth's tracers over blocks executed once more.

use core::time::Duration;

use alloy_eips::BlockId;
use alloy_primitives::B256;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_eth::state::StateOverride;
use alloy_rpc_types_trace::geth::{
    GethDebugTracingCallOptions, GethDebugTracingOptions, GethTrace, TraceResult,
};
use chainwright_chain::{Headers, Reject};
use chainwright_evm::Evm;
use chainwright_evm::execute::{Outcome, TransactionError, environment, replay};
use chainwright_evm::types::EvmBlock;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use revm::context::result::ResultAndState;
use revm_inspectors::tracing::{DebugInspector, TransactionContext};

use super::{BLOCK, BLOCK_HASH, BLOCK_OR_LATEST, TX_HASH};
use crate::call::{self, Scene};
use crate::chain::{fault, server_error};
use crate::dialect::{Context, Entry};
use crate::limits::{Deadline, parse_duration};
use crate::measured::{Kept, Measured};
use crate::{input, shape};

const OPTIONS: Parameter =
    Parameter::optional("options", Kind::Any, "steps", "The tracer and what it records");
const CALL: Parameter =
    Parameter::required("call", Kind::Object("{…}"), "A transaction that need not be signed");

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "debug_traceTransaction",
        parameters: &[TX_HASH, OPTIONS],
        description: "What a transaction did.",
        answer: transaction,
    },
    Entry {
        name: "debug_traceBlockByNumber",
        parameters: &[BLOCK, OPTIONS],
        description: "What all transactions of a block did.",
        answer: |context, call| block(context, call, BlockId::Number(input::number(call, 0)?)),
    },
    Entry {
        name: "debug_traceBlockByHash",
        parameters: &[BLOCK_HASH, OPTIONS],
        description: "What all transactions of a block did.",
        answer: |context, call| block(context, call, BlockId::from(input::required::<B256>(call, 0)?)),
    },
    Entry {
        name: "debug_traceCall",
        parameters: &[CALL, BLOCK_OR_LATEST, OPTIONS],
        description: "What a call would do.",
        answer: trace_call,
    },
];

/// However long a caller would wait.
const TRACE_TIME_MAX: Duration = Duration::from_mins(10);

fn options(call: &Call, at: usize) -> Result<GethDebugTracingOptions, RpcError> {
    Ok(input::optional(call, at)?.unwrap_or_default())
}

fn refused(reject: Reject) -> RpcError {
    match reject {
        Reject::Fault(error) => fault(error),
        other => server_error(format!("the block cannot be executed again: {other:?}")),
    }
}

/// Why a trace did not come to its end.
pub(super) fn failed(context: &Context, deadline: &Deadline, error: TransactionError) -> RpcError {
    match error {
        TransactionError::Fault(error) => fault(error),
        TransactionError::Interrupted => deadline.trace_error(),
        other => {
            let words = other.to_string();
            let too_large = Measured::<DebugInspector>::error(&words, context.limits.trace_bytes);
            server_error(too_large.unwrap_or_else(|| format!("tracing failed: {words}")))
        }
    }
}

/// A tracer, bounded.
fn tracer(
    context: &Context,
    options: &GethDebugTracingOptions,
) -> Result<Measured<DebugInspector>, RpcError> {
    let tracer = DebugInspector::new(options.clone()).map_err(|error| server_error(error.to_string()))?;
    Ok(Measured::new(tracer, Kept::by(options), context.limits.trace_bytes))
}

/// When the trace of one transaction has to be over.
fn deadline(context: &Context, call: &Call, timeout: Option<&str>) -> Result<Deadline, RpcError> {
    let time = timeout.map(parse_duration).transpose()?.unwrap_or(context.limits.trace_time);
    Ok(Deadline::after(&context.host, time.min(TRACE_TIME_MAX)).during(call))
}

fn transaction(context: &Context, call: &Call) -> Answer {
    let hash: B256 = input::required(call, 0)?;
    let place = context.chain.place(&hash)?.ok_or_else(|| server_error("transaction not found"))?;
    let block = context.chain.body(&place.block)?;
    let traces =
        traces((context, call), &place.block, &block, (place.index, place.index + 1), &options(call, 1)?)?;
    let trace = traces.into_iter().next().ok_or_else(|| server_error("transaction not found"))?;
    shape::json_of(&trace.1)
}

fn block(context: &Context, call: &Call, wanted: BlockId) -> Answer {
    let headers = context.chain.headers(wanted)?.ok_or_else(|| {
        let name = match wanted {
            BlockId::Hash(hash) => hash.block_hash.to_string(),
            BlockId::Number(number) => {
                number.as_number().map_or_else(String::new, |number| format!("#{number}"))
            }
        };
        server_error(format!("block {name} not found"))
    })?;
    let block = context.chain.body(&headers)?;
    let count = block.transactions.len();
    let traces = traces((context, call), &headers, &block, (0, count), &options(call, 1)?)?;
    let shown = traces.into_iter().map(|(hash, trace)| TraceResult::new_success(trace, Some(hash)));
    shape::json_of(&shown.collect::<Vec<_>>())
}

/// Traces of the transactions of a block from one position up to another.
fn traces(
    (context, call): (&Context, &Call),
    headers: &Headers<Evm>,
    block: &EvmBlock,
    (from, to): (usize, usize),
    options: &GethDebugTracingOptions,
) -> Result<Vec<(B256, GethTrace)>, RpcError> {
    let parent = headers.parent().ok_or_else(|| server_error("genesis is not traceable"))?;
    let ledger = context.chain.ledger();
    let overlay = ledger.overlay(&context.chain.view_at(&parent)?);
    let executor = replay(ledger.config(), block, overlay, from).map_err(refused)?;
    let mut executor = executor.with_inspector(tracer(context, options)?);
    let mut all = Vec::new();
    for (index, tx) in block.transactions.iter().enumerate().take(to).skip(from) {
        *executor.machine().inspector() = tracer(context, options)?;
        let deadline = deadline(context, call, options.timeout.as_deref())?;
        executor = executor.with_machine(|machine| machine.bounded(deadline.bound()));
        let failed = |error| failed(context, &deadline, error);
        let from = shape::sender(tx)?;
        let outcome = executor.inspect(tx, from).map_err(failed)?;
        let about = TransactionContext {
            block_hash: Some(block.header.hash()),
            tx_index: Some(index),
            tx_hash: Some(tx.hash()),
        };
        let seen = ResultAndState::new(outcome.result.clone(), outcome.changes.clone());
        let machine = executor.machine();
        let (env, mut state) = (machine.block().clone(), machine.overlay().clone());
        let trace = machine
            .inspector()
            .tracer
            .get_result(Some(about), &environment(tx, from), &env, &seen, &mut state)
            .map_err(|error| server_error(error.to_string()))?;
        all.push((tx.hash(), trace));
        executor.keep(tx, outcome).map_err(failed)?;
    }
    Ok(all)
}

fn trace_call(context: &Context, call: &Call) -> Answer {
    let request: TransactionRequest = input::required(call, 0)?;
    let options: GethDebugTracingCallOptions = input::optional(call, 2)?.unwrap_or_default();
    let state: Option<StateOverride> = options.state_overrides;
    let deadline = deadline(context, call, options.tracing_options.timeout.as_deref())?;
    let scene = Scene::new(context, input::block_or_latest(call, 1)?, state, options.block_overrides)?
        .until(deadline.clone());
    let tx = call::environment(context, &request)?;
    let tracer = tracer(context, &options.tracing_options)?;
    let failed = |error| failed(context, &deadline, error);
    let (Outcome { result, changes }, mut inspector) = scene.inspect(tx.clone(), tracer).map_err(failed)?;
    let seen = ResultAndState::new(result, changes);
    let trace = inspector
        .tracer
        .get_result(None, &tx, &scene.block, &seen, &mut scene.overlay.clone())
        .map_err(|error| server_error(error.to_string()))?;
    shape::json_of(&trace)
}
