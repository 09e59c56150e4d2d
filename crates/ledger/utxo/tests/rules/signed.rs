//! Real signatures, through the pool and through blocks.

use chainwright_chain::{Jobs, Ledger as _, Refusal, Reject};
use chainwright_utxo::amount::Amount;
use chainwright_utxo::hash::hash160;
use chainwright_utxo::script::{Script, TaprootSpend, witness_script_pubkey};
use chainwright_utxo::sighash::{PrecomputedTransaction, SIGHASH_ALL};
use chainwright_utxo::tx::{OutPoint, Transaction, TxOut, Witness};
use secp256k1::{Keypair, Message, SecretKey, ecdsa, schnorr};

use crate::chain::Chain;
use crate::spend::{block_of, coinbase_of, pay_with};

const SECRET: [u8; 32] = [0x42; 32];

fn key_hash() -> [u8; 20] {
    hash160(&SecretKey::from_secret_bytes(SECRET).expect("a key").public_key().serialize())
}

fn locks() -> [Script; 2] {
    let pair = Keypair::from_secret_bytes(SECRET).expect("a key");
    let taproot = pair.x_only_public_key().0.to_byte_array();
    [witness_script_pubkey(0, &key_hash()), witness_script_pubkey(1, &taproot)]
}

/// A payment to a key's hash and to a Taproot key.
fn fund(chain: &Chain) -> Transaction {
    pay_with(&[coinbase_of(chain, 1)], &[], |parts| {
        let output = |script_pubkey| TxOut { value: Amount(2_499_000_000), script_pubkey };
        parts.outputs = locks().map(output).to_vec();
    })
}

/// A payment that spends both, signed.
fn spend_both(funding: &Transaction) -> Transaction {
    let coins = [0, 1].map(|index| OutPoint { txid: funding.txid(), index });
    pay_with(&coins, &[Amount(4_990_000_000)], |parts| {
        let unsigned = Transaction::new(parts.clone());
        let hashes = PrecomputedTransaction::new(unsigned, funding.outputs().to_vec()).expect("two and two");
        let secret = SecretKey::from_secret_bytes(SECRET).expect("a key");
        let code = [&[0x76, 0xa9, 0x14], &key_hash()[..], &[0x88, 0xac]].concat();
        let digest = Message::from_digest(hashes.witness_v0_sighash(0, &code, SIGHASH_ALL));
        let signature = [&ecdsa::sign(digest, &secret).serialize_der()[..], &[SIGHASH_ALL]].concat();
        let public = secret.public_key().serialize();
        parts.inputs[0].witness = Witness::from_items([&signature[..], &public[..]]);
        let digest = hashes.taproot_sighash(1, 0, &TaprootSpend::default()).expect("a defined type");
        let pair = Keypair::from_secret_bytes(SECRET).expect("a key");
        parts.inputs[1].witness =
            Witness::from_items([schnorr::sign_no_aux_rand(&digest, &pair).to_byte_array()]);
    })
}

/// The same with one bit of an input's signature changed.
fn forged(transaction: &Transaction, input: usize) -> Transaction {
    let mut parts = transaction.parts().clone();
    let mut items: Vec<Vec<u8>> = parts.inputs[input].witness.iter().map(<[u8]>::to_vec).collect();
    items[0][20] ^= 1;
    parts.inputs[input].witness = Witness::from_items(items);
    Transaction::new(parts)
}

fn job_count(chain: &Chain, transactions: Vec<Transaction>) -> usize {
    let block =
        chain.ledger.prepare(block_of(chain, transactions)).map(std::sync::Arc::new).expect("a good body");
    let mut jobs = Jobs::default();
    chain.ledger.execute(&chain.head, &block, &mut jobs).expect("a good block");
    jobs.into_list().len()
}

#[test]
fn signed_payments_are_pooled_and_mined() {
    let mut chain = Chain::regtest();
    chain.mine(101);
    let funding = fund(&chain);
    let payment = spend_both(&funding);
    assert_eq!(job_count(&chain, vec![funding.clone(), payment.clone()]), 1);
    chain.submit(funding.clone()).unwrap();
    chain.submit(payment.clone()).unwrap();
    assert_eq!(job_count(&chain, vec![funding, payment.clone()]), 0, "what the pool has checked is known");
    chain.mine(1);
    assert!(chain.blocks[101].block.block.transactions.contains(&payment));
}

#[test]
fn forged_signatures_are_found_by_pool_and_block() {
    let mut chain = Chain::regtest();
    chain.mine(101);
    let funding = fund(&chain);
    chain.submit(funding.clone()).unwrap();
    let honest = spend_both(&funding);
    for input in [0, 1] {
        let payment = forged(&honest, input);
        assert!(matches!(chain.submit(payment.clone()), Err(Refusal::Invalid(_))), "input {input}");
        let refused = chain.check(block_of(&chain, vec![funding.clone(), payment]));
        let Err(Reject::Invalid(reason)) = refused else { panic!("a block with a forged input {input}") };
        assert!(reason.code.starts_with("block-script-verify-flag-failed ("), "{reason}");
        assert!(reason.detail.starts_with(&format!("input {input} of ")), "{reason}");
    }
    assert!(chain.submit(honest).is_ok());
}
