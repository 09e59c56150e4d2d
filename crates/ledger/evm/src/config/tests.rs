//! Configuration against public facts: fork ids, schedules, genesis files and every mistake in them.

use alloy_primitives::{B256, U256, b256, hex};
use chainwright_chain::Height;
use proptest::prelude::*;

use super::*;

const MAINNET: B256 = b256!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
const SEPOLIA: B256 = b256!("25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9");

fn scheduled(forks: &[(Fork, u64)]) -> ChainConfig {
    let mut config = ChainConfig::up_to(1, Fork::Frontier);
    for (fork, at) in forks {
        config.forks.set(*fork, Some(*at));
    }
    config
}

fn mainnet() -> ChainConfig {
    let mut config = scheduled(&[
        (Fork::Homestead, 1_150_000),
        (Fork::TangerineWhistle, 2_463_000),
        (Fork::SpuriousDragon, 2_675_000),
        (Fork::Byzantium, 4_370_000),
        (Fork::Constantinople, 7_280_000),
        (Fork::Petersburg, 7_280_000),
        (Fork::Istanbul, 9_069_000),
        (Fork::MuirGlacier, 9_200_000),
        (Fork::Berlin, 12_244_000),
        (Fork::London, 12_965_000),
        (Fork::ArrowGlacier, 13_773_000),
        (Fork::GrayGlacier, 15_050_000),
        (Fork::Shanghai, 1_681_338_455),
        (Fork::Cancun, 1_710_338_135),
        (Fork::Prague, 1_746_612_311),
        (Fork::Osaka, 1_764_798_551),
        (Fork::Bpo1, 1_765_290_071),
        (Fork::Bpo2, 1_767_747_671),
    ]);
    config.dao = Some(DaoFork { block: 1_920_000, support: true });
    config
}

fn sepolia() -> ChainConfig {
    let mut config = ChainConfig::up_to(11_155_111, Fork::London);
    config.merge_netsplit = Some(1_735_371);
    for (fork, at) in
        [(Fork::Shanghai, 1_677_557_088), (Fork::Cancun, 1_706_655_072), (Fork::Prague, 1_741_159_776)]
    {
        config.forks.set(fork, Some(at));
    }
    config
}

#[track_caller]
fn check_fork_id(config: &ChainConfig, genesis: (B256, u64), head: (u32, u64), expected: &str) {
    let hash = fork_hash(config, genesis, (Height(head.0), head.1));
    assert_eq!(hex::encode(hash), expected, "at {head:?}");
}

/// geth, `core/forkid/forkid_test.go` `TestCreation`.
#[test]
fn fork_ids_are_those_of_the_public_networks() {
    let genesis = (MAINNET, 0);
    let cases = [
        (0, 0, "fc64ec04"),
        (1_149_999, 1_457_981_342, "fc64ec04"),
        (1_150_000, 1_457_981_393, "97c2c34c"),
        (1_920_000, 1_469_020_840, "91d1f948"),
        (2_463_000, 1_476_796_771, "7a64da13"),
        (2_675_000, 1_479_831_344, "3edd5b10"),
        (4_370_000, 1_508_131_331, "a00bc324"),
        (7_280_000, 1_551_383_524, "668db0af"),
        (9_069_000, 1_575_764_709, "879d6e30"),
        (9_200_000, 1_577_953_849, "e029e991"),
        (12_244_000, 1_618_481_223, "0eb440f6"),
        (12_965_000, 1_628_166_822, "b715077d"),
        (13_773_000, 1_639_079_723, "20c327fc"),
        (15_050_000, 1_656_586_444, "f0afd0e3"),
        (20_000_000, 1_681_338_455, "dce96c2d"),
        (30_000_000, 1_710_338_135, "9f3d2254"),
        (30_000_000, 1_746_612_311, "c376cf8b"),
        (30_000_000, 1_764_798_551, "5167e2a6"),
        (30_000_000, 1_765_290_071, "cba2a1c0"),
        (30_000_000, 1_767_747_671, "07c9462e"),
    ];
    for (number, time, expected) in cases {
        check_fork_id(&mainnet(), genesis, (number, time), expected);
    }
    let genesis = (SEPOLIA, 1_633_267_481);
    for (number, time, expected) in [
        (0, 0, "fe3366e7"),
        (1_735_371, 1_661_130_108, "b96cbd13"),
        (1_735_372, 1_677_557_088, "f7f9bc08"),
        (1_735_372, 1_706_655_072, "88cf81d9"),
        (1_735_372, 1_741_159_776, "ed88b5fd"),
    ] {
        check_fork_id(&sepolia(), genesis, (number, time), expected);
    }
}

