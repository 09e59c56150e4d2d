//! Addresses: taken slowly, passed on to few, told once.
//!
//! Bitcoin Core, `net_processing.cpp`: `addr`, `addrv2`, `getaddr`, `RelayAddress`, `MaybeSendAddr`.

use chainwright_chain::Ledger;

use super::{ConnectionKind, HOUR, MINUTE, PeerId, Protocol, SECOND};
use crate::message::{ADDRESSES_MAX, Message};
use crate::random::keyed;
use crate::{AddressInfo, NetworkAddress};

/// Share of the book one answer shows, in percent.
const ANSWER_PERCENT: u64 = 23;
/// An answer is the same for everybody for about a day, so that asking often tells nothing new.
const ANSWER_KEPT: u64 = 24 * HOUR;
/// Addresses passed on together wait this long on average.
const BROADCAST_DELAY: u64 = 30 * SECOND;
/// Our own address is told about once a day.
const SELF_DELAY: u64 = 24 * HOUR;
/// Messages with more addresses than this are answers, not news.
const NEWS_MAX: usize = 10;

impl<L: Ledger> Protocol<L> {
    fn exchanges_addresses(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| {
            peer.ready && !matches!(peer.kind, ConnectionKind::BlockRelay | ConnectionKind::Feeler)
        })
    }

    pub(super) fn addresses_received(&mut self, id: PeerId, list: Vec<AddressInfo>) {
        if !self.exchanges_addresses(id) {
            return;
        }
        let (news, wanted) = (list.len() <= NEWS_MAX, self.parameters.services_wanted);
        let now_s = self.now / SECOND;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (source, asked) = (peer.address, peer.gossip.asked);
        peer.gossip.tokens.refill(self.now);
        let mut taken = Vec::new();
        for mut info in list {
            if !peer.gossip.tokens.take() {
                peer.gossip.rate_limited += 1;
                continue;
            }
            if info.services & wanted != wanted && info.services & crate::NODE_NETWORK_LIMITED == 0 {
                continue;
            }
            // Times nobody can have: counted as old (Bitcoin Core).
            if info.time <= 100_000_000 || u64::from(info.time) > now_s + 600 {
                info.time = now_s.saturating_sub(5 * 24 * 3600) as u32;
            }
            peer.gossip.known.insert(&info.address.key());
            peer.gossip.processed += 1;
            taken.push(info);
        }
        if !news {
            peer.gossip.asked = false;
        }
        for info in taken {
            let fresh = u64::from(info.time) + 600 > now_s;
            if news && !asked && fresh && info.address.host.is_routable() {
                self.pass_on(id, info);
            }
            self.book.add(&info, &source, 2 * 3600, now_s);
        }
    }

    /// Two peers hear of an address, the same two for a day (Bitcoin Core `RelayAddress`).
    fn pass_on(&mut self, from: PeerId, info: AddressInfo) {
        let key = self.gossip_key;
        let address = info.address.key();
        let day = (keyed(&key, &[&address]) % (24 * HOUR) + self.now) / (24 * HOUR);
        let mut ranked: Vec<_> = self
            .peers
            .keys()
            .filter(|id| **id != from && self.exchanges_addresses(**id))
            .map(|id| (keyed(&key, &[&address, &day.to_le_bytes(), &id.0.to_le_bytes()]), *id))
            .collect();
        ranked.sort_unstable();
        for (_, id) in ranked.into_iter().take(2) {
            self.queue_address(id, info);
        }
    }

    fn queue_address(&mut self, id: PeerId, info: AddressInfo) {
        let random = self.random.below(ADDRESSES_MAX as u64) as usize;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let v2 = peer.greeting.as_ref().is_some_and(|greeting| greeting.address_v2);
        let gossip = &mut peer.gossip;
        if gossip.known.contains(&info.address.key()) || !(v2 || info.address.is_legacy()) {
            return;
        }
        if gossip.queue.len() >= ADDRESSES_MAX {
            gossip.queue[random] = info;
        } else {
            gossip.queue.push(info);
        }
    }

    pub(super) fn addresses_wanted(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        // Only who connected to us may ask, and once: else the book could be read out.
        if peer.kind != ConnectionKind::Inbound || peer.gossip.answered {
            return;
        }
        peer.gossip.answered = true;
        peer.gossip.queue.clear();
        if self.address_answer.1.is_empty() || self.now >= self.address_answer.0 {
            let list = self.book.sample(ADDRESSES_MAX, ANSWER_PERCENT, self.now / SECOND, &mut self.random);
            self.address_answer = (self.now + ANSWER_KEPT, list);
        }
        for info in self.address_answer.1.clone() {
            self.queue_address(id, info);
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.gossip.next_at = self.now;
        }
        self.gossip_due(id);
    }

    /// Sends what waits when its moment has come, our own address included.
    pub(super) fn gossip_due(&mut self, id: PeerId) {
        if !self.exchanges_addresses(id) {
            return;
        }
        self.tell_own_address(id);
        let delay = self.random.poisson(BROADCAST_DELAY);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.gossip.next_at > self.now {
            return;
        }
        peer.gossip.next_at = self.now + delay;
        let list = core::mem::take(&mut peer.gossip.queue);
        let list: Vec<_> =
            list.into_iter().filter(|info| !peer.gossip.known.contains(&info.address.key())).collect();
        if list.is_empty() {
            return;
        }
        for info in &list {
            peer.gossip.known.insert(&info.address.key());
        }
        let v2 = peer.greeting.as_ref().is_some_and(|greeting| greeting.address_v2);
        self.send(id, &if v2 { Message::AddrV2(list) } else { Message::Addr(list) });
    }

    fn tell_own_address(&mut self, id: PeerId) {
        let Some(address) = self.parameters.policy.advertise else { return };
        let next = self.now + self.random.poisson(SELF_DELAY).max(MINUTE);
        let services = self.parameters.services;
        if self.initial_download {
            return;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.gossip.self_at > self.now {
            return;
        }
        peer.gossip.self_at = next;
        let info = AddressInfo { time: (self.now / SECOND) as u32, services, address };
        self.queue_address(id, info);
    }

    /// Addresses from elsewhere: seeds the owner has resolved.
    pub fn add_addresses(&mut self, addresses: &[NetworkAddress], source: NetworkAddress) {
        let now = self.now / SECOND;
        let time = now.saturating_sub(3 * 24 * 3600) as u32;
        for address in addresses {
            let info = AddressInfo { time, services: self.parameters.services_wanted, address: *address };
            self.book.add(&info, &source, 0, now);
        }
    }
}
