//! When blocks are made and what they say.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::node::{ALICE, BOB, Node, START};

#[test]
fn blocks_are_made_as_asked() {
    let node = Node::new();
    assert_eq!(node.ask("evm_mine", json!([])), json!("0x0"));
    assert_eq!((node.height(), node.time()), (1, START));
    node.ask("evm_mine", json!([START + 50]));
    assert_eq!((node.height(), node.time()), (2, START + 50));
    node.ask("evm_mine", json!([{ "timestamp": START + 60, "blocks": 3 }]));
    assert_eq!((node.height(), node.time()), (5, START + 62), "later blocks follow as closely as they may");
    node.ask("hardhat_mine", json!(["0x3", "0x10"]));
    assert_eq!((node.height(), node.time()), (8, START + 63 + 32), "the interval lies between blocks");
    node.ask("anvil_mine", json!([2, 10]));
    assert_eq!((node.height(), node.time()), (10, START + 95 + 20), "and before the first");
    node.ask("anvil_mine", json!(["0"]));
    assert_eq!(node.height(), 10);
    let shown = node.ask("evm_mine_detailed", json!([{ "blocks": 2 }]));
    let numbers: Vec<_> = shown.as_array().unwrap().iter().map(|block| block["number"].clone()).collect();
    assert_eq!(numbers, [json!("0xb"), json!("0xc")]);
    let all = node.ask("eth_getBlockByNumber", json!(["finalized", false]));
    assert_eq!(all["number"], json!("0xc"), "every block is final");

    assert!(node.refusal("anvil_mine", json!([100_001])).contains("at most 100000"));
    assert!(node.refusal("evm_mine", json!([START])).contains("not later than the last block's"));
    assert!(node.refusal("anvil_mine", json!(["many"])).contains("is no number"));
}

