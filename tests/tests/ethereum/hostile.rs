//! Bytes that are no blocks, no transactions and no calls: each is refused in words, soon, and nothing is the worse for it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use alloy_primitives::{Bytes, TxKind, hex};
use chainwright_tests::{ChainNode, RpcError, Running, chainwright, wait_until};
use serde_json::{Value, json};

use crate::account::{ALICE, BOB, quick_chain};

const LIMIT: Duration = Duration::from_mins(1);
const MINER: [&str; 2] = ["--mine=0xc0ffee0000000000000000000000000000000000", "--block-time=50ms"];

/// Imports a file; whether it was taken, and what was said.
#[track_caller]
fn import(place: &Path, name: &str, data: &str) -> (bool, String) {
    let log = place.join("import.out");
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new(chainwright());
    command.args(["import", "--chain=quick.toml", "--datadir", data, name]).current_dir(place);
    let mut running = Running::start("import", &mut command, &log);
    let ended = running.wait(LIMIT).unwrap_or_else(|| panic!("{name}: the import does not end"));
    let said = running.log();
    assert!(!said.contains("panicked"), "{name}: {said}");
    (ended.success(), said)
}

/// A list of RLP with this content.
fn list(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    [&[0xfb][..], &length, content].concat()
}

#[test]
fn files_that_are_no_chain_are_refused_and_spoil_nothing() {
    let place = tempfile::tempdir().expect("the system has a temporary folder");
    let mut node = ChainNode::start(&quick_chain(place.path()), &place.path().join("writer"), &MINER);
    for nonce in 0..10 {
        let sent = ALICE.sign(nonce, TxKind::Call(BOB.address), 1, Bytes::new());
        node.call("eth_sendRawTransaction", json!([sent.raw]));
    }
    wait_until("there are some blocks", LIMIT, || node.head().0 >= 10);
    node.process().terminate(LIMIT).expect("our node stops when asked");
    let export = ["export", "--chain=quick.toml", "--datadir=writer", "chain.rlp"];
    let exported = Command::new(chainwright()).args(export).current_dir(place.path()).output();
    assert!(exported.is_ok_and(|output| output.status.success()));
    let whole = std::fs::read(place.path().join("chain.rlp")).expect("the file was written");
    let first = 3 + usize::from(whole[1]) * 256 + usize::from(whole[2]);
    assert_eq!(whole[0], 0xf9, "the first block is a list with two bytes of length");
    let check = |name: &str, bytes: &[u8], words: &str| {
        std::fs::write(place.path().join(name), bytes).expect("the folder is ours");
        let (taken, said) = import(place.path(), name, "data");
        assert!(!taken && said.contains(words), "{name}: no `{words}` in: {said}");
    };
    check("text", b"once upon a time", "an RLP list was expected");
    check("string", &[0xb8, 2, 1, 1], "an RLP list was expected");
    check("head-cut", &[0xf9, 1], "ends within the head of a block");
    check("huge", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "a block of 4294967295 bytes");
    check("big", &[0xfb, 1, 0, 0, 0, 7], "ends within a block of");
    check("empty-list", &[0xc0], "block number 1 does not decode");
    check("list-of-lists", &list(&[0xc0, 0xc0, 0xc0]), "block number 1 does not decode");
    check(
        "nested",
        &list(&[list(&whole[..first]), whole[first..2 * first].to_vec()].concat()),
        "does not decode",
    );
    check("deep", &(0..20_000).fold(vec![0xc0], |inner, _| list(&inner)), "does not decode");
    check("not-shortest", &[&[0xfa, 0][..], &whole[1..first]].concat(), "does not decode");
    let mut trailing = list(&[&whole[3..first], &[0x80][..]].concat());
    check("fifth-part", &trailing, "does not decode");
    trailing = [&whole[..first], &[0x80][..]].concat();
    check("between", &trailing, "an RLP list was expected");
    for cut in [first - 1, first + 1, first + 2, first + 40, whole.len() - 1] {
        check("cut", &whole[..cut], "the file ends within");
    }
    // Any flipped byte of the second block: refused, or another block that does not fit.
    for at in (first..2 * first - 1).step_by(37) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x11;
        std::fs::write(place.path().join("flipped"), &flipped).expect("the folder is ours");
        let (taken, said) = import(place.path(), "flipped", "data");
        assert!(!taken, "byte {at}: {said}");
    }
    let (taken, said) = import(place.path(), "chain.rlp", "data");
    assert!(taken, "{said}");
}

