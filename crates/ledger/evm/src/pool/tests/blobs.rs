//! Transactions with blobs: what is checked of them, and how they come back.

use alloy_consensus::{TxEip4844, TxEip4844WithSidecar};
use alloy_eips::eip4844::env_settings::EnvKzgSettings;
use alloy_eips::eip4844::{Blob, BlobTransactionSidecar};
use alloy_eips::eip7594::BlobTransactionSidecarEip7594;
use std::sync::OnceLock;

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
