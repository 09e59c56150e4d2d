//! Transactions by RPC: read, sent, tested, refused.

use corepc_types::v31;
use serde_json::{Value, json};

use super::*;

#[test]
fn a_transaction_waits_in_the_pool_and_is_confirmed() {
    let (node, outpoint, value) = TestNode::funded();
    let tx = spend(outpoint, value, 1000);
    let id = tx.txid().to_string();
    assert_eq!(node.ok("sendrawtransaction", json!([hex(&tx)])), id);
    assert_eq!(node.ok("sendrawtransaction", json!([hex(&tx)])), id, "once more is no error");
    assert_eq!(node.ok("getrawmempool", json!([])), json!([id]));
    let info: v31::GetMempoolInfo = node.typed("getmempoolinfo", json!([]));
    assert_eq!((info.size, info.bytes), (1, tx.vsize() as i64));
    let _: v31::GetMempoolEntry = node.typed("getmempoolentry", json!([id]));
    let _: v31::GetRawMempoolVerbose = node.typed("getrawmempool", json!([true]));
    let entry = node.ok("getmempoolentry", json!([id]));
    assert_eq!(entry["fees"]["base"].to_string(), "0.00001000");
    let block = node.mine(1).remove(0);
    assert_eq!(node.ok("getrawmempool", json!([])), json!([]));
    let shown: v31::GetRawTransactionVerbose = node.typed("getrawtransaction", json!([id, 1, block]));
    assert_eq!((shown.confirmations, shown.in_active_chain), (Some(1), Some(true)));
    let detailed = node.ok("getrawtransaction", json!([id, 2, block]));
    assert_eq!(detailed["fee"].to_string(), "0.00001000");
    assert_eq!(detailed["vin"][0]["prevout"]["generated"], true);
    let block = node.ok("getblock", json!([block, 3]));
    assert_eq!(block["tx"][1]["fee"].to_string(), "0.00001000");
    assert_eq!(block["tx"][1]["vin"][0]["prevout"]["height"], 1);
    node.check_error("sendrawtransaction", json!([hex(&tx)]), -27, "Transaction outputs already in utxo set");
}

#[test]
fn chains_of_transactions_show_fees_of_coins_made_in_the_same_block() {
    let (node, outpoint, value) = TestNode::funded();
    let parent = spend(outpoint, value, 1000);
    let child = spend(OutPoint { txid: parent.txid(), index: 0 }, value - 1000, 2000);
    node.ok("sendrawtransaction", json!([hex(&parent)]));
    node.ok("sendrawtransaction", json!([hex(&child)]));
    let child_id = child.txid().to_string();
    let entry = node.ok("getmempoolentry", json!([child_id]));
    assert_eq!(
        (&entry["ancestorcount"], &entry["depends"]),
        (&json!(2), &json!([parent.txid().to_string()]))
    );
    assert_eq!(node.ok("getmempoolancestors", json!([child_id])), json!([parent.txid().to_string()]));
    let spent = json!([{"txid": parent.txid().to_string(), "vout": 0}]);
    assert_eq!(node.ok("gettxspendingprevout", json!([spent]))[0]["spendingtxid"], child_id);
    let block = node.mine(1).remove(0);
    let block = node.ok("getblock", json!([block, 2]));
    assert_eq!(block["tx"][2]["fee"].to_string(), "0.00002000");
}

#[test]
fn refused_transactions_have_the_reference_nodes_codes_and_words() {
    let (node, outpoint, value) = TestNode::funded();
    let decode = "TX decode failed. Make sure the tx has at least one input.";
    node.check_error("sendrawtransaction", json!(["00"]), -22, decode);
    let unknown = spend(OutPoint { index: 7, ..outpoint }, value, 1000);
    node.check_error("sendrawtransaction", json!([hex(&unknown)]), -25, "bad-txns-inputs-missingorspent");
    let generous = spend(outpoint, value, 100_000_000);
    let too_much = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)";
    node.check_error("sendrawtransaction", json!([hex(&generous)]), -25, too_much);
    node.check_error(
        "sendrawtransaction",
        json!([hex(&generous), 1]),
        -8,
        "Fee rates larger than or equal to 1BTC/kvB are not accepted",
    );
    node.check_error("sendrawtransaction", json!([hex(&generous), "x"]), -3, "Invalid amount");
    let free = spend(outpoint, value, 0);
    let refused = node.call("sendrawtransaction", json!([hex(&free)])).unwrap_err();
    assert_eq!(refused.code, -26);
    assert!(refused.message.starts_with("min relay fee not met, 0 < "), "{}", refused.message);
    let mut burning = spend(outpoint, value, 1000).parts().clone();
    burning.outputs[0].script_pubkey = Script::from(vec![0x6a]);
    let burnt = "Unspendable output exceeds maximum configured by user (maxburnamount)";
    node.check_error("sendrawtransaction", json!([hex(&Transaction::new(burning))]), -25, burnt);
    assert_eq!(node.ok("sendrawtransaction", json!([hex(&generous), 0])), generous.txid().to_string());
}

