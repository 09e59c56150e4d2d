//! Ways to break a block, and to make it look honest again.

use bytes::Bytes;
use chainwright_utxo::amount::Amount;
use chainwright_utxo::block::{Block, BlockHeader};
use chainwright_utxo::hash::sha256d;
use chainwright_utxo::script::Script;
use chainwright_utxo::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};

use crate::support::{Dice, flip};

/// Where the 32 bytes of a witness commitment start in its script.
const COMMITMENT_AT: usize = 6;

/// How much of a changed block is made to fit again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// The Merkle root alone; witnesses are no longer the ones committed to.
    Root,
    /// The witness commitment and the Merkle root.
    All,
}

/// Changes a block in one way; nothing when the roll does not fit the block. The name says what was done.
pub(crate) fn change(honest: &Block, dice: &mut Dice) -> Option<(Block, String)> {
    let mut block = honest.clone();
    let name = match dice.below(40) {
        0 => change_order(&mut block, dice),
        1 | 2 => change_coinbase(&mut block, dice),
        3..=9 => change_parts(&mut block, dice)?,
        10..=12 => {
            let bit = dice.below(640);
            let header: [u8; 80] = flip(&block.header.encode(), bit).try_into().expect("80 bytes");
            block.header = BlockHeader::decode(&header);
            format!("header bit {bit}")
        }
        _ => flip_transaction(&mut block, dice)?,
    };
    Some((block, name))
}

fn flip_transaction(block: &mut Block, dice: &mut Dice) -> Option<String> {
    let at = dice.below(block.transactions.len());
    let bytes = block.transactions[at].encode().to_vec();
    let bit = dice.below(bytes.len() * 8);
    block.transactions[at] = Transaction::decode(Bytes::from(flip(&bytes, bit))).ok()?;
    Some(format!("transaction {at} bit {bit}"))
}

/// Transactions added, dropped or moved.
fn change_order(block: &mut Block, dice: &mut Dice) -> String {
    let count = block.transactions.len();
    let (at, other) = (dice.below(count), dice.below(count));
    match dice.below(5) {
        0 => {
            block.transactions.swap(at, other);
            format!("transactions {at} and {other} swapped")
        }
        1 => {
            block.transactions.remove(at);
            format!("transaction {at} removed")
        }
        2 => {
            let repeated = block.transactions[at].clone();
            block.transactions.push(repeated);
            format!("transaction {at} repeated at the end")
        }
        3 => {
            // CVE-2012-2459: the last transactions once more give the same root.
            let tail: Vec<_> = block.transactions[count - count % 2 - 2 * usize::from(count > 3)..].to_vec();
            let length = tail.len();
            block.transactions.extend(tail);
            format!("last {length} transactions repeated")
        }
        _ => {
            block.transactions.clear();
            "no transactions".to_owned()
        }
    }
}

fn change_coinbase(block: &mut Block, dice: &mut Dice) -> String {
    let mut parts = block.transactions[0].parts().clone();
    let name = match dice.below(8) {
        0 => {
            let more = dice.pick(&[1, 100_000_000, -1]);
            parts.outputs[0].value.0 += more;
            format!("coinbase pays {more} more")
        }
        1 => {
            parts.inputs[0].script_sig = Script::from(vec![1; dice.pick(&[1, 2, 100, 101])]);
            "coinbase names no height".to_owned()
        }
        2 => {
            parts.inputs[0].witness = Witness::default();
            "coinbase without witness".to_owned()
        }
        3 => {
            parts.inputs[0].witness = Witness::from_items([vec![0; 32], vec![0; 32]]);
            "coinbase with two witness items".to_owned()
        }
        4 => {
            parts.outputs.pop();
            "no witness commitment".to_owned()
        }
        5 => {
            let value = Amount::ZERO;
            // CHECKSIG costs four each.
            let script_pubkey = Script::from(vec![0xac; dice.pick(&[19_000, 20_000, 20_001])]);
            parts.outputs.insert(0, TxOut { value, script_pubkey });
            "thousands of signature operations".to_owned()
        }
        6 => {
            parts.inputs[0].sequence = 0;
            parts.lock_time = dice.pick(&[0, 10, 1 << 20, 500_000_000, u32::MAX]);
            "coinbase with a lock time".to_owned()
        }
        _ => {
            let size = dice.pick(&[900_000, 1_100_000]);
            let output = TxOut { value: Amount::ZERO, script_pubkey: Script::from(vec![0x6a; size]) };
            parts.outputs.insert(0, output);
            format!("coinbase of {size} bytes")
        }
    };
    block.transactions[0] = Transaction::new(parts);
    name
}

