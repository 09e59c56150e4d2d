//! The node itself: chain, client, peers, progress.

use alloy_primitives::{Bytes, U64, keccak256};
use chainwright_rpc::{Kind, Parameter};
use serde_json::{Value, json};

use crate::dialect::{Context, Entry};
use crate::input;

const DATA: Parameter = Parameter::required("data", Kind::Any, "Bytes in hexadecimal digits");

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "eth_chainId",
        parameters: &[],
        description: "The chain's id (EIP-155).",
        answer: |context, _| Ok(json!(U64::from(context.chain.ledger().config().chain_id))),
    },
    Entry {
        name: "net_version",
        parameters: &[],
        description: "The network's id: the chain's, in decimal digits.",
        answer: |context, _| Ok(json!(context.chain.ledger().config().chain_id.to_string())),
    },
    Entry {
        name: "net_listening",
        parameters: &[],
        description: "Whether peers can connect.",
        answer: |context, _| Ok(json!(context.host.listening_address().is_some())),
    },
    Entry {
        name: "net_peerCount",
        parameters: &[],
        description: "How many peers are connected.",
        answer: |context, _| Ok(json!(U64::from(context.host.peers().len()))),
    },
    Entry {
        name: "web3_clientVersion",
        parameters: &[],
        description: "Name and version of this program.",
        answer: |_, _| Ok(json!(concat!("Chainwright/v", env!("CARGO_PKG_VERSION")))),
    },
    Entry {
        name: "web3_sha3",
        parameters: &[DATA],
        description: "Keccak-256 of bytes.",
        answer: |_, call| Ok(json!(keccak256(input::required::<Bytes>(call, 0)?))),
    },
    Entry {
        name: "rpc_modules",
        parameters: &[],
        description: "The families of methods there are, and their versions.",
        answer: |_, _| Ok(modules()),
    },
    Entry {
        name: "eth_syncing",
        parameters: &[],
        description: "How far the node is behind the best header it knows; false when it is not.",
        answer: |context, _| Ok(syncing(context)),
    },
];

fn modules() -> Value {
    let names =
        super::ALL.iter().flat_map(|group| group.iter()).filter_map(|entry| entry.name.split('_').next());
    names.map(|name| (name.to_owned(), json!("1.0"))).collect::<serde_json::Map<_, _>>().into()
}

pub(crate) fn syncing(context: &Context) -> Value {
    let published = context.chain.published();
    let (head, best) = (published.head().headers.height(), published.best_header().height());
    if best.above(head) <= 1 {
        return Value::Bool(false);
    }
    json!({
        "startingBlock": U64::ZERO,
        "currentBlock": U64::from(head.0),
        "highestBlock": U64::from(best.0),
    })
}
