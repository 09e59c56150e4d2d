//! Header and body rules against values known from the networks and computed by hand.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_primitives::{B64, B256, U256};
use chainwright_chain::{Fault, Headers, Reject, Row, Rows, StateView, TableId, Timeline, Value, Weight};

use super::header::check_fields;
use super::*;
use crate::Evm;
use crate::config::{BeaconRule, BlobCounts, ChainConfig, DaoFork, Fork, SealRule, TimeRule};
use crate::execute::block_environment;
use crate::state::TABLES;
use crate::types::{EvmBlock, EvmHeader};

fn parent_of(config: &ChainConfig, number: u64) -> Header {
    let mut header = Header {
        number,
        gas_limit: 30_000_000,
        gas_used: 15_000_000,
        timestamp: 1_000,
        base_fee_per_gas: Some(1_000_000_000),
        ..Header::default()
    };
    if config.blob_params(Fork::Cancun).is_some() {
        header.blob_gas_used = Some(0);
        header.excess_blob_gas = Some(0);
    }
    header
}

fn headers(header: Header, weight: u64) -> Headers<Evm> {
    Headers::genesis(EvmHeader::new(header), Weight(U256::from(weight)))
}

fn child(config: &ChainConfig, parent: &Header, time: u64) -> Header {
    let on = BlockAttributes { time, ..BlockAttributes::default() };
    child_header(config, &headers(parent.clone(), 0), &on)
}

/// What a verdict says, without detail.
fn word(verdict: Result<(), Reject>) -> String {
    match verdict {
        Ok(()) => "valid".into(),
        Err(Reject::Invalid(reason)) => reason.code.into_owned(),
        Err(other) => format!("{other:?}"),
    }
}

#[test]
fn what_is_built_is_valid_on_every_fork() {
    for fork in Fork::ALL {
        let config = ChainConfig::up_to(1, fork);
        let mut parent = parent_of(&config, 7);
        if fork < Fork::London {
            parent.base_fee_per_gas = None;
        }
        if fork < Fork::Paris {
            parent.difficulty = U256::from(1 << 20);
        }
        let header = child(&config, &parent, 1_012);
        let verdict = check_header(&config, &header, &headers(parent, 0));
        assert_eq!(verdict, Ok(()), "{}", fork.name());
    }
}

type Change = fn(&mut Header);

#[track_caller]
fn check_changes(config: &ChainConfig, cases: &[(&str, Change)]) {
    let parent = parent_of(config, 7);
    for (position, (expected, change)) in cases.iter().enumerate() {
        let mut header = child(config, &parent, 1_012);
        change(&mut header);
        assert_eq!(word(check_fields(config, &header, &parent)), *expected, "case {position}");
    }
}

#[test]
fn every_field_of_a_modern_header_is_held_to_its_rule() {
    let config = ChainConfig::up_to(1, Fork::Osaka);
    check_changes(
        &config,
        &[
            ("valid", |_| {}),
            ("valid", |header| header.extra_data = vec![0; 32].into()),
            ("header-extra-data", |header| header.extra_data = vec![0; 33].into()),
            ("header-number", |header| header.number += 1),
            ("header-time", |header| header.timestamp = 1_000),
            ("header-gas-limit", |header| header.gas_limit = u64::MAX),
            ("header-gas-limit", |header| header.gas_limit += 30_000_000 / 1024),
            ("valid", |header| header.gas_limit += 30_000_000 / 1024 - 1),
            ("valid", |header| header.gas_limit -= 30_000_000 / 1024 - 1),
            ("header-gas-limit", |header| header.gas_limit -= 30_000_000 / 1024),
            ("header-gas-used", |header| header.gas_used = header.gas_limit + 1),
            ("header-base-fee", |header| header.base_fee_per_gas = None),
            ("header-base-fee", |header| header.base_fee_per_gas = Some(1)),
            ("header-difficulty", |header| header.difficulty = U256::ONE),
            ("header-nonce", |header| header.nonce = B64::from(1_u64)),
            ("valid", |header| header.mix_hash = B256::repeat_byte(1)),
            ("header-ommers", |header| header.ommers_hash = B256::ZERO),
            ("header-withdrawals-root", |header| header.withdrawals_root = None),
            ("header-blob-gas", |header| header.blob_gas_used = None),
            ("header-blob-gas", |header| header.blob_gas_used = Some(1)),
            ("valid", |header| header.blob_gas_used = Some(9 << 17)),
            ("header-blob-gas", |header| header.blob_gas_used = Some(10 << 17)),
            ("header-excess-blob-gas", |header| header.excess_blob_gas = None),
            ("header-excess-blob-gas", |header| header.excess_blob_gas = Some(1)),
            ("header-beacon-root", |header| header.parent_beacon_block_root = None),
            ("header-requests-hash", |header| header.requests_hash = None),
            ("header-unknown-field", |header| header.block_access_list_hash = Some(B256::ZERO)),
        ],
    );
}

