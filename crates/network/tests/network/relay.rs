//! Transactions and addresses on their way.

use bytes::Bytes;
use chainwright_chain::{BlockId, Codec, Fault, Pool, Reason, Refusal, Transaction, TxId};
use chainwright_network::message::{Inventory, InventoryKind, Locate, Message, Version};
use chainwright_network::*;

use crate::chains::{chain, node_with};
use crate::harness::{Net, Node, START, parameters};
use crate::puppet::{Puppet, version, wait};
use crate::support::{Tx, id};

const INBOUND: ConnectionKind = ConnectionKind::Inbound;
const OUTBOUND: ConnectionKind = ConnectionKind::OutboundFullRelay;

fn tx(slot: u8, value: u8) -> Tx {
    Tx { slot, value }
}

fn pool_ids(node: &Node) -> Vec<TxId> {
    node.chain.published().pool().all().iter().map(|tx| tx.id()).collect()
}

fn asked(heard: &[Message]) -> Vec<Inventory> {
    let lists = heard.iter().filter_map(|message| match message {
        Message::GetData(list) => Some(list.clone()),
        _ => None,
    });
    lists.flatten().filter(|entry| entry.kind.is_transaction()).collect()
}

#[test]
fn a_transaction_crosses_three_nodes() {
    let blocks = chain(5, 1, 1);
    let mut net = Net::new((1..4).map(|seed| node_with(seed, &blocks)).collect());
    net.link(0, 1, OUTBOUND);
    net.link(1, 2, OUTBOUND);
    net.run(2_000);
    net.nodes[0].submit(tx(1, 7));
    assert!(net.run_until(120_000, |net| pool_ids(&net.nodes[2]) == [tx(1, 7).id()]));
    net.nodes[2].submit(tx(2, 8));
    assert!(net.run_until(120_000, |net| pool_ids(&net.nodes[0]).len() == 2));
    assert_eq!(pool_ids(&net.nodes[1]).len(), 2, "each transaction arrives once");
}

#[test]
fn a_peer_that_joins_later_hears_of_what_nobody_has_taken_yet_and_of_nothing_else() {
    let blocks = chain(5, 1, 1);
    let mut net = Net::new((1..4).map(|seed| node_with(seed, &blocks)).collect());
    (0..50).for_each(|value| net.nodes[0].submit(tx(7, value)));
    assert_eq!(net.nodes[0].protocol.unbroadcast().len(), 50);
    net.link(1, 0, OUTBOUND);
    assert!(net.run_until(120_000, |net| pool_ids(&net.nodes[1]).len() == 50));
    assert!(net.nodes.iter().all(|node| node.protocol.unbroadcast().is_empty()), "somebody has them");
    net.link(2, 0, OUTBOUND);
    net.link(2, 1, OUTBOUND);
    net.run(120_000);
    assert_eq!(pool_ids(&net.nodes[2]).len(), 0, "the pool is shown to nobody");
    net.nodes[0].submit(tx(7, 50));
    assert!(net.run_until(120_000, |net| pool_ids(&net.nodes[2]) == [tx(7, 50).id()]), "what comes later is");
}

#[test]
fn own_transactions_of_an_earlier_run_are_announced_by_the_next() {
    let blocks = chain(5, 1, 1);
    let mut net = Net::new((1..3).map(|seed| node_with(seed, &blocks)).collect());
    net.link(1, 0, OUTBOUND);
    net.run(2_000);
    // Taken without a notice, as out of a file.
    net.nodes[0].submit_quietly(tx(7, 1));
    net.run(30_000);
    assert_eq!(pool_ids(&net.nodes[1]).len(), 0);
    net.nodes[0].protocol.announce_own([tx(7, 1).id(), tx(7, 2).id()]);
    assert_eq!(net.nodes[0].protocol.unbroadcast(), [tx(7, 1).id()], "what is gone is forgotten");
    assert!(net.run_until(120_000, |net| pool_ids(&net.nodes[1]).len() == 1));
}

#[test]
fn an_own_transaction_that_was_not_worth_announcing_is_tried_again() {
    let mut parameters = parameters();
    parameters.hooks.fee_rate = |_, _| Some(1_000);
    let mut node = Node::new(1, parameters);
    node.mine_all(&chain(5, 1, 1));
    let puppet = Puppet::join(&mut node, 2, OUTBOUND);
    puppet.say(&mut node, &Message::FeeFilter(5_000));
    node.submit(tx(7, 1));
    let told = |node: &mut Node| puppet.heard(node).iter().any(|it| matches!(it, Message::Inv(_)));
    wait(&mut node, 60_000);
    puppet.say(&mut node, &Message::FeeFilter(500));
    wait(&mut node, 60_000);
    assert!(!told(&mut node));
    for _ in 0..14 {
        wait(&mut node, 60_000);
        puppet.say(&mut node, &Message::Ping(Some(1)));
    }
    assert!(told(&mut node), "within fifteen minutes");
}

