//! `validateaddress`, `getindexinfo` (Bitcoin Core `rpc/output_script.cpp`, `rpc/node.cpp`).

use chainwright_utxo::address::Destination;
use hex_conservative::DisplayHex as _;
use serde_json::{Value, json};

use crate::encode::{Object, put};
use crate::{BitcoinNode, Entry};
use chainwright_rpc::{Call, Kind, Parameter};

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        category: "util",
        name: "validateaddress",
        parameters: &[Parameter::required("address", Kind::String, "The bitcoin address to validate")],
        description: "Return information about the given bitcoin address.\n",
        run: |node, call| Ok(validate_address(node, call)),
    },
    Entry {
        category: "util",
        name: "getindexinfo",
        parameters: &[Parameter::optional(
            "index_name",
            Kind::String,
            "",
            "Filter results for an index with a specific name.",
        )],
        description: "Returns the status of one or all available indices currently running in the node.\n",
        run: |_, _| Ok(json!({})),
    },
];

fn validate_address(node: &BitcoinNode, call: &Call) -> Value {
    let prefixes = node.prefixes();
    let mut object = Object::new();
    match Destination::decode(call.text(0).unwrap_or_default(), prefixes) {
        Ok(destination) => {
            let script = destination.script_pubkey().as_bytes().to_lower_hex_string();
            put(
                &mut object,
                [
                    ("isvalid", true.into()),
                    ("address", destination.encode(prefixes).into()),
                    ("scriptPubKey", script.into()),
                ],
            );
            object.extend(describe(&destination));
        }
        Err(error) => put(
            &mut object,
            [("isvalid", false.into()), ("error_locations", json!([])), ("error", error.to_string().into())],
        ),
    }
    Value::Object(object)
}

/// Bitcoin Core's `DescribeAddress`.
fn describe(destination: &Destination) -> Object {
    const ANCHOR: [u8; 2] = [0x4e, 0x73];
    let mut object = Object::new();
    let (version, program) = match destination {
        Destination::PubkeyHash(_) => {
            put(&mut object, [("isscript", false.into()), ("iswitness", false.into())]);
            return object;
        }
        Destination::ScriptHash(_) => {
            put(&mut object, [("isscript", true.into()), ("iswitness", false.into())]);
            return object;
        }
        Destination::Witness { version, program } => (*version, program.as_slice()),
    };
    let is_script = match (version, program.len()) {
        (0, 20) => Some(false),
        (0 | 1, 32) => Some(true),
        (1, 2) if program == ANCHOR => Some(true),
        _ => None,
    };
    if let Some(is_script) = is_script {
        put(&mut object, [("isscript", is_script.into())]);
    }
    put(&mut object, [("iswitness", true.into())]);
    if program != ANCHOR {
        let program = program.to_lower_hex_string();
        put(&mut object, [("witness_version", version.into()), ("witness_program", program.into())]);
    }
    object
}