#[test]
fn whoever_makes_blocks_of_a_development_chain_chooses_gas_limit_and_base_fee() {
    let mut config = ChainConfig::up_to(1, Fork::Osaka);
    let changes: [(&str, Change); 3] = [
        ("header-base-fee", |header| header.base_fee_per_gas = Some(0)),
        ("header-gas-limit", |header| header.gas_limit = 500_000_000),
        ("header-gas-limit", |header| header.gas_limit = 4_999),
    ];
    check_changes(&config, &changes);
    config.development = true;
    check_changes(&config, &[("valid", changes[0].1), ("valid", changes[1].1), changes[2]]);
    check_changes(&config, &[("header-base-fee", |header| header.base_fee_per_gas = None)]);
}

#[test]
fn fields_of_later_forks_are_refused() {
    check_changes(
        &ChainConfig::up_to(1, Fork::Paris),
        &[
            ("valid", |_| {}),
            ("header-withdrawals-root", |header| header.withdrawals_root = Some(B256::ZERO)),
            ("header-requests-hash", |header| header.requests_hash = Some(B256::ZERO)),
        ],
    );
}

#[test]
fn a_chain_may_allow_equal_times() {
    let config = ChainConfig { time: TimeRule::NotEarlier, ..ChainConfig::up_to(1, Fork::Osaka) };
    check_changes(
        &config,
        &[("valid", |header| header.timestamp = 1_000), ("header-time", |header| header.timestamp = 999)],
    );
}

#[test]
fn the_engine_may_own_difficulty_and_nonce() {
    let config = ChainConfig { seal: SealRule::Engine, ..ChainConfig::up_to(1, Fork::Osaka) };
    check_changes(
        &config,
        &[
            ("valid", |header| header.difficulty = U256::from(99)),
            ("valid", |header| (header.difficulty, header.nonce) = (U256::from(99), B64::from(5_u64))),
            ("header-nonce", |header| header.nonce = B64::from(5_u64)),
            ("header-mix-hash", |header| {
                (header.difficulty, header.mix_hash) = (U256::from(99), B256::repeat_byte(1));
            }),
            ("valid", |header| header.mix_hash = B256::repeat_byte(1)),
        ],
    );
}

#[test]
fn without_a_beacon_chain_nobody_speaks_for_it() {
    let cases: &[(&str, Change)] = &[
        ("valid", |_| {}),
        ("header-withdrawals-root", |header| header.withdrawals_root = Some(B256::repeat_byte(1))),
        ("header-beacon-root", |header| header.parent_beacon_block_root = Some(B256::repeat_byte(1))),
    ];
    let ethereum = ChainConfig::up_to(1, Fork::Osaka);
    check_changes(&ChainConfig { beacon: BeaconRule::Nobody, ..ethereum.clone() }, cases);
    check_changes(&ChainConfig { seal: SealRule::Engine, ..ethereum }, cases);
}

