//! The accounts whose hashed addresses begin with one byte, and what belongs to them. One thread at a time works on it.

use std::mem::take;

use alloy_primitives::{B256, Bytes, U256};
use alloy_trie::EMPTY_ROOT_HASH;

use super::account::{Account, Contract, Contracts, is_rare};
use super::arena::Arena;
use super::node::{Encoder, Key, Reference};
use super::storage::Storage;
use crate::state::AccountRow;

/// One row that has moved.
pub(super) enum Update {
    /// An account, or that there is none any more.
    Account(Key, Option<AccountRow>),
    /// A slot of an account; zero where there is none any more.
    Slot(Key, Key, U256),
}

/// A 256th of all accounts.
pub(super) struct Subtree {
    accounts: Arena<Account>,
    contracts: Contracts,
    /// Rows that moved and have not been looked at, oldest first.
    pending: Vec<Update>,
    /// Contracts whose storage roots are not known.
    stale: Vec<Key>,
    /// How its topmost node is referred to, its path beginning at the nibble given; `None` if there is none.
    top: Option<Reference>,
    top_from: u8,
    encoder: Encoder,
}

impl Update {
    /// Which subtree it belongs to.
    pub(super) fn subtree(&self) -> usize {
        let (Self::Account(key, _) | Self::Slot(key, _, _)) = self;
        usize::from(key[0])
    }
}

impl Subtree {
    /// One without accounts.
    pub(super) fn new() -> Self {
        Self {
            accounts: Arena::default(),
            contracts: Contracts::new(),
            pending: Vec::new(),
            stale: Vec::new(),
            top: None,
            top_from: 2,
            encoder: Encoder::default(),
        }
    }

    pub(super) fn push(&mut self, update: Update) {
        self.pending.push(update);
    }

    /// Adds a contract's whole storage; while loading, before its account or after.
    pub(super) fn load_storage(&mut self, account: Key, storage: Storage) {
        self.contracts.entry(account).or_default().storage = storage;
        self.stale.push(account);
    }

    /// Whether there is something to hash.
    pub(super) const fn is_stale(&self) -> bool {
        !self.pending.is_empty() || !self.stale.is_empty()
    }

    /// Moves the nodes by what is pending, without hashing.
    pub(super) fn apply(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        for update in take(&mut self.pending) {
            match update {
                Update::Account(key, row) => self.set_account(&key, row.as_ref()),
                Update::Slot(account, key, value) => self.set_slot(account, &key, value),
            }
        }
        self.top = None;
    }

    fn set_account(&mut self, key: &Key, row: Option<&AccountRow>) {
        let known = self.accounts.get(key).map(|account| account.more);
        let mut changed = false;
        if known.unwrap_or(true) || row.is_some_and(is_rare) {
            if let Some(contract) = self.contracts.get_mut(key) {
                changed = contract.take(row);
                if contract.is_empty() && contract.storage.is_settled() {
                    self.contracts.remove(key);
                }
            } else if row.is_some_and(is_rare) {
                changed = self.contracts.entry(*key).or_default().take(row);
            }
        }
        let Some(row) = row else { return self.accounts.remove(key) };
        let more = known.unwrap_or(false) || self.contracts.contains_key(key);
        self.accounts.set(key, Account::of(row, more));
        if changed {
            self.accounts.touch(key);
        }
    }

    fn set_slot(&mut self, account: Key, key: &Key, value: U256) {
        let contract = self.contracts.entry(account).or_default();
        if contract.storage.set(key, value) {
            self.stale.push(account);
        }
    }

    /// Applies and hashes everything, the path of the topmost node beginning at nibble `from`.
    pub(super) fn refresh(&mut self, from: u8) -> Option<Reference> {
        if self.is_stale() || self.top_from != from || self.top.is_none() {
            self.apply();
            for key in take(&mut self.stale) {
                self.refresh_storage(&key);
            }
            let Self { accounts, contracts, encoder, .. } = self;
            self.top =
                accounts.refresh(from, encoder, &|key, account, out| write(contracts, key, account, out));
            self.top_from = from;
        }
        self.top
    }

    /// As [`Subtree::refresh`], where its topmost node hung last.
    pub(super) fn refresh_in_place(&mut self) {
        self.refresh(self.top_from);
    }

    fn refresh_storage(&mut self, key: &Key) {
        let Some(contract) = self.contracts.get_mut(key) else { return };
        contract.storage.refresh(&mut self.encoder);
        if contract.is_empty() {
            self.contracts.remove(key);
        }
        if let Some(account) = self.accounts.get(key).copied() {
            // One that never had storage does not know yet that there is more of it.
            self.accounts.set(key, Account { more: true, ..account });
            self.accounts.touch(key);
        }
    }

    /// Appends the nodes of this subtree that prove an account. To be called after [`Subtree::refresh`], as what follows.
    pub(super) fn prove(&mut self, key: &Key, out: &mut Vec<Bytes>) {
        let Self { accounts, contracts, encoder, .. } = self;
        accounts.prove(key, encoder, &|key, account, out| write(contracts, key, account, out), out);
    }

    /// The value of a slot and the nodes that prove it.
    pub(super) fn prove_slot(&mut self, account: &Key, key: &Key) -> (U256, Vec<Bytes>) {
        let Self { contracts, encoder, .. } = self;
        contracts
            .get_mut(account)
            .map_or_else(Default::default, |contract| contract.storage.prove(key, encoder))
    }

    /// Nonce, balance and code hash of an account.
    pub(super) fn account(&self, key: &Key) -> Option<(u64, U256, B256)> {
        Some(self.accounts.get(key)?.parts(self.contracts.get(key)))
    }

    /// The storage root of an account; that of the empty trie where there is none.
    pub(super) fn storage_root(&self, key: &Key) -> B256 {
        self.contracts.get(key).map_or(EMPTY_ROOT_HASH, |contract| contract.storage.known_root())
    }

    /// How many accounts there are.
    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        // A table of std keeps an eighth free and one byte of control per place; it doubles.
        let entry = size_of::<(Key, Contract)>() + 1;
        let storages: usize = self.contracts.values().map(|contract| contract.storage.memory()).sum();
        self.accounts.memory()
            + self.contracts.capacity() * 8 / 7 * entry
            + storages
            + self.pending.capacity() * size_of::<Update>()
            + self.stale.capacity() * size_of::<Key>()
    }
}

fn write(contracts: &Contracts, key: &Key, account: &Account, out: &mut Vec<u8>) {
    let contract = if account.more { contracts.get(key) } else { None };
    account.write(contract, out);
}
