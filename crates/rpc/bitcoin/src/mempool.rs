//! What waits for a block: `getmempoolinfo`, `getrawmempool`, `getmempoolentry`, `getmempoolancestors`, …

use chainwright_utxo::hash::Txid;
use chainwright_utxo::pool::{EntryInfo, TransactionPool};
use chainwright_utxo::tx::OutPoint;
use serde_json::{Value, json};

use crate::encode::{Object, put, txid};
use crate::number::amount;
use crate::{BitcoinNode, Entry, hash_param, parse_hash, show_txid};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError, integer};

const TXID: Parameter = Parameter::required("txid", Kind::Hex, "The transaction id (must be in mempool)");
const VERBOSE: Parameter = Parameter::optional(
    "verbose",
    Kind::Bool,
    "false",
    "True for a json object, false for array of transaction ids",
);

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        category: "blockchain",
        name: "getmempoolinfo",
        parameters: &[],
        description: "Returns details on the active state of the TX memory pool.",
        run: |node, _| Ok(node.pool_info()),
    },
    Entry {
        category: "blockchain",
        name: "getrawmempool",
        parameters: &[
            VERBOSE,
            Parameter::optional(
                "mempool_sequence",
                Kind::Bool,
                "false",
                "If verbose=false, returns a json object with transaction list and mempool sequence number attached.",
            ),
        ],
        description: "Returns all transaction ids in memory pool as a json array of string transaction ids.\n\nHint: use getmempoolentry to fetch a specific transaction from the mempool.\n",
        run: raw_pool,
    },
    Entry {
        category: "blockchain",
        name: "getmempoolentry",
        parameters: &[TXID],
        description: "Returns mempool data for given transaction\n",
        run: pool_entry,
    },
    Entry {
        category: "blockchain",
        name: "getmempoolancestors",
        parameters: &[TXID, VERBOSE],
        description: "If txid is in the mempool, returns all in-mempool ancestors.\n",
        run: |node, call| relatives(node, call, TransactionPool::ancestors),
    },
    Entry {
        category: "blockchain",
        name: "getmempooldescendants",
        parameters: &[TXID, VERBOSE],
        description: "If txid is in the mempool, returns all in-mempool descendants.\n",
        run: |node, call| relatives(node, call, TransactionPool::descendants),
    },
    Entry {
        category: "blockchain",
        name: "gettxspendingprevout",
        parameters: &[Parameter::required(
            "outputs",
            Kind::Array("[{\"txid\":\"hex\",\"vout\":n},...]"),
            "The transaction outputs that we want to check, and within each, the txid (string) vout (numeric).",
        )],
        description: "Scans the mempool to find transactions spending any of the given outputs\n",
        run: spenders,
    },
];

impl BitcoinNode {
    fn pool_info(&self) -> Value {
        let policy = &self.ledger().policy;
        let info = self.published().pool().summary(policy, self.host.now());
        json!({
            "loaded": true,
            "size": info.size,
            "bytes": info.vsize,
            "usage": info.usage,
            "total_fee": amount(info.total_fee.0),
            "maxmempool": info.memory_max,
            "mempoolminfee": amount(info.fee_min.0),
            "minrelaytxfee": amount(policy.relay_fee_min.0),
            "incrementalrelayfee": amount(policy.incremental_fee.0),
            "unbroadcastcount": 0,
            "fullrbf": true,
            "permitbaremultisig": policy.permit_bare_multisig,
            "maxdatacarriersize": policy.datacarrier_bytes_max.unwrap_or(0),
            "limitclustercount": policy.cluster_count_max,
            "limitclustersize": policy.cluster_vsize_max,
            "optimal": true,
        })
    }
}

