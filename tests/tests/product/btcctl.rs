//! btcd's command-line client drives our node.

use std::time::Duration;

use chainwright_tests::{Node, NodeOptions, btcctl, wait_until};
use serde_json::{Value, json};

use crate::party::Party;
use crate::payments::{Coin, address, hex, join};

/// Runs a command of btcctl that must succeed; `None` when there is no btcctl.
#[track_caller]
fn check_command(node: &Node, arguments: &[&str]) -> Option<String> {
    match btcctl(node.rpc(), arguments)? {
        Ok(said) => Some(said),
        Err(refused) => panic!("btcctl {arguments:?}: {refused}"),
    }
}

/// The same for one that answers with JSON.
#[track_caller]
fn check_json(node: &Node, arguments: &[&str]) -> Option<Value> {
    let said = check_command(node, arguments)?;
    Some(serde_json::from_str(&said).unwrap_or_else(|error| panic!("btcctl {arguments:?}: {error}: {said}")))
}

#[test]
fn btcctl_drives_our_node() {
    let mut node = Node::start(NodeOptions::default());
    let other = Node::start(NodeOptions::default());
    if drive(&node, &other).is_some() {
        let ended = node.process().wait(Duration::from_mins(1)).expect("our node ends after `stop`");
        assert!(ended.success(), "{ended}");
    }
}

/// `None` when there is no btcctl.
#[track_caller]
fn drive(node: &Node, other: &Node) -> Option<()> {
    let mined = node.generate(101, &address());
    let best = mined.last()?;
    assert_eq!(check_command(node, &["getblockcount"])?, "101");
    assert_eq!(check_command(node, &["getbestblockhash"])?, *best);
    assert_eq!(check_command(node, &["getblockhash", "101"])?, *best);
    let info = check_json(node, &["getblockchaininfo"])?;
    assert_eq!((&info["chain"], &info["blocks"]), (&json!("regtest"), &json!(101)));
    let block = check_json(node, &["getblock", best])?;
    assert_eq!((&block["hash"], &block["height"]), (&json!(best), &json!(101)));
    assert_eq!(block["tx"].as_array().map(Vec::len), Some(1));
    let header = check_json(node, &["getblockheader", best])?;
    assert_eq!(header["previousblockhash"], json!(mined[99]));
    let (payment, _) = join(&[Coin::mined(&Party::Ours(node), &mined[0])]);
    let id = check_command(node, &["sendrawtransaction", &hex(&payment)])?;
    assert_eq!(check_json(node, &["getrawmempool"])?, json!([id]));
    assert_eq!(check_json(node, &["getrawmempool", "true"])?[&id]["vsize"], json!(payment.vsize()));
    assert_eq!(check_json(node, &["decoderawtransaction", &hex(&payment)])?["txid"], json!(id));
    check_command(node, &["addnode", &other.address().to_string(), "onetry"])?;
    wait_until("btcctl sees our peer", Duration::from_mins(1), || {
        let peers = check_json(node, &["getpeerinfo"]).unwrap_or_default();
        peers[0]["addr"] == json!(other.address().to_string()) && peers[0]["version"] == json!(70016)
    });
    let refused = btcctl(node.rpc(), &["getblockhash", "999"])?;
    let refused = refused.expect_err("there is no block 999");
    assert!(refused.contains("-8") && refused.contains("out of range"), "{refused}");
    check_command(node, &["stop"]).map(|_| ())
}
