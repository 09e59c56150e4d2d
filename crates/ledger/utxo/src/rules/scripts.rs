//! The deferred part of a block: its scripts, some inputs to a job.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{Jobs, Reason};

use crate::amount::Amount;
use crate::script::{Flags, Script, ScriptError};
use crate::script_cache::ScriptCache;
use crate::sighash::PrecomputedTransaction;
use crate::tx::{Transaction, TxOut};

/// Inputs per job: about a millisecond of signatures.
const JOB_INPUTS: usize = 24;

/// The outputs a block spends, in the order of its inputs: one buffer, no allocation per script.
#[derive(Default)]
pub(crate) struct SpentOutputs {
    scripts: Vec<u8>,
    outputs: Vec<(Amount, u32)>,
}

/// Some inputs of one transaction.
type Piece = (Arc<PrecomputedTransaction>, Range<usize>);

impl SpentOutputs {
    pub(crate) fn push(&mut self, value: Amount, script_pubkey: &[u8]) {
        self.scripts.extend_from_slice(script_pubkey);
        self.outputs.push((value, self.scripts.len() as u32));
    }

    /// Pushes the jobs that check all inputs but those of transactions known to hold.
    pub(crate) fn defer(
        self,
        transactions: &[Transaction],
        flags: Flags,
        known: &ScriptCache,
        jobs: &mut Jobs,
    ) {
        let scripts = Bytes::from(self.scripts);
        let mut outputs = self.outputs.into_iter();
        let mut start = 0;
        let mut batch = Batch { flags, pieces: Vec::new(), inputs: 0 };
        for transaction in transactions.iter().filter(|transaction| !transaction.is_coinbase()) {
            let spent = outputs.by_ref().take(transaction.inputs().len());
            let spent: Vec<TxOut> = spent
                .map(|(value, end)| {
                    let script_pubkey = Script(scripts.slice(start..end as usize));
                    start = end as usize;
                    TxOut { value, script_pubkey }
                })
                .collect();
            if known.contains(transaction.wtxid(), flags) {
                continue;
            }
            match PrecomputedTransaction::new(transaction.clone(), spent) {
                Ok(precomputed) => batch.add(&Arc::new(precomputed), jobs),
                Err(error) => {
                    // Every input was looked up before, so this is a bug of ours; what cannot be checked must not pass.
                    let detail = format!("{} cannot be checked: {error}", transaction.txid());
                    jobs.push(move || Err(Reason::with("block-script-verify-flag-failed", detail)));
                }
            }
        }
        batch.push(jobs);
    }
}

/// Inputs gathered for the next job.
struct Batch {
    flags: Flags,
    pieces: Vec<Piece>,
    inputs: usize,
}

impl Batch {
    fn add(&mut self, transaction: &Arc<PrecomputedTransaction>, jobs: &mut Jobs) {
        let count = transaction.spent().len();
        let mut start = 0;
        while start < count {
            let end = count.min(start + JOB_INPUTS - self.inputs);
            self.pieces.push((Arc::clone(transaction), start..end));
            self.inputs += end - start;
            start = end;
            if self.inputs == JOB_INPUTS {
                self.push(jobs);
            }
        }
    }

    fn push(&mut self, jobs: &mut Jobs) {
        let (pieces, flags) = (std::mem::take(&mut self.pieces), self.flags);
        self.inputs = 0;
        if !pieces.is_empty() {
            jobs.push(move || run(&pieces, flags));
        }
    }
}

fn run(pieces: &[Piece], flags: Flags) -> Result<(), Reason> {
    for (transaction, inputs) in pieces {
        for index in inputs.clone() {
            transaction.verify_input(index, flags).map_err(|error| {
                failure("block-script-verify-flag-failed", error, transaction.transaction(), index)
            })?;
        }
    }
    Ok(())
}

/// Bitcoin Core's words for an input whose scripts fail.
pub(crate) fn failure(word: &str, error: ScriptError, transaction: &Transaction, index: usize) -> Reason {
    let (txid, wtxid) = (transaction.txid(), transaction.wtxid());
    let spent = transaction.inputs()[index].previous_output;
    let detail = format!("input {index} of {txid} (wtxid {wtxid}), spending {spent}");
    Reason::with(format!("{word} ({error})"), detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tx::{OutPoint, TransactionParts, TxIn, Witness};

    #[test]
    fn a_transaction_whose_spent_outputs_are_not_all_there_fails() {
        let input = || TxIn {
            previous_output: OutPoint { txid: crate::hash::Txid([1; 32]), index: 0 },
            script_sig: Script::default(),
            sequence: 0,
            witness: Witness::default(),
        };
        let (inputs, outputs) = (vec![input(), input()], Vec::new());
        let transaction = Transaction::new(TransactionParts { version: 2, inputs, outputs, lock_time: 0 });
        let mut jobs = Jobs::default();
        let mut spent = SpentOutputs::default();
        spent.push(Amount(1), &[]);
        spent.defer(&[transaction], Flags::default(), &ScriptCache::default(), &mut jobs);
        let reason = jobs.run().expect_err("what cannot be checked does not pass");
        assert_eq!(reason.code, "block-script-verify-flag-failed");
    }
}