#[test]
fn acceptance_is_tested_without_keeping_anything() {
    let (node, outpoint, value) = TestNode::funded();
    let good = spend(outpoint, value, 1000);
    let answer = node.ok("testmempoolaccept", json!([[hex(&good)]]));
    let _: v31::TestMempoolAccept = node.typed("testmempoolaccept", json!([[hex(&good)]]));
    assert_eq!((&answer[0]["allowed"], &answer[0]["vsize"]), (&json!(true), &json!(good.vsize())));
    assert_eq!(answer[0]["fees"]["base"].to_string(), "0.00001000");
    assert_eq!(node.ok("getrawmempool", json!([])), json!([]));
    let missing = spend(OutPoint { index: 7, ..outpoint }, value, 1000);
    let answer = node.ok("testmempoolaccept", json!([[hex(&missing)]]));
    assert_eq!(
        (&answer[0]["allowed"], &answer[0]["reject-reason"]),
        (&json!(false), &json!("missing-inputs"))
    );
    let answer = node.ok("testmempoolaccept", json!([[hex(&good)], "0.00000100"]));
    assert_eq!(answer[0]["reject-reason"], "max-fee-exceeded");
    let count = "Array must contain between 1 and 25 transactions.";
    node.check_error("testmempoolaccept", json!([[]]), -8, count);
}

/// What `testmempoolaccept` says of a package, as `allowed`, reason or package error of each.
fn judge(node: &TestNode, package: &[&Transaction]) -> Vec<Value> {
    let raw: Vec<String> = package.iter().map(|tx| hex(tx)).collect();
    let answer = node.ok("testmempoolaccept", json!([raw]));
    let word = |one: &Value| {
        let said = ["reject-reason", "package-error", "allowed"].map(|field| one[field].clone());
        said.into_iter().find(|value| !value.is_null()).unwrap_or_default()
    };
    assert_eq!(node.ok("getrawmempool", json!([])), json!([]), "nothing is kept");
    answer.as_array().unwrap().iter().map(word).collect()
}

#[test]
fn a_package_is_judged_in_order() {
    let (node, outpoint, value) = TestNode::funded();
    let output = |tx: &Transaction| OutPoint { txid: tx.txid(), index: 0 };
    let parent = spend(outpoint, value, 1000);
    let child = spend(output(&parent), value - 1000, 2000);
    let grandchild = spend(output(&child), value - 3000, 3000);
    assert_eq!(judge(&node, &[&parent, &child, &grandchild]), [json!(true), json!(true), json!(true)]);
    let _: v31::TestMempoolAccept = node.typed("testmempoolaccept", json!([[hex(&parent), hex(&child)]]));
    let answer = node.ok("testmempoolaccept", json!([[hex(&parent), hex(&child)]]));
    assert_eq!(answer[1]["fees"]["base"].to_string(), "0.00002000");
    assert_eq!(judge(&node, &[&child]), ["missing-inputs"]);
    // After a failure that needs no script nothing is known of the others.
    let missing = spend(OutPoint { index: 7, ..outpoint }, value, 1000);
    assert_eq!(
        judge(&node, &[&parent, &missing, &child]),
        [Value::Null, "missing-inputs".into(), Value::Null]
    );
    let mut parts = child.parts().clone();
    parts.inputs[0].witness = Witness::from_items([[0x00]]);
    let unlucky = Transaction::new(parts);
    let word = judge(&node, &[&parent, &unlucky]);
    assert_eq!(word[0], json!(true), "scripts come last: {word:?}");
    assert!(word[1].as_str().unwrap().starts_with("mempool-script-verify-flag-failed"), "{word:?}");
    for (package, error) in [
        ([&child, &parent], "package-not-sorted"),
        ([&parent, &parent], "package-contains-duplicates"),
        ([&parent, &spend(outpoint, value, 5000)], "conflict-in-package"),
    ] {
        assert_eq!(judge(&node, &package), [error, error]);
    }
}

#[test]
fn a_package_replaces_nothing() {
    let (node, outpoint, value) = TestNode::funded();
    let pooled = spend(outpoint, value, 1000);
    let better = spend(outpoint, value, 50_000);
    let child = spend(OutPoint { txid: better.txid(), index: 0 }, value - 50_000, 1000);
    node.ok("sendrawtransaction", json!([hex(&pooled)]));
    let alone = node.ok("testmempoolaccept", json!([[hex(&better)]]));
    assert_eq!(alone[0]["allowed"], true);
    let answer = node.ok("testmempoolaccept", json!([[hex(&better), hex(&child)]]));
    assert_eq!(answer[0]["reject-reason"], "bip125-replacement-disallowed");
    let answer = node.ok("testmempoolaccept", json!([[hex(&pooled), hex(&child)]]));
    assert_eq!(answer[0]["reject-reason"], "txn-already-in-mempool");
}

