//! Rows that came from outside: what the state root does not speak for has to follow from what it does.
//!
//! The root commits to hashed addresses and slots, nonces, balances, code hashes and values. Rows hold more than that: addresses
//! and slots as they are written, the code itself, and, before the merge, which ommers were named.

use alloy_primitives::{KECCAK256_EMPTY, keccak256};
use chainwright_chain::{Fault, Reason, Reject, StateView, TableId, View};

use super::{ACCOUNTS, AccountRow, CODE, OMMERS, STORAGE, StorageRow, account_key, storage_key};
use crate::Evm;
use crate::config::ChainConfig;

/// What is wrong with a row, if anything is.
type Verdict = Result<Option<&'static str>, Fault>;

/// Checks all rows of a state whose root has been found right.
///
/// # Errors
/// [`Reject::Invalid`] with the first row that is wrong, or a [`Fault`] of the disk.
pub(crate) fn check_rows(config: &ChainConfig, at: &View<Evm>) -> Result<(), Reject> {
    let state = &at.state;
    if !config.is_merged(at.headers.header()) {
        let detail = "which ommers the last blocks named cannot be checked";
        return Err(Reject::Invalid(Reason::with("before-the-merge", detail)));
    }
    check_table(state, (CODE, "bad-code"), |key, code| {
        let fits = !code.is_empty() && key == keccak256(code).as_slice();
        Ok((!fits).then_some("its bytes do not hash to its key"))
    })?;
    check_table(state, (ACCOUNTS, "bad-account"), |key, value| account(state, key, value))?;
    let mut last = Vec::new();
    check_table(state, (STORAGE, "bad-slot"), |key, value| slot(state, (key, value), &mut last))?;
    check_table(state, (OMMERS, "bad-ommers"), |key, value| {
        Ok((key.len() != 8 || value.len() % 32 != 0).then_some("its length is odd"))
    })
}

fn account(state: &StateView, key: &[u8], value: &[u8]) -> Verdict {
    let Some(row) = AccountRow::decode(value).ok().filter(|row| account_key(&row.address) == key) else {
        return Ok(Some("its address does not hash to its key"));
    };
    let has_code = row.code_hash == KECCAK256_EMPTY || state.get(CODE, row.code_hash.as_slice())?.is_some();
    Ok((!has_code).then_some("its code is missing"))
}

/// `last` is the account of the slot before: slots come in the order of their keys.
fn slot(state: &StateView, (key, value): (&[u8], &[u8]), last: &mut Vec<u8>) -> Verdict {
    let row = StorageRow::decode(value).ok();
    let found = key.first_chunk::<32>().zip(row);
    let Some((account, _)) = found.filter(|(account, row)| storage_key(account, row.slot) == key) else {
        return Ok(Some("its number does not hash to its key"));
    };
    if last.as_slice() != account {
        if state.get(ACCOUNTS, account)?.is_none() {
            return Ok(Some("it belongs to no account"));
        }
        *last = account.to_vec();
    }
    Ok(None)
}

fn check_table(
    state: &StateView,
    (table, code): (TableId, &'static str),
    mut check: impl FnMut(&[u8], &[u8]) -> Verdict,
) -> Result<(), Reject> {
    let mut wrong = None;
    // A scan ends with the first error; what is wrong with a row is no fault of ours.
    let scanned = state.scan(table, &mut |key, value| {
        wrong = check(key, value)?;
        if wrong.is_some() { Err(Fault::new("a row is wrong")) } else { Ok(()) }
    });
    match wrong {
        Some(detail) => Err(Reject::Invalid(Reason::with(code, detail))),
        None => Ok(scanned?),
    }
}
