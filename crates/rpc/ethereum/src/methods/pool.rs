//! Transactions on their way into blocks: sending them, and looking at the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, U64};
use chainwright_chain::{Codec, Refusal};
use chainwright_evm::pool::{ByAccount, Content, geth_words};
use chainwright_evm::types::EvmTx;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde_json::{Map, Value, json};

use super::{ADDRESS, receipt_of};
use crate::chain::{fault, server_error};
use crate::dialect::{Context, Entry};
use crate::{input, shape};

const RAW: Parameter =
    Parameter::required("transaction", Kind::Any, "A signed transaction as EIP-2718 encodes it");

const TIMEOUT: Parameter =
    Parameter::optional("timeout", Kind::Any, "20000", "How long to wait, in milliseconds");

/// How long a receipt is waited for unless the caller says otherwise, and at most (geth, `ethconfig` `TxSync…Timeout`).
const WAIT_DEFAULT: Duration = Duration::from_secs(20);
const WAIT_MAX: Duration = Duration::from_mins(1);
/// Calls that may wait so long at once: each takes a thread of the server. Further ones wait less.
const WAITING_MAX: usize = 6;
const WAIT_CROWDED: Duration = Duration::from_secs(1);
/// EIP-7966: the pool took it, and no block did in time.
const NOT_PROCESSED: i32 = 4;

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "eth_sendRawTransaction",
        parameters: &[RAW],
        description: "Gives a signed transaction to the pool; answers its hash.",
        answer: |context, call| Ok(json!(send_raw(context, call)?)),
    },
    Entry {
        name: "eth_sendRawTransactionSync",
        parameters: &[RAW, TIMEOUT],
        description: "As eth_sendRawTransaction, but answers the receipt once the transaction is in a block (EIP-7966).",
        answer: send_and_wait,
    },
    Entry {
        name: "txpool_status",
        parameters: &[],
        description: "How many transactions wait.",
        answer: |context, _| {
            let status = context.chain.published().pool().status();
            Ok(json!({ "pending": U64::from(status.pending), "queued": U64::from(status.queued) }))
        },
    },
    Entry {
        name: "txpool_content",
        parameters: &[],
        description: "All transactions that wait, by sender and nonce.",
        answer: |context, _| {
            let content = context.chain.published().pool().content();
            parts(&content, |by_account| by_sender(by_account, whole))
        },
    },
    Entry {
        name: "txpool_contentFrom",
        parameters: &[ADDRESS],
        description: "One sender's transactions that wait, by nonce.",
        answer: content_from,
    },
    Entry {
        name: "txpool_inspect",
        parameters: &[],
        description: "All transactions that wait, by sender and nonce, in words.",
        answer: |context, _| {
            let content = context.chain.published().pool().content();
            parts(&content, |by_account| by_sender(by_account, |tx| Ok(json!(words(tx)))))
        },
    },
];

/// Hands a transaction to the pool, in geth's words where it is refused.
pub(crate) fn submit(context: &Context, tx: Arc<EvmTx>) -> Result<(), RpcError> {
    let refused = |refusal: Refusal| match refusal {
        Refusal::Fault(error) => fault(error),
        other => server_error(geth_words(&other)),
    };
    // Here and not on the driver's thread, which everybody waits for.
    tx.prepare();
    context.chain.handle.submit(tx).wait().map_err(fault)?.map(drop).map_err(refused)
}

fn send_raw(context: &Context, call: &Call) -> Result<B256, RpcError> {
    let raw: Bytes = input::required(call, 0)?;
    let tx = EvmTx::decode(&raw.0).map_err(|error| server_error(error.to_string()))?;
    let hash = tx.hash();
    submit(context, Arc::new(tx))?;
    Ok(hash)
}

/// Counts who waits for a receipt, as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn send_and_wait(context: &Context, call: &Call) -> Answer {
    let asked = match call.param(1) {
        Value::Number(number) => {
            let whole = number.as_u64();
            Some(whole.ok_or_else(|| input::invalid(1, "a whole number of milliseconds expected"))?)
        }
        _ => input::optional::<U64>(call, 1)?.map(|asked| asked.to()),
    };
    let asked = asked.filter(|asked| *asked > 0).map_or(WAIT_DEFAULT, Duration::from_millis);
    let already = context.waiting_sends.fetch_add(1, Ordering::Relaxed);
    let _waiting = Waiting(&context.waiting_sends);
    let at_most = asked.min(if already < WAITING_MAX { WAIT_MAX } else { WAIT_CROWDED });
    // Before it is sent: nothing may happen unseen in between.
    let mut notices = context.chain.published().subscribe();
    let hash = send_raw(context, call)?;
    let start_us = context.host.monotonic_us();
    loop {
        let receipt = receipt_of(context, &hash)?;
        if !receipt.is_null() {
            return Ok(receipt);
        }
        let waited = Duration::from_micros(context.host.monotonic_us().saturating_sub(start_us));
        let left = at_most.saturating_sub(waited);
        if left.is_zero() || call.is_stopping() {
            let words = format!(
                "The transaction was added to the transaction pool but wasn't processed in {at_most:?}"
            );
            return Err(RpcError::new(NOT_PROCESSED, words).with_data(json!(hash)));
        }
        call.wait(&mut notices, left);
    }
}

fn parts(content: &Content, show: impl Fn(&ByAccount) -> Answer) -> Answer {
    Ok(json!({ "pending": show(&content.pending)?, "queued": show(&content.queued)? }))
}

fn by_sender(by_account: &ByAccount, show: impl Fn(&EvmTx) -> Answer + Copy) -> Answer {
    let shown = by_account.iter().map(|(address, txs)| {
        let txs = txs.iter().map(|(nonce, tx)| Ok((nonce.to_string(), show(tx)?)));
        Ok((address.to_checksum(None), Value::Object(txs.collect::<Result<Map<_, _>, RpcError>>()?)))
    });
    shown.collect::<Result<Map<_, _>, RpcError>>().map(Value::Object)
}

fn whole(tx: &EvmTx) -> Answer {
    shape::json_of(&shape::waiting(tx)?)
}

fn content_from(context: &Context, call: &Call) -> Answer {
    let address: Address = input::required(call, 0)?;
    let content = context.chain.published().pool().content_from(&address);
    parts(&content, |by_account| {
        let mut shown = by_sender(by_account, whole)?;
        let alone = shown.get_mut(address.to_checksum(None)).map(Value::take);
        Ok(alone.unwrap_or_else(|| json!({})))
    })
}

/// geth, `internal/ethapi` `TxPoolAPI.Inspect`.
fn words(tx: &EvmTx) -> String {
    let (value, gas, price) = (tx.value(), tx.gas_limit(), tx.max_fee_per_gas());
    let to = tx.to().map_or_else(|| "contract creation".into(), |to| to.to_checksum(None));
    format!("{to}: {value} wei + {gas} gas × {price} wei")
}