#[test]
fn time_counts_only_after_the_merge() {
    let forks = mainnet().forks;
    assert_eq!(forks.at(15_050_000, u64::MAX, false), Fork::GrayGlacier);
    assert_eq!(forks.at(15_537_394, 1_663_224_179, true), Fork::Paris);
    assert_eq!(forks.at(15_537_394, 1_681_338_454, true), Fork::Paris);
    assert_eq!(forks.at(15_537_394, 1_681_338_455, true), Fork::Shanghai);
    assert_eq!(forks.at(15_537_394, u64::MAX, true), Fork::Bpo2);
    assert_eq!(forks.at(1_149_999, 0, false), Fork::Frontier);
}

#[test]
fn blob_counts_follow_the_latest_scheduled_fork() {
    let config = mainnet();
    let counts =
        |fork| config.blob_params(fork).map(|p| (p.target_blob_count, p.max_blob_count, p.max_blobs_per_tx));
    assert_eq!(counts(Fork::Shanghai), None);
    assert_eq!(counts(Fork::Cancun), Some((3, 6, 6)));
    assert_eq!(counts(Fork::Prague), Some((6, 9, 9)));
    assert_eq!(counts(Fork::Osaka), Some((6, 9, 6)));
    assert_eq!(counts(Fork::Bpo1), Some((10, 15, 6)));
    assert_eq!(counts(Fork::Bpo2), Some((14, 21, 6)));
    // Nothing is scheduled for it.
    assert_eq!(counts(Fork::Bpo5), Some((14, 21, 6)));
}

