//! Bitcoin's dialect: the methods of Bitcoin Core 31 over a chain with the utxo ledger.
//!
//! Names, order of fields, shapes, number formats, error codes and messages are those of Bitcoin Core's `rpc/*.cpp` and
//! `core_io.cpp`. One file holds one family of methods; each has a table `METHODS`.
//!
//! Start reading at [`BitcoinNode`].

mod accept;
mod blockchain;
mod chainstate;
mod descriptor;
mod encode;
mod generate;
mod mempool;
mod mining;
mod network;
mod number;
mod rawtransaction;
mod submit;
mod template;
mod util;
mod wait;

use std::sync::Arc;

use chainwright_chain::{BlockId, ChainHandle, Consensus, Headers, Height, Published, Reject};
use chainwright_utxo::Utxo;
use chainwright_utxo::address::AddressPrefixes;
use chainwright_utxo::block::Block;
use chainwright_utxo::hash::{BlockHash, Txid};
use chainwright_utxo::params::Parameters;
use chainwright_utxo::script::Script;

use chainwright_rpc::{Answer, Call, Dialect, Host, Method, Parameter, RpcError, code, not_of_type};

/// What the dialect speaks for.
pub struct BitcoinNode {
    /// The chain.
    pub chain: ChainHandle<Utxo>,
    /// The engine: templates and `generate…` ask it for attributes and seals.
    pub consensus: Arc<dyn Consensus<Utxo>>,
    /// The node around the chain.
    pub host: Arc<dyn Host>,
    /// What the program calls itself, as in `… is not connected!`.
    pub client_name: String,
    /// The program's version as one number, `310000` for 31.0.0.
    pub client_version: u32,
    /// Blocks between two changes of the target.
    pub retarget_interval: u32,
    /// Whom `generate` pays. Bitcoin Core has no such method any more; without a script it says so.
    pub generate_to: Option<Script>,
}

/// Bitcoin Core's methods.
pub struct BitcoinDialect {
    node: Arc<BitcoinNode>,
}

impl BitcoinDialect {
    /// The dialect of one node.
    pub fn new(node: BitcoinNode) -> Arc<Self> {
        Arc::new(Self { node: Arc::new(node) })
    }
}

/// One method before it is bound to a node.
struct Entry {
    category: &'static str,
    name: &'static str,
    parameters: &'static [Parameter],
    description: &'static str,
    run: fn(&BitcoinNode, &Call) -> Answer,
}

impl Dialect for BitcoinDialect {
    fn name(&self) -> &'static str {
        "bitcoin"
    }

    fn methods(self: Arc<Self>) -> Vec<Method> {
        let families = [
            blockchain::METHODS,
            chainstate::METHODS,
            wait::METHODS,
            mempool::METHODS,
            rawtransaction::METHODS,
            submit::METHODS,
            accept::METHODS,
            mining::METHODS,
            generate::METHODS,
            template::METHODS,
            network::METHODS,
            util::METHODS,
        ];
        let bind = |entry: &'static Entry| {
            let node = Arc::clone(&self.node);
            Method {
                name: entry.name,
                category: entry.category,
                parameters: entry.parameters,
                description: entry.description,
                handler: Arc::new(move |call| (entry.run)(&node, call)),
            }
        };
        families.into_iter().flatten().map(bind).collect()
    }
}

impl BitcoinNode {
    fn published(&self) -> &Published<Utxo> {
        self.chain.published()
    }

    fn ledger(&self) -> &Utxo {
        self.published().ledger()
    }

    fn parameters(&self) -> &Parameters {
        &self.ledger().parameters
    }

    /// First bytes and words of this chain's addresses.
    fn prefixes(&self) -> &AddressPrefixes {
        &self.parameters().addresses
    }

    fn tip(&self) -> Headers<Utxo> {
        self.published().head().headers
    }

    /// A block whose header is known.
    fn block(&self, id: [u8; 32]) -> Result<Headers<Utxo>, RpcError> {
        self.published().headers(&BlockId(id)).ok_or_else(|| RpcError::unknown("Block not found"))
    }

