//! Peers that lie, flood, stall and babble.

use chainwright_chain::{BlockId, Reject, U256, Weight};
use chainwright_network::message::{FrameError, Inventory, Locate, Message, Version, encode_frame};
use chainwright_network::*;
use proptest::prelude::*;

use crate::chains::{chain, node_with};
use crate::harness::{MAGIC, Node, UNSEALED, parameters};
use crate::puppet::{Puppet, block, encoded, headers, ids, version, wait};
use crate::support::{BAD, TestBlock, Tx, block_on, genesis, id};

const INBOUND: ConnectionKind = ConnectionKind::Inbound;
const OUTBOUND: ConnectionKind = ConnectionKind::OutboundFullRelay;

#[test]
fn a_mutated_block_costs_its_sender_and_the_honest_one_is_still_taken() {
    let blocks = chain(3, 1, 1);
    let mut node = node_with(1, &blocks[..2]);
    let liar = Puppet::join(&mut node, 2, OUTBOUND);
    let honest = Puppet::join(&mut node, 3, OUTBOUND);
    liar.say(&mut node, &headers(&blocks[2..]));
    assert_eq!(liar.asked_blocks(&mut node), [id(&blocks[2])]);
    honest.say(&mut node, &headers(&blocks[2..]));
    let mut mutated = blocks[2].clone();
    mutated.txs.push(Tx { slot: 1, value: 1 });
    liar.say(&mut node, &block(&mutated));
    assert!(matches!(liar.farewell(&node), Some(Farewell::Invalid { reject: Reject::Mutated(_), .. })));
    assert!(liar.is_discouraged(&node));
    wait(&mut node, 200);
    assert_eq!(honest.asked_blocks(&mut node), [id(&blocks[2])]);
    honest.say(&mut node, &block(&blocks[2]));
    assert_eq!(node.head(), id(&blocks[2]));
    assert_eq!(honest.farewell(&node), None);
}

#[test]
fn an_invalid_block_costs_its_sender_and_is_never_asked_for_again() {
    let blocks = chain(2, 1, 1);
    let mut node = node_with(1, &blocks);
    let mut bad = block_on(&blocks[1], 1, &[(1, BAD)]);
    bad.header.time = blocks[1].header.time + 1;
    for peer in [2, 3] {
        let puppet = Puppet::join(&mut node, peer, OUTBOUND);
        puppet.heard(&mut node);
        puppet.say(&mut node, &headers(std::slice::from_ref(&bad)));
        let expected = if peer == 2 { ids(std::slice::from_ref(&bad)) } else { Vec::new() };
        assert_eq!(puppet.asked_blocks(&mut node), expected);
        puppet.say(&mut node, &block(&bad));
        assert!(puppet.farewell(&node).is_some(), "peer {peer}");
        assert!(puppet.is_discouraged(&node));
    }
    assert_eq!(node.imports, ids(std::slice::from_ref(&bad)));
    assert_eq!(node.head(), id(&blocks[1]));
}

#[test]
fn headers_that_do_not_follow_one_another_end_the_connection() {
    let blocks = chain(4, 1, 1);
    let mut node = node_with(1, &[]);
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    puppet.say(&mut node, &headers(&[blocks[0].clone(), blocks[2].clone()]));
    assert_eq!(puppet.farewell(&node), Some(&Farewell::Protocol("non-continuous headers sequence")));
    assert!(puppet.is_discouraged(&node));
}

#[test]
fn headers_that_connect_to_nothing_make_us_ask_and_cost_nothing() {
    let blocks = chain(4, 1, 1);
    let mut node = node_with(1, &blocks[..1]);
    let puppet = Puppet::join(&mut node, 2, OUTBOUND);
    wait(&mut node, 130_000);
    puppet.heard(&mut node);
    puppet.say(&mut node, &headers(&blocks[3..]));
    let heard = puppet.heard(&mut node);
    let asks = |message: &Message| matches!(message, Message::GetHeaders(locate) if locate.locator[0] == id(&blocks[0]));
    assert!(heard.iter().any(asks), "{heard:?}");
    puppet.say(&mut node, &headers(&blocks[1..]));
    assert_eq!(puppet.asked_blocks(&mut node), ids(&blocks[1..]));
    assert_eq!(puppet.farewell(&node), None);
}

