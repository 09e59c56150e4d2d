//! Beginning and ending subscriptions.

use std::sync::Arc;

use alloy_primitives::B256;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde::Deserialize;
use serde_json::json;

use super::filters::check_range;
use super::logs;
use super::node::syncing;
use crate::chain::server_error;
use crate::dialect::{Context, Entry};
use crate::input;
use crate::subscribe::{Topic, sync_status};

const WHAT: Parameter = Parameter::required(
    "what",
    Kind::String,
    "newHeads, logs, newPendingTransactions, transactionReceipts or syncing",
);
const OPTIONS: Parameter = Parameter::optional("options", Kind::Any, "none", "A filter, or whether whole");
const ID: Parameter = Parameter::required("id", Kind::String, "The subscription");

/// Transactions whose receipts one subscription may ask for (geth, `eth/filters` `maxTxHashes`).
const RECEIPTS_MAX: usize = 200;

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "eth_subscribe",
        parameters: &[WHAT, OPTIONS],
        description: "Pushes what happens from now on, over this WebSocket.",
        answer: subscribe,
    },
    Entry {
        name: "eth_unsubscribe",
        parameters: &[ID],
        description: "Ends a subscription.",
        answer: |context, call| {
            if context.subscriptions.remove(call.text(0).unwrap_or_default(), call.session()?) {
                return Ok(json!(true));
            }
            Err(server_error("subscription not found"))
        },
    },
];

fn topic(call: &Call) -> Result<Topic, RpcError> {
    match call.text(0).unwrap_or_default() {
        "newHeads" => Ok(Topic::Heads),
        "logs" if call.param(1).is_null() => Ok(Topic::Logs(Box::default())),
        "logs" => {
            let filter = logs::filter(call, 1)?;
            check_range(&filter)?;
            Ok(Topic::Logs(Box::new(filter)))
        }
        "newPendingTransactions" => {
            let whole = input::optional(call, 1)?.unwrap_or(false);
            Ok(if whole { Topic::PendingWhole } else { Topic::Pending })
        }
        "transactionReceipts" => receipts(call),
        "syncing" => Ok(Topic::Syncing),
        other => {
            let words = format!("no {other:?} subscription in eth namespace");
            Err(RpcError::new(chainwright_rpc::code::METHOD_NOT_FOUND, words))
        }
    }
}

/// Transactions whose receipts a subscriber wants.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipts {
    #[serde(default)]
    transaction_hashes: Vec<B256>,
}

fn receipts(call: &Call) -> Result<Topic, RpcError> {
    let wanted: Receipts = input::optional(call, 1)?.unwrap_or_default();
    if wanted.transaction_hashes.len() > RECEIPTS_MAX {
        let words = "exceed max number of transaction hashes allowed per transactionReceipts subscription";
        return Err(server_error(words));
    }
    Ok(Topic::Receipts(wanted.transaction_hashes))
}

fn subscribe(context: &Context, call: &Call) -> Answer {
    let session = call.session()?.clone();
    let topic = topic(call)?;
    let first = matches!(topic, Topic::Syncing).then(|| sync_status(syncing(context)));
    let id = context.subscriptions.add(session, topic)?;
    let (subscriptions, own) = (Arc::clone(&context.subscriptions), id.clone());
    call.after_reply(move || subscriptions.begin(&own, first.as_ref()));
    Ok(json!(id))
}
