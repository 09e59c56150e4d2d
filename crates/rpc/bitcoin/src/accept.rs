//! `testmempoolaccept` (Bitcoin Core `rpc/mempool.cpp`, `validation.cpp` `AcceptMultipleTransactions`, `policy/packages.cpp`).
//!
//! One transaction is judged as if it were sent. Several are a package: they are judged in order, each with those before
//! it in the pool, and replace nothing.

use std::sync::Arc;

use chainwright_chain::{Pool as _, PoolContext, Reason, Refusal};
use chainwright_utxo::hash::Txid;
use chainwright_utxo::pool::{FeePerKvb, TransactionPool};
use chainwright_utxo::script::{Flags, transaction_sigop_cost};
use chainwright_utxo::tx::Transaction;
use serde_json::{Value, json};

use crate::encode::{Object, put};
use crate::number::amount;
use crate::rawtransaction::decode_transaction;
use crate::submit::{FEE_RATE_MAX, fee_rate_param};
use crate::{BitcoinNode, Entry, show_txid};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError, not_of_type};

pub(crate) const METHODS: &[Entry] = &[Entry {
    category: "rawtransactions",
    name: "testmempoolaccept",
    parameters: &[
        Parameter::required(
            "rawtxs",
            Kind::Array("[\"rawtx\",...]"),
            "An array of hex strings of raw transactions.",
        ),
        FEE_RATE_MAX,
    ],
    description: "Returns result of mempool acceptance tests indicating if raw transaction(s) (serialized, hex-encoded) would be accepted by mempool.\n\n\
                      This checks if transactions violate the consensus or policy rules.\n\n\
                      See sendrawtransaction call.\n",
    run: test_pool_accept,
}];

/// Transactions of a package (Bitcoin Core `MAX_PACKAGE_COUNT`).
const PACKAGE_COUNT_MAX: usize = 25;
/// Their weight (`MAX_PACKAGE_WEIGHT`).
const PACKAGE_WEIGHT_MAX: usize = 404_000;
/// The first word of a refusal that scripts decided; they come after everything else.
const SCRIPT_WORD: &str = "mempool-script-verify-flag-failed";

impl BitcoinNode {
    /// What is said of a transaction by itself.
    fn acceptance(&self, tx: &Arc<Transaction>, rate_max: FeePerKvb) -> Result<Object, RpcError> {
        const WEIGHT_PER_SIGOP_COST: usize = 20;
        let mut object = ids(tx);
        if let Err(refusal) = self.chain.submit_dry_run(Arc::clone(tx)).wait()? {
            refused(&mut object, &refusal)?;
            return Ok(object);
        }
        let spent = self.spent_outputs(tx)?.unwrap_or_default();
        let sigop_cost = transaction_sigop_cost(tx, &spent, Flags::STANDARD);
        let vsize = tx.weight().max(sigop_cost * WEIGHT_PER_SIGOP_COST).div_ceil(4);
        let fee = self.fee_of(tx)?.unwrap_or(0);
        let fee_max = rate_max.fee(vsize).0;
        if fee_max > 0 && fee > fee_max {
            put(&mut object, [("allowed", false.into()), ("reject-reason", "max-fee-exceeded".into())]);
        } else {
            allowed(&mut object, tx, vsize, fee);
        }
        Ok(object)
    }
}

/// What is said of a transaction that would be taken.
fn allowed(object: &mut Object, tx: &Transaction, vsize: usize, fee: i64) {
    let rate = (i128::from(fee) * 1000).div_euclid(vsize as i128) as i64;
    let fees = json!({
        "base": amount(fee),
        "effective-feerate": amount(rate),
        "effective-includes": [tx.wtxid().to_string()],
    });
    put(object, [("allowed", true.into()), ("vsize", vsize.into()), ("fees", fees)]);
}

/// What is said of one that would not.
fn refused(object: &mut Object, refusal: &Refusal) -> Result<(), RpcError> {
    let (word, details) = match refusal {
        Refusal::MissingParents { .. } => ("missing-inputs".into(), None),
        Refusal::Invalid(reason) | Refusal::Policy(reason) | Refusal::Known(reason) => {
            (reason.code.to_string(), Some(reason.to_string()))
        }
        Refusal::Fault(fault) => return Err(fault.clone().into()),
    };
    put(object, [("allowed", false.into()), ("reject-reason", word.into())]);
    if let Some(details) = details {
        put(object, [("reject-details", details.into())]);
    }
    Ok(())
}

fn is_script_failure(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Invalid(reason) | Refusal::Policy(reason) if reason.code.starts_with(SCRIPT_WORD))
}

