//! What the dialect tells of blocks and of the chain, read back with other people's types.

use corepc_types::v31;
use serde_json::{Value, json};

use super::*;

/// Hash of regtest's first block.
const GENESIS: &str = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";

#[test]
fn a_new_chain_is_described_as_the_reference_node_does() {
    let node = TestNode::start();
    let info = node.ok("getblockchaininfo", json!([]));
    let _: v31::GetBlockchainInfo = node.typed("getblockchaininfo", json!([]));
    assert_eq!(info["chain"], "regtest");
    assert_eq!(info["bestblockhash"], GENESIS);
    assert_eq!(info["bits"], "207fffff");
    assert_eq!(info["difficulty"].to_string(), "4.656542373906925e-10");
    assert_eq!(info["chainwork"], format!("{:064x}", 2));
    assert_eq!(info["initialblockdownload"], true);
    assert_eq!(node.ok("getblockcount", json!([])), 0);
    assert_eq!(node.ok("getbestblockhash", json!([])), GENESIS);
    assert_eq!(node.ok("getdifficulty", json!([])).to_string(), "4.656542373906925e-10");
    let header = node.ok("getblockheader", json!([GENESIS, false]));
    assert!(header.as_str().unwrap().starts_with("0100000000000000"));
    let block = node.ok("getblock", json!([GENESIS]));
    assert_eq!(block["tx"], json!(["4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"]));
    assert_eq!((&block["size"], &block["weight"], &block["nTx"]), (&json!(285), &json!(1140), &json!(1)));
}

/// The transactions of a block, one by one: the oracle's type for the whole cannot read exact decimals.
#[track_caller]
fn check_transactions(node: &TestNode, params: Value) {
    let block = node.ok("getblock", params);
    for tx in block["tx"].as_array().unwrap() {
        let mut tx = tx.clone();
        assert!(tx.as_object_mut().unwrap().remove("hex").is_some());
        let read: Result<v31::DecodeRawTransaction, _> = serde_json::from_str(&tx.to_string());
        assert!(read.is_ok_and(|read| read.into_model().is_ok()), "{tx}");
    }
}

#[test]
fn headers_and_blocks_have_the_reference_nodes_shape() {
    let node = TestNode::start();
    let hashes = node.mine(3);
    let header: v31::GetBlockHeaderVerbose = node.typed("getblockheader", json!([hashes[1]]));
    assert_eq!((header.confirmations, header.height), (2, 2));
    assert_eq!(header.next_block_hash.as_deref(), Some(hashes[2].as_str()));
    assert_eq!(header.previous_block_hash.as_deref(), Some(hashes[0].as_str()));
    assert!(header.into_model().is_ok());
    let one: v31::GetBlockVerboseOne = node.typed("getblock", json!([hashes[2]]));
    assert_eq!((one.n_tx, one.confirmations), (1, 1));
    check_transactions(&node, json!({"blockhash": hashes[2], "verbosity": 2}));
    check_transactions(&node, json!([hashes[2], 3]));
    let raw = node.ok("getblock", json!([hashes[2], false]));
    assert_eq!(raw.as_str().unwrap().len() as i64, 2 * one.size);
    let order: Vec<_> =
        node.ok("getblock", json!([hashes[2]])).as_object().unwrap().keys().cloned().collect();
    let expected = "hash confirmations height version versionHex merkleroot time mediantime nonce bits target \
                    difficulty chainwork nTx previousblockhash strippedsize size weight coinbase_tx tx";
    assert_eq!(order.join(" "), expected);
}

#[test]
fn wrong_blocks_are_answered_in_the_reference_nodes_words() {
    let node = TestNode::start();
    let unknown = "00".repeat(32);
    node.check_error("getblock", json!([unknown]), -5, "Block not found");
    node.check_error("getblockheader", json!([unknown]), -5, "Block not found");
    node.check_error("getblockhash", json!([1]), -8, "Block height out of range");
    node.check_error("getblockhash", json!([-1]), -8, "Block height out of range");
    node.check_error("getblock", json!(["abc"]), -8, "blockhash must be of length 64 (not 3, for 'abc')");
    let letters = "z".repeat(64);
    let message = format!("hash must be hexadecimal string (not '{letters}')");
    node.check_error("getblockheader", json!([letters]), -8, &message);
    node.check_error("getblockhash", json!([5_000_000_000_u64]), -1, "JSON integer out of range");
}

#[test]
fn an_invalidated_block_becomes_a_tip_that_can_be_taken_back() {
    let node = TestNode::start();
    let hashes = node.mine(4);
    assert_eq!(node.ok("invalidateblock", json!([hashes[2]])), Value::Null);
    assert_eq!(node.ok("getblockcount", json!([])), 2);
    let tips: v31::GetChainTips = node.typed("getchaintips", json!([]));
    let shown: Vec<_> = tips.0.iter().map(|tip| (tip.height, tip.branch_length)).collect();
    assert_eq!(shown, [(4, 2), (2, 0)]);
    let words: Vec<_> = node
        .ok("getchaintips", json!([]))
        .as_array()
        .unwrap()
        .iter()
        .map(|tip| tip["status"].clone())
        .collect();
    assert_eq!(words, ["invalid", "active"]);
    node.ok("reconsiderblock", json!([hashes[2]]));
    assert_eq!(node.ok("getbestblockhash", json!([])), hashes[3]);
    node.check_error("invalidateblock", json!(["11".repeat(32)]), -5, "Block not found");
}

#[test]
fn an_equal_branch_becomes_precious() {
    let node = TestNode::start();
    let first = node.mine(2);
    node.ok("invalidateblock", json!([first[1]]));
    // Another payee makes another block at the same height.
    let second = node.ok("generatetodescriptor", json!([1, "raw(51)"]))[0].clone();
    node.ok("reconsiderblock", json!([first[1]]));
    let before = node.ok("getbestblockhash", json!([]));
    let other = if before == second { json!(first[1]) } else { second };
    node.ok("preciousblock", json!([other]));
    assert_eq!(node.ok("getbestblockhash", json!([])), other);
    node.ok("preciousblock", json!([first[0]]));
    assert_eq!(node.ok("getbestblockhash", json!([])), other, "a lighter block is left alone");
}

#[test]
fn deployments_are_listed() {
    let node = TestNode::start();
    node.mine(1);
    let _: v31::GetDeploymentInfo = node.typed("getdeploymentinfo", json!([]));
    let info = node.ok("getdeploymentinfo", json!([]));
    assert_eq!(info["deployments"]["segwit"], json!({"type": "buried", "active": true, "height": 0}));
    let flags = info["script_flags"].as_array().unwrap();
    assert!(flags.contains(&json!("TAPROOT")) && flags.is_sorted_by_key(Value::to_string));
    node.check_error("getdeploymentinfo", json!(["11".repeat(32)]), -5, "Block not found");
}

#[test]
fn waiting_ends_with_the_block_or_the_time() {
    let node = TestNode::start();
    let tip = node.ok("waitfornewblock", json!([1]));
    assert_eq!(tip, json!({"hash": GENESIS, "height": 0}));
    node.check_error("waitfornewblock", json!([-1]), -1, "Negative timeout");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| node.ok("waitforblockheight", json!([2, 20_000])));
        node.mine(2);
        assert_eq!(waiting.join().unwrap()["height"], 2);
    });
    let _: v31::WaitForNewBlock = node.typed("waitfornewblock", json!([0, GENESIS]));
}
