//! Transactions as bytes: `getrawtransaction`, `decoderawtransaction`, `decodescript`.

use bytes::Bytes;
use chainwright_chain::{Pool as _, Status, TxId};
use chainwright_utxo::address::Destination;
use chainwright_utxo::hash::{hash160, sha256};
use chainwright_utxo::script::opcode::{OP_CHECKSIGADD, OP_NOP10, OP_PUSHDATA4};
use chainwright_utxo::script::{ITEM_SIZE_MAX, Script, Template, classify};
use chainwright_utxo::tx::Transaction;
use hex_conservative::DisplayHex as _;

use crate::encode::{Object, put, txid};
use crate::{BitcoinNode, Entry, hash_param, show_block, verbosity_param};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError, read_hex};

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        category: "rawtransactions",
        name: "getrawtransaction",
        parameters: &[
            Parameter::required("txid", Kind::Hex, "The transaction id"),
            Parameter::optional(
                "verbosity|verbose",
                Kind::NumberLike,
                "0",
                "0 for hex-encoded data, 1 for a JSON object, and 2 for JSON object with fee and prevout",
            ),
            Parameter::optional("blockhash", Kind::Hex, "", "The block in which to look for the transaction"),
        ],
        description: "By default, this call only returns a transaction if it is in the mempool. If -txindex is enabled\n\
                      and no blockhash argument is passed, it will return the transaction if it is in the mempool or any block.\n\
                      If a blockhash argument is passed, it will return the transaction if\n\
                      the specified block is available and the transaction is in that block.\n",
        run: raw_transaction,
    },
    Entry {
        category: "rawtransactions",
        name: "decoderawtransaction",
        parameters: &[
            Parameter::required("hexstring", Kind::Hex, "The transaction hex string"),
            Parameter::optional(
                "iswitness",
                Kind::Bool,
                "depends on heuristic tests",
                "Whether the transaction hex is a serialized witness transaction.",
            ),
        ],
        description: "Return a JSON object representing the serialized, hex-encoded transaction.",
        run: decode_raw_transaction,
    },
    Entry {
        category: "rawtransactions",
        name: "decodescript",
        parameters: &[Parameter::required("hexstring", Kind::Hex, "the hex-encoded script")],
        description: "Decode a hex-encoded script.\n",
        run: decode_script,
    },
];

/// What Bitcoin Core adds to every answer that a transaction was not found.
const USE_WALLET: &str = "Use gettransaction for wallet transactions.";

/// A transaction with or without witnesses (Bitcoin Core `DecodeTx`): as it stands if that gives a plausible one, else the
/// way it was before witnesses.
pub(crate) fn decode_transaction(hex: &str) -> Option<Transaction> {
    let bytes = read_hex(hex)?;
    if let Ok(tx) = Transaction::decode(bytes.clone()) {
        return Some(tx);
    }
    Transaction::decode_stripped(bytes).ok()
}

fn raw_transaction(node: &BitcoinNode, call: &Call) -> Answer {
    let id = hash_param(call, 0, "parameter 1")?;
    if id == node.parameters().genesis.block().header.merkle_root {
        let message =
            "The genesis block coinbase is not considered an ordinary transaction and cannot be retrieved";
        return Err(RpcError::unknown(message));
    }
    let verbosity = verbosity_param(call, 1, 0)?;
    if call.text(2).is_some() {
        return node.transaction_in_block(id, verbosity, hash_param(call, 2, "parameter 3")?);
    }
    let pooled = node.published().pool().get(&TxId(id)).filter(|tx| tx.txid() == txid(id));
    let Some(tx) = pooled else {
        return Err(RpcError::unknown(format!(
            "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries. {USE_WALLET}"
        )));
    };
    if verbosity <= 0 {
        return Ok(tx.encode().to_lower_hex_string().into());
    }
    let mut object = node.transaction_json(&tx, None, false);
    put(&mut object, [("hex", tx.encode().to_lower_hex_string().into())]);
    Ok(object.into())
}

impl BitcoinNode {
    fn transaction_in_block(&self, id: [u8; 32], verbosity: i64, block: [u8; 32]) -> Answer {
        let block = self.block(block).map_err(|_| RpcError::unknown("Block hash not found"))?;
        let body = self.published().read_block(&block.id())?;
        let body = body.ok_or_else(|| RpcError::misc("Block not available"))?;
        let Some(tx) = body.transactions.iter().find(|tx| tx.txid() == txid(id)) else {
            let message = format!("No such transaction found in the provided block. {USE_WALLET}");
            return Err(RpcError::unknown(message));
        };
        if verbosity <= 0 {
            return Ok(tx.encode().to_lower_hex_string().into());
        }
        let tip = self.tip();
        let is_active = tip.contains(&block);
        let undo = if verbosity >= 2 { self.undo(&block, &body)? } else { None };
        let mut object = Object::new();
        put(&mut object, [("in_active_chain", is_active.into())]);
        object.extend(self.transaction_json(tx, undo.as_ref(), true));
        let hex = tx.encode().to_lower_hex_string();
        put(&mut object, [("hex", hex.into()), ("blockhash", show_block(&block).into())]);
        if is_active {
            let time = block.header().time;
            let confirmations = tip.height().above(block.height()) + 1;
            put(
                &mut object,
                [("confirmations", confirmations.into()), ("time", time.into()), ("blocktime", time.into())],
            );
        } else {
            put(&mut object, [("confirmations", 0.into())]);
        }
        Ok(object.into())
    }

