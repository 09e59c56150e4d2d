//! A chain that both sides follow. Every block spends outputs of every kind; before it connects, both judge broken versions
//! of it. A broken version that both accept becomes the tip on both sides, and the next block stands on it.
//!
//! What is the same: accepted or refused, who may be to blame (the body alone, the block, a missing parent, the clock), and
//! Bitcoin Core's words with their detail.
//!
//! Where a block breaks two rules the first is reported, and there the orders differ in one place: without script threads,
//! as here, Core runs a transaction's scripts before it looks at the next transaction, ours run when the whole state is
//! right. (With script threads Core does as we do.)
//!
//! One difference is meant, see [`is_like_a_node`].

use std::collections::{BTreeMap, HashSet};

use bitcoinkernel::BlockValidationResult;
use bytes::Bytes;
use chainwright_chain::Reject;
use chainwright_oracle_kernel::{Engine, Verdict};
use chainwright_utxo::block::{Block, BlockHeader};
use chainwright_utxo::build::commit_to_witnesses;
use chainwright_utxo::tx::{TransactionParts, Witness};

use crate::chain::Chain;
use crate::changes::{Repair, change, repair};
use crate::support::{Dice, flip, say};
use crate::wallet::{KINDS, Kind, Wallet};

/// Unless `CHAINWRIGHT_ORACLE_SEED` says otherwise.
const SEED: u64 = 31;
/// Blocks before coins are spent: coinbases mature, one of each kind and more.
const SETUP_BLOCKS: u32 = 130;
const ROUNDS: usize = 1_200;
/// Flipped bits per round in a block that is not sealed again.
const FLIPS: usize = 8;
/// Other broken versions per round, unless one is accepted.
const CHANGES: usize = 12;
const LIKE_A_NODE: &str = "bad-cb-missing, first tx is not coinbase and one has 64 bytes";
const SCRIPT_FAILURE: &str = "block-script-verify-flag-failed";

/// Who is to blame, as far as both sides can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Accepted,
    Undecodable,
    Invalid,
    Mutated,
    MissingParent,
    NotYet,
}

struct Both {
    engine: Engine,
    chain: Chain,
    wallet: Wallet,
    /// Ids that were refused for ever: a second look would only find that.
    fallen: HashSet<[u8; 32]>,
    counts: BTreeMap<(Class, String), usize>,
}

fn class_of(verdict: &Verdict) -> (Class, String) {
    match verdict {
        Verdict::Connected => (Class::Accepted, String::new()),
        Verdict::Undecodable => (Class::Undecodable, String::new()),
        Verdict::Refused(result, words) => (class_of_result(*result), words.clone()),
        Verdict::Stored | Verdict::Known => panic!("every block is on the tip and new: {verdict:?}"),
    }
}

fn class_of_result(result: BlockValidationResult) -> Class {
    match result {
        BlockValidationResult::Consensus | BlockValidationResult::InvalidHeader => Class::Invalid,
        BlockValidationResult::Mutated => Class::Mutated,
        BlockValidationResult::MissingPrev => Class::MissingParent,
        BlockValidationResult::TimeFuture => Class::NotYet,
        other => panic!("{other:?} is for blocks judged before"),
    }
}

fn class_of_reject(reject: &Reject) -> Class {
    match reject {
        Reject::Invalid(_) => Class::Invalid,
        Reject::Mutated(_) => Class::Mutated,
        Reject::MissingParent(_) => Class::MissingParent,
        Reject::NotYet(_) => Class::NotYet,
        Reject::Fault(fault) => panic!("memory does not fail: {fault}"),
    }
}

/// Whether both name the same rule, or two rules in the orders explained above. Core leaves a blank where a detail ends with
/// nothing to add.
fn same_words(ours: &str, theirs: &str) -> bool {
    ours == theirs.trim_end() || (theirs.starts_with(SCRIPT_FAILURE) && !ours.starts_with(SCRIPT_FAILURE))
}

/// Core asks about transactions of 64 bytes where blocks arrive from peers (`IsBlockMutated`), which the engine has no part
/// in; ours asks wherever they come from. Either way the block is refused and nothing is remembered.
fn is_like_a_node(ours: &str, theirs: &str) -> bool {
    ours == LIKE_A_NODE && theirs == "bad-cb-missing, first tx is not coinbase"
}

impl Both {
    fn new(folder: &std::path::Path) -> Self {
        let engine = Engine::regtest(folder, 0, true).expect("an empty folder");
        let (chain, wallet) = (Chain::regtest(), Wallet::new());
        Self { engine, chain, wallet, fallen: HashSet::new(), counts: BTreeMap::new() }
    }

