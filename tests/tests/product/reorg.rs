//! Two branches meet: the one with more work wins on both sides.

use std::time::{Duration, Instant};

use chainwright_tests::{Btcd, Node, NodeOptions, wait_until};
use serde_json::json;

use crate::party::{AGREE_LIMIT, Party};
use crate::payments::{Coin, address, join};

/// Blocks that both have before they part: enough for a coinbase to be spendable.
const COMMON: u32 = 101;

/// Parts a node and a btcd, lets each mine this many blocks, and joins them again.
#[track_caller]
fn check_reorganisation(ours: u32, theirs: u32) {
    let Some(btcd) = Btcd::start_with(&address(), &[]) else { return };
    let node = Node::start(NodeOptions::default());
    let (we, they) = (Party::Ours(&node), Party::Btcd(&btcd));
    let common = they.generate(COMMON);
    we.connect(&they);
    we.wait_for_best(&common[common.len() - 1]);
    disconnect(&node);
    // Goes into our branch alone.
    let payment = we.send(&join(&[Coin::mined(&we, &common[0])]).0);
    let our_branch = we.generate(ours);
    let their_branch = they.generate(theirs);
    let (loser, winner) = if ours > theirs { (&they, our_branch) } else { (&we, their_branch) };
    let tip = &winner[winner.len() - 1];
    let started = Instant::now();
    we.connect(&they);
    we.wait_for_best(tip);
    they.wait_for_best(tip);
    eprintln!(
        "{} left {} blocks for {} in {:?}",
        loser.name(),
        ours.min(theirs),
        winner.len(),
        started.elapsed()
    );
    assert_eq!(we.pool_has(&payment), ours < theirs, "a payment is pooled again when its block is left");
    let fork = node.rpc().call("getchaintips", json!([]));
    let lengths: Vec<_> =
        fork.as_array().into_iter().flatten().map(|tip| tip["branchlen"].as_u64()).collect();
    assert_eq!(lengths[0], Some(0), "{fork}");
    if ours < theirs {
        assert_eq!(lengths, [Some(0), Some(u64::from(ours))], "{fork}");
    }
}

#[track_caller]
fn disconnect(node: &Node) {
    let peers = node.rpc().call("getpeerinfo", json!([]));
    for peer in peers.as_array().into_iter().flatten() {
        node.rpc().call("disconnectnode", json!([peer["addr"]]));
    }
    wait_until("we have no peers", AGREE_LIMIT, || {
        node.rpc().call("getconnectioncount", json!([])) == json!(0)
    });
    // btcd notices by itself.
    std::thread::sleep(Duration::from_millis(200));
}

#[test]
fn btcd_leaves_its_branch_for_ours() {
    check_reorganisation(7, 5);
}

#[test]
fn we_leave_our_branch_for_that_of_btcd() {
    check_reorganisation(5, 7);
}

#[test]
fn btcd_leaves_a_thousand_blocks_for_ours() {
    check_reorganisation(1_001, 1_000);
}

#[test]
fn we_leave_a_thousand_blocks_for_those_of_btcd() {
    check_reorganisation(1_000, 1_001);
}
