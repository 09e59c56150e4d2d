//! The codec's edges, each against Bitcoin Core's `UnserializeTransaction`.

use super::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};
use crate::amount::Amount;
use crate::codec::DecodeError;
use crate::script::Script;
use bytes::Bytes;

fn parts(witness: Witness) -> TransactionParts {
    TransactionParts {
        version: 2,
        inputs: vec![TxIn {
            previous_output: OutPoint { index: 7, ..OutPoint::NULL },
            script_sig: Script(Bytes::from_static(&[0x51])),
            sequence: 0xffff_fffe,
            witness,
        }],
        outputs: vec![TxOut { value: Amount(-5), script_pubkey: Script::default() }],
        lock_time: 9,
    }
}

#[track_caller]
fn check_round_trip(parts: TransactionParts) {
    let made = Transaction::new(parts.clone());
    let read = Transaction::decode(Bytes::from(parts.encode())).expect("what we encode decodes");
    assert_eq!(read.parts(), &parts);
    assert_eq!(read, made);
    assert_eq!((read.txid(), read.wtxid()), (made.txid(), made.wtxid()));
    assert_eq!(read.stripped_size(), parts.encode_stripped().len());
    assert_eq!(read.stripped_size(), made.stripped_size());
    assert_eq!(read.has_witness(), parts.has_witness());
}

#[track_caller]
fn check_refused(bytes: Vec<u8>, expected: DecodeError) {
    assert_eq!(Transaction::decode(Bytes::from(bytes)).err(), Some(expected));
}

#[test]
fn both_formats_read_back() {
    check_round_trip(parts(Witness::default()));
    check_round_trip(parts(Witness::from_items([vec![], vec![1; 300], vec![2; 70_000]])));
}

#[test]
fn witness_items_are_walked_in_place() {
    let witness = Witness::from_items([vec![], vec![1; 300], vec![2; 70_000]]);
    let lengths: Vec<usize> = witness.iter().map(<[u8]>::len).collect();
    assert_eq!(lengths, [0, 300, 70_000]);
    assert_eq!(witness.get(1), Some(&[1; 300][..]));
    assert_eq!(witness.last().map(<[u8]>::len), Some(70_000));
}

#[test]
fn a_witness_record_without_witness_is_superfluous() {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[0, 1]);
    let stripped = parts(Witness::default()).encode_stripped();
    bytes.extend_from_slice(&stripped[4..stripped.len() - 4]);
    bytes.push(0);
    bytes.extend_from_slice(&[0; 4]);
    check_refused(bytes, DecodeError::SuperfluousWitness);
}

#[test]
fn unknown_flags_are_refused() {
    let mut bytes = parts(Witness::from_items([[1]])).encode();
    bytes[5] = 3;
    check_refused(bytes, DecodeError::UnknownTransactionFlags(2));
}

#[test]
fn no_inputs_and_no_outputs_decode_as_in_core() {
    let empty = TransactionParts { version: 1, ..TransactionParts::default() };
    check_round_trip(empty);
}

#[test]
fn a_transaction_without_inputs_needs_the_stripped_format() {
    let parts =
        TransactionParts { version: 1, outputs: vec![TxOut::default()], ..TransactionParts::default() };
    let read =
        Transaction::decode_stripped(Bytes::from(parts.encode())).expect("the old format has no marker");
    assert_eq!(read.parts(), &parts);
}

#[test]
fn every_truncation_and_every_addition_is_refused() {
    let bytes = parts(Witness::from_items([[1, 2, 3]])).encode();
    for length in 0..bytes.len() {
        assert!(Transaction::decode(Bytes::copy_from_slice(&bytes[..length])).is_err());
    }
    let mut longer = bytes;
    longer.push(0);
    check_refused(longer, DecodeError::TrailingBytes(1));
}
