//! What the state proves of a block, and what the block does to it (Bitcoin Core `ConnectBlock`).

use std::sync::Arc;

use chainwright_chain::{Draft, Executed, Jobs, Prepared, Reason, Reject, Value, View};

use super::SIGOP_COST_MAX;
use super::body::invalid;
use super::locks::LockPoints;
use super::scripts::SpentOutputs;
use crate::amount::{Amount, format_money};
use crate::coin::{COINS, CoinRef, coin_key};
use crate::hash::BlockHash;
use crate::ledger::{Receipts, Utxo};
use crate::script::{Flags, p2sh_sigops, witness_sigops};
use crate::tx::{OutPoint, Transaction, TxOut, WITNESS_SCALE_FACTOR};

/// A block being connected.
struct Connection<'c> {
    utxo: &'c Utxo,
    parent: &'c View<Utxo>,
    draft: Draft<'c>,
    height: u32,
    /// Median time past of the parent, if relative lock times hold.
    median_time: Option<u64>,
    flags: Flags,
    /// Whether every created coin is certainly new, so that nobody needs to look.
    outputs_are_new: bool,
    fees: Amount,
    sigop_cost: usize,
    /// Rows taken by the transaction at hand; kept to save allocations.
    taken: Vec<Value>,
    /// What scripts will be checked against, if anybody will.
    spent: Option<SpentOutputs>,
}

/// Applies a block to the state of its parent.
pub(crate) fn execute(
    utxo: &Utxo,
    parent: &View<Utxo>,
    block: &Arc<Prepared<Utxo>>,
    jobs: &mut Jobs,
) -> Result<Executed<Utxo>, Reject> {
    let height = parent.headers.height().0 + 1;
    let id = BlockHash(block.id.0);
    let parameters = &utxo.parameters;
    let may_repeat = may_repeat(utxo, parent, height);
    if may_repeat && !parameters.is_duplicate_coinbase(height, &id) {
        refuse_repeated(parent, &block.block.transactions)?;
    }
    let mut connection = Connection {
        utxo,
        parent,
        draft: Draft::new(&parent.state),
        height,
        median_time: (height >= parameters.buried.csv).then(|| parent.headers.median_time().0),
        flags: parameters.script_flags(height, &id),
        outputs_are_new: !may_repeat,
        fees: Amount::ZERO,
        sigop_cost: 0,
        taken: Vec::new(),
        spent: jobs.wanted().then(SpentOutputs::default),
    };
    for (transaction, &legacy_sigops) in block.block.transactions.iter().zip(&block.facts.legacy_sigops) {
        connection.connect(transaction, legacy_sigops as usize)?;
    }
    connection.check_reward(&block.block.transactions)?;
    if let Some(spent) = connection.spent {
        spent.defer(&block.block.transactions, connection.flags, &utxo.scripts, jobs);
    }
    let receipts = Receipts { fees: connection.fees, sigop_cost: connection.sigop_cost as u32 };
    Ok(Executed { delta: connection.draft.finish(), receipts: Arc::new(receipts) })
}

fn may_repeat(utxo: &Utxo, parent: &View<Utxo>, height: u32) -> bool {
    let bip34 = chainwright_chain::Height(utxo.parameters.buried.bip34);
    let block = (utxo.parameters.buried.bip34 > 1).then(|| parent.headers.ancestor(bip34)).flatten();
    utxo.parameters.may_repeat_transactions(height, block.map(|block| BlockHash(block.id().0)))
}

/// Refuses a block that creates a coin which is there already (BIP-0030).
fn refuse_repeated(parent: &View<Utxo>, transactions: &[Transaction]) -> Result<(), Reject> {
    for transaction in transactions {
        for index in 0..transaction.outputs().len() as u32 {
            let outpoint = OutPoint { txid: transaction.txid(), index };
            if parent.state.get(COINS, &coin_key(&outpoint))?.is_some() {
                return Err(invalid("bad-txns-BIP30", "tried to overwrite transaction"));
            }
        }
    }
    Ok(())
}

