//! A header against its parent.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header};
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_primitives::B64;
use chainwright_chain::{Headers, Ledger, Reject};

use super::{difficulty, excess_blob_gas, invalid};
use crate::config::{ChainConfig, DaoFork, Fork, SealRule, TimeRule};
use crate::types::EvmHeader;

/// Yellow paper, § 4.3.4.
const EXTRA_DATA_MAX: usize = 32;
/// The gas limit moves by less than 1/1024 of the parent's.
const GAS_LIMIT_DIVISOR: u64 = 1024;
/// No gas limit is lower.
const GAS_LIMIT_MIN: u64 = 5000;
/// No gas limit is higher (EIP-1985).
const GAS_LIMIT_MAX: u64 = i64::MAX as u64;
/// How many blocks after the DAO fork carry its mark (EIP-779).
const DAO_RANGE: u64 = 10;
/// What these blocks say in their extra data.
const DAO_EXTRA: &[u8] = b"dao-hard-fork";

/// The ledger's own fields of a header; seal and distance from now are the engine's.
///
/// # Errors
/// [`Reject::Invalid`] with a word that begins with `header-`.
pub fn check_header<L: Ledger<Header = EvmHeader>>(
    config: &ChainConfig,
    header: &Header,
    parent: &Headers<L>,
) -> Result<(), Reject> {
    check_fields(config, header, parent.header())?;
    if config.seal == SealRule::Engine {
        return Ok(());
    }
    let Some(terminal) = config.terminal_total_difficulty else { return Ok(()) };
    // EIP-3675: the first block without work is the child of the first that reaches the terminal total difficulty.
    let total = parent.weight().0;
    match (config.is_merged(header), total >= terminal) {
        (true, false) => Err(invalid(
            "header-difficulty",
            format!("invalid difficulty: have 0, total difficulty {total} is below the terminal {terminal}"),
        )),
        (false, true) => Err(invalid(
            "header-difficulty",
            format!("invalid difficulty: have {}, want 0", header.difficulty),
        )),
        _ => Ok(()),
    }
}

/// Everything that the parent alone decides.
pub(super) fn check_fields(config: &ChainConfig, header: &Header, parent: &Header) -> Result<(), Reject> {
    let fork = config.fork(header);
    check_basics(config, header, parent)?;
    check_gas(config, header, parent)?;
    check_base_fee(config, header, parent)?;
    check_seal_fields(config, header, parent)?;
    check_dao(config, header)?;
    check_presence(fork, header)?;
    check_beacon(config, header)?;
    check_blob_gas(config, header, parent)
}

fn check_basics(config: &ChainConfig, header: &Header, parent: &Header) -> Result<(), Reject> {
    if header.extra_data.len() > EXTRA_DATA_MAX {
        let detail = format!("extra-data longer than {EXTRA_DATA_MAX} bytes ({})", header.extra_data.len());
        return Err(invalid("header-extra-data", detail));
    }
    if parent.number.checked_add(1) != Some(header.number) {
        let detail = format!("invalid block number: have {}, parent {}", header.number, parent.number);
        return Err(invalid("header-number", detail));
    }
    let in_order = match config.time {
        TimeRule::Later => header.timestamp > parent.timestamp,
        TimeRule::NotEarlier => header.timestamp >= parent.timestamp,
    };
    if !in_order {
        let detail = format!("invalid timestamp: have {}, parent {}", header.timestamp, parent.timestamp);
        return Err(invalid("header-time", detail));
    }
    Ok(())
}

fn is_london(config: &ChainConfig, number: u64) -> bool {
    config.forks.get(Fork::London).is_some_and(|at| at <= number)
}

/// The gas limit the bounds of a child's are taken from: London multiplies it once (EIP-1559).
pub(super) fn gas_limit_base(config: &ChainConfig, parent: &Header) -> u64 {
    let first = is_london(config, parent.number.saturating_add(1)) && !is_london(config, parent.number);
    if first { parent.gas_limit.saturating_mul(config.fees.base_fee.elasticity()) } else { parent.gas_limit }
}

