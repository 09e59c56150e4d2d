//! `chainwright dev`: comes up, pays, stops, goes on.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::run::{Running, free_port, rpc, run, stderr, stdout};

fn start(folder: &Path, name: &str) -> Running {
    let port = free_port().to_string();
    Running::start(
        folder,
        name,
        &["--json", "dev", "--datadir", "net", "--block-time", "1s", "--rpc-port", &port],
    )
}

/// Address and cookie of each node.
fn nodes(folder: &Path, started: &Value) -> Vec<(String, PathBuf)> {
    let node = |node: &Value| {
        (node["rpc"].as_str().unwrap().to_owned(), folder.join(node["cookie"].as_str().unwrap()))
    };
    started["nodes"].as_array().unwrap().iter().map(node).collect()
}

fn ask(node: &(String, PathBuf), method: &str, params: Value) -> Value {
    rpc(&node.0, &node.1, method, params)
}

fn wait_for_payment(network: &mut Running) -> String {
    let paid = network.event("paid", None);
    for node in 1..=3 {
        assert_eq!(network.event("confirmed", Some(node))["txid"], paid["txid"]);
    }
    paid["txid"].as_str().unwrap().to_owned()
}

#[test]
fn a_network_comes_up_pays_stops_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = start(folder.path(), "first");
    let started = network.event("started", None);
    let address = started["mining_to"].clone();
    let first = nodes(folder.path(), &started);
    assert_eq!(first.len(), 3);
    wait_for_payment(&mut network);
    let height = ask(&first[2], "getblockcount", json!([])).as_u64().unwrap();
    assert!(height > 100, "{height}");
    let tip = ask(&first[2], "getblockhash", json!([height]));
    assert_eq!(network.signal("TERM"), Some(0), "{}", network.complained());
    assert!(!folder.path().join("net/node-1/.cookie").exists());

    let mut again = start(folder.path(), "again");
    let started = again.event("started", None);
    assert_eq!(started["mining_to"], address, "the same keys");
    for node in nodes(folder.path(), &started) {
        assert_eq!(ask(&node, "getblockhash", json!([height])), tip, "the same chain");
    }
    wait_for_payment(&mut again);
    assert_eq!(again.signal("INT"), Some(0), "{}", again.complained());
}

#[test]
fn a_killed_network_comes_back_consistent() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = start(folder.path(), "first");
    let started = network.event("started", None);
    let txid = wait_for_payment(&mut network);
    let first = nodes(folder.path(), &started);
    let height = ask(&first[0], "getblockcount", json!([]));
    let tip = ask(&first[0], "getblockhash", json!([height]));
    network.signal("KILL");

    let mut again = start(folder.path(), "again");
    let started = again.event("started", None);
    let nodes = nodes(folder.path(), &started);
    assert_eq!(
        ask(&nodes[0], "getblockhash", json!([height])),
        tip,
        "what RPC confirmed survives the process"
    );
    let outputs = (0..2).map(|output| ask(&nodes[0], "gettxout", json!([txid, output, false])));
    assert!(outputs.into_iter().any(|output| output["confirmations"].as_u64() > Some(0)));
    wait_for_payment(&mut again);
    assert_eq!(again.signal("TERM"), Some(0), "{}", again.complained());
}

#[test]
fn a_running_network_can_be_shown_and_paid_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = start(folder.path(), "network");
    let started = network.event("started", None);
    let paid = wait_for_payment(&mut network);
    let (rpc, cookie) = nodes(folder.path(), &started).remove(1);
    let node = ["--rpc", &rpc, "--cookie", cookie.to_str().unwrap()];
    let shown = |arguments: &[&str]| {
        let output = run(folder.path(), &[arguments, &node].concat());
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    };
    assert!(
        shown(&["show", "block", "0"])
            .contains("0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206")
    );
    assert!(shown(&["show", "chain"]).contains("regtest"));
    assert!(shown(&["show", "tx", &paid]).contains(&paid));
    let tip: Value = serde_json::from_str(&shown(&["--json", "show", "block"])).unwrap();
    assert!(tip["height"].as_u64() > Some(100));
    let receiver = stdout(&run(folder.path(), &["key", "address", "--wallet", "net/receiver.json"]));
    let receiver = receiver.trim();
    let sent = shown(&["pay", receiver, "0.25", "--wallet", "net/wallet.json"]);
    assert_eq!(sent.trim().len(), 64, "{sent}");
    let balance = shown(&["show", "address", receiver]);
    assert!(balance.contains("1.00000000") || balance.contains("1.25000000"), "{balance}");
    assert_eq!(network.signal("TERM"), Some(0));
}

/// A chain of any cell comes up, shows its first transaction on every node, and goes on with the same chain.
#[track_caller]
fn check_cell(chain: &str) {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().to_string();
    let arguments =
        ["--json", "dev", "--chain", chain, "--datadir", "net", "--block-time", "500ms", "--rpc-port", &port];
    let mut network = Running::start(folder.path(), "first", &arguments);
    let first = nodes(folder.path(), &network.event("started", None));
    wait_for_payment(&mut network);
    let head = ask(&first[1], "chain_head", json!([]))["head"].clone();
    assert_eq!(network.signal("TERM"), Some(0), "{}", network.complained());
    let mut again = Running::start(folder.path(), "again", &arguments);
    let second = nodes(folder.path(), &again.event("started", None));
    let block = ask(&second[1], "chain_block", json!([head["height"]]));
    assert_eq!(block["id"], head["id"], "{chain}");
    wait_for_payment(&mut again);
    assert_eq!(again.signal("TERM"), Some(0), "{}", again.complained());
}

#[test]
fn coins_under_one_sealer_come_up() {
    check_cell("utxo-solo");
}

#[test]
fn names_under_work_come_up() {
    check_cell("names-pow");
}

#[test]
fn names_under_one_sealer_come_up() {
    check_cell("names-solo");
}
