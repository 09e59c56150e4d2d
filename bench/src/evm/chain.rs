//! The chain everybody starts from, and the transactions everybody gets.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use alloy_consensus::crypto::secp256k1::sign_message;
use alloy_consensus::transaction::RlpEcdsaEncodableTx as _;
use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, hex, keccak256};

use super::Result;

pub(super) const CHAIN_ID: u64 = 77_078;
/// Whoever sends.
const SENDERS: usize = 500;
/// Gas of a block: 14,000 transfers.
pub(super) const BLOCK_GAS: u64 = 300_000_000;
/// A token that does no more than ERC-20 asks of a transfer: balances by Solidity's layout (`mapping` in slot 0), the event,
/// and `true`.
const TOKEN: Address = address!("00000000000000000000000000000000000e0020");
const TOKEN_CODE: &[u8] = &hex!(
    "5f3560e01c8063a9059cbb1461001e57806370a082311461007f575f5ffd5b335f525f60205260405f2080546024358082106100945790"
    "9103825590506004355f5260405f208054820190555f52600435337fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a"
    "4df523b3ef60205fa360015f5260205ff35b6004355f525f60205260405f20545f5260205ff35b5f5ffd"
);

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// A wei to an account that was never seen before.
    Transfers,
    /// A token to an account that never had one.
    Tokens,
}

fn keys() -> impl Iterator<Item = (B256, Address)> {
    (0..SENDERS).map(|number| {
        let secret = keccak256(format!("bench sender {number}"));
        let hash = B256::repeat_byte(1);
        let signature = sign_message(secret, hash).expect("a hash is a key");
        (secret, signature.recover_address_from_prehash(&hash).expect("it was just signed"))
    })
}

/// Signed transactions, as text for JSON: sender after sender in turns, so that every connection has some of each.
///
/// # Errors
/// When signing fails.
pub(super) fn transactions(kind: Kind, count: usize) -> Result<Vec<Vec<String>>> {
    let mut by_sender = Vec::new();
    for (number, (secret, _)) in keys().enumerate() {
        let mine = count / SENDERS + usize::from(number < count % SENDERS);
        let signed = (0..mine).map(|nonce| {
            let to = Address::from_word(keccak256(format!("bench account {number} {nonce}")));
            let tx = transaction(kind, nonce as u64, to);
            let signature = sign_message(secret, tx.signature_hash())?;
            let mut raw = Vec::new();
            tx.eip2718_encode(&signature, &mut raw);
            Ok(hex::encode_prefixed(raw))
        });
        by_sender.push(signed.collect::<Result<Vec<_>>>()?);
    }
    Ok(by_sender)
}

fn transaction(kind: Kind, nonce: u64, to: Address) -> TxEip1559 {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(to),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    match kind {
        Kind::Transfers => tx,
        Kind::Tokens => {
            let mut input = hex!("a9059cbb").to_vec();
            input.extend(to.into_word().0);
            input.extend(U256::from(1).to_be_bytes::<32>());
            TxEip1559 {
                gas_limit: 80_000,
                to: TxKind::Call(TOKEN),
                value: U256::ZERO,
                input: Bytes::from(input),
                ..tx
            }
        }
    }
}

/// Writes `genesis.json` with `accounts` further accounts, and our chain files around it.
///
/// # Errors
/// When the folder cannot be written.
pub(super) fn write(folder: &Path, binary: &Path, accounts: usize) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut alloc = String::new();
    for (address, code) in [
        (eip4788::BEACON_ROOTS_ADDRESS, &eip4788::BEACON_ROOTS_CODE),
        (eip2935::HISTORY_STORAGE_ADDRESS, &eip2935::HISTORY_STORAGE_CODE),
        (eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, &eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE),
        (eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, &eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE),
    ] {
        write!(alloc, "\"{address}\":{{\"balance\":\"0x0\",\"nonce\":\"0x1\",\"code\":\"{code}\"}},")?;
    }
    let mut storage = String::new();
    for (_, address) in keys() {
        write!(alloc, "\"{address}\":{{\"balance\":\"0xd3c21bcecceda1000000\"}},")?;
        let slot = keccak256([address.into_word().0, [0; 32]].concat());
        write!(storage, "\"{slot}\":\"{}\",", B256::from(U256::from(1_000_000_000_000_u64)))?;
    }
    for number in 0..accounts {
        let address = Address::from_word(keccak256(format!("bench resident {number}")));
        write!(alloc, "\"{address}\":{{\"balance\":\"0x{:x}\"}},", number + 1)?;
    }
    let (code, storage) = (hex::encode_prefixed(TOKEN_CODE), storage.trim_end_matches(','));
    write!(alloc, "\"{TOKEN}\":{{\"balance\":\"0x0\",\"code\":\"{code}\",\"storage\":{{{storage}}}}}")?;
    let forks = ["homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg"];
    let mut config = format!("\"chainId\":{CHAIN_ID},\"terminalTotalDifficulty\":0,");
    for fork in forks.iter().chain(&["istanbul", "berlin", "london"]) {
        write!(config, "\"{fork}Block\":0,")?;
    }
    for fork in ["shanghai", "cancun", "prague", "osaka"] {
        write!(config, "\"{fork}Time\":0,")?;
    }
    let blobs = |target: u64, fraction: u64| {
        let max = target + 3;
        format!("{{\"target\":{target},\"max\":{max},\"baseFeeUpdateFraction\":{fraction}}}")
    };
    let (cancun, prague) = (blobs(3, 3_338_477), blobs(6, 5_007_716));
    write!(config, "\"blobSchedule\":{{\"cancun\":{cancun},\"prague\":{prague},\"osaka\":{prague}}}")?;
    let genesis = format!(
        "{{\"config\":{{{config}}},\"nonce\":\"0x0\",\"timestamp\":\"0x6955b900\",\"extraData\":\"0x\",\"difficulty\":\"0x0\",\
         \"gasLimit\":\"{BLOCK_GAS:#x}\",\"coinbase\":\"{}\",\"alloc\":{{{alloc}}}}}",
        Address::ZERO
    );
    fs::write(folder.join("genesis.json"), genesis)?;
    write_chain_files(folder, binary)
}

fn write_chain_files(folder: &Path, binary: &Path) -> Result<()> {
    let key = folder.join("sealing.key");
    fs::write(&key, "11".repeat(32))?;
    let public = std::process::Command::new(binary).args(["key", "seal"]).arg(&key).output()?;
    let public = String::from_utf8(public.stdout)?;
    let public = public.trim();
    for (engine, section) in [
        ("solo", format!("[solo]\nkey = \"{public}\"\nfuture_limit_seconds = 315_360_000\n")),
        ("external", String::new()),
    ] {
        let text = format!(
            "name = \"bench-{engine}\"\nabout = \"A benchmark's chain.\"\nconsensus = \"{engine}\"\nledger = \"evm\"\nis_test = true\n\
             [network]\nmagic = \"c0107a71\"\nport = 30398\nrpc_port = 8598\nseeds = []\n{section}\
             [evm]\ngenesis = \"genesis.json\"\n[evm.pool]\ndevelopment = true\n"
        );
        fs::write(folder.join(format!("{engine}.toml")), text)?;
    }
    Ok(())
}
