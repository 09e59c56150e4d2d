//! From `Connected` to `verack`, and frames to the module that understands them.
//!
//! Order and reactions follow Bitcoin Core 31, `net_processing.cpp` `ProcessMessage`.

use bytes::Bytes;
use chainwright_chain::Ledger;

use super::peer::{Greeting, Peer};
use super::{ConnectionKind, Farewell, MINUTE, PeerId, Protocol, SECOND, info};
use crate::NetworkAddress;
use crate::message::{ADDRESSES_MAX, Frame, FrameDecoder, Message, MessageError, Version};

/// From here on transactions may be announced by relay id and addresses by BIP155.
const VERSION_RELAY_ID: u32 = 70016;
/// From here on pings carry a nonce.
pub(super) const VERSION_PONG: u32 = 60001;

impl<L: Ledger> Protocol<L> {
    pub(super) fn connected(&mut self, id: PeerId, address: NetworkAddress, kind: ConnectionKind) {
        self.dialing.remove(&address);
        if kind.is_outbound() {
            self.book.attempted(&address, self.now / SECOND);
        }
        let decoder = FrameDecoder::new(self.parameters.magic, self.parameters.message_max);
        let peer = Peer::new(address, kind, decoder, &mut self.random, self.now);
        self.peers.insert(id, peer);
        if !self.network_active {
            return self.part(id, Farewell::Operator);
        }
        if kind == ConnectionKind::Inbound {
            self.admit_inbound(id);
        } else {
            self.send_version(id);
        }
    }

    fn send_version(&mut self, id: PeerId) {
        let head = self.published.head().headers;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.version_sent = true;
        let known = if peer.address.host.is_routable() && peer.address.is_legacy() {
            peer.address
        } else {
            NetworkAddress::UNSPECIFIED
        };
        let message = Message::Version(Version {
            version: self.parameters.protocol_version as i32,
            services: self.parameters.services,
            time: (self.now / SECOND) as i64,
            receiver: (peer.services(), known),
            sender: (self.parameters.services, NetworkAddress::UNSPECIFIED),
            nonce: peer.nonce,
            user_agent: self.parameters.user_agent.clone(),
            start_height: head.height().0 as i32,
            relay: self.parameters.policy.relay_transactions && peer.kind != ConnectionKind::BlockRelay,
        });
        self.send(id, &message);
    }

