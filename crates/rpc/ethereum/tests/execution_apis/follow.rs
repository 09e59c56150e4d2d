//! What callers are told when the head moves, back and forth: filters and subscriptions see the same.

use alloy_primitives::B256;
use chainwright_rpc::testing::session;
use serde_json::{Value, json};

use crate::folder;
use crate::node::Node;

/// Results pushed to one subscription.
fn results(told: &mut impl Iterator<Item = String>, id: &Value) -> Vec<Value> {
    let all = told.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    let mine = all.filter(|message| message["params"]["subscription"] == *id);
    mine.map(|mut message| message["params"]["result"].take()).collect()
}

/// The logs as they are told when their block leaves the chain: the newest block first.
fn removed(mut logs: Vec<Value>) -> Vec<Value> {
    for log in &mut logs {
        log["removed"] = json!(true);
    }
    logs.sort_by_key(|log| {
        let number = |name: &str| i64::from_str_radix(&log[name].as_str().unwrap()[2..], 16).unwrap();
        (-number("blockNumber"), number("logIndex"))
    });
    logs
}

#[test]
fn logs_of_blocks_that_leave_the_chain_are_told_again_as_removed() {
    let Some(folder) = folder() else { return };
    let node = Node::with_chain(&folder);
    let ask = |name: &str, params: Value| node.ask(name, params, None).unwrap();
    let head = ask("eth_getBlockByNumber", json!(["latest"]));
    let all = ask("eth_getLogs", json!([{ "fromBlock": "0x0" }]));
    let last = all.as_array().unwrap().last().unwrap();
    let height = u64::from_str_radix(&last["blockNumber"].as_str().unwrap()[2..], 16).unwrap();
    let before = format!("{:#x}", height - 6);
    let logs = ask("eth_getLogs", json!([{ "fromBlock": format!("{:#x}", height - 5) }]));
    let logs = logs.as_array().unwrap().clone();
    assert!(logs.len() > 1);
    let target = ask("eth_getBlockByNumber", json!([before]));

    let (alice, mut told) = session(1);
    let over = |name: &str, params: Value| node.ask(name, params, Some(&alice)).unwrap();
    let (heads, subscribed) =
        (over("eth_subscribe", json!(["newHeads"])), over("eth_subscribe", json!(["logs"])));
    let other =
        over("eth_subscribe", json!(["logs", { "address": "0x00000000000000000000000000000000000000ff" }]));
    let receipts = over(
        "eth_subscribe",
        json!(["transactionReceipts", { "transactionHashes": [last["transactionHash"]] }]),
    );
    let filter = ask("eth_newFilter", json!([{ "address": last["address"] }]));
    let blocks = ask("eth_newBlockFilter", json!([]));
    let of_last = |logs: Vec<Value>| {
        logs.into_iter().filter(|log| log["address"] == last["address"]).collect::<Vec<_>>()
    };

    node.prefer(&target["hash"]);
    let pushed: Vec<String> = told.by_ref().collect();
    assert_eq!(results(&mut pushed.clone().into_iter(), &subscribed), removed(logs.clone()));
    assert_eq!(results(&mut pushed.clone().into_iter(), &heads), Vec::<Value>::new());
    assert_eq!(results(&mut pushed.into_iter(), &other), Vec::<Value>::new());
    assert_eq!(ask("eth_getFilterChanges", json!([filter])), json!(of_last(removed(logs.clone()))));
    assert_eq!(ask("eth_getFilterChanges", json!([filter])), json!([]), "told once");
    assert_eq!(ask("eth_getFilterChanges", json!([blocks])), json!([]));

    node.prefer(&head["hash"]);
    let pushed: Vec<String> = told.by_ref().collect();
    assert_eq!(results(&mut pushed.clone().into_iter(), &subscribed), logs);
    let numbers = results(&mut pushed.clone().into_iter(), &heads);
    assert_eq!(numbers.last().unwrap()["hash"], head["hash"]);
    let got = results(&mut pushed.into_iter(), &receipts);
    assert_eq!(got, [json!([ask("eth_getTransactionReceipt", json!([last["transactionHash"]]))])]);
    assert_eq!(ask("eth_getFilterChanges", json!([filter])), json!(of_last(logs)));
    let joined = ask("eth_getFilterChanges", json!([blocks]));
    let expected: Vec<_> = numbers.iter().map(|header| header["hash"].clone()).collect();
    assert_eq!(joined, json!(expected));

    let found = ask("eth_getFilterLogs", json!([filter]));
    assert_eq!(found, ask("eth_getLogs", json!([{ "address": last["address"] }])));
    assert_eq!(ask("eth_uninstallFilter", json!([filter])), json!(true));
    assert_eq!(ask("eth_uninstallFilter", json!([filter])), json!(false));
    let gone = node.ask("eth_getFilterChanges", json!([filter]), None).unwrap_err();
    assert_eq!((gone.code, gone.message.as_str()), (-32000, "filter not found"));
}

#[test]
fn who_asks_for_progress_is_told_at_once_that_there_is_none() {
    let Some(folder) = folder() else { return };
    let node = Node::start(&folder);
    let (alice, mut told) = session(1);
    let id = node.ask("eth_subscribe", json!(["syncing"]), Some(&alice)).unwrap();
    assert_eq!(results(&mut told, &id), [json!(false)]);
}

#[test]
fn blocks_without_bodies_and_blocks_that_break_rules_are_none() {
    let Some(folder) = folder() else { return };
    let node = Node::with_chain(&folder);
    let ask = |name: &str, params: Value| node.ask(name, params, None).unwrap();
    let is_none = |hash: B256| {
        ["eth_getBlockByHash", "eth_getHeaderByHash", "eth_getBlockReceipts"].into_iter().all(|name| {
            let params = if name == "eth_getBlockByHash" { json!([hash, false]) } else { json!([hash]) };
            ask(name, params).is_null()
        })
    };
    let logs = |hash: B256| node.ask("eth_getLogs", json!([{ "blockHash": hash }]), None);
    let stored = node.import_beside(&folder, |header| header.extra_data = b"beside".into());
    assert_eq!(ask("eth_getBlockByHash", json!([stored, false]))["hash"], json!(stored));
    assert_eq!(logs(stored).unwrap_err().message, "unknown block", "nobody executed it");
    let alone = node.import_header(&folder, |header| header.extra_data = b"alone".into());
    assert!(is_none(alone));
    let broken = node.import_beside(&folder, |header| header.state_root = B256::ZERO);
    assert!(!node.can_be_head(broken));
    assert!(is_none(broken));
    assert_eq!(logs(broken).unwrap_err().message, "unknown block");
}
