//! Announcing blocks and transactions.
//!
//! Blocks go out at once: as headers to peers that asked for that and can connect them, else as `inv` (Bitcoin Core,
//! `SendMessages`). Transactions wait for a random moment, together, so that nobody learns from the time who had one first:
//! 5 s on average for all inbound peers at once, 2 s for each outbound peer.

use bytes::Bytes;
use chainwright_chain::{Codec, Headers, Ledger, Pool, Transaction, TxId};

use super::{ConnectionKind, MINUTE, PeerId, Protocol, SECOND};
use crate::message::{Inventory, InventoryKind, Message};

/// Most headers of one announcement (`MAX_BLOCKS_TO_ANNOUNCE`).
const ANNOUNCED_MAX: usize = 8;
/// Mean delays (`INBOUND_INVENTORY_BROADCAST_INTERVAL`, `OUTBOUND_…`).
const INBOUND_DELAY: u64 = 5 * SECOND;
const OUTBOUND_DELAY: u64 = 2 * SECOND;
/// Announcements of one moment: this many, more if many wait, never more than the maximum.
const INVENTORY_TARGET: usize = 70;
const INVENTORY_MAX: usize = 1_000;
/// Announcements waiting for one peer; the oldest go first.
const QUEUE_MAX: usize = 50_000;
/// Own transactions that are told of again until somebody fetches them.
const UNBROADCAST_MAX: usize = 5_000;
/// How often: a base and a random part, in milliseconds (`ReattemptInitialBroadcast`).
const REBROADCAST: (u64, u64) = (10 * MINUTE, 5 * MINUTE);
/// Mean time between two `feefilter` (`AVG_FEEFILTER_BROADCAST_INTERVAL`).
const FEE_FILTER_DELAY: u64 = 10 * MINUTE;
/// Above every fee rate: send no transactions for now (21 million bitcoins, as Bitcoin Core).
const FEE_FILTER_ALL: u64 = 2_100_000_000_000_000;

impl<L: Ledger> Protocol<L> {
    pub(super) fn head_moved(&mut self) {
        self.update_initial_download();
        let head = self.published.head().headers;
        self.update_best_header(&head.id());
        self.downloads.refill_all = true;
        if head.id() == self.announced {
            return;
        }
        if !self.initial_download {
            self.remember_confirmed();
            let ids: Vec<_> = self.peers.iter().filter(|(_, peer)| peer.ready).map(|(id, _)| *id).collect();
            for id in ids {
                self.announce_block(id, &head);
            }
        }
        self.announced = head.id();
        self.taken_on_trust = 0;
        let waiting: Vec<_> =
            self.peers.iter().filter(|(_, peer)| peer.headers.more).map(|(id, _)| *id).collect();
        for id in waiting {
            self.ask_for_more(id);
        }
    }

    fn announce_block(&mut self, id: PeerId, head: &Headers<L>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.has(head) || peer.kind == ConnectionKind::Feeler {
            return;
        }
        let prefers_headers = peer.greeting.as_ref().is_some_and(|greeting| greeting.prefers_headers);
        let mut blocks: Vec<_> =
            head.down().take(ANNOUNCED_MAX).take_while(|block| !peer.has(block)).collect();
        let connects = blocks.last().and_then(Headers::parent).is_some_and(|parent| peer.has(&parent));
        if prefers_headers && connects {
            blocks.reverse();
            peer.headers.best_sent = Some(head.clone());
            self.send_proof_of(id, &blocks);
            let encoded = blocks.iter().map(|block| Bytes::from(block.header().to_bytes())).collect();
            self.send(id, &Message::Headers(encoded));
        } else {
            self.send(id, &Message::Inv(vec![Inventory::block(head.id(), false)]));
        }
    }

    /// The pool took a transaction.
    pub(super) fn pooled(&mut self, relay_id: TxId) {
        if !self.parameters.policy.relay_transactions {
            return;
        }
        self.wanted.forget(&relay_id);
        // Neither from a peer nor out of a block that was undone: our own.
        let is_own = !self.from_peers.contains(&relay_id.0) && !self.confirmed.contains(&relay_id.0);
        if is_own && self.unbroadcast.len() < UNBROADCAST_MAX {
            self.unbroadcast.insert(relay_id);
        }
        let ids: Vec<_> = self.peers.iter().filter(|(_, peer)| peer.relays()).map(|(id, _)| *id).collect();
        for id in ids {
            self.queue_transaction(id, relay_id);
        }
    }

    fn queue_transaction(&mut self, id: PeerId, relay_id: TxId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let relay = &mut peer.relay;
        if relay.known.contains(&relay_id.0) || !relay.queued.insert(relay_id) {
            return;
        }
        if relay.queue.is_empty() && relay.next_at <= self.now {
            // Nothing was waiting: draw the moment now, not when the first one is looked at.
            let at = self.next_inventory_at(id);
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.relay.next_at = at;
            }
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.relay.queue.push_back(relay_id);
        if peer.relay.queue.len() > QUEUE_MAX
            && let Some(oldest) = peer.relay.queue.pop_front()
        {
            peer.relay.queued.remove(&oldest);
        }
    }

    /// Transactions of our own that no peer has fetched yet, by relay id, to be handed to the next run
    /// ([`Protocol::announce_own`]).
    pub fn unbroadcast(&self) -> Vec<TxId> {
        self.unbroadcast.iter().copied().collect()
    }

