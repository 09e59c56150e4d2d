//! The official exchanges of `ethereum/execution-apis`, each file on a fresh node with their chain.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a skipped test must be seen")]

mod follow;
mod node;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use node::Node;

/// The folder of the exchanges, if it is there. With `CHAINWRIGHT_REQUIRE_VECTORS=1` it has to be.
fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/vectors");
    let folder = PathBuf::from(std::env::var("CHAINWRIGHT_VECTORS").unwrap_or_else(|_| beside.into()));
    let folder = folder.join("ethereum/execution-apis");
    if folder.is_dir() {
        return Some(folder);
    }
    let required = std::env::var("CHAINWRIGHT_REQUIRE_VECTORS").is_ok_and(|value| value == "1");
    assert!(!required, "vectors are required and missing: {}", folder.display());
    eprintln!("SKIPPED: no vectors at {}", folder.display());
    None
}

/// `method/name` of all exchanges, in order.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for method in std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir())
    {
        for file in std::fs::read_dir(method.path()).unwrap().map(Result::unwrap) {
            let name = file.file_name().into_string().unwrap();
            if let Some(name) = name.strip_suffix(".io") {
                found.push(format!("{}/{name}", method.file_name().into_string().unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// What a schema would look at first: of which JSON type a result is, and which fields it has.
fn shape(reply: &Value) -> Value {
    match &reply["result"] {
        Value::Object(fields) => fields.keys().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        Value::Array(values) => Value::from(values.len()),
        Value::String(_) => Value::from("text"),
        other => other.clone(),
    }
}

/// Whether a file's requests are answered alike, or the first difference.
fn check(folder: &Path, name: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(folder.join(name).with_extension("io")).unwrap();
    let only_shape = text.lines().any(|line| line.starts_with("// speconly"));
    let node = Node::start(folder);
    let mut reply = Value::Null;
    for line in text.lines() {
        if let Some(request) = line.strip_prefix(">>") {
            reply = node.reply(&serde_json::from_str(request).unwrap());
        }
        let Some(expected) = line.strip_prefix("<<") else { continue };
        let expected: Value = serde_json::from_str(expected).unwrap();
        let alike = if only_shape {
            let kind = |value: &Value| value.get("error").map(|error| error["code"].clone());
            kind(&reply) == kind(&expected)
                && (expected.get("error").is_some() || shape(&reply) == shape(&expected))
        } else {
            reply == expected
        };
        if !alike {
            let cut = |value: &Value| value.to_string().chars().take(1500).collect::<String>();
            return Err(format!("{name}\n  got      {}\n  expected {}", cut(&reply), cut(&expected)));
        }
    }
    Ok(())
}

#[test]
fn exchanges_of_the_execution_apis_are_answered_alike() {
    let Some(folder) = folder() else { return };
    let (files, next) = (files(&folder), AtomicUsize::new(0));
    let different = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(name) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(difference) = check(&folder, name) {
                        eprintln!("DIFFERENT {difference}");
                        different.lock().unwrap().insert(name.as_str());
                    }
                }
            });
        }
    });
    let different = different.into_inner().unwrap();
    eprintln!("{} of {} files are answered alike", files.len() - different.len(), files.len());
    assert!(different.is_empty(), "answered differently: {different:?}");
}

/// `debug_` and `trace_` methods over the same chain agree.
#[test]
fn flat_traces_agree_with_nested_ones() {
    let Some(folder) = folder() else { return };
    let node = Node::start(&folder);
    let ask = |method: &str, params: Value| {
        let mut reply = node.reply(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }));
        assert!(reply.get("error").is_none(), "{method}: {reply}");
        reply["result"].take()
    };
    let mut seen = 0;
    for number in 1..=54 {
        let number = format!("{number:#x}");
        let nested = ask("debug_traceBlockByNumber", json!([number, { "tracer": "callTracer" }]));
        let flat = ask("trace_block", json!([number]));
        let flat = flat.as_array().unwrap();
        let rewards = flat.iter().filter(|trace| trace["type"] == "reward").count();
        let block = ask("eth_getBlockByNumber", json!([number, false]));
        let is_merged = block["difficulty"] == "0x0";
        assert_eq!(rewards, if is_merged { 0 } else { 1 + block["uncles"].as_array().unwrap().len() });
        let mut calls = flat.iter().filter(|trace| trace["type"] != "reward");
        for trace in nested.as_array().unwrap() {
            let (hash, frame) = (&trace["txHash"], &trace["result"]);
            let alone = ask("trace_transaction", json!([hash]));
            for call in alone.as_array().unwrap() {
                assert_eq!(Some(call), calls.next(), "block {number}");
                assert_eq!(call["blockHash"], block["hash"]);
            }
            let root = &alone[0];
            assert_eq!(root["action"]["from"], frame["from"]);
            assert_eq!(root["action"]["value"], frame["value"]);
            assert_eq!(root.get("error").is_some(), frame.get("error").is_some(), "{root} {frame}");
            assert_eq!(root, &ask("trace_get", json!([hash, []])));
            let again = ask("trace_replayTransaction", json!([hash, ["trace", "stateDiff"]]));
            assert_eq!(again["trace"].as_array().unwrap().len(), alone.as_array().unwrap().len());
            assert!(!again["stateDiff"].as_object().unwrap().is_empty());
            seen += 1;
        }
        assert_eq!(calls.next(), None, "block {number}");
    }
    assert!(seen > 50, "{seen} transactions");
    let all = ask("trace_filter", json!([{ "fromBlock": "0x1", "toBlock": "0x36", "count": 1000 }]));
    let some =
        ask("trace_filter", json!([{ "fromBlock": "0x1", "toBlock": "0x36", "after": 3, "count": 5 }]));
    assert_eq!(&all.as_array().unwrap()[3..8], some.as_array().unwrap().as_slice());
    assert_eq!(ask("trace_transaction", json!([format!("0x{:064x}", 7)])), Value::Null);
}
