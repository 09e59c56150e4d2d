//! Headers the world has agreed on pass, one after another; any of them with one flipped bit does not.

use crate::support::{Eighty, Plain, genesis, headers, sha256d, show, vector};
use chainwright_chain::{BlockId, Consensus as _, Header as _, Headers, Reject, Timestamp, U256, Work as _};
use chainwright_pow::{Pow, Retarget, TargetRule, compact_of, work_of};

const LATER: Timestamp = Timestamp(2_000_000_000);
const TIME: usize = 68;
const SECONDS_PER_TWO_WEEKS: u32 = 14 * 24 * 60 * 60;

fn bitcoin(limit: U256) -> Retarget {
    Retarget {
        limit,
        spacing_seconds: 600,
        timespan_seconds: SECONDS_PER_TWO_WEEKS,
        allow_min_difficulty: false,
        no_retarget: false,
        bip94: false,
    }
}

fn mainnet() -> Pow {
    Pow::new(TargetRule::Bitcoin(bitcoin(U256::MAX >> 32)))
}

fn signet() -> Pow {
    Pow::new(TargetRule::Bitcoin(bitcoin(U256::from(0x0003_77ae) << 216)))
}

/// Every header passes, and no header passes with one bit of its last twelve bytes (time, bits, nonce) flipped.
#[track_caller]
fn check_chain(pow: &Pow, chain: &[Eighty]) -> Headers<Plain> {
    assert!(pow.is_sealed(&chain[0]), "genesis is sealed");
    let mut branch = genesis(chain[0]);
    for header in &chain[1..] {
        pow.check_header(header, &branch, LATER).unwrap_or_else(|error| panic!("{error}, after {branch:?}"));
        for bit in 0..96 {
            let mut flipped = *header;
            flipped.0[TIME + bit / 8] ^= 1 << (bit % 8);
            let verdict = pow.check_header(&flipped, &branch, LATER);
            assert!(matches!(verdict, Err(Reject::Invalid(_))), "bit {bit} after {branch:?}: {verdict:?}");
        }
        branch = branch.child(*header, work_of(header.target()));
    }
    branch
}

#[test]
fn mainnet_headers_pass_and_flipped_ones_fail() {
    let Some(chain) = headers("bitcoin/mainnet-headers-0-10236.zst") else { return };
    let end = check_chain(&mainnet(), &chain);
    assert_eq!(end.height().0, 10_236);
    assert_eq!(end.weight().0, U256::from(10_237) * U256::from(0x1_0001_0001_u64));
}

#[test]
fn signet_headers_pass_and_flipped_ones_fail() {
    let Some(chain) = headers("bitcoin/signet_headers.zst") else { return };
    assert_eq!(show(chain[0].id()), "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6");
    let end = check_chain(&signet(), &chain);
    assert_eq!(end.height().0 as usize, chain.len() - 1);
}

/// The alternative mainnet of Bitcoin Core's tests: a real first retarget, downwards.
#[test]
fn alternative_mainnet_passes_with_its_retarget() {
    let Some((file, chain)) =
        vector("bitcoin/mainnet_alt.json").zip(headers("bitcoin/mainnet-headers-0-10236.zst"))
    else {
        return;
    };
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let numbers = |key: &str| -> Vec<u32> {
        file[key].as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as u32).collect()
    };
    let (times, nonces) = (numbers("timestamps"), numbers("nonces"));
    assert_eq!((times.len(), nonces.len()), (2016, 2016));
    let mut alternative = vec![chain[0]];
    let mut previous = chain[0].id();
    for (height, (time, nonce)) in (1..).zip(times.into_iter().zip(nonces)) {
        let bits = if height < 2016 { 0x1d00_ffff } else { 0x1c3f_ffc0 };
        let mut header = Eighty::new(previous, sha256d(&coinbase(height)), time, bits);
        header.set_nonce(u64::from(nonce));
        previous = header.id();
        alternative.push(header);
    }
    assert!(show(alternative[1].id()).starts_with("00000000c4b18555"));
    let end = check_chain(&mainnet(), &alternative);
    assert!(show(end.id()).starts_with("000000000c806553"));
    assert_eq!(end.height().0, 2016);
    // The retarget is demanded, not merely allowed.
    let parent = end.parent().unwrap();
    assert_eq!(mainnet().target_rule.required(&parent, LATER).0, 0x1c3f_ffc0);
}

/// The coinbase of an alternative block, as the vectors' README describes it.
fn coinbase(height: u32) -> Vec<u8> {
    let script = if height <= 16 {
        vec![0x50 + height as u8, 0]
    } else {
        let digits = height.to_le_bytes();
        // A script number: little-endian, no superfluous zero, the highest bit is the sign.
        let mut length = 4 - height.leading_zeros() as usize / 8;
        length += usize::from(digits[length - 1] & 0x80 != 0);
        [&[length as u8], &digits[..length]].concat()
    };
    let mut tx = 2_u32.to_le_bytes().to_vec();
    tx.push(1);
    tx.extend_from_slice(&BlockId::ZERO.0);
    tx.extend_from_slice(&u32::MAX.to_le_bytes());
    tx.push(script.len() as u8);
    tx.extend_from_slice(&script);
    tx.extend_from_slice(&u32::MAX.to_le_bytes());
    tx.push(1);
    tx.extend_from_slice(&5_000_000_000_u64.to_le_bytes());
    tx.push(25);
    let hash = U256::from_str_radix("eadbac7f36c37e39361168b7aaee3cb24a25312d", 16).unwrap();
    tx.extend_from_slice(&[0x76, 0xa9, 0x14]);
    tx.extend_from_slice(&hash.to_be_bytes::<32>()[12..]);
    tx.extend_from_slice(&[0x88, 0xac]);
    tx.extend_from_slice(&0_u32.to_le_bytes());
    tx
}

#[test]
fn limits_in_compact_form_are_those_of_genesis() {
    assert_eq!(compact_of(mainnet().target_rule.limit()).0, 0x1d00_ffff);
    assert_eq!(compact_of(signet().target_rule.limit()).0, 0x1e03_77ae);
}
