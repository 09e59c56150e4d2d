//! Transactions for a block: the best tip first, each sender's in order.
//!
//! ```text
//! heads with room for their tip ─┐
//! heads that their cap limits ───┼─► the best of the three ─► then its sender's next one joins the successors
//! successors of those taken ─────┘
//! ```

use core::cmp::Reverse;
use core::iter::Peekable;
use std::collections::BinaryHeap;
use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::Address;

use super::EvmPool;
use super::account::Entry;
use super::order::Run;
use crate::types::EvmTx;

/// A transaction that a block could take next.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'p> {
    /// The transaction; one with blobs has its sidecar, which blocks do not hold.
    pub tx: &'p Arc<EvmTx>,
    /// Who signed it.
    pub sender: Address,
    /// What the block's maker gets, in wei per gas.
    pub tip: u128,
}

/// The pool's transactions for one block, the best first; the earliest of equals. Each step takes O(log n).
pub struct Best<'p> {
    pool: &'p EvmPool,
    base_fee: u128,
    blob_fee: u128,
    full: Peekable<Run<'p>>,
    capped: Peekable<Run<'p>>,
    /// Effective tip, arrival, sender and nonce.
    successors: BinaryHeap<(u128, Reverse<u64>, Address, u64)>,
    /// The sender of the last candidate and its next nonce.
    last: Option<(Address, u64)>,
}

impl EvmPool {
    /// Transactions for a block with these fees, in wei per gas and per blob gas. What its own cap keeps out of the block is
    /// left out, and so is what would have to follow it.
    pub fn best(&self, base_fee: u64, blob_fee: u128) -> Best<'_> {
        let base_fee = u128::from(base_fee);
        let (mut full, mut capped): (Run<'_>, Run<'_>) = self.heads.best_first();
        let mut successors = BinaryHeap::new();
        if base_fee != self.heads.base_fee() {
            // A block elsewhere than on the head: the order is another.
            (full, capped) = (Box::new(core::iter::empty()), Box::new(core::iter::empty()));
            let heads = self.accounts.values().filter_map(|account| account.head());
            successors = heads.filter_map(|head| rank(head, base_fee)).collect();
        }
        let (full, capped) = (full.peekable(), capped.peekable());
        Best { pool: self, base_fee, blob_fee, full, capped, successors, last: None }
    }
}

fn rank(entry: &Entry, base_fee: u128) -> Option<(u128, Reverse<u64>, Address, u64)> {
    let tip = entry.bid().effective_tip(base_fee)?;
    Some((tip, Reverse(entry.sequence), entry.sender, entry.tx.nonce()))
}

impl<'p> Best<'p> {
    /// The last candidate does not go into the block: nothing of its sender will come any more.
    pub fn skip_sender(&mut self) {
        self.last = None;
    }

    /// Lets the sender of the last candidate in with its next transaction.
    fn follow_up(&mut self) {
        let Some((sender, nonce)) = self.last.take() else { return };
        let account = self.pool.accounts.get(&sender);
        let next = account.filter(|account| account.is_pending(nonce)).and_then(|account| account.get(nonce));
        self.successors.extend(next.and_then(|entry| rank(entry, self.base_fee)));
    }

    /// The entry with the best tip among the three.
    fn pop(&mut self) -> Option<(u128, &'p Entry)> {
        let best = |run: &mut Peekable<Run<'p>>| run.peek().map(|(tip, arrival, _)| (*tip, *arrival));
        let (full, capped) = (best(&mut self.full), best(&mut self.capped));
        let successor = self.successors.peek().map(|(tip, arrival, ..)| (*tip, *arrival));
        if successor >= full && successor >= capped {
            let (tip, _, sender, nonce) = self.successors.pop()?;
            return Some((tip, self.pool.accounts.get(&sender)?.get(nonce)?));
        }
        let run = if full >= capped { &mut self.full } else { &mut self.capped };
        let (tip, _, sender) = run.next()?;
        Some((tip, self.pool.accounts.get(&sender)?.head()?))
    }
}

impl<'p> Iterator for Best<'p> {
    type Item = Candidate<'p>;

    fn next(&mut self) -> Option<Candidate<'p>> {
        self.follow_up();
        loop {
            let (tip, entry) = self.pop()?;
            if entry.tx.max_fee_per_blob_gas().is_none_or(|cap| cap >= self.blob_fee) {
                self.last = entry.tx.nonce().checked_add(1).map(|nonce| (entry.sender, nonce));
                return Some(Candidate { tx: &entry.tx, sender: entry.sender, tip });
            }
        }
    }
}
