//! Coins of every kind of output, and spending them.

use chainwright_utxo::amount::Amount;
use chainwright_utxo::block::Block;
use chainwright_utxo::hash::{hash160, sha256};
use chainwright_utxo::script::instruction::put_push;
use chainwright_utxo::script::{
    Script, TaprootSpend, tap_leaf_hash, tap_tweak_hash, taproot_output_key, witness_script_pubkey,
};
use chainwright_utxo::sighash::{
    PrecomputedTransaction, SIGHASH_ALL, SIGHASH_ANYONECANPAY, SIGHASH_NONE, SIGHASH_SINGLE,
};
use chainwright_utxo::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};
use secp256k1::{Keypair, Message, Scalar, SecretKey, ecdsa, schnorr};

use crate::support::Dice;

const TAPSCRIPT_VERSION: u8 = 0xc0;
/// The lowest bit of BIP-0068: one block.
const ONE_BLOCK: u32 = 1;

/// What a coin is locked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    PublicKey,
    KeyHash,
    Multisig,
    ScriptHash,
    WitnessKeyHash,
    /// Under CHECKLOCKTIMEVERIFY.
    WitnessScriptHash,
    NestedKeyHash,
    /// Under CHECKSEQUENCEVERIFY.
    NestedScriptHash,
    TaprootKey,
    TaprootScript,
    Anchor,
    FutureWitness,
    Anyone,
}

pub(crate) const KINDS: [Kind; 13] = [
    Kind::PublicKey,
    Kind::KeyHash,
    Kind::Multisig,
    Kind::ScriptHash,
    Kind::WitnessKeyHash,
    Kind::WitnessScriptHash,
    Kind::NestedKeyHash,
    Kind::NestedScriptHash,
    Kind::TaprootKey,
    Kind::TaprootScript,
    Kind::Anchor,
    Kind::FutureWitness,
    Kind::Anyone,
];

/// A coin we can spend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coin {
    outpoint: OutPoint,
    value: i64,
    pub(crate) kind: Kind,
    /// From this height on.
    pub(crate) spendable: u32,
}

/// One key owns everything.
pub(crate) struct Wallet {
    secret: SecretKey,
    pair: Keypair,
    public: [u8; 33],
    x_only: [u8; 32],
    pub(crate) coins: Vec<Coin>,
}

fn pushes(items: &[&[u8]]) -> Vec<u8> {
    let mut script = Vec::new();
    for item in items {
        put_push(&mut script, item);
    }
    script
}

impl Wallet {
    pub(crate) fn new() -> Self {
        let bytes = sha256(b"oracle");
        let secret = SecretKey::from_secret_bytes(bytes).expect("a hash is a key");
        let pair = Keypair::from_secret_bytes(bytes).expect("a hash is a key");
        let x_only = pair.x_only_public_key().0.to_byte_array();
        Self { secret, pair, public: secret.public_key().serialize(), x_only, coins: Vec::new() }
    }

    fn key_hash_script(&self) -> Vec<u8> {
        [&[0x76, 0xa9, 20][..], &hash160(&self.public), &[0x88, 0xac]].concat()
    }

    fn multisig(&self, required: u8) -> Vec<u8> {
        let key = [&[33][..], &self.public].concat();
        [&[0x50 + required][..], &key, &key, &[0x52, 0xae]].concat()
    }

    /// One block or height 1, checked by this opcode and dropped, before a signature.
    fn locked(&self, opcode: u8) -> Vec<u8> {
        [&[0x51, opcode, 0x75, 33][..], &self.public, &[0xac]].concat()
    }

    fn leaf(&self) -> Vec<u8> {
        [&[32][..], &self.x_only, &[0xac]].concat()
    }