/// What a raw transaction that is none is answered with: an error of ours in words, never a dropped connection.
#[track_caller]
fn check_raw(node: &ChainNode, raw: &str, words: &str) {
    match node.rpc().try_call("eth_sendRawTransaction", json!([raw])) {
        Err(RpcError::Refused { code, message }) => {
            assert!(message.contains(words), "{raw:.80}: {code} {message}");
        }
        other => panic!("{raw:.80}: {other:?}"),
    }
}

#[test]
fn calls_that_are_none_are_refused_and_the_node_answers_on() {
    let place = tempfile::tempdir().expect("the system has a temporary folder");
    let mut node = ChainNode::start("pow-evm", &place.path().join("data"), &[]);
    let good = ALICE.sign(0, TxKind::Call(BOB.address), 1, Bytes::new());
    let bytes = hex::decode(&good.raw).expect("it is hexadecimal");
    for raw in [
        "",
        "0x",
        "0x0",
        "zz",
        "0xzz",
        "0x80",
        "0xc0",
        "0x02",
        "0x02c0",
        "0x7fc0",
        "0xff",
        "0xffffffffffffffffff",
        "0xbfffffffffffffffff00",
    ] {
        check_raw(&node, raw, "");
    }
    for cut in 1..bytes.len() {
        check_raw(&node, &format!("0x{}", hex::encode(&bytes[..cut])), "");
    }
    check_raw(&node, &format!("{}00", good.raw), "");
    check_raw(&node, &format!("0x02{}", "c1".repeat(100_000)), "");
    check_raw(&node, &format!("0x{}", "00".repeat(1 << 20)), "");
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x40;
        // Another transaction, perhaps of another sender: refused for one reason or another, and answered in any case.
        let answer =
            node.rpc().try_call("eth_sendRawTransaction", json!([format!("0x{}", hex::encode(flipped))]));
        assert!(!matches!(answer, Err(RpcError::Io(_) | RpcError::Http { .. })), "byte {at}: {answer:?}");
    }
    let post = |body: &str| node.rpc().post("/", body).expect("there is an answer");
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_chainId" });
    for body in ["", "{", "[", "[]", "null", "7", "\"x\"", "{\"jsonrpc\":\"2.0\"}", "[[[[]]]]", "[1,2,3]"] {
        let (_, answer) = post(body);
        assert!(answer.contains("error"), "{body}: {answer}");
    }
    let (_, answer) = post(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    assert!(answer.contains("error"), "{answer:.200}");
    let (_, answer) = post(&format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\",\"params\":{}1{}}}",
        "[".repeat(5_000),
        "]".repeat(5_000)
    ));
    assert!(answer.contains("error"), "{answer:.200}");
    // As many calls as a batch may have, and one more.
    let batch = |count: usize| Value::Array(vec![call.clone(); count]).to_string();
    let (_, answer) = post(&batch(1_000));
    let answers: Vec<Value> = serde_json::from_str(&answer).expect("a list of answers");
    assert!(answers.len() == 1_000 && answers.iter().all(|answer| answer["result"] == "0x7a6a"));
    let (_, answer) = post(&batch(1_001));
    assert!(answer.contains("error") && answer.len() < 1_000, "{answer:.200}");
    let (_, answer) = post(&batch(200_000));
    assert!(answer.contains("error") && answer.len() < 1_000, "{answer:.200}");
    let log = node.process().log();
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(node.call("eth_sendRawTransaction", json!([good.raw])), json!(good.hash));
}
