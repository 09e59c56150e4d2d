//! Transactions with blobs: what is checked of them, and how they come back.

use alloy_consensus::{TxEip4844, TxEip4844WithSidecar};
use alloy_eips::eip4844::env_settings::EnvKzgSettings;
use alloy_eips::eip4844::{Blob, BlobTransactionSidecar};
use alloy_eips::eip7594::BlobTransactionSidecarEip7594;
use chainwright_chain::{Codec, Pool};
use std::sync::OnceLock;

use super::super::sidecar as aside;
use super::*;
use crate::types::{PooledEnvelope, Sidecar};

fn blob() -> Blob {
    let mut blob = Blob::default();
    // Field elements are big-endian; small ones are always below the modulus.
    (0..4096_usize).for_each(|at| blob[32 * at + 31] = (at % 251) as u8);
    blob
}

fn sidecar() -> Sidecar {
    static MADE: OnceLock<Sidecar> = OnceLock::new();
    let make = || BlobTransactionSidecarEip7594::try_from_blobs(vec![blob()]).unwrap();
    MADE.get_or_init(|| Sidecar::Eip7594(make())).clone()
}

fn fields(nonce: u64, fees: u128) -> TxEip4844 {
    TxEip4844 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100 * fees,
        max_priority_fee_per_gas: 10 * fees,
        max_fee_per_blob_gas: 5 * fees,
        to: who(3),
        blob_versioned_hashes: sidecar().versioned_hashes().collect(),
        ..TxEip4844::default()
    }
}

fn pooled(tx: TxEip4844, sidecar: Sidecar, sender: Address) -> Arc<EvmTx> {
    let with = TxEip4844WithSidecar { tx, sidecar }.into_signed(signature());
    let tx = EvmTx::from_pooled(PooledEnvelope::Eip4844(with));
    tx.assume_sender(sender);
    Arc::new(tx)
}

#[test]
fn blobs_must_be_there_and_fit() {
    let mut bench = Bench::new();
    let good = pooled(fields(0, 1), sidecar(), who(0));
    bench.refuses(&Arc::new(good.without_sidecar()), "missing sidecar in blob transaction");
    let free = TxEip4844 { max_fee_per_blob_gas: 0, ..fields(0, 1) };
    let words = "transaction gas price below minimum: blob fee cap 0, minimum needed 1";
    bench.refuses(&pooled(free, sidecar(), who(0)), words);
    let none = TxEip4844 { blob_versioned_hashes: Vec::new(), ..fields(0, 1) };
    bench.refuses(&pooled(none, sidecar(), who(0)), "blobless blob transaction");
    let twice =
        TxEip4844 { blob_versioned_hashes: fields(0, 1).blob_versioned_hashes.repeat(2), ..fields(0, 1) };
    bench.refuses(&pooled(twice, sidecar(), who(0)), "invalid number of 1 blobs compared to 2 blob hashes");
    let many =
        TxEip4844 { blob_versioned_hashes: fields(0, 1).blob_versioned_hashes.repeat(7), ..fields(0, 1) };
    bench.refuses(&pooled(many, sidecar(), who(0)), "transaction blob limit exceeded: blob count 7, limit 6");
    let Sidecar::Eip7594(mut wrong) = sidecar() else { panic!("made of this form") };
    wrong.cell_proofs.swap(0, 1);
    let refused = bench.submit(&pooled(fields(0, 1), Sidecar::Eip7594(wrong), who(0))).unwrap_err();
    assert!(refused.starts_with("KZG verification error"), "{refused}");
    let old =
        BlobTransactionSidecar::try_from_blobs_with_settings(vec![blob()], EnvKzgSettings::Default.get());
    let old = old.unwrap();
    let old = pooled(fields(0, 1), Sidecar::Eip4844(old), who(0));
    bench.refuses(&old, "legacy blob tx is not supported");
    bench.terms.fork = Fork::Prague;
    bench.refuses(&good, "cell proof is not supported yet");
    bench.takes(&old);
    bench.terms.fork = Fork::Osaka;
    bench.pool.terms = Some(Terms { fork: Fork::Prague, ..bench.terms.clone() });
    bench.follow(&[], &[], 11);
    assert!(bench.pool.in_order().is_empty(), "the old form ends with Osaka");
    bench.takes(&good);
}

#[test]
fn they_neither_wait_nor_mix_and_are_replaced_for_the_double() {
    let mut bench = Bench::new();
    bench.refuses(&pooled(fields(1, 1), sidecar(), who(0)), "nonce too high: tx nonce 1, gapped nonce 0");
    bench.takes(&pooled(fields(0, 1), sidecar(), who(0)));
    bench.refuses(&transfer(who(0), 1, (100, 10), 0), "address already reserved");
    bench.takes(&transfer(who(1), 0, (100, 10), 0));
    bench.refuses(&pooled(fields(1, 1), sidecar(), who(1)), "nonce too high: tx nonce 1, gapped nonce 0");
    let low = TxEip4844 {
        max_fee_per_gas: 199,
        max_priority_fee_per_gas: 20,
        max_fee_per_blob_gas: 10,
        ..fields(0, 1)
    };
    let words =
        "replacement transaction underpriced: new tx gas fee cap 199 < 100 queued + 100% replacement penalty";
    bench.refuses(&pooled(low, sidecar(), who(0)), words);
    let same = TxEip4844 { max_fee_per_blob_gas: 5, ..fields(0, 2) };
    let words = "replacement transaction underpriced: new tx blob gas fee cap 5 <= 5 queued";
    bench.refuses(&pooled(same, sidecar(), who(0)), words);
    bench.takes(&pooled(fields(0, 2), sidecar(), who(0)));
}

