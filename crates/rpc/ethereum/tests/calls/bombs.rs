//! Calls that would never end, never fit, or never come back up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chainwright_rpc_ethereum::CallLimits;
use serde_json::{Value, json};

use super::{DEEP, LOOP, Node, TREE, WIDE, ask, error, genesis, node, patient, result};

/// 2^63 gas.
const HUGE: &str = "0x8000000000000000";

fn call(to: &str) -> Value {
    json!([{ "to": to, "gas": HUGE }, "latest"])
}

/// As [`call`], by somebody who can pay for it: an access list is made for a transaction with a price.
fn paid_call(to: &str) -> Value {
    let rich = json!({ "balance": "0xffffffffffffffffffffffffffffffff" });
    json!([{ "to": to, "gas": HUGE }, "latest", { "0x0000000000000000000000000000000000000000": rich }])
}

#[test]
fn the_gas_cap_ends_loops_and_bounds_memory() {
    let node = node();
    for bomb in [LOOP, WIDE] {
        assert_eq!(error(&node, "eth_call", &call(bomb)), (-32000, "out of gas".into()));
    }
    let (code, words) = error(&node, "eth_estimateGas", &call(LOOP));
    assert_eq!((code, words.as_str()), (-32000, "gas required exceeds allowance (50000000)"));
    result(&node, "eth_call", &call(DEEP));
    let list = result(&node, "eth_createAccessList", &paid_call(LOOP));
    assert_eq!(list["error"], "out of gas");
}

