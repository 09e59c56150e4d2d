//! `kill -9` at random moments: whoever comes back stands at a right state, and nothing that was told is lost.
//!
//! A node that opens its data directory hashes all accounts and compares the root with the header of the block it stands at,
//! so every start here is a check of the state as well.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, Bytes, TxKind};
use chainwright_tests::{ChainNode, Running, chainwright, wait_until};
use serde_json::{Value, json};

use crate::account::{ALICE, BOB, Signed, quick_chain};
use crate::chance::Random;

const KILLS: u32 = 20;
const LIMIT: Duration = Duration::from_mins(1);
const MINER: [&str; 2] = ["--mine=0xc0ffee0000000000000000000000000000000000", "--block-time=20ms"];
/// Transactions of the chain whose import is killed, by each of two accounts.
const WRITTEN: u64 = 600;

/// Hands transactions over, many to a call.
#[track_caller]
fn send(node: &ChainNode, all: &[Signed]) {
    for part in all.chunks(50) {
        let calls: Vec<_> = part
            .iter()
            .enumerate()
            .map(|(id, signed)| {
                json!({ "jsonrpc": "2.0", "id": id, "method": "eth_sendRawTransaction", "params": [signed.raw] })
            })
            .collect();
        let (_, answer) = node.rpc().post("/", &json!(calls).to_string()).expect("the node answers");
        let answers: Vec<Value> = serde_json::from_str(&answer).expect("an answer is JSON");
        assert!(answers.iter().all(|answer| answer["error"].is_null()), "{answer}");
    }
}