/// EIP-1559's own examples as geth tests them, `consensus/misc/eip1559/eip1559_test.go`.
#[test]
fn the_base_fee_moves_as_geths() {
    let next = |used, limit| BaseFeeRule::ETHEREUM.next(1_000_000_000, used, limit);
    assert_eq!(next(10_000_000, 20_000_000), 1_000_000_000);
    assert_eq!(next(9_000_000, 20_000_000), 987_500_000);
    assert_eq!(next(11_000_000, 20_000_000), 1_012_500_000);
    assert_eq!(BaseFeeRule::ETHEREUM.next(7, 20_000_000, 20_000_000), 8);
    assert_eq!(BaseFeeRule::ETHEREUM.next(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
    assert_eq!(BaseFeeRule::ETHEREUM.next(5, 1, 1), 5);
    assert_eq!(BaseFeeRule::Fixed(0).next(5, 1, 1), 0);
    let floor = BaseFeeRule::Market { initial: 9, minimum: 7, elasticity: 2, change_denominator: 8 };
    assert_eq!(floor.next(7, 0, 20_000_000), 7);
}

const GETH: &str = r#"{
    "config": {"chainId": 1337, "homesteadBlock": 0, "daoForkBlock": null, "eip150Block": 0, "eip150Hash": "0x00",
        "eip155Block": 0, "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0,
        "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 5,
        "terminalTotalDifficulty": 0, "terminalTotalDifficultyPassed": true, "ethash": {},
        "blobSchedule": {"cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3338477},
            "Prague": {"target": "0x06", "max": "9", "baseFeeUpdateFraction": "0x4c6964"}}},
    "nonce": "0x42", "timestamp": "0x1", "extraData": "0x1234", "gasLimit": "0x1c9c380", "difficulty": "0x0",
    "mixHash": "0x0000000000000000000000000000000000000000000000000000000000000007",
    "coinbase": "0x0000000000000000000000000000000000000009", "number": "0x0", "gasUsed": "0x0",
    "parentHash": "0x0000000000000000000000000000000000000000000000000000000000000000", "baseFeePerGas": null,
    "alloc": {
        "71562b71999873db5b286df957af199ec94617f7": {"balance": "0xde0b6b3a7640000"},
        "0x000000000000000000000000000000000000aaaa": {"balance": "12", "nonce": "0x1", "code": "0x6001",
            "storage": {"0x1": "0x2", "03": "0x00"}}}
}"#;

#[test]
fn geths_file_is_read() {
    let genesis = Genesis::from_json(GETH).unwrap();
    let config = &genesis.config;
    assert_eq!((config.chain_id, config.terminal_total_difficulty), (1337, Some(U256::ZERO)));
    assert_eq!(config.forks.get(Fork::Petersburg), Some(0));
    assert_eq!(config.forks.get(Fork::Prague), Some(5));
    assert_eq!(config.deposit_contract, None);
    let header = &genesis.header;
    assert_eq!(
        (header.timestamp, header.gas_limit, header.nonce.0),
        (1, 30_000_000, [0, 0, 0, 0, 0, 0, 0, 0x42])
    );
    assert_eq!(header.base_fee_per_gas, Some(1_000_000_000));
    assert_eq!((header.blob_gas_used, header.excess_blob_gas), (Some(0), Some(0)));
    assert_eq!((header.parent_beacon_block_root, header.requests_hash), (Some(B256::ZERO), None));
    let contract = &genesis.accounts[&address!("000000000000000000000000000000000000aaaa")];
    assert_eq!((contract.balance, contract.nonce, contract.code.len()), (U256::from(12), 1, 2));
    assert_eq!(contract.storage.iter().collect::<Vec<_>>(), [(&U256::from(1), &U256::from(2))]);
}

#[test]
fn besus_file_is_read() {
    let text = r#"{"config": {"chainid": 2018, "londonBlock": 0, "homesteadBlock": 0, "eip150Block": 0, "eip158Block": 0,
        "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0,
        "contractSizeLimit": 2147483647, "evmStackSize": 1024, "zeroBaseFee": true, "ethash": {"fixeddifficulty": 100},
        "discovery": {"bootnodes": []}, "terminalTotalDifficulty": null},
        "nonce": "0x42", "gasLimit": "0x1fffffffffffff", "difficulty": "0x10000", "mixHash":
        "0x0000000000000000000000000000000000000000000000000000000000000000",
        "coinbase": "0x0000000000000000000000000000000000000000", "alloc": {
        "fe3b557e8fb62b89f4916b721be55ceb828dbd73": {"privateKey": "8f2a", "comment": "c", "balance": "0xad78ebc5ac6200000"}}}"#;
    let genesis = Genesis::from_json(text).unwrap();
    assert_eq!(genesis.config.fixed_difficulty, Some(U256::from(100)));
    assert_eq!(genesis.config.limits.code_size_max, Some(2_147_483_647));
    assert_eq!(genesis.header.base_fee_per_gas, Some(0));
}

#[track_caller]
fn check_refused(from: &str, to: &str, expected: &str) {
    assert!(GETH.contains(from), "{from}");
    let error = Genesis::from_json(&GETH.replacen(from, to, 1)).unwrap_err().to_string();
    assert!(error.contains(expected), "{to}: {error}");
}

