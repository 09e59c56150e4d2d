//! Encodings: round trips, and damaged bytes.

use alloy_consensus::{
    Eip658Value, Header, SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy, TxType,
};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{
    Address, B64, B256, Bloom, Log, LogData, Signature, TxKind, U256, address, b256, hex,
};
use bytes::Bytes;
use chainwright_chain::{Codec, CompactTarget, Header as _, Work as _};
use proptest::prelude::*;

use super::*;
use crate::config::{ChainConfig, Fork};
use crate::rules::assume_impersonated;

fn mainnet_genesis() -> EvmHeader {
    EvmHeader::new(Header {
        state_root: b256!("d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544"),
        difficulty: U256::from(17_179_869_184_u64),
        gas_limit: 5000,
        extra_data: hex!("11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa").into(),
        nonce: B64::from(0x42_u64),
        ..Header::default()
    })
}

#[test]
fn the_hash_of_mainnets_genesis() {
    let hash = b256!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
    let header = mainnet_genesis();
    assert_eq!(header.hash(), hash);
    let again = EvmHeader::decode(&header.to_bytes().into()).unwrap();
    assert_eq!((again.hash(), &again), (hash, &header));
}

#[test]
fn a_changed_header_has_another_hash_and_its_clone_does_not() {
    let mut header = mainnet_genesis();
    let (before, unsealed, kept) = (header.hash(), header.unsealed_bytes(), header.clone());
    header.set_nonce(7);
    assert_ne!(header.hash(), before);
    assert_eq!(kept.hash(), before);
    assert_eq!(header.unsealed_bytes(), unsealed);
    assert_eq!(header.sealed_bytes()[32..], 7_u64.to_be_bytes());
    header.set_state_root(chainwright_chain::Hash([1; 32]));
    assert_ne!(header.unsealed_bytes(), unsealed);
}

#[test]
fn difficulty_and_target_stand_for_each_other() {
    for (bits, difficulty) in
        [(0x207f_ffff, 2_u64), (0x1d00_ffff, 4_295_032_833), (0x1b04_04cb, 70_040_908_352_512)]
    {
        assert_eq!(difficulty_of(CompactTarget(bits)), U256::from(difficulty), "{bits:x}");
        assert_eq!(target_of(U256::from(difficulty)), CompactTarget(bits), "{bits:x}");
    }
    assert_eq!(difficulty_of(CompactTarget(0)), U256::MAX);
    assert_eq!(target_of(U256::ZERO), target_of(U256::ONE));
}

/// The example of EIP-155: chain 1, nonce 9, 20 gwei, 21,000 gas, one ether.
#[test]
fn the_example_of_eip_155() {
    let raw = hex!(
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    );
    let tx = EvmTx::decode(&Bytes::copy_from_slice(&raw)).unwrap();
    assert_eq!(tx.sender(), Ok(address!("9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F")));
    assert_eq!(tx.hash(), b256!("33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788"));
    assert!(tx.has_low_s());
    assert_eq!(tx.clone().known_sender(), tx.known_sender());
    assert_eq!(tx.to_bytes(), raw);
}

#[track_caller]
fn check_refused(raw: &[u8], why: &str) {
    let decoded = EvmTx::decode(&Bytes::copy_from_slice(raw));
    assert!(decoded.is_err(), "{why}: {decoded:?}");
}

#[test]
fn other_encodings_of_a_transaction_are_refused() {
    let short =
        EvmTx::new(TxLegacy { gas_limit: 21_000, ..TxLegacy::default() }.into_signed(signature(1, 1)).into());
    let raw = short.raw().to_vec();
    assert!(EvmTx::decode(&short.raw().clone()).is_ok());
    check_refused(&[&raw[..], &[0]].concat(), "a trailing byte");
    check_refused(&raw[..raw.len() - 1], "a missing byte");
    check_refused(&[&[0xf8, (raw.len() - 1) as u8], &raw[1..]].concat(), "a long form of a short length");
    check_refused(&[&[0x00], &raw[..]].concat(), "type 0 spelt out");
    check_refused(&[&[0x05], &raw[..]].concat(), "a type that is not known");
    check_refused(&[], "nothing");
    check_refused(&[0x02], "a type alone");
    // The nonce, first in the list, with a leading zero: one byte more.
    let padded = [&[raw[0] + 1, 0x81, 0x00][..], &raw[2..]].concat();
    check_refused(&padded, "a padded nonce");
}

