//! State and accounts changed by hand.

use alloy_primitives::{Address, U256, address};
use serde_json::{Value, json};

use crate::node::{ALICE, BOB, Node};

const SOMEBODY: Address = address!("00000000000000000000000000000000000000aa");
const CONTRACT: Address = address!("00000000000000000000000000000000000000cc");
/// Returns what slot 1 holds.
const READS_SLOT_1: &str = "0x60015460005260206000f3";

fn ether(count: u64) -> U256 {
    U256::from(count) * U256::from(10).pow(U256::from(18))
}

fn read(node: &Node) -> Value {
    node.ask("eth_call", json!([{ "to": CONTRACT }, "latest"]))
}

fn word(number: u64) -> Value {
    json!(format!("0x{number:064x}"))
}

#[test]
fn every_part_of_an_account_can_be_set_and_is_there_after_a_restart() {
    let mut node = Node::new();
    for at_genesis in [true, false] {
        if !at_genesis {
            node.ask("evm_mine", json!([]));
        }
        let before = node.block();
        node.ask("anvil_setBalance", json!([SOMEBODY, "0xde0b6b3a7640000"]));
        node.ask("anvil_addBalance", json!([SOMEBODY, "1"]));
        node.ask("hardhat_setNonce", json!([SOMEBODY, "0x7"]));
        node.ask("hardhat_setCode", json!([CONTRACT, READS_SLOT_1]));
        let value = if at_genesis { 42 } else { 43 };
        assert_eq!(node.ask("anvil_setStorageAt", json!([CONTRACT, "0x1", word(value)])), json!(true));
        for _ in 0..2 {
            assert_eq!(node.balance(SOMEBODY), ether(1) + U256::ONE);
            assert_eq!(node.nonce(SOMEBODY), 7);
            assert_eq!(node.ask("eth_getCode", json!([CONTRACT, "latest"])), json!(READS_SLOT_1));
            assert_eq!(read(&node), word(value));
            assert_eq!(node.block(), before, "no block was made");
            node = node.restart();
        }
    }
    // What was changed at genesis is in block 1, and what the chain was before it is still there.
    assert_eq!(node.ask("eth_getStorageAt", json!([CONTRACT, "0x1", "0x1"])), word(43));
    assert_eq!(node.ask("eth_getStorageAt", json!([CONTRACT, "0x1", "0x0"])), word(42));
    node.ask("anvil_setBalance", json!([SOMEBODY, 0]));
    node.ask("evm_setAccountNonce", json!([SOMEBODY, 0]));
    node.ask("anvil_mine", json!([3]));
    assert_eq!(node.balance(SOMEBODY), U256::ZERO);
    assert_eq!(node.restart().ask("eth_getStorageAt", json!([CONTRACT, "0x1", "latest"])), word(43));
}

#[test]
fn a_block_after_a_change_has_the_root_of_the_changed_state() {
    let node = Node::new();
    node.ask("anvil_setBalance", json!([SOMEBODY, "0x1234"]));
    let unchanged = node.ask("eth_getProof", json!([SOMEBODY, [], "latest"]));
    assert_eq!(unchanged["balance"], json!("0x0"), "a proof is of what the header commits to");
    node.pay(json!({ "from": ALICE, "to": BOB, "value": "0x1" }));
    let proven = node.ask("eth_getProof", json!([SOMEBODY, [], "latest"]));
    assert_eq!(proven["balance"], json!("0x1234"));
    assert!(!proven["accountProof"].as_array().unwrap().is_empty());
    let trace = node.ask("debug_traceBlockByNumber", json!(["latest", { "tracer": "callTracer" }]));
    assert!(trace[0]["result"]["error"].is_null(), "{trace}");
}

