//! Calls that change nothing: bombs end with a clear error, in time and in memory, and suppositions hold.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "the node is shared with the tests of the execution APIs")]

mod bombs;
#[path = "../execution_apis/node.rs"]
mod node;
mod refused;
mod simulate;

use std::time::Duration;

use chainwright_rpc_ethereum::CallLimits;
use serde_json::{Value, json};

use node::Node;

/// Jumps to its own beginning.
const LOOP: &str = "0x0000000000000000000000000000000000001000";
/// Calls itself with all it has.
const DEEP: &str = "0x0000000000000000000000000000000000001001";
/// Calls itself twice, without a jump.
const TREE: &str = "0x0000000000000000000000000000000000001002";
/// Writes a word at offset 2^32 - 1.
const WIDE: &str = "0x0000000000000000000000000000000000001003";
/// Writes a log without topics, then reverts.
const SORRY: &str = "0x0000000000000000000000000000000000001004";
/// Writes a log without topics.
const LOGS: &str = "0x0000000000000000000000000000000000001005";
/// Returns `BLOCKHASH(NUMBER - 1)`.
const HASHES: &str = "0x0000000000000000000000000000000000001006";
const RICH: &str = "0x71562b71999873db5b286df957af199ec94617f7";

fn genesis() -> String {
    let self_call = "6000600060006000600030" /* six words */;
    json!({
        "config": {
            "chainId": 1337, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
            "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
            "berlinBlock": 0, "londonBlock": 0, "shanghaiTime": 0, "cancunTime": 0,
            "terminalTotalDifficulty": 0,
            "blobSchedule": { "cancun": { "target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477 } },
        },
        "nonce": "0x0", "timestamp": "0x1", "extraData": "0x", "gasLimit": "0x1c9c380", "difficulty": "0x0",
        "mixHash": "0x0000000000000000000000000000000000000000000000000000000000000000",
        "coinbase": "0x0000000000000000000000000000000000000009",
        "alloc": {
            RICH: { "balance": "0xde0b6b3a7640000" },
            LOOP: { "balance": "0x0", "code": "0x5b600056" },
            DEEP: { "balance": "0x0", "code": format!("0x{self_call}5af100") },
            TREE: { "balance": "0x0", "code": format!("0x{self_call}5af1{self_call}5af100") },
            WIDE: { "balance": "0x0", "code": "0x600163ffffffff5200" },
            SORRY: { "balance": "0x0", "code": "0x60006000a060006000fd" },
            LOGS: { "balance": "0x0", "code": "0x60006000a000" },
            HASHES: { "balance": "0x0", "code": "0x60014303405f5260205ff3" },
        },
    })
    .to_string()
}

/// A node with geth's limits.
fn node() -> Node {
    Node::of(&genesis(), CallLimits::default())
}

/// A node where calls may use any gas, for a fifth of a second.
fn patient() -> Node {
    let time = Duration::from_millis(200);
    Node::of(&genesis(), CallLimits { gas: 0, time, trace_time: time, ..CallLimits::default() })
}

fn ask(node: &Node, method: &str, params: &Value) -> Value {
    node.reply(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }))
}

/// The error's code and words.
#[track_caller]
fn error(node: &Node, method: &str, params: &Value) -> (i64, String) {
    let reply = ask(node, method, params);
    let error = &reply["error"];
    let code = error["code"].as_i64();
    (code.unwrap_or_else(|| panic!("{method} gave {reply}")), error["message"].as_str().unwrap().to_owned())
}

#[track_caller]
fn result(node: &Node, method: &str, params: &Value) -> Value {
    let mut reply = ask(node, method, params);
    assert!(reply.get("error").is_none(), "{method}: {}", reply["error"]);
    reply["result"].take()
}
