//! Blocks made to order, for tests of other programs (execution APIs, `testing`).

use std::sync::Arc;

use alloy_consensus::{Header, Transaction as _};
use alloy_eips::BlockId;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use chainwright_chain::{Codec, Executed, Index as _, View};
use chainwright_evm::Evm;
use chainwright_evm::execute::Executor;
use chainwright_evm::rules::{BlockAttributes, child_header};
use chainwright_evm::trie::StateTrie;
use chainwright_evm::types::{EvmBlock, EvmTx};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde::Deserialize;
use serde_json::json;

use super::BLOCK_HASH;
use crate::chain::{fault, server_error};
use crate::dialect::{Context, Entry};
use crate::{input, shape};

const ATTRIBUTES: Parameter = Parameter::required("attributes", Kind::Object("{…}"), "Payload attributes");
const TRANSACTIONS: Parameter =
    Parameter::optional("transactions", Kind::Any, "the pool's", "Signed transactions");
const EXTRA: Parameter = Parameter::optional("extra", Kind::Any, "empty", "The extra data");

/// The gas limit blocks drift towards where the chain says nothing (geth, `miner` `DefaultConfig.GasCeil`).
const GAS_LIMIT_TARGET: u64 = 60_000_000;

pub(crate) const METHODS: &[Entry] = &[Entry {
    name: "testing_buildBlockV1",
    parameters: &[BLOCK_HASH, ATTRIBUTES, TRANSACTIONS, EXTRA],
    description: "A block as it would be; nothing changes. Blobs are not handed out with it.",
    answer: build,
}];

/// What a consensus layer would say of the block (`PayloadAttributesV3`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    timestamp: U64,
    prev_randao: B256,
    suggested_fee_recipient: Address,
    #[serde(default)]
    withdrawals: Vec<Withdrawal>,
    #[serde(default)]
    parent_beacon_block_root: B256,
}

fn build(context: &Context, call: &Call) -> Answer {
    let parent = BlockId::from(input::required::<B256>(call, 0)?);
    let wanted: Wanted = input::required(call, 1)?;
    let given: Option<Vec<Bytes>> = input::optional(call, 2)?;
    let extra: Bytes = input::optional(call, 3)?.unwrap_or_default();
    let parent = context.chain.view(parent)?;
    let config = context.chain.ledger().config();
    let on = BlockAttributes {
        time: wanted.timestamp.to(),
        mix_hash: wanted.prev_randao,
        beneficiary: wanted.suggested_fee_recipient,
        extra_data: extra,
        withdrawals: wanted.withdrawals,
        parent_beacon_block_root: wanted.parent_beacon_block_root,
        gas_limit_target: Some(config.limits.gas_limit_target.unwrap_or(GAS_LIMIT_TARGET)),
        ..BlockAttributes::default()
    };
    let header = child_header(config, &parent.headers, &on);
    let (mut block, executed) = match given {
        Some(given) => from_given(context, &parent, header, &on, &given)?,
        None => from_pool(context, &parent, header, &on)?,
    };
    let mut trie = StateTrie::load(&parent.state).map_err(fault)?;
    trie.follow(&executed.delta);
    if let Some(root) = trie.root().map_err(fault)? {
        block.header.alter(|header| header.state_root = B256::from(root.0));
    }
    payload(&block, &executed)
}

type Built = (EvmBlock, Executed<Evm>);

fn refused(reject: chainwright_chain::Reject) -> RpcError {
    match reject {
        chainwright_chain::Reject::Fault(error) => fault(error),
        other => server_error(format!("no block can be made: {other:?}")),
    }
}

fn from_pool(
    context: &Context,
    parent: &View<Evm>,
    header: Header,
    on: &BlockAttributes,
) -> Result<Built, RpcError> {
    let content = context.chain.published().pool().content();
    // Pending transactions of all senders in the order of their nonces; prices do not matter for a block with room.
    let mut candidates: Vec<(Arc<EvmTx>, Address)> = Vec::new();
    for (sender, txs) in content.pending {
        candidates.extend(txs.into_values().map(|tx| (tx, sender)));
    }
    let mut candidates = candidates.into_iter();
    context.chain.ledger().build_on(parent, header, &on.withdrawals, &mut candidates).map_err(refused)
}

/// All of them in their order, or the error of the first that does not fit.
fn from_given(
    context: &Context,
    parent: &View<Evm>,
    header: Header,
    on: &BlockAttributes,
    given: &[Bytes],
) -> Result<Built, RpcError> {
    let decode = |raw: &Bytes| EvmTx::decode(&raw.0).map_err(|error| server_error(error.to_string()));
    let transactions = given.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    let ledger = context.chain.ledger();
    let mut trial = Executor::new(ledger.config(), &header, ledger.overlay(parent)).map_err(fault)?;
    trial.begin().map_err(refused)?;
    let mut candidates = Vec::new();
    for tx in transactions {
        let sender = shape::sender(&tx)?;
        trial.transact(&tx, sender).map_err(|error| server_error(error.to_string()))?;
        candidates.push((Arc::new(tx), sender));
    }
    let count = candidates.len();
    let built = ledger.build_on(parent, header.clone(), &on.withdrawals, &mut candidates.into_iter());
    let built = built.map_err(refused)?;
    if built.0.transactions.len() < count {
        return Err(server_error("a transaction does not fit into the block"));
    }
    Ok(built)
}

/// As `engine_getPayloadV4` would answer.
fn payload(block: &EvmBlock, executed: &Executed<Evm>) -> Answer {
    let (header, base_fee) = (&block.header, block.header.base_fee_per_gas.unwrap_or_default());
    let paid = block.transactions.iter().enumerate().map(|(index, tx)| {
        let gas = executed.receipts.gas_used(index).unwrap_or_default();
        U256::from(tx.effective_tip_per_gas(base_fee).unwrap_or_default()) * U256::from(gas)
    });
    let value = paid.fold(U256::ZERO, U256::saturating_add);
    let raw: Vec<_> = block.transactions.iter().map(|tx| Bytes::from(tx.raw().to_vec())).collect();
    Ok(json!({
        "executionPayload": {
            "parentHash": header.parent_hash,
            "feeRecipient": header.beneficiary,
            "stateRoot": header.state_root,
            "receiptsRoot": header.receipts_root,
            "logsBloom": header.logs_bloom,
            "prevRandao": header.mix_hash,
            "blockNumber": U64::from(header.number),
            "gasLimit": U64::from(header.gas_limit),
            "gasUsed": U64::from(header.gas_used),
            "timestamp": U64::from(header.timestamp),
            "extraData": header.extra_data,
            "baseFeePerGas": U64::from(base_fee),
            "blockHash": header.hash(),
            "transactions": raw,
            "withdrawals": shape::json_of(&block.withdrawals)?,
            "blobGasUsed": header.blob_gas_used.map(U64::from),
            "excessBlobGas": header.excess_blob_gas.map(U64::from),
        },
        "blockValue": value,
        "blobsBundle": { "commitments": [], "proofs": [], "blobs": [] },
        "executionRequests": executed.receipts.requests,
        "shouldOverrideBuilder": false,
    }))
}
