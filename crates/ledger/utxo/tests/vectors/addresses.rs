//! `base58_encode_decode.json`, `key_io_valid.json` and `key_io_invalid.json` (Bitcoin Core `test/key_io_tests.cpp`).

use crate::support::{read_list, text, unhex};
use base58ck::Base58CkString;
use chainwright_utxo::address::{AddressError, AddressPrefixes, Destination, WifKey};
use hex_conservative::DisplayHex as _;
use serde_json::Value;

fn prefixes(chain: &str) -> AddressPrefixes {
    match chain {
        "main" => AddressPrefixes::bitcoin(),
        "test" | "testnet4" | "signet" => AddressPrefixes::bitcoin_test("tb"),
        "regtest" => AddressPrefixes::bitcoin_test("bcrt"),
        other => panic!("unknown chain {other}"),
    }
}

#[track_caller]
fn check_valid(row: &Value) {
    let (written, payload, about) = (text(&row[0]), text(&row[1]), &row[2]);
    let prefixes = prefixes(text(&about["chain"]));
    if about["isPrivkey"] == Value::Bool(true) {
        let key = WifKey::decode(written, &prefixes).expect("a good key");
        assert_eq!(key.secret.to_secret_bytes().to_lower_hex_string(), payload, "{row}");
        assert_eq!(Value::Bool(key.compressed), about["isCompressed"], "{row}");
        assert_eq!(key.encode(&prefixes), written, "{row}");
        assert!(Destination::decode(written, &prefixes).is_err(), "{row}");
        return;
    }
    let destination = Destination::decode(written, &prefixes).expect("a good address");
    let script = destination.script_pubkey();
    assert_eq!(script.as_bytes().to_lower_hex_string(), payload, "{row}");
    assert_eq!(Destination::of_script(script.as_bytes()), Some(destination.clone()), "{row}");
    assert_eq!(destination.encode(&prefixes).as_deref(), Some(written), "{row}");
    assert!(WifKey::decode(written, &prefixes).is_none(), "{row}");
    let flipped: String = written
        .chars()
        .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    if about.get("tryCaseFlip") == Some(&Value::Bool(true)) {
        assert_eq!(Destination::decode(&flipped, &prefixes), Ok(destination), "{row}");
    }
}

#[track_caller]
fn check_invalid(written: &str) {
    for chain in ["main", "testnet4", "signet", "regtest"] {
        let prefixes = prefixes(chain);
        assert!(Destination::decode(written, &prefixes).is_err(), "{chain} {written}");
        assert!(WifKey::decode(written, &prefixes).is_none(), "{chain} {written}");
    }
}

#[track_caller]
fn check_base58(row: &Value) {
    let (data, written) = (unhex(text(&row[0])), text(&row[1]));
    assert_eq!(base58ck::decode(written).expect("good Base58"), data, "{row}");
    let checked = Base58CkString::encode_unbounded(&data);
    assert_eq!(base58ck::decode_check(checked.as_str()).expect("its own checksum"), data, "{row}");
}

#[track_caller]
fn check_error(written: &str, expected: &str) {
    let error = Destination::decode(written, &AddressPrefixes::bitcoin()).expect_err("no address");
    assert_eq!(error.to_string(), expected, "{written}");
}

#[test]
fn valid_addresses_and_keys_read_and_write() {
    let Some(rows) = read_list("key_io_valid.json") else { return };
    assert_eq!(rows.len(), 70, "the file has these many cases");
    rows.iter().for_each(check_valid);
}

#[test]
fn invalid_addresses_and_keys_are_refused_on_every_chain() {
    let Some(rows) = read_list("key_io_invalid.json") else { return };
    assert_eq!(rows.len(), 70, "the file has these many cases");
    for row in &rows {
        check_invalid(text(&row[0]));
    }
}

#[test]
fn base58_reads_back() {
    let Some(rows) = read_list("base58_encode_decode.json") else { return };
    rows.iter().for_each(check_base58);
}

#[test]
fn refusals_have_the_words_of_bitcoin_core() {
    check_error("asfah14i8fajz0123f", "Invalid or unsupported Segwit (Bech32) or Base58 encoding.");
    check_error(
        "n2ZNV88uQbede7C5M5jzi6SyG4GDuPpng",
        "Invalid checksum or length of Base58 address (P2PKH or P2SH)",
    );
    check_error("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "Invalid or unsupported Base58-encoded address.");
    check_error("bc1qtmp74ayg7p24uslctssvjm06q5phz4yrvy646e", "Invalid Bech32 checksum");
    check_error(
        "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
        "Invalid Bech32 v0 address program size (16 bytes), per BIP141",
    );
    check_error("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v7k5gn2f", "Invalid Bech32m checksum");
    check_error("bc1", "Invalid separator position");
    check_error(
        "bc1zw508d6qejxtdg4y5r3zarvaryvqyzf3du",
        "Version 1+ witness address must use Bech32m checksum",
    );
}

#[test]
fn litecoin_is_another_value() {
    let (bitcoin, litecoin) = (AddressPrefixes::bitcoin(), AddressPrefixes::litecoin());
    let script = Destination::ScriptHash([7; 20]);
    let written = script.encode(&litecoin).expect("any hash has an address");
    assert!(written.starts_with('M'), "{written}");
    assert_eq!(Destination::decode(&written, &litecoin), Ok(script.clone()));
    assert_eq!(Destination::decode(&written, &bitcoin), Err(AddressError::Base58Version));
    let old = script.encode(&bitcoin).expect("any hash has an address");
    assert_eq!(Destination::decode(&old, &litecoin), Ok(script), "the version once shared");
    let witness = Destination::Witness { version: 0, program: [9; 20][..].into() };
    let written = witness.encode(&litecoin).expect("a good program");
    assert!(written.starts_with("ltc1q"), "{written}");
    assert_eq!(Destination::decode(&written, &litecoin), Ok(witness));
}
