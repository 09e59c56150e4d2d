//! Trying something out: calls, gas estimates, access lists.

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, TxKind, U64};
use alloy_rpc_types_eth::TransactionRequest;
use chainwright_evm::execute::TransactionError;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, HaltReason, InvalidTransaction, OutOfGasError};
use revm_inspectors::access_list::AccessListInspector;
use serde_json::json;

use super::BLOCK_OR_LATEST;
use super::gas::suggested_tip;
use crate::call::{Scene, environment, halted, output, reverted};
use crate::chain::{fault, server_error};
use crate::dialect::{Context, Entry};
use crate::{input, shape};

const CALL: Parameter =
    Parameter::required("call", Kind::Object("{…}"), "A transaction that need not be signed");
const STATE: Parameter = Parameter::optional("state", Kind::Any, "none", "What to suppose of accounts");
const SUPPOSED: Parameter = Parameter::optional("block", Kind::Any, "none", "What to suppose of the block");

/// Gas of the simplest transaction (yellow paper, `G_transaction`).
const TRANSFER_GAS: u64 = 21_000;
/// Gas a call with value hands over for free (yellow paper, `G_callstipend`).
const CALL_STIPEND: u64 = 2_300;
/// How near an estimate comes, as a share (geth `estimateGasErrorRatio`).
const ESTIMATE_ERROR: f64 = 0.015;

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "eth_call",
        parameters: &[CALL, BLOCK_OR_LATEST, STATE, SUPPOSED],
        description: "What a call would return; nothing changes.",
        answer: call,
    },
    Entry {
        name: "eth_estimateGas",
        parameters: &[CALL, BLOCK_OR_LATEST, STATE, SUPPOSED],
        description: "How much gas a transaction needs.",
        answer: estimate,
    },
    Entry {
        name: "eth_createAccessList",
        parameters: &[CALL, BLOCK_OR_LATEST, STATE],
        description: "The accounts and slots a transaction touches.",
        answer: access_list,
    },
];

fn scene(context: &Context, call: &Call) -> Result<(Scene, TransactionRequest), RpcError> {
    let request = input::required(call, 0)?;
    let block = input::block_or_latest(call, 1)?;
    let supposed = input::optional(call, 3)?;
    let scene = Scene::new(context, block, input::optional(call, 2)?, supposed)?;
    Ok((scene.during(call), request))
}

fn call(context: &Context, call: &Call) -> Answer {
    let (scene, request) = scene(context, call)?;
    let tx = environment(context, &request)?;
    let gas = tx.gas_limit;
    let words = |error| format!("err: {error} (supplied gas {gas})");
    let outcome = scene.execute(tx.clone()).map_err(|error| scene.refused(error, words))?;
    output(outcome.result, || scene.last(tx)).map(|output| json!(output))
}

/// What trying a gas limit gave.
enum Trial {
    /// Enough.
    Enough { used: u64, peak: u64 },
    /// Too little even to begin.
    TooLittle,
    /// It failed inside.
    Failed(ExecutionResult),
}

fn attempt(scene: &Scene, tx: &TxEnv, gas: u64) -> Result<Trial, RpcError> {
    let outcome = match scene.execute(TxEnv { gas_limit: gas, ..tx.clone() }) {
        Ok(outcome) => outcome,
        Err(TransactionError::Invalid {
            why:
                InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
                | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
            ..
        }) => return Ok(Trial::TooLittle),
        Err(other) => return Err(scene.refused(other, |other| format!("failed with {gas} gas: {other}"))),
    };
    let gas = outcome.result.gas();
    let (used, peak) = (gas.tx_gas_used(), gas.total_gas_spent().max(gas.tx_gas_used()));
    Ok(if outcome.result.is_success() { Trial::Enough { used, peak } } else { Trial::Failed(outcome.result) })
}

/// The most gas worth trying (geth, `eth/gasestimator` `Estimate`).
fn highest(
    scene: &mut Scene,
    request: &TransactionRequest,
    tx: &TxEnv,
    gas_max: u64,
) -> Result<u64, RpcError> {
    let asked = request.gas.filter(|gas| *gas >= TRANSFER_GAS);
    let mut high = asked.unwrap_or(scene.block.gas_limit);
    if tx.gas_price > 0 {
        let row = scene.overlay.account(tx.caller).map_err(fault)?;
        let balance = row.map(|row| row.balance).unwrap_or_default();
        let available = balance.checked_sub(tx.value).filter(|left| !left.is_zero());
        let available = available.ok_or_else(|| server_error("insufficient funds for transfer"))?;
        let allowance = available / alloy_primitives::U256::from(tx.gas_price);
        high = high.min(allowance.saturating_to());
    }
    Ok(high.min(gas_max).min(scene.transaction_gas_max()))
}

fn estimate(context: &Context, call: &Call) -> Answer {
    let (scene, request) = scene(context, call)?;
    estimate_in(context, scene, &request).map(|gas| json!(U64::from(gas)))
}

/// How much gas a transaction needs after the newest block.
pub(super) fn estimated(context: &Context, request: &TransactionRequest) -> Result<u64, RpcError> {
    let latest = BlockId::Number(BlockNumberOrTag::Latest);
    estimate_in(context, Scene::new(context, latest, None, None)?, request)
}

