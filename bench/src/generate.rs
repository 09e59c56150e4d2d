//! The chain every opponent imports: regtest, deterministic, signed throughout.
//!
//! ```text
//! height 1 …        coinbases mature
//! height 102 … 121  coinbases are split into 200,000 coins
//! height 266 …      payments of two inputs and two outputs. Half of the inputs spend outputs of the same block, a fifth
//!                   outputs younger than 144 blocks, the rest older ones.
//! ```

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread;

use chainwright_utxo::amount::Amount;
use chainwright_utxo::block::Block;
use chainwright_utxo::hash::sha256d;
use chainwright_utxo::params::{Parameters, bitcoin_regtest};
use chainwright_utxo::script::Script;
use chainwright_utxo::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};

use crate::coins::{Coin, Kind, Wallet};

/// Seconds since 1970 of the genesis of times: every block is 600 s later than its parent.
const FIRST_TIME: u32 = 1_700_000_000;
const SPLIT_FROM: u32 = 102;
const SPLIT_BLOCKS: u32 = 20;
const PAYMENTS_FROM: u32 = 266;
/// A coin of this many blocks counts as old.
const OLD: u32 = 144;

type Result<T> = core::result::Result<T, Box<dyn core::error::Error>>;

/// Coins to spend, and the locks of the outputs.
type Payment = (Vec<Coin>, Vec<(Kind, u8)>);

/// Coins by the height that made them.
type Aged = VecDeque<(u32, Vec<Coin>)>;

struct Chain {
    wallet: Wallet,
    parameters: Parameters,
    tip: Block,
    height: u32,
    signed: u64,
}

/// The height of the benchmark's chain.
pub(crate) const BLOCKS: u32 = 600;
/// Signed inputs in each of its blocks of payments; 1.4 million in all.
pub(crate) const INPUTS: u32 = 4_180;

pub(crate) fn generate(file: &Path, blocks: u32, inputs: u32) -> Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    let parameters = bitcoin_regtest();
    let tip = parameters.genesis.block();
    let mut chain = Chain { wallet: Wallet::new(), parameters, tip, height: 0, signed: 0 };
    let mut first_coinbase = None;
    let mut split = Vec::new();
    let mut aged = Aged::new();
    while chain.height < blocks {
        let height = chain.height + 1;
        let payments = match height {
            SPLIT_FROM => chain.first_split(first_coinbase.take(), &mut split),
            _ if height > SPLIT_FROM && height <= SPLIT_FROM + SPLIT_BLOCKS => {
                chain.split(&mut split, &mut aged)
            }
            PAYMENTS_FROM.. => chain.payments(inputs, &mut aged),
            _ => Vec::new(),
        };
        chain.write_block(payments, &mut out)?;
        if height == 1 {
            let outpoint = OutPoint { txid: chain.tip.transactions[0].txid(), index: 0 };
            let value = chain.tip.transactions[0].outputs()[0].value.0;
            first_coinbase = Some(Coin { outpoint, value, kind: Kind::WitnessKeyHash, key: 0 });
        }
        if height.is_multiple_of(50) {
            eprintln!("{height} of {blocks} blocks, {} signed inputs", chain.signed);
        }
    }
    out.flush()?;
    println!("{} blocks, {} signed inputs, tip {}", chain.height, chain.signed, chain.tip.hash());
    Ok(())
}

impl Chain {
    /// One coinbase becomes a hundred coins.
    fn first_split(&mut self, coinbase: Option<Coin>, split: &mut Vec<Coin>) -> Vec<Transaction> {
        let coinbase = coinbase.into_iter().collect::<Vec<_>>();
        let locks: Vec<_> = (0..100).map(|_| self.wallet.lock()).collect();
        self.signed += 1;
        let (transaction, made) = self.wallet.spend(&coinbase, &locks);
        split.extend(made);
        vec![transaction]
    }

    /// Five of the hundred become ten thousand.
    fn split(&mut self, split: &mut Vec<Coin>, aged: &mut Aged) -> Vec<Transaction> {
        let mut made_here = Vec::new();
        let mut transactions = Vec::new();
        for coin in split.split_off(split.len().saturating_sub(5)) {
            let locks: Vec<_> = (0..2_000).map(|_| self.wallet.lock()).collect();
            let (transaction, made) = self.wallet.spend(&[coin], &locks);
            self.signed += 1;
            transactions.push(transaction);
            made_here.extend(made);
        }
        aged.push_back((self.height + 1, made_here));
        transactions
    }

