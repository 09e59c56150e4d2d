//! What a caller supposes of accounts and of the block: overrides of state and block.
//!
//! Source: go-ethereum 1.16, `internal/ethapi/override`.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, map::B256HashMap};
use alloy_rpc_types_eth::BlockOverrides;
use alloy_rpc_types_eth::state::StateOverride;
use chainwright_evm::execute::{AccountOverride, BlockOverride, MovedPrecompiles};
use chainwright_evm::state::Overlay;
use chainwright_rpc::RpcError;
use revm::context::CfgEnv;

use crate::chain::{fault, server_error};

/// Changes a state to what is supposed, and gives the places of precompiled contracts then.
pub(crate) fn suppose(
    overlay: &mut Overlay,
    rules: &CfgEnv,
    state: StateOverride,
) -> Result<MovedPrecompiles, RpcError> {
    let mut moved = MovedPrecompiles::default();
    let mut targets = BTreeSet::new();
    // In the order of addresses, so that the same request gets the same answer.
    let state: BTreeMap<Address, _> = state.into_iter().collect();
    for (address, account) in &state {
        if targets.contains(address) {
            let words = format!("account {address} has already been overridden by a precompile");
            return Err(server_error(words));
        }
        if let Some(to) = account.move_precompile_to {
            moved.displace(rules, *address, Some(to)).map_err(|error| server_error(error.to_string()))?;
            if state.contains_key(&to) {
                return Err(server_error(format!("account {to} is already overridden")));
            }
            targets.insert(to);
        } else {
            moved.displace(rules, *address, None).map_err(|error| server_error(error.to_string()))?;
        }
        if account.state.is_some() && account.state_diff.is_some() {
            return Err(server_error(format!("account {address} has both 'state' and 'stateDiff'")));
        }
        overlay.suppose(*address, &account_override(account)).map_err(fault)?;
    }
    Ok(moved)
}

fn account_override(account: &alloy_rpc_types_eth::state::AccountOverride) -> AccountOverride {
    let slots = |slots: &B256HashMap<B256>| {
        slots.iter().map(|(slot, value)| ((*slot).into(), (*value).into())).collect()
    };
    AccountOverride {
        nonce: account.nonce,
        balance: account.balance,
        code: account.code.clone(),
        state: account.state.as_ref().map(slots),
        state_diff: account.state_diff.as_ref().map(slots).unwrap_or_default(),
    }
}

/// What is supposed of the block of a call.
pub(crate) fn block_override(block: BlockOverrides) -> Result<BlockOverride, RpcError> {
    if block.beacon_root.is_some() {
        let words = "block override \"beaconRoot\" is not supported for this RPC method";
        return Err(server_error(words));
    }
    Ok(BlockOverride {
        number: block.number,
        time: block.time,
        gas_limit: block.gas_limit,
        beneficiary: block.coinbase,
        difficulty: block.difficulty,
        prev_randao: block.random,
        base_fee: block.base_fee.map(|fee| fee.saturating_to()),
        blob_base_fee: block.blob_base_fee.map(|fee| fee.saturating_to()),
    })
}