/// Bitcoin Core's `entryToJSON`.
fn entry_json(info: &EntryInfo) -> Value {
    let ids = |txids: &[Txid]| {
        let mut ids: Vec<String> = txids.iter().map(|txid| show_txid(*txid)).collect();
        ids.sort_unstable();
        ids
    };
    json!({
        "vsize": info.vsize,
        "weight": info.weight,
        "time": info.time.0,
        "height": info.height,
        "descendantcount": info.descendants.count,
        "descendantsize": info.descendants.vsize,
        "ancestorcount": info.ancestors.count,
        "ancestorsize": info.ancestors.vsize,
        "wtxid": info.wtxid.to_string(),
        "chunkweight": info.chunk_weight,
        "fees": {
            "base": amount(info.fee.0),
            "modified": amount(info.fee.0),
            "ancestor": amount(info.ancestors.fees.0),
            "descendant": amount(info.descendants.fees.0),
            "chunk": amount(info.chunk_fees.0),
        },
        "depends": ids(&info.depends),
        "spentby": ids(&info.spent_by),
        "bip125-replaceable": info.bip125_replaceable,
        "unbroadcast": false,
    })
}

fn listed(pool: &TransactionPool, txids: Vec<Txid>, verbose: bool) -> Value {
    if !verbose {
        return txids.into_iter().map(show_txid).collect();
    }
    let infos = txids.into_iter().filter_map(|txid| Some((show_txid(txid), entry_json(&pool.info(&txid)?))));
    Value::Object(infos.collect::<Object>())
}

fn raw_pool(node: &BitcoinNode, call: &Call) -> Answer {
    let verbose = call.flag(0)?.unwrap_or(false);
    let with_sequence = call.flag(1)?.unwrap_or(false);
    if verbose && with_sequence {
        return Err(RpcError::parameter("Verbose results cannot contain mempool sequence values."));
    }
    if verbose {
        // The driver waits for the lock: a copy is short, writing a hundred thousand entries down is not.
        let copy = node.published().pool().clone();
        return Ok(listed(&copy, copy.txids(), true));
    }
    let (txids, sequence) = {
        let pool = node.published().pool();
        (pool.txids(), pool.sequence())
    };
    let shown: Value = txids.into_iter().map(show_txid).collect();
    Ok(if with_sequence { json!({ "txids": shown, "mempool_sequence": sequence }) } else { shown })
}

fn not_pooled() -> RpcError {
    RpcError::unknown("Transaction not in mempool")
}

fn pool_entry(node: &BitcoinNode, call: &Call) -> Answer {
    let wanted = txid(hash_param(call, 0, "txid")?);
    let info = node.published().pool().info(&wanted);
    info.map(|info| entry_json(&info)).ok_or_else(not_pooled)
}

fn relatives(node: &BitcoinNode, call: &Call, find: fn(&TransactionPool, &Txid) -> Vec<Txid>) -> Answer {
    let wanted = txid(hash_param(call, 0, "txid")?);
    let verbose = call.flag(1)?.unwrap_or(false);
    let pool = node.published().pool();
    if pool.entry(&wanted).is_none() {
        return Err(not_pooled());
    }
    let mut found = find(&pool, &wanted);
    found.retain(|txid| *txid != wanted);
    Ok(listed(&pool, found, verbose))
}

fn spenders(node: &BitcoinNode, call: &Call) -> Answer {
    let outputs = call.param(0).as_array().map(Vec::as_slice).unwrap_or_default();
    if outputs.is_empty() {
        return Err(RpcError::parameter("Invalid parameter, outputs are missing"));
    }
    outputs.iter().map(|output| node.spender_json(output)).collect::<Result<Vec<_>, _>>().map(Value::from)
}

impl BitcoinNode {
    fn spender_json(&self, output: &Value) -> Answer {
        let missing = |field: &str| RpcError::wrong_type(format!("Missing {field}"));
        let id = output.get("txid").and_then(Value::as_str).ok_or_else(|| missing("txid"))?;
        let id = txid(parse_hash(id, "txid")?);
        let index: i32 = integer(output.get("vout").ok_or_else(|| missing("vout"))?)?;
        let index = u32::try_from(index)
            .map_err(|_| RpcError::parameter("Invalid parameter, vout cannot be negative"))?;
        let mut object = Object::new();
        put(&mut object, [("txid", show_txid(id).into()), ("vout", index.into())]);
        let pool = self.published().pool();
        if let Some(spender) = pool.spender(&OutPoint { txid: id, index }) {
            put(&mut object, [("spendingtxid", show_txid(spender).into())]);
        }
        Ok(object.into())
    }
}