/// Mines a chain of transfers to fresh accounts and notes in a contract, and writes it to a file.
#[track_caller]
fn write_chain(place: &Path, file: &Path) -> (u64, String) {
    let mut node = ChainNode::start(&quick_chain(place), &place.join("writer"), &MINER);
    let notebook = ALICE.address.create(0);
    let fresh =
        |number: u64| TxKind::Call(Address::from_word(alloy_primitives::U256::from(number + 1000).into()));
    let mut all = vec![ALICE.deploy(0)];
    all.extend((1..WRITTEN).map(|nonce| ALICE.note(nonce, notebook, nonce)));
    all.extend((0..WRITTEN).map(|nonce| BOB.sign(nonce, fresh(nonce), 7, Bytes::new())));
    for part in all.chunks(8) {
        send(&node, part);
        // So that there are many blocks, not a few big ones.
        std::thread::sleep(Duration::from_millis(25));
    }
    wait_until("everything is mined", LIMIT, || {
        [ALICE, BOB].iter().all(|account| {
            let nonce = node.call("eth_getTransactionCount", json!([account.address, "latest"]));
            nonce == json!(format!("{WRITTEN:#x}"))
        })
    });
    node.restart(&[]);
    let head = node.head();
    drop(node);
    let arguments = ["export", "--chain=quick.toml"].map(str::to_owned);
    let mut export = Command::new(chainwright());
    export.current_dir(place).args(arguments).arg("--datadir").arg(place.join("writer")).arg(file);
    let output = export.output().expect("our program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    head
}

fn import(file: &Path, data: &Path) -> Running {
    let mut command = Command::new(chainwright());
    let place = file.parent().expect("it lies in a folder");
    command
        .current_dir(place)
        .args(["import", "--chain=quick.toml", "--threads=1", "--datadir"])
        .arg(data)
        .arg(file);
    Running::start("import", &mut command, &data.with_extension("out"))
}

#[test]
fn an_import_killed_twenty_times_ends_where_a_quiet_one_does() {
    let place = tempfile::tempdir().expect("the system has a temporary folder");
    let file = place.path().join("chain.rlp");
    let head = write_chain(place.path(), &file);
    let started = Instant::now();
    let mut quiet = import(&file, &place.path().join("quiet"));
    let ended = quiet.wait(LIMIT).expect("an import ends");
    let takes = started.elapsed();
    assert!(ended.success(), "{}", quiet.log());

    let data = place.path().join("killed");
    let mut random = Random::printed("import");
    let mut unfinished = 0;
    for _ in 0..KILLS {
        let mut running = import(&file, &data);
        std::thread::sleep(random.pause(takes / 2));
        if let Some(ended) = running.exited() {
            assert!(ended.success(), "{}", running.log());
        } else {
            unfinished += 1;
        }
        running.kill();
    }
    eprintln!("{} blocks in {takes:?}; {unfinished} of {KILLS} kills before the end", head.0);
    assert!(unfinished >= KILLS / 8, "the import ended too early to be killed: {unfinished}");
    let mut last = import(&file, &data);
    let ended = last.wait(LIMIT).expect("an import ends");
    assert!(ended.success() && !last.log().contains("panicked"), "{}", last.log());
    let node = ChainNode::start(&quick_chain(place.path()), &data, &[]);
    assert_eq!(node.head(), head);
    let written = json!([ALICE.address.create(0), format!("0x{:0>64}", hex(ALICE.address)), "latest"]);
    let noted = node.call("eth_getStorageAt", written);
    assert_eq!(noted, json!(format!("0x{:064x}", WRITTEN - 1)));
}

fn hex(address: Address) -> String {
    address.to_string().trim_start_matches("0x").to_lowercase()
}

/// What a node has told, and has to know after any restart.
#[derive(Default)]
struct Told {
    /// Blocks by their height: one node alone mines, so none may ever be replaced.
    blocks: BTreeMap<u64, Value>,
    /// Blocks of transactions, by hash.
    receipts: BTreeMap<String, Value>,
}

impl Told {
    /// Looks at the head and at some transactions.
    fn look(&mut self, node: &ChainNode, all: &[Signed]) {
        if let Ok(block) = node.rpc().try_call("eth_getBlockByNumber", json!(["latest", false])) {
            let height = u64::from_str_radix(&block["number"].as_str().unwrap_or("0x0")[2..], 16);
            self.blocks.insert(height.expect("a height is a number"), block["hash"].clone());
        }
        for signed in all {
            let receipt = node.rpc().try_call("eth_getTransactionReceipt", json!([signed.hash]));
            if let Some(block) = receipt.ok().and_then(|receipt| receipt.get("blockHash").cloned()) {
                self.receipts.insert(signed.hash.clone(), block);
            }
        }
    }

    #[track_caller]
    fn check(&self, node: &ChainNode) {
        for (height, hash) in &self.blocks {
            let block = node.call("eth_getBlockByNumber", json!([format!("{height:#x}"), false]));
            assert_eq!(block["hash"], *hash, "block {height} had been told");
        }
        for (hash, block) in &self.receipts {
            let receipt = node.call("eth_getTransactionReceipt", json!([hash]));
            assert_eq!(receipt["blockHash"], *block, "the receipt of {hash} had been told");
        }
    }
}

#[test]
fn a_node_killed_twenty_times_under_load_keeps_what_it_told() {
    let place = tempfile::tempdir().expect("the system has a temporary folder");
    let mut random = Random::printed("load");
    let mut node = ChainNode::start(&quick_chain(place.path()), &place.path().join("data"), &MINER);
    let mut told = Told::default();
    let heir = |nonce: u64| Address::from_word(alloy_primitives::U256::from(nonce % 50 + 500).into());
    let payment = |nonce| ALICE.sign(nonce, TxKind::Call(heir(nonce)), 1, Bytes::new());
    let (mut next, mut lost) = (0, 0);
    for _ in 0..KILLS {
        let until = Instant::now() + random.pause(Duration::from_millis(600));
        while Instant::now() < until {
            let some: Vec<_> = (next..next + 5).map(payment).collect();
            next += 5;
            send(&node, &some);
            told.look(&node, &some);
        }
        node.process().kill();
        node.start_again(&MINER);
        told.check(&node);
        let mined = node.call("eth_getTransactionCount", json!([ALICE.address, "latest"]));
        let mined =
            u64::from_str_radix(&mined.as_str().unwrap_or("0x")[2..], 16).expect("a nonce is a number");
        // What only waited is handed in again, as wallets do.
        lost += next - mined;
        next = mined;
    }
    eprintln!(
        "{} blocks and {} receipts told; {lost} that waited were sent again",
        told.blocks.len(),
        told.receipts.len()
    );
    assert!(told.receipts.len() > 20, "too little was mined");
    wait_until("everything is mined", LIMIT, || {
        node.call("eth_getTransactionCount", json!([ALICE.address, "latest"])) == json!(format!("{next:#x}"))
    });
    let paid: u64 = (0..50)
        .map(|heir_of| {
            let balance = node.call("eth_getBalance", json!([heir(heir_of), "latest"]));
            u64::from_str_radix(&balance.as_str().unwrap_or("0x")[2..], 16).expect("a balance is a number")
        })
        .sum();
    assert_eq!(paid, next, "every payment counts once");
    assert!(!node.process().log().contains("panicked"));
}
