//! `rpc_decodescript.json`: forms, addresses and the written form of scripts (Bitcoin Core
//! `test/functional/rpc_decodescript.py`).

use crate::support::{list, read_list, text, unhex};
use chainwright_utxo::address::{AddressPrefixes, Destination};
use chainwright_utxo::hash::hash160;
use chainwright_utxo::script::{asm, classify};
use serde_json::Value;

#[track_caller]
fn check_script(row: &Value) {
    let row = list(row);
    let (script, expected) = (unhex(text(&row[0])), &row[1]);
    let prefixes = AddressPrefixes::bitcoin_test("bcrt");
    assert_eq!(asm(&script, false), text(&expected["asm"]), "{row:?}");
    assert_eq!(classify(&script).name(), text(&expected["type"]), "{row:?}");
    let address = Destination::of_script(&script).and_then(|destination| destination.encode(&prefixes));
    assert_eq!(address.as_deref(), expected.get("address").map(text), "{row:?}");
    if let Some(p2sh) = expected.get("p2sh") {
        let address = Destination::ScriptHash(hash160(&script)).encode(&prefixes);
        assert_eq!(address.as_deref(), Some(text(p2sh)), "{row:?}");
    }
}

#[test]
fn scripts_are_described_as_bitcoin_core_describes_them() {
    let Some(rows) = read_list("rpc_decodescript.json") else { return };
    for row in &rows {
        check_script(row);
    }
}

#[test]
fn signatures_in_input_scripts_show_their_hash_type() {
    let number = "41f7ab20e13e22fb95281a870f3dcf38d782e53023ee313d741ad0cfbc0c5090";
    let signature = format!("30440220{number}0220{number}");
    let key = "03b0da749730dc9b4b1f4a14d6902877a92541f5368778853d9c4a0cb7802dcfb2";
    for (hash_type, words) in [("01", "ALL"), ("83", "SINGLE|ANYONECANPAY")] {
        let script = unhex(&format!("47{signature}{hash_type}21{key}"));
        assert_eq!(asm(&script, true), format!("{signature}[{words}] {key}"));
        assert_eq!(asm(&script, false), format!("{signature}{hash_type} {key}"));
    }
    let undefined = unhex(&format!("47{signature}00"));
    assert_eq!(asm(&undefined, true), format!("{signature}00"));
}
