//! Our node and a btcd fetch a chain from each other, and relay transactions both ways.

use std::time::Duration;

use chainwright_tests::{Btcd, Node, NodeOptions, free_port, wait_until};
use serde_json::json;

use crate::party::{AGREE_LIMIT, Party};
use crate::payments::{Coin, LOCKS, address, fan_out, join};

/// By then btcd has witnesses and Taproot on (three periods of 144 blocks).
const SIGNALLED_HEIGHT: u32 = 440;

/// `first` makes a chain with every output type and spends them; `second` fetches it; then a transaction goes each way.
#[track_caller]
fn check_sync(first: &Party<'_>, second: &Party<'_>) {
    let mined = first.generate(SIGNALLED_HEIGHT);
    let (creating, coins) = fan_out(&Coin::mined(first, &mined[0]));
    let created = first.send(&creating);
    let created_in = first.generate(1).remove(0);
    let (spending, joined) = join(&coins);
    let spent = first.send(&spending);
    let spent_in = first.generate(1).remove(0);
    second.connect(first);
    second.wait_for_best(&spent_in);
    for (block, id) in [(&created_in, &created), (&spent_in, &spent)] {
        let contents = second.call("getblock", json!([block, 1]));
        assert_eq!(contents["tx"][1], json!(id), "block {block} of {}", second.name());
    }
    for party in [first, second] {
        for (index, lock) in LOCKS.iter().enumerate() {
            let coin = party.call("gettxout", json!([created, index]));
            assert!(coin.is_null(), "{} still has the coin {lock:?}", party.name());
        }
        let anchor = party.call("gettxout", json!([created, LOCKS.len()]));
        assert_eq!(anchor["scriptPubKey"]["hex"], json!("51024e73"), "{}", party.name());
        assert!(party.call("gettxout", json!([spent, 0])).is_object(), "{}", party.name());
    }
    check_relay(first, second, joined);
    check_relay(second, first, Coin::mined(first, &mined[1]));
}

/// A transaction goes into the pool of `from` and reaches `to`, which mines it.
#[track_caller]
fn check_relay(from: &Party<'_>, to: &Party<'_>, coin: Coin) {
    let (transaction, _) = join(&[coin]);
    let id = from.send(&transaction);
    let what = format!("{id} goes from {} to {}", from.name(), to.name());
    wait_until(&what, AGREE_LIMIT, || to.pool_has(&id));
    let block = to.generate(1).remove(0);
    from.wait_for_best(&block);
    wait_until("the pool lets go of what was mined", AGREE_LIMIT, || !from.pool_has(&id));
    assert!(from.call("gettxout", json!([id, 0])).is_object(), "{id} was mined");
}

#[test]
fn we_sync_every_output_type_from_btcd_and_exchange_transactions() {
    let Some(btcd) = Btcd::start_with(&address(), &[]) else { return };
    let node = Node::start(NodeOptions::default());
    check_sync(&Party::Btcd(&btcd), &Party::Ours(&node));
}

#[test]
fn btcd_syncs_every_output_type_from_us_and_exchanges_transactions() {
    let Some(btcd) = Btcd::start_with(&address(), &[]) else { return };
    let node = Node::start(NodeOptions::default());
    check_sync(&Party::Ours(&node), &Party::Btcd(&btcd));
}

#[test]
fn an_own_transaction_that_nobody_has_heard_of_outlives_a_restart_and_goes_to_the_first_peer() {
    let mut node = Node::start(NodeOptions::default());
    let mined = node.generate(101, &address());
    let id = Party::Ours(&node).send(&join(&[Coin::mined(&Party::Ours(&node), &mined[0])]).0);
    let ended = node.process().terminate(AGREE_LIMIT).expect("our node stops when asked");
    assert!(ended.success(), "{ended}");
    node.start_again();
    assert!(Party::Ours(&node).pool_has(&id), "the pool outlives a restart");
    // By a name that several addresses stand for, and before anybody listens there.
    let port = free_port();
    node.rpc().call("addnode", json!([format!("localhost:{port}"), "add"]));
    let other = Node::start(NodeOptions { flags: vec![format!("-port={port}")], ..NodeOptions::default() });
    Party::Ours(&other).wait_for_best(&mined[100]);
    let what = format!("{id} goes to a peer that came later");
    wait_until(&what, AGREE_LIMIT, || Party::Ours(&other).pool_has(&id));
}

/// A btcd without a chain answers no question for headers, and does not say so; it announces what it mines afterwards.
#[track_caller]
fn check_empty_btcd(btcd: &Party<'_>, ours: &Party<'_>, dials: impl Fn()) {
    dials();
    let connected = || ours.call("getpeerinfo", json!([])).as_array().is_some_and(|peers| peers.len() == 1);
    wait_until("the handshake", AGREE_LIMIT, connected);
    let answered = || {
        let peer = &ours.call("getpeerinfo", json!([]))[0];
        let is_asked = peer["bytessent_per_msg"]["getheaders"].is_u64();
        assert!(peer["bytesrecv_per_msg"]["headers"].is_null(), "btcd is in sync at once: {peer}");
        is_asked
    };
    wait_until("our first question", AGREE_LIMIT, answered);
    let mined = btcd.generate(3).remove(2);
    let limit = Duration::from_secs(30);
    wait_until("we follow an announcement", limit, || ours.best() == mined);
    let back = ours.generate(1).remove(0);
    btcd.wait_for_best(&back);
}

#[test]
fn an_empty_btcd_that_dials_our_empty_node_is_asked_again_once_it_mines() {
    let node = Node::start(NodeOptions::default());
    let Some(btcd) = Btcd::start_with(&address(), &[]) else { return };
    check_empty_btcd(&Party::Btcd(&btcd), &Party::Ours(&node), || btcd.connect(node.address()));
}

#[test]
fn an_empty_btcd_that_our_empty_node_dials_is_asked_again_once_it_mines() {
    let node = Node::start(NodeOptions::default());
    let Some(btcd) = Btcd::start_with(&address(), &[]) else { return };
    check_empty_btcd(&Party::Btcd(&btcd), &Party::Ours(&node), || node.connect(btcd.address()));
}
