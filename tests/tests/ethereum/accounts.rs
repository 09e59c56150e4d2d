//! The command line for accounts: keys, payments signed here, and what a node tells.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use chainwright_tests::{ChainNode, chainwright, wait_until};
use serde_json::{Value, json};

use crate::account::quick_chain;

const LIMIT: Duration = Duration::from_mins(1);
const MINER: [&str; 2] = ["--mine=0xc0ffee0000000000000000000000000000000000", "--block-time=50ms"];

#[track_caller]
fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(chainwright()).args(arguments).current_dir(folder).output().expect("our program runs")
}

/// What it prints as JSON.
#[track_caller]
fn told(folder: &Path, arguments: &[&str]) -> Value {
    let output = run(folder, &[&["--json"][..], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

#[track_caller]
fn check_refused(folder: &Path, arguments: &[&str], words: &str) {
    let output = run(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !said.contains("panicked"), "{arguments:?}: {said}");
    assert!(said.contains(words) && said.contains("hint:"), "{arguments:?}: no `{words}` in: {said}");
}

#[test]
fn keys_are_made_and_money_is_sent_and_shown() {
    let place = tempfile::tempdir().expect("the system has a temporary folder");
    let folder = place.path();
    let node = ChainNode::start(&quick_chain(folder), &folder.join("data"), &MINER);
    let rpc = format!("--rpc=127.0.0.1:{}", node.rpc().port());
    let rpc = rpc.as_str();
    let own = told(folder, &["key", "new", "--chain=pow-evm", "--out=own.json"]);
    let address = own["address"].as_str().expect("an address is text").to_owned();
    assert!(own["secret_key"].is_null(), "a key is secret until it is asked for");
    assert_eq!(told(folder, &["key", "address", "--wallet=own.json"])["address"], json!(address));
    let key = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80\n";
    std::fs::write(folder.join("alice.key"), key).expect("the folder is ours");

    let paid = told(folder, &["pay", &address, "1.5", "--wallet=alice.key", rpc]);
    assert_eq!(paid["from"], "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    let hash = paid["hash"].as_str().expect("a hash is text").to_owned();
    let mined = || !node.call("eth_getTransactionReceipt", json!([hash])).is_null();
    wait_until("the payment is mined", LIMIT, mined);
    let shown = told(folder, &["show", "address", &address, rpc]);
    assert_eq!(
        (&shown["balance"], &shown["nonce"], &shown["code_bytes"]),
        (&json!("1.5"), &json!(0), &json!(0))
    );
    let shown = told(folder, &["show", "tx", &hash, rpc]);
    assert_eq!(shown["receipt"]["status"], "0x1", "{shown}");
    // What was made here pays back.
    let back = told(
        folder,
        &["pay", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "0.25", "--wallet=own.json", rpc],
    );
    let back = back["hash"].as_str().expect("a hash is text").to_owned();
    wait_until("it is mined", LIMIT, || !node.call("eth_getTransactionReceipt", json!([back])).is_null());
    assert_eq!(told(folder, &["show", "chain", rpc])["chain_id"], json!(31_338));
    let tip = told(folder, &["show", "block", "tip", rpc]);
    let by_hash = told(folder, &["show", "block", tip["hash"].as_str().unwrap_or_default(), rpc]);
    assert_eq!(by_hash["number"], tip["number"]);
    for what in [vec!["chain"], vec!["block", "1"], vec!["tx", &back], vec!["address", &address]] {
        let output = run(folder, &[&["show"][..], &what[..], &[rpc]].concat());
        assert!(output.status.success() && !output.stdout.is_empty(), "{what:?}");
    }

    let wrong = address.replace(&address[2..6], "0000");
    check_refused(folder, &["pay", "nobody", "1", "--wallet=own.json", rpc], "no address");
    check_refused(folder, &["pay", &wrong[..41], "1", "--wallet=own.json", rpc], "no address");
    check_refused(folder, &["pay", &address, "1,5", "--wallet=own.json", rpc], "no amount");
    check_refused(folder, &["pay", &address, "1000", "--wallet=own.json", rpc], "insufficient funds");
    check_refused(folder, &["pay", &address, "1", rpc], "the node signs for none");
    check_refused(folder, &["pay", &address, "1", "--wallet=missing", rpc], "cannot read missing");
    check_refused(folder, &["show", "block", "99999999", rpc], "there is no block");
    check_refused(folder, &["show", "tx", &"0".repeat(64), rpc], "neither in the pool nor in the chain");
    check_refused(folder, &["key", "new", "--chain=pow-evm", "--out=own.json"], "cannot write");
}