    /// A block's body, in the words of Bitcoin Core's `GetBlockChecked` if it is missing.
    fn body(&self, block: &Headers<Utxo>) -> Result<Block, RpcError> {
        let missing = || RpcError::misc("Block not available (not fully downloaded)");
        self.published().read_block(&block.id())?.ok_or_else(missing)
    }

    /// Whether the chain is still being downloaded: the tip is older than a day, or peers know of many more blocks.
    fn is_initial_download(&self) -> bool {
        const TIP_AGE_MAX_SECONDS: u64 = 24 * 60 * 60;
        let tip = self.tip();
        let age = self.host.now().0.saturating_sub(u64::from(tip.header().time));
        age > TIP_AGE_MAX_SECONDS
    }
}

/// A 32-byte hash a person wrote, in the order of its bytes (Bitcoin Core `ParseHashV`).
fn parse_hash(text: &str, name: &str) -> Result<[u8; 32], RpcError> {
    if let Ok(hash) = text.parse::<BlockHash>() {
        return Ok(hash.0);
    }
    let length = text.len();
    Err(RpcError::parameter(if length == 64 {
        format!("{name} must be hexadecimal string (not '{text}')")
    } else {
        format!("{name} must be of length 64 (not {length}, for '{text}')")
    }))
}

/// The hash at a position of a call.
fn hash_param(call: &Call, at: usize, name: &str) -> Result<[u8; 32], RpcError> {
    let text = call.text(at).ok_or_else(|| not_of_type(call.param(at), "string"))?;
    parse_hash(text, name)
}

/// Bitcoin Core's `ParseVerbosity`.
fn verbosity_param(call: &Call, at: usize, default: i64) -> Result<i64, RpcError> {
    if let Some(flag) = call.param(at).as_bool() {
        return Ok(i64::from(flag));
    }
    Ok(call.integer(at)?.unwrap_or(default))
}

/// An amount of coins in satoshi (Bitcoin Core `AmountFromValue`).
fn amount_param(call: &Call, at: usize) -> Result<Option<i64>, RpcError> {
    use serde_json::Value;
    let text = match call.param(at) {
        Value::Null => return Ok(None),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return Err(RpcError::wrong_type("Amount is not a number or string")),
    };
    let amount = number::parse_fixed_point(&text, 8);
    let amount = amount.ok_or_else(|| RpcError::wrong_type("Invalid amount"))?;
    if !chainwright_utxo::amount::Amount(amount).is_money() {
        return Err(RpcError::wrong_type("Amount out of range"));
    }
    Ok(Some(amount))
}

/// The block at a height of the branch that ends with `tip`.
fn at_height(tip: &Headers<Utxo>, height: i64) -> Option<Headers<Utxo>> {
    u32::try_from(height).ok().and_then(|height| tip.ancestor(Height(height)))
}

fn show_block(block: &Headers<Utxo>) -> String {
    BlockHash(block.id().0).to_string()
}

fn show_txid(txid: Txid) -> String {
    txid.to_string()
}

/// A reject as `BlockValidationState::ToString` says it: the word, and what was seen.
fn reject_text(reject: &Reject) -> String {
    match reject {
        Reject::NotYet(_) => "time-too-new, block timestamp too far in the future".into(),
        Reject::MissingParent(_) => "prev-blk-not-found".into(),
        other => other.to_string(),
    }
}

/// A reject's word alone, or an error if it is our own fault (Bitcoin Core `BIP22ValidationResult`).
fn reject_word(reject: &Reject) -> Result<String, RpcError> {
    match reject {
        Reject::Invalid(reason) | Reject::Mutated(reason) => Ok(reason.code.to_string()),
        Reject::NotYet(_) => Ok("time-too-new".into()),
        Reject::MissingParent(_) => Ok("prev-blk-not-found".into()),
        Reject::Fault(fault) => Err(RpcError::new(code::VERIFY_ERROR, fault.to_string())),
    }
}

#[cfg(test)]
mod tests;
