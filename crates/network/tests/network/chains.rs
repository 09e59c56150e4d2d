//! Honest nodes: handshake, headers, blocks, reorganisation, announcements.

use chainwright_network::message::{Inventory, Message, Version};
use chainwright_network::*;

use crate::harness::{Net, Node, START, parameters};
use crate::puppet::{Puppet, block, headers, version, wait};
use crate::support::{TestBlock, block_on, genesis, id};

/// A chain whose last block is of now, so that nobody is in initial download.
pub(crate) fn chain(length: usize, weight: u8, salt: u8) -> Vec<TestBlock> {
    let mut blocks: Vec<TestBlock> = Vec::new();
    for at in 0..length {
        let mut block = block_on(blocks.last().unwrap_or(&genesis()), weight, &[(salt, (at % 200) as u8)]);
        block.header.time = START / 1000 - (length - at) as u64;
        blocks.push(block);
    }
    blocks
}

pub(crate) fn node_with(seed: u8, blocks: &[TestBlock]) -> Node {
    let mut node = Node::new(seed, parameters());
    node.mine_all(blocks);
    node
}

#[test]
fn two_nodes_shake_hands_as_bitcoin_core_does() {
    let mut net = Net::new(vec![node_with(1, &[]), node_with(2, &[])]);
    net.link(0, 1, ConnectionKind::Manual);
    net.run(1_500);
    for node in &net.nodes {
        let peers = node.protocol.peers();
        assert_eq!(peers.len(), 1);
        let peer = &peers[0];
        assert!(peer.ready && peer.relays_transactions);
        assert_eq!((peer.version, peer.services), (70016, NODE_NETWORK | NODE_WITNESS));
        assert_eq!(peer.user_agent, "/Chainwright:0.1.0/");
        assert_eq!(peer.ping_ms, Some(40), "two links of 20 ms");
        assert!(peer.sent.by_message.contains_key("wtxidrelay"));
        assert!(peer.sent.by_message.contains_key("sendaddrv2"));
    }
    assert_eq!(net.nodes[0].protocol.totals().bytes_sent, net.nodes[1].protocol.totals().bytes_received);
}

#[test]
fn a_new_node_syncs_and_downloads_nothing_twice() {
    let blocks = chain(2_500, 1, 1);
    let mut net = Net::new(vec![Node::new(1, parameters()), node_with(2, &blocks)]);
    net.link(0, 1, ConnectionKind::OutboundFullRelay);
    assert!(net.run_until(60_000, |net| net.nodes[0].head() == net.nodes[1].head()), "synced");
    assert!(!net.nodes[0].protocol.is_initial_download());
    assert_eq!(net.nodes[0].imports.len(), 2_500);
    assert_eq!(net.nodes[0].protocol.totals().blocks_duplicate, 0);
    let peer = &net.nodes[0].protocol.peers()[0];
    assert_eq!(peer.synced_headers, 2_500);
    assert!(peer.in_flight.is_empty());
}

#[test]
fn blocks_come_from_all_peers_at_once() {
    let blocks = chain(600, 1, 1);
    let mut nodes = vec![Node::new(1, parameters())];
    nodes.extend((2..5).map(|seed| node_with(seed, &blocks)));
    let mut net = Net::new(nodes);
    (1..4).for_each(|to| net.link(0, to, ConnectionKind::OutboundFullRelay));
    assert!(net.run_until(60_000, |net| net.nodes[0].height() == 600));
    let served =
        (1..4).map(|at| net.nodes[at].protocol.peers()[0].sent.by_message.get("block").copied().unwrap_or(0));
    let served: Vec<_> = served.collect();
    assert!(served.iter().all(|bytes| *bytes > 2_000), "everybody serves: {served:?}");
    assert_eq!(net.nodes[0].imports.len(), 600);
}

#[test]
fn a_new_block_reaches_a_line_of_three_at_once() {
    let blocks = chain(20, 1, 1);
    let mut net = Net::new((1..4).map(|seed| node_with(seed, &blocks)).collect());
    net.link(0, 1, ConnectionKind::OutboundFullRelay);
    net.link(1, 2, ConnectionKind::OutboundFullRelay);
    net.run(5_000);
    let mut fresh = block_on(&blocks[19], 1, &[(3, 3)]);
    fresh.header.time = START / 1000;
    net.nodes[2].mine(&fresh);
    assert!(net.run_until(1_000, |net| net.nodes[0].head() == id(&fresh)), "no polling, no timers");
    // And by the same way back, as a second announcement of an extended chain.
    let mut next = block_on(&fresh, 1, &[(4, 3)]);
    next.header.time = START / 1000 + 1;
    net.nodes[0].mine(&next);
    assert!(net.run_until(1_000, |net| net.nodes[2].head() == id(&next)));
    assert_eq!(net.nodes[1].protocol.totals().blocks_duplicate, 0);
}

#[test]
fn competing_branches_meet_and_the_lighter_side_reorganises() {
    let (light, heavy) = (chain(300, 1, 1), chain(250, 2, 2));
    let mut net = Net::new(vec![node_with(1, &light), node_with(2, &heavy)]);
    net.link(0, 1, ConnectionKind::Manual);
    assert!(net.run_until(30_000, |net| net.nodes[0].head() == net.nodes[1].head()));
    assert_eq!(net.nodes[0].head(), id(&heavy[249]));
}

