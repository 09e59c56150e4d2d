//! The chain's rules as tools ask for them (EIP-7910), and what this node can answer.

use std::collections::BTreeMap;

use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, Bytes, U64};
use chainwright_chain::Height;
use chainwright_evm::config::{ChainConfig, Fork, fork_hash};
use chainwright_indexes::States;
use serde_json::{Value, json};

use crate::dialect::{Context, Entry};

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        name: "eth_config",
        parameters: &[],
        description: "Rules in force, those that come next and those that come last (EIP-7910).",
        answer: |context, _| Ok(config(context)),
    },
    Entry {
        name: "eth_capabilities",
        parameters: &[],
        description: "Which blocks and states this node answers for.",
        answer: |context, _| Ok(capabilities(context)),
    },
];

/// Precompiled contracts by the fork that brought them: EIP-7910's names, addresses as numbers.
const PRECOMPILES: &[(Fork, &str, u64)] = &[
    (Fork::Frontier, "ECREC", 0x1),
    (Fork::Frontier, "SHA256", 0x2),
    (Fork::Frontier, "RIPEMD160", 0x3),
    (Fork::Frontier, "ID", 0x4),
    (Fork::Byzantium, "MODEXP", 0x5),
    (Fork::Byzantium, "BN254_ADD", 0x6),
    (Fork::Byzantium, "BN254_MUL", 0x7),
    (Fork::Byzantium, "BN254_PAIRING", 0x8),
    (Fork::Istanbul, "BLAKE2F", 0x9),
    (Fork::Cancun, "KZG_POINT_EVALUATION", 0xa),
    (Fork::Prague, "BLS12_G1ADD", 0xb),
    (Fork::Prague, "BLS12_G1MSM", 0xc),
    (Fork::Prague, "BLS12_G2ADD", 0xd),
    (Fork::Prague, "BLS12_G2MSM", 0xe),
    (Fork::Prague, "BLS12_PAIRING_CHECK", 0xf),
    (Fork::Prague, "BLS12_MAP_FP_TO_G1", 0x10),
    (Fork::Prague, "BLS12_MAP_FP2_TO_G2", 0x11),
    (Fork::Osaka, "P256VERIFY", 0x100),
];

fn config(context: &Context) -> Value {
    let config = context.chain.ledger().config();
    let head = context.chain.published().head().headers;
    let now = config.fork(head.header());
    let scheduled = |fork: &Fork| fork.is_timed() && config.forks.get(*fork).is_some();
    let at = |fork: Fork| config.forks.get(fork).unwrap_or_default();
    let later = || Fork::ALL.into_iter().filter(scheduled).filter(|fork| at(*fork) > head.header().timestamp);
    let shown = |fork: Option<Fork>| fork.map_or(Value::Null, |fork| rules(context, config, fork));
    json!({ "current": rules(context, config, now), "next": shown(later().next()), "last": shown(later().next_back()) })
}

/// One fork's rules.
fn rules(context: &Context, config: &ChainConfig, fork: Fork) -> Value {
    let time = if fork.is_timed() { config.forks.get(fork).unwrap_or_default() } else { 0 };
    let head = context.chain.published().head().headers;
    let genesis = head.ancestor(Height::GENESIS).unwrap_or(head);
    let genesis = (genesis.header().hash(), genesis.header().timestamp);
    let hash = fork_hash(config, genesis, (Height(u32::MAX), time));
    let blobs = config.blob_params(fork).map(|blobs| {
        json!({
            "target": blobs.target_blob_count,
            "max": blobs.max_blob_count,
            "baseFeeUpdateFraction": blobs.update_fraction as u64,
        })
    });
    let precompiles: BTreeMap<_, _> = PRECOMPILES
        .iter()
        .filter(|(since, ..)| *since <= fork)
        .map(|(_, name, at)| (*name, Address::left_padding_from(&at.to_be_bytes())))
        .collect();
    json!({
        "activationTime": time,
        "blobSchedule": blobs,
        "chainId": U64::from(config.chain_id),
        "forkId": Bytes::copy_from_slice(&hash),
        "precompiles": precompiles,
        "systemContracts": system_contracts(config, fork),
    })
}

fn system_contracts(config: &ChainConfig, fork: Fork) -> BTreeMap<&'static str, Address> {
    let mut contracts = BTreeMap::new();
    if fork >= Fork::Cancun {
        contracts.insert("BEACON_ROOTS_ADDRESS", eip4788::BEACON_ROOTS_ADDRESS);
    }
    if fork >= Fork::Prague {
        let consolidation = eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS;
        contracts.insert("CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS", consolidation);
        contracts.insert("DEPOSIT_CONTRACT_ADDRESS", config.deposit_contract.unwrap_or_default());
        contracts.insert("HISTORY_STORAGE_ADDRESS", eip2935::HISTORY_STORAGE_ADDRESS);
        let withdrawal = eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS;
        contracts.insert("WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS", withdrawal);
    }
    contracts
}

fn capabilities(context: &Context) -> Value {
    let head = context.chain.published().head().headers;
    let height = head.height().0;
    let base = context.chain.published().base().height();
    let all = json!({ "disabled": false, "oldestBlock": U64::from(base.0) });
    let library = &context.chain.library;
    let oldest = library.oldest_state(Height(height)).max(base);
    let mut states = json!({ "disabled": false, "oldestBlock": U64::from(oldest.0) });
    if let States::Last(blocks) = library.past().states {
        states["deleteStrategy"] = json!({ "type": "window", "retentionBlocks": U64::from(blocks) });
    }
    json!({
        "head": { "number": U64::from(height), "hash": head.header().hash() },
        "state": states,
        "tx": all,
        "logs": all,
        "receipts": all,
        "blocks": all,
        "stateproofs": states,
    })
}