/// Fields of one transaction set to values that rules are about.
fn change_parts(block: &mut Block, dice: &mut Dice) -> Option<String> {
    let at = dice.below(block.transactions.len());
    let other = block.transactions[dice.below(block.transactions.len())].clone();
    let mut parts = block.transactions[at].parts().clone();
    let name = change_field(&mut parts, &other, dice);
    if parts.inputs.is_empty() {
        return None;
    }
    block.transactions[at] = Transaction::new(parts);
    Some(format!("transaction {at}: {name}"))
}

fn change_field(parts: &mut TransactionParts, other: &Transaction, dice: &mut Dice) -> String {
    let input = dice.below(parts.inputs.len());
    let output = dice.below(parts.outputs.len());
    match dice.below(41) {
        0..4 => {
            let value =
                dice.pick(&[-1, 0, 1, Amount::MONEY_MAX.0, Amount::MONEY_MAX.0 + 1, i64::MIN, i64::MAX]);
            parts.outputs[output].value = Amount(value);
            format!("output {output} has value {value}")
        }
        4..8 => {
            let sequence = dice.pick(&[0, 1, 2, 0xffff, 1 << 22, (1 << 22) | 1, 1 << 31, u32::MAX]);
            parts.inputs[input].sequence = sequence;
            format!("input {input} has sequence {sequence}")
        }
        8..12 => {
            parts.lock_time = dice.pick(&[0, 2, 499_999_999, 500_000_000, u32::MAX]);
            format!("lock time {}", parts.lock_time)
        }
        12..16 => {
            parts.version = dice.pick(&[0, 1, 2, 3, u32::MAX, 1 << 31]);
            format!("version {}", parts.version)
        }
        16..20 => {
            let first = &parts.inputs[0];
            parts.inputs.push(TxIn { ..first.clone() });
            "first input twice".to_owned()
        }
        20..24 => {
            parts.inputs[input].previous_output = other.inputs()[0].previous_output;
            "an input of another transaction".to_owned()
        }
        24..28 => {
            parts.inputs[input].previous_output = OutPoint { txid: other.txid(), index: 0 };
            "an output of another transaction of the block".to_owned()
        }
        28..32 => {
            let mut items: Vec<Vec<u8>> = parts.inputs[input].witness.iter().map(<[u8]>::to_vec).collect();
            items.push(dice.pick::<&[u8]>(&[&[], &[0x50], &[1]]).to_vec());
            parts.inputs[input].witness = Witness::from_items(items);
            format!("input {input} with one more witness item")
        }
        32..36 => {
            parts.outputs.clear();
            "no outputs".to_owned()
        }
        36 => {
            parts.inputs[input].witness = Witness::from_items([vec![0; 4_000_000]]);
            format!("input {input} with a witness larger than a block")
        }
        _ => {
            let script_sig = [&[0x00], parts.inputs[input].script_sig.as_bytes()].concat();
            parts.inputs[input].script_sig = Script::from(script_sig);
            format!("input {input} pushes nothing first")
        }
    }
}

/// Makes commitments fit what is in the block.
pub(crate) fn repair(block: &mut Block, repair: Repair) {
    if repair == Repair::All {
        commit(block);
    }
    block.header.merkle_root = block.merkle_root().root;
}

fn commit(block: &mut Block) {
    let Some(index) = block.witness_commitment_index() else { return };
    let mut parts = block.transactions[0].parts().clone();
    let nonce =
        parts.inputs.first().and_then(|input| input.witness.iter().next()).unwrap_or_default().to_vec();
    let commitment = sha256d(&[&block.witness_merkle_root()[..], &nonce].concat());
    let mut script = parts.outputs[index].script_pubkey.as_bytes().to_vec();
    script[COMMITMENT_AT..COMMITMENT_AT + 32].copy_from_slice(&commitment);
    parts.outputs[index].script_pubkey = script.into();
    block.transactions[0] = Transaction::new(parts);
}
