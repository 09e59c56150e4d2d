//! What a node says of the past: logs, transactions and states by index are what a full look at the chain says, at all times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chain;

use std::collections::BTreeMap;
use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use chainwright_chain::Height;
use chainwright_rpc_ethereum::{Past, States};
use serde_json::{Value, json};

use chain::{ALICE, COUNTERS, Chain, Count, Methods, READER};

/// A seeded source of numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn counts(&mut self) -> Vec<Count> {
        (0..self.below(4)).map(|_| (self.below(2) as usize, self.below(9), self.below(40))).collect()
    }
}

const ARCHIVE: Past = Past { transactions: true, logs: true, states: States::All };

fn hex(number: u32) -> String {
    format!("{number:#x}")
}

/// A block on top, or, now and then, one that leaves up to ten others behind.
fn grow(chain: &Chain, random: &mut Random) {
    let head = chain.head();
    let depth = if random.below(8) == 0 { random.below(11) as u32 } else { 0 };
    let parent = head.ancestor(Height(head.height().0.saturating_sub(depth))).unwrap();
    chain.extend(&parent, &random.counts());
}

#[track_caller]
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("waited in vain: {what}");
}

/// A filter as callers write them.
fn random_filter(random: &mut Random, head: u32) -> Value {
    let mut filter = json!({
        "fromBlock": hex(random.below(u64::from(head) + 1) as u32),
        "toBlock": hex(head),
    });
    if random.below(4) == 0 {
        filter["toBlock"] = json!("latest");
    }
    let one = |random: &mut Random| COUNTERS[random.below(2) as usize];
    match random.below(4) {
        0 => filter["address"] = json!(one(random)),
        1 => filter["address"] = json!([one(random), Address::ZERO]),
        _ => {}
    }
    let topic = |random: &mut Random| json!(B256::from(U256::from(random.below(44))));
    let caller = json!([ALICE.into_word()]);
    match random.below(5) {
        0 => filter["topics"] = json!([topic(random)]),
        1 => filter["topics"] = json!([[topic(random), topic(random), topic(random)], caller]),
        2 => filter["topics"] = json!([null, caller]),
        3 => filter["topics"] = json!([topic(random), topic(random)]),
        _ => {}
    }
    filter
}

#[test]
fn logs_and_transactions_by_index_are_those_of_a_full_scan() {
    for seed in 1..=3 {
        let (chain, folder) = (Chain::start(), tempfile::tempdir().unwrap());
        let scanned = Methods::new(&chain, None);
        let mut indexed = Methods::new(&chain, Some((folder.path(), ARCHIVE)));
        let mut random = Random(seed);
        let mut found = 0;
        for block in 0..200 {
            grow(&chain, &mut random);
            if random.below(30) == 0 {
                // It is closed, and another one goes on with what is on disk.
                drop(indexed);
                indexed = Methods::new(&chain, Some((folder.path(), ARCHIVE)));
            }
            let head = chain.head();
            for _ in 0..random.below(6) + u64::from(block == 199) * 100 {
                let filter = random_filter(&mut random, head.height().0);
                let expected = scanned.ask("eth_getLogs", json!([filter])).unwrap();
                let answer = indexed.ask("eth_getLogs", json!([filter])).unwrap();
                assert_eq!(answer.to_string(), expected.to_string(), "seed {seed}: {filter}");
                found += expected.as_array().unwrap().len();
            }
            let body = scanned
                .ask("eth_getBlockByNumber", json!([hex(random.below(u64::from(head.height().0)) as u32)]));
            for hash in body.unwrap()["transactions"].as_array().unwrap() {
                let expected = scanned.ask("eth_getTransactionReceipt", json!([hash])).unwrap();
                assert!(expected.is_object());
                assert_eq!(indexed.ask("eth_getTransactionReceipt", json!([hash])).unwrap(), expected);
            }
        }
        assert!(found > 1000, "filters find something");
    }
}