#[test]
fn a_block_comes_with_a_transaction_at_intervals_or_not_at_all() {
    let node = Node::new();
    let payment = json!({ "from": ALICE, "to": BOB, "value": "0x1" });
    assert_eq!(node.ask("anvil_getAutomine", json!([])), json!(true));
    node.pay(payment.clone());
    assert_eq!(node.height(), 1);

    node.ask("evm_setAutomine", json!([false]));
    assert_eq!(node.ask("hardhat_getAutomine", json!([])), json!(false));
    let (first, second) = (node.send(payment.clone()), node.send(payment.clone()));
    thread::sleep(Duration::from_millis(30));
    assert_eq!(node.height(), 1);
    node.ask("evm_mine", json!([]));
    assert_eq!(node.block()["transactions"], json!([first, second]));

    let waiting = node.send(payment.clone());
    node.ask("evm_setAutomine", json!([true]));
    for _ in 0..5000 {
        if !node.ask("eth_getTransactionReceipt", json!([waiting])).is_null() {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(node.block()["transactions"], json!([waiting]));

    node.ask("anvil_setIntervalMining", json!([1]));
    assert_eq!(node.ask("anvil_getIntervalMining", json!([])), json!(1));
    assert_eq!(node.ask("anvil_getAutomine", json!([])), json!(false));
    let before = node.height();
    for _ in 0..5000 {
        if node.height() > before {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert!(node.height() > before);
    node.ask("evm_setIntervalMining", json!([0]));
    assert_eq!(node.ask("anvil_getIntervalMining", json!([])), Value::Null);
}

#[test]
fn time_is_what_the_caller_says() {
    let node = Node::new();
    assert_eq!(node.ask("evm_increaseTime", json!(["0x64"])), json!(100));
    assert_eq!(node.ask("anvil_increaseTime", json!([100])), json!(200));
    node.ask("evm_mine", json!([]));
    assert_eq!(node.time(), START + 200);
    node.ask("evm_setNextBlockTimestamp", json!([START + 4_000_000_000_u64]));
    node.ask("evm_mine", json!([]));
    assert_eq!(node.time(), START + 4_000_000_000);
    node.ask("evm_mine", json!([]));
    assert_eq!(node.time(), START + 4_000_000_001, "time goes on from there");
    assert!(node.refusal("evm_setNextBlockTimestamp", json!([START])).contains("hint: give"));
    assert_eq!(node.ask("evm_setTime", json!([START + 5_000_000_000_u64])), json!(999_999_999 + 1));
    node.ask("evm_mine", json!([]));
    assert_eq!(node.time(), START + 5_000_000_000);
    node.ask("anvil_setBlockTimestampInterval", json!([12]));
    node.ask("anvil_mine", json!([2]));
    assert_eq!(node.time(), START + 5_000_000_024);
    assert_eq!(node.ask("anvil_removeBlockTimestampInterval", json!([])), json!(true));
    assert_eq!(node.ask("anvil_removeBlockTimestampInterval", json!([])), json!(false));
    assert_eq!(node.ask("anvil_getGenesisTime", json!([])), json!(START - 1000));
    assert_eq!(node.restart().time(), START + 5_000_000_024);
}

#[test]
fn the_next_block_says_what_was_wished_for() {
    let node = Node::new();
    let randomness = format!("0x{:064x}", 7);
    node.ask("hardhat_setNextBlockBaseFeePerGas", json!(["0x2540be400"]));
    node.ask("evm_setBlockGasLimit", json!(["0x1c9c380"]));
    node.ask("hardhat_setCoinbase", json!([BOB]));
    node.ask("hardhat_setPrevRandao", json!([randomness]));
    node.pay(json!({ "from": ALICE, "to": ALICE }));
    let block = node.block();
    assert_eq!(block["baseFeePerGas"], json!("0x2540be400"));
    assert_eq!(block["gasLimit"], json!("0x1c9c380"));
    assert_eq!(block["miner"].as_str().unwrap().to_lowercase(), BOB.to_string().to_lowercase());
    assert_eq!(block["mixHash"], json!(randomness));
    node.ask("evm_mine", json!([]));
    let block = node.block();
    assert_ne!(block["baseFeePerGas"], json!("0x2540be400"), "it was for one block");
    assert_eq!(block["gasLimit"], json!("0x1c9c380"), "it stays");
    assert_eq!(block["mixHash"], json!(format!("0x{:064x}", 0)));

    node.ask("anvil_setNextBlockBaseFeePerGas", json!([0]));
    node.pay(json!({ "from": ALICE, "to": BOB, "gasPrice": "0x0" }));
    assert_eq!(node.block()["baseFeePerGas"], json!("0x0"));
    assert!(node.refusal("anvil_setMinGasPrice", json!([1])).contains("EIP-1559"));
    assert!(node.refusal("evm_setBlockGasLimit", json!([1])).contains("hint"));
    node.ask("evm_setBlockGasLimit", json!([500_000_000]));
    let large = json!({ "from": ALICE, "to": BOB, "gas": format!("{:#x}", 16_000_000) });
    node.pay(large);
    let block = node.block();
    assert_eq!(node.restart().block(), block);
}

#[test]
fn transactions_that_wait_can_be_dropped() {
    let node = Node::new();
    node.ask("evm_setAutomine", json!([false]));
    let payment = |from| json!({ "from": from, "to": BOB, "value": "0x1" });
    let (first, _) = (node.send(payment(ALICE)), node.send(payment(ALICE)));
    node.send(payment(BOB));
    assert_eq!(node.ask("anvil_dropTransaction", json!([first])), first);
    assert_eq!(node.ask("anvil_dropTransaction", json!([first])), Value::Null);
    assert_eq!(node.ask("hardhat_dropTransaction", json!([first])), json!(false));
    assert_eq!(node.ask("txpool_status", json!([])), json!({ "pending": "0x1", "queued": "0x1" }));
    node.ask("anvil_removePoolTransactions", json!([ALICE]));
    assert_eq!(node.ask("txpool_status", json!([])), json!({ "pending": "0x1", "queued": "0x0" }));
    node.ask("hardhat_dropAllTransactions", json!([]));
    node.ask("evm_mine", json!([]));
    assert_eq!(node.block()["transactions"], json!([]));
}

#[test]
fn who_does_not_seal_says_so() {
    let node = Node::follower();
    for (name, params) in [
        ("evm_mine", json!([])),
        ("evm_snapshot", json!([])),
        ("evm_increaseTime", json!([1])),
        ("anvil_setBalance", json!([BOB, 1])),
        ("evm_setBlockGasLimit", json!([30_000_000])),
    ] {
        assert!(node.refusal(name, params).contains("does not make the chain's blocks"), "{name}");
    }
}
