//! One account's transactions: those that can follow one another now, and those behind a gap.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_eips::Typed2718 as _;
use alloy_primitives::{Address, U256, U512};
use chainwright_chain::Timestamp;

use super::order::Bid;
use super::policy::SLOT_BYTES;
use crate::state::AccountRow;
use crate::types::EvmTx;

/// The type byte of transactions with blobs (EIP-4844).
pub(super) const BLOB_TYPE: u8 = 3;

/// What the chain says of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AccountState {
    /// The nonce of its next transaction.
    pub(super) nonce: u64,
    /// In wei.
    pub(super) balance: U256,
    /// Whether there is code, which for a sender means a delegation (EIP-7702).
    pub(super) has_code: bool,
}

impl From<&AccountRow> for AccountState {
    fn from(row: &AccountRow) -> Self {
        let has_code = row.code_hash != alloy_primitives::KECCAK256_EMPTY;
        Self { nonce: row.nonce, balance: row.balance, has_code }
    }
}

/// A transaction of the pool.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The transaction; one with blobs has its sidecar.
    pub tx: Arc<EvmTx>,
    /// Who signed it.
    pub sender: Address,
    /// Order of arrival.
    pub sequence: u64,
    /// When it came.
    pub since: Timestamp,
    /// The most it can cost its sender, in wei.
    pub cost: U256,
    /// Accounts it delegates (EIP-7702), each once.
    pub authorities: Vec<Address>,
    /// Encoded bytes, blobs included.
    pub bytes: usize,
}

impl Entry {
    /// Slots it takes of the pool (geth `numSlots`).
    pub(super) fn slots(&self) -> usize {
        self.tx.raw().len().div_ceil(SLOT_BYTES)
    }

    pub(super) fn is_blob(&self) -> bool {
        self.tx.ty() == BLOB_TYPE
    }

    pub(super) fn bid(&self) -> Bid {
        Bid {
            sender: self.sender,
            nonce: self.tx.nonce(),
            fee_cap: self.tx.max_fee_per_gas(),
            tip: tip_cap(&self.tx),
            sequence: self.sequence,
        }
    }
}

/// The most per gas for the block's maker; before EIP-1559 the gas price.
pub(super) fn tip_cap(tx: &EvmTx) -> u128 {
    tx.max_priority_fee_per_gas().unwrap_or_else(|| tx.max_fee_per_gas())
}

/// The most a transaction can cost: gas at its cap, blobs at theirs, and the value (geth `Transaction.Cost`).
pub(super) fn cost_of(tx: &EvmTx) -> U512 {
    let gas = U512::from(tx.gas_limit()) * U512::from(tx.max_fee_per_gas());
    let blobs = U512::from(tx.blob_gas_used().unwrap_or_default())
        * U512::from(tx.max_fee_per_blob_gas().unwrap_or_default());
    gas + blobs + U512::from(tx.value())
}

/// One account's transactions, by nonce. The first `pending` of them follow the chain's nonce without a gap.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) state: AccountState,
    entries: BTreeMap<u64, Entry>,
    pending: usize,
    /// Costs of the pending ones.
    spent: U512,
    /// Highest cost and gas that may be among the entries.
    cost_max: U256,
    gas_max: u64,
    /// When something last happened.
    pub(super) beat: Timestamp,
}

impl Account {
    pub(super) fn new(state: AccountState) -> Self {
        Self { state, ..Self::default() }
    }

    pub(super) fn get(&self, nonce: u64) -> Option<&Entry> {
        self.entries.get(&nonce)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many can follow one another now.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// How many wait behind a gap.
    pub(super) fn queued(&self) -> usize {
        self.entries.len() - self.pending
    }

    /// The nonce after the pending ones.
    pub(super) fn next_nonce(&self) -> u64 {
        self.state.nonce.saturating_add(self.pending as u64)
    }

    pub(super) fn is_pending(&self, nonce: u64) -> bool {
        self.entries.contains_key(&nonce) && nonce < self.next_nonce()
    }

    /// Costs of the pending ones.
    pub(super) fn spent(&self) -> U512 {
        self.spent
    }

    /// The transaction a block could take next.
    pub(super) fn head(&self) -> Option<&Entry> {
        if self.pending == 0 { None } else { self.entries.get(&self.state.nonce) }
    }

    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn pending_entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.range(..self.next_nonce()).map(|(_, entry)| entry)
    }

    pub(super) fn queued_entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.range(self.next_nonce()..).map(|(_, entry)| entry)
    }

    /// Puts a transaction in its place; returns the one that was there.
    pub(super) fn insert(&mut self, entry: Entry) -> Option<Entry> {
        let (nonce, cost) = (entry.tx.nonce(), U512::from(entry.cost));
        self.cost_max = self.cost_max.max(entry.cost);
        self.gas_max = self.gas_max.max(entry.tx.gas_limit());
        let old = self.entries.insert(nonce, entry);
        match &old {
            Some(old) if nonce < self.next_nonce() => self.spent = self.spent - U512::from(old.cost) + cost,
            _ => self.extend(),
        }
        old
    }

    /// Takes a transaction out; what follows it waits behind the gap.
    pub(super) fn remove(&mut self, nonce: u64) -> Option<Entry> {
        let end = self.next_nonce();
        let removed = self.entries.remove(&nonce)?;
        if nonce < end {
            let demoted: U512 = self.entries.range(nonce..end).map(|(_, entry)| U512::from(entry.cost)).sum();
            self.spent -= demoted + U512::from(removed.cost);
            self.pending = (nonce - self.state.nonce) as usize;
        }
        Some(removed)
    }

    /// Follows the chain; returns what a block has overtaken.
    pub(super) fn set_state(&mut self, state: AccountState) -> Vec<Entry> {
        let (before, end) = (self.state.nonce, self.next_nonce());
        self.state = state;
        let kept = self.entries.split_off(&state.nonce);
        let old: Vec<Entry> = core::mem::replace(&mut self.entries, kept).into_values().collect();
        if (before..=end).contains(&state.nonce) {
            self.spent -= old.iter().map(|entry| U512::from(entry.cost)).sum::<U512>();
            self.pending = (end - state.nonce) as usize;
            self.extend();
        } else {
            (self.pending, self.spent) = (0, U512::ZERO);
            self.extend();
        }
        old
    }

    /// Takes out what the account cannot pay for, or no block has gas for (geth `list.Filter`).
    pub(super) fn remove_unpayable(&mut self, gas_limit: u64) -> Vec<Entry> {
        let balance = self.state.balance;
        if self.cost_max <= balance && self.gas_max <= gas_limit {
            return Vec::new();
        }
        (self.cost_max, self.gas_max) = (balance, gas_limit);
        self.remove_where(|entry| entry.cost > balance || entry.tx.gas_limit() > gas_limit)
    }

    /// Takes out all that `is_bad`.
    pub(super) fn remove_where(&mut self, is_bad: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let bad: Vec<u64> =
            self.entries.iter().filter(|(_, entry)| is_bad(entry)).map(|(nonce, _)| *nonce).collect();
        let removed: Vec<Entry> = bad.iter().filter_map(|nonce| self.entries.remove(nonce)).collect();
        if !removed.is_empty() {
            (self.pending, self.spent) = (0, U512::ZERO);
            self.extend();
        }
        removed
    }

    /// Lets the pending ones grow until there is a gap.
    fn extend(&mut self) {
        for (nonce, entry) in self.entries.range(self.next_nonce()..) {
            if *nonce != self.state.nonce.saturating_add(self.pending as u64) {
                break;
            }
            self.pending += 1;
            self.spent += U512::from(entry.cost);
        }
    }
}
