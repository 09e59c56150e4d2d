//! Going back and carrying over.

use alloy_primitives::{Address, Bytes, U256, address};
use serde_json::{Value, json};

use crate::node::{ALICE, BOB, Node, START};

const SOMEBODY: Address = address!("00000000000000000000000000000000000000aa");

fn payment() -> Value {
    json!({ "from": ALICE, "to": BOB, "value": "0x1" })
}

#[test]
fn a_snapshot_brings_back_blocks_nonces_and_changes_by_hand() {
    let node = Node::new();
    node.pay(payment());
    node.ask("anvil_setBalance", json!([SOMEBODY, 5]));
    let (block, bob) = (node.block(), node.balance(BOB));
    let snapshot = node.ask("evm_snapshot", json!([]));
    assert_eq!(snapshot, json!("0x1"));
    node.ask("anvil_setBalance", json!([SOMEBODY, 6]));
    let receipt = node.pay(payment());
    node.ask("anvil_setBalance", json!([SOMEBODY, 7]));
    node.ask("anvil_mine", json!([3]));
    assert_eq!((node.nonce(ALICE), node.balance(SOMEBODY)), (2, U256::from(7)));

    assert_eq!(node.ask("evm_revert", json!([snapshot])), json!(true));
    assert_eq!(node.block(), block);
    assert_eq!((node.nonce(ALICE), node.balance(BOB), node.balance(SOMEBODY)), (1, bob, U256::from(5)));
    assert_eq!(node.ask("eth_getTransactionByHash", json!([receipt["transactionHash"]])), Value::Null);
    assert_eq!(node.ask("eth_getBlockByHash", json!([receipt["blockHash"], false])), Value::Null);
    assert_eq!(node.ask("txpool_status", json!([])), json!({ "pending": "0x0", "queued": "0x0" }));
    assert_eq!(node.ask("evm_revert", json!([snapshot])), json!(false), "it is gone");

    // The same block again, down to its hash.
    let again = node.pay(payment());
    assert_eq!(again["status"], json!("0x1"));
    assert_eq!((node.nonce(ALICE), node.balance(SOMEBODY)), (2, U256::from(5)));
    let block = node.block();
    let restarted = node.restart();
    assert_eq!(restarted.block(), block);
    assert_eq!(restarted.balance(SOMEBODY), U256::from(5));
    restarted.pay(payment());
}

#[test]
fn the_same_block_can_be_made_again_and_again() {
    let node = Node::new();
    let mut hashes = Vec::new();
    for round in 0..4_u64 {
        let snapshot = node.ask("evm_snapshot", json!([]));
        node.ask("anvil_setBalance", json!([SOMEBODY, round % 2]));
        node.ask("evm_setNextBlockTimestamp", json!([START + 100]));
        let receipt = node.pay(payment());
        hashes.push(receipt["blockHash"].clone());
        node.ask("anvil_setBalance", json!([SOMEBODY, 99]));
        node.ask("evm_mine", json!([]));
        assert_eq!(node.balance(SOMEBODY), U256::from(99));
        assert_eq!(node.ask("evm_revert", json!([snapshot])), json!(true));
        assert_eq!((node.height(), node.balance(SOMEBODY)), (0, U256::ZERO));
    }
    assert_eq!((&hashes[0], &hashes[1]), (&hashes[2], &hashes[3]));
    assert_ne!(hashes[0], hashes[1], "another state, another root");
}

#[test]
fn later_snapshots_go_with_earlier_ones_and_what_waits_stays() {
    let node = Node::new();
    let first = node.ask("anvil_snapshot", json!([]));
    node.ask("evm_increaseTime", json!([1000]));
    node.pay(payment());
    let second = node.ask("evm_snapshot", json!([]));
    node.ask("evm_setAutomine", json!([false]));
    let waiting = node.send(json!({ "from": BOB, "to": ALICE, "value": "0x1" }));
    let metadata = node.ask("hardhat_metadata", json!([]));
    assert_eq!(metadata["snapshots"].as_object().unwrap().len(), 2);
    assert_eq!(node.ask("anvil_revert", json!([first])), json!(true));
    assert_eq!(node.ask("evm_revert", json!([second])), json!(false));
    assert_eq!(node.ask("evm_revert", json!(["0x77"])), json!(false));
    assert_eq!(node.height(), 0);
    node.ask("evm_mine", json!([]));
    assert_eq!(node.block()["transactions"], json!([waiting]), "it was never in a block");
    assert_eq!(node.time(), START, "time is what it was");
    node.ask("anvil_mine", json!([4]));
    node.ask("anvil_rollback", json!([2]));
    assert_eq!(node.height(), 3);
    assert!(node.refusal("anvil_rollback", json!([9])).contains("depth 9"));
    assert_eq!(node.restart().height(), 3);
}

