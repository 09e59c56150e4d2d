//! Headers, blocks, transactions and scripts as JSON (Bitcoin Core `core_io.cpp`, `rpc/blockchain.cpp`).

use chainwright_chain::{Connected, Delta, Headers, Height, U256};
use chainwright_utxo::Utxo;
use chainwright_utxo::address::Destination;
use chainwright_utxo::block::Block;
use chainwright_utxo::coin::{COINS, Coin, CoinRef, coin_key};
use chainwright_utxo::hash::{BlockHash, Txid};
use chainwright_utxo::script::{Template, asm, classify};
use chainwright_utxo::tx::{OutPoint, Transaction, TxIn, TxOut};
use hex_conservative::DisplayHex as _;
use serde_json::{Map, Value, json};

use crate::descriptor::describe;
use crate::number::{amount, double};
use crate::{BitcoinNode, show_block, show_txid};
use chainwright_rpc::{Answer, RpcError};

/// A JSON object whose fields keep their order.
pub(crate) type Object = Map<String, Value>;

/// Puts fields into an object, in order.
pub(crate) fn put<const N: usize>(object: &mut Object, fields: [(&str, Value); N]) {
    object.extend(fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
}

/// How often a target is harder than the easiest one (Bitcoin Core `GetDifficulty`).
pub(crate) fn difficulty(bits: u32) -> f64 {
    let exponent = (bits >> 24) as i32;
    let mantissa = f64::from(bits & 0x00ff_ffff);
    // Powers of two are exact, so that one multiplication equals Core's loop.
    f64::from(0x0000_ffff) / mantissa * 256_f64.powi(29 - exponent)
}

/// The target that compact bits stand for, in hex; zero for what is none.
pub(crate) fn target(bits: u32) -> String {
    let exponent = bits >> 24;
    let mantissa = U256::from(bits & 0x007f_ffff);
    let target = match exponent {
        0..=3 => mantissa >> (8 * (3 - exponent) as usize),
        4..=34 => mantissa << (8 * (exponent - 3) as usize),
        _ => U256::ZERO,
    };
    format!("{target:064x}")
}

/// 32-bit numbers as eight hex digits.
pub(crate) fn hex32(number: u32) -> String {
    format!("{number:08x}")
}

/// The block after `block` on the branch of `tip`, and how deep `block` lies (−1 beside the branch).
pub(crate) fn next_and_depth(tip: &Headers<Utxo>, block: &Headers<Utxo>) -> (Option<Headers<Utxo>>, i64) {
    if !tip.contains(block) {
        return (None, -1);
    }
    let next = tip.ancestor(Height(block.height().0 + 1));
    (next, i64::from(tip.height().above(block.height())) + 1)
}

impl BitcoinNode {
    /// Bitcoin Core's `blockheaderToJSON`. `transactions` is how many the block has, 0 if its body is unknown.
    pub(crate) fn header_json(tip: &Headers<Utxo>, block: &Headers<Utxo>, transactions: usize) -> Object {
        let header = block.header();
        let (next, confirmations) = next_and_depth(tip, block);
        let mut object = Object::new();
        put(
            &mut object,
            [
                ("hash", show_block(block).into()),
                ("confirmations", confirmations.into()),
                ("height", block.height().0.into()),
                ("version", header.version.into()),
                ("versionHex", hex32(header.version.cast_unsigned()).into()),
                ("merkleroot", BlockHash(header.merkle_root).to_string().into()),
                ("time", header.time.into()),
                ("mediantime", block.median_time().0.into()),
                ("nonce", header.nonce.into()),
                ("bits", hex32(header.bits).into()),
                ("target", target(header.bits).into()),
                ("difficulty", double(difficulty(header.bits))),
                ("chainwork", format!("{:064x}", block.weight().0).into()),
                ("nTx", transactions.into()),
            ],
        );
        if let Some(parent) = block.parent() {
            put(&mut object, [("previousblockhash", show_block(&parent).into())]);
        }
        if let Some(next) = next {
            put(&mut object, [("nextblockhash", show_block(&next).into())]);
        }
        object
    }

    /// Bitcoin Core's `blockToJSON`; `verbosity` 1 shows ids, 2 transactions, 3 also what they spend.
    pub(crate) fn block_json(&self, headers: &Headers<Utxo>, block: &Block, verbosity: i64) -> Answer {
        let mut object = Self::header_json(&self.tip(), headers, block.transactions.len());
        put(
            &mut object,
            [
                ("strippedsize", block.stripped_size().into()),
                ("size", block.total_size().into()),
                ("weight", block.weight().into()),
            ],
        );
        if let Some(coinbase) = block.transactions.first() {
            put(&mut object, [("coinbase_tx", coinbase_json(coinbase))]);
        }
        let transactions: Vec<Value> = if verbosity == 1 {
            block.transactions.iter().map(|tx| show_txid(tx.txid()).into()).collect()
        } else {
            let undo = self.undo(headers, block)?;
            let shown = block.transactions.iter().map(|tx| {
                let mut object = self.transaction_json(tx, undo.as_ref(), verbosity >= 3);
                put(&mut object, [("hex", tx.encode().to_lower_hex_string().into())]);
                object.into()
            });
            shown.collect()
        };
        put(&mut object, [("tx", transactions.into())]);
        Ok(object.into())
    }

    /// What a block spent, if it was ever connected.
    pub(crate) fn undo<'b>(
        &self,
        headers: &Headers<Utxo>,
        block: &'b Block,
    ) -> Result<Option<Undo<'b>>, RpcError> {
        let connected = self.published().bodies().connected(&headers.id())?;
        let height = headers.height().0;
        Ok(connected.map(|Connected { delta, .. }| Undo { delta, block, height }))
    }

    /// Bitcoin Core's `TxToUniv` without block and hex. With `undo` fees are shown, and on wish what is spent.
    pub(crate) fn transaction_json(
        &self,
        tx: &Transaction,
        undo: Option<&Undo<'_>>,
        with_prevout: bool,
    ) -> Object {
        let is_coinbase = tx.is_coinbase();
        let spent: Option<Vec<Coin>> = undo
            .filter(|_| !is_coinbase)
            .and_then(|undo| tx.inputs().iter().map(|input| undo.spent(&input.previous_output)).collect());
        let inputs = tx.inputs().iter().enumerate().map(|(at, input)| {
            let prevout = spent.as_ref().filter(|_| with_prevout).map(|spent| &spent[at]);
            self.input_json(input, is_coinbase, prevout)
        });
        let outputs = tx.outputs().iter().enumerate().map(|(at, output)| self.output_json(output, at));
        let mut object = Object::new();
        put(
            &mut object,
            [
                ("txid", show_txid(tx.txid()).into()),
                ("hash", tx.wtxid().to_string().into()),
                ("version", tx.version().into()),
                ("size", tx.total_size().into()),
                ("vsize", tx.weight().div_ceil(4).into()),
                ("weight", tx.weight().into()),
                ("locktime", tx.lock_time().into()),
                ("vin", inputs.collect()),
                ("vout", outputs.collect()),
            ],
        );
        if let Some(spent) = spent {
            let paid: i64 = spent.iter().map(|coin| coin.output.value.0).sum();
            let received: i64 = tx.outputs().iter().map(|output| output.value.0).sum();
            put(&mut object, [("fee", amount(paid - received))]);
        }
        object
    }

    fn input_json(&self, input: &TxIn, is_coinbase: bool, prevout: Option<&Coin>) -> Value {
        let mut object = Object::new();
        let script = input.script_sig.as_bytes();
        if is_coinbase {
            put(&mut object, [("coinbase", script.to_lower_hex_string().into())]);
        } else {
            put(
                &mut object,
                [
                    ("txid", show_txid(input.previous_output.txid).into()),
                    ("vout", input.previous_output.index.into()),
                    ("scriptSig", json!({ "asm": asm(script, true), "hex": script.to_lower_hex_string() })),
                ],
            );
        }
        if !input.witness.is_empty() {
            let items = input.witness.iter().map(hex_conservative::DisplayHex::to_lower_hex_string);
            put(&mut object, [("txinwitness", items.collect())]);
        }
        if let Some(coin) = prevout {
            let shown = json!({
                "generated": coin.is_coinbase,
                "height": coin.height,
                "value": amount(coin.output.value.0),
                "scriptPubKey": self.script_json(coin.output.script_pubkey.as_bytes()),
            });
            put(&mut object, [("prevout", shown)]);
        }
        put(&mut object, [("sequence", input.sequence.into())]);
        object.into()
    }

    fn output_json(&self, output: &TxOut, at: usize) -> Value {
        json!({
            "value": amount(output.value.0),
            "n": at,
            "scriptPubKey": self.script_json(output.script_pubkey.as_bytes()),
        })
    }

    /// An output's script (Bitcoin Core `ScriptToUniv`).
    pub(crate) fn script_json(&self, script: &[u8]) -> Value {
        Value::Object(self.script_fields(script, true))
    }

    /// As [`BitcoinNode::script_json`], with or without the bytes themselves.
    pub(crate) fn script_fields(&self, script: &[u8], with_hex: bool) -> Object {
        let mut object = Object::new();
        let prefixes = self.prefixes();
        put(&mut object, [("asm", asm(script, false).into()), ("desc", describe(script, prefixes).into())]);
        if with_hex {
            put(&mut object, [("hex", script.to_lower_hex_string().into())]);
        }
        let template = classify(script);
        let is_key = matches!(template, Template::Pubkey(_));
        let address = Destination::of_script(script).filter(|_| !is_key);
        if let Some(address) = address.and_then(|destination| destination.encode(prefixes)) {
            put(&mut object, [("address", address.into())]);
        }
        put(&mut object, [("type", template.name().into())]);
        object
    }
}

