//! Ommers: headers of stale siblings of ancestors, before the merge.

use alloy_consensus::Header;
use alloy_primitives::B256;
use chainwright_chain::{Change, Delta, Headers, Ledger, Reject, StateView};

use super::header::check_fields;
use super::invalid;
use crate::config::ChainConfig;
use crate::state::OMMERS;
use crate::types::{EvmBlock, EvmHeader};

/// A block holds no more ommers (yellow paper, § 11.1).
const OMMERS_MAX: usize = 2;

/// How many generations back an ommer's sibling may be.
const GENERATIONS: usize = 7;

/// Geth, `consensus/ethash` `VerifyUncles`. That no ancestor names the same ommer cannot be seen from headers; see
/// [`name_ommers`].
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
    // Only a block on the chain can end the work (EIP-3675); an ommer without any never had its difficulty checked.
    if config.is_merged(ommer) {
        let detail = format!("invalid uncle: invalid difficulty: have {}", ommer.difficulty);
        return Err(invalid("body-ommers", detail));
    }
    check_fields(config, ommer, parent).map_err(|reject| match reject {
        Reject::Invalid(reason) => invalid("body-ommers", format!("invalid uncle: {reason}")),
        other => other,
    })
}

/// Remembers which ommers a block names, unless an ancestor named one of them: the change of the state to make on top of the
/// block's own, if it names any.
///
/// # Errors
/// [`Reject::Invalid`] for an ommer that was named before, or a [`Reject::Fault`].
pub fn name_ommers(parent: &StateView, block: &EvmBlock) -> Result<Option<Delta>, Reject> {
    if block.ommers.is_empty() {
        return Ok(None);
    }
    let number = block.header.number;
    let hashes: Vec<B256> = block.ommers.iter().map(Header::hash_slow).collect();
    for ancestor in (0..number).rev().take(GENERATIONS) {
        let named = parent.get(OMMERS, &ancestor.to_be_bytes())?.unwrap_or_default();
        if hashes.iter().any(|hash| named.chunks(32).any(|name| name == hash.as_slice())) {
            return Err(invalid("execution-ommers", "duplicate uncle"));
        }
    }
    let change = Change { table: OMMERS, key: &number.to_be_bytes(), old: None, new: Some(&hashes.concat()) };
    Ok(Some(Delta::from_changes([change])))
}
