//! Judging a transaction against the chain and the pool, and taking it: geth's `ValidateTransactionWithState`, `validateAuth`
//! and `add`, in their order and words.
//!
//! geth has two pools, one for transactions with blobs; an account has its transactions in one of them at a time. Here it is
//! one pool, and the same rule.

use alloy_consensus::Transaction as _;
use alloy_eips::Typed2718 as _;
use alloy_primitives::{Address, U256, U512};
use chainwright_chain::{Admission, Fault, Refusal, Timestamp, TxId};
use std::sync::Arc;

use super::account::{Account, AccountState, BLOB_TYPE, Entry, cost_of, tip_cap};
use super::policy::{BLOB_ACCOUNT_SLOTS, PoolPolicy};
use super::terms::Terms;
use super::words::{
    ACCOUNT_LIMIT, INSUFFICIENT_FUNDS, REPLACEMENT_UNDERPRICED, UNDERPRICED, already_known, full, policy,
    policy_with,
};
use super::{EvmPool, basics, sidecar};
use crate::types::EvmTx;

/// Where accounts are read that the pool does not know yet.
pub(super) trait Accounts {
    /// What the chain says of an account.
    fn account(&self, address: &Address) -> Result<AccountState, Fault>;
}

/// What a transaction is judged by.
pub(super) struct Judge<'a> {
    pub(super) terms: &'a Terms,
    pub(super) policy: &'a PoolPolicy,
    pub(super) accounts: &'a dyn Accounts,
    pub(super) now: Timestamp,
}

/// A transaction that may be taken, and what has to go for it.
struct Judged {
    entry: Entry,
    state: AccountState,
    victims: Vec<(Address, u64)>,
}

impl Judge<'_> {
    /// Judges a transaction; the pool does not change.
    fn judge(&self, pool: &EvmPool, tx: Arc<EvmTx>) -> Result<Judged, Refusal> {
        if pool.by_hash.contains_key(&tx.hash()) {
            return Err(already_known());
        }
        let bytes = sidecar::bytes_of(&tx);
        let sender = basics::check(&tx, bytes, self.terms, self.policy)?;
        let known = pool.accounts.get(&sender);
        let state = known.map_or_else(|| self.accounts.account(&sender), |account| Ok(account.state))?;
        let is_blob = tx.ty() == BLOB_TYPE;
        let same_kind = known.filter(|account| holds_blobs(account) == is_blob);
        let own = Own { account: same_kind, state, nonce: tx.nonce(), is_blob };
        if state.nonce > own.nonce {
            let detail = format!("next nonce {}, tx nonce {}", state.nonce, own.nonce);
            return Err(policy_with("nonce too low", detail));
        }
        own.check_gap()?;
        let cost = own.check_funds(cost_of(&tx))?;
        if !self.terms.development {
            own.check_delegation(pool.authorities.contains_key(&sender))?;
        }
        let authorities = authorities(&tx);
        check_authorities(pool, &authorities, is_blob)?;
        let replaced = same_kind.and_then(|account| account.get(own.nonce));
        if is_blob && let Some(old) = replaced {
            check_blob_replacement(&tx, &old.tx, self.policy.blob_price_bump_percent)?;
        }
        if known.is_some() && same_kind.is_none() {
            return Err(policy("address already reserved"));
        }
        if !is_blob && let Some(old) = replaced {
            check_replacement(&tx, &old.tx, self.policy.price_bump_percent)?;
        }
        let sequence = pool.sequence;
        let entry = Entry { tx, sender, sequence, since: self.now, cost, authorities, bytes };
        let victims = self.room(pool, &entry, &own, replaced)?;
        if is_blob {
            sidecar::check_proofs(&entry.tx)?;
        }
        Ok(Judged { entry, state, victims })
    }

    /// What has to go so that there is room, the cheapest first.
    fn room(
        &self,
        pool: &EvmPool,
        entry: &Entry,
        own: &Own<'_>,
        replaced: Option<&Entry>,
    ) -> Result<Vec<(Address, u64)>, Refusal> {
        if replaced.is_none() {
            self.check_places(pool, entry.sender, own)?;
        }
        let (freed_slots, freed_bytes) = replaced.map_or((0, 0), |old| (old.slots(), old.bytes));
        let mut slots = pool.totals.slots + entry.slots() - freed_slots;
        let mut bytes = pool.totals.bytes + entry.bytes - freed_bytes;
        let slots_max = self.policy.global_slots.saturating_add(self.policy.global_queue);
        let mut victims = Vec::new();
        let mut cheaper = pool.cheapest.below(&entry.bid());
        let is_gapped = own.nonce > own.next_nonce();
        while slots > slots_max || bytes > self.policy.bytes_max {
            let Some((sender, nonce)) = cheaper.next() else {
                return Err(if victims.is_empty() { policy(UNDERPRICED) } else { full() });
            };
            // What it follows must stay, or it would follow nothing.
            let Some(account) = pool.accounts.get(&sender).filter(|_| sender != entry.sender) else {
                continue;
            };
            let Some(victim) = account.get(nonce) else { continue };
            if is_gapped && account.is_pending(nonce) {
                return Err(policy("future transaction tries to replace pending"));
            }
            slots -= victim.slots();
            bytes -= victim.bytes;
            victims.push((sender, nonce));
        }
        Ok(victims)
    }

    /// Whether the transaction would be the first to go by the limits on counts (geth `truncatePending`, `truncateQueue`).
    fn check_places(&self, pool: &EvmPool, sender: Address, own: &Own<'_>) -> Result<(), Refusal> {
        if own.nonce > own.next_nonce() {
            let (queued, last) = own.account.map_or((0, None), |account| {
                (account.queued(), account.queued_entries().next_back().map(|entry| entry.tx.nonce()))
            });
            if queued >= self.policy.account_queue && last.is_none_or(|last| last < own.nonce) {
                return Err(policy_with(ACCOUNT_LIMIT, format!("pooled {queued} txs")));
            }
            // Where the account would stand among those that wait: it may have been quiet for long.
            let place = (own.account.map_or(self.now, |account| account.beat), sender);
            let oldest = pool.waiting.first().is_none_or(|first| place <= *first);
            let is_last = last.is_none_or(|last| last < own.nonce);
            if pool.totals.queued >= self.policy.global_queue && oldest && is_last {
                return Err(full());
            }
            return Ok(());
        }
        let mine = own.account.map_or(0, Account::pending) + 1;
        // Of equal crowds the one of the highest address gives way.
        let is_largest = pool.crowds.last().is_none_or(|largest| (mine, sender) > *largest);
        if pool.totals.pending >= self.policy.global_slots && mine > self.policy.account_slots && is_largest {
            return Err(full());
        }
        Ok(())
    }
}

