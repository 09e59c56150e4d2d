//! The absolute schedule, against the test vectors its specification names.

use chainwright_chain::{BlockId, CompactTarget, Consensus, Header as _, Timestamp, U256, Work as _};
use chainwright_pow::{Anchor, Asert, Pow, TargetRule, compact_of, target_of};

use crate::support::{Eighty, Plain, child, genesis};

const TWO_DAYS: u32 = 2 * 24 * 60 * 60;

fn asert(anchor: Anchor, limit: U256) -> Asert {
    Asert { anchor, limit, spacing_seconds: 600, half_life_seconds: TWO_DAYS }
}

/// One file of vectors: an anchor; then height and time of a block, and the target of the block after it.
struct Run {
    height: u64,
    parent_time: u64,
    bits: u32,
    then: &'static [(u64, u64, u32)],
}

/// About twelve lines of each of the ten files `aserti3-2d` of Bitcoin Cash Node's test vectors.
#[rustfmt::skip]
const RUNS: &[Run] = &[
    // Run 1: steady 600s blocks at POW limit target.
    Run { height: 1, parent_time: 0, bits: 0x1d00_ffff, then: &[
        (2, 1_200, 0x1d00_ffff), (3, 1_800, 0x1d00_ffff), (4, 2_400, 0x1d00_ffff), (5, 3_000, 0x1d00_ffff),
        (6, 3_600, 0x1d00_ffff), (7, 4_200, 0x1d00_ffff), (8, 4_800, 0x1d00_ffff), (9, 5_400, 0x1d00_ffff),
        (10, 6_000, 0x1d00_ffff), (11, 6_600, 0x1d00_ffff),
    ] },
    // Run 2: steady 600s blocks at arbitrary non-limit target 0x1a2b3c4d.
    Run { height: 1, parent_time: 0, bits: 0x1a2b_3c4d, then: &[
        (2, 1_200, 0x1a2b_3c4d), (3, 1_800, 0x1a2b_3c4d), (4, 2_400, 0x1a2b_3c4d), (5, 3_000, 0x1a2b_3c4d),
        (6, 3_600, 0x1a2b_3c4d), (7, 4_200, 0x1a2b_3c4d), (8, 4_800, 0x1a2b_3c4d), (9, 5_400, 0x1a2b_3c4d),
        (10, 6_000, 0x1a2b_3c4d), (11, 6_600, 0x1a2b_3c4d),
    ] },
    // Run 3: steady 600s blocks at minimum limit target 0x01010000.
    Run { height: 1, parent_time: 0, bits: 0x0101_0000, then: &[
        (2, 1_200, 0x0101_0000), (3, 1_800, 0x0101_0000), (4, 2_400, 0x0101_0000), (5, 3_000, 0x0101_0000),
        (6, 3_600, 0x0101_0000), (7, 4_200, 0x0101_0000), (8, 4_800, 0x0101_0000), (9, 5_400, 0x0101_0000),
        (10, 6_000, 0x0101_0000), (11, 6_600, 0x0101_0000),
    ] },
    // Run 4: from minimum target, a series of halflife schedule jumps, doubling target at each block.
    Run { height: 1, parent_time: 0, bits: 0x0101_0000, then: &[
        (2, 174_000, 0x0102_0000), (20, 3_295_200, 0x0308_0000), (38, 6_416_400, 0x0520_0000),
        (56, 9_537_600, 0x0800_8000), (74, 12_658_800, 0x0a02_0000), (92, 15_780_000, 0x0c08_0000),
        (110, 18_901_200, 0x0e20_0000), (128, 22_022_400, 0x1100_8000), (146, 25_143_600, 0x1302_0000),
        (164, 28_264_800, 0x1508_0000), (182, 31_386_000, 0x1720_0000), (200, 34_507_200, 0x1a00_8000),
        (218, 37_628_400, 0x1c02_0000), (226, 39_015_600, 0x1d00_ffff),
    ] },
    // Run 5: from POW limit, a series of halflife block height jumps w/o time increment, halving target at each block.
    Run { height: 1, parent_time: 0, bits: 0x1d00_ffff, then: &[
        (2, 0, 0x1d00_fec5), (5_186, 0, 0x1a3f_b160), (10_370, 0, 0x180f_ec58), (15_554, 0, 0x1603_fb16),
        (20_738, 0, 0x1400_fec5), (25_922, 0, 0x113f_b160), (31_106, 0, 0x0f0f_ec58),
        (36_290, 0, 0x0d03_fb16), (41_474, 0, 0x0b00_fec5), (46_658, 0, 0x083f_b160),
        (51_842, 0, 0x060f_ec58), (57_026, 0, 0x0403_fb16), (62_210, 0, 0x0200_fe00),
        (64_514, 0, 0x0101_0000),
    ] },
    // Run 6: deterministically random solvetimes for stable hashrate around a recent real life nBits.
    Run { height: 1, parent_time: 0, bits: 0x1802_aee8, then: &[
        (2, 1_200, 0x1802_aee8), (85, 49_095, 0x1802_a9b2), (168, 97_176, 0x1802_a505),
        (251, 159_190, 0x1802_c70b), (334, 210_775, 0x1802_cc28), (417, 251_496, 0x1802_b27d),
        (500, 299_790, 0x1802_ae55), (583, 361_342, 0x1802_cf86), (666, 406_102, 0x1802_c11a),
        (749, 456_655, 0x1802_c33d), (832, 496_075, 0x1802_a65f), (915, 538_082, 0x1802_9188),
        (998, 588_403, 0x1802_92e6), (1_001, 589_738, 0x1802_91ad),
    ] },
    // Run 7: deterministically random solvetimes for up-ramping hashrate around a recent real life nBits.
    Run { height: 1, parent_time: 0, bits: 0x1802_aee8, then: &[
        (2, 1_200, 0x1802_aee8), (85, 18_927, 0x1802_5c0d), (168, 22_862, 0x1801_f674),
        (251, 25_790, 0x1801_a05c), (334, 27_501, 0x1801_5751), (417, 28_539, 0x1801_1a56),
        (500, 29_547, 0x1800_e81f), (583, 30_632, 0x1800_bef4), (666, 31_302, 0x1800_9ccc),
        (749, 31_974, 0x1800_80bb), (832, 32_430, 0x1769_9ee2), (915, 32_870, 0x1756_a693),
        (998, 33_353, 0x1747_19ac), (1_001, 33_365, 0x1746_9789),
    ] },
    // Run 8: deterministically random solvetimes for down-ramping hashrate around a recent real life nBits.
    Run { height: 1, parent_time: 0, bits: 0x1802_aee8, then: &[
        (2, 1_200, 0x1802_aee8), (43, 87_141, 0x1803_6e7c), (84, 191_449, 0x1804_b9a4),
        (125, 449_192, 0x180c_09c5), (166, 781_935, 0x1829_6f37), (207, 1_383_132, 0x1901_a29a),
        (248, 2_095_061, 0x1919_c29e), (289, 2_736_599, 0x1a01_3202), (330, 3_601_966, 0x1a22_d84e),
        (371, 4_279_546, 0x1b01_de38), (412, 5_088_519, 0x1b2b_704d), (453, 6_106_765, 0x1c09_2249),
        (494, 7_284_983, 0x1d00_ffff), (501, 7_462_933, 0x1d00_ffff),
    ] },
    // Run 9: a sequence of 300s blocks across signed 32-bit max integer height.
    Run { height: 2_147_483_642, parent_time: 1_234_567_290, bits: 0x1802_aee8, then: &[
        (2_147_483_643, 1_234_568_190, 0x1802_ae16), (2_147_483_644, 1_234_568_490, 0x1802_ad44),
        (2_147_483_645, 1_234_568_790, 0x1802_ac71), (2_147_483_646, 1_234_569_090, 0x1802_ab9e),
        (2_147_483_647, 1_234_569_390, 0x1802_aacd), (2_147_483_648, 1_234_569_690, 0x1802_a9fa),
        (2_147_483_649, 1_234_569_990, 0x1802_a929), (2_147_483_650, 1_234_570_290, 0x1802_a858),
        (2_147_483_651, 1_234_570_590, 0x1802_a787), (2_147_483_652, 1_234_570_890, 0x1802_a6b7),
    ] },
    // Run 10: a sequence of 900s blocks across signed 64-bit max integer height and signed 32-bit max integer time.
    Run { height: 9_223_372_036_854_775_802, parent_time: 2_147_483_047, bits: 0x1802_aee8, then: &[
        (9_223_372_036_854_775_803, 2_147_484_547, 0x1802_afbb),
        (9_223_372_036_854_775_804, 2_147_485_447, 0x1802_b08f),
        (9_223_372_036_854_775_805, 2_147_486_347, 0x1802_b166),
        (9_223_372_036_854_775_806, 2_147_487_247, 0x1802_b23a),
        (9_223_372_036_854_775_807, 2_147_488_147, 0x1802_b30e),
        (9_223_372_036_854_775_808, 2_147_489_047, 0x1802_b3e5),
        (9_223_372_036_854_775_809, 2_147_489_947, 0x1802_b4bb),
        (9_223_372_036_854_775_810, 2_147_490_847, 0x1802_b592),
        (9_223_372_036_854_775_811, 2_147_491_747, 0x1802_b669),
        (9_223_372_036_854_775_812, 2_147_492_647, 0x1802_b73d),
    ] },
];

