//! Answering requests, within limits.
//!
//! A peer's requests are answered one after the other; while its answers pile up, or its requests cost more than its budget,
//! nothing more is read from it. Bitcoin Core, `net_processing.cpp`: `ProcessGetData`, `ProcessGetBlockData`, `getheaders`,
//! `getblocks`.

use bytes::Bytes;
use chainwright_chain::{BlockId, Codec, Header, Headers, Height, Ledger, Pool, Status, Transaction, TxId};

use super::{HOUR, PeerId, Protocol, SECOND};
use crate::message::{HEADERS_MAX, Inventory, InventoryKind, Locate, Message};

/// Ids of one answer to `getblocks`.
const BLOCK_IDS_MAX: u32 = 500;
/// Blocks beside the chain are served this long (`STALE_RELAY_AGE_LIMIT`), so that asking for old ones tells little.
const STALE_AGE_S: u64 = 30 * 24 * HOUR / SECOND;
/// Bytes answered before others have their turn.
const TURN_BYTES: usize = 4_000_000;

impl<L: Ledger> Protocol<L> {
    /// The last block of the chain that a locator names.
    fn fork_of(&self, locate: &Locate, head: &Headers<L>) -> Headers<L> {
        let known = locate.locator.iter().filter_map(|id| self.published.headers(id));
        let mut on_branch = known.map(|block| block.fork_point(head));
        on_branch.next().unwrap_or_else(|| head.ancestor(Height::GENESIS).expect("every branch has genesis"))
    }

    /// Blocks of the chain after one, the lowest first.
    fn after(head: &Headers<L>, from: &Headers<L>, count: u32) -> Vec<Headers<L>> {
        let top = head.height().0.min(from.height().0.saturating_add(count));
        let Some(last) = head.ancestor(Height(top)) else { return Vec::new() };
        let mut blocks: Vec<_> = last.down().take((top - from.height().0) as usize).collect();
        blocks.reverse();
        blocks
    }

