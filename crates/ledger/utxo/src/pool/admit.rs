//! Taking a transaction (Bitcoin Core `MemPoolAccept`), in Core's order: what is cheap first, scripts last.

use std::sync::Arc;

use chainwright_chain::{Admission, PoolContext, Reason, Refusal, Timestamp, TxId, View};
use hashbrown::HashSet;

use super::graph::Joining;
use super::policy::{self, STRIPPED_SIZE_MIN, WEIGHT_PER_SIGOP_COST};
use super::{Entry, TransactionPool, scripts};
use crate::amount::Amount;
use crate::check::check_transaction_up_to;
use crate::coin::{COINS, Coin, CoinRef, coin_key};
use crate::hash::Txid;
use crate::ledger::Utxo;
use crate::rules::body::count_legacy_sigops;
use crate::rules::connect::InputCheck;
use crate::rules::locks::{LockPoints, is_final};
use crate::script::Flags;
use crate::tx::{OutPoint, Transaction, WITNESS_SCALE_FACTOR};

/// What a transaction is judged by.
pub(super) struct Judge<'j> {
    pub(super) ledger: &'j Utxo,
    pub(super) head: &'j View<Utxo>,
    pub(super) now: Timestamp,
    /// Whether it comes from a block that left the chain: fees and limits of one's own choice do not bind it.
    pub(super) was_mined: bool,
}

/// What judging found.
pub(super) struct Judged {
    pub(super) entry: Entry,
    pub(super) joining: Joining,
    /// Entries that have to go.
    pub(super) replaced: HashSet<Txid>,
}

/// Judges a transaction and, unless it is a dry run, keeps it.
pub(super) fn submit(
    pool: &mut TransactionPool,
    ledger: &Utxo,
    transaction: Arc<Transaction>,
    at: &PoolContext<'_, Utxo>,
) -> Result<Admission, Refusal> {
    let judge = Judge { ledger, head: at.head, now: at.now, was_mined: false };
    let txid = transaction.txid();
    let judged = judge.judge(pool, transaction)?;
    let mut removed: Vec<Txid> = judged.replaced.iter().copied().collect();
    removed.sort_unstable();
    if !at.dry_run {
        let mut gone = pool.remove(&removed);
        pool.insert(judged.entry, judged.joining);
        gone.extend(pool.trim(&ledger.policy));
        removed = gone.iter().map(|entry| entry.transaction.txid()).collect();
        if removed.contains(&txid) {
            gone.retain(|entry| entry.transaction.txid() != txid);
            pool.restore(gone);
            return Err(Refusal::Policy(Reason::new("mempool full")));
        }
    }
    Ok(Admission { removed: removed.into_iter().map(|txid| TxId(txid.0)).collect() })
}

fn policy_reason(word: &'static str) -> Refusal {
    Refusal::Policy(Reason::new(word))
}

