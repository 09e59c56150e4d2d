//! Methods of development chains: what anvil and Hardhat have, under their names.
//!
//! Semantics are anvil's (1.7), and Hardhat's where only Hardhat has the name; they differ from both in that blocks are whole
//! blocks, state roots are right, and everything survives a restart but snapshots, impersonations and settings.

mod accounts;
mod dump;
mod info;
mod mining;
mod rules;
mod time;
mod travel;

use alloy_primitives::U256;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde_json::Value;

use crate::dialect::{Context, Entry};
use crate::input;

/// Every group.
pub(crate) const ALL: &[&[Entry]] = &[
    accounts::METHODS,
    dump::METHODS,
    info::METHODS,
    mining::METHODS,
    rules::METHODS,
    time::METHODS,
    travel::METHODS,
];

/// A method: what it is called, what it takes, what it does.
const fn method(
    name: &'static str,
    parameters: &'static [Parameter],
    description: &'static str,
    answer: fn(&Context, &Call) -> Answer,
) -> Entry {
    Entry { name, parameters, description, answer }
}

/// A number of seconds.
const SECONDS: Parameter = Parameter::required("seconds", Kind::Any, "Seconds");
/// Yes or no.
const ON: Parameter = Parameter::required("on", Kind::Bool, "Whether");

/// A number as any of the tools writes one: a JSON number, or a string of decimal or, after 0x, hexadecimal digits.
fn number(call: &Call, at: usize) -> Result<Option<U256>, RpcError> {
    number_of(at, call.param(at))
}

fn number_of(at: usize, value: &Value) -> Result<Option<U256>, RpcError> {
    let wrong = |what: String| {
        input::invalid(at, format!("{what} is no number (hint: write it as 0x… or as decimal digits)"))
    };
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => {
            number.as_u64().map(|number| Some(U256::from(number))).ok_or_else(|| wrong(number.to_string()))
        }
        Value::String(text) => {
            let (digits, radix) = text.strip_prefix("0x").map_or((text.as_str(), 10), |digits| (digits, 16));
            let parsed = U256::from_str_radix(digits, radix).ok().filter(|_| !digits.is_empty());
            parsed.map(Some).ok_or_else(|| wrong(format!("`{text}`")))
        }
        other => Err(wrong(other.to_string())),
    }
}

fn required_number(call: &Call, at: usize) -> Result<U256, RpcError> {
    number(call, at)?.ok_or_else(|| input::missing(at))
}

/// A number of 64 bits.
fn number64(call: &Call, at: usize) -> Result<Option<u64>, RpcError> {
    number(call, at)?.map(|number| short(at, number)).transpose()
}

fn required_number64(call: &Call, at: usize) -> Result<u64, RpcError> {
    number64(call, at)?.ok_or_else(|| input::missing(at))
}

fn short(at: usize, number: U256) -> Result<u64, RpcError> {
    u64::try_from(number).map_err(|_| input::invalid(at, format!("{number} does not fit into 64 bits")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_read_as_all_tools_write_them() {
        for written in [json!(42), json!("42"), json!("0x2a"), json!("0x000000000000002a")] {
            assert_eq!(number_of(0, &written).unwrap(), Some(U256::from(42)), "{written}");
        }
        assert_eq!(number_of(0, &Value::Null).unwrap(), None);
        for wrong in [json!(""), json!("0x"), json!("four"), json!(-1), json!(1.5), json!([1]), json!(true)] {
            assert!(number_of(0, &wrong).is_err(), "{wrong}");
        }
    }
}
