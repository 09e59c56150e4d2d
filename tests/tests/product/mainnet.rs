//! Real blocks and real headers of Bitcoin's main chain and signet, through the binary.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use chainwright_tests::{Rpc, Running, chainwright, free_port, vectors, wait_until};
use chainwright_utxo::hash::sha256d;
use serde_json::{Value, json};

use crate::payments::to_hex;
use crate::wire::{MAIN, Puppet, headers_payload};

/// First bytes of every message on signet: of the double hash of its challenge (BIP-0325).
const SIGNET: [u8; 4] = [0x0a, 0x03, 0xcf, 0x40];
/// Headers in the file of the main chain, genesis included.
const MAIN_HEADER_COUNT: usize = 10_237;
/// Headers in one message.
const HEADERS_MAX: usize = 2_000;
const LIMIT: Duration = Duration::from_mins(1);

/// An id as people write it.
fn show(id: [u8; 32]) -> String {
    to_hex(&id.into_iter().rev().collect::<Vec<_>>())
}

fn read_headers(file: &Path) -> Vec<[u8; 80]> {
    let packed = std::fs::read(file).expect("the vectors have this file");
    let bytes = zstd::decode_all(&packed[..]).expect("a packed file");
    bytes.as_chunks::<80>().0.to_vec()
}

/// Headers that follow the first id of a locator that we know, genesis if there is none.
fn following<'a>(
    headers: &'a [[u8; 80]],
    known: &BTreeMap<[u8; 32], usize>,
    locator: &[u8],
) -> &'a [[u8; 80]] {
    // Four bytes of version, a count below 253, then ids.
    let ids = locator[5..].as_chunks::<32>().0;
    let start = ids.iter().find_map(|id| known.get(id)).copied().unwrap_or(0) + 1;
    &headers[start..headers.len().min(start + HEADERS_MAX)]
}

/// A peer that has these headers, genesis first, gives them to a node on an empty chain.
#[track_caller]
fn check_headers(network: &str, magic: [u8; 4], headers: &[[u8; 80]]) {
    let folder = tempfile::tempdir().expect("the system has a temporary folder");
    let (port, rpc_port) = (free_port(), free_port());
    let mut command = Command::new(chainwright());
    command.args(["bitcoind", "-dnsseed=0", "-fixedseeds=0", "-minimumchainwork=0x0", "-bind=127.0.0.1"]);
    command.args([format!("-chain={network}"), format!("-datadir={}", folder.path().display())]);
    command.args([format!("-port={port}"), format!("-rpcport={rpc_port}")]);
    let below = if network == "main" { "" } else { network };
    let rpc = Rpc::with_cookie(rpc_port, folder.path().join(below).join(".cookie"));
    let running = Running::start("chainwright", &mut command, &folder.path().join("node.out"));
    wait_until("our node answers", LIMIT, || rpc.try_call("getblockcount", json!([])).is_ok());

    let started = Instant::now();
    let known = headers.iter().enumerate().map(|(height, header)| (sha256d(header), height)).collect();
    let height = u32::try_from(headers.len() - 1).expect("a short chain");
    let mut puppet = Puppet::greeted(([127, 0, 0, 1], port).into(), magic, height);
    let info = loop {
        let locator = puppet.expect("getheaders");
        let next = following(headers, &known, &locator);
        puppet.send("headers", &headers_payload(next.iter().map(|header| &header[..]))).expect("taken");
        if next.len() < HEADERS_MAX {
            break wait_for_headers(&rpc, height);
        }
    };
    eprintln!("{} headers of {network} in {:?}", headers.len(), started.elapsed());
    let tip = show(sha256d(&headers[headers.len() - 1]));
    let tips = rpc.call("getchaintips", json!([]));
    assert_eq!(info["blocks"], json!(0), "no blocks were given");
    assert_eq!((&tips[0]["hash"], &tips[0]["status"]), (&json!(tip), &json!("headers-only")), "{tips}");
    drop(running);
}

#[track_caller]
fn wait_for_headers(rpc: &Rpc, height: u32) -> Value {
    let mut info = Value::Null;
    wait_until("all headers are known", LIMIT, || {
        info = rpc.call("getblockchaininfo", json!([]));
        info["headers"] == json!(height)
    });
    info
}

#[test]
fn the_first_blocks_of_the_main_chain_are_imported_and_served() {
    let Some(vectors) = vectors() else { return };
    let folder = tempfile::tempdir().expect("the system has a temporary folder");
    let data = folder.path().join("data").display().to_string();
    let file = vectors.join("bitcoin/mainnet-blocks-1-256.bz2").display().to_string();
    let mut import = Command::new(chainwright());
    let output = import
        .args(["--json", "import", "--chain", "bitcoin-main", "--datadir", &data, &file])
        .output()
        .expect("our program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let headers = read_headers(&vectors.join("bitcoin/mainnet-headers-0-10236.zst"));
    let tip = show(sha256d(&headers[255]));
    let rpc_port = free_port();
    let mut command = Command::new(chainwright());
    command.args(["node", "--chain", "bitcoin-main", "--no-listen", "--connect", "127.0.0.1:1"]);
    command.args(["--datadir", &data, "--rpc-port", &rpc_port.to_string()]);
    let running = Running::start("chainwright", &mut command, &folder.path().join("node.out"));
    let rpc = Rpc::with_cookie(rpc_port, Path::new(&data).join(".cookie"));
    wait_until("our node answers", LIMIT, || rpc.try_call("getblockcount", json!([])).is_ok());
    assert_eq!(rpc.call("getblockcount", json!([])), json!(255));
    assert_eq!(rpc.call("getbestblockhash", json!([])), json!(tip));
    let coins = rpc.call("gettxoutsetinfo", json!(["muhash"]));
    assert_eq!(coins["bestblock"], json!(tip));
    // The first payment ever, from Satoshi Nakamoto to Hal Finney, in block 170.
    let payment = "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16";
    assert_eq!(rpc.call("gettxout", json!([payment, 0]))["value"].to_string(), "10.00000000");
    drop(running);
}

#[test]
fn headers_of_the_main_chain_are_synced_from_a_peer() {
    let Some(vectors) = vectors() else { return };
    let headers = read_headers(&vectors.join("bitcoin/mainnet-headers-0-10236.zst"));
    assert_eq!(headers.len(), MAIN_HEADER_COUNT);
    check_headers("main", MAIN, &headers);
}

#[test]
fn headers_of_signet_are_synced_from_a_peer() {
    let Some(vectors) = vectors() else { return };
    let headers = read_headers(&vectors.join("bitcoin/signet_headers.zst"));
    assert!(headers.len() > HEADERS_MAX);
    check_headers("signet", SIGNET, &headers);
}
