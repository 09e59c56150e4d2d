//! Filters for callers that ask again and again.

use std::sync::Arc;

use alloy_eips::BlockNumberOrTag;
use alloy_rpc_types_eth::{Filter, FilterBlockOption};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde_json::json;

use super::logs;
use crate::chain::server_error;
use crate::dialect::{Context, Entry};
use crate::filters::{Watch, changes};
use crate::shape;

const ID: Parameter = Parameter::required("id", Kind::String, "The filter");
const WHOLE: Parameter =
    Parameter::optional("whole", Kind::Bool, "false", "Whole transactions, not their hashes");

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "eth_newFilter",
        parameters: &[logs::FILTER],
        description: "Watches for logs from now on; answers an id for eth_getFilterChanges.",
        answer: |context, call| {
            let filter = logs::filter(call, 0)?;
            check_range(&filter)?;
            let head = context.chain.published().head().headers;
            install(context, Watch::Logs(Arc::new(filter), head))
        },
    },
    Entry {
        name: "eth_newBlockFilter",
        parameters: &[],
        description: "Watches for blocks from now on; answers an id for eth_getFilterChanges.",
        answer: |context, _| install(context, Watch::Blocks(context.chain.published().head().headers)),
    },
    Entry {
        name: "eth_newPendingTransactionFilter",
        parameters: &[WHOLE],
        description: "Watches for transactions the pool takes; answers an id for eth_getFilterChanges.",
        answer: |context, call| {
            let whole = call.flag(0)?.unwrap_or(false);
            install(context, Watch::Pooled { from: context.filters.next_pooled(), whole })
        },
    },
    Entry {
        name: "eth_getFilterChanges",
        parameters: &[ID],
        description: "What happened since this was asked last; logs of blocks that left the chain are marked removed.",
        answer: |context, call| changes(context, id(call)),
    },
    Entry {
        name: "eth_getFilterLogs",
        parameters: &[ID],
        description: "All logs a filter fits.",
        answer: |context, call| {
            let filter = context.filters.of_logs(id(call), context.host.monotonic_us())?;
            shape::json_of(&logs::search(context, &filter)?)
        },
    },
    Entry {
        name: "eth_uninstallFilter",
        parameters: &[ID],
        description: "Ends a filter.",
        answer: |context, call| Ok(json!(context.filters.uninstall(id(call), context.host.monotonic_us()))),
    },
];

fn id(call: &Call) -> &str {
    call.text(0).unwrap_or_default()
}

fn install(context: &Context, watch: Watch) -> Answer {
    let seed = context.host.started_at().0;
    Ok(json!(context.filters.install(watch, context.host.monotonic_us(), seed)?))
}

/// Whether somebody can watch for logs of these blocks (geth, `eth/filters` `SubscribeLogs`).
pub(super) fn check_range(filter: &Filter) -> Result<(), RpcError> {
    let FilterBlockOption::Range { from_block, to_block } = filter.block_option else { return Ok(()) };
    let latest = BlockNumberOrTag::Latest;
    let (from, to) = (from_block.unwrap_or(latest), to_block.unwrap_or(latest));
    let number = |block: BlockNumberOrTag| match block {
        BlockNumberOrTag::Earliest => Some(0),
        other => other.as_number(),
    };
    if from.is_pending() || to.is_pending() {
        return Err(server_error("pending logs are not supported"));
    }
    match (number(from), number(to)) {
        (None, None) if from.is_latest() && to.is_latest() => Ok(()),
        (Some(_), None) if to.is_latest() => Ok(()),
        (Some(from), Some(to)) if from <= to => Ok(()),
        _ => Err(server_error("invalid block range params")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: serde_json::Value, refusal: Option<&str>) {
        let filter: Filter = serde_json::from_value(filter).unwrap();
        let found = check_range(&filter).err().map(|error| error.message);
        assert_eq!(found.as_deref(), refusal);
    }

    #[test]
    fn ranges_are_refused_as_geth_does() {
        let range = Some("invalid block range params");
        check(json!({}), None);
        check(json!({ "fromBlock": "earliest" }), None);
        check(json!({ "fromBlock": "0x5", "toBlock": "0x5" }), None);
        check(json!({ "fromBlock": "0x6", "toBlock": "0x5" }), range);
        check(json!({ "fromBlock": "latest", "toBlock": "0x5" }), range);
        check(json!({ "fromBlock": "finalized" }), range);
        check(json!({ "toBlock": "pending" }), Some("pending logs are not supported"));
    }
}
