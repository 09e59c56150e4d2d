//! Blocks of one program in the other.

use std::path::Path;
use std::time::Duration;

use alloy_primitives::{Address, Bytes};
use chainwright_tests::{EthereumNode, Geth, Rpc, command_line, wait_until};
use serde_json::{Value, json};

use crate::answers::Comparison;
use crate::chance::Chance;
use crate::genesis::{sealing_key, write_chain, write_genesis};
use crate::questions::Asker;
use crate::traffic::Traffic;

/// Blocks of ours that geth imports, at least.
const BLOCKS: u64 = 1_000;
/// Rounds of transactions that geth makes blocks of.
const ROUNDS: usize = 60;
/// How long a block may take.
const BLOCK_LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn quantity(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no quantity: {value}"));
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

pub(crate) fn height(rpc: &Rpc) -> u64 {
    quantity(&rpc.call("eth_blockNumber", json!([])))
}

fn block(rpc: &Rpc, number: u64) -> Value {
    rpc.call("eth_getBlockByNumber", json!([format!("{number:#x}"), false]))
}

/// Hands transactions in, all at once, and waits for the last of them. Gives how many were refused.
fn send(rpc: &Rpc, transactions: &[Bytes]) -> Vec<String> {
    let calls: Vec<Value> = transactions
        .iter()
        .enumerate()
        .map(|(id, raw)| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_sendRawTransaction", "params": [raw] }))
        .collect();
    let (_, answer) = rpc.post("/", &Value::from(calls).to_string()).unwrap();
    let answers: Vec<Value> = serde_json::from_str(&answer).unwrap();
    let refusals: Vec<_> =
        answers.iter().filter(|answer| answer["error"].is_object()).map(Value::to_string).collect();
    let last = answers.iter().rfind(|answer| answer["result"].is_string());
    if let Some(last) = last {
        wait_until("the transaction is in a block", BLOCK_LIMIT, || {
            // geth answers with an error while it indexes transactions.
            let receipt = rpc.try_call("eth_getTransactionReceipt", json!([last["result"]]));
            receipt.is_ok_and(|receipt| receipt.is_object())
        });
    }
    refusals
}

/// Transactions of a round; with blobs now and then.
fn round(traffic: &mut Traffic, chance: &mut Chance, number: u64) -> Vec<Bytes> {
    let mut transactions = traffic.some(1 + chance.below(6) as usize);
    if number % 25 == 3 {
        transactions.push(traffic.blobs());
    }
    transactions
}

/// What every block of a chain made by us must hold somewhere, so that the test tests something.
fn check_kinds(rpc: &Rpc) {
    let mut kinds = [0_u32; 5];
    let (mut failed, mut created) = (0, 0);
    for number in 1..=height(rpc) {
        let receipts = rpc.call("eth_getBlockReceipts", json!([format!("{number:#x}")]));
        for receipt in receipts.as_array().unwrap() {
            kinds[quantity(&receipt["type"]) as usize] += 1;
            failed += u32::from(receipt["status"] == "0x0");
            created += u32::from(receipt["contractAddress"].is_string());
        }
    }
    eprintln!("transactions by type {kinds:?}, {failed} failed, {created} creations");
    assert!(kinds.iter().all(|count| *count >= 20), "some type of transaction is missing: {kinds:?}");
    assert!(failed >= 50 && created >= 50, "{failed} failed, {created} creations");
}

#[test]
fn geth_imports_our_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let genesis = write_genesis(folder.path());
    let Some(geth) = Geth::init(&at("geth"), &genesis) else { return };
    let chain = write_chain(folder.path(), "solo");
    let key = sealing_key(folder.path());
    let payee = Address::repeat_byte(0xcb).to_string();
    let ours = EthereumNode::start(&chain, &at("ours"), &["--sealing-key", &key, "--mine", &payee]);
    let mut chance = Chance::seeded();
    let mut traffic = Traffic::new(chance.clone());
    for number in 0.. {
        let refused = send(ours.rpc(), &round(&mut traffic, &mut chance, number));
        assert!(refused.is_empty(), "refused: {refused:?}");
        if height(ours.rpc()) >= BLOCKS {
            break;
        }
    }
    check_kinds(ours.rpc());
    ours.stop();
    let exported = at("ours.rlp").display().to_string();
    let (data, file) = (at("ours").display().to_string(), chain.display().to_string());
    command_line(&["export", "--chain", &file, "--datadir", &data, &exported]);
    geth.import(Path::new(&exported));
    let ours = EthereumNode::start(&chain, &at("ours"), &[]);
    let theirs = geth.start(&[]);
    let head = height(ours.rpc());
    assert!(head >= BLOCKS);
    assert_eq!(height(theirs.rpc()), head, "geth has not imported everything");
    for number in [0, 1, head / 2, head] {
        assert_eq!(block(ours.rpc(), number)["hash"], block(theirs.rpc(), number)["hash"], "block {number}");
    }
    assert_eq!(block(ours.rpc(), head)["stateRoot"], block(theirs.rpc(), head)["stateRoot"]);
    check_answers(ours.rpc(), theirs.rpc(), (chance, traffic.accounts()));
    theirs.stop();
    ours.stop();
}

#[test]
fn we_import_geths_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let genesis = write_genesis(folder.path());
    let Some(geth) = Geth::init(&at("geth"), &genesis) else { return };
    let theirs = geth.start(&["--dev", "--rpc.allow-unprotected-txs"]);
    let mut chance = Chance::seeded();
    let mut traffic = Traffic::new(chance.clone());
    for number in 0..ROUNDS {
        let refused = send(theirs.rpc(), &round(&mut traffic, &mut chance, number as u64));
        assert!(refused.is_empty(), "refused: {refused:?}");
    }
    theirs.stop();
    geth.export(&at("theirs.rlp"));
    let theirs = geth.start(&[]);
    let head = height(theirs.rpc());
    assert!(head >= ROUNDS as u64, "geth has made {head} blocks");
    let chain = write_chain(folder.path(), "external");
    let hash = block(theirs.rpc(), head)["hash"].as_str().unwrap().to_owned();
    let (data, file, blocks) = (at("ours"), chain.display().to_string(), at("theirs.rlp"));
    let (folder, blocks) = (data.display().to_string(), blocks.display().to_string());
    command_line(&["import", "--chain", &file, "--datadir", &folder, "--head", &hash, &blocks]);
    let ours = EthereumNode::start(&chain, &data, &[]);
    assert_eq!(block(ours.rpc(), head)["hash"], block(theirs.rpc(), head)["hash"]);
    check_proofs(ours.rpc(), theirs.rpc(), &traffic.accounts(), head);
    theirs.stop();
    ours.stop();
}

