//! Keys, coins of three kinds, and signing them.

use chainwright_utxo::amount::Amount;
use chainwright_utxo::hash::{hash160, sha256};
use chainwright_utxo::script::{Script, TaprootSpend, witness_script_pubkey};
use chainwright_utxo::sighash::{PrecomputedTransaction, SIGHASH_ALL};
use chainwright_utxo::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};
use secp256k1::{Keypair, Message, SecretKey, ecdsa, schnorr};

/// What a coin is locked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Pay to witness public key hash.
    WitnessKeyHash,
    /// Taproot, key path.
    Taproot,
    /// Pay to public key hash.
    KeyHash,
}

/// A coin we can spend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coin {
    pub(crate) outpoint: OutPoint,
    pub(crate) value: i64,
    pub(crate) kind: Kind,
    pub(crate) key: u8,
}

struct Key {
    secret: SecretKey,
    pair: Keypair,
    public: [u8; 33],
    hash: [u8; 20],
}

/// Keys that own everything, and a seeded choice among them.
pub(crate) struct Wallet {
    keys: Vec<Key>,
    random: u64,
}

impl Wallet {
    pub(crate) fn new() -> Self {
        let key = |number: u8| {
            let bytes = sha256(&[b"bench", &[number][..]].concat());
            let secret = SecretKey::from_secret_bytes(bytes).expect("a hash is a key");
            let pair = Keypair::from_secret_bytes(bytes).expect("a hash is a key");
            let public = secret.public_key().serialize();
            Key { secret, pair, public, hash: hash160(&public) }
        };
        Self { keys: (0..=255).map(key).collect(), random: 1 }
    }

    /// A number below `bound`; the same sequence every time.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % bound
    }

    /// A lock: 57 % witness key hash, 30 % Taproot, 13 % key hash.
    pub(crate) fn lock(&mut self) -> (Kind, u8) {
        let kind = match self.below(100) {
            0..57 => Kind::WitnessKeyHash,
            57..87 => Kind::Taproot,
            _ => Kind::KeyHash,
        };
        (kind, self.below(256) as u8)
    }

    pub(crate) fn script(&self, kind: Kind, key: u8) -> Script {
        let key = &self.keys[usize::from(key)];
        match kind {
            Kind::WitnessKeyHash => witness_script_pubkey(0, &key.hash),
            Kind::Taproot => witness_script_pubkey(1, &key.pair.x_only_public_key().0.to_byte_array()),
            Kind::KeyHash => Script::from(key_hash_script(&key.hash)),
        }
    }

    pub(crate) fn output(&self, kind: Kind, key: u8, value: i64) -> TxOut {
        TxOut { value: Amount(value), script_pubkey: self.script(kind, key) }
    }

    /// A signed transaction that spends `coins` to equal outputs with these locks, and the coins it makes.
    pub(crate) fn spend(&self, coins: &[Coin], locks: &[(Kind, u8)]) -> (Transaction, Vec<Coin>) {
        let total: i64 = coins.iter().map(|coin| coin.value).sum();
        let value = total / locks.len() as i64;
        let input = |coin: &Coin| TxIn {
            previous_output: coin.outpoint,
            script_sig: Script::default(),
            sequence: u32::MAX,
            witness: Witness::default(),
        };
        let mut parts = TransactionParts {
            version: 2,
            inputs: coins.iter().map(input).collect(),
            outputs: locks.iter().map(|&(kind, key)| self.output(kind, key, value)).collect(),
            lock_time: 0,
        };
        let spent = coins.iter().map(|coin| self.output(coin.kind, coin.key, coin.value)).collect();
        let hashes = PrecomputedTransaction::new(Transaction::new(parts.clone()), spent)
            .expect("one output is spent per input");
        for (index, coin) in coins.iter().enumerate() {
            self.sign(coin, index, &hashes, &mut parts.inputs[index]);
        }
        let transaction = Transaction::new(parts);
        let txid = transaction.txid();
        let coin = |(index, &(kind, key)): (u32, &(Kind, u8))| Coin {
            outpoint: OutPoint { txid, index },
            value,
            kind,
            key,
        };
        let made = (0..).zip(locks).map(coin).collect();
        (transaction, made)
    }

    fn sign(&self, coin: &Coin, index: usize, hashes: &PrecomputedTransaction, input: &mut TxIn) {
        let key = &self.keys[usize::from(coin.key)];
        let code = key_hash_script(&key.hash);
        let ecdsa = |digest| {
            let signature = ecdsa::sign(Message::from_digest(digest), &key.secret).serialize_der();
            [&signature[..], &[SIGHASH_ALL]].concat()
        };
        match coin.kind {
            Kind::WitnessKeyHash => {
                let signature = ecdsa(hashes.witness_v0_sighash(index, &code, SIGHASH_ALL));
                input.witness = Witness::from_items([&signature[..], &key.public[..]]);
            }
            Kind::KeyHash => {
                let signature = ecdsa(hashes.legacy_sighash(index, &code, u32::from(SIGHASH_ALL)));
                let script = [&[signature.len() as u8], &signature[..], &[33], &key.public[..]].concat();
                input.script_sig = Script::from(script);
            }
            Kind::Taproot => {
                let spend = TaprootSpend { annex_hash: None, leaf: None };
                let digest =
                    hashes.taproot_sighash(index, 0, &spend).expect("the default hash type is defined");
                let signature = schnorr::sign_no_aux_rand(&digest, &key.pair).to_byte_array();
                input.witness = Witness::from_items([signature]);
            }
        }
    }
}

fn key_hash_script(hash: &[u8; 20]) -> Vec<u8> {
    [&[0x76, 0xa9, 0x14], &hash[..], &[0x88, 0xac]].concat()
}
