//! Coins locked in every way there is, and the signatures that spend them.

use chainwright_utxo::address::{AddressPrefixes, Destination};
use chainwright_utxo::amount::Amount;
use chainwright_utxo::block::Block;
use chainwright_utxo::hash::{hash160, sha256};
use chainwright_utxo::script::instruction::put_push;
use chainwright_utxo::script::opcode::{
    OP_1, OP_CHECKMULTISIG, OP_CHECKSIG, OP_DUP, OP_EQUAL, OP_EQUALVERIFY, OP_HASH160, OP_RETURN,
};
use chainwright_utxo::script::{
    Script, TaprootSpend, tap_leaf_hash, taproot_output_key, witness_script_pubkey,
};
use chainwright_utxo::sighash::{PrecomputedTransaction, SIGHASH_ALL};
use chainwright_utxo::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};
use secp256k1::{Keypair, Message, SecretKey, ecdsa, schnorr};
use serde_json::json;

use crate::party::Party;

const SECRET: [u8; 32] = [0x42; 32];
const LEAF_VERSION: u8 = 0xc0;
/// What every transaction here pays: above anybody's least fee.
pub(crate) const FEE: i64 = 20_000;

/// The ways to lock a coin with our key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    PublicKey,
    PublicKeyHash,
    Multisig,
    ScriptHash,
    NestedKeyHash,
    NestedScript,
    WitnessKeyHash,
    WitnessScript,
    TaprootKey,
    TaprootScript,
}

/// All of them.
pub(crate) const LOCKS: [Lock; 10] = [
    Lock::PublicKey,
    Lock::PublicKeyHash,
    Lock::Multisig,
    Lock::ScriptHash,
    Lock::NestedKeyHash,
    Lock::NestedScript,
    Lock::WitnessKeyHash,
    Lock::WitnessScript,
    Lock::TaprootKey,
    Lock::TaprootScript,
];

/// A coin of ours.
#[derive(Clone, Debug)]
pub(crate) struct Coin {
    pub(crate) outpoint: OutPoint,
    pub(crate) output: TxOut,
    pub(crate) lock: Lock,
}

impl Coin {
    /// What the miner of this block was paid at [`address`].
    pub(crate) fn mined(party: &Party<'_>, block: &str) -> Self {
        let text = party.call("getblock", json!([block, 0]));
        let bytes = from_hex(text.as_str().expect("a block as hexadecimal text"));
        let block = Block::decode(bytes.into()).expect("what a node serves is a block");
        Self::of(&block.transactions[0], 0, Lock::PublicKeyHash)
    }

    fn of(transaction: &Transaction, index: u32, lock: Lock) -> Self {
        let output = transaction.outputs()[index as usize].clone();
        Self { outpoint: OutPoint { txid: transaction.txid(), index }, output, lock }
    }
}

/// Where miners pay us, on regtest.
pub(crate) fn address() -> String {
    let destination = Destination::of_script(script(Lock::PublicKeyHash).as_bytes());
    let address = destination.and_then(|to| to.encode(&AddressPrefixes::bitcoin_test("bcrt")));
    address.expect("a key's hash has an address")
}

/// Spends a coin into one output of each kind, an anchor and a data output besides; gives the spendable ones.
pub(crate) fn fan_out(coin: &Coin) -> (Transaction, Vec<Coin>) {
    let value = Amount((coin.output.value.0 - FEE) / (LOCKS.len() as i64 + 1));
    let output = |script_pubkey| TxOut { value, script_pubkey };
    let mut outputs: Vec<TxOut> = LOCKS.iter().map(|lock| output(script(*lock))).collect();
    outputs.push(output(witness_script_pubkey(1, &[0x4e, 0x73])));
    let mut data = vec![OP_RETURN];
    put_push(&mut data, b"chainwright");
    outputs.push(TxOut { value: Amount(0), script_pubkey: Script::from(data) });
    let transaction = signed(std::slice::from_ref(coin), outputs);
    let coins =
        LOCKS.iter().enumerate().map(|(index, lock)| Coin::of(&transaction, index as u32, *lock)).collect();
    (transaction, coins)
}

