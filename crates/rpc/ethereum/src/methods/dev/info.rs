//! The node and its chain at a glance.

use alloy_primitives::{B256, U64, U256};
use chainwright_chain::Header as _;
use chainwright_rpc::{Answer, Call};
use serde_json::{Map, Value, json};

use super::method;
use crate::development::of;
use crate::dialect::{Context, Entry};
use crate::methods::gas::suggested_tip;

pub(crate) const METHODS: &[Entry] = &[
    method("anvil_nodeInfo", &[], "The head, the rules and the fees.", node_info),
    method("anvil_metadata", &[], "The program, the head and the snapshots.", metadata),
    method("hardhat_metadata", &[], "The program, the head and the snapshots.", metadata),
];

/// As anvil's `NodeInfo` (`alloy-rpc-types-anvil`).
fn node_info(context: &Context, _: &Call) -> Answer {
    let head = context.chain.published().head().headers;
    let (header, ledger) = (head.header(), context.chain.ledger());
    let base_fee = ledger.next_base_fee(header).unwrap_or_default();
    let gas_limit = ledger.wishes().gas_limit.unwrap_or(header.gas_limit);
    let price = u128::from(base_fee).saturating_add(suggested_tip(context)?);
    Ok(json!({
        "currentBlockNumber": U64::from(header.number),
        "currentBlockTimestamp": header.time().0,
        "currentBlockHash": header.hash(),
        "hardFork": ledger.config().fork(header).name(),
        "transactionOrder": "fees",
        "environment": {
            "baseFee": U256::from(base_fee),
            "chainId": ledger.config().chain_id,
            "gasLimit": U256::from(gas_limit),
            "gasPrice": U256::from(price),
        },
        "forkConfig": { "forkUrl": null, "forkBlockNumber": null, "forkRetryBackoff": null },
        "network": "ethereum",
    }))
}

/// As anvil's `Metadata`, which is Hardhat's and more.
fn metadata(context: &Context, _: &Call) -> Answer {
    let development = of(context)?;
    let head = context.chain.published().head().headers;
    let shown = |(number, block): (u64, chainwright_chain::Headers<chainwright_evm::Evm>)| {
        let hash: B256 = block.header().hash();
        (format!("{number:#x}"), json!([block.height().0, hash]))
    };
    let snapshots: Map<String, Value> = development.snapshots().into_iter().map(shown).collect();
    Ok(json!({
        "clientVersion": concat!("Chainwright/v", env!("CARGO_PKG_VERSION")),
        "clientSemver": env!("CARGO_PKG_VERSION"),
        "chainId": context.chain.ledger().config().chain_id,
        "instanceId": development.instance(),
        "latestBlockNumber": head.height().0,
        "latestBlockHash": head.header().hash(),
        "snapshots": snapshots,
    }))
}
