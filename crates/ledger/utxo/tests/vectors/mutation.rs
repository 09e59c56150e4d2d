//! Damaged inputs: nothing panics, and what still decodes encodes to the same bytes.

use crate::support::{Dice, read_list, read_zstd, text, unhex};
use crate::{script_tests, taproot_ref, transactions};
use bytes::Bytes;
use chainwright_utxo::block::Block;
use chainwright_utxo::script::{Flags, Script, classify, transaction_sigop_cost};
use chainwright_utxo::sighash::PrecomputedTransaction;
use chainwright_utxo::tx::{Transaction, Witness};

/// How often each case is damaged.
const ROUNDS: usize = 24;

/// Changes a few bits, or the length.
fn damage(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..=dice.below(3) {
        if damaged.is_empty() {
            damaged.push(dice.roll() as u8);
            continue;
        }
        let at = dice.below(damaged.len());
        match dice.below(5) {
            0 => damaged.truncate(at),
            1 => damaged.insert(at, dice.roll() as u8),
            2 => damaged[at] = dice.roll() as u8,
            _ => damaged[at] ^= 1 << dice.below(8),
        }
    }
    damaged
}

/// Damages the scripts and the witness of one input and runs it under random flags.
#[track_caller]
fn check_survives(good: &PrecomputedTransaction, index: usize, dice: &mut Dice) {
    for _ in 0..ROUNDS {
        let mut parts = good.transaction().parts().clone();
        let mut spent = good.spent().to_vec();
        let input = &mut parts.inputs[index];
        match dice.below(4) {
            0 => input.script_sig = Script::from(damage(input.script_sig.as_bytes(), dice)),
            1 => {
                let script = damage(spent[index].script_pubkey.as_bytes(), dice);
                spent[index].script_pubkey = Script::from(script);
            }
            _ => {
                let mut items: Vec<Vec<u8>> = input.witness.iter().map(<[u8]>::to_vec).collect();
                match items.len() {
                    0 => items.push(vec![1]),
                    count => {
                        let at = dice.below(count);
                        items[at] = damage(&items[at], dice);
                    }
                }
                input.witness = Witness::from_items(items);
            }
        }
        let damaged =
            PrecomputedTransaction::new(Transaction::new(parts), spent).expect("the count is the same");
        let flags = if dice.below(2) == 0 { Flags::MANDATORY } else { Flags(dice.roll() as u32) };
        // Whatever the verdict: it is one.
        let _ = damaged.verify_input(index, flags);
        let _ = transaction_sigop_cost(damaged.transaction(), damaged.spent(), Flags::ALL);
        let _ = classify(damaged.spent()[index].script_pubkey.as_bytes()).name();
    }
}

/// Damages encoded bytes; those that decode all the same must encode to what they were.
#[track_caller]
fn check_decoding(bytes: &[u8], dice: &mut Dice) {
    for _ in 0..ROUNDS {
        let damaged = damage(bytes, dice);
        if let Ok(transaction) = Transaction::decode(Bytes::from(damaged.clone())) {
            assert_eq!(transaction.encode(), &damaged);
            assert_eq!(Transaction::new(transaction.parts().clone()), transaction);
        }
        let _ = Transaction::decode_stripped(Bytes::from(damaged));
    }
}

#[test]
fn damaged_scripts_never_panic() {
    let Some(cases) = script_tests::cases() else { return };
    let mut dice = Dice(11);
    for (_, case) in &cases {
        check_survives(&case.transaction, 0, &mut dice);
    }
}

#[test]
fn damaged_transactions_never_panic() {
    let (Some(valid), Some(invalid)) =
        (transactions::rows("tx_valid.json"), transactions::rows("tx_invalid.json"))
    else {
        return;
    };
    let mut dice = Dice(12);
    for row in valid.iter().chain(&invalid) {
        check_decoding(&unhex(text(&row[1])), &mut dice);
    }
    for row in &valid {
        let good = transactions::precomputed(row);
        (0..good.spent().len()).for_each(|index| check_survives(&good, index, &mut dice));
    }
    let Some(rows) = read_list("sighash.json") else { return };
    for row in rows.iter().skip(1) {
        check_decoding(&unhex(text(&row[0])), &mut dice);
    }
}

#[test]
fn damaged_taproot_spends_never_panic() {
    let Some(files) = taproot_ref::files() else { return };
    let mut dice = Dice(13);
    for case in files.iter().step_by(5) {
        let index = case["index"].as_u64().expect("an index") as usize;
        if let Some(good) = taproot_ref::spend(case, "success") {
            check_survives(&good, index, &mut dice);
        }
    }
}

#[test]
fn damaged_blocks_never_panic() {
    let Some(bytes) = read_zstd("block-866342/raw.zst") else { return };
    let mut dice = Dice(14);
    for _ in 0..ROUNDS {
        let damaged = damage(&bytes, &mut dice);
        if let Ok(block) = Block::decode(Bytes::from(damaged.clone())) {
            assert_eq!(block.encode(), damaged);
            let _ = (block.merkle_root(), block.check_witness_commitment(true));
        }
    }
}
