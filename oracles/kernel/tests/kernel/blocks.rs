//! Real blocks with one bit changed: decoding and what bytes alone prove.
//!
//! The engine has no chain behind these blocks, so what is compared is its `CheckBlock` with our seal and
//! [`Ledger::prepare`]; witnesses, which only `ContextualCheckBlock` looks at, are compared in `regtest.rs`. That a verdict is
//! `Mutated` exactly when the id is the honest block's is asked of all our stages, `check_body` included.

use bitcoinkernel::notifications::types::BlockValidationStateExt as _;
use bitcoinkernel::prelude::*;
use bitcoinkernel::{BLOCK_CHECK_ALL, BlockCheckResult, BlockValidationResult, ChainParams, ChainType};
use bytes::Bytes;
use chainwright_chain::{Consensus, Headers, Ledger as _, Reject, U256, Weight};
use chainwright_pow::{Pow, Retarget, TargetRule};
use chainwright_utxo::Utxo;
use chainwright_utxo::block::{Block, BlockHeader};
use chainwright_utxo::codec::Reader;
use chainwright_utxo::params::bitcoin_main;

use crate::support::{Dice, flip, read, read_frames, read_zstd, say};

/// Flipped bits per block, besides those of the header.
const FLIPS: usize = 2_000;
const HEADER_BITS: usize = 640;

/// What is said of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// They are no block.
    Undecodable,
    /// The header's work is not there.
    BadSeal,
    /// Another body may belong to this id.
    Mutated,
    Invalid,
    Good,
}

struct Judge {
    ledger: Utxo,
    pow: Pow,
    theirs: ChainParams,
}

impl Judge {
    fn mainnet() -> Self {
        let rule = Retarget {
            limit: U256::MAX >> 32,
            spacing_seconds: 600,
            timespan_seconds: 14 * 24 * 60 * 60,
            allow_min_difficulty: false,
            no_retarget: false,
            bip94: false,
        };
        Self {
            ledger: Utxo::new(bitcoin_main()),
            pow: Pow::new(TargetRule::Bitcoin(rule)),
            theirs: ChainParams::new(ChainType::Mainnet),
        }
    }

    fn ours(&self, block: Result<Block, Undecodable>, parent: Option<&Headers<Utxo>>) -> Said {
        let Ok(block) = block else { return Said::Undecodable };
        if Consensus::<Utxo>::check_seal(&self.pow, &block.header).is_err() {
            return Said::BadSeal;
        }
        let checked = self.ledger.prepare(block).and_then(|prepared| match parent {
            Some(parent) => self.ledger.check_body(&prepared, parent),
            None => Ok(()),
        });
        match checked {
            Ok(()) => Said::Good,
            Err(Reject::Mutated(_)) => Said::Mutated,
            Err(_) => Said::Invalid,
        }
    }

    fn theirs(&self, block: Option<&bitcoinkernel::Block>) -> Said {
        let Some(block) = block else { return Said::Undecodable };
        match block.check(&self.theirs, BLOCK_CHECK_ALL) {
            BlockCheckResult::Valid => Said::Good,
            BlockCheckResult::Invalid(state) => match state.result() {
                BlockValidationResult::InvalidHeader => Said::BadSeal,
                BlockValidationResult::Mutated => Said::Mutated,
                _ => Said::Invalid,
            },
        }
    }
}

/// What decoding fails with: how far it came does not matter.
struct Undecodable;

/// Reads a block and what is left over. The engine leaves looking at the rest to its callers, ours is stricter.
fn read_block(bytes: &[u8]) -> (Result<Block, Undecodable>, usize) {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
    let block = Block::read(&mut reader).map_err(|_| Undecodable);
    (block, reader.remaining())
}

/// Compares the verdicts on the same bytes, and gives ours.
#[track_caller]
fn check_alike(judge: &Judge, bytes: &[u8], case: &str) -> Said {
    let (ours, left) = read_block(bytes);
    let theirs = bitcoinkernel::Block::new(bytes).ok();
    if let (Ok(ours), Some(theirs)) = (&ours, &theirs) {
        assert_eq!(ours.hash().0, theirs.hash().to_bytes(), "{case}: the ids");
        assert_eq!(ours.transactions.len(), theirs.transaction_count(), "{case}: transactions");
        if left > 0 {
            let encoded = theirs.consensus_encode().expect("a block encodes").len();
            assert_eq!(bytes.len() - left, encoded, "{case}: bytes read");
        }
    }
    let theirs = judge.theirs(theirs.as_ref());
    let ours = judge.ours(ours, None);
    assert_eq!(ours, theirs, "{case}: ours against the engine's");
    ours
}