#[test]
fn every_single_mistake_is_named() {
    let cases = [
        (r#""ethash": {}"#, r#""clique": {"period": 1}"#, "config.clique: this engine is not known"),
        (r#""ethash": {}"#, r#""verkleTime": 9"#, "config.verkleTime: unknown key"),
        (r#""ethash": {}"#, r#""amsterdamTime": 9"#, "config.amsterdamTime: unknown key"),
        (r#""ethash": {}"#, r#""evmStackSize": 2048"#, "config.evmStackSize: only 1024"),
        (r#""ethash": {}"#, r#""ethash": {"x": 1}"#, "config.ethash.x: unknown key"),
        (r#""chainId": 1337, "#, "", "config: chainId is missing"),
        (r#""chainId": 1337"#, r#""chainId": -1"#, "config.chainId: expected a number"),
        (r#""chainId": 1337"#, r#""chainId": 1.5"#, "config.chainId: expected a number"),
        (r#""berlinBlock": 0, "#, "", "Berlin not enabled, but London enabled at 0"),
        (
            r#""pragueTime": 5"#,
            r#""pragueTime": 5, "osakaTime": 4"#,
            "Prague enabled at 5, but Osaka enabled at 4",
        ),
        (r#""eip155Block": 0"#, r#""eip155Block": 1"#, "both are Spurious Dragon"),
        (r#""londonBlock": 0"#, r#""londonBlock": 9"#, "londonBlock must be 0"),
        (r#""target": 3"#, r#""target": 7"#, "target 7 is above max 6"),
        (r#""target": 3, "#, "", "config.blobSchedule.cancun: target is missing"),
        (r#""cancun": {"#, r#""cancan": {"#, "config.blobSchedule.cancan: no fork"),
        (r#""nonce": "0x42""#, r#""nunce": "0x42""#, "nunce: unknown key"),
        (r#""number": "0x0""#, r#""number": "0x1""#, "number: a chain begins at 0"),
        (r#""balance": "12""#, r#""balance": "-12""#, "balance: expected a number"),
        (r#""balance": "12""#, r#""balanc": "12""#, "balanc: unknown key"),
        (r#""code": "0x6001""#, r#""code": "0x600""#, "code: expected bytes as hex"),
        (r#""03": "0x00""#, r#""01": "0x00""#, "storage.01: the slot stands in the file twice"),
        (
            r#""71562b71999873db5b286df957af199ec94617f7""#,
            r#""71562b""#,
            "alloc.71562b: the key is not an address",
        ),
        (r#""alloc""#, r#""allocs""#, "alloc is missing"),
        (r#""nonce": "0x42""#, r#""nonce": "0x10000000000000000""#, "nonce: expected"),
        (r#""chainId": 1337"#, r#""chainId": {}"#, "config.chainId: expected a number"),
        (r#""chainId": 1337"#, r#""chainId": 18446744073709551616"#, "config.chainId: expected a number"),
        (r#""chainId": 1337"#, r#""chainId": 1337, "ibft2": {}"#, "config.ibft2: this engine is not known"),
        (r#""chainId": 1337"#, r#""chainId": 1337, "qbft": {}"#, "config.qbft: this engine is not known"),
        (
            r#""chainId": 1337"#,
            r#""chainId": 1337, "contractSizeLimit": -1"#,
            "config.contractSizeLimit: expected",
        ),
        (r#""chainId": 1337"#, r#""chainId": 1337, "zeroBaseFee": 1"#, "config.zeroBaseFee: expected"),
        (r#""balance": "12""#, r#""balance": []"#, "balance: expected a number"),
        ("{\n", "{,", "not JSON"),
    ];
    for (from, to, expected) in cases {
        check_refused(from, to, expected);
    }
}

proptest! {
    /// Any byte of a genesis file may be changed: a clear answer, no panic.
    #[test]
    fn damaged_files_are_answered(position in 0..GETH.len(), byte in 32_u8..127) {
        let mut text = GETH.as_bytes().to_vec();
        text[position] = byte;
        let _ = Genesis::from_json(&String::from_utf8(text).unwrap());
    }
}
