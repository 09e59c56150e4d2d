//! Bitcoin's ledger under proof of work, and under one key.

use std::sync::Arc;

use chainwright_chain::{Consensus, Header as _, Headers, Ledger, Proof, Timestamp, U256};
use chainwright_network::Parameters as Wire;
use chainwright_pow::{Pow, Retarget, TargetRule};
use chainwright_solo::{Sealing, SealingKey, Solo};
use chainwright_utxo::Utxo;
use chainwright_utxo::amount::Amount;
use chainwright_utxo::block::Block;
use chainwright_utxo::hash::{hash160, sha256};
use chainwright_utxo::params::{Parameters, bitcoin_regtest};
use chainwright_utxo::pool::Policy;
use chainwright_utxo::script::{Script, witness_script_pubkey};
use chainwright_utxo::sighash::{PrecomputedTransaction, SIGHASH_ALL};
use chainwright_utxo::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};
use secp256k1::{Message, SecretKey, ecdsa};

use super::utxo_model::{Entry, UtxoModel};
use crate::{Cell, Choice, Random};

/// Coinbases may be spent soon, or a run would have nothing to pay with.
const MATURITY: u32 = 3;

/// One key that owns all coins, and one that seals under `solo`.
struct Keys {
    owner: SecretKey,
    sealer: SealingKey,
}

impl Keys {
    fn new(seed: u64) -> Self {
        let secret = |label: &str| sha256(format!("{label} {seed}").as_bytes());
        Self {
            owner: SecretKey::from_secret_bytes(secret("owner")).expect("a hash is a key"),
            sealer: SealingKey::from_bytes(secret("sealer")).expect("a hash is a key"),
        }
    }

    fn script(&self) -> Script {
        witness_script_pubkey(0, &hash160(&self.owner.public_key().serialize()))
    }

    /// Signs all inputs, which spend pay-to-witness-pubkey-hash outputs of the owner (BIP-0143).
    fn sign(&self, mut parts: TransactionParts, spent: Vec<TxOut>) -> Transaction {
        let public_key = self.owner.public_key().serialize();
        let unsigned = Transaction::new(parts.clone());
        let hashes = PrecomputedTransaction::new(unsigned, spent).expect("one output is spent per input");
        let script_code = [&[0x76, 0xa9, 0x14], &hash160(&public_key)[..], &[0x88, 0xac]].concat();
        for (index, input) in parts.inputs.iter_mut().enumerate() {
            let digest = hashes.witness_v0_sighash(index, &script_code, SIGHASH_ALL);
            let signature = ecdsa::sign(Message::from_digest(digest), &self.owner).serialize_der();
            let signature = [&signature[..], &[SIGHASH_ALL]].concat();
            input.witness = Witness::from_items([&signature[..], &public_key[..]]);
        }
        Transaction::new(parts)
    }

    /// A payment from one or two coins to one, two or three, all our own.
    fn payment(&self, coins: &[(OutPoint, Entry)], random: &mut Random) -> Transaction {
        let total: i64 = coins.iter().map(|(_, entry)| entry.output.value.0).sum();
        let fee = 1_000 + random.below(5_000) as i64;
        let count = 1 + random.below(3) as i64;
        let value = Amount((total - fee) / count);
        let output = TxOut { value, script_pubkey: self.script() };
        let input = |(outpoint, _): &(OutPoint, Entry)| TxIn {
            previous_output: *outpoint,
            script_sig: Script::default(),
            sequence: 0xffff_fffd,
            witness: Witness::default(),
        };
        let parts = TransactionParts {
            version: 2,
            inputs: coins.iter().map(input).collect(),
            outputs: vec![output; count as usize],
            lock_time: 0,
        };
        self.sign(parts, coins.iter().map(|(_, entry)| entry.output.clone()).collect())
    }

    fn payments(&self, model: &UtxoModel, count: usize, random: &mut Random) -> Vec<Transaction> {
        let mut model = model.clone();
        let mut made = Vec::new();
        let ours = self.script();
        while made.len() < count {
            let rich = |entry: &Entry| entry.output.value.0 > 100_000 && entry.output.script_pubkey == ours;
            let usable: Vec<_> =
                model.coins.iter().filter(|(_, entry)| rich(entry) && model.is_mature(entry)).collect();
            if usable.is_empty() {
                break;
            }
            let mut coins: Vec<(OutPoint, Entry)> = Vec::new();
            for _ in 0..=random.index(2) {
                let (outpoint, entry) = usable[random.index(usable.len())];
                if coins.iter().all(|(taken, _)| taken != outpoint) {
                    coins.push((*outpoint, entry.clone()));
                }
            }
            let tx = self.payment(&coins, random);
            if random.percent(5) {
                // A rival for the same coins: a replacement, or a refusal.
                made.push(self.payment(&coins, random));
            }
            crate::Model::apply_loose(&mut model, &tx);
            made.push(tx);
        }
        made
    }
}

fn parameters() -> Parameters {
    Parameters { coinbase_maturity: MATURITY, ..bitcoin_regtest() }
}

fn wire() -> Wire<Utxo> {
    let mut wire = Wire::new([0xfa, 0xbf, 0xb5, 0xda], 18444);
    wire.header_length = Some(80);
    wire.block_spacing_ms = 10_000;
    wire
}

