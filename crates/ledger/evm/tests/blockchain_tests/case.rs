//! One case as its file has it, and the chain it takes place on.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use chainwright_chain::Codec;
use chainwright_evm::config::{BlobCounts, ChainConfig, Fork, Genesis, GenesisAccount};
use chainwright_evm::types::EvmBlock;
use serde::Deserialize;

/// A file: cases by name.
pub(crate) type Cases = BTreeMap<String, Case>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Case {
    pub(crate) network: String,
    pub(crate) config: Config,
    pub(crate) pre: BTreeMap<Address, Account>,
    pub(crate) post_state: BTreeMap<Address, Account>,
    #[serde(rename = "genesisRLP")]
    pub(crate) genesis_rlp: Bytes,
    pub(crate) blocks: Vec<Block>,
    pub(crate) lastblockhash: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    chainid: U64,
    #[serde(default)]
    blob_schedule: BTreeMap<String, Blobs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Blobs {
    target: U64,
    max: U64,
    base_fee_update_fraction: U64,
}

#[derive(Deserialize)]
pub(crate) struct Account {
    pub(crate) nonce: U64,
    pub(crate) balance: U256,
    pub(crate) code: Bytes,
    pub(crate) storage: BTreeMap<U256, U256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Block {
    pub(crate) rlp: Bytes,
    pub(crate) expect_exception: Option<String>,
}

fn fork(name: &str) -> Fork {
    match name {
        "Frontier" => Fork::Frontier,
        "Homestead" => Fork::Homestead,
        "EIP150" => Fork::TangerineWhistle,
        "EIP158" => Fork::SpuriousDragon,
        "Byzantium" => Fork::Byzantium,
        "Constantinople" => Fork::Constantinople,
        "ConstantinopleFix" => Fork::Petersburg,
        "Istanbul" => Fork::Istanbul,
        "Berlin" => Fork::Berlin,
        "London" => Fork::London,
        "Paris" => Fork::Paris,
        "Shanghai" => Fork::Shanghai,
        "Cancun" => Fork::Cancun,
        "Prague" => Fork::Prague,
        "Osaka" => Fork::Osaka,
        "BPO1" => Fork::Bpo1,
        "BPO2" => Fork::Bpo2,
        "BPO3" => Fork::Bpo3,
        "BPO4" => Fork::Bpo4,
        other => panic!("unknown network {other}"),
    }
}

impl Case {
    /// The rules; a network such as `CancunToPragueAtTime15k` changes them on its way.
    pub(crate) fn chain_config(&self) -> ChainConfig {
        let chain_id = self.config.chainid.to();
        let mut config = match self.network.split_once("To") {
            None => ChainConfig::up_to(chain_id, fork(&self.network)),
            Some((from, to)) => {
                let (to, at) = to.split_once("AtTime").expect("transitions are by time");
                let at = at.strip_suffix('k').expect("in thousands").parse::<u64>().unwrap() * 1_000;
                let mut config = ChainConfig::up_to(chain_id, fork(from));
                config.forks.set(fork(to), Some(at));
                config
            }
        };
        for (name, blobs) in &self.config.blob_schedule {
            let (target, max) = (blobs.target.to(), blobs.max.to());
            let base_fee_update_fraction = blobs.base_fee_update_fraction.to();
            config.blobs.set(fork(name), Some(BlobCounts { target, max, base_fee_update_fraction }));
        }
        config
    }

    /// Rules, first header and first accounts.
    pub(crate) fn genesis(&self) -> Genesis {
        let block = EvmBlock::decode(&self.genesis_rlp.0).unwrap();
        let accounts = self.pre.iter().map(|(address, account)| (*address, account.genesis())).collect();
        Genesis { config: self.chain_config(), header: block.header.header().clone(), accounts }
    }
}

impl Account {
    fn genesis(&self) -> GenesisAccount {
        GenesisAccount {
            balance: self.balance,
            nonce: self.nonce.to(),
            code: self.code.clone(),
            storage: self.storage.clone(),
        }
    }
}
