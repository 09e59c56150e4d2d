//! The pool against a simple specification, and its words, limits and blobs case by case.

#![allow(clippy::unwrap_used, reason = "tests")]

mod blobs;
mod limits;
mod model;
mod words;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use alloy_consensus::{Header, SignableTransaction as _, TxEip1559, TxLegacy};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use chainwright_chain::{Admission, Fault, Timestamp, Transaction as _};

use super::account::{Account, AccountState};
use super::admit::{Accounts, Judge};
use super::follow::Change;
use super::terms::Terms;
use super::{EvmPool, PoolPolicy, geth_words};
use crate::config::{ChainConfig, Fork};
use crate::types::{EvmTx, TxEnvelope};

const CHAIN_ID: u64 = 31_337;
const NOW: Timestamp = Timestamp(1_000_000);

/// Accounts as the test says they are.
#[derive(Clone, Debug, Default)]
struct World(BTreeMap<Address, AccountState>);

impl Accounts for World {
    fn account(&self, address: &Address) -> Result<AccountState, Fault> {
        Ok(self.0.get(address).copied().unwrap_or_default())
    }
}

fn who(number: u8) -> Address {
    Address::repeat_byte(number + 1)
}

fn config() -> ChainConfig {
    ChainConfig::up_to(CHAIN_ID, Fork::Osaka)
}

fn head() -> Header {
    Header {
        number: 10,
        gas_limit: 30_000_000,
        gas_used: 15_000_000,
        base_fee_per_gas: Some(7),
        excess_blob_gas: Some(0),
        blob_gas_used: Some(0),
        ..Header::default()
    }
}

fn terms(base_fee: u64) -> Terms {
    Terms { base_fee: u128::from(base_fee), ..Terms::at(&config(), &head()) }
}

/// Nobody's signature: who signed is said beside it.
fn signature() -> Signature {
    Signature::new(U256::ONE, U256::ONE, false)
}

fn signed(envelope: impl Into<TxEnvelope>, sender: Address) -> Arc<EvmTx> {
    let tx = EvmTx::new(envelope.into());
    tx.assume_sender(sender);
    Arc::new(tx)
}

/// A transfer of `value` to the sender itself, so that senders have transactions of their own.
fn transfer(sender: Address, nonce: u64, (fee_cap, tip): (u128, u128), value: u128) -> Arc<EvmTx> {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: fee_cap,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(sender),
        value: U256::from(value),
        ..TxEip1559::default()
    };
    signed(tx.into_signed(signature()), sender)
}

fn legacy(sender: Address, nonce: u64, gas_price: u128, input: Bytes) -> TxLegacy {
    TxLegacy {
        chain_id: Some(CHAIN_ID),
        nonce,
        gas_price,
        gas_limit: 1_000_000,
        to: TxKind::Call(sender),
        value: U256::ZERO,
        input,
    }
}

/// A pool, its accounts and its rules.
struct Bench {
    pool: EvmPool,
    world: World,
    terms: Terms,
    policy: PoolPolicy,
    now: Timestamp,
}

impl Bench {
    /// Four accounts with plenty.
    fn new() -> Self {
        let state = AccountState { nonce: 0, balance: U256::from(10).pow(U256::from(24)), has_code: false };
        let world = World((0..4).map(|number| (who(number), state)).collect());
        let mut pool = EvmPool::default();
        pool.heads.set_base_fee(7);
        Self { pool, world, terms: terms(7), policy: PoolPolicy::default(), now: NOW }
    }

    fn account(&mut self, number: u8) -> &mut AccountState {
        self.world.0.entry(who(number)).or_default()
    }

    fn submit(&mut self, tx: &Arc<EvmTx>) -> Result<Admission, String> {
        let judge = Judge { terms: &self.terms, policy: &self.policy, accounts: &self.world, now: self.now };
        let dry = self.pool.submit_to(&judge, Arc::clone(tx), true).map_err(|refusal| geth_words(&refusal));
        let real = self.pool.submit_to(&judge, Arc::clone(tx), false).map_err(|refusal| geth_words(&refusal));
        assert_eq!(dry.map(drop), real.clone().map(drop), "a dry run says what a real one does");
        if let Ok(admission) = &real {
            assert!(self.pool.entry(&tx.hash()).is_some(), "what was taken is there");
            assert!(!admission.removed.contains(&tx.id()));
        }
        self.audit();
        real
    }

    #[track_caller]
    fn takes(&mut self, tx: &Arc<EvmTx>) -> Admission {
        self.submit(tx).unwrap()
    }

    #[track_caller]
    fn refuses(&mut self, tx: &Arc<EvmTx>, words: &str) {
        assert_eq!(self.submit(tx).unwrap_err(), words);
    }

    /// Follows a change; every account counts as touched.
    fn follow(&mut self, left: &[Arc<EvmTx>], joined: &[Arc<EvmTx>], height: u64) {
        let known = self.world.0.iter().filter(|(address, _)| self.pool.accounts.contains_key(*address));
        let touched: HashMap<_, _> = known.map(|(address, state)| (*address, *state)).collect();
        let change = Change {
            left: left.iter().map(|tx| &**tx).collect(),
            joined: joined.iter().map(|tx| (&**tx, height)).collect(),
            touched,
            now: self.now,
        };
        let terms = Terms { height, ..self.terms.clone() };
        self.pool.follow(terms, &self.policy, &change, &self.world).unwrap();
        self.audit();
    }

    /// Every total, order and index is that of the entries.
    #[track_caller]
    fn audit(&self) {
        let pool = &self.pool;
        let entries: Vec<_> = pool.accounts.values().flat_map(Account::entries).collect();
        let pending: usize = pool.accounts.values().map(Account::pending).sum();
        assert_eq!(pool.totals.pending, pending);
        assert_eq!(pool.totals.queued, entries.len() - pending);
        assert_eq!(pool.totals.slots, entries.iter().map(|entry| entry.slots()).sum::<usize>());
        assert_eq!(pool.totals.bytes, entries.iter().map(|entry| entry.bytes).sum::<usize>());
        assert_eq!(pool.by_hash.len(), entries.len());
        assert_eq!(pool.cheapest.len(), entries.len());
        assert_eq!(pool.by_relay_id.len(), entries.iter().filter(|entry| entry.is_blob()).count());
        assert_eq!(
            pool.authorities.values().sum::<usize>(),
            entries.iter().map(|e| e.authorities.len()).sum::<usize>()
        );
        let heads = pool.accounts.values().filter(|account| account.head().is_some()).count();
        assert_eq!(pool.heads.len(), heads);
        assert_eq!(pool.crowds.len(), heads);
        let waiting = pool.accounts.values().filter(|account| account.queued() > 0).count();
        assert_eq!(pool.waiting.len(), waiting);
        for (address, account) in &pool.accounts {
            assert!(!account.is_empty());
            let nonces: Vec<u64> = account.pending_entries().map(|entry| nonce(&entry.tx)).collect();
            let run: Vec<u64> = (account.state.nonce..).take(account.pending()).collect();
            assert_eq!(nonces, run, "{address}");
            let spent: alloy_primitives::U512 =
                account.pending_entries().map(|entry| alloy_primitives::U512::from(entry.cost)).sum();
            assert_eq!(account.spent(), spent);
            assert!(account.queued_entries().all(|entry| nonce(&entry.tx) > account.next_nonce()));
        }
    }
}

fn nonce(tx: &EvmTx) -> u64 {
    use alloy_consensus::Transaction as _;
    tx.nonce()
}
