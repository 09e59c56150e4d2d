//! Accounts and slots with proofs against the state root (EIP-1186).

use alloy_primitives::{Address, B256, U64, U256};
use chainwright_chain::{Bodies, Delta, Headers, View};
use chainwright_evm::Evm;
use chainwright_evm::trie::{ProofError, ProofTrie};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde_json::{Value, json};

use super::state::slot_of;
use super::{ADDRESS, BLOCK_OR_LATEST};
use crate::chain::{Reader, fault, not_found, server_error};
use crate::dialect::{Context, Entry};
use crate::input;

const SLOTS: Parameter = Parameter::required("slots", Kind::Array("[slot,…]"), "Storage slots");

/// Slots one proof may be asked for.
const SLOTS_MAX: usize = 1024;

pub(crate) const METHODS: &[Entry] = &[Entry {
    name: "eth_getProof",
    parameters: &[ADDRESS, SLOTS, BLOCK_OR_LATEST],
    description: "An account and slots of it with Merkle proofs.",
    answer: proof,
}];

fn proof(context: &Context, call: &Call) -> Answer {
    let address: Address = input::required(call, 0)?;
    let keys: Vec<String> = input::required(call, 1)?;
    if keys.len() > SLOTS_MAX {
        return Err(RpcError::invalid_params(format!("too many slots (max {SLOTS_MAX})")));
    }
    let slots = keys.iter().map(|key| slot_of(key)).collect::<Result<Vec<_>, _>>()?;
    let wanted = input::block_or_latest(call, 2)?;
    let block = context.chain.headers(wanted)?.ok_or_else(|| not_found(wanted))?;
    let proof = with_trie(context, &block, |trie, bodies| trie.prove(&block, bodies, address, &slots))?;
    let account = proof.account;
    let shown_slots = keys.iter().zip(&proof.slots).map(
        |(key, slot)| json!({ "key": shown_key(key, slot.slot), "value": slot.value, "proof": slot.nodes }),
    );
    Ok(json!({
        "address": address,
        "accountProof": proof.nodes,
        "balance": account.map(|row| row.balance).unwrap_or_default(),
        "codeHash": account.map(|row| row.code_hash).unwrap_or_default(),
        "nonce": U64::from(account.map(|row| row.nonce).unwrap_or_default()),
        // Of an account that is not there both hashes are zero, as in geth.
        "storageHash": account.map(|_| proof.storage_root).unwrap_or_default(),
        "storageProof": shown_slots.collect::<Vec<_>>(),
    }))
}

/// The root of the state after a block and a change that will not happen.
pub(super) fn root_after(context: &Context, block: &Headers<Evm>, delta: &Delta) -> Result<B256, RpcError> {
    let published = context.chain.published();
    let tables = published.sealed_head().state;
    // The change is one of the state with what was changed by hand, the trie knows the block's own.
    let delta = Delta::merged([&published.amendment(&block.id()), delta], |table| tables.is_ordered(table));
    with_trie(context, block, |trie, bodies| trie.root_after(block, bodies, &delta))
}

/// Near the head a trie is moved by the journal. Further back one is made of the older state's rows, and kept where it stands.
fn with_trie<T>(
    context: &Context,
    block: &Headers<Evm>,
    ask: impl Fn(&mut ProofTrie<Evm>, &dyn Bodies) -> Result<T, ProofError>,
) -> Result<T, RpcError> {
    // What was changed by hand above the head no header commits to.
    let (chain, head) = (&context.chain, context.chain.published().sealed_head());
    let reach = chain.library.undo_max();
    let is_near = !head.headers.contains(block) || head.headers.height().above(block.height()) <= reach;
    let mut trie = if is_near { context.proofs.lock() } else { context.old_proofs.lock() };
    let bodies = chain.published().bodies();
    if let Some(trie) = &mut *trie {
        match ask(trie, bodies.as_ref()) {
            Err(ProofError::TooFar { .. }) => {}
            answer => return answer.map_err(refused),
        }
    }
    let view = if is_near { head } else { sealed(chain, chain.view_at(block)?) };
    // Both would not fit where one does.
    *trie = None;
    let trie = trie.insert(ProofTrie::load(&view, reach).map_err(fault)?);
    ask(trie, bodies.as_ref()).map_err(refused)
}

/// What the block's header commits to, without what was changed by hand there.
fn sealed(chain: &Reader, view: View<Evm>) -> View<Evm> {
    let amendment = chain.published().amendment(&view.headers.id());
    View { state: view.state.with_layer(amendment.inverse()), ..view }
}

fn refused(error: ProofError) -> RpcError {
    match error {
        ProofError::Fault(error) => fault(error),
        other => server_error(format!("historical state not available: {other}")),
    }
}

/// As the caller wrote it: whole words stay whole (geth, `internal/ethapi` `GetProof`).
fn shown_key(written: &str, slot: U256) -> Value {
    if written.len() >= 66 { json!(B256::from(slot)) } else { json!(slot) }
}
