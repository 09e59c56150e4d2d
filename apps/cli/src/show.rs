//! `chainwright show`: what a running node tells of a block, a transaction, an address or the chain.

mod ethereum;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::args::ShowCommand;
use crate::error::{CliError, CliResult};
use crate::rpc_client::{Rpc, RpcError};
use crate::{discovery, print};

/// How many blocks below the tip a transaction is looked for without `--block`.
const SEARCH_DEPTH: u64 = 1000;
/// Transactions of a block that are listed.
const LISTED_MAX: usize = 20;

pub(crate) fn run(command: ShowCommand, is_json: bool) -> CliResult<()> {
    match command {
        ShowCommand::Block { block, rpc } => show_block(&mut discovery::find(&rpc)?, &block, is_json),
        ShowCommand::Tx { id, block, rpc } => {
            show_tx(&mut discovery::find(&rpc)?, &id, block.as_deref(), is_json)
        }
        ShowCommand::Address { address, rpc } => show_address(&mut discovery::find(&rpc)?, &address, is_json),
        ShowCommand::Chain { rpc } => show_chain(&mut discovery::find(&rpc)?, is_json),
    }
}

/// The id of a block given by id, height or `tip`.
fn block_id(rpc: &mut Rpc, block: &str) -> CliResult<String> {
    let id = if block == "tip" {
        rpc.ask("getbestblockhash", json!([]))?
    } else if let (true, Ok(height)) = (block.len() < 64, block.parse::<u64>()) {
        rpc.ask("getblockhash", json!([height]))
            .map_err(|error| error.hint("`chainwright show chain` tells the height of the tip"))?
    } else {
        Value::String(block.to_owned())
    };
    Ok(id.as_str().unwrap_or_default().to_owned())
}

fn show_block(rpc: &mut Rpc, block: &str, is_json: bool) -> CliResult<()> {
    if !is_bitcoin(rpc)? {
        return if ethereum::speaks(rpc)? {
            ethereum::show_block(rpc, block, is_json)
        } else {
            show_generic_block(rpc, block, is_json)
        };
    }
    let id = block_id(rpc, block)?;
    let block = rpc
        .ask("getblock", json!([id, 1]))
        .map_err(|error| error.hint("give a block's id, its height, or `tip`"))?;
    if is_json {
        print(block.to_string());
        return Ok(());
    }
    let time = std::time::Duration::from_secs(block["time"].as_u64().unwrap_or_default());
    print(format!("block         {}", text(&block["hash"])));
    print(format!("height        {}   ({} confirmations)", block["height"], block["confirmations"]));
    print(format!("time          {}", chainwright_node::date_time(time)));
    print(format!("parent        {}", text(&block["previousblockhash"])));
    print(format!("difficulty    {}", block["difficulty"]));
    print(format!("size          {} bytes, {} weight units", block["size"], block["weight"]));
    let transactions = block["tx"].as_array().map(Vec::as_slice).unwrap_or_default();
    print(format!("transactions  {}", transactions.len()));
    for id in transactions.iter().take(LISTED_MAX) {
        print(format!("  {}", text(id)));
    }
    if transactions.len() > LISTED_MAX {
        print(format!("  and {} more; --json lists all", transactions.len() - LISTED_MAX));
    }
    Ok(())
}

fn show_tx(rpc: &mut Rpc, id: &str, block: Option<&str>, is_json: bool) -> CliResult<()> {
    if !is_bitcoin(rpc)? && ethereum::speaks(rpc)? {
        return ethereum::show_tx(rpc, id, is_json);
    }
    let tx = match block {
        Some(block) => {
            let block = block_id(rpc, block)?;
            rpc.ask("getrawtransaction", json!([id, true, block]))?
        }
        None => find_tx(rpc, id)?,
    };
    if is_json {
        print(tx.to_string());
        return Ok(());
    }
    print(format!("transaction  {}", text(&tx["txid"])));
    match tx["blockhash"].as_str() {
        Some(block) => print(format!("in block     {block}   ({} confirmations)", tx["confirmations"])),
        None => print("in block     none yet: it waits in the pool"),
    }
    print(format!("size         {} bytes, {} virtual", tx["size"], tx["vsize"]));
    for input in tx["vin"].as_array().into_iter().flatten() {
        match input["txid"].as_str() {
            Some(txid) => print(format!("  in   {txid}:{}", input["vout"])),
            None => print("  in   new coins"),
        }
    }
    for output in tx["vout"].as_array().into_iter().flatten() {
        let script = &output["scriptPubKey"];
        let to = script["address"].as_str().or_else(|| script["type"].as_str()).unwrap_or("?");
        print(format!("  out  {:>16}  {to}", output["value"]));
    }
    Ok(())
}