#[test]
fn blobs_wait_aside_while_their_transaction_is_in_a_block() {
    let mut bench = Bench::new();
    let (first, second) = (pooled(fields(0, 1), sidecar(), who(0)), pooled(fields(1, 1), sidecar(), who(0)));
    bench.takes(&first);
    bench.takes(&second);
    assert_eq!(bench.pool.best(7, 5).count(), 2);
    assert_eq!(bench.pool.best(7, 6).count(), 0, "their cap is below the blob fee");
    let mined = Arc::new(first.without_sidecar());
    bench.account(0).nonce = 1;
    bench.follow(&[], &[Arc::clone(&mined)], 11);
    assert_eq!((bench.pool.status().pending, bench.pool.limbo.len()), (1, 1));
    // A reorganisation gives it back, with its blobs.
    bench.account(0).nonce = 0;
    bench.follow(&[Arc::clone(&mined)], &[], 10);
    assert_eq!((bench.pool.status().pending, bench.pool.limbo.len()), (2, 0));
    assert!(bench.pool.entry(&first.hash()).unwrap().tx.sidecar().is_some());
    // Far below the head nobody asks for them any more.
    bench.account(0).nonce = 1;
    bench.follow(&[], &[Arc::clone(&mined)], 11);
    bench.follow(&[], &[], 11 + 65);
    assert_eq!(bench.pool.limbo.len(), 0);
    bench.account(0).nonce = 0;
    bench.follow(&[mined], &[], 75);
    let status = bench.pool.status();
    assert_eq!((status.pending, status.queued), (0, 1), "without blobs it cannot come back");
}

#[test]
fn what_is_kept_aside_is_limited_in_bytes() {
    let shared = Arc::new(sidecar());
    let envelope = |nonce| TxEnvelope::from(fields(nonce, 1).into_signed(signature()));
    let tx = |nonce| Arc::new(EvmTx::new(envelope(nonce)).with_sidecar(Some(Arc::clone(&shared))));
    let count = (128 << 20) / aside::bytes_of(&tx(0)) as u64;
    assert!(count < 1000, "the limit on counts is not the one that is shown");
    let mut limbo = aside::Limbo::default();
    (0..count + 10).for_each(|nonce| limbo.keep(tx(nonce), nonce));
    assert!(limbo.len() as u64 <= count && limbo.len() as u64 > count - 5);
    assert!(limbo.take(&tx(0).hash()).is_none() && limbo.take(&tx(count + 9).hash()).is_some());
    limbo.prune(10_000);
    assert_eq!(limbo.len(), 0);
}

#[test]
fn nobody_spoils_the_name_of_a_transaction_with_blobs() {
    let mut bench = Bench::new();
    let good = pooled(fields(0, 1), sidecar(), who(0));
    let Sidecar::Eip7594(mut wrong) = sidecar() else { panic!("made of this form") };
    wrong.cell_proofs.swap(0, 1);
    let (bare, false_one) =
        (Arc::new(good.without_sidecar()), pooled(fields(0, 1), Sidecar::Eip7594(wrong), who(0)));
    assert!(bare.id() == good.id() && false_one.id() == good.id());
    let names = std::collections::BTreeSet::from(
        [&bare, &false_one, &good].map(|tx| tx.relay_id()).map(|name| name.0),
    );
    assert!(
        names.len() == 3 && !names.contains(&good.id().0),
        "what is remembered as refused is not the good one"
    );
    // As read from a peer or as put together here.
    let read = <EvmTx as Codec>::decode(&good.to_bytes().into()).unwrap();
    assert_eq!(read.relay_id(), good.relay_id());
    assert!(bench.submit(&bare).is_err() && bench.submit(&false_one).is_err());
    bench.takes(&good);
    let get = |id| Pool::<crate::Evm>::get(&bench.pool, &id).map(|tx| tx.hash());
    assert_eq!((get(good.id()), get(good.relay_id())), (Some(good.hash()), Some(good.hash())));
    assert_eq!((get(false_one.relay_id()), get(bare.relay_id())), (None, None));
}

#[test]
fn proofs_are_looked_at_last_and_once() {
    let mut bench = Bench::new();
    let Sidecar::Eip7594(mut wrong) = sidecar() else { panic!("made of this form") };
    wrong.cell_proofs.swap(0, 1);
    let bad = pooled(fields(0, 1), Sidecar::Eip7594(wrong), who(0));
    bench.account(0).balance = U256::ZERO;
    let refused = bench.submit(&bad).unwrap_err();
    assert!(refused.starts_with("insufficient funds"), "{refused}");
    assert_eq!(bad.is_verified(), None, "who cannot pay costs no time");
    // What was found ahead stays with the transaction, whatever thread it was found on.
    bad.work_ahead().unwrap()();
    assert_eq!(bad.is_verified(), Some(false));
    let good = pooled(fields(0, 1), sidecar(), who(1));
    good.work_ahead().unwrap()();
    assert_eq!((good.is_verified(), good.clone().known_sender()), (Some(true), Some(who(1))));
    assert!(good.without_sidecar().work_ahead().is_none());
    bench.takes(&good);
}
