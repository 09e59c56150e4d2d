//! Two branches of contracts meet: on every node state, pool, logs, receipts and subscriptions are those of the heavier one.
//!
//! ```text
//!                    ┌─ alone ──  A: common note, rival of Bob's                      ─────────┐
//!   all three agree ─┤                                                       the line is back ├─► all three agree
//!                    └─ pair ───  B, C: common note, another rival of Bob's, one of Alice's ───┘
//! ```

use std::time::Duration;

use alloy_primitives::Address;
use chainwright_tests::{ChainNode, wait_until};
use serde_json::{Value, json};

use crate::account::{ALICE, Account, BOB, Signed, quick_chain};
use crate::gate::Gate;
use crate::socket::Subscription;

/// How long nodes on one machine may take to agree.
const LIMIT: Duration = Duration::from_mins(1);
const MINER: [&str; 2] = ["--mine=0xc0ffee0000000000000000000000000000000000", "--block-time=200ms"];

/// Three nodes of `pow-evm`: the second listens to the third, and a line that can be cut leads from the third to the first.
struct Network {
    nodes: Vec<ChainNode>,
    connect: Vec<String>,
    gate: Gate,
    notebook: Address,
    place: tempfile::TempDir,
}

impl Network {
    /// Starts them, with a notebook deployed and a note of each in it.
    #[track_caller]
    fn start() -> Self {
        let place = tempfile::tempdir().expect("the system has a temporary folder");
        let chain = quick_chain(place.path());
        let mut network = Self {
            gate: Gate::open_to(([127, 0, 0, 1], 1).into()),
            nodes: Vec::new(),
            connect: vec![String::new(); 3],
            notebook: ALICE.address.create(0),
            place,
        };
        let folder = |name: &str| network.place.path().join(name);
        let first = ChainNode::start(&chain, &folder("a"), &[]);
        network.gate = Gate::open_to(first.address());
        let to_first = format!("--connect={}", network.gate.address());
        let third = ChainNode::start(&chain, &folder("c"), &[&to_first]);
        let to_third = format!("--connect={}", third.address());
        let second = ChainNode::start(&chain, &folder("b"), &[&to_third]);
        network.connect = vec![String::new(), to_third, to_first];
        network.nodes = vec![first, second, third];
        network
    }

    fn flags(&self, node: usize) -> Vec<&str> {
        Some(self.connect[node].as_str()).into_iter().filter(|flag| !flag.is_empty()).collect()
    }

    /// Has a node mine until `done`, and then no more.
    #[track_caller]
    fn mine(&mut self, node: usize, what: &str, done: impl Fn(&ChainNode) -> bool) {
        let flags = self.flags(node).iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let mut mining = MINER.to_vec();
        mining.extend(&flags);
        self.nodes[node].restart(&mining);
        wait_until(what, LIMIT, || done(&self.nodes[node]));
        self.nodes[node].restart(&flags);
    }

    /// Gives all of them a block of today: nodes that stand at an old one are catching up, with one peer and without taking
    /// transactions.
    #[track_caller]
    fn wake(&mut self) {
        self.nodes[0].restart(&MINER);
        wait_until("all have a block", LIMIT, || self.nodes.iter().all(|node| node.head().0 > 0));
        self.nodes[0].restart(&[]);
        self.agree(&[0, 1, 2]);
    }

    /// Waits until some nodes stand at one block; its height.
    #[track_caller]
    fn agree(&self, nodes: &[usize]) -> u64 {
        wait_until("the nodes agree", LIMIT, || {
            let heads: Vec<_> = nodes.iter().map(|node| self.nodes[*node].head()).collect();
            heads.iter().all(|head| *head == heads[0])
        });
        self.nodes[nodes[0]].head().0
    }

    /// Hands transactions to one node and waits until these others have them, too.
    #[track_caller]
    fn send(&self, node: usize, all: &[&Signed], others: &[usize]) {
        for signed in all {
            let hash = self.nodes[node].call("eth_sendRawTransaction", json!([signed.raw]));
            assert_eq!(hash, json!(signed.hash));
        }
        for (other, signed) in others.iter().flat_map(|other| all.iter().map(move |signed| (other, signed))) {
            let has = || !self.nodes[*other].call("eth_getTransactionByHash", json!([signed.hash])).is_null();
            wait_until("a transaction is relayed", LIMIT, has);
        }
    }

