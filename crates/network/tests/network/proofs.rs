//! Chains whose headers weigh nothing: certificates lead, and nobody can flood them.

use bytes::Bytes;
use chainwright_chain::BlockId;
use chainwright_network::message::{Locate, Message};
use chainwright_network::*;

use crate::chains::chain;
use crate::harness::{Node, parameters};
use crate::puppet::{Puppet, block, headers};
use crate::support::{TestBlock, block_on, id};

const INBOUND: ConnectionKind = ConnectionKind::Inbound;

fn proof(of: &TestBlock) -> Message {
    Message::Proof { id: id(of), proof: Bytes::copy_from_slice(&id(of).0) }
}

/// A node whose first blocks are certified.
fn certified(blocks: &[TestBlock]) -> Node {
    let mut node = Node::new(1, parameters());
    for block in blocks {
        node.mine_final(block);
    }
    node
}

/// A branch of headers that weigh nothing.
fn branch(on: &TestBlock, length: usize, salt: u8) -> Vec<TestBlock> {
    let mut blocks = vec![block_on(on, 0, &[(salt, salt)])];
    for _ in 1..length {
        blocks.push(block_on(&blocks[blocks.len() - 1], 0, &[]));
    }
    blocks
}

fn known(node: &Node, blocks: &[TestBlock]) -> usize {
    blocks.iter().filter(|it| node.chain.published().block(&id(it)).is_some()).count()
}

#[test]
fn headers_without_a_certificate_leave_nothing_behind() {
    let blocks = chain(5, 0, 1);
    let mut node = certified(&blocks);
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    for salt in 1..20 {
        let flood = branch(&blocks[4], 200, salt);
        puppet.say(&mut node, &headers(&flood));
        assert_eq!(known(&node, &flood), 0);
        puppet.say(&mut node, &block(&flood[0]));
        assert_eq!(known(&node, &flood), 0, "nor does a body");
    }
    assert_eq!(puppet.farewell(&node), None, "it may not have it yet");
}

#[test]
fn a_certificate_before_or_after_its_headers_lets_them_in_and_no_others() {
    let blocks = chain(5, 0, 1);
    let mut node = certified(&blocks);
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    let mut next = branch(&blocks[4], 30, 1);
    let other = branch(&blocks[4], 30, 2);
    puppet.say(&mut node, &proof(&next[9]));
    puppet.say(&mut node, &headers(&other));
    assert_eq!(known(&node, &other), 0, "a certificate of another branch");
    puppet.say(&mut node, &headers(&next));
    assert_eq!(known(&node, &next), 10);
    puppet.say(&mut node, &proof(&next[19]));
    assert_eq!(known(&node, &next), 20, "the rest was held back");
    puppet.heard(&mut node);
    for it in &next[..20] {
        puppet.say(&mut node, &block(it));
        puppet.say(&mut node, &proof(it));
    }
    assert_eq!(node.head(), id(&next[19]));
    next[29].header.time += 1;
    puppet.say(&mut node, &headers(&next[20..]));
    let forged = Message::Proof { id: id(&next[25]), proof: Bytes::from_static(b"forged") };
    puppet.say(&mut node, &forged);
    assert!(matches!(puppet.farewell(&node), Some(Farewell::Invalid { what: "proof", .. })));
    assert_eq!(known(&node, &next[20..]), 0);
}

#[test]
fn a_certificate_goes_before_the_headers_it_makes_worth_keeping() {
    let blocks = chain(5, 0, 1);
    let mut node = certified(&blocks[..4]);
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    puppet.heard(&mut node);
    let locate = Locate { version: 70016, locator: vec![id(&blocks[0])], stop: BlockId::ZERO };
    puppet.say(&mut node, &Message::GetHeaders(locate));
    assert_eq!(puppet.heard(&mut node), [proof(&blocks[3]), headers(&blocks[1..4])]);
    puppet.say(&mut node, &Message::SendHeaders);
    node.mine_final(&blocks[4]);
    let heard = puppet.heard(&mut node);
    let at = |message: &Message| heard.iter().position(|it| it == message);
    assert!(at(&headers(&blocks[4..])).is_some(), "{heard:?}");
    assert!(at(&proof(&blocks[4])).is_some(), "{heard:?}");
}

#[test]
fn before_the_first_certificate_all_peers_together_are_bounded() {
    let genesis = crate::support::genesis();
    let mut node = Node::new(1, parameters());
    let flood: Vec<_> = (0..4).map(|salt| branch(&genesis, 1_999, salt)).collect();
    for (peer, part) in flood.iter().enumerate() {
        let puppet = Puppet::join(&mut node, peer as u64, INBOUND);
        puppet.say(&mut node, &headers(part));
        assert_eq!(known(&node, part), 1_999);
    }
    let puppet = Puppet::join(&mut node, 9, INBOUND);
    let more = branch(&genesis, 1_999, 9);
    puppet.say(&mut node, &headers(&more));
    assert_eq!(known(&node, &more), 0);
    puppet.say(&mut node, &proof(&more[10]));
    puppet.say(&mut node, &headers(&more));
    assert_eq!(known(&node, &more), 11, "a certificate needs no trust");
}
