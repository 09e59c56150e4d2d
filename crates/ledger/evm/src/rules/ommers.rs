//! Ommers: headers of stale siblings of ancestors, before the merge.

use alloy_consensus::Header;
use alloy_primitives::B256;
use chainwright_chain::{Headers, Ledger, Reject};

use super::header::check_fields;
use super::invalid;
use crate::config::ChainConfig;
use crate::types::{EvmBlock, EvmHeader};

/// A block holds no more ommers (yellow paper, § 11.1).
const OMMERS_MAX: usize = 2;

/// How many generations back an ommer's sibling may be.
const GENERATIONS: usize = 7;

/// Geth, `consensus/ethash` `VerifyUncles`. That no ancestor names the same ommer cannot be seen from headers; see
/// `execute`.
pub(super) fn check<L: Ledger<Header = EvmHeader>>(
    config: &ChainConfig,
    block: &EvmBlock,
    parent: &Headers<L>,
) -> Result<(), Reject> {
    if block.ommers.len() > OMMERS_MAX {
        return Err(invalid("body-ommers", "too many uncles"));
    }
    let ancestors: Vec<Headers<L>> = parent.down().take(GENERATIONS).collect();
    let hash_of = |ancestor: &Headers<L>| B256::from(ancestor.id().0);
    let mut seen = vec![block.header.hash()];
    for ommer in &block.ommers {
        let hash = ommer.hash_slow();
        if seen.contains(&hash) {
            return Err(invalid("body-ommers", "duplicate uncle"));
        }
        seen.push(hash);
        if ancestors.iter().any(|ancestor| hash_of(ancestor) == hash) {
            return Err(invalid("body-ommers", "uncle is ancestor"));
        }
        let sibling_parent = ancestors
            .iter()
            .skip(1)
            .find(|ancestor| hash_of(ancestor) == ommer.parent_hash)
            .ok_or_else(|| invalid("body-ommers", "uncle's parent is not ancestor"))?;
        check_ommer(config, ommer, sibling_parent.header())?;
    }
    Ok(())
}

fn check_ommer(config: &ChainConfig, ommer: &Header, parent: &Header) -> Result<(), Reject> {
    check_fields(config, ommer, parent).map_err(|reject| match reject {
        Reject::Invalid(reason) => invalid("body-ommers", format!("invalid uncle: {reason}")),
        other => other,
    })
}
