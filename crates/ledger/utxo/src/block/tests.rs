//! Headers and witness commitments.

use super::{Block, BlockHeader, COMMITMENT_PREFIX, WitnessCommitmentError};
use crate::amount::Amount;
use crate::codec::Reader;
use crate::hash::Hasher;
use crate::script::Script;
use crate::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};
use bytes::Bytes;

const NONCE: [u8; 32] = [5; 32];

fn transaction(witness: Witness, scripts: &[Vec<u8>]) -> Transaction {
    let input =
        TxIn { previous_output: OutPoint::NULL, script_sig: Script::from(vec![1, 1]), sequence: 0, witness };
    let outputs = scripts
        .iter()
        .map(|script| TxOut { value: Amount(1), script_pubkey: script.clone().into() })
        .collect();
    Transaction::new(TransactionParts { version: 1, inputs: vec![input], outputs, lock_time: 0 })
}

fn commitment(hash: [u8; 32]) -> Vec<u8> {
    [&COMMITMENT_PREFIX[..], &hash].concat()
}

/// A block whose second transaction has a witness and whose coinbase has this one and these outputs.
fn block(nonce: Witness, scripts: &[Vec<u8>]) -> Block {
    let spend = transaction(Witness::from_items([[9]]), &[vec![0x51]]);
    Block { header: BlockHeader::default(), transactions: vec![transaction(nonce, scripts), spend] }
}

fn right_commitment() -> Vec<u8> {
    let root = block(Witness::default(), &[]).witness_merkle_root();
    commitment(Hasher::new().chain(&root).chain(&NONCE).finish_double())
}

#[track_caller]
fn check_commitment(block: &Block, expected: Result<(), WitnessCommitmentError>) {
    assert_eq!(block.check_witness_commitment(true), expected);
}

#[test]
fn headers_read_back() {
    let bytes: [u8; 80] = std::array::from_fn(|index| index as u8);
    let header = BlockHeader::decode(&bytes);
    assert_eq!(header.encode(), bytes);
    let read = BlockHeader::read(&mut Reader::new(Bytes::copy_from_slice(&bytes)));
    assert_eq!(read, Ok(header));
    assert_eq!(header.nonce, u32::from_le_bytes([76, 77, 78, 79]));
}

#[test]
fn the_last_commitment_counts() {
    let nonce = || Witness::from_items([NONCE]);
    check_commitment(&block(nonce(), &[right_commitment()]), Ok(()));
    check_commitment(&block(nonce(), &[commitment([0; 32]), right_commitment()]), Ok(()));
    check_commitment(
        &block(nonce(), &[right_commitment(), commitment([0; 32])]),
        Err(WitnessCommitmentError::MerkleMatch),
    );
}

#[test]
fn bytes_behind_the_commitment_are_allowed() {
    let mut longer = right_commitment();
    longer.push(1);
    check_commitment(&block(Witness::from_items([NONCE]), &[longer]), Ok(()));
}

#[test]
fn the_nonce_is_one_item_of_32_bytes() {
    for nonce in [Witness::default(), Witness::from_items([[5; 31]]), Witness::from_items([NONCE, NONCE])] {
        check_commitment(&block(nonce, &[right_commitment()]), Err(WitnessCommitmentError::NonceSize));
    }
}

#[test]
fn witnesses_without_commitment_are_unexpected() {
    check_commitment(&block(Witness::default(), &[]), Err(WitnessCommitmentError::Unexpected));
    let early = block(Witness::from_items([NONCE]), &[right_commitment()]);
    assert_eq!(early.check_witness_commitment(false), Err(WitnessCommitmentError::Unexpected));
}