    pub(super) fn received(&mut self, id: PeerId, bytes: &Bytes) {
        self.totals.bytes_received += bytes.len() as u64;
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.received.last_at = self.now;
            peer.decoder.push(bytes);
        }
        self.process(id);
    }

    /// Reads frames as long as the peer has not asked for more than we have answered.
    pub(super) fn process(&mut self, id: PeerId) {
        while let Some(peer) = self.peers.get_mut(&id) {
            peer.budget.refill(self.now);
            if peer.is_blocked(&self.parameters.policy) {
                return;
            }
            let before = peer.decoder.dropped();
            let next = peer.decoder.next_frame();
            self.totals.frames_dropped += peer.decoder.dropped() - before;
            match next {
                Ok(Some(frame)) => self.frame(id, frame),
                Ok(None) => return,
                Err(error) => return self.part(id, error.into()),
            }
        }
    }

    fn frame(&mut self, id: PeerId, frame: Frame) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let length = frame.payload.len();
        peer.received.count(info::known_name(frame.command), length + crate::message::HEADER_BYTES, self.now);
        peer.budget.spend(0.1);
        match Message::decode(frame.command, frame.payload, self.parameters.header_length) {
            Ok(message) => self.message(id, message),
            Err(MessageError::Malformed(_)) => {}
            Err(error) => {
                let message = frame.command.name().to_owned();
                self.misbehaved(id, Farewell::Message { message, error });
            }
        }
    }

    fn message(&mut self, id: PeerId, message: Message) {
        let Some(peer) = self.peers.get(&id) else { return };
        match (&peer.greeting, message) {
            (None, Message::Version(version)) => self.greeted(id, version),
            // Before `version` nothing counts, and a second one is redundant.
            (None, _) | (Some(_), Message::Version(_)) => {}
            (Some(_), message) if !peer.ready => self.before_ready(id, message),
            (Some(_), message) => self.dispatch(id, message),
        }
    }

    fn greeted(&mut self, id: PeerId, version: Version) {
        let Some(peer) = self.peers.get(&id) else { return };
        let kind = peer.kind;
        let own = |other: &Peer<L>| other.kind.is_outbound() && other.nonce == version.nonce;
        if kind == ConnectionKind::Inbound && self.peers.values().any(own) {
            return self.part(id, Farewell::ToSelf);
        }
        let offered = version.services;
        let expected = self.parameters.services_wanted;
        if kind.is_automatic() && kind != ConnectionKind::Feeler && offered & expected != expected {
            return self.part(id, Farewell::Services { offered, expected });
        }
        let number = version.version.max(0) as u32;
        if number < self.parameters.protocol_version_min {
            return self.part(id, Farewell::Obsolete(number));
        }
        let greeting = Greeting {
            version: number,
            services: offered,
            user_agent: version.user_agent,
            start_height: version.start_height,
            relay: version.relay,
            time_offset_s: version.time.saturating_sub((self.now / SECOND) as i64),
            ..Greeting::default()
        };
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.greeting = Some(greeting);
        }
        if kind == ConnectionKind::Inbound {
            self.send_version(id);
        }
        if number.min(self.parameters.protocol_version) >= VERSION_RELAY_ID {
            self.send(id, &Message::WtxidRelay);
            self.send(id, &Message::SendAddrV2);
        }
        self.send(id, &Message::Verack);
        self.after_greeting(id, kind);
    }

    fn after_greeting(&mut self, id: PeerId, kind: ConnectionKind) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (address, services) = (peer.address, peer.services());
        if kind.is_outbound() && kind != ConnectionKind::BlockRelay {
            self.book.good(&address, services, self.now / SECOND);
        }
        if kind == ConnectionKind::Feeler {
            return self.part(id, Farewell::Feeler);
        }
        if matches!(kind, ConnectionKind::OutboundFullRelay | ConnectionKind::Manual) {
            peer.gossip.asked = true;
            peer.gossip.tokens.grant(ADDRESSES_MAX as f64);
            self.send(id, &Message::GetAddr);
        }
    }

    fn before_ready(&mut self, id: PeerId, message: Message) {
        let Some(greeting) = self.peers.get_mut(&id).and_then(|peer| peer.greeting.as_mut()) else { return };
        match message {
            Message::WtxidRelay => greeting.wtxid_relay = greeting.version >= VERSION_RELAY_ID,
            Message::SendAddrV2 => greeting.address_v2 = true,
            Message::Verack => self.now_ready(id),
            // Bitcoin Core ignores everything else before `verack`.
            _ => {}
        }
    }

    fn now_ready(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.ready = true;
        peer.ping_requested = true;
        peer.gossip.self_at = self.now;
        self.downloads.refill_all = true;
        if let Some(manual) = self.manual.get_mut(&peer.address) {
            manual.connected();
        }
        if peer.relays() {
            self.announce_unbroadcast(id);
        }
    }

    fn dispatch(&mut self, id: PeerId, message: Message) {
        match message {
            Message::Version(_) | Message::Verack | Message::Reject | Message::Unknown(_) => {}
            Message::WtxidRelay => self.part(id, Farewell::Protocol("wtxidrelay received after verack")),
            Message::SendAddrV2 => self.part(id, Farewell::Protocol("sendaddrv2 received after verack")),
            Message::Ping(nonce) => self.pinged(id, nonce),
            Message::Pong(nonce) => self.ponged(id, nonce),
            Message::Addr(list) | Message::AddrV2(list) => self.addresses_received(id, list),
            Message::GetAddr => self.addresses_wanted(id),
            Message::Inv(list) => self.announced_to_us(id, list),
            Message::GetData(list) => self.data_wanted(id, list),
            Message::NotFound(list) => self.not_found(id, &list),
            Message::GetBlocks(locate) => self.block_ids_wanted(id, &locate),
            Message::GetHeaders(locate) => self.headers_wanted(id, &locate),
            Message::Headers(list) => self.headers_received(id, list),
            Message::SendHeaders => self.change_greeting(id, |greeting| greeting.prefers_headers = true),
            Message::Block(bytes) => self.block_received(id, &bytes),
            Message::Tx(bytes) => self.transaction_received(id, &bytes),
            Message::Mempool => {
                self.part(id, Farewell::Protocol("mempool request with bloom filters disabled"));
            }
            Message::FeeFilter(rate) => self.change_greeting(id, |greeting| greeting.fee_filter = rate),
            Message::SendCompact(compact) => self.change_greeting(id, |greeting| {
                greeting.compact = Some((compact.high_bandwidth, compact.version));
            }),
            Message::Proof { id: block, proof } => self.proof_received(id, block, proof),
        }
    }

    fn change_greeting(&mut self, id: PeerId, change: impl FnOnce(&mut Greeting)) {
        if let Some(greeting) = self.peers.get_mut(&id).and_then(|peer| peer.greeting.as_mut()) {
            change(greeting);
        }
    }

    fn pinged(&mut self, id: PeerId, nonce: Option<u64>) {
        if let Some(nonce) = nonce {
            self.send(id, &Message::Pong(nonce));
        }
    }

    fn ponged(&mut self, id: PeerId, nonce: u64) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.ping.nonce == Some(nonce) {
            let took = self.now.saturating_sub(peer.ping.sent_at);
            peer.ping.nonce = None;
            peer.ping.last_ms = Some(took);
            peer.ping.min_ms = Some(peer.ping.min_ms.map_or(took, |least| least.min(took)));
        } else if nonce == 0 {
            // Bitcoin Core: a peer that answers with zero does not mean us; stop waiting.
            peer.ping.nonce = None;
        }
    }

    /// Pings when it is time and gives up on peers that are silent.
    pub(super) fn check_alive(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let now = self.now;
        let age = now.saturating_sub(peer.connected_at);
        if !peer.ready {
            if age > MINUTE {
                self.part(id, Farewell::Timeout("version handshake"));
            }
            return;
        }
        if age > MINUTE {
            let silent = |last: u64| now.saturating_sub(last) > 20 * MINUTE;
            if silent(peer.received.last_at) {
                return self.part(id, Farewell::Timeout("socket receive"));
            }
            if silent(peer.sent.last_at) {
                return self.part(id, Farewell::Timeout("socket sending"));
            }
        }
        let waited = now.saturating_sub(peer.ping.sent_at);
        if peer.ping.nonce.is_some() && waited > 20 * MINUTE {
            return self.part(id, Farewell::Timeout("ping"));
        }
        if peer.ping.nonce.is_none() && (peer.ping_requested || waited > 2 * MINUTE) {
            self.ping(id);
        }
    }

    /// Sends a ping to every peer, to one that still owes an answer after it has come (Bitcoin Core `SendPings`). What is due
    /// is done with the next input.
    pub fn ping_peers(&mut self) {
        for peer in self.peers.values_mut() {
            peer.ping_requested = true;
        }
    }

    fn ping(&mut self, id: PeerId) {
        // Zero would look like the answer of a peer that does not mean us.
        let nonce = self.random.next().max(1);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.ping_requested = false;
        peer.ping.sent_at = self.now;
        let modern = peer.greeting.as_ref().is_some_and(|greeting| greeting.version >= VERSION_PONG);
        peer.ping.nonce = modern.then_some(nonce);
        self.send(id, &Message::Ping(modern.then_some(nonce)));
    }
}
