//! Beginning and ending subscriptions.

use std::sync::Arc;

use alloy_rpc_types_eth::Filter;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::chain::server_error;
use crate::dialect::{Context, Entry};
use crate::input;
use crate::subscribe::Topic;

const WHAT: Parameter =
    Parameter::required("what", Kind::String, "newHeads, logs, newPendingTransactions or syncing");
const OPTIONS: Parameter = Parameter::optional("options", Kind::Any, "none", "A filter, or whether whole");
const ID: Parameter = Parameter::required("id", Kind::String, "The subscription");

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
        "logs" => match call.param(1) {
            Value::Null => Ok(Topic::Logs(Box::default())),
            filter => Filter::deserialize(filter)
                .map(|filter| Topic::Logs(Box::new(filter)))
                .map_err(|error| input::invalid(1, error)),
        },
        "newPendingTransactions" if call.param(1).as_bool() == Some(true) => Ok(Topic::PendingWhole),
        "newPendingTransactions" => Ok(Topic::Pending),
        "syncing" => Ok(Topic::Syncing),
        other => {
            let words = format!("no {other:?} subscription in eth namespace");
            Err(RpcError::new(chainwright_rpc::code::METHOD_NOT_FOUND, words))
        }
    }
}

fn subscribe(context: &Context, call: &Call) -> Answer {
    let session = call.session()?.clone();
    let topic = topic(call)?;
    let id = context.subscriptions.fresh_id();
    let (subscriptions, own) = (Arc::clone(&context.subscriptions), id.clone());
    call.after_reply(move || subscriptions.add(own, session, topic));
    Ok(json!(id))
}
