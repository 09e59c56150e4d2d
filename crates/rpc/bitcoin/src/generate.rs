//! Making blocks at once: `generatetoaddress`, `generatetodescriptor`, `generateblock`, `generate` (Bitcoin Core `rpc/mining.cpp`).

use std::cell::Cell;

use chainwright_chain::{Attributes, BlockId, Fault, Imported, Reject, Reply};
use chainwright_utxo::Utxo;
use chainwright_utxo::address::Destination;
use chainwright_utxo::block::Block;
use chainwright_utxo::build::{self, commit_to_witnesses};
use chainwright_utxo::hash::BlockHash;
use chainwright_utxo::pool::TransactionPool;
use chainwright_utxo::script::Script;
use chainwright_utxo::tx::{Transaction, Witness};
use hex_conservative::DisplayHex as _;
use serde_json::Value;

use crate::descriptor::script_of;
use crate::encode::{Object, put, txid};
use crate::rawtransaction::decode_transaction;
use crate::{BitcoinNode, Entry, parse_hash, reject_text};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError, code, not_of_type};

const TRIES_MAX: Parameter =
    Parameter::optional("maxtries", Kind::Number, "1000000", "How many iterations to try.");
const BLOCK_COUNT: &str = "How many blocks are generated.";

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        category: "hidden",
        name: "generatetoaddress",
        parameters: &[
            Parameter::required("nblocks", Kind::Number, BLOCK_COUNT),
            Parameter::required(
                "address",
                Kind::String,
                "The address to send the newly generated bitcoin to.",
            ),
            TRIES_MAX,
        ],
        description: "Mine to a specified address and return the block hashes.",
        run: |node, call| {
            let count = call.integer(0)?.unwrap_or(0);
            let script = node.address_script(call.text(1).unwrap_or_default());
            let script = script.ok_or_else(|| RpcError::unknown("Error: Invalid address"))?;
            node.generate(call, count, &script)
        },
    },
    Entry {
        category: "hidden",
        name: "generatetodescriptor",
        parameters: &[
            Parameter::required("num_blocks", Kind::Number, BLOCK_COUNT),
            Parameter::required(
                "descriptor",
                Kind::String,
                "The descriptor to send the newly generated bitcoin to.",
            ),
            TRIES_MAX,
        ],
        description: "Mine to a specified descriptor and return the block hashes.",
        run: |node, call| {
            let count = call.integer(0)?.unwrap_or(0);
            let script = script_of(call.text(1).unwrap_or_default(), node.prefixes())?;
            node.generate(call, count, &script)
        },
    },
    Entry {
        category: "hidden",
        name: "generate",
        parameters: &[Parameter::optional("nblocks", Kind::Number, "1", BLOCK_COUNT), TRIES_MAX],
        description: "has been replaced by the -generate cli option. Refer to -help for more information.",
        run: generate,
    },
    Entry {
        category: "hidden",
        name: "generateblock",
        parameters: &[
            Parameter::required(
                "output",
                Kind::String,
                "The address or descriptor to send the newly generated bitcoin to.",
            ),
            Parameter::required(
                "transactions",
                Kind::Array("[\"rawtx/txid\",...]"),
                "An array of hex strings which are either txids or raw transactions.",
            ),
            Parameter::optional(
                "submit",
                Kind::Bool,
                "true",
                "Whether to submit the block before the RPC call returns or to return it as hex.",
            ),
        ],
        description: "Mine a set of ordered transactions to a specified address or descriptor and return the block hash.",
        run: generate_block,
    },
];

/// What `maxtries` is if it is not given (Bitcoin Core `DEFAULT_MAX_TRIES`).
const TRIES_DEFAULT: i64 = 1_000_000;
/// Tries an engine makes between two questions whether to go on.
const TRIES_PER_QUESTION: i64 = 4096;

fn generate(node: &BitcoinNode, call: &Call) -> Answer {
    let Some(script) = node.generate_to.clone() else {
        let message = "generate\n\nhas been replaced by the -generate cli option. Refer to -help for more information.\n";
        return Err(RpcError::new(code::METHOD_NOT_FOUND, message));
    };
    node.generate(call, call.integer(0)?.unwrap_or(1), &script)
}

impl BitcoinNode {
    fn address_script(&self, address: &str) -> Option<Script> {
        Destination::decode(address, self.prefixes()).ok().map(|destination| destination.script_pubkey())
    }

    /// What the engine wants of the next block, for a payee.
    pub(crate) fn attributes(&self, payee: &Script) -> Attributes {
        let mut attributes = self.consensus.attributes(&self.tip(), self.host.now());
        attributes.payee = payee.as_bytes().to_vec();
        attributes
    }