#[test]
fn an_impersonation_stands_for_its_account_on_development_chains_alone() {
    let account = Address::repeat_byte(0xab);
    let impersonating = || {
        let envelope = TxLegacy { gas_limit: 21_000, ..TxLegacy::default() };
        let tx = EvmTx::new(envelope.into_signed(EvmTx::impersonating(account)).into());
        EvmTx::decode(tx.raw()).expect("it decodes like any other")
    };
    assert_eq!(impersonating().impersonated(), Some(account));
    let mut config = ChainConfig::up_to(1, Fork::Osaka);
    let tx = impersonating();
    assume_impersonated(&config, [&tx]);
    assert_ne!(tx.sender().ok(), Some(account), "elsewhere it is a signature like any other");
    config.development = true;
    let tx = impersonating();
    assume_impersonated(&config, [&tx]);
    assert_eq!(tx.sender().ok(), Some(account));
    let signed = EvmTx::new(TxLegacy::default().into_signed(signature(1, 1)).into());
    assert_eq!(signed.impersonated(), None);
}

fn signature(r: u64, s: u64) -> Signature {
    Signature::new(U256::from(r), U256::from(s), false)
}

prop_compose! {
    fn any_fields()(
        kind in 0_u8..5,
        (nonce, gas_limit) in any::<(u64, u64)>(),
        price in any::<u128>(),
        value in any::<[u64; 4]>(),
        to in any::<Option<[u8; 20]>>(),
        input in proptest::collection::vec(any::<u8>(), 0..80),
        (r, s, odd) in any::<([u8; 32], [u8; 32], bool)>(),
        chain_id in any::<Option<u32>>(),
    ) -> EvmTx {
        let chain = u64::from(chain_id.unwrap_or(1));
        let address = Address::from(to.unwrap_or_default());
        let to = to.map_or(TxKind::Create, |to| TxKind::Call(to.into()));
        let (value, input) = (U256::from_limbs(value), input.into());
        let signature = Signature::new(U256::from_be_bytes(r), U256::from_be_bytes(s), odd);
        EvmTx::new(match kind {
            0 => TxLegacy { chain_id: chain_id.map(u64::from), nonce, gas_price: price, gas_limit, to, value, input }
                .into_signed(signature).into(),
            1 => TxEip2930 { chain_id: chain, nonce, gas_price: price, gas_limit, to, value, input, ..Default::default() }
                .into_signed(signature).into(),
            2 => TxEip1559 { chain_id: chain, nonce, max_fee_per_gas: price, gas_limit, to, value, input, ..Default::default() }
                .into_signed(signature).into(),
            3 => TxEip4844 { chain_id: chain, nonce, max_fee_per_gas: price, gas_limit, to: address, value, input,
                    blob_versioned_hashes: vec![B256::from(r)], ..Default::default() }.into_signed(signature).into(),
            _ => TxEip7702 { chain_id: chain, nonce, max_fee_per_gas: price, gas_limit, to: address, value, input,
                    ..Default::default() }.into_signed(signature).into(),
        })
    }
}

prop_compose! {
    fn any_header()(
        fields in 0_usize..7,
        number in any::<u64>(),
        hash in any::<[u8; 32]>(),
        extra in proptest::collection::vec(any::<u8>(), 0..40),
    ) -> Header {
        let from = |position: usize| fields >= position;
        Header {
            number,
            parent_hash: hash.into(),
            extra_data: extra.into(),
            base_fee_per_gas: from(1).then_some(number),
            withdrawals_root: from(2).then_some(hash.into()),
            blob_gas_used: from(3).then_some(number),
            excess_blob_gas: from(4).then_some(7),
            parent_beacon_block_root: from(5).then_some(hash.into()),
            requests_hash: from(6).then_some(hash.into()),
            ..Header::default()
        }
    }
}

prop_compose! {
    fn any_block()(
        header in any_header(),
        transactions in proptest::collection::vec(any_fields(), 0..4),
        ommers in proptest::collection::vec(any_header(), 0..2),
        withdrawals in any::<Option<Vec<(u64, u64)>>>(),
    ) -> EvmBlock {
        let withdrawals = withdrawals.map(|list| list.into_iter().take(3).map(|(index, amount)| {
            Withdrawal { index, amount, ..Withdrawal::default() }
        }).collect());
        EvmBlock { header: header.into(), transactions, ommers, withdrawals }
    }
}