/// A branch whose next block has this height; only heights and times of it are ever looked at.
fn branch_below(height: u32, time: u32) -> Headers<Utxo> {
    let mut header = BlockHeader { time, ..BlockHeader::default() };
    let mut branch = Headers::genesis(header, Weight::ZERO);
    for nonce in 1..height {
        header.nonce = nonce;
        branch = branch.child(header, Weight::ZERO);
    }
    branch
}

/// The height a coinbase names (BIP-0034).
fn named_height(block: &Block) -> u32 {
    let script = block.transactions[0].inputs()[0].script_sig.as_bytes();
    let length = usize::from(script[0]);
    script[1..=length].iter().rev().fold(0, |height, byte| height << 8 | u32::from(*byte))
}

/// Flips every bit of the header and `flips` others.
#[track_caller]
fn check_block(name: &str, honest: &[u8], seed: u64, flips: usize) {
    let judge = Judge::mainnet();
    assert_eq!(check_alike(&judge, honest, name), Said::Good, "{name} as it is");
    let (block, _) = read_block(honest);
    let block = block.unwrap_or_else(|_| panic!("{name} decodes"));
    // Without witnesses every bit of the body is under the Merkle root.
    let parent = block
        .transactions
        .iter()
        .any(chainwright_utxo::tx::Transaction::has_witness)
        .then(|| branch_below(named_height(&block), block.header.time - 1));
    assert_eq!(judge.ours(Ok(block), parent.as_ref()), Said::Good, "{name} as it is, in context");
    let mut dice = Dice::new(seed);
    let body_bits = honest.len() * 8 - HEADER_BITS;
    let bits = (0..HEADER_BITS).chain((0..flips).map(|_| HEADER_BITS + dice.below(body_bits)));
    let mut counts = [0; 3];
    for bit in bits.collect::<Vec<_>>() {
        let bytes = flip(honest, bit);
        let case = format!("{name}, seed {seed}, bit {bit}");
        let said = check_alike(&judge, &bytes, &case);
        let said = match (said, &parent) {
            (Said::Good, Some(_)) => judge.ours(read_block(&bytes).0, parent.as_ref()),
            _ => said,
        };
        if said == Said::Undecodable {
            counts[0] += 1;
            continue;
        }
        let has_honest_id = bit >= HEADER_BITS;
        assert_eq!(said == Said::Mutated, has_honest_id, "{case}: {said:?} although the id says otherwise");
        assert!(has_honest_id || said == Said::BadSeal, "{case}: {said:?}");
        counts[if has_honest_id { 1 } else { 2 }] += 1;
    }
    let [undecodable, mutated, unsealed] = counts;
    assert!(undecodable > 0 && unsealed == HEADER_BITS);
    say(&format!("{name}: {undecodable} flips undecodable, {mutated} mutated, {unsealed} without work"));
}

#[test]
fn flips_of_block_413567_are_judged_alike() {
    let Some(bytes) = read("blocks/mainnet-413567.raw") else { return };
    check_block("413567", &bytes, 1, FLIPS);
}

#[test]
fn flips_of_a_segwit_block_are_judged_alike() {
    let id = "000000000000000000000c835b2adcaedc20fdf6ee440009c249452c726dafae";
    let Some(bytes) = read(&format!("blocks/mainnet_block_{id}.raw")) else { return };
    check_block("…dafae", &bytes, 2, FLIPS);
}

#[test]
fn flips_of_a_testnet_block_are_judged_alike() {
    let id = "000000000000045e0b1660b6445b5e5c5ab63c9a4f956be7e1e69be04fa4497b";
    let Some(bytes) = read(&format!("blocks/testnet_block_{id}.raw")) else { return };
    check_block("…a4497b", &bytes, 3, FLIPS);
}

#[test]
fn flips_of_block_866342_are_judged_alike() {
    let Some(bytes) = read_zstd("block-866342/raw.zst") else { return };
    check_block("866342", &bytes, 4, FLIPS);
}

#[test]
fn flips_of_block_367891_are_judged_alike() {
    let Some(bytes) = read_zstd("block-367891/raw.zst") else { return };
    check_block("367891", &bytes, 5, FLIPS);
}

#[test]
fn flips_of_the_first_blocks_are_judged_alike() {
    let Some(blocks) = read_frames("mainnet-blocks-1-256.bz2") else { return };
    for (at, bytes) in blocks.iter().enumerate().step_by(17).chain([(169, &blocks[169])]) {
        check_block(&format!("block {}", at + 1), bytes, 100 + at as u64, FLIPS);
    }
}
