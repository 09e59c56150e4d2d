//! The pool behind the seam: [`chainwright_chain::Pool`] for [`EvmPool`].

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use chainwright_chain::{
    Admission, Fault, HeadChange, Pool, PoolContext, Refusal, StateView, Timestamp, TxId,
};

use super::EvmPool;
use super::account::AccountState;
use super::admit::{Accounts, Judge};
use super::follow::Change;
use super::terms::Terms;
use crate::ledger::Evm;
use crate::rules::assume_impersonated;
use crate::state::{ACCOUNTS, AccountRow, account_key};
use crate::types::EvmTx;

/// Accounts as the head has them.
struct AtHead<'a>(&'a StateView);

impl Accounts for AtHead<'_> {
    fn account(&self, address: &Address) -> Result<AccountState, Fault> {
        let row = self.0.get(ACCOUNTS, &account_key(address))?;
        let row = row.map(|row| AccountRow::decode(&row)).transpose();
        let row = row.map_err(|error| Fault::new(error.to_string()))?;
        Ok(row.as_ref().map(AccountState::from).unwrap_or_default())
    }
}

impl Pool<Evm> for EvmPool {
    fn submit(
        &mut self,
        ledger: &Evm,
        tx: Arc<EvmTx>,
        at: &PoolContext<'_, Evm>,
    ) -> Result<Admission, Refusal> {
        self.policy = *ledger.pool_policy();
        assume_impersonated(ledger.config(), [&*tx]);
        let terms = self.terms.take().unwrap_or_else(|| {
            let terms = Terms::after(ledger, at.head.headers.header());
            self.heads.set_base_fee(terms.base_fee);
            terms
        });
        let hash = tx.hash();
        let judge = Judge {
            terms: &terms,
            policy: ledger.pool_policy(),
            accounts: &AtHead(&at.head.state),
            now: at.now,
        };
        let admission = self.submit_to(&judge, tx, at.dry_run);
        self.terms = Some(terms);
        if admission.is_ok()
            && let Some(entry) = self.entry(&hash)
        {
            ledger.senders().insert(hash, entry.sender);
        }
        admission
    }

    fn head_changed(&mut self, ledger: &Evm, change: &HeadChange<'_, Evm>) -> Result<(), Fault> {
        if self.by_hash.is_empty() && change.disconnected.is_empty() {
            self.terms = None;
            return Ok(());
        }
        self.policy = *ledger.pool_policy();
        let terms = Terms::after(ledger, change.head.headers.header());
        let left = change.disconnected.iter().rev().flat_map(|block| &block.block.transactions);
        let joined = change.connected.iter().flat_map(|block| {
            let height = block.block.header.number;
            block.block.transactions.iter().map(move |tx| (tx, height))
        });
        let (left, joined) = (left.collect(), joined.collect());
        let change_seen = Change { left, joined, touched: self.touched(change.steps)?, now: change.now };
        self.follow(terms, ledger.pool_policy(), &change_seen, &AtHead(&change.head.state))
    }

    fn get(&self, id: &TxId) -> Option<Arc<EvmTx>> {
        let id = B256::from(id.0);
        let hash = self.by_relay_id.get(&id).unwrap_or(&id);
        self.entry(hash).map(|entry| Arc::clone(&entry.tx))
    }

    fn len(&self) -> usize {
        self.by_hash.len()
    }

    fn is_ready(&self) -> bool {
        self.heads.is_ready()
    }

    fn all(&self) -> Vec<Arc<EvmTx>> {
        self.in_order()
    }

    fn expire(&mut self, now: Timestamp) {
        self.expire_queued(now);
    }
}