#[test]
fn targets_are_those_of_the_specification() {
    for (number, run) in (1..).zip(RUNS) {
        let anchor =
            Anchor { height: run.height, parent_time: run.parent_time, target: CompactTarget(run.bits) };
        let rule = asert(anchor, U256::MAX >> 32);
        for (height, time, bits) in run.then {
            let required = rule.required_after(*height, Timestamp(*time)).0;
            assert_eq!(required, *bits, "run {number}, after {height}: {required:08x}, expected {bits:08x}");
        }
    }
}

fn local(bits: u32) -> Asert {
    let anchor = Anchor { height: 0, parent_time: 1_000_000 - 600, target: CompactTarget(bits) };
    asert(anchor, U256::MAX >> 1)
}

#[test]
fn limits_near_the_top_of_256_bits_are_exact() {
    let rule = local(0x207f_ffff);
    assert_eq!(rule.required_after(0, Timestamp(1_000_000)).0, 0x207f_ffff, "on schedule");
    let ahead = Timestamp(1_000_000 - u64::from(TWO_DAYS));
    let half = target_of(CompactTarget(0x207f_ffff)).unwrap() >> 1;
    assert_eq!(rule.required_after(0, ahead), compact_of(half), "a half-life ahead");
    let behind = Timestamp(1_000_000 + u64::from(TWO_DAYS));
    assert_eq!(rule.required_after(0, behind).0, 0x207f_ffff, "never easier than the limit");
}

