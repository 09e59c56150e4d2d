//! What a node of an Ethereum chain tells: the same questions, accounts instead of addresses.

use alloy_primitives::{Address, U256};
use serde_json::{Value, json};

use super::{LISTED_MAX, text};
use crate::error::{CliError, CliResult};
use crate::print;
use crate::rpc_client::{Rpc, RpcError};
use crate::wallet::{ether, parse_address};

/// Whether the node speaks Ethereum's dialect.
pub(super) fn speaks(rpc: &mut Rpc) -> CliResult<bool> {
    match rpc.call("eth_chainId", json!([])) {
        Ok(_) => Ok(true),
        Err(RpcError::Refused { code: -32_601, .. }) => Ok(false),
        Err(error) => Err(rpc.explain("eth_chainId", &error)),
    }
}

/// A quantity as RPC writes it: `0x1f`.
fn number(value: &Value) -> U256 {
    U256::from_str_radix(text(value).trim_start_matches("0x"), 16).unwrap_or_default()
}

fn date(value: &Value) -> String {
    chainwright_node::date_time(std::time::Duration::from_secs(number(value).saturating_to()))
}

/// The block given by hash, height or `tip`, with whole transactions.
fn find_block(rpc: &mut Rpc, block: &str) -> CliResult<Value> {
    let found = if block == "tip" {
        rpc.ask("eth_getBlockByNumber", json!(["latest", true]))?
    } else if let (true, Ok(height)) = (block.len() < 64, block.parse::<u64>()) {
        rpc.ask("eth_getBlockByNumber", json!([format!("{height:#x}"), true]))?
    } else {
        let id = format!("0x{}", block.trim_start_matches("0x"));
        rpc.ask("eth_getBlockByHash", json!([id, true]))
            .map_err(|error| error.hint("give a block's hash, its height, or `tip`"))?
    };
    if found.is_null() {
        return Err(CliError::failed(format!("there is no block `{block}`")).hint(
            "give a block's hash, its height, or `tip`; `chainwright show chain` tells the height of the tip",
        ));
    }
    Ok(found)
}

pub(super) fn show_block(rpc: &mut Rpc, block: &str, is_json: bool) -> CliResult<()> {
    let block = find_block(rpc, block)?;
    if is_json {
        print(block.to_string());
        return Ok(());
    }
    print(format!("block         {}", text(&block["hash"])));
    print(format!("height        {}", number(&block["number"])));
    print(format!("time          {}", date(&block["timestamp"])));
    print(format!("parent        {}", text(&block["parentHash"])));
    print(format!("state root    {}", text(&block["stateRoot"])));
    print(format!("paid          {}", text(&block["miner"])));
    print(format!("gas           {} of {}", number(&block["gasUsed"]), number(&block["gasLimit"])));
    if !block["baseFeePerGas"].is_null() {
        print(format!("base fee      {} wei", number(&block["baseFeePerGas"])));
    }
    let transactions = block["transactions"].as_array().map(Vec::as_slice).unwrap_or_default();
    print(format!("transactions  {}", transactions.len()));
    for tx in transactions.iter().take(LISTED_MAX) {
        print(format!("  {}  {} ether", text(&tx["hash"]), ether(number(&tx["value"]))));
    }
    if transactions.len() > LISTED_MAX {
        print(format!("  and {} more; --json lists all", transactions.len() - LISTED_MAX));
    }
    Ok(())
}

pub(super) fn show_tx(rpc: &mut Rpc, id: &str, is_json: bool) -> CliResult<()> {
    let id = format!("0x{}", id.trim_start_matches("0x"));
    let tx = rpc.ask("eth_getTransactionByHash", json!([id]))?;
    if tx.is_null() {
        return Err(CliError::failed(format!("transaction {id} is neither in the pool nor in the chain"))
            .hint("`chainwright show chain` tells whether the node has caught up"));
    }
    let receipt = rpc.ask("eth_getTransactionReceipt", json!([id]))?;
    let reason = if receipt["status"] == "0x0" { revert_reason(rpc, &tx) } else { None };
    if is_json {
        print(json!({ "transaction": tx, "receipt": receipt, "revert_reason": reason }).to_string());
        return Ok(());
    }
    print(format!("transaction  {}", text(&tx["hash"])));
    print(format!("from         {}   (nonce {})", text(&tx["from"]), number(&tx["nonce"])));
    match receipt["contractAddress"].as_str() {
        Some(contract) => print(format!("creates      {contract}")),
        None => print(format!("to           {}", text(&tx["to"]))),
    }
    print(format!("value        {} ether", ether(number(&tx["value"]))));
    print(format!("input        {} bytes", text(&tx["input"]).len().saturating_sub(2) / 2));
    if receipt.is_null() {
        print("status       waits in the pool");
        return Ok(());
    }
    let price = number(&receipt["effectiveGasPrice"]);
    let fee = ether(number(&receipt["gasUsed"]).saturating_mul(price));
    print(format!(
        "block        {} at height {}",
        text(&receipt["blockHash"]),
        number(&receipt["blockNumber"])
    ));
    print(format!("fee          {fee} ether: {} gas at {price} wei", number(&receipt["gasUsed"])));
    match (receipt["status"].as_str(), reason) {
        (Some("0x0"), Some(reason)) => print(format!("status       failed: {reason}")),
        (Some("0x0"), None) => print("status       failed"),
        _ => print("status       done"),
    }
    let logs = receipt["logs"].as_array().map(Vec::as_slice).unwrap_or_default();
    print(format!("logs         {}", logs.len()));
    for log in logs.iter().take(LISTED_MAX) {
        print(format!("  {}  {}", text(&log["address"]), text(&log["topics"][0])));
    }
    Ok(())
}

