//! Keeping the pool within its limits: who has too much goes first (geth `truncatePending`, `truncateQueue`).

use alloy_consensus::Transaction as _;
use alloy_primitives::Address;
use chainwright_chain::{Timestamp, TxId};

use super::EvmPool;
use super::account::Entry;
use super::policy::PoolPolicy;

impl EvmPool {
    /// Drops the last of an account's waiting transactions until there are not too many.
    pub(super) fn trim_account(&mut self, address: &Address, policy: &PoolPolicy) -> Vec<TxId> {
        let mut dropped = Vec::new();
        while let Some(last) = self.last_queued(address, policy.account_queue) {
            dropped.extend(self.remove_at(address, last).as_ref().map(id));
        }
        dropped
    }

    /// The highest nonce of an account's waiting transactions, if there are more than `allowed`.
    fn last_queued(&self, address: &Address, allowed: usize) -> Option<u64> {
        let account = self.accounts.get(address).filter(|account| account.queued() > allowed)?;
        account.queued_entries().next_back().map(|entry| entry.tx.nonce())
    }

    /// Drops transactions until no limit of the whole pool is exceeded: the last one of the account with most, of the account
    /// that has waited longest, and whatever is cheapest.
    pub(super) fn limit(&mut self, policy: &PoolPolicy) -> Vec<TxId> {
        let mut dropped = Vec::new();
        while self.totals.pending > policy.global_slots
            && let Some((count, address)) = self.crowds.last().copied()
            && count > policy.account_slots
        {
            let last = self.accounts.get(&address).map(|account| account.next_nonce().saturating_sub(1));
            let Some(removed) = last.and_then(|last| self.remove_at(&address, last)) else { break };
            dropped.push(id(&removed));
        }
        while self.totals.queued > policy.global_queue
            && let Some((_, address)) = self.waiting.first().copied()
        {
            let Some(last) = self.last_queued(&address, 0) else { break };
            dropped.extend(self.remove_at(&address, last).as_ref().map(id));
        }
        let slots_max = policy.global_slots.saturating_add(policy.global_queue);
        while (self.totals.slots > slots_max || self.totals.bytes > policy.bytes_max)
            && let Some((address, nonce)) = self.cheapest.first()
            && let Some(removed) = self.remove_at(&address, nonce)
        {
            dropped.push(id(&removed));
            dropped.extend(self.trim_account(&address, policy));
        }
        dropped
    }

    /// Drops what has waited behind a gap for too long.
    pub(super) fn expire_queued(&mut self, now: Timestamp) {
        let lifetime = self.policy.lifetime_seconds;
        while let Some((beat, address)) = self.waiting.first().copied()
            && beat.0.saturating_add(lifetime) < now.0
        {
            let queued: Vec<u64> = self.accounts.get(&address).map_or_else(Vec::new, |account| {
                account.queued_entries().map(|entry| entry.tx.nonce()).collect()
            });
            if queued.is_empty() {
                break;
            }
            for nonce in queued {
                self.remove_at(&address, nonce);
            }
        }
    }
}

fn id(entry: &Entry) -> TxId {
    TxId(entry.tx.hash().0)
}