/// A node that wants 10,000 units of weight before it remembers a branch.
fn careful() -> Node {
    let mut parameters = parameters();
    parameters.minimum_weight = Weight(U256::from(10_000));
    Node::new(1, parameters)
}

fn known_blocks(node: &Node, blocks: &[TestBlock]) -> usize {
    let published = node.chain.published();
    blocks.iter().filter(|block| published.block(&id(block)).is_some()).count()
}

/// A chain of headers as from genesis, one second apart.
fn long(length: usize, weight: u8, salt: u8) -> Vec<TestBlock> {
    let mut blocks = vec![block_on(&genesis(), weight, &[(salt, 1)])];
    for _ in 1..length {
        let last = blocks.last().unwrap_or(&blocks[0]);
        blocks.push(block_on(last, weight, &[]));
    }
    blocks
}

#[test]
fn a_flood_of_cheap_headers_leaves_nothing_behind() {
    let flood = long(8_500, 1, 1);
    let mut node = careful();
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    for part in flood.chunks(2_000) {
        puppet.say(&mut node, &headers(part));
        wait(&mut node, 100);
    }
    assert_eq!(known_blocks(&node, &flood), 0);
    assert_eq!(node.protocol.peers()[0].presynced_headers, -1, "the branch ended too light: given up");
    // A short light branch is not even looked at twice.
    puppet.say(&mut node, &headers(&flood[..100]));
    assert_eq!(known_blocks(&node, &flood), 0);
    assert_eq!(puppet.farewell(&node), None);
}

#[test]
fn a_heavy_chain_is_taken_in_two_passes() {
    let blocks = long(10_400, 1, 1);
    let mut node = careful();
    let puppet = Puppet::join(&mut node, 2, OUTBOUND);
    puppet.heard(&mut node);
    for part in blocks[..10_000].chunks(2_000) {
        assert_eq!(known_blocks(&node, &blocks), 0);
        puppet.say(&mut node, &headers(part));
        wait(&mut node, 100);
    }
    let mut heard = puppet.heard(&mut node);
    for part in blocks.chunks(2_000) {
        puppet.say(&mut node, &headers(part));
        wait(&mut node, 100);
        heard.extend(puppet.heard(&mut node));
    }
    let asked = heard.iter().filter(|it| matches!(it, Message::GetHeaders(_))).count();
    assert_eq!(known_blocks(&node, &blocks), 10_400);
    assert!(asked >= 10, "each part of each pass is asked for: {asked}");
    let first = Inventory::block(id(&blocks[0]), true);
    assert!(heard.iter().any(|it| matches!(it, Message::GetData(list) if list[0] == first)));
}

#[test]
fn another_chain_in_the_second_pass_leaves_nothing_behind() {
    let (shown, hidden) = (long(10_400, 1, 1), long(10_400, 1, 2));
    let mut node = careful();
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    for part in shown.chunks(2_000) {
        puppet.say(&mut node, &headers(part));
        wait(&mut node, 100);
    }
    for part in hidden.chunks(2_000).take(5) {
        puppet.say(&mut node, &headers(part));
        wait(&mut node, 100);
    }
    assert_eq!(known_blocks(&node, &hidden), 0);
    assert_eq!(known_blocks(&node, &shown), 0);
}

#[test]
fn weight_without_a_seal_is_a_lie() {
    let mut flood = long(2_000, 1, 1);
    let forged = block_on(&flood[1_998], UNSEALED, &[]);
    flood[1_999] = forged;
    let mut node = careful();
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    puppet.say(&mut node, &headers(&flood));
    assert_eq!(puppet.farewell(&node), Some(&Farewell::Protocol("header with invalid proof of work")));
    assert_eq!(known_blocks(&node, &flood), 0);
}

#[test]
fn made_up_headers_and_blocks_of_no_branch_cost_their_sender() {
    let blocks = chain(4, 1, 1);
    let mut node = node_with(1, &blocks[..1]);
    let forged = block_on(&blocks[3], UNSEALED, &[]);
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    puppet.heard(&mut node);
    puppet.say(&mut node, &headers(&[blocks[3].clone(), forged.clone()]));
    assert!(
        !puppet.heard(&mut node).iter().any(|it| matches!(it, Message::GetHeaders(_))),
        "nothing is asked"
    );
    assert_eq!(puppet.farewell(&node), Some(&Farewell::Protocol("header with invalid proof of work")));
    let puppet = Puppet::join(&mut node, 3, INBOUND);
    puppet.say(&mut node, &block(&forged));
    assert!(puppet.is_discouraged(&node));
}