/// Why a transaction failed: the same call again, on the state before its block. Others of the block may have mattered.
fn revert_reason(rpc: &mut Rpc, tx: &Value) -> Option<String> {
    let before = number(&tx["blockNumber"]).checked_sub(U256::ONE)?;
    let mut call =
        json!({ "from": tx["from"], "value": tx["value"], "input": tx["input"], "gas": tx["gas"] });
    if tx["to"].is_string() {
        call["to"] = tx["to"].clone();
    }
    match rpc.call("eth_call", json!([call, format!("{before:#x}")])) {
        Err(RpcError::Refused { message, .. }) => Some(message),
        _ => None,
    }
}

pub(super) fn show_account(rpc: &mut Rpc, address: &str, is_json: bool) -> CliResult<()> {
    let address: Address = parse_address(address)?;
    let height = rpc.ask("eth_blockNumber", json!([]))?;
    let balance = rpc.ask("eth_getBalance", json!([address, height]))?;
    let nonce = rpc.ask("eth_getTransactionCount", json!([address, height]))?;
    let code = rpc.ask("eth_getCode", json!([address, height]))?;
    let code_bytes = text(&code).len().saturating_sub(2) / 2;
    if is_json {
        print(
            json!({
                "address": address.to_checksum(None), "balance": ether(number(&balance)),
                "wei": number(&balance).to_string(), "nonce": number(&nonce).saturating_to::<u64>(),
                "code_bytes": code_bytes, "height": number(&height).saturating_to::<u64>(),
            })
            .to_string(),
        );
        return Ok(());
    }
    print(format!("account  {}", address.to_checksum(None)));
    print(format!("balance  {} ether, at height {}", ether(number(&balance)), number(&height)));
    print(format!("nonce    {}", number(&nonce)));
    match code_bytes {
        0 => print("code     none: it belongs to a key"),
        count => print(format!("code     {count} bytes: a contract")),
    }
    Ok(())
}

pub(super) fn show_chain(rpc: &mut Rpc, is_json: bool) -> CliResult<()> {
    let id = number(&rpc.ask("eth_chainId", json!([]))?);
    let tip = rpc.ask("eth_getBlockByNumber", json!(["latest", false]))?;
    let syncing = rpc.ask("eth_syncing", json!([]))?;
    let peers = number(&rpc.ask("net_peerCount", json!([]))?);
    let pool = rpc.ask("txpool_status", json!([]))?;
    let agent = rpc.ask("web3_clientVersion", json!([]))?;
    let finalized = rpc.call("eth_getBlockByNumber", json!(["finalized", false])).unwrap_or(Value::Null);
    if is_json {
        print(
            json!({
                "chain_id": id.saturating_to::<u64>(), "tip": tip, "finalized": finalized["number"], "syncing": syncing,
                "peers": peers.saturating_to::<u64>(), "pool": pool, "agent": agent,
            })
            .to_string(),
        );
        return Ok(());
    }
    print(format!("chain    id {id} at {}", rpc.address()));
    print(format!("tip      height {}, {}", number(&tip["number"]), text(&tip["hash"])));
    print(format!("time     {}", date(&tip["timestamp"])));
    if !finalized.is_null() {
        print(format!("final    height {}", number(&finalized["number"])));
    }
    match syncing["highestBlock"].as_str() {
        Some(_) => print(format!("headers  {}   (catching up)", number(&syncing["highestBlock"]))),
        None => print("headers  the same   (up to date)"),
    }
    print(format!("peers    {peers}"));
    print(format!("pool     {} pending, {} queued", number(&pool["pending"]), number(&pool["queued"])));
    print(format!("agent    {}", text(&agent)));
    Ok(())
}
