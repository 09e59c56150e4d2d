//! What miners ask for: templates, submitted blocks, generated blocks.

use chainwright_utxo::block::Block;
use corepc_types::v31;
use serde_json::{Value, json};

use super::*;

fn request() -> Value {
    json!({"rules": ["segwit"]})
}

/// The block a miner makes of a template, sealed.
fn block_of(node: &TestNode, template: &Value) -> Block {
    let script = payee().script_pubkey();
    let attributes = chainwright_chain::Attributes {
        time: Timestamp(template["curtime"].as_u64().unwrap()),
        payee: script.as_bytes().to_vec(),
        ..engine().attributes(&node.chain.published().head().headers, TEST_NOW)
    };
    let mut block = node.chain.build(None, attributes).wait().unwrap().unwrap().block;
    assert!(engine().seal(&mut block.header, &|| false));
    block
}

#[test]
fn templates_hold_the_pool_and_come_back_as_blocks() {
    let (node, outpoint, value) = TestNode::funded();
    let tx = spend(outpoint, value, 1000);
    node.ok("sendrawtransaction", json!([hex(&tx)]));
    let _: v31::GetBlockTemplate = node.typed("getblocktemplate", json!([request()]));
    let template = node.ok("getblocktemplate", json!([request()]));
    assert_eq!(template["height"], 102);
    assert_eq!(template["coinbasevalue"], 5_000_001_000_i64);
    let offered = &template["transactions"][0];
    assert_eq!((&offered["txid"], &offered["fee"]), (&json!(tx.txid().to_string()), &json!(1000)));
    assert_eq!(template["rules"], json!(["csv", "!segwit", "taproot"]));
    let block = block_of(&node, &template);
    let proposal = json!({"mode": "proposal", "data": block.encode().to_lower_hex_string()});
    assert_eq!(node.ok("getblocktemplate", json!([proposal])), Value::Null);
    let data = block.encode().to_lower_hex_string();
    assert_eq!(node.ok("submitblock", json!([data])), Value::Null);
    assert_eq!(node.ok("submitblock", json!([data])), "duplicate");
    assert_eq!(node.ok("getblocktemplate", json!([proposal])), "duplicate");
    assert_eq!(node.ok("getblockcount", json!([])), 102);
    node.ok("invalidateblock", json!([block.hash().to_string()]));
    assert_eq!(node.ok("submitblock", json!([data])), "duplicate-invalid");
}

#[test]
fn requests_without_the_rule_are_refused() {
    let node = TestNode::start();
    let rule =
        "getblocktemplate must be called with the segwit rule set (call with {\"rules\": [\"segwit\"]})";
    node.check_error("getblocktemplate", json!([{}]), -8, rule);
    node.check_error("getblocktemplate", json!([{"mode": "x"}]), -8, "Invalid mode");
    node.check_error(
        "getblocktemplate",
        json!([{"mode": "proposal"}]),
        -3,
        "Missing data String key for proposal",
    );
    node.check_error("submitblock", json!(["00"]), -22, "Block decode failed");
}

#[test]
fn bad_blocks_get_their_reason() {
    let node = TestNode::start();
    let template = node.ok("getblocktemplate", json!([request()]));
    let mut block = block_of(&node, &template);
    block.header.merkle_root = [1; 32];
    engine().seal(&mut block.header, &|| false);
    let data = block.encode().to_lower_hex_string();
    assert_eq!(node.ok("submitblock", json!([data])), "bad-txnmrklroot");
    block.header.previous = chainwright_utxo::hash::BlockHash([9; 32]);
    engine().seal(&mut block.header, &|| false);
    let data = block.encode().to_lower_hex_string();
    assert_eq!(node.ok("submitblock", json!([data])), "prev-blk-not-found");
}

