//! Handing transactions in: `sendrawtransaction` (Bitcoin Core `rpc/mempool.cpp`, `node/transaction.cpp`).

use std::sync::Arc;

use chainwright_chain::Refusal;
use chainwright_utxo::coin::coin;
use chainwright_utxo::pool::FeePerKvb;
use chainwright_utxo::script::opcode::OP_NOP10;
use chainwright_utxo::script::{ITEM_SIZE_MAX, Script};
use chainwright_utxo::tx::{OutPoint, Transaction, TxOut};

use crate::rawtransaction::decode_transaction;
use crate::{BitcoinNode, Entry, amount_param, show_txid};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError, code};

pub(crate) const FEE_RATE_MAX: Parameter = Parameter::optional(
    "maxfeerate",
    Kind::Amount,
    "\"0.10\"",
    "Reject transactions whose fee rate is higher than the specified value, expressed in BTC/kvB.\nFee rates larger than 1BTC/kvB are rejected.\nSet to 0 to accept any fee rate.",
);

pub(crate) const METHODS: &[Entry] = &[Entry {
    category: "rawtransactions",
    name: "sendrawtransaction",
    parameters: &[
        Parameter::required("hexstring", Kind::Hex, "The hex string of the raw transaction"),
        FEE_RATE_MAX,
        Parameter::optional(
            "maxburnamount",
            Kind::Amount,
            "\"0.00\"",
            "Reject transactions with provably unspendable outputs (e.g. 'datacarrier' outputs that use the OP_RETURN opcode) greater than the specified value, expressed in BTC.",
        ),
    ],
    description: "Submit a raw transaction (serialized, hex-encoded) to the network.\n\n\
                      The transaction will be added to the mempool and sent to peers.\n\n\
                      Related RPCs: createrawtransaction, signrawtransactionwithkey\n",
    run: send_raw_transaction,
}];

const FEE_RATE_DEFAULT: i64 = 10_000_000;
const FEE_TOO_HIGH: &str = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)";
const BURN_TOO_HIGH: &str = "Unspendable output exceeds maximum configured by user (maxburnamount)";

pub(crate) fn fee_rate_param(call: &Call, at: usize) -> Result<FeePerKvb, RpcError> {
    let rate = amount_param(call, at)?.unwrap_or(FEE_RATE_DEFAULT);
    if rate >= 100_000_000 {
        return Err(RpcError::parameter("Fee rates larger than or equal to 1BTC/kvB are not accepted"));
    }
    Ok(FeePerKvb(rate))
}

/// Whether an output burns what it holds: nobody can run its script.
fn is_burnt(script: &Script) -> bool {
    let is_valid = script
        .instructions()
        .all(|step| step.is_ok_and(|step| step.opcode <= OP_NOP10 && step.data.len() <= ITEM_SIZE_MAX));
    script.is_unspendable() || !is_valid
}

/// What a refusal is called when one transaction is sent.
fn refusal_error(refusal: &Refusal) -> RpcError {
    match refusal {
        Refusal::MissingParents { reason, .. } => RpcError::new(code::VERIFY_ERROR, reason.to_string()),
        Refusal::Invalid(reason) | Refusal::Policy(reason) | Refusal::Known(reason) => {
            RpcError::new(code::VERIFY_REJECTED, reason.to_string())
        }
        Refusal::Fault(fault) => RpcError::new(code::INTERNAL_ERROR, fault.to_string()),
    }
}

fn send_raw_transaction(node: &BitcoinNode, call: &Call) -> Answer {
    let burn_max = amount_param(call, 2)?.unwrap_or(0);
    let tx = decode_transaction(call.text(0).unwrap_or_default())
        .ok_or_else(|| RpcError::undecodable("TX decode failed. Make sure the tx has at least one input."))?;
    if tx.outputs().iter().any(|output| output.value.0 > burn_max && is_burnt(&output.script_pubkey)) {
        return Err(RpcError::new(code::VERIFY_ERROR, BURN_TOO_HIGH));
    }
    let fee_max = fee_rate_param(call, 1)?.fee(tx.vsize()).0;
    if node.has_unspent_output(&tx)? {
        let message = "Transaction outputs already in utxo set";
        return Err(RpcError::new(code::VERIFY_ALREADY_IN_UTXO_SET, message));
    }
    let shown = show_txid(tx.txid());
    if node.published().pool().entry(&tx.txid()).is_some() {
        return Ok(shown.into());
    }
    let tx = Arc::new(tx);
    if fee_max > 0 {
        node.chain.submit_dry_run(Arc::clone(&tx)).wait()?.map_err(|refusal| refusal_error(&refusal))?;
        if node.fee_of(&tx)?.is_some_and(|fee| fee > fee_max) {
            return Err(RpcError::new(code::VERIFY_ERROR, FEE_TOO_HIGH));
        }
    }
    node.chain.submit(tx).wait()?.map_err(|refusal| refusal_error(&refusal))?;
    Ok(shown.into())
}

impl BitcoinNode {
    fn has_unspent_output(&self, tx: &Transaction) -> Result<bool, RpcError> {
        let head = self.published().head();
        for index in 0..tx.outputs().len() as u32 {
            if coin(&head.state, &OutPoint { txid: tx.txid(), index })?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The outputs a transaction spends, from the chain or the pool; `None` if one is unknown.
    pub(crate) fn spent_outputs(&self, tx: &Transaction) -> Result<Option<Vec<TxOut>>, RpcError> {
        let head = self.published().head();
        let mut spent = Vec::with_capacity(tx.inputs().len());
        for input in tx.inputs() {
            let outpoint = &input.previous_output;
            let pooled = self
                .published()
                .pool()
                .entry(&outpoint.txid)
                .and_then(|entry| entry.transaction.outputs().get(outpoint.index as usize).cloned());
            let output = match pooled {
                Some(output) => Some(output),
                None => coin(&head.state, outpoint)?.map(|coin| coin.output),
            };
            match output {
                Some(output) => spent.push(output),
                None => return Ok(None),
            }
        }
        Ok(Some(spent))
    }

    pub(crate) fn fee_of(&self, tx: &Transaction) -> Result<Option<i64>, RpcError> {
        let spent = self.spent_outputs(tx)?;
        Ok(spent.map(|spent| {
            let paid: i64 = spent.iter().map(|output| output.value.0).sum();
            paid - tx.outputs().iter().map(|output| output.value.0).sum::<i64>()
        }))
    }
}
