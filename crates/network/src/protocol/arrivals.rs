//! Announcements and transactions that come in.
//!
//! Bitcoin Core, `node/txdownloadman_impl.cpp`. A transaction that the pool refuses costs its sender nothing (as in Core since
//! version 30); it is only not asked for again until the head moves.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{Admission, Block, BlockId, Codec, Ledger, Pool, Refusal, Transaction, TxId};

use super::{ConnectionKind, Farewell, Output, PeerId, Pending, Protocol, Token};
use crate::message::{Inventory, InventoryKind, Message};

/// Blocks below a new head whose transactions are remembered as confirmed.
const CONFIRMED_BLOCKS: usize = 8;
/// Entries of one `getdata` (`MAX_GETDATA_SZ`).
const GETDATA_MAX: usize = 1_000;

impl<L: Ledger> Protocol<L> {
    pub(super) fn announced_to_us(&mut self, id: PeerId, list: Vec<Inventory>) {
        let mut unknown_block = None;
        for entry in list {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            peer.budget.spend(0.01);
            if entry.kind == InventoryKind::Block {
                let block = BlockId(entry.id);
                self.now_known(id, &block);
                if self.published.block(&block).is_none() {
                    unknown_block = Some(block);
                }
            } else if matches!(entry.kind, InventoryKind::Transaction | InventoryKind::WitnessId) {
                // Peers that speak relay ids announce nothing else.
                if peer.uses_relay_ids() != (entry.kind == InventoryKind::WitnessId) {
                    continue;
                }
                if !self.parameters.policy.relay_transactions || peer.kind == ConnectionKind::BlockRelay {
                    return self
                        .part(id, Farewell::Protocol("transaction inv sent in violation of protocol"));
                }
                let tx = TxId(entry.id);
                peer.relay.known.insert(&tx.0);
                if !self.initial_download && !self.has_transaction(&tx) {
                    self.want(id, entry.kind, tx);
                }
            }
        }
        if unknown_block.is_some() {
            self.announced_unknown_block(id);
        }
        self.downloads.refill_all = true;
    }

    /// A block we do not know: ask for the headers between (Bitcoin Core, `inv`: at once from the peer we sync from and from
    /// all once we are near; else from nobody, or one announcement would start as many downloads as there are peers).
    fn announced_unknown_block(&mut self, id: PeerId) {
        let syncing = self.peers.get(&id).is_some_and(|peer| peer.headers.started);
        if syncing || !self.initial_download || self.may_sync_from(id) {
            self.ask_for_news(id);
        }
    }

    fn want(&mut self, id: PeerId, kind: InventoryKind, tx: TxId) {
        let preferred = self.peers.get(&id).is_some_and(|peer| peer.kind.is_outbound());
        self.wanted.announced(id, (kind, tx), preferred, self.now);
    }

    /// Whether there is nothing to gain from asking for a transaction.
    fn has_transaction(&self, id: &TxId) -> bool {
        self.rejected.contains(&id.0)
            || self.confirmed.contains(&id.0)
            || self.orphans.contains(id)
            || self.published.pool().get(id).is_some()
    }

    pub(super) fn ask_transactions(&mut self) {
        let mut by_peer = std::collections::BTreeMap::<PeerId, Vec<Inventory>>::new();
        let judging = &self.judging;
        for ask in self.wanted.ask(self.now, |id| judging.contains_key(id)) {
            if self.has_transaction(&ask.id) {
                self.wanted.forget(&ask.id);
                continue;
            }
            // By id the witness has to be asked for; a relay id covers it anyway (BIP144, BIP339).
            let kind = match ask.kind {
                InventoryKind::WitnessId => InventoryKind::WitnessId,
                _ => InventoryKind::WitnessTransaction,
            };
            by_peer.entry(ask.peer).or_default().push(Inventory::transaction(kind, ask.id));
        }
        for (peer, list) in by_peer {
            for part in list.chunks(GETDATA_MAX) {
                self.send(peer, &Message::GetData(part.to_vec()));
            }
        }
    }