#[test]
fn every_change_of_the_pool_has_a_number() {
    let (node, outpoint, value) = TestNode::funded();
    let sequence = || node.ok("getrawmempool", json!([false, true]))["mempool_sequence"].as_u64().unwrap();
    let before = sequence();
    let tx = spend(outpoint, value, 1000);
    node.ok("sendrawtransaction", json!([hex(&tx)]));
    assert_eq!(sequence(), before + 1);
    node.ok("testmempoolaccept", json!([[hex(&spend(outpoint, value, 50_000))]]));
    assert_eq!(sequence(), before + 1, "judging is no change");
    node.mine(1);
    assert_eq!(sequence(), before + 2, "mined: gone");
}

#[test]
fn unknown_transactions_are_answered_in_the_reference_nodes_words() {
    let node = TestNode::start();
    let id = "22".repeat(32);
    let message = "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain \
                   transaction queries. Use gettransaction for wallet transactions.";
    node.check_error("getrawtransaction", json!([id]), -5, message);
    let tip = node.mine(1).remove(0);
    let message =
        "No such transaction found in the provided block. Use gettransaction for wallet transactions.";
    node.check_error("getrawtransaction", json!([id, true, tip]), -5, message);
    node.check_error("getrawtransaction", json!([id, true, id]), -5, "Block hash not found");
    let genesis = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";
    let message =
        "The genesis block coinbase is not considered an ordinary transaction and cannot be retrieved";
    node.check_error("getrawtransaction", json!([genesis]), -5, message);
    node.check_error("getmempoolentry", json!([id]), -5, "Transaction not in mempool");
}

#[test]
fn coins_are_found_in_chain_and_pool() {
    let (node, outpoint, value) = TestNode::funded();
    let ask = |node: &TestNode, outpoint: &OutPoint, with_pool: bool| {
        node.ok("gettxout", json!([outpoint.txid.to_string(), outpoint.index, with_pool]))
    };
    let _: v31::GetTxOut = node.typed("gettxout", json!([outpoint.txid.to_string(), 0]));
    let coin = ask(&node, &outpoint, true);
    assert_eq!((&coin["confirmations"], &coin["coinbase"]), (&json!(101), &json!(true)));
    assert_eq!(coin["value"].to_string(), "50.00000000");
    let tx = spend(outpoint, value, 1000);
    node.ok("sendrawtransaction", json!([hex(&tx)]));
    assert_eq!(ask(&node, &outpoint, true), Value::Null);
    assert_eq!(ask(&node, &outpoint, false)["confirmations"], 101);
    let new = OutPoint { txid: tx.txid(), index: 0 };
    assert_eq!(ask(&node, &new, true)["confirmations"], 0);
    assert_eq!(ask(&node, &new, false), Value::Null);
}

#[test]
fn all_coins_are_counted_and_hashed() {
    let (node, ..) = TestNode::funded();
    for (kind, field) in [("muhash", "muhash"), ("hash_serialized_3", "hash_serialized_3")] {
        let info = node.ok("gettxoutsetinfo", json!([kind]));
        let _: v31::GetTxOutSetInfo = node.typed("gettxoutsetinfo", json!([kind]));
        assert_eq!(info[field].as_str().unwrap().len(), 64);
        assert_eq!(info["txouts"], 101);
        assert_eq!(info["total_amount"].to_string(), "5050.00000000");
    }
    assert_eq!(node.ok("gettxoutsetinfo", json!(["none"])).get("muhash"), None);
    node.check_error("gettxoutsetinfo", json!(["sha1"]), -8, "'sha1' is not a valid hash_type");
}

#[test]
fn bytes_are_decoded() {
    let node = TestNode::start();
    let tx = spend(OutPoint { txid: chainwright_utxo::hash::Txid([3; 32]), index: 1 }, 5000, 0);
    let _: v31::DecodeRawTransaction = node.typed("decoderawtransaction", json!([hex(&tx)]));
    let shown = node.ok("decoderawtransaction", json!([hex(&tx)]));
    assert_eq!(shown["vin"][0]["txinwitness"], json!(["51"]));
    assert_eq!(shown["vout"][0]["scriptPubKey"]["address"], address());
    node.check_error("decoderawtransaction", json!(["zz"]), -22, "TX decode failed");
    let _: v31::DecodeScript = node.typed("decodescript", json!(["51"]));
    let script = node.ok("decodescript", json!(["51"]));
    assert_eq!((&script["asm"], &script["type"]), (&json!("1"), &json!("nonstandard")));
    assert_eq!(script["segwit"]["address"], address());
    assert_eq!(
        node.ok("decodescript", json!(["6a"])),
        json!({"asm": "OP_RETURN", "desc": "raw(6a)#4mhr9ur5", "type": "nulldata"})
    );
}
