//! Real blocks: decoded, encoded again, their ids and roots, and every script of the two whose spent outputs are known.

use crate::support::{list, output, read, read_bzip2, read_zstd, text, unhex};
use bytes::Bytes;
use chainwright_utxo::block::Block;
use chainwright_utxo::script::Flags;
use chainwright_utxo::sighash::PrecomputedTransaction;
use chainwright_utxo::tx::{Transaction, TransactionParts};
use serde_json::Value;

#[track_caller]
fn check_block(name: &str, bytes: &[u8], id: &str) -> Block {
    let shared = Bytes::copy_from_slice(bytes);
    let block = Block::decode(shared).expect("a real block decodes");
    assert_eq!(block.encode(), bytes, "{name}");
    assert!(block.hash().to_string().ends_with(id), "{name} {}", block.hash());
    let merkle = block.merkle_root();
    assert_eq!(merkle.root, block.header.merkle_root, "{name}");
    assert!(!merkle.mutated, "{name}");
    assert_eq!(block.check_witness_commitment(true), Ok(()), "{name}");
    assert_eq!(block.total_size(), bytes.len(), "{name}");
    for transaction in &block.transactions {
        // Made of its parts, a transaction has the same bytes and ids.
        let parts: TransactionParts = transaction.parts().clone();
        let again = Transaction::new(parts);
        assert_eq!((again.txid(), again.wtxid()), (transaction.txid(), transaction.wtxid()), "{name}");
        assert_eq!(&again, transaction, "{name}");
        assert_eq!(again.weight(), transaction.weight(), "{name}");
    }
    block
}

#[test]
fn raw_blocks_encode_to_the_same_bytes() {
    for (name, id) in [
        ("blocks/mainnet-413567.raw", ""),
        (
            "blocks/mainnet_block_000000000000000000000c835b2adcaedc20fdf6ee440009c249452c726dafae.raw",
            "000000000000000000000c835b2adcaedc20fdf6ee440009c249452c726dafae",
        ),
        (
            "blocks/testnet_block_000000000000045e0b1660b6445b5e5c5ab63c9a4f956be7e1e69be04fa4497b.raw",
            "000000000000045e0b1660b6445b5e5c5ab63c9a4f956be7e1e69be04fa4497b",
        ),
    ] {
        let Some(bytes) = read(name) else { return };
        let block = check_block(name, &bytes, id);
        assert!(block.hash().to_string().starts_with("0000000000000"), "{name}");
    }
}

/// Reads `magic ‖ length ‖ block` over and over; each block must follow the one before.
#[track_caller]
fn check_frames(name: &str, count_min: usize) {
    let Some(bytes) = read_bzip2(name) else { return };
    let mut rest = &bytes[..];
    let mut previous = None;
    let mut count = 0;
    while let Some((frame, after)) = rest.split_at_checked(8) {
        let length = u32::from_le_bytes(frame[4..].try_into().expect("four bytes")) as usize;
        let block = check_block(name, &after[..length], "");
        assert!(previous.is_none_or(|id| id == block.header.previous), "{name}");
        previous = Some(block.hash());
        count += 1;
        rest = &after[length..];
    }
    assert!(count >= count_min, "{name}: {count} blocks");
}

#[test]
fn framed_blocks_decode_and_chain_up() {
    check_frames("mainnet-blocks-1-256.bz2", 255);
    check_frames("mainnet-277647.dat.bz2", 1);
    check_frames("../litecoin/mainnet-blocks-1-256.bz2", 255);
    check_frames("../litecoin/mainnet-277645.dat.bz2", 1);
}

#[test]
fn swapped_witnesses_break_the_commitment() {
    let Some(bytes) = read_zstd("block-866342/raw.zst") else { return };
    let mut block = Block::decode(Bytes::from(bytes)).expect("it decodes");
    let mut parts = block.transactions[1].parts().clone();
    let witness = parts.inputs[0].witness.clone();
    parts.inputs[0].witness = chainwright_utxo::tx::Witness::from_items(witness.iter().chain([&[1][..]]));
    block.transactions[1] = Transaction::new(parts);
    assert_eq!(block.merkle_root().root, block.header.merkle_root, "ids do not see witnesses");
    assert!(block.check_witness_commitment(true).is_err());
    assert!(block.check_witness_commitment(false).is_err());
}

/// Pairs a block's transactions, but for the coinbase, with the outputs they spend.
pub(crate) fn spends(folder: &str) -> Option<(Block, Vec<PrecomputedTransaction>)> {
    let bytes = read_zstd(&format!("{folder}/raw.zst"))?;
    let block = check_block(folder, &bytes, "");
    let spent: Vec<Value> =
        serde_json::from_slice(&read_zstd(&format!("{folder}/spent_utxos.zst"))?).expect("a list of outputs");
    let mut outputs = spent.iter().map(|entry| {
        let entry = &entry["txout"];
        output(entry["value"].as_i64().expect("an amount"), unhex(text(&entry["script_pubkey"])))
    });
    let precomputed = block.transactions[1..]
        .iter()
        .map(|transaction| {
            let spent = outputs.by_ref().take(transaction.inputs().len()).collect();
            PrecomputedTransaction::new(transaction.clone(), spent).expect("as many outputs as inputs")
        })
        .collect();
    assert!(outputs.next().is_none(), "every output is spent");
    assert!(!list(&Value::Array(spent.clone())).is_empty());
    Some((block, precomputed))
}

#[track_caller]
fn check_scripts(folder: &str, flags: Flags, input_count: usize) {
    let Some((_, transactions)) = spends(folder) else { return };
    let jobs: Vec<(&PrecomputedTransaction, usize)> = transactions
        .iter()
        .flat_map(|transaction| (0..transaction.spent().len()).map(move |index| (transaction, index)))
        .collect();
    assert_eq!(jobs.len(), input_count);
    std::thread::scope(|scope| {
        for part in 0..2 {
            let jobs = &jobs;
            scope.spawn(move || {
                for (transaction, index) in jobs.iter().skip(part).step_by(2) {
                    let verdict = transaction.verify_input(*index, flags);
                    assert_eq!(
                        verdict,
                        Ok(()),
                        "{folder} {} input {index}",
                        transaction.transaction().txid()
                    );
                }
            });
        }
    });
}

#[test]
fn every_script_of_a_modern_block_passes() {
    check_scripts("block-866342", Flags::MANDATORY, 7_972);
}

/// Height 367,891 is behind BIP-0066 and before BIP-0065, BIP-0112 and BIP-0141.
#[test]
fn every_script_of_a_block_of_bare_scripts_passes() {
    check_scripts("block-367891", Flags::P2SH | Flags::DERSIG, 20_817);
}