/// Bitcoin Core's `coinbaseTxToJSON`.
fn coinbase_json(tx: &Transaction) -> Value {
    let mut object = Object::new();
    put(&mut object, [("version", tx.version().into()), ("locktime", tx.lock_time().into())]);
    if let Some(input) = tx.inputs().first() {
        let script = input.script_sig.as_bytes().to_lower_hex_string();
        put(&mut object, [("sequence", input.sequence.into()), ("coinbase", script.into())]);
        if let Some(item) = input.witness.get(0) {
            put(&mut object, [("witness", item.to_lower_hex_string().into())]);
        }
    }
    object.into()
}

/// What a connected block spent: coins of earlier blocks from its delta, its own from its transactions.
pub(crate) struct Undo<'b> {
    delta: Delta,
    block: &'b Block,
    height: u32,
}

impl Undo<'_> {
    fn spent(&self, outpoint: &OutPoint) -> Option<Coin> {
        if let Some(change) = self.delta.get(COINS, &coin_key(outpoint))
            && let Some(old) = change.old
        {
            return CoinRef::decode(old).ok().map(Coin::from);
        }
        let creator = self.block.transactions.iter().find(|tx| tx.txid() == outpoint.txid)?;
        let output = creator.outputs().get(outpoint.index as usize)?.clone();
        Some(Coin { height: self.height, is_coinbase: creator.is_coinbase(), output })
    }
}

/// A transaction's id in hex that a person wrote.
pub(crate) fn txid(bytes: [u8; 32]) -> Txid {
    Txid(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_bits(bits: u32, expected_difficulty: &str, expected_target: &str) {
        assert_eq!(double(difficulty(bits)).to_string(), expected_difficulty);
        assert_eq!(target(bits).trim_start_matches('0'), expected_target);
    }

    #[test]
    fn bits_are_shown_as_the_reference_node_does() {
        check_bits(0x1d00_ffff, "1", &format!("ffff{}", "0".repeat(52)));
        check_bits(0x207f_ffff, "4.656542373906925e-10", &format!("7fffff{}", "0".repeat(58)));
        // Block 840,000 of the main chain.
        check_bits(0x1703_4219, "86388558925171.02", &format!("34219{}", "0".repeat(40)));
        assert_eq!(target(0xff12_3456), "0".repeat(64));
        assert_eq!(target(0x0112_3456).trim_start_matches('0'), "12");
    }
}
