//! Bitcoin's rules where real headers do not go: test networks, time, the seal, assumed blocks.

use chainwright_chain::{
    BlockId, CompactTarget, Consensus, Header as _, Headers, Height, Reject, Timestamp, U256, Work as _,
};
use chainwright_pow::{Pow, Retarget, TargetRule, WorkHash};

use crate::support::{Eighty, Plain, UNREACHABLE, child, extend, genesis};

const START: u64 = 1_600_000_000;
const EASY: u32 = 0x207f_ffff;
const MAINNET_LIMIT: u32 = 0x1d00_ffff;

fn mainnet() -> Retarget {
    Retarget {
        limit: U256::MAX >> 32,
        spacing_seconds: 600,
        timespan_seconds: 2016 * 600,
        allow_min_difficulty: false,
        no_retarget: false,
        bip94: false,
    }
}

/// As mainnet, with periods of ten blocks and no work to speak of.
fn short() -> Retarget {
    Retarget { limit: U256::MAX >> 1, timespan_seconds: 10 * 600, ..mainnet() }
}

fn regtest() -> Pow {
    let rule = Retarget { allow_min_difficulty: true, no_retarget: true, ..short() };
    Pow::new(TargetRule::Bitcoin(rule))
}

fn assuming(id: BlockId) -> Pow {
    let mut pow = regtest();
    pow.assumed_valid = Some(id);
    pow
}

fn start(bits: u32) -> Headers<Plain> {
    genesis(Eighty::new(BlockId::ZERO, [0; 32], START as u32, bits))
}

/// One block every `spacing` seconds.
fn steady(bits: u32, count: u64, spacing: u64) -> Headers<Plain> {
    extend(start(bits), (1..=count).map(|height| START + height * spacing))
}

fn sealed(pow: &Pow, parent: &Headers<Plain>, time: u64, bits: u32) -> Eighty {
    let mut header = Eighty::new(parent.id(), [0; 32], time as u32, bits);
    assert!(Consensus::<Plain>::seal(pow, &mut header, &|| false));
    header
}

#[track_caller]
fn check_code(verdict: Result<(), Reject>, code: &str) {
    match verdict {
        Err(Reject::Invalid(reason)) => assert_eq!(reason.code, code, "{reason}"),
        other => panic!("expected {code}, got {other:?}"),
    }
}

/// Bitcoin Core, `test/pow_tests.cpp` `get_next_work*`.
#[test]
fn retargets_are_those_of_mainnet() {
    for (start, end, old, new) in [
        (1_261_130_161, 1_262_152_739, 0x1d00_ffff, 0x1d00_d86a),
        (1_231_006_505, 1_233_061_996, 0x1d00_ffff, 0x1d00_ffff),
        (1_279_008_237, 1_279_297_671, 0x1c05_a3f4, 0x1c01_68fd),
        (1_263_163_443, 1_269_211_443, 0x1c38_7f6f, 0x1d00_e1fd),
    ] {
        let adjusted = mainnet().adjust(CompactTarget(old), Timestamp(start), Timestamp(end));
        assert_eq!(adjusted.0, new, "{adjusted:?}");
        assert!(mainnet().permits(Height(2016), CompactTarget(old), adjusted));
    }
}

/// Bitcoin Core, `test/pow_tests.cpp`: one step beyond the clamp is not permitted.
#[test]
fn transitions_beyond_a_factor_of_four_are_not_permitted() {
    let permits =
        |height, old, new| mainnet().permits(Height(height), CompactTarget(old), CompactTarget(new));
    assert!(!permits(68_544, 0x1c05_a3f4, 0x1c01_68fc));
    assert!(!permits(46_368, 0x1c38_7f6f, 0x1d00_e1fe));
    assert!(permits(2017, 0x1c05_a3f4, 0x1c05_a3f4) && !permits(2017, 0x1c05_a3f4, 0x1c05_a3f3));
    let testnet = Retarget { allow_min_difficulty: true, ..mainnet() };
    assert!(testnet.permits(Height(2017), CompactTarget(1), CompactTarget(2)));
}

#[test]
fn targets_change_at_period_boundaries_only() {
    let rule = TargetRule::Bitcoin(short());
    let bits = 0x1f00_ffff;
    for count in 0..9 {
        let branch = steady(bits, count, 1);
        assert_eq!(rule.required(&branch, Timestamp(START)).0, bits, "block {}", count + 1);
    }
    // Nine spacings of a period of ten count: a period on schedule makes the next one a tenth harder.
    for (spacing, adjusted) in [(600, 0x1f00_e665), (0, 0x1e3f_ffc0), (6000, 0x1f03_fffc)] {
        assert_eq!(rule.required(&steady(bits, 9, spacing), Timestamp(START)).0, adjusted);
    }
    let mainnet = TargetRule::Bitcoin(Retarget { timespan_seconds: 6000, ..mainnet() });
    let slow = steady(MAINNET_LIMIT, 9, 6000);
    assert_eq!(mainnet.required(&slow, Timestamp(START)).0, MAINNET_LIMIT, "never beyond the limit");
}