    /// A random coin, younger or older than [`OLD`].
    fn pick(&mut self, aged: &mut Aged, young: bool) -> Option<Coin> {
        let height = self.height + 1;
        let first_young = aged.partition_point(|(made, _)| made + OLD <= height);
        let range = if young { first_young..aged.len() } else { 0..first_young };
        let usable: Vec<usize> = range.filter(|&at| !aged[at].1.is_empty()).collect();
        if usable.is_empty() {
            return None;
        }
        let at = usable[self.wallet.below(usable.len())];
        let position = self.wallet.below(aged[at].1.len());
        Some(aged[at].1.swap_remove(position))
    }

    fn payments(&mut self, inputs: u32, aged: &mut Aged) -> Vec<Transaction> {
        let first = inputs / 4;
        let mut groups = Vec::new();
        for _ in 0..first {
            let coins: Vec<_> = (0..2)
                .filter_map(|_| {
                    // A fifth of all inputs is young: two fifths of those that do not spend this block.
                    let young = self.wallet.below(5) < 2;
                    self.pick(aged, young).or_else(|| self.pick(aged, !young))
                })
                .collect();
            groups.push((coins, vec![self.wallet.lock(), self.wallet.lock()]));
        }
        let (mut transactions, made) = self.sign_all(&groups);
        // The second half spends what the first made, each output of a payment with one of another payment.
        let half = made.len() / 2;
        let pairs = made[..half].iter().zip(&made[half..]);
        let groups: Vec<_> =
            pairs.map(|(a, b)| (vec![*a, *b], vec![self.wallet.lock(), self.wallet.lock()])).collect();
        let (second, made) = self.sign_all(&groups);
        transactions.extend(second);
        aged.push_back((self.height + 1, made));
        transactions
    }

    /// Signs on two threads.
    fn sign_all(&mut self, groups: &[Payment]) -> (Vec<Transaction>, Vec<Coin>) {
        self.signed += groups.iter().map(|(coins, _)| coins.len() as u64).sum::<u64>();
        let wallet = &self.wallet;
        let signed = thread::scope(|scope| {
            let work = groups.chunks(groups.len().div_ceil(2).max(1)).map(|part| {
                scope.spawn(move || {
                    part.iter().map(|(coins, locks)| wallet.spend(coins, locks)).collect::<Vec<_>>()
                })
            });
            let threads: Vec<_> = work.collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().expect("signing does not panic"))
                .collect::<Vec<_>>()
        });
        let (transactions, made): (Vec<_>, Vec<_>) = signed.into_iter().unzip();
        (transactions, made.into_iter().flatten().collect())
    }

    fn write_block(&mut self, payments: Vec<Transaction>, out: &mut impl Write) -> Result<()> {
        self.height += 1;
        let mut transactions = vec![self.coinbase(None)];
        transactions.extend(payments);
        let mut header = self.tip.header;
        header.version = 0x2000_0000;
        header.previous = self.tip.hash();
        header.time = FIRST_TIME + self.height * 600;
        let mut block = Block { header, transactions };
        block.transactions[0] = self.coinbase(Some(block.witness_merkle_root()));
        block.header.merkle_root = block.merkle_root().root;
        block.header.nonce = 0;
        // Regtest: the hash's highest bit is 0, its last byte as hashed being the highest.
        while block.header.hash().0[31] >= 0x7f {
            block.header.nonce += 1;
        }
        let bytes = block.encode();
        out.write_all(&self.parameters.peers.magic)?;
        out.write_all(&u32::try_from(bytes.len())?.to_le_bytes())?;
        out.write_all(&bytes)?;
        self.tip = block;
        Ok(())
    }

    /// Pays the subsidy; commits to the witnesses (BIP-0141) once their root is known.
    fn coinbase(&self, witness_root: Option<[u8; 32]>) -> Transaction {
        let height = self.height;
        // BIP-0034: the height as Script writes numbers, and one more byte to reach the two bytes a script must have.
        let mut script = match height {
            1..=16 => vec![0x50 + height as u8],
            17..=127 => vec![1, height as u8],
            _ => vec![2, height as u8, (height >> 8) as u8],
        };
        if height > 127 && height < 256 {
            script = vec![2, height as u8, 0];
        }
        script.push(0);
        let value = self.parameters.subsidy.0 >> (height / self.parameters.subsidy_halving_interval).min(63);
        let mut outputs = vec![self.wallet.output(Kind::WitnessKeyHash, 0, value)];
        let commitment = sha256d(&[witness_root.unwrap_or_default(), [0; 32]].concat());
        let script_pubkey = Script::from([&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed], &commitment[..]].concat());
        outputs.push(TxOut { value: Amount(0), script_pubkey });
        Transaction::new(TransactionParts {
            version: 2,
            inputs: vec![TxIn {
                previous_output: OutPoint::NULL,
                script_sig: Script::from(script),
                sequence: u32::MAX,
                witness: Witness::from_items([[0; 32]]),
            }],
            outputs,
            lock_time: 0,
        })
    }
}
