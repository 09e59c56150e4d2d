//! What the official exchanges do not ask of `eth_simulateV1` and of overrides.

use serde_json::{Value, json};

use super::{HASHES, LOGS, RICH, SORRY, error, node, result};

const ELSEWHERE: &str = "0x000000000000000000000000000000000000c0de";
const IDENTITY: &str = "0x0000000000000000000000000000000000000004";
const SOMEBODY: &str = "0x00000000000000000000000000000000000000aa";

#[test]
fn precompiled_contracts_move_in_calls() {
    let node = node();
    let call = |to: &str, state: &Value| json!([{ "to": to, "input": "0x1234" }, "latest", state]);
    let moved = json!({ IDENTITY: { "movePrecompileToAddress": ELSEWHERE } });
    assert_eq!(result(&node, "eth_call", &call(IDENTITY, &json!({}))), "0x1234");
    assert_eq!(result(&node, "eth_call", &call(ELSEWHERE, &moved)), "0x1234");
    assert_eq!(result(&node, "eth_call", &call(IDENTITY, &moved)), "0x");
    let code =
        json!({ IDENTITY: { "code": "0x60056000526001601ff3", "movePrecompileToAddress": ELSEWHERE } });
    assert_eq!(result(&node, "eth_call", &call(IDENTITY, &code)), "0x05");
    assert_eq!(result(&node, "eth_call", &call(ELSEWHERE, &code)), "0x1234");
    let refused = |state: &Value| error(&node, "eth_call", &call(ELSEWHERE, state)).1;
    let none = json!({ ELSEWHERE: { "movePrecompileToAddress": SOMEBODY } });
    assert_eq!(refused(&none), "account 0x000000000000000000000000000000000000c0DE is not a precompile");
    let both = json!({ IDENTITY: { "movePrecompileToAddress": ELSEWHERE }, ELSEWHERE: { "balance": "0x1" } });
    assert_eq!(refused(&both), "account 0x000000000000000000000000000000000000c0DE is already overridden");
    let root = json!([{ "to": ELSEWHERE }, "latest", {}, { "beaconRoot": format!("0x{:064x}", 1) }]);
    let words = "block override \"beaconRoot\" is not supported for this RPC method";
    assert_eq!(error(&node, "eth_call", &root), (-32000, words.into()));
}

fn simulate(request: &Value) -> Value {
    result(&node(), "eth_simulateV1", &json!([request, "latest"]))
}

#[test]
fn logs_that_are_taken_back_keep_their_numbers() {
    let calls = json!([{ "to": SORRY }, { "from": RICH, "to": SOMEBODY, "value": "0x7" }, { "to": LOGS }]);
    let shown = simulate(&json!({ "blockStateCalls": [{ "calls": calls }], "traceTransfers": true }));
    let calls = &shown[0]["calls"];
    assert_eq!(calls[0]["logs"], json!([]));
    assert_eq!(calls[0]["error"]["code"], 3);
    let transfer = &calls[1]["logs"][0];
    assert_eq!(transfer["address"], "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
    assert_eq!(transfer["data"], format!("0x{:064x}", 7));
    assert_eq!(transfer["logIndex"], "0x1");
    assert_eq!(transfer["blockHash"], shown[0]["hash"]);
    assert_eq!(transfer["transactionHash"], shown[0]["transactions"][1]);
    assert_eq!(calls[2]["logs"][0]["logIndex"], "0x2");
}

#[test]
fn blocks_see_those_before_them() {
    let blocks = json!([{ "calls": [{ "to": HASHES }] }, {}, { "calls": [{ "to": HASHES }] }]);
    let shown = simulate(&json!({ "blockStateCalls": blocks }));
    assert_eq!(shown[0]["calls"][0]["returnData"], shown[0]["parentHash"]);
    assert_eq!(shown[2]["calls"][0]["returnData"], shown[1]["hash"]);
    assert_eq!(shown[2]["parentHash"], shown[1]["hash"]);
}

#[test]
fn withdrawals_are_paid_and_gaps_filled() {
    let paid = json!([{ "index": "0x0", "validatorIndex": "0x1", "address": SOMEBODY, "amount": "0x2" }]);
    let request = json!({ "blockStateCalls": [
        { "blockOverrides": { "number": "0x3", "withdrawals": paid } },
        { "calls": [{ "from": SOMEBODY, "to": LOGS, "value": "0x77359400" }] },
    ] });
    let shown = simulate(&request);
    let numbers: Vec<_> = shown.as_array().unwrap().iter().map(|block| block["number"].clone()).collect();
    assert_eq!(numbers, ["0x1", "0x2", "0x3", "0x4"]);
    assert_eq!(shown[2]["withdrawals"], paid);
    assert_eq!(shown[3]["calls"][0]["status"], "0x1");
}

#[test]
fn legacy_transactions_are_shown_without_a_signature() {
    let request = json!({
        "blockStateCalls": [{ "calls": [{ "from": RICH, "to": SOMEBODY, "gas": "0x5208", "gasPrice": "0x0" }] }],
        "returnFullTransactions": true,
    });
    let tx = &simulate(&request)[0]["transactions"][0];
    assert_eq!(tx["type"], "0x0");
    assert_eq!((&tx["v"], &tx["r"], &tx["s"]), (&json!("0x0"), &json!("0x0"), &json!("0x0")));
    assert_eq!(tx["from"], RICH);
    // Keccak-256 of its RLP with three zeros for a signature.
    let to: alloy_primitives::Address = SOMEBODY.parse().unwrap();
    let fields: [&[u8]; 4] =
        [&[0x80, 0x80, 0x82, 0x52, 0x08, 0x94], to.as_slice(), &[0x80, 0x80], &[0x80; 3]];
    let fields = fields.concat();
    let raw = [&[0xc0 + fields.len() as u8], fields.as_slice()].concat();
    assert_eq!(tx["hash"], alloy_primitives::keccak256(raw).to_string());
}

#[test]
fn codes_say_why_a_simulation_stops() {
    let node = node();
    let block = |validates: bool, call: Value| json!([{ "blockStateCalls": [{ "calls": [call] }], "validation": validates }, "latest"]);
    let fees = json!({ "maxFeePerGas": "0xffffffffff" });
    let with = |more: Value| {
        let mut call = json!({ "from": RICH, "to": SOMEBODY, "gas": "0x5208" });
        for fields in [&fees, &more] {
            call.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        }
        call
    };
    for (expected, call) in [
        (-38011, with(json!({ "nonce": "0x5" }))),
        (-38012, with(json!({ "maxFeePerGas": "0x1" }))),
        (-38013, with(json!({ "gas": "0x5207" }))),
        (-38014, with(json!({ "value": "0xde0b6b3a7640000" }))),
        (-38015, with(json!({ "gas": "0x1c9c381" }))),
        (-32602, with(json!({ "maxPriorityFeePerGas": "0xfffffffffff" }))),
        (-32000, with(json!({ "chainId": "0x1" }))),
    ] {
        let (code, words) = error(&node, "eth_simulateV1", &block(true, call));
        assert_eq!(code, expected, "{words}");
    }
    let (code, words) = error(&node, "eth_simulateV1", &json!([{ "blockStateCalls": [] }]));
    assert_eq!((code, words.as_str()), (-32602, "empty input"));
    let far = json!([{ "blockStateCalls": [{ "blockOverrides": { "number": "0x101" } }] }]);
    assert_eq!(error(&node, "eth_simulateV1", &far), (-38026, "too many blocks".into()));
}