impl EvmPool {
    /// Judges a transaction and, unless it is only to be judged, takes it.
    pub(super) fn submit_to(
        &mut self,
        judge: &Judge<'_>,
        tx: Arc<EvmTx>,
        dry_run: bool,
    ) -> Result<Admission, Refusal> {
        let judged = judge.judge(self, tx)?;
        Ok(if dry_run { Admission::default() } else { self.take(judged, judge.policy) })
    }

    /// Takes what was judged; returns what had to go.
    fn take(&mut self, judged: Judged, policy: &PoolPolicy) -> Admission {
        let mut removed: Vec<TxId> = Vec::new();
        for (sender, nonce) in judged.victims {
            removed.extend(self.remove_at(&sender, nonce).map(|entry| TxId(entry.tx.hash().0)));
            // What followed it waits behind a gap now.
            removed.extend(self.trim_account(&sender, policy));
        }
        self.sequence += 1;
        let sender = judged.entry.sender;
        removed.extend(self.put(judged.entry, judged.state).map(|old| TxId(old.tx.hash().0)));
        removed.extend(self.trim_account(&sender, policy));
        removed.extend(self.limit(policy));
        Admission { removed }
    }
}

/// The sender's transactions of the same kind, and where the new one would go.
struct Own<'p> {
    account: Option<&'p Account>,
    state: AccountState,
    nonce: u64,
    is_blob: bool,
}

