//! What is refused, and in which words.

use serde_json::json;

use super::{HASHES, RICH, error, node, result};

const SOMEBODY: &str = "0x00000000000000000000000000000000000000aa";

#[test]
fn a_slot_has_to_be_text() {
    let node = node();
    for slot in [json!(5), json!(true), json!({})] {
        let (code, words) = error(&node, "eth_getStorageAt", &json!([RICH, slot, "latest"]));
        assert_eq!(code, -32602, "{words}");
        assert!(words.starts_with("invalid argument 1: "), "{words}");
    }
    assert_eq!(result(&node, "eth_getStorageAt", &json!([RICH, "0x5"])), format!("0x{:064x}", 0));
}

#[test]
fn transfers_nobody_can_pay_are_refused_as_geth_does() {
    let node = node();
    let refused = |transfer| error(&node, "eth_estimateGas", &json!([transfer])).1;
    // 1 ether buys 1000 gas.
    let dear = json!({ "from": RICH, "to": SOMEBODY, "gasPrice": "0x38d7ea4c68000" });
    assert_eq!(refused(dear), "gas required exceeds allowance (1000)");
    let large = refused(json!({ "from": RICH, "to": SOMEBODY, "value": "0x1bc16d674ec80000" }));
    assert!(large.starts_with("failed with 30000000 gas: insufficient funds"), "{large}");
    let paid = json!({ "from": RICH, "to": SOMEBODY, "value": "0x1" });
    assert_eq!(result(&node, "eth_estimateGas", &json!([paid])), "0x5208");
}

#[test]
fn a_call_is_traced_in_front_of_a_transaction_that_is_there() {
    let refused =
        error(&node(), "debug_traceCall", &json!([{ "to": HASHES }, "latest", { "txIndex": "0x1" }]));
    assert!(refused.1.starts_with("transaction index 1 out of range for block 0x"), "{}", refused.1);
}