impl Judge<'_> {
    /// The height of the block the transaction would be in.
    fn height(&self) -> u32 {
        self.head.headers.height().0 + 1
    }

    /// Judges without changing anything.
    pub(super) fn judge(
        &self,
        pool: &TransactionPool,
        transaction: Arc<Transaction>,
    ) -> Result<Judged, Refusal> {
        self.check_alone(&transaction)?;
        check_known(pool, &transaction)?;
        let conflicts: HashSet<Txid> =
            transaction.inputs().iter().filter_map(|input| pool.spender(&input.previous_output)).collect();
        let coins = self.find_coins(pool, &transaction)?;
        self.check_locks(&transaction, &coins)?;
        let (fee, sigop_cost) = self.check_amounts(&transaction, &coins)?;
        self.check_forms(&transaction, &coins)?;
        let entry = self.entry(transaction, fee, sigop_cost);
        self.check_fee(pool, &entry)?;
        let transaction = &entry.transaction;
        let joining = pool.joining(&entry);
        if !self.was_mined {
            check_version_3(pool, &entry, &joining, &conflicts)
                .map_err(|detail| Refusal::Policy(Reason::with("TRUC-violation", detail)))?;
        }
        let replaced = self.check_place(pool, &joining, &conflicts)?;
        if !self.was_mined && self.ledger.policy.require_standard {
            self.check_dust_is_spent(pool, transaction, &joining.parents)?;
        }
        scripts::check(self.ledger, transaction, &coins, self.height())?;
        Ok(Judged { entry, joining, replaced })
    }

    /// What the transaction alone shows.
    fn check_alone(&self, transaction: &Transaction) -> Result<(), Refusal> {
        let parameters = &self.ledger.parameters;
        check_transaction_up_to(transaction, parameters.money_max)
            .map_err(|error| Refusal::Invalid(Reason::with(error.to_string(), "")))?;
        if transaction.is_coinbase() {
            return Err(Refusal::Invalid(Reason::new("coinbase")));
        }
        let policy = &self.ledger.policy;
        if policy.require_standard {
            policy.check_standard(transaction).map_err(Refusal::Policy)?;
        }
        if transaction.stripped_size() < STRIPPED_SIZE_MIN {
            return Err(policy_reason("tx-size-small"));
        }
        if !is_final(transaction, self.height(), self.head.headers.median_time().0) {
            return Err(policy_reason("non-final"));
        }
        Ok(())
    }

    fn find_coins(&self, pool: &TransactionPool, transaction: &Transaction) -> Result<Vec<Coin>, Refusal> {
        let missing = match pool.coins(self.head, transaction)? {
            Ok(coins) => return Ok(coins),
            Err(missing) => missing,
        };
        let txid = transaction.txid();
        for index in 0..transaction.outputs().len() as u32 {
            let key = coin_key(&OutPoint { txid, index });
            if self.head.state.get(COINS, &key)?.is_some() {
                return Err(Refusal::Known(Reason::new("txn-already-known")));
            }
        }
        let mut parents: Vec<TxId> = missing.iter().map(|outpoint| TxId(outpoint.txid.0)).collect();
        parents.sort_unstable();
        parents.dedup();
        Err(Refusal::MissingParents { reason: Reason::new("bad-txns-inputs-missingorspent"), parents })
    }

    /// Relative lock times (BIP-0068).
    fn check_locks(&self, transaction: &Transaction, coins: &[Coin]) -> Result<(), Refusal> {
        let passed = are_locks_passed(self.head, transaction, coins);
        if passed { Ok(()) } else { Err(policy_reason("non-BIP68-final")) }
    }

    /// Amounts and signature operations; returns the fee and the cost.
    fn check_amounts(&self, transaction: &Transaction, coins: &[Coin]) -> Result<(Amount, usize), Refusal> {
        let mut check = InputCheck::new(self.ledger, self.height(), Flags::STANDARD);
        for (input, coin) in transaction.inputs().iter().zip(coins) {
            let coin = CoinRef {
                height: coin.height,
                is_coinbase: coin.is_coinbase,
                value: coin.output.value,
                script_pubkey: coin.output.script_pubkey.as_bytes(),
            };
            check.add(&coin).map_err(|(word, detail)| {
                let reason = Reason::with(word, detail);
                // Only an immature coinbase can heal.
                if coin.is_coinbase { Refusal::Policy(reason) } else { Refusal::Invalid(reason) }
            })?;
            check.count_sigops(input, &coin);
        }
        let fee = check.fee(transaction.outputs());
        let fee = fee.map_err(|(word, detail)| Refusal::Invalid(Reason::with(word, detail)))?;
        let legacy = count_legacy_sigops(transaction) as usize * WITNESS_SCALE_FACTOR;
        Ok((fee, legacy + check.sigop_cost))
    }

    fn check_forms(&self, transaction: &Transaction, coins: &[Coin]) -> Result<(), Refusal> {
        if !self.ledger.policy.require_standard {
            return Ok(());
        }
        policy::check_inputs(transaction, coins).map_err(Refusal::Policy)?;
        if transaction.has_witness() && !policy::is_witness_standard(transaction, coins) {
            return Err(policy_reason("bad-witness-nonstandard"));
        }
        Ok(())
    }

    fn entry(&self, transaction: Arc<Transaction>, fee: Amount, sigop_cost: usize) -> Entry {
        Entry {
            adjusted_weight: transaction.weight().max(sigop_cost * WEIGHT_PER_SIGOP_COST),
            transaction,
            fee,
            time: self.now,
            height: self.head.headers.height().0,
            sigop_cost,
            expires: Timestamp(self.now.0.saturating_add(self.ledger.policy.expiry_seconds)),
        }
    }

    fn check_fee(&self, pool: &TransactionPool, entry: &Entry) -> Result<(), Refusal> {
        let policy = &self.ledger.policy;
        let pays = entry.fee != Amount::ZERO;
        if policy.require_standard && pays && policy.dust(&entry.transaction).next().is_some() {
            return Err(Refusal::Policy(Reason::with("dust", "tx with dust output must be 0-fee")));
        }
        if entry.sigop_cost > policy::SIGOP_COST_MAX {
            let detail = entry.sigop_cost.to_string();
            return Err(Refusal::Policy(Reason::with("bad-txns-too-many-sigops", detail)));
        }
        if self.was_mined {
            return Ok(());
        }
        let minimum = pool.fee_min(policy, self.now);
        for (word, rate) in
            [("mempool min fee not met", minimum), ("min relay fee not met", policy.relay_fee_min)]
        {
            let needed = rate.fee(entry.vsize());
            if entry.fee < needed {
                return Err(Refusal::Policy(Reason::with(word, format!("{} < {}", entry.fee.0, needed.0))));
            }
        }
        Ok(())
    }

    /// Replacement and cluster limits; returns what has to go.
    fn check_place(
        &self,
        pool: &TransactionPool,
        joining: &Joining,
        conflicts: &HashSet<Txid>,
    ) -> Result<HashSet<Txid>, Refusal> {
        let policy = &self.ledger.policy;
        let mut replaced = HashSet::new();
        if !conflicts.is_empty() {
            replaced = pool.replaced_by(joining.txid, conflicts).map_err(Refusal::Policy)?;
            pool.check_pays(policy, joining, &replaced).map_err(Refusal::Policy)?;
        }
        let preview = pool.graph.preview(joining, &replaced);
        let count_max = policy.cluster_count_max.min(super::graph::CLUSTER_COUNT_MAX);
        let weight_max = policy.cluster_vsize_max * WITNESS_SCALE_FACTOR;
        if preview.count > count_max || preview.weight as usize > weight_max {
            return Err(policy_reason("too-large-cluster"));
        }
        if !conflicts.is_empty() && !preview.is_improvement() {
            let detail = "insufficient feerate: does not improve feerate diagram";
            return Err(Refusal::Policy(Reason::with("replacement-failed", detail)));
        }
        // Spending what it replaces, a transaction could never be mined.
        let ancestors = pool.graph.ancestors(&joining.parents);
        if let Some(ancestor) = ancestors.iter().find(|ancestor| conflicts.contains(*ancestor)) {
            let detail = format!("{} spends conflicting transaction {ancestor}", joining.txid);
            return Err(Refusal::Invalid(Reason::with("bad-txns-spends-conflicting-tx", detail)));
        }
        Ok(replaced)
    }

    /// Whoever spends a transaction with dust spends the dust too (Bitcoin Core `CheckEphemeralSpends`).
    fn check_dust_is_spent(
        &self,
        pool: &TransactionPool,
        transaction: &Transaction,
        parents: &[Txid],
    ) -> Result<(), Refusal> {
        let spends =
            |outpoint: OutPoint| transaction.inputs().iter().any(|input| input.previous_output == outpoint);
        for parent in parents.iter().filter_map(|txid| pool.entry(txid)) {
            let txid = parent.transaction.txid();
            if !self.ledger.policy.dust(&parent.transaction).all(|index| spends(OutPoint { txid, index })) {
                let (txid, wtxid) = (transaction.txid(), transaction.wtxid());
                let detail = format!("tx {txid} (wtxid={wtxid}) did not spend parent's ephemeral dust");
                return Err(Refusal::Policy(Reason::with("missing-ephemeral-spends", detail)));
            }
        }
        Ok(())
    }
}

