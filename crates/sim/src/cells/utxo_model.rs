//! The coins of a chain as a naive program keeps them: one map.

use std::collections::BTreeMap;

use chainwright_chain::View;
use chainwright_utxo::Utxo;
use chainwright_utxo::block::Block;
use chainwright_utxo::coin::{COINS, Coin, CoinRef, coin, read_coin_key};
use chainwright_utxo::params::Parameters;
use chainwright_utxo::tx::{OutPoint, Transaction, TxOut};

use crate::Model;

/// An unspent output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) output: TxOut,
    pub(super) height: u32,
    pub(super) is_coinbase: bool,
}

/// All unspent outputs after one block.
#[derive(Clone)]
pub struct UtxoModel {
    pub(super) coins: BTreeMap<OutPoint, Entry>,
    /// Of the last block.
    pub(super) height: u32,
    maturity: u32,
    subsidy: i64,
    halving: u32,
    /// What all subsidies together may have created.
    allowed: i64,
}

impl UtxoModel {
    pub(super) fn new(parameters: &Parameters) -> Self {
        Self {
            coins: BTreeMap::new(),
            height: 0,
            maturity: parameters.coinbase_maturity,
            subsidy: parameters.subsidy.0,
            halving: parameters.subsidy_halving_interval,
            allowed: 0,
        }
    }

    /// Whether a coin may be spent in the next block.
    pub(super) fn is_mature(&self, entry: &Entry) -> bool {
        !entry.is_coinbase || self.height + 1 >= entry.height + self.maturity
    }

    fn spend(&mut self, tx: &Transaction) -> Result<i64, String> {
        let mut spent = 0;
        for input in tx.inputs() {
            let entry = self.coins.remove(&input.previous_output);
            let entry =
                entry.ok_or_else(|| format!("{} is spent twice or unknown", input.previous_output))?;
            spent += entry.output.value.0;
        }
        Ok(spent)
    }

    fn create(&mut self, tx: &Transaction, height: u32) -> i64 {
        let txid = tx.txid();
        let mut created = 0;
        for (index, output) in (0..).zip(tx.outputs()) {
            created += output.value.0;
            let unspendable = output.script_pubkey.as_bytes().first() == Some(&0x6a);
            if !unspendable {
                let entry = Entry { output: output.clone(), height, is_coinbase: tx.is_coinbase() };
                self.coins.insert(OutPoint { txid, index }, entry);
            }
        }
        created
    }

    fn supply(&self) -> i64 {
        self.coins.values().map(|entry| entry.output.value.0).sum()
    }
}

impl Model<Utxo> for UtxoModel {
    fn apply(&mut self, block: &Block) -> Result<(), String> {
        self.height += 1;
        let mut fees = 0;
        for tx in &block.transactions[1..] {
            for input in tx.inputs() {
                let entry = self.coins.get(&input.previous_output);
                if entry.is_some_and(|entry| entry.is_coinbase && self.height < entry.height + self.maturity)
                {
                    return Err(format!("{} is not mature", input.previous_output));
                }
            }
            let fee = self.spend(tx)? - self.create(tx, self.height);
            if fee < 0 {
                return Err(format!("{} creates money", tx.txid()));
            }
            fees += fee;
        }
        let subsidy = self.subsidy >> (self.height / self.halving).min(63);
        let reward = self.create(&block.transactions[0], self.height);
        if reward > subsidy + fees {
            return Err(format!("the coinbase takes {reward}, not {subsidy} + {fees}"));
        }
        self.allowed += subsidy;
        if self.supply() > self.allowed {
            return Err(format!("there are {} satoshi where {} may be", self.supply(), self.allowed));
        }
        Ok(())
    }

    fn admits(&self, tx: &Transaction) -> bool {
        let spendable = |entry: &Entry| self.is_mature(entry);
        !tx.is_coinbase()
            && tx.inputs().iter().all(|input| self.coins.get(&input.previous_output).is_some_and(spendable))
    }

    fn apply_loose(&mut self, tx: &Transaction) {
        for input in tx.inputs() {
            self.coins.remove(&input.previous_output);
        }
        self.create(tx, self.height + 1);
    }

    fn depends(&self, tx: &Transaction, on: &Transaction) -> bool {
        tx.inputs().iter().any(|input| input.previous_output.txid == on.txid())
    }

    fn is_reusable(&self, tx: &Transaction) -> bool {
        !tx.is_coinbase()
    }

    fn compare(&self, view: &View<Utxo>) -> Result<(), String> {
        for (outpoint, entry) in &self.coins {
            let got = coin(&view.state, outpoint).map_err(|fault| fault.to_string())?;
            let expected =
                Coin { height: entry.height, is_coinbase: entry.is_coinbase, output: entry.output.clone() };
            if got.as_ref() != Some(&expected) {
                return Err(format!("coin {outpoint} is {got:?}, not {expected:?}"));
            }
        }
        let mut surplus = None;
        let scanned = view.state.scan(COINS, &mut |key, value| {
            let outpoint = read_coin_key(key)?;
            CoinRef::decode(value)?;
            if !self.coins.contains_key(&outpoint) {
                surplus = Some(outpoint);
            }
            Ok(())
        });
        scanned.map_err(|fault| fault.to_string())?;
        surplus.map_or(Ok(()), |outpoint| Err(format!("coin {outpoint} should not exist")))
    }
}