    /// Transactions of our own that an earlier run could hand to nobody; ids that are not in the pool are forgotten.
    pub fn announce_own(&mut self, relay_ids: impl IntoIterator<Item = TxId>) {
        self.unbroadcast.extend(relay_ids);
        self.announce_again();
    }

    /// A peer that has just become ready is told of what nobody has taken from us yet, and of nothing else: what the pool holds
    /// besides has gone round already, and would show whom we talk to.
    pub(super) fn announce_unbroadcast(&mut self, id: PeerId) {
        if self.parameters.policy.relay_transactions {
            self.forget_gone();
            for relay_id in self.unbroadcast() {
                self.queue_transaction(id, relay_id);
            }
        }
    }

    fn forget_gone(&mut self) {
        let pool = self.published.pool();
        self.unbroadcast.retain(|relay_id| pool.get(relay_id).is_some());
    }

    /// Tells everybody who has not heard of them of transactions of our own that nobody has fetched (Bitcoin Core
    /// `ReattemptInitialBroadcast`).
    fn announce_again(&mut self) {
        self.forget_gone();
        let peers: Vec<_> = self.peers.iter().filter(|(_, peer)| peer.relays()).map(|(id, _)| *id).collect();
        for relay_id in self.unbroadcast() {
            for id in &peers {
                self.queue_transaction(*id, relay_id);
            }
        }
    }

    /// Does so every ten to fifteen minutes.
    pub(super) fn rebroadcast(&mut self) {
        if self.now >= self.next_rebroadcast_at {
            self.next_rebroadcast_at = self.now + REBROADCAST.0 + self.random.below(REBROADCAST.1);
            self.announce_again();
        }
    }

    fn next_inventory_at(&mut self, id: PeerId) -> u64 {
        let inbound = self.peers.get(&id).is_some_and(|peer| peer.kind == ConnectionKind::Inbound);
        if !inbound {
            return self.now + self.random.poisson(OUTBOUND_DELAY);
        }
        if self.next_inbound_inventory_at <= self.now {
            self.next_inbound_inventory_at = self.now + self.random.poisson(INBOUND_DELAY);
        }
        self.next_inbound_inventory_at
    }

    /// Sends waiting announcements when their moment has come.
    pub(super) fn announce_transactions(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.relay.queue.is_empty() || peer.relay.next_at > self.now || !peer.relays() {
            return;
        }
        let waiting = peer.relay.queue.len();
        let count = (INVENTORY_TARGET + waiting / 1000 * 5).min(INVENTORY_MAX).min(waiting);
        let uses_relay_ids = peer.uses_relay_ids();
        let fee_filter = peer.greeting.as_ref().map_or(0, |greeting| greeting.fee_filter);
        let ids: Vec<_> = peer.relay.queue.drain(..count).collect();
        for relay_id in &ids {
            peer.relay.queued.remove(relay_id);
        }
        let list = self.announcements(&ids, uses_relay_ids, fee_filter);
        let next = self.next_inventory_at(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.relay.next_at = next;
        let list: Vec<_> = list.into_iter().filter(|entry| !peer.relay.known.contains(&entry.id)).collect();
        for entry in &list {
            peer.relay.known.insert(&entry.id);
        }
        if !list.is_empty() {
            self.send(id, &Message::Inv(list));
        }
    }

    /// What a peer is told of these transactions: those still in the pool that pay what it wants.
    fn announcements(&self, ids: &[TxId], uses_relay_ids: bool, fee_filter: u64) -> Vec<Inventory> {
        let pool = self.published.pool();
        let pays =
            |id: &TxId| (self.parameters.hooks.fee_rate)(&pool, id).is_none_or(|rate| rate >= fee_filter);
        ids.iter()
            .filter(|id| pays(id))
            .filter_map(|id| {
                let tx = pool.get(id)?;
                Some(if uses_relay_ids {
                    Inventory::transaction(InventoryKind::WitnessId, *id)
                } else {
                    Inventory::transaction(InventoryKind::Transaction, tx.id())
                })
            })
            .collect()
    }

    /// Says which fee rates are worth announcing to us (BIP133; Bitcoin Core `MaybeSendFeefilter`).
    pub(super) fn say_fee_filter(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        let modern = peer.greeting.as_ref().is_some_and(|greeting| greeting.version >= 70013);
        let excluded = matches!(peer.kind, ConnectionKind::BlockRelay | ConnectionKind::Feeler);
        if !peer.ready || !modern || excluded || !self.parameters.policy.relay_transactions {
            return;
        }
        let Some(rate) = (self.parameters.hooks.fee_rate_min)(&self.published.pool()) else { return };
        let rate = if self.initial_download { FEE_FILTER_ALL } else { rounded(rate) };
        let sent = peer.relay.fee_filter_sent;
        // Leaving initial download everybody is to know at once.
        let urgent = sent == Some(FEE_FILTER_ALL) && rate != FEE_FILTER_ALL;
        if peer.relay.fee_filter_at > self.now && !urgent {
            return;
        }
        let next = self.now + self.random.poisson(FEE_FILTER_DELAY);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.relay.fee_filter_at = next;
            peer.relay.fee_filter_sent = Some(rate);
        }
        if sent != Some(rate) {
            self.send(id, &Message::FeeFilter(rate));
        }
    }
}

/// The next lower step of a coarse scale, so that the exact rate does not identify a node (Bitcoin Core `FeeFilterRounder`).
fn rounded(rate: u64) -> u64 {
    let mut step = 100.0_f64;
    if (rate as f64) < step {
        return rate;
    }
    while step * 1.1 <= rate as f64 {
        step *= 1.1;
    }
    step as u64
}