    pub(super) fn headers_wanted(&mut self, id: PeerId, locate: &Locate) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.budget.spend(5.0);
        let head = self.published.head().headers;
        if head.weight() < self.parameters.minimum_weight {
            // Our own chain may be a cheap one: say nothing of it, but answer, or the peer waits.
            return self.send(id, &Message::Headers(Vec::new()));
        }
        let blocks = if locate.locator.is_empty() {
            let stop = self.published.headers(&locate.stop);
            stop.filter(|stop| self.may_serve(stop)).into_iter().collect()
        } else {
            let from = self.fork_of(locate, &head);
            let mut blocks = Self::after(&head, &from, HEADERS_MAX as u32);
            if let Some(stop) = blocks.iter().position(|block| block.id() == locate.stop) {
                blocks.truncate(stop + 1);
            }
            blocks
        };
        let best = blocks.last().cloned().unwrap_or(head);
        let encoded = blocks.iter().map(|block| Bytes::from(block.header().to_bytes())).collect();
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.headers.best_sent = Some(best);
        }
        self.send_proof_of(id, &blocks);
        self.send(id, &Message::Headers(encoded));
    }

    pub(super) fn block_ids_wanted(&mut self, id: PeerId, locate: &Locate) {
        let head = self.published.head().headers;
        let from = self.fork_of(locate, &head);
        let mut blocks = Self::after(&head, &from, BLOCK_IDS_MAX);
        if let Some(stop) = blocks.iter().position(|block| block.id() == locate.stop) {
            blocks.truncate(stop);
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.budget.spend(5.0);
        if blocks.len() == BLOCK_IDS_MAX as usize {
            peer.continue_at = blocks.last().map(Headers::id);
        }
        if !blocks.is_empty() {
            let list = blocks.iter().map(|block| Inventory::block(block.id(), false)).collect();
            self.send(id, &Message::Inv(list));
        }
    }

    pub(super) fn data_wanted(&mut self, id: PeerId, list: Vec<Inventory>) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.requests.extend(list);
        }
        self.serve(id);
    }

    /// Answers waiting requests until the peer's queue is full or others deserve a turn.
    pub(super) fn serve(&mut self, id: PeerId) {
        let send_queue_max = self.parameters.policy.send_queue_max;
        let mut missing = Vec::new();
        let mut turn = 0;
        while turn < TURN_BYTES {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            peer.budget.refill(self.now);
            if peer.is_congested(send_queue_max) || peer.budget.is_overdrawn() {
                break;
            }
            let Some(entry) = peer.requests.pop_front() else { break };
            let answer = if entry.kind.is_block() {
                self.serve_block(id, entry)
            } else if entry.kind.is_transaction() {
                self.serve_transaction(id, entry)
            } else {
                None
            };
            match answer {
                Some(bytes) => turn += bytes,
                None if entry.kind.is_transaction() || entry.kind.is_block() => {
                    missing.push(entry);
                    if let Some(peer) = self.peers.get_mut(&id) {
                        peer.budget.spend(1.0);
                    }
                }
                None => {}
            }
        }
        if !missing.is_empty() {
            self.send(id, &Message::NotFound(missing));
        }
    }

    /// Blocks of the chain, and valid ones beside it that are young (Bitcoin Core `BlockRequestAllowed`).
    fn may_serve(&self, block: &Headers<L>) -> bool {
        if self.published.is_active(block) {
            return true;
        }
        let valid = self.published.block(&block.id()).is_some_and(|info| info.status == Status::Valid);
        let best = self.best_header.header().time().0;
        valid && best.saturating_sub(block.header().time().0) < STALE_AGE_S
    }

    /// How many bytes were sent; `None` if the block is not to be had here.
    fn serve_block(&mut self, id: PeerId, entry: Inventory) -> Option<usize> {
        let block = BlockId(entry.id);
        let headers = self.published.headers(&block)?;
        if !self.may_serve(&headers) || entry.kind == InventoryKind::FilteredBlock {
            return None;
        }
        let stored = self.published.bodies().body(&block).ok().flatten()?;
        let bytes = if entry.kind == InventoryKind::Block {
            (self.parameters.hooks.strip_block)(&L::Block::decode(&stored).ok()?)
        } else {
            // A compact block may always be answered with the whole one.
            stored
        };
        let length = bytes.len();
        self.send(id, &Message::Block(bytes));
        if let Some(proof) = self.published.proof(&block) {
            self.send(id, &Message::Proof { id: block, proof: proof.0 });
        }
        let peer = self.peers.get_mut(&id)?;
        if peer.continue_at == Some(block) {
            // The rest of a long `getblocks` answer is asked for once the tip is announced.
            peer.continue_at = None;
            let tip = self.published.head().headers.id();
            self.send(id, &Message::Inv(vec![Inventory::block(tip, false)]));
        }
        Some(length)
    }

    /// Only what the peer may have been told of: a transaction still in its queue would show where it came from.
    fn serve_transaction(&mut self, id: PeerId, entry: Inventory) -> Option<usize> {
        let tx = self.published.pool().get(&TxId(entry.id))?;
        let relay_id = tx.relay_id();
        let peer = self.peers.get_mut(&id)?;
        if peer.relay.queued.contains(&relay_id) || !peer.relays() {
            return None;
        }
        let bytes = match entry.kind {
            InventoryKind::Transaction => (self.parameters.hooks.strip_transaction)(&tx),
            _ => tx.to_bytes().into(),
        };
        let length = bytes.len();
        self.unbroadcast.remove(&relay_id);
        self.send(id, &Message::Tx(bytes));
        Some(length)
    }

    /// Whoever has a final block should have what makes it final.
    pub(super) fn spread_proof(&mut self, block: BlockId) {
        let (Some(proof), Some(headers)) = (self.published.proof(&block), self.published.headers(&block))
        else {
            return;
        };
        let message = Message::Proof { id: block, proof: proof.0 };
        let ids: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.ready && peer.has(&headers))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.send(id, &message);
        }
    }
}
