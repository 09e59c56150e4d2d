//! Transactions that wait for a block: geth's two pools as one.
//!
//! ```text
//! submit ─ basics (the transaction alone) ─ admit (its account, the pool) ─ put ─ limit
//!                                                                            │
//! head_changed ─ accounts whose rows changed ─ blobs kept or brought back ─ what left comes back ─ limit
//!
//! an account:   chain's nonce │ 7  8  9  │ 11  14          pending │ queued: whatever follows the first gap
//! ```
//!
//! Rules, their order and their words are geth's (v1.16.7, `core/txpool`), with these differences: one order for evictions
//! (see `order`); limits are kept at every moment and not by a loop in the background, so what would be the first to go is
//! refused instead of taken and dropped; blobs of the old form are not converted after Osaka; blobs are verified last.
//!
//! Start reading at [`EvmPool`], then `admit.rs`.
//!
//! Invariants:
//! - pending are exactly the transactions that follow the chain's nonce without a gap; each could be paid for alone;
//! - totals, orders and indexes are those of the entries;
//! - nothing here depends on the order of a hash map.

mod account;
mod admit;
mod basics;
mod best;
mod content;
mod follow;
mod limit;
mod order;
mod policy;
mod seam;
mod sidecar;
mod terms;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256};
use chainwright_chain::{Timestamp, Transaction as _};

pub use account::Entry;
pub use best::{Best, Candidate};
pub use content::{ByAccount, Content, Status};
pub use policy::PoolPolicy;
pub use words::geth_words;

use crate::ledger::Evm;
use crate::types::{EvmHeader, EvmTx};
use account::{Account, AccountState};
use order::{Bid, Cheapest, Heads};
use sidecar::Limbo;
use terms::Terms;

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    pending: usize,
    queued: usize,
    slots: usize,
    bytes: usize,
}

/// The pool of an Ethereum chain.
#[derive(Debug, Default)]
pub struct EvmPool {
    accounts: HashMap<Address, Account>,
    by_hash: HashMap<B256, (Address, u64)>,
    /// Hashes of transactions with blobs by what peers call them.
    by_relay_id: HashMap<B256, B256>,
    heads: Heads,
    cheapest: Cheapest,
    /// Accounts by how many of their transactions are pending.
    crowds: BTreeSet<(usize, Address)>,
    /// Accounts with queued transactions by when something last happened.
    waiting: BTreeSet<(Timestamp, Address)>,
    /// How many transactions of the pool delegate an account (EIP-7702).
    authorities: HashMap<Address, usize>,
    limbo: Limbo,
    totals: Totals,
    /// The highest gas limit that may be among the transactions.
    gas_max: u64,
    /// The arrival number of the next transaction.
    sequence: u64,
    /// What the head says, if the pool has followed it.
    terms: Option<Terms>,
    /// As it was last seen.
    policy: PoolPolicy,
}

/// What the pool's indexes say of an account.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Shape {
    head: Option<Bid>,
    pending: usize,
    queued: usize,
    beat: Timestamp,
}

impl Shape {
    fn of(account: &Account) -> Self {
        let head = account.head().map(Entry::bid);
        Self { head, pending: account.pending(), queued: account.queued(), beat: account.beat }
    }
}

impl EvmPool {
    /// Changes an account and whatever follows from it; an account without transactions is forgotten.
    fn change<R>(&mut self, address: &Address, change: impl FnOnce(&mut Account) -> R) -> Option<R> {
        let account = self.accounts.get_mut(address)?;
        let before = Shape::of(account);
        let result = change(account);
        let after = Shape::of(account);
        if account.is_empty() {
            self.accounts.remove(address);
        }
        self.reshape(address, before, after);
        Some(result)
    }

    fn reshape(&mut self, address: &Address, before: Shape, after: Shape) {
        if before.head != after.head {
            before.head.iter().for_each(|head| self.heads.remove(head));
            after.head.iter().for_each(|head| self.heads.insert(head));
        }
        if before.pending != after.pending {
            self.crowds.remove(&(before.pending, *address));
            if after.pending > 0 {
                self.crowds.insert((after.pending, *address));
            }
        }
        if (before.queued > 0, before.beat) != (after.queued > 0, after.beat) {
            self.waiting.remove(&(before.beat, *address));
            if after.queued > 0 {
                self.waiting.insert((after.beat, *address));
            }
        }
        self.totals.pending = self.totals.pending + after.pending - before.pending;
        self.totals.queued = self.totals.queued + after.queued - before.queued;
    }