/// Spends coins into one that [`Lock::WitnessKeyHash`] locks.
pub(crate) fn join(coins: &[Coin]) -> (Transaction, Coin) {
    let total: i64 = coins.iter().map(|coin| coin.output.value.0).sum();
    let output = TxOut { value: Amount(total - FEE), script_pubkey: script(Lock::WitnessKeyHash) };
    let transaction = signed(coins, vec![output]);
    let coin = Coin::of(&transaction, 0, Lock::WitnessKeyHash);
    (transaction, coin)
}

/// A transaction as `sendrawtransaction` takes it.
pub(crate) fn hex(transaction: &Transaction) -> String {
    to_hex(transaction.encode())
}

/// Bytes as hexadecimal text.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The bytes of hexadecimal text.
pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16);
    text.as_bytes().chunks(2).map(|pair| digits(pair).expect("hexadecimal digits")).collect()
}

fn signed(coins: &[Coin], outputs: Vec<TxOut>) -> Transaction {
    let input = |coin: &Coin| TxIn {
        previous_output: coin.outpoint,
        script_sig: Script::default(),
        sequence: u32::MAX - 2,
        witness: Witness::default(),
    };
    let inputs = coins.iter().map(input).collect();
    let mut parts = TransactionParts { version: 2, inputs, outputs, lock_time: 0 };
    let spent = coins.iter().map(|coin| coin.output.clone()).collect();
    let hashes =
        PrecomputedTransaction::new(Transaction::new(parts.clone()), spent).expect("one output per input");
    for (index, coin) in coins.iter().enumerate() {
        let (script_sig, witness) = unlock(&hashes, index, coin.lock);
        parts.inputs[index].script_sig = script_sig;
        parts.inputs[index].witness = witness;
    }
    Transaction::new(parts)
}

/// What a coin of this kind is locked with.
fn script(lock: Lock) -> Script {
    match lock {
        Lock::PublicKey => Script::from(key_script()),
        Lock::PublicKeyHash => Script::from(key_hash_script()),
        Lock::Multisig => Script::from(multisig_script()),
        Lock::ScriptHash => pay_to_script_hash(&multisig_script()),
        Lock::NestedKeyHash => pay_to_script_hash(script(Lock::WitnessKeyHash).as_bytes()),
        Lock::NestedScript => pay_to_script_hash(script(Lock::WitnessScript).as_bytes()),
        Lock::WitnessKeyHash => witness_script_pubkey(0, &hash160(&public_key())),
        Lock::WitnessScript => witness_script_pubkey(0, &sha256(&multisig_script())),
        Lock::TaprootKey => witness_script_pubkey(1, &taproot_key()),
        Lock::TaprootScript => witness_script_pubkey(1, &tree().0),
    }
}

