//! Blocks, transactions, receipts and logs as clients expect them.

use alloy_consensus::transaction::{Recovered, TransactionInfo};
use alloy_consensus::{Eip658Value, Header, Transaction as _, Typed2718 as _};
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, B256, U64, U128, U256};
use alloy_rpc_types_eth as rpc;
use chainwright_evm::types::{EvmBlock, EvmHeader, EvmReceipts, EvmTx, TxEnvelope};
use chainwright_rpc::RpcError;
use serde::Serialize;
use serde_json::{Value, json};

use crate::chain::server_error;

/// A transaction with its place.
pub(crate) type RpcTransaction = rpc::Transaction<TxEnvelope>;

/// Anything that has a JSON form.
pub(crate) fn json_of(value: &impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(value).map_err(|error| server_error(error.to_string()))
}

pub(crate) fn sender(tx: &EvmTx) -> Result<Address, RpcError> {
    tx.sender().map_err(|error| server_error(error.to_string()))
}

/// What one unit of gas cost a transaction of a block with this base fee.
pub(crate) fn effective_gas_price(tx: &EvmTx, base_fee: Option<u64>) -> u128 {
    tx.envelope().effective_gas_price(base_fee)
}

/// A header alone, as `newHeads` and uncles show it.
pub(crate) fn header(header: &EvmHeader, size: Option<usize>) -> rpc::Header<Header> {
    rpc::Header {
        hash: header.hash(),
        inner: header.header().clone(),
        total_difficulty: None,
        size: size.map(U256::from),
    }
}

/// A block with whole transactions or their hashes.
pub(crate) fn block(block: &EvmBlock, whole: bool) -> Result<Value, RpcError> {
    let transactions = if whole {
        let all = (0..block.transactions.len()).map(|index| transaction(block, index));
        rpc::BlockTransactions::Full(all.collect::<Result<Vec<_>, _>>()?)
    } else {
        rpc::BlockTransactions::Hashes(block.transactions.iter().map(EvmTx::hash).collect())
    };
    json_of(&rpc::Block {
        header: header(&block.header, Some(block.encoded_length())),
        uncles: block.ommers.iter().map(Header::hash_slow).collect(),
        transactions,
        withdrawals: block.withdrawals.clone().map(Into::into),
    })
}

/// An uncle: its header, without transactions.
pub(crate) fn uncle(ommer: &Header) -> Result<Value, RpcError> {
    let header = EvmHeader::new(ommer.clone());
    let alone = EvmBlock { header, transactions: Vec::new(), ommers: Vec::new(), withdrawals: None };
    json_of(&rpc::Block::<RpcTransaction, _> {
        header: self::header(&alone.header, Some(alone.encoded_length())),
        uncles: Vec::new(),
        transactions: rpc::BlockTransactions::Uncle,
        withdrawals: None,
    })
}

/// A transaction of a block.
pub(crate) fn transaction(block: &EvmBlock, index: usize) -> Result<RpcTransaction, RpcError> {
    let tx = &block.transactions[index];
    let info = TransactionInfo {
        hash: Some(tx.hash()),
        index: Some(index as u64),
        block_hash: Some(block.header.hash()),
        block_number: Some(block.header.number),
        base_fee: block.header.base_fee_per_gas,
        block_timestamp: Some(block.header.timestamp),
    };
    let recovered = Recovered::new_unchecked(tx.envelope().clone(), sender(tx)?);
    Ok(rpc::Transaction::from_transaction(recovered, info))
}

/// A transaction that waits in the pool.
pub(crate) fn waiting(tx: &EvmTx) -> Result<RpcTransaction, RpcError> {
    let recovered = Recovered::new_unchecked(tx.envelope().clone(), sender(tx)?);
    Ok(rpc::Transaction::from_transaction(recovered, TransactionInfo::default()))
}

/// All logs of a block, numbered through it.
pub(crate) fn logs(block: &EvmBlock, receipts: &EvmReceipts, removed: bool) -> Vec<rpc::Log> {
    let mut all = Vec::new();
    for index in 0..receipts.receipts.len() {
        let place = (index, all.len());
        all.extend(logs_of(block, receipts, place, removed));
    }
    all
}

/// The logs of one transaction of a block, by its index and the number of logs before it.
fn logs_of(
    block: &EvmBlock,
    receipts: &EvmReceipts,
    (index, before): (usize, usize),
    removed: bool,
) -> impl Iterator<Item = rpc::Log> {
    let transaction_hash = block.transactions.get(index).map(EvmTx::hash);
    let logs = receipts.receipts.get(index).into_iter().flat_map(|receipt| &receipt.logs);
    logs.zip(before as u64..).map(move |(log, number)| rpc::Log {
        inner: log.clone(),
        block_hash: Some(block.header.hash()),
        block_number: Some(block.header.number),
        block_timestamp: Some(block.header.timestamp),
        transaction_hash,
        transaction_index: Some(index as u64),
        log_index: Some(number),
        removed,
    })
}

