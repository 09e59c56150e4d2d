//! Following the chain: what a block took leaves, what a reorganisation gave back returns.
//!
//! Work is proportional to the change: an account is looked at again only if a block changed its row, since nothing else can
//! change its nonce or its balance. Everything is looked at only when a fork changes the rules, or when the gas limit falls
//! below what some transaction asks for.
//!
//! What was in a block comes back without being asked for fees or funds beyond its own: it was good enough for a block, and
//! what waits behind it would otherwise wait for ever.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_eips::Typed2718 as _;
use alloy_primitives::{Address, B256, U512};
use chainwright_chain::{Fault, Refusal, Step, Timestamp};

use super::account::{AccountState, BLOB_TYPE, Entry, cost_of};
use super::admit::{Accounts, authorities};
use super::policy::PoolPolicy;
use super::terms::Terms;
use super::{EvmPool, basics, sidecar};
use crate::config::Fork;
use crate::state::{ACCOUNTS, AccountRow};
use crate::types::{EvmTx, Sidecar};

/// A change of the head as the pool sees it.
pub(super) struct Change<'a> {
    /// Transactions of blocks that left the chain, in the order they were in it.
    pub(super) left: Vec<&'a EvmTx>,
    /// Transactions of blocks that joined it, with the block's height.
    pub(super) joined: Vec<(&'a EvmTx, u64)>,
    /// What the chain says now of accounts that the pool knows and the change touched.
    pub(super) touched: HashMap<Address, AccountState>,
    pub(super) now: Timestamp,
}

impl EvmPool {
    /// The new state of each account of the pool whose row a step changed.
    pub(super) fn touched(&self, steps: &[Step]) -> Result<HashMap<Address, AccountState>, Fault> {
        let mut touched = HashMap::new();
        if self.accounts.is_empty() {
            return Ok(touched);
        }
        let changes =
            steps.iter().flat_map(|step| step.delta.iter()).filter(|change| change.table == ACCOUNTS);
        for change in changes {
            let Some(address) = change.new.or(change.old).and_then(|row| row.first_chunk::<20>()) else {
                continue;
            };
            let address = Address::from(address);
            if self.accounts.contains_key(&address) {
                let row = change.new.map(AccountRow::decode).transpose();
                let row = row.map_err(|error| Fault::new(error.to_string()))?;
                touched.insert(address, row.as_ref().map(AccountState::from).unwrap_or_default());
            }
        }
        Ok(touched)
    }

    /// Follows a change of the head.
    pub(super) fn follow(
        &mut self,
        terms: Terms,
        policy: &PoolPolicy,
        change: &Change<'_>,
        accounts: &dyn Accounts,
    ) -> Result<(), Fault> {
        self.keep_blobs(&change.joined);
        for (address, state) in &change.touched {
            self.update(address, *state, terms.gas_limit);
        }
        self.bring_back(&terms, change, accounts)?;
        self.apply_terms(&terms);
        let changed = change.touched.keys().copied();
        for address in changed.collect::<Vec<_>>() {
            self.trim_account(&address, policy);
        }
        self.limit(policy);
        self.limbo.prune(terms.height);
        self.heads.set_base_fee(terms.base_fee);
        self.terms = Some(terms);
        Ok(())
    }

    /// Puts the blobs aside of transactions that a block took.
    fn keep_blobs(&mut self, joined: &[(&EvmTx, u64)]) {
        for (tx, height) in joined.iter().filter(|(tx, _)| tx.ty() == BLOB_TYPE) {
            let hash = tx.hash();
            let ours = self.entry(&hash).map(|entry| Arc::clone(&entry.tx));
            let ours = ours.filter(|tx| tx.sidecar().is_some());
            if let Some(whole) = ours.or_else(|| self.limbo.take(&hash)) {
                self.limbo.keep(whole, *height);
            }
        }
    }

    /// Follows one account.
    fn update(&mut self, address: &Address, state: AccountState, gas_limit: u64) {
        let removed = self.change(address, |account| {
            let mut removed = account.set_state(state);
            removed.extend(account.remove_unpayable(gas_limit));
            removed
        });
        removed.unwrap_or_default().iter().for_each(|entry| self.forget(entry));
    }

    /// Takes the transactions of blocks that left the chain again.
    fn bring_back(
        &mut self,
        terms: &Terms,
        change: &Change<'_>,
        accounts: &dyn Accounts,
    ) -> Result<(), Fault> {
        let joined: HashSet<B256> = change.joined.iter().map(|(tx, _)| tx.hash()).collect();
        for tx in change.left.iter().filter(|tx| !joined.contains(&tx.hash())) {
            let whole = self.limbo.take(&tx.hash());
            if tx.ty() == BLOB_TYPE && whole.is_none() {
                continue;
            }
            let tx = whole.unwrap_or_else(|| Arc::new(tx.without_sidecar()));
            let bytes = sidecar::bytes_of(&tx);
            let sender = match basics::check_mined(&tx, bytes, terms) {
                Ok(sender) => sender,
                Err(Refusal::Fault(fault)) => return Err(fault),
                Err(_) => continue,
            };
            let known = self.accounts.get(&sender).map(|account| account.state);
            let state = known.map_or_else(|| accounts.account(&sender), Ok)?;
            let cost = cost_of(&tx);
            if tx.nonce() < state.nonce || cost > U512::from(state.balance) {
                continue;
            }
            let (cost, sequence) = (cost.saturating_to(), self.sequence);
            self.sequence += 1;
            let authorities = authorities(&tx);
            self.put(Entry { tx, sender, sequence, since: change.now, cost, authorities, bytes }, state);
        }
        Ok(())
    }

    /// Drops what the rules of the new head do not allow any more.
    fn apply_terms(&mut self, terms: &Terms) {
        let fork_changed = self.terms.as_ref().is_some_and(|before| before.fork != terms.fork);
        if !fork_changed && self.gas_max <= terms.gas_limit {
            return;
        }
        let is_bad = |entry: &Entry| {
            let old_blobs = terms.fork >= Fork::Osaka
                && entry.tx.sidecar().is_some_and(|sidecar| matches!(**sidecar, Sidecar::Eip4844(_)));
            old_blobs || basics::check_mined(&entry.tx, entry.bytes, terms).is_err()
        };
        let addresses: Vec<Address> = self.accounts.keys().copied().collect();
        for address in addresses {
            let removed = self.change(&address, |account| account.remove_where(is_bad));
            removed.unwrap_or_default().iter().for_each(|entry| self.forget(entry));
        }
        self.gas_max = terms.gas_limit;
    }
}