/// What opens it.
fn unlock(hashes: &PrecomputedTransaction, index: usize, lock: Lock) -> (Script, Witness) {
    let legacy = |code: &[u8]| ecdsa_signature(hashes.legacy_sighash(index, code, u32::from(SIGHASH_ALL)));
    let version_0 = |code: &[u8]| ecdsa_signature(hashes.witness_v0_sighash(index, code, SIGHASH_ALL));
    let nothing = Script::default;
    let multisig = multisig_script();
    match lock {
        Lock::PublicKey => (pushes(&[&legacy(&key_script())]), Witness::default()),
        Lock::PublicKeyHash => (pushes(&[&legacy(&key_hash_script()), &public_key()]), Witness::default()),
        Lock::Multisig => (pushes(&[&[], &legacy(&multisig)]), Witness::default()),
        Lock::ScriptHash => (pushes(&[&[], &legacy(&multisig), &multisig]), Witness::default()),
        Lock::WitnessKeyHash | Lock::NestedKeyHash => {
            let witness =
                Witness::from_items([version_0(&key_hash_script()).as_slice(), public_key().as_slice()]);
            let is_nested = lock == Lock::NestedKeyHash;
            (if is_nested { pushes(&[script(Lock::WitnessKeyHash).as_bytes()]) } else { nothing() }, witness)
        }
        Lock::WitnessScript | Lock::NestedScript => {
            let witness = Witness::from_items([&[], version_0(&multisig).as_slice(), multisig.as_slice()]);
            let is_nested = lock == Lock::NestedScript;
            (if is_nested { pushes(&[script(Lock::WitnessScript).as_bytes()]) } else { nothing() }, witness)
        }
        Lock::TaprootKey => {
            let signature = schnorr_signature(hashes, index, &TaprootSpend::default());
            (nothing(), Witness::from_items([signature]))
        }
        Lock::TaprootScript => {
            let (_, is_odd) = tree();
            let leaf = tap_leaf_hash(LEAF_VERSION, &leaf_script());
            let spend = TaprootSpend { leaf: Some((leaf, u32::MAX)), ..TaprootSpend::default() };
            let control = [&[LEAF_VERSION | u8::from(is_odd)], &taproot_key()[..]].concat();
            let signature = schnorr_signature(hashes, index, &spend);
            (nothing(), Witness::from_items([signature, leaf_script(), control]))
        }
    }
}

fn secret() -> SecretKey {
    SecretKey::from_secret_bytes(SECRET).expect("a number below the group's order")
}

fn pair() -> Keypair {
    Keypair::from_secret_bytes(SECRET).expect("a number below the group's order")
}

fn public_key() -> [u8; 33] {
    secret().public_key().serialize()
}

fn taproot_key() -> [u8; 32] {
    pair().x_only_public_key().0.to_byte_array()
}

fn ecdsa_signature(digest: [u8; 32]) -> Vec<u8> {
    let signature = ecdsa::sign(Message::from_digest(digest), &secret());
    [&signature.serialize_der()[..], &[SIGHASH_ALL]].concat()
}

fn schnorr_signature(hashes: &PrecomputedTransaction, index: usize, spend: &TaprootSpend) -> Vec<u8> {
    let digest = hashes.taproot_sighash(index, 0, spend).expect("the default type is defined");
    schnorr::sign_no_aux_rand(&digest, &pair()).to_byte_array().to_vec()
}

fn pushes(items: &[&[u8]]) -> Script {
    let mut script = Vec::new();
    for item in items {
        put_push(&mut script, item);
    }
    Script::from(script)
}

fn key_script() -> Vec<u8> {
    let mut script = Vec::new();
    put_push(&mut script, &public_key());
    script.push(OP_CHECKSIG);
    script
}

fn key_hash_script() -> Vec<u8> {
    let mut script = vec![OP_DUP, OP_HASH160];
    put_push(&mut script, &hash160(&public_key()));
    script.extend([OP_EQUALVERIFY, OP_CHECKSIG]);
    script
}

/// Our key or another one.
fn multisig_script() -> Vec<u8> {
    let other = SecretKey::from_secret_bytes([0x43; 32]).expect("a number below the group's order");
    let mut script = vec![OP_1];
    put_push(&mut script, &public_key());
    put_push(&mut script, &other.public_key().serialize());
    script.extend([OP_1 + 1, OP_CHECKMULTISIG]);
    script
}

fn leaf_script() -> Vec<u8> {
    let mut script = Vec::new();
    put_push(&mut script, &taproot_key());
    script.push(OP_CHECKSIG);
    script
}

/// The output key of a tree with one leaf, and whether its Y is odd.
fn tree() -> ([u8; 32], bool) {
    let root = tap_leaf_hash(LEAF_VERSION, &leaf_script());
    taproot_output_key(&taproot_key(), Some(&root)).expect("our key is a point")
}

fn pay_to_script_hash(redeem: &[u8]) -> Script {
    let mut script = vec![OP_HASH160];
    put_push(&mut script, &hash160(redeem));
    script.push(OP_EQUAL);
    Script::from(script)
}