#[test]
fn time_ends_what_gas_does_not() {
    let node = patient();
    let expected = (-32000, "execution aborted (timeout = 200ms)".to_owned());
    let began = Instant::now();
    for method in ["eth_call", "eth_createAccessList"] {
        for bomb in [LOOP, TREE] {
            assert_eq!(error(&node, method, &paid_call(bomb)), expected, "{method} {bomb}");
        }
    }
    // An estimate asks for no more gas than a block has.
    let roomy = json!([{ "to": TREE, "gas": HUGE }, "latest", {}, { "gasLimit": HUGE }]);
    assert_eq!(error(&node, "eth_estimateGas", &roomy), expected);
    let blocks = json!([{ "blockStateCalls": [{
        "blockOverrides": { "gasLimit": HUGE }, "calls": [{ "to": LOOP }] }] }, "latest"]);
    assert_eq!(error(&node, "eth_simulateV1", &blocks), (-32603, expected.1));
    for options in [json!({ "tracer": "callTracer" }), json!({ "tracer": "callTracer", "timeout": "50ms" })] {
        let params = json!([{ "to": LOOP, "gas": HUGE }, "latest", options]);
        assert_eq!(error(&node, "debug_traceCall", &params), (-32000, "execution timeout".into()));
    }
    let params = json!([{ "to": LOOP, "gas": HUGE }, ["trace"], "latest"]);
    assert_eq!(error(&node, "trace_call", &params), (-32000, "execution timeout".into()));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_timeout_must_be_a_duration() {
    let params = json!([{ "to": LOOP }, "latest", { "timeout": "soon" }]);
    let (code, words) = error(&node(), "debug_traceCall", &params);
    assert_eq!((code, words.as_str()), (-32000, "time: invalid duration \"soon\""));
}

#[test]
fn a_node_that_stops_ends_calls() {
    let node = Node::of(&genesis(), CallLimits { gas: 0, time: Duration::ZERO, ..CallLimits::default() });
    let stopping = Arc::new(AtomicBool::new(false));
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": call(LOOP) });
    let reply = std::thread::scope(|scope| {
        let asked = scope.spawn(|| node.reply_until(&request, &stopping));
        std::thread::sleep(Duration::from_millis(100));
        assert!(!asked.is_finished(), "nothing but stopping ends it");
        stopping.store(true, Ordering::Relaxed);
        asked.join().unwrap()
    });
    assert_eq!(reply["error"]["message"], "execution aborted (node is stopping)");
}

#[test]
fn a_log_of_steps_has_a_size() {
    let node = Node::of(&genesis(), CallLimits { trace_bytes: 16 << 20, ..CallLimits::default() });
    let (code, words) = error(&node, "debug_traceCall", &json!([{ "to": LOOP }, "latest", {}]));
    assert_eq!(code, -32000);
    assert!(words.starts_with("trace too large: more than 16 MiB"), "{words}");
    // As in geth, a limit is one of bytes.
    let some = result(&node, "debug_traceCall", &json!([{ "to": LOOP }, "latest", { "limit": 500 }]));
    let steps = some["structLogs"].as_array().unwrap();
    let bytes: usize = steps.iter().map(|step| step.to_string().len()).sum();
    let last = steps.last().unwrap().to_string().len();
    assert!(bytes > 500 && bytes - last <= 500, "{bytes} bytes");
    let (_, words) = error(&node, "trace_call", &json!([{ "to": LOOP }, ["vmTrace"]]));
    assert!(words.starts_with("trace too large"), "{words}");
    // A tree of calls has no steps and is as large.
    let tree = json!([{ "to": TREE }, "latest", { "tracer": "callTracer" }]);
    let (_, words) = error(&node, "debug_traceCall", &tree);
    assert!(words.starts_with("trace too large"), "{words}");
}

/// How deep the calls of a frame go.
fn depth(frame: &Value) -> usize {
    let mut depth = 1;
    let mut frame = frame;
    while let Some(inner) = frame["calls"].get(0) {
        frame = inner;
        depth += 1;
    }
    depth
}

#[test]
fn a_trace_as_deep_as_calls_go_is_told_whole() {
    let node = Node::of(&genesis(), CallLimits { gas: 0, ..CallLimits::default() });
    let call = json!({ "to": DEEP, "gas": HUGE });
    let nested = ask(&node, "debug_traceCall", &json!([call, "latest", { "tracer": "callTracer" }]));
    // The outermost call, 1024 inside of it, and the one that was too deep.
    assert_eq!(depth(&nested["result"]), 1026);
    assert!(nested.to_string().len() > 100_000);
    for tracer in ["flatCallTracer", "prestateTracer", "4byteTracer"] {
        result(&node, "debug_traceCall", &json!([call, "latest", { "tracer": tracer }]));
    }
    let mux = json!({ "tracer": "muxTracer", "tracerConfig": { "callTracer": {} } });
    let nested = ask(&node, "debug_traceCall", &json!([call, "latest", mux]));
    assert_eq!(depth(&nested["result"]["callTracer"]), 1026);
    let all = result(&node, "trace_call", &json!([call, ["trace", "vmTrace", "stateDiff"]]));
    assert_eq!(all["trace"].as_array().unwrap().len(), 1026);
    assert!(all.to_string().len() > 100_000);
    let steps = result(&node, "debug_traceCall", &json!([call, "latest", {}]));
    assert!(steps["structLogs"].as_array().unwrap().len() > 8 * 1024);
}

#[test]
fn many_blocks_of_heavy_calls_share_one_gas_cap() {
    let node = node();
    let block = |_| json!({ "calls": [{ "to": LOOP, "gas": "0x2faf0" }] });
    let blocks: Vec<_> = (0..256).map(block).collect();
    let began = Instant::now();
    let shown = result(&node, "eth_simulateV1", &json!([{ "blockStateCalls": blocks }, "latest"]));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(shown.as_array().unwrap().len(), 256);
    assert_eq!(shown[255]["number"], "0x100");
    assert_eq!(shown[255]["calls"][0]["error"], json!({ "code": -32015, "message": "out of gas" }));
    // 256 times 0x2faf0 gas is just below the cap; one call more is above it.
    let block = |_| json!({ "calls": [{ "to": LOOP, "gas": "0x30000" }] });
    let blocks: Vec<_> = (0..256).map(block).collect();
    let (code, words) = error(&node, "eth_simulateV1", &json!([{ "blockStateCalls": blocks }, "latest"]));
    assert_eq!(code, -38013, "{words}");
}