    fn generate(&self, call: &Call, count: i32, payee: &Script) -> Answer {
        let mut tries_left = call.integer(2)?.unwrap_or(TRIES_DEFAULT);
        let mut hashes = Vec::new();
        while (hashes.len() as i64) < i64::from(count) && tries_left > 0 && !call.is_stopping() {
            let candidate = self.chain.build(None, self.attributes(payee)).wait()?;
            let candidate = candidate.map_err(|reject| RpcError::misc(reject_text(&reject)))?;
            let mut block = candidate.block;
            let tried = Cell::new(0);
            let is_enough = || {
                let before = tried.replace(tried.get() + TRIES_PER_QUESTION);
                before >= tries_left || call.is_stopping()
            };
            // The nonce counts the tries that failed before it. Out of nonces or of tries: the loop looks again.
            let is_sealed = self.consensus.seal(&mut block.header, &is_enough);
            tries_left -= if is_sealed { i64::from(block.header.nonce) } else { tried.get() };
            if is_sealed && tries_left > 0 {
                let hash = block.hash();
                self.accepted(self.chain.import_built(block, candidate.executed))?;
                hashes.push(Value::from(hash.to_string()));
            }
        }
        Ok(hashes.into())
    }

    fn listed_transaction(&self, text: &Value) -> Result<Transaction, RpcError> {
        let text = text.as_str().ok_or_else(|| not_of_type(text, "string"))?;
        if let Ok(id) = parse_hash(text, "txid") {
            let pool = self.published().pool();
            let entry = pool.entry(&txid(id)).map(|entry| Transaction::clone(&entry.transaction));
            return entry.ok_or_else(|| RpcError::unknown(format!("Transaction {text} not in mempool.")));
        }
        decode_transaction(text).ok_or_else(|| {
            RpcError::undecodable(format!(
                "Transaction decode failed for {text}. Make sure the tx has at least one input."
            ))
        })
    }

    /// Waits until a block of our own has been taken. Beyond Bitcoin Core's words a failure of the node's own says what failed: a full
    /// disk must not look like a bad block.
    fn accepted(&self, import: Reply<Result<Imported, Reject>>) -> Result<(), RpcError> {
        const REFUSED: &str = "ProcessNewBlock, block not accepted";
        let failed = |fault: Fault| {
            // Once the chain has stopped no answer says why; the chain does.
            let fault = self.published().fault().unwrap_or(fault);
            RpcError::new(code::INTERNAL_ERROR, format!("{REFUSED}: {fault}"))
        };
        match import.wait().map_err(failed)? {
            // It is built on the head: where blocks have a weight it leads.
            Ok(Imported::Stored) => {
                Err(RpcError::misc("blocks of this chain are made by its engine, not by request"))
            }
            Ok(Imported::Valid | Imported::Known) => Ok(()),
            Err(Reject::Fault(fault)) => Err(failed(fault)),
            Err(_) => Err(RpcError::new(code::INTERNAL_ERROR, REFUSED)),
        }
    }

    /// A block of exactly these transactions on the tip, unsealed.
    fn block_of(&self, payee: &Script, transactions: Vec<Transaction>) -> Result<Block, RpcError> {
        let head = self.published().head();
        let empty = TransactionPool::default();
        let template = build::template(self.ledger(), &head, &self.attributes(payee), &empty);
        let template = template.map_err(|reject| RpcError::misc(reject_text(&reject)))?;
        let mut block = template.block;
        strip_commitment(&mut block);
        block.transactions.extend(transactions);
        if template.witness_commitment.is_some() {
            commit_to_witnesses(&mut block);
        }
        block.header.merkle_root = block.merkle_root().root;
        Ok(block)
    }
}

/// Takes the output and the witness of a commitment out of the coinbase.
fn strip_commitment(block: &mut Block) {
    let Some(at) = block.witness_commitment_index() else { return };
    if let Some(coinbase) = block.transactions.first_mut() {
        let mut parts = coinbase.parts().clone();
        parts.outputs.remove(at);
        parts.inputs.iter_mut().for_each(|input| input.witness = Witness::default());
        *coinbase = Transaction::new(parts);
    }
}

fn generate_block(node: &BitcoinNode, call: &Call) -> Answer {
    let output = call.text(0).unwrap_or_default();
    let payee = script_of(output, node.prefixes()).ok().or_else(|| node.address_script(output));
    let payee = payee.ok_or_else(|| RpcError::unknown("Error: Invalid address or descriptor"))?;
    let listed = call.param(1).as_array().map(Vec::as_slice).unwrap_or_default();
    let transactions: Vec<_> =
        listed.iter().map(|text| node.listed_transaction(text)).collect::<Result<_, _>>()?;
    let submit = call.flag(2)?.unwrap_or(true);
    let mut block = node.block_of(&payee, transactions)?;
    node.chain.check(block.clone()).wait()?.map_err(|reject| {
        let message = format!("TestBlockValidity failed: {}", reject_text(&reject));
        RpcError::new(code::VERIFY_ERROR, message)
    })?;
    if !node.consensus.seal(&mut block.header, &|| call.is_stopping()) {
        return Err(RpcError::misc("Failed to make block."));
    }
    let mut object = Object::new();
    put(&mut object, [("hash", block.hash().to_string().into())]);
    if submit {
        node.accepted(node.chain.import(block))?;
    } else {
        put(&mut object, [("hex", block.encode().to_lower_hex_string().into())]);
    }
    Ok(object.into())
}

/// The id of a block as the chain's core writes it.
pub(crate) fn block_id(hash: BlockHash) -> BlockId {
    BlockId(hash.0)
}

/// The type of the head everything here builds on.
pub(crate) type Head = chainwright_chain::View<Utxo>;