    /// Asks both; what both accept is connected on both.
    #[track_caller]
    fn check_block(&mut self, bytes: &[u8], case: &str) -> Class {
        let decoded = Block::decode(Bytes::copy_from_slice(bytes));
        let id = decoded.as_ref().ok().map(|block| block.hash().0);
        if id.is_some_and(|id| self.fallen.contains(&id)) {
            return Class::Invalid;
        }
        let theirs = match &decoded {
            // The engine leaves looking at the rest to its callers.
            Err(chainwright_utxo::codec::DecodeError::TrailingBytes(_)) => Verdict::Undecodable,
            _ => self.engine.process(bytes),
        };
        let (their_class, their_words) = class_of(&theirs);
        let (our_class, our_words) = match decoded.map(|block| self.chain.check(block)) {
            Err(_) => (Class::Undecodable, String::new()),
            Ok(Err(reject)) => (class_of_reject(&reject), reject.to_string()),
            Ok(Ok(checked)) => {
                assert_eq!(their_class, Class::Accepted, "{case}: we accept, the engine: {their_words}");
                self.chain.connect(&checked);
                self.wallet.connected(&checked.prepared.block, self.chain.height());
                assert_eq!(self.engine.tip().1, checked.prepared.id.0, "{case}: the tips");
                (Class::Accepted, String::new())
            }
        };
        let their_class = if is_like_a_node(&our_words, &their_words) { Class::Mutated } else { their_class };
        assert_eq!(our_class, their_class, "{case}: ours {our_words:?}, the engine's {their_words:?}");
        if matches!(our_class, Class::Invalid | Class::Mutated) {
            let same = same_words(&our_words, &their_words) || is_like_a_node(&our_words, &their_words);
            assert!(same, "{case}: ours {our_words:?}, the engine's {their_words:?}");
        }
        if our_class == Class::Invalid {
            self.fallen.extend(id);
        }
        let word = our_words.split(", ").next().unwrap_or_default();
        let word = if word.starts_with("bad-version") { "bad-version" } else { word };
        let word = if our_class == Class::Invalid || our_class == Class::Mutated { word } else { "" };
        *self.counts.entry((our_class, word.to_owned())).or_default() += 1;
        our_class
    }

    /// The next honest block: some transactions that spend coins of all kinds.
    fn next_block(&self, dice: &mut Dice) -> Block {
        let mut block = self.chain.build(&self.wallet.script(dice.pick(&KINDS)));
        let mut usable: Vec<_> = self
            .wallet
            .coins
            .iter()
            .filter(|coin| coin.spendable <= self.chain.height() + 1)
            .copied()
            .collect();
        for _ in 0..=dice.below(5) {
            let mut coins = Vec::new();
            for _ in 0..=dice.below(3) {
                if !usable.is_empty() {
                    coins.push(usable.swap_remove(dice.below(usable.len())));
                }
            }
            if !coins.is_empty() {
                block.transactions.push(self.wallet.spend(&coins, dice));
            }
        }
        let mut coinbase: TransactionParts = block.transactions[0].parts().clone();
        coinbase.outputs.pop();
        coinbase.inputs[0].witness = Witness::default();
        block.transactions[0] = chainwright_utxo::tx::Transaction::new(coinbase);
        commit_to_witnesses(&mut block);
        block.header.merkle_root = block.merkle_root().root;
        assert!(self.chain.seal(&mut block));
        block
    }

    #[track_caller]
    fn grow(&mut self, dice: &mut Dice, case: &str) {
        let block = self.next_block(dice);
        assert_eq!(self.check_block(&block.encode(), case), Class::Accepted, "{case}");
    }

    /// Flipped bits in a body leave the id alone: never anything but `Mutated`, and nothing is remembered of it.
    #[track_caller]
    fn check_flips(&mut self, honest: &[u8], dice: &mut Dice, case: &str) {
        for _ in 0..FLIPS {
            let bit = 640 + dice.below(honest.len() * 8 - 640);
            let class = self.check_block(&flip(honest, bit), &format!("{case}, bit {bit}"));
            assert!(matches!(class, Class::Undecodable | Class::Mutated), "{case}, bit {bit}: {class:?}");
        }
    }

    /// The block with a coinbase spent that is not old enough, perhaps by one block.
    fn premature(&self, honest: &Block, dice: &mut Dice) -> Option<(Block, String)> {
        let next = self.chain.height() + 1;
        let mut young: Vec<_> = self.wallet.coins.iter().filter(|coin| coin.spendable > next).collect();
        young.sort_by_key(|coin| coin.spendable);
        let coin = young.get(dice.below(2) * dice.below(young.len().max(1)))?;
        let mut block = honest.clone();
        block.transactions.push(self.wallet.spend(&[**coin], dice));
        Some((block, format!("a coinbase spent {} blocks early", coin.spendable - next)))
    }