/// What the newest state says, and what was done by its block.
fn seen(methods: &Methods, block: &str) -> Vec<Value> {
    let ask = |name: &str, params: Value| methods.ask(name, params).unwrap();
    let call = json!({ "to": READER, "input": ALICE.into_word() });
    let mut all = vec![
        ask("eth_getBalance", json!([ALICE, block])),
        ask("eth_getTransactionCount", json!([ALICE, block])),
        ask("eth_call", json!([call, block])),
        ask("eth_estimateGas", json!([call, block])),
    ];
    for slot in 0..9 {
        all.push(ask("eth_getStorageAt", json!([COUNTERS[slot % 2], hex(slot as u32), block])));
    }
    all
}

fn proofs(methods: &Methods, block: &str) -> Value {
    methods.ask("eth_getProof", json!([COUNTERS[0], ["0x1", "0x2", "0x77"], block])).unwrap()
}

fn traces(methods: &Methods, block: &str) -> Value {
    let options = json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } });
    methods.ask("debug_traceBlockByNumber", json!([block, options])).unwrap()
}

#[test]
fn an_archive_says_of_every_block_what_was_said_when_it_was_the_newest() {
    let (chain, folder) = (Chain::start(), tempfile::tempdir().unwrap());
    let newest = Methods::new(&chain, None);
    let archive = Methods::new(&chain, Some((folder.path(), ARCHIVE)));
    let mut random = Random(11);
    let mut said = BTreeMap::new();
    let mut height = 0;
    while height < 1_150 {
        grow(&chain, &mut random);
        let head = chain.head();
        height = head.height().0;
        if height % 23 == 0 {
            said.insert(
                head.id(),
                (seen(&newest, "latest"), proofs(&newest, "latest"), traces(&newest, &hex(height))),
            );
        }
    }
    wait_for("the index", || archive.ask("eth_getBalance", json!([ALICE, "0x1"])).is_ok());
    let mut count = 0;
    for block in chain.head().down() {
        let Some((state, proof, trace)) = said.get(&block.id()) else { continue };
        let at = hex(block.height().0);
        assert_eq!(seen(&archive, &at), *state, "at {at}");
        assert_eq!(proofs(&archive, &at), *proof, "at {at}");
        assert_eq!(traces(&archive, &at), *trace, "at {at}");
        count += 1;
    }
    assert!(count >= 50);
    let refused = newest.ask("eth_getBalance", json!([ALICE, "0x17"])).unwrap_err().message;
    assert!(refused.starts_with("missing trie node ") && refused.contains(" is not available"), "{refused}");
    let able = archive.ask("eth_capabilities", json!([])).unwrap();
    assert_eq!(able["state"], json!({ "disabled": false, "oldestBlock": "0x0" }));
}

#[test]
fn the_last_blocks_are_kept_and_older_ones_are_refused() {
    let (chain, folder) = (Chain::start(), tempfile::tempdir().unwrap());
    let newest = Methods::new(&chain, None);
    let mut random = Random(12);
    let mut said = BTreeMap::new();
    let window = Past { states: States::Last(1_100), ..ARCHIVE };
    let short = Methods::new(
        &chain,
        Some((&folder.path().join("short"), Past { states: States::Last(5), ..ARCHIVE })),
    );
    let methods = Methods::new(&chain, Some((folder.path(), window)));
    for height in 1..=1_180 {
        chain.extend(&chain.head(), &random.counts());
        said.insert(height, newest.ask("eth_getBalance", json!([ALICE, "latest"])).unwrap());
    }
    let balance = |methods: &Methods, at: u32| methods.ask("eth_getBalance", json!([ALICE, hex(at)]));
    wait_for("the index", || balance(&methods, 81).is_ok());
    for at in (80..=1_180).step_by(5) {
        assert_eq!(balance(&methods, at).unwrap(), said[&at], "at {at}");
    }
    let refused = |methods: &Methods, at: u32, oldest: u32| {
        let message = balance(methods, at).unwrap_err().message;
        let words = format!("is not available; the oldest state kept is that of block {oldest}");
        assert!(message.starts_with("missing trie node ") && message.ends_with(&words), "{message}");
        assert!(methods.ask("eth_getProof", json!([ALICE, [], hex(at)])).is_err());
    };
    refused(&methods, 79, 80);
    assert_eq!(balance(&short, 1_175).unwrap(), said[&1_175]);
    refused(&short, 1_174, 1_175);
    refused(&newest, 155, 156);
    assert_eq!(balance(&newest, 156).unwrap(), said[&156]);
}