#[test]
fn a_peer_that_vanishes_in_the_middle_is_replaced() {
    let blocks = chain(400, 1, 1);
    let mut net = Net::new(vec![Node::new(1, parameters()), node_with(2, &blocks), node_with(3, &blocks)]);
    net.link(0, 1, ConnectionKind::OutboundFullRelay);
    net.link(0, 2, ConnectionKind::OutboundFullRelay);
    assert!(net.run_until(20_000, |net| net.nodes[0].height() > 100));
    net.cut(1);
    assert!(net.run_until(30_000, |net| net.nodes[0].height() == 400));
}

#[test]
fn a_peer_that_holds_up_the_window_is_given_up() {
    let blocks = chain(1_500, 1, 1);
    let mut net = Net::new(vec![Node::new(1, parameters()), node_with(2, &blocks), node_with(3, &blocks)]);
    net.link(0, 1, ConnectionKind::OutboundFullRelay);
    net.link(0, 2, ConnectionKind::OutboundFullRelay);
    assert!(net.run_until(20_000, |net| net.nodes[0].height() > 20));
    net.deaf = vec![1];
    assert!(net.run_until(30_000, |net| net.nodes[0].height() == 1_500), "at {}", net.nodes[0].height());
    let stalled = Farewell::Timeout("block stalling");
    assert!(net.nodes[0].farewells.iter().any(|(_, why)| *why == stalled), "{:?}", net.nodes[0].farewells);
}

#[test]
fn chains_without_weight_follow_their_certificates() {
    let blocks = chain(30, 0, 1);
    let mut sealer = Node::new(1, parameters());
    for block in &blocks {
        sealer.mine_final(block);
    }
    assert_eq!(sealer.height(), 30);
    let mut net = Net::new(vec![sealer, Node::new(2, parameters())]);
    net.link(1, 0, ConnectionKind::Manual);
    assert!(net.run_until(30_000, |net| net.nodes[1].height() == 30), "at {}", net.nodes[1].height());
    let published = net.nodes[1].chain.published().clone();
    assert_eq!(published.finalized().map(|block| block.id()), Some(id(&blocks[29])));
    let mut next = block_on(&blocks[29], 0, &[(1, 1)]);
    next.header.time = START / 1000;
    net.nodes[0].mine_final(&next);
    assert!(net.run_until(2_000, |net| net.nodes[1].head() == id(&next)));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = || {
        let blocks = chain(200, 1, 1);
        let mut net = Net::new(vec![Node::new(1, parameters()), node_with(2, &blocks)]);
        net.link(0, 1, ConnectionKind::OutboundFullRelay);
        net.run(5_000);
        (net.carried, net.nodes[0].imports.clone(), net.nodes[0].protocol.peers())
    };
    assert_eq!(run(), run());
}

#[test]
fn a_connection_to_oneself_is_refused() {
    let mut node = node_with(1, &[]);
    node.connect(1, ConnectionKind::Manual);
    let (_, version) = node.out.pop_front().unwrap();
    node.connect(2, ConnectionKind::Inbound);
    node.handle(Input::Received { peer: PeerId(2), bytes: version });
    assert_eq!(node.farewells, [(PeerId(2), Farewell::ToSelf)]);
}

#[test]
fn the_chain_is_found_again_after_an_operator_takes_a_block_back() {
    let blocks = chain(10, 1, 1);
    let mut net = Net::new(vec![node_with(1, &blocks), node_with(2, &blocks)]);
    net.link(0, 1, ConnectionKind::Manual);
    net.run(2_000);
    let target = id(&blocks[5]);
    let mut reply = net.nodes[0].chain.invalidate(target);
    net.nodes[0].settle();
    reply.take().unwrap().unwrap();
    assert_eq!(net.nodes[0].height(), 5);
    net.run(5_000);
    let mut reply = net.nodes[0].chain.reconsider(target);
    net.nodes[0].settle();
    reply.take().unwrap().unwrap();
    let mut fresh = block_on(&blocks[9], 1, &[(3, 3)]);
    fresh.header.time = START / 1000;
    net.nodes[1].mine(&fresh);
    assert!(net.run_until(3_000, |net| net.nodes[0].head() == id(&fresh)));
}

/// Whether the node has asked a peer for headers since the last look.
fn asked_headers(puppet: &Puppet, node: &mut Node) -> bool {
    puppet.heard(node).iter().any(|message| matches!(message, Message::GetHeaders(_)))
}