/// A transaction of the pool, or of one of the newest blocks.
fn find_tx(rpc: &mut Rpc, id: &str) -> CliResult<Value> {
    match rpc.call("getrawtransaction", json!([id, true])) {
        Ok(tx) => return Ok(tx),
        // -5: not in the pool, and there is no index.
        Err(RpcError::Refused { code: -5, .. }) => {}
        Err(error) => return Err(rpc.explain("getrawtransaction", &error)),
    }
    let tip = rpc.ask("getblockcount", json!([]))?.as_u64().unwrap_or_default();
    for height in (tip.saturating_sub(SEARCH_DEPTH)..=tip).rev() {
        let hash = rpc.ask("getblockhash", json!([height]))?;
        let block = rpc.ask("getblock", json!([hash, 1]))?;
        if block["tx"].as_array().is_some_and(|ids| ids.iter().any(|known| known == id)) {
            return rpc.ask("getrawtransaction", json!([id, true, hash]));
        }
    }
    Err(CliError::failed(format!("no transaction {id} in the pool or the last {SEARCH_DEPTH} blocks"))
        .hint("name the block it is in with --block ID|HEIGHT"))
}

fn show_address(rpc: &mut Rpc, address: &str, is_json: bool) -> CliResult<()> {
    if !is_bitcoin(rpc)? && ethereum::speaks(rpc)? {
        return ethereum::show_account(rpc, address, is_json);
    }
    let known = rpc.ask("validateaddress", json!([address]))?;
    if known["isvalid"] != true {
        return Err(CliError::usage(format!("`{address}` is no address of this chain"))
            .hint("`chainwright key new --chain NAME` makes one"));
    }
    let tip = rpc.ask("getblockcount", json!([]))?.as_u64().unwrap_or_default();
    let mut coins: BTreeMap<(String, u64), (Value, u64)> = BTreeMap::new();
    let mut received = 0_u64;
    for height in 0..=tip {
        let hash = rpc.ask("getblockhash", json!([height]))?;
        let block = rpc.ask("getblock", json!([hash, 2]))?;
        for tx in block["tx"].as_array().into_iter().flatten() {
            for input in tx["vin"].as_array().into_iter().flatten() {
                let spent = (text(&input["txid"]).to_owned(), input["vout"].as_u64().unwrap_or_default());
                coins.remove(&spent);
            }
            for output in tx["vout"].as_array().into_iter().flatten() {
                if output["scriptPubKey"]["address"] == address {
                    let place = (text(&tx["txid"]).to_owned(), output["n"].as_u64().unwrap_or_default());
                    received += satoshi(&output["value"]);
                    coins.insert(place, (output["value"].clone(), height));
                }
            }
        }
    }
    let balance: u64 = coins.values().map(|(value, _)| satoshi(value)).sum();
    let list: Vec<_> = coins
        .iter()
        .map(|((txid, vout), (value, height))| json!({ "txid": txid, "vout": vout, "value": value, "height": height }))
        .collect();
    if is_json {
        let amounts = (crate::wallet::coins(balance), crate::wallet::coins(received));
        print(
            json!({ "address": address, "balance": amounts.0, "received": amounts.1, "height": tip, "coins": list })
                .to_string(),
        );
        return Ok(());
    }
    print(format!("address   {address}"));
    print(format!("balance   {} in {} coins, at height {tip}", crate::wallet::coins(balance), coins.len()));
    print(format!("received  {}", crate::wallet::coins(received)));
    for ((txid, vout), (value, height)) in coins.iter().take(LISTED_MAX) {
        print(format!("  {value:>16}  {txid}:{vout}  height {height}"));
    }
    if coins.len() > LISTED_MAX {
        print(format!("  and {} more; --json lists all", coins.len() - LISTED_MAX));
    }
    Ok(())
}

