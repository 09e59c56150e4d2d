//! Looking into the pool: what `txpool_*` and the `pending` tag ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256};

use super::EvmPool;
use super::account::{Account, Entry};
use crate::types::EvmTx;

/// Transactions of the pool by sender and nonce.
pub type ByAccount = BTreeMap<Address, BTreeMap<u64, Arc<EvmTx>>>;

/// What is in the pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// What blocks could take, as far as nonces go.
    pub pending: ByAccount,
    /// What waits for an earlier nonce.
    pub queued: ByAccount,
}

/// How much is in the pool (`txpool_status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Transactions that blocks could take.
    pub pending: usize,
    /// Transactions that wait for an earlier nonce.
    pub queued: usize,
}

impl EvmPool {
    /// How much is in the pool.
    pub fn status(&self) -> Status {
        Status { pending: self.totals.pending, queued: self.totals.queued }
    }

    /// Everything in the pool (`txpool_content`, `txpool_inspect`).
    pub fn content(&self) -> Content {
        let mut content = Content::default();
        self.accounts.iter().for_each(|(address, account)| content.add(*address, account));
        content
    }

    /// One account's transactions (`txpool_contentFrom`).
    pub fn content_from(&self, address: &Address) -> Content {
        let mut content = Content::default();
        if let Some(account) = self.accounts.get(address) {
            content.add(*address, account);
        }
        content
    }

    /// The nonce after an account's pending transactions; `None` if it has none here: then the chain knows.
    pub fn pending_nonce(&self, address: &Address) -> Option<u64> {
        self.accounts.get(address).map(Account::next_nonce)
    }

    /// What the pool knows of a transaction.
    pub fn entry(&self, hash: &B256) -> Option<&Entry> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        self.accounts.get(sender)?.get(*nonce)
    }

    /// Whether a transaction of the pool waits for an earlier nonce.
    pub fn is_queued(&self, hash: &B256) -> bool {
        let found = self.entry(hash);
        found.is_some_and(|entry| {
            self.accounts.get(&entry.sender).is_some_and(|account| !account.is_pending(entry.tx.nonce()))
        })
    }
}

impl Content {
    fn add(&mut self, address: Address, account: &Account) {
        let by_nonce = |entry: &Entry| (entry.tx.nonce(), Arc::clone(&entry.tx));
        let pending: BTreeMap<_, _> = account.pending_entries().map(by_nonce).collect();
        let queued: BTreeMap<_, _> = account.queued_entries().map(by_nonce).collect();
        for (part, found) in [(&mut self.pending, pending), (&mut self.queued, queued)] {
            if !found.is_empty() {
                part.insert(address, found);
            }
        }
    }
}