    /// What an account's last note in the notebook is, on a node.
    #[track_caller]
    fn noted(&self, node: usize, account: &Account) -> u64 {
        let slot = format!("0x{:0>64}", hex(account.address));
        let word = self.nodes[node].call("eth_getStorageAt", json!([self.notebook, slot, "latest"]));
        u64::from_str_radix(&text(&word)[2..], 16).expect("a slot is a number")
    }

    #[track_caller]
    fn logs(&self, node: usize, from: u64) -> Vec<Value> {
        let filter = json!([{ "address": self.notebook, "fromBlock": format!("{from:#x}") }]);
        self.nodes[node].call("eth_getLogs", filter).as_array().expect("logs are a list").clone()
    }
}

fn hex(address: Address) -> String {
    address.to_string().trim_start_matches("0x").to_lowercase()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_mined(node: &ChainNode, signed: &Signed) -> bool {
    !node.call("eth_getTransactionReceipt", json!([signed.hash])).is_null()
}

/// Numbers that logs speak of, in their order.
fn numbers(logs: &[Value]) -> Vec<u64> {
    let number = |log: &Value| u64::from_str_radix(&text(&log["topics"][0])[2..], 16).expect("a topic");
    logs.iter().map(number).collect()
}

/// What a node must say of the transactions once it stands on the branch of A.
#[track_caller]
fn check_on_winning_branch(network: &Network, node: usize, sent: &Sent, fork: u64) {
    let at = &network.nodes[node];
    let name = format!("node {node}");
    assert_eq!((network.noted(node, &ALICE), network.noted(node, &BOB)), (77, 200), "{name}");
    let logs = network.logs(node, fork + 1);
    assert_eq!(numbers(&logs), numbers(&network.logs(0, fork + 1)), "{name}");
    let mut seen = numbers(&logs);
    seen.sort_unstable();
    assert_eq!(seen, [77, 200], "{name}");
    assert!(logs.iter().all(|log| log["removed"] == false), "{name}: {logs:?}");
    for (signed, expected) in [(&sent.common, true), (&sent.winner, true), (&sent.loser, false)] {
        let receipt = at.call("eth_getTransactionReceipt", json!([signed.hash]));
        assert_eq!(!receipt.is_null(), expected, "{name}: {receipt}");
        assert_eq!(
            receipt,
            network.nodes[0].call("eth_getTransactionReceipt", json!([signed.hash])),
            "{name}"
        );
        if expected {
            assert_eq!(receipt["status"], "0x1", "{name}");
            let block = at.call("eth_getBlockByNumber", json!([receipt["blockNumber"], false]));
            assert_eq!(block["hash"], receipt["blockHash"], "{name}: the receipt names a block of the chain");
        }
    }
}

/// What was sent while the line was cut.
struct Sent {
    /// Alice's, on both sides.
    common: Signed,
    /// Bob's, on A's side.
    winner: Signed,
    /// Bob's with the same nonce, on the side of B and C.
    loser: Signed,
    /// Alice's next, on the side of B and C.
    fallen: Signed,
}

#[track_caller]
fn part_and_write(network: &mut Network) -> Sent {
    let notebook = network.notebook;
    let sent = Sent {
        common: ALICE.note(2, notebook, 77),
        winner: BOB.note(1, notebook, 200),
        loser: BOB.note(1, notebook, 100),
        fallen: ALICE.note(3, notebook, 300),
    };
    network.gate.close();
    wait_until("A is alone", LIMIT, || network.nodes[0].call("net_peerCount", json!([])) == "0x0");
    let fork = network.agree(&[0, 1, 2]);
    network.send(0, &[&sent.common, &sent.winner], &[]);
    network.send(2, &[&sent.common, &sent.loser, &sent.fallen], &[1]);
    network.mine(2, "the pair has mined its notes", |node| {
        is_mined(node, &sent.fallen) && node.head().0 >= fork + 4
    });
    let lighter = network.agree(&[1, 2]);
    for node in [1, 2] {
        assert_eq!((network.noted(node, &ALICE), network.noted(node, &BOB)), (300, 100), "node {node}");
        assert_eq!(numbers(&network.logs(node, fork + 1)).len(), 3, "node {node}");
    }
    network.mine(0, "A has mined more", |node| is_mined(node, &sent.winner) && node.head().0 >= lighter + 4);
    sent
}

/// One node's subscriptions.
struct Told {
    heads: Subscription,
    logs: Subscription,
}

impl Told {
    #[track_caller]
    fn begin(node: &ChainNode, notebook: Address) -> Self {
        let port = node.rpc().port();
        Self {
            heads: Subscription::begin(port, &json!(["newHeads"])),
            logs: Subscription::begin(port, &json!(["logs", { "address": notebook }])),
        }
    }

    /// All logs of the branch that fell, newest first and as they were; then those of the other; and each new block once.
    #[track_caller]
    fn check(&mut self, fallen: &[Value], new: &[Value], heads: &[Value]) {
        let told = self.logs.wait(LIMIT, |told| told.len() >= fallen.len() + new.len());
        let (removed, added) = told.split_at(fallen.len());
        let expected: Vec<Value> = fallen
            .iter()
            .map(|log| {
                let mut log = log.clone();
                log["removed"] = json!(true);
                log
            })
            .collect();
        let by_place = |logs: &[Value]| {
            let mut logs = logs.to_vec();
            logs.sort_by_key(|log| (text(&log["blockNumber"]).to_owned(), text(&log["logIndex"]).to_owned()));
            logs
        };
        assert_eq!(by_place(removed), by_place(&expected));
        let heights: Vec<_> = removed.iter().map(|log| text(&log["blockNumber"]).to_owned()).collect();
        assert!(heights.is_sorted_by(|a, b| (a.len(), a) >= (b.len(), b)), "newest first: {heights:?}");
        assert_eq!(added, new);
        let told = self.heads.wait(LIMIT, |told| told.len() >= heads.len());
        let ids: Vec<_> = told.iter().map(|head| head["hash"].clone()).collect();
        assert_eq!(ids, heads);
    }
}

#[test]
fn contracts_pool_logs_and_subscribers_follow_the_heavier_branch_on_every_node() {
    let mut network = Network::start();
    let notebook = network.notebook;
    network.wake();
    let deployment = ALICE.deploy(0);
    network.send(0, &[&deployment], &[]);
    network.mine(0, "the notebook is there", |node| is_mined(node, &deployment));
    network.agree(&[0, 1, 2]);
    let first = [ALICE.note(1, notebook, 1), BOB.note(0, notebook, 2)];
    network.send(1, &[&first[0], &first[1]], &[0, 2]);
    network.mine(0, "both have noted", |node| first.iter().all(|signed| is_mined(node, signed)));
    let fork = network.agree(&[0, 1, 2]);
    assert_eq!(numbers(&network.logs(1, 0)).len(), 2);

    let sent = part_and_write(&mut network);
    let fallen = network.logs(2, fork + 1);
    let mut told: Vec<_> = [1, 2].map(|node| Told::begin(&network.nodes[node], notebook)).into();
    network.gate.open();
    let top = network.agree(&[0, 1, 2]);
    for node in 0..3 {
        check_on_winning_branch(&network, node, &sent, fork);
    }
    let new = network.logs(0, fork + 1);
    let block =
        |height: u64| network.nodes[0].call("eth_getBlockByNumber", json!([format!("{height:#x}"), false]));
    let heads: Vec<_> = (fork + 1..=top).map(|height| block(height)["hash"].clone()).collect();
    for told in &mut told {
        told.check(&fallen, &new, &heads);
    }
    // What fell and still fits waits again, where it had been mined; what conflicts is gone.
    for node in [1, 2] {
        let pool = network.nodes[node].call("txpool_content", json!([]));
        let alices = pool["pending"][ALICE.address.to_string()].as_object().expect("Alice's wait");
        assert_eq!(alices.keys().collect::<Vec<_>>(), ["3"], "node {node}: {pool}");
        assert_eq!(alices["3"]["hash"], json!(sent.fallen.hash), "node {node}");
        assert_eq!(pool["pending"].as_object().map(serde_json::Map::len), Some(1), "node {node}: {pool}");
        assert_eq!(pool["queued"], json!({}), "node {node}");
        assert!(network.nodes[node].call("eth_getTransactionByHash", json!([sent.loser.hash])).is_null());
    }
    network.mine(2, "what fell is mined again", |node| is_mined(node, &sent.fallen));
    network.agree(&[0, 1, 2]);
    for node in 0..3 {
        assert_eq!((network.noted(node, &ALICE), network.noted(node, &BOB)), (300, 200), "node {node}");
        assert_eq!(network.nodes[node].call("txpool_status", json!([]))["pending"], "0x0", "node {node}");
    }
}
