//! A peer that says whatever a test wants, to one real node.

use bytes::Bytes;
use chainwright_chain::{BlockId, Codec};
use chainwright_network::message::{FrameDecoder, Message, Version, encode_frame};
use chainwright_network::*;

use crate::harness::{MAGIC, Node, START, address, header_length};
use crate::support::{TestBlock, id};

pub(crate) struct Puppet {
    pub(crate) peer: PeerId,
}

pub(crate) fn encoded(message: &Message) -> Bytes {
    encode_frame(MAGIC, message.command(), &message.encode(Some(header_length())))
}

pub(crate) fn version(nonce: u64) -> Version {
    Version {
        version: 70016,
        services: NODE_NETWORK | NODE_WITNESS,
        time: (START / 1000) as i64,
        receiver: (0, NetworkAddress::UNSPECIFIED),
        sender: (0, NetworkAddress::UNSPECIFIED),
        nonce,
        user_agent: "/puppet:1/".to_owned(),
        start_height: 0,
        relay: true,
    }
}

pub(crate) fn headers(blocks: &[TestBlock]) -> Message {
    Message::Headers(blocks.iter().map(|block| Bytes::from(block.header.to_bytes())).collect())
}

pub(crate) fn block(block: &TestBlock) -> Message {
    Message::Block(block.to_bytes().into())
}

pub(crate) fn decoded(bytes: &Bytes) -> Message {
    let mut decoder = FrameDecoder::new(MAGIC, 1 << 20);
    decoder.push(bytes);
    let frame = decoder.next_frame().expect("outputs are good frames").expect("outputs are whole frames");
    Message::decode(frame.command, frame.payload, Some(header_length())).expect("outputs decode")
}

impl Puppet {
    /// Connects and shakes hands with relay ids.
    pub(crate) fn join(node: &mut Node, peer: u64, kind: ConnectionKind) -> Self {
        node.connect(peer, kind);
        let puppet = Self { peer: PeerId(peer) };
        puppet.say(node, &Message::Version(version(peer)));
        puppet.say(node, &Message::WtxidRelay);
        puppet.say(node, &Message::Verack);
        assert!(node.protocol.peers().iter().any(|info| info.id == puppet.peer && info.ready));
        puppet
    }

    pub(crate) fn say(&self, node: &mut Node, message: &Message) {
        self.say_bytes(node, &encoded(message));
    }

    pub(crate) fn say_bytes(&self, node: &mut Node, bytes: &[u8]) {
        node.handle(Input::Received { peer: self.peer, bytes: Bytes::copy_from_slice(bytes) });
    }

    /// What the node has said to this peer since the last call.
    pub(crate) fn heard(&self, node: &mut Node) -> Vec<Message> {
        let (mine, others) = node.out.drain(..).partition(|(peer, _)| *peer == self.peer);
        node.out = others;
        let mine: std::collections::VecDeque<(PeerId, Bytes)> = mine;
        mine.iter().map(|(_, bytes)| decoded(bytes)).collect()
    }

    /// Ids of blocks the node has asked this peer for.
    pub(crate) fn asked_blocks(&self, node: &mut Node) -> Vec<BlockId> {
        let asked = self.heard(node).into_iter().filter_map(|message| match message {
            Message::GetData(list) => Some(list),
            _ => None,
        });
        asked.flatten().filter(|entry| entry.kind.is_block()).map(|entry| BlockId(entry.id)).collect()
    }

    pub(crate) fn farewell<'a>(&self, node: &'a Node) -> Option<&'a Farewell> {
        node.farewells.iter().find(|(peer, _)| *peer == self.peer).map(|(_, why)| why)
    }

    pub(crate) fn is_discouraged(&self, node: &Node) -> bool {
        node.discouraged.contains(&address(self.peer.0 as u8))
    }
}

/// Lets time pass for one node.
pub(crate) fn wait(node: &mut Node, milliseconds: u64) {
    let end = node.now + milliseconds;
    while node.now < end {
        node.now = (node.now + 100).min(end);
        node.handle(Input::Tick);
    }
}

/// Ids of blocks.
pub(crate) fn ids(blocks: &[TestBlock]) -> Vec<BlockId> {
    blocks.iter().map(id).collect()
}
