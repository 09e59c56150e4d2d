//! Real blocks through every stage that a driver asks for.

use std::io::Read as _;
use std::path::PathBuf;

use bytes::Bytes;
use chainwright_chain::{Ledger as _, Reject};
use chainwright_utxo::Utxo;
use chainwright_utxo::amount::Amount;
use chainwright_utxo::block::Block;
use chainwright_utxo::params::{Parameters, bitcoin_main};
use chainwright_utxo::statistics::{CoinsHash, statistics};

use crate::chain::Chain;

#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn vector(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("CHAINWRIGHT_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/vectors")),
        PathBuf::from,
    );
    let path = folder.join("bitcoin").join(name);
    let read = std::fs::read(&path);
    if let Err(error) = &read {
        let required = std::env::var("CHAINWRIGHT_REQUIRE_VECTORS").is_ok_and(|value| value == "1");
        assert!(!required, "vectors are required, but {}: {error}", path.display());
        eprintln!("SKIPPED: {}: {error}", path.display());
    }
    read.ok()
}

fn framed_blocks(packed: &[u8]) -> Vec<Block> {
    let mut bytes = Vec::new();
    bzip2::read::BzDecoder::new(packed).read_to_end(&mut bytes).expect("the file is bzip2");
    let mut rest = Bytes::from(bytes);
    let mut blocks = Vec::new();
    while rest.len() > 8 {
        let frame = rest.split_to(8);
        assert_eq!(frame[..4], bitcoin_main().peers.magic);
        let length = u32::from_le_bytes(frame[4..].try_into().expect("four bytes"));
        blocks.push(Block::decode(rest.split_to(length as usize)).expect("a real block"));
    }
    blocks
}

#[test]
fn the_first_blocks_of_mainnet_connect_and_disconnect() {
    let Some(packed) = vector("mainnet-blocks-1-256.bz2") else { return };
    let blocks = framed_blocks(&packed);
    let mut chain = Chain::new(bitcoin_main());
    let empty = chain.rows.all();
    for block in &blocks {
        chain.connect(block.clone()).unwrap_or_else(|reject| panic!("{}: {reject}", block.hash()));
    }
    assert_eq!(chain.height() as usize, blocks.len());
    let found = statistics(&chain.head, CoinsHash::MuHash).unwrap();
    assert_eq!(found.total, Amount(50 * Amount::COIN.0 * blocks.len() as i64));
    chain.reorganise(blocks.len(), Vec::new());
    assert_eq!(chain.rows.all(), empty);
}

#[track_caller]
fn check_bytes_alone(bytes: Vec<u8>) {
    let ledger = Utxo::new(bitcoin_main());
    let block = Block::decode(bytes.into()).expect("a real block");
    let prepared =
        ledger.prepare(block.clone()).unwrap_or_else(|reject| panic!("{}: {reject}", block.hash()));
    assert_eq!(prepared.facts.total_size, block.total_size());
    assert_eq!(prepared.facts.weight, block.weight());
    let mut mutated = block;
    mutated.header.merkle_root[0] ^= 1;
    assert!(matches!(ledger.prepare(mutated), Err(Reject::Mutated(_))));
}

#[test]
fn later_blocks_pass_what_bytes_alone_prove() {
    for name in [
        "blocks/mainnet-413567.raw",
        "blocks/mainnet_block_000000000000000000000c835b2adcaedc20fdf6ee440009c249452c726dafae.raw",
        "blocks/testnet_block_000000000000045e0b1660b6445b5e5c5ab63c9a4f956be7e1e69be04fa4497b.raw",
    ] {
        vector(name).into_iter().for_each(check_bytes_alone);
    }
    for name in ["block-866342/raw.zst", "block-367891/raw.zst"] {
        let unpack = |packed: Vec<u8>| zstd::decode_all(&packed[..]).expect("the file is zstd");
        vector(name).map(unpack).into_iter().for_each(check_bytes_alone);
    }
}

#[test]
fn every_preset_has_a_chain_that_starts() {
    for name in ["bitcoin", "bitcoin-testnet4", "bitcoin-signet", "bitcoin-regtest"] {
        let chain = Chain::new(Parameters::named(name).unwrap());
        assert_eq!(chain.height(), 0);
        assert!(chain.rows.all().is_empty(), "nobody can spend genesis");
    }
}