#[test]
fn a_peer_that_was_not_in_sync_itself_is_asked_again_when_it_announces_a_block() {
    let blocks = chain(3, 1, 1);
    let mut node = Node::new(1, parameters());
    let puppet = Puppet::join(&mut node, 2, ConnectionKind::Inbound);
    assert!(asked_headers(&puppet, &mut node), "at once, and the peer says nothing");
    wait(&mut node, 1_000);
    let inv = Message::Inv(vec![Inventory::block(id(&blocks[2]), false)]);
    puppet.say(&mut node, &inv);
    assert!(asked_headers(&puppet, &mut node), "an announcement is news");
    puppet.say(&mut node, &inv);
    assert!(!asked_headers(&puppet, &mut node), "but not every one of them");
    wait(&mut node, 6_000);
    assert!(asked_headers(&puppet, &mut node), "asked again without a further announcement");
    wait(&mut node, 10 * 60_000);
    let asked = puppet.heard(&mut node);
    let asked = asked.iter().filter(|message| matches!(message, Message::GetHeaders(_))).count();
    assert!((5..=10).contains(&asked), "ever more slowly: {asked}");
    puppet.say(&mut node, &headers(&blocks));
    for it in &blocks {
        puppet.say(&mut node, &block(it));
    }
    assert_eq!(node.head(), id(&blocks[2]));
}

#[test]
fn a_silent_peer_keeps_nobody_else_from_being_asked_and_is_asked_again() {
    let mut node = Node::new(1, parameters());
    let silent = Puppet::join(&mut node, 2, ConnectionKind::Manual);
    let other = Puppet::join(&mut node, 3, ConnectionKind::Manual);
    assert!(asked_headers(&silent, &mut node) && !asked_headers(&other, &mut node));
    wait(&mut node, 125_000);
    assert!(asked_headers(&other, &mut node), "the next one's turn");
    assert!(asked_headers(&silent, &mut node), "it may be able to answer by now");
}

#[test]
fn a_peer_that_claims_a_longer_chain_than_it_showed_is_asked_again() {
    let mut node = Node::new(1, parameters());
    node.connect(2, ConnectionKind::Manual);
    let puppet = Puppet { peer: PeerId(2) };
    puppet.say(&mut node, &Message::Version(Version { start_height: 5, ..version(2) }));
    puppet.say(&mut node, &Message::Verack);
    assert!(asked_headers(&puppet, &mut node));
    puppet.say(&mut node, &Message::Headers(Vec::new()));
    wait(&mut node, 100_000);
    assert!(!asked_headers(&puppet, &mut node), "not at once");
    wait(&mut node, 25_000);
    assert!(asked_headers(&puppet, &mut node));
}

#[test]
fn a_stored_body_that_became_unreadable_is_fetched_again() {
    let blocks = chain(20, 1, 1);
    let mut net = Net::new(vec![node_with(1, &blocks), node_with(2, &blocks), node_with(3, &blocks)]);
    net.link(0, 1, ConnectionKind::OutboundFullRelay);
    net.run(2_000);
    let node = &mut net.nodes[0];
    for block in [&blocks[3], &blocks[19]] {
        node.store.0.lock().damage_body(&id(block));
        assert!(node.chain.published().read_block(&id(block)).is_err());
    }
    node.chain.expire_pool();
    node.settle();
    assert_eq!(node.chain.published().missing_bodies(), [id(&blocks[3]), id(&blocks[19])]);
    assert!(net.run_until(5_000, |net| net.nodes[0].chain.published().missing_bodies().is_empty()));
    let node = &net.nodes[0];
    assert_eq!(node.imports, [id(&blocks[3]), id(&blocks[19])]);
    assert!(
        matches!(node.chain.published().read_block(&id(&blocks[3])), Ok(Some(block)) if block.txs == blocks[3].txs)
    );
    assert_eq!(node.head(), id(&blocks[19]));
}

#[test]
fn a_bad_copy_of_an_unreadable_body_costs_its_sender_and_another_peer_is_asked() {
    let blocks = chain(5, 1, 1);
    let mut node = node_with(1, &blocks);
    let liar = Puppet::join(&mut node, 2, ConnectionKind::OutboundFullRelay);
    let honest = Puppet::join(&mut node, 3, ConnectionKind::OutboundFullRelay);
    for puppet in [&liar, &honest] {
        puppet.say(&mut node, &headers(&blocks));
    }
    liar.heard(&mut node);
    honest.heard(&mut node);
    node.store.0.lock().damage_body(&id(&blocks[1]));
    assert!(node.chain.published().read_block(&id(&blocks[1])).is_err());
    node.chain.expire_pool();
    wait(&mut node, 1_000);
    assert_eq!(liar.asked_blocks(&mut node), [id(&blocks[1])]);
    let mut bad = blocks[1].clone();
    bad.txs.clear();
    liar.say(&mut node, &block(&bad));
    assert!(liar.farewell(&node).is_some());
    wait(&mut node, 1_000);
    assert_eq!(honest.asked_blocks(&mut node), [id(&blocks[1])]);
    honest.say(&mut node, &Message::NotFound(vec![Inventory::block(id(&blocks[1]), true)]));
    wait(&mut node, 5_000);
    assert_eq!(honest.asked_blocks(&mut node), [], "it does not have it");
    honest.say(&mut node, &headers(&blocks));
    wait(&mut node, 1_000);
    assert_eq!(honest.asked_blocks(&mut node), [id(&blocks[1])], "or does it");
    honest.say(&mut node, &block(&blocks[1]));
    assert!(node.chain.published().missing_bodies().is_empty());
}
