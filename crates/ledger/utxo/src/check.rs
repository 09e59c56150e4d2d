//! What a transaction's bytes alone prove (Bitcoin Core `consensus/tx_check.cpp`).

use crate::amount::Amount;
use crate::tx::{OutPoint, Transaction, WITNESS_SCALE_FACTOR};

/// The largest weight of a block, and so of anything in it (BIP-0141).
pub const BLOCK_WEIGHT_MAX: usize = 4_000_000;

/// Why a transaction is invalid whatever the chain holds. In the order the checks run; the text is Bitcoin
/// Core's reject reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Nothing is spent.
    #[error("bad-txns-vin-empty")]
    NoInputs,
    /// Nothing is created.
    #[error("bad-txns-vout-empty")]
    NoOutputs,
    /// Four times the stripped size exceeds the largest block's weight.
    #[error("bad-txns-oversize")]
    Oversize,
    /// An output's value is negative.
    #[error("bad-txns-vout-negative")]
    OutputNegative,
    /// An output's value is above the supply.
    #[error("bad-txns-vout-toolarge")]
    OutputTooLarge,
    /// The outputs' sum is above the supply.
    #[error("bad-txns-txouttotal-toolarge")]
    OutputTotalTooLarge,
    /// An output is spent twice in one transaction (CVE-2018-17144).
    #[error("bad-txns-inputs-duplicate")]
    DuplicateInputs,
    /// A coinbase's script is not 2 to 100 bytes long.
    #[error("bad-cb-length")]
    CoinbaseLength,
    /// An input of a transaction that is no coinbase names nothing.
    #[error("bad-txns-prevout-null")]
    NullPreviousOutput,
}

/// Checks a transaction without any context, with Bitcoin's supply as the largest amount.
///
/// # Errors
/// The first [`TransactionError`] in Bitcoin Core's order.
pub fn check_transaction(transaction: &Transaction) -> Result<(), TransactionError> {
    check_transaction_up_to(transaction, Amount::MONEY_MAX)
}

/// [`check_transaction`] for a chain whose largest amount is another.
///
/// # Errors
/// The first [`TransactionError`] in Bitcoin Core's order.
pub fn check_transaction_up_to(transaction: &Transaction, money_max: Amount) -> Result<(), TransactionError> {
    if transaction.inputs().is_empty() {
        return Err(TransactionError::NoInputs);
    }
    if transaction.outputs().is_empty() {
        return Err(TransactionError::NoOutputs);
    }
    if transaction.stripped_size() * WITNESS_SCALE_FACTOR > BLOCK_WEIGHT_MAX {
        return Err(TransactionError::Oversize);
    }
    check_outputs(transaction, money_max)?;
    if has_duplicate_inputs(transaction) {
        return Err(TransactionError::DuplicateInputs);
    }
    if transaction.is_coinbase() {
        let length = transaction.inputs()[0].script_sig.len();
        if !(2..=100).contains(&length) {
            return Err(TransactionError::CoinbaseLength);
        }
    } else if transaction.inputs().iter().any(|input| input.previous_output.is_null()) {
        return Err(TransactionError::NullPreviousOutput);
    }
    Ok(())
}

fn check_outputs(transaction: &Transaction, money_max: Amount) -> Result<(), TransactionError> {
    let mut total = Amount::ZERO;
    for output in transaction.outputs() {
        if output.value < Amount::ZERO {
            return Err(TransactionError::OutputNegative);
        }
        if output.value > money_max {
            return Err(TransactionError::OutputTooLarge);
        }
        total = total
            .checked_add(output.value)
            .filter(|total| total.is_money_up_to(money_max))
            .ok_or(TransactionError::OutputTotalTooLarge)?;
    }
    Ok(())
}

fn has_duplicate_inputs(transaction: &Transaction) -> bool {
    let inputs = transaction.inputs();
    // Most transactions have a handful of inputs, where comparing all pairs beats sorting.
    if inputs.len() <= 8 {
        return inputs.iter().enumerate().any(|(index, input)| {
            inputs[..index].iter().any(|earlier| earlier.previous_output == input.previous_output)
        });
    }
    let mut outpoints: Vec<OutPoint> = inputs.iter().map(|input| input.previous_output).collect();
    outpoints.sort_unstable();
    outpoints.windows(2).any(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests {
    use super::{TransactionError, check_transaction};
    use crate::amount::Amount;
    use crate::hash::Txid;
    use crate::script::Script;
    use crate::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};

    fn input(index: u32) -> TxIn {
        TxIn {
            previous_output: OutPoint { txid: Txid([1; 32]), index },
            script_sig: Script::default(),
            sequence: 0,
            witness: Witness::default(),
        }
    }

    fn output(value: i64) -> TxOut {
        TxOut { value: Amount(value), script_pubkey: Script::default() }
    }

    #[track_caller]
    fn check_reason(inputs: Vec<TxIn>, outputs: Vec<TxOut>, reason: &str) {
        let parts = TransactionParts { version: 1, inputs, outputs, lock_time: 0 };
        let verdict = check_transaction(&Transaction::new(parts));
        let given = verdict.map_or_else(|error: TransactionError| error.to_string(), |()| String::new());
        assert_eq!(given, reason);
    }

    #[test]
    fn reasons_are_those_of_bitcoin_core() {
        let most = Amount::MONEY_MAX.0;
        check_reason(vec![input(0)], vec![output(most)], "");
        check_reason(vec![], vec![output(1)], "bad-txns-vin-empty");
        check_reason(vec![input(0)], vec![], "bad-txns-vout-empty");
        check_reason(vec![input(0)], vec![output(-1)], "bad-txns-vout-negative");
        check_reason(vec![input(0)], vec![output(most + 1)], "bad-txns-vout-toolarge");
        check_reason(vec![input(0)], vec![output(most), output(1)], "bad-txns-txouttotal-toolarge");
        check_reason(vec![input(0), input(0)], vec![output(1)], "bad-txns-inputs-duplicate");
        check_reason((0..20).chain([7]).map(input).collect(), vec![output(1)], "bad-txns-inputs-duplicate");
        check_reason((0..20).map(input).collect(), vec![output(1)], "");
        let null = TxIn { previous_output: OutPoint::NULL, ..input(0) };
        check_reason(vec![null.clone()], vec![output(1)], "bad-cb-length");
        check_reason(vec![null, input(1)], vec![output(1)], "bad-txns-prevout-null");
    }

    #[test]
    fn a_million_stripped_bytes_are_the_most() {
        let sized = |length: usize| TxIn { script_sig: Script::from(vec![0; length]), ..input(0) };
        // 4 version, 1 + 36 + 5 + script + 4 input, 1 + 9 output, 4 lock time.
        let frame = 4 + 46 + 10 + 4;
        check_reason(vec![sized(1_000_000 - frame)], vec![output(1)], "");
        check_reason(vec![sized(1_000_001 - frame)], vec![output(1)], "bad-txns-oversize");
    }
}