#[test]
fn relay_ids_are_used_when_both_sides_want_them_and_ids_otherwise() {
    let blocks = chain(5, 1, 1);
    let mut node = node_with(1, &blocks);
    let modern = Puppet::join(&mut node, 2, OUTBOUND);
    node.connect(3, OUTBOUND);
    let old = Puppet { peer: PeerId(3) };
    old.say(&mut node, &Message::Version(Version { version: 70_015, ..version(5) }));
    old.say(&mut node, &Message::Verack);
    assert!(!old.heard(&mut node).contains(&Message::WtxidRelay));
    node.submit(tx(1, 9));
    wait(&mut node, 60_000);
    let announced = |heard: Vec<Message>| {
        heard.into_iter().find_map(|message| match message {
            Message::Inv(list) => Some(list[0].kind),
            _ => None,
        })
    };
    assert_eq!(announced(modern.heard(&mut node)), Some(InventoryKind::WitnessId));
    assert_eq!(announced(old.heard(&mut node)), Some(InventoryKind::Transaction));
    // Asked by id, the witness is asked for as well.
    let entry = Inventory::transaction(InventoryKind::Transaction, tx(2, 2).id());
    old.say(&mut node, &Message::Inv(vec![entry]));
    let expected = Inventory::transaction(InventoryKind::WitnessTransaction, tx(2, 2).id());
    assert_eq!(asked(&old.heard(&mut node)), [expected]);
}

#[test]
fn an_unanswered_request_is_repeated_elsewhere_and_notfound_at_once() {
    let blocks = chain(5, 1, 1);
    let mut node = node_with(1, &blocks);
    let puppets = [2, 3, 4].map(|peer| Puppet::join(&mut node, peer, OUTBOUND));
    let entry = Inventory::transaction(InventoryKind::WitnessId, tx(7, 1).id());
    for puppet in &puppets {
        puppet.heard(&mut node);
        puppet.say(&mut node, &Message::Inv(vec![entry]));
    }
    let who = |node: &mut Node| {
        let asked: Vec<_> = puppets.iter().filter(|puppet| !asked(&puppet.heard(node)).is_empty()).collect();
        assert!(asked.len() <= 1, "one request at a time");
        asked.first().map(|puppet| puppet.peer.0)
    };
    let first = who(&mut node).expect("asked at once");
    wait(&mut node, 55_000);
    assert_eq!(who(&mut node), None);
    wait(&mut node, 10_000);
    let second = who(&mut node).expect("asked elsewhere after a minute");
    let puppet = puppets.iter().find(|puppet| puppet.peer.0 == second).unwrap();
    puppet.say(&mut node, &Message::NotFound(vec![entry]));
    let third = who(&mut node).expect("asked elsewhere at once");
    assert!(first != second && second != third && first != third);
    let last = puppets.iter().find(|puppet| puppet.peer.0 == third).unwrap();
    last.say(&mut node, &Message::Tx(tx(7, 1).to_bytes().into()));
    assert_eq!(pool_ids(&node), [tx(7, 1).id()]);
}

#[test]
fn a_transaction_that_is_being_judged_is_asked_of_nobody_else() {
    let mut node = node_with(1, &chain(5, 1, 1));
    let puppets = [2, 3].map(|peer| Puppet::join(&mut node, peer, OUTBOUND));
    let judged = tx(7, 1);
    let entry = Inventory::transaction(InventoryKind::WitnessId, judged.id());
    node.refusals.insert(judged.id(), Refusal::Fault(Fault::new("on purpose")));
    node.is_pool_slow = true;
    let asked_of = |node: &mut Node| {
        let asked = puppets.iter().find(|puppet| !asked(&puppet.heard(node)).is_empty());
        asked.map(|puppet| puppet.peer)
    };
    for puppet in &puppets {
        puppet.say(&mut node, &Message::Inv(vec![entry]));
    }
    let first = asked_of(&mut node).expect("asked at once");
    let first = puppets.iter().find(|puppet| puppet.peer == first).unwrap();
    first.say(&mut node, &Message::Tx(judged.to_bytes().into()));
    wait(&mut node, 10_000);
    assert_eq!(asked_of(&mut node), None, "the pool has it");
    node.refusals.clear();
    node.is_pool_slow = false;
    node.handle(Input::Tick);
    first.say(&mut node, &Message::Tx(judged.to_bytes().into()));
    assert_eq!(pool_ids(&node), [judged.id()], "once the verdict is there it may come again");
}