#[test]
fn money_by_hand_can_be_spent_and_a_nonce_by_hand_is_used() {
    let node = Node::new();
    node.ask("hardhat_setNonce", json!([ALICE, "0x64"]));
    node.ask("hardhat_setBalance", json!([BOB, "0x0"]));
    assert!(
        node.refusal("eth_sendTransaction", json!([{ "from": BOB, "to": ALICE, "gas": "0x5208" }]))
            .contains("insufficient funds")
    );
    let receipt = node.pay(json!({ "from": ALICE, "to": BOB, "value": "0xde0b6b3a7640000" }));
    assert_eq!(receipt["status"], json!("0x1"));
    let sent = node.ask("eth_getTransactionByHash", json!([receipt["transactionHash"]]));
    assert_eq!(sent["nonce"], json!("0x64"));
    assert_eq!((node.nonce(ALICE), node.balance(BOB)), (101, ether(1)));
    node.pay(json!({ "from": BOB, "to": ALICE, "value": "0x1" }));
}

#[test]
fn what_waits_for_money_or_a_nonce_follows_a_change_by_hand() {
    let node = Node::new();
    node.ask("evm_setAutomine", json!([false]));
    let gapped = node.send(json!({ "from": ALICE, "to": BOB, "nonce": "0x5", "gas": "0x5208" }));
    node.ask("anvil_setNonce", json!([ALICE, 5]));
    node.ask("evm_mine", json!([]));
    assert_eq!(node.block()["transactions"], json!([gapped]));
}

#[test]
fn anybody_can_be_impersonated_a_contract_too() {
    let mut node = Node::new();
    let payment = json!({ "from": CONTRACT, "to": BOB, "value": "0x1" });
    node.ask("hardhat_setCode", json!([CONTRACT, READS_SLOT_1]));
    node.ask("hardhat_setBalance", json!([CONTRACT, "0xde0b6b3a7640000"]));
    assert_eq!(node.refusal("eth_sendTransaction", json!([payment])), "unknown account");
    node.ask("hardhat_impersonateAccount", json!([CONTRACT]));
    let accounts = node.ask("eth_accounts", json!([]));
    assert!(accounts.as_array().unwrap().iter().any(|one| one.as_str().unwrap().ends_with("cc")));
    let receipt = node.pay(payment.clone());
    assert_eq!(receipt["status"], json!("0x1"));
    let lower = CONTRACT.to_string().to_lowercase();
    assert_eq!(receipt["from"].as_str().unwrap().to_lowercase(), lower);
    let create = node.pay(json!({ "from": CONTRACT, "data": "0x00", "type": "0x0" }));
    assert_eq!(create["status"], json!("0x1"));
    for _ in 0..2 {
        let block = node.ask("eth_getBlockByNumber", json!(["latest", true]));
        assert_eq!(block["transactions"][0]["from"].as_str().unwrap().to_lowercase(), lower);
        let trace = node
            .ask("debug_traceTransaction", json!([receipt["transactionHash"], { "tracer": "callTracer" }]));
        assert_eq!(trace["from"].as_str().unwrap().to_lowercase(), lower);
        node = node.restart();
    }
    assert_eq!(node.refusal("eth_sendTransaction", json!([payment])), "unknown account", "after a restart");
    node.ask("anvil_impersonateAccount", json!([CONTRACT]));
    node.ask("anvil_stopImpersonatingAccount", json!([CONTRACT]));
    assert_eq!(node.refusal("eth_sendTransaction", json!([payment])), "unknown account");
    node.ask("eth_sendUnsignedTransaction", json!([payment]));
    node.ask("anvil_autoImpersonateAccount", json!([true]));
    node.pay(payment);
}

#[test]
fn nothing_is_changed_under_those_who_follow() {
    let node = Node::new();
    node.host.peers.lock().push(chainwright_rpc::PeerInfo::default());
    let refusal = node.refusal("anvil_setBalance", json!([BOB, 1]));
    assert!(refusal.contains("other nodes follow this chain"), "{refusal}");
    assert!(node.refusal("evm_revert", json!([node.ask("evm_snapshot", json!([]))])).contains("other nodes"));
    node.ask("evm_mine", json!([]));
}