/// Blocks of mainnet as everybody can look them up: number, difficulty and time of the parent, time and difficulty.
#[test]
fn difficulties_of_mainnet() {
    let mut config = ChainConfig::up_to(1, Fork::Frontier);
    for (fork, at) in [
        (Fork::Homestead, 1_150_000),
        (Fork::Byzantium, 4_370_000),
        (Fork::Constantinople, 7_280_000),
        (Fork::MuirGlacier, 9_200_000),
        (Fork::London, 12_965_000),
        (Fork::ArrowGlacier, 13_773_000),
        (Fork::GrayGlacier, 15_050_000),
    ] {
        config.forks.set(fork, Some(at));
    }
    let cases = [
        // Block 1: 269 years after genesis in the eyes of the rule.
        (0, 17_179_869_184_u64, 0, 1_438_269_988, 17_171_480_576_u64),
        (1, 17_171_480_576, 1_438_269_988, 1_438_270_017, 17_163_096_064),
        (2, 17_163_096_064, 1_438_270_017, 1_438_270_048, 17_154_715_646),
        (3, 17_154_715_646, 1_438_270_048, 1_438_270_077, 17_146_339_321),
    ];
    for (number, parent_difficulty, parent_time, time, expected) in cases {
        let parent = Header {
            number,
            difficulty: U256::from(parent_difficulty),
            timestamp: parent_time,
            ..Header::default()
        };
        assert_eq!(difficulty(&config, &parent, time), U256::from(expected), "child of {number}");
    }
}

#[track_caller]
fn check_difficulty(last: Fork, number: u64, (elapsed, ommers): (u64, bool), expected: u64) {
    let config = ChainConfig::up_to(1, last);
    let parent = Header {
        number: number - 1,
        difficulty: U256::from(2_048_000_000_u64),
        timestamp: 1_000,
        ommers_hash: if ommers { B256::ZERO } else { EMPTY_OMMER_ROOT_HASH },
        ..Header::default()
    };
    assert_eq!(difficulty(&config, &parent, 1_000 + elapsed), U256::from(expected), "{}", last.name());
}

/// One step is 1,000,000; the bomb adds a power of two.
#[test]
fn each_fork_has_its_formula_and_its_delay_of_the_bomb() {
    check_difficulty(Fork::Frontier, 199_999, (12, false), 2_049_000_000);
    check_difficulty(Fork::Frontier, 200_000, (13, false), 2_047_000_001);
    check_difficulty(Fork::Homestead, 300_000, (9, false), 2_049_000_002);
    check_difficulty(Fork::Homestead, 1_000, (10, false), 2_048_000_000);
    check_difficulty(Fork::Homestead, 1_000, (100_000, false), 2_048_000_000 - 99_000_000);
    check_difficulty(Fork::Byzantium, 1_000, (8, false), 2_049_000_000);
    check_difficulty(Fork::Byzantium, 1_000, (8, true), 2_050_000_000);
    check_difficulty(Fork::Byzantium, 3_199_999, (9, false), 2_048_000_000);
    check_difficulty(Fork::Byzantium, 3_200_000, (9, false), 2_048_000_001);
    check_difficulty(Fork::Constantinople, 5_200_000, (9, false), 2_048_000_001);
    check_difficulty(Fork::MuirGlacier, 9_199_999, (9, false), 2_048_000_000);
    check_difficulty(Fork::MuirGlacier, 9_300_000, (9, false), 2_048_000_002);
    check_difficulty(Fork::London, 9_900_000, (9, false), 2_048_000_001);
    check_difficulty(Fork::ArrowGlacier, 10_900_000, (9, false), 2_048_000_001);
    check_difficulty(Fork::GrayGlacier, 11_599_999, (9, false), 2_048_000_000);
    check_difficulty(Fork::GrayGlacier, 11_600_000, (9, false), 2_048_000_001);
}

#[test]
fn the_merge_comes_with_the_terminal_total_difficulty() {
    let mut config = ChainConfig::up_to(1, Fork::London);
    config.terminal_total_difficulty = Some(U256::from(1_000));
    let parent = Header { difficulty: U256::from(1 << 20), ..parent_of(&config, 7) };
    let parent = Header { blob_gas_used: None, excess_blob_gas: None, ..parent };
    let on = BlockAttributes { time: 1_012, ..BlockAttributes::default() };
    for (total, expects_work) in [(999, true), (1_000, false)] {
        let before = headers(parent.clone(), total);
        let header = child_header(&config, &before, &on);
        assert_eq!(!header.difficulty.is_zero(), expects_work);
        assert_eq!(check_header(&config, &header, &before), Ok(()));
        let other = headers(parent.clone(), 1_999 - total);
        assert_eq!(word(check_header(&config, &header, &other)), "header-difficulty");
    }
}