/// Changes one byte, cuts, or appends: what decodes all the same must be another value's own encoding.
fn check_damaged<T: Codec>(mut bytes: Vec<u8>, position: usize, byte: u8, mode: u8) {
    let position = position % bytes.len().max(1);
    match mode % 3 {
        0 if !bytes.is_empty() => bytes[position] = byte,
        1 => bytes.truncate(position),
        _ => bytes.push(byte),
    }
    if let Ok(value) = T::decode(&bytes.clone().into()) {
        assert_eq!(value.to_bytes(), bytes);
    }
}

proptest! {
    #[test]
    fn transactions_come_back(tx in any_fields()) {
        let bytes = tx.to_bytes();
        let again = EvmTx::decode(&bytes.clone().into()).unwrap();
        prop_assert_eq!(again.to_bytes(), bytes);
        prop_assert_eq!(again.envelope(), tx.envelope());
        prop_assert_eq!(again.hash(), *tx.envelope().tx_hash());
    }

    #[test]
    fn blocks_come_back(block in any_block()) {
        let bytes = Bytes::from(block.to_bytes());
        prop_assert_eq!(bytes.len(), block.encoded_length());
        prop_assert_eq!(&EvmBlock::decode(&bytes).unwrap(), &block);
        let mut two = Bytes::from([&bytes[..], &bytes[..]].concat());
        prop_assert!(EvmBlock::decode(&two).is_err());
        prop_assert_eq!(&EvmBlock::take(&mut two).unwrap(), &block);
        prop_assert_eq!(&two, &bytes);
    }

    #[test]
    fn damaged_bytes_are_refused_or_are_another_value(
        block in any_block(), position in any::<usize>(), byte in any::<u8>(), mode in any::<u8>(),
    ) {
        check_damaged::<EvmBlock>(block.to_bytes(), position, byte, mode);
        check_damaged::<EvmHeader>(block.header.to_bytes(), position, byte, mode);
        if let Some(tx) = block.transactions.first() {
            check_damaged::<EvmTx>(tx.to_bytes(), position, byte, mode);
        }
    }

    #[test]
    fn noise_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = (EvmBlock::decode(&bytes), EvmTx::decode(&bytes), EvmReceipts::decode(&bytes));
    }
}

fn a_log() -> Log {
    let data = LogData::new_unchecked(vec![B256::repeat_byte(1)], vec![2, 3].into());
    Log { address: Address::repeat_byte(9), data }
}

#[test]
fn receipts_come_back_and_have_blooms() {
    let receipt = |tx_type, outcome, cumulative_gas_used| EvmReceipt {
        tx_type,
        outcome,
        cumulative_gas_used,
        logs: vec![a_log()],
    };
    let receipts = EvmReceipts {
        receipts: vec![
            receipt(TxType::Legacy, Eip658Value::PostState(B256::repeat_byte(4)), 21_000),
            receipt(TxType::Eip4844, Eip658Value::Eip658(false), 50_000),
        ],
        requests: vec![vec![0, 1].into()],
    };
    assert_eq!(EvmReceipts::decode(&receipts.to_bytes().into()).unwrap(), receipts);
    assert_eq!(
        (receipts.gas_used(0), receipts.gas_used(1), receipts.gas_used(2)),
        (Some(21_000), Some(29_000), None)
    );
    assert!(receipts.receipts[0].succeeded() && !receipts.receipts[1].succeeded());
    let expected: Bloom = core::iter::once(&a_log()).collect();
    assert_eq!((receipts.bloom(), receipts.receipts[0].bloom()), (expected, expected));
    let mut bytes = Vec::new();
    receipts.receipts[1].encode_consensus(&mut bytes);
    assert_eq!(bytes[0], 3);
    check_damaged::<EvmReceipts>(receipts.to_bytes(), 5, 1, 2);
    assert_eq!(
        EvmReceipts::decode(&EvmReceipts::default().to_bytes().into()).unwrap(),
        EvmReceipts::default()
    );
}