impl Own<'_> {
    fn next_nonce(&self) -> u64 {
        self.account.map_or(self.state.nonce, Account::next_nonce)
    }

    /// Transactions with blobs do not wait for others.
    fn check_gap(&self) -> Result<(), Refusal> {
        let gap = self.next_nonce();
        if self.is_blob && gap < self.nonce {
            let detail = format!("tx nonce {}, gapped nonce {gap}", self.nonce);
            return Err(policy_with("nonce too high", detail));
        }
        Ok(())
    }

    /// Whether the account can pay for it, and for all that could come before it.
    fn check_funds(&self, cost: U512) -> Result<U256, Refusal> {
        let balance = U512::from(self.state.balance);
        let poor = |detail: String| Err(policy_with(INSUFFICIENT_FUNDS, detail));
        if balance < cost {
            return poor(format!("balance {balance}, tx cost {cost}, overshot {}", cost - balance));
        }
        let spent = self.account.map_or(U512::ZERO, Account::spent);
        let replaced = self.account.filter(|account| account.is_pending(self.nonce));
        if let Some(old) = replaced.and_then(|account| account.get(self.nonce)) {
            let old = U512::from(old.cost);
            let need = spent - old + cost;
            if balance < need {
                // A bump that lowers the cost cannot overshoot what was there before; geth would print it all the same.
                let bump = if cost >= old { (cost - old).to_string() } else { format!("-{}", old - cost) };
                let over = need - balance;
                return poor(format!(
                    "balance {balance}, queued cost {spent}, tx bumped {bump}, overshot {over}"
                ));
            }
            return Ok(cost.saturating_to());
        }
        let need = spent + cost;
        if balance < need {
            let over = need - balance;
            return poor(format!("balance {balance}, queued cost {spent}, tx cost {cost}, overshot {over}"));
        }
        let used = self.account.map_or(0, Account::len);
        if self.is_blob && used >= BLOB_ACCOUNT_SLOTS {
            return Err(policy_with(ACCOUNT_LIMIT, format!("pooled {used} txs")));
        }
        // At most a balance, so it fits.
        Ok(cost.saturating_to())
    }

    /// One transaction at a time for an account whose code moves or is about to move its money (geth
    /// `checkDelegationLimit`).
    fn check_delegation(&self, has_pooled_authorization: bool) -> Result<(), Refusal> {
        if !self.state.has_code && !has_pooled_authorization {
            return Ok(());
        }
        let pending = self.account.map_or(0, Account::pending);
        if pending == 0 {
            return if self.nonce == self.next_nonce() {
                Ok(())
            } else {
                Err(policy("gapped-nonce tx from delegated accounts"))
            };
        }
        if self.account.is_some_and(|account| account.is_pending(self.nonce))
            && (!self.is_blob || pending == 1)
        {
            return Ok(());
        }
        Err(policy("in-flight transaction limit reached for delegated accounts"))
    }
}

fn holds_blobs(account: &Account) -> bool {
    account.entries().next().is_some_and(Entry::is_blob)
}

/// Who signed the authorizations, each once; signatures that fit nobody delegate nobody.
pub(super) fn authorities(tx: &EvmTx) -> Vec<Address> {
    let signed = tx.authorization_list().unwrap_or_default();
    let mut found: Vec<Address> = signed.iter().filter_map(|one| one.recover_authority().ok()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// An account with several transactions waiting cannot be delegated (geth `validateAuth`).
fn check_authorities(pool: &EvmPool, authorities: &[Address], is_blob: bool) -> Result<(), Refusal> {
    let is_reserved = |address: &Address| {
        pool.accounts.get(address).is_some_and(|account| account.len() > 1 || holds_blobs(account))
    };
    if !is_blob && authorities.iter().any(is_reserved) {
        return Err(policy("authority already reserved"));
    }
    Ok(())
}

/// `old` and so many per cent more, rounded down.
fn bumped(old: u128, percent: u64) -> U256 {
    U256::from(old) * U256::from(100 + percent) / U256::from(100)
}

/// geth `list.Add`.
fn check_replacement(tx: &EvmTx, old: &EvmTx, percent: u64) -> Result<(), Refusal> {
    let raises = |new: u128, old: u128| new > old && U256::from(new) >= bumped(old, percent);
    if raises(tx.max_fee_per_gas(), old.max_fee_per_gas()) && raises(tip_cap(tx), tip_cap(old)) {
        Ok(())
    } else {
        Err(policy(REPLACEMENT_UNDERPRICED))
    }
}

/// geth `BlobPool.validateTx`.
fn check_blob_replacement(tx: &EvmTx, old: &EvmTx, percent: u64) -> Result<(), Refusal> {
    let blob_fee_cap = |tx: &EvmTx| tx.max_fee_per_blob_gas().unwrap_or_default();
    let offers = [
        ("gas fee cap", tx.max_fee_per_gas(), old.max_fee_per_gas()),
        ("gas tip cap", tip_cap(tx), tip_cap(old)),
        ("blob gas fee cap", blob_fee_cap(tx), blob_fee_cap(old)),
    ];
    let refuse = |detail: String| Err(policy_with(REPLACEMENT_UNDERPRICED, detail));
    for (what, new, old) in offers {
        if new <= old {
            return refuse(format!("new tx {what} {new} <= {old} queued"));
        }
    }
    for (what, new, old) in offers {
        if U256::from(new) < bumped(old, percent) {
            return refuse(format!("new tx {what} {new} < {old} queued + {percent}% replacement penalty"));
        }
    }
    Ok(())
}
