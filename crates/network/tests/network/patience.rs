//! How long a node waits, for whom, and what it does then.

use chainwright_network::message::{Inventory, Message};
use chainwright_network::*;

use crate::chains::{chain, node_with};
use crate::harness::{Node, START, parameters};
use crate::puppet::{Puppet, block, decoded, encoded, headers, version, wait};
use crate::support::{block_on, id};

const OUTBOUND: ConnectionKind = ConnectionKind::OutboundFullRelay;
const FEELER: ConnectionKind = ConnectionKind::Feeler;
const MINUTE: u64 = 60_000;

/// A node that knows addresses, wants one connection and has it.
fn with_addresses() -> (Node, Puppet) {
    let mut parameters = parameters();
    parameters.policy.outbound_full_relay_max = 1;
    let mut node = Node::new(1, parameters);
    let source = NetworkAddress { host: Host::Ip4([9, 9, 9, 9]), port: 18444 };
    let found: Vec<_> =
        (20..60).map(|group| NetworkAddress { host: Host::Ip4([group, 1, 2, 3]), port: 18444 }).collect();
    let puppet = Puppet::join(&mut node, 2, OUTBOUND);
    node.protocol.add_addresses(&found, source);
    (node, puppet)
}

/// Lets time pass while the peer stays alive.
fn live(node: &mut Node, puppet: &Puppet, minutes: u64) {
    for _ in 0..minutes {
        wait(node, MINUTE);
        let said = node.out.iter().filter(|(peer, _)| *peer == puppet.peer);
        let said: Vec<_> = said.map(|(_, bytes)| decoded(bytes)).collect();
        for message in said {
            if let Message::Ping(Some(nonce)) = message {
                puppet.say(node, &Message::Pong(nonce));
            }
        }
    }
}

fn feelers(node: &Node) -> Vec<NetworkAddress> {
    node.dialed.iter().filter(|(_, kind)| *kind == FEELER).map(|(address, _)| *address).collect()
}

#[test]
fn a_feeler_tests_an_address_and_hangs_up_and_a_failed_one_is_remembered_too() {
    let (mut node, puppet) = with_addresses();
    wait(&mut node, MINUTE);
    assert!(feelers(&node).is_empty(), "not in the first two minutes");
    live(&mut node, &puppet, 20);
    let (first, second) = (feelers(&node)[0], feelers(&node)[1]);
    assert_ne!(first, second);
    node.handle(Input::ConnectFailed { address: first, kind: FEELER });
    assert_eq!(node.protocol.address_book().tried_count(), 0);
    node.handle(Input::Connected { peer: PeerId(50), address: second, kind: FEELER });
    let bytes = encoded(&Message::Version(version(50)));
    node.handle(Input::Received { peer: PeerId(50), bytes });
    assert_eq!(node.farewells.last(), Some(&(PeerId(50), Farewell::Feeler)));
    assert_eq!(node.protocol.address_book().tried_count(), 1);
    let late = encoded(&Message::Verack);
    node.handle(Input::Received { peer: PeerId(50), bytes: late });
    node.handle(Input::Disconnected { peer: PeerId(50) });
    assert_eq!(node.protocol.peers().len(), 1, "what comes late changes nothing");
}

#[test]
fn a_feeler_that_says_nothing_is_let_go_and_another_follows() {
    let (mut node, puppet) = with_addresses();
    live(&mut node, &puppet, 20);
    let address = feelers(&node)[0];
    node.handle(Input::Connected { peer: PeerId(50), address, kind: FEELER });
    live(&mut node, &puppet, 2);
    assert_eq!(node.farewells, [(PeerId(50), Farewell::Timeout("version handshake"))]);
    node.handle(Input::Disconnected { peer: PeerId(50) });
    assert_eq!(node.protocol.address_book().tried_count(), 0);
    live(&mut node, &puppet, 20);
    assert!(feelers(&node).len() >= 2);
}

#[test]
fn a_peer_that_owes_a_block_for_too_long_goes_and_another_is_asked() {
    let blocks = chain(3, 1, 1);
    let mut node = node_with(1, &blocks[..2]);
    let [slow, other] = [2, 3].map(|peer| Puppet::join(&mut node, peer, OUTBOUND));
    slow.say(&mut node, &headers(&blocks[2..]));
    assert_eq!(slow.asked_blocks(&mut node), [id(&blocks[2])]);
    other.say(&mut node, &headers(&blocks[2..]));
    live(&mut node, &slow, 9);
    assert_eq!(slow.farewell(&node), None, "a block may take as long as blocks are apart");
    assert_eq!(other.asked_blocks(&mut node), []);
    live(&mut node, &slow, 2);
    assert_eq!(slow.farewell(&node), Some(&Farewell::Timeout("block download")));
    assert_eq!(other.asked_blocks(&mut node), [id(&blocks[2])]);
    slow.say(&mut node, &block(&blocks[2]));
    assert_eq!(node.head(), id(&blocks[1]), "nobody listens to it any more");
    other.say(&mut node, &block(&blocks[2]));
    assert_eq!(node.head(), id(&blocks[2]));
}

#[test]
fn the_first_peer_asked_for_headers_goes_when_it_takes_too_long_and_others_are_there() {
    let mut node = Node::new(1, parameters());
    let [slow, other] = [2, 3].map(|peer| Puppet::join(&mut node, peer, OUTBOUND));
    for _ in 0..14 {
        live(&mut node, &slow, 1);
        other.say(&mut node, &Message::Headers(Vec::new()));
    }
    assert_eq!(slow.farewell(&node), None);
    for _ in 0..30 {
        live(&mut node, &slow, 1);
        other.say(&mut node, &Message::Headers(Vec::new()));
    }
    assert_eq!(slow.farewell(&node), Some(&Farewell::Timeout("headers download")));
}

#[test]
fn a_chosen_peer_whose_chain_stays_behind_is_asked_once_more_and_then_replaced() {
    let blocks = chain(20, 1, 1);
    let mut node = node_with(1, &blocks);
    let puppet = Puppet::join(&mut node, 2, OUTBOUND);
    puppet.say(&mut node, &headers(&blocks[..10]));
    live(&mut node, &puppet, 19);
    puppet.heard(&mut node);
    assert_eq!(puppet.farewell(&node), None);
    live(&mut node, &puppet, 2);
    let asked = |message: &Message| matches!(message, Message::GetHeaders(_));
    assert!(puppet.heard(&mut node).iter().any(asked), "a last question");
    live(&mut node, &puppet, 3);
    assert_eq!(puppet.farewell(&node), Some(&Farewell::Behind));
}

#[test]
fn a_block_that_lies_in_the_future_is_asked_for_again_later() {
    let blocks = chain(2, 1, 1);
    let mut node = node_with(1, &blocks);
    let puppet = Puppet::join(&mut node, 2, OUTBOUND);
    let mut future = block_on(&blocks[1], 1, &[(7, 7)]);
    future.header.time = START / 1000 + 7_200 + 60;
    puppet.heard(&mut node);
    puppet.say(&mut node, &headers(core::slice::from_ref(&future)));
    assert_eq!(puppet.farewell(&node), None, "not yet is not never");
    assert!(node.chain.published().block(&id(&future)).is_none());
    live(&mut node, &puppet, 2);
    puppet.say(&mut node, &Message::Inv(vec![Inventory::block(id(&future), false)]));
    puppet.say(&mut node, &headers(core::slice::from_ref(&future)));
    assert_eq!(puppet.asked_blocks(&mut node), [id(&future)]);
}
