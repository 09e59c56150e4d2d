//! Whom to connect to, whom to let in, whom to ask to leave.
//!
//! Bitcoin Core, `net.cpp`: `ThreadOpenConnections`, `AttemptToEvictConnection`.

use std::collections::{BTreeMap, BTreeSet};

use chainwright_chain::Ledger;

use super::{ConnectionKind, Farewell, MINUTE, Output, PeerId, Protocol, SECOND};
use crate::NetworkAddress;
use crate::random::keyed;

/// Least time between two connections to chosen addresses.
const DIAL_PAUSE: u64 = SECOND / 2;
/// Mean time between two feelers.
const FEELER_DELAY: u64 = 2 * MINUTE;
/// Longest wait before the operator's peers are tried again.
const RETRY_MAX: u64 = MINUTE;
/// Draws from the book before giving up for now.
const DRAWS: usize = 100;

/// An address the operator wants to be connected to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manual {
    next_at: u64,
    pause: u64,
}

impl Manual {
    fn new(now: u64) -> Self {
        Self { next_at: now, pause: SECOND }
    }

    pub(super) fn connected(&mut self) {
        self.pause = SECOND;
    }

    pub(super) fn disconnected(&mut self, now: u64, was_ready: bool) {
        self.next_at = now + if was_ready { SECOND } else { self.pause };
        self.pause = (self.pause * 2).min(RETRY_MAX);
    }
}

impl NetworkAddress {
    pub(super) fn hosts_equal(&self, other: &Self) -> bool {
        self.host == other.host
    }
}

impl crate::Host {
    /// The host as a key of sets.
    pub(super) fn host_key(&self) -> Vec<u8> {
        NetworkAddress { host: *self, port: 0 }.key()
    }
}

impl<L: Ledger> Protocol<L> {
    /// Keeps a connection to an address (`addnode … add`, `-addnode`, `-connect`).
    pub fn add_node(&mut self, address: NetworkAddress) {
        self.manual.entry(address).or_insert_with(|| Manual::new(self.now));
        self.dial();
    }

    /// Lets go of it; a connection that stands stays. `false` if it was not kept.
    pub fn remove_node(&mut self, address: &NetworkAddress) -> bool {
        self.manual.remove(address).is_some()
    }

    /// Addresses kept by [`Protocol::add_node`].
    pub fn added_nodes(&self) -> Vec<NetworkAddress> {
        self.manual.keys().copied().collect()
    }

    /// Connects once (`addnode … onetry`).
    pub fn try_node(&mut self, address: NetworkAddress) {
        self.open(address, ConnectionKind::Manual);
    }

    /// Closes a connection at the operator's will. `false` if there is none.
    pub fn disconnect(&mut self, peer: PeerId) -> bool {
        let known = self.peers.contains_key(&peer);
        self.part(peer, Farewell::Operator);
        known
    }

    /// Stops or resumes all networking (`setnetworkactive`).
    pub fn set_network_active(&mut self, active: bool) {
        self.network_active = active;
        if !active {
            let ids: Vec<_> = self.peers.keys().copied().collect();
            for id in ids {
                self.part(id, Farewell::Operator);
            }
        }
    }

    /// Whether networking is on.
    pub fn is_network_active(&self) -> bool {
        self.network_active
    }

    fn open(&mut self, address: NetworkAddress, kind: ConnectionKind) {
        if !self.network_active || self.dialing.contains_key(&address) || self.is_connected(&address) {
            return;
        }
        self.dialing.insert(address, kind);
        self.outputs.push_back(Output::Connect { address, kind });
    }

    fn is_connected(&self, address: &NetworkAddress) -> bool {
        self.peers.values().any(|peer| peer.address == *address)
    }

    pub(super) fn connect_failed(&mut self, address: NetworkAddress, kind: ConnectionKind) {
        self.dialing.remove(&address);
        if kind.is_automatic() {
            self.book.attempted(&address, self.now / SECOND);
        }
        if let Some(manual) = self.manual.get_mut(&address) {
            manual.disconnected(self.now, false);
        }
    }