    pub(crate) fn script(&self, kind: Kind) -> Script {
        let pay_to_script = |script: &[u8]| [&[0xa9, 20][..], &hash160(script), &[0x87]].concat();
        match kind {
            Kind::PublicKey => [&[33][..], &self.public, &[0xac]].concat().into(),
            Kind::KeyHash => self.key_hash_script().into(),
            Kind::Multisig => self.multisig(1).into(),
            Kind::ScriptHash => pay_to_script(&self.multisig(2)).into(),
            Kind::WitnessKeyHash => witness_script_pubkey(0, &hash160(&self.public)),
            Kind::WitnessScriptHash => witness_script_pubkey(0, &sha256(&self.locked(0xb1))),
            Kind::NestedKeyHash => pay_to_script(self.script(Kind::WitnessKeyHash).as_bytes()).into(),
            Kind::NestedScriptHash => {
                pay_to_script(witness_script_pubkey(0, &sha256(&self.locked(0xb2))).as_bytes()).into()
            }
            Kind::TaprootKey => witness_script_pubkey(1, &self.output_key(None).0),
            Kind::TaprootScript => {
                let root = tap_leaf_hash(TAPSCRIPT_VERSION, &self.leaf());
                witness_script_pubkey(1, &self.output_key(Some(&root)).0)
            }
            Kind::Anchor => witness_script_pubkey(1, &[0x4e, 0x73]),
            Kind::FutureWitness => witness_script_pubkey(2, &[7; 32]),
            Kind::Anyone => vec![0x51].into(),
        }
    }

    fn output_key(&self, root: Option<&[u8; 32]>) -> ([u8; 32], bool) {
        taproot_output_key(&self.x_only, root).expect("the key is a point")
    }

    /// Learns which coins a connected block spends and makes.
    pub(crate) fn connected(&mut self, block: &Block, height: u32) {
        let known: Vec<_> = KINDS.iter().map(|kind| (self.script(*kind), *kind)).collect();
        for transaction in &block.transactions {
            let spent =
                |coin: &Coin| transaction.inputs().iter().any(|input| input.previous_output == coin.outpoint);
            self.coins.retain(|coin| !spent(coin));
            let spendable = if transaction.is_coinbase() { height + 100 } else { height + 1 };
            for (index, output) in (0..).zip(transaction.outputs()) {
                let found = known.iter().find(|(script, _)| *script == output.script_pubkey);
                if let Some((_, kind)) = found.filter(|_| output.value.0 > 1_000) {
                    let outpoint = OutPoint { txid: transaction.txid(), index };
                    self.coins.push(Coin { outpoint, value: output.value.0, kind: *kind, spendable });
                }
            }
        }
    }

    /// A signed transaction from these coins to random outputs.
    pub(crate) fn spend(&self, coins: &[Coin], dice: &mut Dice) -> Transaction {
        let total: i64 = coins.iter().map(|coin| coin.value).sum();
        let count = 1 + dice.below(3) as i64;
        let outputs = (0..count).map(|_| TxOut {
            value: Amount(total / count - 100),
            script_pubkey: self.script(dice.pick(&KINDS)),
        });
        let input = |coin: &Coin| TxIn {
            previous_output: coin.outpoint,
            script_sig: Script::default(),
            sequence: if coin.kind == Kind::NestedScriptHash { ONE_BLOCK } else { u32::MAX - 1 },
            witness: Witness::default(),
        };
        let mut parts = TransactionParts {
            version: 2,
            outputs: outputs.collect(),
            inputs: coins.iter().map(input).collect(),
            lock_time: 1,
        };
        let spent = coins
            .iter()
            .map(|coin| TxOut { value: Amount(coin.value), script_pubkey: self.script(coin.kind) });
        let hashes = PrecomputedTransaction::new(Transaction::new(parts.clone()), spent.collect())
            .expect("one output per input");
        for (index, coin) in coins.iter().enumerate() {
            let base = dice.pick(&[SIGHASH_ALL, SIGHASH_ALL, SIGHASH_NONE, SIGHASH_SINGLE]);
            // There is no output for this input to sign alone.
            let base = if index >= parts.outputs.len() { SIGHASH_ALL } else { base };
            let signer = Signer {
                wallet: self,
                hashes: &hashes,
                index,
                hash_type: base | dice.pick(&[0, 0, SIGHASH_ANYONECANPAY]),
            };
            signer.unlock(coin.kind, &mut parts.inputs[index]);
        }
        Transaction::new(parts)
    }
}

