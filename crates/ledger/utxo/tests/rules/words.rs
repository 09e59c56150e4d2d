//! Every reject word of Bitcoin Core, each triggered by one block.

use chainwright_chain::Reject;
use chainwright_utxo::amount::Amount;
use chainwright_utxo::block::Block;
use chainwright_utxo::hash::Txid;
use chainwright_utxo::params::{BuriedHeights, Parameters, bitcoin_regtest, bitcoin_signet};
use chainwright_utxo::script::Script;
use chainwright_utxo::tx::{OutPoint, Transaction, TxOut, Witness};

use crate::chain::{Chain, anyone};
use crate::spend::{block_of, coinbase_of, pay, pay_with, remade, with_root};

const FIFTY: Amount = Amount(5_000_000_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Invalid,
    Mutated,
}
use Verdict::{Invalid, Mutated};

#[track_caller]
fn check_on(chain: &Chain, block: Block, verdict: Verdict, word: &str) {
    let found = match chain.check(block) {
        Ok(_) => panic!("the block was taken; {word} was expected"),
        Err(Reject::Invalid(reason)) => (Invalid, reason.code),
        Err(Reject::Mutated(reason)) => (Mutated, reason.code),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(found, (verdict, word.into()));
}

/// Checks the block that `make` makes on a chain whose first coinbases can be spent.
#[track_caller]
fn check_refused(verdict: Verdict, word: &str, make: impl FnOnce(&Chain) -> Block) {
    let chain = ripe();
    check_on(&chain, make(&chain), verdict, word);
}

fn ripe() -> Chain {
    let mut chain = Chain::regtest();
    chain.mine(105);
    chain
}

fn one_spend(chain: &Chain) -> Transaction {
    pay(&[coinbase_of(chain, 1)], &[FIFTY])
}

/// A block that is fine but for one transaction.
#[track_caller]
fn check_transaction(word: &str, make: impl FnOnce(&Chain) -> Transaction) {
    check_refused(Invalid, word, |chain| block_of(chain, vec![make(chain)]));
}

#[test]
fn what_is_changed_below_was_fine_before() {
    let chain = ripe();
    let block = block_of(&chain, vec![one_spend(&chain), pay(&[coinbase_of(&chain, 2)], &[FIFTY])]);
    assert!(chain.check(block).is_ok());
}

#[test]
fn merkle_trees() {
    check_refused(Mutated, "bad-txnmrklroot", |chain| {
        let mut block = block_of(chain, Vec::new());
        block.header.merkle_root[0] ^= 1;
        block
    });
    check_refused(Mutated, "bad-txns-duplicate", |chain| {
        let last = pay(&[coinbase_of(chain, 2)], &[FIFTY]);
        let mut block = block_of(chain, vec![one_spend(chain), last.clone()]);
        block.transactions.push(last);
        block
    });
}

#[test]
fn transactions_of_64_bytes() {
    let of_64_bytes = |chain: &Chain| {
        let transaction = pay_with(&[coinbase_of(chain, 1)], &[FIFTY], |parts| {
            parts.outputs[0].script_pubkey = Script::from(vec![0x51; 4]);
        });
        assert_eq!(transaction.stripped_size(), 64);
        transaction
    };
    check_refused(Mutated, "bad-cb-missing", |chain| {
        let mut block = block_of(chain, vec![of_64_bytes(chain)]);
        block.transactions.remove(0);
        with_root(block)
    });
    let chain = ripe();
    assert!(chain.check(block_of(&chain, vec![of_64_bytes(&chain)])).is_ok(), "consensus allows them");
}

#[test]
fn the_shape_of_a_block() {
    check_refused(Invalid, "bad-blk-length", |chain| {
        let mut block = block_of(chain, Vec::new());
        block.transactions.clear();
        with_root(block)
    });
    check_refused(Invalid, "bad-blk-length", |chain| {
        remade(block_of(chain, Vec::new()), |coinbase| {
            coinbase.outputs[0].script_pubkey = Script::from(vec![0; 1_000_000]);
        })
    });
    check_refused(Invalid, "bad-cb-missing", |chain| {
        let mut block = block_of(chain, vec![one_spend(chain)]);
        block.transactions.remove(0);
        with_root(block)
    });
    check_refused(Invalid, "bad-cb-multiple", |chain| {
        let block = block_of(chain, Vec::new());
        let second = block.transactions[0].clone();
        block_of(chain, vec![one_spend(chain), second])
    });
    check_refused(Invalid, "bad-blk-sigops", |chain| {
        remade(block_of(chain, Vec::new()), |coinbase| {
            coinbase.outputs[0].script_pubkey = Script::from(vec![0xac; 20_001]);
        })
    });
}

#[test]
fn transactions_alone() {
    let spend = |amounts: &[i64]| {
        let amounts: Vec<Amount> = amounts.iter().copied().map(Amount).collect();
        move |chain: &Chain| pay(&[coinbase_of(chain, 1)], &amounts)
    };
    check_transaction("bad-txns-vin-empty", |_| pay(&[], &[FIFTY]));
    check_transaction("bad-txns-vout-empty", spend(&[]));
    check_transaction("bad-txns-vout-negative", spend(&[-1]));
    check_transaction("bad-txns-vout-toolarge", spend(&[Amount::MONEY_MAX.0 + 1]));
    check_transaction("bad-txns-txouttotal-toolarge", spend(&[Amount::MONEY_MAX.0, 1]));
    check_transaction("bad-txns-inputs-duplicate", |chain| {
        pay(&[coinbase_of(chain, 1), coinbase_of(chain, 1)], &[FIFTY])
    });
    check_transaction("bad-txns-prevout-null", |chain| {
        pay(&[coinbase_of(chain, 1), OutPoint::NULL], &[FIFTY])
    });
    check_refused(Invalid, "bad-cb-length", |chain| {
        remade(block_of(chain, Vec::new()), |coinbase| {
            coinbase.inputs[0].script_sig = Script::from(vec![0; 101]);
        })
    });
}

#[test]
fn headers_and_lock_times() {
    check_refused(Invalid, "bad-version(0x00000003)", |chain| {
        let mut block = block_of(chain, Vec::new());
        block.header.version = 3;
        block
    });
    check_transaction("bad-txns-nonfinal", |chain| {
        pay_with(&[coinbase_of(chain, 1)], &[FIFTY], |parts| parts.lock_time = chain.height() + 1)
    });
    check_transaction("bad-txns-nonfinal", |chain| {
        let median = chain.head.headers.median_time().0 as u32;
        pay_with(&[coinbase_of(chain, 1)], &[FIFTY], |parts| parts.lock_time = median)
    });
    check_refused(Invalid, "bad-cb-height", |chain| {
        remade(block_of(chain, Vec::new()), |coinbase| {
            coinbase.inputs[0].script_sig = Script::from(vec![1, chain.height() as u8]);
        })
    });
}

#[test]
fn relative_lock_times() {
    let with_sequence = |sequence| {
        move |chain: &Chain| {
            pay_with(&[coinbase_of(chain, 1)], &[FIFTY], |parts| parts.inputs[0].sequence = sequence)
        }
    };
    // The coin is 105 blocks and 104 seconds old for the next block.
    check_transaction("bad-txns-nonfinal", with_sequence(106));
    check_transaction("bad-txns-nonfinal", with_sequence(1 << 22 | 1));
    let chain = ripe();
    for sequence in [105, 1 << 22, 1 << 31 | 0xffff] {
        let block = block_of(&chain, vec![with_sequence(sequence)(&chain)]);
        assert!(chain.check(block).is_ok(), "{sequence:x}");
    }
    let version_1 = pay_with(&[coinbase_of(&chain, 1)], &[FIFTY], |parts| {
        parts.version = 1;
        parts.inputs[0].sequence = 0xffff;
    });
    assert!(chain.check(block_of(&chain, vec![version_1])).is_ok());
}

#[test]
fn relative_time_ends_to_the_second() {
    let mut chain = Chain::regtest();
    chain.mine(101);
    let genesis = chain.ledger.parameters.genesis.time;
    // Eleven blocks a second apart: the sixth is the median.
    chain.now = u64::from(genesis) + 505;
    chain.mine(11);
    assert_eq!(chain.head.headers.median_time().0, u64::from(genesis) + 511);
    let spend = |chain: &Chain| {
        pay_with(&[coinbase_of(chain, 1)], &[FIFTY], |parts| parts.inputs[0].sequence = 1 << 22 | 1)
    };
    check_on(&chain, block_of(&chain, vec![spend(&chain)]), Invalid, "bad-txns-nonfinal");
    chain.mine(1);
    assert!(chain.check(block_of(&chain, vec![spend(&chain)])).is_ok());
}

#[test]
fn witnesses() {
    let with_witness = |block: &mut Block, witness: Witness| {
        let mut coinbase = block.transactions[0].parts().clone();
        coinbase.inputs[0].witness = witness;
        block.transactions[0] = Transaction::new(coinbase);
    };
    check_refused(Mutated, "bad-witness-nonce-size", |chain| {
        let mut block = block_of(chain, Vec::new());
        with_witness(&mut block, Witness::from_items([[0; 31]]));
        block
    });
    check_refused(Mutated, "bad-witness-merkle-match", |chain| {
        let mut block = block_of(chain, Vec::new());
        with_witness(&mut block, Witness::from_items([[1; 32]]));
        block
    });
    check_refused(Mutated, "bad-witness-merkle-match", |chain| {
        let mut block = block_of(chain, vec![one_spend(chain)]);
        let mut parts = block.transactions[1].parts().clone();
        parts.inputs[0].witness = Witness::from_items([[0x52]]);
        block.transactions[1] = Transaction::new(parts);
        block
    });
    check_refused(Mutated, "unexpected-witness", |chain| {
        let mut block = block_of(chain, vec![one_spend(chain)]);
        let mut coinbase = block.transactions[0].parts().clone();
        coinbase.outputs.pop();
        coinbase.inputs[0].witness = Witness::default();
        block.transactions[0] = Transaction::new(coinbase);
        with_root(block)
    });
    check_refused(Invalid, "bad-blk-weight", |chain| {
        let heavy = pay_with(&[coinbase_of(chain, 1)], &[FIFTY], |parts| {
            parts.inputs[0].witness = Witness::from_items([vec![0; 4_000_000]]);
        });
        block_of(chain, vec![heavy])
    });
}

#[test]
fn witnesses_before_their_time() {
    let parameters = bitcoin_regtest();
    let buried = BuriedHeights { segwit: 1_000, ..parameters.buried };
    let mut chain = Chain::new(Parameters { buried, ..parameters });
    chain.mine(101);
    let block = block_of(&chain, vec![one_spend(&chain)]);
    check_on(&chain, block, Mutated, "unexpected-witness");
}

#[test]
fn inputs_and_amounts() {
    check_transaction("bad-txns-inputs-missingorspent", |_| {
        pay(&[OutPoint { txid: Txid::default(), index: 0 }], &[FIFTY])
    });
    check_refused(Invalid, "bad-txns-inputs-missingorspent", |chain| {
        let other = pay(&[coinbase_of(chain, 1)], &[Amount(1)]);
        block_of(chain, vec![one_spend(chain), other])
    });
    check_refused(Invalid, "bad-txns-inputs-missingorspent", |chain| {
        let parent = one_spend(chain);
        let child = pay(&[OutPoint { txid: parent.txid(), index: 0 }], &[FIFTY]);
        block_of(chain, vec![child, parent])
    });
    check_transaction("bad-txns-premature-spend-of-coinbase", |chain| {
        pay(&[coinbase_of(chain, chain.height() - 98)], &[FIFTY])
    });
    check_transaction("bad-txns-in-belowout", |chain| pay(&[coinbase_of(chain, 1)], &[Amount(FIFTY.0 + 1)]));
    check_refused(Invalid, "bad-cb-amount", |chain| {
        remade(block_of(chain, Vec::new()), |coinbase| coinbase.outputs[0].value.0 += 1)
    });
}

#[test]
fn a_coinbase_takes_the_fees_once() {
    let (chain, fee) = (ripe(), 1000);
    let with_reward = |more: i64| {
        let paying = pay(&[coinbase_of(&chain, 1)], &[Amount(FIFTY.0 - fee)]);
        remade(block_of(&chain, vec![paying]), |coinbase| coinbase.outputs[0].value.0 += more)
    };
    assert!(chain.check(with_reward(fee)).is_ok());
    check_on(&chain, with_reward(fee + 1), Invalid, "bad-cb-amount");
}

#[test]
fn scripts() {
    check_transaction("block-script-verify-flag-failed (Witness program hash mismatch)", |chain| {
        pay_with(&[coinbase_of(chain, 1)], &[FIFTY], |parts| {
            parts.inputs[0].witness = Witness::from_items([[0x52]]);
        })
    });
    // 150 inputs make several jobs; each input is in one.
    let mut chain = Chain::regtest();
    chain.mine(101);
    let many = pay(&[coinbase_of(&chain, 1)], &[Amount(10_000_000); 150]);
    let coins: Vec<OutPoint> = (0..150).map(|index| OutPoint { txid: many.txid(), index }).collect();
    for index in 0..150 {
        let bad = pay_with(&coins, &[Amount(1)], |parts| {
            parts.inputs[index].witness = Witness::from_items([[0x00]]);
        });
        let block = block_of(&chain, vec![many.clone(), bad]);
        check_on(&chain, block, Invalid, "block-script-verify-flag-failed (Witness program hash mismatch)");
    }
}

#[test]
fn signature_operations_in_witnesses_count_too() {
    // 199 checks behind a hash: 4,020 spends of it cost 80,000 and more.
    let script = [vec![0x00, 0x63], vec![0xac; 199], vec![0x68, 0x51]].concat();
    let program = chainwright_utxo::hash::sha256(&script);
    let mut chain = Chain::regtest();
    chain.mine(101);
    let output = TxOut {
        value: Amount(1_000),
        script_pubkey: chainwright_utxo::script::witness_script_pubkey(0, &program),
    };
    let many = pay_with(&[coinbase_of(&chain, 1)], &[], |parts| parts.outputs = vec![output; 403]);
    let spend = |count: u32| {
        let coins: Vec<OutPoint> = (0..count).map(|index| OutPoint { txid: many.txid(), index }).collect();
        pay_with(&coins, &[Amount(1_000)], |parts| {
            for input in &mut parts.inputs {
                input.witness = Witness::from_items([script.as_slice()]);
            }
        })
    };
    assert!(chain.check(block_of(&chain, vec![many.clone(), spend(402)])).is_ok());
    let block = block_of(&chain, vec![many.clone(), spend(403)]);
    check_on(&chain, block, Invalid, "bad-blk-sigops");
}

#[test]
fn coins_are_not_overwritten() {
    let parameters = bitcoin_regtest();
    let buried = BuriedHeights { bip34: 1_000, segwit: 1_000, ..parameters.buried };
    let mut chain = Chain::new(Parameters { buried, ..parameters });
    chain.mine(1);
    let mut block = chain.build(&anyone());
    block.transactions[0] = chain.blocks[0].block.block.transactions[0].clone();
    check_on(&chain, with_root(block), Invalid, "bad-txns-BIP30");
}

#[test]
fn a_known_exception_overwrites_and_is_undone() {
    let parameters = bitcoin_regtest();
    let buried = BuriedHeights { bip34: 1_000, segwit: 1_000, ..parameters.buried };
    let mut chain = Chain::new(Parameters { buried, ..parameters });
    chain.mine(1);
    let before = chain.rows.all();
    let mut block = chain.build(&anyone());
    block.transactions[0] = chain.blocks[0].block.block.transactions[0].clone();
    let block = with_root(block);
    let known = chainwright_utxo::params::DuplicateCoinbase { height: 2, block: block.hash() };
    chain.ledger.parameters.duplicate_coinbases.push(known);
    chain.connect(block).unwrap();
    assert_ne!(chain.rows.all(), before, "the coin is two blocks high now");
    chain.reorganise(1, Vec::new());
    assert_eq!(chain.rows.all(), before);
}

#[test]
fn a_signets_blocks_are_signed() {
    let chain = Chain::new(bitcoin_signet());
    let block = block_of(&chain, Vec::new());
    check_on(&chain, block, Invalid, "bad-signet-blksig");
    let mut open = Chain::new(bitcoin_signet().with_signet_challenge(vec![0x51]));
    open.mine(3);
    assert_eq!(open.height(), 3);
}