#[test]
fn headers_are_submitted_after_their_parents() {
    let node = TestNode::start();
    let template = node.ok("getblocktemplate", json!([request()]));
    let block = block_of(&node, &template);
    let header = block.header.encode().to_lower_hex_string();
    assert_eq!(node.ok("submitheader", json!([header])), Value::Null);
    assert_eq!(node.ok("getblockchaininfo", json!([]))["headers"], 1);
    let mut orphan = block.header;
    orphan.previous = chainwright_utxo::hash::BlockHash([9; 32]);
    let message = format!("Must submit previous header ({}) first", "09".repeat(32));
    node.check_error("submitheader", json!([orphan.encode().to_lower_hex_string()]), -25, &message);
    node.check_error("submitheader", json!(["00"]), -22, "Block header decode failed");
}

#[test]
fn a_long_poll_ends_with_a_new_block() {
    let node = TestNode::start();
    let id = node.ok("getblocktemplate", json!([request()]))["longpollid"].clone();
    std::thread::scope(|scope| {
        let poll = json!([{"rules": ["segwit"], "longpollid": id}]);
        let waiting = scope.spawn(|| node.ok("getblocktemplate", poll));
        std::thread::sleep(Duration::from_millis(100));
        assert!(!waiting.is_finished(), "nothing has changed yet");
        node.mine(1);
        assert_eq!(waiting.join().unwrap()["height"], 2);
    });
}

#[test]
fn mining_is_described() {
    let node = TestNode::start();
    assert_eq!(node.ok("getnetworkhashps", json!([])), 0);
    node.mine(3);
    let _: v31::GetMiningInfo = node.typed("getmininginfo", json!([]));
    assert_eq!(node.ok("getmininginfo", json!([]))["next"]["height"], 4);
    let invalid = "Invalid nblocks. Must be a positive number or -1.";
    node.check_error("getnetworkhashps", json!([0]), -8, invalid);
    node.check_error("getnetworkhashps", json!([1, 9]), -8, "Block does not exist at specified height");
}

#[test]
fn blocks_are_generated_of_chosen_transactions() {
    let (node, outpoint, value) = TestNode::funded();
    let tx = spend(outpoint, value, 1000);
    let made = node.ok("generateblock", json!([address(), [hex(&tx)]]));
    let block: v31::GetBlockVerboseOne = node.typed("getblock", json!([made["hash"]]));
    assert_eq!(block.tx[1], tx.txid().to_string());
    let again = node.call("generateblock", json!([address(), [hex(&tx)]])).unwrap_err();
    assert_eq!(again.code, -25);
    assert!(again.message.starts_with("TestBlockValidity failed: bad-txns-inputs-missingorspent"), "{again}");
    let unsent = node.ok("generateblock", json!(["raw(51)", [], false]));
    assert_eq!(node.ok("getblockcount", json!([])), 102);
    assert_eq!(node.ok("submitblock", json!([unsent["hex"]])), Value::Null);
    let unknown = "33".repeat(32);
    let message = format!("Transaction {unknown} not in mempool.");
    node.check_error("generateblock", json!([address(), [unknown]]), -5, &message);
    node.check_error("generateblock", json!(["x", []]), -5, "Error: Invalid address or descriptor");
    node.check_error("generatetoaddress", json!([1, "x"]), -5, "Error: Invalid address");
}

#[test]
fn generate_needs_a_payee() {
    let refused = TestNode::start().call("generate", json!([1])).unwrap_err();
    assert_eq!(refused.code, -32601);
    let node = TestNode::with_generate_to(Some(payee().script_pubkey()));
    assert_eq!(node.ok("generate", json!([2])).as_array().unwrap().len(), 2);
}

#[test]
fn making_blocks_ends_with_the_tries() {
    let node = TestNode::start();
    assert_eq!(node.ok("generatetoaddress", json!([5, address(), 0])), json!([]));
    // Every second hash is good enough here: a hundred blocks need about a hundred failures.
    let made = node.ok("generatetoaddress", json!([100, address(), 10])).as_array().unwrap().len();
    assert!((1..60).contains(&made), "{made} blocks with ten tries");
    assert_eq!(node.ok("generatetoaddress", json!([100, address()])).as_array().unwrap().len(), 100);
}