impl Connection<'_> {
    fn connect(&mut self, transaction: &Transaction, legacy_sigops: usize) -> Result<(), Reject> {
        self.sigop_cost += legacy_sigops * WITNESS_SCALE_FACTOR;
        if !transaction.is_coinbase() {
            self.take_inputs(transaction)?;
            self.check_inputs(transaction)?;
        }
        if self.sigop_cost > SIGOP_COST_MAX {
            return Err(invalid("bad-blk-sigops", "too many sigops"));
        }
        self.create_outputs(transaction)
    }

    fn take_inputs(&mut self, transaction: &Transaction) -> Result<(), Reject> {
        self.taken.clear();
        for input in transaction.inputs() {
            let Some(row) = self.draft.take(COINS, &coin_key(&input.previous_output))? else {
                let detail = "CheckTxInputs: inputs missing/spent";
                return Err(in_transaction("bad-txns-inputs-missingorspent", detail, transaction));
            };
            self.taken.push(row);
        }
        Ok(())
    }

    fn check_inputs(&mut self, transaction: &Transaction) -> Result<(), Reject> {
        let mut check = InputCheck::new(self.utxo, self.height, self.flags);
        let mut locks = LockPoints::default();
        let has_locks = self.median_time.is_some() && LockPoints::apply_to(transaction);
        for (input, row) in transaction.inputs().iter().zip(&self.taken) {
            let coin = CoinRef::decode(row)?;
            check.add(&coin).map_err(|(code, detail)| in_transaction(code, &detail, transaction))?;
            check.count_sigops(input, &coin);
            if has_locks {
                locks.add(input, coin.height, &self.parent.headers);
            }
            if let Some(spent) = &mut self.spent {
                spent.push(coin.value, coin.script_pubkey);
            }
        }
        let fee = check.fee(transaction.outputs());
        let fee = fee.map_err(|(code, detail)| in_transaction(code, &detail, transaction))?;
        let fees = self.fees.checked_add(fee).filter(|fees| self.is_money(*fees));
        self.fees = fees.ok_or_else(|| {
            invalid("bad-txns-accumulated-fee-outofrange", "accumulated fee in the block out of range")
        })?;
        if has_locks && !locks.are_passed(self.height, self.median_time.unwrap_or_default()) {
            let detail = format!("contains a non-BIP68-final transaction {}", transaction.txid());
            return Err(invalid("bad-txns-nonfinal", detail));
        }
        self.sigop_cost += check.sigop_cost;
        Ok(())
    }

    fn create_outputs(&mut self, transaction: &Transaction) -> Result<(), Reject> {
        let is_coinbase = transaction.is_coinbase();
        let mut key = coin_key(&OutPoint { txid: transaction.txid(), index: 0 });
        for (index, output) in (0_u32..).zip(transaction.outputs()) {
            if output.script_pubkey.is_unspendable() {
                continue;
            }
            key[32..].copy_from_slice(&index.to_be_bytes());
            let script_pubkey = output.script_pubkey.as_bytes();
            let row =
                CoinRef { height: self.height, is_coinbase, value: output.value, script_pubkey }.encode();
            if self.outputs_are_new {
                self.draft.create(COINS, &key, &row);
            } else {
                self.draft.put(COINS, &key, &row)?;
            }
        }
        Ok(())
    }

    fn is_money(&self, amount: Amount) -> bool {
        amount.is_money_up_to(self.utxo.parameters.money_max)
    }

    fn check_reward(&self, transactions: &[Transaction]) -> Result<(), Reject> {
        let limit = self.fees.0 + self.utxo.parameters.subsidy_at(self.height).0;
        let actual = transactions.first().map_or(0, |coinbase| total(coinbase.outputs()).0);
        if actual > limit {
            let detail = format!("coinbase pays too much (actual={actual} vs limit={limit})");
            return Err(invalid("bad-cb-amount", detail));
        }
        Ok(())
    }
}

/// The sum of outputs whose range was checked before.
pub(crate) fn total(outputs: &[TxOut]) -> Amount {
    Amount(outputs.iter().map(|output| output.value.0).sum())
}

fn in_transaction(code: &'static str, detail: &str, transaction: &Transaction) -> Reject {
    let separator = if detail.is_empty() { "" } else { " " };
    let detail = format!("{detail}{separator}in transaction {}", transaction.txid());
    Reject::Invalid(Reason::with(code, detail))
}

/// The checks of one transaction's inputs, in a block or in the pool (Bitcoin Core `CheckTxInputs`).
pub(crate) struct InputCheck<'u> {
    utxo: &'u Utxo,
    height: u32,
    flags: Flags,
    total: Amount,
    /// Signature operations in redeemed scripts and witnesses, as they cost.
    pub(crate) sigop_cost: usize,
}

/// A reject word and its detail.
pub(crate) type Failure = (&'static str, String);

impl<'u> InputCheck<'u> {
    pub(crate) fn new(utxo: &'u Utxo, height: u32, flags: Flags) -> Self {
        Self { utxo, height, flags, total: Amount::ZERO, sigop_cost: 0 }
    }

    /// Takes a coin that a block of this height spends.
    pub(crate) fn add(&mut self, coin: &CoinRef<'_>) -> Result<(), Failure> {
        let depth = i64::from(self.height) - i64::from(coin.height);
        if coin.is_coinbase && depth < i64::from(self.utxo.parameters.coinbase_maturity) {
            let detail = format!("tried to spend coinbase at depth {depth}");
            return Err(("bad-txns-premature-spend-of-coinbase", detail));
        }
        let in_range = |amount: &Amount| amount.is_money_up_to(self.utxo.parameters.money_max);
        let total = self.total.checked_add(coin.value).filter(in_range).filter(|_| in_range(&coin.value));
        self.total = total.ok_or_else(|| ("bad-txns-inputvalues-outofrange", String::new()))?;
        Ok(())
    }

    pub(crate) fn count_sigops(&mut self, input: &crate::tx::TxIn, coin: &CoinRef<'_>) {
        let script_sig = input.script_sig.as_bytes();
        if self.flags.contains(Flags::P2SH) {
            self.sigop_cost += p2sh_sigops(script_sig, coin.script_pubkey) * WITNESS_SCALE_FACTOR;
        }
        if self.flags.contains(Flags::WITNESS) {
            self.sigop_cost += witness_sigops(script_sig, coin.script_pubkey, &input.witness);
        }
    }

    /// What is left over.
    pub(crate) fn fee(&self, outputs: &[TxOut]) -> Result<Amount, Failure> {
        let (value_in, value_out) = (self.total, total(outputs));
        if value_in < value_out {
            let (value_in, value_out) = (format_money(value_in), format_money(value_out));
            return Err(("bad-txns-in-belowout", format!("value in ({value_in}) < value out ({value_out})")));
        }
        Ok(Amount(value_in.0 - value_out.0))
    }
}
