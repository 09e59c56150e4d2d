//! One genesis file for both programs, and chain files of ours around it.

use std::path::{Path, PathBuf};

use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, Bytes};
use chainwright_tests::command_line;
use serde_json::{Map, Value, json};

use crate::contracts;
use crate::wallet::{CHAIN_ID, Wallet};

/// 2026-01-01T00:00:00Z.
const TIME: u64 = 1_767_225_600;
/// A million ETH, in wei.
const RICH: &str = "0xd3c21bcecceda1000000";

/// A chain that is merged from its first block on, with the rules of Osaka.
fn genesis() -> Value {
    let mut accounts = Map::new();
    let mut contract = |address: Address, code: &Bytes| {
        accounts.insert(address.to_string(), json!({ "balance": "0x0", "nonce": "0x1", "code": code }));
    };
    contract(eip4788::BEACON_ROOTS_ADDRESS, &eip4788::BEACON_ROOTS_CODE);
    contract(eip2935::HISTORY_STORAGE_ADDRESS, &eip2935::HISTORY_STORAGE_CODE);
    contract(eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, &eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE);
    contract(
        eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
        &eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE,
    );
    for (address, code) in contracts::all() {
        contract(address, &code);
    }
    for address in Wallet::rich() {
        accounts.insert(address.to_string(), json!({ "balance": RICH }));
    }
    let blobs = |target: u64, max: u64, fraction: u64| json!({ "target": target, "max": max, "baseFeeUpdateFraction": fraction });
    json!({
        "config": {
            "chainId": CHAIN_ID,
            "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0, "byzantiumBlock": 0,
            "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0,
            "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "osakaTime": 0,
            "terminalTotalDifficulty": 0,
            "blobSchedule": {
                "cancun": blobs(3, 6, 3_338_477),
                "prague": blobs(6, 9, 5_007_716),
                "osaka": blobs(6, 9, 5_007_716),
            },
        },
        "nonce": "0x0", "timestamp": format!("{TIME:#x}"), "extraData": "0x", "gasLimit": "0x1c9c380",
        "difficulty": "0x0", "coinbase": Address::ZERO, "alloc": accounts,
    })
}

/// Writes `genesis.json` and gives its path.
pub(crate) fn write_genesis(folder: &Path) -> PathBuf {
    let path = folder.join("genesis.json");
    std::fs::write(&path, genesis().to_string()).unwrap();
    path
}

/// Writes the secret key that seals our chain and gives its path.
pub(crate) fn sealing_key(folder: &Path) -> String {
    let path = folder.join("sealing.key");
    std::fs::write(&path, "11".repeat(32)).unwrap();
    path.display().to_string()
}

/// Writes a chain file beside `genesis.json` and gives its path: `engine` is `solo` or `external`.
pub(crate) fn write_chain(folder: &Path, engine: &str) -> PathBuf {
    let section = match engine {
        // Blocks a second apart run ahead of the clock when many are made at once.
        "solo" => {
            let key = command_line(&["key", "seal", &sealing_key(folder)]);
            format!("[solo]\nkey = \"{}\"\nfuture_limit_seconds = 315_360_000\n", key.trim())
        }
        _ => String::new(),
    };
    let text = format!(
        "name = \"twin-{engine}\"\nabout = \"The chain of a test.\"\nconsensus = \"{engine}\"\nledger = \"evm\"\nis_test = true\n\
         [network]\nmagic = \"c0107a70\"\nport = 30399\nrpc_port = 8599\nseeds = []\n{section}\
         [evm]\ngenesis = \"genesis.json\"\n"
    );
    let path = folder.join(format!("{engine}.toml"));
    std::fs::write(&path, text).unwrap();
    path
}