    /// Opens connections that are missing.
    pub(super) fn dial(&mut self) {
        let due: Vec<_> =
            self.manual.iter().filter(|(_, manual)| manual.next_at <= self.now).map(|(at, _)| *at).collect();
        for address in due {
            self.open(address, ConnectionKind::Manual);
        }
        if self.now < self.next_dial_at {
            return;
        }
        self.next_dial_at = self.now + DIAL_PAUSE;
        let policy = &self.parameters.policy;
        let kind = if self.count(ConnectionKind::OutboundFullRelay) < policy.outbound_full_relay_max {
            ConnectionKind::OutboundFullRelay
        } else if self.count(ConnectionKind::BlockRelay) < policy.outbound_block_relay_max {
            ConnectionKind::BlockRelay
        } else if policy.feelers && policy.outbound_full_relay_max > 0 && self.now >= self.next_feeler_at {
            self.next_feeler_at = self.now + self.random.poisson(FEELER_DELAY);
            ConnectionKind::Feeler
        } else {
            return;
        };
        if let Some(address) = self.choose(kind == ConnectionKind::Feeler) {
            self.open(address, kind);
        }
    }

    /// Connections of a kind, the ones being made included.
    fn count(&self, kind: ConnectionKind) -> usize {
        self.peers.values().filter(|peer| peer.kind == kind).count()
            + self.dialing.values().filter(|dialing| **dialing == kind).count()
    }

    /// An address of a group we have no outbound connection to, so that no one party surrounds us.
    fn choose(&mut self, new_only: bool) -> Option<NetworkAddress> {
        let outbound = self.peers.values().filter(|peer| peer.kind.is_outbound());
        let mut groups: BTreeSet<_> = outbound.map(|peer| peer.address.host.group()).collect();
        groups.extend(self.dialing.keys().map(|address| address.host.group()));
        let now = self.now / SECOND;
        for draw in 0..DRAWS {
            let found = self.book.select(new_only, now, &mut self.random)?;
            let address = found.address;
            let tried_lately = now.saturating_sub(found.last_try) < 600 && draw < DRAWS / 2;
            let usable = address.socket_address().is_some()
                && address.port != 0
                && !self.discouraged.contains(&address.host.host_key())
                && !self.peers.values().any(|peer| peer.address.hosts_equal(&address))
                && !groups.contains(&address.host.group())
                && Some(address) != self.parameters.policy.advertise;
            if usable && !tried_lately {
                return Some(address);
            }
        }
        None
    }

    /// Lets an inbound peer in, if need be in place of another.
    pub(super) fn admit_inbound(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        let inbound = self.peers.values().filter(|peer| peer.kind == ConnectionKind::Inbound).count();
        let max = self.parameters.policy.inbound_max;
        let discouraged = self.discouraged.contains(&peer.address.host.host_key());
        if discouraged && inbound >= max {
            return self.part(id, Farewell::Discouraged);
        }
        if inbound > max {
            match self.eviction_candidate(id) {
                Some(worst) => self.part(worst, Farewell::Evicted),
                None => self.part(id, Farewell::Full),
            }
        }
    }

    /// The inbound peer that is missed least. Peers are protected by qualities an attacker has to outdo one by one: groups
    /// picked by a secret, low ping, recent blocks and transactions, and long connections. Of the rest the largest group loses
    /// its youngest.
    fn eviction_candidate(&self, newcomer: PeerId) -> Option<PeerId> {
        let mut left: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(id, peer)| peer.kind == ConnectionKind::Inbound && **id != newcomer)
            .map(|(id, _)| *id)
            .collect();
        let peer = |id: &PeerId| &self.peers[id];
        let protect = |left: &mut Vec<PeerId>, count: usize, rank: &dyn Fn(&PeerId) -> u64| {
            left.sort_by_key(rank);
            left.drain(..count.min(left.len()));
        };
        protect(&mut left, 4, &|id| keyed(&self.group_key, &[&peer(id).address.host.group()]));
        protect(&mut left, 8, &|id| peer(id).ping.min_ms.unwrap_or(u64::MAX));
        protect(&mut left, 4, &|id| u64::MAX - peer(id).relay.last_tx_at);
        protect(&mut left, 4, &|id| u64::MAX - peer(id).blocks.last_block_at);
        let half = left.len() / 2;
        protect(&mut left, half, &|id| peer(id).connected_at);
        let mut groups = BTreeMap::<Vec<u8>, Vec<PeerId>>::new();
        for id in left {
            groups.entry(peer(&id).address.host.group()).or_default().push(id);
        }
        let youngest = |ids: &Vec<PeerId>| ids.iter().map(|id| peer(id).connected_at).max();
        let largest = groups.into_values().max_by_key(|ids| (ids.len(), youngest(ids)))?;
        largest.into_iter().max_by_key(|id| peer(id).connected_at)
    }
}