/// The time from the last block of one period to the first of the next is in neither: the reference's famous off by one.
#[test]
fn a_pause_between_periods_does_not_count() {
    let bits = 0x1f00_ffff;
    let first = steady(bits, 9, 600);
    let resumed = START + 9 * 600 + 3000;
    let second = extend(first, (0..10).map(|block| resumed + block * 600));
    let required = |rule| TargetRule::Bitcoin(rule).required(&second, Timestamp(START)).0;
    assert_eq!(second.height(), Height(19));
    assert_eq!(required(short()), 0x1f00_e665);
    assert_eq!(required(Retarget { bip94: true, ..short() }), 0x1f00_e665);
}

#[test]
fn late_test_network_blocks_may_be_easy_and_the_next_ones_may_not() {
    let rule = TargetRule::Bitcoin(Retarget { allow_min_difficulty: true, ..mainnet() });
    let bits = 0x1c00_ffff;
    let branch = steady(bits, 3, 600);
    let last = branch.header().time().0;
    assert_eq!(rule.required(&branch, Timestamp(last + 1200)).0, bits, "twenty minutes are not late");
    assert_eq!(rule.required(&branch, Timestamp(last + 1201)).0, MAINNET_LIMIT);
    let late = child(&child(&branch, last + 1201, MAINNET_LIMIT), last + 2500, MAINNET_LIMIT);
    assert_eq!(rule.required(&late, Timestamp(last + 2600)).0, bits, "the last real target comes back");
    assert_eq!(rule.required(&late, Timestamp(last + 9999)).0, MAINNET_LIMIT);
}

#[test]
fn regtest_never_retargets() {
    let pow = regtest();
    let branch = steady(EASY, 9, 1);
    assert_eq!(pow.target_rule.required(&branch, Timestamp(START)).0, EASY);
    let header = sealed(&pow, &branch, START + 10, EASY);
    pow.check_header(&header, &branch, Timestamp(START)).unwrap();
}

#[test]
fn bip94_adjusts_the_first_target_of_the_period() {
    let old = Retarget { allow_min_difficulty: true, ..short() };
    let new = Retarget { bip94: true, ..old.clone() };
    // Nine real blocks at the real target, the last one late and easy.
    let branch = steady(0x1f00_ffff, 8, 600);
    let branch = child(&branch, START + 9 * 600, EASY);
    let adjusted = |bits| short().adjust(CompactTarget(bits), Timestamp(0), Timestamp(5400));
    assert_eq!(TargetRule::Bitcoin(new).required(&branch, Timestamp(START)), adjusted(0x1f00_ffff));
    assert_eq!(TargetRule::Bitcoin(old).required(&branch, Timestamp(START)), adjusted(EASY));
}

#[test]
fn bip94_forbids_the_first_block_of_a_period_to_go_far_back() {
    let rule = Retarget { bip94: true, no_retarget: true, ..short() };
    let pow = Pow::new(TargetRule::Bitcoin(rule.clone()));
    let without = Pow::new(TargetRule::Bitcoin(Retarget { bip94: false, ..rule }));
    // The last block of the period claims to be two hours later than all others.
    let branch = child(&steady(EASY, 8, 1), START + 7200, EASY);
    let now = Timestamp(START + 7200);
    let early = sealed(&pow, &branch, START + 6599, EASY);
    check_code(pow.check_header(&early, &branch, now), "time-timewarp-attack");
    without.check_header(&early, &branch, now).unwrap();
    pow.check_header(&sealed(&pow, &branch, START + 6600, EASY), &branch, now).unwrap();
    for pow in [&pow, &without] {
        let time = Consensus::attributes(pow, &branch, Timestamp(START)).time;
        assert_eq!(time, Timestamp(START + 6600), "templates keep the bound on every network");
    }
    // Elsewhere in the period only the median counts.
    let shorter = child(&steady(EASY, 7, 1), START + 7200, EASY);
    pow.check_header(&sealed(&pow, &shorter, START + 10, EASY), &shorter, now).unwrap();
}

#[test]
fn checks_run_in_the_order_of_the_reference() {
    let pow = regtest();
    let branch = steady(EASY, 3, 100);
    let (median, now) = (branch.median_time().0, Timestamp(START + 300));
    let mut unsealed = sealed(&pow, &branch, median, EASY);
    while pow.is_sealed(&unsealed) {
        unsealed.0[76] += 1;
    }
    check_code(pow.check_header(&unsealed, &branch, now), "high-hash");
    check_code(pow.check_unsealed(&unsealed, &branch, now), "time-too-old");
    // Another target that hashes all the same, and an old time: the target is looked at first.
    let other = sealed(&pow, &branch, median, 0x203f_ffff);
    check_code(pow.check_header(&other, &branch, now), "bad-diffbits");
    check_code(pow.check_header(&sealed(&pow, &branch, median, EASY), &branch, now), "time-too-old");
    pow.check_header(&sealed(&pow, &branch, median + 1, EASY), &branch, now).unwrap();
    // Targets that are none.
    for bits in [0, 0x2080_0001, 0x2100_ffff, 0xff7f_ffff] {
        let header = Eighty::new(branch.id(), [0; 32], (START + 400) as u32, bits);
        check_code(pow.check_header(&header, &branch, now), "high-hash");
    }
}