#[test]
fn extremes_end_at_one_and_at_the_limit() {
    for bits in [0x207f_ffff, 0x1d00_ffff, 0x0101_0000] {
        assert_eq!(local(bits).required_after(u64::MAX, Timestamp(0)).0, 0x0101_0000);
        assert_eq!(local(bits).required_after(0, Timestamp(u64::MAX)).0, 0x207f_ffff);
    }
    let broken = Asert { half_life_seconds: 0, spacing_seconds: 0, ..local(0) };
    assert_eq!(broken.required_after(5, Timestamp(5)).0, 0x207f_ffff, "no panic on nonsense");
}

#[test]
fn a_chain_anchored_at_genesis_follows_its_schedule() {
    let pow = Pow::new(TargetRule::Asert(local(0x207f_ffff)));
    let mut branch = genesis(Eighty::new(BlockId::ZERO, [0; 32], 1_000_000, 0x207f_ffff));
    for spent in [600, 300, 300, 1200] {
        let time = branch.header().time().0 + spent;
        let bits = pow.attributes(&branch, Timestamp(time)).target.unwrap();
        let mut header = Eighty::new(branch.id(), [0; 32], time as u32, bits.0);
        assert!(Consensus::<Plain>::seal(&pow, &mut header, &|| false), "an easy target");
        pow.check_header(&header, &branch, Timestamp(time)).unwrap();
        branch = child(&branch, time, bits.0);
    }
    let ahead = branch.parent().unwrap().header().target();
    assert!(target_of(ahead) < target_of(CompactTarget(0x207f_ffff)), "ten minutes ahead is harder");
}
