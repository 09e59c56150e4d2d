//! Going back: snapshots, a number of blocks, the beginning.

use alloy_primitives::U64;
use chainwright_chain::{Delta, Height};
use chainwright_evm::Wishes;
use chainwright_evm::pool::EvmPool;
use chainwright_rpc::{Answer, Call, Kind, Parameter};
use serde_json::{Value, json};

use super::{method, number64, required_number64};
use crate::chain::{fault, server_error};
use crate::development::{Snapshot, check_alone, of, rewind};
use crate::dialect::{Context, Entry};
use crate::input;

const SNAPSHOT: Parameter = Parameter::required("snapshot", Kind::Any, "What evm_snapshot answered");
const DEPTH: Parameter = Parameter::optional("depth", Kind::Any, "1", "How many blocks");
const FORKING: Parameter = Parameter::optional("forking", Kind::Any, "none", "Not supported");

pub(crate) const METHODS: &[Entry] = &[
    method("evm_snapshot", &[], "Remembers the chain as it is.", snapshot),
    method("anvil_snapshot", &[], "Remembers the chain as it is.", snapshot),
    method("evm_revert", &[SNAPSHOT], "Goes back to a snapshot, which is gone then.", revert),
    method("anvil_revert", &[SNAPSHOT], "Goes back to a snapshot, which is gone then.", revert),
    method("anvil_rollback", &[DEPTH], "Goes back a number of blocks.", rollback),
    method("anvil_reset", &[FORKING], "Goes back to the beginning.", reset),
    method("hardhat_reset", &[FORKING], "Goes back to the beginning.", |context, call| {
        reset(context, call)?;
        Ok(json!(true))
    }),
];

fn snapshot(context: &Context, _: &Call) -> Answer {
    let development = of(context)?;
    let chain = context.chain.handle.clone();
    let (block, amendment) = development.between_blocks(async move {
        let block = chain.published().sealed_head().headers;
        let amendment = chain.published().amendment(&block.id());
        (block, amendment)
    })?;
    let controls = development.controls()?;
    let now = controls.time.now(context.chain.handle.clock().now());
    let wishes = context.chain.ledger().wishes();
    let number = development.keep(Snapshot { block, amendment, now, controls, wishes });
    Ok(json!(U64::from(number)))
}

fn revert(context: &Context, call: &Call) -> Answer {
    let development = of(context)?;
    check_alone(context)?;
    let Some(snapshot) = development.take(required_number64(call, 0)?) else { return Ok(json!(false)) };
    rewind(context, &snapshot.block, snapshot.amendment)?;
    let clock = context.chain.handle.clock().now();
    development.control(|controls| {
        controls.payee = snapshot.controls.payee;
        controls.next_randomness = snapshot.controls.next_randomness;
        controls.time = snapshot.controls.time;
        // Time goes on from the moment of the snapshot.
        controls.time.set_now(clock, snapshot.now);
    })?;
    context.chain.ledger().wish(|wishes| *wishes = snapshot.wishes);
    Ok(json!(true))
}

fn rollback(context: &Context, call: &Call) -> Answer {
    let depth = number64(call, 0)?.unwrap_or(1);
    let head = context.chain.published().head().headers;
    let height = u64::from(head.height().0).checked_sub(depth).ok_or_else(|| {
        input::invalid(0, format!("depth {depth}, the chain has {} blocks above the first", head.height()))
    })?;
    let to = u32::try_from(height).ok().and_then(|height| head.ancestor(Height(height)));
    let to = to.ok_or_else(|| server_error("block not found"))?;
    let amendment = context.chain.published().amendment(&to.id());
    rewind(context, &to, amendment)?;
    Ok(Value::Null)
}

/// Whether a caller wants the state of another chain.
fn wants_fork(forking: &Value) -> bool {
    let inner = forking.get("forking").unwrap_or(forking);
    inner.get("jsonRpcUrl").is_some_and(|url| !url.is_null())
        || inner.get("blockNumber").is_some_and(|at| !at.is_null())
}

fn reset(context: &Context, call: &Call) -> Answer {
    if wants_fork(call.param(0)) {
        return Err(input::invalid(
            0,
            "forking another chain is not supported (hint: leave the parameter out, and load a state with anvil_loadState)",
        ));
    }
    let development = of(context)?;
    let genesis = context.chain.published().head().headers.ancestor(Height::GENESIS);
    let genesis = genesis.ok_or_else(|| server_error("block not found"))?;
    rewind(context, &genesis, Delta::empty())?;
    context.chain.handle.with_pool(EvmPool::clear).wait().map_err(fault)?;
    context.chain.ledger().wish(|wishes| *wishes = Wishes::default());
    development.forget();
    Ok(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forking_is_seen_in_every_form() {
        for fork in [
            json!({ "forking": { "jsonRpcUrl": "http://localhost" } }),
            json!({ "jsonRpcUrl": "http://localhost", "blockNumber": 1 }),
            json!({ "forking": { "blockNumber": "0x1" } }),
        ] {
            assert!(wants_fork(&fork), "{fork}");
        }
        for none in [Value::Null, json!({}), json!({ "forking": {} }), json!({ "jsonRpcUrl": null })] {
            assert!(!wants_fork(&none), "{none}");
        }
    }
}