/// One input being signed.
struct Signer<'s> {
    wallet: &'s Wallet,
    hashes: &'s PrecomputedTransaction,
    index: usize,
    hash_type: u8,
}

impl Signer<'_> {
    fn ecdsa(&self, digest: [u8; 32]) -> Vec<u8> {
        let signature = ecdsa::sign(Message::from_digest(digest), &self.wallet.secret).serialize_der();
        [&signature[..], &[self.hash_type]].concat()
    }

    fn legacy(&self, code: &[u8]) -> Vec<u8> {
        self.ecdsa(self.hashes.legacy_sighash(self.index, code, u32::from(self.hash_type)))
    }

    fn witness(&self, code: &[u8]) -> Vec<u8> {
        self.ecdsa(self.hashes.witness_v0_sighash(self.index, code, self.hash_type))
    }

    fn schnorr(&self, pair: &Keypair, leaf: Option<[u8; 32]>) -> Vec<u8> {
        let spend = TaprootSpend { annex_hash: None, leaf: leaf.map(|leaf| (leaf, u32::MAX)) };
        let digest = self.hashes.taproot_sighash(self.index, self.hash_type, &spend);
        let digest = digest.expect("the hash type is defined");
        let signature = schnorr::sign_no_aux_rand(&digest, pair).to_byte_array();
        [&signature[..], &[self.hash_type]].concat()
    }

    fn unlock(&self, kind: Kind, input: &mut TxIn) {
        let wallet = self.wallet;
        let mut script_sig = Vec::new();
        let mut items: Vec<Vec<u8>> = Vec::new();
        match kind {
            Kind::PublicKey => script_sig = pushes(&[&self.legacy(wallet.script(kind).as_bytes())]),
            Kind::KeyHash => script_sig = pushes(&[&self.legacy(&wallet.key_hash_script()), &wallet.public]),
            Kind::Multisig => script_sig = pushes(&[&[], &self.legacy(&wallet.multisig(1))]),
            Kind::ScriptHash => {
                let code = wallet.multisig(2);
                let signature = self.legacy(&code);
                script_sig = pushes(&[&[], &signature, &signature, &code]);
            }
            Kind::WitnessKeyHash | Kind::NestedKeyHash => {
                items = vec![self.witness(&wallet.key_hash_script()), wallet.public.to_vec()];
                if kind == Kind::NestedKeyHash {
                    script_sig = pushes(&[wallet.script(Kind::WitnessKeyHash).as_bytes()]);
                }
            }
            Kind::WitnessScriptHash => {
                let code = wallet.locked(0xb1);
                items = vec![self.witness(&code), code];
            }
            Kind::NestedScriptHash => {
                let code = wallet.locked(0xb2);
                script_sig = pushes(&[witness_script_pubkey(0, &sha256(&code)).as_bytes()]);
                items = vec![self.witness(&code), code];
            }
            Kind::TaprootKey => {
                let tweak = Scalar::from_be_bytes(tap_tweak_hash(&wallet.x_only, None));
                let pair = wallet.pair.add_xonly_tweak(&tweak.expect("a hash is a scalar"));
                items = vec![self.schnorr(&pair.expect("a key"), None)];
            }
            Kind::TaprootScript => {
                let leaf = tap_leaf_hash(TAPSCRIPT_VERSION, &wallet.leaf());
                let is_odd = wallet.output_key(Some(&leaf)).1;
                let control = [&[TAPSCRIPT_VERSION | u8::from(is_odd)][..], &wallet.x_only].concat();
                items = vec![self.schnorr(&wallet.pair, Some(leaf)), wallet.leaf(), control];
            }
            Kind::Anchor | Kind::Anyone => {}
            Kind::FutureWitness => items = vec![vec![1, 2, 3]],
        }
        input.script_sig = script_sig.into();
        input.witness = Witness::from_items(items);
    }
}
