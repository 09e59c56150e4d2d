//! The set of coins, and the operator's will: `gettxout`, `gettxoutsetinfo`, `invalidateblock`, `reconsiderblock`, `preciousblock`.

use chainwright_chain::{Reject, View};
use chainwright_utxo::Utxo;
use chainwright_utxo::coin::{Coin, coin};
use chainwright_utxo::hash::BlockHash;
use chainwright_utxo::statistics::{CoinsHash, statistics};
use chainwright_utxo::tx::OutPoint;
use serde_json::{Value, json};

use crate::encode::{Object, put, txid};
use crate::number::amount;
use crate::{BitcoinNode, Entry, hash_param, reject_text, show_block};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError, code};

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        category: "blockchain",
        name: "gettxout",
        parameters: &[
            Parameter::required("txid", Kind::Hex, "The transaction id"),
            Parameter::required("n", Kind::Number, "vout number"),
            Parameter::optional(
                "include_mempool",
                Kind::Bool,
                "true",
                "Whether to include the mempool. Note that an unspent output that is spent in the mempool won't appear.",
            ),
        ],
        description: "Returns details about an unspent transaction output.\n",
        run: tx_out,
    },
    Entry {
        category: "blockchain",
        name: "gettxoutsetinfo",
        parameters: &[
            Parameter::optional(
                "hash_type",
                Kind::String,
                "\"hash_serialized_3\"",
                "Which UTXO set hash should be calculated. Options: 'hash_serialized_3' (the legacy algorithm), 'muhash', 'none'.",
            ),
            Parameter::optional(
                "hash_or_height",
                Kind::Any,
                "the current best block",
                "The block hash or height of the target height (only available with coinstatsindex).",
            ),
            Parameter::optional("use_index", Kind::Bool, "true", "Use coinstatsindex, if available."),
        ],
        description: "Returns statistics about the unspent transaction output set.\n\
                      Note this call may take some time if you are not using coinstatsindex.\n",
        run: coins_info,
    },
    Entry {
        category: "blockchain",
        name: "invalidateblock",
        parameters: &[Parameter::required(
            "blockhash",
            Kind::Hex,
            "the hash of the block to mark as invalid",
        )],
        description: "Permanently marks a block as invalid, as if it violated a consensus rule.\n",
        run: |node, call| {
            let block = node.block(hash_param(call, 0, "blockhash")?)?;
            done(node.chain.invalidate(block.id()).wait()?)
        },
    },
    Entry {
        category: "blockchain",
        name: "reconsiderblock",
        parameters: &[Parameter::required("blockhash", Kind::Hex, "the hash of the block to reconsider")],
        description: "Removes invalidity status of a block, its ancestors and its descendants, reconsider them for activation.\n\
                      This can be used to undo the effects of invalidateblock.\n",
        run: |node, call| {
            let block = node.block(hash_param(call, 0, "blockhash")?)?;
            done(node.chain.reconsider(block.id()).wait()?)
        },
    },
    Entry {
        category: "blockchain",
        name: "preciousblock",
        parameters: &[Parameter::required(
            "blockhash",
            Kind::Hex,
            "the hash of the block to mark as precious",
        )],
        description: "Treats a block as if it were received before others with the same work.\n\n\
                      A later preciousblock call can override the effect of an earlier one.\n\n\
                      The effects of preciousblock are not retained across restarts.\n",
        run: precious_block,
    },
    Entry {
        category: "hidden",
        name: "syncwithvalidationinterfacequeue",
        parameters: &[],
        description: "Waits for the validation interface queue to catch up on everything that was there when we entered this function.\n",
        run: |node, _| {
            node.chain.with_pool(|_| ()).wait()?;
            Ok(Value::Null)
        },
    },
];

fn done(result: Result<(), Reject>) -> Answer {
    match result {
        Ok(()) => Ok(Value::Null),
        Err(reject) => Err(RpcError::new(code::DATABASE_ERROR, reject_text(&reject))),
    }
}

/// Bitcoin Core's `PreciousBlock`: a block with less work than the tip is left alone, one with as much comes first.
fn precious_block(node: &BitcoinNode, call: &Call) -> Answer {
    let block = node.block(hash_param(call, 0, "blockhash")?)?;
    let tip = node.tip();
    if block.weight() < tip.weight() || tip.contains(&block) {
        return Ok(Value::Null);
    }
    done(node.chain.prefer(block.id()).wait()?)
}

fn tx_out(node: &BitcoinNode, call: &Call) -> Answer {
    let outpoint =
        OutPoint { txid: txid(hash_param(call, 0, "txid")?), index: call.integer(1)?.unwrap_or(0) };
    let with_pool = call.flag(2)?.unwrap_or(true);
    let head = node.published().head();
    let Some((coin, is_confirmed)) = node.unspent(&head, &outpoint, with_pool)? else {
        return Ok(Value::Null);
    };
    let tip = &head.headers;
    let confirmations = if is_confirmed { tip.height().0.saturating_sub(coin.height) + 1 } else { 0 };
    Ok(json!({
        "bestblock": show_block(tip),
        "confirmations": confirmations,
        "value": amount(coin.output.value.0),
        "scriptPubKey": node.script_json(coin.output.script_pubkey.as_bytes()),
        "coinbase": coin.is_coinbase,
    }))
}

/// Looks at all coins of the head as it stands now; the chain goes on meanwhile.
fn coins_info(node: &BitcoinNode, call: &Call) -> Answer {
    let word = call.text(0).unwrap_or("hash_serialized_3");
    let kind = match word {
        "hash_serialized_3" => CoinsHash::Serialized3,
        "muhash" => CoinsHash::MuHash,
        "none" => CoinsHash::None,
        other => return Err(RpcError::parameter(format!("'{other}' is not a valid hash_type"))),
    };
    if !call.param(1).is_null() {
        let message = "Querying specific block heights requires coinstatsindex";
        return Err(RpcError::parameter(message));
    }
    let head = node.published().head();
    let found = statistics(&head, kind)?;
    let mut object = Object::new();
    put(
        &mut object,
        [
            ("height", head.headers.height().0.into()),
            ("bestblock", show_block(&head.headers).into()),
            ("txouts", found.coins.into()),
            ("bogosize", found.bogosize.into()),
        ],
    );
    if let Some(hash) = found.hash {
        put(&mut object, [(word, BlockHash(hash).to_string().into())]);
    }
    let size = node.host.size_on_disk_bytes().map_err(|error| RpcError::misc(error.to_string()))?;
    put(
        &mut object,
        [
            ("total_amount", amount(found.total.0)),
            ("transactions", found.transactions.into()),
            ("disk_size", size.into()),
        ],
    );
    Ok(object.into())
}

impl BitcoinNode {
    /// A coin and whether a block created it.
    fn unspent(
        &self,
        head: &View<Utxo>,
        outpoint: &OutPoint,
        with_pool: bool,
    ) -> Result<Option<(Coin, bool)>, RpcError> {
        if with_pool {
            let pool = self.published().pool();
            if pool.spender(outpoint).is_some() {
                return Ok(None);
            }
            if let Some(entry) = pool.entry(&outpoint.txid)
                && let Some(output) = entry.transaction.outputs().get(outpoint.index as usize)
            {
                return Ok(Some((Coin { height: 0, is_coinbase: false, output: output.clone() }, false)));
            }
        }
        Ok(coin(&head.state, outpoint)?.map(|coin| (coin, true)))
    }
}
