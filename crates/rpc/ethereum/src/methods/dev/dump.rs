//! The whole state as one piece of text, in anvil's form: what it writes, this reads, and the other way round. Blocks are not part
//! of it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use chainwright_chain::{Fault, View};
use chainwright_evm::Evm;
use chainwright_evm::state::{ACCOUNTS, AccountRow, CODE, Overlay, STORAGE, StorageRow};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{method, number_of, short};
use crate::chain::{fault, server_error};
use crate::development::{amend, of};
use crate::dialect::{Context, Entry};
use crate::input;

/// Bytes of JSON a state may have.
const STATE_BYTES_MAX: usize = 256 << 20;

const HISTORY: Parameter =
    Parameter::optional("history", Kind::Any, "false", "Not looked at: there is one state");
const STATE: Parameter = Parameter::required("state", Kind::Any, "What anvil_dumpState answered");

pub(crate) const METHODS: &[Entry] = &[
    method("anvil_dumpState", &[HISTORY], "The whole state, compressed.", dump),
    method("hardhat_dumpState", &[HISTORY], "The whole state, compressed.", dump),
    method("anvil_loadState", &[STATE], "Adds a state to the one there is.", load),
    method("hardhat_loadState", &[STATE], "Adds a state to the one there is.", load),
];

/// anvil, `eth/backend/db.rs` `SerializableState`, as far as it is state.
#[derive(Deserialize)]
struct Dumped {
    accounts: BTreeMap<Address, DumpedAccount>,
}

/// Numbers are written in several ways.
#[derive(Serialize, Deserialize)]
struct DumpedAccount {
    nonce: Value,
    balance: Value,
    #[serde(default)]
    code: Bytes,
    #[serde(default)]
    storage: BTreeMap<String, Value>,
}

fn dump(context: &Context, _: &Call) -> Answer {
    let chain = context.chain.handle.clone();
    let view = of(context)?.between_blocks(async move { chain.published().head() })?;
    let header = view.headers.header();
    let text = serde_json::to_vec(&json!({
        "block": null,
        "accounts": accounts(&view).map_err(fault)?,
        "best_block_number": header.number,
        "blocks": [],
        "transactions": [],
        "historical_states": null,
    }));
    let text = text.map_err(|error| server_error(error.to_string()))?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let written = packed.write_all(&text).and_then(|()| packed.finish());
    Ok(json!(Bytes::from(written.map_err(|error| server_error(error.to_string()))?)))
}

fn accounts(view: &View<Evm>) -> Result<BTreeMap<Address, DumpedAccount>, Fault> {
    let wrong = |error: chainwright_chain::DecodeError| Fault::new(error.to_string());
    let too_large = || Fault::new("the state is too large to be dumped in one piece");
    let (mut accounts, mut owners, mut codes) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    let mut bytes = 0;
    view.state.scan(ACCOUNTS, &mut |key, value| {
        bytes += value.len() + 100;
        let row = AccountRow::decode(value).map_err(wrong)?;
        owners.insert(B256::from_slice(key), row.address);
        if row.code_hash != KECCAK256_EMPTY {
            codes.push((row.address, row.code_hash));
        }
        let account = DumpedAccount {
            nonce: json!(row.nonce),
            balance: json!(row.balance),
            code: Bytes::new(),
            storage: BTreeMap::new(),
        };
        accounts.insert(row.address, account);
        if bytes > STATE_BYTES_MAX { Err(too_large()) } else { Ok(()) }
    })?;
    view.state.scan(STORAGE, &mut |key, value| {
        bytes += 150;
        let row = StorageRow::decode(value).map_err(wrong)?;
        let owner = key.get(..32).and_then(|key| owners.get(&B256::from_slice(key)));
        if let Some(account) = owner.and_then(|owner| accounts.get_mut(owner)) {
            account.storage.insert(B256::from(row.slot).to_string(), json!(B256::from(row.value)));
        }
        if bytes > STATE_BYTES_MAX { Err(too_large()) } else { Ok(()) }
    })?;
    for (owner, hash) in codes {
        let code = view.state.get(CODE, hash.as_slice())?.unwrap_or_default();
        bytes += 2 * code.len();
        if bytes > STATE_BYTES_MAX {
            return Err(too_large());
        }
        if let Some(account) = accounts.get_mut(&owner) {
            account.code = Bytes::copy_from_slice(&code);
        }
    }
    Ok(accounts)
}

/// What a dump holds, packed or not.
fn read(raw: &[u8]) -> Result<Dumped, RpcError> {
    let wrong =
        |what: String| input::invalid(0, format!("{what} (hint: give what anvil_dumpState answered)"));
    let mut text = Vec::new();
    let limit = STATE_BYTES_MAX as u64 + 1;
    let unpacked = GzDecoder::new(raw).take(limit).read_to_end(&mut text);
    if unpacked.is_err() {
        text = raw.to_vec();
    }
    if text.len() > STATE_BYTES_MAX {
        return Err(wrong(format!("the state has more than {STATE_BYTES_MAX} bytes")));
    }
    serde_json::from_slice(&text).map_err(|error| wrong(format!("no state: {error}")))
}

/// An account ready to be put into the state.
struct Loaded {
    row: AccountRow,
    code: Bytes,
    storage: Vec<(U256, U256)>,
}

fn loaded(address: Address, account: DumpedAccount) -> Result<Loaded, RpcError> {
    let number = |value: &Value| number_of(0, value).map(Option::unwrap_or_default);
    let (nonce, balance) = (short(0, number(&account.nonce)?)?, number(&account.balance)?);
    let storage = account.storage.iter().map(|(slot, value)| Ok((number(&json!(slot))?, number(value)?)));
    let storage = storage.collect::<Result<Vec<_>, RpcError>>()?;
    let row = AccountRow { address, nonce, balance, code_hash: KECCAK256_EMPTY };
    Ok(Loaded { row, code: account.code, storage })
}

fn put(overlay: &mut Overlay, account: Loaded) -> Result<(), Fault> {
    let Loaded { row, code, storage } = account;
    overlay.set_account(row.address, Some(row))?;
    overlay.set_code(row.address, code)?;
    for (slot, value) in storage {
        overlay.set_slot(row.address, slot, value)?;
    }
    let is_nothing = overlay.account(row.address)?.is_some_and(|row| row.is_empty());
    if is_nothing && !overlay.has_storage(row.address)? {
        overlay.set_account(row.address, None)?;
    }
    Ok(())
}

fn load(context: &Context, call: &Call) -> Answer {
    let raw: Bytes = input::required(call, 0)?;
    let accounts = read(&raw)?.accounts.into_iter().map(|(address, account)| loaded(address, account));
    let accounts = accounts.collect::<Result<Vec<_>, _>>()?;
    amend(context, move |overlay| accounts.into_iter().try_for_each(|account| put(overlay, account)))?;
    Ok(json!(true))
}