    /// Breaks the block until both accept a broken one; whether that happened.
    #[track_caller]
    fn check_changes(&mut self, honest: &Block, dice: &mut Dice, case: &str) -> bool {
        for number in 0..CHANGES {
            let changed =
                if dice.below(40) == 0 { self.premature(honest, dice) } else { change(honest, dice) };
            let Some((mut block, name)) = changed else { continue };
            let how = if dice.below(5) == 0 { Repair::Root } else { Repair::All };
            if !name.starts_with("header") {
                repair(&mut block, how);
            }
            // Header flips are also tried without work; a target beyond the limit has no seal.
            if !name.starts_with("header") || dice.below(2) == 0 {
                self.chain.seal(&mut block);
            }
            if block.hash() == honest.hash() && block == *honest {
                continue;
            }
            let case = format!("{case}, change {number} ({name}, repaired {how:?})");
            if self.check_block(&block.encode(), &case) == Class::Accepted {
                return true;
            }
        }
        false
    }
}

fn seed() -> u64 {
    std::env::var("CHAINWRIGHT_ORACLE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED)
}

/// Nobody else may use the engine's log at the same time.
static ONE_ENGINE: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn broken_regtest_blocks_are_judged_alike() {
    let _alone = ONE_ENGINE.lock();
    let seed = seed();
    let folder = tempfile::tempdir().expect("a folder");
    let mut both = Both::new(folder.path());
    let mut dice = Dice::new(seed);
    for height in 1..=SETUP_BLOCKS {
        both.grow(&mut dice, &format!("seed {seed}, setup block {height}"));
    }
    let mut accepted = 0;
    for round in 0..ROUNDS {
        let case = format!("seed {seed}, round {round}");
        let honest = both.next_block(&mut dice);
        both.check_flips(&honest.encode(), &mut dice, &case);
        if both.check_changes(&honest, &mut dice, &case) {
            accepted += 1;
        } else {
            // Everything that was refused under its id is forgotten.
            assert_eq!(both.check_block(&honest.encode(), &case), Class::Accepted, "{case}: honest");
        }
    }
    let kinds: HashSet<_> =
        both.wallet.coins.iter().map(|coin: &crate::wallet::Coin| coin.kind as u8).collect();
    assert_eq!(kinds.len(), KINDS.len(), "every kind of output exists, {:?} too", Kind::Anchor);
    say(&format!("regtest: height {}, {accepted} broken blocks accepted by both", both.chain.height()));
    for ((class, word), count) in &both.counts {
        say(&format!("regtest: {count} × {class:?} {word}"));
    }
    assert!(both.counts.len() > 20, "{} different verdicts", both.counts.len());
}

#[test]
fn every_bit_of_a_regtest_header_is_judged_alike() {
    let _alone = ONE_ENGINE.lock();
    let seed = seed();
    let folder = tempfile::tempdir().expect("a folder");
    let mut both = Both::new(folder.path());
    let mut dice = Dice::new(seed);
    let mut counts: BTreeMap<Class, usize> = BTreeMap::new();
    for round in 0..3 {
        both.grow(&mut dice, &format!("seed {seed}, block {round}"));
        let honest = both.next_block(&mut dice).header.encode();
        for (bit, seals) in (0..640).flat_map(|bit| [(bit, false), (bit, true)]) {
            let bytes: [u8; 80] = flip(&honest, bit).try_into().expect("80 bytes");
            let mut block = Block { header: BlockHeader::decode(&bytes), transactions: Vec::new() };
            if seals {
                both.chain.seal(&mut block);
            }
            let theirs = both.engine.process_header(&block.header.encode()).expect("the engine answers");
            let ours = both.chain.check_header(&block.header);
            let case = format!("seed {seed}, block {round}, header bit {bit}, sealed again: {seals}");
            let their_class = theirs.map_or(Class::Accepted, class_of_result);
            let our_class = ours.as_ref().map_or_else(class_of_reject, |()| Class::Accepted);
            assert_eq!(our_class, their_class, "{case}: ours {ours:?}, the engine's {theirs:?}");
            *counts.entry(our_class).or_default() += 1;
        }
    }
    say(&format!("headers: {counts:?}"));
    assert_eq!(counts.len(), 4, "accepted, invalid, without parent, too new: {counts:?}");
}