fn estimate_in(context: &Context, mut scene: Scene, request: &TransactionRequest) -> Result<u64, RpcError> {
    let tx = environment(context, request)?;
    let mut high = highest(&mut scene, request, &tx, context.limits.gas_max())?;
    if is_transfer(&mut scene, &tx)? && matches!(attempt(&scene, &tx, TRANSFER_GAS), Ok(Trial::Enough { .. }))
    {
        return Ok(TRANSFER_GAS);
    }
    let too_little = || server_error(format!("gas required exceeds allowance ({high})"));
    let (used, peak) = match attempt(&scene, &tx, high)? {
        Trial::Enough { used, peak } => (used, peak),
        Trial::TooLittle | Trial::Failed(ExecutionResult::Success { .. }) => return Err(too_little()),
        Trial::Failed(ExecutionResult::Halt { reason: HaltReason::OutOfGas(what), .. })
            if what != OutOfGasError::InvalidOperand =>
        {
            return Err(too_little());
        }
        Trial::Failed(ExecutionResult::Revert { output, .. }) => return Err(reverted(&output)),
        Trial::Failed(ExecutionResult::Halt { reason, .. }) => {
            let last = || scene.last(TxEnv { gas_limit: high, ..tx.clone() });
            return Err(server_error(halted(&reason, last)));
        }
    };
    let mut low = used.saturating_sub(1);
    let mut at = peak.saturating_add(CALL_STIPEND).saturating_mul(64) / 63;
    while low.saturating_add(1) < high {
        if at < high {
            if matches!(attempt(&scene, &tx, at)?, Trial::Enough { .. }) {
                high = at;
            } else {
                low = at;
            }
        }
        if (high - low) as f64 / (high as f64) < ESTIMATE_ERROR {
            break;
        }
        // Most transactions need little more than they use: look near the bottom first.
        at = (low + (high - low) / 2).min(low.saturating_mul(2));
    }
    Ok(high)
}

/// Whether it only moves value, to an account without code.
fn is_transfer(scene: &mut Scene, tx: &TxEnv) -> Result<bool, RpcError> {
    let TxKind::Call(to) = tx.kind else { return Ok(false) };
    if !tx.data.is_empty() || tx.tx_type == 4 {
        return Ok(false);
    }
    Ok(scene.overlay.code(to).map_err(fault)?.is_empty())
}

/// A price for who names none: an access list is made for a transaction that is going to be paid for (geth,
/// `internal/ethapi` `setFeeDefaults`).
fn offer_fees(context: &Context, scene: &Scene, request: &mut TransactionRequest) -> Result<(), RpcError> {
    if request.gas_price.is_some()
        || (request.max_fee_per_gas.is_some() && request.max_priority_fee_per_gas.is_some())
    {
        return Ok(());
    }
    let tip = request.max_priority_fee_per_gas.map_or_else(|| suggested_tip(context), Ok)?;
    let cap = u128::from(scene.block.basefee).saturating_mul(2).saturating_add(tip);
    request.max_priority_fee_per_gas = Some(tip);
    request.max_fee_per_gas = Some(request.max_fee_per_gas.unwrap_or(cap));
    Ok(())
}

/// Slots that were on the list before stay on it, whatever account they are of (geth, `logger` `NewAccessListTracer`).
fn keep_given(list: &mut AccessList, given: &AccessList) {
    for item in given.0.iter().filter(|item| !item.storage_keys.is_empty()) {
        let mut keys = match list.0.iter().position(|found| found.address == item.address) {
            Some(at) => list.0.swap_remove(at).storage_keys,
            None => Vec::new(),
        };
        keys.extend(&item.storage_keys);
        keys.sort_unstable();
        keys.dedup();
        list.0.push(AccessListItem { address: item.address, storage_keys: keys });
    }
    list.sort();
}

/// Rounds until the list no longer grows, at most.
const ROUNDS_MAX: usize = 16;

fn access_list(context: &Context, call: &Call) -> Answer {
    let (scene, mut request) = scene(context, call)?;
    offer_fees(context, &scene, &mut request)?;
    let mut tx = environment(context, &request)?;
    let excluded = |address: &Address, tx: &TxEnv| *address == tx.caller || tx.kind == TxKind::Call(*address);
    for _ in 0..ROUNDS_MAX {
        let inspector = AccessListInspector::new(tx.access_list.clone());
        let words = |error| format!("failed to apply transaction: {error}");
        let (outcome, inspector) =
            scene.inspect(tx.clone(), inspector).map_err(|error| scene.refused(error, words))?;
        let mut list = inspector.into_access_list();
        keep_given(&mut list, &tx.access_list);
        list.0.retain(|item| !item.storage_keys.is_empty() || !excluded(&item.address, &tx));
        if list == tx.access_list {
            let mut shown = json!({ "accessList": shape::json_of(&list)?, "gasUsed": U64::from(outcome.result.tx_gas_used()) });
            match outcome.result {
                ExecutionResult::Success { .. } => {}
                ExecutionResult::Revert { .. } => shown["error"] = json!("execution reverted"),
                ExecutionResult::Halt { reason, .. } => {
                    shown["error"] = json!(halted(&reason, || scene.last(tx)));
                }
            }
            return Ok(shown);
        }
        tx.tx_type = tx.tx_type.max(1);
        tx.access_list = list;
    }
    Err(server_error("the access list did not settle"))
}