/// The receipts of all transactions of a block.
pub(crate) fn receipts(
    block: &EvmBlock,
    receipts: &EvmReceipts,
    blobs: Option<BlobParams>,
) -> Result<Vec<Value>, RpcError> {
    let mut before = 0;
    let numbered = receipts.receipts.iter().enumerate().map(|(index, receipt)| {
        let place = (index, before);
        before += receipt.logs.len();
        placed_receipt(block, receipts, place, blobs)
    });
    numbered.collect()
}

/// The receipt of one transaction of a block.
pub(crate) fn receipt(
    block: &EvmBlock,
    receipts: &EvmReceipts,
    index: usize,
    blobs: Option<BlobParams>,
) -> Result<Value, RpcError> {
    let before = receipts.receipts.iter().take(index).map(|receipt| receipt.logs.len()).sum();
    placed_receipt(block, receipts, (index, before), blobs)
}

fn placed_receipt(
    block: &EvmBlock,
    receipts: &EvmReceipts,
    (index, before): (usize, usize),
    blobs: Option<BlobParams>,
) -> Result<Value, RpcError> {
    let missing = || server_error("receipts of the block are not complete");
    let tx = block.transactions.get(index).ok_or_else(missing)?;
    let receipt = receipts.receipts.get(index).ok_or_else(missing)?;
    let from = sender(tx)?;
    let envelope = tx.envelope();
    let logs: Vec<_> = logs_of(block, receipts, (index, before), false).collect();
    let mut shown = json!({
        "blockHash": block.header.hash(),
        "blockNumber": U64::from(block.header.number),
        "contractAddress": envelope.to().is_none().then(|| from.create(envelope.nonce())),
        "cumulativeGasUsed": U64::from(receipt.cumulative_gas_used),
        "effectiveGasPrice": U128::from(effective_gas_price(tx, block.header.base_fee_per_gas)),
        "from": from,
        "gasUsed": U64::from(receipts.gas_used(index).unwrap_or_default()),
        "logs": json_of(&logs)?,
        "logsBloom": receipt.bloom(),
    });
    match receipt.outcome {
        Eip658Value::Eip658(success) => shown["status"] = json!(U64::from(u8::from(success))),
        Eip658Value::PostState(root) => shown["root"] = json!(B256::from(root)),
    }
    shown["to"] = json!(envelope.to());
    shown["transactionHash"] = json!(tx.hash());
    shown["transactionIndex"] = json!(U64::from(index));
    shown["type"] = json!(U64::from(envelope.ty()));
    if let Some(used) = envelope.blob_gas_used() {
        shown["blobGasUsed"] = json!(U64::from(used));
        let price = blobs.zip(block.header.excess_blob_gas);
        let price = price.map(|(blobs, excess)| U128::from(blobs.calc_blob_fee(excess)));
        shown["blobGasPrice"] = json!(price);
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use alloy_consensus::{SignableTransaction as _, TxLegacy, TxType};
    use alloy_primitives::{Bytes, Log, Signature};
    use chainwright_evm::types::EvmReceipt;

    use super::*;

    /// A block of so many transactions with so many logs each.
    fn full(count: usize, logs: usize) -> (EvmBlock, EvmReceipts) {
        let header = EvmHeader::new(Header::default());
        let mut block = EvmBlock { header, transactions: Vec::new(), ommers: Vec::new(), withdrawals: None };
        let mut receipts = EvmReceipts::default();
        for nonce in 0..count as u64 {
            let fields = TxLegacy { nonce, ..TxLegacy::default() };
            let tx = EvmTx::new(TxEnvelope::Legacy(fields.into_signed(Signature::test_signature())));
            tx.assume_sender(Address::ZERO);
            block.transactions.push(tx);
            receipts.receipts.push(EvmReceipt {
                tx_type: TxType::Legacy,
                outcome: Eip658Value::Eip658(true),
                cumulative_gas_used: 21_000 * (nonce + 1),
                logs: vec![Log::new_unchecked(Address::ZERO, Vec::new(), Bytes::new()); logs],
            });
        }
        (block, receipts)
    }

    #[test]
    fn receipts_number_logs_through_the_block_and_cost_as_much_as_there_is_to_show() {
        let (block, receipts) = full(1_000, 30);
        let began = Instant::now();
        let shown = super::receipts(&block, &receipts, None).unwrap();
        assert_eq!(shown[0]["logs"][29]["logIndex"], "0x1d");
        assert_eq!(shown[999]["logs"][0]["logIndex"], json!(U64::from(999 * 30)));
        assert_eq!(shown[999], receipt(&block, &receipts, 999, None).unwrap());
        let told = logs(&block, &receipts, false);
        assert_eq!(shown[7]["logs"], json_of(&told[7 * 30..8 * 30].to_vec()).unwrap());
        // All logs for each receipt took minutes.
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }
}