fn model() -> UtxoModel {
    // The outputs of genesis cannot be spent.
    UtxoModel::new(&parameters())
}

/// Duplicates the last transactions, which leaves the merkle root as it was (CVE-2012-2459), or spoils a witness.
fn mutate(block: &Block, random: &mut Random) -> Option<Block> {
    let mut mutated = block.clone();
    let count = block.transactions.len();
    if random.percent(50) && count > 1 && !count.is_power_of_two() {
        // The right-most complete subtree without a sibling is hashed with itself.
        let size = 1 << count.trailing_zeros();
        mutated.transactions.extend_from_within(count - size..);
        return Some(mutated);
    }
    let tx = mutated.transactions.last_mut().filter(|tx| !tx.is_coinbase() && tx.has_witness())?;
    let mut parts = tx.parts().clone();
    parts.inputs[0].witness = Witness::from_items([[random.next() as u8; 20]]);
    *tx = Transaction::new(parts);
    Some(mutated)
}

/// Adds a payment that spends a coin which does not exist, or takes more than the subsidy.
fn corrupt(block: &Block, model: &UtxoModel) -> Block {
    let mut bad = block.clone();
    let mut parts = bad.transactions[0].parts().clone();
    if model.height.is_multiple_of(2) {
        parts.outputs[0].value.0 += 1;
        bad.transactions[0] = Transaction::new(parts);
    } else {
        let spent = OutPoint { txid: bad.transactions[0].txid(), index: 7 };
        let mut stolen = bad.transactions[0].parts().clone();
        stolen.inputs[0].previous_output = spent;
        stolen.inputs[0].witness = Witness::default();
        stolen.outputs.truncate(1);
        bad.transactions.push(Transaction::new(stolen));
        // The commitment covers witnesses, and this adds a transaction: it has to be renewed.
        renew_commitment(&mut bad);
    }
    bad.header.merkle_root = bad.merkle_root().root;
    bad
}

fn renew_commitment(block: &mut Block) {
    let Some(index) = block.witness_commitment_index() else { return };
    let root = block.witness_merkle_root();
    let mut parts = block.transactions[0].parts().clone();
    let reserved = [0; 32];
    let commitment = chainwright_utxo::hash::sha256d(&[root, reserved].concat());
    let script = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed], &commitment[..]].concat();
    parts.outputs[index].script_pubkey = Script::from(script);
    block.transactions[0] = Transaction::new(parts);
}

macro_rules! shared_parts {
    () => {
        type Ledger = Utxo;
        type Model = UtxoModel;

        const FAMILY_MAX: usize = 64;

        fn new(seed: u64) -> Self {
            Self(Keys::new(seed))
        }

        fn ledger(&self) -> Arc<Utxo> {
            // What a deep reorganisation brings back may be one long chain of payments; limits are the pool's own tests.
            let policy =
                Policy { cluster_count_max: 10_000, cluster_vsize_max: 100_000_000, ..Policy::default() };
            Arc::new(Utxo::new(parameters()).with_policy(policy))
        }

        fn payee(&self, _: usize) -> Vec<u8> {
            self.0.script().as_bytes().to_vec()
        }

        fn network(&self) -> Wire<Utxo> {
            wire()
        }

        fn model(&self) -> UtxoModel {
            model()
        }

        fn transactions(&self, model: &UtxoModel, count: usize, random: &mut Random) -> Vec<Transaction> {
            self.0.payments(model, count, random)
        }

        fn mutate(&self, block: &Block, random: &mut Random) -> Option<Block> {
            mutate(block, random)
        }

        fn corrupt(&self, block: &Block, model: &UtxoModel) -> Option<Block> {
            Some(corrupt(block, model))
        }

        fn set_time(&self, block: &mut Block, time: Timestamp) {
            block.header.time = time.0 as u32;
        }
    };
}

/// The ledger of Bitcoin under Bitcoin's engine.
pub struct UtxoOnPow(Keys);

impl Cell for UtxoOnPow {
    const NAME: &'static str = "utxo-pow";
    const CHOICE: Choice = Choice::Weight;

    fn consensus(&self) -> Arc<dyn Consensus<Utxo>> {
        Arc::new(Pow::new(TargetRule::Bitcoin(Retarget {
            limit: U256::MAX >> 1,
            spacing_seconds: 600,
            timespan_seconds: 14 * 24 * 60 * 60,
            allow_min_difficulty: true,
            no_retarget: true,
            bip94: false,
        })))
    }

    shared_parts!();
}

/// The ledger of Bitcoin where one key seals.
pub struct UtxoOnSolo(Keys);

impl UtxoOnSolo {
    fn solo(&self) -> Solo {
        let genesis = self.ledger().genesis().0.header.id();
        Solo::sealer(genesis, self.0.sealer.clone(), Sealing::OnRequest, Vec::new())
    }
}

impl Cell for UtxoOnSolo {
    const NAME: &'static str = "utxo-solo";
    const CHOICE: Choice = Choice::Proof;

    fn consensus(&self) -> Arc<dyn Consensus<Utxo>> {
        Arc::new(self.solo())
    }

    fn prove(&self, block: &Headers<Utxo>) -> Option<Proof> {
        self.solo().proof_of(block.id(), block.height())
    }

    shared_parts!();
}
