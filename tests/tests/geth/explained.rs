//! Differences that are not mended, each under the name it has in `differences.md`.

use serde_json::Value;

use crate::answers::Difference;

/// The explanation's name, if there is one.
pub(crate) fn explained(difference: &Difference<'_>, params: &Value) -> Option<&'static str> {
    let Difference { method, path, ours, theirs } = difference;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let (mine, other) = (text(*ours), text(*theirs));
    let field = path.rsplit('.').next().unwrap_or_default();
    let is_trace = method.starts_with("debug_trace");
    if *method == "eth_getBlockByNumber" && params.as_array().is_some_and(|params| params.len() == 1) {
        return Some("optional-parameters");
    }
    if field == "blockTimestamp" && theirs.is_none() {
        return Some("block-timestamp");
    }
    if path == ".error.code" && ["eth_getLogs", "eth_getStorageAt"].contains(method) {
        return Some("newer-codes");
    }
    let is_message = path == ".error.message" || field == "error";
    let is_unknown = is_trace && field == "op" && mine == "Unknown" && other.ends_with(" not defined");
    if is_unknown || (is_message && plain(&mine) == plain(&other)) {
        return Some("details-of-errors");
    }
    if is_message && other == "gas uint64 overflow" && mine.starts_with("out of gas") {
        return Some("words-of-overflows");
    }
    if is_message && is_trace && mine == "precompiled failed" {
        return Some("words-of-precompiles");
    }
    if is_message && params.to_string().contains("flatCallTracer") {
        return Some("words-of-parity");
    }
    if path == ".error.message" && method == &"eth_sendRawTransaction" && other.starts_with("rlp: ") {
        return Some("words-of-decoders");
    }
    if path == ".error.message" && mine == "JS Tracer is not enabled" {
        return Some("tracers-in-javascript");
    }
    if path == ".error.message" && is_about_parameters(&mine) && is_about_parameters(&other) {
        return Some("words-of-decoders");
    }
    if is_trace && field == "refund" {
        return Some("refund-counter");
    }
    if is_trace && field == "gasCost" {
        return Some("costs-of-failed-steps");
    }
    let is_flat = params.to_string().contains("flatCallTracer");
    if is_trace && is_flat && ours.is_some_and(Value::is_array) && theirs.is_some_and(Value::is_array) {
        return Some("precompiles-in-flat-traces");
    }
    let is_account = ours.or(*theirs).is_some_and(|account| account.get("codeHash").is_some());
    if is_trace && params.to_string().contains("prestateTracer") && is_account {
        return Some("accounts-without-a-touch");
    }
    let names_caps = params.pointer("/0/maxFeePerGas").is_some();
    if method == &"eth_call" && names_caps && params.pointer("/3/baseFeePerGas").is_some() {
        return Some("price-under-a-supposed-base-fee");
    }
    None
}

fn is_about_parameters(words: &str) -> bool {
    ["invalid argument ", "invalid hex in storage key", "unable to decode storage key"]
        .iter()
        .any(|start| words.starts_with(start))
}

/// An error without numbers that only geth gives.
fn plain(words: &str) -> String {
    let words = match words.split_once(": opcode 0x") {
        Some((before, _)) => before,
        None => words,
    };
    let words = words.split_once(" (").map_or(
        words,
        |(before, after)| {
            if after.contains(" <=> ") { before } else { words }
        },
    );
    match (words.split_once("transaction: 0x"), words.split_once(" err: ")) {
        (Some((before, _)), Some((_, after))) => format!("{before}transaction: {after}"),
        _ => words.to_owned(),
    }
}