/// What is wrong with the package itself (Bitcoin Core `IsWellFormedPackage`).
fn package_error(transactions: &[Arc<Transaction>]) -> Option<&'static str> {
    if transactions.iter().map(|tx| tx.weight()).sum::<usize>() > PACKAGE_WEIGHT_MAX {
        return Some("package-too-large");
    }
    let mut later: Vec<Txid> = transactions.iter().map(|tx| tx.txid()).collect();
    later.sort_unstable();
    if later.windows(2).any(|two| two[0] == two[1]) {
        return Some("package-contains-duplicates");
    }
    for tx in transactions {
        if tx.inputs().iter().any(|input| later.contains(&input.previous_output.txid)) {
            return Some("package-not-sorted");
        }
        later.retain(|txid| *txid != tx.txid());
    }
    let mut spent: Vec<_> =
        transactions.iter().flat_map(|tx| tx.inputs()).map(|input| &input.previous_output).collect();
    spent.sort_unstable();
    spent.windows(2).any(|two| two[0] == two[1]).then_some("conflict-in-package")
}

/// A transaction in a pool that is thrown away afterwards. What it pays and its virtual bytes.
fn try_in(
    node: &BitcoinNode,
    pool: &mut TransactionPool,
    head: &crate::generate::Head,
    tx: &Arc<Transaction>,
) -> Result<(i64, usize), Refusal> {
    let mut at = PoolContext { head, now: node.host.now(), dry_run: true };
    let conflicts = tx.inputs().iter().any(|input| pool.spender(&input.previous_output).is_some());
    if conflicts && pool.entry(&tx.txid()).is_none() {
        let judged = pool.submit(node.ledger(), Arc::clone(tx), &at);
        return Err(match judged {
            Err(refusal @ (Refusal::Invalid(_) | Refusal::Fault(_))) => refusal,
            _ => Refusal::Policy(Reason::new("bip125-replacement-disallowed")),
        });
    }
    at.dry_run = false;
    pool.submit(node.ledger(), Arc::clone(tx), &at)?;
    let entry = pool.entry(&tx.txid());
    Ok(entry.map_or((0, tx.vsize()), |entry| (entry.fee.0, entry.vsize())))
}

fn judge_package(
    node: &BitcoinNode,
    transactions: &[Arc<Transaction>],
    rate_max: FeePerKvb,
) -> Result<Vec<Object>, RpcError> {
    let mut answers: Vec<Object> = transactions.iter().map(|tx| ids(tx)).collect();
    if let Some(word) = package_error(transactions) {
        for answer in &mut answers {
            put(answer, [("package-error", word.into())]);
        }
        return Ok(answers);
    }
    let head = node.published().head();
    let mut pool = node.published().pool().clone();
    let mut judged = Vec::with_capacity(transactions.len());
    for (at, tx) in transactions.iter().enumerate() {
        match try_in(node, &mut pool, &head, tx) {
            Ok(found) => judged.push(found),
            Err(refusal) => {
                // Scripts come last: the earlier ones have been found good by then. After any other failure nothing more
                // is known of anyone.
                if !is_script_failure(&refusal) {
                    judged.clear();
                }
                refused(&mut answers[at], &refusal)?;
                break;
            }
        }
    }
    for ((answer, tx), (fee, vsize)) in answers.iter_mut().zip(transactions).zip(judged) {
        let fee_max = rate_max.fee(vsize).0;
        if fee_max > 0 && fee > fee_max {
            put(answer, [("allowed", false.into()), ("reject-reason", "max-fee-exceeded".into())]);
            break;
        }
        allowed(answer, tx, vsize, fee);
    }
    Ok(answers)
}

fn ids(tx: &Transaction) -> Object {
    let mut object = Object::new();
    put(&mut object, [("txid", show_txid(tx.txid()).into()), ("wtxid", tx.wtxid().to_string().into())]);
    object
}

fn test_pool_accept(node: &BitcoinNode, call: &Call) -> Answer {
    let raw = call.param(0).as_array().map(Vec::as_slice).unwrap_or_default();
    if raw.is_empty() || raw.len() > PACKAGE_COUNT_MAX {
        let message = format!("Array must contain between 1 and {PACKAGE_COUNT_MAX} transactions.");
        return Err(RpcError::parameter(message));
    }
    let rate_max = fee_rate_param(call, 1)?;
    let mut transactions = Vec::with_capacity(raw.len());
    for hex in raw {
        let hex = hex.as_str().ok_or_else(|| not_of_type(hex, "string"))?;
        let tx = decode_transaction(hex).ok_or_else(|| {
            RpcError::undecodable(format!("TX decode failed: {hex} Make sure the tx has at least one input."))
        })?;
        transactions.push(Arc::new(tx));
    }
    let answers = match transactions.as_slice() {
        [tx] => vec![node.acceptance(tx, rate_max)?],
        package => judge_package(node, package, rate_max)?,
    };
    Ok(answers.into_iter().map(Value::Object).collect())
}
