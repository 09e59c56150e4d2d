//! Running the scripts of one transaction, twice: under the pool's rules and under those of the next block.
//!
//! The second run is there because a rule of the pool might, by mistake, let something pass that consensus does not
//! (Bitcoin Core `ConsensusScriptChecks`). Signatures that were good the first time are remembered in between.

use std::cell::RefCell;

use chainwright_chain::Refusal;
use hashbrown::HashSet;

use super::policy::spends_witness_programs;
use crate::coin::Coin;
use crate::hash::{BlockHash, Hasher};
use crate::ledger::Utxo;
use crate::rules::scripts::failure;
use crate::script::{Flags, ScriptError, SigVersion, SignatureChecker, TaprootSpend};
use crate::sighash::{InputChecker, PrecomputedTransaction};
use crate::tx::{Transaction, TxOut};

/// The word for scripts that fail in the pool.
const WORD: &str = "mempool-script-verify-flag-failed";

/// Checks all scripts, for a block of this height.
pub(super) fn check(
    ledger: &Utxo,
    transaction: &Transaction,
    coins: &[Coin],
    height: u32,
) -> Result<(), Refusal> {
    let flags = ledger.parameters.script_flags(height, &BlockHash::default());
    if ledger.scripts.contains(transaction.wtxid(), flags)
        && ledger.scripts.contains(transaction.wtxid(), Flags::STANDARD)
    {
        return Ok(());
    }
    let spent: Vec<TxOut> = coins.iter().map(|coin| coin.output.clone()).collect();
    let precomputed = PrecomputedTransaction::new(transaction.clone(), spent);
    let precomputed = precomputed.map_err(|error| chainwright_chain::Fault::new(format!("pool: {error}")))?;
    let good = RefCell::new(HashSet::new());
    if let Err((index, error)) = run(&precomputed, Flags::STANDARD, &good) {
        let reason = failure(WORD, error, transaction, index);
        // Without its witness a transaction fails though the one that was signed does not.
        let stripped = !transaction.has_witness() && spends_witness_programs(transaction, coins);
        let hopeless = !stripped && run(&precomputed, flags, &good).is_err();
        return Err(if hopeless { Refusal::Invalid(reason) } else { Refusal::Policy(reason) });
    }
    run(&precomputed, flags, &good)
        .map_err(|(index, error)| Refusal::Invalid(failure(WORD, error, transaction, index)))?;
    ledger.scripts.insert(transaction.wtxid(), Flags::STANDARD);
    ledger.scripts.insert(transaction.wtxid(), flags);
    Ok(())
}

fn run(
    transaction: &PrecomputedTransaction,
    flags: Flags,
    good: &RefCell<HashSet<[u8; 32]>>,
) -> Result<(), (usize, ScriptError)> {
    for index in 0..transaction.spent().len() {
        let checker = Remembering { inner: transaction.checker(index), good };
        transaction.verify_input_with(index, flags, &checker).map_err(|error| (index, error))?;
    }
    Ok(())
}

/// Asks the curve only once about the same signature.
struct Remembering<'c> {
    inner: InputChecker<'c>,
    good: &'c RefCell<HashSet<[u8; 32]>>,
}

impl Remembering<'_> {
    fn once(&self, parts: [&[u8]; 3], verify: impl FnOnce() -> bool) -> bool {
        let mut hasher = Hasher::new();
        for part in parts {
            hasher.update_compact_size(part.len());
            hasher.update(part);
        }
        let key = hasher.finish();
        let known = self.good.borrow().contains(&key);
        let good = known || verify();
        if good && !known {
            self.good.borrow_mut().insert(key);
        }
        good
    }
}

impl SignatureChecker for Remembering<'_> {
    fn ecdsa_sighash(&self, hash_type: u8, script_code: &[u8], version: SigVersion) -> [u8; 32] {
        self.inner.ecdsa_sighash(hash_type, script_code, version)
    }

    fn schnorr_sighash(&self, hash_type: u8, spend: &TaprootSpend) -> Option<[u8; 32]> {
        self.inner.schnorr_sighash(hash_type, spend)
    }

    fn verify_ecdsa(&self, signature: &[u8], key: &[u8], hash: &[u8; 32]) -> bool {
        self.once([signature, key, hash], || self.inner.verify_ecdsa(signature, key, hash))
    }

    fn verify_schnorr(&self, signature: &[u8; 64], key: &[u8; 32], hash: &[u8; 32]) -> bool {
        self.once([signature, key, hash], || self.inner.verify_schnorr(signature, key, hash))
    }

    fn check_lock_time(&self, lock_time: i64) -> bool {
        self.inner.check_lock_time(lock_time)
    }

    fn check_sequence(&self, sequence: i64) -> bool {
        self.inner.check_sequence(sequence)
    }
}