#[test]
fn headers_from_the_future_are_not_invalid() {
    let pow = regtest();
    let branch = steady(EASY, 3, 100);
    let time = START + 300 + 7201;
    let header = sealed(&pow, &branch, time, EASY);
    let verdict = pow.check_header(&header, &branch, Timestamp(START + 300));
    assert_eq!(verdict, Err(Reject::NotYet(Timestamp(START + 301))));
    pow.check_header(&header, &branch, Timestamp(START + 301)).unwrap();
}

#[test]
fn attributes_are_what_check_header_wants() {
    let pow = regtest();
    let branch = steady(EASY, 5, 100);
    for now in [0, START, START + 501, START + 100_000] {
        let on = Consensus::attributes(&pow, &branch, Timestamp(now));
        assert!(on.time > branch.median_time() && on.time.0 >= now);
        let header = sealed(&pow, &branch, on.time.0, on.target.unwrap().0);
        assert!(header.carries(&on));
        pow.check_header(&header, &branch, Timestamp(now.max(START))).unwrap();
    }
}

#[test]
fn grinding_stops_when_told_and_when_out_of_nonces() {
    let header = Eighty::new(BlockId::ZERO, [7; 32], START as u32, 0x0101_0000);
    let looks = core::cell::Cell::new(0);
    let stop = || looks.replace(looks.get() + 1) == 2;
    assert!(!Consensus::<Plain>::seal(&regtest(), &mut header.clone(), &stop));
    assert_eq!(looks.get(), 3, "looks before the first nonce and after every slice");
    let last = chainwright_pow::Nonces { first: u64::from(u32::MAX) - 1, step: 1 };
    assert!(!WorkHash::Sha256d.grind(&mut header.clone(), U256::ONE, last, &|| false));
}

#[test]
fn grinding_with_and_without_the_kept_prefix_agrees() {
    let mut header = Eighty::new(BlockId([3; 32]), [9; 32], START as u32, 0x1f00_ffff);
    assert!(Consensus::<Plain>::seal(&regtest(), &mut header, &|| false));
    assert_eq!(U256::from_le_bytes(header.id().0), WorkHash::Sha256d.of(&header.sealed_bytes()));
    assert!(U256::from_le_bytes(header.id().0) <= U256::from(0xffff) << 224);
}

/// Bitcoin Core, `validation.cpp` `ConnectBlock`: two weeks of work lie on the block, all on one branch.
#[test]
fn only_deeply_buried_ancestors_of_the_assumed_block_are_assumed() {
    let two_weeks = 14 * 24 * 6;
    let best = steady(EASY, two_weeks + 100, 600);
    let at = |height| best.ancestor(Height(height)).unwrap();
    let assumes = |pow: &Pow, height, best: &Headers<Plain>| pow.assumes_valid(&at(height), best);
    let pow = assuming(at(200).id());
    assert!(assumes(&pow, 1, &best) && assumes(&pow, 99, &best));
    assert!(!assumes(&pow, 100, &best), "exactly two weeks are not more than two weeks");
    let longer = steady(EASY, two_weeks + 300, 600);
    assert!(
        assumes(&pow, 200, &longer) && !assumes(&pow, 201, &longer),
        "only its ancestors, itself included"
    );
    assert!(!assumes(&pow, 1, &at(150)), "the assumed block is not on the branch yet");
    let mut short_of_work = assuming(at(200).id());
    short_of_work.minimum_weight = UNREACHABLE;
    assert!(!assumes(&short_of_work, 1, &best));
    assert!(!assumes(&regtest(), 1, &best), "nothing is assumed unless told");
    let elsewhere = extend(at(50), (1..=two_weeks + 200).map(|n| START + 50_000 + n * 600));
    assert!(!assumes(&pow, 1, &elsewhere), "the best header does not descend from the assumed block");
}

#[test]
fn the_assumed_block_is_found_once_the_branch_has_grown_to_it() {
    let best = steady(EASY, 3000, 600);
    let at = |height| best.ancestor(Height(height)).unwrap();
    let pow = assuming(at(900).id());
    for height in [700, 899, 2000, 3000, 899, 3000] {
        assert_eq!(pow.assumes_valid(&at(1), &at(height)), height > 2016, "best header {height}");
    }
}