#[test]
fn ten_blocks_say_that_they_support_the_dao_fork() {
    let mut config = ChainConfig::up_to(1, Fork::Homestead);
    config.dao = Some(DaoFork { block: 8, support: true });
    let parent = Header { difficulty: U256::from(1 << 20), base_fee_per_gas: None, ..parent_of(&config, 7) };
    let parent = Header { blob_gas_used: None, excess_blob_gas: None, ..parent };
    let mut header = child(&config, &parent, 1_012);
    assert_eq!(header.extra_data.as_ref(), b"dao-hard-fork");
    assert_eq!(check_fields(&config, &header, &parent), Ok(()));
    header.extra_data = vec![].into();
    assert_eq!(word(check_fields(&config, &header, &parent)), "header-dao-extra-data");
    config.dao = Some(DaoFork { block: 8, support: false });
    assert_eq!(check_fields(&config, &header, &parent), Ok(()));
    header.extra_data = b"dao-hard-fork".to_vec().into();
    assert_eq!(word(check_fields(&config, &header, &parent)), "header-dao-extra-data");
}

/// geth, `consensus/misc/eip4844/eip4844_test.go`: excess in blobs, with Cancun's target of three.
#[test]
fn excess_blob_gas_as_geth_counts_it() {
    let cancun = ChainConfig::up_to(1, Fork::Cancun).blob_params(Fork::Cancun).unwrap();
    let blob = 1_u64 << 17;
    let next = |excess: u64, blobs: u64| {
        let parent = Header {
            excess_blob_gas: Some(excess),
            blob_gas_used: Some(blobs * blob),
            base_fee_per_gas: Some(1),
            ..Header::default()
        };
        excess_blob_gas(&cancun, &parent)
    };
    assert_eq!((next(0, 0), next(0, 3), next(0, 4)), (0, 0, blob));
    assert_eq!((next(1, 4), next(1, 5)), (blob + 1, 2 * blob + 1));
    assert_eq!((next(3 * blob, 3), next(3 * blob, 2), next(3 * blob, 0)), (3 * blob, 2 * blob, 0));
    assert_eq!(next(u64::MAX, 6), u64::MAX - 3 * blob);
    assert_eq!((blob_base_fee(&cancun, 0), blob_base_fee(&cancun, 2_314_057)), (1, 1));
    assert_eq!((blob_base_fee(&cancun, 2_314_058), blob_base_fee(&cancun, 10 << 20)), (2, 23));
}

/// EIP-7918: where execution gas is dear, the excess never falls.
#[test]
fn the_excess_keeps_up_with_the_base_fee_since_osaka() {
    let osaka = ChainConfig::up_to(1, Fork::Osaka).blob_params(Fork::Osaka).unwrap();
    let parent = |base_fee| Header {
        excess_blob_gas: Some(6 << 17),
        blob_gas_used: Some(3 << 17),
        base_fee_per_gas: Some(base_fee),
        ..Header::default()
    };
    assert_eq!(excess_blob_gas(&osaka, &parent(16)), 3 << 17);
    assert_eq!(excess_blob_gas(&osaka, &parent(17)), (6 << 17) + (3 << 17) * 3 / 9);
}

/// A store without rows.
struct NoRows;

impl Rows for NoRows {
    fn get(&self, _: TableId, _: &[u8]) -> Result<Option<Value>, Fault> {
        Ok(None)
    }

    fn range(&self, _: TableId, _: &[u8], _: Option<&[u8]>, _: usize) -> Result<Vec<Row>, Fault> {
        Ok(Vec::new())
    }
}

/// A chain of empty blocks from genesis on, ten seconds apart, and one block more that names ommers.
struct Branch {
    config: ChainConfig,
    headers: Headers<Evm>,
    state: StateView,
}

