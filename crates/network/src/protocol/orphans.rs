//! Transactions whose parents are not here yet.
//!
//! Invariants: bounded in number and in the size of each; the peer that holds the most loses first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chainwright_chain::{Ledger, TxId};

use super::{MINUTE, PeerId};

/// How long an orphan is kept.
const KEPT: u64 = 20 * MINUTE;

struct Orphan<L: Ledger> {
    tx: Arc<L::Tx>,
    from: PeerId,
    parents: Vec<TxId>,
    expires_at: u64,
    sequence: u64,
}

/// Orphans by relay id.
pub(super) struct Orphans<L: Ledger> {
    count_max: usize,
    bytes_max: usize,
    sequence: u64,
    list: BTreeMap<TxId, Orphan<L>>,
    by_parent: BTreeMap<TxId, BTreeSet<TxId>>,
}

impl<L: Ledger> Orphans<L> {
    pub(super) fn new(count_max: usize, bytes_max: usize) -> Self {
        Self { count_max, bytes_max, sequence: 0, list: BTreeMap::new(), by_parent: BTreeMap::new() }
    }

    pub(super) fn contains(&self, relay_id: &TxId) -> bool {
        self.list.contains_key(relay_id)
    }

    /// Keeps an orphan. `false` if it is too large.
    pub(super) fn insert(
        &mut self,
        (relay_id, tx): (TxId, Arc<L::Tx>),
        from: PeerId,
        parents: Vec<TxId>,
        now: u64,
    ) -> bool {
        use chainwright_chain::Codec;
        if tx.to_bytes().len() > self.bytes_max || self.count_max == 0 {
            return false;
        }
        self.sequence += 1;
        for parent in &parents {
            self.by_parent.entry(*parent).or_default().insert(relay_id);
        }
        let orphan = Orphan { tx, from, parents, expires_at: now + KEPT, sequence: self.sequence };
        self.list.insert(relay_id, orphan);
        while self.list.len() > self.count_max {
            self.evict();
        }
        true
    }

    /// The oldest orphan of the peer that holds the most.
    fn evict(&mut self) {
        let mut counts = BTreeMap::<PeerId, usize>::new();
        for orphan in self.list.values() {
            *counts.entry(orphan.from).or_default() += 1;
        }
        let greedy = counts.into_iter().max_by_key(|(_, count)| *count).map(|(peer, _)| peer);
        let of_greedy = self.list.iter().filter(|(_, orphan)| Some(orphan.from) == greedy);
        if let Some(oldest) = of_greedy.min_by_key(|(_, orphan)| orphan.sequence).map(|(id, _)| *id) {
            self.remove(&oldest);
        }
    }

    pub(super) fn remove(&mut self, relay_id: &TxId) {
        let Some(orphan) = self.list.remove(relay_id) else { return };
        for parent in orphan.parents {
            if let Some(children) = self.by_parent.get_mut(&parent) {
                children.remove(relay_id);
                if children.is_empty() {
                    self.by_parent.remove(&parent);
                }
            }
        }
    }

    /// Takes out what waited for a transaction.
    pub(super) fn children_of(&mut self, parent: &TxId) -> Vec<(PeerId, Arc<L::Tx>)> {
        let ids = self.by_parent.get(parent).cloned().unwrap_or_default();
        let mut children = Vec::new();
        for id in ids {
            if let Some(orphan) = self.list.get(&id) {
                children.push((orphan.from, Arc::clone(&orphan.tx)));
            }
            self.remove(&id);
        }
        children
    }

    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        self.drop_where(|orphan| orphan.from == peer);
    }

    pub(super) fn expire(&mut self, now: u64) {
        self.drop_where(|orphan| orphan.expires_at <= now);
    }

    fn drop_where(&mut self, condition: impl Fn(&Orphan<L>) -> bool) {
        let ids: Vec<_> =
            self.list.iter().filter(|(_, orphan)| condition(orphan)).map(|(id, _)| *id).collect();
        for id in &ids {
            self.remove(id);
        }
    }
}