/// The same questions to both give the same answers.
fn check_answers(ours: &Rpc, theirs: &Rpc, (chance, accounts): (Chance, Vec<Address>)) {
    let head = height(ours);
    let (mut blocks, mut transactions) = (Vec::new(), Vec::new());
    for number in 0..=head {
        let block = block(ours, number);
        blocks.push(block["hash"].clone());
        transactions.extend(block["transactions"].as_array().unwrap().iter().cloned());
    }
    let mut asker = Asker { chance, head, blocks, transactions, accounts };
    let mut comparison = Comparison::default();
    for _ in 0..questions() {
        comparison.ask(ours, theirs, &asker.next());
    }
    eprintln!("{}", comparison.summary());
    let differences = &comparison.unexplained;
    assert!(
        differences.is_empty(),
        "{} unexplained differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// How many questions both are asked: `CHAINWRIGHT_QUESTIONS`, or 500.
fn questions() -> usize {
    std::env::var("CHAINWRIGHT_QUESTIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(500)
}

/// Proofs of both agree, byte by byte, for every account now and at an earlier block.
fn check_proofs(ours: &Rpc, theirs: &Rpc, accounts: &[Address], head: u64) {
    let slots: Vec<String> = (0..70).map(|slot| format!("{slot:#x}")).collect();
    for (number, account) in
        [head, head / 2].into_iter().flat_map(|at| accounts.iter().map(move |one| (at, one)))
    {
        let params = json!([account, slots, format!("{number:#x}")]);
        let mine = ours.call("eth_getProof", params.clone());
        assert_eq!(mine, theirs.call("eth_getProof", params), "{account} at block {number}");
    }
    eprintln!("{} proofs of {} accounts agree", accounts.len() * 2, accounts.len());
}