/// The furthest a child's gas limit may be from `base`.
pub(super) const fn gas_limit_step(base: u64) -> u64 {
    (base / GAS_LIMIT_DIVISOR).saturating_sub(1)
}

/// The lowest and the highest gas limit there is.
pub(super) const GAS_LIMITS: (u64, u64) = (GAS_LIMIT_MIN, GAS_LIMIT_MAX);

fn check_gas(config: &ChainConfig, header: &Header, parent: &Header) -> Result<(), Reject> {
    let limit = header.gas_limit;
    if limit > GAS_LIMIT_MAX {
        return Err(invalid(
            "header-gas-limit",
            format!("invalid gasLimit: have {limit}, max {GAS_LIMIT_MAX}"),
        ));
    }
    if header.gas_used > limit {
        let detail = format!("invalid gasUsed: have {}, gasLimit {limit}", header.gas_used);
        return Err(invalid("header-gas-used", detail));
    }
    let base = gas_limit_base(config, parent);
    if config.development && limit >= GAS_LIMIT_MIN {
        return Ok(());
    }
    // An unchanged limit breaks geth's bound, too, where the bound is zero.
    if limit.abs_diff(base) >= base / GAS_LIMIT_DIVISOR {
        let bound = (base / GAS_LIMIT_DIVISOR).saturating_sub(1);
        let detail = format!("invalid gas limit: have {limit}, want {base} +-= {bound}");
        return Err(invalid("header-gas-limit", detail));
    }
    if limit < GAS_LIMIT_MIN {
        return Err(invalid("header-gas-limit", format!("invalid gas limit below {GAS_LIMIT_MIN}")));
    }
    Ok(())
}

/// The base fee of a child of `parent` in wei; `None` before London (EIP-1559).
pub fn base_fee(config: &ChainConfig, parent: &Header) -> Option<u64> {
    if !is_london(config, parent.number.saturating_add(1)) {
        return None;
    }
    let rule = config.fees.base_fee;
    let next = |fee| rule.next(fee, parent.gas_used, parent.gas_limit);
    Some(parent.base_fee_per_gas.map_or(rule.initial(), next))
}

fn check_base_fee(config: &ChainConfig, header: &Header, parent: &Header) -> Result<(), Reject> {
    match (header.base_fee_per_gas, base_fee(config, parent)) {
        (have, want) if have == want => Ok(()),
        (Some(_), Some(_)) if config.development => Ok(()),
        (None, Some(_)) => Err(invalid("header-base-fee", "header is missing baseFee")),
        (Some(have), None) => {
            let detail = format!("invalid baseFee before fork: have {have}, expected 'nil'");
            Err(invalid("header-base-fee", detail))
        }
        (have, want) => {
            let (have, want) = (have.unwrap_or(0), want.unwrap_or(0));
            let parent_fee = parent.base_fee_per_gas.unwrap_or(0);
            let used = parent.gas_used;
            let detail = format!(
                "invalid baseFee: have {have}, want {want}, parentBaseFee {parent_fee}, parentGasUsed {used}"
            );
            Err(invalid("header-base-fee", detail))
        }
    }
}

fn check_seal_fields(config: &ChainConfig, header: &Header, parent: &Header) -> Result<(), Reject> {
    if !config.is_merged(header) {
        let want = difficulty(config, parent, header.timestamp);
        if header.difficulty != want {
            let detail = format!("invalid difficulty: have {}, want {want}", header.difficulty);
            return Err(invalid("header-difficulty", detail));
        }
        return Ok(());
    }
    if header.ommers_hash != EMPTY_OMMER_ROOT_HASH {
        return Err(invalid("header-ommers", "invalid uncle hash"));
    }
    let has_work = !header.difficulty.is_zero();
    if !has_work && header.nonce != B64::ZERO {
        return Err(invalid("header-nonce", "invalid nonce"));
    }
    // Work does not cover the mixed hash, so it must say nothing.
    if has_work && !header.mix_hash.is_zero() {
        return Err(invalid("header-mix-hash", "a header with work must have a mixHash of zero"));
    }
    Ok(())
}