#[test]
fn a_peer_whose_transactions_fill_its_share_of_memory_is_not_read() {
    let mut parameters = parameters();
    parameters.policy.submitting_bytes_max = 6;
    let mut node = Node::new(1, parameters);
    node.mine_all(&chain(5, 1, 1));
    node.is_pool_slow = true;
    let puppet = Puppet::join(&mut node, 2, OUTBOUND);
    for value in 1..=3 {
        assert!(node.protocol.wants_bytes(puppet.peer));
        puppet.say(&mut node, &Message::Tx(tx(7, value).to_bytes().into()));
    }
    assert!(!node.protocol.wants_bytes(puppet.peer));
    node.is_pool_slow = false;
    node.handle(Input::Tick);
    assert!(node.protocol.wants_bytes(puppet.peer));
}

#[test]
fn an_orphan_waits_for_its_parent_which_is_asked_for_by_id() {
    let mut node = node_with(1, &chain(5, 1, 1));
    let puppet = Puppet::join(&mut node, 2, OUTBOUND);
    let (parent, child) = (tx(7, 1), tx(7, 2));
    let missing =
        Refusal::MissingParents { reason: Reason::new("missing-inputs"), parents: vec![parent.id()] };
    node.refusals.insert(child.id(), missing);
    puppet.say(&mut node, &Message::Tx(child.to_bytes().into()));
    let expected = Inventory::transaction(InventoryKind::WitnessTransaction, parent.id());
    assert_eq!(asked(&puppet.heard(&mut node)), [expected]);
    node.refusals.clear();
    puppet.say(&mut node, &Message::Tx(parent.to_bytes().into()));
    assert_eq!(pool_ids(&node), [parent.id(), child.id()]);
}

#[test]
fn a_refused_transaction_is_not_asked_for_again_until_the_head_moves() {
    let blocks = chain(6, 1, 1);
    let mut node = node_with(1, &blocks[..5]);
    let puppet = Puppet::join(&mut node, 2, OUTBOUND);
    let refused = tx(7, 3);
    node.refusals.insert(refused.id(), Refusal::Policy(Reason::new("min relay fee not met")));
    puppet.say(&mut node, &Message::Tx(refused.to_bytes().into()));
    assert_eq!(puppet.farewell(&node), None);
    let entry = Inventory::transaction(InventoryKind::WitnessId, refused.id());
    puppet.say(&mut node, &Message::Inv(vec![entry]));
    assert!(asked(&puppet.heard(&mut node)).is_empty());
    node.mine(&blocks[5]);
    puppet.say(&mut node, &Message::Inv(vec![entry]));
    assert_eq!(asked(&puppet.heard(&mut node)), [entry]);
}

#[test]
fn a_fee_filter_is_said_and_honoured() {
    let blocks = chain(5, 1, 1);
    let mut parameters = parameters();
    parameters.hooks.fee_rate = |_, id| Some(u64::from(id.0[1]) * 100);
    parameters.hooks.fee_rate_min = |_| Some(1_000);
    let mut node = Node::new(1, parameters);
    node.mine_all(&blocks);
    let puppet = Puppet::join(&mut node, 2, OUTBOUND);
    puppet.say(&mut node, &Message::FeeFilter(5_000));
    wait(&mut node, 2_000);
    let said = puppet.heard(&mut node).into_iter().find_map(|message| match message {
        Message::FeeFilter(rate) => Some(rate),
        _ => None,
    });
    assert!(said.is_some_and(|rate| (900..=1_000).contains(&rate)), "{said:?}");
    node.submit(tx(1, 49));
    node.submit(tx(1, 50));
    wait(&mut node, 60_000);
    let heard = puppet.heard(&mut node);
    let announced: Vec<_> = heard
        .into_iter()
        .filter_map(|message| match message {
            Message::Inv(list) => Some(list),
            _ => None,
        })
        .flatten()
        .map(|entry| TxId(entry.id))
        .collect();
    assert_eq!(announced, [tx(1, 50).id()]);
}

#[test]
fn a_transaction_not_announced_yet_is_not_shown() {
    let blocks = chain(5, 1, 1);
    let mut node = node_with(1, &blocks);
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    wait(&mut node, 1_000);
    puppet.heard(&mut node);
    node.submit(tx(1, 1));
    let entry = Inventory::transaction(InventoryKind::WitnessId, tx(1, 1).id());
    puppet.say(&mut node, &Message::GetData(vec![entry]));
    assert_eq!(puppet.heard(&mut node), [Message::NotFound(vec![entry])]);
    wait(&mut node, 60_000);
    puppet.heard(&mut node);
    puppet.say(&mut node, &Message::GetData(vec![entry]));
    assert_eq!(puppet.heard(&mut node), [Message::Tx(Bytes::from(tx(1, 1).to_bytes()))]);
}