#[test]
fn oversized_and_foreign_frames_end_the_connection_and_broken_ones_do_not() {
    let mut node = node_with(1, &[]);
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    puppet.heard(&mut node);
    let mut broken = encoded(&Message::Ping(Some(1))).to_vec();
    broken[24] ^= 0xff;
    puppet.say_bytes(&mut node, &broken);
    puppet.say(&mut node, &Message::Ping(Some(2)));
    assert!(puppet.heard(&mut node).contains(&Message::Pong(2)));
    assert_eq!(node.protocol.totals().frames_dropped, 1);
    let mut huge = encoded(&Message::Verack).to_vec();
    huge[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    puppet.say_bytes(&mut node, &huge[..24]);
    assert!(matches!(puppet.farewell(&node), Some(Farewell::Frame(FrameError::Oversized { .. }))));
    let other = Puppet::join(&mut node, 3, INBOUND);
    other.say_bytes(&mut node, b"GET / HTTP/1.1\r\n");
    assert_eq!(other.farewell(&node), Some(&Farewell::Frame(FrameError::Magic)));
}

#[test]
fn obsolete_and_silent_peers_are_let_go() {
    let mut node = node_with(1, &[]);
    node.connect(2, INBOUND);
    let old = Puppet { peer: PeerId(2) };
    old.say(&mut node, &Message::Version(Version { version: 31_799, ..version(1) }));
    assert_eq!(old.farewell(&node), Some(&Farewell::Obsolete(31_799)));
    node.connect(3, INBOUND);
    wait(&mut node, 59_000);
    assert_eq!(node.farewells.len(), 1);
    wait(&mut node, 3_000);
    assert_eq!(node.farewells[1], (PeerId(3), Farewell::Timeout("version handshake")));
    let mute = Puppet::join(&mut node, 4, INBOUND);
    wait(&mut node, 19 * 60_000);
    assert_eq!(mute.farewell(&node), None);
    wait(&mut node, 3 * 60_000);
    assert!(matches!(mute.farewell(&node), Some(Farewell::Timeout(_))));
}

#[test]
fn nothing_counts_before_the_handshake() {
    let blocks = chain(3, 1, 1);
    let mut node = node_with(1, &[]);
    node.connect(2, INBOUND);
    let early = Puppet { peer: PeerId(2) };
    early.say(&mut node, &headers(&blocks));
    early.say(&mut node, &block(&blocks[0]));
    early.say(&mut node, &Message::Version(version(1)));
    early.say(&mut node, &block(&blocks[0]));
    early.say(&mut node, &Message::GetAddr);
    assert!(node.imports.is_empty());
    assert_eq!(known_blocks(&node, &blocks), 0);
    early.say(&mut node, &Message::Verack);
    early.say(&mut node, &Message::WtxidRelay);
    assert_eq!(early.farewell(&node), Some(&Farewell::Protocol("wtxidrelay received after verack")));
}

#[test]
fn a_peer_that_reads_slowly_is_served_slowly() {
    let blocks = chain(50, 1, 1);
    let mut node = node_with(1, &blocks);
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    puppet.heard(&mut node);
    node.handle(Input::Waiting { peer: puppet.peer, bytes: 2_000_000 });
    let list = ids(&blocks).into_iter().map(|id| Inventory::block(id, true)).collect();
    puppet.say(&mut node, &Message::GetData(list));
    puppet.say(&mut node, &Message::Ping(Some(7)));
    wait(&mut node, 1_000);
    let held = |message: &Message| !matches!(message, Message::Block(_) | Message::Pong(_));
    assert!(puppet.heard(&mut node).iter().all(held), "neither blocks nor the answer to what came after");
    assert!(!node.protocol.wants_bytes(puppet.peer));
    node.handle(Input::Waiting { peer: puppet.peer, bytes: 0 });
    wait(&mut node, 100);
    let heard = puppet.heard(&mut node);
    assert_eq!(heard.iter().filter(|message| matches!(message, Message::Block(_))).count(), 50);
    let place = |wanted: &dyn Fn(&Message) -> bool| heard.iter().rposition(wanted);
    assert!(place(&|it| matches!(it, Message::Block(_))) < place(&|it| *it == Message::Pong(7)), "in order");
}

#[test]
fn endless_requests_are_answered_at_our_pace() {
    let blocks = chain(10, 1, 1);
    let mut node = node_with(1, &blocks);
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    let locate = Locate { version: 70016, locator: ids(&blocks[..1]), stop: BlockId::ZERO };
    let many: Vec<u8> = (0..2_000).flat_map(|_| encoded(&Message::GetHeaders(locate.clone()))).collect();
    puppet.heard(&mut node);
    puppet.say_bytes(&mut node, &many);
    let answered = puppet.heard(&mut node).len();
    assert!((100..600).contains(&answered), "{answered} at once");
    assert!(!node.protocol.wants_bytes(puppet.peer));
    wait(&mut node, 60_000);
    let all = puppet.heard(&mut node).into_iter().filter(|it| matches!(it, Message::Headers(_))).count();
    assert_eq!(answered + all, 2_000, "nothing is lost");
}

#[test]
fn old_blocks_beside_the_chain_are_not_shown() {
    let (light, heavy) = (chain(5, 1, 1), chain(5, 2, 2));
    let mut node = node_with(1, &light);
    node.mine_all(&heavy);
    let mut ancient = block_on(&genesis(), 1, &[(9, 9)]);
    ancient.header.time = 5;
    node.mine(&ancient);
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    puppet.heard(&mut node);
    let list = [id(&light[4]), id(&heavy[4]), id(&ancient)].map(|id| Inventory::block(id, true)).to_vec();
    puppet.say(&mut node, &Message::GetData(list));
    let heard = puppet.heard(&mut node);
    assert!(heard.contains(&block(&light[4])) && heard.contains(&block(&heavy[4])));
    assert!(heard.contains(&Message::NotFound(vec![Inventory::block(id(&ancient), true)])));
}

#[test]
fn a_full_house_makes_room_by_sending_the_youngest_of_the_largest_group_away() {
    let mut parameters = parameters();
    parameters.policy.inbound_max = 40;
    let mut node = Node::new(1, parameters);
    for peer in 0..60_u64 {
        node.now += 1_000;
        let host = Host::Ip4([8, if peer < 10 { peer as u8 } else { 100 }, 8, peer as u8]);
        let address = NetworkAddress { host, port: 18444 };
        node.handle(Input::Connected { peer: PeerId(peer), address, kind: INBOUND });
    }
    assert_eq!(node.protocol.totals().inbound, 40);
    assert_eq!(node.farewells.len(), 20);
    assert!(node.farewells.iter().all(|(peer, why)| peer.0 >= 10 && *why == Farewell::Evicted));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn garbage_never_panics_and_never_changes_the_chain(
        messages in prop::collection::vec((0..22_usize, prop::collection::vec(any::<u8>(), 0..120)), 1..60),
        shaken in any::<bool>(),
    ) {
        const NAMES: [&str; 22] = [
            "version", "verack", "ping", "pong", "addr", "addrv2", "getaddr", "inv", "getdata", "notfound", "getblocks",
            "getheaders", "headers", "sendheaders", "block", "tx", "feefilter", "sendcmpct", "proof", "cmpctblock", "reject", "?",
        ];
        let blocks = chain(3, 1, 1);
        let mut node = node_with(1, &blocks);
        node.connect(9, INBOUND);
        let puppet = if shaken { Puppet::join(&mut node, 2, INBOUND) } else { Puppet { peer: PeerId(9) } };
        for (name, payload) in messages {
            let mut wire = encode_frame(MAGIC, Message::Verack.command(), &payload).to_vec();
            wire[4..16].fill(0);
            wire[4..4 + NAMES[name].len()].copy_from_slice(NAMES[name].as_bytes());
            puppet.say_bytes(&mut node, &wire);
            wait(&mut node, 100);
        }
        prop_assert_eq!(node.head(), id(&blocks[2]));
    }
}