/// What a block must say in its extra data to be on the supported side of the DAO fork (EIP-779).
pub(super) fn dao_mark(config: &ChainConfig, number: u64) -> Option<&'static [u8]> {
    let dao = config.dao.filter(|dao| dao.support)?;
    is_marked(dao, number).then_some(DAO_EXTRA)
}

fn is_marked(dao: DaoFork, number: u64) -> bool {
    number >= dao.block && number - dao.block < DAO_RANGE
}

/// EIP-779: ten blocks from the fork on say which side they are on.
fn check_dao(config: &ChainConfig, header: &Header) -> Result<(), Reject> {
    let Some(dao) = config.dao else { return Ok(()) };
    let marked = header.extra_data.as_ref() == DAO_EXTRA;
    if !is_marked(dao, header.number) || marked == dao.support {
        return Ok(());
    }
    let side = if dao.support { "pro" } else { "no" };
    Err(invalid("header-dao-extra-data", format!("bad DAO {side}-fork extra-data")))
}

/// Which of the later fields a header has: each from its fork on, none before.
fn check_presence(fork: Fork, header: &Header) -> Result<(), Reject> {
    let fields = [
        (Fork::Shanghai, header.withdrawals_root.is_some(), "header-withdrawals-root", "withdrawalsHash"),
        (Fork::Cancun, header.blob_gas_used.is_some(), "header-blob-gas", "blobGasUsed"),
        (Fork::Cancun, header.excess_blob_gas.is_some(), "header-excess-blob-gas", "excessBlobGas"),
        (Fork::Cancun, header.parent_beacon_block_root.is_some(), "header-beacon-root", "beaconRoot"),
        (Fork::Prague, header.requests_hash.is_some(), "header-requests-hash", "requestsHash"),
    ];
    for (from, present, code, name) in fields {
        match (fork >= from, present) {
            (true, false) => return Err(invalid(code, format!("header is missing {name}"))),
            (false, true) => return Err(invalid(code, format!("invalid {name}: expected nil"))),
            _ => {}
        }
    }
    if header.block_access_list_hash.is_some() || header.slot_number.is_some() {
        return Err(invalid("header-unknown-field", "a field of a fork that is not known"));
    }
    Ok(())
}

/// Where there is no beacon chain nobody orders payments in its name.
fn check_beacon(config: &ChainConfig, header: &Header) -> Result<(), Reject> {
    if config.hears_beacon() {
        return Ok(());
    }
    if header.withdrawals_root.is_some_and(|root| root != EMPTY_ROOT_HASH) {
        return Err(invalid("header-withdrawals-root", "withdrawals on a chain without a beacon chain"));
    }
    if header.parent_beacon_block_root.is_some_and(|root| !root.is_zero()) {
        return Err(invalid("header-beacon-root", "a beacon root on a chain without a beacon chain"));
    }
    Ok(())
}

/// EIP-4844 § Header extension.
fn check_blob_gas(config: &ChainConfig, header: &Header, parent: &Header) -> Result<(), Reject> {
    let Some(params) = config.blob_params(config.fork(header)) else { return Ok(()) };
    let used = header.blob_gas_used.unwrap_or(0);
    let max = params.max_blob_count.saturating_mul(DATA_GAS_PER_BLOB);
    if used > max {
        return Err(invalid(
            "header-blob-gas",
            format!("blob gas used {used} exceeds maximum allowance {max}"),
        ));
    }
    if !used.is_multiple_of(DATA_GAS_PER_BLOB) {
        let detail = format!("blob gas used {used} not a multiple of blob gas per blob {DATA_GAS_PER_BLOB}");
        return Err(invalid("header-blob-gas", detail));
    }
    let have = header.excess_blob_gas.unwrap_or(0);
    let want = excess_blob_gas(&params, parent);
    if have != want {
        let detail = format!(
            "invalid excessBlobGas: have {have}, want {want}, parentExcessBlobGas {}, parentBlobGasUsed {}",
            parent.excess_blob_gas.unwrap_or(0),
            parent.blob_gas_used.unwrap_or(0)
        );
        return Err(invalid("header-excess-blob-gas", detail));
    }
    Ok(())
}
