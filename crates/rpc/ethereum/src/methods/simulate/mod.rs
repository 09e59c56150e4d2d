//! `eth_simulateV1`: blocks of calls on top of a block, none of which happens.
//!
//! ```text
//! request ─ plan (numbers, times, gaps) ─► header ─► overrides ─► Executor: begin ─ calls ─ finish ─► block, root
//!                                            ▲                                        └ logs          │
//!                                            └──────────────── parent of the next one ◄───────────────┘
//! ```
//!
//! Sources: `ethereum/execution-apis` `eth_simulateV1`; go-ethereum 1.16, `internal/ethapi/simulate.go`, for words and codes.
//! Where the official exchanges know more than that release, they decide: `maxUsedGas`, code 3 for a call that reverted,
//! -38012 for a fee below the base fee.

mod block;
mod logs;
mod plan;
mod refuse;
mod transaction;

use alloy_rpc_types_eth::state::StateOverride;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest};
use chainwright_chain::View;
use chainwright_evm::Evm;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde::Deserialize;
use serde_json::Value;

use self::block::Simulation;
use super::BLOCK_OR_LATEST;
use crate::dialect::{Context, Entry};
use crate::input;
use crate::limits::Deadline;

const REQUEST: Parameter =
    Parameter::required("request", Kind::Object("{\"blockStateCalls\":[…]}"), "Blocks of calls");

/// Most blocks of one request, those that fill gaps between numbers included (geth `maxSimulateBlocks`).
const BLOCKS_MAX: u64 = 256;

pub(crate) const METHODS: &[Entry] = &[Entry {
    name: "eth_simulateV1",
    parameters: &[REQUEST, BLOCK_OR_LATEST],
    description: "What blocks of calls would do, one after another; nothing changes.",
    answer: simulate,
}];

/// A request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    block_state_calls: Option<Vec<BlockCalls>>,
    #[serde(default, flatten)]
    options: Options,
}

/// What holds for all blocks of a request.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    /// Whether moved wei is shown as if it were a token.
    trace_transfers: bool,
    /// Whether nonces, fees and base fee count.
    validation: bool,
    /// Whether blocks hold whole transactions.
    return_full_transactions: bool,
}

/// One block of a request.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BlockCalls {
    block_overrides: Option<Overrides>,
    state_overrides: Option<StateOverride>,
    calls: Option<Vec<TransactionRequest>>,
}

/// What is supposed of a block.
#[derive(Clone, Default, Deserialize)]
struct Overrides {
    #[serde(flatten)]
    header: BlockOverrides,
    #[serde(default)]
    withdrawals: Option<Vec<alloy_eips::eip4895::Withdrawal>>,
}

fn simulate(context: &Context, call: &Call) -> Answer {
    let request: Request = input::required(call, 0)?;
    let blocks = request.block_state_calls.unwrap_or_default();
    if blocks.is_empty() {
        return Err(RpcError::invalid_params("empty input"));
    }
    if blocks.len() as u64 > BLOCKS_MAX {
        return Err(refuse::too_many_blocks());
    }
    let base: View<Evm> = context.chain.view(input::block_or_latest(call, 1)?)?;
    let plans = plan::in_order(base.headers.header(), blocks)?;
    let deadline = Deadline::after(&context.host, context.limits.time).during(call);
    let mut simulation = Simulation::new(context, &base, request.options, deadline);
    let shown = plans.into_iter().map(|plan| simulation.block(plan));
    shown.collect::<Result<Vec<_>, _>>().map(Value::Array)
}
