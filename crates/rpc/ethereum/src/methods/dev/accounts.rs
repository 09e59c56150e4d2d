//! State and accounts as the caller wants them.

use alloy_primitives::{Address, Bytes, KECCAK256_EMPTY, U256};
use chainwright_chain::Fault;
use chainwright_evm::state::{AccountRow, Overlay};
use chainwright_rpc::{Answer, Call, Kind, Parameter};
use serde_json::{Value, json};

use super::{ON, method, required_number, required_number64};
use crate::development::{amend, of};
use crate::dialect::{Context, Entry};
use crate::input;
use crate::methods::ADDRESS;
use crate::methods::accounts::{TRANSACTION, send_unsigned};

const AMOUNT: Parameter = Parameter::required("amount", Kind::Any, "Wei");
const CODE: Parameter = Parameter::required("code", Kind::Any, "The bytes contracts run as");
const NONCE: Parameter = Parameter::required("nonce", Kind::Any, "The nonce of the next transaction");
const SLOT: Parameter = Parameter::required("slot", Kind::Any, "A storage slot");
const VALUE: Parameter = Parameter::required("value", Kind::Any, "What the slot holds");

pub(crate) const METHODS: &[Entry] = &[
    method("anvil_setBalance", &[ADDRESS, AMOUNT], "Sets an account's balance.", set_balance),
    method("hardhat_setBalance", &[ADDRESS, AMOUNT], "Sets an account's balance.", set_balance),
    method("anvil_addBalance", &[ADDRESS, AMOUNT], "Adds to an account's balance.", add_balance),
    method("hardhat_addBalance", &[ADDRESS, AMOUNT], "Adds to an account's balance.", add_balance),
    method("anvil_setCode", &[ADDRESS, CODE], "Sets a contract's code.", set_code),
    method("hardhat_setCode", &[ADDRESS, CODE], "Sets a contract's code.", set_code),
    method("anvil_setNonce", &[ADDRESS, NONCE], "Sets an account's nonce.", set_nonce),
    method("hardhat_setNonce", &[ADDRESS, NONCE], "Sets an account's nonce.", set_nonce),
    method("evm_setAccountNonce", &[ADDRESS, NONCE], "Sets an account's nonce.", set_nonce),
    method("anvil_setStorageAt", &[ADDRESS, SLOT, VALUE], "Sets a storage slot.", set_storage),
    method("hardhat_setStorageAt", &[ADDRESS, SLOT, VALUE], "Sets a storage slot.", set_storage),
    method("eth_sendUnsignedTransaction", &[TRANSACTION], "Sends as anybody.", send_unsigned),
    method("anvil_impersonateAccount", &[ADDRESS], "Lets an account send without a key.", impersonate),
    method("hardhat_impersonateAccount", &[ADDRESS], "Lets an account send without a key.", impersonate),
    method("anvil_stopImpersonatingAccount", &[ADDRESS], "Ends it.", stop_impersonating),
    method("hardhat_stopImpersonatingAccount", &[ADDRESS], "Ends it.", stop_impersonating),
    method("anvil_autoImpersonateAccount", &[ON], "Lets every account send without a key.", impersonate_all),
    method(
        "hardhat_autoImpersonateAccount",
        &[ON],
        "Lets every account send without a key.",
        impersonate_all,
    ),
];

/// An account to be changed; one without anything where there is none.
fn row(overlay: &mut Overlay, address: Address) -> Result<AccountRow, Fault> {
    let empty = AccountRow { address, nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY };
    Ok(overlay.account(address)?.unwrap_or(empty))
}

/// Changes an account; one that is left with nothing is none.
fn change(
    context: &Context,
    address: Address,
    change: impl FnOnce(&mut AccountRow) + Send + 'static,
) -> Answer {
    amend(context, move |overlay| {
        let mut row = row(overlay, address)?;
        change(&mut row);
        let is_nothing = row.is_empty() && !overlay.has_storage(address)?;
        overlay.set_account(address, (!is_nothing).then_some(row))
    })?;
    Ok(Value::Null)
}

fn set_balance(context: &Context, call: &Call) -> Answer {
    let (address, amount) = (input::required(call, 0)?, required_number(call, 1)?);
    change(context, address, move |row| row.balance = amount)
}

fn add_balance(context: &Context, call: &Call) -> Answer {
    let (address, amount) = (input::required(call, 0)?, required_number(call, 1)?);
    change(context, address, move |row| row.balance = row.balance.saturating_add(amount))
}

fn set_nonce(context: &Context, call: &Call) -> Answer {
    let (address, nonce) = (input::required(call, 0)?, required_number64(call, 1)?);
    change(context, address, move |row| row.nonce = nonce)
}

fn set_code(context: &Context, call: &Call) -> Answer {
    let (address, code): (Address, Bytes) = (input::required(call, 0)?, input::required(call, 1)?);
    amend(context, move |overlay| overlay.set_code(address, code))?;
    Ok(Value::Null)
}

fn set_storage(context: &Context, call: &Call) -> Answer {
    let address = input::required(call, 0)?;
    let (slot, value) = (required_number(call, 1)?, required_number(call, 2)?);
    amend(context, move |overlay| {
        // Only an account has storage.
        let row = row(overlay, address)?;
        overlay.set_account(address, Some(row))?;
        overlay.set_slot(address, slot, value)
    })?;
    Ok(json!(true))
}

fn impersonate(context: &Context, call: &Call) -> Answer {
    of(context)?.impersonate(input::required(call, 0)?, true);
    Ok(Value::Null)
}

fn stop_impersonating(context: &Context, call: &Call) -> Answer {
    of(context)?.impersonate(input::required(call, 0)?, false);
    Ok(Value::Null)
}

fn impersonate_all(context: &Context, call: &Call) -> Answer {
    of(context)?.impersonate_all(input::required(call, 0)?);
    Ok(Value::Null)
}