/// Whether the next block on `head` could hold a transaction as far as relative lock times go. The pool holds to them
/// wherever it is, as Bitcoin Core's does.
pub(super) fn are_locks_passed(head: &View<Utxo>, transaction: &Transaction, coins: &[Coin]) -> bool {
    if !LockPoints::apply_to(transaction) {
        return true;
    }
    let mut locks = LockPoints::default();
    for (input, coin) in transaction.inputs().iter().zip(coins) {
        locks.add(input, coin.height, &head.headers);
    }
    locks.are_passed(head.headers.height().0 + 1, head.headers.median_time().0)
}

fn check_known(pool: &TransactionPool, transaction: &Transaction) -> Result<(), Refusal> {
    let known = |word| Err(Refusal::Known(Reason::new(word)));
    if pool.by_wtxid.contains_key(&transaction.wtxid()) {
        return known("txn-already-in-mempool");
    }
    if pool.entries.contains_key(&transaction.txid()) {
        return known("txn-same-nonwitness-data-in-mempool");
    }
    Ok(())
}

/// Version 3: at most one parent and one child, the child small (BIP-0431; Bitcoin Core `SingleTRUCChecks` without the
/// eviction of siblings).
fn check_version_3(
    pool: &TransactionPool,
    entry: &Entry,
    joining: &Joining,
    conflicts: &HashSet<Txid>,
) -> Result<(), String> {
    const VERSION: u32 = 3;
    const VSIZE_MAX: usize = 10_000;
    const CHILD_VSIZE_MAX: usize = 1_000;
    let name =
        |transaction: &Transaction| format!("tx {} (wtxid={})", transaction.txid(), transaction.wtxid());
    let own = name(&entry.transaction);
    let is_3 = entry.transaction.version() == VERSION;
    for parent in joining.parents.iter().filter_map(|txid| pool.entry(txid)) {
        let parent_name = name(&parent.transaction);
        match (is_3, parent.transaction.version() == VERSION) {
            (false, true) => {
                return Err(format!("non-version=3 {own} cannot spend from version=3 {parent_name}"));
            }
            (true, false) => {
                return Err(format!("version=3 {own} cannot spend from non-version=3 {parent_name}"));
            }
            _ => {}
        }
    }
    let vsize = entry.vsize();
    if !is_3 {
        return Ok(());
    }
    if vsize > VSIZE_MAX {
        return Err(format!("version=3 {own} is too big: {vsize} > {VSIZE_MAX} virtual bytes"));
    }
    let Some(parent) = joining.parents.first() else { return Ok(()) };
    if joining.parents.len() > 1 || !pool.graph.parents(parent).is_empty() {
        return Err(format!("{own} would have too many ancestors"));
    }
    if vsize > CHILD_VSIZE_MAX {
        return Err(format!("version=3 child {own} is too big: {vsize} > {CHILD_VSIZE_MAX} virtual bytes"));
    }
    let siblings = pool.graph.children(parent);
    if !siblings.is_empty() && !siblings.iter().any(|sibling| conflicts.contains(sibling)) {
        let parent_name = pool.entry(parent).map(|entry| name(&entry.transaction)).unwrap_or_default();
        return Err(format!("{parent_name} would exceed descendant count limit"));
    }
    Ok(())
}
