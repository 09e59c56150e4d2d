//! Rows that came from outside: what the state root does not speak for has to follow from what it does.
//!
//! The root commits to hashed addresses and slots, nonces, balances, code hashes and values. Rows hold more than that: addresses
//! and slots as they are written, the code itself, and, before the merge, which ommers were named.

use alloy_primitives::{KECCAK256_EMPTY, keccak256};
use chainwright_chain::{Fault, Reason, Reject, View};

use super::{ACCOUNTS, AccountRow, CODE, OMMERS, STORAGE, StorageRow, account_key, storage_key};
use crate::Evm;
use crate::config::ChainConfig;

/// Why a row is refused.
type Wrong = (&'static str, String);

/// Checks all rows of a state whose root has been found right.
///
/// # Errors
/// [`Reject::Invalid`] with the first row that is wrong, or a [`Fault`] of the disk.
pub(crate) fn check_rows(config: &ChainConfig, at: &View<Evm>) -> Result<(), Reject> {
    let state = &at.state;
    let mut wrong: Option<Wrong> = None;
    // A scan ends with the first error; what is wrong with a row is no fault of ours.
    let mut note = |result: Result<Option<Wrong>, Fault>| match result {
        Ok(None) => Ok(()),
        Ok(found) => {
            wrong = found;
            Err(Fault::new("a row is wrong"))
        }
        Err(fault) => Err(fault),
    };
    let mut scanned = state.scan(CODE, &mut |key, code| {
        let fits = key == keccak256(code).as_slice() && !code.is_empty();
        note(Ok((!fits).then(|| ("bad-code", "its bytes do not hash to its key".to_owned()))))
    });
    if scanned.is_ok() {
        scanned = state.scan(ACCOUNTS, &mut |key, value| {
            let Some(row) = AccountRow::decode(value).ok().filter(|row| account_key(&row.address) == key)
            else {
                return note(Ok(Some(("bad-account", "its address does not hash to its key".to_owned()))));
            };
            let has_code =
                row.code_hash == KECCAK256_EMPTY || state.get(CODE, row.code_hash.as_slice())?.is_some();
            note(Ok((!has_code).then(|| ("bad-account", format!("the code of {} is missing", row.address)))))
        });
    }
    if scanned.is_ok() {
        let mut last = Vec::new();
        scanned = state.scan(STORAGE, &mut |key, value| {
            let row = StorageRow::decode(value).ok();
            let account = key.first_chunk::<32>();
            let Some(account) = account
                .zip(row)
                .filter(|(account, row)| storage_key(account, row.slot) == key)
                .map(|found| found.0)
            else {
                return note(Ok(Some(("bad-slot", "its number does not hash to its key".to_owned()))));
            };
            if last != account {
                if state.get(ACCOUNTS, account)?.is_none() {
                    return note(Ok(Some(("bad-slot", "it belongs to no account".to_owned()))));
                }
                last = account.to_vec();
            }
            Ok(())
        });
    }
    if scanned.is_ok() && !config.is_merged(at.headers.header()) {
        wrong = Some(("before-the-merge", "which ommers the last blocks named cannot be checked".to_owned()));
        scanned = Err(Fault::new("a row is wrong"));
    }
    if scanned.is_ok() {
        scanned = state.scan(OMMERS, &mut |key, value| {
            note(Ok(
                (key.len() != 8 || value.len() % 32 != 0).then(|| ("bad-ommers", "odd length".to_owned()))
            ))
        });
    }
    match (scanned, wrong) {
        (_, Some((code, detail))) => Err(Reject::Invalid(Reason::with(code, detail))),
        (scanned, None) => Ok(scanned?),
    }
}