    pub(super) fn transaction_received(&mut self, id: PeerId, bytes: &Bytes) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.kind == ConnectionKind::BlockRelay || !self.parameters.policy.relay_transactions {
            return self.part(id, Farewell::Protocol("transaction sent in violation of protocol"));
        }
        peer.budget.spend(1.0);
        let Ok(tx) = L::Tx::decode(bytes) else { return };
        let (tx_id, relay_id) = (tx.id(), tx.relay_id());
        peer.relay.known.insert(&relay_id.0);
        peer.relay.known.insert(&tx_id.0);
        self.wanted.answered(id, &tx_id, self.now);
        self.wanted.answered(id, &relay_id, self.now);
        if self.initial_download || self.has_transaction(&relay_id) || self.judging.contains_key(&relay_id) {
            return;
        }
        self.submit(id, Arc::new(tx), bytes.len());
    }

    fn submit(&mut self, peer: PeerId, tx: Arc<L::Tx>, bytes: usize) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.relay.submitting += 1;
            peer.relay.submitting_bytes += bytes;
        }
        self.from_peers.insert(&tx.relay_id().0);
        for id in BTreeSet::from([tx.id(), tx.relay_id()]) {
            *self.judging.entry(id).or_default() += 1;
        }
        let token = self.token(Pending::Transaction { peer, tx: Arc::clone(&tx), bytes });
        self.outputs.push_back(Output::SubmitTransaction { token, tx });
    }

    fn submit_children(&mut self, parent: &TxId) {
        for (peer, child) in self.orphans.children_of(parent) {
            let bytes = child.to_bytes().len();
            self.submit(peer, child, bytes);
        }
    }

    fn no_longer_judged(&mut self, ids: BTreeSet<TxId>) {
        for id in ids {
            let left = self.judging.remove(&id).unwrap_or_default().saturating_sub(1);
            if left > 0 {
                self.judging.insert(id, left);
            } else {
                self.wanted.judged(id, self.now);
            }
        }
    }

    pub(super) fn transaction_submitted(&mut self, token: Token, result: Result<Admission, Refusal>) {
        let Some(Pending::Transaction { peer: from, tx, bytes }) = self.pending.remove(&token) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.relay.submitting = peer.relay.submitting.saturating_sub(1);
            peer.relay.submitting_bytes = peer.relay.submitting_bytes.saturating_sub(bytes);
        }
        let (tx_id, relay_id) = (tx.id(), tx.relay_id());
        self.no_longer_judged([tx_id, relay_id].into());
        match result {
            Ok(_) => {
                if let Some(peer) = self.peers.get_mut(&from) {
                    peer.relay.last_tx_at = self.now;
                }
                self.settle(&tx_id, &relay_id);
                self.submit_children(&tx_id);
            }
            Err(Refusal::MissingParents { parents, .. }) => self.keep_orphan(from, tx, parents),
            Err(Refusal::Invalid(_) | Refusal::Policy(_)) => {
                self.rejected.insert(&relay_id.0);
                self.settle(&tx_id, &relay_id);
            }
            Err(Refusal::Known(_)) => self.settle(&tx_id, &relay_id),
            Err(Refusal::Fault(_)) => self.wanted.forget(&relay_id),
        }
    }

    /// Nobody needs to be asked any more. The id alone is no reason: another witness may belong to it.
    fn settle(&mut self, tx_id: &TxId, relay_id: &TxId) {
        self.wanted.forget(relay_id);
        if self.published.pool().get(tx_id).is_some() {
            self.wanted.forget(tx_id);
        }
        self.orphans.remove(relay_id);
    }

    fn keep_orphan(&mut self, from: PeerId, tx: Arc<L::Tx>, parents: Vec<TxId>) {
        let relay_id = tx.relay_id();
        self.wanted.forget(&relay_id);
        let hopeless = parents.iter().any(|parent| self.rejected.contains(&parent.0));
        let from_here = self.peers.contains_key(&from);
        if hopeless || !from_here || !self.orphans.insert((relay_id, tx), from, parents.clone(), self.now) {
            self.rejected.insert(&relay_id.0);
            return;
        }
        // Parents are named by id: an input does not commit to its parent's witness.
        for parent in parents {
            if !self.has_transaction(&parent) {
                self.want(from, InventoryKind::Transaction, parent);
            }
        }
    }

    pub(super) fn not_found(&mut self, id: PeerId, list: &[Inventory]) {
        for entry in list {
            if entry.kind.is_transaction() {
                self.wanted.answered(id, &TxId(entry.id), self.now);
            } else if entry.kind.is_block() {
                self.block_not_found(id, &BlockId(entry.id));
            }
        }
    }

    /// What the head's blocks hold is not asked for again, and what was refused may be fine now.
    pub(super) fn remember_confirmed(&mut self) {
        self.rejected.clear();
        let head = self.published.head().headers;
        let before = self.published.headers(&self.announced);
        let fresh = head.down().take(CONFIRMED_BLOCKS);
        let fresh = fresh.take_while(|block| before.as_ref().is_none_or(|before| !before.contains(block)));
        for block in fresh.collect::<Vec<_>>() {
            let Ok(Some(block)) = self.published.read_block(&block.id()) else { continue };
            for tx in block.transactions() {
                let (tx_id, relay_id) = (tx.id(), tx.relay_id());
                self.confirmed.insert(&tx_id.0);
                self.confirmed.insert(&relay_id.0);
                self.settle(&tx_id, &relay_id);
                self.wanted.forget(&tx_id);
                self.submit_children(&tx_id);
            }
        }
    }
}
