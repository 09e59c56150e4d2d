//! What gas costs: now, lately, and what to offer.

use alloy_consensus::{Header, Transaction as _};
use alloy_eips::BlockId;
use alloy_primitives::{U64, U128};
use chainwright_chain::{Headers, Height};
use chainwright_evm::Evm;
use chainwright_evm::config::{ChainConfig, Fork};
use chainwright_evm::rules;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde_json::{Value, json};

use super::BLOCK;
use crate::chain::server_error;
use crate::dialect::{Context, Entry};
use crate::input;

const COUNT: Parameter = Parameter::required("count", Kind::Any, "How many blocks");
const PERCENTILES: Parameter =
    Parameter::optional("percentiles", Kind::Any, "none", "Percentiles of tips, ascending, 0 to 100");

/// Blocks one `eth_feeHistory` looks at, at most (geth `MaxHeaderHistory`, `MaxBlockHistory`).
const HISTORY_MAX: u64 = 1024;
/// Percentiles one `eth_feeHistory` takes, at most (geth `maxQueryLimit`).
const PERCENTILES_MAX: usize = 100;
/// Blocks whose tips are looked at (geth `gasprice` `Blocks`).
const TIP_BLOCKS: usize = 20;
/// Lowest tips of a block that count (geth `sampleNumber`).
const TIP_SAMPLES: usize = 3;
/// The percentile of them that is suggested (geth `Percentile`).
const TIP_PERCENTILE: usize = 60;
/// Tips below this many wei do not count (geth `DefaultIgnorePrice`).
const TIP_MIN: u128 = 2;
/// What is suggested where nothing was paid lately, in wei (geth `miner` `DefaultConfig.GasPrice`).
const TIP_DEFAULT: u128 = 1_000_000;
/// More is never suggested, in wei (geth `DefaultMaxPrice`).
const TIP_MAX: u128 = 500_000_000_000;

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "eth_gasPrice",
        parameters: &[],
        description: "What to offer per gas: the base fee of the newest block and a tip.",
        answer: |context, _| {
            let head = context.chain.published().head().headers;
            let base_fee = u128::from(head.header().base_fee_per_gas.unwrap_or_default());
            Ok(json!(U128::from(suggested_tip(context)?.saturating_add(base_fee))))
        },
    },
    Entry {
        name: "eth_maxPriorityFeePerGas",
        parameters: &[],
        description: "What to offer per gas beyond the base fee.",
        answer: |context, _| Ok(json!(U128::from(suggested_tip(context)?))),
    },
    Entry {
        name: "eth_baseFee",
        parameters: &[],
        description: "The base fee of the next block; null where there is none.",
        answer: |context, _| {
            let head = context.chain.published().head().headers;
            let fee = rules::base_fee(context.chain.ledger().config(), head.header());
            Ok(fee.map_or(Value::Null, |fee| json!(U64::from(fee))))
        },
    },
    Entry {
        name: "eth_blobBaseFee",
        parameters: &[],
        description: "What one blob gas costs; null where there is none.",
        answer: |context, _| {
            let head = context.chain.published().head().headers;
            let fee = rules::header_blob_fee(context.chain.ledger().config(), head.header());
            Ok(fee.map_or(Value::Null, |fee| json!(U128::from(fee))))
        },
    },
    Entry {
        name: "eth_feeHistory",
        parameters: &[COUNT, BLOCK, PERCENTILES],
        description: "Base fees, use and tips of the newest blocks.",
        answer: history,
    },
];

/// The tip most transactions of the last blocks had to pay (geth, `eth/gasprice` `SuggestTipCap`). It is looked for once per
/// head.
pub(crate) fn suggested_tip(context: &Context) -> Result<u128, RpcError> {
    let mut kept = context.tip.lock();
    let head = context.chain.published().head().headers;
    if let Some((_, tip)) = kept.filter(|(at, _)| *at == head.id()) {
        return Ok(tip);
    }
    let tip = tip_at(context, &head)?;
    *kept = Some((head.id(), tip));
    Ok(tip)
}

/// For a block that tells little an older one is looked at too, up to twice as many in all.
fn tip_at(context: &Context, head: &Headers<Evm>) -> Result<u128, RpcError> {
    let first = context.chain.published().base().height().max(Height::GENESIS.next());
    let (mut tips, mut counted, mut asked, mut wanted) = (Vec::new(), 0, 0, TIP_BLOCKS);
    for headers in head.down().take_while(|block| block.height() >= first) {
        if asked == wanted {
            break;
        }
        asked += 1;
        let lowest = lowest_tips(context, &headers)?;
        if lowest.len() <= 1 && counted + 1 + wanted - asked < 2 * TIP_BLOCKS {
            wanted += 1;
        }
        counted += lowest.len().max(1);
        tips.extend(lowest);
    }
    tips.sort_unstable();
    let at = tips.len().saturating_sub(1) * TIP_PERCENTILE / 100;
    Ok(tips.get(at).copied().unwrap_or(TIP_DEFAULT).min(TIP_MAX))
}

/// The lowest tips of a block that count; its own maker's do not.
fn lowest_tips(context: &Context, headers: &Headers<Evm>) -> Result<Vec<u128>, RpcError> {
    if headers.header().gas_used == 0 {
        return Ok(Vec::new());
    }
    let block = context.chain.body(headers)?;
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let others = block.transactions.iter().filter(|tx| tx.sender() != Ok(block.header.beneficiary));
    let mut paid: Vec<_> = others.filter_map(|tx| tx.effective_tip_per_gas(base_fee)).collect();
    paid.retain(|tip| *tip >= TIP_MIN);
    paid.sort_unstable();
    paid.truncate(TIP_SAMPLES);
    Ok(paid)
}