impl Branch {
    fn new(length: u64) -> Self {
        let config = ChainConfig::up_to(1, Fork::Istanbul);
        let genesis = Header {
            difficulty: U256::from(1 << 20),
            gas_limit: 8_000_000,
            timestamp: 1_000,
            ..Header::default()
        };
        let state = StateView::new(TABLES, std::sync::Arc::new(NoRows), Timeline::new().pin());
        let mut branch = Self { config, headers: headers(genesis, 0), state };
        for _ in 0..length {
            let header = branch.next(10);
            branch.headers = branch.headers.child(EvmHeader::new(header), Weight::ZERO);
        }
        branch
    }

    fn next(&self, elapsed: u64) -> Header {
        child(&self.config, self.headers.header(), self.headers.header().timestamp + elapsed)
    }

    /// A stale sibling of the block `generations` below the end; `elapsed` makes it another one.
    fn stale(&self, generations: usize, elapsed: u64) -> Header {
        let parent = self.headers.down().nth(generations).unwrap();
        let parent: &Header = parent.header();
        child(&self.config, parent, parent.timestamp + elapsed)
    }

    fn block(&self, ommers: Vec<Header>) -> EvmBlock {
        EvmBlock { header: self.next(10).into(), transactions: vec![], ommers, withdrawals: None }
    }

    #[track_caller]
    fn check(&self, ommers: Vec<Header>, expected: &str) {
        let verdict = check_body(&self.config, &self.block(ommers), &self.headers);
        let words = verdict.map_or_else(|reject| reject.to_string(), |()| "valid".into());
        assert!(words.contains(expected), "{words}");
    }
}

#[test]
fn ommers_are_stale_children_of_recent_ancestors() {
    let branch = Branch::new(9);
    branch.check(vec![], "valid");
    branch.check(vec![branch.stale(1, 11), branch.stale(6, 12)], "valid");
    branch.check(vec![branch.stale(7, 11)], "uncle's parent is not ancestor");
    branch.check(vec![branch.stale(0, 11)], "uncle's parent is not ancestor");
    branch.check(vec![branch.stale(1, 10)], "uncle is ancestor");
    branch.check(vec![branch.stale(1, 11), branch.stale(1, 11)], "duplicate uncle");
    branch.check(vec![branch.stale(1, 11), branch.stale(1, 12), branch.stale(1, 13)], "too many uncles");
    let bad = Header { difficulty: U256::ONE, ..branch.stale(1, 11) };
    branch.check(vec![bad], "invalid uncle: header-difficulty");
}

#[test]
fn no_ommer_is_named_twice() {
    let mut branch = Branch::new(3);
    let (ommer, other) = (branch.stale(1, 11), branch.stale(2, 11));
    let first = branch.block(vec![ommer.clone()]);
    let delta = name_ommers(&branch.state, &first).unwrap().unwrap();
    branch.state = branch.state.with_layer(delta);
    branch.headers = branch.headers.child(first.header, Weight::ZERO);
    assert_eq!(name_ommers(&branch.state, &branch.block(vec![])).map(|delta| delta.is_some()), Ok(false));
    assert!(name_ommers(&branch.state, &branch.block(vec![other.clone()])).is_ok());
    let twice = name_ommers(&branch.state, &branch.block(vec![other, ommer])).map(drop);
    assert_eq!(twice.unwrap_err().to_string(), "execution-ommers, duplicate uncle");
}

/// EIP-4844 with a schedule whose price grows a thousand times faster than mainnet's: geth's integers have no end.
#[test]
fn contracts_see_the_price_of_blobs_that_the_rules_know() {
    let mut config = ChainConfig::up_to(1, Fork::Osaka);
    let counts = BlobCounts { target: 6, max: 9, base_fee_update_fraction: 1_000 };
    config.blobs.set(Fork::Osaka, Some(counts));
    let header = Header { excess_blob_gas: Some(131_072), ..parent_of(&config, 8) };
    let seen = block_environment(&config, Fork::Osaka, &header).blob_excess_gas_and_price.unwrap();
    assert_eq!(seen.blob_gasprice, blob_base_fee(&config.blob_params(Fork::Osaka).unwrap(), 131_072));
}