    /// Whether a block's verdict is known to be good.
    pub(crate) fn is_valid(status: &Status) -> bool {
        matches!(status, Status::Valid | Status::Executed)
    }
}

fn decode_raw_transaction(node: &BitcoinNode, call: &Call) -> Answer {
    let hex = call.text(0).unwrap_or_default();
    let tx = match call.flag(1)? {
        None => decode_transaction(hex),
        Some(true) => read_hex(hex).and_then(|bytes| Transaction::decode(bytes).ok()),
        Some(false) => read_hex(hex).and_then(|bytes| Transaction::decode_stripped(bytes).ok()),
    };
    let tx = tx.ok_or_else(|| RpcError::undecodable("TX decode failed"))?;
    Ok(node.transaction_json(&tx, None, false).into())
}

fn decode_script(node: &BitcoinNode, call: &Call) -> Answer {
    let hex = call.text(0).unwrap_or_default();
    let bytes = read_hex(hex)
        .ok_or_else(|| RpcError::parameter(format!("argument must be hexadecimal string (not '{hex}')")))?;
    let script = Script(bytes);
    let mut object = node.script_fields(script.as_bytes(), false);
    if !can_be_wrapped(&script) {
        return Ok(object.into());
    }
    let prefixes = node.prefixes();
    let p2sh = |script: &Script| {
        let destination = Destination::ScriptHash(hash160(script.as_bytes()));
        destination.encode(prefixes).unwrap_or_default()
    };
    put(&mut object, [("p2sh", p2sh(&script).into())]);
    if let Some(program) = witness_form(&script) {
        let mut segwit = node.script_fields(program.as_bytes(), true);
        put(&mut segwit, [("p2sh-segwit", p2sh(&program).into())]);
        put(&mut object, [("segwit", segwit.into())]);
    }
    Ok(object.into())
}

fn can_be_wrapped(script: &Script) -> bool {
    let template = classify(script.as_bytes());
    let is_wrappable = matches!(
        template,
        Template::Multisig { .. }
            | Template::NonStandard
            | Template::Pubkey(_)
            | Template::PubkeyHash(_)
            | Template::WitnessV0KeyHash(_)
            | Template::WitnessV0ScriptHash(_)
    );
    let has_valid_operations = script
        .instructions()
        .all(|step| step.is_ok_and(|step| step.opcode <= OP_NOP10 && step.data.len() <= ITEM_SIZE_MAX));
    let is_before_tapscript = |opcode: u8| opcode != OP_CHECKSIGADD && !is_op_success(opcode);
    let operations = script.instructions().flatten().map(|step| step.opcode);
    is_wrappable
        && has_valid_operations
        && !script.is_unspendable()
        && operations.filter(|opcode| *opcode > OP_PUSHDATA4).all(is_before_tapscript)
}

/// Opcodes that end a Tapscript with success (BIP-0342).
const fn is_op_success(opcode: u8) -> bool {
    matches!(opcode, 80 | 98 | 126..=129 | 131..=134 | 137..=138 | 141..=142 | 149..=153 | 187..=254)
}

/// The witness program that says the same as a script, if one may.
fn witness_form(script: &Script) -> Option<Script> {
    let key_program = |hash: [u8; 20]| Destination::Witness { version: 0, program: hash.as_slice().into() };
    let destination = match classify(script.as_bytes()) {
        Template::Pubkey(key) if key.len() == 33 => key_program(hash160(key)),
        Template::PubkeyHash(hash) => key_program(hash),
        Template::Multisig { keys, .. } if keys.iter().any(|key| key.len() != 33) => return None,
        Template::Multisig { .. } | Template::NonStandard => {
            let hash = sha256(script.as_bytes());
            Destination::Witness { version: 0, program: hash.as_slice().into() }
        }
        _ => return None,
    };
    Some(destination.script_pubkey())
}

/// A block in hex.
pub(crate) fn decode_block(hex: &str) -> Result<chainwright_utxo::block::Block, RpcError> {
    let bytes: Option<Bytes> = read_hex(hex);
    let block = bytes.and_then(|bytes| chainwright_utxo::block::Block::decode(bytes).ok());
    block.ok_or_else(|| RpcError::undecodable("Block decode failed"))
}