fn percentiles(call: &Call) -> Result<Option<Vec<f64>>, RpcError> {
    let Some(wanted) = input::optional::<Vec<f64>>(call, 2)? else { return Ok(None) };
    if wanted.len() > PERCENTILES_MAX {
        return Err(server_error(format!(
            "invalid reward percentile: over the query limit {PERCENTILES_MAX}"
        )));
    }
    for (index, percentile) in wanted.iter().enumerate() {
        if !(0.0..=100.0).contains(percentile) {
            return Err(server_error(format!("invalid reward percentile: {percentile:.6}")));
        }
        let before = index.checked_sub(1).and_then(|before| wanted.get(before));
        if let Some(before) = before.filter(|before| *before >= percentile) {
            return Err(server_error(format!(
                "invalid reward percentile: #{}:{before:.6} >= #{index}:{percentile:.6}",
                index - 1
            )));
        }
    }
    Ok(Some(wanted))
}

/// Decimal and hexadecimal counts are both in use.
fn count(call: &Call) -> Result<u64, RpcError> {
    match call.param(0) {
        Value::Number(number) => number
            .as_u64()
            .ok_or_else(|| RpcError::invalid_params("invalid argument 0: block count is negative")),
        _ => Ok(input::required::<U64>(call, 0)?.to()),
    }
}

fn history(context: &Context, call: &Call) -> Answer {
    let percentiles = percentiles(call)?;
    let count = count(call)?.min(HISTORY_MAX);
    let newest = input::number(call, 1)?;
    if count == 0 {
        return Ok(json!({ "oldestBlock": "0x0", "gasUsedRatio": null }));
    }
    let Some(newest) = context.chain.headers(BlockId::Number(newest))? else {
        let head = context.chain.published().head().headers.height();
        let asked = newest.as_number().unwrap_or_default();
        return Err(server_error(format!("request beyond head block: requested {asked}, head {head}")));
    };
    let oldest = (u64::from(newest.height().0) + 1).saturating_sub(count) as u32;
    let blocks: Vec<_> = (oldest..=newest.height().0).filter_map(|at| newest.ancestor(Height(at))).collect();
    let config = context.chain.ledger().config();
    let fee = |header: &Header| U64::from(header.base_fee_per_gas.unwrap_or_default());
    let blob_fee = |header: &Header| U128::from(rules::header_blob_fee(config, header).unwrap_or_default());
    let mut base_fees: Vec<_> = blocks.iter().map(|block| fee(block.header())).collect();
    base_fees.push(U64::from(rules::base_fee(config, newest.header()).unwrap_or_default()));
    let mut blob_fees: Vec<_> = blocks.iter().map(|block| blob_fee(block.header())).collect();
    blob_fees.push(U128::from(next_blob_fee(config, newest.header())));
    let mut shown = json!({
        "oldestBlock": U64::from(oldest),
        "baseFeePerGas": base_fees,
        "gasUsedRatio": blocks.iter().map(|block| ratio(block.header().gas_used, block.header().gas_limit)).collect::<Vec<_>>(),
        "baseFeePerBlobGas": blob_fees,
        "blobGasUsedRatio": blocks.iter().map(|block| blob_ratio(config, block.header())).collect::<Vec<_>>(),
    });
    if let Some(percentiles) = percentiles.filter(|wanted| !wanted.is_empty()) {
        let rewards = blocks.iter().map(|block| rewards(context, block, &percentiles));
        shown["reward"] = json!(rewards.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(shown)
}

/// A share; whole ones are written without a point, as geth does.
fn ratio(used: u64, limit: u64) -> Value {
    match (used, limit) {
        (0, _) | (_, 0) => json!(0),
        _ if used == limit => json!(1),
        _ => json!(used as f64 / limit as f64),
    }
}

fn blob_ratio(config: &ChainConfig, header: &Header) -> Value {
    let most = config.blob_params(config.fork(header)).map_or(0, |blobs| blobs.max_blob_gas_per_block());
    ratio(header.blob_gas_used.unwrap_or_default(), most)
}

fn next_blob_fee(config: &ChainConfig, header: &Header) -> u128 {
    let fork = config.fork(header);
    let Some(blobs) = config.blob_params(fork).filter(|_| fork >= Fork::Cancun) else { return 0 };
    rules::blob_base_fee(&blobs, rules::excess_blob_gas(&blobs, header))
}

/// Tips of a block at percentiles of its gas (geth, `eth/gasprice` `processBlock`).
fn rewards(context: &Context, headers: &Headers<Evm>, percentiles: &[f64]) -> Result<Vec<U128>, RpcError> {
    let zeros = || vec![U128::ZERO; percentiles.len()];
    if headers.header().gas_used == 0 {
        return Ok(zeros());
    }
    let block = context.chain.body(headers)?;
    let Some(receipts) = context.chain.receipts(headers)? else { return Ok(zeros()) };
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let mut paid: Vec<(u128, u64)> = block
        .transactions
        .iter()
        .enumerate()
        .map(|(index, tx)| {
            let tip = tx.effective_tip_per_gas(base_fee).unwrap_or_default();
            (tip, receipts.gas_used(index).unwrap_or_default())
        })
        .collect();
    paid.sort_by_key(|(tip, _)| *tip);
    let at = |percentile: &f64| {
        let threshold = (block.header.gas_used as f64 * percentile / 100.0) as u64;
        let mut sum = 0_u64;
        let found = paid.iter().find(|(_, gas)| {
            sum = sum.saturating_add(*gas);
            sum >= threshold
        });
        U128::from(found.or(paid.last()).map_or(0, |(tip, _)| *tip))
    };
    Ok(percentiles.iter().map(at).collect())
}