#[test]
fn blocks_only_connections_carry_no_transactions() {
    let blocks = chain(5, 1, 1);
    let mut node = node_with(1, &blocks);
    let puppet = Puppet::join(&mut node, 2, ConnectionKind::BlockRelay);
    node.submit(tx(1, 1));
    wait(&mut node, 60_000);
    let heard = puppet.heard(&mut node);
    assert!(!heard.iter().any(|it| matches!(it, Message::Inv(_) | Message::GetAddr)));
    assert!(heard.iter().any(|it| matches!(it, Message::Version(version) if !version.relay)));
    let entry = Inventory::transaction(InventoryKind::WitnessId, tx(3, 3).id());
    puppet.say(&mut node, &Message::Inv(vec![entry]));
    assert!(matches!(puppet.farewell(&node), Some(Farewell::Protocol(_))));
}

#[test]
fn getblocks_gives_500_ids_and_the_tip_when_the_last_is_fetched() {
    let blocks = chain(700, 1, 1);
    let mut node = node_with(1, &blocks);
    let puppet = Puppet::join(&mut node, 2, INBOUND);
    puppet.heard(&mut node);
    let locate = Locate { version: 70016, locator: vec![id(&blocks[9])], stop: BlockId::ZERO };
    puppet.say(&mut node, &Message::GetBlocks(locate));
    let heard = puppet.heard(&mut node);
    let Some(Message::Inv(list)) = heard.first() else { panic!("{heard:?}") };
    assert_eq!((list.len(), BlockId(list[499].id)), (500, id(&blocks[509])));
    puppet.say(&mut node, &Message::GetData(vec![list[499]]));
    let heard = puppet.heard(&mut node);
    assert_eq!(heard.last(), Some(&Message::Inv(vec![Inventory::block(id(&blocks[699]), false)])));
}

fn info(last: u8, address: [u8; 4]) -> AddressInfo {
    let host = Host::Ip4([address[0], address[1], address[2], last]);
    AddressInfo {
        time: (START / 1000) as u32,
        services: NODE_NETWORK | NODE_WITNESS,
        address: NetworkAddress { host, port: 18444 },
    }
}

#[test]
fn addresses_are_taken_slowly_told_once_and_dialled() {
    let mut parameters = parameters();
    parameters.policy.outbound_full_relay_max = 8;
    let mut node = Node::new(1, parameters);
    let source = Puppet::join(&mut node, 2, INBOUND);
    let list: Vec<_> = (0..200).map(|last| info(last, [20, last, 1, 0])).collect();
    source.say(&mut node, &Message::Addr(list.clone()));
    assert_eq!(node.protocol.address_book().len(), 1, "one token at the start");
    assert_eq!(node.protocol.peers()[0].addresses_rate_limited, 199);
    // Asked for, a whole answer is welcome.
    let answering = Puppet::join(&mut node, 3, OUTBOUND);
    assert!(answering.heard(&mut node).contains(&Message::GetAddr));
    answering.say(&mut node, &Message::Addr(list));
    assert!(node.protocol.address_book().len() > 150);
    wait(&mut node, 20_000);
    let full = node.dialed.iter().filter(|(_, kind)| *kind == OUTBOUND).count();
    assert_eq!(full, 7, "eight with the one that stands");
    let asking = Puppet::join(&mut node, 4, INBOUND);
    asking.heard(&mut node);
    let answer = |node: &mut Node| {
        asking.say(node, &Message::GetAddr);
        asking.heard(node).into_iter().find_map(|message| match message {
            Message::Addr(list) => Some(list.len()),
            _ => None,
        })
    };
    let told = answer(&mut node).expect("asked once");
    assert!((20..=60).contains(&told), "about 23 % of 200: {told}");
    assert_eq!(answer(&mut node), None);
}

#[test]
fn operators_peers_are_dialled_again_after_a_pause() {
    let mut node = Node::new(1, parameters());
    let address = info(1, [20, 1, 1, 1]).address;
    node.protocol.add_node(address);
    node.handle(Input::Tick);
    assert_eq!(node.dialed, [(address, ConnectionKind::Manual)]);
    node.handle(Input::ConnectFailed { address, kind: ConnectionKind::Manual });
    wait(&mut node, 500);
    assert_eq!(node.dialed.len(), 1);
    wait(&mut node, 2_000);
    assert_eq!(node.dialed.len(), 2);
    assert!(node.protocol.remove_node(&address) && !node.protocol.remove_node(&address));
}