#[test]
fn a_reset_chain_is_as_new() {
    let node = Node::new();
    let genesis = node.block();
    let bob = node.balance(BOB);
    let before = node.ask("anvil_metadata", json!([]))["instanceId"].clone();
    node.ask("anvil_setBalance", json!([BOB, 1]));
    node.ask("evm_increaseTime", json!([1000]));
    node.ask("evm_setAutomine", json!([false]));
    node.ask("anvil_mine", json!([700]));
    node.send(payment());
    let snapshot = node.ask("evm_snapshot", json!([]));
    let refusal =
        node.refusal("hardhat_reset", json!([{ "forking": { "jsonRpcUrl": "http://localhost:1" } }]));
    assert!(refusal.contains("not supported"), "{refusal}");
    assert_eq!(node.height(), 700);
    node.ask("anvil_reset", json!([]));
    assert_eq!((node.block(), node.balance(BOB)), (genesis.clone(), bob));
    assert_eq!(node.ask("evm_revert", json!([snapshot])), json!(false));
    assert_ne!(node.ask("anvil_metadata", json!([]))["instanceId"], before);
    assert_eq!(node.ask("anvil_getAutomine", json!([])), json!(true));
    node.pay(payment());
    assert_eq!((node.height(), node.time()), (1, START));
    assert_eq!(node.ask("hardhat_reset", json!([{}])), json!(true));
    let node = node.restart();
    assert_eq!((node.block(), node.balance(BOB)), (genesis, bob));
    node.pay(payment());
}

#[test]
fn a_state_can_be_carried_to_another_chain() {
    let node = Node::new();
    let contract = address!("00000000000000000000000000000000000000cc");
    node.ask("anvil_setCode", json!([contract, "0x6001"]));
    node.ask("anvil_setStorageAt", json!([contract, "0x1", "0x2a"]));
    node.pay(json!({ "from": ALICE, "to": SOMEBODY, "value": "0x7" }));
    node.ask("anvil_addBalance", json!([SOMEBODY, 1]));
    let dumped = node.ask("anvil_dumpState", json!([]));

    let mut other = Node::new();
    assert_eq!(other.ask("anvil_loadState", json!([dumped])), json!(true));
    for _ in 0..2 {
        assert_eq!(other.balance(SOMEBODY), U256::from(8));
        assert_eq!((other.nonce(ALICE), other.balance(ALICE)), (1, node.balance(ALICE)));
        assert_eq!(other.ask("eth_getCode", json!([contract, "latest"])), json!("0x6001"));
        let slot = other.ask("eth_getStorageAt", json!([contract, "0x1", "latest"]));
        assert_eq!(slot, json!(format!("0x{:064x}", 42)));
        other = other.restart();
    }
    let plain = br#"{"accounts":{"0x00000000000000000000000000000000000000ab":{"nonce":"0x2","balance":"9","storage":{}}}}"#;
    let other = Node::new();
    other.ask("hardhat_loadState", json!([Bytes::from_static(plain)]));
    assert_eq!(other.balance(address!("00000000000000000000000000000000000000ab")), U256::from(9));
    other.pay(payment());
    for wrong in ["0x", "0x1f8b", "0x7b7d"] {
        assert!(other.refusal("anvil_loadState", json!([wrong])).contains("hint"), "{wrong}");
    }
}

#[test]
fn the_node_tells_what_it_is() {
    let node = Node::new();
    node.ask("evm_mine", json!([]));
    let info = node.ask("anvil_nodeInfo", json!([]));
    assert_eq!(info["currentBlockNumber"], json!("0x1"));
    assert_eq!(info["currentBlockTimestamp"], json!(START));
    assert_eq!(info["environment"]["chainId"], json!(31_337));
    let metadata = node.ask("anvil_metadata", json!([]));
    assert_eq!(metadata["latestBlockNumber"], json!(1));
    assert_eq!(metadata["latestBlockHash"], info["currentBlockHash"]);
}