    /// Puts a transaction in its place, whatever limits say; returns the one that was there.
    fn put(&mut self, entry: Entry, state: AccountState) -> Option<Entry> {
        self.remember(&entry);
        let (sender, now) = (entry.sender, entry.since);
        self.accounts.entry(sender).or_insert_with(|| Account::new(state));
        let replaced = self.change(&sender, |account| {
            let (is_new, pending) = (account.is_empty(), account.pending());
            let replaced = account.insert(entry);
            if is_new || replaced.is_some() || account.pending() > pending {
                account.beat = now;
            }
            replaced
        });
        let replaced = replaced.flatten();
        if let Some(old) = &replaced {
            self.forget(old);
        }
        replaced
    }

    /// Takes a transaction out; what follows it waits behind the gap.
    fn remove_at(&mut self, sender: &Address, nonce: u64) -> Option<Entry> {
        let removed = self.change(sender, |account| account.remove(nonce)).flatten()?;
        self.forget(&removed);
        Some(removed)
    }

    fn remember(&mut self, entry: &Entry) {
        self.by_hash.insert(entry.tx.hash(), (entry.sender, entry.tx.nonce()));
        if entry.is_blob() {
            self.by_relay_id.insert(entry.tx.relay_id().0.into(), entry.tx.hash());
        }
        self.cheapest.insert(&entry.bid());
        self.totals.slots += entry.slots();
        self.totals.bytes += entry.bytes;
        self.gas_max = self.gas_max.max(entry.tx.gas_limit());
        for authority in &entry.authorities {
            *self.authorities.entry(*authority).or_default() += 1;
        }
    }

    fn forget(&mut self, entry: &Entry) {
        self.by_hash.remove(&entry.tx.hash());
        if entry.is_blob() {
            self.by_relay_id.remove(&B256::from(entry.tx.relay_id().0));
        }
        self.cheapest.remove(&entry.bid());
        self.totals.slots -= entry.slots();
        self.totals.bytes -= entry.bytes;
        for authority in &entry.authorities {
            if let Some(count) = self.authorities.get_mut(authority) {
                *count -= 1;
                if *count == 0 {
                    self.authorities.remove(authority);
                }
            }
        }
    }

    /// Drops one transaction, as an operator may (`anvil_dropTransaction`). Whether it was there.
    pub fn drop_transaction(&mut self, hash: &B256) -> bool {
        let Some((sender, nonce)) = self.by_hash.get(hash).copied() else { return false };
        self.remove_at(&sender, nonce).is_some()
    }

    /// Drops all of one account's (`anvil_removePoolTransactions`).
    pub fn drop_account(&mut self, address: &Address) {
        let hashes: Vec<B256> = self
            .accounts
            .get(address)
            .into_iter()
            .flat_map(Account::entries)
            .map(|entry| entry.tx.hash())
            .collect();
        for hash in hashes {
            self.drop_transaction(&hash);
        }
    }

    /// Looks anew at what the next block will ask for, before the next transaction comes: somebody wished for something else.
    pub fn look_again(&mut self, ledger: &Evm, head: &EvmHeader) {
        let terms = Terms::after(ledger, head);
        self.heads.set_base_fee(terms.base_fee);
        self.terms = Some(terms);
    }

    /// Drops everything (`anvil_dropAllTransactions`).
    pub fn clear(&mut self) {
        let (sequence, policy, terms) = (self.sequence, self.policy, self.terms.take());
        *self = Self { sequence, terms, policy, ..Self::default() };
        let base_fee = self.terms.as_ref().map_or(0, |terms| terms.base_fee);
        self.heads.set_base_fee(base_fee);
    }

    /// All transactions: accounts in their order, nonces in theirs.
    fn in_order(&self) -> Vec<Arc<EvmTx>> {
        let mut accounts: Vec<_> = self.accounts.iter().collect();
        accounts.sort_unstable_by_key(|(address, _)| **address);
        let entries = accounts.into_iter().flat_map(|(_, account)| account.entries());
        entries.map(|entry| Arc::clone(&entry.tx)).collect()
    }
}