/// Satoshi of a JSON number with eight decimals, exactly.
fn satoshi(value: &Value) -> u64 {
    crate::wallet::parse_coins(&value.to_string()).unwrap_or_default()
}

fn show_chain(rpc: &mut Rpc, is_json: bool) -> CliResult<()> {
    if !is_bitcoin(rpc)? {
        return if ethereum::speaks(rpc)? {
            ethereum::show_chain(rpc, is_json)
        } else {
            show_generic_chain(rpc, is_json)
        };
    }
    let chain = rpc.ask("getblockchaininfo", json!([]))?;
    let network = rpc.ask("getnetworkinfo", json!([]))?;
    let pool = rpc.ask("getmempoolinfo", json!([]))?;
    if is_json {
        print(json!({ "chain": chain, "network": network, "pool": pool }).to_string());
        return Ok(());
    }
    print(format!("chain    {} at {}", text(&chain["chain"]), rpc.address()));
    print(format!("tip      height {}, {}", chain["blocks"], text(&chain["bestblockhash"])));
    let state = if chain["initialblockdownload"] == true { "catching up" } else { "up to date" };
    print(format!("headers  {}   ({state})", chain["headers"]));
    print(format!(
        "peers    {} ({} in, {} out)",
        network["connections"], network["connections_in"], network["connections_out"]
    ));
    print(format!("pool     {} transactions, {} bytes", pool["size"], pool["bytes"]));
    print(format!("disk     {} bytes", chain["size_on_disk"]));
    print(format!("agent    {}", text(&network["subversion"])));
    Ok(())
}

/// Whether the node speaks Bitcoin's dialect.
fn is_bitcoin(rpc: &mut Rpc) -> CliResult<bool> {
    match rpc.call("getblockcount", json!([])) {
        Ok(_) => Ok(true),
        Err(RpcError::Refused { code: -32_601, .. }) => Ok(false),
        Err(error) => Err(rpc.explain("getblockcount", &error)),
    }
}

fn show_generic_block(rpc: &mut Rpc, block: &str, is_json: bool) -> CliResult<()> {
    let wanted = match block.parse::<u32>() {
        _ if block == "tip" => json!([]),
        Ok(height) if block.len() < 64 => json!([height]),
        _ => json!([block]),
    };
    let block = rpc
        .ask("chain_block", wanted)
        .map_err(|error| error.hint("give a block's id, its height, or `tip`"))?;
    if is_json {
        print(block.to_string());
        return Ok(());
    }
    let time = std::time::Duration::from_secs(block["time"].as_u64().unwrap_or_default());
    print(format!("block   {}", text(&block["id"])));
    print(format!("height  {}   ({})", block["height"], text(&block["status"])));
    print(format!("time    {}", chainwright_node::date_time(time)));
    print(format!("parent  {}", text(&block["parent"])));
    print(format!("size    {} bytes", text(&block["block"]).len() / 2));
    Ok(())
}

fn show_generic_chain(rpc: &mut Rpc, is_json: bool) -> CliResult<()> {
    let chain = rpc.ask("chain_head", json!([]))?;
    let pool = rpc.ask("chain_pool", json!([]))?.as_array().map_or(0, Vec::len);
    if is_json {
        print(json!({ "chain": chain, "pool": { "size": pool } }).to_string());
        return Ok(());
    }
    print(format!("ledger   {} at {}", text(&chain["ledger"]), rpc.address()));
    print(format!("tip      height {}, {}", chain["head"]["height"], text(&chain["head"]["id"])));
    print(format!("headers  {}", chain["best_header"]["height"]));
    if let Some(height) = chain["finalized"]["height"].as_u64() {
        print(format!("final    height {height}"));
    }
    print(format!("pool     {pool} transactions"));
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("none")
}
